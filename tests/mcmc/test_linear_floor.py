"""The error of the best linear score: values of another program, limits, few fields; and where its fields come from."""

import numpy as np
import pytest
from scipy.special import ive

from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.mcmc.ensemble import ensemble
from csd.mcmc.posterior.held_out import clean_fields, floor_bins, linear_floor, posterior_scores
from csd.mcmc.posterior.identity import jackknifed
from csd.mcmc.simulation import held_out_chains
from csd.targets.noising import VariancePreserving
from csd.targets.phi4 import PhiFour
from csd.targets.scores import ScoreSettings
from csd.targets.spins import SpinModel

CASE_A = PhiFour.from_hopping(Lattice(2, 16), 1, 0.27088, 0.022)
ISING = SpinModel(Lattice(2, 8), 1, 0.44068679350977147)
KNOWN = {
    "squared_score": ((3.086, 0.008), (2.503, 0.006), (1.324, 0.003), (1.089, 0.002)),
    "linear_score_error": (None, (0.00793, 0.00007), None, None),
    "linear_zero_mode_error": ((0.951, 0.010), (0.961, 0.008), (0.90, 0.01), (0.89, 0.03)),
}
"""Values and errors of another program for case A at t = 0.05, 0.1, 0.5, 1."""


def test_numbers_are_those_of_another_program() -> None:
    """Within 3.5 standard errors, which nine numbers exceed by chance for 0.4 % of the seeds; rms of pulls near 1."""
    found = posterior_scores(CASE_A, VariancePreserving(), (0.05, 0.1, 0.5, 1.0), ScoreSettings(fields=500, seed=3))
    pulls = []
    for name, numbers in KNOWN.items():
        values, errors = found[name].values, found[f"{name}_error"].values
        for value, error, known in zip(values, errors, numbers, strict=True):
            if known is not None:
                pulls.append((value - known[0]) / np.hypot(error, known[1]))
    assert np.abs(pulls).max() < 3.5
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8
    # The zero mode is the first bin, and the denoising loss of the exact score is what the noise leaves.
    np.testing.assert_allclose(found["linear_shell_error"].values[:, 0], found["linear_zero_mode_error"].values)
    assert found["inverse_length"].values[0] == pytest.approx(1.0 / 16.0)
    least = 0.5 / found["noise_variance"].values - 0.5 * found["squared_score"].values
    np.testing.assert_allclose(found["minimum_loss"].values, least)
    np.testing.assert_allclose(found["minimum_loss_error"].values, 0.5 * found["squared_score_error"].values)


def test_spins_are_far_from_linear() -> None:
    """ε = 0.533(3) of Ising spins at β_c, L = 8, t = 0.1, by another program; 3.5 standard errors."""
    found = posterior_scores(ISING, VariancePreserving(), (0.1,), ScoreSettings(fields=400, seed=1))
    value, error = (float(found[f"linear_score_error{end}"].values[0]) for end in ("", "_error"))
    assert abs(value - 0.533) < 3.5 * np.hypot(error, 0.003)


@pytest.mark.parametrize("components", [1, 2])
def test_without_noise_the_zero_mode_has_a_closed_form(components: int) -> None:
    """t → 0: ε(k = 0) = 1 − 1/[χ (r₀ + u (1 + 2/n) ⟨φ_a²⟩)], with both means from the same fields; 4 standard errors.

    E|∂H/∂φ(0)|²/N is the mean curvature of H, and E[φ(0) ∂H/∂φ(0)] = N, by partial integration.
    """
    target = PhiFour(Lattice(2, 4), components, -0.6, 1.2)
    settings = ScoreSettings(fields=2000, seed=2)
    clean = clean_fields(target, settings)
    found = posterior_scores(target, VariancePreserving(), (1e-4,), settings, clean)
    value, error = (float(found[f"linear_zero_mode_error{end}"].values[0]) for end in ("", "_error"))
    squares = [clean.sum(axis=(2, 3)) ** 2 / target.lattice.sites, (clean**2).mean(axis=(2, 3))]

    def limit(means: Array) -> float:
        return 1.0 - 1.0 / (means[0] * (target.r0 + target.u * (1.0 + 2.0 / components) * means[1]))

    expected, spread = jackknifed(np.stack([one.mean(axis=1) for one in squares], axis=1), limit)
    assert 0.2 < expected < 0.9
    assert abs(value - expected) < 4.0 * np.hypot(error, spread)


