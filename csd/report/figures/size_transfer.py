"""Size transfer: local networks trained at L generate at 2L and 4L; spectra, χ and ξ beside those of the same mass."""

import numpy as np

from csd.networks import Architecture
from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "generation"
NEEDS = "generation with transfer"
SHOWN = 2
QUANTITIES = {"susceptibility": ("χ", 2), "correlation_length": ("ξ", 1)}
"""Observables: their symbols, and the power of L that they grow with on the critical line."""


def shows(study: Study) -> bool:
    """Whether fields are generated on larger lattices."""
    return any(sweep.generation and sweep.generation.transfer for sweep in sweeps_in(study, SUMMARY))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Top: spectra over those of the same mass. Bottom: χ and ξ over those of the same mass, against size."""
    table = series.runs(summary)
    table = table.assign(trained=summary["trained_size"].values[table.index.to_numpy()])
    moved = set(table[table["size"] > table["trained"]]["network"])
    table = series.require(table[table["network"].isin(moved)], "size_transfer", NEEDS)
    table = table[table["dimension"] == table["dimension"].max()]
    table = table[table["trained"] == table["trained"].max()]
    networks = sorted(set(table["network"]), key=looks.order)[:SHOWN]
    table = table[table["network"].isin(networks)]
    figure, panels = looks.subplots(2, SHOWN, height=5.2, squeeze=False)
    for axes, network in zip(panels[0], networks, strict=False):
        _spectra(axes, summary, table[table["network"] == network], network)
    for axes in panels[0][len(networks) :]:
        axes.axis("off")
    panels[0][0].set_ylabel("generated / exact S(k), same mass")
    for axes, name in zip(panels[1], QUANTITIES, strict=True):
        _observable(axes, summary, table, networks, name)
    kinds = looks.kinds("trained kernels, exact recursion", "sampled fields", size=3)
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _last(run: Dataset) -> int:
    """Place of the last step with data for every seed."""
    spectra = run["generated_spectrum"].values[:, :, 0]
    ran = np.isfinite(spectra).any(axis=1)
    return int(np.flatnonzero(np.isfinite(spectra[ran]).all(axis=0))[-1])


def _spectra(axes: Axes, summary: Dataset, own: DataFrame, network: Architecture) -> None:
    """One network at all sizes it generates at."""
    for shade, (run, row) in zip(looks.shades(network, len(own)), own.iterrows(), strict=True):
        at = summary.isel(run=run)
        bins, length = series.inverse_length(at)
        exact = at["exact_spectrum"].values[bins]
        generated, _ = mean_over_seeds(at["generated_spectrum"].values[:, _last(at)], axis=0)
        axes.plot(length, generated[bins] / exact, color=shade)
        spectrum, scatter = mean_over_seeds(at["power_spectrum"].values, axis=0)
        look: looks.Look = {"ms": 2.8, "elinewidth": 0.7, "label": f"generated at {row['size']}"}
        ratio, error = spectrum[bins] / exact, scatter[bins] / exact
        looks.points(axes, length, ratio, error, shade, looks.marker(network), **look)
    trained, dimension = own["trained"].iloc[0], own["dimension"].iloc[0]
    looks.spectrum_axes(axes, f"{looks.name(network)}\ntrained at {trained}, d = {dimension}")
    axes.legend(handlelength=1.0, labelspacing=0.25, loc="lower right")


def _observable(axes: Axes, summary: Dataset, table: DataFrame, networks: list[Architecture], name: str) -> None:
    """χ or ξ of what is generated, over the exact one of the same mass, against size."""
    symbol, power = QUANTITIES[name]
    # One architecture, so one colour: ranges differ in marker and shade.
    shades = looks.shades(networks[0], len(networks))
    for mark, network, shade in zip("oD", networks, shades, strict=False):
        own = table[table["network"] == network].sort_values("size")
        chosen = summary.isel(run=own.index.to_numpy())
        exact = chosen[f"exact_{name}"].values
        each = [chosen.isel(run=place) for place in range(chosen.sizes["run"])]
        recursion = [mean_over_seeds(run[name].values[:, _last(run)])[0] for run in each]
        axes.plot(own["size"], np.array(recursion) / exact, color=shade)
        mean, error = series.of_samples(chosen, name)
        ratios = mean / exact, error / exact
        looks.points(axes, own["size"], *ratios, shade, mark, label=looks.name(network), elinewidth=0.8)
    trained, mass = table["trained"].iloc[0], table["mass"].iloc[0]
    sizes = np.geomspace(trained, table["size"].max(), 20)
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    look: looks.Look = {"color": "0.2", "lw": 0.9, "ls": looks.DASHED, "label": f"exact, m = {mass * trained:g} / L"}
    axes.plot(sizes, (sizes / trained) ** power, **look)
    looks.size_axis(axes, list(table["size"]))
    axes.set(yscale="log", ylabel=f"{symbol} / exact {symbol} of the same mass")
    axes.legend(loc="upper left", handlelength=1.2, labelspacing=0.3)
