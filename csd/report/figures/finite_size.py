"""Where the lattice cuts ξ off: training at the infinite lattice's critical couplings, and at a mass that is given."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.targets.gaussian import WATSON, critical_ratio

SUMMARY = "training"
NEEDS = "one_layer or two_layer at given couplings"
ARCHITECTURES = ("one_layer", "two_layer")
COUPLINGS, LINE = "critical couplings", "m = 1/L"
LENGTH = "correlation length"
WANTED = Wanted(ARCHITECTURES, critical=False, having=lambda run: not np.isnan(run["r0"]))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Left: ξ/L, exact. Others: training times of one and two layers, means of seeds; lines are theory."""
    level = series.at_level(summary, style.noise_level)
    table = _compared(series.require(series.runs(level, WANTED), "finite_size", NEEDS))
    times = series.with_times(level, table, "crossing_time").assign(panel=table["network"].map(looks.name))
    length = 1.0 / (times["mass"] * times["size"])
    lengths = times.assign(panel=LENGTH, time=length, theory=length, error=0.0).drop_duplicates(["given", "size"])
    shown = series.joined(lengths, times)
    grid = looks.panels(shown, hue="given", col="panel", height=2.9, sharex=False, sharey=False)
    colours = dict(zip(grid.hue_names, looks.COLOURS, strict=False))
    for panel, axes in grid.axes_dict.items():
        looks.size_axis(axes, table["size"])
        looks.scaled(axes, shown["time"][shown["panel"] == panel])
    looks.onto(grid, looks.curve, "size", "theory", zorder=1)
    looks.onto(grid, looks.points, "size", "time", "error")
    told = []
    for panel, own in times.groupby("panel", sort=False):
        ends, words = [], []
        for way, runs in own.groupby("given", sort=False):
            laws = series.laws_of(scaling, runs.iloc[0], "training_time", style.noise_level)
            # Times that do not grow, as at a fixed mass, have no z of the nested law.
            law = series.law(laws if runs["mass"].nunique() > 1 else laws[laws["law"] == "power"], runs["size"])
            if law is not None:
                ends.append((runs["theory"].iloc[-1], law.label, colours[way]))
                words.append(f"{law.label} at {way}")
        looks.end_labels(grid.axes_dict[panel], ends)
        told += [f"{panel} {', '.join(words)}"] if words else []
    first, (left, right, *_) = table.iloc[0], grid.axes.flat
    if first["dimension"] == 3 and np.isclose(first["r0"], -first["u"] * WATSON, rtol=1e-9):
        left.axhline(critical_ratio(), color=looks.GREY, lw=0.8, ls=looks.DASHED, zorder=0)
    grid.set_titles("{col_name}")
    left.set_ylabel("ξ / L")
    right.set_ylabel("training time τ (steps)")
    looks.legend_below(grid.figure, [*looks.hue_keys(grid), *looks.kinds()], 5)
    ends = lengths[lengths["given"] == COUPLINGS].iloc[[0, -1]]
    return grid.figure, {
        "dimension": str(first["dimension"]),
        "lengths": " and ".join(dict.fromkeys(f"{run['time']:.4f} at L = {run['size']}" for _, run in ends.iterrows())),
        "laws": looks.in_caption("; ".join(told)) or "no law is fitted",
    }


def _compared(table: DataFrame) -> DataFrame:
    """Runs at the couplings that have the most sizes, with those at m = 1/L and at one mass: how is in `given`."""
    critical = table[table["r0"].notna()]
    same = ["dimension", "r0", "u"]
    chosen = critical.groupby(same)["size"].nunique().idxmax()
    critical = critical[(critical[same] == list(chosen)).all(axis=1)]
    alike = (table["dimension"] == chosen[0]) & table["size"].isin(critical["size"])
    table = table[alike & table["architecture_name"].isin(critical["architecture_name"])]
    fixed = table[table["r0"].isna() & table["mass_times_length"].isna()]
    if len(fixed):
        # Of several masses, that with the most sizes.
        mass = fixed.groupby("mass")["size"].nunique().idxmax()
        fixed = fixed[fixed["mass"] == mass].assign(given=f"m = {mass:.12g}")
    line = table[table["mass_times_length"] == 1.0].assign(given=LINE)
    from pandas import concat

    return concat([critical.assign(given=COUPLINGS), line, fixed]).sort_values("architecture_name", kind="stable")
