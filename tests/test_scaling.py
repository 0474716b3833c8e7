"""Scaling laws: exact ones are recovered, noisy ones within errors that are neither too small nor too large."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from csd.errors import InputError
from csd.lattice import Array
from csd.scaling import Fit, fit, fit_log_law, fit_power_law, local_exponents
from csd.summary import scaling_table

SIZES = [8, 16, 32, 64, 128, 256]
Law = Callable[[Array], Array]


def power(amplitude: float, exponent: float) -> Law:
    """τ = A L^z."""
    return lambda size: amplitude * np.asarray(size, dtype=float) ** exponent


def logarithm(offset: float, slope: float) -> Law:
    """τ = a + b ln L."""
    return lambda size: offset + slope * np.log(size)


def times(law: Law, sizes: Sequence[int], seeds: int = 1, noise: float = 0.0, stream: int = 0) -> list[Array]:
    """Training times of some seeds at each size, with log-normal noise."""
    generator = np.random.default_rng([17, stream])
    return [law(np.array(size)) * np.exp(noise * generator.standard_normal(seeds)) for size in sizes]


# Exact laws.


@pytest.mark.parametrize("exponent", [2.0, 1.0, 2.0 / 3.0, 0.2, 0.0, -0.5, 4.0])
@pytest.mark.parametrize("amplitude", [1e-3, 3.0, 1e9])
def test_an_exact_power_law_is_recovered(amplitude: float, exponent: float) -> None:
    law, _ = fit(SIZES, times(power(amplitude, exponent), SIZES))
    assert law.law == "power"
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert np.exp(law.intercept) == pytest.approx(amplitude, rel=1e-8)
    assert law.sizes == tuple(SIZES)
    assert 0.0 <= law.error < 1e-7
    assert 0.0 <= law.residual_error < 1e-7
    assert law.bootstrap_error == 0.0
    np.testing.assert_allclose(law.local_exponents, exponent, atol=1e-9)
    np.testing.assert_allclose(law(np.array([10.0, 1000.0])), power(amplitude, exponent)([10, 1000]), rtol=1e-7)


@pytest.mark.parametrize(("offset", "slope"), [(5.0, 20.0), (0.0, 10.0), (-15.0, 8.0), (100.0, -10.0), (2e6, 3e5)])
def test_an_exact_log_law_is_recovered(offset: float, slope: float) -> None:
    """Also one that falls, and one that would be negative at smaller sizes."""
    _, law = fit(SIZES, times(logarithm(offset, slope), SIZES))
    assert law.law == "log"
    assert law.exponent == pytest.approx(slope, rel=1e-6)
    assert law.intercept == pytest.approx(offset, rel=1e-6, abs=1e-6 * abs(slope))
    assert 0.0 <= law.error < 1e-5 * abs(slope)
    np.testing.assert_allclose(law(np.array([8.0, 1000.0])), logarithm(offset, slope)([8, 1000]), rtol=1e-6)


@given(st.floats(-3.0, 6.0), st.floats(-5.0, 15.0), st.lists(st.integers(2, 4096), min_size=3, max_size=8, unique=True))
def test_any_exact_power_law_is_recovered(exponent: float, amplitude: float, sizes: list[int]) -> None:
    law, other = fit(sizes, times(power(np.exp(amplitude), exponent), sizes))
    spread = np.ptp(np.log(sizes))
    assert law.exponent == pytest.approx(exponent, abs=1e-10 / spread + 1e-9)
    assert np.isfinite([law.error, other.exponent, other.intercept]).all()
    assert law.sizes == tuple(sorted(sizes))


def test_seeds_are_averaged_before_the_fit() -> None:
    """Seeds at τ (1 ± δ) have the mean τ, and their number may differ from size to size."""
    exact = power(2.0, 1.5)
    spread = [exact(np.array(size)) * np.array([0.8, 1.0, 1.2][: 3 if size < 64 else None]) for size in SIZES]
    spread[0] = exact(np.array(8.0)) * np.array([0.9, 1.1])
    law, _ = fit(SIZES, spread)
    assert law.exponent == pytest.approx(1.5, abs=1e-12)
    assert law.residual_error < 1e-12
    assert law.error == law.bootstrap_error > 0.01


# Errors.


def coverage(law: Law, truth: float, which: int, sizes: Sequence[int], seeds: int, noise: float) -> float:
    """How many of 200 fixed data sets have the truth within their quoted error."""
    held = 0
    for data_set in range(200):
        found: Fit = fit(sizes, times(law, sizes, seeds, noise, stream=data_set))[which]
        held += abs(found.exponent - truth) <= found.error
    return held / 200


# The true rate, from 1000 to 3000 other data sets, is 0.70 to 0.72 wherever there are several seeds (0.68 for a normal
# error; ours is the larger of two estimates), and 0.63 for one seed at six sizes (Student's t with 4 degrees of freedom
# holds 0.626). At 200 data sets its standard deviation is 0.032 to 0.034, so that a correct fit would fall outside 0.50
# to 0.85 in one of 10⁵ choices of the fixed streams (one of 10⁴ for one seed); errors that are half as large hold the
# truth in 0.40, and errors twice as large in 0.96.
@pytest.mark.parametrize(
    ("sizes", "seeds"),
    [([8, 16, 32, 64], 2), (SIZES, 4), (SIZES, 1)],
    ids=["four sizes, two seeds", "six sizes, four seeds", "six sizes, one seed"],
)
@pytest.mark.parametrize("which", [0, 1], ids=["power", "log"])
def test_the_quoted_error_holds_the_truth_as_often_as_it_should(which: int, sizes: list[int], seeds: int) -> None:
    law, truth = (power(5.0, 2.0), 2.0) if which == 0 else (logarithm(5.0, 20.0), 20.0)
    assert 0.50 < coverage(law, truth, which, sizes, seeds, noise=0.05) < 0.85


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_bootstrap_error_is_that_of_independent_seeds(seeds: int) -> None:
    """δz² = (noise²/seeds) / Σ (ln L − mean)², also for two seeds, whose naive bootstrap has half the variance.

    The root mean square over 200 data sets of six sizes is known to 2 %; without the correction it is 29 % too small at
    two seeds and 18 % at three.
    """
    logs = np.log(SIZES)
    exact = 0.05 / np.sqrt(seeds * ((logs - logs.mean()) ** 2).sum())
    found = [fit(SIZES, times(power(5.0, 2.0), SIZES, seeds, 0.05, stream=i))[0].bootstrap_error for i in range(200)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(exact, rel=0.1)


def test_the_residual_error_is_that_of_least_squares() -> None:
    """Residuals +1, −2, +1 in ln τ at equal steps of ln L: δz² = (6 / 1) / (2 ln²2), by the textbook."""
    delta = 1e-3
    bent = power(3.0, 1.0)(np.array([8, 16, 32])) * np.exp(delta * np.array([1.0, -2.0, 1.0]))
    law, _ = fit([8, 16, 32], [np.array([time]) for time in bent])
    assert law.exponent == pytest.approx(1.0, abs=1e-12)
    assert law.residual_error == pytest.approx(delta * np.sqrt(6.0 / 2.0) / np.log(2.0), rel=1e-9)
    assert law.error == law.residual_error


def test_the_error_is_the_larger_of_both() -> None:
    noisy = fit(SIZES, times(power(5.0, 2.0), SIZES, 4, 0.05))[0]
    bent = fit(SIZES, times(logarithm(5.0, 20.0), SIZES, 4, 1e-4))[0]
    for law in (noisy, bent):
        assert law.error == max(law.bootstrap_error, law.residual_error)
    assert bent.error == bent.residual_error > 10.0 * bent.bootstrap_error > 0.0


def test_errors_fall_as_one_over_the_root_of_seeds() -> None:
    errors = [fit(SIZES, times(power(1.0, 1.0), SIZES, seeds, 0.1))[0].bootstrap_error for seeds in (16, 256)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)


def test_seeds_that_agree_have_no_bootstrap_error() -> None:
    law = fit(SIZES, [np.full(4, time) for time in power(2.0, 1.0)(np.array(SIZES))])[0]
    assert (law.bootstrap_error, law.exponent) == (0.0, pytest.approx(1.0))
    # One size whose seeds differ is enough for one.
    mixed = [np.full(4, time) for time in power(2.0, 1.0)(np.array(SIZES))]
    mixed[-1] = mixed[-1] * np.array([0.9, 1.1, 0.9, 1.1])
    assert 0.0 < fit(SIZES, mixed)[0].bootstrap_error < 0.1


# Which law it is.


@pytest.mark.parametrize("count", [5, 6])
def test_evidence_has_the_right_sign_on_exact_laws(count: int) -> None:
    sizes = SIZES[:count]
    for exponent in (2.0, 1.0, 0.3, -0.5):
        both = fit(sizes, times(power(4.0, exponent), sizes))
        assert both[0].evidence == both[1].evidence < -10.0, exponent
    for offset, slope in ((5.0, 20.0), (0.0, 10.0), (100.0, -10.0)):
        both = fit(sizes, times(logarithm(offset, slope), sizes))
        assert both[0].evidence == both[1].evidence > 10.0, (offset, slope)


def test_evidence_has_the_right_sign_in_noise() -> None:
    """At 1 % noise all of 50 fixed data sets of either law."""
    for data_set in range(50):
        assert fit(SIZES, times(power(4.0, 0.5), SIZES, 4, 0.01, data_set))[0].evidence < 0.0
        assert fit(SIZES, times(logarithm(5.0, 20.0), SIZES, 4, 0.01, data_set))[0].evidence > 0.0


def test_evidence_is_the_difference_of_information() -> None:
    """n ln(RSS_power / RSS_log): both laws have as many parameters, so that the corrections of AICc are the same."""
    data = times(logarithm(5.0, 20.0), SIZES, 1, 0.05)
    mean = np.array([sample.mean() for sample in data])
    squares = [law(np.array(SIZES, dtype=float), mean)[3] for law in (fit_power_law, fit_log_law)]
    assert fit(SIZES, data)[0].evidence == pytest.approx(len(SIZES) * np.log(squares[0] / squares[1]), rel=1e-4)


@pytest.mark.parametrize("level", [0.37, 1.0, 1e6])
def test_a_constant_is_evidence_for_neither(level: float) -> None:
    """z = 0 and b = 0 are the same law, and rounding errors must not decide between them."""
    power_law, log_law = fit(SIZES, [np.full(2, level)] * len(SIZES))
    assert power_law.evidence == pytest.approx(0.0, abs=1e-3)
    assert (power_law.exponent, log_law.exponent) == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(0.0, abs=1e-6 * level),
    )
    for law in (power_law, log_law):
        assert [law.error, law.residual_error, law.bootstrap_error] == pytest.approx([0.0] * 3, abs=1e-6 * level)


def test_there_is_no_evidence_below_five_sizes() -> None:
    for count in (3, 4):
        for law in (power(4.0, 2.0), logarithm(5.0, 20.0)):
            assert all(np.isnan(found.evidence) for found in fit(SIZES[:count], times(law, SIZES[:count])))
    assert np.isfinite(fit(SIZES[:5], times(power(4.0, 2.0), SIZES[:5]))[0].evidence)


# Local exponents.


def test_local_exponents() -> None:
    np.testing.assert_allclose(local_exponents(np.array([2.0, 4.0, 16.0]), np.array([3.0, 12.0, 6.0])), [2.0, -0.5])
    law = fit([4, 2, 16], [np.array([12.0]), np.array([3.0]), np.array([5.0, 7.0])])[0]
    np.testing.assert_allclose(law.local_exponents, [2.0, -0.5])


def test_local_exponents_tell_a_logarithm() -> None:
    """They fall like 1 / ln L for a + b ln L, and stay for a power."""
    falling = fit(SIZES, times(logarithm(5.0, 20.0), SIZES))[0].local_exponents
    assert len(falling) == len(SIZES) - 1
    assert (np.diff(falling) < 0.0).all()
    assert np.ptp(fit(SIZES, times(power(5.0, 0.3), SIZES))[0].local_exponents) < 1e-12


# What is given.


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_order_of_sizes_does_not_matter(noise: float) -> None:
    """Not even for the bootstrap: the same data give the same file, in whatever order a study lists them."""
    data = times(power(5.0, 1.3), SIZES, 4, noise)
    ordered = fit(SIZES, data)
    for order in ([5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]):
        shuffled = fit([SIZES[i] for i in order], [data[i] for i in order])
        assert shuffled == ordered


def test_the_same_data_give_the_same_fit() -> None:
    data = times(power(5.0, 1.3), SIZES, 4, 0.05)
    assert fit(SIZES, data) == fit(SIZES, data)
    assert fit(np.array(SIZES), data) == fit(SIZES, data)


@pytest.mark.parametrize("sizes", [[], [8], [8, 16], [8, 8, 16], [16, 8, 16, 8]])
def test_fewer_than_three_sizes_are_no_law(sizes: list[int]) -> None:
    with pytest.raises(InputError, match="a scaling law needs at least three sizes") as raised:
        fit(sizes, times(power(1.0, 1.0), sizes))
    assert str(sorted(set(sizes))) in str(raised.value)


@pytest.mark.parametrize(
    "wrong", [[0.0], [-1.0], [np.nan], [np.inf], [3.0, np.nan], []], ids=lambda wrong: str(wrong) or "none"
)
def test_a_time_that_is_no_time_is_refused(wrong: list[float]) -> None:
    """Silently left out, a seed that never got there would make training look faster."""
    data = [np.array([1.0]), np.array(wrong), np.array([3.0]), np.array([4.0])]
    with pytest.raises(InputError, match="missing or not positive"):
        fit([8, 16, 32, 64], data)


# All of a study.


def summary_of(**laws: Law) -> xr.Dataset:
    """A summary with the times of some architectures, two seeds each, at two noise levels."""
    runs = [(name, size) for name in laws for size in SIZES]
    both = np.array([[laws[name](np.array(size)) * np.array([1.0, 2.0])] * 2 for name, size in runs])

    def column(values: Sequence[object]) -> tuple[str, Array]:
        return "run", np.array(values, dtype=object)

    return xr.Dataset(
        {
            "sweep": column(["line"] * len(runs)),
            "architecture": column([name for name, _ in runs]),
            "mass_label": column(["mL1"] * len(runs)),
            "data": column(["population"] * len(runs)),
            "dimension": ("run", [2] * len(runs)),
            "size": ("run", [size for _, size in runs]),
            "score_error": (("run", "seed", "noise_level", "step"), np.ones((*both.shape, 1))),
            "crossing_time": (("run", "seed", "noise_level"), both),
            "predicted_crossing_time": (("run", "seed", "noise_level"), both.copy()),
        },
        {"seed": [1, 2], "noise_level": [0.1, 0.5], "step": [0]},
    )


def test_the_table_of_a_study_has_a_law_for_everything_at_several_sizes() -> None:
    summary = summary_of(one_layer=power(3.0, 2.0), two_layer=logarithm(5.0, 20.0))
    table = scaling_table(summary)
    # Architectures × noise levels × (measured, predicted) × laws.
    assert len(table) == 2 * 2 * 2 * 2
    powers = table[(table["law"] == "power") & (table["architecture"] == "one_layer")]
    np.testing.assert_allclose(powers["exponent"], 2.0)
    assert (powers["evidence"] < -10.0).all()
    logs = table[(table["law"] == "log") & (table["architecture"] == "two_layer")]
    np.testing.assert_allclose(sorted(logs["exponent"]), [20.0] * 2 + [40.0] * 2)
    assert (logs["evidence"] > 10.0).all()
    assert set(table["sizes"]) == {"8 16 32 64 128 256"}
    assert set(table["quantity"]) == {"training_time", "predicted_training_time"}
    assert set(table["study"]) == {"line"}
    assert set(table["mass"]) == {"mL1"}


def test_the_table_says_why_there_is_no_law() -> None:
    summary = summary_of(one_layer=power(3.0, 2.0)).isel(run=[0, 1])
    table = scaling_table(summary)
    assert set(table["law"]) == {"none"}
    assert all("at least three sizes" in note for note in table["note"])


def test_a_size_that_no_seed_finished_is_left_out_and_seen_to_be() -> None:
    summary = summary_of(one_layer=power(3.0, 2.0))
    summary["crossing_time"].values[-1] = np.nan
    table = scaling_table(summary)
    measured = table[(table["quantity"] == "training_time") & (table["law"] == "power")]
    assert set(measured["sizes"]) == {"8 16 32 64 128"}
    np.testing.assert_allclose(measured["exponent"], 2.0)


def test_a_size_that_some_seeds_finished_has_no_mean() -> None:
    """The mean of those that did would be too small, and the law with it; a seed that was not run is another matter."""
    summary = summary_of(one_layer=power(3.0, 2.0))
    summary["crossing_time"].values[-1, 0, 0] = np.nan
    table = scaling_table(summary)
    measured = table[(table["quantity"] == "training_time") & (table["noise_level"] == 0.1)]
    assert list(measured["law"]) == ["none"]
    assert "256" in measured["note"].item()
    assert set(table[table["noise_level"] == 0.5]["law"]) == {"power", "log"}
    summary["score_error"].values[-1, 0, 0] = np.nan
    table = scaling_table(summary)
    assert set(table["law"]) == {"power", "log"}
    np.testing.assert_allclose(table[table["law"] == "power"]["exponent"], 2.0)
