"""Observables of sampled fields less their reference, in standard errors, for each network and seed."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted, beyond_theory
from csd.targets.labels import HASH

SUMMARY = "generation"
NEEDS = "a sweep with generation by a network without a kernel"
WANTED = Wanted(
    critical=False,
    data_sets=None,
    kernel=False,
    options=("target", "conditioned", "path"),
    having=beyond_theory,
)
OBSERVABLES = {
    "susceptibility": "χ",
    "correlation_length": "ξ",
    "energy": "energy",
    "absolute_magnetisation": "⟨|m|⟩",
    "binder": "U$_4$",
    "variance": "⟨φ²⟩",
    "mean": "⟨φ⟩",
    "skewness": "skewness",
    "excess_kurtosis": "excess\nkurtosis",
}
"""Observables of the whole field, and below ⟨φ²⟩ moments of the distribution of the field at one site."""
TICKS = (-1000, -100, -30, -10, -4, -2, 0, 2, 4, 10, 30, 100, 1000)
ALLOWED = 2.0
"""Standard errors within which sampled fields agree with the reference."""


def sampled_runs(summary: Dataset, figure: str, wanted: Wanted = WANTED, needs: str = NEEDS) -> DataFrame:
    """The runs with sampled fields and a reference, in the order of `FAMILIES`, with a column `panel` of the target.

    Args:
        summary: of generation.
        figure: that shows them.
        wanted: its choice of runs.
        needs: what this is, in words.

    Raises:
        InputError: if there are none.
    """
    table = series.runs(summary, wanted)
    table = table if "sampled_magnetisation" in summary else table[:0]
    table = series.require(table, figure, needs)
    drawn = np.isfinite(summary["sampled_magnetisation"].values[table.index.to_numpy()]).any(axis=(1, 2))
    table = series.require(table[drawn], figure, needs)
    table = table.assign(label=table["mass_label"].str.replace(HASH, "", regex=True))
    places = [f"{row.label}, d = {row.dimension}, L = {row.size}" for row in table.itertuples()]
    families = list(looks.FAMILIES)
    order = [families.index(of) if (of := looks.family(one)) in families else len(families) for one in table["network"]]
    table = table.assign(panel=places, order=order)
    return series.told_apart(table.sort_values(["label", "dimension", "size", "order"], kind="stable"))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """A point for each network, seed and observable, a panel a target; the band is ±2 standard errors."""
    import pandas as pd

    table = sampled_runs(summary, "observables")
    names = [name for name in OBSERVABLES if f"sampled_{name}_pull" in summary]
    rows = []
    for _, panel in table.groupby("panel", sort=False):
        for rank, (run, row) in enumerate(panel.iterrows()):
            shift = 0.7 * ((rank + 0.5) / len(panel) - 0.5)
            for place, name in enumerate(names):
                pulls = summary[f"sampled_{name}_pull"].values[run]
                own = pd.DataFrame({"pull": pulls[np.isfinite(pulls)], "name": name, "error": 1.0})
                spread = 0.5 * np.linspace(-1.0, 1.0, len(own)) / len(panel) if len(own) > 1 else 0.0
                rows.append(own.assign(x=place + shift + 0.4 * spread, **row))
    pulls = pd.concat(rows, ignore_index=True)
    grid = looks.panels(pulls, hue="series", row="panel", height=2.2 * table["panel"].nunique() + 0.6, sharex=True)
    looks.onto(grid, looks.points, "x", "pull", "error", ms=3)
    for axes in grid.axes.flat:
        axes.axhspan(-ALLOWED, ALLOWED, color="0.9", zorder=0, lw=0)
        standard_errors(axes, *axes.get_ylim())
        axes.set_xticks(range(len(names)), [OBSERVABLES[name] for name in names])
        axes.set(xlim=(-0.6, len(names) - 0.4), xlabel="", ylabel="sampled − reference\n(standard errors)")
        for edge in np.arange(0.5, len(names) - 1):
            axes.axvline(edge, color="0.85", lw=0.5, zorder=0)
    grid.set_titles("{row_name}")
    looks.legend_below(grid.figure, looks.hue_keys(grid))
    agree = pulls["pull"].abs() <= ALLOWED
    told = [f"{name} {int(own.sum())} of {len(own)}" for name, own in agree.groupby(pulls["series"], sort=False)]
    return grid.figure, {"agree": looks.in_caption(", ".join(told)), "moments": "mean" in names}


def standard_errors(axes: Axes, low: float, high: float) -> None:
    """An axis of standard errors in given limits, linear up to four and logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=2.0 * ALLOWED, linscale=1.5)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    axes.minorticks_off()
