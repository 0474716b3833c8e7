"""Unit spins, H = −β Σ_r Σ_μ S(r)·S(r+μ) − s Σ_r S₁(r), periodic: the limit of φ⁴ as u grows."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.targets.gaussian import LARGEST_COUPLING
from csd.targets.phi4 import PhiFour, check_components, sums_of


@dataclass(frozen=True)
class SpinModel:
    """Unit spins, H = −β Σ_r Σ_μ S(r)·S(r+μ) − s Σ_r S₁(r): Ising, XY, Heisenberg, … for n = 1, 2, 3, …

    Args:
        lattice: where the spins live.
        components: n ≥ 1.
        coupling: β > 0.
        source: s, uniform, along the first component.

    Raises:
        InputError: if n < 1 or no integer, β is not above 0 and at most 1e100, or the source too large.
    """

    lattice: Lattice
    components: int
    coupling: float
    source: float = 0.0

    def __post_init__(self) -> None:
        check_components(self.components, self.source)
        if not 0.0 < self.coupling <= LARGEST_COUPLING:
            raise InputError(f"coupling is {self.coupling!r}; it must be above 0 and at most {LARGEST_COUPLING:g}")

    @classmethod
    def limit_of(cls, model: PhiFour) -> "SpinModel":
        """The spins S = φ/√β, β = −n r₀/u, that φ⁴ becomes as u → ∞ at fixed r₀/u."""
        if not (model.u > 0.0 and model.r0 < 0.0):
            raise InputError(f"only r0 < 0 and u > 0 lead to spins as u grows, not r0 = {model.r0!r}, u = {model.u!r}")
        coupling = -model.components * model.r0 / model.u
        return cls(model.lattice, model.components, coupling, model.source * sqrt(coupling))

    def energy(self, fields: Array) -> Array:
        """H, shape (…, n, *lattice.shape) → (…)."""
        return self.energy_of_sums(sums_of(self.lattice, self.components, fields))

    def energy_of_sums(self, sums: Array) -> Array:
        """H = −β Σ S·S′ − s Σ S₁, shape (…, 3 + n) → (…)."""
        return -self.coupling * sums[..., 0] - self.source * sums[..., 3]

    def start(self, generator: np.random.Generator) -> Array:
        """Independent isotropic spins, shape (n, *lattice.shape)."""
        spins = generator.standard_normal((self.components, *self.lattice.shape))
        return spins / np.sqrt((spins**2).sum(axis=0))
