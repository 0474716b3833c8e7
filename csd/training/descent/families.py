"""Choose the descent of a family of linear networks, for all seeds and noise levels at once."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from csd.core.plugins import is_user_defined
from csd.lattice import Array, ComplexArray, Modes
from csd.networks.full import DeepLinear, Exact
from csd.networks.linear import LinearNetwork, transform
from csd.networks.local import LocalNetwork
from csd.networks.multiscale import TiedFilters
from csd.training.descent.modes import ModeDescent
from csd.training.descent.patches import GroupedDescent, PatchDescent, TiedDescent


class Descent(Protocol):
    """Gradient descent of one network for several seeds and noise levels at once; all shapes are (seeds, levels, …).

    Attributes:
        weights_are: 'modes' for w(k) of equal layers as wide as the lattice; 'filters' for filters in real space, in C
            order of the network's `filter_shape`; or 'parameters' for those of a module in its order, then its buffers.
    """

    weights_are: str

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T) of `csd.training.losses`, of shape (seeds, levels, modes) or broadcasting to it."""

    def error(self) -> Array:
        """Relative score error ε = Σ_k C |K − K*|² / Σ_k C K*², shape (seeds, levels)."""

    def kernel(self) -> Array | ComplexArray:
        """K(k) at the modes, shape (seeds, levels, modes)."""

    def weights(self) -> Array | ComplexArray:
        """The trained numbers, shape (seeds, levels, numbers), padded with NaN at levels that have fewer."""

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""

    def snapshot(self) -> dict[str, Any]:
        """The state that steps change, as arrays, for `resume`."""

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of a descent with the same seeds."""


def descent_of(
    networks: Sequence[LinearNetwork],
    modes: Modes,
    spectra: Array,
    rates: Array,
    starts: Sequence[Sequence[Array]],
    *,
    complex_kernel: bool,
) -> Descent | None:
    """The explicit descent of a family on power spectra; None for a family that only autograd can train.

    A user-defined family may define its own, as a class method `descent` with these arguments.

    Args:
        networks: one for each noise level, of one family.
        modes: momenta of the spectra.
        spectra: C of the target, shape (levels, modes).
        rates: η, shape (levels,), or (seeds, levels) where seeds have rates of their own.
        starts: initial filters, for each seed and level.
        complex_kernel: whether the T of the loss is complex.
    """
    family = type(networks[0])
    own: Callable[..., Descent] | None = getattr(family, "descent", None)
    if own is not None:
        return own(networks, modes, spectra, rates, starts, complex_kernel=complex_kernel)
    if is_user_defined(family.kernel):
        # The steps below are those of built-in kernels.
        return None
    if issubclass(family, Exact) and not is_user_defined(family.start):
        # One layer that starts at K* and never moves.
        kernels = np.repeat(1.0 / spectra[None], len(starts), axis=0)
        return ModeDescent(1, modes, spectra, np.zeros(len(spectra)), kernels)
    if issubclass(family, DeepLinear) and (not is_user_defined(family.start) or _all_layers_equal(starts)):
        depth, lattice = networks[0].depth, networks[0].lattice  # type: ignore[attr-defined]
        filters = np.array(
            [[lattice.gather(transform(lattice, start[0]), modes) for start in of_seed] for of_seed in starts]
        )
        return ModeDescent(depth, modes, spectra, rates, filters if complex_kernel else filters.real.copy())
    if issubclass(family, LocalNetwork):
        # Levels of one range go together.
        reaches = np.array([network.patch.reach for network in networks])  # type: ignore[attr-defined]
        groups = [np.flatnonzero(reaches == reach) for reach in np.unique(reaches)]
        descents = []
        for levels in groups:
            network: Any = networks[int(levels[0])]
            filters = np.array([[of_seed[level] for level in levels.tolist()] for of_seed in starts])
            descents.append(PatchDescent(network, modes, spectra[levels], rates[..., levels], filters, complex_kernel))
        return descents[0] if len(descents) == 1 else GroupedDescent(descents, groups)
    if issubclass(family, TiedFilters):
        filters = np.array([list(of_seed) for of_seed in starts])
        return TiedDescent(cast("TiedFilters", networks[0]), modes, spectra, rates, filters)
    return None


def _all_layers_equal(starts: Sequence[Sequence[Array]]) -> bool:
    """Whether the layers of each network start with equal filters, and so stay equal."""
    return all((filters == filters[0]).all() for of_seed in starts for filters in of_seed)
