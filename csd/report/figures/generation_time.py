"""Training steps until samples are right by each criterion, against size: where does the slowing down reach?"""

from typing import Any

import numpy as np

from csd.diffusion.criteria import CRITERIA, WORDS
from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with one or two layers on the critical line at three sizes or more"
SHOWN = ("one_layer", "two_layer")
COLOURS = dict(zip(CRITERIA, looks.NO_ARCHITECTURE, strict=True))
MARKERS = dict(zip(CRITERIA, "oDsv^", strict=True))
SUMS = ("total_kl", "effective_sample_size")
"""Criteria that sum over all modes: their times grow as L² ln L with one layer."""
SOFT = ("susceptibility", "correlation_length")
"""Criteria of the softest modes: no law is drawn where nothing grows."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors. Solid: fitted law. Dashed: exact map and recursion."""
    from matplotlib.ticker import LogLocator

    figure, found = panels(summary, "generation_time")
    for axes, own in found:
        for criterion in CRITERIA:
            _series(axes, summary, scaling, own, criterion)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 20.0 * low:
            # Within a decade or so, where powers of ten alone would be one tick or none.
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.minorticks_off()
        looks.size_axis(axes, list(own["size"]))
        looks.legend_beside(axes, handlelength=1.0)
        axes.set_title(f"{looks.name(own['network'].iloc[0])}, d = {own['dimension'].iloc[0]}")
    figure.supylabel("training until samples are right (steps)", fontsize=style.font_size)
    figure.legend(handles=looks.kinds_with_fit(), loc="outside lower center", ncols=3)
    return figure


def panels(summary: Dataset, name: str) -> tuple[Figure, list[tuple[Axes, DataFrame]]]:
    """A figure with a panel for each dimension (down) and architecture (across), and the runs of each, sorted by size.

    Args:
        summary: of `csd.study.summaries.generation.aggregate_generation`.
        name: of the figure.

    Raises:
        InputError: if one or two layers were not sampled at three sizes or more.
    """
    table = series.generation_runs(summary, architecture_name=SHOWN)
    table = series.require(series.grown(table, "sweep", "network", "data_set"), name, NEEDS)
    dimensions = sorted(table["dimension"].unique())
    names = [name for name in SHOWN if name in set(table["architecture_name"])]
    width, height = looks.PAGE * max(len(names), 1.2) / 2, 0.5 + 2.1 * len(dimensions)
    figure, grid = looks.subplots(len(dimensions), len(names), height=height, width=width, squeeze=False)
    found = []
    for row, dimension in zip(grid, dimensions, strict=True):
        for panel, architecture in zip(row, names, strict=True):
            own = table[(table["dimension"] == dimension) & (table["architecture_name"] == architecture)]
            if own.empty:
                panel.axis("off")
            else:
                found.append((panel, own))
    return figure, found


def _series(axes: Axes, summary: Dataset, scaling: DataFrame, own: DataFrame, criterion: str) -> None:
    """One criterion of one architecture in one dimension."""
    chosen = summary.isel(run=own.index.to_numpy()).sel(criterion=criterion)
    sizes, shade = own["size"].to_numpy(), COLOURS[criterion]
    laws = series.laws_of(scaling, own.iloc[0], "generation_training_time")
    law = None if criterion in SOFT else _law(laws[laws["criterion"] == criterion], sizes, criterion)
    label = looks.plot_law(axes, law, shade, WORDS[criterion])
    axes.plot(sizes, chosen["predicted_generation_training_time"].values, color=shade, ls=looks.DASHED, zorder=1)
    mean, error = mean_over_seeds(chosen["generation_training_time"].values)
    looks.points(axes, sizes, mean, error, shade, MARKERS[criterion], label=label, zorder=3)


def _law(laws: DataFrame, sizes: Any, criterion: str) -> series.DrawnLaw | None:
    """The law to draw: that of all figures, but L^z ln L for sums over modes that grow as a power."""
    rows = laws[laws["law"] == "power_log"]
    if criterion in SUMS and not rows.empty and rows["exponent"].iloc[0] > 1.0:
        law = rows.iloc[0]
        fine = np.geomspace(min(sizes), max(sizes), 100)
        times = np.exp(law["intercept"]) * fine ** law["exponent"] * np.log(fine)
        return series.DrawnLaw(fine, times, f"$L^{{{parentheses(law['exponent'], law['error'])}}}$ ln L")
    return series.law(laws, sizes)
