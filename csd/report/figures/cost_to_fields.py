"""Cost of independent fields at the same accuracy: against size, and against how many are made."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle, Series
from csd.study.summaries.columns import Run

SUMMARY = "timing"
NEEDS = "monte_carlo beside generation with one_layer or two_layer on the same lattices of the critical line"
COUNT = 10_000
"""Fields of the upper panels, and those for which the best sampler of a kind is chosen."""
MANY = 1e10
"""Fields that the lower panels go to."""
NETWORKS = ("one_layer", "two_layer")
SAMPLERS = ("local", "accelerated", "direct")
CHARGES: dict[str, tuple[Any, str]] = {
    "local": ("-", "from the best local sampler"),
    "accelerated": ((0, (5, 1.5)), "from the best accelerated one"),
    "free": ((0, (1, 1.5)), "free"),
}
"""How lines of networks are drawn, by where the training data are from, and words for that."""
COLOURS = {name: looks.colour(name) for name in (*NETWORKS, "direct")}
COLOURS |= {"local": looks.colour("heat_bath"), "accelerated": looks.colour("fourier_hmc")}


def on_same_lattices(runs: Iterable[Run]) -> list[Run]:
    """Runs on the critical line, of one or two layers and of samplers on the same lattices."""
    runs = [run for run in runs if run["mass_times_length"] == 1.0 and run.get("architecture") in (None, *NETWORKS)]
    learned, sampled = ({_lattice(run) for run in runs if ("network" in run) is own} for own in (True, False))
    return [run for run in runs if _lattice(run) in learned & sampled]


def _lattice(run: Run) -> tuple[int, int]:
    """Dimension and size."""
    return run["dimension"], run["size"]


WANTED = on_same_lattices


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines of samplers bold, with labels where they end; of networks by their training data."""
    columns = ["method", "kind", "data", "data_kind", "dimension", "size", "seen", "start_updates", "each_updates"]
    table = summary[columns].to_dataframe().rename(columns={"start_updates": "start", "each_updates": "each"})
    table["error"] = summary["updates_error"].sel(fields=COUNT).values
    learned = (table["kind"] == "diffusion") & table["method"].isin(NETWORKS) & np.isfinite(table["each"])
    kinds = table.assign(learned=learned, sampled=table["kind"].isin(["local", "accelerated"]))
    both = kinds.groupby(["dimension", "size"])[["learned", "sampled"]].transform("any").all(axis=1)
    table = series.require(table[both], "cost_to_fields", f"{NEEDS}, with a network that becomes as accurate")
    figure, grid = looks.subplots(2, table["dimension"].nunique(), height=4.8, sharey="row", squeeze=False)
    told, ends = [], []
    for (top, bottom), (dimension, here) in zip(grid.T, table.groupby("dimension"), strict=True):
        size = largest(here)
        at_largest = here[here["size"] == size]
        ends += [(top, _against_size(top, here)), (bottom, _against_count(bottom, at_largest))]
        top.set_title(f"d = {dimension}, {COUNT:,} fields")
        bottom.set_title(f"d = {dimension}, L = {size}")
        told.append(who_wins(at_largest))
    for axes, words in ends:
        looks.end_labels(axes, words)
    grid[0][0].set_ylabel("cost (field updates)")
    grid[1][0].set_ylabel("cost per field (field updates)")
    # Lines of networks end at three places each, or all at one.
    keys = [looks.key(looks.name(one), color=COLOURS[one]) for one in NETWORKS if (table["method"] == one).any()]
    charges = [looks.key(f"training data {words}", ls=dashes) for dashes, words in CHARGES.values()]
    looks.legend_below(figure, [*keys, *charges], 3)
    return figure, {"winners": told, "count": f"{COUNT:,}"}


def lines(table: DataFrame) -> Any:
    """The rows of each line, grouped by network or kind of sampler and by where training data are from."""
    table = table[np.isfinite(table["each"]) & table["data_kind"].isin(["", *CHARGES])]
    table = table.assign(line=table["method"].where(table["kind"] == "diffusion", table["kind"]))
    return table[table["line"].isin(COLOURS)].groupby(["line", "data_kind"], sort=False)


def largest(table: DataFrame) -> int:
    """The largest size at which most of the lines have a cost."""
    counts = {size: len(lines(rows)) for size, rows in table.groupby("size")}
    return int(max(counts, key=lambda size: (counts[size], size)))


