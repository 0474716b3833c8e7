"""What a local denoiser loses in each box against noise level: the gap of its score, and where phases are decided."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame as DataFrame
from csd.report.figures.looks import Dataset, Drawing, FigureStyle
from csd.report.figures.wrapped import wrapped

SUMMARY = "phases"
NEEDS = "the key phases, with two noise levels or more"
KINDS = ("gaussian", "two_phase", "spins", "phi4")
"""Targets in the order of panels."""
MOST = 5
"""Ranges of a panel."""
RANGES = dict(
    zip((1, 2, 4, 8, 16, 32), (looks.BLUE, looks.ORANGE, looks.GREEN, looks.RED, looks.PURPLE, looks.SKY), strict=True)
)
"""Colours of ranges."""
LOST = 1e-3
"""Share of the largest value below which a panel ends at large noise levels."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines, or points with errors where they are measured: V (D/2) gap. Dashed lines: t_R of each range, and t_S."""
    about = shown_runs(summary)
    about = about[[_known(summary.isel(run=int(run)))[0].size > 1 for run in about.index]]
    about = series.require(about, "score_gap", NEEDS)
    figure, grid, left = wrapped(len(about), 2.3, 0.6)
    ranges, told = list[int](), []
    for axes, (place, row) in zip(grid, about.iterrows(), strict=True):
        run = summary.isel(run=int(place))
        levels, own = _known(run)
        chosen = _spread(own)
        ranges += chosen
        top = 0.0
        for reach in chosen:
            at = run.sel(range=reach, noise_level=levels)
            density, error = lost_per_box(at, reach)
            top = max(top, float(np.nanmax(density)))
            look: looks.Look = {"color": colour_of(reach), "lw": 1.0}
            if np.isfinite(error).any():
                axes.errorbar(levels, density, error, marker="o", ms=3, elinewidth=0.8, **look | {"lw": 0.6})
            else:
                axes.plot(levels, density, **look)
            if "box_speciation_time" in run and np.isfinite(own_time := float(at["box_speciation_time"])):
                axes.axvline(own_time, color=look["color"], ls=looks.DASHED, lw=0.8)
        if "speciation_time" in run and np.isfinite(run["speciation_time"]):
            latest = float(run["speciation_time"])
            axes.axvline(latest, color=looks.INK, ls=looks.DASHED, lw=0.8)
            earliest = [float(run["box_speciation_time"].sel(range=reach)) for reach in chosen]
            ends = ", ".join(f"{one:.3g} at R = {reach}" for one, reach in zip(earliest, chosen, strict=True))
            told.append(f"{panel_title(row, ', ')}: t_S = {latest:.3g}, t_R = {ends}")
        axes.set(title=panel_title(row), xlabel="noise level t")
        axes.set(xlim=(0.0, _end(run, levels, chosen, top)), ylim=(0.0, 1.08 * top))
    for axes in left:
        axes.set_ylabel("nats lost a box and unit of t")
    keys = [looks.key(f"R = {reach}", color=colour_of(reach)) for reach in sorted(set(ranges))]
    if told:
        keys += [looks.key("t$_R$, in its colour, and t$_S$", ls=looks.DASHED, color=looks.INK)]
    looks.legend_below(figure, keys, 6)
    return figure, {"speciation": told, "measured": _measured(summary, about)}


def shown_runs(summary: Dataset) -> DataFrame:
    """The runs with a score gap, the largest lattice of each target and dimension; columns are those of the summary."""
    columns = [name for name in summary.data_vars if summary[name].dims == ("run",)]
    about = summary[columns].to_dataframe()
    known = np.isfinite(summary["score_gap"].transpose("run", ...).values).any(axis=(1, 2))
    keys = ["target", "target_label", "dimension", *(["components"] if "components" in about else [])]
    order = [*KINDS, *(kind for kind in dict.fromkeys(about["target"]) if kind not in KINDS)]
    about = about[known].assign(place=about["target"].map(order.index))
    about = about.sort_values(["place", "dimension", "size"], kind="stable")
    return about.groupby(keys, sort=False, dropna=False, as_index=False).nth(-1)


def panel_title(row: DataFrame, between: str = "\n") -> str:
    """A run in words: its target, dimension and size."""
    first, _, second = series.target_title(row).partition("\n")
    return f"{first}, L = {row['size']}{between}{second}"


def lost_per_box(run: Dataset, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """(V (D/2) gap, its error or NaN) of a run at a range, by noise level: the path KL's integrand a box."""
    from csd.targets.noising import schedule_of

    levels = run["noise_level"].values
    schedule = schedule_of(str(run["schedule"].values))
    rate = np.array([0.5 * float(schedule.diffusion(level)) for level in levels])
    scale = (2 * reach + 1) ** int(run["dimension"]) * rate
    error = run["score_gap_error"].values if "score_gap_error" in run else np.full(len(levels), np.nan)
    return scale * run["score_gap"].values, scale * error


def colour_of(reach: int) -> str:
    """The colour of a range, the same in all figures of phases."""
    return RANGES.get(reach, looks.OTHERS[reach % len(looks.OTHERS)][0])


def _known(run: Dataset) -> tuple[np.ndarray, list[int]]:
    """Noise levels and ranges at which the gap of a run is known."""
    gap = run["score_gap"].transpose("noise_level", "range")
    known = np.isfinite(gap.values)
    return gap["noise_level"].values[known.any(1)], [int(one) for one in gap["range"].values[known.any(0)]]


def _spread(ranges: list[int]) -> list[int]:
    """At most `MOST` of the ranges: those nearest to powers of two, of which the smallest come first."""
    doubled = [reach for reach in ranges if reach and reach & (reach - 1) == 0]
    return (doubled if len(doubled) > 1 else ranges)[:MOST]


def _end(run: Dataset, levels: np.ndarray, ranges: list[int], top: float) -> float:
    """The noise level from which on all lines are near 0."""
    lines = [lost_per_box(run.sel(range=reach, noise_level=levels), reach)[0] for reach in ranges]
    seen = np.nanmax(lines, axis=0) > LOST * top
    return float(levels[seen].max())


def _measured(summary: Dataset, about: DataFrame) -> bool:
    """Whether some of the runs are by Monte Carlo."""
    return "score_gap_error" in summary and bool(np.isfinite(summary["score_gap_error"].isel(run=about.index)).any())
