"""Histograms of the magnetisation of fields that hybrids generate, beside the exact one."""

from collections.abc import Iterable

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.study.rounding import parentheses
from csd.study.summaries.columns import Run
from csd.study.summaries.observables import of_samples

SUMMARY = "hybrids"
NEEDS = "the key hybrids, with target two_phase"
BINS = 41
"""Of a histogram; odd, so that one is centred at m = 0."""


def of_two_phases(runs: Iterable[Run]) -> list[Run]:
    """The runs whose target has two phases."""
    return [run for run in runs if run["target"] == "two_phase"]


WANTED = of_two_phases


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines: generated fields of all seeds. Grey: exact fields. A column a hybrid, a row a target."""
    about = summary[["hybrid", "target", "target_label", "dimension", "size"]].to_dataframe()
    about = series.require(about[about["target"] == "two_phase"], "hybrid_magnetisation", NEEDS)
    about = about.assign(row=about["target_label"] + about["size"].astype(str))
    names, rows = list(dict.fromkeys(about["hybrid"])), list(dict.fromkeys(about["row"]))
    undecided, positive = (of_samples(summary, f"{name}_fraction") for name in ("undecided", "positive"))
    shape: looks.Look = {"height": 2.0 * len(rows) + 0.5, "squeeze": False, "sharex": True, "sharey": "row"}
    figure, grid = looks.subplots(len(rows), len(names), **shape)
    told = []
    for place, row in about.iterrows():
        run, number = summary.isel(run=int(place)), int(place)
        axes = grid[rows.index(row["row"]), names.index(row["hybrid"])]
        generated, exact = (run[f"{kind}_magnetisation"].values.ravel() for kind in ("sampled", "reference"))
        generated, exact = generated[np.isfinite(generated)], exact[np.isfinite(exact)]
        most = 1.05 * max(np.abs(generated).max(), np.abs(exact).max())
        edges = np.linspace(-most, most, BINS + 1)
        axes.hist(exact, edges, density=True, color="0.8")
        axes.hist(generated, edges, density=True, histtype="step", color=looks.BLUE, lw=1.1)
        lost, likelier = (parentheses(float(own[0][number]), float(own[1][number])) for own in (undecided, positive))
        right = float(run["reference_positive_fraction"])
        axes.set_title(f"{row['hybrid'].replace('-', ' ')}\nundecided {lost}\nP(+) = {likelier}", fontsize="small")
        told.append(f"{row['hybrid'].replace('-', ' ')}: {lost} undecided, P(+) = {likelier} in place of {right:.3g}")
    for axes in grid[-1]:
        axes.set_xlabel("magnetisation m")
    for axes, label in zip(grid[:, 0], rows, strict=True):
        first = about[about["row"] == label].iloc[0]
        right = float(summary["reference_positive_fraction"][int(first.name)])
        axes.set_ylabel(f"probability density\nexact P(+) = {right:.3g}, L = {first['size']}")
    legend = [looks.key("generated", color=looks.BLUE, lw=1.1), looks.key("exact", color="0.8", lw=5)]
    looks.legend_below(figure, legend)
    return figure, {"told": told, "windows": _windows(summary.isel(run=about.drop_duplicates("hybrid").index))}


def _windows(summary: Dataset) -> list[str]:
    """The networks of each hybrid and their windows in words, from the highest noise level down."""
    words = []
    for place in range(summary.sizes["run"]):
        run = summary.isel(run=place)
        parts = zip(run["window_network"].values, run["window_low"].values, run["window_high"].values, strict=True)
        own = [
            f"{name} {'up' if np.isinf(high) else f'to {high:.3g}'} from {low:.3g}"
            for name, low, high in parts
            if isinstance(name, str) and name and np.isfinite(low)
        ]
        words.append(f"{run['hybrid'].item().replace('-', ' ')}: {', '.join(own)}")
    return words
