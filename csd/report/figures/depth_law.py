"""The depth law: training time against size for p layers, and z = 2 |1 − 2/p|."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.rounding import parentheses
from csd.study.seeds import total_error
from csd.training.reference import depth_exponent

SUMMARY = "training"
NEEDS = "deep_linear on the critical line"
SHALLOW = {"one_layer": 1, "two_layer": 2}
WANTED = Wanted((*SHALLOW, "deep_linear"), having=lambda run: run["architecture_name"] == "deep_linear")


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Left: points with theory as lines. Right: z of nested laws over the depth law; 0 is a logarithm."""
    import pandas as pd

    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "depth_law", NEEDS)
    deep = table[table["architecture_name"] == "deep_linear"]
    table = series.with_times(level, table[table["dimension"] == deep["dimension"].iloc[0]])
    table["depth"] = table["architecture_name"].map(SHALLOW).fillna(table["depth"]).astype(int)
    table = table.sort_values(["depth", "size"])
    laws = []
    for _, run in table.drop_duplicates(["depth", "sweep", "data"]).iterrows():
        fits = series.laws_of(scaling, run, "training_time", style.noise_level)
        laws += [run[["network", "depth"]].to_dict() | fit for fit in fits[fits["law"] == "boxcox"].to_dict("records")]
    laws = pd.DataFrame(laws, columns=["network", "depth", *scaling.columns])
    laws["total"] = [total_error(law) for _, law in laws.iterrows()]
    laws = laws.astype({"exponent": float, "total": float})
    figure, (left, right) = looks.subplots(1, 2, height=2.9)
    left.set_yscale("log")
    for network, own in table.groupby("network", sort=False):
        look = {"color": looks.colour(network), "marker": looks.marker(network)}
        looks.curve(left, own, "size", "theory", zorder=1, **look)
        looks.points(left, own, "size", "time", "error", **look)
        # Three sizes leave z without an error, and so without a bar.
        looks.points(right, laws[laws["network"] == network], "depth", "exponent", "total", **look)
    looks.size_axis(left, table["size"])
    left.set_ylabel("training time τ (steps)")
    depths = np.linspace(1.0, max(6.0, table["depth"].max()) + 0.5, 200)
    right.plot(depths, 2.0 * np.abs(1.0 - 2.0 / depths), color=looks.INK, zorder=1)
    right.annotate("2 |1 − 2/p|", (1.45, 0.76), (4, 0), textcoords="offset points", color=looks.INK)
    right.annotate("z = 0: ln L", (2.0, 0.0), (8, -2), textcoords="offset points", color=looks.INK)
    right.set(xlabel="depth p (layers)", ylabel="exponent z of training time")
    looks.legend_below(figure, [*looks.network_keys(table["network"].unique()), *looks.kinds()])
    exponents = ", ".join(
        f"{parentheses(law['exponent'], law['total'])} at p = {law['depth']} ({depth_exponent(int(law['depth'])):.4g})"
        for _, law in laws.iterrows()
    )
    return figure, {"dimension": str(table["dimension"].iloc[0]), "exponents": exponents or "none is fitted"}
