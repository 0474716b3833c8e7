"""How much better spins are known from the whole field than from a box, beside the theory of two phases."""

from collections.abc import Iterable

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.score_gap import colour_of, panel_title, shown_runs
from csd.study.rounding import parentheses
from csd.study.summaries.columns import Run

SUMMARY = "phases"
NEEDS = "the key phases, with a target at finite n: with components, or beta"
COLUMNS = 3
POINTS = 200
"""Of a line of theory."""


def of_spins_or_phi4(runs: Iterable[Run]) -> list[Run]:
    """The runs whose gaps are by Monte Carlo."""
    return [run for run in runs if run["components"]]


WANTED = of_spins_or_phi4


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: Δ with errors, by range, a panel a target. Lines, for Ising spins below T_c: two phases."""
    about = shown_runs(summary)
    about = series.require(about[about["components"] > 0], "box_gap", NEEDS)
    about = about.sort_values(["target", "dimension", "beta"], ascending=[True, True, False], kind="stable")
    columns = min(COLUMNS, len(about))
    rows = -(-len(about) // columns)
    figure, grid = looks.subplots(rows, columns, height=2.4 * rows + 0.5, squeeze=False)
    ranges, pulls, times = set[int](), list[float](), []
    for axes, (place, row) in zip(grid.flat, about.iterrows(), strict=False):
        run = summary.isel(run=int(place)).dropna("range", how="all", subset=["mmse_difference"])
        run = run.dropna("noise_level", how="all", subset=["mmse_difference"])
        for reach in run["range"].values:
            at, shade = run.sel(range=reach), colour_of(int(reach))
            axes.errorbar(
                at["noise_level"], at["mmse_difference"], at["mmse_difference_error"], color=shade, **_look(row)
            )
            ranges.add(int(reach))
            pulls += _theory(axes, run, row, int(reach), shade)
        axes.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        axes.set(title=panel_title(row), xlabel="noise level t")
        if (words := _box_levels(run)) and row["target"] == "spins":
            times.append(f"{words} for {panel_title(row, ', ')}")
    for axes in grid.flat[len(about) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("E Var(x₀|box) − E Var(x₀|all)")
    keys = [looks.key(f"R = {reach}", color=colour_of(reach), marker="o", lw=0) for reach in sorted(ranges)]
    if pulls:
        keys.append(looks.key("two phases", lw=0.9))
    looks.legend_below(figure, keys, 6)
    scatter = f"{np.sqrt(np.mean(np.square(pulls))):.2g}" if pulls else ""
    return figure, {"scatter": scatter, "count": len(pulls), "times": times}


def _look(row: DataFrame) -> looks.Look:
    """Of measured points; where there is no theory, thin lines join them."""
    return {"marker": "o", "ms": 3, "elinewidth": 0.8, "lw": 0 if _is_ordered(row) else 0.6, "zorder": 3}


def _is_ordered(row: DataFrame) -> bool:
    """Whether a run is of Ising spins on the square lattice below T_c."""
    from csd.locality.ordered import CRITICAL

    return bool(row["target"] == "spins" and (row["dimension"], row["components"]) == (2, 1) and row["beta"] > CRITICAL)


def _theory(axes: Axes, run: Dataset, row: DataFrame, reach: int, shade: str) -> list[float]:
    """Draw the theory of two phases where there is one; how far measured values are from it, in their errors."""
    from csd.locality.ordered import ordered_difference
    from csd.targets.noising import schedule_of

    if not _is_ordered(row):
        return []
    schedule = schedule_of(str(row["schedule"]))
    beta, box, sites = float(row["beta"]), (2 * reach + 1) ** 2, int(row["size"]) ** 2

    def theory(levels: np.ndarray) -> np.ndarray:
        return ordered_difference(beta, schedule.signal(levels), schedule.variance(levels), box, sites)

    levels = run["noise_level"].values
    fine = np.linspace(levels.min(), levels.max(), POINTS)
    axes.plot(fine, theory(fine), color=shade, lw=0.9, zorder=1)
    off = run["mmse_difference"].sel(range=reach).values - theory(levels)
    return list(off / run["mmse_difference_error"].sel(range=reach).values)


def _box_levels(run: Dataset) -> str:
    """The noise levels at which boxes know half of their mean, in words."""
    if "box_level" not in run:
        return ""
    found = zip(run["range"].values, run["box_level"].values, run["box_level_error"].values, strict=True)
    return ", ".join(f"{parentheses(t, e)} at R = {reach}" for reach, t, e in found if np.isfinite(t) and e > 0.0)
