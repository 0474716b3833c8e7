"""Where the lattice cuts ξ off: training at the infinite lattice's critical couplings, and at a mass that is given."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.core.rounding import parentheses
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds, total_error
from csd.targets.gaussian import WATSON, critical_ratio

ARCHITECTURES = ("one_layer", "two_layer")
COUPLINGS, LINE, FIXED = "critical couplings", "m = 1/L", "m = {:.12g}"
"""Masses that are given by couplings, as m = 1/L, and as themselves; in words."""
MARKS = {COUPLINGS: "o", LINE: "s", FIXED: "D"}
SHADES = {COUPLINGS: looks.NO_ARCHITECTURE[0], LINE: looks.NO_ARCHITECTURE[1], FIXED: "0.45"}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Left: ξ/L, exact. Others: training times of one and two layers, means of seeds; lines are theory."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, data_set=0)
    table = table[table["architecture_name"].isin(ARCHITECTURES)]
    table = table.assign(given=_given(table))
    critical = table[table["given"] == COUPLINGS]
    looks.require(critical, "finite_size", "one_layer or two_layer at given couplings")
    dimension, r0, u = critical.groupby(["dimension", "r0", "u"])["size"].nunique().idxmax()
    table = table[table["dimension"] == dimension]
    critical = critical[(critical["dimension"] == dimension) & (critical["r0"] == r0) & (critical["u"] == u)]
    series, sizes = [critical], set(critical["size"])
    line = table[(table["given"] == LINE) & table["size"].isin(sizes)]
    fixed = table[(table["given"] == FIXED) & table["size"].isin(sizes)]
    if len(fixed):
        # The one with the most sizes, out of several masses.
        counts = fixed.groupby(["sweep", "mass"])["size"].nunique().groupby("mass").max()
        fixed = fixed[fixed["mass"] == counts.idxmax()]
    series += [own for own in (line, fixed) if len(own)]
    present = [name for name in ARCHITECTURES if name in set(critical["architecture_name"])]
    figure, panels = plt.subplots(1, 1 + len(present), figsize=(looks.PAGE, 2.9))
    _lengths(panels[0], series)
    for axes, architecture in zip(panels[1:], present, strict=True):
        for own in series:
            _times(axes, level, scaling, own[own["architecture_name"] == architecture], style.noise_level)
        axes.set_yscale("log" if architecture == "one_layer" else "linear")
        looks.size_axis(axes, sorted(sizes))
        axes.set_title(f"{looks.name(architecture)}, t = {style.noise_level:g}")
        # Three sizes leave z without an error, and no law to name.
        if axes.get_legend_handles_labels()[0]:
            # Above the panel, where no point lies.
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), handlelength=1.2, labelspacing=0.3)
    panels[1].set_ylabel("training time τ (steps)")
    figure.legend(handles=looks.kinds(), loc="outside lower center", ncols=2)
    return figure


def _given(table: pd.DataFrame) -> list[str | None]:
    """In which of the three ways the mass of each run is given; None for another line m = c/L."""
    ways = zip(table["r0"].notna(), table["mass_times_length"] == 1.0, table["mass_times_length"].isna(), strict=True)
    return [
        COUPLINGS if coupled else LINE if on_line else FIXED if itself else None for coupled, on_line, itself in ways
    ]


def _lengths(axes: Axes, series: Sequence[pd.DataFrame]) -> None:
    """ξ/L of each series, and what it tends to at the critical point."""
    for own in series:
        own = own.drop_duplicates("size").sort_values("size")
        given = own["given"].iloc[0]
        ratio = 1.0 / (own["mass"].to_numpy() * own["size"].to_numpy())
        axes.plot(
            own["size"],
            ratio,
            color=SHADES[given],
            marker=MARKS[given],
            ms=3.5,
            mew=0,
            label=given.format(own["mass"].iloc[0]),
        )
    first = series[0].iloc[0]
    if first["dimension"] == 3 and np.isclose(first["r0"], -first["u"] * WATSON, rtol=1e-9):
        limit = critical_ratio()
        axes.axhline(limit, color="0.4", lw=0.8, ls=looks.DASHED, zorder=0)
        axes.text(
            0.98, 1.02 * limit, f"limit {limit:.4f}", transform=axes.get_yaxis_transform(), ha="right", va="bottom"
        )
    axes.set_yscale("log", base=2)
    # Not so narrow that the eye takes corrections for growth.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.35), max(high, 1.15))
    axes.yaxis.set_major_formatter("{x:g}")
    looks.size_axis(axes, sorted(set(series[0]["size"])))
    axes.set_ylabel("ξ / L")
    axes.set_title(f"correlation length, d = {first['dimension']}")
    axes.legend(loc="best", handlelength=1.2, labelspacing=0.3)


def _times(axes: Axes, level: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame, noise_level: float) -> None:
    """Training times of one network at one kind of mass."""
    if own.empty:
        return
    own = own.sort_values("size")
    given = own["given"].iloc[0]
    chosen = level.isel(run=own.index.to_numpy())
    mean, error = mean_over_seeds(chosen["crossing_time"].values, ran=looks.seeds_run(chosen))
    predicted, _ = mean_over_seeds(chosen["predicted_crossing_time"].values)
    axes.plot(own["size"], predicted, color=SHADES[given], zorder=1)
    law = _law(scaling, own.iloc[0], noise_level)
    axes.errorbar(own["size"], mean, error, fmt=MARKS[given], color=SHADES[given], mew=0, label=law)


def _law(scaling: pd.DataFrame, run: pd.Series, noise_level: float) -> str | None:
    """The fitted exponent in words: of the nested law for two layers that slow down, else of a power law."""
    nested = run["architecture_name"] == "two_layer" and run["given"] != FIXED
    rows = looks.laws_of(scaling, run, "training_time", noise_level)
    rows = rows[rows["law"] == ("boxcox" if nested else "power")]
    if rows.empty:
        return None
    row = rows.iloc[0]
    error = total_error(row) if nested else row["error"]
    if not np.isfinite(error):
        return None
    exponent = parentheses(float(row["exponent"]), float(error))
    return f"nested law, z = {exponent}" if nested else f"$L^{{{exponent}}}$"
