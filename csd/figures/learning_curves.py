"""Learning curves: relative score error against training step, for three architectures and all sizes."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csd.config import FigureStyle
from csd.figures import style as looks

SHOWN = ("one_layer", "two_layer", "local_two_layer")
DIMENSION = 2


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors. Lines: the closed form, or the exact map."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_label="mL1", data_set=0)
    dimension = DIMENSION if (table["dimension"] == DIMENSION).any() else table["dimension"].min()
    table = looks.require(table[table["dimension"] == dimension], "learning_curves", "runs on the critical line")
    figure, panels = plt.subplots(1, 3, figsize=(looks.PAGE, 2.5), sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        own = table[table["architecture"].map(looks.family) == architecture]
        own = own[own["architecture"] == own["architecture"].mode().iloc[0]] if len(own) else own
        shades = looks.shades(architecture, len(own))
        for shade, (run, row) in zip(shades, own.iterrows(), strict=True):
            _curve(axes, level.isel(run=run), shade, f"L = {row['size']}", looks.marker(architecture))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(3e-3, 2.0)
        axes.set_xlim(left=0.8)
        axes.set_xlabel("training step (steps)")
        axes.set_title(looks.name(own["architecture"].iloc[0]) if len(own) else architecture)
        axes.axhline(float(level["tolerance"].isel(run=0)), color="0.6", lw=0.6, zorder=0)
        if len(own):
            axes.legend(loc="lower left", handlelength=1.0, labelspacing=0.25, borderaxespad=0.3)
    panels[0].set_ylabel("relative score error ε")
    kinds = [
        Line2D([], [], color="0.3", lw=1.1, label="theory"),
        Line2D([], [], color="0.3", lw=0, marker="o", label="trained, mean of seeds"),
    ]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    figure.supxlabel("")
    return figure


def _curve(axes: Axes, run: xr.Dataset, shade: tuple[float, float, float], label: str, marker: str) -> None:
    """One size: prediction and measurement."""
    steps = run["step"].values
    predicted, _ = looks.mean_and_error(run["predicted_score_error"].values, axis=0)
    mean, error = looks.mean_and_error(run["score_error"].values, axis=0)
    # Step 0 has no place on a logarithmic axis.
    line = np.isfinite(predicted) & (steps > 0)
    axes.plot(steps[line], predicted[line], color=shade, zorder=2)
    points = looks.thinned(steps, np.isfinite(mean))
    axes.errorbar(
        steps[points], mean[points], error[points], fmt=marker, ms=2.8, color=shade, mew=0, elinewidth=0.7, label=label
    )
