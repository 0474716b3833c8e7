"""Conditioned networks: one set of parameters for all noise levels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.core.files import content_of, read_content
from csd.diffusion.integrators import integrator_of
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import sample_streams
from csd.diffusion.trained import trained_networks, trained_score
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.layers import Amplitudes
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.batches import ConditionedFields
from csd.training.descent.conditioned import UnitNoise
from csd.training.losses import objective_of
from tests.helpers import Runner, tilted_fields

LEVELS = [0.01, 0.3, 4.0]
WORDS = "--dimension 1 --size 8 --mass 0.5 --path fields --loss denoising --batch 32 --tolerance 0 --max-steps 30"
OPTIONS: dict[str, Any] = {
    **{"dimension": 1, "size": 8, "mass": 0.5, "path": "fields", "loss": "denoising", "batch": 32},
    **{"tolerance": 0.0, "max_steps": 20, "noise_levels": LEVELS, "conditioned": True, "width": 4},
}


@pytest.fixture(scope="module")
def noised() -> NoisedTarget:
    return NoisedTarget(GaussianField(Lattice(1, 8), 0.5), VariancePreserving(), LEVELS)


def test_noise_levels_are_log_uniform_and_fields_have_their_spectrum(noised: NoisedTarget) -> None:
    """ln t by its moments, and the power of y = x/σ at levels above the median; each within five standard errors."""
    source = ConditionedFields(noised, 20_000, None, "test", [3])
    fields, noise, _, signal, variance, levels = (own[0] for own in source.draw())
    levels = -np.log(signal)
    place = np.log(levels / LEVELS[0]) / np.log(LEVELS[-1] / LEVELS[0])
    assert place.min() >= 0.0
    assert place.max() <= 1.0
    assert place.mean() == pytest.approx(0.5, abs=5 * (12 * 20_000) ** -0.5)
    assert place.var() == pytest.approx(1 / 12, abs=5 * (180 * 20_000) ** -0.5)
    np.testing.assert_allclose(variance, 1.0 - signal**2)
    power = (noised.lattice.half_multiplicity * noised.target.propagator(noised.lattice.laplacian)).sum() / 8
    high = place > 0.5
    expected = (signal[high] ** 2 / variance[high] * power + 1.0).mean()
    own = (fields[high] ** 2).mean(axis=1)
    assert own.mean() == pytest.approx(expected, abs=5 * own.std() / high.sum() ** 0.5)
    assert np.corrcoef(noise.ravel(), (fields - noise).ravel())[0, 1] == pytest.approx(0.0, abs=5 * 160_000**-0.5)


@pytest.mark.parametrize("loss", ["denoising", "implicit"])
def test_the_loss_is_weighted_with_the_variance_of_the_noise(loss: str, noised: NoisedTarget) -> None:
    """Of fields at levels of their own, it is the mean of σ² ℒ_t of each field by itself."""
    network = Architecture("wiener", width=4, precision="float64")
    place, generator = 0, np.random.default_rng(1)
    spectrum = noised.spectra_at(noised.lattice.shells)[place]
    noise_level = (noised.schedule, LEVELS[place])
    module: Any = network.module(noised.lattice, 1.0, spectrum, generator, noise_level, conditioned=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.as_tensor(generator.standard_normal(parameter.shape))
    data = ConditionedFields(noised, 6, None, "test", [3]).draw()
    fields, noise, probe, signal, variance, _ = (torch.as_tensor(own[0]) for own in data)
    objective = objective_of(loss, "fields")
    together = objective.loss(UnitNoise(module, variance, Amplitudes(signal, variance)), fields, noise, probe, 1.0)
    alone = []
    for one in range(6):
        t, sigma = float(-signal[one].log()), float(variance[one].sqrt())
        score = module(sigma * fields[one : one + 1], t)
        if loss == "denoising":
            value = 0.5 * (score + noise[one : one + 1] / sigma).square().mean()
        else:
            jacobian: Any = torch.func.jacrev(lambda x, t=t: module(x[None], t)[0])(sigma * fields[one])
            value = 0.5 * score.square().mean() + probe[one] @ jacobian @ probe[one] / 8
        alone.append(float(sigma**2 * value.detach()))
    assert float(together.detach()) == pytest.approx(np.mean(alone), rel=1e-10)


def test_one_set_of_parameters_is_stored_and_called_at_any_level(tmp_path: Path, csd: Runner) -> None:
    """The flag needs no value; the grid of generation has as many steps as asked for, or 64."""
    path = tmp_path / "t.nc"
    csd(f"train --architecture wiener --width 4 --conditioned {WORDS} --noise-level 0.01 0.3 4 --output {path}")
    training = read_content(path)
    assert training["conditioned_weights"].dims == ("seed", "weight")
    assert "weights" not in training
    assert np.isfinite(training["score_error"].values).all()
    (network,) = trained_networks(training, 0)
    score, fields = trained_score(training, 0), np.random.default_rng(2).standard_normal((3, 8))
    for level in (0.01, 0.05, 4.0):
        with torch.no_grad():
            np.testing.assert_array_equal(network(torch.from_numpy(fields), level).numpy(), score(fields, level))
    assert not np.allclose(score(fields, 0.05), score(fields, 0.3))
    for words, steps in (("--steps 7", 7), ("", 64), ("--steps 5 --t-min 0.02", 5)):
        csd(f"generate {path} {words} --samples 4 --output {tmp_path / 'g.nc'}")
        made = read_content(tmp_path / "g.nc")
        grid = made["noise_level"].values
        assert len(grid) == steps + 1
        np.testing.assert_allclose(np.diff(np.log(grid)), np.log(grid[1] / grid[0]))
        assert {"sampled_binder", "sampled_absolute_magnetisation_error"} <= made.variables.keys()


def test_a_seed_does_not_depend_on_the_others() -> None:
    """Five seeds, which train side by side, and one of them alone."""
    together, alone = csd.train("wiener", seeds=[0, 1, 2, 3, 4], **OPTIONS), csd.train("wiener", seeds=[3], **OPTIONS)
    for name in ("conditioned_weights", "score_error"):
        np.testing.assert_array_equal(together[name].sel(seed=3), alone[name].sel(seed=3))
    assert not np.array_equal(together["conditioned_weights"][0], together["conditioned_weights"][1])


def test_a_sample_does_not_depend_on_their_number() -> None:
    """The first 3 of 3 and of 70 fields, of a network whose products round by their size."""
    training = csd.train("wiener", **(OPTIONS | {"width": 16}))
    score, noised = (
        trained_score(content_of(training), 0),
        NoisedTarget(GaussianField(Lattice(1, 8), 0.5), VariancePreserving(), [4.0, 1.0, 0.2, 0.01]),
    )
    reverse = ReverseDiffusion(noised, integrator_of("heun"))
    few, many = (list(reverse.draw(score, sample_streams(count, "test")))[:3] for count in (3, 70))
    np.testing.assert_array_equal(few, many)


@pytest.mark.parametrize(
    ("architecture", "changed", "words"),
    [
        ("wiener", {"path": "spectral", "loss": "implicit"}, "conditioned.* path fields"),
        ("two_layer", {"width": None}, "two_layer.* one noise level; .*convolutional.*wiener"),
        ("wiener", {"noise_levels": [0.3]}, "conditioned.* one noise level; .*smallest and a largest"),
    ],
)
def test_what_cannot_be_conditioned(architecture: str, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        csd.train(architecture, **(OPTIONS | changed))


def test_steps_need_a_conditioned_network() -> None:
    plain = csd.train("one_layer", dimension=1, size=8, mass=0.5, noise_levels=LEVELS, loss="population")
    with pytest.raises(InputError, match=r"steps is 5, .* leave steps out"):
        csd.generate(plain, steps=5)


def test_symmetry_of_the_target_is_that_of_the_network() -> None:
    """Odd for a Gaussian field, none for an array of fields; odd is refused where they have a mean."""
    options = OPTIONS | {"max_steps": 1}
    assert csd.train("convolutional", **options).attrs["symmetry"] == "odd"
    fields = tilted_fields(Lattice(1, 8), 40, 2.0)
    of_data = {name: value for name, value in options.items() if name not in ("dimension", "size", "mass")}
    assert csd.train("convolutional", data=fields, **of_data).attrs["symmetry"] == "none"
    with pytest.raises(InputError, match=r"symmetry is 'odd', but the fields have the mean .*; take symmetry none"):
        csd.train("convolutional", data=fields, symmetry="odd", **of_data)
