"""The descent of each family of linear networks, for all seeds and noise levels at once."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Modes
from csd.networks.full import DeepLinear, Exact
from csd.networks.linear import LinearNetwork
from csd.networks.local import LocalNetwork
from csd.training.descent.modes import of_exact, of_full_networks
from csd.training.descent.patches import of_local_networks


class Descent(Protocol):
    """Gradient descent of one network for several seeds and noise levels at once; (seeds, levels, …) throughout.

    Attributes:
        weights_are: 'modes', w(k) of layers as wide as the lattice that are all equal; 'filters' in real space, in C
            order of the network's `filter_shape`; or 'parameters' of a module in its own order, and then its buffers.
    """

    weights_are: str

    def advance(self, spectrum: Array, target: Any) -> None:
        """One step on (S, T) of `csd.training.losses`, of shape (seeds, levels, modes) or what broadcasts to it."""

    def error(self) -> Array:
        """Relative score error ε = Σ_k C |K − K*|² / Σ_k C K*², shape (seeds, levels)."""

    def kernel(self) -> Array | ComplexArray:
        """K(k) at the modes, shape (seeds, levels, modes)."""

    def weights(self) -> Array | ComplexArray:
        """The trained numbers, shape (seeds, levels, numbers), NaN beyond those of a level that has fewer."""

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Go on with the chosen seeds only."""

    def snapshot(self) -> dict[str, Any]:
        """Arrays that `resume` goes on from: what the steps change."""

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a descent of the same seeds."""


def descent_of(
    networks: Sequence[LinearNetwork],
    modes: Modes,
    spectra: Array,
    rates: Array,
    starts: Sequence[Sequence[Array]],
    *,
    complex_kernel: bool,
) -> Descent | None:
    """The descent of a family, written out for power spectra; None where only autograd can step it.

    A user-defined family may bring its own, as a class method `descent` of these arguments.

    Args:
        networks: one a noise level, of one family.
        modes: the momenta that the spectra are given at.
        spectra: C of the target, shape (levels, modes).
        rates: η, shape (levels,).
        starts: filters, for each seed and level.
        complex_kernel: whether the loss's target T is complex.
    """
    family = type(networks[0])
    own: Callable[..., Descent] | None = getattr(family, "descent", None)
    if own is not None:
        return own(networks, modes, spectra, rates, starts, complex_kernel=complex_kernel)
    if issubclass(family, Exact):
        return of_exact(modes, spectra, len(starts))
    if issubclass(family, DeepLinear):
        return of_full_networks(networks, modes, spectra, rates, starts, complex_kernel=complex_kernel)  # type: ignore[arg-type]
    if issubclass(family, LocalNetwork):
        return of_local_networks(networks, modes, spectra, rates, starts, complex_kernel=complex_kernel)  # type: ignore[arg-type]
    return None
