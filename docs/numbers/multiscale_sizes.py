"""Multiscale networks on the exact loss, m = 1/L, in two and three dimensions: steps and floors.

It takes eight minutes of one core, most of them for the largest lattices.
"""

from typing import Any

from docs.numbers.multiscale import DILATED, FEWER, SEEDS, floors_table, growth_table, steps_table

SLOW = True
FEW = 2
PLANE, CUBE = (16, 64, 256), (8, 16, 32, 64)


def of_plane(size: int, level: float) -> int:
    """Seeds that are affordable: all at the lowest noise level, where starts are least stable."""
    return SEEDS if size < PLANE[-1] or level == 0.001 else FEW


def of_cube(size: int, level: float) -> int:
    """Seeds that are affordable."""
    return FEW if size < CUBE[-1] else 1


def numbers() -> dict[str, Any]:
    """All tables."""
    plane, means_plane = steps_table(2, PLANE, (FEWER, DILATED), of_plane)
    cube, means_cube = steps_table(3, CUBE, (FEWER, DILATED), of_cube)
    filters = (DILATED, FEWER)
    places = [(2, own, size, 1000, count) for size, count in zip(PLANE, (9, 9, 5), strict=True) for own in filters]
    places += [(3, own, size, 600, 5) for size in CUBE[1:3] for own in filters]
    growth = [*growth_table(2, PLANE, means_plane), *growth_table(3, CUBE, means_cube)[1:]]
    return {"plane": plane, "cube": cube, "growth": growth, "floors": floors_table(places)}
