"""Integrator steps with the exact score against size, by criterion: which of them grow, and how fast."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.diffusion.criteria import LIMITS
from csd.diffusion.discretisation import FOLLOWS_LAW, ORDERS
from csd.diffusion.grids import MOST_STEPS
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle

SHOWN = {"euler_maruyama": ("o", "Euler–Maruyama"), "heun": ("s", "Heun")}
COLOURS = dict(zip((1, 2, 3), looks.NO_ARCHITECTURE, strict=False))
"""Of dimensions."""
TITLES = {
    "kl_per_site": "KL per site ≤ {:g}",
    "total_kl": "N · KL ≤ {:g} nat",
    "susceptibility": "χ within {:.0%}",
    "correlation_length": "ξ within {:.0%}",
    "effective_sample_size": "ESS ≥ ½",
}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points, joined: steps found from the variance recursion. Dashed: the law N^{1/(2p)} through the largest size."""
    figure, places = plt.subplots(2, 3, figsize=(looks.PAGE, 4.6), sharex=True, sharey=True)
    *panels, key = places.ravel()
    steps = summary["crossing_steps"].sel(schedule="vp", grid="geometric")
    dimensions = [int(dimension) for dimension in summary["dimension"].values]
    for axes, criterion in zip(panels, TITLES, strict=True):
        for dimension in dimensions:
            for name in SHOWN:
                own = steps.sel(dimension=dimension, integrator=name, criterion=criterion).dropna("size")
                _series(axes, own, dimension, name, lawful=criterion in FOLLOWS_LAW and dimension > 1)
        limit = summary.attrs["tolerance"] if criterion == "kl_per_site" else LIMITS[criterion]
        axes.set_title(TITLES[criterion].format(limit))
        axes.set_yscale("log")
        looks.size_axis(axes, np.asarray(summary["size"].values).tolist())
        axes.tick_params(labelbottom=True)
    for axes in places[:, 0]:
        axes.set_ylabel("integrator steps n (steps)")
    panels[0].set_ylim(top=1.3 * MOST_STEPS)
    key.set_axis_off()
    lines = [
        *(Line2D([], [], color=COLOURS[dimension], label=f"d = {dimension}") for dimension in dimensions),
        *(
            Line2D([], [], color="0.3", marker=mark, mew=0.8, mfc=_face(name, "0.3"), label=label)
            for name, (mark, label) in SHOWN.items()
        ),
        Line2D([], [], color="0.3", lw=0.9, ls=looks.DASHED, label="∝ $L^{d/2}$ and $L^{d/4}$"),
    ]
    key.legend(handles=lines, loc="center")
    return figure


def _face(name: str, colour: str) -> str:
    """Full markers for the SDE, open ones for the ODE."""
    return colour if ORDERS[name] == 1 else "white"


def _series(axes: Axes, steps: xr.DataArray, dimension: int, name: str, *, lawful: bool) -> None:
    """One integrator in one dimension, and its law where there is one."""
    finite = steps.where(np.isfinite(steps)).dropna("size")
    sizes, numbers, colour = finite["size"].values, finite.values, COLOURS[dimension]
    if not len(sizes):
        return
    if lawful:
        law = numbers[-1] * (sizes / sizes[-1]) ** (dimension / (2.0 * ORDERS[name]))
        axes.plot(sizes, law, color=colour, lw=0.9, ls=looks.DASHED, zorder=1)
    axes.plot(
        sizes,
        numbers,
        color=colour,
        marker=SHOWN[name][0],
        mfc=_face(name, colour),
        mew=0.8,
        ms=3.5,
        lw=0.0 if lawful else 0.9,
        zorder=2,
    )
