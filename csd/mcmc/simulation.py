"""Monte Carlo simulations: their target, settings and exact values; `csd.mcmc.ensemble` runs them.

Nothing here needs compiled loops, so a study can be checked without importing them.
"""

from dataclasses import dataclass
from math import gamma, sqrt
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from csd.core.errors import InputError
from csd.core.options import Option, Options
from csd.lattice import Lattice
from csd.mcmc.autocorrelation import FEWEST
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
"""Time series in files: their names in `csd.mcmc.chains`, and descriptions. Files also contain m."""
COLLECTIVE = ("magnetisation", "magnetisation_squared", "softest_mode")
"""Series of the softest modes, which slow down; the energy is a sum over all modes."""
COMPONENT = "magnetisation_component"
"""A component of m = (1/N) Σ φ."""
Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0.0)]
MOST_SWEEPS = 10**12
"""The most sweeps of a chain: weeks on the smallest lattice."""
HELD_OUT_SWEEPS = 4000
"""Sweeps of each of four chains from which held-out fields are drawn."""


@dataclass(frozen=True)
class MonteCarloSettings(Options):
    """Settings of a Monte Carlo simulation."""

    samplers: Annotated[
        tuple[str, ...],
        Option(
            "heat_bath, hmc, wolff, …; each once",
            flag="sampler",
            label="{value}",
            always=True,
            names="csd.mcmc.samplers:SAMPLERS",
        ),
    ]
    sweeps: Annotated[
        Count, Le(MOST_SWEEPS), Option("sweeps of each chain after thermalisation", "N", label=None, always=True)
    ] = 10_000
    every: Annotated[
        Count, Le(MOST_SWEEPS), Option("sweeps from one measurement to the next", "N", label=None, always=True)
    ] = 1
    thermalisation: Annotated[
        Annotated[Natural, Le(MOST_SWEEPS)] | None,
        Option("sweeps before, which tune updates", "N", label=None, default="a tenth of sweeps, at least 100"),
    ] = None
    chains: Annotated[Count, Option("Markov chains of each sampler", "C", label=None, always=True)] = 4
    seed: Annotated[Natural, Option("random seed", "S", label=None, always=True)] = 0
    fields: Annotated[
        Natural,
        Option("decorrelated fields to keep, for training", "M", label="M{value}", always=True),
    ] = 0
    step: Annotated[Positive | None, Option("width or leapfrog step, instead of being tuned", "E", attribute=None)] = (
        None
    )
    trajectory: Annotated[Positive | None, Option("mean length of HMC's trajectories", "T", attribute=None)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.samplers)) < len(self.samplers):
            raise InputError(f"a sampler is given twice in {list(self.samplers)}; each must be given once")
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
        """Number of sweeps of thermalisation."""
        return max(100, self.sweeps // 10) if self.thermalisation is None else self.thermalisation

    @property
    def options(self) -> dict[str, float]:
        """The options of the sampler that are given."""
        given = {"step": self.step, "trajectory": self.trajectory}
        return {name: value for name, value in given.items() if value is not None}


def held_out_chains(fields: int, seed: int) -> MonteCarloSettings:
    """The simulation that fields of scores files come from; its random streams are those of another purpose."""
    return MonteCarloSettings(("wolff",), sweeps=HELD_OUT_SWEEPS, fields=fields, seed=seed)


def target_of_chains(
    lattice: Lattice, components: int, *, beta: float | None = None, **given: float | None
) -> HasEnergy:
    """The target: spins if β is given, φ⁴ if (r₀, u) are, or else n Gaussian fields by their mass."""
    if beta is not None:
        return SpinModel(lattice, components, beta)
    if (r0 := given.pop("r0", None)) is not None and (u := given.pop("u", None)) is not None:
        return PhiFour(lattice, components, r0, u)
    return PhiFour.of_gaussian(gaussian_field(lattice, **given), components)


def monte_carlo_request(target: HasEnergy, settings: MonteCarloSettings) -> dict[str, Any]:
    """All settings that determine a file; their hash is its configuration_hash."""
    own = {"thermalisation": settings.warming, "options": settings.options}
    return spec_of(target) | settings.attributes() | own


def exact_values(target: HasEnergy) -> dict[str, float]:
    """Exact values of observables of n Gaussian fields of mass m without a source; empty for other targets.

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
