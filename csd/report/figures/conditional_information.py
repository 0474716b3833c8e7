"""Conditional mutual information against noise level and range, and the Markov length over which it decays."""

from collections.abc import Iterable

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, Facts, FigureStyle
from csd.report.figures.score_gap import panel_title
from csd.study.summaries.columns import Run

SUMMARY = "phases"
NEEDS = "the key phases, with a Gaussian target at two noise levels and ranges or more"
INFORMATION = "conditional_mutual_information"
LEAST = 1e-8
"""The smallest information that is shown, in nats."""


def gaussian(runs: Iterable[Run]) -> list[Run]:
    """The runs whose information is known in closed form."""
    return [run for run in runs if not run["components"] and run["target"] == "gaussian"]


WANTED = gaussian


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Left, colours: I(A:C|B) of the largest lattice. Right, points: its decay length with R; lines: half of ξ_lat."""
    from matplotlib.colors import LogNorm

    from csd.study.summaries.phases.laws import IMAGES

    if INFORMATION not in summary:
        raise series.lacking("conditional_information", NEEDS)
    runs = summary.isel(run=np.flatnonzero(summary["target"].values == "gaussian"))
    shown = np.isfinite(runs[INFORMATION].transpose("run", ...).values).any(axis=(1, 2))
    about = runs[[name for name in runs.data_vars if runs[name].dims == ("run",)]].to_dataframe()[shown]
    about = series.require(about, "conditional_information", NEEDS).sort_values(["dimension", "size"])
    plane = series.in_plane(about)
    largest = runs.isel(run=int(plane.index[-1])).dropna("range", how="all", subset=[INFORMATION])
    largest = largest.dropna("noise_level", how="all", subset=[INFORMATION])
    if min(largest.sizes["noise_level"], largest.sizes["range"]) < 2:
        raise series.lacking("conditional_information", NEEDS)
    figure, (left, right) = looks.subplots(1, 2, height=2.9)
    levels, ranges, found = largest["noise_level"].values, largest["range"].values, largest[INFORMATION].values.T
    found = np.maximum(found, LEAST)
    shades = left.pcolormesh(
        levels, ranges, found, norm=LogNorm(LEAST, found.max()), cmap="viridis", shading="nearest", rasterized=True
    )
    figure.colorbar(shades, ax=left, label="I(A:C|B) (nats)", extend="min")
    left.plot(levels, largest["score_length"], color="white", lw=1.4)
    left.plot(levels, largest["score_length"], color=looks.RED, lw=1.0)
    row = plane.iloc[-1]
    title = f"d = {row['dimension']}, L = {row['size']}; line: R = ξ$_t$"
    left.set(xscale="log", yscale="log", ylim=_edges(ranges), xlim=_edges(levels))
    left.set(title=title, xlabel="noise level t", ylabel="range R (lattice spacings)")
    for axis in (left.xaxis, left.yaxis):
        looks.ticks_within_a_decade(axis)
    worst = _lengths(right, runs.isel(run=about.index.to_numpy()), 2.0 * IMAGES)
    right.set(xscale="log", yscale="log", title="Markov length", xlabel="noise level t")
    right.set_ylabel("decay length of I with R (lattice spacings)")
    looks.ticks_within_a_decade(right.yaxis)
    right.legend(fontsize="small")
    at = np.unravel_index(found.argmax(), found.shape)
    facts: Facts = {"run": panel_title(row, ", "), "block": int(row["block"]), "worst": worst, "least": f"{LEAST:g}"}
    facts |= {"most": f"{found.max():.2g}", "range": int(ranges[at[0]]), "level": f"{levels[at[1]]:.2g}"}
    return figure, facts | {"images": f"{2.0 * IMAGES:g}"}


def _lengths(axes: looks.Axes, runs: Dataset, images: float) -> str:
    """Draw the Markov lengths of all runs, and their theory; how far they are apart up to L over `images`, in words."""
    looked: dict[int, float] = {}
    for place in range(runs.sizes["run"]):
        run = runs.isel(run=place).sortby("noise_level")
        dimension, size = int(run["dimension"]), int(run["size"])
        colour = looks.COLOURS[dimension - 1]
        same = [int(one) for one in np.unique(runs["size"].values[runs["dimension"].values == dimension])]
        measured, theory = run["markov_length"].values, run["markov_length_theory"].values
        axes.plot(run["noise_level"], theory, color=colour, lw=0.8, zorder=1)
        look: looks.Look = {"marker": looks.MARKERS[same.index(size)], "mfc": "none", "mec": colour, "ls": ""}
        axes.plot(run["noise_level"], measured, label=f"d = {dimension}, L = {size}", mew=0.9, **look)
        off = np.abs(measured / theory - 1.0)[np.isfinite(measured) & (theory <= size / images)]
        looked[dimension] = max(looked.get(dimension, 0.0), off.max(initial=0.0))
    worst = [f"{100.0 * off:.1g} % in d = {dimension}" for dimension, off in looked.items()]
    return " and ".join(worst) or "none measured"


def _edges(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic axis at the edges of the cells around values."""
    return float(values[0] ** 1.5 / values[1] ** 0.5), float(values[-1] ** 1.5 / values[-2] ** 0.5)
