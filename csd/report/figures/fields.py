"""Critical fields at three masses: what is learned."""

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.core.random import stream
from csd.lattice import Lattice
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.targets.gaussian import GaussianField

SIZE = 128
LENGTHS = (2.0, 16.0, 128.0)


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Exact samples at three correlation lengths from the same noise, each in units of its standard deviation."""
    figure, panels = plt.subplots(1, 3, figsize=(looks.PAGE, 2.5))
    lattice = Lattice(2, SIZE)
    for axes, length in zip(panels, LENGTHS, strict=True):
        field = GaussianField(lattice, 1.0 / length)
        sample = field.sample(stream("figure of fields", 8), 1)[0] / field.variance**0.5
        axes.imshow(sample, cmap="cividis", vmin=-2.5, vmax=2.5, origin="lower", interpolation="nearest")
        axes.set_title(f"ξ = {length:g} = L / {SIZE / length:g}" if length < SIZE else f"ξ = {length:g} = L")
        axes.set_xlabel("x (lattice spacings)")
        axes.set_xticks([0, SIZE // 2, SIZE - 1])
        axes.set_yticks([0, SIZE // 2, SIZE - 1])
    panels[0].set_ylabel("y (lattice spacings)")
    figure.colorbar(panels[0].images[0], ax=panels, label="field / standard deviation", extend="both", shrink=0.85)
    return figure
