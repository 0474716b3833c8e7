"""KL divergence per site of what is generated, against training step."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.criteria import LIMITS
from csd.figures import style as looks


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: trained, mean over seeds. Lines: exact map and recursion. Grey: what counts as right."""
    table = looks.require(
        looks.grown(looks.generated(summary)),
        "generation_curves",
        "generation on the critical line at three sizes or more",
    )
    dimensions = sorted(table["dimension"].unique())
    architectures = list(dict.fromkeys(table.sort_index()["architecture"]))
    shape = len(dimensions), len(architectures)
    size = (looks.PAGE * max(2, shape[1]) / max(3, shape[1]), 0.6 + 2.0 * shape[0])
    figure, panels = plt.subplots(*shape, figsize=size, sharex="col", sharey=True, squeeze=False)
    for row, dimension in zip(panels, dimensions, strict=True):
        for axes, architecture in zip(row, architectures, strict=True):
            own = table[(table["architecture"] == architecture) & (table["dimension"] == dimension)]
            if own.empty:
                axes.axis("off")
            else:
                _panel(axes, summary, own)
        row[0].set_ylabel(f"KL divergence per site, d = {dimension}")
    for axes, architecture in zip(panels[0], architectures, strict=True):
        axes.set_title(looks.name(architecture))
    for axes in panels[-1]:
        axes.set_xlabel("training step (steps)")
    figure.legend(handles=looks.kinds(), loc="outside upper center", ncols=2)
    return figure


def _panel(axes: Axes, summary: xr.Dataset, own: pd.DataFrame) -> None:
    """One architecture in one dimension, a shade a size."""
    architecture = own["architecture"].iloc[0]
    for shade, (run, row) in zip(looks.shades(architecture, len(own)), own.iterrows(), strict=True):
        at = summary.isel(run=run)
        curve = at["step"].values, at["kl_per_site"].values, at["predicted_kl_per_site"].values
        looks.plot_curve(axes, *curve, shade, looks.marker(architecture), f"L = {row['size']}")
    floor = float(summary["exact_score_kl_per_site"].isel(run=own.index.to_numpy()).max())
    axes.axhline(floor + LIMITS["kl_per_site"], color="0.6", lw=0.6, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left=0.8)
    axes.set_ylim(bottom=1e-5)
    axes.legend(loc="lower left", handlelength=1.0, labelspacing=0.25, borderaxespad=0.3, **looks.OVER_LINES)
