"""Size transfer: local networks trained at L generate at 2L and 4L; what is right, and what is not."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.config import FigureStyle
from csd.figures import style as looks

SHOWN = 2


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Left: spectra over those of the same mass. Right: χ beside that of the same mass and of the critical line."""
    table = looks.runs(summary)
    table = table.assign(trained=summary["trained_size"].values[table.index.to_numpy()])
    moved = set(table[table["size"] > table["trained"]]["architecture"])
    table = looks.require(table[table["architecture"].isin(moved)], "size_transfer", "generation with transfer")
    table = table[table["dimension"] == table["dimension"].max()]
    table = table[table["trained"] == table["trained"].max()]
    labels = sorted(set(table["architecture"]))[:SHOWN]
    figure, panels = plt.subplots(1, SHOWN + 1, figsize=(looks.PAGE, 2.9), squeeze=False)
    for axes, label in zip(panels[0], labels, strict=False):
        _spectra(axes, summary, table[table["architecture"] == label], label)
    for axes in panels[0][len(labels) : SHOWN]:
        axes.axis("off")
    panels[0][0].set_ylabel("generated / exact S(k), same mass")
    panels[0][0].legend(handlelength=1.0, labelspacing=0.25, loc="lower right")
    _susceptibility(panels[0][SHOWN], summary, table[table["architecture"].isin(labels)], labels)
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


def _spectra(axes: Axes, summary: xr.Dataset, own: pd.DataFrame, label: str) -> None:
    """One network at all sizes it generates at."""
    for shade, (run, row) in zip(looks.shades(label, len(own)), own.iterrows(), strict=True):
        at = summary.isel(run=run)
        bins = np.isfinite(at["wavenumber"].values)
        length = np.sqrt(at["wavenumber"].values[bins] ** 2 + float(at["mass"]) ** 2)
        exact = at["exact_spectrum"].values[bins]
        generated, _ = looks.mean_and_error(at["generated_spectrum"].values[:, _last(at)], axis=0)
        axes.plot(length, generated[bins] / exact, color=shade)
        spectrum, scatter = looks.mean_and_error(at["power_spectrum"].values, axis=0)
        axes.errorbar(
            length,
            spectrum[bins] / exact,
            scatter[bins] / exact,
            fmt=looks.marker(label),
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
    axes.set_title(f"{looks.name(label)}\ntrained at {own['trained'].iloc[0]}, d = {own['dimension'].iloc[0]}")


def _susceptibility(axes: Axes, summary: xr.Dataset, table: pd.DataFrame, labels: list[str]) -> None:
    """χ of what is generated, against size."""
    for label in labels:
        own = table[table["architecture"] == label]
        chosen = summary.isel(run=own.index.to_numpy())
        mean, scatter = looks.mean_and_error(chosen["sampled_susceptibility"].values)
        error = np.sqrt(np.nansum(chosen["sampled_susceptibility_error"].values ** 2, axis=1))
        error = np.maximum(scatter, error / np.isfinite(chosen["sampled_susceptibility"].values).sum(axis=1))
        places = own["size"].to_numpy() * (1.0 + 0.03 * labels.index(label))
        axes.errorbar(
            places,
            mean,
            error,
            fmt="oD"[labels.index(label)],
            color=looks.colour(label),
            mfc="none" if labels.index(label) else None,
            label=looks.name(label),
            elinewidth=0.8,
        )
    trained, mass = table["trained"].iloc[0], table["mass"].iloc[0]
    sizes = np.geomspace(trained, table["size"].max(), 20)
    same = summary["exact_susceptibility"].values[table.index[0]]
    axes.plot(sizes, np.full_like(sizes, same), color="0.2", lw=0.9, label="exact, same mass")
    line = same * (sizes / trained) ** 2
    axes.plot(sizes, line, color="0.2", lw=0.9, ls=looks.DASHED, label=f"exact, m = {mass * trained:g} / L")
    axes.set_yscale("log")
    looks.size_axis(axes, list(table["size"]))
    axes.set_ylim(top=100.0 * same)
    axes.set_ylabel("susceptibility χ")
    axes.legend(handlelength=1.2, labelspacing=0.25, loc="upper left")
