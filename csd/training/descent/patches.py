"""Descent of filters with few numbers: local ones on their patch (docs/physics.md, section 7), and tied ones.

    one layer    κ ← κ − η (P̂κ − b)
    two layers   w_c(s) ← w_c(s) − η Σ_{s′} g(s′ − s) w_c(s′),   g = P̂κ − b, made even

`patch_step` and `patch_error` are the reference, by transforms of whole lattices, for NumPy and PyTorch arrays alike;
they run on devices. `PatchDescent` is the fast form for a CPU, on the patch alone wherever that is less work. A test
compares both. `TiedDescent` does the same as the second line for filters that reach across the lattice, by transforms:
v_c ← v_c − η × the numbers of the inverse transform of Re(S K − T) ŵ_c.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Lattice, Modes
from csd.networks.linear import inverse_transform, place_filters, relative_error, sum_of_squares, transform
from csd.networks.local import SITE_PAIR, LocalNetwork, transform_time
from csd.networks.multiscale import TiedFilters
from csd.training.record import padded

KNOWN_PAIR = 0.15
"""Nanoseconds per pair of sites of a product with a given matrix, measured; only ratios of such times matter."""
BLOCK = 2**16
"""Sites of tied filters that are transformed at a time: few enough for the cache, enough to hide the calls."""
KEPT = 2**22
"""Most complex numbers of transforms of tied filters that are kept from an error to the next step."""


def patch_step(lattice: Lattice, filters: Any, spectrum: Any, target: Any, rates: Any, *, tied: bool) -> Any:
    """w − η × the inverse transform of S K − T, or of Re(S K − T) ŵ_c for tied channels, as new arrays.

    At the sites of the patch the inverse transform of S K − T is P̂κ − b. For layers that share w_c, that of its real
    part is g, and the product with ŵ_c is the correlation of g and w_c.

    Args:
        lattice: of the fields.
        filters: w, shape (seeds, levels, *lattice.shape), or (seeds, levels, channels, *lattice.shape) if tied.
        spectrum: S in the *half* layout, shape (levels, *half_shape) or (seeds, levels, *half_shape).
        target: T, of the same shape, or a number.
        rates: η at the sites of a filter and 0 elsewhere, shape of `filters` without seeds, or broadcasting to it.
        tied: whether K = Σ_c |ŵ_c|², else K = ŵ.
    """
    wide = transform(lattice, filters)
    slope = spectrum * patch_kernel(lattice, wide, tied=tied) - target
    if tied:
        slope = slope.real[(..., None, *[slice(None)] * lattice.dimension)] * wide
    return filters - rates * inverse_transform(lattice, slope)


def patch_kernel(lattice: Lattice, wide: Any, *, tied: bool) -> Any:
    """K = ŵ or Σ_c |ŵ_c|² in the *half* layout, from ŵ."""
    return (wide.real**2 + wide.imag**2).sum(-1 - lattice.dimension) if tied else wide


def patch_error(lattice: Lattice, filters: Any, exact: Any, root_weight: Any, *, tied: bool) -> Any:
    """ε = Σ_k ρ² |K − K*|², ρ² = C / Σ_k C K*², shape (seeds, levels).

    Args:
        lattice: of the fields.
        filters: w, as in `patch_step`.
        exact: K* in the *half* layout, shape (levels, *half_shape).
        root_weight: ρ, same shape, times the square root of the number of momenta of an entry.
        tied: whether K = Σ_c |ŵ_c|².
    """
    deviation = root_weight * (patch_kernel(lattice, transform(lattice, filters), tied=tied) - exact)
    return sum_of_squares(deviation.reshape(*deviation.shape[: -lattice.dimension], -1))


class FilterDescent(ABC):
    """What descents of filters in real space share: the filters of several seeds and levels, as an array.

    Attributes:
        filters: shape (seeds, levels, *network.filter_shape).
        rates: η, shape (1, levels, …) or (seeds, levels, …).
    """

    weights_are = "filters"
    filters: Array
    rates: Array

    @abstractmethod
    def _changed(self) -> None:
        """Forget what was computed of earlier filters."""

    def weights(self) -> Array:
        """The filters of all levels."""
        return self.filters.reshape(*self.filters.shape[:2], -1).copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.filters = self.filters[seeds]
        self.rates = self.rates[seeds] if len(self.rates) > 1 else self.rates
        self._changed()

    def snapshot(self) -> dict[str, Any]:
        """The filters of all levels."""
        return {"filters": self.filters}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        self.filters = snapshot["filters"]
        self._changed()


class PatchDescent(FilterDescent):
    """Descent of local filters of one range for several seeds and levels.

    Args:
        network: of that range.
        modes: momenta of the spectra.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,) or (seeds, levels).
        filters: shape (seeds, levels, *network.filter_shape).
        complex_kernel: whether steps can make κ(r) and κ(−r) differ where they agree at the start.
    """

    def __init__(
        self, network: LocalNetwork, modes: Modes, spectra: Array, rates: Array, filters: Array, complex_kernel: bool
    ) -> None:
        self.network, self.patch, self.lattice = network, network.patch, network.lattice
        self.modes, self.spectra, self.filters = modes, spectra, filters
        # Of all seeds, or of each.
        self.rates = rates.reshape(-1, len(spectra), *[1] * len(network.filter_shape))
        halves = self.lattice.spread(spectra, modes)
        # The cost of a product with a given patch covariance, or with a new one, against that of two transforms.
        pairs, transforms = len(self.patch) ** 2, transform_time(self.lattice)
        self._covariance = None if KNOWN_PAIR * pairs > 2.0 * transforms else self.patch.covariance(halves)
        self._makes_covariances = SITE_PAIR * pairs < transforms
        self._best = np.stack([self.patch.solve(half) for half in halves])
        self._floor = np.array([self.patch.floor(half) for half in halves])
        self._norm = (modes.multiplicity / spectra).sum(axis=-1) / self.lattice.sites
        self._seen: tuple[Any, Any] = (None, None)
        uneven = complex_kernel or bool((filters != filters[..., ::-1]).any())
        self._complex = network.uses == 1 and uneven
        self._changed()

    def _changed(self) -> None:
        """Compute κ of the filters, for the next error and the next step."""
        self._kernel = self.network.compose(self.filters)
        self._transformed: Any = None

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T)."""
        covariance = self._patch_covariance(spectrum) if np.ndim(target) == 0 else None
        if covariance is None:
            # One transform for both parts.
            residual = self._on_patch(spectrum * self.kernel() - target)
        else:
            residual = (covariance @ self._kernel[..., None])[..., 0]
            residual[..., self.patch.centre] -= target
        self.filters = self.filters - self.rates * self.network.pull_back(self.filters, residual)
        self._changed()

    def _on_patch(self, values: Any) -> Array:
        """(1/N) Σ_k f(k) e^{ik·r} on the patch, of f at the modes."""
        return self.patch.take(self.lattice.inverse(self.lattice.spread(values, self.modes)))

    def _patch_covariance(self, spectrum: Array) -> Array | None:
        """P of the target's spectrum, shape (levels, modes), or P̂ of a step's; None where transforms are faster."""
        if spectrum.ndim == 2:
            return self._covariance
        if not self._makes_covariances:
            return None
        # A data set returns the same array at every step.
        if spectrum is not self._seen[0]:
            self._seen = spectrum, self.patch.covariance(self.lattice.spread(spectrum, self.modes))
        return np.asarray(self._seen[1])

    def error(self) -> Array:
        """ε = ε_R + (κ − κ*)ᵀP(κ − κ*) / ((1/N) Σ_k K*)."""
        if self._covariance is None:
            return relative_error(self.kernel(), self.spectra, self.modes.multiplicity)
        deviation = self._kernel - self._best
        excess = (deviation * (self._covariance @ deviation[..., None])[..., 0]).sum(axis=-1)
        return np.asarray(self._floor + excess / self._norm)

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        if self._transformed is None:
            placed = place_filters(self.lattice, self._kernel, self.patch.offsets)
            kernel = self.lattice.gather(transform(self.lattice, placed), self.modes)
            self._transformed = kernel if self._complex else kernel.real
        return np.asarray(self._transformed)


