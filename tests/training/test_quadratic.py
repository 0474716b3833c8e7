"""Closed forms of linear rules on a quadratic loss beside recursions, determinants and training itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.lattice import Array
from csd.networks import Architecture
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.reference import expected_steps, reference_curve
from csd.training.steps.quadratic import QuadraticError, best_pair, stable_factor
from tests.conftest import Problem

RULES = ("gd", "heavy_ball", "nesterov")
STEPS = 150
ONE_LAYER = {8: 21, 16: 40, 32: 80, 64: 159, 128: 317}
"""Steps to ε = 0.01 of the heavy ball at its best pair, d = 1, t = 0.1, m = 1/L: computed apart from this project."""


def iterated(rule: str, curvature: Array, rate: float, momentum: float, steps: int) -> Array:
    """Distances from the minimum at every step, by the rules as they are written: (steps + 1, modes)."""
    place, velocity = np.ones_like(curvature), np.zeros_like(curvature)
    found = [place]
    for _ in range(steps):
        gradient = curvature * place
        velocity = momentum * velocity + gradient
        move = {"gd": gradient, "heavy_ball": velocity, "nesterov": gradient + momentum * velocity}[rule]
        place = place - rate * move
        found.append(place)
    return np.array(found)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.81, 0.99])
@pytest.mark.parametrize("rule", RULES)
def test_errors_are_those_of_the_recursion(rule: str, momentum: float) -> None:
    """At all curvatures up to the edge of stability, where roots are real, double and complex."""
    edge = 2.0 * stable_factor(rule, momentum)
    # (1 − √β)², where the roots of the heavy ball meet, and 1, where one of Nesterov's is 0.
    curvature = np.array([1e-6, 0.01, (1.0 - momentum**0.5) ** 2, 0.5, 1.0, 0.99 * edge]) / 2.0
    share = np.array([0.3, 0.1, 0.2, 0.1, 0.2, 0.1])
    error = QuadraticError(rule, curvature, share, 2.0, momentum, 0.05)
    expected = 0.05 + iterated(rule, curvature, 2.0, momentum, STEPS) ** 2 @ share
    np.testing.assert_allclose([error(step) for step in range(STEPS + 1)], expected, rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.2, 0.9])
@pytest.mark.parametrize("rule", RULES)
def test_the_edge_of_stability_is_where_errors_stop_to_fall(rule: str, momentum: float) -> None:
    """Just below it the error of a mode falls in the long run, just above it grows."""
    edge = 2.0 * stable_factor(rule, momentum)
    below, above = (iterated(rule, np.array([edge * factor]), 1.0, momentum, 6000)[-1, 0] for factor in (0.999, 1.001))
    assert abs(below) < 0.2
    assert abs(above) > 5.0


def test_the_best_pair_of_bounds_is_stable_to_their_sum() -> None:
    """The pair of 0.1 and 1 is the heavy ball's for curvatures below 1.1 (docs/optimisers.md)."""
    rate, momentum = best_pair("heavy_ball", 0.1, 1.0)
    below, above = (iterated("heavy_ball", np.array([1.1 * x]), rate, momentum, 6000)[-1, 0] for x in (0.999, 1.001))
    assert abs(below) < 0.2
    assert abs(above) > 5.0


@pytest.mark.parametrize("rule", RULES)
def test_no_pair_decays_faster_than_the_best(rule: str) -> None:
    """The largest root over all curvatures is smallest at the best η and β, on a grid about them."""
    curvature = np.geomspace(0.02, 1.0, 400)

    def slowest(rate: float, momentum: float) -> float:
        x = rate * curvature
        if rule == "nesterov":
            coefficients = (1.0 - x) * (1.0 + momentum), momentum * (1.0 - x)
        else:
            coefficients = 1.0 + momentum - x, momentum + 0.0 * x
        return float(max(np.abs(np.roots([1.0, -one, two])).max() for one, two in zip(*coefficients, strict=True)))

    rate, momentum = best_pair(rule, 0.02, 1.0)
    best = slowest(rate, momentum)
    ratio = 50.0
    decay = {
        "gd": (ratio - 1.0) / (ratio + 1.0),
        "heavy_ball": (ratio**0.5 - 1.0) / (ratio**0.5 + 1.0),
        "nesterov": 1.0 - 2.0 / (3.0 * ratio + 1.0) ** 0.5,
    }[rule]
    # Double roots are known to the root of the precision.
    assert best == pytest.approx(decay, abs=1e-6)
    for factor in (0.8, 0.95, 1.0, 1.05, 1.2):
        for shift in (-0.1, -0.03, 0.0, 0.03, 0.1) if rule != "gd" else (0.0,):
            assert slowest(rate * factor, momentum + shift) >= best - 1e-6


