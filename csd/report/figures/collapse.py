"""Training time at fixed masses: τ = s*(α²ξ² + σ²) whatever L, so that τ / ξ² knows no break where L passes ξ."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted

SUMMARY = "training"
NEEDS = "one_layer at fixed masses"
ARCHITECTURE = "one_layer"
WANTED = Wanted(
    (ARCHITECTURE,), critical=False, having=lambda run: bool(np.isnan([run["mass_times_length"], run["r0"]]).all())
)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: one layer at fixed masses and on the critical line. Lines: the closed form, and one that L cuts off."""
    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "collapse", NEEDS)
    table = table.assign(given=table["mass_times_length"].isna() & table["r0"].isna())
    fixed = table[table["given"]]
    # Where there are several dimensions, that with the most masses.
    dimension = fixed.groupby("dimension")["mass"].nunique().idxmax()
    shown = (table["dimension"] == dimension) & (table["given"] | (table["mass_times_length"] == 1.0))
    table = series.with_times(level, table[shown], "crossing_time").dropna(subset=["time", "theory"], how="all")
    series.require(table, "collapse", f"{NEEDS}, whose seeds reach the tolerance")
    of_mass = table[table["given"]].dropna(subset="time").groupby("mass")
    compared = of_mass.filter(lambda own: own["size"].nunique() > 1)
    times = compared.groupby("mass")["time"]
    spread = (times.max() / times.min()).max() - 1.0
    table = table.assign(ratio=table["size"] * table["mass"]).sort_values("ratio")
    table[["time", "error", "theory"]] = table[["time", "error", "theory"]].mul(table["mass"] ** 2, axis=0)
    figure, axes = looks.subplots(1, 1, height=3.0, width=looks.COLUMN)
    sizes = sorted(table["size"].unique())
    # Points of several sizes that coincide stay visible.
    for size, shade, ms in zip(
        sizes, looks.shades(ARCHITECTURE, len(sizes)), np.linspace(8, 3, len(sizes)), strict=True
    ):
        own, look = table[table["size"] == size], {"color": shade, "marker": looks.marker(ARCHITECTURE)}
        looks.curve(axes, own, "ratio", "theory", zorder=1, **look)
        looks.points(axes, own, "ratio", "time", "error", ms=ms, **look)
    ratios = np.geomspace(table["ratio"].min(), table["ratio"].max(), 100)
    cut = table["theory"].iloc[0] * np.minimum(1.0, ratios**2)
    axes.plot(ratios, cut, color=looks.INK, ls=looks.DASHED, zorder=0)
    axes.set(xscale="log", ylim=(0.0, 1.15 * table[["time", "theory"]].max(axis=None)))
    axes.set(xlabel="size over correlation length, L / ξ", ylabel="τ / ξ² (steps per lattice spacing²)")
    cut_off = looks.key("if τ ∝ L² below ξ", color=looks.INK, ls=looks.DASHED)
    looks.legend_below(figure, [*looks.shade_keys(sizes, "L = {}"), *looks.kinds(), cut_off], 2)
    between = ", ".join(map(str, sorted(set(compared["size"]))))
    return figure, {
        "dimension": str(dimension),
        "spread": f"differ by at most {100.0 * spread:.2g} % between L = {between}"
        if between
        else "are of one size alone",
    }
