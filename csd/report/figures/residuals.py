"""|C K − 1| over wavenumber and step for one and two layers: diffusion from hard to soft modes against a front."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import patheffects
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.networks.linear import START_KERNEL
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle

SHOWN = ("one_layer", "two_layer")
CONTOUR = 0.1


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Colour: root mean square over modes and seeds. Line: where theory has |C K − 1| = 0.1."""
    level = looks.at_level(summary, style.noise_level)
    figure, panels = plt.subplots(1, 2, figsize=(looks.PAGE, 2.7), sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        table = looks.runs(level, architecture_name=architecture, mass_times_length=1.0, data_set=0)
        table = looks.require(table, "residuals", f"{architecture} on the critical line")
        table = table[table["dimension"] == table["dimension"].min()]
        own = level.isel(run=int(table.index[-1]))
        residual = own["mode_residual"].transpose("bin", "step").values
        length = own["inverse_length"].values
        rows = np.isfinite(length)
        columns = np.isfinite(residual[rows]).any(axis=0) & (own["step"].values > 0)
        steps = own["step"].values[columns]
        axes.pcolormesh(
            steps,
            length[rows],
            np.clip(residual[np.ix_(rows, columns)], 1e-3, None),
            norm=LogNorm(1e-3, 1.0),
            cmap="cividis",
            shading="nearest",
            rasterized=True,
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        _front(axes, architecture, own, length[rows])
        axes.set_xlim(1, steps[-1])
        axes.set_xlabel("training step (steps)")
        row = table.iloc[-1]
        axes.set_title(f"{looks.name(architecture)}, d = {row['dimension']}, L = {row['size']}")
        axes.legend(
            handles=[Line2D([], [], color="black", label=f"theory: |CK − 1| = {CONTOUR:g}")],
            loc="upper left",
            handlelength=1.2,
        )
    panels[0].set_ylabel("sqrt(k² + m²)\n(inverse lattice spacings)")
    figure.colorbar(panels[0].collections[0], ax=panels, label="|CK − 1|", extend="min")
    return figure


def _front(axes: Axes, architecture: str, run: xr.Dataset, length: np.ndarray) -> None:
    """The step at which theory has |C K − 1| = 0.1: closed forms (`csd.training.reference`) solved for the step."""
    spectrum = float(run["signal"]) ** 2 / length**2 + float(run["noise_variance"])
    rate, largest = float(run["learning_rate"]), spectrum.max()
    if architecture == "one_layer":
        with np.errstate(divide="ignore"):
            front = np.log(CONTOUR) / np.log(np.abs(1.0 - rate * spectrum))
    else:
        start = START_KERNEL / largest
        # K / K* = 0.9 of the logistic flow.
        front = np.log((1.0 / spectrum / start - 1.0) * (1.0 - CONTOUR) / CONTOUR) / (2.0 * rate)
    outline = [patheffects.Stroke(linewidth=2.6, foreground="white"), patheffects.Normal()]
    axes.plot(np.maximum(front, 0.5), length, color="black", lw=1.2, path_effects=outline)