@pytest.mark.parametrize("rule", ["gd", "heavy_ball", "nesterov"])
def test_an_entry_is_the_first_step_with_so_many_below(rule: str) -> None:
    """Of errors that swing through the threshold, for any number of further steps, and a last step on either side."""
    error = QuadraticError(rule, np.array([0.04, 1.0]), np.array([0.5, 0.5]), 0.9, 0.0 if rule == "gd" else 0.95)
    below = [error(step) <= 0.1 for step in range(400)]
    for stay in range(120):
        first = next(step for step in range(200) if all(below[step : step + stay + 1]))
        assert error.entry(0.1, stay, first + stay) == error.entry(0.1, stay, 10**6) == first
        assert np.isnan(error.entry(0.1, stay, first + stay - 1))


NETWORKS = [Architecture("one_layer"), Architecture("deep_linear", depth=1), Architecture("local_one_layer", range=2)]


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"optimizer": "nesterov", "momentum": 0.7}])
@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda network: network.label)
def test_training_follows_closed_forms(architecture: Architecture, options: dict[str, Any], critical: Problem) -> None:
    noised = critical(2, 8, (0.05, 0.6))
    settings = TrainingSettings("population", tolerance=0.0, max_steps=300, **options)
    record, prediction = train_network(noised, architecture, settings), reference_curve(noised, architecture, settings)
    assert prediction is not None
    assert prediction.method == "closed form"
    np.testing.assert_allclose(record.score_error, prediction.score_error, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["gd", "heavy_ball", "nesterov"])
def test_times_of_training_are_those_of_the_closed_form(optimizer: str, critical: Problem) -> None:
    """First and settled times of errors that swing, each noise level at its own best pair."""
    noised = critical(1, 12, (0.05, 0.6))
    settings = TrainingSettings("population", optimizer=optimizer, rate_from="optimal", settle=40, max_steps=2000)
    one_layer = Architecture("one_layer")
    record, prediction = train_network(noised, one_layer, settings), reference_curve(noised, one_layer, settings)
    assert prediction is not None and prediction.method == "closed form"
    for name in ("training_time", "crossing_time", "settled_time", "settled_crossing_time"):
        np.testing.assert_allclose(getattr(record, name), getattr(prediction, name), rtol=1e-9, err_msg=name)
    pairs = [best_pair(optimizer, one.min(), one.max()) for one in noised.spectra_at(noised.modes)]
    np.testing.assert_allclose(record.rates, [rate for rate, _ in pairs])
    # Each level alone, with β as a number.
    for level, (rate, momentum) in enumerate(pairs):
        alone = critical(1, 12, (noised.levels[level],))
        own = TrainingSettings(
            "population", optimizer=optimizer, learning_rate=rate, momentum=momentum, settle=40, max_steps=2000
        )
        one = train_network(alone, one_layer, own).settled_time
        assert record.settled_time is not None
        assert one is not None
        np.testing.assert_array_equal(record.settled_time[:, level], one[:, 0])
    assert expected_steps(noised, one_layer, settings) == record.last_step.max()


@pytest.mark.parametrize("optimizer", ["heavy_ball", "nesterov"])
def test_each_level_of_each_seed_has_its_own_pair(optimizer: str, critical: Problem) -> None:
    """Seeds that differ, by their data sets, train together as they do alone, at noise levels of unlike momenta."""
    noised, one_layer = critical(1, 12, (0.05, 0.6)), Architecture("one_layer")
    how: dict[str, Any] = {"optimizer": optimizer, "rate_from": "optimal", "data_set": 4000}
    settings = TrainingSettings("population", tolerance=0.0, max_steps=20, **how)
    together = train_network(noised, one_layer, replace(settings, seeds=(1, 2, 3))).score_error
    assert not (together[0] == together[1]).all()
    for place, seed in enumerate((1, 2, 3)):
        alone = train_network(noised, one_layer, replace(settings, seeds=(seed,))).score_error
        np.testing.assert_array_equal(together[place], alone[0])