def zero_mode_fields(components: int, count: int, *label: str | int) -> tuple[PhiFour, Array, Array]:
    """A target with modes, fields a + white noise with a unit vector a in a random direction, and their exact score.

    Given the mean m of the N = 16 sites, E[a|m] = tanh(N |m|) m/|m| for one component, I₁(N|m|)/I₀(N|m|) m/|m| for two.
    """
    generator, target = stream("test", "few", components, *label), PhiFour(Lattice(2, 4), components, 1.0, 0.0)
    fields = generator.standard_normal((count, components, 4, 4))
    axis = generator.standard_normal((count, components, 1, 1))
    fields += axis / np.sqrt((axis**2).sum(axis=1, keepdims=True))
    mean = fields.mean(axis=(2, 3), keepdims=True)
    length = np.sqrt((mean**2).sum(axis=1, keepdims=True))
    share = np.tanh(16.0 * length) if components == 1 else ive(1, 16.0 * length) / ive(0, 16.0 * length)
    return target, fields, share * mean / length - fields


def floors_by_quadrature(components: int) -> Array:
    """ε of the best linear score of `zero_mode_fields`: of all modes, at k = 0, and of the other modes.

    y = 4 m is a + noise of variance 1 with |a| = 4: the average of its squared score is the only integral.
    """
    length = np.linspace(1e-6, 14.0, 20_001)
    if components == 1:
        share, weight = np.tanh(4.0 * length), np.exp(-0.5 * (length - 4.0) ** 2) * (1.0 + np.exp(-8.0 * length))
    else:
        share = ive(1, 4.0 * length) / ive(0, 4.0 * length)
        weight = length * np.exp(-0.5 * (length - 4.0) ** 2) * ive(0, 4.0 * length)
    square = float(np.average((4.0 * share - length) ** 2, weights=weight))
    left = square - components**2 / (components + 16.0)
    return np.array([left / (square + 15.0 * components), left / square, 0.0])


@pytest.mark.parametrize("components", [1, 2])
def test_errors_are_those_of_independent_sets(components: int) -> None:
    """Pulls of 200 sets of 200 fields against quadrature: 0.85 < rms < 1.2, left at random once in 200 seeds.

    Both halves have noise of their own. Modes other than k = 0 are Gaussian, so that their ε is 0.
    """
    pulls, known = [], floors_by_quadrature(components)
    for number in range(200):
        target, fields, score = zero_mode_fields(components, 200, number)
        halves = score + 0.5 * stream("test", "halves", components, number).standard_normal((2, *score.shape))
        values, errors = (one[[0, 1, -1]] for one in linear_floor(target, fields, halves))
        pulls.append((values - known) / errors)
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert (rms > 0.85).all()
    assert (rms < 1.2).all()
    assert (np.abs(np.mean(pulls, axis=0)) < 0.3).all()


@pytest.mark.parametrize("components", [1, 2])
def test_the_known_product_makes_the_error_at_k_0_smaller(components: int) -> None:
    """The scatter at k = 0 of 200 fields is less than half of that of the fit, of four times 50 of them."""
    known, wide, narrow = floors_by_quadrature(components)[1], [], []
    for number in range(100):
        target, fields, score = zero_mode_fields(components, 200, "scatter", number)
        narrow.append(linear_floor(target, fields, np.stack([score, score]))[0][1] - known)
        parts = [slice(first, None, 4) for first in range(4)]
        wide.append(np.mean([linear_floor(target, fields[p], np.stack(2 * [score[p]]))[0][1] for p in parts]) - known)
    assert np.std(wide) > 2.0 * np.std(narrow)


