"""Markov chain updates that leave e^{−H} as it is, each of one field in place; see `UPDATES`."""

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
    """One kind of update of one chain. It draws from nothing but the generator it is given.

    Attributes:
        updates: field updates so far, visits of all sites: sweeps, leapfrog steps, or sites in clusters over all sites.
    """

    updates: float

    @property
    def ergodic(self) -> bool:
        """Whether it reaches every field, alone."""

    def apply(self, field: Array, generator: np.random.Generator, times: int = 1) -> float:
        """Update a field, shape (n, sites), in place and so many times; returns the mean acceptance."""

    def adapt(self, accepted: float) -> None:
        """Tune, given the last acceptance. Only while thermalising: a chain that tunes itself is no Markov chain."""


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
    """A fresh update, untuned.

    Raises:
        InputError: if no update has the name, it takes no such option, or it cannot act on the target.
    """
    if name not in UPDATES:
        raise unknown("update", name, UPDATES)
    check_acts(name, target)
    try:
        return UPDATES[name](target, **options)
    except TypeError as error:
        raise InputError(f"update {name!r} does not take {', '.join(options)}: {error}") from None
