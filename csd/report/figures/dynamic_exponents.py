"""Autocorrelation time against size: how each Monte Carlo sampler slows down."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.core.rounding import parentheses
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.summaries.columns import SAMPLED
from csd.study.summaries.dynamics import kind_of_model, known_times, times

SPINS = {1: "Ising", 2: "XY", 3: "Heisenberg"}
QUANTITY = "autocorrelation_updates"


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: τ of the soft modes, in field updates, with errors. Solid: exact. Broken: fitted power laws."""
    given = list(SAMPLED)
    keys = ["dimension", "target", "target_label", "components", "sampler", "sweep", "size", *given]
    table = summary[keys].to_dataframe()
    tau, error = times(summary, QUANTITY, "collective_tau")
    table = table.assign(tau=tau, error=error, exact=known_times(summary, QUANTITY))[np.isfinite(error)]
    table = looks.require(table, "dynamic_exponents", "Monte Carlo jobs that are long enough")
    panels = list(table.groupby(["target", "dimension", "components", *given], sort=False, dropna=False))
    beside = [panel for panel in panels if panel[0][0] == "gaussian"]
    others = [panel for panel in panels if panel[0][0] != "gaussian"]
    rows = [part[i : i + width] for part, width in ((beside, 2), (others, 3)) for i in range(0, len(part), width)]
    heights = [3.6 if row[0] in beside else 2.5 for row in rows]
    figure = plt.figure(figsize=(looks.PAGE, sum(heights)))
    bands = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False).ravel()
    grid = [
        axes for band, row in zip(bands, rows, strict=True) for axes in band.subplots(1, len(row), squeeze=False)[0]
    ]
    for axes, (_, here) in zip(grid, beside + others, strict=True):
        for (_, sampler), own in here.groupby(["sweep", "sampler"], sort=False):
            _series(axes, str(sampler), own, scaling)
        axes.set_yscale("log")
        looks.size_axis(axes, list(here["size"]))
        axes.set_title(_title(here.iloc[0]))
        axes.set_ylabel("τ (field updates)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=1.6, labelspacing=0.25)
    return figure


def _series(axes: Axes, sampler: str, own: pd.DataFrame, scaling: pd.DataFrame) -> None:
    """One sampler on one target: points, and the exact times or the fitted law, with z in field updates."""
    own = own.sort_values("size")
    sizes = own["size"].to_numpy()
    shade, label = looks.colour(sampler), looks.name(sampler)
    mine = scaling[
        (scaling["study"] == own["sweep"].iloc[0])
        & (scaling["architecture"] == sampler)
        & (scaling["mass"] == own["target_label"].iloc[0])
        & (scaling["data"] == kind_of_model(own["target"].iloc[0], own["components"].iloc[0]))
        & (scaling["quantity"] == QUANTITY)
        & (scaling["law"] == "power")
    ]
    exact = np.isfinite(own["exact"]).all()
    if exact:
        axes.plot(sizes, own["exact"], color=shade, lw=0.9, zorder=2)
    if not mine.empty:
        law: Any = mine.iloc[0]
        label += f", z = {parentheses(law['exponent'], law['error'])}"
        if exact:
            label += f" (exact {law['reference']:.2f})"
        else:
            fine = np.geomspace(sizes[0], sizes[-1], 50)
            axes.plot(fine, np.exp(law["intercept"]) * fine ** law["exponent"], color=shade, ls="--", lw=0.9, zorder=2)
    axes.errorbar(sizes, own["tau"], own["error"], fmt=looks.marker(sampler), color=shade, mew=0, label=label, zorder=3)


def _title(run: pd.Series) -> str:
    """A target in words."""
    dimension, components = run["dimension"], run["components"]
    if run["target"] == "spins":
        name = SPINS.get(components, f"O({components}) spins")
        return f"{name}, d = {dimension}, β = {run['beta']:.6g}"
    words = "Gaussian" if run["target"] == "gaussian" else "φ⁴"
    of = "" if components == 1 else f", n = {components}"
    mass = "m = 1/L" if run["mass_times_length"] == 1.0 else run["target_label"]
    return f"{words}, d = {dimension}{of}, {mass}"