@pytest.mark.parametrize("components", [1, 2])
def test_few_fields_have_the_error_of_many(components: int) -> None:
    """Five fields at a time give, in the mean, the ε of sixty at a time, of all modes and at k = 0; both by the fit.

    The components of a field are not independent: with n = 2 a factor ν/(ν − 1) for ν = 5 n numbers is off by 0.012.
    """
    target, fields, _ = zero_mode_fields(components, 3000)
    mean = fields.mean(axis=(2, 3), keepdims=True)
    score = -fields - 3.0 * mean / (0.05 + (mean**2).sum(axis=1, keepdims=True))
    halves = np.stack([score, score])
    parts = [slice(first, None, 600) for first in range(600)]
    few, whole = (
        np.mean([linear_floor(target, fields[part], halves[:, part])[0][:2] for part in sets], axis=0)
        for sets in (parts, [slice(first, None, 50) for first in range(50)])
    )
    np.testing.assert_allclose(few, whole, atol=0.003)
    zero = [np.stack([one[part].sum(axis=(2, 3)) for one in (fields, score)]) for part in parts]
    left = [(y**2).sum() - (x * y).sum() ** 2 / (x**2).sum() for x, y in zero]
    numbers = 5.0 * components
    plain = np.mean([one / (y**2).sum() for one, (_, y) in zip(left, zero, strict=True)]) * numbers / (numbers - 1.0)
    assert (abs(plain - whole[1]) > 0.01) == (components == 2)


def test_bins_hold_all_modes() -> None:
    """ε of all modes is the mean of those of the bins, weighted with their share of E|s*|²."""
    generator, target = stream("test", "bins"), CASE_A
    fields = generator.choice([-1.0, 1.0], (400, 1, 16, 16)) + generator.standard_normal((400, 1, 16, 16))
    score = np.tanh(fields) - fields
    values, errors = linear_floor(target, fields, np.stack([score, score]))
    bins, lattice = floor_bins(target), target.lattice
    power = np.bincount(
        lattice.shell_of_half,
        weights=(lattice.half_multiplicity * (np.abs(lattice.transform(score)) ** 2).mean(axis=(0, 1))).ravel(),
    )
    share = bins.momenta * bins.mean(power / lattice.shells.multiplicity)
    assert values.shape == errors.shape == (2 + len(bins.middles),)
    assert values[0] == pytest.approx((share * values[2:]).sum() / share.sum(), rel=0.02)
    assert values[1] == values[2]


def test_a_linear_score_has_no_linear_error() -> None:
    generator, lattice = stream("test", "linear"), CASE_A.lattice
    noised = generator.standard_normal((30, 2, 16, 16))
    score = -lattice.inverse(lattice.transform(noised) / (1.0 + lattice.laplacian))
    np.testing.assert_allclose(linear_floor(CASE_A, noised, np.stack([score, score]))[0], 0.0, atol=1e-10)


def test_a_single_field_has_no_error_to_tell() -> None:
    found = posterior_scores(ISING, VariancePreserving(), (0.5,), ScoreSettings(fields=1))
    assert np.isnan(found["linear_score_error"].values).all()
    assert np.isfinite(found["squared_score"].values).all()


def test_the_jackknife_of_a_mean_is_the_textbooks() -> None:
    """Blocks of one row: the mean and its standard error. A square loses its bias σ²/M, and a mean stays a mean."""
    rows = stream("test", "rows").standard_normal((20, 1))
    value, error = jackknifed(rows, lambda means: float(means[0]))
    assert (value, error) == pytest.approx((rows.mean(), rows.std(ddof=1) / np.sqrt(20.0)))
    square, _ = jackknifed(rows, lambda means: float(means[0]) ** 2, corrected=True)
    assert square == pytest.approx(rows.mean() ** 2 - rows.var(ddof=1) / 20.0)
    rows = stream("test", "more rows").standard_normal((29, 1))
    assert jackknifed(rows, lambda means: float(means[0]), corrected=True)[0] == pytest.approx(rows.mean())


def test_held_out_fields_share_no_chain_with_training_data() -> None:
    """The simulation of the same target, seed and length that `csd mcmc` makes has other fields."""
    target = PhiFour(Lattice(1, 8), 1, -1.0, 2.0)
    own = clean_fields(target, ScoreSettings(fields=40, seed=3))
    settings = held_out_chains(40, 3)
    data = np.asarray(ensemble(target, settings)["fields"].values, dtype=float)
    assert own.shape == data.shape
    assert np.isin(np.abs(own), np.abs(data)).mean() < 0.1
    np.testing.assert_array_equal(own, clean_fields(target, ScoreSettings(fields=40, seed=3)))
