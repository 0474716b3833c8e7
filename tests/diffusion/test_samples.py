"""Fields drawn mode by mode, and what is measured on them."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance, kstest, permutation_test

from csd.core.random import stream
from csd.diffusion.samples import (
    BLOCKS,
    Samples,
    compared_fields,
    draw_samples,
    jackknife,
    two_sample_test,
)
from csd.lattice import Array, Lattice
from csd.lattice.bins import LengthBins
from csd.lattice.observables import binder, energy, excess_kurtosis, skewness, variance
from csd.targets.gaussian import GaussianField

LATTICE = Lattice(2, 12)
FIELD = GaussianField(LATTICE, 0.5)
SPECTRUM = FIELD.propagator(LATTICE.pairs.laplacian)


def drawn(count: int, *purpose: object) -> Samples:
    """Exact fields."""
    return draw_samples(LATTICE, [], SPECTRUM, LengthBins(LATTICE.pairs, FIELD.mass, 2), count, *purpose)


def test_observables_of_exact_fields() -> None:
    """Within 4 standard errors of the exact values for 5 seeds of 7 quantities: false alarm in 1 of 450 runs."""
    modes = LATTICE.pairs
    for seed in range(5):
        samples = drawn(700, "observables", seed)
        assert len(samples.counts) == BLOCKS
        assert samples.counts.sum() == 700
        for exact, value, error in (
            (FIELD.susceptibility, *samples.estimate(float, "zero_mode")),
            (1.0 / (4.0 * np.sin(np.pi / 12) ** 2 + 0.25), *samples.estimate(float, "first_mode")),
            (float(energy(modes, SPECTRUM)), *samples.estimate(float, "energy")),
            (float(variance(modes, SPECTRUM)), *samples.estimate(float, "second_moment")),
            (0.0, *samples.estimate(float, "first_moment")),
            (0.0, *samples.estimate(skewness, "first_moment", "second_moment", "third_moment")),
            (0.0, *samples.estimate(excess_kurtosis, "second_moment", "fourth_moment")),
            # Of a Gaussian magnetisation of variance χ/N: ⟨|m|⟩ = sqrt(2χ/πN), U4 = 0.
            (np.sqrt(2.0 * FIELD.susceptibility / (np.pi * LATTICE.sites)), *samples.estimate(float, "absolute_mean")),
            (0.0, *samples.estimate(binder, "squared_magnetisation", "fourth_magnetisation")),
        ):
            assert abs(value - exact) < 4.0 * error


def test_moments_of_other_laws() -> None:
    """Uniform numbers have excess kurtosis −6/5, exponential ones skewness 2 and excess kurtosis about their mean 6."""
    assert excess_kurtosis(np.array(1 / 3), np.array(1 / 5)) == pytest.approx(-1.2)
    assert skewness(np.array(1.0), np.array(2.0), np.array(6.0)) == pytest.approx(2.0)


def test_jackknife_is_the_textbook_error_for_a_mean_and_removes_the_bias_of_a_square() -> None:
    sample = stream("test jackknife").standard_normal(400) + 3
    value, error, bias = jackknife(lambda mean: mean, np.ones(400), sample)
    assert value == pytest.approx(sample.mean())
    assert error == pytest.approx(sample.std(ddof=1) / 20)
    assert bias == pytest.approx(0.0, abs=1e-12)
    # For the square of a mean the jackknife's bias is s²/n, exactly.
    value, _, bias = jackknife(lambda mean: mean**2, np.ones(400), sample)
    assert bias == pytest.approx(sample.var(ddof=1) / 400)
    # Blocks of several samples: sums and counts go together.
    blocks = jackknife(lambda mean: mean, np.full(100, 4.0), sample.reshape(100, 4).sum(axis=1))
    assert blocks[0] == pytest.approx(sample.mean())
    assert blocks[1] == pytest.approx(sample.reshape(100, 4).mean(axis=1).std(ddof=1) / 10)


def test_jackknife_where_the_statistic_does_not_exist() -> None:
    """Nowhere: no value, no error. Without some of the blocks: a value whose error is not known."""

    def root(mean: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.sqrt(mean)

    sums = np.array([1.0, 1.0, 1.0, -2.5])
    assert np.isnan(jackknife(root, np.ones(4), -sums - 1.0)).all()
    value, error, bias = jackknife(root, np.ones(4), sums)
    assert value == np.sqrt(0.125)
    assert np.isnan([error, bias]).all()


def test_energy_distance_is_scipys_in_one_dimension() -> None:
    """SciPy's one is the square root of the same distance, with i = j counted among the pairs of a sample."""
    generator = stream("test energy distance")
    x, y = generator.standard_normal(60), generator.standard_normal(50) + 0.7
    distance, p_value = two_sample_test(x[:, None], y[:, None], "scipy")
    within = [np.abs(z[:, None] - z[None]).mean() / (len(z) - 1) for z in (x, y)]
    assert distance == pytest.approx(energy_distance(x, y) ** 2 - sum(within))
    assert p_value == pytest.approx(1 / 500)  # 0.7 standard deviations apart, 50 of each


