"""A Gaussian field in a box, in a basis of fields that have one symmetry of the box.

The basis is orthonormal, and X(k, a) is the transform of its field a, at one momentum k of each class that stands for a
share w(k) of all N, such that Σ_k w X(k, a) X(k, b) = δ_ab. With γ = α²/σ², and P₀ the covariance of x₀ in the box,

    P₀ = Xᵀ w G X = V Λ Vᵀ,    σ² P⁻¹ = (1 + γP₀)⁻¹,    σ² K* = 1/(1 + γG),

so one decomposition serves all noise levels. For basis fields A in the middle of the box, with Δ = X (1 + γP₀)⁻¹ − K*X,

    σ² [(K*)_AA − (P⁻¹)_AA] = Σ_k w (1 + γG) Δ_A Δ_A.

The right-hand side is of second order in the errors of rounding, so that differences much smaller than these are exact.
To first order in a relative error ε of XV, and in one of ε √λ_max in the singular values, it is off from 0 by ε² times

    |κ|² (n + γ Σ_i λ_i) + γ² λ_max κᵀP₀κ / (1 + γλ_min),     κ = (1 + γP₀)⁻¹ e_A,  n fields of the basis,

at most. What is below this, with `ROUNDING` for ε, is set to 0.
"""

from collections.abc import Sequence
from functools import cached_property, reduce
from itertools import combinations_with_replacement, permutations
from math import comb, factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, Lattice
from csd.lattice.lattice import ORDERS
from csd.lattice.memory import require_memory

ROUNDING = 32.0 * float(np.finfo(float).eps)
"""ε of bounds of what rounding leaves. In boxes that are the whole lattice, where nothing else is left, it was at most
12 times the machine's over 31 decades of γ and nine of m."""


class SymmetricBox:
    """A Gaussian field in a box, between basis fields of one symmetry.

    Args:
        characters: X, shape (modes, fields of the basis).
        weight: w of each mode, shape (modes,).
        propagator: G of each mode, shape (modes,).
        inner: places of the basis fields A in the middle of the box.

    Attributes:
        characters: X.
        weight: w.
        propagator: G.
        inner: places of A.
        variances: Λ, shape (fields of the basis,), largest first.
        vectors: V, shape (fields of the basis, the same).
    """

    def __init__(self, characters: Array, weight: Array, propagator: Array, inner: NDArray[np.intp]) -> None:
        self.characters, self.weight, self.propagator, self.inner = characters, weight, propagator, inner
        # Small singular values of √(wG) X are more precise than the small eigenvalues of its square.
        root = np.sqrt(weight * propagator)[:, None]
        _, singular, rows = np.linalg.svd(root * characters, full_matrices=False)
        self.variances, self.vectors = singular**2, rows.T

    @cached_property
    def amplitudes(self) -> Array:
        """XV, the transforms of the eigenvectors, shape (modes, fields of the basis)."""
        return np.asarray(self.characters @ self.vectors)

    @cached_property
    def shares(self) -> Array:
        """a(k, i) with f(P₀) → Σ_i a(k, i) f(λ_i) for the first field of A, shape (modes, fields of the basis)."""
        return self.amplitudes * self.vectors[self.inner[0]]

    def deficit(self, ratios: Array) -> tuple[Array, Array]:
        """(σ² [(K*)_AA − (P⁻¹)_AA], σ² (K*)_AA), shape (ratios, A, A) each; a first one 0 if its trace is rounding.

        Args:
            ratios: γ = α²/σ², shape (ratios,).
        """
        found = []
        inside, own = self.vectors[self.inner].T, self.characters[:, self.inner]
        for ratio in ratios:
            exact = 1.0 / (1.0 + ratio * self.propagator)
            kernel = inside / (1.0 + ratio * self.variances)[:, None]
            off = self.amplitudes @ kernel - exact[:, None] * own
            weight = self.weight[:, None]
            lost = off.T @ (weight / exact[:, None] * off)
            if np.trace(lost) <= self._rounding(ratio, (kernel**2).sum(axis=1)):
                lost = np.zeros_like(lost)
            found.append((lost, own.T @ (weight * exact[:, None] * own)))
        lost, whole = zip(*found, strict=True)
        return np.array(lost), np.array(whole)

    def _rounding(self, ratio: float, squares: Array) -> float:
        """The largest trace of σ² [(K*)_AA − (P⁻¹)_AA] that rounding can leave, with Σ_A of the squares of κ."""
        spread = len(self.variances) + ratio * self.variances.sum()
        tilt = ratio**2 * self.variances[0] / (1.0 + ratio * self.variances[-1])
        return float(ROUNDING**2 * (squares.sum() * spread + tilt * (squares @ self.variances)))


