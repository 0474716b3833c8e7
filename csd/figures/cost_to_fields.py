"""What n independent fields cost against size: every sampler, and diffusion models from training on."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.config import FigureStyle
from csd.figures import style as looks

UNITS = {"updates": "field updates", "seconds": "seconds, one core"}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points at the sizes measured, with errors; lines to guide the eye, broken for diffusion models."""
    table = summary[["method", "kind", "dimension", "size"]].to_dataframe()
    grown = table.groupby(["method", "dimension"])["size"].transform("nunique") >= 3
    table = table[grown]
    both = table.groupby("dimension")["kind"].transform("nunique") == 2
    table = looks.require(table[both], "cost_to_fields", "samplers and networks, each at three sizes of one dimension")
    rows = [(dimension, unit) for dimension in sorted(table["dimension"].unique()) for unit in UNITS]
    counts = summary["fields"].values
    figure, grid = plt.subplots(
        len(rows), len(counts), figsize=(looks.PAGE, 0.8 + 1.75 * len(rows)), sharey="row", sharex="row", squeeze=False
    )
    for panels, (dimension, unit) in zip(grid, rows, strict=True):
        here = table[table["dimension"] == dimension]
        for axes, count in zip(panels, counts, strict=True):
            for (method, kind), own in here.groupby(["method", "kind"], sort=False):
                own = own.sort_values("size")
                chosen = summary.isel(run=own.index.to_numpy()).sel(fields=count)
                axes.errorbar(
                    own["size"],
                    chosen[unit].values,
                    chosen[f"{unit}_error"].values,
                    fmt=looks.marker(method),
                    ms=3.0,
                    mew=0,
                    lw=0.9,
                    ls="-" if kind == "Monte Carlo" else looks.DASHED,
                    elinewidth=0.7,
                    color=looks.colour(method),
                )
            axes.set_yscale("log")
            looks.size_axis(axes, list(here["size"].unique()))
            exponent = len(str(int(count))) - 1
            axes.set_title(f"d = {dimension}, " + ("one field" if count == 1 else f"$10^{exponent}$ fields"))
            axes.set_xlabel("size L")
        panels[0].set_ylabel(UNITS[unit])
    methods = dict(zip(table["method"], table["kind"], strict=True))
    entries = [
        Line2D(
            [],
            [],
            color=looks.colour(method),
            marker=looks.marker(method),
            ms=4,
            mew=0,
            ls="-" if kind == "Monte Carlo" else looks.DASHED,
            label=looks.name(method) + ("" if kind == "Monte Carlo" else ", diffusion"),
        )
        for method, kind in methods.items()
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=4)
    return figure
