"""How far from right what is generated is by each criterion, against training step, at the largest size."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.diffusion.criteria import CRITERIA, LIMITS, WORDS, deviation
from csd.report.figures import style as looks
from csd.report.figures.generation_time import COLOURS, MARKERS, panels
from csd.study.config.study import FigureStyle


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: trained, mean over seeds. Lines: exact map and recursion. Below the grey line samples are right."""
    figure, series = panels(summary, "generation_curves")
    for axes, own in series:
        largest = own.iloc[-1]
        _panel(axes, summary.isel(run=int(own.index[-1])))
        axes.set_title(f"{looks.name(largest['network'])}, d = {largest['dimension']}, L = {largest['size']}")
        axes.set_xlabel("training step (steps)")
    figure.supylabel("deviation / tolerance", fontsize=style.font_size)
    marks = [
        Line2D([], [], color=COLOURS[name], lw=1.1, marker=MARKERS[name], ms=3, label=WORDS[name]) for name in CRITERIA
    ]
    figure.legend(handles=[*marks, *looks.kinds()], loc="outside upper center", ncols=7, columnspacing=1.0)
    return figure


def _panel(axes: Axes, run: xr.Dataset) -> None:
    """One architecture at one size."""
    steps = run["step"].values
    for name in CRITERIA:
        measured, predicted = (_deviation(run, name, prefix) / LIMITS[name] for prefix in ("", "predicted_"))
        looks.plot_curve(axes, steps, measured, predicted, COLOURS[name], MARKERS[name], WORDS[name])
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    # What is far from right, or far better than asked for, has no need to be seen.
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 1e-2), min(high, 1e5))
    axes.set_xlim(left=0.8)


def _deviation(run: xr.Dataset, name: str, prefix: str) -> Any:
    """The deviation of `csd.diffusion.criteria` from the quantity of a generation file; NaN where it is infinite."""
    values, right = run[f"{prefix}{name}"].values, 0.0
    if name in ("susceptibility", "correlation_length"):
        # Where there is no correlation length it is as good as 0.
        there = np.isfinite(run[f"{prefix}kl_per_site"].values)
        values, right = np.where(there & np.isnan(values), 0.0, values), float(run[f"exact_{name}"])
    elif name == "kl_per_site":
        right = float(run["exact_score_kl_per_site"])
    elif name == "effective_sample_size":
        with np.errstate(divide="ignore"):
            values = np.log(values)
    found = deviation(name, values, right)
    return np.where(np.isfinite(found), found, np.nan)
