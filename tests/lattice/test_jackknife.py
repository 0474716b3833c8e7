"""The jackknife: the textbook's error of a mean, and of functions of means that of propagated errors."""

import numpy as np
import pytest

from csd.core.random import stream
from csd.lattice.jackknife import jackknife_error, without_each


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    sample = stream("jackknife of a mean").standard_normal((60, 3))
    left = without_each(lambda mean: mean, np.ones(60), sample)
    np.testing.assert_allclose(jackknife_error(left), sample.std(axis=0, ddof=1) / np.sqrt(60.0))
    np.testing.assert_allclose(jackknife_error(left.T, axis=-1), jackknife_error(left))
    # Without block j the mean is that of the other fields, however many each block has.
    counts = np.array([1.0, 2.0, 5.0])
    others = without_each(lambda mean: mean, counts, np.array([3.0, 8.0, 10.0]))
    np.testing.assert_allclose(others, [18.0 / 7.0, 13.0 / 6.0, 11.0 / 3.0])


def test_the_error_of_a_ratio_is_the_propagated_one_and_covers_it() -> None:
    """1000 samples of 400 pairs: pulls have a root mean square of 1 within 4 of its errors, 1/√2000."""
    pulls, errors = [], []
    for number in range(1000):
        above, below = 1.0 + 0.3 * stream("jackknife of a ratio", number).standard_normal((2, 400))
        sums = above.reshape(40, 10).sum(axis=1), below.reshape(40, 10).sum(axis=1)
        error = float(jackknife_error(without_each(lambda a, b: a / b, np.full(40, 10.0), *sums)))
        pulls.append((above.mean() / below.mean() - 1.0) / error)
        errors.append(error)
    # Propagated from independent errors of 0.3/√400 each.
    assert np.mean(errors) == pytest.approx(0.3 * np.sqrt(2.0 / 400.0), rel=0.02)
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1.0) < 4.0 / np.sqrt(2000.0) + 0.02


def test_a_single_block_has_no_error() -> None:
    assert np.isnan(jackknife_error(np.ones((1, 2)))).all()
    assert np.isnan(jackknife_error(np.array([2.0])))
