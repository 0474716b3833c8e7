"""Networks with a tanh of a linear statistic beside the exact scores of fields of two phases."""

from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.files import content_of
from csd.core.random import stream
from csd.diffusion.trained import trained_score
from csd.lattice import Array, Lattice
from csd.locality.two_phase import PhaseBox, box_speciation_time, speciation_time
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.two_phase import TwoPhase, prior_odds
from tests.targets.test_two_phase import covariance

VP = VariancePreserving()


def _module(name: str, target: Any, level: float, **options: Any) -> Any:
    """A network at its start."""
    noised = NoisedTarget(target, VP, [level])
    spectrum = noised.spectra_at(target.lattice.shells)[0]
    return Architecture(name, **options).module(target.lattice, 1.0, spectrum, np.random.default_rng(0))


def _score(network: Any, target: TwoPhase, level: float, fields: Array) -> Array:
    """s of fields with their mean, as a network takes them without it."""
    about = fields - VP.signal(level) * target.mean
    found: Array = network(torch.from_numpy(about)).detach().numpy()
    return found


def _set(network: Any, target: TwoPhase, level: float, zero: float, slope: float) -> None:
    """The amplitude, offset and constant of the exact score.

    Args:
        network: with a tanh.
        target: the fields.
        level: t.
        zero: sum over the sites of the linear layer's kernel.
        slope: sum over the sites of the statistic's.
    """
    centre = VP.signal(level) * target.mean
    with torch.no_grad():
        network.offset[0] = network.scale * (slope * centre + prior_odds(target.probability))
        network.constant[0] = -zero * centre


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_one_unit_of_the_mean_is_the_exact_score(probability: float) -> None:
    """K = 1/C, a = αM/C(0), b m + c = ½ ln of the odds."""
    target, level = TwoPhase(Lattice(2, 5), 0.6, 0.8, probability), 0.7
    lattice, noised = target.lattice, NoisedTarget(target, VP, [level])
    network = _module("global_tanh", target, level)
    of_field = VP.signal(level) ** 2 * target.field.propagator(lattice.laplacian) + VP.variance(level)
    whole, pull = noised.half_spectra()[0], VP.signal(level) * target.magnetisation / of_field.flat[0]
    with torch.no_grad():
        network.filter[:] = torch.from_numpy(lattice.inverse(np.sqrt(whole) / of_field))
        network.amplitude[0] = pull
        network.slope[0] = network.scale * pull * np.sqrt(lattice.sites * whole.flat[0])
    _set(network, target, level, 1.0 / of_field.flat[0], pull * lattice.sites)
    fields = VP.signal(level) * target.sample(stream("exact networks"), 8)
    np.testing.assert_allclose(_score(network, target, level, fields), target.score(fields, VP, level), atol=1e-11)


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_one_unit_of_the_box_is_the_best_score_from_it(probability: float) -> None:
    """κ = P⁻¹e₀, g = αM P⁻¹1 and a = αM (P⁻¹1)_0, with dense matrices."""
    target, level = TwoPhase(Lattice(2, 6), 0.6, 0.8, probability), 0.7
    network = _module("local_tanh", target, level, kernel_size=3)
    matrix = VP.signal(level) ** 2 * covariance(target.lattice, target.mass) + VP.variance(level) * np.eye(36)
    sites = [6 * (one % 6) + other % 6 for one in (-1, 0, 1) for other in (-1, 0, 1)]
    inverse = np.linalg.inv(matrix[np.ix_(sites, sites)])
    push = VP.signal(level) * target.magnetisation
    with torch.no_grad():
        root = torch.from_numpy(np.linalg.inv(network.whitening.numpy()))
        network.filter[:] = root @ torch.from_numpy(inverse[4])
        network.statistic[:] = network.scale * push * (root @ torch.from_numpy(inverse.sum(axis=0)))
        network.amplitude[0] = push * inverse[4].sum()
    _set(network, target, level, inverse[4].sum(), push * inverse.sum())
    fields = VP.signal(level) * target.sample(stream("box networks"), 8)
    box = PhaseBox(target, 1).score(fields, VP, level)
    np.testing.assert_allclose(_score(network, target, level, fields), box, atol=1e-11)


@pytest.mark.parametrize(("name", "options"), [("global_tanh", {}), ("local_tanh", {"kernel_size": 3})])
def test_it_starts_with_the_unit_that_the_spectrum_asks_for(name: str, options: dict[str, Any]) -> None:
    """w = 0, and a tanh without an excess of S(0) too, so that no start has a gradient of 0."""
    lattice = Lattice(1, 8)
    for target in (GaussianField(lattice, 1.0), TwoPhase(lattice, 1.0, 1.0)):
        network = _module(name, target, 0.5, **options)
        fields = torch.from_numpy(target.sample(stream("starts"), 16))
        loss = network(fields).square().mean()
        loss.backward()
        assert not network.filter.any()
        for parameter in network.parameters():
            assert parameter.grad is not None
            assert np.isfinite(parameter.grad.numpy()).all()
        assert 0.0 < network.amplitude.item() <= 1.0
    # At a separation of 10 with p = ½ and S(k₁) ≈ C(0), the slope is nearly that of the exact score.
    target = TwoPhase(Lattice(1, 64), 2.0, 1.0)
    network = _module("global_tanh", target, 1.2)
    zero = VP.signal(1.2) ** 2 / 4.0 + VP.variance(1.2)
    whole = zero + VP.signal(1.2) ** 2 * 64.0
    exact = VP.signal(1.2) * 8.0 * np.sqrt(whole) / zero
    assert network.slope.item() / network.scale.item() == pytest.approx(exact, rel=0.02)