def best(rows: DataFrame, count: float = COUNT) -> DataFrame:
    """Of each size the row with the fewest updates for `count` fields; none where nothing has a cost."""
    known = rows.assign(cost=rows["start"] + rows["each"] * count).dropna(subset=["cost"])
    return known.loc[known.groupby("size")["cost"].idxmin()].sort_values("size")


def pays_from(network: DataFrame, sampler: Series) -> float:
    """n from which on a network's fields cost less than a sampler's, with the best of its rows; infinite if never."""
    saved = sampler["each"] - network["each"]
    crossing = np.where(saved > 0.0, (network["start"] - sampler["start"]) / saved.where(saved > 0.0), np.inf)
    return max(0.0, float(crossing.min()))


def who_wins(table: DataFrame) -> str:
    """Words on one lattice: samplers in order of cost, and the number of fields from which on networks cost less.

    Args:
        table: rows of one size, with the columns kind, method, data_kind, start and each.
    """
    found = {kind: best(table[table["kind"] == kind]) for kind in SAMPLERS}
    order = sorted((rows.iloc[0] for rows in found.values() if len(rows)), key=lambda row: float(row["cost"]))
    words = " < ".join(looks.name(row["method"]) for row in order)
    told = []
    for network in NETWORKS:
        rows = table[table["method"] == network]
        taught = rows[(rows["data_kind"] == "local") & np.isfinite(rows["each"])]
        if len(taught) and len(found["local"]):
            first = pays_from(taught, found["local"].iloc[0])
            told.append(f"{looks.name(network)} {'never' if np.isinf(first) else f'from {_power(first)} fields'}")
        elif len(rows) and rows["each"].isna().all():
            told.append(f"{looks.name(network)} is never as accurate")
    return f"in d = {order[0]['dimension']} at L = {order[0]['size']} {words} ({', '.join(told) or 'no network'})"


def _power(count: float) -> str:
    """A number of fields to one digit: 3 × 10⁴, in reStructuredText."""
    digit, exponent = f"{max(count, 1.0):.0e}".split("e")
    return f"{digit} × 10\\ :sup:`{int(exponent)}`"


def _against_size(axes: Axes, table: DataFrame) -> list[tuple[Any, ...]]:
    """Points with errors, and lines to guide the eye; what is said at their ends."""
    axes.set_yscale("log")
    drawn = series.joined(*(best(rows) for _, rows in lines(table)))
    for name, rows in drawn.groupby("line"):
        looks.points(axes, rows, "size", "cost", "error", color=COLOURS[name], marker="o", ms=2.6, elinewidth=0.7)
    looks.size_axis(axes, drawn["size"])
    return _drawn_lines(axes, drawn, "size")


def _against_count(axes: Axes, table: DataFrame) -> list[tuple[Any, ...]]:
    """One size: start / n + each, of the best row for each n. A tick where a network has made what it has seen."""
    import pandas as pd

    counts, drawn = np.geomspace(1.0, MANY, 200), []
    axes.set(xscale="log", yscale="log", xlim=(1.0, MANY), xlabel="number of fields")
    for (name, kind), rows in lines(table):
        # Samplers are compared by one of their kind, that of the upper panel.
        own = rows if kind else best(rows)
        cost = (own["start"].to_numpy()[:, None] / counts + own["each"].to_numpy()[:, None]).min(axis=0)
        drawn.append(
            pd.DataFrame({"count": counts, "cost": cost}).assign(**own.iloc[0][["line", "data_kind", "method"]])
        )
        if kind == "local" and (seen := own["seen"].min()) < MANY:
            axes.plot(seen, np.interp(seen, counts, cost), "|", ms=7, mew=1.0, color=COLOURS[name])
    return _drawn_lines(axes, series.joined(*drawn), "count")


def _drawn_lines(axes: Axes, drawn: DataFrame, x: str) -> list[tuple[Any, ...]]:
    """Draw lines, samplers bold and on top; a label for each kind of sampler, where it ends."""
    ends: list[tuple[Any, ...]] = []
    for (name, kind), own in drawn.groupby(["line", "data_kind"], sort=False):
        bold, shade = not kind, COLOURS[name]
        dashes = "-" if bold else CHARGES[kind][0]
        looks.curve(axes, own, x, "cost", color=shade, ls=dashes, lw=1.9 if bold else 1.1, zorder=2 + bold)
        words = " / ".join(looks.name(method) for method in own["method"].unique())
        ends += [(own["cost"].iloc[-1], words, shade)] if bold else []
    return ends
