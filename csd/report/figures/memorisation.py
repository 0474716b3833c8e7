"""Samples learned from a fixed data set: whether to stop early, and when the data set itself comes out."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.report.figures.overfitting import data_set_panels
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with data sets drawn from a target"
ENDS = "best and last step"
OPEN = {"mfc": "none", "mew": 0.9, "ms": 5}
WANTED = Wanted(critical=False, data_sets=True)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: mean over seeds. Lines: M = ∞ by exact map and recursion. Right: over a data set's own divergence."""
    from matplotlib import patheffects

    table = series.with_most_data_sets(series.require(series.runs(summary, WANTED), "memorisation", NEEDS))
    dimension, size = int(table["dimension"].iloc[0]), int(table["size"].iloc[0])
    curves = series.learning_curves(summary, table, "kl_per_site", 4.0)
    ends = _ends(summary, table)
    onsets = ends[["network", "series", "data_set"]].assign(step=ends["time"], onset=ends["last"], error=0.0)
    divergences = ["best", "best_error", "last", "last_error"]
    ratios = ends[divergences].div(_expected(ends["data_set"].to_numpy(), dimension, size), axis=0)
    # In full colour, as M is on the axis.
    ratios = ratios.assign(network=ends["network"], data_set=ends["data_set"].max(), series=ENDS)
    # Architectures stand beside each other.
    ratios["fields"] = ends["data_set"] * 1.15 ** (ends["series"].rank(method="dense") - 1.0)
    keys = [looks.key("memorised", marker="|", ms=8, mew=1.4, lw=0), looks.key("best step", **OPEN, marker="o", lw=0)]
    shown = series.joined(curves, onsets, ratios)
    layout: looks.Look = {"col": "series", "height": 2.8, "sharex": False, "sharey": False}
    grid = data_set_panels(shown, "kl_per_site", [*keys, looks.key("last step", marker="o", lw=0)], **layout)
    right = grid.axes_dict[ENDS]
    outline = [patheffects.Stroke(linewidth=2.6, foreground="white"), patheffects.Normal()]
    right.set(yscale="linear", xlabel="fields M of the data set", ylabel="KL over that of the data set")
    looks.onto(grid, looks.points, "step", "onset", "error", marker="|", ms=11, mew=1.4, zorder=5, path_effects=outline)
    looks.onto(grid, looks.points, "fields", "best", "best_error", **OPEN)
    looks.onto(grid, looks.points, "fields", "last", "last_error")
    right.axhline(1.0, color=looks.GREY, lw=0.6, zorder=0)
    right.set_xlim(0.7 * ratios["fields"].min(), 1.4 * ratios["fields"].max())
    grid.axes.flat[0].set_ylabel("KL per site")
    return grid.figure, {
        "dimension": str(dimension),
        "size": str(size),
        "gains": series.from_to(ends.assign(time=ends["gain"], error=ends["gain_error"]), "data_set", "M", " %"),
        "onsets": series.from_to(ends, "data_set", "M"),
    }


def _expected(fields: np.ndarray, dimension: int, size: int) -> np.ndarray:
    """½ E[g − 1 − ln g] per site, g ~ Gamma(M)/M, or Gamma(M/2)/(M/2) for the momenta with k = −k."""
    from scipy.special import digamma

    sites, real = size**dimension, 2**dimension if size % 2 == 0 else 1
    complex_part = np.log(fields) - digamma(fields)
    real_part = np.log(fields / 2) - digamma(fields / 2)
    return 0.5 * ((sites - real) * complex_part + real * real_part) / sites


def _ends(summary: Dataset, table: DataFrame) -> DataFrame:
    """The runs with means over seeds of the divergence at the best and last step, and of what the best gains, in %.

    In `time` and `error` is the step from which on samples are twice as near to the data set's own distribution as to
    the true one.
    """
    chosen, steps = summary.isel(run=table.index.to_numpy()), summary["step"].values
    true, memory = (chosen[name].values for name in ("kl_per_site", "data_set_kl_per_site"))
    # Runs keep kernels at steps of their own, so in between there are places without a value.
    there = np.isfinite(true)
    best = np.where(there.any(axis=-1), np.where(there, true, np.inf).min(axis=-1), np.nan)
    last = np.take_along_axis(true, there.cumsum(axis=-1).argmax(axis=-1)[..., None], axis=-1)[..., 0]
    # Early on both are large and alike, and chance decides which is smaller: what counts is from when on.
    far = there & ~(memory < 0.5 * true)
    after = there & (far[..., ::-1].cumsum(axis=-1)[..., ::-1] == 0)
    onset = np.where(after.any(axis=-1), steps[after.argmax(axis=-1)], np.nan)
    columns = {"best": best, "last": last, "gain": 100.0 * (1.0 - best / last), "onset": onset}
    for name, values in columns.items():
        table[name], table[f"{name}_error"] = mean_over_seeds(values, ran=there.any(axis=-1))
    return table.rename(columns={"onset": "time", "onset_error": "error"})