TARGET = TwoPhase(Lattice(1, 64), 1.0, 0.8)
LEVELS = {"below": 0.2, "inside": 1.2, "above": 2.4}
"""Beside the window of a box of range 2, from 0.589 to 1.835."""


def _trained(name: str, level: float, steps: int, **options: Any) -> Any:
    """A trained network's file, and its score."""
    run = csd.train(
        name,
        target=TARGET,
        noise_levels=level,
        path="fields",
        loss="denoising",
        batch=64,
        max_steps=steps,
        until="max_steps",
        **options,
    )
    return run, trained_score(content_of(run), 0)


def _losses(score: Any, level: float, count: int = 20000) -> tuple[float, float, float, Array]:
    """½ E|s − s*|²/N of `count` fields, the difference of denoising losses and its error, and deviations at k = 0."""
    generator = stream("losses", level)
    noise = generator.standard_normal((count, 64))
    fields = VP.signal(level) * TARGET.sample(generator, count) + np.sqrt(VP.variance(level)) * noise
    own, exact = score(fields, level), TARGET.score(fields, VP, level)
    white = noise / np.sqrt(VP.variance(level))
    difference = 0.5 * ((own + white) ** 2 - (exact + white) ** 2).mean(axis=1)
    zero = ((own - exact).sum(axis=1) ** 2).mean() / (exact.sum(axis=1) ** 2).mean()
    return 0.5 * ((own - exact) ** 2).mean(), difference.mean(), difference.std() / np.sqrt(count), zero


def _gap(level: float, reach: int) -> tuple[float, float]:
    """The gap of theory, and E|s*|²/N."""
    box, ratio = PhaseBox(TARGET, reach), np.array([VP.signal(level) ** 2 / VP.variance(level)])
    shells = TARGET.lattice.shells
    squared = shells.multiplicity @ TARGET.score_spectrum(shells.laplacian, VP, level) / TARGET.lattice.sites
    return float((box.gap_of_field(ratio) + box.gap_of_bit(ratio))[0] / VP.variance(level)), float(squared)


def test_a_trained_local_network_loses_the_gap_inside_the_window() -> None:
    """Its loss less that of the exact score is half the gap, to 2 %, and by noise to 4.5 standard errors."""
    level = LEVELS["inside"]
    assert box_speciation_time(TARGET, VP, 2) < level < speciation_time(TARGET, VP)
    _, score = _trained("local_tanh", level, 400, kernel_size=5)
    lost, difference, error, _ = _losses(score, level)
    gap, _ = _gap(level, 2)
    assert 2.0 * lost == pytest.approx(gap, rel=0.02)
    assert abs(difference - 0.5 * gap) < 4.5 * error


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_trained_local_networks_lose_the_gap(kernel_size: int, level: float, request: pytest.FixtureRequest) -> None:
    """Below, inside and above the window of t_R and t_S, to 2 %; the sample's error is at most 0.5 %."""
    if (kernel_size, level) == (9, LEVELS["inside"]):
        reason = "the loss is 3.4 % above the gap after 8000 steps, and 3.2 % after 3000"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    _, score = _trained("local_tanh", level, 8000, kernel_size=kernel_size)
    gap, _ = _gap(level, kernel_size // 2)
    assert 2.0 * _losses(score, level, 160000)[0] == pytest.approx(gap, rel=0.02)


def test_the_network_of_the_mean_reaches_the_exact_score_where_linear_ones_cannot() -> None:
    """Inside the window its error at k = 0 falls below 1 %; the best linear score keeps most of it."""
    level = LEVELS["inside"]
    run, score = _trained("global_tanh", level, 400)
    lost, _, _, zero = _losses(score, level)
    gap, squared = _gap(level, 2)
    assert 2.0 * lost < 0.02 * gap
    assert zero < 0.01
    assert run["score_error"].values[0, 0, -1] == pytest.approx(2.0 * lost / squared, rel=0.3)
    noised = NoisedTarget(TARGET, VP, [level])

    def linear(fields: Array, t: float) -> Array:
        del t
        return TARGET.lattice.inverse(-TARGET.lattice.transform(fields) / noised.half_spectra()[0])

    floor = 1.0 - 1.0 / noised.half_spectra()[0].flat[0] / TARGET.score_spectrum(np.zeros(1), VP, level)[0]
    # Of 20000 fields: 4.5 standard errors of a ratio near 1.
    assert _losses(linear, level)[3] == pytest.approx(floor, abs=0.02)
    assert floor > 0.5
