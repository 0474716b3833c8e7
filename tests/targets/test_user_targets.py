"""User-defined targets: exact values from their own propagator, and what they give is checked where they enter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd
from csd.lattice import Array, Lattice
from csd.targets.gaussian import GaussianField, exact_observables
from tests.helpers import Runner

LATTICE = Lattice(1, 16)
NAMES = ("susceptibility", "correlation_length", "variance", "energy")


class LongRange(GaussianField):
    """The target of the tutorial, G = 1 / (|k̂| + m), as a subclass of the Gaussian field."""

    def propagator(self, laplacian: Array) -> Array:
        """G(k)."""
        return 1.0 / (np.sqrt(laplacian) + self.mass)


class Inherited(LongRange):
    """The same, one class further down."""


class Alone:
    """The same, without the Gaussian field, and with values of its own that are wrong."""

    variance = 17.3

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass = lattice, mass

    def propagator(self, laplacian: Array) -> Array:
        """G(k)."""
        return 1.0 / (np.sqrt(laplacian) + self.mass)


@pytest.mark.parametrize("made_of", [LongRange, Inherited, Alone])
def test_exact_values_are_those_of_the_own_propagator(made_of: Any) -> None:
    """Sums over all momenta, written out; ξ of the second moment."""
    momenta = 2.0 * np.pi * np.arange(16) / 16
    spectrum = 1.0 / (2.0 * np.abs(np.sin(momenta / 2.0)) + 1.0 / 16)
    exact = {
        "susceptibility": 16.0,
        "correlation_length": np.sqrt(spectrum[0] / spectrum[1] - 1.0) / (2.0 * np.sin(np.pi / 16)),
        "variance": spectrum.mean(),
        "energy": 0.5 * (4.0 * np.sin(momenta / 2.0) ** 2 * spectrum).mean(),
    }
    assert (exact["variance"], exact["correlation_length"]) == pytest.approx((1.84822, 6.40364), abs=5e-6)
    assert exact_observables(made_of(LATTICE, 1.0 / 16)) == pytest.approx(exact, rel=1e-12)
    if made_of is not Alone:
        own = made_of(LATTICE, 1.0 / 16)
        assert {name: getattr(own, name) for name in NAMES} == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("made_of", ["LongRange", "Alone"])
def test_the_command_prints_them(made_of: str, csd: Runner) -> None:
    out = csd(f"field --target tests.targets.test_user_targets:{made_of} --dimension 1 --size 16").out
    found = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()}
    assert found["variance"] == pytest.approx(1.84822, abs=5e-6)
    assert found["correlation_length"] == pytest.approx(6.40364, abs=5e-6)


def test_samples_are_measured_by_the_own_propagator(tmp_path: Path) -> None:
    """Fields of the target, and the exact values that a generation file compares them with."""
    target = LongRange(LATTICE, 1.0 / 16)
    fields = target.sample(np.random.default_rng(0), 4000)
    assert (fields**2).mean() == pytest.approx(target.variance, rel=0.05)
    run = csd.train("one_layer", target=target, noise_levels=[0.1, 1e-6], max_steps=2, loss="population")
    made = csd.generate(run, samples=4)
    for name in NAMES:
        assert float(made[f"exact_{name}"]) == pytest.approx(getattr(target, name), rel=1e-4)


def test_closed_forms_of_the_gaussian_field_stay() -> None:
    """χ = 1/m² and ξ = 1/m, also where a sum would lose all digits."""
    field = GaussianField(LATTICE, 1e20)
    assert (field.susceptibility, field.correlation_length) == (1e-40, 1e-20)
    assert field.variance == pytest.approx(1e-40, rel=1e-12)
