"""Targets with interactions: periodic lattice φ⁴ with n components, and its limit of unit spins.

    H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r₀ φ² + u/(4n) (φ²)²] − s Σ_r φ₁(r),        φ(r) ∈ Rⁿ, weight e^{−H}
    H = −β Σ_r Σ_μ S(r)·S(r+μ) − s Σ_r S₁(r),                                       |S(r)| = 1

(docs/physics.md, section 2; docs/montecarlo.md). As u → ∞ at r₀ = −βu/n, φ → √β S. As n → ∞ the components become
independent Gaussian fields (`csd.targets.gaussian`): those of the gap equation for φ⁴ with (r₀, u), and those with
I(m²) = β/n for √β S, the spherical model. Fields of `chains` Markov chains have the shape (chains, n, *lattice.shape).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

from csd.core.errors import InputError, check_integer, check_positive
from csd.lattice import Array, Lattice
from csd.targets.base import HasEnergy, Spec, lattice_of
from csd.targets.gaussian import LARGEST_COUPLING, GaussianField, check_couplings, solve_gap_equation


def check_components(components: int, source: float) -> None:
    """Refuse a number of components below 1, or a source that is not finite or too large."""
    check_integer("components", components, 1)
    if not abs(source) <= LARGEST_COUPLING:
        raise InputError(f"source is {source!r}; it must be a finite number of at most 1e100")


def site_spec(target: HasEnergy) -> Spec:
    """The part of the spec that all targets with an energy share."""
    lattice, source = target.lattice, {"source": float(target.source)} if target.source != 0.0 else {}
    return {"dimension": lattice.dimension, "size": lattice.size, "components": int(target.components), **source}


def energy_of(target: HasEnergy, fields: Array) -> Array:
    """H of fields, shape (…, n, *lattice.shape) → (…)."""
    from csd.lattice.sites import neighbours, site_sums

    lattice, shape = target.lattice, (target.components, *target.lattice.shape)
    if fields.shape[-len(shape) :] != shape:
        raise InputError(f"fields have the shape {fields.shape}; it must end in {shape}")
    flat = np.ascontiguousarray(fields, dtype=np.float64).reshape(-1, target.components, lattice.sites)
    sums = np.empty((len(flat), 3 + target.components))
    for field, row in zip(flat, sums, strict=True):
        site_sums(field, neighbours(lattice), row)
    return target.energy_of_sums(sums).reshape(fields.shape[: -len(shape)])


@dataclass(frozen=True)
class PhiFour:
    """Lattice φ⁴, H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r₀ φ² + u/(4n) (φ²)²] − s Σ_r φ₁(r); Gaussian at u = 0.

    Args:
        lattice: where the field lives.
        components: n ≥ 1.
        r0: bare mass squared, of any sign if u > 0.
        u: quartic coupling, u ≥ 0.
        source: s, uniform, along the first component.

    Raises:
        InputError: if n is not an integer of at least 1, a coupling is not finite, or e^{−H} has no integral (u < 0, or
            u = 0 with r₀ ≤ 0).
    """

    lattice: Lattice
    components: int
    r0: float
    u: float
    source: float = 0.0

    unit_length = False
    coupling = 1.0
    """The gradient term contains −Σ φ(r)·φ(r+μ)."""

    def __post_init__(self) -> None:
        check_components(self.components, self.source)
        check_couplings(self.r0, self.u)

    @classmethod
    def of_gaussian(cls, field: GaussianField, components: int) -> "PhiFour":
        """n independent Gaussian fields: r₀ = m², u = 0."""
        return cls(field.lattice, components, field.mass**2, 0.0)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "PhiFour":
        """φ⁴ with the components, couplings and source (0 if absent) of a spec."""
        couplings = float(spec["r0"]), float(spec["u"]), float(spec.get("source", 0.0))
        return cls(lattice_of(spec), int(spec["components"]), *couplings)

    def spec(self) -> Spec:
        """Components, couplings, and a source that is not 0; at u = 0 also the mass, and the name 'gaussian'."""
        gaussian = {"mass": sqrt(self.r0)} if self.u == 0.0 else {}
        name = "gaussian" if gaussian else "phi4"
        return {**site_spec(self), "target": name, "r0": float(self.r0), "u": float(self.u), **gaussian}

    @classmethod
    def from_hopping(cls, lattice: Lattice, components: int, kappa: float, self_coupling: float) -> "PhiFour":
        """The target of S = Σ_r [−2κ Σ_μ ϕ(r)·ϕ(r+μ) + ϕ² + λ (ϕ² − 1)²], φ = √(2κ) ϕ; S − H is constant.

        r₀ = (1 − 2λ)/κ − 2d,   u = nλ/κ².

        Args:
            lattice: where the field lives.
            components: n.
            kappa: κ > 0.
            self_coupling: λ ≥ 0.

        Raises:
            InputError: if κ is not above 0, or λ below 0.
        """
        if not self_coupling >= 0.0:
            raise InputError(f"lambda is {self_coupling!r}; it must be at least 0, or the energy has no lower bound")
        r0 = (1.0 - 2.0 * self_coupling) / check_positive("kappa", kappa) - 2.0 * lattice.dimension
        return cls(lattice, components, r0, components * self_coupling / kappa**2)

    @classmethod
    def from_mass(
        cls, lattice: Lattice, components: int, mass_squared: float, self_coupling: float, divisor: float = 4.0
    ) -> "PhiFour":
        """The target of H = Σ_r [½ (∂φ)² + ½ μ² φ² + (λ/divisor) (φ²)²]: r₀ = μ², u = 4nλ/divisor.

        Args:
            lattice: where the field lives.
            components: n.
            mass_squared: μ².
            self_coupling: λ.
            divisor: of λ: 4, or 24 where the literature writes λ/4!.
        """
        return cls(lattice, components, mass_squared, 4.0 * components * self_coupling / divisor)

    @property
    def site_couplings(self) -> tuple[float, ...]:
        """(A, g, s)."""
        return self.quadratic, self.quartic, self.source

    @property
    def gaussian(self) -> GaussianField | None:
        """The field of mass √r₀ at u = 0 without a source; None otherwise."""
        return GaussianField(self.lattice, sqrt(self.r0)) if self.u == 0.0 and self.source == 0.0 else None

    @property
    def quadratic(self) -> float:
        """A = d + r₀/2, the coefficient of φ(r)² after expanding the gradient term."""
        return self.lattice.dimension + 0.5 * self.r0

    @property
    def quartic(self) -> float:
        """g = u/(4n), the coefficient of (φ(r)²)²."""
        return self.u / (4.0 * self.components)

    @cached_property
    def hartree_mass(self) -> float:
        """m > 0 of m² = r₀ + u (1 + 2/n) I(m²), the self-consistent Gaussian field; exact at u = 0 and as n → ∞."""
        return sqrt(solve_gap_equation(self.lattice.shells, self.r0, self.u * (1.0 + 2.0 / self.components)))

    def energy(self, fields: Array) -> Array:
        """H, shape (…, n, *lattice.shape) → (…)."""
        return energy_of(self, fields)

    def energy_of_sums(self, sums: Array) -> Array:
        """H = A Σφ² + g Σ(φ²)² − Σφ·φ′ − s Σφ₁, shape (…, 3 + n) → (…)."""
        return self.quadratic * sums[..., 1] + self.quartic * sums[..., 2] - sums[..., 0] - self.source * sums[..., 3]

    def force(self, fields: Array) -> Array:
        """−∂H/∂φ = Δφ − (r₀ + (u/n) φ²) φ + s e₁, same shape as `fields`."""
        from csd.lattice.sites import neighbours, phi_four_force

        flat = np.ascontiguousarray(fields, dtype=np.float64).reshape(-1, self.components, self.lattice.sites)
        force = np.empty_like(flat)
        for field, out in zip(flat, force, strict=True):
            phi_four_force(field, neighbours(self.lattice), self.quadratic, self.quartic, self.source, out)
        return force.reshape(fields.shape)

    def start(self, generator: np.random.Generator) -> Array:
        """Independent normal numbers of the Hartree variance's order, shape (n, *lattice.shape)."""
        scale = 1.0 / sqrt(2.0 * self.lattice.dimension + self.hartree_mass**2)
        return scale * generator.standard_normal((self.components, *self.lattice.shape))
