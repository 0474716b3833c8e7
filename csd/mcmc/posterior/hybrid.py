"""Hybrid Monte Carlo of the posterior, and estimates of its mean by the Schwinger–Dyson equation.

Trajectories have the length π/(2M) times a uniform number from [½, 3/2], M² = γ + the mean curvature of H under a
uniform shift of a field, which is the Hartree mass of the posterior for φ⁴: r₀ + γ + u (1 + 2/n) ⟨φ_a²⟩. As ⟨F⟩ = 0 for
the force F = −∂E/∂φ of the posterior, ⟨φ⟩ is also, for any M², the mean of

    φ + (k̂² + M²)^{−1} F,

which hardly fluctuates where the field is nearly Gaussian, and not at all where it is. For φ⁴ this is
(k̂² + M²) ⟨φ⟩ = j + (M² − r₀ − γ) ⟨φ⟩ − (u/n) ⟨φ²φ⟩.
"""

from math import pi, sqrt

import numpy as np

from csd.core.random import draw_normal
from csd.lattice import Array
from csd.lattice.sites import neighbours
from csd.mcmc.posterior.base import Posterior, is_symmetric_energy, random_axis
from csd.mcmc.posterior.clusters import reflect_lanes
from csd.mcmc.posterior.lanes import gather, trajectory
from csd.mcmc.updates.tuning import Tuned

ACCEPTANCE = 0.8
"""Of trajectories, to which the leapfrog step is tuned."""
MOST_LEAPFROGS = 10_000
"""Largest number of leapfrog steps in a trajectory."""
SHIFT = 1e-3
"""Uniform shift of a field, relative to its root mean square, from which the curvature of H is determined."""


