"""Training steps until observables of generated fields are right, against size, with the steps that bound them."""

from typing import Any

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.report.figures.observables import OBSERVABLES as WORDS
from csd.report.figures.observables_by_step import compared_runs, in_words
from csd.study.summaries.columns import DATA
from csd.study.summaries.observables import OBSERVABLES, TIME, times_until_right_of

SUMMARY = "generation"
NEEDS = "generation by networks that learn fields at three sizes or more"
WANTED = Wanted(
    critical=False,
    data_sets=None,
    kernel=False,
    options=("target", "conditioned", "path", "max_steps"),
    grown=("sweep", "network"),
    having=lambda run: run["target"] == DATA,
)
COLUMNS = 3
SHIFT = 0.03
"""Shift of a network's points to the right of those of the network before, in units of the size."""

MARGIN = 0.05
"""Free space beside the points, in units of the logarithm that they span; also of panels without points."""
UNKNOWN = "not known to be right:\nerrors are too large"
"""What stands in a panel without points."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: √(n₋ n₊), with bars from n₋ to n₊. Triangles: bounds. Lines: fitted powers. A panel an observable."""
    times = _times(compared_runs(summary, "observable_times"))
    fits = series.fits(times, scaling, TIME, None, "criterion", "series", "panel")
    count = times["panel"].nunique()
    columns = min(COLUMNS, count)
    facets: looks.Look = {"hue": "series", "col": "panel", "col_wrap": columns, "sharex": False}
    grid = looks.panels(series.joined(times, fits), height=2.2 * -(-count // columns) + 0.5, **facets)
    grid.set(yscale="log")
    looks.onto(grid, looks.curve, "size", "fit", lw=0.8)
    looks.onto(grid, _bounded, ms=4)
    smallest, largest = times["size"].min(), times["beside"].max()
    margin = (largest / smallest) ** MARGIN
    for panel, axes in grid.axes_dict.items():
        looks.size_axis(axes, times["size"])
        axes.set_xlim(smallest / margin, largest * margin)
        looks.end_labels(axes, series.law_ends(fits[fits["panel"] == panel]))
        if times[times["panel"] == panel]["after"].isna().all():
            axes.text(0.5, 0.5, UNKNOWN, transform=axes.transAxes, ha="center", va="center", color=looks.GREY)
    for axes in grid._not_bottom_axes:
        axes.set_xlabel("")
    grid.set_titles("{col_name}")
    grid.set_ylabels("training (steps)")
    bounds = [looks.key("bound from below", lw=0, marker="^", mfc="none", mew=0.8)]
    bounds.append(looks.key("bound from above", lw=0, marker="v", mfc="none", mew=0.8))
    looks.legend_below(grid.figure, [*looks.hue_keys(grid), *bounds, looks.key("fit")], 4)
    known = [_told(own) for _, own in times.groupby(["panel", "series"], sort=False)]
    laws = [
        f"{row['panel']} with {row['series']} {row['law']}"
        for _, row in fits.groupby(["panel", "series"]).tail(1).iterrows()
    ]
    return grid.figure, {"times": list(filter(None, known)), "laws": [looks.in_caption(law) for law in laws]}


def _times(shown: DataFrame) -> DataFrame:
    """The steps until each observable is right: a row for each network at three sizes or more, observable and size.

    Raises:
        InputError: if there is no such network.
    """
    import pandas as pd

    rows = []
    several = shown["learned"].nunique() > 1
    for (_, learned), own in shown.groupby(["series", "learned"], sort=False):
        for name in OBSERVABLES:
            curve = own[own["observable"] == name]
            times = times_until_right_of(curve)
            panel = WORDS[name] + f", {learned}" * several
            for size, time in times.items() if len(times) > 2 else ():
                about = {"criterion": name, "panel": panel, "words": in_words(time)}
                about |= {"time": time.step, "before": time.before, "after": time.after}
                rows.append(curve[curve["size"] == size].iloc[0].to_dict() | about)
    columns = [*shown.columns, "criterion", "panel", "words", "time", "before", "after"]
    found = series.require(pd.DataFrame(rows, columns=list(dict.fromkeys(columns))), "observable_times", NEEDS)
    # Networks lie beside each other, so that their bars do not overlap.
    places = list(dict.fromkeys(found["series"]))
    return found.assign(beside=found["size"] * (1.0 + SHIFT * found["series"].map(places.index)))


def _bounded(axes: Axes, times: DataFrame, **look: Any) -> None:
    """Times with bars between the steps that bound them, and open triangles where there is one bound alone.

    Nothing is drawn where errors are too large to say that the observable is right.
    """
    known = times[np.isfinite(times["time"])]
    bars = known["time"] - known["before"], known["after"] - known["time"]
    axes.errorbar(known["beside"], known["time"], bars, ls="none", elinewidth=0.8, zorder=3, **look)
    wrong, right = times["after"] == np.inf, (times["before"] == 0.0) & np.isfinite(times["after"])
    for column, own, marker in (("before", times[wrong], "^"), ("after", times[right], "v")):
        axes.plot(own["beside"], own[column], **look | {"marker": marker, "mfc": "none", "mew": 0.8, "ls": "none"})


def _told(own: DataFrame) -> str:
    """When U4 of one network is right, at the smallest and at the largest size; '' of other observables."""
    if own["criterion"].iloc[0] != "binder":
        return ""
    ends = own.sort_values("size").iloc[[0, -1]]
    words = ", ".join(f"{row['words']} (L = {row['size']})" for _, row in ends.iterrows())
    return looks.in_caption(f"{own['panel'].iloc[0]} with {own['series'].iloc[0]}: {words}")
