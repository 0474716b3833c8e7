"""Kernels of the score and what a finite range costs: profiles, and the lowest error against range."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import Run

SUMMARY = "training"
NEEDS = "local_one_layer of a fixed range on the critical line"
ANY_LEVEL = True
LABELS = {
    "kernel of one layer": ("displacement r along an axis (lattice spacings)", "|K(r)| / K(0)"),
    "lowest error of one local layer": ("range R (lattice spacings)", "relative score error ε"),
}
KERNEL, FLOOR = LABELS
"""Panels, with the labels of their axes."""
LOWEST, FARTHEST = 1e-8, 12
"""Lower end of the y axes at the least, and the largest displacement, in lattice spacings."""


def _is_local(run: Run) -> bool:
    """Whether a run has one layer of a fixed range."""
    return bool(run["architecture_name"] == "local_one_layer" and run["fixed_range"] > 0)


WANTED = Wanted(having=_is_local)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Left: exact kernels as lines, trained ones as points. Right: the lowest error that a range can reach."""
    table = series.require(series.runs(summary, WANTED), "kernels", NEEDS)
    local = table[table.apply(_is_local, axis=1)]
    dimension, size = local.groupby(["dimension", "size"])["fixed_range"].nunique()[::-1].idxmax()
    local = local[(local["dimension"] == dimension) & (local["size"] == size)].sort_values("fixed_range")
    full = table[(table["architecture_name"] == "one_layer") & (table["dimension"] == dimension)]
    floors = summary[["floor", "score_length", "tolerance"]].isel(run=local.index.to_numpy())
    floors = floors.assign(place=("run", local["fixed_range"].to_numpy())).to_dataframe().reset_index()
    # Levels of other runs of the study are NaN.
    floors = floors.dropna(subset="score_length")
    floors = floors.assign(panel=FLOOR, value=floors["floor"], line=floors["floor"], error=0.0)
    shown = [floors]
    if len(full):
        run = summary.isel(run=full.index[-1])
        exact = abs(run["exact_kernel_profile"].transpose("noise_level", "distance"))
        mean, error = mean_over_seeds(run["kernel_profile"].transpose("noise_level", "distance", "seed").values)
        kernels = (exact / exact.isel(distance=0)).to_dataframe("line").reset_index().assign(panel=KERNEL)
        kernels = kernels.assign(place=kernels["distance"], value=np.abs(mean / mean[:, :1]).ravel())
        kernels = kernels.assign(error=(error / mean[:, :1]).ravel())
        kernels = kernels.dropna(subset="line")
        shown = [kernels[kernels["distance"] <= FARTHEST], floors]
    table = series.joined(*shown).sort_values(["noise_level", "place"], kind="stable")
    lengths = floors.groupby("noise_level")["score_length"].first()
    table["level"] = table["noise_level"].map({t: f"t = {t:g}, ξ$_t$ = {xi:.2g}" for t, xi in lengths.items()})
    layout: looks.Look = {"height": 2.9, "width": looks.PAGE if len(full) else looks.COLUMN}
    grid = looks.panels(
        table,
        hue="level",
        col="panel",
        col_order=[p for p in LABELS if p in set(table["panel"])],
        sharex=False,
        sharey=False,
        **layout,
    )
    grid.set(yscale="log", ylim=(max(LOWEST, 0.3 * table["value"].min()), 3.0)).set_titles("{col_name}")
    looks.onto(grid, looks.curve, "place", "line", zorder=1)
    looks.onto(grid, looks.points, "place", "value", "error", ms=3.5)
    for panel, axes in grid.axes_dict.items():
        axes.set(xlabel=LABELS[panel][0], ylabel=LABELS[panel][1])
        axes.locator_params(axis="x", integer=True)
    looks.legend_below(grid.figure, looks.hue_keys(grid), 4 if len(full) else 2)
    reach = floors[floors["floor"] <= floors["tolerance"]].groupby("noise_level")["place"].min()
    enough = ", ".join(f"{f'R = {reach[t]}' if t in reach else 'none of these'} at t = {t:g}" for t in lengths.index)
    return grid.figure, {
        "dimension": str(dimension),
        "size": str(size),
        "tolerance": f"{floors['tolerance'].iloc[0]:g}",
        "enough": enough,
    }
