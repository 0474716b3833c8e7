"""Periodic hypercubic lattices: momenta, the Laplacian's symbol, transforms, boxes.

Conventions (docs/physics.md, section 1): side L, dimension d, N = L^d sites, spacing 1, momenta k_μ = 2π n_μ / L,

    x̂(k) = Σ_r x(r) exp(-i k·r),   k̂² = Σ_μ 4 sin²(k_μ / 2),   S(k) = |x̂(k)|² / N.

Fields are real, so x̂(-k) = x̂(k)*, and arrays over momenta come in three layouts:

- *half*: what a real FFT returns, shape (L, …, L, L // 2 + 1);
- *pairs*: one momentum of each pair {k, -k}, in a flat array with the self-conjugate ones (k = -k) last;
- *shells*: one momentum of each class of momenta that are related by rotations and reflections of the lattice.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations_with_replacement, product
from math import comb
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError, check_integer
from csd.lattice.memory import require_memory

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Scalar = TypeVar("Scalar", bound=np.generic)

ORDERS = {1: (1.0,), 2: (2.0, 1.0), 3: (6.0, 3.0, 1.0)}
"""Number of orders of d ascending numbers, by how many of them equal their predecessor."""


@dataclass(frozen=True)
class Modes:
    """A set of modes, each of which represents n_i momenta, such that (1/N) Σ_k f = Σ_i n_i f_i / N.

    Attributes:
        numbers: integers n_μ of k_μ = 2π n_μ / L, shape (modes, d).
        laplacian: k̂² of each mode, shape (modes,).
        multiplicity: n_i, shape (modes,), sum N.
        self_conjugate: number of modes with k = -k, which are the last ones in the *pairs* layout.
        half_index: index of each mode in the flattened *half* layout, shape (modes,).
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
        if isinstance(self.dimension, bool) or self.dimension not in ORDERS:
            raise InputError(f"dimension is {self.dimension!r}; it must be one of 1, 2, 3")
        # Products of NumPy's integers could overflow.
        object.__setattr__(self, "dimension", int(self.dimension))
        object.__setattr__(self, "size", check_integer("size", self.size, 2))

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
        """The lattice axes of a batch of fields, which are its last d."""
        return tuple(range(-self.dimension, 0))

    @cached_property
    def laplacian(self) -> Array:
        """k̂² in the *half* layout; 0 to 4 d."""
        line = 4.0 * np.sin(np.pi * np.arange(self.size) / self.size) ** 2
        return np.asarray(reduce(np.add.outer, [line[:length] for length in self.half_shape]))

    @cached_property
    def half_multiplicity(self) -> Array:
        """Number of momenta (1 or 2) that each entry of the *half* layout represents, shape `half_shape`, sum N."""
        return np.broadcast_to(self._line_multiplicity, self.half_shape).copy()

    @cached_property
    def _line_multiplicity(self) -> Array:
        """1 for n = −n and 2 for the others among n = 0 … L // 2 along an axis."""
        numbers = np.arange(self.size // 2 + 1)
        return np.where(2 * numbers % self.size == 0, 1.0, 2.0)

    def transform(self, fields: Array) -> ComplexArray:
        """x̂(k) of real fields of shape (…, *shape), in the *half* layout."""
        return np.fft.rfftn(fields, axes=self.axes)

    def inverse(self, transformed: ComplexArray | Array) -> Array:
        """The real fields, shape (…, *shape), of a transform in the *half* layout."""
        return np.fft.irfftn(transformed, s=self.shape, axes=self.axes)

    def power_spectrum(self, fields: Array) -> Array:
        """S(k) = |x̂(k)|² / N of each field, in the *half* layout."""
        transformed = self.transform(fields)
        return (transformed.real**2 + transformed.imag**2) / self.sites

    @cached_property
    def pairs(self) -> Modes:
        """One mode of each pair {k, -k}; the 2^d (L even) or 1 (L odd) self-conjugate modes are the last."""
        flat, partner = self._partners
        # An entry whose partner lies outside the half layout points at itself, but represents two momenta.
        single = (flat == partner) & (self.half_multiplicity.ravel() == 1.0)
        chosen = np.concatenate([np.flatnonzero((flat <= partner) & ~single), np.flatnonzero(single)])
        count = int(single.sum())
        multiplicity = np.repeat([2.0, 1.0], [chosen.size - count, count])
        numbers = np.stack(np.unravel_index(chosen, self.half_shape), axis=1)
        return Modes(numbers, self.laplacian.ravel()[chosen], multiplicity, count, chosen, isotropic=False)

    @cached_property
    def _partners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Flat *half* indices, and for each of them that of -k if it lies in the *half* layout, or else its own."""
        flat = np.arange(int(np.prod(self.half_shape))).reshape(self.half_shape)
        partner = flat
        for axis in range(self.dimension - 1):
            partner = np.take(partner, (-np.arange(self.size)) % self.size, axis=axis)
        partner = np.where(self.half_multiplicity == 1.0, partner, flat)
        return flat.ravel(), partner.ravel()

    def modes_of(self, values: NDArray[Any]) -> Modes:
        """The *shells* or *pairs* of values of shape (…, modes), by their number; *shells* in d = 1, of as many."""
        return self.shells if values.shape[-1] == len(self.shells) else self.pairs

    def half(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Values in the *half* layout, from those at their `modes_of`, shape (…, modes)."""
        return self.spread(values, self.modes_of(values))

    def spread(self, values: NDArray[Scalar], modes: Modes) -> NDArray[Scalar]:
        """Values in the *half* layout, from those at *pairs* or *shells*, shape (…, modes), with f(-k) = f(k)*.

        Raises:
            InputError: if there are not as many values as modes.
        """
        if values.shape[-1] != len(modes):
            raise InputError(f"there are {values.shape[-1]} values, but {len(modes)} modes; both must agree")
        if modes.isotropic:
            return values.take(self.shell_of_half, axis=-1).reshape(*values.shape[:-1], *self.half_shape)
        place, mirrored = self.pair_of_half
        # Unlike values[..., place], take keeps the momenta adjacent in memory.
        half = values.take(place, axis=-1)
        if np.iscomplexobj(half):
            half[..., mirrored] = half[..., mirrored].conj()
        return half.reshape(*values.shape[:-1], *self.half_shape)

    def gather(self, values: NDArray[Scalar], modes: Modes) -> NDArray[Scalar]:
        """Values at *pairs* or *shells*, shape (…, modes), from those in the *half* layout, shape (…, *half_shape)."""
        return values.reshape(*values.shape[: -self.dimension], -1).take(modes.half_index, axis=-1)

    def index(self, sites: NDArray[np.intp]) -> NDArray[np.intp]:
        """Flat indices of sites r, modulo L; shape (…, d) → (…)."""
        return (sites % self.size) @ self.size ** np.arange(self.dimension)[::-1]

    def take(self, fields: Array, sites: NDArray[np.intp]) -> Array:
        """Fields of shape (…, *shape) at sites given by flat indices; shape (…, *sites.shape)."""
        return fields.reshape(*fields.shape[: -self.dimension], -1).take(sites, axis=-1)

    @cached_property
    def pair_of_half(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(index in *pairs* of each flat *half* entry, the entries that hold the complex conjugate of their mode)."""
        flat, partner = self._partners
        place = np.empty(flat.size, dtype=np.intp)
        place[self.pairs.half_index] = np.arange(len(self.pairs))
        return place[np.minimum(flat, partner)], np.flatnonzero(partner < flat)

    @cached_property
    def shell_of_half(self) -> NDArray[np.intp]:
        """Index in *shells* of each flat *half* entry."""
        place = np.zeros((self.size // 2 + 1,) * self.dimension, dtype=np.intp)
        place[tuple(self.shells.numbers.T)] = np.arange(len(self.shells))
        numbers = np.stack(np.unravel_index(np.arange(int(np.prod(self.half_shape))), self.half_shape))
        return place[tuple(np.sort(np.minimum(numbers, self.size - numbers), axis=0))]

    @cached_property
    def shells(self) -> Modes:
        """One mode of each class under rotations and reflections, with 0 ≤ n_1 ≤ … ≤ n_d ≤ L // 2."""
        half = self.size // 2
        # Each combination takes as much memory as 15 numbers while it is a Python tuple in a list.
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
            InputError: if the reach is negative, or a two-sided box would overlap itself (reach ≥ L / 2).
        """
        self.check_range(reach)
        line = range(0 if one_sided else -reach, reach + 1)
        return np.array(list(product(line, repeat=self.dimension)), dtype=np.intp)

    def check_range(self, reach: int) -> None:
        """Refuse a range R whose box |r_μ| ≤ R does not fit, that is R < 0 or R ≥ L / 2."""
        if isinstance(reach, bool) or not isinstance(reach, int | np.integer) or reach < 0 or 2 * reach >= self.size:
            largest = (self.size - 1) // 2
            raise InputError(
                f"range is {reach!r}; on a lattice of size {self.size} it must be an integer from 0 to {largest}"
                " (below L / 2)"
            )


def axis_profile(lattice: Lattice, modes: Modes, values: Array) -> Array:
    """f(r) = (1/N) Σ_k f(k) (1/d) Σ_μ cos(k_μ r), a function of the displacement along an axis, averaged over axes.

    Args:
        lattice: the lattice.
        modes: of the values.
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
