"""Reverse diffusion with given kernels, and what ends a training until its samples are right.

A `ReverseDiffusion` is a target on a grid of noise levels with an integrator and a start. By exact recursion it tells
what kernels generate and how far that is from right by each criterion of `csd.diffusion.criteria`; `goal_of` asks that
of a training.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.diffusion import criteria
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.grids import MOST_STEPS, check_grid, geometric_grid
from csd.diffusion.integrators import INTEGRATORS, Integrator
from csd.diffusion.sampling import generated_variance, linear_steps, variance_history
from csd.diffusion.sampling import start_variance as noise_variance
from csd.lattice import Array, Modes, observables
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings

LADDER = 1.1
"""Ratio of neighbouring numbers of steps there."""
MARGIN = 0.5
"""A criterion is waited for in training if the best network comes within this share of its limit."""


@dataclass
class ReverseDiffusion:
    """A target, a grid of noise levels from the highest down, an integrator and a start.

    Attributes:
        noised: the target at the levels of the grid.
        integrator: how a step is made.
        start: 'noise' or 'exact'.
    """

    noised: NoisedTarget
    integrator: Integrator
    start: str = "noise"

    def __post_init__(self) -> None:
        self.grid = check_grid(self.noised.levels)

    def start_variance(self, modes: Modes) -> Array | float:
        """V at the highest level."""
        if self.start == "exact":
            return np.asarray(self.noised.spectra_at(modes)[0])
        return noise_variance(self.noised.schedule, float(self.grid[0]))

    def steps(self, kernels: Any) -> list[tuple[Array, Array | float]]:
        """(g, v) of every step with kernels of shape (levels, …, modes)."""
        return linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)

    def variances(self, modes: Modes, kernels: Any) -> Array:
        """V(k) at every level along the reverse trajectory, for kernels of shape (levels, …, modes); same shape."""
        return variance_history(np.broadcast_to(self.start_variance(modes), kernels.shape[1:]), self.steps(kernels))

    def variance(self, modes: Modes, kernels: Any) -> Array:
        """V(k) that kernels of shape (levels, …, modes) generate; shape (…, modes)."""
        return np.broadcast_to(generated_variance(self.start_variance(modes), self.steps(kernels)), kernels.shape[1:])

    def deviations(self, modes: Modes, kernels: Any) -> Array:
        """How far what kernels of shape (levels, …, modes) generate is from right by each criterion: (criteria, …)."""
        return self.deviations_of(modes, self.variance(modes, kernels))

    def deviations_of(self, modes: Modes, variance: Array) -> Array:
        """The same for generated variances of shape (…, modes)."""
        exact = self.noised.spectra_at(modes)[-1]
        return criteria.deviations(self.noised.lattice, modes, variance, exact, self.exact_divergence)

    @cached_property
    def exact_variance(self) -> Array:
        """V(k) on *shells* that the exact score generates on this grid: discretisation and start are at fault alone."""
        modes = self.noised.lattice.shells
        with np.errstate(over="ignore", invalid="ignore"):
            return self.variance(modes, 1.0 / self.noised.spectra_at(modes))

    @cached_property
    def exact_divergence(self) -> float:
        """KL per site that the exact score leaves on this grid; 0 where it is not stable on it."""
        modes, variance = self.noised.lattice.shells, self.exact_variance
        if not (np.isfinite(variance) & (variance > 0.0)).all():
            return 0.0
        return float(observables.kl_per_site(modes, variance, self.noised.spectra_at(modes)[-1]))

    @cached_property
    def exact_deviations(self) -> Array:
        """How far from right the exact score is on this grid, shape (criteria,)."""
        return self.deviations_of(self.noised.lattice.shells, self.exact_variance)

    def steps_needed(self, criterion: str) -> int | None:
        """Steps from which on the exact score meets a criterion, on geometric grids with the same ends.

        A coarse grid can meet one by chance that finer ones miss. So numbers of steps are gone through downwards, from
        `MOST_STEPS` by factors of `LADDER`, and the first miss is located by halving.

        Returns:
            None if it is missed with `MOST_STEPS`.
        """
        place, limit = CRITERIA.index(criterion), LIMITS[criterion]

        def met(steps: int) -> bool:
            grid = geometric_grid(float(self.grid[-1]), float(self.grid[0]), steps)
            finer = NoisedTarget(self.noised.target, self.noised.schedule, grid.tolist())
            return bool(ReverseDiffusion(finer, self.integrator, self.start).exact_deviations[place] <= limit)

        rungs = {round(LADDER**power) for power in range(int(np.log(MOST_STEPS) / np.log(LADDER)) + 1)} | {MOST_STEPS}
        above = MOST_STEPS + 1
        for steps in sorted(rungs, reverse=True):
            if not met(steps):
                return None if steps == MOST_STEPS else bisect_left(range(above), True, lo=steps + 1, key=met)
            above = steps
        return 1


@dataclass(frozen=True)
class SamplesRight:
    """Whether samples are right for each seed, from kernels at the levels trained: a `csd.training.recorder.Goal`.

    Attributes:
        sampler: that makes them, its levels from the highest down.
        modes: of the kernels.
        down: places of the sampler's levels among those trained.
        met: which criteria are waited for, shape (criteria,).
    """

    sampler: ReverseDiffusion
    modes: Modes
    down: NDArray[np.intp]
    met: NDArray[np.bool_]

    @property
    def criteria(self) -> list[str]:
        """Names of those waited for."""
        return [name for name, met in zip(CRITERIA, self.met, strict=True) if met]

    def __call__(self, kernels: Any) -> NDArray[np.bool_]:
        """By all of them; (seeds, levels, modes) → (seeds,)."""
        found = np.asarray(kernels)[:, self.down].swapaxes(0, 1)
        limits = np.array(list(LIMITS.values()))[self.met, None]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((self.sampler.deviations(self.modes, found)[self.met] <= limits).all(axis=0))


def goal_of(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, modes: Modes) -> SamplesRight:
    """What ends training until samples are right: every criterion that can be met is met, by exact recursion.

    Those are the criteria that the exact score meets on this grid, and that the best network of the architecture meets
    with room to spare: what is met at the very end alone would never be.

    Args:
        noised: the target at the levels that are trained, which are the sampler's grid.
        architecture: the network.
        settings: with the integrator and the start that will generate.
        modes: of the kernels.

    Raises:
        InputError: if there is no such criterion, or the levels are no grid.
    """
    down = np.argsort(noised.levels)[::-1]
    if len(down) < 2:
        raise InputError("until is samples, but there is one noise level; a sampler needs a grid of at least two")
    grid = NoisedTarget(noised.target, noised.schedule, np.array(noised.levels)[down].tolist())
    sampler = ReverseDiffusion(grid, resolve("integrator", settings.integrator, INTEGRATORS)(), settings.start)
    limits = np.array(list(LIMITS.values()))
    met = sampler.exact_deviations <= limits
    if architecture.is_family:
        best = best_kernels(architecture, grid)
        met &= sampler.deviations(noised.lattice.shells, best) <= MARGIN * limits
    if not met.any():
        raise InputError(
            f"until is samples, but with these {len(down)} noise levels {architecture.label} can meet no criterion;"
            " give more levels, or take until score_error"
        )
    return SamplesRight(sampler, modes, down, met)


def best_kernels(architecture: Architecture, noised: NoisedTarget) -> Array:
    """The best kernel of an architecture at each level, on *shells*; shape (levels, modes)."""
    lattice = noised.lattice
    pairs = zip(noised.score_lengths(), noised.spectra_at(lattice.shells), strict=True)
    return np.stack([architecture.build(lattice, float(xi)).best_kernel(spectrum) for xi, spectrum in pairs])
