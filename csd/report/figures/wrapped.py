"""Figures with a panel for each target or network, in rows, and tints of a colour for their sizes."""

from collections.abc import Sequence
from typing import Any

from csd.report.figures import looks
from csd.report.figures.looks import Axes, Figure

COLUMNS = 3
"""Most panels of a row."""


def wrapped(
    count: int, height: float, below: float, *, columns: int = COLUMNS, **options: Any
) -> tuple[Figure, list[Axes], list[Axes]]:
    """A figure of panels that fill one row after the other.

    Args:
        count: panels.
        height: of a row, inches.
        below: height of what all rows have in common, inches.
        columns: most panels of a row.
        options: those of `Figure.subplots`.

    Returns:
        The figure, its panels, and the first of each row.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, grid = looks.subplots(rows, columns, height=height * rows + below, squeeze=False, **options)
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, list(grid.flat[:count]), list(grid[:, 0])


def tints(colour: str, values: Sequence[Any]) -> dict[Any, tuple[float, ...]]:
    """A colour for each value, light to full, as light as the greys of `looks.shade_keys`."""
    from matplotlib.colors import to_rgb

    greys = [grey for grey, _, _ in looks.shades("exact", len(values))]
    return {
        value: tuple(grey + (1.0 - grey) * part for part in to_rgb(colour))
        for value, grey in zip(values, greys, strict=True)
    }
