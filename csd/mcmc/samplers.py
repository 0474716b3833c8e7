"""Samplers by name: the updates in one sweep of each, and the targets that it can act on.

    metropolis, heat_bath, langevin, hmc, fourier_hmc    one update
    overrelaxation    one heat bath, then about ξ overrelaxations; each turns a mode k by an angle ∝ sqrt(k̂² + m²), so
                      their number is random, or else some modes would have the same phase at each heat bath
    wolff             clusters with as many sites together as the lattice; for φ⁴ also a heat bath, as clusters do not
                      change |φ|

(docs/montecarlo.md). Nothing here needs compiled loops, so a study can be checked without importing them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from csd.core.errors import InputError, unknown
from csd.targets.base import HasEnergy, HasForce, is_ising


@dataclass(frozen=True)
class Step:
    """Part of a sweep: an update and the number of times that it is applied.

    Attributes:
        update: a name of `csd.mcmc.updates.UPDATES`.
        times: how often a sweep applies it.
        options: of the update.
        varied: whether the number is drawn for each sweep, uniformly between times/2 and 3 times/2.
    """

    update: str
    times: int = 1
    options: Mapping[str, float] = field(default_factory=dict)
    varied: bool = False

    def count(self, generator: np.random.Generator) -> int:
        """Number of times that the next sweep applies it."""
        return int(generator.integers((self.times + 1) // 2, 3 * self.times // 2 + 1)) if self.varied else self.times


SAMPLERS: dict[str, tuple[str, ...]] = {
    "metropolis": ("step",),
    "heat_bath": (),
    "overrelaxation": (),
    "langevin": ("step",),
    "hmc": ("step", "trajectory"),
    "fourier_hmc": ("step", "trajectory"),
    "wolff": (),
}
"""Samplers, with the options that each takes."""
ALONG_FORCE = ("langevin", "hmc", "fourier_hmc")
"""Samplers that move fields along the force, which unit spins do not have."""


def sweep_of(name: str, target: HasEnergy, **options: float) -> tuple[Step, ...]:
    """The steps of one sweep.

    Args:
        name: of the sampler.
        target: the target.
        options: `step` or `trajectory`, which are tuned if not given.

    Raises:
        InputError: for an unknown sampler or option, or a target that the sampler cannot act on.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    for option in options:
        if option not in SAMPLERS[name]:
            takes = " and ".join(SAMPLERS[name]) or "no options"
            raise InputError(f"sampler {name!r} has no {option}; it takes {takes}")
    check_acts(name, target)
    if name == "overrelaxation":
        return Step("heat_bath"), Step("overrelaxation", round(hartree_length(target)), varied=True)
    if name == "wolff" and not target.unit_length:
        return Step("heat_bath"), Step("wolff")
    return (Step(name, options=options),)


def check_acts(name: str, target: HasEnergy) -> None:
    """Refuse a sampler or an update that cannot act on the target."""
    if name in ALONG_FORCE and target.unit_length:
        advice = "take 'heat_bath', 'metropolis', 'overrelaxation' or 'wolff'"
        raise InputError(f"{name!r} moves fields along the force, which unit spins do not have; {advice}")
    if name == "overrelaxation" and is_ising(target):
        raise InputError(f"{name!r} rotates spins, which Ising spins do not allow; take 'wolff' or 'heat_bath'")
    if name == "wolff" and target.source != 0.0:
        why = f"and source is {target.source!r}; take source 0, or 'heat_bath'"
        raise InputError(f"{name!r} needs an energy that is invariant under reflections, {why}")


def hartree_length(target: HasEnergy) -> float:
    """ξ of the Hartree approximation for φ⁴ (exact for Gaussian fields), between 1 and L; L for spins."""
    size = float(target.lattice.size)
    return max(1.0, min(size, 1.0 / target.hartree_mass)) if isinstance(target, HasForce) else size
