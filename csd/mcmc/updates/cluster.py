"""Wolff's single clusters, embedded for n ≥ 2, for spins and φ⁴.

For a random direction e, the reflection φ → φ − 2 (e·φ) e of a cluster changes only the bonds at its boundary. From a
random site, the cluster grows over each bond with probability 1 − exp(−2β (e·φ)(e·φ′)), if positive, which satisfies
detailed balance without rejection (Wolff, Phys. Rev. Lett. 62, 361, 1989; Brower and Tamayo, ibid. 1087, for φ⁴, with
β = 1). |φ(r)| never changes, so φ⁴ needs another update in addition.
"""

import numpy as np
from numpy.random import Generator

from csd.core.errors import check_integer
from csd.lattice import Array
from csd.lattice.sites import Indices, along, compiled, neighbours, normalise
from csd.targets.base import HasEnergy


class Wolff:
    """Reflections of clusters.

    Args:
        target: the target, without a source, so that H is invariant under reflections.
        clusters: number of clusters in a sweep; tuned if None, so that on average they have as many sites as the
            lattice.

    Raises:
        InputError: if clusters is not an integer of at least 1.
    """

    def __init__(self, target: HasEnergy, clusters: int | None = None) -> None:
        self.target = target
        self.clusters = 1 if clusters is None else clusters
        check_integer("clusters", self.clusters, 1)
        self.free = clusters is None
        self.places = neighbours(target.lattice)
        self._stack = np.empty(target.lattice.sites, dtype=np.intp)
        self._seen = np.zeros(target.lattice.sites, dtype=np.intp)
        self._grown = 0
        self._clusters_grown = 0
        self.updates = 0.0

    @property
    def ergodic(self) -> bool:
        """Whether this update alone reaches every field, as for unit spins."""
        return self.target.unit_length

    def apply(self, field: Array, generator: Generator, times: int = 1) -> float:
        """Reflect clusters of a field, shape (n, sites), in place; returns reflected sites over all sites."""
        clusters = times * self.clusters
        room = self._stack, self._seen
        grown = _reflect_clusters(field, self.places, generator, self.target.coupling, clusters, *room)
        self.updates += grown / self.target.lattice.sites
        self._grown += grown
        self._clusters_grown += clusters
        return grown / (times * self.target.lattice.sites)

    def adapt(self, accepted: float) -> None:
        """Set the number of clusters to sites / mean size so far."""
        if self.free and self._grown:
            mean = self._grown / self._clusters_grown
            self.clusters = max(1, round(self.target.lattice.sites / mean))


@compiled
def _reflect_clusters(
    field: Array, places: Indices, generator: Generator, coupling: float, clusters: int, stack: Indices, seen: Indices
) -> int:
    """Grow and reflect clusters; returns their total number of sites.

    Args:
        field: shape (n, sites).
        places: from `neighbours`.
        generator: of the chain.
        coupling: β.
        clusters: number of clusters.
        stack: buffer for the sites of a cluster.
        seen: buffer for the last cluster that each site belonged to.
    """
    components, sites = field.shape
    axis = np.ones(components)
    seen[:] = 0
    grown = 0
    for cluster in range(1, clusters + 1):
        if components > 1:
            for a in range(components):
                axis[a] = generator.standard_normal()
            normalise(axis)
        first = int(generator.random() * sites)
        stack[0] = first
        seen[first] = cluster
        waiting = 1
        while waiting:
            waiting -= 1
            site = stack[waiting]
            grown += 1
            here = along(axis, field, site)
            for a in range(components):
                field[a, site] -= 2.0 * here * axis[a]
            for direction in range(places.shape[1]):
                other = places[site, direction]
                if seen[other] == cluster:
                    continue
                strength = 2.0 * coupling * here * along(axis, field, other)
                if strength > 0.0 and generator.random() >= np.exp(-strength):
                    seen[other] = cluster
                    stack[waiting] = other
                    waiting += 1
    return grown
