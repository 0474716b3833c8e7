"""How far from right what is generated is by each criterion, against training step, at the largest size."""

from typing import Any

import numpy as np

from csd.diffusion.criteria import CRITERIA, LIMITS, WORDS, deviation
from csd.report.figures import looks
from csd.report.figures.generation_time import COLOURS, MARKERS, panels
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle

SUMMARY = "generation"
NEEDS = "generation with one or two layers on the critical line at three sizes or more"


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: trained, mean over seeds. Lines: exact map and recursion. Below the grey line samples are right."""
    figure, found = panels(summary, "generation_curves")
    for axes, own in found:
        _panel(axes, summary.isel(run=int(own.index[-1])))
        axes.set(title=looks.title(own.iloc[-1]), xlabel="training step (steps)")
    figure.supylabel("deviation / tolerance", fontsize=style.font_size)
    marks = [looks.key(WORDS[name], color=COLOURS[name], marker=MARKERS[name], ms=3) for name in CRITERIA]
    figure.legend(handles=[*marks, *looks.kinds()], loc="outside upper center", ncols=7, columnspacing=1.0)
    return figure


def _panel(axes: Axes, run: Dataset) -> None:
    """One architecture at one size."""
    steps = run["step"].values
    for name in CRITERIA:
        measured, predicted = (_deviation(run, name, prefix) / LIMITS[name] for prefix in ("", "predicted_"))
        looks.plot_theory(axes, steps, predicted, COLOURS[name], zorder=2)
        looks.plot_curve(axes, steps, measured, COLOURS[name], MARKERS[name], WORDS[name])
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log")
    # What is far from right, or far better than asked for, has no need to be seen.
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 1e-2), min(high, 1e5))
    axes.set_xlim(left=0.8)


def _deviation(run: Dataset, name: str, prefix: str) -> Any:
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