@pytest.mark.parametrize("network", [Architecture("one_layer"), Architecture("deep_linear", depth=1)])
@pytest.mark.parametrize("size", ONE_LAYER)
def test_steps_of_the_heavy_ball_at_its_best_pair(network: Architecture, size: int, critical: Problem) -> None:
    settings = TrainingSettings("population", optimizer="heavy_ball", rate_from="optimal")
    prediction = reference_curve(critical(1, size), network, settings)
    assert prediction is not None
    assert prediction.training_time[0, 0] == ONE_LAYER[size]
    if size == 8:
        assert train_network(critical(1, size), network, settings).training_time[0, 0] == ONE_LAYER[size]


def adam_times(spectrum: Array, weight: Array, depth: int, rate: float, tolerance: float) -> float:
    """First step with ε at the tolerance of Adam on each mode: the scalar recursion of Kingma and Ba, mode by mode."""
    start = 0.0 if depth == 1 else (0.1 / spectrum.max()) ** (1.0 / depth)
    w, m, v = [[value] * len(spectrum) for value in (start, 0.0, 0.0)]
    share = weight / spectrum / (weight / spectrum).sum()
    for step in range(1, 500):
        for k, c in enumerate(spectrum.tolist()):
            gradient = w[k] ** (depth - 1) * (c * w[k] ** depth - 1.0)
            m[k] = 0.9 * m[k] + 0.1 * gradient
            v[k] = 0.999 * v[k] + 0.001 * gradient**2
            w[k] -= rate * (m[k] / (1 - 0.9**step)) / ((v[k] / (1 - 0.999**step)) ** 0.5 + 1e-8)
        if (share * (spectrum * np.array(w) ** depth - 1.0) ** 2).sum() <= tolerance:
            return step
    return float("nan")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_adam_on_each_mode_is_a_recursion_of_scalars(depth: int, critical: Problem) -> None:
    noised, network = critical(1, 24), Architecture("deep_linear", depth=depth)
    settings = TrainingSettings("population", optimizer="adam_fourier", learning_rate=0.05)
    spectrum = noised.spectra_at(noised.modes)[0]
    steps = adam_times(spectrum, noised.modes.multiplicity, depth, 0.05, 0.01)
    prediction = reference_curve(noised, network, settings)
    assert prediction is not None
    assert prediction.training_time[0, 0] == steps
    assert expected_steps(noised, network, settings) == steps


@pytest.mark.parametrize(
    ("architecture", "options", "words"),
    [
        ("two_layer", {"optimizer": "heavy_ball"}, "needs one_layer"),
        ("one_layer", {"optimizer": "adam"}, "needs gd, heavy_ball or nesterov"),
        ("one_layer", {"optimizer": "nesterov", "momentum": 0.5}, "momentum is 0.5"),
        ("one_layer", {"optimizer": "nesterov", "path": "fields", "loss": "implicit"}, "path spectral"),
        ("one_layer", {"optimizer": "heavy_ball", "rate_schedule": "cosine"}, "rate_schedule is cosine"),
        ("one_layer", {"rate_schedule": "inverse_sqrt"}, "rate_schedule is inverse_sqrt"),
        ("one_layer", {"optimizer": "nesterov", "clip": 1.0}, "clip is 1"),
    ],
)
def test_the_best_pair_is_refused_where_it_is_not_known(
    architecture: str, options: dict[str, Any], words: str, critical: Problem
) -> None:
    settings = TrainingSettings(**{"loss": "population", "rate_from": "optimal", **options})
    with pytest.raises(InputError, match=words):
        train_network(critical(1, 8), Architecture(architecture), settings)


def test_the_best_pair_takes_no_rate() -> None:
    with pytest.raises(InputError, match=r"learning_rate is 0\.1"):
        TrainingSettings("population", optimizer="heavy_ball", rate_from="optimal", learning_rate=0.1)
