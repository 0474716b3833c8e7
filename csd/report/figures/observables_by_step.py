"""Observables of generated fields less their reference in standard errors, against the steps of training."""

from typing import Any

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.report.figures.observables import OBSERVABLES as WORDS
from csd.report.figures.observables import sampled_runs, standard_errors
from csd.study.rounding import parentheses
from csd.study.summaries.columns import DATA
from csd.study.summaries.observables import (
    OBSERVABLES,
    RIGHT,
    TimeUntilRight,
    known_steps,
    observables_by_step,
    of_any_length,
    times_until_right_of,
)

SUMMARY = "generation"
NEEDS = "a sweep with generation by networks that learn fields"
WANTED = Wanted(
    critical=False,
    data_sets=None,
    kernel=False,
    options=("target", "conditioned", "path", "max_steps"),
    having=lambda run: run["target"] == DATA,
)
MOST = 300.0
"""Standard errors that are drawn."""
COLUMNS = 3


def compared_runs(summary: Dataset, figure: str) -> DataFrame:
    """The observables of the runs of a figure at every step after the start, with the columns of these runs.

    Args:
        summary: of generation.
        figure: that shows them.

    Returns:
        Rows by network and step, of `observables_by_step`, with the columns of the run, `panel`, `series`, `learned`
        (the target at any size) and `joined`: whether they are of `known_steps`, which lines join.

    Raises:
        InputError: if there are none.
    """
    summary = of_any_length(summary)
    table = sampled_runs(summary, figure, WANTED, NEEDS)
    table = table.assign(rank=range(len(table)), learned=table["panel"].str.rpartition(", L = ")[0])
    found = observables_by_step(summary)
    shown = found[found["step"] > 0].merge(table, left_on="run", right_index=True).sort_values(["rank", "step"])
    shown = series.require(shown.reset_index(drop=True), figure, NEEDS)
    curves = shown.groupby(["series", "panel", "observable"], sort=False)
    joined = {row for _, own in curves for row in known_steps(own).index}
    return shown.assign(joined=shown.index.isin(joined))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: fields. Lines join trainings of several lengths, or are exact. A panel a network at its largest size."""
    shown = compared_runs(summary, "observables_by_step")
    shown = shown[shown["size"] == shown.groupby("learned")["size"].transform("max")]
    shown = shown.assign(title=shown["series"] + "\n" + shown["panel"])
    for column in ("pull", "lowest", "highest"):
        shown[column] = shown[column].clip(-MOST, MOST)
    names = [name for name in OBSERVABLES if name in set(shown["observable"])]
    colours, markers = (dict(zip(names, own, strict=False)) for own in (looks.COLOURS, looks.MARKERS))
    facets: looks.Look = {"hue": "observable", "col": "title", "colours": colours, "markers": markers}
    count = shown["title"].nunique()
    columns = min(COLUMNS, count)
    lines, points = shown[shown["joined"]], shown[shown["sampled"]]
    grid = looks.panels(points, height=2.3 * -(-count // columns) + 0.6, col_wrap=columns, **facets)
    grid.set(xscale="log")
    looks.onto(grid, _seeds, ms=3)
    for title, axes in grid.axes_dict.items():
        for name, own in lines[lines["title"] == title].groupby("observable", sort=False):
            looks.curve(axes, own, "step", "pull", color=colours[name], lw=0.8)
        axes.axhspan(-RIGHT, RIGHT, color="0.9", zorder=0, lw=0)
    low, high = grid.axes.flat[0].get_ylim()
    for axes in grid.axes.flat:
        standard_errors(axes, low, high)
    grid.set_titles("{col_name}")
    grid.set_axis_labels("training step (steps)", "generated − reference\n(standard errors)")
    keys = [looks.key(WORDS[name], color=colours[name], marker=markers[name], lw=0) for name in names]
    looks.legend_below(grid.figure, keys, 5)
    told = [
        f"{' on '.join(title.split(chr(10)))}: {until_right(own)}" for title, own in shown.groupby("title", sort=False)
    ]
    return grid.figure, {"right": [looks.in_caption(one) for one in told], "most": f"{MOST:g}"}


def _seeds(axes: Axes, points: DataFrame, **look: Any) -> None:
    """Root mean squares over seeds with their sign, and bars from the lowest to the highest seed."""
    away = np.abs(points[["lowest", "highest"]].sub(points["pull"], axis=0)).to_numpy().T
    axes.errorbar(points["step"], points["pull"], away, ls="none", elinewidth=0.8, zorder=3, **look)


def in_words(time: TimeUntilRight) -> str:
    """When an observable is right: 'right from step 141(41) on', 'still wrong at step 400', …"""
    return time.remark or f"right from step {parentheses(time.step, time.error)} on"


def until_right(rows: DataFrame) -> str:
    """When observables are right, in words: 'χ right from step 141(41) on, U4 still wrong at step 400'.

    Args:
        rows: of `compared_runs`, of one size.
    """
    words = []
    for (series_name, name), own in rows.groupby(["series", "observable"], sort=False):
        label = WORDS[name] if rows["observable"].nunique() > 1 else series_name
        for time in times_until_right_of(own).values():
            words.append(f"{label} {in_words(time)}")
    return ", ".join(words) or "no network was trained for several lengths"
