"""Descent of filters with few numbers: local ones on their patch (docs/physics.md, section 7), and tied ones.

    one layer    κ ← κ − η (P̂κ − b)
    two layers   w_c(s) ← w_c(s) − η Σ_{s′} g(s′ − s) w_c(s′),   g = P̂κ − b, made even

`patch_step` and `patch_error` are the reference, by transforms of whole lattices, for NumPy and PyTorch arrays alike;
they run on devices. `PatchDescent` is the fast form for a CPU, on the patch alone wherever that is less work. A test
compares both. `TiedDescent` does the same as the second line for filters that reach across the lattice, by transforms:
v_c ← v_c − η × the numbers of the inverse transform of Re(S K − T) ŵ_c.
"""

from collections.abc import Sequence
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
"""Most complex numbers of tied filters that are kept between an error and the next step."""


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


class PatchDescent:
    """Descent of local filters of one range for several seeds and levels.

    Args:
        network: of that range.
        modes: momenta of the spectra.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,) or (seeds, levels).
        filters: shape (seeds, levels, *network.filter_shape).
        complex_kernel: whether steps can make κ(r) and κ(−r) differ where they agree at the start.
    """

    weights_are = "filters"

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
        self._compose()

    def _compose(self) -> None:
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
        self._compose()

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

    def weights(self) -> Array:
        """The filters of all levels."""
        return self.filters.reshape(*self.filters.shape[:2], -1).copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.filters = self.filters[seeds]
        self.rates = self.rates[seeds] if len(self.rates) > 1 else self.rates
        self._compose()

    def snapshot(self) -> dict[str, Any]:
        """The filters of all levels."""
        return {"filters": self.filters}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        self.filters = snapshot["filters"]
        self._compose()


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


class TiedDescent:
    """Descent of tied filters of one network for several seeds and levels.

    Args:
        network: of all levels.
        modes: momenta of the spectra.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,) or (seeds, levels).
        filters: v, shape (seeds, levels, *network.filter_shape).
    """

    weights_are = "filters"

    def __init__(self, network: TiedFilters, modes: Modes, spectra: Array, rates: Array, filters: Array) -> None:
        self.network, self.lattice, self.modes = network, network.lattice, modes
        # Rates of all seeds, or of each.
        self.spectra, self.rates, self.filters = spectra, rates.reshape(-1, len(spectra), 1, 1), filters
        self._divide()

    def _divide(self) -> None:
        """Divide seeds and levels into parts that go together, whose results do not depend on each other."""
        many = max(1, BLOCK // (self.network.channels * self.lattice.sites))
        levels = range(0, len(self.spectra), many)
        self._parts = [(seed, slice(low, low + many)) for seed in range(len(self.filters)) for low in levels]
        self._forget()

    def _forget(self) -> None:
        """The filters have changed."""
        self._kernel: Array | None = None
        self._wide: dict[int, ComplexArray] = {}

    def _transformed(self, number: int) -> tuple[ComplexArray, Array]:
        """(ŵ, K) of a part."""
        wide = self._wide.pop(number, None)
        if wide is None:
            wide = self.lattice.transform(self.network.placed(self.filters[self._parts[number]]))
        return wide, self.lattice.gather((wide.real**2 + wide.imag**2).sum(-1 - self.lattice.dimension), self.modes)

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T)."""
        shape = (len(self.filters), *self.spectra.shape)
        spectrum, target = np.broadcast_to(spectrum, shape), np.broadcast_to(np.real(target), shape)
        moved = np.empty_like(self.filters)
        for number, part in enumerate(self._parts):
            wide, kernel = self._transformed(number)
            wide *= self.lattice.spread(spectrum[part] * kernel - target[part], self.modes)[:, None]
            gradient = self.network.taken(self.lattice.inverse(wide))
            moved[part] = self.filters[part] - self.rates[part[0] if len(self.rates) > 1 else 0, part[1]] * gradient
        self.filters = moved
        self._forget()

    def error(self) -> Array:
        """ε of each seed and level."""
        return relative_error(self.kernel(), self.spectra, self.modes.multiplicity)

    def kernel(self) -> Array:
        """K at the modes."""
        if self._kernel is None:
            self._kernel = np.empty((len(self.filters), *self.spectra.shape))
            kept = self._kernel.size * self.network.channels <= KEPT
            for number, part in enumerate(self._parts):
                wide, self._kernel[part] = self._transformed(number)
                if kept:
                    # The next step needs them.
                    self._wide[number] = wide
        return self._kernel

    def weights(self) -> Array:
        """The filters of all levels."""
        return self.filters.reshape(*self.filters.shape[:2], -1).copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.filters = self.filters[seeds]
        self.rates = self.rates[seeds] if len(self.rates) > 1 else self.rates
        self._divide()

    def snapshot(self) -> dict[str, Any]:
        """The filters of all levels."""
        return {"filters": self.filters}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        self.filters = snapshot["filters"]
        self._forget()
