"""Files of scores by conditional Monte Carlo: what they hold, the fields they are made from, what is refused."""

from pathlib import Path

import numpy as np
import pytest

import csd as package
from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.mcmc.posterior.held_out import clean_fields
from csd.mcmc.posterior.identity import check_identity
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.scores import ScoreSettings
from csd.targets.spins import SpinModel
from tests.helpers import Runner

LATTICE = Lattice(2, 16)
CASE_A = PhiFour.from_hopping(LATTICE, 1, 0.27088, 0.022)
COUPLINGS = "--kappa 0.27088 --lambda 0.022"


@pytest.fixture(scope="module")
def clean() -> Array:
    """500 decorrelated fields of case A."""
    return clean_fields(CASE_A, ScoreSettings(fields=500, seed=3))


def test_file_holds_scores_and_their_summary(csd: Runner, tmp_path: Path) -> None:
    path = tmp_path / "scores.nc"
    ran = csd(f"scores --dimension 2 --size 4 {COUPLINGS} --noise-level 0.1 1 --fields 40 --output {path}")
    assert ran.status == 0, ran.err
    assert ran.out.count("best linear score") == 2
    found = package.read(path)
    assert found["score"].dims == ("noise_level", "sample", "component", "x", "y")
    assert found["half_score"].dims == ("noise_level", "half", "sample", "component", "x", "y")
    assert dict(found.sizes) == {
        "noise_level": 2,
        "half": 2,
        "sample": 40,
        "component": 1,
        "x": 4,
        "y": 4,
        "inverse_length": 5,
    }
    for level in range(2):
        one = found.isel(noise_level=level)
        np.testing.assert_allclose(one["half_score"].mean("half"), one["score"], atol=1e-5)
        first, second = one["half_score"].values
        assert float(one["squared_score"]) == pytest.approx((first * second).mean(), rel=1e-4)
        assert float(one["relative_error"]) < 0.011
        assert float(one["squared_score_error"]) > 0.0
    again = tmp_path / "again.nc"
    assert csd(found.attrs["command"].removeprefix("csd ").replace(str(path), str(again))).status == 0
    np.testing.assert_array_equal(package.read(again)["score"], found["score"])


def test_fields_of_a_monte_carlo_file_are_taken(csd: Runner, tmp_path: Path) -> None:
    fields, path = tmp_path / "fields.nc", tmp_path / "scores.nc"
    asked = "--dimension 2 --size 4 --components 2 --r0 -1 --u 2 --sampler wolff --sweeps 2000 --fields 30"
    assert csd(f"mcmc {asked} --output {fields}").status == 0
    ran = csd(f"scores --data {fields} --noise-level 0.5 --fields 20 --output {path}")
    assert ran.status == 0, ran.err
    found = package.read(path)
    np.testing.assert_array_equal(found["clean"], package.read(fields)["fields"][:20])
    assert found.attrs["components"] == 2
    ran = csd(f"scores --data {fields} --beta 1 --noise-level 0.5 --output {path}")
    assert "beta is given" in ran.err
    ran = csd(f"scores --data {fields} --noise-level 0.5 --fields 31 --output {path}")
    assert "30 fields" in ran.err


def test_other_fields_need_their_couplings(csd: Runner, tmp_path: Path, clean: Array) -> None:
    """Couplings that contradict the fields, and a number of components that does not match, are refused."""
    file, path = tmp_path / "fields.npy", tmp_path / "scores.nc"
    np.save(file, clean[:300])
    start = f"scores --data {file} --noise-level 0.5 --fields 300 --output {path}"
    assert csd(f"{start} --components 1 {COUPLINGS}").status == 0
    assert "Schwinger-Dyson" in csd(f"{start} --components 1 --kappa 0.26 --lambda 0.022").err
    assert "phi = varphi sqrt(2 kappa)" in csd(f"{start} --components 1 --kappa 0.26 --lambda 0.022").err
    assert "give fields of unit spins" in csd(f"{start} --components 1 --beta 0.44").err
    assert "components" in csd(f"{start} --components 2 {COUPLINGS}").err
    assert "no couplings given" in csd(f"{start} --components 1").err
    broken = clean[:300].copy()
    broken[7] = np.nan
    np.save(file, broken)
    said = csd(f"{start} --components 1 {COUPLINGS}").err
    assert (
        "fields.npy: 1 of 300 fields hold numbers that are missing or not finite, first the field with index 7" in said
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--kappa 0.2 --r0 1 --u 1", "r0 and u as well as kappa and lambda given"),
        ("--kappa 0.2 --lambda -1 --noise-level 0.1", "lambda is -1.0; it must be at least 0"),
        ("--kappa 0.2", "kappa and lambda belong together"),
        ("--components 2", "no couplings given"),
        ("--beta 0.3 --noise-level 0.1 --accuracy 2", "accuracy"),
        ("--beta 0.3 --noise-level 0.1 --accuracy 1e-30", "accuracy is 1e-30; it must be a finite number of at least"),
        ("--beta 0.3 --noise-level nan", "noise level is nan"),
        ("--beta 0.3 --noise-level -1", "noise level is -1"),
        ("--beta 0.3 --noise-level 0.1 0.1", "noise level is given twice"),
    ],
)
def test_couplings_are_given_in_one_way(csd: Runner, tmp_path: Path, asked: str, said: str) -> None:
    ran = csd(f"scores --dimension 2 --size 4 {asked} --output {tmp_path / 'no.nc'}")
    assert ran.status != 0
    assert said in ran.err


