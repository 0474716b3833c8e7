"""Samples learned from a fixed data set: when to stop, and when the data set itself comes out."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import digamma

from csd.networks import Architecture
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds. Lines: M = ∞ by exact map and recursion; divergence of a data set's own distribution."""
    table = looks.runs(summary)
    table = looks.require(table[table["data_set"] > 0], "memorisation", "generation with data sets")
    table = table[table["size"] == table["size"].max()]
    networks = sorted(set(table["network"]), key=looks.order)[:2]
    figure, panels = plt.subplots(2, 2, figsize=(looks.PAGE, 5.0))
    for axes, network in zip(panels[0], networks, strict=False):
        _curves(axes, summary, table[table["network"] == network].sort_values("data_set"), network)
    for axes in panels[0][len(networks) :]:
        axes.axis("off")
    divergences, steps = panels[1]
    for network in networks:
        own = table[table["network"] == network].sort_values("data_set")
        _against_fields(divergences, steps, summary, own, network)
    fields = np.geomspace(table["data_set"].min(), table["data_set"].max(), 50)
    own_distribution = _expected(fields, int(table["dimension"].iloc[0]), int(table["size"].iloc[0]))
    divergences.plot(fields, own_distribution, color="0.2", zorder=1, label="distribution of the data set")
    for axes in (divergences, steps):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("fields M of the data set")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2, labelspacing=0.3)
    divergences.set_ylabel("KL per site from the true distribution")
    steps.set_ylabel("training step (steps)")
    return figure


def _expected(fields: np.ndarray, dimension: int, size: int) -> np.ndarray:
    """½ E[g − 1 − ln g] per site, g ~ Gamma(M)/M, or Gamma(M/2)/(M/2) for the momenta with k = −k."""
    sites, real = size**dimension, 2**dimension if size % 2 == 0 else 1
    complex_part = np.log(fields) - digamma(fields)
    real_part = np.log(fields / 2) - digamma(fields / 2)
    return 0.5 * ((sites - real) * complex_part + real * real_part) / sites


def _curves(axes: Axes, summary: xr.Dataset, own: pd.DataFrame, network: Architecture) -> None:
    """KL per site from the true distribution against training step, one series a data set."""
    for shade, (run, row) in zip(looks.shades(network, len(own)), own.iterrows(), strict=True):
        at = summary.isel(run=run)
        steps = at["step"].values
        mean, error = mean_over_seeds(at["kl_per_site"].values, axis=0)
        points = looks.thinned(steps, np.isfinite(mean), 4.0)
        axes.errorbar(
            steps[points],
            mean[points],
            error[points],
            fmt=looks.marker(network),
            ms=2.8,
            color=shade,
            mew=0,
            elinewidth=0.7,
            label=f"M = {row['data_set']}",
        )
    at = summary.isel(run=int(own.index[-1]))
    predicted, steps = at["predicted_kl_per_site"].values, at["step"].values
    line = np.isfinite(predicted) & (steps > 0)
    axes.plot(steps[line], predicted[line], color="0.2", zorder=1, label="theory, M = ∞")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("training step (steps)")
    axes.set_title(f"{looks.name(network)}, d = {own['dimension'].iloc[0]}, L = {own['size'].iloc[0]}")
    axes.set_ylabel("KL per site from the true distribution")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0, labelspacing=0.3)


def _against_fields(
    divergences: Axes, steps: Axes, summary: xr.Dataset, own: pd.DataFrame, network: Architecture
) -> None:
    """KL at the best step and at the end; the best step, and that of memorisation.

    From the latter on, samples are twice as near to the data set's own distribution as to the true one.
    """
    fields = own["data_set"].to_numpy()
    chosen = summary.isel(run=own.index.to_numpy())
    true, memory = chosen["kl_per_site"].values, chosen["data_set_kl_per_site"].values
    ran = np.isfinite(true).any(axis=2)
    filled = np.where(np.isfinite(true), true, np.inf)
    best, best_step = filled.min(axis=2), chosen["step"].values[filled.argmin(axis=2)]
    # Runs keep kernels at steps of their own, so in between there are places without a value.
    last, onset = np.full((2, *ran.shape), np.nan)
    for row in zip(*np.nonzero(ran), strict=True):
        there = np.flatnonzero(np.isfinite(true[row]))
        last[row] = true[row][there[-1]]
        # Early on both are large and alike, and chance decides which is smaller: what counts is from when on.
        near = memory[row][there] < 0.5 * true[row][there]
        after = np.flatnonzero(~near)[-1] + 1 if not near.all() else 0
        if after < len(there):
            onset[row] = chosen["step"].values[there[after]]
    mark, shade, words = looks.marker(network), looks.colour(network), looks.name(network)
    for axes, values, face, label in (
        (divergences, np.where(ran, best, np.nan), "none", f"{words}, best step"),
        (divergences, last, shade, f"{words}, last step"),
        (steps, np.where(ran, best_step, np.nan), "none", f"{words}, best step"),
        (steps, onset, shade, f"{words}, memorised"),
    ):
        mean, error = mean_over_seeds(values)
        axes.errorbar(fields, mean, error, fmt=mark, color=shade, mfc=face, ms=3.5, elinewidth=0.8, label=label)
