"""Autocorrelation times, errors, the thermalisation cut, R-hat."""

import re

import numpy as np
import pytest
from scipy.signal import lfilter

from csd.core.errors import InputError
from csd.core.random import stream
from csd.mcmc.autocorrelation import Estimate, estimate, r_hat, thermalisation_cut
from docs.numbers import slow_tail


def _autoregressive(coefficient: float, chains: int, length: int, *purpose: object) -> np.ndarray:
    """x_t = a x_{t−1} + sqrt(1 − a²) z, stationary, unit variance: ρ(t) = a^t, τ = ½ (1 + a)/(1 − a)."""
    white = stream("ar1", *purpose).standard_normal((chains, length))
    white[:, 1:] *= np.sqrt(1.0 - coefficient**2)
    return lfilter([1.0], [1.0, -coefficient], white)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9])
def test_known_times(coefficient: float) -> None:
    """Within 3 σ: false alarms 3 in 1000 for each of the comparisons."""
    exact = 0.5 * (1.0 + coefficient) / (1.0 - coefficient)
    result = estimate(_autoregressive(coefficient, 4, 25_000, coefficient))
    assert abs(result.tau - exact) < max(3.0 * result.tau_error, 0.02)
    assert result.tau_error < 0.1 * exact
    assert result.error == pytest.approx(np.sqrt(2.0 * exact / 100_000), rel=0.1)
    assert abs(result.value) < 3.0 * result.error
    assert result.remark == ""
    assert result.measurements == 100_000


def test_error_bars_cover() -> None:
    """68 % of intervals hold the truth: 200 runs, binomial σ = 3.3 %, so outside [57 %, 79 %] once in 1000."""
    runs = [estimate(_autoregressive(0.8, 2, 1000, "cover", run)) for run in range(200)]
    held = np.mean([abs(run.value) < run.error for run in runs])
    assert 0.57 < held < 0.79


def test_error_of_the_time_of_a_square() -> None:
    """x² of an AR(1) series has ρ = a^{2t}, and is no Gaussian process: the Γ method's own error of τ is too small.

    120 runs: the scatter of τ is known to 6.5 %, so the ratio is outside [0.8, 1.25] three times in 1000.
    """
    coefficient = 0.9
    runs = [estimate(_autoregressive(coefficient, 2, 20_000, "square", run) ** 2) for run in range(120)]
    times = np.array([run.tau for run in runs])
    exact = 0.5 * (1.0 + coefficient**2) / (1.0 - coefficient**2)
    assert times.mean() == pytest.approx(exact, rel=0.03)
    assert 0.8 < np.mean([run.tau_error for run in runs]) / times.std(ddof=1) < 1.25


def test_slow_tail_of_the_energy() -> None:
    """τ of H is 1.67, more than half of it through m² (τ = 64.4), which is 1/64 of its variance; the window sees 0.8.

    200 runs: of normal pulls the rms scatters by 0.05, so it is outside [0.85, 1.15] 3 times in 1000.
    """
    energies, means = slow_tail.chains()
    runs = [estimate(energy, slowest=mean**2) for energy, mean in zip(energies, means, strict=True)]
    pulls = np.array([(run.value - 0.5) / run.error for run in runs])
    assert 0.85 < np.sqrt(np.mean(pulls**2)) < 1.15
    times = np.array([run.tau for run in runs])
    assert times.mean() == pytest.approx(1.67, abs=4.0 * times.std() / np.sqrt(200) + 0.03)
    assert 0.7 < np.mean([run.tau_error for run in runs]) / times.std(ddof=1) < 1.4
    without = [estimate(energy).tau for energy in energies[:20]]
    assert np.mean(without) < 0.85


def test_error_of_the_error_holds_the_tail() -> None:
    """White noise with a twentieth of a slow series, whose tail is most of the error: 60 errors scatter as they say.

    The deviation of 60 numbers is known to 9 %, so that a right one lies outside of 0.7 to 1.4 in 1 of 1,000.
    """
    found = []
    for run in range(60):
        slow = _autoregressive(np.exp(-1.0 / 40.0), 4, 5500, "tail", run)
        white = stream("white beside the tail", run).standard_normal(slow.shape)
        found.append(estimate(np.sqrt(0.05) * slow + np.sqrt(0.95) * white, slowest=slow))
    scatter = np.std([one.error for one in found])
    assert np.mean([one.error_of_error for one in found]) == pytest.approx(scatter, rel=0.3)


