"""Parameters times training steps until samples are right, against size: multiscale, local and full networks."""

from typing import Any

import numpy as np

from csd.diffusion.criteria import WORDS
from csd.lattice import Lattice
from csd.report.figures import looks, series
from csd.report.figures.generation_time import QUANTITY
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import Run
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving

SUMMARY = "generation"
NEEDS = "generation with a multiscale network on the critical line at three sizes or more"
SHOWN = ("one_layer", "two_layer", "local_one_layer", "local_two_layer", "multiscale", "multiscale_blocks")
MULTISCALE = SHOWN[-2:]
FIRST, ALL = "kl_per_site", "all five criteria"
"""What counts as right in the rows: a criterion that sees hard modes alone, and the last of all."""


def _is_multiscale(run: Run) -> bool:
    """Whether the network of a run has its numbers on all scales."""
    return bool(run["architecture_name"] in MULTISCALE)


WANTED = Wanted(SHOWN, grown=("sweep", "network"), having=_is_multiscale)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: mean over seeds with standard errors, joined by lines. Networks that never become right are left out."""
    table = series.in_order(series.require(series.runs(summary, WANTED), "parameters_by_steps", NEEDS), SHOWN)
    # A range that does not follow the score length is no sampler of every size.
    table = table[[network.range is None or isinstance(network.range, str) for network in table["network"]]]
    table["numbers"] = [mean_parameters(row, _levels(summary, place)) for place, row in table.iterrows()]
    shown = with_products(summary, table)
    shown = shown.assign(d=[f"d = {dimension}" for dimension in shown["dimension"]])
    points = shown[np.isfinite(shown["product"])]
    grid = looks.panels(shown, height=4.8, row="right", col="d", sharex=False, sharey=False)
    grid.set(yscale="log")
    looks.onto(grid, looks.curve, "size", "product", lw=0.8, alpha=0.6)
    looks.onto(grid, looks.points, "size", "product", "spread")
    for (right, d), axes in grid.axes_dict.items():
        looks.size_axis(axes, points["size"][(points["right"] == right) & (points["d"] == d)])
        axes.set_title(f"{right}, {d}")
        looks.end_labels(axes, _ends(shown[(shown["right"] == right) & (shown["d"] == d)]))
    grid.figure.supylabel("parameters × steps until samples are right", fontsize="medium")
    looks.legend_below(grid.figure, looks.network_keys(points["network"].unique()), 3)
    facts = {"products": _told(shown), "never": _never(shown)}
    return grid.figure, facts


def _levels(summary: Dataset, place: Any) -> Any:
    """The noise levels of a run, the grid of its samples."""
    levels = summary["noise_level"].isel(run=place).values
    return levels[np.isfinite(levels)]


def mean_parameters(run: Any, levels: Any) -> float:
    """Trainable numbers of the networks of a run, mean over its noise levels, where the range of local ones differs.

    Args:
        run: row of a table of runs on the critical line.
        levels: its noise levels.
    """
    lattice = Lattice(run["dimension"], run["size"])
    noised = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels.tolist())
    built = [run["network"].build(lattice, float(length)).parameters for length in noised.score_lengths()]
    return float(np.mean(built))


def with_products(summary: Dataset, table: DataFrame) -> DataFrame:
    """Two rows for each run, by what counts as right: `time` and numbers times it, `product`, means over seeds."""
    chosen = summary.isel(run=table.index.to_numpy()).transpose("run", "seed", ...)
    ran = np.isfinite(chosen["susceptibility"].values).any(axis=-1)
    times = chosen[QUANTITY]
    rows = []
    for words, own in ((WORDS[FIRST], times.sel(criterion=FIRST)), (ALL, times.max("criterion", skipna=False))):
        time, error = mean_over_seeds(own.values, ran=ran)
        product = {"product": table["numbers"] * time, "spread": table["numbers"] * error}
        rows.append(table.assign(right=words, time=time, **product))
    return series.joined(*rows)


def _ends(own: DataFrame) -> list[tuple[float, str, str]]:
    """At the end of each line its growth per doubling of the size, from the last two points."""
    found = []
    for network, rows in own.dropna(subset="time").groupby("network", sort=False):
        if len(rows) > 1:
            (size, low), (large, high) = rows.sort_values("size")[["size", "product"]].values[-2:]
            power = np.log(high / low) / np.log(large / size)
            found.append((high, f"L$^{{{power:.1f}}}$", looks.colour(network)))
    return found


def _told(shown: DataFrame) -> str:
    """The products at the largest size that all networks of a dimension which become right have, in words."""
    told = []
    last = shown[shown["right"] == ALL].dropna(subset="time")
    for dimension, own in last.groupby("dimension"):
        sizes = own.groupby("size")["network"].nunique()
        at = own[own["size"] == sizes[sizes == sizes.max()].index.max()]
        products = ", ".join(f"{looks.name(row['network'])} {row['product']:,.0f}" for _, row in at.iterrows())
        told.append(f"in d = {dimension} at L = {at['size'].iloc[0]} {products}")
    return looks.in_caption("; ".join(told)) or "none"


def _never(shown: DataFrame) -> str:
    """The networks whose samples are not right by all criteria at some size, in words; empty without any."""
    late = shown[(shown["right"] == ALL) & shown["time"].isna()]
    told = [
        f"{looks.name(network)} in d = {dimension} at L = {', '.join(map(str, sorted(own['size'])))}"
        for (dimension, network), own in late.groupby(["dimension", "network"], sort=False)
    ]
    return looks.in_caption("; ".join(told))
