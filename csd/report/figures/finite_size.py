"""Where the lattice cuts ξ off: training at the infinite lattice's critical couplings, and at a mass that is given."""

from collections.abc import Sequence

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Series, Study
from csd.study.rounding import parentheses
from csd.study.seeds import total_error
from csd.targets.gaussian import WATSON, critical_ratio

SUMMARY = "training"
NEEDS = "one_layer or two_layer at given couplings"
ARCHITECTURES = ("one_layer", "two_layer")
COUPLINGS, LINE, FIXED = "critical couplings", "m = 1/L", "m = {:.12g}"
"""Masses that are given by couplings, as m = 1/L, and as themselves; in words."""
MARKS = {COUPLINGS: "o", LINE: "s", FIXED: "D"}
SHADES = {COUPLINGS: looks.NO_ARCHITECTURE[0], LINE: looks.NO_ARCHITECTURE[1], FIXED: "0.45"}


def shows(study: Study) -> bool:
    """Whether one or two layers are trained at couplings."""
    return any(sweep.couplings is not None for sweep in sweeps_in(study, SUMMARY, *ARCHITECTURES))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Left: ξ/L, exact. Others: training times of one and two layers, means of seeds; lines are theory."""
    level = series.at_level(summary, style.noise_level)
    table = series.runs(level, data_set=0, architecture_name=ARCHITECTURES)
    table = table.assign(given=_given(table))
    critical = series.require(table[table["given"] == COUPLINGS], "finite_size", NEEDS)
    dimension, r0, u = critical.groupby(["dimension", "r0", "u"])["size"].nunique().idxmax()
    table = table[table["dimension"] == dimension]
    critical = critical[(critical["dimension"] == dimension) & (critical["r0"] == r0) & (critical["u"] == u)]
    sizes = sorted(set(critical["size"]))
    line, fixed = (table[(table["given"] == given) & table["size"].isin(sizes)] for given in (LINE, FIXED))
    if len(fixed):
        # The one with the most sizes, out of several masses.
        counts = fixed.groupby(["sweep", "mass"])["size"].nunique().groupby("mass").max()
        fixed = fixed[fixed["mass"] == counts.idxmax()]
    given = [own for own in (critical, line, fixed) if len(own)]
    present = [name for name in ARCHITECTURES if name in set(critical["architecture_name"])]
    figure, panels = looks.subplots(1, 1 + len(present), height=2.9)
    _lengths(panels[0], given)
    for axes, architecture in zip(panels[1:], present, strict=True):
        for own in given:
            _times(axes, level, scaling, own[own["architecture_name"] == architecture], style.noise_level)
        axes.set_yscale("log" if architecture == "one_layer" else "linear")
        looks.size_axis(axes, sizes)
        axes.set_title(f"{looks.name(architecture)}, t = {style.noise_level:g}")
        # Three sizes leave z without an error, and no law to name.
        if axes.get_legend_handles_labels()[0]:
            # Above the panel, where no point lies.
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), handlelength=1.2, labelspacing=0.3)
    panels[1].set_ylabel("training time τ (steps)")
    figure.legend(handles=looks.kinds(), loc="outside lower center", ncols=2)
    return figure


def _given(table: DataFrame) -> list[str | None]:
    """In which of the three ways the mass of each run is given; None for another line m = c/L."""
    ways = zip(table["r0"].notna(), table["mass_times_length"] == 1.0, table["mass_times_length"].isna(), strict=True)
    return [
        COUPLINGS if coupled else LINE if on_line else FIXED if itself else None for coupled, on_line, itself in ways
    ]


def _lengths(axes: Axes, given: Sequence[DataFrame]) -> None:
    """ξ/L of each way, and what it tends to at the critical point."""
    for own in given:
        own = own.drop_duplicates("size").sort_values("size")
        way, mass = own["given"].iloc[0], own["mass"].to_numpy()
        look: looks.Look = {
            "color": SHADES[way],
            "marker": MARKS[way],
            "ms": 3.5,
            "mew": 0,
            "label": way.format(mass[0]),
        }
        axes.plot(own["size"], 1.0 / (mass * own["size"].to_numpy()), **look)
    first = given[0].iloc[0]
    if first["dimension"] == 3 and np.isclose(first["r0"], -first["u"] * WATSON, rtol=1e-9):
        limit = critical_ratio()
        axes.axhline(limit, color="0.4", lw=0.8, ls=looks.DASHED, zorder=0)
        place: looks.Look = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axes.text(0.98, 1.02 * limit, f"limit {limit:.4f}", **place)
    axes.set_yscale("log", base=2)
    # Not so narrow that the eye takes corrections for growth.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.35), max(high, 1.15))
    axes.yaxis.set_major_formatter("{x:g}")
    looks.size_axis(axes, list(given[0]["size"]))
    axes.set(ylabel="ξ / L", title=f"correlation length, d = {first['dimension']}")
    axes.legend(loc="best", handlelength=1.2, labelspacing=0.3)


def _times(axes: Axes, level: Dataset, scaling: DataFrame, own: DataFrame, noise_level: float) -> None:
    """Training times of one network at one kind of mass."""
    if own.empty:
        return
    own = own.sort_values("size")
    shade, mark = (look[own["given"].iloc[0]] for look in (SHADES, MARKS))
    mean, error, predicted = series.mean_times(level, own, "crossing_time")
    axes.plot(own["size"], predicted, color=shade, zorder=1)
    looks.points(axes, own["size"], mean, error, shade, mark, label=_law(scaling, own.iloc[0], noise_level))


def _law(scaling: DataFrame, run: Series, noise_level: float) -> str | None:
    """The fitted exponent in words: of the nested law for two layers that slow down, else of a power law."""
    nested = run["architecture_name"] == "two_layer" and run["given"] != FIXED
    rows = series.laws_of(scaling, run, "training_time", noise_level)
    for _, row in rows[rows["law"] == ("boxcox" if nested else "power")].iterrows():
        error = total_error(row) if nested else row["error"]
        if np.isfinite(error):
            exponent = parentheses(float(row["exponent"]), float(error))
            return f"nested law, z = {exponent}" if nested else f"$L^{{{exponent}}}$"
    return None
