"""Critical fields at three masses: what is learned."""

from csd.core.random import stream
from csd.lattice import Lattice
from csd.report.figures import looks
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle
from csd.targets.gaussian import GaussianField

SUMMARY = "training"
NEEDS = "a sweep without generation"
ANY_LEVEL = True
SIZE = 128
LENGTHS = (2.0, 16.0, 128.0)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Exact samples at three correlation lengths from the same noise, each in units of its standard deviation."""
    figure, panels = looks.subplots(1, 3, height=2.5)
    lattice, ticks = Lattice(2, SIZE), [0, SIZE // 2, SIZE - 1]
    for axes, length in zip(panels, LENGTHS, strict=True):
        field = GaussianField(lattice, 1.0 / length)
        sample = field.sample(stream("figure of fields", 8), 1)[0] / field.variance**0.5
        looks.field_picture(axes, sample, 2.5)
        title = f"ξ = {length:g} = L / {SIZE / length:g}" if length < SIZE else f"ξ = {length:g} = L"
        axes.set(title=title, xlabel="x (lattice spacings)", xticks=ticks, yticks=ticks)
    panels[0].set_ylabel("y (lattice spacings)")
    figure.colorbar(panels[0].images[0], ax=panels, label="field / standard deviation", extend="both", shrink=0.85)
    return figure
