from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from csd.training.record import TrainingRecord
from csd.training.reference import depth_exponent, growth_exponent, reference_curve
from tests.conftest import Problem
from tests.helpers import one_layer_kernel, two_layer_flow

POPULATION = TrainingSettings(loss="population")


def stepped(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> TrainingRecord:
    """Train by every single step, where there is a closed form."""
    record = descend(noised, replace(prepare(noised, architecture, settings), closed_form=False), settings)
    assert record.stepping == "every step"
    return record


# Steps to ε₀ = 0.01, population loss, m = 1/L, VP, t = 0.1: computed independently of this project.
ONE_LAYER = {
    1: {8: 270, 16: 1077, 32: 4307, 64: 17227, 128: 68904, 256: 275614},
    2: {8: 344, 16: 1375, 32: 5496, 64: 21980, 128: 87916, 256: 351661},
}
TWO_LAYER = {
    1: {8: 20, 16: 23, 32: 26, 64: 29, 128: 32, 256: 35},
    2: {8: 20, 16: 23, 32: 26, 64: 29, 128: 33, 256: 36},
}
DEEP = {
    3: {16: 55, 32: 86, 64: 136, 128: 214, 256: 339},
    4: {16: 152, 32: 300, 64: 595, 128: 1185, 256: 2364},
    6: {16: 471, 32: 1176, 64: 2951, 128: 7424, 256: 18694},
}


@pytest.mark.parametrize("dimension", [1, 2])
def test_closed_form_times_of_one_layer(dimension: int, critical: Problem) -> None:
    for size, steps in ONE_LAYER[dimension].items():
        prediction = reference_curve(critical(dimension, size), Architecture("one_layer"), POPULATION)
        assert prediction is not None and prediction.method == "closed form"
        assert prediction.training_time[0, 0] == steps


@pytest.mark.parametrize("dimension", [1, 2])
def test_trained_times_of_one_and_two_layers(dimension: int, critical: Problem) -> None:
    for name, table in (("one_layer", ONE_LAYER), ("two_layer", TWO_LAYER)):
        for size, steps in table[dimension].items():
            if steps < 30_000:
                record = stepped(critical(dimension, size), Architecture(name), POPULATION)
                assert record.training_time[0, 0] == steps, (name, size)


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_trained_times_of_deep_networks(depth: int, critical: Problem) -> None:
    for size, steps in DEEP[depth].items():
        record = train_network(critical(1, size), Architecture("deep_linear", depth=depth), POPULATION)
        assert record.training_time[0, 0] == steps


@pytest.mark.parametrize("depth", [1, 2])
def test_deep_linear_of_depth_one_and_two_are_the_named_networks(depth: int, critical: Problem) -> None:
    named = train_network(critical(2, 8), Architecture(["one_layer", "two_layer"][depth - 1]), POPULATION)
    deep = train_network(critical(2, 8), Architecture("deep_linear", depth=depth), POPULATION)
    np.testing.assert_array_equal(named.score_error, deep.score_error)


@pytest.mark.parametrize(
    "architecture", [Architecture("one_layer"), Architecture("local_one_layer", range=2)], ids=lambda a: a.label
)
def test_learning_curves_follow_the_closed_form_step_by_step(architecture: Architecture, critical: Problem) -> None:
    noised = critical(2, 12, (0.05, 0.3, 1.0))
    settings = TrainingSettings(loss="population", tolerance=0.0, max_steps=400)
    record, prediction = stepped(noised, architecture, settings), reference_curve(noised, architecture, settings)
    assert prediction is not None
    np.testing.assert_array_equal(record.steps, prediction.steps)
    np.testing.assert_allclose(record.score_error, prediction.score_error, rtol=1e-10, atol=1e-13)


def test_kernel_follows_the_closed_form_step_by_step(critical: Problem) -> None:
    noised = critical(1, 16)
    spectrum = noised.spectra_at(noised.lattice.shells)[0]
    rate = 1.0 / spectrum.max()
    for steps in (1, 2, 7, 40, 300):
        settings = TrainingSettings(loss="population", tolerance=0.0, max_steps=steps)
        kernel = stepped(noised, Architecture("one_layer"), settings).kernel
        assert kernel is not None
        np.testing.assert_allclose(kernel[0, 0], one_layer_kernel(spectrum, rate, steps), rtol=1e-10)


@pytest.mark.parametrize("kernel_steps", ["last", "recorded", (5, 60, 100)])
def test_closed_form_steps_lead_where_single_steps_do(kernel_steps: str | tuple[int, ...], critical: Problem) -> None:
    """All that is recorded, to 1e-12; times to the step. One level is never at the tolerance, one at the start."""
    noised = critical(2, 8, (0.05, 0.5, 3.0))
    for tolerance, last in ((0.01, 10_000), (0.01, 333), (0.9999, 100), (0.0, 500), (1.0, 10)):
        settings = TrainingSettings(
            loss="population", tolerance=tolerance, max_steps=last, kernel_steps=kernel_steps, seeds=(0, 4)
        )
        slow, fast = (
            stepped(noised, Architecture("one_layer"), settings),
            train_network(noised, Architecture("one_layer"), settings),
        )
        assert fast.stepping == "exact jump"
        # At tolerance 0 a time is where an error happens to round to 0.
        times = ("training_time", "crossing_time") if tolerance > 0.0 else ()
        for name in ("steps", *times[:1], "last_step", "kernel_steps"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)
        for name in ("score_error", *times[1:], "kernel"):
            np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-12, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(fast.residual, slow.residual, rtol=1e-6, atol=1e-12)
        if slow.recorded_kernels is not None:
            np.testing.assert_allclose(fast.recorded_kernels, slow.recorded_kernels, rtol=1e-6)


def test_two_layers_follow_the_flow_at_small_rates(critical: Problem) -> None:
    """The logistic flow is the limit η → 0 at η × steps fixed; the error of the map is of first order in η."""
    noised = critical(1, 16)
    spectrum = noised.spectra_at(noised.lattice.shells)[0]
    errors = []
    for steps in (1000, 2000, 4000):
        settings = TrainingSettings(loss="population", tolerance=0.0, max_steps=steps, learning_rate=4.0 / steps)
        kernel = train_network(noised, Architecture("two_layer"), settings).kernel
        assert kernel is not None
        errors.append(
            np.abs(kernel[0, 0] * spectrum - two_layer_flow(spectrum, 0.1 / spectrum.max(), 4.0) * spectrum).max()
        )
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 2.0, rtol=0.05)


