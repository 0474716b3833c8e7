"""Reverse diffusion with any score, and what ends a training until its samples are right.

A `ReverseDiffusion` is a target on a grid of noise levels with an integrator and a start. It tells what a score
generates, by exact recursion where the score has a kernel, and how far that is from right by each criterion of
`csd.diffusion.criteria`; `goal_of` asks that of a training.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.diffusion import criteria
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.grids import check_grid, geometric_grid, steps_needed
from csd.diffusion.integrators import INTEGRATORS, Integrator, LinearStep
from csd.diffusion.sampling import draw_modes, generated_variance, linear_steps, variance_history
from csd.diffusion.sampling import start_variance as noise_variance
from csd.lattice import Array, ComplexArray, Modes, observables
from csd.networks import Architecture
from csd.networks.score import ExactScore, KernelScore, Score, SpectralScore, kernels_of, modes_of
from csd.targets.noising import NoisedTarget, check_start
from csd.training.options import TrainingSettings

MARGIN = 0.5
"""A criterion is waited for in training if the best network comes within this share of its limit."""
FIELDS = 256
"""Fields from which variances are estimated where a score has no kernel."""


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
        check_start(self.start)

    def start_variance(self, modes: Modes) -> Array | float:
        """V at the highest level."""
        if self.start == "exact":
            return np.asarray(self.noised.spectra_at(modes)[0])
        return noise_variance(self.noised.schedule, float(self.grid[0]))

    def exact_score(self, modes: Modes) -> ExactScore:
        """The target's own score at some modes."""
        return ExactScore(self.noised.target, self.noised.schedule, modes)

    def steps(self, score: SpectralScore) -> list[LinearStep]:
        """(g, v) of every step with a linear score.

        Raises:
            InputError: if the score has no kernel.
        """
        kernels = kernels_of(score, self.grid)
        if kernels is None:
            raise InputError("the score has no kernel, so nothing is known of it mode by mode; sample fields with it")
        return linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)

    def draw(self, score: Score, streams: Iterable[np.random.Generator]) -> Iterator[ComplexArray]:
        """A field for each stream, with any score, as x̂/√N at the lattice's *pairs*: `sampling.draw_modes`."""
        noised = self.noised
        start = self.start_variance(noised.lattice.pairs)
        return draw_modes(score, noised.lattice, noised.schedule, self.grid, self.integrator, start, streams)

    def variances(self, score: SpectralScore) -> Array:
        """V(k) at every level along the reverse trajectory with a linear score; shape (levels, …, modes)."""
        shape = np.shape(score.kernel(float(self.grid[0])))
        return variance_history(np.broadcast_to(self.start_variance(score.modes), shape), self.steps(score))

    def variance(self, score: Score, fields: int = FIELDS) -> Array:
        """V(k) that a score generates, at its modes, shape (…, modes): exact where it has a kernel.

        Of a score that is only callable, the mean over fields at the *pairs*, with a relative standard error of
        fields^{−1/2} (√2 times that where k = −k). That noise alone leaves a KL per site of 1/(4 fields).

        Args:
            score: s(x, t).
            fields: how many to draw where there is no kernel.
        """
        kernels = kernels_of(score, self.grid)
        if kernels is None:
            drawn = self.draw(score, (stream("sampled variance", number) for number in range(fields)))
            return np.asarray(sum(field.real**2 + field.imag**2 for field in drawn) / fields)
        steps = linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)
        start = self.start_variance(modes_of(score, self.noised.lattice))
        return np.broadcast_to(generated_variance(start, steps), np.shape(kernels[0]))

    def deviations(self, score: Score, fields: int = FIELDS) -> Array:
        """How far what a score generates is from right by each criterion, shape (criteria, …); see `variance`."""
        lattice = self.noised.lattice
        modes = lattice.pairs if kernels_of(score, self.grid) is None else modes_of(score, lattice)
        return self.deviations_of(modes, self.variance(score, fields))

    def deviations_of(self, modes: Modes, variance: Array) -> Array:
        """The same for generated variances of shape (…, modes)."""
        exact = self.noised.spectra_at(modes)[-1]
        return criteria.deviations(self.noised.lattice, modes, variance, exact, self.exact_divergence)

    @cached_property
    def exact_variance(self) -> Array:
        """V(k) on *shells* that the exact score generates on this grid: discretisation and start are at fault alone."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.variance(self.exact_score(self.noised.lattice.shells))

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

    @cached_property
    def steps_needed(self) -> dict[str, int | None]:
        """Steps from which on the exact score meets each criterion, on geometric grids with the same ends.

        None if it is missed with `csd.diffusion.grids.MOST_STEPS`; see `csd.diffusion.grids.steps_needed`.
        """

        def deviations(steps: int) -> Array:
            grid = geometric_grid(float(self.grid[-1]), float(self.grid[0]), steps)
            finer = NoisedTarget(self.noised.target, self.noised.schedule, grid.tolist())
            return ReverseDiffusion(finer, self.integrator, self.start).exact_deviations

        needed, _ = steps_needed(deviations, np.array(list(LIMITS.values())))
        return {name: int(steps) if np.isfinite(steps) else None for name, steps in zip(CRITERIA, needed, strict=True)}


@dataclass(frozen=True)
class SamplesRight:
    """Whether the samples of a score are right, for each seed: a `csd.training.recorder.Goal`.

    Attributes:
        reverse: the reverse diffusion that makes them.
        met: which criteria are waited for, shape (criteria,).
    """

    reverse: ReverseDiffusion
    met: NDArray[np.bool_]

    @property
    def criteria(self) -> list[str]:
        """Names of those waited for."""
        return [name for name, met in zip(CRITERIA, self.met, strict=True) if met]

    def __call__(self, score: Score) -> NDArray[np.bool_]:
        """By all of them, shape (…) of the score's kernels."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.reverse.deviations(score)[self.met]
        limits = np.array(list(LIMITS.values()))[self.met]
        return np.asarray((found <= limits.reshape(-1, *[1] * (found.ndim - 1))).all(axis=0))


