"""Score networks with short-ranged filters: `local_one_layer`, `local_two_layer` (docs/physics.md, section 7).

One layer is a kernel κ on the box |r_μ| ≤ R. Two layers are tied channels of one-sided filters w_c, R + 1 wide,

    s = −Σ_c w_cᵀ ∗ (w_c ∗ x),     K(k) = Σ_c |w_c(k)|²,     κ(r) = Σ_c Σ_s w_c(s) w_c(s + r),

whose composed kernel has range R as well. With the patch covariance P(r, r′) = c(r − r′), c the transform of the
spectrum, the loss is ½ κᵀPκ − κ(0), so that the descent needs only the patch:

    one layer    κ ← κ − η (P̂κ − b),                   b = δ_{r,0}, or the transform of T
    two layers   w_c(s) ← w_c(s) − η Σ_{s′} g(s′ − s) w_c(s′),   g = P̂κ − b, made even.

The best kernel solves P κ* = δ; its error is the floor ε_R, and ε = ε_R + (κ − κ*)ᵀP(κ − κ*) / ((1/N) Σ_k K*).
"""

from contextlib import suppress
from functools import cached_property
from math import ceil, inf
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.lattice.memory import require_memory
from csd.networks.linear import COMPOSED_RATE, START_KERNEL, LinearNetwork, place_filters, relative_error, transform

SAME = 1e-9
"""Relative difference of spectra at momenta that are alike by symmetry: by rounding."""
SITE_PAIR = 2.0
"""Nanoseconds to gather a matrix and multiply with it, for each pair of sites."""


STIFFNESS = 1.15
"""Measured: λ ≈ 2 + 1.15 (v k₀)^⅓ for the stiffest of 256 trainings of tied filters, over sizes, levels and ranges."""

_Classes = list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]


