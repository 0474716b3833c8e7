"""Descent of local filters on the patch that they cover (docs/physics.md, section 7).

    one layer    κ ← κ − η (P̂κ − b)
    two layers   w_c(s) ← w_c(s) − η Σ_{s′} g(s′ − s) w_c(s′),   g = P̂κ − b, made even

First the reference, on NumPy and PyTorch arrays alike, by transforms of whole lattices: `patch_step` and `patch_error`,
which are what runs on a device. Then what is fast on a CPU: `PatchDescent`, on the patch alone wherever that is less
work. A test holds the two together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Lattice, Modes
from csd.networks.linear import inverse_transform, place_filters, relative_error, sum_of_squares, transform
from csd.networks.local import SITE_PAIR, LocalNetwork, transform_time
from csd.training.record import padded

KNOWN_PAIR = 0.15
"""Nanoseconds a pair of sites of a product with a matrix at hand, measured; only ratios of these times matter."""


def patch_step(lattice: Lattice, filters: Any, spectrum: Any, target: Any, rates: Any, *, tied: bool) -> Any:
    """w − η × the transform of S K − T, or of Re(S K − T) ŵ_c for tied channels; nothing changed in place.

    At the sites of the patch the transform of S K − T is P̂κ − b. Where layers share w_c, that of its real part is g,
    and the product with ŵ_c correlates the two.

    Args:
        lattice: where the fields live.
        filters: w, shape (seeds, levels, *lattice.shape), or (seeds, levels, channels, *lattice.shape) if tied.
        spectrum: S in the *half* layout, shape (levels, *half_shape) or (seeds, levels, *half_shape).
        target: T, likewise, or a number.
        rates: η at the sites of a filter and 0 elsewhere, shape of `filters` without seeds, or what broadcasts to it.
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
        lattice: where the fields live.
        filters: w, as in `patch_step`.
        exact: K* in the *half* layout, shape (levels, *half_shape).
        root_weight: ρ, same shape, times the root of the momenta that an entry stands for.
        tied: whether K = Σ_c |ŵ_c|².
    """
    deviation = root_weight * (patch_kernel(lattice, transform(lattice, filters), tied=tied) - exact)
    return sum_of_squares(deviation.reshape(*deviation.shape[: -lattice.dimension], -1))


def of_local_networks(
    networks: Sequence[LocalNetwork],
    modes: Modes,
    spectra: Array,
    rates: Array,
    starts: Sequence[Sequence[Array]],
    *,
    complex_kernel: bool,
) -> "PatchDescent | GroupedDescent":
    """Descent on the patch; levels of one range go together. See `csd.training.descent.families.descent_of`."""
    reaches = np.array([network.patch.reach for network in networks])
    groups = [np.flatnonzero(reaches == reach) for reach in np.unique(reaches)]
    descents = [
        PatchDescent(
            networks[int(levels[0])],
            modes,
            spectra[levels],
            rates[levels],
            np.array([[of_seed[level] for level in levels.tolist()] for of_seed in starts]),
            complex_kernel=complex_kernel,
        )
        for levels in groups
    ]
    return descents[0] if len(descents) == 1 else GroupedDescent(descents, groups)


class PatchDescent:
    """Descent of local filters of one range for several seeds and levels.

    Args:
        network: the family.
        modes: the momenta that spectra are given at.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,).
        filters: shape (seeds, levels, *network.filter_shape).
        complex_kernel: whether a step can make κ(r) and κ(−r) differ, where they did not before.
    """

    weights_are = "filters"

    def __init__(
        self,
        network: LocalNetwork,
        modes: Modes,
        spectra: Array,
        rates: Array,
        filters: Array,
        *,
        complex_kernel: bool,
    ) -> None:
        self.network, self.patch, self.lattice = network, network.patch, network.lattice
        self.modes, self.spectra, self.filters = modes, spectra, filters
        self.rates = rates.reshape(-1, *[1] * len(network.filter_shape))
        halves = self.lattice.spread(spectra, modes)
        # A product with a patch covariance that is at hand, or with one made for it, against two transforms.
        pairs, transforms = len(self.patch) ** 2, transform_time(self.lattice)
        self._covariance = None if KNOWN_PAIR * pairs > 2.0 * transforms else self.patch.covariance(halves)
        self._makes_covariances = SITE_PAIR * pairs < transforms
        self._best = np.stack([self.patch.solve(half) for half in halves])
        self._floor = np.array([self.patch.floor(half) for half in halves])
        self._norm = (modes.multiplicity / spectra).sum(axis=-1) / self.lattice.sites
        self._seen: tuple[Any, Any] = (None, None)
        uneven = complex_kernel or bool((filters != filters[..., ::-1]).any())
        self._complex = network.uses == 1 and uneven
        self._compose()

    def _compose(self) -> None:
        """κ of the filters, for the next error and the next step."""
        self._kernel = self.network.compose(self.filters)
        self._transformed: Any = None

    def advance(self, spectrum: Array, target: Any) -> None:
        """One step on (S, T)."""
        covariance = self._patch_covariance(spectrum) if np.ndim(target) == 0 else None
        if covariance is None:
            # Both parts go through one transform.
            residual = self._on_patch(spectrum * self.kernel() - target)
        else:
            residual = (covariance @ self._kernel[..., None])[..., 0]
            residual[..., self.patch.centre] -= target
        self.filters = self.filters - self.rates * self.network.pull_back(self.filters, residual)
        self._compose()

    def _on_patch(self, values: Any) -> Array:
        """(1/N) Σ_k f(k) e^{ik·r} on the patch, of f at the modes."""
        return self.patch.take(self.lattice.inverse(self.lattice.spread(values, self.modes)))

    def _patch_covariance(self, spectrum: Array) -> Array | None:
        """P of the target's own spectrum, shape (levels, modes), or P̂ of a step's; None where transforms are faster."""
        if spectrum.ndim == 2:
            return self._covariance
        if not self._makes_covariances:
            return None
        # A data set gives the same array at every step.
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

    def weights(self) -> Array:
        """The filters."""
        return self.filters.reshape(*self.filters.shape[:2], -1).copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.filters = self.filters[seeds]
        self._compose()

    def snapshot(self) -> dict[str, Any]:
        """The filters."""
        return {"filters": self.filters}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from these filters."""
        self.filters = snapshot["filters"]
        self._compose()


class GroupedDescent:
    """Several descents as one, each of some of the levels.

    Args:
        descents: one a group.
        groups: the levels of each group.
    """

    weights_are = "filters"

    def __init__(self, descents: Sequence[PatchDescent], groups: Sequence[NDArray[np.intp]]) -> None:
        self.descents, self.groups = descents, groups
        self._back = np.argsort(np.concatenate(groups))
        self._seen: tuple[Any, list[Array]] = (None, [])

    def advance(self, spectrum: Array, target: Any) -> None:
        """One step on (S, T)."""
        # What is the same array at every step is sliced once, so that descents know it again.
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
        found = [descent.weights() for descent in self.descents]
        return padded([[own for group in of_seed for own in group] for of_seed in zip(*found, strict=True)])[
            :, self._back
        ]

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        for descent in self.descents:
            descent.keep(seeds)

    def snapshot(self) -> dict[str, Any]:
        """The filters of every group."""
        return {f"filters{i}": descent.filters for i, descent in enumerate(self.descents)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from these filters."""
        for i, descent in enumerate(self.descents):
            descent.resume({"filters": snapshot[f"filters{i}"]})
