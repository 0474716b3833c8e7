"""What independent fields cost at the same accuracy: against size, and against how many are made."""

from typing import Any

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Series, Study

SUMMARY = "timing"
NEEDS = "monte_carlo beside generation on the critical line of one dimension"
COUNT = 10_000
"""Fields of the upper panels, and those for which the best sampler of a kind is chosen."""
MANY = 1e10
"""Fields that the lower panels go to."""
NETWORKS = ("one_layer", "two_layer")
SAMPLERS = ("local", "accelerated", "direct")
CHARGES: dict[str, Any] = {"local": "-", "accelerated": (0, (5, 1.5)), "free": (0, (1, 1.5))}
"""How lines of networks are drawn, by who made the training data."""
WORDS = {"local": "by the best local sampler", "accelerated": "by the best accelerated one", "free": "free"}
KINDS = {"local": "heat_bath", "accelerated": "fourier_hmc"}
"""Samplers whose colour stands for a kind of them."""
Ends = dict[str, tuple[float, str]]
"""Where each line ends and what is said beside it, by name."""
APART = 0.08
"""Smallest distance of two labels beside a panel, in heights of it."""


def shows(study: Study) -> bool:
    """Whether Monte Carlo stands beside generation on the same target, in at least one dimension."""
    generating = {sweep.dimension for sweep in sweeps_in(study, "generation")}
    return any(
        one.dimension in generating and one.couplings is None and one.beta is None and one.mass is None
        for one in study.monte_carlo.values()
    )


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Lines of samplers bold, of networks by who made their training data; labels stand where lines end."""
    table = summary[["method", "kind", "data", "data_kind", "dimension", "size", "seen"]].to_dataframe()
    table["start"], table["each"] = summary["start_updates"].values, summary["each_updates"].values
    kinds = table.groupby("dimension")["kind"].agg(set)
    shown = [d for d, found in kinds.items() if "diffusion" in found and found & {"local", "accelerated"}]
    table = series.require(table[table["dimension"].isin(shown)], "cost_to_fields", NEEDS)
    figure, grid = looks.subplots(2, len(shown), height=5.4, sharey="row", squeeze=False)
    said = []
    for (top, bottom), dimension in zip(grid.T, sorted(shown), strict=True):
        here = table[table["dimension"] == dimension]
        learned = here.loc[here["kind"] == "diffusion", "size"]
        here = here[here["size"].between(learned.min(), learned.max())]
        size = largest(here)
        at_largest = here[here["size"] == size]
        _against_size(top, summary, here)
        top.set_title(f"d = {dimension}, $10^{len(str(COUNT)) - 1}$ fields")
        _against_count(bottom, at_largest)
        bottom.set_title(f"d = {dimension}, L = {size}")
        said.append(who_wins(at_largest))
    grid[0][0].set_ylabel("cost (field updates)")
    grid[1][0].set_ylabel("cost a field (field updates)")
    entries = [looks.key(f"training data {words}", ls=CHARGES[kind]) for kind, words in WORDS.items()]
    figure.legend(handles=entries, loc="outside upper center", ncols=3, handlelength=3.0)
    figure.supxlabel("\n".join(said), fontsize="small")
    return figure


def largest(table: DataFrame) -> int:
    """The largest size at which most of the lines have a cost."""
    lines = {size: len(_series(rows)) for size, rows in table.groupby("size")}
    return int(max(lines, key=lambda size: (lines[size], size)))


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
    """What one lattice says: samplers from the cheapest on, and from how many fields on networks pay.

    Args:
        table: rows of one size, with the columns kind, method, data_kind, start and each.
    """
    found = {kind: best(table[table["kind"] == kind]) for kind in SAMPLERS}
    chains = [rows.iloc[0] for rows in found.values() if len(rows)]
    order = sorted(chains, key=lambda row: float(row["cost"]))
    ranked = ", ".join(looks.name(row["method"]) for row in order)
    words = f"d = {order[0]['dimension']}, L = {order[0]['size']}, cheapest first: {ranked}."
    told = []
    for network in NETWORKS:
        rows = table[table["method"] == network]
        taught = rows[(rows["data_kind"] == "local") & np.isfinite(rows["each"])]
        if len(taught) and len(found["local"]):
            first = pays_from(taught, found["local"].iloc[0])
            told.append(f"{looks.name(network)} {'never' if np.isinf(first) else f'from {_power(first)} fields on'}")
        elif len(rows) and rows["each"].isna().all():
            told.append(f"{looks.name(network)} is never as accurate")
    if told:
        words += f"\nTaught by the best local sampler, a network costs less than it: {', '.join(told)}."
    return words


def _power(value: float) -> str:
    """3 × 10⁴, in Matplotlib's words."""
    exponent = int(np.floor(np.log10(max(value, 1.0))))
    digit = round(value / 10**exponent)
    return f"$10^{{{exponent + 1}}}$" if digit == 10 else f"${digit}\\times 10^{{{exponent}}}$"


