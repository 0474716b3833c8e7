"""Training time against size for the architectures, a panel a dimension, with fits and theory."""

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted

SUMMARY = "training"
NEEDS = "one or two layers, local or not, on the critical line at three sizes or more"
SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")
WANTED = Wanted(SHOWN, grown=("dimension", "network"))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds, with errors, if all reached the tolerance. Solid: fitted law. Dashed: theory."""
    level = series.at_level(summary, style.noise_level)
    # Ranges of one architecture are compared by the figure `kernels`.
    table = series.require(series.runs(level, WANTED), "training_time", NEEDS)
    table = series.with_times(level, series.in_order(table, SHOWN))
    fits = series.fits(table, scaling, "training_time", style.noise_level)
    grid = looks.panels(series.joined(table, fits), col="dimension", height=3.1, sharex=False)
    series.draw_times(grid)
    grid.set_titles("d = {col_name}")
    for dimension, axes in grid.axes_dict.items():
        looks.size_axis(axes, table["size"][table["dimension"] == dimension])
        looks.end_labels(axes, series.law_ends(fits[fits["dimension"] == dimension]))
    grid.axes.flat[0].set_ylabel("training time τ (steps)")
    looks.legend_below(grid.figure, [*looks.network_keys(table["network"].unique()), *looks.kinds_with_fit()])
    return grid.figure, {"laws": series.told(fits), "unfitted": series.unfitted(table, fits)}
