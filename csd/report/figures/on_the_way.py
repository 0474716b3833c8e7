"""Spectrum along the reverse trajectory over the exact one, for each wavenumber and noise level."""

from typing import Any

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.generated_spectra import NEEDS as NEEDS
from csd.report.figures.generated_spectra import WANTED as WANTED
from csd.report.figures.generated_spectra import largest_runs
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
COLUMNS = 4
RATIOS = (0.05, 0.2, 1.0, 5.0, 20.0)
"""Ticks of the colours; the outer ones are their ends."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Colour: generated over exact spectrum, mean over seeds. Line: where signal and noise of a mode are equal."""
    table = largest_runs(summary, "on_the_way", lowest=True)
    places = [_places(summary.isel(run=run)) for run in table.index]
    count = min(map(len, places))
    figure, grid = looks.subplots(len(table), count, height=3.5, sharex=True, sharey=True, squeeze=False)
    told = []
    for row, (run, known), chosen in zip(grid, table.iterrows(), places, strict=True):
        for axes, place in zip(row, chosen[-count:], strict=True):
            image, errors = _heat(axes, summary.isel(run=run), place)
            step = f"{int(summary['shown_step'].values[run, place]):,}"
            axes.set_title(f"{looks.name(known['network'])}, step {step}" if axes is row[0] else f"step {step}")
            if axes is row[max(count - 2, 0)]:
                told.append(f"{errors} with {looks.name(known['network'])} at step {step}")
    figure.supxlabel("noise level t", fontsize="medium")
    figure.supylabel(looks.INVERSE_LENGTH, fontsize="medium")
    bar = figure.colorbar(image, ax=grid, label="generated / exact spectrum", extend="both", shrink=0.8)
    bar.set_ticks(np.log(RATIOS).tolist(), labels=[f"{ratio:g}" for ratio in RATIOS])
    lattices = [f"d = {row['dimension']}, L = {row['size']}" for _, row in table.iterrows()]
    return figure, {"lattice": " and ".join(dict.fromkeys(lattices)), "errors": told}


def _places(run: Dataset) -> list[int]:
    """Places of the last shown steps that have data, a factor of three apart or more."""
    ratio, steps = run["ratio_on_the_way"].values, run["shown_step"].values
    there = np.flatnonzero(np.isfinite(ratio[:, :, 0, 0]).any(axis=0) & np.isfinite(steps))
    chosen: list[int] = []
    for place in there[::-1]:
        if not chosen or steps[place] <= steps[chosen[-1]] / 3.0:
            chosen.append(int(place))
    return chosen[:COLUMNS][::-1]


def _heat(axes: Axes, run: Dataset, place: int) -> tuple[Any, str]:
    """Draw ln of the ratio over noise level, which falls to the right, and inverse length.

    Returns:
        What is drawn, and the ratios of the hardest mode in words.
    """
    there = np.isfinite(run["noise_level"].values)
    levels = run["noise_level"].values[there]
    bins, length = series.inverse_length(run)
    with np.errstate(divide="ignore"):
        ratio = mean_over_seeds(np.log(run["ratio_on_the_way"].values[:, place]), axis=0)[0][there][:, bins]
    span = np.log(RATIOS[-1])
    look: looks.Look = {"cmap": "PuOr", "vmin": -span, "vmax": span, "shading": "nearest", "rasterized": True}
    image = axes.pcolormesh(levels, length, ratio.T, **look)
    equal = 1.0 / np.sqrt(np.expm1(2.0 * levels))
    seen = (equal > length[0]) & (equal < length[-1])
    axes.plot(levels[seen], equal[seen], color="black", ls=looks.DASHED, lw=0.8)
    axes.set(xscale="log", yscale="log", xlim=(levels[0], levels[-1]), ylim=(length[0], length[-1]))
    hardest = np.exp(ratio[[0, int(np.argmin(np.abs(equal - length[-1]))), -1], -1])
    return image, "{}, {} and {}".format(*map(series.short, hardest))
