"""Samples learned from a fixed data set: when to stop, and when the data set itself comes out."""

import numpy as np

from csd.networks import Architecture
from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with data sets"
DIVERGENCE = "KL per site from the true distribution"


def shows(study: Study) -> bool:
    """Whether fields are generated with what learned from fixed data sets."""
    return any(sweep.training.get("data_sets", study.training.data_sets) for sweep in sweeps_in(study, SUMMARY))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds. Lines: M = ∞ by exact map and recursion; divergence of a data set's own distribution."""
    table = series.runs(summary)
    table = series.require(table[table["data_set"] > 0], "memorisation", NEEDS)
    table = table[table["size"] == table["size"].max()].sort_values("data_set")
    networks = sorted(set(table["network"]), key=looks.order)[:2]
    figure, panels = looks.subplots(2, 2, height=5.0)
    divergences, steps = panels[1]
    for axes, network in zip(panels[0], networks, strict=False):
        own = table[table["network"] == network]
        looks.plot_data_sets(axes, summary, own, "kl_per_site", looks.marker(network), dense=4.0)
        axes.set_ylabel(DIVERGENCE)
        looks.legend_beside(axes, handlelength=1.0)
        _against_fields(divergences, steps, summary, own, network)
    for axes in panels[0][len(networks) :]:
        axes.axis("off")
    fields = np.geomspace(table["data_set"].min(), table["data_set"].max(), 50)
    own_distribution = _expected(fields, int(table["dimension"].iloc[0]), int(table["size"].iloc[0]))
    divergences.plot(fields, own_distribution, color="0.2", zorder=1, label="distribution of the data set")
    for axes, label in ((divergences, DIVERGENCE), (steps, "training step (steps)")):
        axes.set(xscale="log", yscale="log", xlabel="fields M of the data set", ylabel=label)
        looks.legend_beside(axes)
    return figure


def _expected(fields: np.ndarray, dimension: int, size: int) -> np.ndarray:
    """½ E[g − 1 − ln g] per site, g ~ Gamma(M)/M, or Gamma(M/2)/(M/2) for the momenta with k = −k."""
    from scipy.special import digamma

    sites, real = size**dimension, 2**dimension if size % 2 == 0 else 1
    complex_part = np.log(fields) - digamma(fields)
    real_part = np.log(fields / 2) - digamma(fields / 2)
    return 0.5 * ((sites - real) * complex_part + real * real_part) / sites


def _against_fields(divergences: Axes, steps: Axes, summary: Dataset, own: DataFrame, network: Architecture) -> None:
    """KL at the best step and at the end; the best step, and that of memorisation.

    From the latter on, samples are twice as near to the data set's own distribution as to the true one.
    """
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
        axes.errorbar(
            own["data_set"], mean, error, fmt=mark, color=shade, mfc=face, ms=3.5, elinewidth=0.8, label=label
        )
