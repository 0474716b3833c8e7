"""Targets with interactions: energy, force, conversions, limits."""

import re

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

LATTICES = [Lattice(1, 5), Lattice(2, 2), Lattice(2, 4), Lattice(3, 3)]


def _gradient(lattice: Lattice, fields: np.ndarray) -> np.ndarray:
    return sum(((np.roll(fields, -1, axis) - fields) ** 2).sum(axis=(1, *lattice.axes)) for axis in lattice.axes)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("components", [1, 2, 3, 4, 7])
def test_energy_is_the_written_sum(lattice: Lattice, components: int) -> None:
    fields = stream("test", components).standard_normal((3, components, *lattice.shape))
    target = PhiFour(lattice, components, -0.6, 1.7, source=0.3)
    square = (fields**2).sum(axis=1)
    potential = 0.5 * target.r0 * square + target.u / (4 * components) * square**2 - 0.3 * fields[:, 0]
    written = 0.5 * _gradient(lattice, fields) + potential.sum(axis=lattice.axes)
    np.testing.assert_allclose(target.energy(fields), written, rtol=1e-13)

    spins = fields / np.sqrt(square)[:, None]
    # −S·S′ = ½ (S − S′)² − 1 for unit spins.
    bonds = lattice.dimension * lattice.sites
    written = 0.8 * (0.5 * _gradient(lattice, spins) - bonds) - 0.2 * spins[:, 0].sum(axis=lattice.axes)
    np.testing.assert_allclose(SpinModel(lattice, components, 0.8, 0.2).energy(spins), written, rtol=1e-13)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("components", [1, 3])
def test_force_is_the_slope_of_the_energy(lattice: Lattice, components: int) -> None:
    target = PhiFour(lattice, components, -0.6, 1.7, source=0.3)
    field = stream("test", components).standard_normal((1, components, *lattice.shape))
    force = target.force(field)
    for place in np.ndindex(field.shape):
        shift = np.zeros_like(field)
        shift[place] = 1e-5
        slope = (target.energy(field + shift) - target.energy(field - shift))[0] / 2e-5
        assert force[place] == pytest.approx(-slope, abs=1e-7)


def test_gaussian_force_is_minus_the_inverse_propagator() -> None:
    lattice = Lattice(2, 6)
    target, field = PhiFour(lattice, 1, 0.25, 0.0), GaussianField(lattice, 0.5)
    values = stream("test").standard_normal((2, 1, *lattice.shape))
    expected = -lattice.inverse(lattice.transform(values) / field.propagator(lattice.laplacian))
    np.testing.assert_allclose(target.force(values), expected, atol=1e-12)
    assert target.hartree_mass == pytest.approx(0.5)


@pytest.mark.parametrize(("kappa", "self_coupling"), [(0.18, 1.1), (0.3, 0.0), (0.1, 0.02), (0.3, 40.0)])
@pytest.mark.parametrize("components", [1, 2, 4])
def test_hopping_convention(kappa: float, self_coupling: float, components: int) -> None:
    lattice = Lattice(3, 4)
    if self_coupling == 0.0:
        kappa = 0.15
    target = PhiFour.from_hopping(lattice, components, kappa, self_coupling)
    fields = stream("test", components).standard_normal((5, components, *lattice.shape))
    rescaled = fields / np.sqrt(2.0 * kappa)
    square = (rescaled**2).sum(axis=1)
    hops = sum((rescaled * np.roll(rescaled, -1, axis)).sum(axis=1) for axis in lattice.axes)
    action = (-2.0 * kappa * hops + square + self_coupling * (square - 1.0) ** 2).sum(axis=lattice.axes)
    difference = action - target.energy(fields)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("divisor", [4.0, 24.0])
def test_mass_convention(divisor: float) -> None:
    lattice = Lattice(2, 4)
    target = PhiFour.from_mass(lattice, 3, -0.7, 0.5, divisor)
    fields = stream("test").standard_normal((2, 3, *lattice.shape))
    square = (fields**2).sum(axis=1)
    written = 0.5 * _gradient(lattice, fields) + (-0.35 * square + 0.5 / divisor * square**2).sum(axis=lattice.axes)
    np.testing.assert_allclose(target.energy(fields), written, rtol=1e-12)


def test_large_quartic_coupling_leaves_spins() -> None:
    """At u → ∞ energies of fields of fixed length differ as those of the spins; the length is √β."""
    lattice = Lattice(2, 4)
    phi_four = PhiFour(lattice, 3, r0=-0.9e6, u=3e6, source=0.4)
    spins = SpinModel.limit_of(phi_four)
    assert spins.coupling == pytest.approx(0.9)
    directions = np.stack([spins.start(stream("test", i)) for i in range(4)])
    fields = np.sqrt(spins.coupling) * directions
    difference = phi_four.energy(fields) - spins.energy(directions)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-12)
    # The length at which the radial force vanishes, without neighbours, is √β.
    alone = PhiFour(Lattice(1, 2), 3, r0=-0.9e6, u=3e6)
    uniform = np.zeros((1, 3, 2))
    uniform[0, 1] = np.sqrt(0.9)
    assert np.abs(alone.force(uniform)).max() < 1e-9 * 1e6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PhiFour(Lattice(1, 4), 1, 1.0, -0.1), "u "),
        (lambda: PhiFour(Lattice(1, 4), 1, 0.0, 0.0), "r0 "),
        (lambda: PhiFour(Lattice(1, 4), 1, -1.0, 0.0), "r0 "),
        (lambda: PhiFour(Lattice(1, 4), 0, 1.0, 1.0), "integer of at least 1"),
        (lambda: PhiFour(Lattice(1, 4), 1.5, 1.0, 1.0), "integer of at least 1"),  # type: ignore[arg-type]
        (lambda: PhiFour(Lattice(1, 4), True, 1.0, 1.0), "integer of at least 1"),
        (lambda: PhiFour(Lattice(1, 4), 1, float("nan"), 1.0), "finite"),
        (lambda: SpinModel(Lattice(1, 4), 0, 1.0), "integer of at least 1"),
        (lambda: SpinModel(Lattice(1, 4), 1, -1.0), "above 0"),
        (lambda: SpinModel(Lattice(1, 4), 1, float("inf")), "above 0"),
        (lambda: SpinModel.limit_of(PhiFour(Lattice(1, 4), 1, 1.0, 1.0)), "r0 < 0"),
        (lambda: PhiFour(Lattice(1, 4), 2, 1.0, 1.0).energy(np.zeros((3, 1, 4))), "(2, 4)"),
        (lambda: PhiFour.from_hopping(Lattice(1, 4), 1, 0.0, 1.0), "kappa"),
    ],
)
def test_what_is_no_distribution_is_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make()  # type: ignore[operator]
