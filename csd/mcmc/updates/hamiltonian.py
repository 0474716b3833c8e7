"""Updates of the whole field along its force: hybrid (Hamiltonian) Monte Carlo, Fourier-accelerated, and Langevin.

Momenta p with kinetic energy ½ (1/N) Σ_k |p̂(k)|² / M(k) are drawn, and (φ, p) follow Hamilton's equations by leapfrog
steps, which preserve volume and are reversible; the result is accepted with min(1, e^{−Δ(H + kinetic)}). So every M and
every step are exact, but they differ in speed.

    hmc           M = 1: modes have frequencies ω = sqrt(k̂² + m²), and the softest needs a trajectory of order 1/m
    fourier_hmc   M = k̂² + m²: every mode of the Gaussian field of mass m has ω = 1 (Batrouni et al. 1985)
    langevin      one step of `hmc`: MALA, φ → φ + ½ ε² force + ε noise

The length of a trajectory is τ times a uniform number from [½, 3/2], so that it is not a multiple of the period of any
mode, and at least one step. By default τ is a quarter period of the softest mode, π/(2m) or π/2, with m the Hartree
mass of `csd.targets.phi4`, at least 1/L.
"""

from math import inf, isfinite, pi, sqrt

import numpy as np
from numpy.random import Generator

from csd.core.errors import InputError, check_positive
from csd.lattice import Array
from csd.lattice.sites import Indices, compiled, neighbours, phi_four_force, site_sums
from csd.mcmc.updates.tuning import Tuned
from csd.targets.base import HasForce

LARGEST_ERROR = 1000.0
"""Energy error above which the leapfrog integration is unstable, as e^{−1000} never leads to acceptance."""
PATIENCE = 3
"""Number of successive unstable trajectories that raises an error; one may occur where φ⁴ is very large."""
MOST_LEAPFROGS = 10_000
"""Largest number of leapfrog steps in a trajectory."""


