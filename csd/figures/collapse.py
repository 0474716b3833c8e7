"""Collapse of τ / L² against L / ξ: off criticality the training time saturates at ξ²."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.figures import style as looks

ARCHITECTURE = "one_layer"
MARKS = ("o", "s", "D", "^", "v", "P", "X")


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: one layer at fixed masses and on the critical line. Line: the closed form."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, architecture=ARCHITECTURE, data_set=0)
    fixed = table[table["mass_label"].str.match(r"m\d")]
    looks.require(fixed, "collapse", "one_layer at fixed masses")
    table = table[table["dimension"] == fixed["dimension"].iloc[0]]
    figure, axes = plt.subplots(figsize=(looks.COLUMN, 2.7))
    sizes = sorted(table["size"].unique())
    level = level.isel(run=table.index.to_numpy())
    ratio = table["size"].to_numpy() * table["mass"].to_numpy()
    area = table["size"].to_numpy() ** 2
    mean, error = looks.mean_and_error(level["training_time"].values)
    predicted, _ = looks.mean_and_error(level["predicted_training_time"].values)
    order = np.argsort(ratio)
    axes.plot(ratio[order], (predicted / area)[order], color="0.2", zorder=1, label="theory")
    for shade, mark, size in zip(looks.shades(ARCHITECTURE, len(sizes)), MARKS * len(sizes), sizes, strict=False):
        own = (table["size"] == size).to_numpy()
        axes.errorbar(
            ratio[own],
            (mean / area)[own],
            (error / area)[own],
            fmt=mark,
            color=shade,
            mec="white",
            mew=0.3,
            label=f"L = {size}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("L / ξ")
    axes.set_ylabel("τ / L² (steps per lattice spacing²)")
    axes.set_title(f"one layer, d = {table['dimension'].iloc[0]}, t = {style.noise_level:g}")
    axes.legend(loc="lower left", handlelength=1.4)
    return figure
