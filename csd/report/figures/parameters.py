"""Training time against number of parameters: depth buys speed, locality keeps it for fewer numbers."""

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.rounding import parentheses

SUMMARY = "training"
NEEDS = "one or two layers, local or not, on the critical line"
SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")
WANTED = Wanted(SHOWN)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds, one a size, with the smallest and the largest beside them. Lines: theory."""
    level = series.at_level(summary, style.noise_level)
    table = series.in_plane(series.require(series.runs(level, WANTED), "parameters", NEEDS))
    # Of networks at one size there is nothing to compare, unless there are no others.
    several = table.groupby("network", sort=False)["size"].transform("nunique") > 1
    table = series.told_apart(series.in_order(table[several] if several.any() else table, SHOWN))
    table = series.with_times(level, table)
    table["parameters"] = level["level_parameters"].values[table.index.to_numpy()]
    grid = looks.panels(table, hue="series", height=3.0, width=looks.COLUMN)
    grid.set(xscale="log", yscale="log")
    grid.set_axis_labels("trainable parameters", "training time τ (steps)")
    looks.onto(grid, looks.curve, "parameters", "theory", zorder=1)
    looks.onto(grid, looks.points, "parameters", "time", "error")
    for _, own in table.dropna(subset="time").groupby("series", sort=False):
        for place in dict.fromkeys(own["parameters"].iloc[[0, -1]]):
            at = own[own["parameters"] == place]
            sizes = " … ".join(dict.fromkeys(f"{size}" for size in at["size"].iloc[[0, -1]]))
            look: looks.Look = {"textcoords": "offset points", "fontsize": "small", "va": "top"}
            where, shade = (place, at["time"].median()), looks.colour(own["network"].iloc[0])
            grid.ax.annotate(f"L = {sizes}", where, (5, -2), color=shade, **look)
    grid.ax.margins(0.15)
    grid.ax.xaxis.set_minor_formatter("")
    looks.legend_below(grid.figure, [*looks.network_keys(table["network"].unique()), *looks.kinds()], 2)
    largest = table.dropna(subset="time").groupby("series", sort=False).tail(1)
    times = ", ".join(
        f"{run['series']} {parentheses(run['time'], run['error'])} with {run['parameters']:g} at L = {run['size']}"
        for _, run in largest.iterrows()
    )
    return grid.figure, {"dimension": str(table["dimension"].iloc[0]), "times": looks.in_caption(times)}
