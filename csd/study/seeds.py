"""Seeds: means over them, their standard errors, and the resampled means from which errors of fits follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from csd.lattice import Array


def student(seeds: int) -> float:
    """One standard error of a mean of `seeds` numbers in units of the estimated one: Student's quantile at 0.8413.

    It grows as the error itself is known less well: 1.08 for 8 seeds, 1.20 for 4, 1.84 for 2.
    """
    from scipy.stats import norm, t

    return float(t.ppf(norm.cdf(1.0), seeds - 1))


def total_error(row: Mapping[str, Any]) -> float:
    """Standard error of the nested law's z: statistical and systematic in quadrature; NaN where either is not known.

    Args:
        row: of the table of laws, with `error` and `systematic_error`.
    """
    return float(np.hypot(row.get("error", np.nan), row.get("systematic_error", np.nan)))


def mean_over_seeds(values: Any, axis: int = -1, ran: Any = None) -> tuple[Any, Any]:
    """Mean over seeds and its standard error; NaN where a seed that was run has no value: the others are biased.

    Args:
        values: numbers, one axis of which runs over seeds.
        axis: the axis of seeds.
        ran: whether each seed was run, of a shape that is broadcast to that of the values; by default the seeds with a
            value anywhere.

    Returns:
        Both without the axis of seeds; the error of a single seed is 0.
    """
    values = np.moveaxis(np.asarray(values, dtype=float), axis, -1)
    if ran is None:
        ran = np.isfinite(values).any(axis=tuple(range(values.ndim - 1)))
    ran = np.broadcast_to(ran, values.shape)
    count = ran.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = values.sum(axis=-1, where=ran) / count
        squares = ((values - mean[..., None]) ** 2).sum(axis=-1, where=ran)
        error = np.sqrt(squares / np.maximum(count - 1, 1) / count)
    return mean, error


def mean_with_errors(values: Any, own: Any, ran: Any) -> tuple[Any, Any]:
    """Mean over seeds, the last axis, and its error: the larger of their scatter's and that of their own errors.

    Where a seed's own error is unknown, such as a jackknife with blocks that have no ξ, the scatter's alone.

    Args:
        values: numbers, shape (…, seeds).
        own: the standard error of each, same shape.
        ran: whether each seed was run, same shape.

    Returns:
        Both of shape (…,); NaN where a seed that was run has no value.
    """
    mean, scatter = mean_over_seeds(values, ran=ran)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_own = np.sqrt((own**2).sum(axis=-1, where=ran)) / ran.sum(axis=-1)
        return mean, np.where(np.isnan(of_own), scatter, np.maximum(scatter, of_own))


def resampled_means(samples: Sequence[Array], resamples: int, generator: np.random.Generator) -> Array:
    """Means over resampled seeds, shape (…, resamples, sizes); the same seeds at all sizes if they are equally many.

    Args:
        samples: one a size, shape (…, seeds).
        resamples: sets of seeds, drawn with replacement.
        generator: random numbers.
    """
    counts = [sample.shape[-1] for sample in samples]
    drawn = counts[:1] if len(set(counts)) == 1 else counts
    shares = [generator.multinomial(n, np.full(n, 1.0 / n), size=resamples) / n for n in drawn]
    shares *= len(counts) // len(drawn)
    return np.stack([sample @ share.T for sample, share in zip(samples, shares, strict=True)], axis=-1)
