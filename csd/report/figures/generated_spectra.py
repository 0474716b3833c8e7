"""Spectrum of generated fields over the exact one, at several training steps: which modes are wrong when."""

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with one_layer and two_layer on the critical line"
SHOWN = ("one_layer", "two_layer")
CURVES = 5


def shows(study: Study) -> bool:
    """Whether fields are generated with both networks."""
    return all(sweeps_in(study, SUMMARY, architecture) for architecture in SHOWN)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Lines: exact recursion of the trained kernels, mean over seeds. Points: sampled fields at the last step."""
    figure, panels = looks.subplots(1, 2, height=2.8, sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        table = series.generation_runs(summary, architecture_name=architecture)
        table = series.require(table, "generated_spectra", NEEDS)
        table = table[table["dimension"] == table["dimension"].max()]
        _spectra(axes, summary.isel(run=int(table.index[-1])), architecture)
        looks.spectrum_axes(axes, looks.title(table.iloc[-1]))
        axes.legend(title="after training steps", ncols=2, handlelength=1.2, labelspacing=0.25)
    panels[0].set_ylabel("generated / exact S(k)")
    kinds = looks.kinds("trained kernels, exact recursion", "sampled fields, last step", size=3)
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _spectra(axes: Axes, run: Dataset, architecture: str) -> None:
    """One architecture at its largest size."""
    bins, length = series.inverse_length(run)
    exact = run["exact_spectrum"].values[bins]
    generated, _ = mean_over_seeds(run["generated_spectrum"].values, axis=0)
    steps = run["step"].values
    there = np.flatnonzero(np.isfinite(generated[:, 0]) & (steps > 0))
    last = steps[there[-1]]
    wanted = np.geomspace(last / 300 if last > 1000 else last / 3, last, CURVES)
    chosen = sorted({int(there[np.argmin(np.abs(np.log(steps[there] / step)))]) for step in wanted})
    for shade, place in zip(looks.shades(architecture, len(chosen)), chosen, strict=True):
        axes.plot(length, generated[place, bins] / exact, color=shade, label=f"{steps[place]}")
    spectrum, _ = mean_over_seeds(run["power_spectrum"].values, axis=0)
    seeds = np.isfinite(run["power_spectrum"].values).sum(axis=0)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.nansum(run["power_spectrum_error"].values ** 2, axis=0)) / seeds
    look: looks.Look = {"ms": 3, "mec": "black", "mew": 0.4, "elinewidth": 0.7}
    colour, mark = looks.colour(architecture), looks.marker(architecture)
    looks.points(axes, length, spectrum[bins] / exact, error[bins] / exact, colour, mark, **look)
