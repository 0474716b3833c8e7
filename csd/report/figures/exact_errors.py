"""Errors against exact scores, of all modes and of the zero mode, against training step."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted, is_scored
from csd.study.rounding import parentheses

SUMMARY = "training"
NEEDS = "a sweep without generation that has scores"
WANTED = Wanted(
    critical=False,
    data_sets=None,
    kernel=False,
    options=("target", "conditioned", "path"),
    having=is_scored,
)
MEASURES = {"exact_score_error": "all modes", "zero_mode_error": "zero mode"}


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds with standard errors, a row a sweep at its largest size; lines join them."""
    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "exact_errors", NEEDS)
    first = level["exact_score_error"].isel(run=table.index, step=0).transpose("run", "seed").values
    table = table[np.isfinite(first).any(axis=1)]
    table = series.require(table, "exact_errors", NEEDS)
    table = table[table["size"] == table.groupby("sweep")["size"].transform("max")]
    # Of an architecture with several options the first is shown, as all have its colour.
    table = table.assign(series=table["network"].map(looks.name)).drop_duplicates(["sweep", "architecture_name"])
    place = table.apply(lambda run: f"{run['sweep']}: d = {run['dimension']}, L = {run['size']}", axis=1)
    table = table.assign(panel=place)
    parts = []
    for name, words in MEASURES.items():
        found = series.learning_curves(level, table, name).rename(columns={name: "value"})
        parts.append(found.assign(measure=words))
    curves = series.joined(*parts)
    rows = table["panel"].nunique()
    # Errors that come out below 0 have no place on a logarithmic axis.
    shown = curves.assign(value=curves["value"].where(curves["value"] > 0.0))
    facets: looks.Look = {"row": "panel", "col": "measure", "sharex": False, "sharey": False}
    grid = looks.panels(shown, hue="series", height=2.2 * rows + 0.7, **facets)
    grid.set(xscale="log", yscale="log")
    looks.onto(grid, looks.curve, "step", "value", lw=0.8)
    looks.onto(grid, looks.points, "step", "value", "error", ms=3)
    floors = _floors(level, table)
    for (panel, words), axes in grid.axes_dict.items():
        axes.set_title(f"{panel}\n{words}" if words == MEASURES["exact_score_error"] else f"\n{words}")
        if words == MEASURES["exact_score_error"] and panel in floors:
            axes.axhline(floors[panel], color=looks.GREY, lw=0.8, zorder=0)
    for axes in grid.axes.flat:
        axes.set(xlabel="training step (steps)", ylabel="")
    for axes in grid.axes[:, 0]:
        axes.set_ylabel("relative score error ε")
    keys = [*looks.hue_keys(grid), looks.key("best linear score", color=looks.GREY, lw=0.8)]
    looks.legend_below(grid.figure, keys)
    return grid.figure, {"ends": [_told(own, floors) for _, own in curves.groupby("panel", sort=False)]}


def _floors(level: Dataset, table: DataFrame) -> dict[str, float]:
    """ε of the best linear score of each panel, where it is known and not 0."""
    if "linear_score_error" not in level:
        return {}
    found = {panel: float(level["linear_score_error"].values[own.index[0]]) for panel, own in table.groupby("panel")}
    return {panel: value for panel, value in found.items() if value > 0.0}


def _told(own: DataFrame, floors: dict[str, float]) -> str:
    """What the networks of a panel end with, and ε over that of the best linear score."""
    panel, words = own["panel"].iloc[0], []
    for name, one in own.dropna(subset="value").groupby("series", sort=False):
        last = {measure: of.iloc[-1] for measure, of in one.groupby("measure", sort=False)}
        all_modes, zero_mode = (last[measure] for measure in MEASURES.values())
        ratio = f" (ρ = {all_modes['value'] / floors[panel]:.3g})" if panel in floors else ""
        both = [parentheses(at["value"], at["error"]) for at in (all_modes, zero_mode)]
        words.append(f"{name} {both[0]}{ratio}, {both[1]} at k = 0".replace(" -", " −"))
    return f"{panel}: {'; '.join(words)}"
