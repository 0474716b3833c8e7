"""Learning curves: relative score error against training step, for three architectures and all sizes."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.networks import Architecture
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds

SHOWN = ("one_layer", "two_layer", "local_two_layer")
DIMENSION = 2


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors, while all train. Lines: the closed form, or the exact map."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_times_length=1.0, data_set=0)
    dimension = DIMENSION if (table["dimension"] == DIMENSION).any() else table["dimension"].min()
    table = looks.require(table[table["dimension"] == dimension], "learning_curves", "runs on the critical line")
    figure, panels = plt.subplots(1, 3, figsize=(looks.PAGE, 2.5), sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        own = table[table["architecture_name"] == architecture]
        own = own[own["network"] == _commonest(own["network"])] if len(own) else own
        shades = looks.shades(architecture, len(own))
        for shade, (run, row) in zip(shades, own.iterrows(), strict=True):
            at = level.isel(run=run)
            predicted, _ = mean_over_seeds(at["predicted_score_error"].values, axis=0)
            curve = at["step"].values, at["score_error"].values, predicted
            looks.plot_curve(axes, *curve, shade, looks.marker(architecture), f"L = {row['size']}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(3e-3, 2.0)
        axes.set_xlim(left=0.8)
        axes.set_xlabel("training step (steps)")
        axes.set_title(looks.name(own["network"].iloc[0]) if len(own) else architecture)
        axes.axhline(float(level["tolerance"].isel(run=0)), color="0.6", lw=0.6, zorder=0)
        if len(own):
            axes.legend(loc="lower left", handlelength=1.0, labelspacing=0.25, borderaxespad=0.3, **looks.OVER_LINES)
    panels[0].set_ylabel("relative score error ε")
    figure.legend(handles=looks.kinds(), loc="outside upper center", ncols=2)
    return figure


def _commonest(networks: pd.Series) -> Architecture:
    """The network of the most runs; of several that of the shortest range."""
    counts = networks.value_counts()
    most: list[Architecture] = list(counts.index[counts == counts.max()])
    return min(most, key=looks.order)
