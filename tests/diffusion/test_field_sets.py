"""Generation from networks trained on fields alone: their mean, held-out fields as the reference, and copies."""

from typing import Any

import numpy as np
import pytest

import csd
from csd.core.errors import InputError
from csd.core.random import stream
from csd.diffusion.comparison.sampled import sampled_variables
from csd.diffusion.integrators import Exponential, Heun
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import over_held_out
from csd.lattice import Array, Lattice
from csd.lattice.bins import LengthBins
from csd.lattice.observables import kl_per_site
from csd.networks.score import ExactScore, Score
from csd.targets.dataset import FieldSet
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from tests.almost_linear import Rest
from tests.helpers import tilted_fields, tilted_spectrum

LATTICE = Lattice(2, 6)
MEAN = 3.0
GRID = np.geomspace(3.0, 0.05, 41).tolist()
ALPHA, NOISE = float(np.exp(-0.05)), float(-np.expm1(-0.1))
EXACT = ALPHA**2 * tilted_spectrum(LATTICE) + NOISE
"""C of the exact distribution at the lowest level, *half* layout."""


def field_set(count: int, *purpose: object) -> FieldSet:
    return FieldSet.split(LATTICE, tilted_fields(LATTICE, count, MEAN, *purpose))


def reverse_of(target: Any) -> ReverseDiffusion:
    return ReverseDiffusion(NoisedTarget(target, VariancePreserving(), GRID), Heun(), "exact")


@pytest.mark.parametrize("architecture", ["one_layer", "two_layer", Rest])
def test_mean_and_spectrum_of_samples_are_exact_within_errors(architecture: Any) -> None:
    """M samples from M training fields: the errors of both add up. Fails by chance in 1 of 1000."""
    own = field_set(2500, "samples")
    how: dict[str, Any] = {"loss": "population", "tolerance": 1e-5, "max_steps": 50_000}
    if architecture is Rest:
        how = {
            "path": "fields",
            "loss": "denoising",
            "batch": 2,
            "max_steps": 1,
            "tolerance": 0.0,
            "learning_rate": 1e-9,
        }
    run = csd.train(architecture, target=own, noise_levels=GRID, **how)
    made = csd.generate(run, data=own, samples=2000, integrator="heun", start="exact")
    pairs = LATTICE.pairs
    bins = LengthBins(pairs, own.mass, 2)
    exact, root = bins.mean(LATTICE.gather(EXACT, pairs)), np.sqrt(2.0)
    # Heun's method is off by less than a fifth of an error here.
    pulls = (made["power_spectrum"].values[0] - exact) / (root * made["power_spectrum_error"].values[0])
    assert np.abs(pulls).max() < 4.0
    assert (pulls**2).mean() < 2.5
    of_mean = (made["sampled_mean"].values[0] - ALPHA * MEAN) / (root * made["sampled_mean_error"].values[0])
    assert abs(of_mean) < 3.5
    held_out = (made["held_out_power_spectrum"].values - exact) / made["held_out_power_spectrum_error"].values
    assert np.abs(held_out).max() < 5.0
    assert abs(float(made["held_out_mean"]) - ALPHA * MEAN) < 4.0 * float(made["held_out_mean_error"])
    divergence, error = made["sampled_kl_per_site"].values[0], made["sampled_kl_per_site_error"].values[0]
    assert abs(divergence) < 5.0 * error < 0.01
    assert float(made["two_sample_p_value"][0]) > 1e-3
    assert float(made["memorisation_p_value"][0]) > 1e-3
    assert made.attrs["mean"] == own.mean
    assert made.attrs["data_digest"] == own.digest
    for name in ("binder", "absolute_magnetisation"):
        own_error = np.hypot(made[f"sampled_{name}_error"][0], root * made[f"held_out_{name}_error"])
        assert abs(float(made[f"sampled_{name}"][0] - made[f"held_out_{name}"])) < 5.0 * own_error
    assert float(made["sampled_absolute_magnetisation"][0]) > 2.0


def test_the_divergence_from_held_out_fields_has_its_error_and_bias() -> None:
    """Of the exact distribution from 400 sets of 100 held-out fields: 0 once the bias is subtracted, pulls of 1."""
    modes = LATTICE.pairs
    exact = LATTICE.gather(EXACT, modes)
    pulls, biases = [], []
    for number in range(400):
        fields = tilted_fields(LATTICE, 102, MEAN, "divergence", number)
        noised = NoisedTarget(FieldSet(LATTICE, fields[:2], fields[2:]), VariancePreserving(), GRID[-1:])
        value, error, bias = over_held_out(noised, modes, lambda own: kl_per_site(modes, exact, own))
        pulls.append((value - bias) / error)
        biases.append((float(value), float(bias)))
    values, estimates = np.array(biases).T
    assert values.mean() > 1e-3
    assert estimates.mean() == pytest.approx(values.mean(), rel=0.05)
    # Of a number that is near its minimum, errors are large where the number is.
    assert abs(np.mean(pulls)) < 0.3
    assert np.std(pulls) == pytest.approx(1.0, abs=0.4)


