"""Linear score networks: s(x) = −K∗x, with a kernel K composed of trainable filters.

A `LinearNetwork` defines its filters and the kernel that they compose, and does not depend on PyTorch. There are two
ways to train it: `csd.networks.module.ConvolutionalScore` is a `torch.nn.Module` that is called on fields and trained
by autograd, and a descent in `csd.training.descent` is the same gradient descent on power spectra, which costs O(N) a
step.
"""

import sys
from abc import ABC, abstractmethod
from math import nan, prod
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from csd.core.plugins import built
from csd.lattice import Array, Lattice

START_KERNEL = 0.1
"""c₀ of the start K₀ = c₀ / C_max of networks with two layers or more (docs/physics.md, section 5)."""

COMPOSED_RATE = 0.25
"""Learning rate η of two-layer networks; descent is stable below 1 for any spectrum."""


class LinearNetwork(ABC):
    """A score network s = −K∗x at one noise level.

    Args:
        lattice: where the fields live.
    """

    uses: int = 1
    """Number of layers that share a filter; learning rates are per use, so the steps of autograd are divided by it."""

    isotropic: bool = True
    """Whether the kernel keeps the lattice's symmetry on the population loss, so that *shells* of momenta suffice."""

    reach: float = nan
    """Range R of the kernel, lattice spacings; NaN for a kernel as wide as the lattice."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice

    @classmethod
    def at_level(cls, lattice: Lattice, score_length: float, **options: Any) -> Self:
        """The network at a noise level of score length ξ_t (lattice spacings), with the options of the class."""
        made: Self = built("architecture", cls, "Class(lattice, **options)", lattice, **options)
        return made

    @classmethod  # noqa: B027
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse options that do not fit the lattice, without building the network."""

    @property
    @abstractmethod
    def filter_shape(self) -> tuple[int, ...]:
        """Shape of the trainable filters in real space."""

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return prod(self.filter_shape)

    @abstractmethod
    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """Initial filters, shape `filter_shape`, for a spectrum C on *shells*, or on *pairs* if it is not isotropic."""

    @abstractmethod
    def kernel(self, filters: Any) -> Any:
        """K(k) in the *half* layout, from filters that are a NumPy array or a PyTorch tensor."""

    @abstractmethod
    def learning_rate(self, spectrum: Array) -> float:
        """Default η for a spectrum C at the same modes."""

    @abstractmethod
    def stable_rate(self, spectrum: Array) -> float:
        """Largest η at which descent of the population loss is stable, for a spectrum C at the same modes."""

    def floor(self, spectrum: Array) -> float:
        """Smallest relative score error of any filters; 0 if the network can be exact."""
        return 0.0

    def best_kernel(self, spectrum: Array) -> Array:
        """The kernel K of smallest score error, at the modes of the spectrum C; 1 / C if it can be exact."""
        return 1.0 / spectrum


def namespace(array: Any) -> ModuleType:
    """The module, numpy or torch, of an array."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def place_filters(lattice: Lattice, filters: Any, offsets: NDArray[np.intp]) -> Any:
    """Filters on the whole lattice, from filters on a box of offsets.

    Args:
        lattice: the lattice.
        filters: NumPy array or PyTorch tensor, shape (…, sites of the box).
        offsets: r of each site of the box, shape (sites of the box, d).

    Returns:
        Same kind of array, shape (…, *lattice.shape), zero outside the box.
    """
    xp = namespace(filters)
    flat = lattice.index(offsets)
    if xp is np:
        placed = np.zeros((*filters.shape[:-1], lattice.sites))
        placed[..., flat] = filters
    else:
        placed = filters.new_zeros((*filters.shape[:-1], lattice.sites))
        placed = placed.index_copy(-1, xp.as_tensor(flat, device=filters.device), filters)
    return placed.reshape(*filters.shape[:-1], *lattice.shape)


def transform(lattice: Lattice, fields: Any) -> Any:
    """The transform, in the *half* layout, of real NumPy or PyTorch arrays, shape (…, *lattice.shape)."""
    return namespace(fields).fft.rfftn(fields, None, lattice.axes)


def inverse_transform(lattice: Lattice, transformed: Any) -> Any:
    """Real NumPy or PyTorch arrays, shape (…, *lattice.shape), of a transform in the *half* layout."""
    return namespace(transformed).fft.irfftn(transformed, lattice.shape, lattice.axes)


def sum_of_squares(values: Any) -> Any:
    """Σ |v|² over the last axis of a NumPy or PyTorch array."""
    return namespace(values).linalg.vecdot(values, values).real


def relative_error(kernel: Any, spectrum: Array, weight: Array) -> Array:
    """ε = Σ_k C |K − K*|² / Σ_k C K*², K* = 1/C (docs/physics.md, section 4).

    Args:
        kernel: K(k), shape (…, modes).
        spectrum: C(k), shape broadcast with the kernel's.
        weight: multiplicity of the modes, shape (modes,).

    Returns:
        Shape (…).
    """
    deviation = kernel - 1.0 / spectrum
    squared = deviation.real**2 + deviation.imag**2 if np.iscomplexobj(deviation) else deviation**2
    return (squared * (weight * spectrum)).sum(axis=-1) / (weight / spectrum).sum(axis=-1)
