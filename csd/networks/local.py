"""Score networks with short-ranged filters: `local_one_layer`, `local_two_layer` (docs/physics.md, section 7).

One layer is a kernel κ on the box |r_μ| ≤ R. Two layers are tied channels of one-sided filters w_c, R + 1 wide,

    s = −Σ_c w_cᵀ ∗ (w_c ∗ x),     K(k) = Σ_c |w_c(k)|²,     κ(r) = Σ_c Σ_s w_c(s) w_c(s + r),

whose composed kernel has range R as well. With the patch covariance P(r, r′) = c(r − r′), c the transform of the
spectrum, the loss is ½ κᵀPκ − κ(0), so everything happens on the patch:

    one layer    κ ← κ − η (P̂κ − b),                   b = δ_{r,0}, or the transform of T
    two layers   w_c(s) ← w_c(s) − η Σ_{s′} g(s′ − s) w_c(s′),   g = P̂κ − b, made even.

The best kernel solves P κ* = δ; its error is the floor ε_R, and ε = ε_R + (κ − κ*)ᵀP(κ − κ*) / ((1/N) Σ_k K*).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.errors import InputError
from csd.lattice import Array, ComplexArray, Lattice, Modes, require_memory
from csd.networks.linear import COMPOSED_RATE, START_KERNEL, LinearNetwork, place_filters, relative_error, transform


class Patch:
    """The box |r_μ| ≤ R and the covariances between its sites.

    Args:
        lattice: where the box lies.
        reach: R, with 0 ≤ R < L / 2.
    """

    def __init__(self, lattice: Lattice, reach: int) -> None:
        self.lattice = lattice
        self.reach = reach
        self.offsets = lattice.box(reach)
        self.centre = len(self.offsets) // 2

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def sites(self) -> NDArray[np.intp]:
        """Flat lattice index of each offset, shape (sites of the box,)."""
        return np.ravel_multi_index(tuple((self.offsets % self.lattice.size).T), self.lattice.shape)

    @cached_property
    def differences(self) -> NDArray[np.intp]:
        """Flat lattice index of r − r′, shape (sites of the box, sites of the box)."""
        require_memory(2.0 * len(self) ** 2, f"a patch of range {self.reach} in dimension {self.lattice.dimension}")
        difference = self.offsets[:, None] - self.offsets[None]
        return np.ravel_multi_index(tuple(np.moveaxis(difference % self.lattice.size, -1, 0)), self.lattice.shape)

    def covariance(self, spectrum: Array) -> Array:
        """P(r, r′) = (1/N) Σ_k S(k) cos(k·(r − r′)) of a spectrum in the *half* layout."""
        return self.lattice.inverse(spectrum).ravel()[self.differences]

    def solve(self, spectrum: Array) -> Array:
        """κ* of P κ* = δ_{r,0}, for a spectrum in the *half* layout; shape (sites of the box,)."""
        unit = np.zeros(len(self))
        unit[self.centre] = 1.0
        return np.asarray(np.linalg.solve(self.covariance(spectrum), unit), dtype=float)

    def best_kernel(self, spectrum: Array) -> Array:
        """The transform of κ*, for a spectrum in the *half* layout; there."""
        return transform(self.lattice, place_filters(self.lattice, self.solve(spectrum), self.offsets)).real

    def floor(self, spectrum: Array) -> float:
        """ε_R, the relative score error of κ*, for a spectrum in the *half* layout."""
        kernel = self.best_kernel(spectrum)
        error = relative_error(kernel.ravel(), spectrum.ravel(), self.lattice.half_multiplicity.ravel())
        return float(error)


class LocalNetwork(LinearNetwork):
    """What the local families share: the patch of the composed kernel.

    Args:
        lattice: where the fields live.
        reach: range R of the composed kernel, lattice spacings.
    """

    def __init__(self, lattice: Lattice, reach: int) -> None:
        super().__init__(lattice)
        self.patch = Patch(lattice, reach)

    def half_spectrum(self, spectrum: Array) -> Array:
        """A spectrum on *shells*, spread to the *half* layout."""
        return self.lattice.spread(spectrum, self.lattice.shells)

    def floor(self, spectrum: Array) -> float:
        """ε_R of the composed range."""
        return self.patch.floor(self.half_spectrum(spectrum))

    def best_kernel(self, spectrum: Array) -> Array:
        """K of the best kernel of the composed range, on *shells*."""
        return self.lattice.gather(self.patch.best_kernel(self.half_spectrum(spectrum)), self.lattice.shells)

    def compose(self, filters: Array) -> Array:
        """κ on the patch, shape (sites of the box,), of filters of shape `filter_shape`."""
        return filters

    def pull_back(self, filters: Array, residual: Array) -> Array:
        """The step's direction in the filters, from P̂κ − b on the patch."""
        return residual

    @classmethod
    def descent(
        cls,
        networks: Sequence[LinearNetwork],
        modes: Modes,
        spectra: Array,
        rates: Array,
        starts: Sequence[Sequence[Array]],
        *,
        complex_kernel: bool,
    ) -> "PatchDescent":
        """Descent on the patch."""
        local = [network for network in networks if isinstance(network, LocalNetwork)]
        return PatchDescent(local, modes, rates, [list(of_seed) for of_seed in starts], spectra)