def memorising(fields: Array) -> Score:
    """The exact score of the empirical distribution, ∇ ln Σ_i N(x; α y_i, σ²): its samples are training fields."""

    def score(x: Array, t: float, /) -> Array:
        alpha, variance = float(np.exp(-t)), float(-np.expm1(-2.0 * t))
        away = alpha * fields[None] - x[:, None]
        logarithm = -0.5 * (away**2).sum(axis=(-2, -1)) / variance
        weight = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray((weight[..., None, None] * away).sum(axis=1) / variance)

    return score


def test_copies_of_training_fields_are_seen() -> None:
    """A score that memorises generates fields at the distance of the noise; one that does not, at that of others."""
    own = field_set(100, "copies")
    reverse = ReverseDiffusion(NoisedTarget(own, VariancePreserving(), GRID), Exponential())
    exact = ExactScore(own, VariancePreserving(), LATTICE.pairs)
    shifted = np.concatenate([np.roll(own.data, shift, axis=(1, 2)) for shift in [(0, 0), (2, 1), (3, 3), (5, 2)]])
    found = sampled_variables(
        reverse, [memorising(own.data), memorising(shifted), exact], [0, 1, 2], "test of copies", 100
    )
    copies, moved, fresh = found["nearest_training_field"].values
    others = found["held_out_nearest_training_field"].values
    assert copies.shape == (100,) and others.shape == (20,)
    # √σ² of the noise; a field at its best translation among 2880 is a little nearer.
    for near in (copies, moved):
        assert near.mean() == pytest.approx(np.sqrt(NOISE), rel=0.1)
        assert np.quantile(near, 0.9) < min(np.quantile(fresh, 0.1), np.quantile(others, 0.1))
    assert (found["nearer_fraction"].values[:2] > 0.7).all() and found["nearer_fraction"].values[2] < 0.2
    p_values = found["memorisation_p_value"].values
    assert p_values[0] < 1e-9 and p_values[1] < 1e-9 and p_values[2] > 1e-3


def test_a_score_of_fields_and_its_kernel_generate_alike() -> None:
    """Reverse diffusion runs on x − α μ, whatever the score is made of: the mean is that of the noised target."""
    own = field_set(100, "alike")
    reverse = reverse_of(own)
    score = ExactScore(own, VariancePreserving(), LATTICE.pairs)
    pairs, called = LATTICE.pairs, lambda fields, t: score(fields, t)
    zero = int(np.flatnonzero(pairs.laplacian == 0.0)[0])
    for one in (score, called):
        drawn = np.stack(list(reverse.draw(one, [stream("alike", number) for number in range(400)])))
        means = drawn[:, zero].real / np.sqrt(LATTICE.sites)
        assert abs(means.mean() - ALPHA * own.mean) < 4.0 * means.std() / 20.0
    variance, sampled = reverse.variance(score), reverse.variance(called, 400)
    np.testing.assert_allclose(sampled[:-4], variance[:-4], rtol=0.25)
    np.testing.assert_allclose(sampled[-4:], variance[-4:], rtol=0.35)


def test_known_symmetry_is_used_in_generation() -> None:
    """Fields of a Hamiltonian that is known: no mean, and exact values of the spectrum over shells."""
    lattice = Lattice(2, 6)
    fields = GaussianField(lattice, 0.5).sample(stream("known"), 200)
    own = FieldSet.split(lattice, fields, known={"r0": 0.25, "u": 0.0})
    run = csd.train("one_layer", target=own, noise_levels=GRID, loss="population", tolerance=1e-3)
    assert "mean" not in run.attrs
    assert run.attrs["r0"] == 0.25
    made = csd.generate(run, data=own, samples=20)
    expected = ALPHA**2 * (fields[160:].mean(axis=(1, 2)) ** 2).mean() * 36 + NOISE
    assert float(made["exact_susceptibility"]) == pytest.approx(expected, rel=1e-12)
    assert float(made["exact_susceptibility_error"]) == pytest.approx(np.sqrt(2 / 40) * expected, rel=0.5)


def test_what_generation_lacks_is_said() -> None:
    own, other = field_set(20, "lacks"), field_set(20, "other")
    run = csd.train("one_layer", target=own, noise_levels=GRID, loss="population", max_steps=2, tolerance=0.0)
    for options, said in (
        ({}, "in no file; give the fields by --data"),
        ({"data": other}, "but the network was trained on"),
        ({"data": own, "size": 12}, "no fields of another size to compare with"),
    ):
        with pytest.raises(InputError, match=said):
            csd.generate(run, **options)
