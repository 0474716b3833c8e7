"""Training time against size for the architectures, a panel a dimension, with fits and predictions."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: means over seeds, with errors, if all reached the tolerance. Solid: fitted law. Dashed: theory."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_times_length=1.0, data_set=0)
    table = looks.require(table, "training_time", "runs on the critical line")
    table = table[table["architecture_name"].isin(SHOWN)]
    # Several ranges of one family are the business of the figure on kernels.
    table = table[table.groupby(["dimension", "network"], sort=False)["size"].transform("nunique") >= 3]
    looks.require(table, "training_time", "an architecture on the critical line at three sizes or more")
    dimensions = sorted(table["dimension"].unique())
    figure, panels = plt.subplots(1, len(dimensions), figsize=(looks.PAGE, 3.3), sharey=True, squeeze=False)
    for axes, dimension in zip(panels[0], dimensions, strict=True):
        here = table[table["dimension"] == dimension]
        for network in sorted(here["network"].unique(), key=lambda network: SHOWN.index(network.name)):
            _series(axes, level, scaling, here[here["network"] == network], style.noise_level)
        axes.set_yscale("log")
        looks.size_axis(axes, list(here["size"]))
        axes.set_title(f"d = {dimension}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), handlelength=1.2, labelspacing=0.3)
    panels[0][0].set_ylabel("training time τ (steps)")
    figure.legend(handles=looks.kinds(fit=True), loc="outside lower center", ncols=3)
    return figure


def _series(axes: Axes, level: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame, noise_level: float) -> None:
    """One architecture in one dimension: points, prediction, fit."""
    chosen = level.isel(run=own.index.to_numpy())
    mean, error = mean_over_seeds(chosen["training_time"].values, ran=looks.seeds_run(chosen))
    predicted, _ = mean_over_seeds(chosen["predicted_training_time"].values, ran=looks.seeds_run(chosen))
    first = own.iloc[0]
    laws = looks.laws_of(scaling, first, "training_time", noise_level)
    looks.plot_times(axes, first["network"], own["size"].to_numpy(), mean, error, predicted, laws)
