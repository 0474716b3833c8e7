"""Fields of n components: nonlinear networks learn them together, linear ones each as a scalar field."""

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.core.files import content_of
from csd.core.random import stream
from csd.diffusion.trained import trained_networks, trained_score
from csd.lattice import Array, Lattice
from csd.lattice.distances import nearest_distances
from csd.lattice.observables import binder
from csd.mcmc.chains import run_chains
from csd.mcmc.samplers import sweep_of
from csd.networks.module import LinearScore, ScoreNetwork
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.images import random_images
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.phi4 import PhiFour

LATTICE = Lattice(2, 4)
FEW: dict[str, Any] = {"path": "fields", "loss": "denoising", "batch": 8, "max_steps": 5, "noise_levels": [1.0, 0.1]}
LINEAR: dict[str, Any] = {"loss": "population", "max_steps": 5, "noise_levels": [0.1]}
LEVELS = [0.05, 2.5]
ALPHA, NOISE = float(np.exp(-LEVELS[0])), float(-np.expm1(-2.0 * LEVELS[0]))


def sampled(target: PhiFour, count: int) -> tuple[MeasuredField, Any]:
    """Decorrelated fields of a target as data, and its chains."""
    chains = run_chains(
        target, sweep_of("wolff", target), "components", chains=4, measurements=count, thermalisation=100
    )
    fields = chains.decorrelated(8, count)
    lattice, flat = target.lattice, fields.reshape(-1, *target.lattice.shape)
    power = lattice.gather(lattice.power_spectrum(flat).mean(axis=0), lattice.shells)
    return MeasuredField(lattice, flat, power, "", target.components, target.spec()), chains


def plain_fields(count: int = 40, components: int = 2, *purpose: object) -> Array:
    return stream("plain fields", *purpose).standard_normal((count, components, *LATTICE.shape))


@pytest.fixture(scope="module")
def gaussian() -> MeasuredField:
    return sampled(PhiFour(LATTICE, 2, 0.36, 0.0), 2000)[0]


def test_samples_of_two_gaussian_components_have_the_exact_values(gaussian: MeasuredField) -> None:
    """χ, energy, ⟨|m|⟩, U4 and kurtosis with noise, each within 4 errors and 2 %; fails by chance in 1 of 3000."""
    options = {"conditioned": True, "tolerance": 0.0, "augment": True, "batch": 64, "max_steps": 100}
    run = csd.train("wiener", target=gaussian, width=8, **{**FEW, "noise_levels": LEVELS, **options})
    made = csd.generate(run, data=gaussian, samples=2000, steps=40)
    modes = LATTICE.pairs
    spectrum = ALPHA**2 / (modes.laplacian + 0.36) + NOISE
    zero = float(spectrum[modes.laplacian == 0.0][0])
    exact = {
        "susceptibility": zero,
        "variance": float(modes.multiplicity @ spectrum) / LATTICE.sites,
        "energy": 0.5 * float(modes.multiplicity @ (modes.laplacian * spectrum)) / LATTICE.sites,
        # |m| of two normal numbers of variance χ/N.
        "absolute_magnetisation": sqrt(0.5 * np.pi * zero / LATTICE.sites),
        "binder": 0.0,
        "excess_kurtosis": 0.0,
        "mean": 0.0,
    }
    for name, value in exact.items():
        found, error = (float(made[f"sampled_{name}{end}"].values[0]) for end in ("", "_error"))
        assert abs(found - value) < 4.0 * error + 0.02 * abs(value), name
    assert made["power_spectrum"].dims == ("seed", "wavenumber")


