"""Distances between whole fields: of each field to the nearest of many others, at their best relative translation.

    N d(x)² = min_y min_a Σ_r (x(r) − y(r + a))² = min_y [Σ x² + Σ y² − 2 max_a Σ_r x(r) y(r + a)]

The last sums, for all translations a, are one inverse transform.
"""

from collections.abc import Iterable

import numpy as np

from csd.lattice.lattice import Array, Lattice

MOST_PRODUCTS = 2**28
"""Products x(r) y(r) of all pairs of fields up to which all translations are compared, in seconds."""


def with_translations(lattice: Lattice, fields: int, others: int) -> bool:
    """Whether so many pairs of fields are few enough to compare all translations."""
    return fields * others * lattice.sites <= MOST_PRODUCTS


def nearest_distances(lattice: Lattice, fields: Array, others: Iterable[Array], *, translations: bool) -> Array:
    """d(x), the root mean square per site of the difference to the nearest of many fields.

    Args:
        lattice: of the fields.
        fields: x, shape (fields, *lattice.shape).
        others: y, in pieces of shape (piece, *lattice.shape).
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
            overlaps = np.stack([of_all.reshape(len(piece), -1).max(axis=1) for of_all in products])
        else:
            overlaps = flat @ own.T
        nearest = np.minimum(nearest, (squares[:, None] + (own**2).sum(axis=1) - 2.0 * overlaps).min(axis=1))
    return np.sqrt(np.maximum(nearest, 0.0) / lattice.sites)
