"""Kernels of the score and what a finite range costs: profiles, and the floor of the error against range."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Left: exact kernels as lines, trained ones as points. Right: floors against range, with the score length."""
    table = looks.runs(summary, mass_times_length=1.0, data_set=0)
    local = table[(table["architecture_name"] == "local_one_layer") & (table["fixed_range"] > 0)]
    looks.require(local, "kernels", "local_one_layer at several ranges on the critical line")
    counts = local.groupby(["dimension", "size"])["fixed_range"].nunique()
    dimension, size = counts.idxmax()
    local = local[(local["dimension"] == dimension) & (local["size"] == size)]
    full = table[(table["architecture_name"] == "one_layer") & (table["dimension"] == dimension)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(looks.PAGE, 2.9))
    levels = summary["noise_level"].values
    for index, level in enumerate(levels):
        tone = colormaps["cividis"](index / max(1, len(levels)))
        at = summary.sel(noise_level=level)
        if len(full):
            _profile(left, at.isel(run=int(full.index[-1])), tone, f"t = {level:g}", "os^Dv"[index % 5])
        _floor(right, at.isel(run=local.index.to_numpy()), tone, f"t = {level:g}", "os^Dv"[index % 5])
    left.set_yscale("log")
    left.set_ylim(1e-6, 3.0)
    left.set_xlim(-0.3, 12.3)
    left.set_xlabel("displacement r along an axis (lattice spacings)")
    left.set_ylabel("|K(r)| / K(0)")
    shown = f", L = {full['size'].iloc[-1]}" if len(full) else ""
    left.set_title(f"kernels, d = {dimension}{shown}\nlines: exact, points: one layer at ε = 1 %")
    left.legend(loc="upper right", handlelength=1.2)
    right.set_yscale("log")
    right.set_ylim(1e-10, 3.0)
    right.set_xlabel("range R (lattice spacings)")
    right.set_ylabel("relative score error")
    right.set_title(f"local kernels, d = {dimension}, L = {size}\nlines: exact floor, ticks on top: ξ$_t$")
    right.legend(loc="lower left", handlelength=1.2)
    return figure


def _profile(axes: Axes, run: xr.Dataset, tone: tuple[float, ...], label: str, mark: str) -> None:
    """Exact and trained kernel of one noise level."""
    distance = run["distance"].values
    exact = np.abs(run["exact_kernel_profile"].values)
    trained, error = mean_over_seeds(run["kernel_profile"].values, axis=0)
    axes.plot(distance, exact / exact[0], color=tone, label=label)
    axes.errorbar(distance, np.abs(trained) / trained[0], error / trained[0], fmt=mark, ms=3, color=tone, mew=0)


def _floor(axes: Axes, runs: xr.Dataset, tone: tuple[float, ...], label: str, mark: str) -> None:
    """Exact floors of one noise level at the ranges of the study, and a tick at the score length."""
    reach, floor = runs["range"].values, runs["floor"].values
    order = np.argsort(reach)
    axes.plot(reach[order], floor[order], color=tone, marker=mark, ms=3.5, mew=0, label=label)
    length = float(runs["score_length"].values[0])
    axes.axvline(length, ymin=0.96, color=tone, lw=2.0)
