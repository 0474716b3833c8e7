"""Training time against size for the architectures, a panel a dimension, with fits and predictions."""

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "training"
NEEDS = "one or two layers, local or not, on the critical line at three sizes or more"
SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")


def shows(study: Study) -> bool:
    """Whether there is one of these networks."""
    return bool(sweeps_in(study, SUMMARY, *SHOWN))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: means over seeds, with errors, if all reached the tolerance. Solid: fitted law. Dashed: theory."""
    level, table = series.critical_runs(summary, style, architecture_name=SHOWN)
    # Several ranges of one family are the business of the figure on kernels.
    table = series.require(series.grown(table, "dimension", "network"), "training_time", NEEDS)
    dimensions = sorted(table["dimension"].unique())
    figure, panels = looks.subplots(1, len(dimensions), height=3.3, sharey=True, squeeze=False)
    for axes, dimension in zip(panels[0], dimensions, strict=True):
        here = table[table["dimension"] == dimension]
        for network in sorted(here["network"].unique(), key=lambda network: SHOWN.index(network.name)):
            own = here[here["network"] == network]
            sizes, shade = own["size"].to_numpy(), looks.colour(network)
            mean, error, predicted = series.mean_times(level, own)
            laws = series.laws_of(scaling, own.iloc[0], "training_time", style.noise_level)
            label = looks.plot_law(axes, series.law(laws, sizes), shade, looks.name(network))
            axes.plot(sizes, predicted, color=shade, ls=looks.DASHED, alpha=0.7, zorder=1)
            looks.points(axes, sizes, mean, error, shade, looks.marker(network), label=label, zorder=3)
        looks.size_axis(axes, list(here["size"]))
        axes.set(yscale="log", title=f"d = {dimension}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), handlelength=1.2, labelspacing=0.3)
    panels[0][0].set_ylabel("training time τ (steps)")
    figure.legend(handles=looks.kinds_with_fit(), loc="outside lower center", ncols=3)
    return figure