def test_the_call_from_python_is_that_of_the_command(csd: Runner, tmp_path: Path, clean: Array) -> None:
    """The same numbers, also of a target as an object; arrays are taken as data."""
    path, asked = tmp_path / "scores.nc", {"noise_levels": [0.5], "fields": 5}
    assert (
        csd(
            f"scores --dimension 1 --size 8 --mass 0.5 --components 1 --noise-level 0.5 --fields 5 --output {path}"
        ).status
        == 0
    )
    found = package.scores(dimension=1, size=8, mass=0.5, components=1, **asked)
    np.testing.assert_array_equal(found["score"], package.read(path)["score"])
    assert package.scores(target=Mine(Lattice(1, 8), 0.5), **asked)["score"].shape == found["score"].shape
    given = package.scores(clean[:20], components=1, kappa=0.27088, lambda_=0.022, output=path, **asked)
    np.testing.assert_array_equal(package.read(path)["clean"], clean[:5].astype(np.float32))
    assert "half_score" in given
    with pytest.raises(InputError, match="noise levels"):
        package.scores(dimension=1, size=8, beta=0.3)


def test_noise_levels_are_given(csd: Runner, tmp_path: Path) -> None:
    ran = csd(f"scores --dimension 2 --size 4 --beta 0.3 --output {tmp_path / 'no.nc'}")
    assert "noise levels are not given; scores by Monte Carlo need one or more" in ran.err


def test_scores_at_infinite_n_stay_in_closed_form(csd: Runner, tmp_path: Path) -> None:
    """Couplings without a number of components mean n → ∞."""
    path = tmp_path / "scores.nc"
    asked = "scores --dimension 2 --size 4 --r0 -0.5 --u 1 --noise-level 0.5 --fields 3"
    assert csd(f"{asked} --output {path}").status == 0
    assert "half_score" not in package.read(path)
    assert csd(f"{asked} --components 1 --output {path}").status == 0
    assert "half_score" in package.read(path)


def test_fields_are_tested_by_their_schwinger_dyson_identity(clean: Array) -> None:
    check_identity(CASE_A, clean)
    for other in (PhiFour(LATTICE, 1, CASE_A.r0 + 0.05, CASE_A.u), PhiFour(LATTICE, 1, CASE_A.r0, 1.1 * CASE_A.u)):
        with pytest.raises(InputError, match="Schwinger-Dyson"):
            check_identity(other, clean)
    spins = [SpinModel(Lattice(2, 8), components, 0.4) for components in (1, 2, 3)]
    for target in spins:
        drawn = clean_fields(target, ScoreSettings(fields=200))
        check_identity(target, drawn)
        with pytest.raises(InputError, match="Schwinger-Dyson"):
            check_identity(SpinModel(target.lattice, target.components, 0.5), drawn)


class Mine:
    """A Gaussian field of a user, with an energy, a force and samples, but without a propagator."""

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass = lattice, mass

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Independent fields."""
        return GaussianField(self.lattice, self.mass).sample(generator, count)

    def force(self, fields: Array) -> Array:
        """−(k̂² + m²) φ."""
        return -self.lattice.inverse((self.lattice.laplacian + self.mass**2) * self.lattice.transform(fields))

    def energy(self, fields: Array) -> Array:
        """½ φ (k̂² + m²) φ, shape (…, 1, *lattice.shape) → (…)."""
        axes = (-1 - self.lattice.dimension, *self.lattice.axes)
        return np.asarray(-0.5 * (fields * self.force(fields)).sum(axis=axes))


def test_a_user_defined_target_is_named_by_its_path(csd: Runner, tmp_path: Path) -> None:
    path = tmp_path / "scores.nc"
    asked = f"--dimension 1 --size 8 --mass 0.5 --target {__name__}:Mine --noise-level 0.5 --fields 4"
    ran = csd(f"scores {asked} --output {path}")
    assert ran.status == 0, ran.err
    found = package.read(path)
    spectrum = np.exp(-1.0) / (Lattice(1, 8).laplacian + 0.25) - np.expm1(-1.0)
    field = found["field"].values[0].astype(float)
    closed = Lattice(1, 8).inverse(-Lattice(1, 8).transform(field) / spectrum)
    np.testing.assert_allclose(found["score"].values[0], closed, atol=1e-5)
