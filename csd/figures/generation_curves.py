"""KL divergence per site of what is generated, against training step."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.figures import style as looks
from csd.quality import MARGIN


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: trained, mean over seeds. Lines: exact map and recursion. Grey: what counts as right."""
    table = looks.require(looks.generated(summary), "generation_curves", "generation on the critical line")
    table = table[table["dimension"] == table["dimension"].max()]
    architectures = list(dict.fromkeys(table["architecture"]))
    figure, panels = plt.subplots(
        1, len(architectures), figsize=(looks.PAGE * max(2, len(architectures)) / 3, 2.6), sharey=True, squeeze=False
    )
    for axes, architecture in zip(panels[0], architectures, strict=True):
        own = table[table["architecture"] == architecture]
        for shade, (run, row) in zip(looks.shades(architecture, len(own)), own.iterrows(), strict=True):
            at = summary.isel(run=run)
            curve = at["step"].values, at["kl_per_site"].values, at["predicted_kl_per_site"].values
            looks.plot_curve(axes, *curve, shade, looks.marker(architecture), f"L = {row['size']}")
        floor = float(summary["exact_score_kl_per_site"].isel(run=own.index.to_numpy()).max())
        axes.axhline(floor + MARGIN, color="0.6", lw=0.6, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left=0.8)
        axes.set_ylim(bottom=1e-4)
        axes.set_xlabel("training step (steps)")
        axes.set_title(f"{looks.name(architecture)}, d = {own['dimension'].iloc[0]}")
        axes.legend(loc="lower left", handlelength=1.0, labelspacing=0.25, borderaxespad=0.3, **looks.OVER_LINES)
    panels[0][0].set_ylabel("KL divergence per site")
    figure.legend(handles=looks.kinds(), loc="outside upper center", ncols=2)
    return figure
