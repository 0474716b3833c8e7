"""The jackknife over blocks of fields: a function of means, without one block at a time.

    θ_j = θ(means of all fields but those of block j),     error² = (B − 1)/B Σ_j (θ_j − mean of θ_j)²     for B blocks

What else follows from θ_j, such as the bias, depends on whether the blocks are equally large, and is left to its users.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from csd.lattice.lattice import Array


def without_each(statistic: Callable[..., Any], counts: Array, *sums: Array) -> Array:
    """θ_j, a function of means without block j, for each block; shape (blocks, …) with that of the statistic.

    Args:
        statistic: function of one mean for each of `sums`; may return an array.
        counts: fields of each block, shape (blocks,).
        sums: over the fields of each block, shape (blocks, …).
    """
    every, totals = counts.sum(), [total.sum(axis=0) for total in sums]
    return np.array(
        [
            statistic(*((total - own[block]) / (every - count) for total, own in zip(totals, sums, strict=True)))
            for block, count in enumerate(counts)
        ]
    )


def jackknife_error(left: Array, axis: int = 0) -> Any:
    """The standard error from the values θ_j without each block, along an axis; NaN with a single block."""
    blocks = left.shape[axis]
    return np.sqrt((blocks - 1) * left.var(axis=axis)) if blocks > 1 else np.full_like(left.sum(axis=axis), np.nan)