class GroupedDescent:
    """Several descents, each of a group of levels, as one descent of all levels.

    Args:
        descents: one for each group.
        groups: the levels of each group.
    """

    weights_are = "filters"

    def __init__(self, descents: Sequence[PatchDescent], groups: Sequence[NDArray[np.intp]]) -> None:
        self.descents, self.groups = descents, groups
        self._back = np.argsort(np.concatenate(groups))
        self._seen: tuple[Any, list[Array]] = (None, [])

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T)."""
        # An array that comes at every step is sliced once, so that the descents recognise it.
        if spectrum is not self._seen[0]:
            self._seen = spectrum, [spectrum[..., levels, :] for levels in self.groups]
        for descent, levels, own in zip(self.descents, self.groups, self._seen[1], strict=True):
            descent.advance(own, target if np.ndim(target) == 0 else target[..., levels, :])

    def error(self) -> Array:
        """ε of each seed and level."""
        return np.concatenate([descent.error() for descent in self.descents], axis=1)[:, self._back]

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        return np.concatenate([descent.kernel() for descent in self.descents], axis=1)[:, self._back]

    def weights(self) -> Array:
        """The filters of every group."""
        of_seeds = zip(*(descent.weights() for descent in self.descents), strict=True)
        return padded([[own for group in of_seed for own in group] for of_seed in of_seeds])[:, self._back]

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        for descent in self.descents:
            descent.keep(seeds)

    def snapshot(self) -> dict[str, Any]:
        """The filters of every group."""
        return {f"filters{i}": descent.filters for i, descent in enumerate(self.descents)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        for i, descent in enumerate(self.descents):
            descent.resume({"filters": snapshot[f"filters{i}"]})


def levels_together(network: TiedFilters) -> int:
    """The number of levels that go together in a step of tied filters."""
    return max(1, BLOCK // (network.channels * network.lattice.sites))


class TiedDescent(FilterDescent):
    """Descent of tied filters of one network for several seeds and levels.

    The limit is two transforms of each channel, three where ŵ is not kept. Those of large lattices go channel by
    channel, as memory is slow beyond the cache.

    Args:
        network: of all levels.
        modes: momenta of the spectra.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,) or (seeds, levels).
        filters: v, shape (seeds, levels, *network.filter_shape).
    """

    def __init__(self, network: TiedFilters, modes: Modes, spectra: Array, rates: Array, filters: Array) -> None:
        self.network, self.lattice, self.modes = network, network.lattice, modes
        # Rates of all seeds, or of each.
        self.spectra, self.rates, self.filters = spectra, rates.reshape(-1, len(spectra), 1, 1), filters
        channels, sites, half = network.channels, self.lattice.sites, self.lattice.half_shape
        # Levels of a seed that go together, and channels of these levels; results do not depend on either.
        many, few = levels_together(network), max(1, BLOCK // sites)
        self._levels = [slice(low, low + many) for low in range(0, len(spectra), many)]
        self._channels = [slice(low, low + few) for low in range(0, channels, few)]
        self._keeps = prod((*filters.shape[:2], channels, *half)) <= KEPT
        # ŵ, written over at each step, as new memory is slow.
        self._wide = np.empty((*(filters.shape[:2] if self._keeps else (1, many)), channels, *half), dtype=complex)
        self._changed()

    def _changed(self) -> None:
        """Forget the kernel."""
        self._kernel: Array | None = None

    def _parts(self) -> list[tuple[int, slice]]:
        """Seeds and levels that go together."""
        return [(seed, levels) for seed in range(len(self.filters)) for levels in self._levels]

    def _transformed(self, part: tuple[int, slice]) -> tuple[ComplexArray, Array]:
        """(ŵ, K) of a part."""
        filters = self.filters[part]
        wide = self._wide[part] if self._keeps else self._wide[0, : len(filters)]
        if self._keeps and self._kernel is not None:
            return wide, self._kernel[part]
        kernel = np.zeros((len(filters), *self.lattice.half_shape))
        for some in self._channels:
            own = wide[:, some] = self.lattice.transform(self.network.placed(filters[:, some]))
            kernel += (own.real**2 + own.imag**2).sum(axis=1)
        return wide, self.lattice.gather(kernel, self.modes)

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T)."""
        shape = (len(self.filters), *self.spectra.shape)
        spectrum, target = np.broadcast_to(spectrum, shape), np.broadcast_to(np.real(target), shape)
        moved = np.empty_like(self.filters)
        for part in self._parts():
            wide, kernel = self._transformed(part)
            slope = self.lattice.spread(spectrum[part] * kernel - target[part], self.modes)[:, None]
            rates = self.rates[part[0] if len(self.rates) > 1 else 0, part[1]]
            for some in self._channels:
                gradient = self.network.taken(self.lattice.inverse(slope * wide[:, some]))
                moved[part][:, some] = self.filters[part][:, some] - rates * gradient
        self.filters = moved
        self._changed()

    def error(self) -> Array:
        """ε of each seed and level."""
        return relative_error(self.kernel(), self.spectra, self.modes.multiplicity)

    def kernel(self) -> Array:
        """K at the modes."""
        if self._kernel is None:
            kernel = np.empty((len(self.filters), *self.spectra.shape))
            for part in self._parts():
                kernel[part] = self._transformed(part)[1]
            self._kernel = kernel
        return self._kernel
