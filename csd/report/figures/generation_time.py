"""Training steps until samples are right by each criterion, against size: where does the slowing down reach?"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from csd.core.rounding import parentheses
from csd.diffusion.criteria import CRITERIA, WORDS
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = ("one_layer", "two_layer")
COLOURS = dict(zip(CRITERIA, looks.NO_ARCHITECTURE, strict=True))
MARKERS = dict(zip(CRITERIA, "oDsv^", strict=True))
SUMS = ("total_kl", "effective_sample_size")
"""Criteria that sum over all modes: their times grow as L² ln L with one layer."""
SOFT = ("susceptibility", "correlation_length")
"""Criteria of the softest modes: no law is drawn where nothing grows."""


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors. Solid: fitted law. Dashed: exact map and recursion."""
    figure, series = panels(summary, "generation_time")
    for axes, own in series:
        dimension, architecture = own["dimension"].iloc[0], own["network"].iloc[0]
        for criterion in CRITERIA:
            _series(axes, summary, scaling, own, criterion)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 20.0 * low:
            # Within a decade or so, where powers of ten alone would be one tick or none.
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        looks.size_axis(axes, list(own["size"]))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0, labelspacing=0.3)
        axes.set_title(f"{looks.name(architecture)}, d = {dimension}")
    figure.supylabel("training until samples are right (steps)", fontsize=style.font_size)
    figure.legend(handles=looks.kinds(fit=True), loc="outside lower center", ncols=3)
    return figure


def panels(summary: xr.Dataset, name: str) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A figure with a panel for each dimension (down) and architecture (across), and the runs of each, sorted by size.

    Args:
        summary: of `csd.study.summaries.generation.aggregate_generation`.
        name: of the figure.

    Raises:
        InputError: if one or two layers were not sampled at three sizes or more.
    """
    table = looks.require(
        looks.grown(looks.generation_runs(summary, architecture_name=list(SHOWN))),
        name,
        "generation with one or two layers on the critical line at three sizes or more",
    )
    dimensions = sorted(table["dimension"].unique())
    names = [name for name in SHOWN if name in set(table["architecture_name"])]
    size = (looks.PAGE * max(len(names), 1.2) / 2, 0.5 + 2.1 * len(dimensions))
    figure, axes = plt.subplots(len(dimensions), len(names), figsize=size, squeeze=False)
    series = []
    for row, dimension in zip(axes, dimensions, strict=True):
        for panel, architecture in zip(row, names, strict=True):
            own = table[(table["dimension"] == dimension) & (table["architecture_name"] == architecture)]
            if own.empty:
                panel.axis("off")
            else:
                series.append((panel, own))
    return figure, series


def _series(axes: Axes, summary: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame, criterion: str) -> None:
    """One criterion of one architecture in one dimension."""
    chosen = summary.isel(run=own.index.to_numpy()).sel(criterion=criterion)
    sizes, shade, label = own["size"].to_numpy(), COLOURS[criterion], WORDS[criterion]
    laws = looks.laws_of(scaling, own.iloc[0], "generation_training_time")
    laws = laws[laws["criterion"] == criterion]
    drawn = None if criterion in SOFT else _law(laws, sizes, criterion)
    if drawn is not None:
        axes.plot(drawn.sizes, drawn.times, color=shade, zorder=2)
        label += f": {drawn.label}"
    axes.plot(sizes, chosen["predicted_generation_training_time"].values, color=shade, ls=looks.DASHED, zorder=1)
    mean, error = mean_over_seeds(chosen["generation_training_time"].values)
    axes.errorbar(sizes, mean, error, fmt=MARKERS[criterion], color=shade, mew=0, label=label, zorder=3)


def _law(laws: pd.DataFrame, sizes: Any, criterion: str) -> looks.DrawnLaw | None:
    """The law to draw: that of the style, but L^z ln L for sums over modes that grow as a power."""
    rows = laws[laws["law"] == "power_log"]
    if criterion in SUMS and not rows.empty and rows["exponent"].iloc[0] > 1.0:
        law = rows.iloc[0]
        fine = np.geomspace(min(sizes), max(sizes), 100)
        times = np.exp(law["intercept"]) * fine ** law["exponent"] * np.log(fine)
        return looks.DrawnLaw(fine, times, f"$L^{{{parentheses(law['exponent'], law['error'])}}}$ ln L")
    return looks.law(laws, sizes)
