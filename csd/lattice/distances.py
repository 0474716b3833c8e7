"""Distances between whole fields.

The energy distance of two samples, 2 E|x − y| − E|x − x′| − E|y − y′| (Székely and Rizzo, J. Stat. Plan. Inference 143,
1249, 2013), is 0 only if both have the same distribution. The distance of a field to the nearest of many others, at
their best relative translation, is small where the field is a copy:

    N d(x)² = min_y min_a Σ_r (x(r) − y(r + a))² = min_y [Σ x² + Σ y² − 2 max_a Σ_r x(r) y(r + a)]

The last sums, for all translations a, are one inverse transform.
"""

from collections.abc import Iterable

import numpy as np

from csd.core.random import stream
from csd.lattice.lattice import Array, Lattice

MOST_PRODUCTS = 2**28
"""Products x(r) y(r) of all pairs of fields up to which all translations are compared, in seconds."""

PERMUTATIONS = 499
"""Permutations of the two-sample test, whose smallest p-value is 1/500."""


def with_translations(lattice: Lattice, fields: int, others: int) -> bool:
    """Whether so many pairs of fields are few enough to compare all translations."""
    return fields * others * lattice.sites <= MOST_PRODUCTS


def nearest_distances(lattice: Lattice, fields: Array, others: Iterable[Array], *, translations: bool) -> Array:
    """d(x), the root mean square, per site and component, of the difference to the nearest of many fields.

    Args:
        lattice: of the fields.
        fields: x, shape (fields, *lattice.shape), or (fields, n, *lattice.shape), whose components move together.
        others: y, in pieces of shape (piece, *lattice.shape), or (piece, n, *lattice.shape).
        translations: whether all translations are compared; if not, fields are compared as they lie.

    Returns:
        Shape (fields,).
    """
    flat = fields.reshape(len(fields), -1)
    squares, nearest = (flat**2).sum(axis=1), np.full(len(fields), np.inf)
    for piece in others:
        own = piece.reshape(len(piece), -1)
        if translations:
            transformed = lattice.transform(piece).conj()
            products = (lattice.inverse(lattice.transform(field) * transformed) for field in fields)
            summed = (of_all.reshape(len(piece), -1, lattice.sites).sum(axis=1) for of_all in products)
            overlaps = np.stack([of_all.max(axis=1) for of_all in summed])
        else:
            overlaps = flat @ own.T
        nearest = np.minimum(nearest, (squares[:, None] + (own**2).sum(axis=1) - 2.0 * overlaps).min(axis=1))
    return np.sqrt(np.maximum(nearest, 0.0) / flat.shape[1])


def two_sample_test(fields: Array, others: Array, *purpose: object) -> tuple[float, float]:
    """The energy distance of two samples of whole fields, and the probability that chance makes it as large.

    Args:
        fields: shape (samples, sites).
        others: shape (other samples, sites).
        purpose: name of the random stream of the permutations.

    Returns:
        (distance, p-value), by permutations of the pooled fields; the p-value is uniform if both distributions agree.
    """
    pooled = np.concatenate([fields, others])
    squares = (pooled**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * pooled @ pooled.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    generator, places = stream("permutations", *purpose), np.arange(len(pooled))
    orders = [places, *(generator.permutation(places) for _ in range(PERMUTATIONS))]
    # Each row is a division of the pooled fields, with 1 for those of the first sample.
    first = np.zeros((len(orders), len(pooled)))
    for row, order in zip(first, orders, strict=True):
        row[order[: len(fields)]] = 1.0
    to_first = first @ distances
    within = (to_first * first).sum(axis=1)
    across = (to_first * (1.0 - first)).sum(axis=1)
    within_others = distances.sum() - within - 2.0 * across
    own, other = len(fields), len(others)
    energy = 2.0 * across / (own * other) - within / (own * (own - 1)) - within_others / (other * (other - 1))
    # Divisions that differ by rounding only count as equal.
    larger = np.count_nonzero(energy[1:] >= energy[0] - 1e-12 * abs(energy[0]))
    return float(energy[0]), (larger + 1.0) / (PERMUTATIONS + 1.0)
