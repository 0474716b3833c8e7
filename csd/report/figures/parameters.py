"""Training time against number of parameters: depth buys speed, locality keeps it for fewer numbers."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer")
DIMENSION = 2


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds; one a size, larger ones larger. Lines: predictions."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_times_length=1.0, data_set=0)
    table = table[table["architecture_name"].isin(SHOWN)]
    table = looks.require(table, "parameters", "runs on the critical line")
    dimension = DIMENSION if (table["dimension"] == DIMENSION).any() else table["dimension"].min()
    table = table[table["dimension"] == dimension]
    figure, axes = plt.subplots(figsize=(looks.COLUMN, 3.0))
    for network in sorted(table["network"].unique(), key=lambda network: SHOWN.index(network.name)):
        own = table[table["network"] == network]
        if own["size"].nunique() < 2:
            continue
        chosen = level.isel(run=own.index.to_numpy())
        mean, error = mean_over_seeds(chosen["training_time"].values, ran=looks.seeds_run(chosen))
        predicted, _ = mean_over_seeds(chosen["predicted_training_time"].values, ran=looks.seeds_run(chosen))
        parameters, colour = chosen["level_parameters"].values, looks.colour(network)
        axes.plot(parameters, predicted, color=colour, lw=0.9, zorder=1)
        for index in range(len(own)):
            axes.errorbar(
                parameters[index],
                mean[index],
                error[index],
                fmt=looks.marker(network),
                ms=2.5 + 0.9 * index,
                color=colour,
                mew=0,
                label=looks.name(network) if index == 0 else None,
            )
        ends = {0: f"L = {own['size'].iloc[0]}", len(own) - 1: f"L = {own['size'].iloc[-1]}"}
        if parameters[0] == parameters[-1]:
            ends = {len(own) // 2: f"L = {own['size'].iloc[0]} … {own['size'].iloc[-1]}"}
        for index, text in ends.items():
            axes.annotate(
                text,
                (parameters[index], mean[index]),
                (6, -2),
                textcoords="offset points",
                fontsize=0.8 * style.font_size,
                color=colour,
                va="top",
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.12)
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel("training time τ (steps)")
    axes.set_title(f"d = {dimension}, t = {style.noise_level:g}; lines: theory")
    axes.set_xlim(right=10.0 * float(level["level_parameters"].isel(run=table.index.to_numpy()).max()))
    axes.legend(loc="center right", handlelength=1.0)
    return figure
