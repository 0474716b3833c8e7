"""Chains of the posterior of a box: clusters reach outside it, where no source holds the field.

Spins outside the box are moved by clusters alone, which are ergodic there; those of the box are also drawn one by one.
φ⁴ fields make a trajectory and reflect clusters. For any other field with an energy there is hybrid Monte Carlo alone.
Readings of ⟨φ⟩ of fields with a force are those of

    φ + (−Δ + M² + γ 1_B)^{−1} F,

whose mean is ⟨φ⟩ for any M²; of the propagator nothing but its rows for the readings is needed.
"""

from functools import lru_cache, partial

import numpy as np
from numpy.random import Generator

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.lattice.sites import Indices
from csd.mcmc.boxes.box import BoxPosterior, readings_of
from csd.mcmc.posterior.base import Posterior, Walk
from csd.mcmc.posterior.hybrid import HybridWalk, PhiFourWalk
from csd.mcmc.posterior.score import Kinds, walk_of
from csd.mcmc.posterior.spins import SpinWalk

PRECISION = 1e-12
"""Of rows of the propagator, relative."""


class BoxSpinWalk(SpinWalk):
    """Sweeps of the spins of several fields; of the box alone spins are drawn one by one."""

    def __init__(self, posterior: BoxPosterior, start: Array, generator: Generator) -> None:
        super().__init__(posterior, start, generator, np.zeros(1, dtype=np.intp))
        self.box, self.order = posterior, posterior.sites

    def advance(self, sweeps: int) -> tuple[Array, Array]:
        """Make sweeps; readings of ⟨φ⟩, shape (fields, n, 2), and the series of the box as in `Walk`."""
        mean, series = super().advance(sweeps)
        return self.box.read(mean), series


class BoxHybridWalk(HybridWalk):
    """Trajectories of fields with any energy and force."""

    posterior: BoxPosterior

    def _estimate(self, mean: Array, force: Array) -> Array:
        total = force - self.site_precision * mean + self.source
        return self.posterior.read(mean) + propagated_readings(self.posterior, self.mass_squared, total)


class ClusterPhiFourWalk(PhiFourWalk):
    """Trajectories of φ⁴ fields, each followed by reflections of clusters."""

    def _begin(self, start: Array) -> None:
        super()._begin(start)
        self.wells = True


class BoxPhiFourWalk(ClusterPhiFourWalk):
    """The same in a box."""

    posterior: BoxPosterior

    def _from_cubes(self, mean: Array, cube: Array) -> Array:
        target = self.posterior.target
        linear = self.source + (self.mass_squared - target.r0) * mean
        return propagated_readings(self.posterior, self.mass_squared, linear - target.u / target.components * cube)


def box_walk(
    posterior: Posterior, start: Array, generator: Generator, tuned: Walk | None, chosen: Indices | None = None
) -> Walk:
    """Chains of the posterior of a box, or of that of all sites, with the updates that its target takes.

    Args:
        posterior: of the fields.
        start: φ at the start, shape (fields, n, *lattice.shape).
        generator: source of all random numbers.
        tuned: chains of the same kind, whose tuning is taken; not tuned if None.
        chosen: flat indices of the sites where boxes are, for estimates of smaller variance; not used in a box.
    """
    kinds: Kinds = BoxSpinWalk, BoxPhiFourWalk, BoxHybridWalk
    if not isinstance(posterior, BoxPosterior):
        kinds = partial(SpinWalk, chosen=chosen), ClusterPhiFourWalk, HybridWalk
    return walk_of(posterior, start, generator, tuned, kinds=kinds)


def propagated_readings(posterior: BoxPosterior, mass_squared: float, values: Array) -> Array:
    """Readings of (−Δ + M² + γ 1_B)^{−1} values, shape (fields, n, *lattice.shape) → (fields, n, 2)."""
    rows = _rows(posterior.lattice, posterior.reach, mass_squared, posterior.precision)
    return np.asarray(values.reshape(*values.shape[:2], -1) @ rows.T)


@lru_cache(maxsize=4)
def _rows(lattice: Lattice, reach: int, mass_squared: float, precision: float) -> Array:
    """Rows of the propagator for both readings, shape (2, sites)."""
    from scipy.sparse.linalg import LinearOperator, cg

    readings = readings_of(lattice, reach)
    slope = 2.0 * lattice.dimension + mass_squared + precision * (readings[1] > 0.0).reshape(lattice.shape)

    def applied(values: Array) -> Array:
        field = values.reshape(lattice.shape)
        around = sum(np.roll(field, way, axis) for axis in range(lattice.dimension) for way in (1, -1))
        return np.asarray(slope * field - around).ravel()

    operator = LinearOperator((lattice.sites, lattice.sites), matvec=applied, dtype=float)
    found = [cg(operator, row, rtol=PRECISION) for row in readings]
    if any(failed for _, failed in found):
        raise InputError("the propagator of a box has no inverse to working precision; take other couplings")
    return np.stack([row for row, _ in found])
