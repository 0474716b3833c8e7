"""User-defined targets: exact values from their own propagator, and what they give is checked where they enter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
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


# ---- mistakes --------------------------------------------------------------------------------------------------------


def target(**methods: Any) -> type:
    """The target with some methods replaced."""
    return type("Mine", (Alone,), methods)


def raising(self: Any, laplacian: Array) -> Array:
    """A propagator that fails."""
    raise KeyError("coupling")


def in_place(self: Any, laplacian: Array) -> Array:
    """A propagator that adds to its argument."""
    laplacian += self.mass**2
    return 1.0 / laplacian


def sample(values: Any) -> Any:
    """A method `sample` that returns the same whatever it is called with."""
    return lambda self, generator, count: values


FIELDS: dict[str, Any] = {"path": "fields", "batch": 4}
TARGETS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "negative": ({"propagator": lambda self, k: k - 1.0}, ["Mine", "propagator", "-1.0", "above 0"]),
    "infinite": ({"propagator": lambda self, k: np.divide(1.0, k, where=k > 0, out=k + np.inf)}, ["Mine", "inf"]),
    "complex": ({"propagator": lambda self, k: 1.0 / (k + 1j)}, ["Mine", "propagator", "complex", "real"]),
    "one number": ({"propagator": lambda self, k: 1.0}, ["Mine", "propagator", "shape ()", "(9,)"]),
    "tensor": ({"propagator": lambda self, k: torch.as_tensor(1.0 / (k + 1.0))}, ["Mine", "propagator", "Tensor"]),
    "list": ({"propagator": lambda self, k: (1.0 / (k + 1.0)).tolist()}, ["Mine", "propagator", "list", "NumPy"]),
    "too large": ({"propagator": lambda self, k: 1e300 / (k + 1.0)}, ["Mine", "propagator", "e+299", "1e+100"]),
    "too small": ({"propagator": lambda self, k: 1e-300 / (k + 1.0)}, ["Mine", "propagator", "e-301", "1e-100"]),
    "nothing": ({"propagator": lambda self, k: None}, ["Mine", "propagator", "None", "real"]),
    "no argument": ({"propagator": lambda self: 1.0}, ["Mine", "propagator(laplacian)"]),
    "in place": ({"propagator": in_place}, ["Mine", "propagator", "in place"]),
    "raises": ({"propagator": raising}, ["test_user_targets.py, line", "in raising", "KeyError", "coupling"]),
    "mass 0": ({"mass": property(lambda self: 0.0, lambda self, m: None)}, ["Mine", "mass", "0.0", "above 0"]),
    "no lattice": ({"lattice": property(lambda self: 16, lambda self, m: None)}, ["Mine", "16", "Lattice"]),
    "constructor": ({"__init__": lambda self, size: None}, ["Mine", "Class(lattice, mass)"]),
    "raises at start": ({"__init__": lambda self, *given: 1 / 0}, ["test_user_targets.py, line", "ZeroDivisionError"]),
    "no sample": (FIELDS, ["target Mine has no method sample(generator, count)"]),
    "sample of one": ({"sample": lambda self, generator: 1.0, **FIELDS}, ["Mine", "sample(generator, count)"]),
    "sample shape": ({"sample": sample(np.ones(16)), **FIELDS}, ["Mine", "sample", "(16,)", "(4, 16)"]),
    "sample nan": ({"sample": sample(np.full((4, 16), np.nan)), **FIELDS}, ["Mine", "sample", "nan", "finite"]),
    "sample complex": ({"sample": sample(np.ones((4, 16)) + 0j), **FIELDS}, ["Mine", "sample", "complex"]),
}


@pytest.mark.parametrize(("change", "words"), TARGETS.values(), ids=TARGETS.keys())
def test_a_mistake_of_a_target_is_one_sentence(change: dict[str, Any], words: list[str]) -> None:
    asked: dict[str, Any] = {name: change[name] for name in FIELDS if name in change}
    made_of = target(**{name: value for name, value in change.items() if name not in FIELDS})
    with pytest.raises(InputError) as caught:
        csd.train("one_layer", target=made_of, dimension=1, size=16, noise_levels=0.1, max_steps=2, **asked)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_an_object_of_a_target_is_checked_as_its_class_is() -> None:
    with pytest.raises(InputError, match=r"Mine: propagator.*-1\.0"):
        csd.train("one_layer", target=target(propagator=lambda self, k: k - 1.0)(LATTICE, 0.1), noise_levels=0.1)


def test_scores_of_a_subclass_with_samples_of_its_own_are_not_those_of_a_gaussian_field(csd: Runner) -> None:
    """The exact score of fields that another sampler draws is not known."""
    ran = csd(
        "scores --target tests.targets.test_user_targets:Doubled --dimension 1 --size 8 --noise-level 1 --output s"
    )
    assert ran.status == 2
    assert "Doubled, whose exact score has no closed form" in ran.err


class Doubled(GaussianField):
    """A field that is not Gaussian, though its class is a subclass."""

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Two heights."""
        return np.sign(super().sample(generator, count))
