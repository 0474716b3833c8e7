"""Tests of symmetries by randomisation.

If a symmetry holds, blocks of data that are transformed by random elements of its group (the change of sign, rotations,
reflections and translations of the lattice, permutations of components) have the same distribution. So the rank of
T = |Σ_b d_b|² among those of transformed blocks is uniform, whatever the distribution of the data, and a p below 0.01
is a false alarm in one of a hundred cases. Far in the tail, p is that of a gamma distribution with the mean and the
variance of T.
"""

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from csd.core.random import stream
from csd.lattice import Array

DRAWS = 999
"""Random transformations of the blocks in a test."""
FEW_NUMBERS = 64
"""Most numbers d_b of a block that are summed one by one."""


def p_value(transformed: Array, name: str) -> float:
    """p of T = |Σ_b d_b|² among those of blocks that are transformed at random.

    Args:
        transformed: d_b after each element of the group, the identity first; shape (blocks, elements, …).
        name: of the test, for its random stream.
    """
    blocks, elements = transformed.shape[:2]
    flat = transformed.reshape(blocks * elements, -1)
    if not flat.any():
        return 1.0
    # Σ_b d_b needs no more than the products of all d_b, which are fewer numbers than the d_b of many modes.
    gram = flat @ flat.T if flat.shape[1] > FEW_NUMBERS else None

    def total(chosen: NDArray[np.intp]) -> float:
        return float((flat[chosen].sum(axis=0) ** 2).sum() if gram is None else gram[np.ix_(chosen, chosen)].sum())

    first = elements * np.arange(blocks)
    drawn = first + stream("test of data", name).integers(elements, size=(DRAWS, blocks))
    return _rank(total(first), np.array([total(one) for one in drawn]))


def translation_p_value(blocks: NDArray[np.complex128], numbers: NDArray[np.intp], size: int, name: str) -> float:
    """p of T = Σ |Σ_b d_b(k)|² among those of d_b(k) e^{−ika_b} with random translations a_b.

    Args:
        blocks: d_b(k), shape (blocks, …, momenta).
        numbers: integers n of the momenta k = 2πn/L, shape (momenta, d).
        size: L.
        name: of the test, for its random stream.
    """
    if not blocks.any():
        return 1.0
    turns = np.exp(-2j * np.pi * np.arange(size) / size)
    by = stream("test of data", name).integers(size, size=(DRAWS, len(blocks), numbers.shape[1]))
    others = [(np.abs(np.einsum("b...k,bk->...k", blocks, turns[one @ numbers.T % size])) ** 2).sum() for one in by]
    return _rank(float((np.abs(blocks.sum(axis=0)) ** 2).sum()), np.array(others))


def _rank(own: float, others: Array) -> float:
    """p of a T among those of transformed blocks; far in the tail, that of a gamma distribution."""
    rank = (1.0 + float((others >= own * (1.0 - 1e-12)).sum())) / (DRAWS + 1.0)
    if rank > 1.5 / (DRAWS + 1.0):
        return rank
    from scipy.special import gammaincc

    mean, variance = others.mean(), others.var()
    return min(rank, float(gammaincc(mean**2 / variance, own * mean / variance)))


def images(modes: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    """The place among the modes of the image of each under a rotation or reflection; the identity is the first.

    Elements of the group that differ in the sign of all axes are the same for S(k) = S(−k).
    """
    dimension = modes.shape[1]
    strides = size ** np.arange(dimension)
    known = np.concatenate([modes % size @ strides, -modes % size @ strides])
    order = np.argsort(known)
    for axes in permutations(range(dimension)):
        for signs in product((1, -1), repeat=dimension - 1):
            wanted = (modes[:, axes] * (1, *signs)) % size @ strides
            yield order[np.searchsorted(known[order], wanted)] % len(modes)