def box_around_site(lattice: Lattice, propagator: Array, reach: int) -> SymmetricBox:
    """The box |r_μ| ≤ R around a site, between sums over sites alike by rotations and reflections.

    Args:
        lattice: where it lies.
        propagator: G at the lattice's *shells*.
        reach: R, with 2R + 1 ≤ L.

    Raises:
        InputError: if the range does not fit, or memory does not suffice.
    """
    lattice.check_range(reach)
    dimension, modes = lattice.dimension, lattice.shells
    count = comb(reach + dimension, dimension)
    require_memory(5.0 * len(modes) * count, f"a box of range {reach}")
    sites = np.array(list(combinations_with_replacement(range(reach + 1), dimension)))
    equal = (np.diff(sites, axis=1) == 0).sum(axis=1)
    alike = np.array(ORDERS[dimension])[equal] * 2.0 ** (sites > 0).sum(axis=1)
    line = np.cos(2.0 * np.pi * (np.outer(range(lattice.size), range(reach + 1)) % lattice.size) / lattice.size)
    characters = np.zeros((len(modes), count))
    for order in permutations(range(dimension)):
        factors = [line[modes.numbers[:, axis]][:, sites[:, other]] for axis, other in enumerate(order)]
        characters += reduce(np.multiply, factors)
    characters *= np.sqrt(alike) / factorial(dimension)
    return SymmetricBox(characters, modes.multiplicity / lattice.sites, propagator, np.array([0]))


def boxes_around_cube(
    lattice: Lattice, propagator: Array, reach: int, block: int
) -> Sequence[tuple[int, SymmetricBox]]:
    """The box of all sites within R of a cube of b^d sites, by the parity of fields under the reflection of each axis.

    Args:
        lattice: where it lies.
        propagator: G at the lattice's *shells*.
        reach: R, with b + 2R ≤ L.
        block: b.

    Returns:
        For j = 0 … d fields that are odd along j axes: in how many ways these are chosen, and the box. Boxes without
        any field on the cube are left out.

    Raises:
        InputError: if memory does not suffice.
    """
    size, dimension = lattice.size, lattice.dimension
    numbers = np.arange(size // 2 + 1)
    share = np.where(2 * numbers % size == 0, 1.0, 2.0) / size
    # Distances from the middle, which is a site if the box is odd.
    sites = np.arange((block + 2 * reach) // 2 + block % 2) + 0.5 * (1 - block % 2)
    require_memory(5.0 * (len(numbers) * len(sites)) ** dimension, f"a box of range {reach}")
    angles = 2.0 * np.pi / size * np.outer(numbers, sites)
    even = np.where(sites > 0.0, np.sqrt(2.0), 1.0) * np.cos(angles)
    odd = np.sqrt(2.0) * np.sin(angles)[:, sites > 0.0]
    on_even, on_odd = sites < 0.5 * block, (sites < 0.5 * block)[sites > 0.0]
    # The momenta 0 ≤ n_μ ≤ L // 2 of the *half* layout.
    whole = lattice.spread(propagator, lattice.shells)[(slice(len(numbers)),) * dimension].ravel()
    weight = product_of([share] * dimension)
    found = []
    for count in range(dimension + 1):
        lines = [odd] * count + [even] * (dimension - count)
        inside = product_of([on_odd] * count + [on_even] * (dimension - count))
        if inside.any():
            box = SymmetricBox(product_of(lines), weight, whole, np.flatnonzero(inside))
            found.append((comb(dimension, count), box))
    return found


def product_of(lines: Sequence[Any]) -> Any:
    """The Kronecker product of arrays, one for each axis."""
    return reduce(np.kron, lines)
