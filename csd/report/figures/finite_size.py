"""Where the lattice cuts ξ off: training at the infinite lattice's critical couplings, and at a mass that is given."""

import re
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
COUPLINGS, LINE, FIXED = r"r.*u", r"mL1$", r"m\d"
"""Labels of masses that are given by couplings, as m = 1/L, and as themselves."""


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Left: ξ/L, exact. Others: training times of one and two layers, means of seeds; lines are theory."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, data_set=0)
    table = table[table["architecture"].isin(ARCHITECTURES)]
    critical = table[table["mass_label"].str.match(COUPLINGS)]
    looks.require(critical, "finite_size", "one_layer or two_layer at given couplings")
    dimension, label = critical.groupby(["dimension", "mass_label"])["size"].nunique().idxmax()
    table = table[table["dimension"] == dimension]
    series = [critical[(critical["dimension"] == dimension) & (critical["mass_label"] == label)]]
    sizes = set(series[0]["size"])
    for pattern in (LINE, FIXED):
        other = table[table["mass_label"].str.match(pattern) & table["size"].isin(sizes)]
        if len(other):
            # The one with the most sizes, out of several masses.
            best = (
                other.groupby(["sweep", "mass_label"], sort=False)["size"]
                .nunique()
                .groupby("mass_label")
                .max()
                .idxmax()
            )
            series.append(other[other["mass_label"] == best])
    present = [name for name in ARCHITECTURES if name in set(series[0]["architecture"])]
    figure, panels = plt.subplots(1, 1 + len(present), figsize=(looks.PAGE, 2.9))
    _lengths(panels[0], series, int(dimension), label)
    for axes, architecture in zip(panels[1:], present, strict=True):
        for own in series:
            _times(axes, level, scaling, own[own["architecture"] == architecture], style.noise_level)
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


def _lengths(axes: Axes, series: Sequence[pd.DataFrame], dimension: int, label: str) -> None:
    """ξ/L of each series, and what it tends to at the critical point."""
    for own in series:
        own = own.drop_duplicates("size").sort_values("size")
        shown = own["mass_label"].iloc[0]
        ratio = 1.0 / (own["mass"].to_numpy() * own["size"].to_numpy())
        axes.plot(own["size"], ratio, color=_shade(shown), marker=_mark(shown), ms=3.5, mew=0, label=_words(shown))
    bare, quartic = (float(part) for part in label[1:].split("u"))
    if dimension == 3 and np.isclose(bare, -quartic * WATSON, rtol=1e-9):
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
    axes.set_title(f"correlation length, d = {dimension}")
    axes.legend(loc="best", handlelength=1.2, labelspacing=0.3)


def _times(axes: Axes, level: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame, noise_level: float) -> None:
    """Training times of one network at one kind of mass."""
    if own.empty:
        return
    own = own.sort_values("size")
    label = own["mass_label"].iloc[0]
    chosen = level.isel(run=own.index.to_numpy())
    mean, error = mean_over_seeds(chosen["crossing_time"].values, ran=looks.seeds_run(chosen))
    predicted, _ = mean_over_seeds(chosen["predicted_crossing_time"].values)
    axes.plot(own["size"], predicted, color=_shade(label), zorder=1)
    law = _law(scaling, own.iloc[0], noise_level)
    axes.errorbar(own["size"], mean, error, fmt=_mark(label), color=_shade(label), mew=0, label=law)


def _law(scaling: pd.DataFrame, run: pd.Series, noise_level: float) -> str | None:
    """The fitted exponent in words: of the nested law for two layers that slow down, else of a power law."""
    nested = run["architecture"] == "two_layer" and not re.match(FIXED, run["mass_label"])
    rows = scaling[
        (scaling["study"] == run["sweep"])
        & (scaling["architecture"] == run["architecture"])
        & (scaling["mass"] == run["mass_label"])
        & (scaling["data"] == run["data"])
        & (scaling["noise_level"] == noise_level)
        & (scaling["quantity"] == "training_time")
        & (scaling["law"] == ("boxcox" if nested else "power"))
    ]
    if rows.empty:
        return None
    row = rows.iloc[0]
    error = total_error(row) if nested else row["error"]
    if not np.isfinite(error):
        return None
    exponent = parentheses(float(row["exponent"]), float(error))
    return f"nested law, z = {exponent}" if nested else f"$L^{{{exponent}}}$"


def _kind(label: str) -> str:
    """Which of the three ways of giving a mass a label stands for."""
    return next(pattern for pattern in (COUPLINGS, LINE, FIXED) if re.match(pattern, label))


def _mark(label: str) -> str:
    return {COUPLINGS: "o", LINE: "s", FIXED: "D"}[_kind(label)]


def _shade(label: str) -> str:
    return dict(zip((COUPLINGS, LINE, FIXED), (*looks.NO_ARCHITECTURE[:2], "0.45"), strict=True))[_kind(label)]


def _words(label: str) -> str:
    """A label of a mass for a legend."""
    return {COUPLINGS: "critical couplings", LINE: "m = 1/L", FIXED: f"m = {label[1:]}"}[_kind(label)]
