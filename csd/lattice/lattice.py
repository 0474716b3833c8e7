"""Periodic hypercubic lattices: momenta, the Laplacian's symbol, transforms, boxes.

Conventions (docs/physics.md, section 1): side L, dimension d, N = L^d sites, spacing 1, momenta k_μ = 2π n_μ / L,

    x̂(k) = Σ_r x(r) exp(-i k·r),   k̂² = Σ_μ 4 sin²(k_μ / 2),   S(k) = |x̂(k)|² / N.

Fields are real, so x̂(-k) = x̂(k)*, and arrays over momenta come in three layouts:

- *half*: what a real FFT returns, shape (L, …, L, L // 2 + 1);
- *pairs*: one momentum of each pair {k, -k}, as a flat array, the self-conjugate ones (k = -k) last;
- *shells*: one momentum of each class of momenta that lattice rotations and reflections map on each other.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations_with_replacement, product
from math import comb
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.lattice.memory import require_memory

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Scalar = TypeVar("Scalar", bound=np.generic)

DIMENSIONS = (1, 2, 3)
ORDERS = {1: (1.0,), 2: (2.0, 1.0), 3: (6.0, 3.0, 1.0)}
"""Orders of d numbers that rise, by how many are equal to the one before."""


@dataclass(frozen=True)
class Modes:
    """Momenta that stand for all N, each with the number of momenta it stands for: (1/N) Σ_k f = Σ_i n_i f_i / N.

    Attributes:
        numbers: integers n_μ of k_μ = 2π n_μ / L, shape (modes, d).
        laplacian: k̂² of each mode, shape (modes,).
        multiplicity: momenta that each mode stands for, shape (modes,), sum N.
        self_conjugate: how many modes have k = -k; in the *pairs* layout they are the last ones.
        half_index: place of each mode in the flattened *half* layout, shape (modes,).
        isotropic: True for *shells*, False for *pairs*.
    """

    numbers: NDArray[np.intp]
    laplacian: Array
    multiplicity: Array
    self_conjugate: int
    half_index: NDArray[np.intp]
    isotropic: bool

    def __len__(self) -> int:
        return len(self.laplacian)


@dataclass(frozen=True)
class Lattice:
    """A periodic hypercubic lattice of side `size` in `dimension` dimensions.

    Raises:
        InputError: if the dimension is not 1, 2 or 3, or the size is not an integer of at least 2.
    """

    dimension: int
    size: int

    def __post_init__(self) -> None:
        if self.dimension not in DIMENSIONS:
            raise InputError(f"dimension is {self.dimension!r}; it must be one of 1, 2, 3")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 2:
            raise InputError(f"size is {self.size!r}; it must be an integer of at least 2")

    @property
    def sites(self) -> int:
        """N = L^d."""
        return int(self.size**self.dimension)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a field, (L,) * d."""
        return (self.size,) * self.dimension

    @property
    def half_shape(self) -> tuple[int, ...]:
        """Shape of an array over momenta in the *half* layout."""
        return (*self.shape[:-1], self.size // 2 + 1)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of a batch of fields that are lattice directions: the last d."""
        return tuple(range(-self.dimension, 0))

    @cached_property
    def laplacian(self) -> Array:
        """k̂² in the *half* layout; 0 to 4 d."""
        line = 4.0 * np.sin(np.pi * np.arange(self.size) / self.size) ** 2
        return np.asarray(reduce(np.add.outer, [line[:length] for length in self.half_shape]))

    @cached_property
    def half_multiplicity(self) -> Array:
        """Momenta that each entry of the *half* layout stands for (1 or 2), shape `half_shape`, sum N."""
        return np.broadcast_to(self._line_multiplicity, self.half_shape).copy()

    @cached_property
    def _line_multiplicity(self) -> Array:
        """Of n = 0 … L // 2 along an axis: 1 where −n is n itself, else 2."""
        numbers = np.arange(self.size // 2 + 1)
        return np.where(2 * numbers % self.size == 0, 1.0, 2.0)

    def transform(self, fields: Array) -> ComplexArray:
        """x̂(k) of real fields of shape (…, *shape), in the *half* layout."""
        return np.fft.rfftn(fields, axes=self.axes)

    def inverse(self, transformed: ComplexArray | Array) -> Array:
        """The real fields, shape (…, *shape), whose transform in the *half* layout is given."""
        return np.fft.irfftn(transformed, s=self.shape, axes=self.axes)

    def power_spectrum(self, fields: Array) -> Array:
        """S(k) = |x̂(k)|² / N of each field, in the *half* layout."""
        transformed = self.transform(fields)
        return (transformed.real**2 + transformed.imag**2) / self.sites

    @cached_property
    def pairs(self) -> Modes:
        """One mode of each pair {k, -k}; the 2^d (L even) or 1 (L odd) self-conjugate modes are the last."""
        flat, partner = self._partners
        own = flat == partner
        free = flat < partner
        # Entries of the half layout whose partner lies outside it point at themselves, but stand for two momenta.
        single = own & (self.half_multiplicity.ravel() == 1.0)
        chosen = np.concatenate([np.flatnonzero(free | (own & ~single)), np.flatnonzero(single)])
        count = int(single.sum())
        multiplicity = np.full(chosen.size, 2.0)
        multiplicity[chosen.size - count :] = 1.0
        numbers = np.stack(np.unravel_index(chosen, self.half_shape), axis=1)
        return Modes(numbers, self.laplacian.ravel()[chosen], multiplicity, count, chosen, isotropic=False)

    @cached_property
    def _partners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Flat *half* indices, and for each the index of -k where that lies in the *half* layout, else its own."""
        flat = np.arange(int(np.prod(self.half_shape))).reshape(self.half_shape)
        partner = flat
        for axis in range(self.dimension - 1):
            partner = np.take(partner, (-np.arange(self.size)) % self.size, axis=axis)
        partner = np.where(self.half_multiplicity == 1.0, partner, flat)
        return flat.ravel(), partner.ravel()

    def spread(self, values: NDArray[Scalar], modes: Modes) -> NDArray[Scalar]:
        """Values at *pairs* or *shells*, shape (…, modes), in the *half* layout; f(-k) = f(k)*."""
        if modes.isotropic:
            return values.take(self.shell_of_half, axis=-1).reshape(*values.shape[:-1], *self.half_shape)
        place, mirrored = self.pair_of_half
        # Unlike values[..., place], take leaves the momenta next to each other in memory.
        half = values.take(place, axis=-1)
        if np.iscomplexobj(half):
            half[..., mirrored] = half[..., mirrored].conj()
        return half.reshape(*values.shape[:-1], *self.half_shape)

    def gather(self, values: NDArray[Scalar], modes: Modes) -> NDArray[Scalar]:
        """Values in the *half* layout, shape (…, *half_shape), at *pairs* or *shells*, shape (…, modes)."""
        return values.reshape(*values.shape[: -self.dimension], -1).take(modes.half_index, axis=-1)

    def index(self, sites: NDArray[np.intp]) -> NDArray[np.intp]:
        """Flat indices of sites r, which wrap around; shape (…, d) → (…)."""
        return (sites % self.size) @ self.size ** np.arange(self.dimension)[::-1]

    def take(self, fields: Array, sites: NDArray[np.intp]) -> Array:
        """Fields of shape (…, *shape) at flat indices of sites, shape (…, *sites.shape)."""
        return fields.reshape(*fields.shape[: -self.dimension], -1).take(sites, axis=-1)

    @cached_property
    def pair_of_half(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(place in *pairs* of each flat *half* entry, the entries that hold the conjugate of their mode)."""
        flat, partner = self._partners
        place = np.empty(flat.size, dtype=np.intp)
        place[self.pairs.half_index] = np.arange(len(self.pairs))
        return place[np.minimum(flat, partner)], np.flatnonzero(partner < flat)

    @cached_property
    def shell_of_half(self) -> NDArray[np.intp]:
        """Place in *shells* of each flat *half* entry."""
        place = np.zeros((self.size // 2 + 1,) * self.dimension, dtype=np.intp)
        place[tuple(self.shells.numbers.T)] = np.arange(len(self.shells))
        numbers = np.stack(np.unravel_index(np.arange(int(np.prod(self.half_shape))), self.half_shape))
        return place[tuple(np.sort(np.minimum(numbers, self.size - numbers), axis=0))]

    @cached_property
    def shells(self) -> Modes:
        """One mode of each class under rotations and reflections: n_1 ≤ … ≤ n_d, each in 0 … L // 2."""
        half = self.size // 2
        # Python's tuples and lists take some 15 numbers' room for each combination on the way.
        require_memory(25.0 * comb(half + self.dimension, self.dimension), f"a lattice of size {self.size}")
        line = 4.0 * np.sin(np.pi * np.arange(half + 1) / self.size) ** 2
        numbers = np.array(list(combinations_with_replacement(range(half + 1), self.dimension)))
        equal = (np.diff(numbers, axis=1) == 0).sum(axis=1)
        signs = self._line_multiplicity[numbers]
        multiplicity = np.array(ORDERS[self.dimension])[equal] * signs.prod(axis=1)
        self_conjugate = int((signs == 1.0).all(axis=1).sum())
        place = np.ravel_multi_index(tuple(numbers.T), self.half_shape)
        return Modes(numbers, line[numbers].sum(axis=1), multiplicity, self_conjugate, place, isotropic=True)

    def box(self, reach: int, *, one_sided: bool = False) -> NDArray[np.intp]:
        """Offsets r with |r_μ| ≤ reach (or 0 ≤ r_μ ≤ reach), shape (sites of the box, d), in C order.

        Raises:
            InputError: if the reach is negative, or the two-sided box would wrap around (reach ≥ L / 2).
        """
        self.check_range(reach)
        line = range(0 if one_sided else -reach, reach + 1)
        return np.array(list(product(line, repeat=self.dimension)), dtype=np.intp)

    def check_range(self, reach: int) -> None:
        """Refuse a range R whose box |r_μ| ≤ R does not fit: 0 ≤ R < L / 2."""
        if isinstance(reach, bool) or not isinstance(reach, int | np.integer) or reach < 0 or 2 * reach >= self.size:
            largest = (self.size - 1) // 2
            raise InputError(
                f"range is {reach!r}; on a lattice of size {self.size} it must be an integer from 0 to {largest}"
                " (below L / 2)"
            )


def axis_profile(lattice: Lattice, modes: Modes, values: Array) -> Array:
    """f(r) = (1/N) Σ_k f(k) (1/d) Σ_μ cos(k_μ r): a function of displacement along the axes, averaged over them.

    Args:
        lattice: the lattice.
        modes: where the values are given.
        values: f(k), real and even, shape (…, modes).

    Returns:
        f at r = 0 … L // 2, shape (…, L // 2 + 1).
    """
    distances = np.arange(lattice.size // 2 + 1)
    cosine = np.cos(2.0 * np.pi * np.outer(np.arange(lattice.size), distances) / lattice.size)
    rows = (values * modes.multiplicity).reshape(-1, len(modes))
    by_number = np.zeros((len(rows), lattice.size))
    for axis in range(lattice.dimension):
        by_number += [np.bincount(modes.numbers[:, axis], weights=row, minlength=lattice.size) for row in rows]
    profile = by_number @ cosine / (lattice.sites * lattice.dimension)
    return profile.reshape(*values.shape[:-1], len(distances))
