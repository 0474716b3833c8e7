"""Training time at fixed masses: τ / L² is a function of L / ξ, as τ = s*(α²ξ² + σ²) whatever L."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

ARCHITECTURE = "one_layer"
MARKS = ("o", "s", "D", "^", "v", "P", "X")


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: one layer at fixed masses and on the critical line. Lines: the closed form, and (ξ/L)²."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, architecture_name=ARCHITECTURE, data_set=0)
    given = table["mass_times_length"].isna() & table["r0"].isna()
    fixed = table[given]
    looks.require(fixed, "collapse", "one_layer at fixed masses")
    # Where there are several dimensions, that with the most masses.
    dimension = fixed.groupby("dimension")["mass"].nunique().idxmax()
    table = table[(table["dimension"] == dimension) & (given | (table["mass_times_length"] == 1.0))]
    figure, axes = plt.subplots(figsize=(looks.COLUMN, 2.9))
    sizes = sorted(table["size"].unique())
    level = level.isel(run=table.index.to_numpy())
    ratio = table["size"].to_numpy() * table["mass"].to_numpy()
    area = table["size"].to_numpy() ** 2
    mean, error = mean_over_seeds(level["training_time"].values)
    predicted, _ = mean_over_seeds(level["predicted_training_time"].values)
    order = np.argsort(ratio)
    axes.plot(ratio[order], (predicted / area)[order], color="0.2", zorder=1, label="theory")
    middle = order[len(order) // 2]
    square = (predicted / area)[middle] * (ratio[middle] / ratio[order]) ** 2
    axes.plot(ratio[order], square, color="0.5", lw=0.9, ls=looks.DASHED, zorder=1, label="∝ (ξ / L)²")
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
    axes.set_title(f"one layer, d = {dimension}, t = {style.noise_level:g}: nothing saturates at L = ξ")
    axes.legend(loc="lower left", handlelength=1.4)
    return figure
