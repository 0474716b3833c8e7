"""Training steps until samples are right, against size: does the slowing down reach generation?"""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.config import FigureStyle
from csd.figures import style as looks


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Points: mean over seeds with standard errors. Solid: fitted law. Dashed: exact map and recursion."""
    table = looks.require(
        looks.grown(looks.generated(summary)),
        "generation_time",
        "generation on the critical line at three sizes or more",
    )
    dimensions = sorted(table["dimension"].unique())
    figure, panels = plt.subplots(
        1, len(dimensions), figsize=(looks.PAGE * max(2, len(dimensions)) / 3, 3.1), sharey=True, squeeze=False
    )
    for axes, dimension in zip(panels[0], dimensions, strict=True):
        here = table[table["dimension"] == dimension]
        for architecture in dict.fromkeys(here["architecture"]):
            _series(axes, summary, scaling, here[here["architecture"] == architecture])
        axes.set_yscale("log")
        looks.size_axis(axes, list(here["size"]))
        axes.set_title(f"d = {dimension}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), handlelength=1.2, labelspacing=0.3)
    panels[0][0].set_ylabel("training until samples are right (steps)")
    figure.legend(handles=looks.kinds(fit=True), loc="outside lower center", ncols=3)
    return figure


def _series(axes: Axes, summary: xr.Dataset, scaling: pd.DataFrame, own: pd.DataFrame) -> None:
    """One architecture in one dimension."""
    architecture, sizes = own["architecture"].iloc[0], own["size"].to_numpy()
    chosen = summary.isel(run=own.index.to_numpy())
    mean, error = looks.mean_and_error(chosen["generation_training_time"].values)
    laws = scaling[
        (scaling["study"] == own["sweep"].iloc[0])
        & (scaling["architecture"] == architecture)
        & (scaling["data"] == own["data"].iloc[0])
        & (scaling["quantity"] == "generation_training_time")
    ]
    predicted = chosen["predicted_generation_training_time"].values
    looks.plot_times(axes, architecture, sizes, mean, error, predicted, laws)
