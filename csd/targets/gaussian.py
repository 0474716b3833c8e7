"""Gaussian targets: the critical lattice fields whose score is learned.

The O(n) model H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r₀ φ² + u/(4n) (φ²)²] decouples for n → ∞ into Gaussian fields with

    ⟨S(k)⟩ = G(k) = 1 / (k̂² + m²),   m² = r₀ + u I(m²),   I(m²) = (1/N) Σ_k 1 / (k̂² + m²)

(docs/physics.md, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError, check_positive
from csd.core.random import draw_normal
from csd.lattice import Array, Lattice, Modes
from csd.lattice.observables import spectral_observables
from csd.targets.base import HasSpectrum, Spec, lattice_of, spec_by_mass
from csd.targets.noising import Schedule, noised_spectrum

SMALLEST_MASS = 1e-100
LARGEST_COUPLING = 1e100
WATSON = 0.252731009858663
"""I(0) of the infinite lattice in d = 3, ∫ d³k/(2π)³ 1/k̂² (Watson, Q. J. Math. 10, 266 (1939)): criticality is at
r₀ = −u I(0)."""


class SpectralValues:
    """Exact values of a target by its propagator; see `exact_observables`."""

    @property
    def susceptibility(self: HasSpectrum) -> float:
        """χ = G(0), 1 / m² of a Gaussian field."""
        return exact_observables(self)["susceptibility"]

    @property
    def correlation_length(self: HasSpectrum) -> float:
        """Second-moment ξ = sqrt(G(0) / G(k₁) − 1) / (2 sin(π/L)), 1 / m of a Gaussian field; lattice spacings."""
        return exact_observables(self)["correlation_length"]

    @property
    def variance(self: HasSpectrum) -> float:
        """⟨φ²⟩ about the mean, (1/N) Σ_k G(k)."""
        return exact_observables(self)["variance"]

    @property
    def energy(self: HasSpectrum) -> float:
        """Gradient energy per site, ½ (1/N) Σ_k k̂² G(k)."""
        return exact_observables(self)["energy"]


@dataclass(frozen=True)
class GaussianField(SpectralValues):
    """Gaussian field of mass m: G(k) = 1 / (k̂² + m²), the O(n) model at n → ∞.

    Args:
        lattice: where the field lives.
        mass: m > 0, inverse lattice spacings.

    Raises:
        InputError: if the mass is not a finite number above 0.
    """

    lattice: Lattice
    mass: float

    def __post_init__(self) -> None:
        if not SMALLEST_MASS <= check_positive("mass", self.mass) <= 1.0 / SMALLEST_MASS:
            raise InputError(
                f"mass is {self.mass!r}; it must lie between 1e-100 and 1e100, or its square is no float64"
            )

    @classmethod
    def on_critical_line(cls, lattice: Lattice, mass_times_length: float = 1.0) -> "GaussianField":
        """The field of mass m = c / L, whose correlation length L / c follows the size."""
        return cls(lattice, check_positive("mass_times_length", mass_times_length) / lattice.size)

    @classmethod
    def from_couplings(cls, lattice: Lattice, r0: float, u: float) -> "GaussianField":
        """The field whose mass solves the gap equation of the couplings (r₀, u)."""
        return cls(lattice, sqrt(solve_gap_equation(lattice.shells, r0, u)))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The field of a lattice and a mass."""
        return cls(lattice_of(spec), float(spec["mass"]))

    def spec(self) -> Spec:
        """Class, lattice and mass."""
        return spec_by_mass(self)

    def propagator(self, laplacian: Array) -> Array:
        """G = 1 / (k̂² + m²), same shape as `laplacian`."""
        return 1.0 / (laplacian + self.mass**2)

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Exact independent fields, white noise times sqrt(G) in Fourier space; shape (count, *lattice.shape)."""
        white = draw_normal(generator, (count, *self.lattice.shape))
        amplitude = np.sqrt(self.propagator(self.lattice.laplacian))
        return self.lattice.inverse(amplitude * self.lattice.transform(white))

    def score(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """s*(x) = −C⁻¹∗x with C = α² G + σ², of fields of shape (…, *lattice.shape); same shape."""
        spectrum = noised_spectrum(schedule, level, self.propagator(self.lattice.laplacian))
        return self.lattice.inverse(-self.lattice.transform(fields) / spectrum)

    def score_spectrum(self, laplacian: Array, schedule: Schedule, level: float) -> Array:
        """E|ŝ*(k)|² / N = 1/C(k), same shape as `laplacian`."""
        return np.asarray(1.0 / noised_spectrum(schedule, level, self.propagator(laplacian)))


def exact_observables(target: HasSpectrum) -> dict[str, float]:
    """χ, ξ (second moment), ⟨φ²⟩ and the gradient energy per site, by sums of the propagator over all momenta.

    Where the propagator is that of `GaussianField`, and only there, its closed forms take the place of sums.

    Args:
        target: any target with a propagator.

    Returns:
        'susceptibility', 'correlation_length' (lattice spacings), 'variance' and 'energy'.
    """
    lattice, shells = target.lattice, target.lattice.shells
    sums = spectral_observables(lattice, shells, target.propagator(shells.laplacian))
    found = {name: float(value) for name, value in sums.items()}
    if getattr(type(target), "propagator", None) is GaussianField.propagator:
        squared = target.mass**2
        found["susceptibility"], found["correlation_length"] = 1.0 / squared, 1.0 / target.mass
        found["variance"] = tadpole(shells, squared)
    return found


def gaussian_field(
    lattice: Lattice,
    *,
    mass: float | None = None,
    mass_times_length: float | None = None,
    r0: float | None = None,
    u: float | None = None,
) -> GaussianField:
    """The Gaussian field whose mass is given in one of three ways; m = 1 / L on the critical line if none is given.

    Args:
        lattice: where the field lives.
        mass: m, inverse lattice spacings.
        mass_times_length: c of the critical line m = c / L.
        r0: bare mass squared of the O(n) model, with u.
        u: its quartic coupling, with r0.

    Raises:
        InputError: if the mass is given in two ways, by one coupling alone, or is not above 0.
    """
    couplings = r0 is not None or u is not None
    ways = {"mass": mass is not None, "mass_times_length": mass_times_length is not None, "r0 and u": couplings}
    given = [way for way, present in ways.items() if present]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are both given; give the mass in one way")
    if mass is not None:
        return GaussianField(lattice, mass)
    if couplings:
        if r0 is None or u is None:
            raise InputError("r0 and u belong together; give both")
        return GaussianField.from_couplings(lattice, r0, u)
    return GaussianField.on_critical_line(lattice, 1.0 if mass_times_length is None else mass_times_length)


def critical_ratio() -> float:
    """ξ/L at the infinite lattice's critical point in d = 3, for L → ∞ and any u > 0: 1/x with Σ_n e^{−x|n|}/|n| = x.

    The sum is over n ∈ Z³ without 0, the images of a site. The equation is the limit L → ∞ of the gap equation at
    r₀ = −u I(0). With m = x/L, I(m²) is I(0) − m/4π, as on the infinite lattice, plus e^{−mL|n|}/(4πL|n|) for each
    image. As I(m²) − I(0) = m²/u is of order 1/L², the two terms of order 1/L cancel.

    Returns:
        The ratio, without unit.
    """
    from scipy.optimize import brentq

    # Images beyond 24 lattice sides contribute less than 1e-16.
    squares = np.arange(-24, 25) ** 2
    distance = np.sqrt(np.add.outer(np.add.outer(squares, squares), squares)).ravel()
    distance = distance[distance > 0.0]
    return float(1.0 / brentq(lambda x: (np.exp(-x * distance) / distance).sum() - x, 0.5, 5.0, xtol=1e-14))


def tadpole(modes: Modes, mass_squared: float) -> float:
    """I(m²) = (1/N) Σ_k 1 / (k̂² + m²)."""
    total = modes.multiplicity.sum()
    return float((modes.multiplicity / (modes.laplacian + mass_squared)).sum() / total)


def check_couplings(r0: float, u: float) -> None:
    """Refuse couplings (r₀, u) that are not finite, or for which e^{−H} has no integral (u < 0; u = 0, r₀ ≤ 0)."""
    if not (abs(r0) <= LARGEST_COUPLING and abs(u) <= LARGEST_COUPLING):
        raise InputError(f"the couplings are r0 = {r0!r}, u = {u!r}; both must be finite numbers of at most 1e100")
    if u < 0.0:
        raise InputError(f"u is {u!r}; it must be at least 0, or the energy has no lower bound")
    if u == 0.0 and r0 <= 0.0:
        why = "the gap equation has no root, and exp(-H) no integral"
        raise InputError(f"{why}, for r0 = {r0!r}, u = 0; at u = 0, r0 must be above 0")


def solve_gap_equation(modes: Modes, r0: float, u: float) -> float:
    """m² > 0 that solves m² = r₀ + u I(m²).

    I decreases, so the root is unique for u > 0. As 1/(N m²) ≤ I(m²) ≤ 1/m², it lies between the positive roots of
    x² − r₀ x − u/N = 0 and of x² − r₀ x − u = 0.

    Args:
        modes: the lattice's momenta.
        r0: bare mass squared.
        u: quartic coupling, u ≥ 0.

    Raises:
        InputError: for couplings that `check_couplings` refuses, or a root that is not a float64.
    """
    from scipy.optimize import brentq

    check_couplings(r0, u)
    if u == 0.0:
        return r0

    def positive_root(product: float) -> float:
        """The positive root of x² − r₀ x − product = 0, without cancellation for r₀ < 0."""
        root = sqrt(r0**2 + 4.0 * product)
        return 0.5 * (r0 + root) if r0 >= 0.0 else 2.0 * product / (root - r0)

    lower = positive_root(u / modes.multiplicity.sum()) * (1.0 - 1e-9)
    upper = positive_root(u) * (1.0 + 1e-9)
    if not 0.0 < lower < upper < float("inf"):
        raise InputError(f"the gap equation for r0 = {r0!r}, u = {u!r} has no root that float64 can hold")
    return float(brentq(lambda x: x - r0 - u * tadpole(modes, x), lower, upper, xtol=1e-300, rtol=1e-15))
