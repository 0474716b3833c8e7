"""Spectrum of generated fields over the exact one, after several training steps."""

import numpy as np

from csd.networks import Architecture
from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted

SUMMARY = "generation"
NEEDS = "generation with one_layer and two_layer on the critical line of one dimension"
SHOWN = ("one_layer", "two_layer")
CURVES = 5
WANTED = Wanted(SHOWN, together=True)


def largest_runs(summary: Dataset, figure: str, *, lowest: bool = False) -> DataFrame:
    """The run of each network at its largest size, in the highest dimension or the lowest.

    Raises:
        InputError: if no dimension has both.
    """
    table = series.require(series.runs(summary, WANTED), figure, NEEDS)
    table = series.in_order(table, SHOWN)
    table = table.sort_values("dimension", ascending=not lowest, kind="stable")
    return table.drop_duplicates("network", keep="last").sort_values("place")


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines: exact recursion of the trained kernels, mean over seeds. Points: sampled fields at the last step."""
    table = largest_runs(summary, "generated_spectra")
    spectra = series.joined(*(_spectra(summary.isel(run=run), row["network"]) for run, row in table.iterrows()))
    grid = looks.shaded(spectra, "rank", col="network", height=2.7)
    looks.onto(grid, looks.curve, "length", "generated")
    looks.onto(grid, looks.points, "length", "sampled", "error", ms=3, mec="black", mew=0.4)
    for (_, row), axes in zip(table.iterrows(), grid.axes.flat, strict=True):
        looks.spectrum_axes(axes, looks.title(row))
        ends = spectra[spectra["network"] == row["network"]].groupby("step").tail(1)
        shade = looks.colour(row["network"])
        looks.end_labels(axes, [(end["generated"], f"{end['step']:,} steps", shade) for _, end in ends.iterrows()])
    grid.axes.flat[0].set_ylabel("generated / exact S(k)")
    kinds = looks.kinds("trained kernels, exact recursion", "sampled fields, last step", size=3)
    looks.legend_below(grid.figure, kinds)
    return grid.figure, {"ratios": [_told(own) for _, own in spectra.groupby("network", sort=False)]}


def _spectra(run: Dataset, network: Architecture) -> DataFrame:
    """Ratios of one run at some steps, a row for each step and wavenumber; sampled fields have theirs at the last."""
    steps = run["step"].values
    there = series.steps_of_all_seeds(run)
    there = there[steps[there] > 0]
    last = steps[there[-1]]
    wanted = np.geomspace(last / 300 if last > 1000 else last / 3, last, CURVES)
    chosen = sorted({int(there[np.argmin(np.abs(np.log(steps[there] / step)))]) for step in wanted})
    spectra = []
    for rank, place in enumerate(chosen):
        own = series.spectrum(run, place).assign(network=network, step=steps[place], rank=rank)
        spectra.append(own if place == chosen[-1] else own.assign(sampled=np.nan))
    return series.joined(*spectra)


def _told(own: DataFrame) -> str:
    """The ratios of the softest mode and of the hardest, at the first step that is drawn and at the last."""
    ends = own.sort_values(["step", "length"], kind="stable").groupby("step")["generated"].agg(["first", "last"])
    first, last = (
        f"{series.short(soft)} and {series.short(hard)} after {step:,} steps"
        for step, (soft, hard) in ends.iloc[[0, -1]].T.items()
    )
    return f"{first} and {last} for {looks.name(own['network'].iloc[0])}"