@pytest.mark.slow
def test_two_interacting_components_have_the_magnetisation_of_the_chains() -> None:
    """χ within 4 errors and 4 %, U4 within 0.015: as independent components it would be lower by 0.1."""
    target, chains = sampled(PhiFour(LATTICE, 2, -1.0, 1.0), 8000)
    options = {"conditioned": True, "tolerance": 0.0, "augment": True, "batch": 256, "learning_rate": 0.0015}
    run = csd.train("wiener", target=target, **{**FEW, "noise_levels": LEVELS, **options, "max_steps": 2000})
    made = csd.generate(run, data=target, samples=4000, steps=40)
    noise = sqrt(NOISE) * stream("noise on fields").standard_normal(target.data.shape)
    fields = (ALPHA * target.data + noise).reshape(-1, 2, LATTICE.sites)
    squares = (fields.sum(axis=2) ** 2).sum(axis=1) / LATTICE.sites
    u4 = float(binder(squares.mean(), (squares**2).mean(), 2))
    apart = float(binder(1.0, _of_independent(fields.sum(axis=2) ** 2), 2))
    assert apart < u4 - 0.06
    assert float(made["sampled_binder"].values[0]) == pytest.approx(u4, abs=0.015)
    exact = ALPHA**2 * chains.susceptibility().value + NOISE
    found, error = (float(made[f"sampled_susceptibility{end}"].values[0]) for end in ("", "_error"))
    assert abs(found - exact) < 4.0 * error + 0.04 * exact


def _of_independent(squares: Array) -> Any:
    """⟨|M|⁴⟩ / ⟨|M|²⟩² of components that have their own distributions, but are independent."""
    mean, fourth = squares.mean(axis=0), (squares**2).mean(axis=0)
    return (fourth.sum() + 2.0 * mean[0] * mean[1]) / mean.sum() ** 2


@pytest.mark.parametrize("architecture", ["convolutional", "unet", "wiener", "mean_field", "fields_of_experts"])
@pytest.mark.parametrize("conditioned", [False, True])
def test_networks_of_a_file_take_the_components_together(architecture: str, conditioned: bool) -> None:
    """The score has the shape of the fields; the file holds their number, and weights that give the same score."""
    fields = plain_fields()
    options = {"scales": 2, "kernel_size": 1} if architecture == "unet" else {}
    run = csd.train(architecture, data=fields, conditioned=conditioned, seeds=(3, 4), **options, **FEW)
    assert run.attrs["components"] == 2
    content = content_of(run)
    (*_, network), score = trained_networks(content, 4), trained_score(content, 4)
    assert network.components == 2
    given = plain_fields(5, 2, "given")
    assert score(given, 0.1).shape == given.shape
    alone = csd.train(architecture, data=fields, conditioned=conditioned, seeds=(4,), **options, **FEW)
    np.testing.assert_array_equal(trained_score(content_of(alone), 4)(given, 0.1), score(given, 0.1))
    made = csd.generate(run, data=fields, samples=3)
    again = csd.generate(alone, data=fields, samples=3)
    np.testing.assert_array_equal(made["power_spectrum"][1], again["power_spectrum"][0])


@pytest.mark.parametrize("architecture", ["two_layer", "convolutional", "wiener"])
def test_one_component_is_a_scalar_field(architecture: str) -> None:
    """(M, 1, L, L) and (M, L, L) give the same bits."""
    fields, how = plain_fields(40, 1), LINEAR if architecture == "two_layer" else FEW
    runs = [csd.train(architecture, data=own, dimension=2, **how) for own in (fields, fields[:, 0])]
    np.testing.assert_array_equal(*(run["weights"].values for run in runs))
    assert "components" not in runs[0].attrs


def test_linear_networks_learn_each_component_as_a_scalar_field() -> None:
    """The same bits as from the scalar fields, as long as whole configurations are held out."""
    fields = plain_fields(40, 2)
    both = fields, fields.reshape(-1, *LATTICE.shape)
    runs = [csd.train("two_layer", data=own, dimension=2, **LINEAR) for own in both]
    np.testing.assert_array_equal(*(run["kernel"].values for run in runs))
    assert "components" not in runs[0].attrs


