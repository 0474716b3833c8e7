"""Integrator steps that samplers need with the exact score, against size: does an adapted grid remove the growth?"""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.figures import style as looks

COLOURS = {
    "euler_maruyama": ("#0072B2", "o", "SDE, Euler–Maruyama"),
    "exponential": ("#56B4E9", "v", "SDE, exponential"),
    "frozen_kernel": ("#009E73", "^", "SDE, frozen kernel"),
    "euler": ("#E69F00", "s", "ODE, Euler"),
    "heun": ("#D55E00", "D", "ODE, Heun"),
}
PANELS = (("vp", "uniform"), ("vp", "log_snr"), ("vp", "geometric"), ("ve", "geometric"))
WORDS = {"uniform": "uniform in t", "log_snr": "uniform in ln(α²/σ²)", "geometric": "geometric in t"}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Exact counts, found from the variance recursion: points at the sizes computed, lines to guide the eye."""
    figure, panels = plt.subplots(1, len(PANELS), figsize=(looks.PAGE, 2.7), sharey=True)
    for axes, (schedule, grid) in zip(panels, PANELS, strict=True):
        for name, (colour, mark, label) in COLOURS.items():
            needed = summary["steps_needed"].sel(integrator=name, schedule=schedule, grid=grid).values
            axes.plot(summary["size"].values, needed, color=colour, marker=mark, ms=3.5, mew=0, lw=0.9, label=label)
        axes.set_yscale("log")
        looks.size_axis(axes, np.asarray(summary["size"].values).tolist())
        axes.set_title(f"{schedule.upper()}, {WORDS[grid]}")
    tolerance = summary.attrs["tolerance"]
    panels[0].set_ylabel(f"integrator steps to\nKL per site ≤ {tolerance:g} (steps)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
