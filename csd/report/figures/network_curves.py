"""Learning curves of networks with and without a kernel: the error, or the loss on held-out fields, against step."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted, beyond_theory
from csd.study.rounding import parentheses

SUMMARY = "training"
NEEDS = "a network without a kernel in a sweep without generation"
WANTED = Wanted(
    critical=False,
    data_sets=None,
    kernel=False,
    options=("target", "conditioned"),
    having=beyond_theory,
)
ERROR, EXCESS = "relative score error ε", "held-out loss above\nthe linear score's (%)"
LINEAR = 1.0
"""Percent up to which the axis of losses is linear."""
COLUMNS = 3
"""The most panels side by side."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds with standard errors, a panel a sweep, at its largest size; lines join them."""
    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "network_curves", NEEDS)
    nonlinear = [beyond_theory(run) for run in table.to_dict("records")]
    table = table[table["sweep"].isin(table["sweep"][nonlinear])]
    table = table[table["size"] == table.groupby("sweep")["size"].transform("max")]
    table = table.sort_values(["data_set", "sweep"], kind="stable").assign(series=table["network"].map(looks.name))
    # Of an architecture with several options the first is shown, as all have its colour.
    table = table.drop_duplicates(["sweep", "architecture_name"])
    curves = series.joined(*(_curves(level, own) for _, own in table.groupby("sweep", sort=False)))
    count = curves["panel"].nunique()
    # More than three titles side by side would overlap.
    wrapped: looks.Look = {"col_wrap": COLUMNS} if count > COLUMNS else {}
    height = 2.9 * -(-count // COLUMNS)
    grid = looks.panels(curves, hue="series", col="panel", height=height, sharey=False, sharex=False, **wrapped)
    grid.set(xscale="log")
    looks.onto(grid, looks.curve, "step", "value", lw=0.8)
    looks.onto(grid, looks.points, "step", "value", "error", ms=3)
    for title, axes in grid.axes_dict.items():
        own = curves[curves["panel"] == title]
        axes.set_ylabel(own["measure"].iloc[0])
        if own["measure"].iloc[0] == ERROR:
            axes.set_yscale("log")
            continue
        axes.set_yscale("symlog", linthresh=LINEAR, linscale=1.5)
        axes.axhline(0.0, color=looks.GREY, lw=0.6, zorder=0)
    grid.set_titles("{col_name}")
    for axes in grid.axes.flat:
        axes.set_xlabel("training step (steps)")
    looks.legend_below(grid.figure, looks.hue_keys(grid))
    return grid.figure, {
        "ends": [_told(own) for _, own in curves.groupby("panel", sort=False)],
        "errors": bool((curves["measure"] == ERROR).any()),
        "losses": bool((curves["measure"] == EXCESS).any()),
    }


def _curves(level: Dataset, table: DataFrame) -> DataFrame:
    """The curves of the runs of a sweep, all of the same measure, in the columns `value` and `error`."""
    first = table.iloc[0]
    place = f"d = {first['dimension']}, L = {first['size']}"
    known = [name for name in ("exact_score_error", "held_out_loss") if name in level]
    measured = [name for name in known if np.isfinite(level[name].isel(run=table.index)).any()]
    if measured[:1] != ["held_out_loss"]:
        found = series.learning_curves(level, table, "score_error").rename(columns={"score_error": "value"})
        # Measured errors that come out below 0 have no place on a logarithmic axis.
        found["value"] = found["value"].where(found["value"] > 0.0)
        return found.assign(measure=ERROR, panel=f"{first['sweep']}: {place}")
    found = series.learning_curves(level, table, "held_out_loss")
    linear = level["linear_held_out_loss"].values[found["run"].to_numpy()]
    found = found.assign(value=100.0 * (found["held_out_loss"] / linear - 1.0), error=100.0 * found["error"] / linear)
    return found.assign(measure=EXCESS, panel=f"{first['sweep']}: {place}, M = {first['data_set']:,}")


def _told(own: DataFrame) -> str:
    """What the networks of a panel end with."""
    ends = own.dropna(subset="value").groupby("series", sort=False).tail(1)
    numbers = [parentheses(row["value"], row["error"]).replace("-", "−") for _, row in ends.iterrows()]
    unit = " %" if own["measure"].iloc[0] == EXCESS else ""
    words = [f"{name} {number}{unit}" for name, number in zip(ends["series"], numbers, strict=True)]
    return f"{own['panel'].iloc[0]}: {', '.join(words)}"