def test_linear_denoiser_dynamics_of_the_literature() -> None:
    """arXiv:2503.03206: one layer w(τ) = w* + (Q − w*) exp(−2ητ(σ² + λ)), w* = λ/(λ + σ²), for D = x + σ² s.

    Our K is (1 − w)/σ² for data of variance λ and noise σ² without signal loss (VE); their loss is E|D − x₀|², whose
    gradient is 2 σ⁴ times ours per mode, so their rate η is ours over 2 σ⁴.
    """
    lam, sigma2, rate, steps = 1.7, 0.6, 1e-4, 5000
    spectrum = np.array([lam + sigma2])
    kernel = one_layer_kernel(spectrum, rate, steps)
    ours = 1.0 - sigma2 * kernel
    optimum = lam / (lam + sigma2)
    # K₀ = 0 is w = Q = 1; d w/dτ = −2 η' (σ² + λ)(w − w*), with η' τ = rate steps / 2.
    theirs = optimum + (1.0 - optimum) * np.exp(-2.0 * (rate * steps / 2.0) * (sigma2 + lam))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_symmetric_two_layer_dynamics_of_the_literature() -> None:
    """arXiv:2503.03206: w(τ) = w* Q/[(w* − Q) e^{−8ηλτ} + Q], the logistic law with growth rate 8ηλ.

    Ours for K is K* K₀/[K₀ + (K* − K₀) e^{−2s}]: the same law for growth rate × time = 2 s.
    """
    optimum, start = 0.7, 0.01
    growth = np.linspace(0.0, 12.0, 25)
    theirs = optimum * start / ((optimum - start) * np.exp(-growth) + start)
    ours = np.array([two_layer_flow(np.array([1.0 / optimum]), start, g / 2.0)[0] for g in growth])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_convolutions_narrower_than_the_data_follow_the_literature() -> None:
    """arXiv:2503.03206: w(τ) = w* + exp[−2Nητ(σ²I + Σ_patch)](w(0) − w*), w* = (σ²I + Σ_patch)⁻¹ Σ_patch e₀.

    For D = x + σ² s the denoiser's filter is w = e₀ − σ² κ, so κ = 0 is w(0) = e₀; VE noise has no signal loss. Our
    flow per unit of η × steps is exp[−P], P = σ²I + Σ_patch.
    """
    lattice, sigma2, reach, steps, time = Lattice(2, 8), 0.4, 1, 4000, 1.5
    noised = NoisedTarget(GaussianField(lattice, 0.3), VarianceExploding(), (sigma2,))
    settings = TrainingSettings(loss="population", tolerance=0.0, max_steps=steps, learning_rate=time / steps)
    record = train_network(noised, Architecture("local_one_layer", range=reach), settings)
    assert record.kernel is not None
    offsets = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    covariance = np.fft.ifft2(1.0 / (4 * np.add.outer(*[np.sin(np.pi * np.arange(8) / 8) ** 2] * 2) + 0.09)).real
    patch = np.array([[covariance[(a - c) % 8, (b - d) % 8] for c, d in offsets] for a, b in offsets])
    unit = np.eye(9)[4]
    optimum = np.linalg.solve(sigma2 * np.eye(9) + patch, patch @ unit)
    theirs = optimum + expm(-time * (sigma2 * np.eye(9) + patch)) @ (unit - optimum)
    ours = lattice.inverse(lattice.spread(record.kernel[0, 0], lattice.shells))
    filters = np.array([(i == 0 and j == 0) - sigma2 * ours[i % 8, j % 8] for i, j in offsets])
    np.testing.assert_allclose(filters, theirs, atol=2e-4)


def test_the_susceptibility_grows_as_in_the_literature() -> None:
    """2 − η = 3 − 2Δ at d = 3, of scaling dimensions Δ by the conformal bootstrap (2016, 2020, 2021)."""
    assert growth_exponent(1, 0) == growth_exponent(3, 0) == 2.0
    assert growth_exponent(2, 1) == 7 / 4
    for components, dimension in {1: 0.5181489, 2: 0.519088, 3: 0.518936}.items():
        assert growth_exponent(3, components) == pytest.approx(3.0 - 2.0 * dimension, abs=1e-4)
    assert np.isnan(growth_exponent(1, 1))


def test_depth_law() -> None:
    assert [depth_exponent(p) for p in (1, 2, 4)] == [2.0, 0.0, 1.0]
    assert depth_exponent(3) == pytest.approx(2 / 3)
    assert depth_exponent(6) == pytest.approx(4 / 3)
    for depth, table in DEEP.items():
        sizes, times = np.array(list(table)), np.array(list(table.values()))
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        assert slope == pytest.approx(depth_exponent(depth), abs=0.02)
