"""A Monte Carlo simulation: the target, how it is sampled, and what is known of it exactly.

Nothing here needs compiled loops, so that a study can be checked without them; `csd.mcmc.ensemble` runs it.
"""

from dataclasses import dataclass
from math import gamma, sqrt
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.mcmc.autocorrelation import FEWEST
from csd.mcmc.samplers import SAMPLERS
from csd.targets.base import HasEnergy, spec_of
from csd.targets.gaussian import gaussian_field
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

SERIES = {
    "energy": ("energy", "energy per site H/N"),
    "magnetisation": ("magnetisation", "modulus of the magnetisation |m|, m = (1/N) sum of phi"),
    "magnetisation_squared": ("m2", "squared magnetisation m^2"),
    "softest_mode": ("first_mode", "power S(k) at the smallest k > 0, mean over axes and components"),
}
"""Time series of a file: their names in `csd.mcmc.chains`, and what they are. Beside them stands m itself."""
COLLECTIVE = ("magnetisation", "magnetisation_squared", "softest_mode")
"""Series of the soft modes, which slow down; the energy is a sum over all modes, and over their number."""
COMPONENT = "magnetisation_component"
"""m = (1/N) Σ φ, each component with its sign."""


@dataclass(frozen=True)
class MonteCarloSettings:
    """How an ensemble is made.

    Args:
        samplers: names of `csd.mcmc.samplers.SAMPLERS`, each once.
        sweeps: of each chain after thermalisation.
        every: sweeps from one measurement to the next.
        thermalisation: sweeps before, in which updates are tuned; None: a tenth of `sweeps`, at least 100.
        chains: of each sampler, all of one length.
        seed: a non-negative integer.
        fields: M, decorrelated fields to keep of the only sampler; 0 for none.
        step: of the only sampler, instead of being tuned.
        trajectory: likewise.

    Raises:
        InputError: for a value outside these.
    """

    samplers: tuple[str, ...]
    sweeps: int = 10_000
    every: int = 1
    thermalisation: int | None = None
    chains: int = 4
    seed: int = 0
    fields: int = 0
    step: float | None = None
    trajectory: float | None = None

    def __post_init__(self) -> None:
        if not self.samplers:
            raise InputError(f"no sampler is given; known are {', '.join(SAMPLERS)}")
        if len(set(self.samplers)) < len(self.samplers):
            raise InputError(f"a sampler is given twice in {list(self.samplers)}; each must be given once")
        for name, least in (
            ("sweeps", 1),
            ("every", 1),
            ("thermalisation", 0),
            ("chains", 1),
            ("seed", 0),
            ("fields", 0),
        ):
            value = getattr(self, name)
            if name == "thermalisation" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}")
        if self.sweeps // self.every < FEWEST:
            raise InputError(
                f"sweeps is {self.sweeps} with a measurement every {self.every}; an autocorrelation time needs at"
                f" least {FEWEST} measurements of each chain"
            )
        for name in ("fields", "step", "trajectory"):
            if getattr(self, name) and len(self.samplers) > 1:
                raise InputError(f"{name} is given for {len(self.samplers)} samplers; give it with one")

    @property
    def warming(self) -> int:
        """Sweeps of thermalisation."""
        return max(100, self.sweeps // 10) if self.thermalisation is None else self.thermalisation

    @property
    def options(self) -> dict[str, float]:
        """Options of the sampler."""
        given = {"step": self.step, "trajectory": self.trajectory}
        return {name: value for name, value in given.items() if value is not None}


def target_of_chains(
    lattice: Lattice,
    components: int,
    *,
    mass: float | None = None,
    mass_times_length: float | None = None,
    r0: float | None = None,
    u: float | None = None,
    beta: float | None = None,
) -> HasEnergy:
    """The target that is given in one way: n Gaussian fields by a mass, φ⁴ by (r₀, u), spins by β."""
    if beta is not None:
        return SpinModel(lattice, components, beta)
    if r0 is not None and u is not None:
        return PhiFour(lattice, components, r0, u)
    return PhiFour.of_gaussian(gaussian_field(lattice, mass=mass, mass_times_length=mass_times_length), components)


def monte_carlo_request(target: HasEnergy, settings: MonteCarloSettings) -> dict[str, Any]:
    """All that determines a file, besides the code: its hash is the file's configuration_hash."""
    return spec_of(target) | {
        "samplers": list(settings.samplers),
        "sweeps": settings.sweeps,
        "every": settings.every,
        "thermalisation": settings.warming,
        "chains": settings.chains,
        "seed": settings.seed,
        "fields": settings.fields,
        "options": settings.options,
    }


def exact_values(target: HasEnergy) -> dict[str, float]:
    """Exact values of observables, where there are closed forms: n Gaussian fields of mass m, without a source.

    H/N = n/2,   ⟨m²⟩ = nχ/N,   ⟨|m|⟩ = sqrt(2χ/N) Γ((n+1)/2)/Γ(n/2),   U = 1 − (n+2)/(3n),   χ, S(k₁), ⟨φ²⟩ = n I(m²).
    """
    lattice, components, field = target.lattice, target.components, target.gaussian
    if field is None:
        return {}
    per_site = field.susceptibility / lattice.sites
    first = 4.0 * np.sin(np.pi / lattice.size) ** 2
    return {
        "energy": 0.5 * components,
        "magnetisation": sqrt(2.0 * per_site) * gamma(0.5 * (components + 1)) / gamma(0.5 * components),
        "magnetisation_squared": components * per_site,
        "softest_mode": float(field.propagator(np.array(first))),
        "susceptibility": field.susceptibility,
        "variance": components * field.variance,
        "binder": 1.0 - (components + 2.0) / (3.0 * components),
    }
