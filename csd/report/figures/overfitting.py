"""Overfitting: error against the true score when the same M fields are seen at every step."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds, a data set each. Line: the closed form for infinitely many fields."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level)
    table = looks.require(table[table["data_set"] > 0], "overfitting", "runs with data sets")
    networks = sorted(set(table["network"]), key=looks.order)
    figure, panels = plt.subplots(
        1,
        len(networks),
        figsize=(looks.PAGE if len(networks) > 1 else looks.COLUMN, 2.7),
        sharey=True,
        squeeze=False,
    )
    for axes, network in zip(panels[0], networks, strict=True):
        own = table[table["network"] == network].sort_values("data_set")
        for shade, mark, (run, row) in zip(
            looks.shades(network, len(own)), "os^DvP" * len(own), own.iterrows(), strict=False
        ):
            chosen = level.isel(run=run)
            steps = chosen["step"].values
            mean, error = mean_over_seeds(chosen["score_error"].values, axis=0)
            points = looks.thinned(steps, np.isfinite(mean))
            axes.errorbar(
                steps[points],
                mean[points],
                error[points],
                fmt=mark,
                ms=3,
                color=shade,
                mew=0,
                elinewidth=0.7,
                label=f"M = {row['data_set']}",
            )
        last = level.isel(run=int(own.index[-1]))
        predicted, _ = mean_over_seeds(last["predicted_score_error"].values, axis=0)
        line = np.isfinite(predicted) & (last["step"].values > 0)
        axes.plot(last["step"].values[line], predicted[line], color="0.2", zorder=1, label="theory, M = ∞")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(1e-4, 2.0)
        axes.set_xlabel("training step (steps)")
        axes.set_title(f"{looks.name(network)}, d = {own['dimension'].iloc[0]}, L = {own['size'].iloc[0]}")
    panels[0][0].set_ylabel("error against the true score ε")
    panels[0][-1].legend(loc="lower left", handlelength=1.2)
    return figure
