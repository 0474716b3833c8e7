"""Learning curves: relative score error against training step, a panel an architecture, for all sizes."""

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted

SUMMARY = "training"
NEEDS = "runs on the critical line"
SHOWN = ("one_layer", "two_layer", "local_two_layer")
WANTED = Wanted()
TIMES = ["time", "error", "theory"]
"""Columns of training times, two of which curves have too."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds with standard errors while all train; open: training times. Lines: theory."""
    level = series.at_level(summary, style.noise_level)
    table = series.in_plane(series.require(series.runs(level, WANTED), "learning_curves", NEEDS))
    # Without any of these, the study's own networks.
    names = [name for name in SHOWN if (table["architecture_name"] == name).any()] or sorted(table["architecture_name"])
    table = series.in_order(table[table["architecture_name"].isin(names)], names)
    # Of each, the options of the most runs; of several the shortest range.
    counts = table.groupby(["architecture_name", "network"], sort=False).size()
    shown = [counts[name].idxmax() for name in dict.fromkeys(names)]
    table = series.told_apart(table[table["network"].isin(shown)])
    tolerance = float(level["tolerance"].isel(run=table.index[0]))
    table = series.with_times(level, table)
    floors = level["floor"].values[table.index.to_numpy()]
    # Seeds of local networks end one by one: their mean stops with the first, far from the mean of their times.
    curves = series.learning_curves(level, table.drop(columns=TIMES), "score_error")
    reached = table.drop(columns=TIMES).assign(step=table["time"], reached=tolerance + floors, height_error=0.0)
    curves = series.joined(curves, reached)
    grid = looks.shaded(curves, "size", col="series", height=2.6)
    grid.set(xscale="log", yscale="log", ylim=(tolerance / 4.0, 2.0))
    looks.onto(grid, looks.curve, "step", "theory", zorder=2)
    looks.onto(grid, looks.points, "step", "score_error", "error", ms=3)
    looks.onto(grid, looks.points, "step", "reached", "height_error", ms=5, mfc="none", mew=0.9)
    for axes in grid.axes.flat:
        axes.axhline(tolerance, color=looks.GREY, lw=0.6, zorder=0)
    grid.set_titles("{col_name}").set_axis_labels("training step (steps)", "relative score error ε")
    times = looks.key("training time", lw=0, marker="o", ms=5, mfc="none", mew=0.9)
    looks.legend_below(grid.figure, [*looks.kinds(), times, *looks.shade_keys(table["size"], "L = {}")])
    return grid.figure, {
        "dimension": str(table["dimension"].iloc[0]),
        "tolerance": f"{tolerance:g}",
        "times": series.from_to(table),
    }