def test_p_values_are_scipys_up_to_the_permutations_drawn() -> None:
    """Within 4 standard deviations of a p-value from 499 permutations, for samples that differ ever more."""
    generator = stream("test permutations")
    for shift in (0.0, 0.2, 0.35):
        x, y = generator.standard_normal((30, 3)), generator.standard_normal((25, 3)) + shift
        distances = cdist(np.concatenate([x, y]), np.concatenate([x, y]))

        def distance(own: Array, other: Array, distances: Array = distances) -> float:
            here, there = own.astype(int), other.astype(int)
            within = [distances[np.ix_(g, g)].sum() / (len(g) * (len(g) - 1)) for g in (here, there)]
            return float(2.0 * distances[np.ix_(here, there)].mean() - sum(within))

        places = (np.arange(30), np.arange(30, 55))
        exact = permutation_test(places, distance, n_resamples=4999, alternative="greater", rng=1)
        ours, p_value = two_sample_test(x, y, shift)
        assert ours == pytest.approx(exact.statistic)
        assert abs(p_value - exact.pvalue) < 4 * np.sqrt(exact.pvalue * (1 - exact.pvalue) / 500) + 1 / 500


def test_two_sample_test_is_uniform_for_one_law_and_sees_a_soft_mode() -> None:
    """p-values of 60 pairs of exact samples are uniform (Kolmogorov–Smirnov at 1 %); a sixth of χ is seen."""
    exact = [drawn(40, "two-sample", i).fields for i in range(120)]
    p_values = [two_sample_test(exact[2 * i], exact[2 * i + 1], i)[1] for i in range(60)]
    assert kstest(p_values, "uniform").pvalue > 0.01
    critical = GaussianField.on_critical_line(LATTICE)
    spectrum = critical.propagator(LATTICE.pairs.laplacian)
    bins = LengthBins(LATTICE.pairs, critical.mass, 2)
    right = draw_samples(LATTICE, [], spectrum, bins, 200, "right").fields
    spectrum[LATTICE.pairs.laplacian == 0.0] /= 6.0
    wrong = draw_samples(LATTICE, [], spectrum, bins, 200, "wrong").fields
    assert two_sample_test(wrong, right)[1] < 0.01


def test_the_two_sample_test_stays_small() -> None:
    assert compared_fields(Lattice(1, 8), 10_000) == 200
    assert compared_fields(Lattice(3, 64), 10_000) == 32
    assert compared_fields(Lattice(1, 8), 3) == 3


def test_a_field_does_not_depend_on_how_many_are_drawn() -> None:
    few, many = drawn(3, "same"), drawn(30, "same")
    np.testing.assert_array_equal(few.fields, many.fields[:3])
