"""Size transfer: local networks trained at L generate at 2L and 4L; spectra, χ and ξ beside those of the same mass."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.networks import Architecture
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = 2
QUANTITIES = (("susceptibility", "χ", 2), ("correlation_length", "ξ", 1))
"""Observables, their symbols, and the power of L that they grow with on the critical line."""


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Top: spectra over those of the same mass. Bottom: χ and ξ over those of the same mass, against size."""
    table = looks.runs(summary)
    table = table.assign(trained=summary["trained_size"].values[table.index.to_numpy()])
    moved = set(table[table["size"] > table["trained"]]["network"])
    table = looks.require(table[table["network"].isin(moved)], "size_transfer", "generation with transfer")
    table = table[table["dimension"] == table["dimension"].max()]
    table = table[table["trained"] == table["trained"].max()]
    networks = sorted(set(table["network"]), key=looks.order)[:SHOWN]
    figure, panels = plt.subplots(2, SHOWN, figsize=(looks.PAGE, 5.2), squeeze=False)
    for axes, network in zip(panels[0], networks, strict=False):
        _spectra(axes, summary, table[table["network"] == network], network)
    for axes in panels[0][len(networks) :]:
        axes.axis("off")
    panels[0][0].set_ylabel("generated / exact S(k), same mass")
    for axes, (name, symbol, power) in zip(panels[1], QUANTITIES, strict=True):
        _observable(axes, summary, table[table["network"].isin(networks)], networks, name, symbol, power)
    kinds = [
        Line2D([], [], color="0.3", lw=1.1, label="trained kernels, exact recursion"),
        Line2D([], [], color="0.3", lw=0, marker="o", ms=3, label="sampled fields"),
    ]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _last(run: xr.Dataset) -> int:
    """Place of the last step with data for every seed."""
    spectra = run["generated_spectrum"].values[:, :, 0]
    ran = np.isfinite(spectra).any(axis=1)
    return int(np.flatnonzero(np.isfinite(spectra[ran]).all(axis=0))[-1])


def _spectra(axes: Axes, summary: xr.Dataset, own: pd.DataFrame, network: Architecture) -> None:
    """One network at all sizes it generates at."""
    for shade, (run, row) in zip(looks.shades(network, len(own)), own.iterrows(), strict=True):
        at = summary.isel(run=run)
        bins = np.isfinite(at["wavenumber"].values)
        length = np.sqrt(at["wavenumber"].values[bins] ** 2 + float(at["mass"]) ** 2)
        exact = at["exact_spectrum"].values[bins]
        generated, _ = mean_over_seeds(at["generated_spectrum"].values[:, _last(at)], axis=0)
        axes.plot(length, generated[bins] / exact, color=shade)
        spectrum, scatter = mean_over_seeds(at["power_spectrum"].values, axis=0)
        axes.errorbar(
            length,
            spectrum[bins] / exact,
            scatter[bins] / exact,
            fmt=looks.marker(network),
            ms=2.8,
            color=shade,
            mew=0,
            elinewidth=0.7,
            label=f"generated at {row['size']}",
        )
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("sqrt(k² + m²) (inverse lattice spacings)")
    axes.legend(handlelength=1.0, labelspacing=0.25, loc="lower right")
    axes.set_title(f"{looks.name(network)}\ntrained at {own['trained'].iloc[0]}, d = {own['dimension'].iloc[0]}")


def _observable(
    axes: Axes,
    summary: xr.Dataset,
    table: pd.DataFrame,
    networks: list[Architecture],
    name: str,
    symbol: str,
    power: int,
) -> None:
    """χ or ξ of what is generated, over the exact one of the same mass, against size."""
    # One architecture, so one colour: ranges differ in marker and shade.
    for rank, (network, shade) in enumerate(zip(networks, looks.shades(networks[0], len(networks)), strict=True)):
        own = table[table["network"] == network].sort_values("size")
        chosen = summary.isel(run=own.index.to_numpy())
        exact = chosen[f"exact_{name}"].values
        each = [chosen.isel(run=place) for place in range(chosen.sizes["run"])]
        recursion = [mean_over_seeds(run[name].values[:, _last(run)])[0] for run in each]
        axes.plot(own["size"], np.array(recursion) / exact, color=shade)
        mean, error = looks.of_samples(chosen, name)
        axes.errorbar(
            own["size"],
            mean / exact,
            error / exact,
            fmt="oD"[rank],
            color=shade,
            mew=0,
            label=looks.name(network),
            elinewidth=0.8,
        )
    trained, mass = table["trained"].iloc[0], table["mass"].iloc[0]
    sizes = np.geomspace(trained, table["size"].max(), 20)
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    line = (sizes / trained) ** power
    axes.plot(sizes, line, color="0.2", lw=0.9, ls=looks.DASHED, label=f"exact, m = {mass * trained:g} / L")
    axes.set_yscale("log")
    looks.size_axis(axes, sorted(set(table["size"])))
    axes.set_ylabel(f"{symbol} / exact {symbol} of the same mass")
    axes.legend(loc="upper left", handlelength=1.2, labelspacing=0.3)
