"""Distances of whole fields to the nearest of many others, against all differences one by one."""

from itertools import product

import numpy as np
import pytest

from csd.core.random import stream
from csd.lattice import Lattice
from csd.lattice.distances import MOST_PRODUCTS, nearest_distances, with_translations


@pytest.mark.parametrize("lattice", [Lattice(1, 7), Lattice(2, 4), Lattice(3, 3)], ids=str)
@pytest.mark.parametrize("translations", [False, True])
def test_the_nearest_field_is_found(lattice: Lattice, *, translations: bool) -> None:
    generator = stream("distances")
    fields, others = (generator.standard_normal((count, *lattice.shape)) for count in (5, 11))
    shifts = (
        list(product(range(lattice.size), repeat=lattice.dimension)) if translations else [(0,) * lattice.dimension]
    )
    moved = [np.roll(other, shift, axis=lattice.axes) for other in others for shift in shifts]
    expected = [min(np.sqrt(np.mean((field - other) ** 2)) for other in moved) for field in fields]
    for cut in (11, 4):
        pieces = [others[start : start + cut] for start in range(0, 11, cut)]
        found = nearest_distances(lattice, fields, pieces, translations=translations)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_copy_is_at_distance_zero_wherever_it_lies() -> None:
    lattice = Lattice(2, 8)
    others = 1.0 + stream("copies").standard_normal((20, 8, 8))
    copy = np.roll(others[13], (3, 5), axis=(0, 1))[None]
    assert nearest_distances(lattice, copy, [others], translations=True)[0] < 1e-7
    assert nearest_distances(lattice, copy, [others], translations=False)[0] > 0.5


def test_translations_are_left_out_of_large_sets() -> None:
    lattice = Lattice(2, 16)
    assert with_translations(lattice, 200, MOST_PRODUCTS // (200 * 256))
    assert not with_translations(lattice, 200, MOST_PRODUCTS // (200 * 256) + 1)
