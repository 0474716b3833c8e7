"""Overfitting: error against the true score when the same M fields are seen at every step."""

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "training"
NEEDS = "runs with data sets"


def shows(study: Study) -> bool:
    """Whether there are fixed data sets."""
    return any(sweep.training.get("data_sets", study.training.data_sets) for sweep in sweeps_in(study, SUMMARY))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds, a data set each. Line: the closed form for infinitely many fields."""
    level = series.at_level(summary, style.noise_level)
    table = series.runs(level)
    table = series.require(table[table["data_set"] > 0], "overfitting", NEEDS)
    networks = sorted(set(table["network"]), key=looks.order)
    width = looks.PAGE if len(networks) > 1 else looks.COLUMN
    figure, ((*panels,),) = looks.subplots(1, len(networks), height=2.7, width=width, sharey=True, squeeze=False)
    for axes, network in zip(panels, networks, strict=True):
        own = table[table["network"] == network]
        looks.plot_data_sets(axes, level, own, "score_error", "os^DvP", size=3.0)
        axes.set_ylim(1e-4, 2.0)
    panels[0].set_ylabel("error against the true score ε")
    panels[-1].legend(loc="lower left", handlelength=1.2)
    return figure
