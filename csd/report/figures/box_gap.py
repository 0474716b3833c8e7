"""How much better spins are known from the whole field than from a box, beside the theory of two phases."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import at_finite_n
from csd.report.figures.score_gap import colour_of, panel_title, shown_runs
from csd.report.figures.wrapped import wrapped
from csd.study.rounding import parentheses

SUMMARY = "phases"
NEEDS = "the key phases, with a target at finite n: with components, or beta"
WANTED = at_finite_n
POINTS = 200
"""Of a line of theory."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: Δ with errors, by range, a panel a target. Lines, for Ising spins below T_c: two phases."""
    from csd.study.summaries.phases.laws import is_ordered

    about = shown_runs(summary)
    about = series.require(about[about["components"] > 0], "box_gap", NEEDS)
    # The ordered phase first.
    order = {"target": True, "dimension": True, "beta": False, "r0": True}
    about = about.sort_values([*order], ascending=[*order.values()], kind="stable")
    figure, grid, left = wrapped(len(about), 2.4, 0.5)
    ranges, pulls, times = set[int](), list[float](), []
    for axes, (place, row) in zip(grid, about.iterrows(), strict=True):
        run = summary.isel(run=int(place)).dropna("range", how="all", subset=["mmse_difference"])
        run = run.dropna("noise_level", how="all", subset=["mmse_difference"])
        ordered = is_ordered(run)
        for reach in run["range"].values:
            at, shade = run.sel(range=reach), colour_of(int(reach))
            # Where there is no theory, thin lines join the points.
            look: looks.Look = {"marker": "o", "ms": 3, "elinewidth": 0.8, "lw": 0 if ordered else 0.6, "zorder": 3}
            axes.errorbar(at["noise_level"], at["mmse_difference"], at["mmse_difference_error"], color=shade, **look)
            ranges.add(int(reach))
            pulls += _theory(axes, run, int(reach), shade) if ordered else []
        axes.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        axes.set(title=panel_title(row), xlabel="noise level t")
        if (words := _box_levels(run)) and row["target"] == "spins":
            times.append(f"{words} for {panel_title(row, ', ')}")
    for axes in left:
        axes.set_ylabel("E Var(x₀|box) − E Var(x₀|all)")
    keys = [looks.key(f"R = {reach}", color=colour_of(reach), marker="o", lw=0) for reach in sorted(ranges)]
    if pulls:
        keys.append(looks.key("two phases", lw=0.9))
    looks.legend_below(figure, keys, 6)
    scatter = f"{np.sqrt(np.mean(np.square(pulls))):.2g}" if pulls else ""
    return figure, {"scatter": scatter, "count": len(pulls), "times": times}


def _theory(axes: Axes, run: Dataset, reach: int, shade: str) -> list[float]:
    """Draw the theory of two phases; how far measured values are from it, in their errors."""
    from csd.study.summaries.phases.laws import ordered_theory

    levels = run["noise_level"].values
    fine = np.linspace(levels.min(), levels.max(), POINTS)
    axes.plot(fine, ordered_theory(run, reach, fine), color=shade, lw=0.9, zorder=1)
    off = run["mmse_difference"].sel(range=reach).values - ordered_theory(run, reach, levels)
    return list(off / run["mmse_difference_error"].sel(range=reach).values)


def _box_levels(run: Dataset) -> str:
    """The noise levels at which boxes know half of their mean, in words."""
    if "box_level" not in run:
        return ""
    found = zip(run["range"].values, run["box_level"].values, run["box_level_error"].values, strict=True)
    return ", ".join(f"{parentheses(t, e)} at R = {reach}" for reach, t, e in found if np.isfinite(t) and e > 0.0)
