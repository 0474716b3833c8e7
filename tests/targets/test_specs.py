"""Every target can be made again of plain values, and says what it can do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import csd
from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, provenance, write
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.mcmc.ensemble import ensemble
from csd.mcmc.fields import load_fields
from csd.mcmc.simulation import MonteCarloSettings
from csd.targets.base import (
    TARGETS,
    HasExactValues,
    HasFields,
    HasForce,
    HasSamples,
    HasSpec,
    HasSpectrum,
    Target,
    spec_of,
    target_from_spec,
)
from csd.targets.dataset import MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel
from csd.targets.two_phase import TwoPhase

LATTICES = st.builds(Lattice, st.integers(1, 3), st.integers(2, 64))
COMPONENTS, SOURCES = st.integers(1, 5), st.one_of(st.just(0.0), st.floats(-1e3, 1e3))
FAMILIES: dict[str, st.SearchStrategy[Target]] = {
    "gaussian": st.builds(GaussianField, LATTICES, st.floats(1e-90, 1e90)),
    "two_phase": st.builds(
        TwoPhase, LATTICES, st.floats(1e-90, 1e90), st.floats(1e-50, 1e50), st.floats(1e-9, 1.0, exclude_max=True)
    ),
    "phi4": st.builds(PhiFour, LATTICES, COMPONENTS, st.floats(-1e9, 1e9), st.floats(1e-300, 1e9), SOURCES),
    "phi4 at u = 0": st.builds(PhiFour, LATTICES, COMPONENTS, st.floats(1e-9, 1e9), st.just(0.0), SOURCES),
    "spins": st.builds(SpinModel, LATTICES, COMPONENTS, st.floats(1e-9, 1e9), SOURCES),
}


class Bare:
    """A target as users write one: of lattice and mass, with a spectrum and nothing else."""

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass = lattice, mass

    def propagator(self, laplacian: Array) -> Array:
        """G = 1/(|k̂| + m)."""
        return 1.0 / (np.sqrt(laplacian) + self.mass)


class Steeper(GaussianField):
    """A built-in one with another spectrum."""

    def propagator(self, laplacian: Array) -> Array:
        """G² of the field."""
        return super().propagator(laplacian) ** 2


class Stretched(Bare):
    """A target that needs more than a mass, and says so."""

    def __init__(self, lattice: Lattice, mass: float, stretch: float, name: str = "stretch") -> None:
        super().__init__(lattice, mass)
        self.stretch, self.name = stretch, name

    def propagator(self, laplacian: Array) -> Array:
        """G at larger k̂²."""
        return super().propagator(self.stretch * laplacian)

    def spec(self) -> dict[str, Any]:
        """With the stretch."""
        about = {"target": f"{__name__}:Stretched", "dimension": self.lattice.dimension, "size": self.lattice.size}
        return {**about, "mass": self.mass, self.name: self.stretch}

    @classmethod
    def from_spec(cls, spec: Any) -> "Stretched":
        """With the stretch."""
        name = "stretch" if "stretch" in spec else "depth"
        return cls(Lattice(int(spec["dimension"]), int(spec["size"])), float(spec["mass"]), float(spec[name]), name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve fields of two components, made by Monte Carlo."""
    path = tmp_path_factory.mktemp("data") / "fields.nc"
    target = PhiFour(Lattice(1, 4), 2, 1.0, 0.5)
    content = ensemble(target, MonteCarloSettings(("heat_bath",), 2000, chains=2, fields=12))
    write(content.assign_attrs(provenance("csd mcmc", {}, "0")), path, ENSEMBLE)
    return path


