"""Training time against size at each noise level: at which of them does training slow down?"""

from collections.abc import Iterable

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.summaries.columns import Run

SUMMARY = "training"
NEEDS = "one_layer and two_layer on the critical line of one dimension, at several noise levels"
ANY_LEVEL = True
SHOWN = ("one_layer", "two_layer")
ALSO = ("multiscale", "multiscale_blocks")
"""Networks that are shown beside, where there are any."""
MOST = 7
"""Noise levels that have room in a panel."""
_FULL, _ALL = Wanted(SHOWN, together=True, having=lambda run: len(run["noise_levels"]) > 1), Wanted((*SHOWN, *ALSO))


def _wanted(runs: Iterable[Run]) -> list[Run]:
    """Runs of the full networks, and of the others in their dimensions."""
    given = list(runs)
    dimensions = {run["dimension"] for run in _FULL(given)}
    return [run for run in _ALL(given) if run["dimension"] in dimensions]


WANTED = _wanted
"""The runs that it shows."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds, with errors, a shade a noise level, `MOST` at most. Lines: theory. Beside: laws."""
    table = series.in_plane(series.require(series.runs(summary, WANTED), "noise_levels", NEEDS))
    table = series.told_apart(series.in_order(table, (*SHOWN, *ALSO)))
    errors = summary["score_error"].isel(run=table.index.to_numpy(), step=0).transpose("noise_level", ...)
    trained = np.isfinite(errors.values).any(axis=(1, 2))
    levels = summary["noise_level"].values[trained].tolist()
    levels = levels[:: -(-len(levels) // MOST)]
    # As the laws are: whole steps would make kinks in the short times of two layers.
    times = (series.with_times(summary.sel(noise_level=level), table, "crossing_time") for level in levels)
    table = series.joined(*(own.assign(noise_level=level) for own, level in zip(times, levels, strict=True)))
    rows = -(-table["series"].nunique() // 2)
    grid = looks.shaded(table, "noise_level", col="series", col_wrap=2, height=2.9 * rows, sharex=False, sharey=False)
    looks.onto(grid, looks.curve, "size", "theory", zorder=1)
    looks.onto(grid, looks.points, "size", "time", "error")
    told = []
    for words, axes in grid.axes_dict.items():
        own = table[table["series"] == words]
        looks.size_axis(axes, own["size"])
        looks.scaled(axes, own[["time", "theory"]])
        if axes.get_yscale() == "log":
            looks.ticks_within_a_decade(axes.yaxis)
        laws: dict[str, str] = {}
        shade, ends = looks.colour(own["network"].iloc[0]), []
        for level, at in own.groupby("noise_level"):
            fitted = series.fits(at, scaling, "training_time", level)["law"].unique()
            ends.append((at["theory"].iloc[-1], ": ".join([f"t = {level:g}", *fitted]), shade))
            laws |= {f"{level:g}": law for law in fitted}
        looks.end_labels(axes, ends)
        told.append(
            f"{words} {', '.join(laws.values())} at t = {', '.join(laws)}" if laws else f"{words} is not fitted"
        )
    grid.set_titles("{col_name}")
    for axes in grid.axes.flat[::2]:
        axes.set_ylabel("training time τ (steps)")
    looks.legend_below(grid.figure, looks.kinds())
    return grid.figure, {"dimension": str(table["dimension"].iloc[0]), "laws": looks.in_caption("; ".join(told))}
