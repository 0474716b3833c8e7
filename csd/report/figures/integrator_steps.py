"""Integrator steps with the exact score against size, by criterion: which of them grow, and how fast."""

from itertools import product

import numpy as np

from csd.diffusion.criteria import LIMITS
from csd.diffusion.grids import MOST_STEPS
from csd.report.figures import looks
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "integrators"
NEEDS = "nothing"
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


def shows(study: Study) -> bool:
    """Always: no network is involved."""
    return True


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points, joined: steps found from the variance recursion. Dashed: the law N^{1/(2p)} through the largest size."""
    from csd.diffusion.discretisation import FOLLOWS_LAW, ORDERS

    figure, places = looks.subplots(2, 3, height=4.6, sharex=True, sharey=True)
    *panels, empty = places.ravel()
    steps = summary["crossing_steps"].sel(schedule="vp", grid="geometric")
    dimensions = [int(dimension) for dimension in summary["dimension"].values]
    for axes, criterion in zip(panels, TITLES, strict=True):
        for dimension, (name, (mark, _)) in product(dimensions, SHOWN.items()):
            own = steps.sel(dimension=dimension, integrator=name, criterion=criterion).to_series()
            own, lawful = own[np.isfinite(own)], criterion in FOLLOWS_LAW and dimension > 1
            look: looks.Look = {"color": COLOURS[dimension], "lw": 0.9}
            if lawful and len(own):
                law = own.iloc[-1] * (own.index / own.index[-1]) ** (dimension / (2.0 * ORDERS[name]))
                axes.plot(own.index, law, **look, ls=looks.DASHED, zorder=1)
            look |= {"marker": mark, "mfc": _face(ORDERS[name], COLOURS[dimension]), "mew": 0.8, "ms": 3.5}
            axes.plot(own.index, own, **look | ({"lw": 0.0} if lawful else {}), zorder=2)
        limit = summary.attrs["tolerance"] if criterion == "kl_per_site" else LIMITS[criterion]
        axes.set(title=TITLES[criterion].format(limit), yscale="log")
        looks.size_axis(axes, summary["size"].values.tolist())
        axes.tick_params(labelbottom=True)
    for axes in places[:, 0]:
        axes.set_ylabel("integrator steps n (steps)")
    panels[0].set_ylim(top=1.3 * MOST_STEPS)
    empty.set_axis_off()
    keys = [looks.key(f"d = {dimension}", color=COLOURS[dimension]) for dimension in dimensions]
    for name, (mark, label) in SHOWN.items():
        keys.append(looks.key(label, marker=mark, mew=0.8, mfc=_face(ORDERS[name], "0.3")))
    keys.append(looks.key("∝ $L^{d/2}$ and $L^{d/4}$", lw=0.9, ls=looks.DASHED))
    empty.legend(handles=keys, loc="center")
    return figure


def _face(order: int, colour: str) -> str:
    """Full markers for the SDE, open ones for the ODE."""
    return colour if order == 1 else "white"
