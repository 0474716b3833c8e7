"""Spectrum of generated fields over the exact one, at several training steps: which modes are wrong when."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = ("one_layer", "two_layer")
CURVES = 5


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Lines: exact recursion of the trained kernels, mean over seeds. Points: sampled fields at the last step."""
    figure, panels = plt.subplots(1, 2, figsize=(looks.PAGE, 2.8), sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        table = looks.generation_runs(summary, architecture_name=architecture)
        table = looks.require(table, "generated_spectra", f"generation with {architecture} on the critical line")
        table = table[table["dimension"] == table["dimension"].max()]
        row = table.iloc[-1]
        _spectra(axes, summary.isel(run=int(table.index[-1])), architecture)
        axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("sqrt(k² + m²) (inverse lattice spacings)")
        axes.set_title(f"{looks.name(architecture)}, d = {row['dimension']}, L = {row['size']}")
        axes.legend(title="after training steps", ncols=2, handlelength=1.2, labelspacing=0.25)
    panels[0].set_ylabel("generated / exact S(k)")
    kinds = [
        Line2D([], [], color="0.3", lw=1.1, label="trained kernels, exact recursion"),
        Line2D([], [], color="0.3", lw=0, marker="o", ms=3, label="sampled fields, last step"),
    ]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _spectra(axes: Axes, run: xr.Dataset, architecture: str) -> None:
    """One architecture at its largest size."""
    bins = np.isfinite(run["wavenumber"].values)
    # The zero mode has its place at the mass.
    length = np.sqrt(run["wavenumber"].values[bins] ** 2 + float(run["mass"]) ** 2)
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
    axes.errorbar(
        length,
        spectrum[bins] / exact,
        error[bins] / exact,
        fmt=looks.marker(architecture),
        ms=3,
        color=looks.colour(architecture),
        mec="black",
        mew=0.4,
        elinewidth=0.7,
    )
