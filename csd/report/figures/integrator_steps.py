"""Integrator steps with the exact score against size, for each criterion."""

import numpy as np

from csd.diffusion.criteria import LIMITS
from csd.report.figures import looks
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle, Study

SUMMARY = "integrators"
NEEDS = "nothing"
SHOWN = {"euler_maruyama": ("o", None, "Euler–Maruyama"), "heun": ("s", "white", "Heun")}
"""Integrators: marker, what it is filled with, and words."""
COLOURS = dict(zip((1, 2, 3), looks.COLOURS, strict=False))
"""Of dimensions."""
TITLES = {
    "kl_per_site": "KL per site ≤ {:g}",
    "total_kl": "total KL ≤ {:g} nat",
    "effective_sample_size": "ESS ≥ ½",
    "susceptibility": "χ within {:.0%}",
    "correlation_length": "ξ within {:.0%}",
}


def shows(study: Study) -> bool:
    """Always: no network is involved."""
    return True


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points, joined: steps found from the variance recursion. Dashed: the law N^{1/(2p)} through the largest size."""
    from csd.diffusion.discretisation import FOLLOWS_LAW, ORDERS

    steps = summary["crossing_steps"].sel(schedule="vp", grid="geometric", criterion=list(TITLES))
    table = steps.to_dataset("integrator").to_dataframe().replace(np.inf, np.nan).reset_index().assign(error=0.0)
    table = table.sort_values(["dimension", "size"]).dropna(subset=list(SHOWN), how="all")
    lawful = table["criterion"].isin(FOLLOWS_LAW) & (table["dimension"] > 1)
    look: looks.Look = {"hue": "dimension", "colours": COLOURS, "markers": dict.fromkeys(COLOURS, "")}
    for name in SHOWN:
        known = table.assign(size=table["size"].where(table[name].notna()))
        last = known.groupby(["dimension", "criterion"])[[name, "size"]].transform("last")
        law = last[name] * (table["size"] / last["size"]) ** (table["dimension"] / (2.0 * ORDERS[name]))
        table[f"{name} law"], table[f"{name} joined"] = law.where(lawful), table[name].where(~lawful)
    grid = looks.panels(table, col="criterion", col_order=list(TITLES), height=2.4, **look)
    grid.set(yscale="log")
    for name, (marker, face, _) in SHOWN.items():
        looks.onto(grid, looks.curve, "size", f"{name} law", ls=looks.DASHED, lw=0.9, zorder=1)
        looks.onto(grid, looks.curve, "size", f"{name} joined", lw=0.9, zorder=1)
        looks.onto(grid, looks.points, "size", name, "error", marker=marker, mfc=face, mew=0.8, ms=3.5)
    looks.size_axes(grid, table, apart=3.0)
    for criterion, axes in grid.axes_dict.items():
        limit = summary.attrs["tolerance"] if criterion == "kl_per_site" else LIMITS[criterion]
        axes.set_title(TITLES[criterion].format(limit))
    grid.set_axis_labels("", "integrator steps n")
    grid.axes.flat[len(TITLES) // 2].set_xlabel("size L (lattice spacings)")
    keys = [looks.key(f"d = {one}", color=COLOURS[one]) for one in table["dimension"].unique()]
    keys += [looks.key(words, lw=0, marker=marker, mew=0.8, mfc=face) for marker, face, words in SHOWN.values()]
    looks.legend_below(grid.figure, [*keys, looks.key("law, through the last point", ls=looks.DASHED)], 6)
    each, total = (_powers(table[table["criterion"] == name]) for name in ("kl_per_site", "total_kl"))
    each = sorted(each.to_numpy().ravel())
    ends = [f"{power:.2f}".replace("-", "−") for power in (each[0], each[-1])] if each else ["none known"]
    powers = [f"{one:.2f} and {other:.2f} in d = {dimension}" for dimension, one, other in total.itertuples()]
    return grid.figure, {"kl_per_site": " to ".join(dict.fromkeys(ends)), "total_kl": powers or ["none known"]}


def _powers(own: DataFrame) -> DataFrame:
    """The local exponents of both integrators between the two largest sizes, a row for each dimension."""
    ends = np.log(own.dropna(subset=list(SHOWN)).set_index("dimension")[["size", *SHOWN]]).groupby("dimension")
    slopes = ends.nth(-1) - ends.nth(-2)
    return slopes[list(SHOWN)].div(slopes["size"], axis=0).dropna()