def _series(table: DataFrame) -> list[tuple[str, str, Any, DataFrame]]:
    """(network or kind of sampler, who made the data, dashes, rows) of every line; samplers last, so on top."""
    table = table[np.isfinite(table["each"])]
    networks = [
        (network, kind, dashes, table[(table["method"] == network) & (table["data_kind"] == kind)])
        for network in NETWORKS
        for kind, dashes in CHARGES.items()
    ]
    samplers = [(kind, "", "-", table[table["kind"] == kind]) for kind in SAMPLERS]
    return [one for one in [*networks, *samplers] if len(one[3])]


def _against_size(axes: Axes, summary: Dataset, table: DataFrame) -> None:
    """Points with errors, and lines to guide the eye."""
    ends: Ends = {}
    for name, kind, dashes, rows in _series(table):
        own = best(rows)
        error = summary["updates_error"].sel(fields=COUNT).values[own.index.to_numpy()]
        relative = error / own["cost"]
        # The same factor up and down, so that no bar leaves a logarithmic axis.
        bars = own["cost"] * relative / (1.0 + relative), error
        look = _line(name)
        looks.points(axes, own["size"], own["cost"], bars, look["color"], "o", ms=2.6, elinewidth=0.7)
        axes.plot(own["size"], own["cost"], ls=dashes, **look)
        _end(ends, name, kind, float(own["cost"].iloc[-1]), own["method"].unique())
    axes.set_yscale("log")
    looks.size_axis(axes, list(table["size"].unique()))
    _label(axes, ends)


def _against_count(axes: Axes, table: DataFrame) -> None:
    """One size: start / n + each, of the best row for each n. A tick where a network has made what it has seen."""
    counts = np.geomspace(1.0, MANY, 200)
    ends: Ends = {}
    for name, kind, dashes, rows in _series(table):
        # Samplers are compared by one of their kind, that of the upper panel.
        own = rows if kind else best(rows)
        cost = (own["start"].to_numpy()[:, None] / counts + own["each"].to_numpy()[:, None]).min(axis=0)
        axes.plot(counts, cost, ls=dashes, **_line(name))
        seen = own["seen"].min()
        if kind == "local" and seen < MANY:
            axes.plot(seen, np.interp(seen, counts, cost), "|", ms=7, mew=1.0, color=_line(name)["color"])
        _end(ends, name, kind, float(cost[-1]), own["method"].unique())
    axes.set(xscale="log", yscale="log", xlim=(1.0, MANY), xlabel="fields made")
    _label(axes, ends)


def _end(ends: Ends, name: str, kind: str, cost: float, methods: np.ndarray) -> None:
    """Note the words for a line and where it ends; a network has them once, at its dearest line."""
    if not kind or name not in ends or ends[name][0] < cost:
        ends[name] = cost, " / ".join(looks.name(method) for method in methods)


def _label(axes: Axes, ends: Ends) -> None:
    """Words beside the panel at the height of each line's end, moved apart where they would overlap."""
    low, high = np.log(axes.get_ylim())
    places = sorted(((np.log(cost) - low) / (high - low), words, name) for name, (cost, words) in ends.items())
    heights = np.array([height for height, _, _ in places])
    # The two that overlap most give way, and so on until none do; a few labels take a few turns.
    for _ in range(100):
        gaps = np.diff(heights)
        if not len(gaps) or gaps.min() > 0.99 * APART:
            break
        place = int(gaps.argmin())
        heights[place : place + 2] += 0.5 * (APART - gaps[place]) * np.array([-1.0, 1.0])
    for height, (_, words, name) in zip(heights, places, strict=True):
        colour = _line(name)["color"]
        axes.annotate(words, (1.02, height), xycoords="axes fraction", va="center", color=colour, fontsize="small")


def _line(name: str) -> looks.Look:
    """Colour and width of the lines of a network or of a kind of sampler."""
    return {"color": looks.colour(KINDS.get(name, name)), "lw": 1.1 if name in NETWORKS else 1.9}