class Coupled(ScoreNetwork):
    """s_a = −c x_a − g φ² x_a, with the sum φ² of the squares of all components."""

    def __init__(self, lattice: Lattice, spectrum: Array, generator: Any, components: int | None = None) -> None:
        super().__init__(lattice)
        self.c, self.g = (torch.nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (1.0, 0.1))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s of fields of shape (batch, n, *lattice) or (batch, *lattice)."""
        square = fields.square().sum(dim=1, keepdim=True) if self.components else fields.square()
        return -self.c * fields - self.g * square * fields


class Scalar(Coupled):
    """The same, of scalar fields."""

    def __init__(self, lattice: Lattice, spectrum: Array, generator: Any) -> None:
        super().__init__(lattice, spectrum, generator)


class WithKernel(LinearScore):
    """A kernel that takes components."""

    def __init__(self, lattice: Lattice, spectrum: Array, generator: Any, components: int | None = None) -> None:
        super().__init__(lattice)
        self.k = torch.nn.Parameter(torch.ones(lattice.half_shape, dtype=torch.float64))

    def kernel(self) -> torch.Tensor:
        """K."""
        return self.k


def test_a_network_of_the_user_takes_components_by_a_keyword() -> None:
    """Without the keyword, each component is a scalar field."""
    fields, how = plain_fields(), {**FEW, "learning_rate": 0.01}
    run = csd.train(Coupled, data=fields, **how)
    assert run.attrs["components"] == 2
    given = plain_fields(5, 2, "given")
    found = trained_score(content_of(run), 0)(given, 0.1)
    c, g = run["weights"].values[0, 1]
    given = given - np.exp(-0.1) * run.attrs["mean"]
    np.testing.assert_allclose(found, -(c + g * (given**2).sum(axis=1, keepdims=True)) * given, rtol=1e-12)
    assert csd.generate(run, data=fields, samples=3)["nearest_training_field"].shape == (1, 3)
    apart = csd.train(Scalar, data=fields, **how)
    assert "components" not in apart.attrs
    assert csd.train(Coupled, data=plain_fields(40, 1), **how).attrs.get("components") is None
    with pytest.raises(InputError, match="WithKernel has a kernel, which acts on scalar fields"):
        csd.train(WithKernel, data=fields, **how)


def test_fields_in_a_file_are_found_again_with_their_components(tmp_path: Path) -> None:
    """Without couplings nothing is known of their symmetry, also when they are read for generation."""
    np.save(tmp_path / "fields.npy", plain_fields() + 0.5)
    run = csd.train("convolutional", data=tmp_path / "fields.npy", output=tmp_path / "run.nc", **FEW)
    assert run.attrs["mean"] == pytest.approx(0.5, abs=0.1)
    made = csd.generate(tmp_path / "run.nc", samples=4)
    assert made.attrs["mean"] == run.attrs["mean"]
    assert np.isfinite(made["two_sample_p_value"].values).all()
    assert made["held_out_nearest_training_field"].shape == (8,)


@pytest.mark.parametrize("known", [{}, {"r0": -1.0, "u": 1.0}])
def test_components_move_and_rotate_together(known: dict[str, float]) -> None:
    """Rotations in O(n) mix components where couplings are known; images keep φ·φ′ of neighbours."""
    fields = plain_fields(60, 3)
    target = FieldSet.split(LATTICE, fields.reshape(-1, 4, 4), known=known, components=3)
    noised = NoisedTarget(target, VariancePreserving(), [0.5])
    images = random_images(fields, noised, np.random.default_rng(2), 3)

    def energies(own: Array) -> Array:
        return np.asarray((own * (np.roll(own, 1, 2) + np.roll(own, 1, 3))).sum(axis=(1, 2, 3)))

    np.testing.assert_allclose(np.sort(energies(images)), np.sort(energies(fields)), rtol=1e-12)
    if known:
        assert abs((images[:, 0] ** 2).sum() / (images**2).sum() - 1 / 3) < 0.05
        assert not np.isin(np.round(images, 9), np.round(fields, 9)).any()
    else:
        for own, image in zip(fields, images, strict=True):
            shifts = [np.roll(own, (x, y), axis=(1, 2)) for x in range(4) for y in range(4)]
            assert any(np.array_equal(shift, image) for shift in shifts)


def test_the_nearest_configuration_is_that_of_all_components() -> None:
    """At one translation for both, compared with a loop over all."""
    fields, others = plain_fields(4, 2, "x"), plain_fields(6, 2, "y")
    found = nearest_distances(LATTICE, fields, [others[:4], others[4:]], translations=True)
    shifts = [np.roll(others, (x, y), axis=(2, 3)) for x in range(4) for y in range(4)]
    for field, distance in zip(fields, found, strict=True):
        nearest = min(((field - own) ** 2).mean(axis=(1, 2, 3)).min() for own in shifts)
        assert distance == pytest.approx(sqrt(nearest), rel=1e-9)
