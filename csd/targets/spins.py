"""Unit spins, H = −β Σ_r Σ_μ S(r)·S(r+μ) − s Σ_r S₁(r), periodic: the limit of φ⁴ as u grows."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.targets.base import Spec, lattice_of
from csd.targets.gaussian import LARGEST_COUPLING
from csd.targets.phi4 import PhiFour, check_components, energy_of, site_spec


@dataclass(frozen=True)
class SpinModel:
    """Unit spins, H = −β Σ_r Σ_μ S(r)·S(r+μ) − s Σ_r S₁(r): Ising, XY, Heisenberg, … for n = 1, 2, 3, …

    Args:
        lattice: where the spins live.
        components: n ≥ 1.
        coupling: β > 0.
        source: s, uniform, along the first component.

    Raises:
        InputError: if n is not an integer of at least 1, β is not above 0 and at most 1e100, or the source is too
            large.
    """

    lattice: Lattice
    components: int
    coupling: float
    source: float = 0.0

    unit_length = True
    gaussian = None

    def __post_init__(self) -> None:
        check_components(self.components, self.source)
        if not 0.0 < self.coupling <= LARGEST_COUPLING:
            raise InputError(f"coupling is {self.coupling!r}; it must be above 0 and at most {LARGEST_COUPLING:g}")

    @classmethod
    def limit_of(cls, field: PhiFour) -> "SpinModel":
        """The spins S = φ/√β, β = −n r₀/u, that φ⁴ becomes as u → ∞ at fixed r₀/u."""
        if not (field.u > 0.0 and field.r0 < 0.0):
            raise InputError(f"only r0 < 0 and u > 0 lead to spins as u grows, not r0 = {field.r0!r}, u = {field.u!r}")
        coupling = -field.components * field.r0 / field.u
        return cls(field.lattice, field.components, coupling, field.source * sqrt(coupling))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "SpinModel":
        """Spins with the components, β and source (0 if absent) of a spec."""
        return cls(lattice_of(spec), int(spec["components"]), float(spec["beta"]), float(spec.get("source", 0.0)))

    def spec(self) -> Spec:
        """Components, β, and a source that is not 0."""
        return {**site_spec(self), "target": "spins", "beta": float(self.coupling)}

    @property
    def site_couplings(self) -> tuple[float, ...]:
        """(β, s/β)."""
        return self.coupling, self.source / self.coupling

    def energy(self, fields: Array) -> Array:
        """H, shape (…, n, *lattice.shape) → (…)."""
        return energy_of(self, fields)

    def energy_of_sums(self, sums: Array) -> Array:
        """H = −β Σ S·S′ − s Σ S₁, shape (…, 3 + n) → (…)."""
        return -self.coupling * sums[..., 0] - self.source * sums[..., 3]

    def start(self, generator: np.random.Generator) -> Array:
        """Independent isotropic spins, shape (n, *lattice.shape)."""
        spins = generator.standard_normal((self.components, *self.lattice.shape))
        return spins / np.sqrt((spins**2).sum(axis=0))
