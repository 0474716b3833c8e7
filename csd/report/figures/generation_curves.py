"""Deviation of generated fields from the exact ones by each criterion, against training step, at the largest size."""

from typing import Any

import numpy as np

from csd.diffusion.criteria import CRITERIA, LIMITS, deviation
from csd.report.figures import looks, series
from csd.report.figures.generation_time import NEEDS as NEEDS
from csd.report.figures.generation_time import SOFT, growing_runs, with_criteria
from csd.report.figures.generation_time import WANTED as WANTED
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle

SUMMARY = "generation"
LIMITS_SHOWN = 0.02, 1e5
"""Deviations that are drawn, in units of the tolerance."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: trained, mean over seeds. Lines: exact map and recursion. Below the grey line samples are right."""
    table = growing_runs(summary, "generation_curves").groupby(["dimension", "network"], sort=False).tail(1)
    curves = series.joined(*(_curve(summary, table, name) for name in CRITERIA))
    facets: looks.Look = {"row": "dimension", "col": "network", "hue": "criterion", "sharex": False}
    grid = looks.panels(curves, height=0.9 + 1.7 * table["dimension"].nunique(), **facets)
    grid.set(xscale="log", yscale="log", ylim=(0.5 * LIMITS_SHOWN[0], LIMITS_SHOWN[1]))
    looks.onto(grid, looks.curve, "step", "theory")
    looks.onto(grid, looks.points, "step", "deviation", "error", ms=3)
    grid.set_axis_labels("training step (steps)", "deviation / tolerance")
    for (dimension, network), axes in grid.axes_dict.items():
        here = table[(table["dimension"] == dimension) & (table["network"] == network)]
        looks.line_at_one(axes)
        axes.set_title(looks.title(here.iloc[0]))
    looks.legend_below(grid.figure, [*looks.network_keys(CRITERIA), *looks.kinds()], 7)
    times = with_criteria(summary, table).groupby(["dimension", "place"])
    return grid.figure, {"times": [_times(own) for _, own in times]}


def _curve(summary: Dataset, table: DataFrame, name: str) -> DataFrame:
    """The deviations of all runs by one criterion in units of its tolerance, where they are drawn."""
    runs = summary.assign({f"{kind}deviation": _deviation(summary, name, kind) for kind in ("", "predicted_")})
    return series.learning_curves(runs, table, "deviation").assign(criterion=name)


def _deviation(summary: Dataset, name: str, kind: str) -> Any:
    """The deviation of `csd.diffusion.criteria` from the quantity of a generation file; NaN where it is not drawn."""
    values: Any = summary[f"{kind}{name}"]
    rights = {"kl_per_site": "exact_score_kl_per_site"} | {soft: f"exact_{soft}" for soft in SOFT}
    right: Any = summary[rights[name]] if name in rights else 0.0
    if name in SOFT:
        # A spectrum that has no correlation length is as wrong as one with ξ = 0.
        values = values.where(values.notnull() | ~np.isfinite(summary[f"{kind}kl_per_site"]), 0.0)
    if name == "effective_sample_size":
        with np.errstate(divide="ignore"):
            values = np.log(values)
    found = deviation(name, values, right) / LIMITS[name]
    shown = values.copy(data=np.asarray(found))
    return shown.where((shown > LIMITS_SHOWN[0]) & (shown < LIMITS_SHOWN[1]))


def _times(own: DataFrame) -> str:
    """The step from which on samples are right by each criterion, the earliest first."""
    known = own.dropna(subset=["time"]).sort_values("time", kind="stable")
    steps = ", ".join(f"{looks.name(row['criterion'])} {row['time']:,.0f}" for _, row in known.iterrows())
    return f"{looks.title(own.iloc[0])}: {steps or 'none'}"
