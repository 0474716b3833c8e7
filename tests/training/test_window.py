"""Two full layers from a start K₀: the window in which they learn, their steps, and the option."""

from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError, TrainingDiverged
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from csd.training.reference import expected_steps, reference_curve
from csd.training.steps.window import front, largest_rate, largest_start, steps_from

TWO = Architecture("two_layer")


def noised(size: int, dimension: int = 1, level: float = 0.1) -> NoisedTarget:
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [level])


def from_start(start: float, rate: float = 0.25, **how: Any) -> TrainingSettings:
    return TrainingSettings("population", start_kernel=start, learning_rate=rate, max_steps=2000, **how)


@pytest.mark.parametrize("rate", [0.05, 0.25, 0.5, 0.9])
def test_the_window_of_the_map_is_exact(rate: float) -> None:
    """Numbers below the edge end at 1 or, at single values, at 0; above it they grow at every step."""
    edge = largest_start(1.0, rate)
    inside, outside = np.sqrt(np.linspace(1e-4, edge * (1.0 - 1e-9), 4001)), np.sqrt(edge * (1.0 + 1e-9))
    for _ in range(4000):
        inside = (1.0 + rate) * inside - rate * inside**3
    np.testing.assert_allclose(inside**2, 1.0, atol=1e-9)
    for _ in range(40):
        grown = abs((1.0 + rate) * outside - rate * outside**3)
        assert grown > outside
        outside = min(grown, 1e3)
    assert largest_rate(1.0, edge) == pytest.approx(rate)
    # Below the start of η = 1 nothing but η < 1 is asked.
    assert largest_rate(1.0, 2.5) == largest_rate(10.0, 0.3) == 1.0


def test_networks_diverge_beyond_the_window_alone() -> None:
    target = noised(64)
    largest = float(target.spectra_at(target.modes).max())
    edge = largest_start(largest, 0.25)
    assert np.isfinite(train_network(target, TWO, from_start(0.99 * edge)).training_time).all()
    with pytest.raises(TrainingDiverged):
        train_network(target, TWO, from_start(1.01 * edge))
    # At the same start, a smaller rate learns.
    assert np.isfinite(train_network(target, TWO, from_start(1.01 * edge, 0.24)).training_time).all()
    # The estimate has a geometric mean of neighbouring C in the place of C_max.
    assert np.isnan(expected_steps(target, TWO, from_start(1.5 * edge)))


@pytest.mark.parametrize("rate", [0.125, 0.5])
@pytest.mark.parametrize("start", [1e-5, 1e-8])
def test_steps_from_a_start_do_not_depend_on_the_size(start: float, rate: float) -> None:
    """Steps that are not rounded are those of whole steps, rounded up."""
    times, forms = [], []
    for size in (16, 64, 256):
        target = noised(size)
        record = train_network(target, TWO, from_start(start, rate))
        forms.append(steps_from(target.spectra_at(target.modes)[0], target.modes.multiplicity, start, rate, 0.01))
        times.append(record.crossing_time.item())
        assert record.training_time.item() == np.ceil(forms[-1])
    assert np.ptp(times) < 2e-3
    assert np.ptp(forms) < 2e-3


def test_a_smaller_start_costs_a_logarithm() -> None:
    target = noised(32)
    spectrum, weight = target.spectra_at(target.modes)[0], target.modes.multiplicity
    one, other = (steps_from(spectrum, weight, start, 0.25, 0.01) for start in (1e-6, 1e-9))
    assert other - one == pytest.approx(0.5 * np.log(1e3) / np.log(1.25), abs=1e-4)


def test_the_front_is_the_map() -> None:
    """CK of a mode, iterated from far below."""
    values = [1e-4]
    for _ in range(60):
        values.append(1.25 * values[-1] - 0.25 * values[-1] ** 3)
    grown = 1e-4 * 1.25 ** np.arange(61)
    np.testing.assert_allclose(front(grown, 0.25), np.square(values), rtol=2e-8)


@pytest.mark.parametrize(
    ("name", "options", "uses"),
    [
        ("two_layer", {}, 2),
        ("deep_linear", {"depth": 3}, 3),
        ("local_two_layer", {"range": 2}, 0),
        ("multiscale", {}, 0),
    ],
)
@pytest.mark.parametrize("path", ["spectral", "fields"])
def test_networks_start_at_the_kernel(name: str, options: dict[str, Any], uses: int, path: str) -> None:
    """Full layers exactly, random filters in the mean: K₀ = Σ_r Σ_c w² has the relative scatter √(2/parameters)."""
    loss = "population" if path == "spectral" else "implicit"
    settings = TrainingSettings(loss, start_kernel=3e-5, seeds=tuple(range(40)), path=path, batch=2)  # type: ignore[arg-type]
    run = prepare(noised(16), Architecture(name, **options), settings)
    kernels = np.real(run.descent.kernel())
    if uses:
        np.testing.assert_allclose(kernels, 3e-5, rtol=1e-12)
    else:
        # The mean of K over momenta is Σ w².
        means = (kernels * run.modes.multiplicity).sum(axis=-1).ravel() / 16
        scatter = np.sqrt(2.0 / run.parameters[0] / len(means))
        # Four standard errors, so 1 in 16,000 for a fresh seed.
        assert abs(means.mean() / 3e-5 - 1.0) < 4.0 * scatter