class HybridWalk:
    """Trajectories of fields with any energy and force.

    Args:
        posterior: of the fields.
        start: φ at the start, shape (fields, n, *lattice.shape).
        generator: source of all random numbers.
        tuned: another walk, whose M² and leapfrog step are taken; both are determined here if None.
        improved: whether ⟨φ⟩ is estimated by the Schwinger–Dyson equation.
    """

    def __init__(
        self,
        posterior: Posterior,
        start: Array,
        generator: np.random.Generator,
        tuned: "HybridWalk | None" = None,
        *,
        improved: bool = True,
    ) -> None:
        self.posterior, self.generator, self.improved = posterior, generator, improved
        self.source, self.site_precision = posterior.source, posterior.site_precision
        self.symmetric = is_symmetric_energy(posterior.target)
        lattice = posterior.lattice
        self.mass_squared: float = tuned.mass_squared if tuned else self._hartree(start)
        stiffest = sqrt(4.0 * lattice.dimension + max(self.mass_squared, posterior.precision))
        first = 1.0 / (stiffest * lattice.sites**0.25)
        self.step: Tuned = Tuned("step", tuned.step.value if tuned else None, first, ACCEPTANCE)
        self._begin(start)

    def _begin(self, start: Array) -> None:
        self.fields = np.array(start, dtype=float)
        self.energies = self._energy(self.fields)

    def _hartree(self, fields: Array) -> float:
        """M² at fields of the posterior, at least γ and 1/L²: no mode is softer in equilibrium."""
        gamma = float(np.min(self.site_precision))
        return max(gamma, 1.0 / self.posterior.lattice.size**2, gamma + self._curvature(fields))

    def _curvature(self, start: Array) -> float:
        """Mean of the second derivative of H by a uniform shift of one component, per site."""
        size, total = SHIFT * sqrt(float((start**2).mean())) + SHIFT, 0.0
        for a in range(start.shape[1]):
            shift = np.zeros(start.shape[1:])
            shift[a] = size
            change = self.posterior.target.force(start - shift) - self.posterior.target.force(start + shift)
            total += float(change[:, a].mean()) / (2.0 * size)
        return total / start.shape[1]

    def _energy(self, fields: Array) -> Array:
        """H + ½ γ φ² − j·φ, shape (fields,)."""
        own = (0.5 * self.site_precision * fields - self.source) * fields
        return np.asarray(self.posterior.target.energy(fields) + own.reshape(len(fields), -1).sum(axis=1))

    def _force(self, fields: Array) -> Array:
        return np.asarray(self.posterior.target.force(fields) - self.site_precision * fields + self.source)

    def draw_leapfrogs(self) -> int:
        """The leapfrog steps of a trajectory of random length."""
        length = pi / (2.0 * sqrt(self.mass_squared)) * self.generator.uniform(0.5, 1.5)
        return max(1, round(min(length / self.step.value, MOST_LEAPFROGS)))

    def tune(self, sweeps: int) -> None:
        """Make trajectories, and tune the leapfrog step to accept four of five; M² is that of the fields halfway."""
        for sweep in range(sweeps):
            if 2 * sweep == sweeps:
                self.mass_squared = self._hartree(self.present())
            self.step.adapt(self._move())

    def present(self) -> Array:
        """The present fields, shape (fields, n, *lattice.shape)."""
        return self.fields

    def _move(self) -> float:
        """Make one trajectory of each field; returns the mean acceptance."""
        steps, step, moved = self.draw_leapfrogs(), self.step.value, self.fields.copy()
        momenta = draw_normal(self.generator, moved.shape)
        kinetic = 0.5 * (momenta**2).reshape(len(moved), -1).sum(axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            momenta += 0.5 * step * self._force(moved)
            for done in range(1, steps + 1):
                moved += step * momenta
                momenta += (step if done < steps else 0.5 * step) * self._force(moved)
            energies = self._energy(moved)
            error = energies - self.energies + 0.5 * (momenta**2).reshape(len(moved), -1).sum(axis=1) - kinetic
            chances = np.exp(-np.maximum(np.where(np.isfinite(error), error, np.inf), 0.0))
        taken = self.generator.random(len(moved)) < chances
        self.fields[taken], self.energies[taken] = moved[taken], energies[taken]
        return float(chances.mean())

    def advance(self, sweeps: int) -> tuple[Array, Array]:
        """Make trajectories, each followed by a random reflection where H is symmetric; see `Walk`."""
        total, forces = np.zeros_like(self.fields), np.zeros_like(self.fields)
        axes = tuple(range(2, total.ndim))
        series = np.empty((sweeps, total.shape[1] + 1, len(total)))
        for number in range(sweeps):
            self._move()
            series[number, -1] = self.energies
            axis = random_axis(self.generator, total.shape[1]).reshape(-1, *(1,) * len(axes))
            force = self.posterior.target.force(self.fields)
            along, push = ((axis * values).sum(axis=1, keepdims=True) for values in (self.fields, force))
            overlap = (along * (axis * self.source).sum(axis=1, keepdims=True)).sum(axis=(1, *axes), keepdims=True)
            share = 1.0 - np.tanh(overlap) if self.symmetric else np.zeros_like(overlap)
            mean = self.fields - share * along * axis
            total += mean
            forces += force - share * push * axis
            series[number, :-1] = mean.mean(axis=axes).T
            turned = self.generator.random(overlap.shape) < 0.5 * share
            self.fields -= np.where(turned, 2.0 * along * axis, 0.0)
            if turned.any():
                self.energies = self._energy(self.fields)
        return self._estimate(total / sweeps, forces / sweeps), series

    def _estimate(self, mean: Array, force: Array) -> Array:
        """⟨φ⟩ from the means of φ and of the force −∂H/∂φ along the chains."""
        if not self.improved:
            return mean
        return mean + self._propagated(force - self.posterior.precision * mean + self.source)

    def _propagated(self, values: Array) -> Array:
        """(k̂² + M²)^{−1} of values, same shape."""
        lattice = self.posterior.lattice
        return lattice.inverse(lattice.transform(values) / (lattice.laplacian + self.mass_squared))


class PhiFourWalk(HybridWalk):
    """The same for φ⁴, by compiled loops over fields side by side."""

    def _begin(self, start: Array) -> None:
        def laid_out(values: Array) -> Array:
            return np.ascontiguousarray(np.moveaxis(values.reshape(*values.shape[:2], -1), 0, -1), dtype=float)

        target = self.posterior.target
        self.lanes, self.given = laid_out(start), laid_out(self.source)
        self.places = neighbours(target.lattice)
        own = target.quadratic + 0.5 * self.site_precision
        self.couplings = np.broadcast_to(own, target.lattice.shape).ravel().astype(float), target.quartic
        self.energies = np.empty(len(start))
        self.room = np.empty(target.lattice.sites, dtype=np.intp), np.empty((2, target.lattice.sites))
        # With two wells at each site, trajectories do not change the sign of single sites or domains.
        self.wells = bool((self.couplings[0] < 0.0).any())

    def _curvature(self, start: Array) -> float:
        """r₀ + u (1 + 2/n) ⟨φ_a²⟩."""
        target = self.posterior.target
        return float(target.r0 + target.u * (1.0 + 2.0 / target.components) * (start**2).mean())

    def _move(self) -> float:
        momenta, uniform = draw_normal(self.generator, self.lanes.shape), self.generator.random(len(self.energies))
        steps = self.draw_leapfrogs()
        how = self.given, self.places, self.couplings, self.step.value, steps
        accepted = trajectory(self.lanes, momenta, *how, uniform, self.energies)
        if self.wells:
            reflect_lanes(self.lanes, self.given, self.places, self.generator, *self.room)
        return accepted

    def advance(self, sweeps: int) -> tuple[Array, Array]:
        """Make trajectories, each followed by a random reflection where H is symmetric; see `Walk`."""
        components, _, count = self.lanes.shape
        total, cubes = np.zeros_like(self.lanes), np.zeros_like(self.lanes)
        series = np.empty((sweeps, components + 1, count))
        for number in range(sweeps):
            self._move()
            axis, uniform = random_axis(self.generator, components), np.asarray(self.generator.random(count))
            means = series[number]
            gather(self.lanes, self.given, axis, self.symmetric, uniform, total, cubes, means[:-1])
            means[-1] = self.energies
        return self._from_cubes(self._as_fields(total) / sweeps, self._as_fields(cubes) / sweeps), series

    def _from_cubes(self, mean: Array, cube: Array) -> Array:
        """⟨φ⟩ from the means of φ and of φ²φ along the chains."""
        target = self.posterior.target
        if not self.improved:
            return mean
        linear = self.mass_squared - target.r0 - self.posterior.precision
        return self._propagated(self.source + linear * mean - target.u / target.components * cube)

    def present(self) -> Array:
        """The present fields, shape (fields, n, *lattice.shape)."""
        return self._as_fields(self.lanes)

    def _as_fields(self, lanes: Array) -> Array:
        return np.moveaxis(lanes, -1, 0).reshape(self.posterior.noised.shape)
