"""Overfitting: error against the true score when the same M fields are seen at every step."""

from collections.abc import Sequence
from typing import Any

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FacetGrid, FigureStyle, Line2D
from csd.report.figures.needs import Wanted

SUMMARY = "training"
NEEDS = "runs with data sets drawn from a target"
WANTED = Wanted(critical=False, data_sets=True)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: mean over seeds, a data set each. Line: the closed form for infinitely many fields."""
    level = series.at_level(summary, style.noise_level)
    table = series.with_most_data_sets(series.require(series.runs(level, WANTED), "overfitting", NEEDS))
    curves = series.learning_curves(level, table, "score_error")
    width = looks.PAGE if table["series"].nunique() > 1 else looks.COLUMN
    grid = data_set_panels(curves, "score_error", col="series", height=2.7, width=width, sharex=False)
    ends = curves.dropna(subset="score_error").groupby(["series", "data_set"], sort=False).tail(1)
    grid.set(ylim=(0.3 * ends["score_error"].min(), 2.0))
    grid.axes.flat[0].set_ylabel("relative score error ε")
    products = (ends["score_error"] * ends["data_set"]).groupby(ends["series"], sort=False).agg(["min", "max"])
    told = ", ".join(f"{words} {row['min']:.2g}/M to {row['max']:.2g}/M" for words, row in products.iterrows())
    return grid.figure, {
        "dimension": str(table["dimension"].iloc[0]),
        "size": str(table["size"].iloc[0]),
        "ends": looks.in_caption(told),
    }


def data_set_panels(curves: DataFrame, quantity: str, keys: Sequence[Line2D] = (), **facets: Any) -> FacetGrid:
    """Learning from fixed data sets: points for each number M of fields, and theory for infinitely many.

    Args:
        curves: of `series.learning_curves`, told apart.
        quantity: that is learned.
        keys: further entries of the legend.
        facets: further arguments of `panels`.
    """
    grid = looks.shaded(curves, "data_set", **facets)
    grid.set(xscale="log", yscale="log")
    looks.onto(grid, looks.curve, "step", "theory", color=looks.INK, zorder=1)
    looks.onto(grid, looks.points, "step", quantity, "error", ms=3)
    grid.set_titles("{col_name}").set_axis_labels("training step (steps)", "")
    theory = looks.key("theory, M = ∞", color=looks.INK)
    columns = 4 if keys or grid.figure.get_figwidth() < looks.PAGE else 6
    looks.legend_below(grid.figure, [*looks.shade_keys(curves["data_set"], "M = {}"), theory, *keys], columns)
    return grid