class HybridMonteCarlo:
    """Leapfrog trajectories with M = 1.

    Args:
        target: φ⁴.
        step: leapfrog step; tuned if None, so that four of five trajectories are accepted.
        trajectory: τ, mean length; a quarter period of the softest mode if None.

    Raises:
        InputError: if a step or trajectory is not a finite number above 0, or one that is given leads to
            `MOST_LEAPFROGS` in a trajectory.
    """

    name = "hmc"
    acceptance = 0.8
    accelerated = False
    ergodic = True

    def __init__(self, target: HasForce, step: float | None = None, trajectory: float | None = None) -> None:
        self.target, self.lattice = target, target.lattice
        self.places = neighbours(target.lattice)
        # In an ordered phase the Hartree mass vanishes as the volume grows, but no mode is that soft.
        mass = max(target.hartree_mass, 1.0 / target.lattice.size)
        self.inertia = target.lattice.laplacian + mass**2 if self.accelerated else None
        softest = 1.0 if self.accelerated else mass
        self.trajectory = pi / (2.0 * softest) if trajectory is None else check_positive("trajectory", trajectory)
        stiffest = 1.0 if self.accelerated else sqrt(4.0 * self.lattice.dimension + mass**2)
        self._exploded = 0
        self.updates = 0.0
        self.step = Tuned("step", step, 1.0 / (stiffest * target.lattice.sites**0.25), self.acceptance)
        longest = self.leapfrogs(1.5 * self.trajectory, self.step.value)
        if longest == MOST_LEAPFROGS and (step is not None or trajectory is not None):
            least, most = 1.5 * self.trajectory / MOST_LEAPFROGS, self.step.value * MOST_LEAPFROGS / 1.5
            advice = f"a step above {least:.2g}" if trajectory is None else f"a trajectory below {most:.2g}"
            raise InputError(
                f"{self.name} with step {self.step.value:.3g} and trajectory {self.trajectory:.3g} makes"
                f" {MOST_LEAPFROGS:,} leapfrog steps or more in a trajectory; take {advice}"
            )

    @property
    def time(self) -> float:
        """Mean length of a trajectory, in the time of Hamilton's equations: that of one step where τ is shorter."""
        return max(self.trajectory, self.step.value)

    def draw_steps(self, generator: Generator) -> int:
        """Leapfrog steps of a trajectory of random length, uniform between ½ and 3/2 of the mean."""
        return self.leapfrogs(self.trajectory * generator.uniform(0.5, 1.5), self.step.value)

    def leapfrogs(self, length: float, step: float) -> int:
        """Number of leapfrog steps in a trajectory of a given length, from one to `MOST_LEAPFROGS`."""
        return max(round(min(length / step, MOST_LEAPFROGS)), 1)

    def apply(self, field: Array, generator: Generator, times: int = 1) -> float:
        """Apply trajectories to a field, shape (n, sites), in place; returns the mean acceptance probability.

        Raises:
            InputError: if a given step is so large that leapfrog is unstable, with a stable step.
        """
        return sum(self._move(field, generator) for _ in range(times)) / times

    def _move(self, field: Array, generator: Generator) -> float:
        """Apply one trajectory; returns its acceptance probability."""
        momenta = self.draw_momenta(generator)
        steps = self.draw_steps(generator)
        moved, error = self.leapfrog(field, momenta, self.step.value, steps)
        self.updates += steps
        self._exploded = self._exploded + 1 if error > LARGEST_ERROR else 0
        if self._exploded >= PATIENCE and not self.step.free:
            raise self._unstable(field, momenta, error)
        chance = float(np.exp(-max(error, 0.0)))
        if generator.random() < chance:
            field[:] = moved
        return chance

    def _unstable(self, field: Array, momenta: Array, error: float) -> InputError:
        """The error for a given step with which nothing is ever accepted."""
        return InputError(
            f"{self.name} with step {self.step.value:.3g} makes an energy error of {error:.3g}, so nothing is ever"
            f" accepted; try a step of {self._stable_step(field, momenta):.2g}, or none to have it tuned"
        )

    def adapt(self, accepted: float) -> None:
        """Tune the step after trajectories of this mean acceptance probability."""
        self.step.adapt(accepted)

    def draw_momenta(self, generator: Generator) -> Array:
        """Momenta of variance M, the inertia, shape (n, sites)."""
        white = generator.standard_normal((self.target.components, self.lattice.sites))
        return white if self.inertia is None else self._filtered(white, np.sqrt(self.inertia))

    def _velocity(self, momenta: Array) -> Array:
        return momenta if self.inertia is None else self._filtered(momenta, 1.0 / self.inertia)

    def _filtered(self, values: Array, factor: Array) -> Array:
        fields = values.reshape(-1, *self.lattice.shape)
        return self.lattice.inverse(factor * self.lattice.transform(fields)).reshape(values.shape)

    def _total(self, field: Array, momenta: Array, velocity: Array) -> float:
        sums = np.empty(3 + self.target.components)
        site_sums(field, self.places, sums)
        return float(self.target.energy_of_sums(sums)) + 0.5 * float((momenta * velocity).sum())

    def leapfrog(self, field: Array, momenta: Array, step: float, steps: int) -> tuple[Array, float]:
        """(field at the end, Δ(H + kinetic), which is inf if it is not finite) of a trajectory."""
        moved, force = field.copy(), np.empty_like(field)
        quadratic, quartic, source = self.target.site_couplings

        def kick(momenta: Array, size: float) -> Array:
            phi_four_force(moved, self.places, quadratic, quartic, source, force)
            return momenta + size * force

        with np.errstate(over="ignore", invalid="ignore"):
            before = self._total(field, momenta, self._velocity(momenta))
            momenta = kick(momenta, 0.5 * step)
            for done in range(1, steps + 1):
                moved += step * self._velocity(momenta)
                momenta = kick(momenta, step if done < steps else 0.5 * step)
            error = self._total(moved, momenta, self._velocity(momenta)) - before
        return moved, error if isfinite(error) else inf

    def _stable_step(self, field: Array, momenta: Array) -> float:
        """The given step or, if that is less, twice one to start tuning at, halved until the energy error of a
        trajectory of the same length is below 1.
        """
        largest = step = min(self.step.value, 2.0 * self.step.start)
        while step > largest * 2.0**-40:
            step *= 0.5
            if abs(self.leapfrog(field, momenta, step, self.leapfrogs(self.trajectory, step))[1]) < 1.0:
                break
        return step


