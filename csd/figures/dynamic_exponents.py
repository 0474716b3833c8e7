"""Autocorrelation time against size: how each Monte Carlo sampler slows down, beside training."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.dynamics import times
from csd.figures import style as looks

NETWORKS = ("one_layer", "two_layer")
TRAINED = {"training_time": ":", "generation_training_time": "-."}
SPINS = {1: "Ising", 2: "XY", 3: "Heisenberg"}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: τ in field updates with errors. Solid: power laws. Broken: fitted laws of training, in steps."""
    keys = ["dimension", "target", "target_label", "components", "sampler", "sweep", "size"]
    table = summary[keys].to_dataframe()
    tau, error = times(summary, "autocorrelation_updates")
    table = looks.require(table[np.isfinite(error)], "dynamic_exponents", "simulations that are long enough")
    panels = list(table.groupby(["target", "dimension", "target_label", "components"], sort=False))
    beside = [panel for panel in panels if panel[0][0] == "gaussian"]
    others = [panel for panel in panels if panel[0][0] != "gaussian"]
    rows = [part[i : i + width] for part, width in ((beside, 2), (others, 3)) for i in range(0, len(part), width)]
    heights = [4.2 if row[0] in beside else 2.7 for row in rows]
    figure = plt.figure(figsize=(looks.PAGE, sum(heights)))
    bands = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False).ravel()
    grid = [
        axes for band, row in zip(bands, rows, strict=True) for axes in band.subplots(1, len(row), squeeze=False)[0]
    ]
    for axes, (key, here) in zip(grid, beside + others, strict=True):
        target, dimension, label, components = key
        for (_, sampler), own in here.groupby(["sweep", "sampler"], sort=False):
            _series(axes, str(sampler), own, tau, error, scaling)
        if target == "gaussian" and label == "mL1":
            _trained(axes, scaling, int(dimension), style.noise_level, here["size"])
        axes.set_yscale("log")
        looks.size_axis(axes, list(here["size"]))
        axes.set_title(_title(str(target), int(dimension), str(label), int(components)))
        axes.set_ylabel("τ (field updates)" if target != "gaussian" else "τ (field updates), training (steps)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=1.6, labelspacing=0.25)
    return figure


def _series(axes: Axes, sampler: str, own: pd.DataFrame, tau: Any, error: Any, scaling: pd.DataFrame) -> None:
    """One sampler on one target: points and fit, with z in field updates and, where it differs, in its own time."""
    own = own.sort_values("size")
    places, sizes = own.index.to_numpy(), own["size"].to_numpy()
    shade, label = looks.colour(sampler), looks.name(sampler)
    mine = scaling[
        (scaling["study"] == own["sweep"].iloc[0])
        & (scaling["architecture"] == sampler)
        & (scaling["mass"] == own["target_label"].iloc[0])
        & (scaling["data"] == f"{own['target'].iloc[0]}-n{own['components'].iloc[0]}")
        & (scaling["law"] == "power")
    ].set_index("quantity")
    if "autocorrelation_updates" in mine.index:
        law = mine.loc["autocorrelation_updates"]
        fine = np.geomspace(sizes[0], sizes[-1], 50)
        axes.plot(fine, np.exp(law["intercept"]) * fine ** law["exponent"], color=shade, zorder=2)
        label += f", z = {looks.with_error(law['exponent'], law['error'])}"
        dynamic = mine.loc["autocorrelation_time"]
        if abs(dynamic["exponent"] - law["exponent"]) > 0.05:
            label += f", in its own time {looks.with_error(dynamic['exponent'], dynamic['error'])}"
    axes.errorbar(
        sizes, tau[places], error[places], fmt=looks.marker(sampler), color=shade, mew=0, label=label, zorder=3
    )


def _trained(axes: Axes, scaling: pd.DataFrame, dimension: int, level: float, sizes: pd.Series) -> None:
    """Fitted power laws of training, and of training until samples are right, over the sizes of the panel."""
    laws = scaling[
        (scaling["law"] == "power")
        & (scaling["mass"] == "mL1")
        & (scaling["dimension"] == dimension)
        & scaling["architecture"].isin(NETWORKS)
        & ((scaling["noise_level"] == level) | (scaling["quantity"] == "generation_training_time"))
    ]
    fine = np.geomspace(sizes.min(), sizes.max(), 50)
    for quantity, dashes in TRAINED.items():
        for architecture, rows in laws[laws["quantity"] == quantity].groupby("architecture", sort=False):
            law = rows.iloc[0]
            exponent = looks.with_error(law["exponent"], law["error"])
            words = "training" if quantity == "training_time" else "until samples are right"
            axes.plot(
                fine,
                np.exp(law["intercept"]) * fine ** law["exponent"],
                color=looks.colour(str(architecture)),
                ls=dashes,
                zorder=1,
                label=f"{looks.name(str(architecture))}, {words}, z = {exponent}",
            )


def _title(target: str, dimension: int, label: str, components: int) -> str:
    """A target in words."""
    if target == "spins":
        name = SPINS.get(components, f"O({components}) spins")
        return f"{name}, d = {dimension}, β = {float(label.removeprefix('b')):.6g}"
    words = "Gaussian" if target == "gaussian" else "φ⁴"
    of = "" if components == 1 else f", n = {components}"
    mass = label.replace("mL1", "m = 1/L")
    return f"{words}, d = {dimension}{of}, {mass}"
