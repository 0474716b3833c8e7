"""Autocorrelation time against size: how each Monte Carlo sampler slows down."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Series, Study
from csd.study.rounding import parentheses

SUMMARY = "monte_carlo"
NEEDS = "the key monte_carlo, with chains that are long enough"
SPINS = {1: "Ising", 2: "XY", 3: "Heisenberg"}
QUANTITY = "autocorrelation_updates"


def shows(study: Study) -> bool:
    """Whether anything is sampled by Monte Carlo."""
    return bool(study.monte_carlo)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: τ of the soft modes, in field updates, with errors. Solid: exact. Broken: fitted power laws."""
    from csd.study.summaries.columns import SAMPLED
    from csd.study.summaries.dynamics import known_times, times

    keys = ["dimension", "target", "target_label", "components", "sampler", "sweep", "size", *SAMPLED]
    tau, error = times(summary, QUANTITY, "collective_tau")
    table = summary[keys].to_dataframe().assign(tau=tau, error=error, exact=known_times(summary, QUANTITY))
    table = series.require(table[np.isfinite(error)], "dynamic_exponents", NEEDS)
    targets = list(table.groupby(["target", "dimension", "components", *SAMPLED], sort=False, dropna=False))
    # Gaussian fields, which have exact times, two a row; all others three.
    rows = []
    for width, height, gaussian in ((2, 3.6, True), (3, 2.5, False)):
        own = [runs for (target, *_), runs in targets if (target == "gaussian") == gaussian]
        rows += [(own[first : first + width], height) for first in range(0, len(own), width)]
    heights = [height for _, height in rows]
    figure = looks.empty_figure(sum(heights))
    bands = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False).ravel()
    for band, (row, _) in zip(bands, rows, strict=True):
        for axes, here in zip(band.subplots(1, len(row), squeeze=False)[0], row, strict=True):
            for (_, sampler), own in here.groupby(["sweep", "sampler"], sort=False):
                _series(axes, str(sampler), own.sort_values("size"), scaling)
            looks.size_axis(axes, list(here["size"]))
            axes.set(yscale="log", title=_title(here.iloc[0]), ylabel="τ (field updates)")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=1.6, labelspacing=0.25)
    return figure


def _series(axes: Axes, sampler: str, own: DataFrame, scaling: DataFrame) -> None:
    """One sampler on one target: points, and the exact times or the fitted law, with z in field updates."""
    from csd.study.summaries.dynamics import kind_of_model

    first, sizes = own.iloc[0], own["size"].to_numpy()
    shade, label = looks.colour(sampler), looks.name(sampler)
    run = {"dimension": first["dimension"], "sweep": first["sweep"], "architecture": sampler}
    run |= {"mass_label": first["target_label"], "data": kind_of_model(first["target"], first["components"])}
    laws = series.laws_of(scaling, run, QUANTITY)
    laws = laws[laws["law"] == "power"]
    exact = np.isfinite(own["exact"]).all()
    if exact:
        axes.plot(sizes, own["exact"], color=shade, lw=0.9, zorder=2)
    if not laws.empty:
        law = laws.iloc[0]
        label += f", z = {parentheses(law['exponent'], law['error'])}"
        if exact:
            label += f" (exact {law['reference']:.2f})"
        else:
            fine = np.geomspace(sizes[0], sizes[-1], 50)
            axes.plot(fine, np.exp(law["intercept"]) * fine ** law["exponent"], color=shade, ls="--", lw=0.9, zorder=2)
    looks.points(axes, sizes, own["tau"], own["error"], shade, looks.marker(sampler), label=label, zorder=3)


def _title(run: Series) -> str:
    """A target in words."""
    dimension, components = run["dimension"], run["components"]
    if run["target"] == "spins":
        name = SPINS.get(components, f"O({components}) spins")
        return f"{name}, d = {dimension}, β = {run['beta']:.6g}"
    words = "Gaussian" if run["target"] == "gaussian" else "φ⁴"
    of = "" if components == 1 else f", n = {components}"
    mass = "m = 1/L" if run["mass_times_length"] == 1.0 else run["target_label"]
    return f"{words}, d = {dimension}{of}, {mass}"
