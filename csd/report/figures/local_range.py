"""What a finite range costs the samples: χ and ξ against range, and the noise levels where soft modes are lost."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle

SHOWN = "local_one_layer"
QUANTITIES = (("susceptibility", "χ"), ("correlation_length", "ξ"))


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Lines: best network of each range. Points: trained and sampled, where the samples of every seed have a value."""
    table = looks.generation_runs(summary)
    table = table[table["architecture_name"] == SHOWN]
    table = looks.require(table, "local_range", f"generation with {SHOWN} on the critical line")
    # One sweep, so that all have the same grid and integrator.
    counts = table.groupby(["sweep", "size"])["network"].transform("nunique")
    table = table[counts == counts.max()]
    table = table[(table["size"] == table["size"].max()) & (table["sweep"] == table["sweep"].iloc[-1])]
    # Ranges that follow the score length come after the fixed ones.
    table = table.assign(follows=table["fixed_range"] == 0).sort_values(["follows", "fixed_range", "range_factor"])
    figure, panels = plt.subplots(1, 3, figsize=(looks.PAGE, 2.9), width_ratios=(1, 1, 1.1))
    for axes, (name, symbol) in zip(panels, QUANTITIES, strict=False):
        _bias(axes, summary, table, name, symbol)
    _on_the_way(panels[2], summary, table)
    row = table.iloc[0]
    panels[0].set_title(f"d = {row['dimension']}, L = {row['size']}")
    kinds = [
        Line2D([], [], color="0.3", lw=1.1, label="best network of the range"),
        Line2D([], [], color="0.3", lw=0, marker="o", ms=4, label="trained and sampled, mean of seeds"),
    ]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _bias(axes: Axes, summary: xr.Dataset, table: pd.DataFrame, name: str, symbol: str) -> None:
    """An observable over that of the exact score on the same grid, a place a range."""
    chosen = summary.isel(run=table.index.to_numpy())
    exact = chosen[f"exact_score_{name}"].values
    places = np.arange(len(table))
    shade = looks.colour(SHOWN)
    fixed = ~table["follows"].to_numpy()
    best = chosen[f"best_{name}"].values / exact
    for group in (fixed, ~fixed):
        axes.plot(places[group], best[group], color=shade)
    mean, error = looks.of_samples(chosen, name)
    axes.errorbar(places, mean / exact, error / exact, fmt=looks.marker(SHOWN), color=shade, mew=0, elinewidth=0.8)
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set_xticks(places, [_words(row) for _, row in table.iterrows()])
    axes.set_xlabel("range R (lattice spacings)")
    axes.set_ylabel(f"{symbol} over that of the exact score")
    axes.set_ylim(bottom=0.0)


def _words(row: pd.Series) -> str:
    """A range as a tick."""
    if row["fixed_range"]:
        return str(row["fixed_range"])
    return "ξₜ" if row["range_factor"] == 1.0 else f"{row['range_factor']:g}ξₜ"


def _on_the_way(axes: Axes, summary: xr.Dataset, table: pd.DataFrame) -> None:
    """Variance of the zero mode over the exact one, at every level along the reverse trajectory; best networks."""
    fixed = table[~table["follows"]]
    shades = looks.shades(SHOWN, len(fixed))
    for shade, (run, row) in zip(shades, fixed.iterrows(), strict=True):
        at = summary.isel(run=run)
        axes.plot(at["noise_level"], at["best_soft_ratio"], color=shade, label=f"R = {_words(row)}")
        axes.axvline(0.5 * np.log1p(row["fixed_range"] ** 2), color=shade, lw=0.7, ls=":")
    for run, row in table[table["follows"]].tail(1).iterrows():
        at = summary.isel(run=run)
        label = f"R = {_words(row)}"
        axes.plot(at["noise_level"], at["best_soft_ratio"], color=looks.colour(SHOWN), ls="-.", label=label)
    at = summary.isel(run=int(table.index[0]))
    axes.plot(at["noise_level"], at["exact_score_soft_ratio"], color="black", ls=looks.DASHED, label="exact score")
    axes.set_yscale("log")
    axes.set_xlim(float(at["noise_level"].max()), 0.0)
    axes.set_xlabel("noise level t (dotted: ξₜ = R)")
    axes.set_ylabel("zero mode, generated / exact variance")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2, labelspacing=0.3)
