"""Scaling laws: exact ones are recovered, noisy ones within errors that are neither too small nor too large."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from csd.core.errors import InputError
from csd.lattice import Array
from csd.study.nested_law import box_cox, fit_nested_law, systematic_error
from csd.study.scaling import fit, fit_log_law, fit_power_law, local_exponents, seed_errors
from csd.study.seeds import student
from csd.study.summaries.laws import training_table

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
    law = fit(SIZES, times(power(amplitude, exponent), SIZES))["power"]
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
    law = fit(SIZES, times(logarithm(offset, slope), SIZES))["log"]
    assert law.law == "log"
    assert law.exponent == pytest.approx(slope, rel=1e-6)
    assert law.intercept == pytest.approx(offset, rel=1e-6, abs=1e-6 * abs(slope))
    assert 0.0 <= law.error < 1e-5 * abs(slope)
    np.testing.assert_allclose(law(np.array([8.0, 1000.0])), logarithm(offset, slope)([8, 1000]), rtol=1e-6)


@given(st.floats(-3.0, 6.0), st.floats(-5.0, 15.0), st.lists(st.integers(2, 4096), min_size=3, max_size=8, unique=True))
def test_any_exact_power_law_is_recovered(exponent: float, amplitude: float, sizes: list[int]) -> None:
    laws = fit(sizes, times(power(np.exp(amplitude), exponent), sizes))
    law, other = laws["power"], laws["log"]
    spread = np.ptp(np.log(sizes))
    assert law.exponent == pytest.approx(exponent, abs=1e-10 / spread + 1e-9)
    assert np.isfinite([law.error, other.exponent, other.intercept]).all()
    assert law.sizes == tuple(sorted(sizes))


def test_seeds_are_averaged_before_the_fit() -> None:
    """Seeds at τ (1 ± δ) have the mean τ, and their number may differ from size to size."""
    exact = power(2.0, 1.5)
    spread = [exact(np.array(size)) * np.array([0.8, 1.0, 1.2][: 3 if size < 64 else None]) for size in SIZES]
    spread[0] = exact(np.array(8.0)) * np.array([0.9, 1.1])
    law = fit(SIZES, spread)["power"]
    assert law.exponent == pytest.approx(1.5, abs=1e-12)
    assert law.residual_error < 1e-12
    assert law.error == law.bootstrap_error > 0.01


# Errors.


def coverage(law: Law, truth: float, which: str, seeds: int) -> float:
    """How many of 200 fixed data sets of 5 % noise have the truth within their quoted error."""
    held = 0
    for data_set in range(200):
        found = fit(SIZES, times(law, SIZES, seeds, 0.05, stream=data_set))[which]
        held += abs(found.exponent - truth) <= found.error
    return held / 200


# The true rate is 0.70 to 0.74 with several seeds (0.68 for a normal error; ours is the larger of two estimates), and
# 0.63 for one seed at six sizes (Student's t with 4 degrees of freedom holds 0.626). At 200 data sets its standard
# deviation is 0.032 to 0.034, so that a correct fit would fall outside 0.50 to 0.85 in one of 10⁴ choices of the fixed
# streams; errors that are half as large hold the truth in 0.40, and errors twice as large in 0.96.
@pytest.mark.parametrize(("which", "seeds"), [("power", 4), ("power", 1), ("log", 1)])
def test_the_quoted_error_holds_the_truth_as_often_as_it_should(which: str, seeds: int) -> None:
    law, truth = (power(5.0, 2.0), 2.0) if which == "power" else (logarithm(5.0, 20.0), 20.0)
    assert 0.50 < coverage(law, truth, which, seeds) < 0.85


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_bootstrap_error_is_that_of_independent_seeds(seeds: int) -> None:
    """δz² = (noise²/seeds) / Σ (ln L − mean)², times Student's quantile, also for two seeds.

    Seeds are resampled at all sizes together, so that δz² has seeds − 1 degrees of freedom; its root mean square over
    400 data sets is known to 4 % at two seeds. Without the correction for n − 1 it is 29 % too small there.
    """
    logs = np.log(SIZES)
    exact = student(seeds) * 0.05 / np.sqrt(seeds * ((logs - logs.mean()) ** 2).sum())
    generator, squares = np.random.default_rng(12), []
    for _ in range(10):
        noise = 0.05 * generator.standard_normal((len(SIZES), 40, seeds))
        samples = [5.0 * size**2 * np.exp(own) for size, own in zip(SIZES, noise, strict=True)]
        squares.append(seed_errors(np.array(SIZES, dtype=float), samples, generator, resamples=200)["power"] ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(exact, rel=0.12)


def test_the_residual_error_is_that_of_least_squares() -> None:
    """Residuals +1, −2, +1 in ln τ at equal steps of ln L: δz² = (6 / 1) / (2 ln²2), by the textbook."""
    delta = 1e-3
    bent = power(3.0, 1.0)(np.array([8, 16, 32])) * np.exp(delta * np.array([1.0, -2.0, 1.0]))
    law = fit([8, 16, 32], [np.array([time]) for time in bent])["power"]
    assert law.exponent == pytest.approx(1.0, abs=1e-12)
    assert law.residual_error == pytest.approx(delta * np.sqrt(6.0 / 2.0) / np.log(2.0), rel=1e-9)
    assert law.error == law.residual_error


def test_the_error_is_the_larger_of_both() -> None:
    noisy = fit(SIZES, times(power(5.0, 2.0), SIZES, 4, 0.05))["power"]
    bent = fit(SIZES, times(logarithm(5.0, 20.0), SIZES, 4, 1e-4))["power"]
    for law in (noisy, bent):
        assert law.error == max(law.bootstrap_error, law.residual_error)
    assert bent.error == bent.residual_error > 10.0 * bent.bootstrap_error > 0.0


def test_errors_fall_as_one_over_the_root_of_seeds() -> None:
    errors = [fit(SIZES, times(power(1.0, 1.0), SIZES, seeds, 0.1))["power"].bootstrap_error for seeds in (16, 256)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)


def test_seeds_that_agree_have_no_bootstrap_error() -> None:
    law = fit(SIZES, [np.full(4, time) for time in power(2.0, 1.0)(np.array(SIZES))])["power"]
    assert (law.bootstrap_error, law.exponent) == (0.0, pytest.approx(1.0))
    # One size whose seeds differ is enough for one.
    mixed = [np.full(4, time) for time in power(2.0, 1.0)(np.array(SIZES))]
    mixed[-1] = mixed[-1] * np.array([0.9, 1.1, 0.9, 1.1])
    assert 0.0 < fit(SIZES, mixed)["power"].bootstrap_error < 0.1


# Which law it is.


@pytest.mark.parametrize("count", [5, 6])
def test_evidence_has_the_right_sign_on_exact_laws(count: int) -> None:
    sizes = SIZES[:count]
    for exponent in (2.0, 1.0, 0.3, -0.5):
        both = fit(sizes, times(power(4.0, exponent), sizes))
        assert both["power"].evidence == both["log"].evidence < -10.0, exponent
    for offset, slope in ((5.0, 20.0), (0.0, 10.0), (100.0, -10.0)):
        both = fit(sizes, times(logarithm(offset, slope), sizes))
        assert both["power"].evidence == both["log"].evidence > 10.0, (offset, slope)


def test_evidence_has_the_right_sign_in_noise() -> None:
    """At 1 % noise all of 50 fixed data sets of either law."""
    for data_set in range(50):
        assert fit(SIZES, times(power(4.0, 0.5), SIZES, 4, 0.01, data_set))["power"].evidence < 0.0
        assert fit(SIZES, times(logarithm(5.0, 20.0), SIZES, 4, 0.01, data_set))["power"].evidence > 0.0


def test_evidence_is_the_difference_of_information() -> None:
    """n ln(RSS_power / RSS_log): both laws have as many parameters, so that the corrections of AICc are the same."""
    data = times(logarithm(5.0, 20.0), SIZES, 1, 0.05)
    mean = np.array([sample.mean() for sample in data])
    squares = [law(np.array(SIZES, dtype=float), mean)[3] for law in (fit_power_law, fit_log_law)]
    assert fit(SIZES, data)["power"].evidence == pytest.approx(len(SIZES) * np.log(squares[0] / squares[1]), rel=1e-4)


@pytest.mark.parametrize("level", [0.37, 1.0, 1e6])
def test_a_constant_is_evidence_for_neither(level: float) -> None:
    """z = 0 and b = 0 are the same law, and rounding errors must not decide between them."""
    laws = fit(SIZES, [np.full(2, level)] * len(SIZES))
    power_law, log_law = laws["power"], laws["log"]
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
            assert all(np.isnan(found.evidence) for found in fit(SIZES[:count], times(law, SIZES[:count])).values())
    assert np.isfinite(fit(SIZES[:5], times(power(4.0, 2.0), SIZES[:5]))["power"].evidence)


# The nested law.


def nested(law: Law, sizes: Sequence[int] = SIZES) -> tuple[float, float, float, float]:
    """(a, b, z, root mean square of relative residuals) of exact times."""
    length = np.array(sizes, dtype=float)
    exact = law(length)
    intercept, slope, exponent, residual = fit_nested_law(length, exact[None], 1.0 / exact)
    return float(intercept[0]), float(slope[0]), float(exponent[0]), float(np.sqrt((residual**2).mean()))


@pytest.mark.parametrize("exponent", [-2.0, -0.5, -0.1, 0.0, 1e-4, 0.15, 2.0 / 3.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize(("offset", "slope"), [(10.0, 4.48), (3.0, 0.5), (200.0, -1.0)])
def test_an_exact_nested_law_is_recovered(exponent: float, offset: float, slope: float) -> None:
    found = nested(
        lambda size: offset + slope * (size**exponent - 1.0) / exponent if exponent else offset + slope * np.log(size)
    )
    assert found[2] == pytest.approx(exponent, abs=2e-6)
    assert found[:2] == pytest.approx((offset, slope), rel=1e-4)
    assert found[3] < 1e-9


def test_the_nested_law_holds_powers_with_a_constant_beside_them() -> None:
    """τ = 3 L² + 7 is z = 2, where a pure power would see less; and a pure power is one of its laws."""
    assert nested(lambda size: 3.0 * size**2 + 7.0)[2] == pytest.approx(2.0, abs=1e-6)
    assert (
        fit(SIZES, times(lambda size: 3.0 * np.asarray(size, dtype=float) ** 2 + 100.0, SIZES))["power"].exponent < 1.95
    )
    assert nested(power(12.0, 0.15))[2] == pytest.approx(0.15, abs=1e-6)


def test_the_fitted_nested_law_goes_through_its_points() -> None:
    for law in (power(3.0, 2.0), logarithm(10.0, 4.48)):
        found = fit(SIZES, times(law, SIZES))["boxcox"]
        np.testing.assert_allclose(found(np.array([10.0, 300.0])), law(np.array([10.0, 300.0])), rtol=1e-6)
    found = fit(SIZES, [time * np.log(size) for time, size in zip(times(power(3.0, 2.0), SIZES), SIZES, strict=True)])
    assert found["power_log"].exponent == pytest.approx(2.0)
    np.testing.assert_allclose(found["power_log"](np.array([10.0])), 300.0 * np.log(10.0))
    # The nested law is not made for it.
    assert found["boxcox"].exponent > 2.1


def test_the_nested_law_is_the_best_one_that_scipy_finds() -> None:
    """An independent search for the smallest relative residuals, from many starts, on noisy times."""
    from scipy.optimize import least_squares

    length = np.array(SIZES, dtype=float)
    for data_set, law in enumerate((power(3.0, 2.0), logarithm(10.0, 4.48), power(12.0, 0.15))):
        noisy = np.array([sample.mean() for sample in times(law, SIZES, 4, 0.05, stream=100 + data_set)])

        def residual(parameters: Array, noisy: Array = noisy) -> Array:
            return (parameters[0] + parameters[1] * box_cox(np.log(length), parameters[2]) - noisy) / noisy

        starts = [
            (noisy[0], (noisy[-1] - noisy[0]) / box_cox(np.log(256.0), np.array(z)), z) for z in (-1.0, 0.3, 1.0, 2.0)
        ]
        best = min((least_squares(residual, start, x_scale="jac") for start in starts), key=lambda found: found.cost)
        own = fit_nested_law(length, noisy[None], 1.0 / noisy)
        assert 0.5 * float((own[3] ** 2).sum()) <= best.cost * (1.0 + 1e-6)
        assert float(own[2][0]) == pytest.approx(best.x[2], abs=1e-3)


def test_the_systematic_error_is_what_the_smallest_size_does() -> None:
    """τ = 10 + 4.48 ln L but for a fifth more at L = 8: z without it is 0. Three sizes have no such error."""
    bent = logarithm(10.0, 4.48)(np.array(SIZES))
    bent[0] *= 1.2
    found = fit(SIZES, [np.array([time]) for time in bent])["boxcox"]
    assert found.systematic_error == pytest.approx(abs(found.exponent), abs=1e-6)
    assert found.systematic_error > 0.3
    three = fit(SIZES[:3], times(logarithm(10.0, 4.48), SIZES[:3], 4, 0.01))["boxcox"]
    assert np.isnan(three.systematic_error)
    assert three.error > 0.0
    # Three points and three numbers leave no residuals either.
    assert np.isnan(fit(SIZES[:3], times(logarithm(10.0, 4.48), SIZES[:3]))["boxcox"].error)


# 1,000 synthetic studies of each kind.

STUDIES = 1000
KINDS = {"log": (logarithm(10.0, 4.48), 0.0), "slow power": (power(12.0, 0.15), 0.15), "square": (power(3.0, 2.0), 2.0)}


def studies(kind: str, scatter: float, seeds: int, shared: float = 0.0) -> list[Array]:
    """Times of some seeds in 1,000 studies, one array a size, shape (studies, seeds), with log-normal scatter.

    `shared` is how much of it (of its variance) a seed has at all sizes alike, as a start of the same numbers does.
    """
    generator = np.random.default_rng([41, list(KINDS).index(kind), round(1000 * scatter), seeds, round(100 * shared)])
    own = generator.standard_normal((len(SIZES), STUDIES, seeds))
    common = generator.standard_normal((STUDIES, seeds))
    noise = scatter * (np.sqrt(1.0 - shared) * own + np.sqrt(shared) * common)
    exact = KINDS[kind][0](np.array(SIZES, dtype=float))
    return list(exact[:, None, None] * np.exp(noise))


def measured_exponents(samples: Sequence[Array], *, together: bool = True) -> tuple[Array, Array, Array]:
    """(z, statistical error, systematic error) of every study; seeds resampled together, or each size by itself."""
    length = np.array(SIZES, dtype=float)
    mean = np.stack([sample.mean(-1) for sample in samples], axis=-1)
    exponent = fit_nested_law(length, mean[:, None], 1.0 / mean)[2][:, 0]
    generator = np.random.default_rng(5)
    # Each part has resamples of its own, so that their noise, 7 % of an error, is not the same for all studies.
    parts = np.split(np.stack(samples), 20, axis=1)
    if together:
        error = np.concatenate([seed_errors(length, list(part), generator, resamples=100)["boxcox"] for part in parts])
    else:
        seeds = samples[0].shape[-1]
        widening = np.sqrt(seeds / (seeds - 1.0)) * student(seeds)
        spread = []
        for part in parts:
            shares = generator.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=(len(SIZES), 100)) / seeds
            means = np.stack([sample @ share.T for sample, share in zip(part, shares, strict=True)], axis=-1)
            spread.append(fit_nested_law(length, means, 1.0 / part.mean(-1).T)[2].std(-1))
        error = widening * np.concatenate(spread)
    return exponent, error, systematic_error(length, mean)


# The rate of 1,000 studies has a standard deviation of 0.015: a true rate of 0.68 falls outside 0.63 to 0.73 in one of
# 1,000 choices of the streams, and true rates below 0.60 and above 0.76 are seen to be in 98 of 100.
@pytest.mark.parametrize("seeds", [4, 8])
@pytest.mark.parametrize("scatter", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("kind", list(KINDS))
def test_wrong_verdicts_are_rare_and_errors_are_right(kind: str, scatter: float, seeds: int) -> None:
    """The statistical error of z holds it as often as one standard error should; no verdict is wrong in over 5 %."""
    exponent, error, systematic = measured_exponents(studies(kind, scatter, seeds))
    truth = KINDS[kind][1]
    assert 0.63 < np.mean(np.abs(exponent - truth) <= error) < 0.73
    total = np.hypot(error, systematic)
    for middle in (0.0, 2.0):
        holds = np.mean(np.abs(exponent - middle) + 2.0 * total <= 0.1)
        fails = np.mean(np.abs(exponent - middle) - 2.0 * total > 0.1)
        if truth == middle:
            assert fails <= 0.01
        else:
            assert holds <= 0.01
    if kind == "square":
        # Enough data to decide, too: C1 holds, and a logarithm is out of the question.
        assert np.mean(np.abs(exponent - 2.0) + 2.0 * total <= 0.1) > 0.9
        assert np.mean(np.abs(exponent) - 2.0 * total > 0.1) == 1.0


def test_seeds_that_share_their_start_are_resampled_together() -> None:
    """Where 95 % of the variance is a seed's own at all sizes, resampling each size by itself gives errors of z that
    are four times too large, and decides nothing; together, errors are right for shared and for independent seeds."""
    for shared in (0.0, 0.95):
        samples = studies("log", 0.05, 8, shared)
        exponent, error, _ = measured_exponents(samples)
        _, apart, _ = measured_exponents(samples, together=False)
        assert 0.63 < np.mean(np.abs(exponent) <= error) < 0.73
        ratio = np.median(apart) / np.median(error)
        assert 0.9 < ratio < 1.2 if shared == 0.0 else 3.0 < ratio < 6.0


# Local exponents.


def test_local_exponents() -> None:
    np.testing.assert_allclose(local_exponents(np.array([2.0, 4.0, 16.0]), np.array([3.0, 12.0, 6.0])), [2.0, -0.5])
    law = fit([4, 2, 16], [np.array([12.0]), np.array([3.0]), np.array([5.0, 7.0])])["power"]
    np.testing.assert_allclose(law.local_exponents, [2.0, -0.5])


def test_local_exponents_tell_a_logarithm() -> None:
    """They fall like 1 / ln L for a + b ln L, and stay for a power."""
    falling = fit(SIZES, times(logarithm(5.0, 20.0), SIZES))["power"].local_exponents
    assert len(falling) == len(SIZES) - 1
    assert (np.diff(falling) < 0.0).all()
    assert np.ptp(fit(SIZES, times(power(5.0, 0.3), SIZES))["power"].local_exponents) < 1e-12


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
    with pytest.raises(InputError, match="three sizes") as raised:
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

LAWS = {"power", "log", "power_log", "boxcox"}


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
            "loss": column(["implicit"] * len(runs)),
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
    table = training_table(summary)
    # Architectures × (noise levels and the slowest of them) × (measured, predicted) × laws.
    assert set(table["law"]) == LAWS
    assert len(table) == 2 * (2 + 1) * 2 * 4
    powers = table[(table["law"] == "power") & (table["architecture"] == "one_layer")]
    np.testing.assert_allclose(powers["exponent"], 2.0)
    assert (powers["evidence"] < -10.0).all()
    logs = table[(table["law"] == "log") & (table["architecture"] == "two_layer")]
    np.testing.assert_allclose(sorted(logs["exponent"]), [20.0] * 2 + [40.0] * 4)
    assert (logs["evidence"] > 10.0).all()
    nested = table[table["law"] == "boxcox"].set_index("architecture")
    np.testing.assert_allclose(nested.loc["one_layer", "z"], 2.0, atol=1e-6)
    np.testing.assert_allclose(nested.loc["two_layer", "z"], 0.0, atol=1e-6)
    assert table[table["law"] != "boxcox"]["z"].isna().all()
    assert set(table["sizes"]) == {"8 16 32 64 128 256"}
    assert set(table["quantity"]) == {
        f"{kind}{time}" for kind in ("", "predicted_") for time in ("training_time", "slowest_training_time")
    }
    assert set(table["study"]) == {"line"}
    assert set(table["mass"]) == {"mL1"}


def test_the_table_says_why_there_is_no_law() -> None:
    summary = summary_of(one_layer=power(3.0, 2.0)).isel(run=[0, 1])
    table = training_table(summary)
    assert set(table["law"]) == {"none"}
    assert all("at least three sizes" in note for note in table["note"])


def test_a_size_that_no_seed_finished_leaves_no_law() -> None:
    """A law of the other sizes would be one of other sizes."""
    summary = summary_of(one_layer=power(3.0, 2.0))
    summary["crossing_time"].values[-1] = np.nan
    measured = training_table(summary).query("quantity == 'training_time'")
    assert list(measured["law"]) == ["none"] * 2
    assert all("256" in note for note in measured["note"])
    assert set(measured["sizes"]) == {"8 16 32 64 128 256"}


def test_a_size_that_some_seeds_finished_has_no_mean() -> None:
    """The mean of those that did would be too small, and the law with it; a seed that was not run is another matter."""
    summary = summary_of(one_layer=power(3.0, 2.0))
    summary["crossing_time"].values[-1, 0, 0] = np.nan
    table = training_table(summary)
    measured = table[(table["quantity"] == "training_time") & (table["noise_level"] == 0.1)]
    assert list(measured["law"]) == ["none"]
    assert "256" in measured["note"].item()
    assert set(table[table["noise_level"] == 0.5]["law"]) == LAWS
    summary["score_error"].values[-1, 0, 0] = np.nan
    table = training_table(summary)
    assert set(table["law"]) == LAWS
    np.testing.assert_allclose(table[table["law"] == "power"]["exponent"], 2.0)


def test_the_slowest_noise_level_may_be_another_at_each_size() -> None:
    """Steps until every level is learned: seed by seed the largest, here of a constant and a power."""
    summary = summary_of(one_layer=power(3.0, 2.0))
    sizes = np.array(SIZES, dtype=float)
    summary["crossing_time"].values[:, :, 0] = 300.0
    summary["crossing_time"].values[:, :, 1] = 3.0 * sizes[:, None] ** 2
    table = training_table(summary)
    own = table[table["quantity"] == "slowest_training_time"]
    expected = fit(SIZES, [np.full(2, time) for time in np.maximum(300.0, 3.0 * sizes**2)])
    assert own["noise_level"].isna().all()
    for law, found in expected.items():
        np.testing.assert_allclose(own[own["law"] == law]["exponent"], found.exponent)
    assert "predicted_slowest_training_time" in set(table["quantity"])
    # A level that is not learned is slower than all others; one that was not trained is not.
    summary["crossing_time"].values[2, 1, 0] = np.nan
    table = training_table(summary)
    late = table[table["quantity"] == "slowest_training_time"]
    assert list(late["law"]) == ["none"]
    assert "size 32 some seeds did not reach" in late["note"].item()
    summary["score_error"].values[:, :, 0] = np.nan
    assert "slowest_training_time" not in set(training_table(summary)["quantity"])


def with_zero_mode(summary: xr.Dataset, times: Array, errors: Array) -> xr.Dataset:
    """The summary with times of the zero mode and their errors by the fields, shape (runs, seeds) each."""
    both = [np.repeat(values[:, :, None], summary.sizes["noise_level"], axis=2) for values in (times, errors)]
    names = ("zero_mode_training_time", "zero_mode_training_time_error")
    dims = ("run", "seed", "noise_level")
    found = {name: (dims, values) for name, values in zip(names, both, strict=True)}
    return summary.assign(found | {"zero_mode_error": ((*dims, "step"), np.ones((*both[0].shape, 1)))})


def test_times_of_the_zero_mode_have_the_errors_of_seeds_and_of_fields() -> None:
    """300 studies whose fields shift all seeds together: pulls of z are 1 within 0.15, 3.7 errors of 1/√600."""
    laws = {f"n{number}": power(5.0, 0.7) for number in range(300)}
    summary = summary_of(**laws).isel(run=np.arange(300 * len(SIZES)) % len(SIZES) < 4, noise_level=[0])
    summary["crossing_time"].values[:], summary["predicted_crossing_time"].values[:] = np.nan, np.nan
    generator = np.random.default_rng(5)
    exact = 5.0 * summary["size"].values[:, None] ** 0.7
    # Of two seeds the scatter is hardly known, so the fields prevail.
    shift = 1.0 + 0.1 * generator.standard_normal((len(exact), 1))
    times = exact * shift * (1.0 + 0.01 * generator.standard_normal((len(exact), 2)))
    table = training_table(with_zero_mode(summary, times, 0.1 * times))
    own = table[table["quantity"] == "zero_mode_training_time"]
    powers = own[own["law"] == "power"]
    assert len(powers) == 300
    pulls = (powers["exponent"] - 0.7) / powers["bootstrap_error"]
    assert abs(np.sqrt((pulls**2).mean()) - 1.0) < 0.15
    first = own[own["law"] == "value"].iloc[0]
    expected = np.hypot(times[0].std(ddof=1) / np.sqrt(2.0), 0.1 * times[0].mean())
    assert (first["value"], first["error"]) == pytest.approx((times[0].mean(), expected))


def test_a_zero_mode_that_some_seed_has_not_learned_leaves_no_law() -> None:
    summary = summary_of(one_layer=power(3.0, 2.0))
    times = np.ones((len(SIZES), 2)) * 5.0
    times[1, 0] = np.nan
    table = training_table(with_zero_mode(summary, times, np.ones_like(times)))
    own = table[table["quantity"] == "zero_mode_training_time"]
    values = own[own["law"] == "value"]
    assert values["note"].str.contains("size 16 some seeds have not learned the zero mode").sum() == 2
    assert np.isfinite(values["value"]).sum() == 2 * (len(SIZES) - 1)
    assert set(own[own["law"] != "value"]["law"]) == {"none"}
