"""Multiscale linear networks, which learn every noise level with O(log L) numbers: `multiscale`, `multiscale_blocks`.

Both are tied channels of filters with few numbers on each of log₂ L scales,

    s = −Σ_c w_cᵀ ∗ (w_c ∗ x),     K(k) = Σ_c |ŵ_c(k)|².

A number of `multiscale` is the filter at one site: a filter of T sites is spread out, 2^j sites apart. A number of
`multiscale_blocks` is the filter on a block of 2^j sites a side, so that the blocks cover the lattice. Both differ in
their softest mode (docs/optimisers.md, Multiscale).
"""

from abc import abstractmethod
from functools import cached_property
from itertools import product
from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.networks.linear import START_KERNEL, LinearNetwork, place_filters, transform

MULTISCALE_RATE = 0.125
"""Learning rate η per use of a filter."""


class TiedFilters(LinearNetwork):
    """Tied channels, K = Σ_c |ŵ_c|², of filters w_c = Σ_a v_ca f_a with orthonormal f_a.

    The initial numbers v are normal with variance 0.1 / (C_max parameters), which `multiscale_blocks` divides by the
    sites of a block; the learning rate is ⅛ per use.

    Args:
        lattice: where the fields live.
        channels: number of tied channels.
        taps: T.
    """

    uses = 2
    isotropic = False
    channels: Annotated[int, Ge(1), Option("tied channels", "C", label="c{value}")] = 6
    taps: int = 5

    def __init__(self, lattice: Lattice, channels: int, taps: int) -> None:
        super().__init__(lattice)
        self.channels, self.taps = channels, taps

    @abstractmethod
    def placed(self, filters: Any) -> Any:
        """w_c = Σ_a v_ca f_a, shape (…, *lattice.shape), of numbers of shape (…, numbers of a channel)."""

    @abstractmethod
    def taken(self, fields: Array) -> Array:
        """Σ_r f_a(r) g(r), the transpose of `placed`, shape (…, numbers of a channel), of fields g."""

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """Independent normal numbers of variance 0.1 / (C_max parameters)."""
        return np.sqrt(START_KERNEL / spectrum.max() / self.parameters) * generator.standard_normal(self.filter_shape)

    def kernel(self, filters: Any) -> Any:
        """K = Σ_c |ŵ_c|² in the *half* layout."""
        transformed = transform(self.lattice, self.placed(filters))
        return (transformed.real**2 + transformed.imag**2).sum(-1 - self.lattice.dimension)

    def learning_rate(self, spectrum: Array) -> float:
        """⅛ per use."""
        return MULTISCALE_RATE

    def stable_rate(self, spectrum: Array) -> float:
        """1 per use near K = 1/C, as for `local_two_layer`: the curvature is at most 2 Σ_c |v_c|² there."""
        return 1.0


class Multiscale(TiedFilters):
    """Tied channels of dilated filters: T taps along an axis, 2^j sites apart, j = 0 … log₂ L − 2.

    A site that several filters of a channel reach has one number, since two would double its rate.

    Args:
        lattice: where the fields live.
        channels: number of tied channels.
        taps: T.
    """

    taps: Annotated[int, Ge(2), Option("taps of a filter along an axis, at each scale", "T", label="T{value}")] = 5

    @cached_property
    def offsets(self) -> NDArray[np.intp]:
        """The distinct sites {0 … T − 1}^d 2^j modulo L, shape (sites of a channel, d)."""
        # Taps beyond the lattice come back to its sites.
        box = np.array(list(product(range(min(self.taps, self.lattice.size)), repeat=self.lattice.dimension)))
        scales = range(max(int(np.log2(self.lattice.size)) - 1, 1))
        found: NDArray[np.intp] = np.unique(np.concatenate([box * 2**j for j in scales]) % self.lattice.size, axis=0)
        return found

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """(channels, sites of a channel)."""
        return (self.channels, len(self.offsets))

    def placed(self, filters: Any) -> Any:
        """The filters at their sites, 0 elsewhere."""
        return place_filters(self.lattice, filters, self.offsets)

    def taken(self, fields: Array) -> Array:
        """The fields at the sites of a channel."""
        return self.lattice.take(fields, self.lattice.index(self.offsets))


def even(taps: int) -> int:
    """The same number of taps.

    Raises:
        InputError: if it is odd.
    """
    if taps % 2:
        raise InputError(f"taps is {taps}; of multiscale_blocks it must be even")
    return taps


class MultiscaleBlocks(TiedFilters):
    """Tied channels of filters that are constant on blocks, 2^j sites a side at a distance of T/2 2^j or more.

    The cube of T sites a side with a corner at the origin has a number for each site, the cube of 2 T sites with the
    same corner one for each block of 2 sites a side outside the first, and so on, until blocks cover the lattice, once.
    A number is the filter times the square root of the sites of its block.

    Args:
        lattice: where the fields live.
        channels: number of tied channels.
        taps: T, even.

    Raises:
        InputError: if T is odd.
    """

    channels: Annotated[int, Ge(1), Option("tied channels", "C", label="c{value}")] = 4
    taps: Annotated[
        int,
        Ge(2),
        Option("taps of a filter along an axis, at each scale", "T", label="T{value}", check=even),
    ] = 8

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """The number of each site's block, shape (N,)."""
        lattice, half = self.lattice, self.taps // 2
        sites = np.stack(np.unravel_index(np.arange(lattice.sites), lattice.shape), axis=1)
        farthest = sites.max(axis=1)
        # 2^j is the largest power of two that leaves the farthest coordinate in block T/2 or beyond, or 1.
        scale = np.floor(np.log2(np.maximum(farthest // half, 1))).astype(np.intp)
        corners = (sites >> scale[:, None]) << scale[:, None]
        return np.unique(lattice.index(corners), return_inverse=True)[1].ravel()

    @cached_property
    def _order(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
        """(sites sorted by block, where each block begins among them, 1 / sqrt(sites of each block))."""
        sizes = np.bincount(self.blocks)
        return np.argsort(self.blocks, kind="stable"), np.cumsum(sizes) - sizes, 1.0 / np.sqrt(sizes)

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """(channels, blocks)."""
        return (self.channels, len(self._order[1]))

    def placed(self, filters: Any) -> Any:
        """The numbers of the blocks over the square root of their sites, at each site."""
        weights = self._order[2]
        if isinstance(filters, np.ndarray):
            found = (filters * weights).take(self.blocks, axis=-1)
        else:
            found = (filters * filters.new_tensor(weights))[..., self.blocks]
        return found.reshape(*filters.shape[:-1], *self.lattice.shape)

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """Independent normal numbers of variance 0.1 / (C_max parameters) over the sites of the block.

        So K(0) is 0.1 / C_max in the mean, and other modes have less. With numbers of one variance it would be N / B
        times that, with B blocks in a channel, beyond what descent survives on large lattices.
        """
        return super().start(spectrum, generator) * self._order[2]

    def taken(self, fields: Array) -> Array:
        """Sums over the blocks, over the square root of their sites."""
        order, begins, weights = self._order
        sums = np.add.reduceat(self.lattice.take(fields, order), begins, axis=-1)
        return cast("Array", sums * weights)
