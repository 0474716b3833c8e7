"""Learning curves: relative score error against training step, for three architectures and all sizes."""

from csd.networks import Architecture
from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Series
from csd.study.seeds import mean_over_seeds

SUMMARY = "training"
NEEDS = "runs on the critical line"
SHOWN = ("one_layer", "two_layer", "local_two_layer")


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors, while all train. Lines: the closed form, or the exact map."""
    level, table = series.critical_runs(summary, style)
    table = series.require(series.in_plane(table), "learning_curves", NEEDS)
    figure, panels = looks.subplots(1, 3, height=2.5, sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        own = table[table["architecture_name"] == architecture]
        own = own[own["network"] == _commonest(own["network"])] if len(own) else own
        shades, mark = looks.shades(architecture, len(own)), looks.marker(architecture)
        for shade, (run, row) in zip(shades, own.iterrows(), strict=True):
            at = level.isel(run=run)
            steps, predicted = at["step"].values, mean_over_seeds(at["predicted_score_error"].values, axis=0)[0]
            looks.plot_theory(axes, steps, predicted, shade, zorder=2)
            looks.plot_curve(axes, steps, at["score_error"].values, shade, mark, f"L = {row['size']}")
        axes.set(xscale="log", yscale="log", ylim=(3e-3, 2.0), xlabel="training step (steps)")
        axes.set_xlim(left=0.8)
        axes.set_title(looks.name(own["network"].iloc[0]) if len(own) else architecture)
        axes.axhline(float(level["tolerance"].isel(run=0)), color="0.6", lw=0.6, zorder=0)
        if len(own):
            axes.legend(loc="lower left", handlelength=1.0, labelspacing=0.25, borderaxespad=0.3, **looks.OVER_LINES)
    panels[0].set_ylabel("relative score error ε")
    figure.legend(handles=looks.kinds(), loc="outside upper center", ncols=2)
    return figure


def _commonest(networks: Series) -> Architecture:
    """The network of the most runs; of several that of the shortest range."""
    counts = networks.value_counts()
    most: list[Architecture] = list(counts.index[counts == counts.max()])
    return min(most, key=looks.order)