def test_predictions_take_the_start() -> None:
    target, settings = noised(32), from_start(1e-7)
    found = reference_curve(target, TWO, settings)
    assert found is not None
    trained = train_network(target, TWO, settings)
    np.testing.assert_array_equal(found.training_time, trained.training_time)
    assert expected_steps(target, TWO, settings) == trained.training_time.item()


@pytest.mark.parametrize("name", ["two_layer", "deep_linear", "local_two_layer", "multiscale", "multiscale_blocks"])
def test_networks_start_at_the_size_that_is_given(name: str) -> None:
    """Four times K₀ is four times the kernel at the start in every mode, also of random filters."""
    options: dict[str, Any] = {"local_two_layer": {"range": 1}, "deep_linear": {"depth": 2}}.get(name, {})
    small, large = (
        np.abs(prepare(noised(8), Architecture(name, **options), from_start(start)).descent.kernel())
        for start in (1e-4, 4e-4)
    )
    np.testing.assert_allclose(large, 4.0 * small, rtol=1e-12)


@pytest.mark.parametrize("name", ["one_layer", "local_one_layer", "exact", "deep_linear"])
def test_other_networks_have_no_such_start(name: str) -> None:
    options: dict[str, Any] = {"local_one_layer": {"range": 1}, "deep_linear": {"depth": 1}}.get(name, {})
    with pytest.raises(InputError, match=r"start_kernel is 0\.001, but architecture .* two_layer"):
        prepare(noised(8), Architecture(name, **options), from_start(1e-3))


def test_a_start_beyond_the_window_is_named_with_the_largest_one() -> None:
    """The largest K₀ in the message is that of 1 + 2/η: below it networks learn. Other networks tell the default."""
    target = noised(16)
    bound = 9.0 / float(target.spectra_at(target.modes).max())
    with pytest.raises(TrainingDiverged, match=rf"start_kernel is .*, which must be below .* = {bound:.3g} there"):
        train_network(target, TWO, from_start(1.01 * bound, 0.25))
    assert np.isfinite(train_network(target, TWO, from_start(0.99 * bound, 0.25)).training_time).all()
    with pytest.raises(
        TrainingDiverged, match=rf"start_kernel is 10, which .* 0\.1 / C_max = {bound / 90.0:.3g} there"
    ):
        train_network(target, Architecture("local_two_layer", range=1), from_start(10.0, 0.25))


@pytest.mark.parametrize("start", [-1e-3, 0.0, 1e-320, 1e7, np.nan, np.inf])
def test_starts_that_are_no_starts_are_refused(start: float) -> None:
    with pytest.raises(InputError, match=r"start_kernel is .*; it must be .*1e-300.*1e\+?06"):
        from_start(start)


@pytest.mark.parametrize("start", [1e-300, 1e6])
def test_the_ends_of_what_is_allowed_give_no_warnings(start: float) -> None:
    """Networks at the first learn, at the last diverge; warnings are errors."""
    if start < 1.0:
        assert np.isfinite(train_network(noised(8), TWO, from_start(start)).training_time).all()
    else:
        with pytest.raises(TrainingDiverged, match="start_kernel"):
            train_network(noised(8), TWO, from_start(start))


def test_blocks_of_multiscale_start_at_a_kernel_that_is_given() -> None:
    """The mean of K(k) over modes and 100 starts, within 4 of its errors.

    Its expectation is the sum of variances, K₀ times the mean over blocks of one over their sites: (8 + 4/2)/12, as
    L = 16 has 8 blocks of one site and 4 of two.
    """
    architecture = Architecture("multiscale_blocks")
    run = prepare(noised(16), architecture, from_start(1e-3, seeds=tuple(range(100))))
    weight = run.modes.multiplicity
    mean = (run.descent.kernel().real * weight).sum(axis=-1) / weight.sum()
    assert mean.mean() == pytest.approx(1e-3 * 10 / 12, abs=4.0 * mean.std() / 10.0)


def test_noise_of_minibatches_leaves_the_error_that_is_known() -> None:
    """ε → η / ((1 − η) B), twice that in modes k = −k: the recursion of δ = w/w* − 1 to leading order."""
    target, steps = noised(128), tuple(range(100, 500, 20))
    how: dict[str, Any] = {"tolerance": 0.0, "max_steps": steps[-1], "kernel_steps": steps, "seeds": (1, 2, 3, 4)}
    record = train_network(target, TWO, TrainingSettings(batch=256, start_kernel=1e-6, **how))
    assert record.recorded_kernels is not None
    squared = np.abs(target.spectra_at(record.modes)[0] * record.recorded_kernels - 1.0) ** 2
    share = record.modes.multiplicity / target.spectra_at(record.modes)[0]
    found = (share * squared).sum(axis=-1) / share.sum()
    # 80 errors, each of 65 modes, correlated over two steps: a scatter of 2 %, and 1 % beyond leading order.
    assert found.mean() == pytest.approx(0.25 / 0.75 / 256, rel=0.1)
