"""Multiscale linear networks: `multiscale`, which learn every noise level with O(log L) numbers in O(log L) steps."""

from functools import cached_property
from itertools import product
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.networks.linear import START_KERNEL, LinearNetwork, place_filters, transform

MULTISCALE_RATE = 0.125
"""Learning rate η per use of a filter."""


class Multiscale(LinearNetwork):
    """Tied channels of dilated filters, K = Σ_c |Σ_j ŵ_cj|²: T taps along an axis, 2^j sites apart, j = 0 … log₂ L − 2.

    A site that several filters of a channel reach has one number, since two would double its rate. The initial numbers
    are normal with variance 0.1 / (C_max parameters); the learning rate is ⅛ per use.

    Args:
        lattice: where the fields live.
        channels: number of tied channels.
        taps: T.
    """

    uses = 2
    isotropic = False
    channels: Annotated[int, Ge(1), Option("tied channels", "C", label="c{value}")] = 6
    taps: Annotated[int, Ge(2), Option("taps of a dilated filter along an axis", "T", label="T{value}")] = 5

    def __init__(self, lattice: Lattice, channels: int, taps: int) -> None:
        super().__init__(lattice)
        self.channels, self.taps = channels, taps

    @cached_property
    def offsets(self) -> NDArray[np.intp]:
        """The distinct sites {0 … T − 1}^d 2^j modulo L, shape (sites of a channel, d)."""
        box = np.array(list(product(range(self.taps), repeat=self.lattice.dimension)))
        scales = range(max(int(np.log2(self.lattice.size)) - 1, 1))
        found: NDArray[np.intp] = np.unique(np.concatenate([box * 2**j for j in scales]) % self.lattice.size, axis=0)
        return found

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """(channels, sites of a channel)."""
        return (self.channels, len(self.offsets))

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """Independent normal numbers of variance 0.1 / (C_max parameters)."""
        return np.sqrt(START_KERNEL / spectrum.max() / self.parameters) * generator.standard_normal(self.filter_shape)

    def kernel(self, filters: Any) -> Any:
        """K = Σ_c |ŵ_c|² in the *half* layout."""
        transformed = transform(self.lattice, place_filters(self.lattice, filters, self.offsets))
        return (transformed.real**2 + transformed.imag**2).sum(-1 - self.lattice.dimension)

    def learning_rate(self, spectrum: Array) -> float:
        """⅛ per use."""
        return MULTISCALE_RATE

    def stable_rate(self, spectrum: Array) -> float:
        """1 per use near K = 1/C, as for `local_two_layer`: the curvature is at most 2 Σ_c |δŵ_c|² there."""
        return 1.0