class FourierHybridMonteCarlo(HybridMonteCarlo):
    """Leapfrog trajectories with M = k̂² + m², in which all modes of a Gaussian field have one frequency."""

    name = "fourier_hmc"
    accelerated = True


class Langevin(HybridMonteCarlo):
    """MALA: one leapfrog step, φ → φ + ½ ε² force + ε noise, accepted as Metropolis; tuned to accept 0.574.

    Args:
        target: φ⁴.
        step: ε; tuned if None.
    """

    name = "langevin"
    acceptance = 0.574

    def __init__(self, target: HasForce, step: float | None = None) -> None:
        super().__init__(target, step)

    @property
    def time(self) -> float:
        """ε²/2, in the time of Langevin's equation dφ = force dt + √2 dW."""
        return 0.5 * self.step.value**2

    def apply(self, field: Array, generator: Generator, times: int = 1) -> float:
        """Apply steps to a field, shape (n, sites), in place; returns the mean acceptance probability.

        Raises:
            InputError: if a given step is so large that nothing is accepted, with a stable step.
        """
        couplings, step = self.target.site_couplings, self.step.value
        chances, self._exploded, error = _langevin(
            field, self.places, generator, times, couplings, step, self._exploded
        )
        self.updates += times
        if self._exploded >= PATIENCE and not self.step.free:
            raise self._unstable(field, self.draw_momenta(generator), error)
        return chances / times

    def leapfrogs(self, length: float, step: float) -> int:
        """1."""
        return 1


@compiled
def _langevin(
    field: Array,
    places: Indices,
    generator: Generator,
    times: int,
    couplings: tuple[float, ...],
    step: float,
    exploded: int,
) -> tuple[float, int, float]:
    """Steps of MALA; (sum of acceptance probabilities, number of successive unstable steps at the end, last error).

    Args:
        field: shape (n, sites).
        places: from `neighbours`.
        generator: of the chain.
        times: number of steps.
        couplings: (A, g, s).
        step: ε.
        exploded: number of successive unstable steps before.
    """
    components, sites = field.shape
    quadratic, quartic, source = couplings
    force, ahead = np.empty_like(field), np.empty_like(field)
    moved, momenta = np.empty_like(field), np.empty_like(field)
    sums = np.empty(3 + components)
    phi_four_force(field, places, quadratic, quartic, source, force)
    site_sums(field, places, sums)
    energy = quadratic * sums[1] + quartic * sums[2] - sums[0] - source * sums[3]
    chances = error = 0.0
    for _ in range(times):
        kinetic = 0.0
        for a in range(components):
            for site in range(sites):
                drawn = generator.standard_normal()
                kinetic -= 0.5 * drawn * drawn
                momenta[a, site] = drawn + 0.5 * step * force[a, site]
                moved[a, site] = field[a, site] + step * momenta[a, site]
        phi_four_force(moved, places, quadratic, quartic, source, ahead)
        site_sums(moved, places, sums)
        after = quadratic * sums[1] + quartic * sums[2] - sums[0] - source * sums[3]
        for a in range(components):
            for site in range(sites):
                kinetic += 0.5 * (momenta[a, site] + 0.5 * step * ahead[a, site]) ** 2
        error = after - energy + kinetic
        if not np.isfinite(error):
            error = np.inf
        exploded = exploded + 1 if error > LARGEST_ERROR else 0
        chance = np.exp(-max(error, 0.0))
        chances += chance
        if generator.random() < chance:
            field[:] = moved
            force[:] = ahead
            energy = after
    return chances, exploded, error
