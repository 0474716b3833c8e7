"""Critical fields at three masses: what is learned."""

from typing import Any

from csd.core.random import stream
from csd.lattice import Lattice
from csd.report.figures import looks
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.targets.gaussian import GaussianField

SUMMARY = "training"
NEEDS = "a sweep without generation"
ANY_LEVEL = True
SIZE = 128
LENGTHS = (2.0, 16.0, 128.0)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Exact samples at three correlation lengths from the same noise, each in units of its standard deviation."""
    figure, panels = looks.subplots(1, len(LENGTHS), height=2.4, sharey=True)
    for axes, length in zip(panels, LENGTHS, strict=True):
        field = GaussianField(Lattice(2, SIZE), 1.0 / length)
        sample = field.sample(stream("figure of fields", 8), 1)[0] / field.variance**0.5
        picture_of(axes, sample, 2.5)
        axes.set(
            title=f"ξ = {length:g} = L" + (f" / {SIZE / length:g}" if length < SIZE else ""),
            xticks=[0, SIZE // 2, SIZE - 1],
        )
    panels[0].set(ylabel="y (lattice spacings)", yticks=[0, SIZE // 2, SIZE - 1])
    figure.supxlabel("x (lattice spacings)", fontsize="medium")
    figure.colorbar(panels[0].images[0], ax=panels, label="field / standard deviation", extend="both", shrink=0.85)
    return figure, {"size": str(SIZE), "lengths": ", ".join(f"{length:g}" for length in LENGTHS)}


def picture_of(axes: Axes, field: Any, scale: float) -> None:
    """A field in two dimensions, its values from −scale to scale as colours."""
    axes.imshow(field, cmap="cividis", vmin=-scale, vmax=scale, origin="lower", interpolation="nearest")