class LocalOneLayer(LocalNetwork):
    """A kernel of (2R + 1)^d numbers; start 0, learning rate 1 / (largest eigenvalue of the patch covariance)."""

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """((2R + 1)^d,)."""
        return (len(self.patch),)

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """κ = 0; no randomness."""
        return np.zeros(len(self.patch))

    def kernel(self, filters: Any) -> Any:
        """K in the *half* layout."""
        return transform(self.lattice, place_filters(self.lattice, filters, self.patch.offsets))

    def learning_rate(self, spectrum: Array) -> float:
        """1 / λ_max(P)."""
        return 0.5 * self.stable_rate(spectrum)

    def stable_rate(self, spectrum: Array) -> float:
        """2 / λ_max(P)."""
        covariance = self.patch.covariance(self.half_spectrum(spectrum))
        return float(2.0 / np.linalg.eigvalsh(covariance)[-1])


class LocalTwoLayer(LocalNetwork):
    """Tied channels of one-sided filters, K = Σ_c |w_c|²; (R + 1)^d numbers a channel, d + 1 channels by default.

    Start: normal numbers of standard deviation sqrt(0.1 / C_max) / sqrt(parameters); learning rate ¼ per use of a
    filter, which gives K the same logistic law as `two_layer`.

    Args:
        lattice: where the fields live.
        reach: range R of the composed kernel, lattice spacings.
        channels: tied channels, d + 1 if None.
    """

    uses = 2

    def __init__(self, lattice: Lattice, reach: int, channels: int | None = None) -> None:
        super().__init__(lattice, reach)
        if channels is not None and (isinstance(channels, bool) or not isinstance(channels, int) or channels < 1):
            raise InputError(f"channels is {channels!r}; it must be an integer of at least 1")
        self.channels = channels if channels is not None else lattice.dimension + 1
        self.offsets = lattice.box(reach, one_sided=True)

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """(channels, (R + 1)^d)."""
        return (self.channels, len(self.offsets))

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """Independent normal numbers of variance 0.1 / (C_max parameters)."""
        deviation = np.sqrt(START_KERNEL / spectrum.max() / self.parameters)
        return deviation * generator.standard_normal(self.filter_shape)

    def kernel(self, filters: Any) -> Any:
        """K = Σ_c |ŵ_c|² in the *half* layout."""
        transformed = transform(self.lattice, place_filters(self.lattice, filters, self.offsets))
        return (transformed.real**2 + transformed.imag**2).sum(0)

    def learning_rate(self, spectrum: Array) -> float:
        """¼ per use."""
        return COMPOSED_RATE

    def stable_rate(self, spectrum: Array) -> float:
        """1 per use: K relaxes at the rate 2η."""
        return 1.0

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        """Place in the patch of s′ − s, shape (sites of a filter, sites of a filter)."""
        reach = self.patch.reach
        difference = self.offsets[None] - self.offsets[:, None] + reach
        return np.ravel_multi_index(tuple(np.moveaxis(difference, -1, 0)), (2 * reach + 1,) * self.lattice.dimension)

    def compose(self, filters: Array) -> Array:
        """κ(r) = Σ_c Σ_s w_c(s) w_c(s + r)."""
        products = filters.T @ filters
        composed: Array = np.bincount(self._places.ravel(), products.ravel(), len(self.patch)).astype(float, copy=False)
        return composed

    def pull_back(self, filters: Array, residual: Array) -> Array:
        """Σ_{s′} g(s′ − s) w_c(s′), g the even part of the residual."""
        even = 0.5 * (residual + residual[::-1])
        return filters @ even[self._places]