def transform_time(lattice: Lattice) -> float:
    """Time of a real transform of one field, about 0.3 N log₂ N nanoseconds."""
    return 0.3 * lattice.sites * float(np.log2(lattice.sites))


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
        return self.lattice.index(self.offsets)

    @cached_property
    def differences(self) -> NDArray[np.intp]:
        """Flat lattice index of r − r′, shape (sites of the box, sites of the box)."""
        require_memory(2.0 * len(self) ** 2, f"a patch of range {self.reach} in dimension {self.lattice.dimension}")
        return self.lattice.index(self.offsets[:, None] - self.offsets[None])

    def covariance(self, spectrum: Array) -> Array:
        """P(r, r′) = (1/N) Σ_k S(k) cos(k·(r − r′)) of spectra of shape (…, *half_shape); (…, sites, sites)."""
        return self.lattice.take(self.lattice.inverse(spectrum), self.differences)

    def take(self, fields: Array) -> Array:
        """The fields at the sites of the box, shape (…, sites of the box)."""
        return self.lattice.take(fields, self.sites)

    def _orbits(self, spectrum: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Classes of sites under the symmetry of a spectrum: rotations and reflections of the box, or r → −r alone.

        Returns:
            Index of one site of each class, shape (classes,); class of each site, shape (sites of the box,); number of
            sites of each class, shape (classes,).
        """
        lattice = self.lattice
        if lattice.dimension == 1:
            return self._classes[1]
        shells = lattice.spread(lattice.gather(spectrum, lattice.shells), lattice.shells)
        return self._classes[int((np.abs(spectrum - shells) <= SAME * spectrum).all())]

    @cached_property
    def _classes(self) -> _Classes:
        """The classes of sites under r → −r alone, and under rotations and reflections."""
        first_positive = self.offsets[np.arange(len(self)), (self.offsets != 0).argmax(axis=1)] > 0
        upper = np.where(first_positive[:, None], self.offsets, -self.offsets)
        found = []
        for alike in (upper, np.sort(np.abs(self.offsets), axis=1)):
            _, first, own, sizes = np.unique(alike, axis=0, return_index=True, return_inverse=True, return_counts=True)
            found.append((first, own.ravel(), sizes))
        return found

    def symmetric_covariance(self, spectrum: Array) -> Array:
        """P between normalised sums over classes of sites that are alike by the symmetry of the spectrum.

        A population descent from 0 stays in the space of these sums. With the symmetry of the lattice it has about
        2^d d! times fewer dimensions, without it half as many.

        Args:
            spectrum: *half* layout.

        Returns:
            Shape (classes, classes), symmetric.
        """
        first, own, sizes = self._orbits(spectrum)
        require_memory(2.0 * len(first) * len(self), f"a patch of range {self.reach}")
        order = np.argsort(own, kind="stable")
        places = self.lattice.index(self.offsets[first][:, None] - self.offsets[order][None])
        sums = np.add.reduceat(self.lattice.inverse(spectrum).ravel()[places], np.cumsum(sizes) - sizes, axis=1)
        root = np.sqrt(sizes)
        return np.asarray(sums * root[:, None] / root)

    def symmetric_solution(self, spectrum: Array) -> Array:
        """κ* of P κ* = δ_{r,0} in normalised sums over classes of sites, shape (classes,)."""
        unit = (self._orbits(spectrum)[0] == self.centre).astype(float)
        return np.asarray(np.linalg.solve(self.symmetric_covariance(spectrum), unit), dtype=float)

    def solve(self, spectrum: Array) -> Array:
        """κ* of P κ* = δ_{r,0}, for a spectrum in the *half* layout; (sites of the box,)."""
        _, own, sizes = self._orbits(spectrum)
        return np.asarray((self.symmetric_solution(spectrum) / np.sqrt(sizes))[own])

    def largest_eigenvalue(self, spectrum: Array) -> float:
        """λ_max(P), for a spectrum in the *half* layout."""
        # The leading eigenvector of a positive matrix is positive, so it has the symmetry of the spectrum (Perron).
        positive = bool((self.lattice.inverse(spectrum) > 0.0).all())
        matrix = self.symmetric_covariance(spectrum) if positive else self.covariance(spectrum)
        return float(np.linalg.eigvalsh(matrix)[-1])

    def best_kernel(self, spectrum: Array) -> Array:
        """The transform of κ*, in the *half* layout, for a spectrum in the same layout."""
        return transform(self.lattice, place_filters(self.lattice, self.solve(spectrum), self.offsets)).real

    def floor(self, spectrum: Array) -> float:
        """ε_R, the relative score error of κ*, for a spectrum in the *half* layout."""
        kernel = self.best_kernel(spectrum)
        error = relative_error(kernel.ravel(), spectrum.ravel(), self.lattice.half_multiplicity.ravel())
        return float(error)


RANGE = "an integer, or a factor of the score length such as 3xi"


def range_factor(text: str) -> float:
    """The factor F of a range 'Fxi', which is F times the score length.

    Raises:
        InputError: if the text has another form, or F is not finite and above 0.
    """
    number = text.removesuffix("xi")
    with suppress(ValueError):
        if text != number and 0.0 < (factor := float(number or 1.0)) < inf:
            return factor
    raise InputError(f"range is {text!r}; it must be {RANGE}")


class LocalNetwork(LinearNetwork):
    """A local network, with the patch of its composed kernel.

    Args:
        lattice: where the fields live.
        reach: range R of the composed kernel, lattice spacings.
    """

    range: Annotated[
        int | str,
        Option(
            "range of the composed kernel, or e.g. 3xi",
            "R",
            label="R{value}",
            absent="",
            always=True,
            check=lambda reach: reach if isinstance(reach, int) else range_factor(reach),
            allowed=RANGE,
        ),
    ]

    def __init__(self, lattice: Lattice, reach: int) -> None:
        super().__init__(lattice)
        self.patch = Patch(lattice, reach)
        self.reach = reach

    @classmethod
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse a fixed range that does not fit the lattice."""
        if isinstance(options["range"], int):
            lattice.check_range(options["range"])

    @classmethod
    def at_level(cls, lattice: Lattice, score_length: float, **options: Any) -> Self:
        """The network at a noise level; the range 'Fxi' becomes ⌈F ξ_t⌉, limited to between 1 and (L − 1) // 2."""
        reach = options.pop("range")
        if isinstance(reach, str):
            reach = max(1, min(ceil(range_factor(reach) * score_length), (lattice.size - 1) // 2))
        return cls(lattice, reach, **options)

    def floor(self, spectrum: Array) -> float:
        """ε_R of the composed range."""
        return self.patch.floor(self.lattice.half(spectrum))

    def best_kernel(self, spectrum: Array) -> Array:
        """The best kernel K of the composed range, at the modes of the spectrum."""
        lattice = self.lattice
        return lattice.gather(self.patch.best_kernel(lattice.half(spectrum)), lattice.modes_of(spectrum))

    @property
    def filter_offsets(self) -> NDArray[np.intp]:
        """Position r of each number of a filter, shape (sites of a filter, d)."""
        return self.patch.offsets

    def compose(self, filters: Array) -> Array:
        """κ on the patch, shape (…, sites of the box), of filters of shape (…, *filter_shape)."""
        return filters

    def pull_back(self, filters: Array, residual: Array) -> Array:
        """The direction of a step in the filters, from P̂κ − b on the patch, shape (…, sites of the box)."""
        return residual


class LocalOneLayer(LocalNetwork):
    """A kernel of (2R + 1)^d numbers, 0 at the start; learning rate 1 / λ_max of the patch covariance."""

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """((2R + 1)^d,)."""
        return (len(self.patch),)

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """κ = 0; the generator is not used."""
        return np.zeros(len(self.patch))

    def kernel(self, filters: Any) -> Any:
        """K in the *half* layout."""
        return transform(self.lattice, place_filters(self.lattice, filters, self.patch.offsets))

    def learning_rate(self, spectrum: Array) -> float:
        """1 / λ_max(P)."""
        return 0.5 * self.stable_rate(spectrum)

    def stable_rate(self, spectrum: Array) -> float:
        """2 / λ_max(P)."""
        return 2.0 / self.patch.largest_eigenvalue(self.lattice.half(spectrum))


class LocalTwoLayer(LocalNetwork):
    """Tied channels of one-sided filters, K = Σ_c |w_c|², with (R + 1)^d numbers each; d + 1 channels by default.

    The initial filters are normal numbers of standard deviation sqrt(0.1 / C_max) / sqrt(parameters). The learning rate
    is ¼ per use of a filter, which gives K the same logistic law as `two_layer`.

    Args:
        lattice: where the fields live.
        reach: range R of the composed kernel, lattice spacings.
        channels: number of tied channels, d + 1 if None.
    """

    uses = 2
    isotropic = False
    channels: Annotated[
        int, Ge(1), Option("tied channels", "C", default="d + 1", label="c{value}", absent=0, always=True)
    ] = None  # type: ignore[assignment]

    def __init__(self, lattice: Lattice, reach: int, channels: int | None = None) -> None:
        super().__init__(lattice, reach)
        self.channels = channels if channels is not None else lattice.dimension + 1
        self.offsets = lattice.box(reach, one_sided=True)

    @property
    def filter_offsets(self) -> NDArray[np.intp]:
        """Positions 0 ≤ r_μ ≤ R, shape (sites of a filter, d)."""
        return self.offsets

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
        return (transformed.real**2 + transformed.imag**2).sum(-1 - self.lattice.dimension)

    def learning_rate(self, spectrum: Array) -> float:
        """¼ per use."""
        return COMPOSED_RATE

    def stable_rate(self, spectrum: Array) -> float:
        """1 per use: K relaxes at the rate 2η."""
        return 1.0

    def safe_rate(self, spectrum: Array) -> float:
        """min(¼, 2/λ) per use, λ = 2 + 1.15 (v k₀)^⅓, v = (1/n) Σ_{s,s′} c(s − s′), k₀ = (1/N) Σ_k 1/C.

        λ follows the stiffest of 256 trainings. The curvature is largest for a constant added to all n numbers of a
        filter; v is n times the variance of the mean of a field over its sites (docs/optimisers.md).
        """
        lattice, half = self.lattice, self.lattice.half(spectrum)
        box = transform(lattice, place_filters(lattice, np.ones(len(self.offsets)), self.offsets))
        variance = lattice.inverse(half * np.abs(box) ** 2).flat[0] / len(self.offsets)
        strength = variance * lattice.inverse(1.0 / half).flat[0]
        return float(min(COMPOSED_RATE, 2.0 / (2.0 + STIFFNESS * strength ** (1.0 / 3.0))))

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        """Index in the patch of s′ − s, shape (sites of a filter, sites of a filter)."""
        reach = self.patch.reach
        difference = self.offsets[None] - self.offsets[:, None] + reach
        return np.ravel_multi_index(tuple(np.moveaxis(difference, -1, 0)), (2 * reach + 1,) * self.lattice.dimension)

    @property
    def _by_transform(self) -> bool:
        """Whether the filters are so wide that transforms correlate them faster than sums over pairs of sites."""
        return SITE_PAIR * len(self.offsets) ** 2 > (self.channels + 1) * transform_time(self.lattice)

    def compose(self, filters: Array) -> Array:
        """κ(r) = Σ_c Σ_s w_c(s) w_c(s + r)."""
        if self._by_transform:
            return self.patch.take(self.lattice.inverse(self.kernel(filters)))
        products = (filters.swapaxes(-1, -2) @ filters).reshape(-1, self._places.size)
        rows = len(self.patch) * np.arange(len(products))[:, None]
        composed = np.bincount((self._places.ravel() + rows).ravel(), products.ravel(), len(self.patch) * len(products))
        return composed.astype(float, copy=False).reshape(*filters.shape[:-2], len(self.patch))

    def pull_back(self, filters: Array, residual: Array) -> Array:
        """Σ_{s′} g(s′ − s) w_c(s′), g the even part of the residual."""
        even = 0.5 * (residual + residual[..., ::-1])
        if not self._by_transform:
            return filters @ even.take(self._places, axis=-1)
        lattice = self.lattice
        weight = transform(lattice, place_filters(lattice, even[..., None, :], self.patch.offsets)).real
        wide = transform(lattice, place_filters(lattice, filters, self.offsets))
        return lattice.take(lattice.inverse(weight * wide), lattice.index(self.offsets))
