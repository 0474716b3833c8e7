"""Markov chain updates, which leave e^{−H} invariant and change one field in place; see `UPDATES`."""

from typing import Protocol

import numpy as np

from csd.core.errors import InputError, unknown
from csd.lattice import Array
from csd.mcmc.samplers import check_acts
from csd.mcmc.updates.cluster import Wolff
from csd.mcmc.updates.hamiltonian import FourierHybridMonteCarlo, HybridMonteCarlo, Langevin
from csd.mcmc.updates.local import HeatBath, Metropolis, Overrelaxation
from csd.targets.base import HasEnergy


class Update(Protocol):
    """One kind of update of one chain, whose random numbers come from the given generator only.

    Attributes:
        updates: field updates so far: sweeps, leapfrog steps, or sites in clusters over all sites.
    """

    updates: float

    @property
    def ergodic(self) -> bool:
        """Whether this update alone reaches every field."""

    def apply(self, field: Array, generator: np.random.Generator, times: int = 1) -> float:
        """Update a field, shape (n, sites), in place `times` times; returns the mean acceptance."""

    def adapt(self, accepted: float) -> None:
        """Tune, given the last acceptance; only during thermalisation, since a tuned chain is not a Markov chain."""


UPDATES: dict[str, type] = {
    "metropolis": Metropolis,
    "heat_bath": HeatBath,
    "overrelaxation": Overrelaxation,
    "langevin": Langevin,
    "hmc": HybridMonteCarlo,
    "fourier_hmc": FourierHybridMonteCarlo,
    "wolff": Wolff,
}


def make_update(name: str, target: HasEnergy, **options: float) -> Update:
    """A new update, not yet tuned.

    Raises:
        InputError: for an unknown update or option, or a target that the update cannot act on.
    """
    if name not in UPDATES:
        raise unknown("update", name, UPDATES)
    check_acts(name, target)
    try:
        return UPDATES[name](target, **options)
    except TypeError as error:
        raise InputError(f"update {name!r} does not take {', '.join(options)}: {error}") from None
