"""Training time against size for the architectures, a panel a dimension, with fits and predictions."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.config import FigureStyle
from csd.figures import style as looks

SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors. Solid: fitted law. Dashed: predicted for the population loss."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_label="mL1", data_set=0)
    table = looks.require(table, "training_time", "runs on the critical line")
    table = table[table["architecture"].map(looks.family).isin(SHOWN)]
    # Several ranges of one family are the business of the figure on kernels.
    common = table.groupby(["dimension", "architecture"])["size"].nunique()
    table = table[[common[key] >= 3 for key in zip(table["dimension"], table["architecture"], strict=True)]]
    looks.require(table, "training_time", "an architecture on the critical line at three sizes or more")
    dimensions = sorted(table["dimension"].unique())
    figure, panels = plt.subplots(1, len(dimensions), figsize=(looks.PAGE, 3.3), sharey=True, squeeze=False)
    for axes, dimension in zip(panels[0], dimensions, strict=True):
        here = table[table["dimension"] == dimension]
        for architecture in sorted(here["architecture"].unique(), key=lambda label: SHOWN.index(looks.family(label))):
            own = here[here["architecture"] == architecture]
            _series(axes, level, scaling, own, style.noise_level)
        axes.set_yscale("log")
        looks.size_axis(axes, list(here["size"]))
        axes.set_title(f"d = {dimension}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), handlelength=1.2, labelspacing=0.3)
    panels[0][0].set_ylabel("training time τ (steps)")
    kinds = [
        Line2D([], [], color="0.3", lw=1.1, label="fit"),
        Line2D([], [], color="0.3", lw=1.1, ls=(0, (3, 2)), label="theory, population loss"),
        Line2D([], [], color="0.3", lw=0, marker="o", ms=4, label="trained"),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=3)
    return figure


def _series(axes: Axes, level: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame, noise_level: float) -> None:
    """One architecture in one dimension: points, prediction, fit."""
    architecture, sizes = own["architecture"].iloc[0], own["size"].to_numpy()
    chosen = level.isel(run=own.index.to_numpy())
    mean, error = looks.mean_and_error(chosen["training_time"].values)
    predicted, _ = looks.mean_and_error(chosen["predicted_training_time"].values)
    colour = looks.colour(architecture)
    laws = scaling[
        (scaling["study"] == own["sweep"].iloc[0])
        & (scaling["architecture"] == architecture)
        & (scaling["mass"] == "mL1")
        & (scaling["data"] == own["data"].iloc[0])
        & (scaling["noise_level"] == noise_level)
        & (scaling["quantity"] == "training_time")
        & scaling["law"].isin(["power", "log"])
    ].set_index("law")
    label = looks.name(architecture)
    if len(laws):
        power = laws.loc["power"]
        # The log law is drawn where growth is slow and nothing speaks against it.
        better = "log" if power["exponent"] < 0.5 and not power["evidence"] < 0.0 else "power"
        law = laws.loc[better]
        fine = np.geomspace(sizes.min(), sizes.max(), 100)
        fitted = np.exp(law["intercept"]) * fine ** law["exponent"]
        if better == "log":
            fitted = law["intercept"] + law["exponent"] * np.log(fine)
            label += f": {looks.with_error(law['exponent'], law['error'])} ln L"
        else:
            label += f": $L^{{{looks.with_error(law['exponent'], law['error'])}}}$"
        axes.plot(fine, fitted, color=colour, zorder=2)
    axes.plot(sizes, predicted, color=colour, ls=(0, (3, 2)), alpha=0.7, zorder=1)
    axes.errorbar(sizes, mean, error, fmt=looks.marker(architecture), color=colour, mew=0, label=label, zorder=3)
