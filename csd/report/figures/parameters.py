"""Training time against number of parameters: depth buys speed, locality keeps it for fewer numbers."""

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "training"
NEEDS = "one or two layers, local or not, on the critical line"
SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")


def shows(study: Study) -> bool:
    """Whether there is one of these networks."""
    return bool(sweeps_in(study, SUMMARY, *SHOWN))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds; one a size, larger ones larger. Lines: predictions."""
    level, table = series.critical_runs(summary, style, architecture_name=SHOWN)
    table = series.in_plane(series.require(table, "parameters", NEEDS))
    figure, axes = looks.subplots(1, 1, height=3.0, width=looks.COLUMN)
    for network in sorted(table["network"].unique(), key=lambda network: SHOWN.index(network.name)):
        own = table[table["network"] == network]
        if own["size"].nunique() < 2:
            continue
        mean, error, predicted = series.mean_times(level, own)
        parameters = level["level_parameters"].values[own.index.to_numpy()]
        colour, mark, sizes = looks.colour(network), looks.marker(network), list(own["size"])
        axes.plot(parameters, predicted, color=colour, lw=0.9, zorder=1)
        for index, place in enumerate(zip(parameters, mean, error, strict=True)):
            label = looks.name(network) if index == 0 else None
            looks.points(axes, *place, colour, mark, ms=2.5 + 0.9 * index, label=label)
        ends = {0: f"L = {sizes[0]}", len(own) - 1: f"L = {sizes[-1]}"}
        if parameters[0] == parameters[-1]:
            ends = {len(own) // 2: f"L = {sizes[0]} … {sizes[-1]}"}
        look: looks.Look = {
            "textcoords": "offset points",
            "fontsize": 0.8 * style.font_size,
            "color": colour,
            "va": "top",
        }
        for index, text in ends.items():
            axes.annotate(text, (parameters[index], mean[index]), (6, -2), **look)
    axes.set(xscale="log", yscale="log", xlabel="trainable parameters", ylabel="training time τ (steps)")
    axes.margins(0.12)
    axes.set_title(f"d = {table['dimension'].iloc[0]}, t = {style.noise_level:g}; lines: theory")
    axes.set_xlim(right=10.0 * float(level["level_parameters"].isel(run=table.index.to_numpy()).max()))
    axes.legend(loc="center right", handlelength=1.0)
    return figure
