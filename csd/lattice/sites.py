"""Sites and their neighbours, for compiled loops (Numba) over one field at a time.

Fields have the shape (components, sites), with sites in C order of the lattice. At L = 2 both neighbours along an axis
are the same site, which counts twice, as in Σ_r Σ_μ φ(r)·φ(r+μ).
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import caching
from numpy.typing import NDArray

from csd.lattice import Array, Lattice

Function = TypeVar("Function", bound=Callable[..., object])
Indices = NDArray[np.intp]


class _Beside(caching.InTreeCacheLocator):
    """The folder `__pycache__` beside a module, which need not be writable."""

    def ensure_cache_path(self) -> None:
        """Accept the folder as it is."""


class _Places(caching.CompileResultCacheImpl):
    """Numba's own folders for compiled code, or else the one beside the module, for reading."""

    _locator_classes = [*caching.CacheImpl._locator_classes, _Beside]  # noqa: RUF012


class _Stored(caching.FunctionCache):
    """Compiled code on disk; what cannot be read is compiled again, and what cannot be written is not stored.

    Numba alone raises an error if it finds no folder that it may write to, or a disk that is full.
    """

    _impl_class = _Places

    def load_overload(self, *key: Any) -> Any:
        """The compiled code; None if there is none, or it cannot be read."""
        with suppress(Exception):
            return super().load_overload(*key)  # type: ignore[no-untyped-call]
        return None

    def save_overload(self, *code: Any) -> None:
        """Store compiled code where possible."""
        with suppress(Exception):
            super().save_overload(*code)  # type: ignore[no-untyped-call]


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and store it on disk where possible; IEEE arithmetic, no threads."""
    made = numba.njit(function)
    made._cache = _Stored(function)  # type: ignore[no-untyped-call]
    return cast("Function", made)


def part(function: Function) -> Function:
    """Compile a small function together with those that call it."""
    return cast("Function", numba.njit(inline="always")(function))


@lru_cache(maxsize=8)
def neighbours(lattice: Lattice) -> Indices:
    """Sites r + μ, then r − μ, for each site r; shape (sites, 2d)."""
    sites = np.arange(lattice.sites).reshape(lattice.shape)
    shifted = [np.roll(sites, -way, axis) for way in (1, -1) for axis in range(lattice.dimension)]
    return np.stack([places.ravel() for places in shifted], axis=1)


@lru_cache(maxsize=8)
def checkerboard(lattice: Lattice) -> Indices:
    """All sites, with those of even Σ_μ r_μ first; shape (sites,)."""
    colour = np.indices(lattice.shape).sum(axis=0).ravel() % 2
    return np.argsort(colour, kind="stable")


@lru_cache(maxsize=8)
def first_waves(lattice: Lattice) -> Array:
    """cos and sin of 2π r_μ / L for each axis μ, shape (sites, 2d)."""
    angles = 2.0 * np.pi / lattice.size * np.indices(lattice.shape).reshape(lattice.dimension, -1)
    return np.ascontiguousarray(np.concatenate([np.cos(angles), np.sin(angles)]).T)


@compiled
def site_sums(field: Array, places: Indices, sums: Array) -> None:
    """Σ_r Σ_μ φ(r)·φ(r+μ), Σ φ², Σ (φ²)² and Σ φ_a of one field.

    Args:
        field: shape (n, sites).
        places: from `neighbours`.
        sums: array for the 3 + n sums.
    """
    components, sites = field.shape
    forward = places.shape[1] // 2
    sums[:] = 0.0
    for site in range(sites):
        square = 0.0
        for a in range(components):
            value = field[a, site]
            ahead = 0.0
            for direction in range(forward):
                ahead += field[a, places[site, direction]]
            sums[0] += value * ahead
            square += value * value
            sums[3 + a] += value
        sums[1] += square
        sums[2] += square * square


@compiled
def neighbour_sum(field: Array, places: Indices, site: int, source: float, total: Array) -> None:
    """Σ over the 2d neighbours of a site of φ_a, and s e₁, into `total`, shape (n,)."""
    for a in range(field.shape[0]):
        total[a] = 0.0
        for direction in range(places.shape[1]):
            total[a] += field[a, places[site, direction]]
    total[0] += source


@part
def dot(left: Array, right: Array) -> float:
    """Σ_a x_a y_a of two vectors, shape (n,) each."""
    total = 0.0
    for a in range(left.size):
        total += left[a] * right[a]
    return total


@part
def along(axis: Array, field: Array, site: int) -> float:
    """Σ_a e_a φ_a(r) of an axis, shape (n,), and a field, shape (n, sites)."""
    total = 0.0
    for a in range(axis.size):
        total += axis[a] * field[a, site]
    return total


@part
def normalise(vector: Array) -> None:
    """Divide a vector, shape (n,), by its length."""
    vector /= np.sqrt(dot(vector, vector))


@compiled
def phi_four_force(
    field: Array, places: Indices, quadratic: float, quartic: float, source: float, force: Array
) -> None:
    """−∂H/∂φ = Σ_nn φ − 2 (A + 2g φ²) φ + s e₁ of one field, shape (n, sites), into `force`."""
    components, sites = field.shape
    for site in range(sites):
        square = 0.0
        for a in range(components):
            square += field[a, site] * field[a, site]
        slope = 2.0 * (quadratic + 2.0 * quartic * square)
        for a in range(components):
            total = 0.0
            for direction in range(places.shape[1]):
                total += field[a, places[site, direction]]
            force[a, site] = total - slope * field[a, site]
        force[0, site] += source