def goal_of(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> SamplesRight:
    """What ends training until samples are right: every criterion that can be met is met, by exact recursion.

    Those are the criteria that the exact score meets on this grid, and that the best network of the architecture meets
    with room to spare: what is met at the very end alone would never be.

    Args:
        noised: the target at the levels that are trained, which are the grid of the reverse diffusion.
        architecture: the network.
        settings: with the integrator and the start that will generate.

    Raises:
        InputError: if there is no such criterion, or the levels are no grid.
    """
    levels = sorted(map(float, noised.levels), reverse=True)
    if len(levels) < 2:
        raise InputError(
            "until is samples, but there is one noise level; reverse diffusion needs a grid of at least two"
        )
    grid = NoisedTarget(noised.target, noised.schedule, levels)
    reverse = ReverseDiffusion(grid, resolve("integrator", settings.integrator, INTEGRATORS)(), settings.start)
    limits = np.array(list(LIMITS.values()))
    met = reverse.exact_deviations <= limits
    if architecture.is_family:
        met &= reverse.deviations(best_score(architecture, grid)) <= MARGIN * limits
    if not met.any():
        raise InputError(
            f"until is samples, but with these {len(levels)} noise levels {architecture.label} can meet no criterion;"
            " give more levels, or take until score_error"
        )
    return SamplesRight(reverse, met)


def best_score(architecture: Architecture, noised: NoisedTarget) -> KernelScore:
    """The best score of an architecture at each level, on *shells*; one kernel a level."""
    lattice = noised.lattice
    pairs = zip(noised.score_lengths(), noised.spectra_at(lattice.shells), strict=True)
    kernels = np.stack([architecture.build(lattice, float(xi)).best_kernel(spectrum) for xi, spectrum in pairs])
    return KernelScore(lattice, lattice.shells, noised.levels, kernels)
