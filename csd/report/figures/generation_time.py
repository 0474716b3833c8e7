"""Training steps until samples are right by each criterion, against size."""

from typing import Any

import numpy as np

from csd.diffusion.criteria import CRITERIA
from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with one or two layers on the critical line at three sizes or more"
SHOWN = ("one_layer", "two_layer")
QUANTITY = "generation_training_time"
SUMS = ("total_kl", "effective_sample_size")
"""Criteria that sum over all modes: their times grow as L² ln L with one layer."""
SOFT = ("susceptibility", "correlation_length")
"""Criteria of the softest modes, whose times have no law."""
WANTED = Wanted(SHOWN, grown=("sweep", "network"))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: mean over seeds with standard errors. Solid: fitted law. Dashed: exact map and recursion."""
    table = with_criteria(summary, growing_runs(summary, "generation_time"))
    hard = table[~table["criterion"].isin(SOFT)]
    fits = series.fits(hard, scaling, QUANTITY, None, "criterion", law=_law)
    facets: looks.Look = {"row": "dimension", "col": "network", "hue": "criterion", "sharex": False, "sharey": False}
    grid = looks.panels(series.joined(table, fits), height=1.0 + 1.7 * table["dimension"].nunique(), **facets)
    grid.set(yscale="log")
    looks.onto(grid, looks.curve, "size", "fit")
    looks.onto(grid, looks.curve, "size", "theory", ls=looks.DASHED, zorder=1)
    looks.onto(grid, looks.points, "size", "time", "error")
    looks.size_axes(grid, table)
    for (dimension, network), axes in grid.axes_dict.items():
        here = fits[(fits["dimension"] == dimension) & (fits["network"] == network)]
        looks.ticks_within_a_decade(axes.yaxis)
        looks.end_labels(axes, series.law_ends(here, "criterion"))
        axes.set_title(f"{looks.name(network)}, d = {dimension}")
    grid.figure.supylabel("training until samples are right (steps)", fontsize="medium")
    looks.legend_below(grid.figure, [*looks.network_keys(CRITERIA), *looks.kinds_with_fit()], 5)
    growth = list(filter(None, (_growth(own) for _, own in table.groupby(["place", "dimension"]))))
    return grid.figure, {"growth": growth, "laws": series.told(fits[fits["criterion"] == "kl_per_site"])}


def growing_runs(summary: Dataset, figure: str) -> DataFrame:
    """The runs of one and two layers at three sizes or more, by dimension, architecture and size.

    Raises:
        InputError: if there are none.
    """
    return series.in_order(series.require(series.runs(summary, WANTED), figure, NEEDS), SHOWN)


def with_criteria(summary: Dataset, table: DataFrame) -> DataFrame:
    """A row for each run and criterion, with the mean over seeds of its time, in columns `time`, `error`, `theory`."""
    chosen = summary.isel(run=table.index.to_numpy())
    ran = np.isfinite(chosen["susceptibility"].transpose("run", "seed", "step").values).any(axis=-1)
    rows = []
    for name in CRITERIA:
        own = chosen.sel(criterion=name)
        time, error = mean_over_seeds(own[QUANTITY].values, ran=ran)
        theory = own[f"predicted_{QUANTITY}"].values
        rows.append(table.assign(criterion=name, time=time, error=error, theory=theory))
    return series.joined(*rows)


def _law(laws: DataFrame, sizes: Any) -> series.DrawnLaw | None:
    """The law to draw: as in all figures, but L^z ln L for sums over modes that grow as a power."""
    power = laws[laws["criterion"].isin(SUMS) & (laws["law"] == "power_log") & (laws["exponent"] > 1.0)]
    if power.empty:
        return series.law(laws, sizes)
    if power.iloc[0]["error"] > series.DETERMINED:
        return None
    found, fine = power.iloc[0], np.geomspace(min(sizes), max(sizes), 100)
    times = np.exp(found["intercept"]) * fine ** found["exponent"] * np.log(fine)
    return series.DrawnLaw(fine, times, series.power_in_words(found, "ln L"))


def _growth(own: DataFrame) -> str:
    """By which factors times grow from the smallest size to the largest, of soft modes and of all: in one dimension."""
    known = own.dropna(subset=["time"])
    ends = known.groupby("criterion")["time"].agg(["first", "last"])
    factors, soft = ends["last"] / ends["first"], ends.index.isin(SOFT)
    groups = {"χ and ξ": factors[soft], "KL and ESS": factors[~soft]}
    told = [f"{series.span(values)} for {words}" for words, values in groups.items() if len(values)]
    sizes = f"d = {own['dimension'].iloc[0]} (L = {known['size'].min()} to {known['size'].max()})"
    return f"{' and '.join(told)} with {looks.name(own['network'].iloc[0])} in {sizes}" if told else ""