class PatchDescent:
    """Descent of local filters for several seeds and levels, whose ranges may differ.

    Args:
        networks: one a level.
        modes: the momenta that spectra are given at.
        rates: η, shape (levels,).
        filters: for each seed and level.
        spectra: C, shape (levels, modes).
    """

    def __init__(
        self,
        networks: Sequence[LocalNetwork],
        modes: Modes,
        rates: Array,
        filters: list[list[Array]],
        spectra: Array,
    ) -> None:
        self.networks = networks
        self.lattice = networks[0].lattice
        self.modes = modes
        self.rates = rates
        self.filters = filters
        halves = self.lattice.spread(spectra, modes)
        self._covariance = [net.patch.covariance(half) for net, half in zip(networks, halves, strict=True)]
        self._best = [net.patch.solve(half) for net, half in zip(networks, halves, strict=True)]
        self._floor = [net.patch.floor(half) for net, half in zip(networks, halves, strict=True)]
        self._norm = [float((modes.multiplicity / c).sum() / self.lattice.sites) for c in spectra]

    def advance(self, spectrum: Array, target: Any) -> None:
        """One step on (S, T)."""
        for seed, of_seed in enumerate(self.filters):
            for level, network in enumerate(self.networks):
                kernel = network.compose(of_seed[level])
                residual = self._patch_covariance(spectrum, seed, level) @ kernel
                if np.ndim(target) == 0:
                    residual[network.patch.centre] -= target
                else:
                    half = self.lattice.spread(target[seed, level], self.modes)
                    residual -= self.lattice.inverse(half).ravel()[network.patch.sites]
                of_seed[level] = of_seed[level] - self.rates[level] * network.pull_back(of_seed[level], residual)

    def _patch_covariance(self, spectrum: Array, seed: int, level: int) -> Array:
        """P̂ of a step, or P where the spectrum is the target's own and need not be transformed again."""
        if spectrum.ndim == 2:
            return self._covariance[level]
        return self.networks[level].patch.covariance(self.lattice.spread(spectrum[seed, level], self.modes))

    def error(self) -> Array:
        """ε = ε_R + (κ − κ*)ᵀP(κ − κ*) / ((1/N) Σ_k K*)."""
        error = np.empty((len(self.filters), len(self.networks)))
        for seed, of_seed in enumerate(self.filters):
            for level, network in enumerate(self.networks):
                deviation = network.compose(of_seed[level]) - self._best[level]
                excess = deviation @ self._covariance[level] @ deviation
                error[seed, level] = self._floor[level] + excess / self._norm[level]
        return error

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        return np.stack(
            [
                [
                    self.lattice.gather(network.kernel(of_seed[level]), self.modes)
                    for level, network in enumerate(self.networks)
                ]
                for of_seed in self.filters
            ]
        )

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.filters = [of_seed for of_seed, kept in zip(self.filters, seeds, strict=True) if kept]