def _as_in_a_file(spec: dict[str, Any]) -> dict[str, Any]:
    """Values as NetCDF gives them back, beside attributes that have nothing to do with the target."""
    numbers = {int: np.int64, float: np.float64, str: str}
    return {name: numbers[type(value)](value) for name, value in spec.items()} | {"seed": np.int64(3), "loss": "x"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_is_made_again_of_its_spec(family: str) -> None:
    """Through JSON, and through the attributes of a file."""

    @given(FAMILIES[family])
    def check(target: Target) -> None:
        spec = spec_of(target)
        assert target_from_spec(json.loads(json.dumps(spec))) == target
        assert target_from_spec(_as_in_a_file(spec)) == target

    check()


def test_every_family_is_in_the_list() -> None:
    assert TARGETS.keys() == {*FAMILIES, "data", "fields"} - {"phi4 at u = 0"}


def test_fields_are_found_again_by_their_file_and_digest(data: Path, tmp_path: Path) -> None:
    target = load_fields(data)
    spec = json.loads(json.dumps(spec_of(target)))
    again = target_from_spec(_as_in_a_file(spec))
    assert isinstance(again, MeasuredField)
    np.testing.assert_array_equal(again.data, target.data)
    np.testing.assert_array_equal(again.spectrum, target.spectrum)
    assert again.data.shape == (24, 4)
    with pytest.raises(InputError, match="its fields have changed"):
        target_from_spec(spec | {"data_digest": "0"})
    with pytest.raises(InputError, match="needs data, which is not given"):
        target_from_spec({name: value for name, value in spec.items() if name != "data"})
    with pytest.raises(InputError, match=r"other\.nc"):
        target_from_spec(spec | {"data": str(tmp_path / "other.nc")})


@pytest.mark.parametrize("made_of", [Bare, Steeper])
def test_what_users_write_is_its_class_lattice_and_mass(made_of: Any) -> None:
    target = made_of(Lattice(2, 6), 0.3)
    spec = {"target": f"{__name__}:{made_of.__name__}", "dimension": 2, "size": 6, "mass": 0.3}
    assert spec_of(target) == spec
    again = target_from_spec(spec)
    assert isinstance(again, made_of)
    assert (again.lattice, again.mass) == (target.lattice, 0.3)


@pytest.mark.parametrize(
    ("attributes", "target"),
    [
        ({"target": "csd.field:GaussianField", "mass": 0.5}, GaussianField(Lattice(2, 8), 0.5)),
        ({"target": "csd.targets.gaussian:GaussianField", "mass": 0.5}, GaussianField(Lattice(2, 8), 0.5)),
        (
            {"target": "gaussian", "components": 2, "r0": 0.25, "u": 0.0, "mass": 0.5},
            PhiFour(Lattice(2, 8), 2, 0.25, 0.0),
        ),
        (
            {"target": "phi4", "components": 1, "r0": -1.0, "u": 2.0, "source": 0.1},
            PhiFour(Lattice(2, 8), 1, -1, 2, 0.1),
        ),
        ({"target": "spins", "components": 3, "beta": 0.7}, SpinModel(Lattice(2, 8), 3, 0.7)),
    ],
)
def test_attributes_of_files_are_specs(attributes: dict[str, Any], target: Target) -> None:
    """As files of training and of Monte Carlo have had them since version 0.1."""
    assert target_from_spec(_as_in_a_file({"dimension": 2, "size": 8, **attributes})) == target


def test_names_and_order_of_attributes_stay() -> None:
    """Files hold them in this order, and random streams are named by them."""
    lattice = Lattice(2, 8)
    field, source = PhiFour(lattice, 2, 0.25, 0.0), SpinModel(lattice, 3, 0.7, 0.2)
    assert list(field.spec()) == ["dimension", "size", "components", "target", "r0", "u", "mass"]
    assert list(source.spec()) == ["dimension", "size", "components", "source", "target", "beta"]
    assert list(GaussianField(lattice, 0.5).spec()) == ["target", "dimension", "size", "mass"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"target": "ph4"}, "unknown target 'ph4'; did you mean 'phi4'"),
        ({"target": "phi4", "components": 1, "u": 1.0}, "target 'phi4' needs r0, which is not given"),
        ({"target": "gaussian"}, "target 'gaussian' needs mass, which is not given"),
        ({"target": f"{__name__}:Bare"}, "needs mass, which is not given"),
        ({"target": "spins", "components": 1, "beta": -1.0}, "coupling is -1.0"),
    ],
)
def test_what_a_spec_lacks_is_said(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        target_from_spec({"dimension": 1, "size": 4, **spec})
    assert said in str(caught.value)


def test_targets_say_what_they_can_do(data: Path) -> None:
    lattice = Lattice(2, 4)
    able: dict[Any, set[Any]] = {
        GaussianField(lattice, 0.5): {HasSpec, HasSpectrum, HasSamples, HasExactValues},
        PhiFour(lattice, 1, -1.0, 2.0): {HasSpec, HasForce},
        SpinModel(lattice, 1, 0.4): {HasSpec},
        load_fields(data): {HasSpec, HasSpectrum, HasSamples, HasFields},
        Bare(lattice, 0.5): {HasSpectrum},
    }
    every = (HasSpec, HasSpectrum, HasSamples, HasExactValues, HasForce, HasFields)
    for target, wanted in able.items():
        assert {capability for capability in every if isinstance(target, capability)} == wanted, target


def test_what_a_target_cannot_do_is_said() -> None:
    asked: dict[str, Any] = {"noise_levels": 0.5, "max_steps": 3}
    with pytest.raises(InputError, match="has no lattice, mass and propagator"):
        csd.train("one_layer", target=PhiFour(Lattice(1, 4), 1, 1.0, 0.0), **asked)  # type: ignore[typeddict-item]
    with pytest.raises(InputError, match=r"has no method sample\(generator, count\)"):
        csd.train("one_layer", target=Bare(Lattice(1, 4), 0.5), path="fields", **asked)
    with pytest.raises(InputError, match="unknown target 'phi4'"):
        csd.train("one_layer", target="phi4", dimension=1, size=4, **asked)


def test_a_target_with_a_spec_of_its_own_is_trained_on_and_generated_from() -> None:
    """The file keeps what it needs beyond lattice and mass; nothing else of the file may bear that name."""
    target = Stretched(Lattice(1, 8), 0.5, 3.0)
    run = csd.train("one_layer", target=target, noise_levels=[0.5, 0.1], loss="population")
    assert run.attrs["stretch"] == 3.0
    made = csd.generate(run, samples=4, size=16)
    alpha, sigma = np.exp(-0.2), -np.expm1(-0.2)
    exact = alpha * Stretched(Lattice(1, 16), 0.5, 3.0).propagator(np.array(0.0)) + sigma
    assert float(made["exact_susceptibility"]) == pytest.approx(float(exact), rel=1e-12)
    again = target_from_spec(run.attrs)
    assert isinstance(again, Stretched)
    assert again.stretch == 3.0
    with pytest.raises(InputError, match="the target's spec has depth, which means another thing"):
        csd.train("one_layer", target=Stretched(Lattice(1, 8), 0.5, 3.0, "depth"), noise_levels=0.5)


def test_n_gaussian_fields_are_phi_four_without_its_quartic_term() -> None:
    field = GaussianField(Lattice(2, 6), 0.5)
    many = PhiFour.of_gaussian(field, 3)
    assert (many.components, many.r0, many.u) == (3, 0.25, 0.0)
    assert many.gaussian == field
    assert PhiFour(field.lattice, 3, 0.25, 0.0, source=0.1).gaussian is None
    assert PhiFour(field.lattice, 3, 0.25, 1e-9).gaussian is None
    # ⟨H⟩ = n N / 2 at weight e^{−H}: 2000 fields, 5 σ of the χ² of n N numbers.
    drawn = np.stack([field.sample(stream("components", part), 2000) for part in range(3)], axis=1)
    count = 3 * field.lattice.sites
    assert abs(many.energy(drawn).mean() - 0.5 * count) < 5.0 * np.sqrt(0.5 * count / 2000)
