"""The Binder cumulant of generated fields against the steps of training, beside that of the target."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.observables_by_step import NEEDS as NEEDS
from csd.report.figures.observables_by_step import WANTED as WANTED
from csd.report.figures.observables_by_step import compared_runs, until_right
from csd.study.rounding import parentheses

SUMMARY = "generation"
COLUMNS = 4


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: sampled fields, means over seeds, joined by lines. Grey: the reference. A panel a size."""
    shown = compared_runs(summary, "binder_by_step")
    shown = shown[(shown["observable"] == "binder") & np.isfinite(shown["reference"])]
    shown = series.require(shown, "binder_by_step", NEEDS).sort_values(["label", "dimension", "size"], kind="stable")
    facets: looks.Look = {"col": "panel", "col_wrap": min(COLUMNS, shown["panel"].nunique())}
    rows = -(-shown["panel"].nunique() // COLUMNS)
    fields = shown[shown["sampled"]]
    grid = looks.panels(fields, hue="series", height=2.4 * rows + 0.5, **facets)
    grid.set(xscale="log")
    looks.onto(grid, looks.points, "step", "value", "error", ms=3)
    told = []
    for panel, axes in grid.axes_dict.items():
        own = shown[shown["panel"] == panel]
        for _, curve in own[own["joined"]].groupby("series", sort=False):
            looks.curve(axes, curve, "step", "value", color=looks.colour(curve["network"].iloc[0]), lw=0.8)
        right, error = (float(own[name].iloc[0]) for name in ("reference", "reference_error"))
        axes.axhspan(right - error, right + error, color="0.8", zorder=0, lw=0)
        axes.axhline(right, color="0.5", lw=0.8, zorder=0)
        told.append(f"{panel}, where it is {parentheses(right, error)}: {until_right(own)}")
    grid.set_titles("{col_name}")
    grid.set_axis_labels("training step (steps)", "Binder cumulant U$_4$")
    looks.legend_below(grid.figure, [*looks.hue_keys(grid), looks.key("target", color="0.5")], 4)
    return grid.figure, {"sizes": told}
