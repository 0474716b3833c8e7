"""What an under-trained network gets wrong, per wavenumber, as the noise is taken away."""

from typing import Any

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with one_layer and two_layer on the critical line"
SHOWN = ("one_layer", "two_layer")
COLUMNS = 4
SPAN = 3.0
"""Colours span ratios from e^−3 to e^3."""


def shows(study: Study) -> bool:
    """Whether fields are generated with both networks."""
    return all(sweeps_in(study, SUMMARY, architecture) for architecture in SHOWN)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Colour: generated over exact spectrum, mean over seeds. Line: where signal and noise of a mode are equal."""
    figure, panels = looks.subplots(len(SHOWN), COLUMNS, height=3.6, sharex=True, sharey=True)
    image: Any = None
    for row, architecture in zip(panels, SHOWN, strict=True):
        table = series.generation_runs(summary, architecture_name=architecture)
        table = series.require(table, "on_the_way", NEEDS)
        table = table[table["dimension"] == table["dimension"].min()]
        run = summary.isel(run=int(table.index[-1]))
        places = _steps(run)
        for axes, place in zip(row, places, strict=False):
            image = _heat(axes, run, place)
            step = int(run["shown_step"].values[place])
            axes.set_title(f"{looks.name(architecture)}, {step:,} step{'s' if step > 1 else ''}")
        for axes in row[len(places) :]:
            axes.axis("off")
        row[0].set_ylabel(f"sqrt(k² + m²)\nd = {int(run['dimension'])}, L = {int(run['size'])}")
    for axes in panels[-1]:
        axes.set_xlabel("noise level t")
    bar = figure.colorbar(image, ax=panels, label="generated / exact spectrum", extend="both", shrink=0.8)
    ticks = [0.05, 0.2, 1.0, 5.0, 20.0]
    bar.set_ticks(np.log(ticks).tolist(), labels=[f"{tick:g}" for tick in ticks])
    return figure


def _steps(run: Dataset) -> list[int]:
    """Places of the last shown steps that have data, a factor of three apart or more."""
    ratio, steps = run["ratio_on_the_way"].values, run["shown_step"].values
    there = np.flatnonzero(np.isfinite(ratio[:, :, 0, 0]).any(axis=0) & np.isfinite(steps))
    chosen: list[int] = []
    for place in there[::-1]:
        if not chosen or steps[place] <= steps[chosen[-1]] / 3.0:
            chosen.append(int(place))
    return chosen[:COLUMNS][::-1]


def _heat(axes: Axes, run: Dataset, place: int) -> Any:
    """ln of the ratio over noise level (time runs to the right) and inverse length."""
    there = np.isfinite(run["noise_level"].values)
    levels = run["noise_level"].values[there]
    bins, length = series.inverse_length(run)
    with np.errstate(divide="ignore"):
        ratio, _ = mean_over_seeds(np.log(run["ratio_on_the_way"].values[:, place]), axis=0)
    look: looks.Look = {"cmap": "PuOr", "vmin": -SPAN, "vmax": SPAN, "shading": "nearest", "rasterized": True}
    image = axes.pcolormesh(levels, length, ratio[there][:, bins].T, **look)
    equal = 1.0 / np.sqrt(np.expm1(2.0 * levels))
    seen = (equal > length[0]) & (equal < length[-1])
    axes.plot(levels[seen], equal[seen], color="black", ls=looks.DASHED, lw=0.8)
    axes.set(xscale="log", yscale="log", xlim=(levels[0], levels[-1]), ylim=(length[0], length[-1]))
    return image
