import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.lattice.lattice import axis_profile
from csd.lattice.memory import require_memory
from csd.networks.linear import place_filters

SIZES = {1: st.integers(2, 40), 2: st.integers(2, 12), 3: st.integers(2, 6)}
lattices = st.integers(1, 3).flatmap(lambda d: SIZES[d].map(lambda size: Lattice(d, size)))
seeds = st.integers(0, 2**32 - 1)


@given(lattices)
def test_laplacian_symbol_is_that_of_the_difference_operator(lattice: Lattice) -> None:
    field = np.random.default_rng(0).standard_normal(lattice.shape)
    differences = sum(
        2 * field - np.roll(field, 1, axis) - np.roll(field, -1, axis) for axis in range(lattice.dimension)
    )
    by_symbol = lattice.inverse(lattice.laplacian * lattice.transform(field))
    np.testing.assert_allclose(by_symbol, differences, atol=1e-12)
    assert lattice.laplacian.max() <= 4 * lattice.dimension + 1e-12


@given(lattices, seeds)
def test_transform_and_inverse(lattice: Lattice, seed: int) -> None:
    field = np.random.default_rng(seed).standard_normal((2, *lattice.shape))
    np.testing.assert_allclose(lattice.inverse(lattice.transform(field)), field, atol=1e-12)


@given(lattices, seeds)
def test_parseval(lattice: Lattice, seed: int) -> None:
    field = np.random.default_rng(seed).standard_normal(lattice.shape)
    total = (lattice.half_multiplicity * lattice.power_spectrum(field)).sum()
    np.testing.assert_allclose(total, (field**2).sum(), rtol=1e-12)


@given(lattices)
def test_modes_stand_for_all_momenta(lattice: Lattice) -> None:
    full = np.zeros(lattice.shape)
    for axis in range(lattice.dimension):
        line = 4 * np.sin(np.pi * np.arange(lattice.size) / lattice.size) ** 2
        full += line.reshape([-1 if a == axis else 1 for a in range(lattice.dimension)])
    for modes in (lattice.pairs, lattice.shells):
        assert modes.multiplicity.sum() == lattice.sites
        for power in (1, 2, 3):
            np.testing.assert_allclose((modes.multiplicity * modes.laplacian**power).sum(), (full**power).sum())
    own = 2**lattice.dimension if lattice.size % 2 == 0 else 1
    assert lattice.pairs.self_conjugate == own
    assert (lattice.pairs.multiplicity[-own:] == 1).all()
    assert (lattice.pairs.multiplicity[:-own] == 2).all()


@given(lattices, seeds)
def test_pairs_hold_the_whole_transform_of_a_real_field(lattice: Lattice, seed: int) -> None:
    half = lattice.transform(np.random.default_rng(seed).standard_normal((3, *lattice.shape)))
    np.testing.assert_allclose(lattice.spread(lattice.gather(half, lattice.pairs), lattice.pairs), half, atol=1e-12)


@given(lattices)
def test_shells_hold_any_function_of_the_laplacian(lattice: Lattice) -> None:
    values = 1.0 / (lattice.shells.laplacian + 0.3)
    np.testing.assert_allclose(lattice.spread(values, lattice.shells), 1.0 / (lattice.laplacian + 0.3), rtol=1e-13)
    np.testing.assert_allclose(lattice.gather(lattice.laplacian, lattice.shells), lattice.shells.laplacian, atol=1e-13)


@given(lattices, seeds)
def test_axis_profile_is_the_inverse_transform_along_the_axes(lattice: Lattice, seed: int) -> None:
    spectrum = lattice.power_spectrum(np.random.default_rng(seed).standard_normal(lattice.shape))
    in_space = lattice.inverse(spectrum)
    axes = [
        in_space[tuple(slice(None) if a == axis else 0 for a in range(lattice.dimension))]
        for axis in range(lattice.dimension)
    ]
    expected = np.mean(axes, axis=0)[: lattice.size // 2 + 1]
    profile = axis_profile(lattice, lattice.pairs, lattice.gather(spectrum, lattice.pairs))
    np.testing.assert_allclose(profile, expected, atol=1e-11)


@given(lattices, st.integers(0, 5))
def test_boxes(lattice: Lattice, reach: int) -> None:
    if 2 * reach >= lattice.size:
        with pytest.raises(InputError, match="range"):
            lattice.box(reach)
        return
    box = lattice.box(reach)
    assert box.shape == ((2 * reach + 1) ** lattice.dimension, lattice.dimension)
    assert (box[::-1] == -box).all()
    placed = place_filters(lattice, np.arange(1.0, len(box) + 1), box)
    assert sorted(placed[placed > 0]) == list(range(1, len(box) + 1))


def test_memory_is_refused_with_its_size() -> None:
    with pytest.raises(InputError, match=r"needs about 8,000\.0 GB"):
        require_memory(1e12, "this")