def test_what_does_not_feel_the_slowest_series_gets_no_tail() -> None:
    white, slow = _autoregressive(0.0, 4, 20_000, "feels nothing"), _autoregressive(0.98, 4, 20_000, "slow") ** 2
    assert estimate(white, slowest=slow).tau == pytest.approx(0.5, abs=0.03)
    own = estimate(slow, slowest=slow)
    exact = 0.5 * (1.0 + 0.98**2) / (1.0 - 0.98**2)
    assert abs(own.tau - exact) < 4.0 * own.tau_error


def test_function_of_means() -> None:
    """Of ln-normal y = e^x: ⟨y²⟩/⟨y⟩² = e; error of x̄² at x̄ = 3 is 6 that of x̄."""
    rows = 3.0 + _autoregressive(0.5, 2, 20_000, "function")
    plain, squared = estimate(rows), estimate(rows, of=lambda mean: mean * mean)
    assert squared.value == pytest.approx(plain.value**2)
    assert squared.error == pytest.approx(2.0 * plain.value * plain.error, rel=1e-6)
    ratio = estimate(np.exp(2.0 * (rows - 3.0)), np.exp(rows - 3.0), of=lambda second, first: second / (first * first))
    assert abs(ratio.value - np.e) < 3.0 * ratio.error


def test_short_run_gives_no_error() -> None:
    result = estimate(_autoregressive(0.99, 4, 300, "short"))
    assert np.isnan(result.error)
    assert "300" in result.remark


def test_chains_that_disagree_give_no_error() -> None:
    rows = _autoregressive(0.0, 2, 1000, "apart")
    rows[1] += 3.0
    result: Estimate = estimate(rows)
    assert np.isnan(result.error)
    assert "chains disagree" in result.remark


def test_r_hat() -> None:
    """Halves (0, 1), (1, 2), (10, 11), (11, 12): within ½, means ½, 1½, 10½, 11½ of variance 101/3."""
    assert r_hat(np.array([[0.0, 1.0, 1.0, 2.0], [10.0, 11.0, 11.0, 12.0]])) == pytest.approx(
        np.sqrt(0.5 + (101.0 / 3.0) / 0.5)
    )
    assert r_hat(_autoregressive(0.0, 8, 4000, "r_hat")) == pytest.approx(1.0, abs=2e-3)
    drift = np.linspace(0.0, 5.0, 1000) + _autoregressive(0.0, 1, 1000, "drift")
    assert r_hat(drift) > 1.5


def test_thermalisation_cut() -> None:
    """A start 30 σ away that is forgotten as e^{−t/20} is below σ/10 after 114 measurements."""
    rows = _autoregressive(0.5, 4, 2000, "cut")
    assert thermalisation_cut(rows) < 400
    away = rows + 30.0 * np.exp(-np.arange(2000) / 20.0)
    assert 60 <= thermalisation_cut(away) <= 400
    assert thermalisation_cut(rows, away) == max(thermalisation_cut(rows), thermalisation_cut(away))
    assert thermalisation_cut(np.arange(1000.0)[None]) == 500


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.full((2, 100), 3.0), "3"),
        (np.stack([np.arange(100.0), np.full(100, 0.1)]), "0.1"),
        ([np.arange(10.0), np.arange(11.0)], "10 to 11"),
        (np.arange(3.0)[None], "at least 5"),
        (np.arange(10.0), "(chains, measurements)"),
        ([], "at least one chain"),
        (np.array([[1.0, 2.0, np.nan, 3.0, 4.0]]), "not finite"),
    ],
)
def test_what_has_no_time_is_refused(series: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        estimate(series)  # type: ignore[arg-type]


def test_different_shapes_are_refused() -> None:
    rows = _autoregressive(0.0, 2, 100, "shapes")
    with pytest.raises(InputError, match="same"):
        estimate(rows, rows[:, :50], of=lambda one, other: one + other)
