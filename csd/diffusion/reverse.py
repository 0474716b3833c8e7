"""Reverse diffusion with any score, and the goal of a training until its samples meet all criteria.

A `ReverseDiffusion` is a target on a grid of noise levels with an integrator and a start. It computes what a score
generates, by exact recursion where the score has a kernel, and its deviations by the criteria of
`csd.diffusion.criteria`; `goal_of` makes it the goal of a training.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.random import stream
from csd.diffusion import criteria
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.grids import check_grid, geometric_grid, steps_needed
from csd.diffusion.integrators import Integrator, LinearStep, check_integrator, integrator_of
from csd.diffusion.sampling import draw_modes, generated_variance, linear_steps, variance_history
from csd.diffusion.sampling import start_variance as noise_variance
from csd.lattice import Array, ComplexArray, Modes, observables
from csd.networks import Architecture
from csd.networks.score import ExactScore, KernelScore, Score, SpectralScore, kernels_of, modes_of
from csd.targets.base import HasPhases, Target
from csd.targets.noising import NoisedTarget, check_reversible, check_start
from csd.training.options import TrainingSettings

MARGIN = 0.5
"""A criterion is part of the goal if the deviation of the best network is below this fraction of its limit."""
FIELDS = 256
"""Fields from which the variances of a score without a kernel are estimated."""


def check_exact_start(start: str, target: Target) -> None:
    """Refuse a start from the exact distribution where it is not Gaussian.

    Args:
        start: 'noise' or 'exact'.
        target: of the fields.

    Raises:
        InputError: if the target has phases, and the start is exact.
    """
    if start == "exact" and isinstance(target, HasPhases):
        raise InputError(
            f"start is 'exact', but the noised fields of target {type(target).__name__} are not Gaussian; take start"
            " noise"
        )


@dataclass
class ReverseDiffusion:
    """A target, a grid of noise levels from the highest down, an integrator and a start.

    Attributes:
        noised: the target at the levels of the grid.
        integrator: of the reverse diffusion.
        start: 'noise' or 'exact'.
        components: n of the fields of scores without a kernel, shape (batch, n, *lattice); None for scalar fields.
    """

    noised: NoisedTarget
    integrator: Integrator
    start: str = "noise"
    components: int | None = None

    def __post_init__(self) -> None:
        self.grid = check_grid(self.noised.levels)
        check_start(self.start)
        check_exact_start(self.start, self.noised.target)
        check_integrator(self.integrator)
        check_reversible(self.noised.schedule, self.noised.levels)

    def start_variance(self, modes: Modes) -> Array | float:
        """V at t_max, shape (modes,) or one number."""
        if self.start == "exact":
            return np.asarray(self.noised.spectra_at(modes)[0])
        return noise_variance(self.noised.schedule, float(self.grid[0]))

    def exact_score(self, modes: Modes) -> ExactScore:
        """The exact score of the target at the given modes."""
        return ExactScore(self.noised.target, self.noised.schedule, modes)

    def steps(self, score: SpectralScore) -> list[LinearStep]:
        """(g, v) of every step with a linear score.

        Raises:
            InputError: if the score has no kernel.
        """
        kernels = kernels_of(score, self.grid)
        if kernels is None:
            raise InputError("the score has no kernel, so its steps are not known mode by mode; sample fields with it")
        return linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)

    def draw(self, score: Score, streams: Iterable[np.random.Generator]) -> Iterator[ComplexArray]:
        """Draw a field for each stream with any score, as x̂/√N at the lattice's *pairs*: `sampling.draw_modes`.

        Of a score without a kernel, the fields have the `components`, shape (n, pairs).

        Where the target has a mean μ, reverse diffusion runs on x − α μ, whose score has no constant, and α μ at the
        lowest level is added to the fields.
        """
        noised, pairs = self.noised, self.noised.lattice.pairs
        zero = np.where(pairs.laplacian == 0.0, noised.means[-1] * np.sqrt(noised.lattice.sites), 0.0)
        drawn = self._draw_about_mean(score, streams)
        return (field + zero for field in drawn) if noised.mean else drawn

    def _draw_about_mean(self, score: Score, streams: Iterable[np.random.Generator]) -> Iterator[ComplexArray]:
        """`draw`, less the mean."""
        noised, mean = self.noised, self.noised.mean

        def centred(fields: Array, t: float, /) -> Array:
            return score(fields + noised.schedule.signal(t) * mean, t)

        used = centred if mean and kernels_of(score, self.grid) is None else score
        of_fields = noised.lattice, noised.schedule, self.grid, self.integrator
        return draw_modes(used, *of_fields, self.start_variance(noised.lattice.pairs), streams, self.components)

    def variances(self, score: SpectralScore) -> Array:
        """V(k) at every level along the reverse trajectory with a linear score; shape (levels, …, modes)."""
        shape = np.shape(score.kernel(float(self.grid[0])))
        return variance_history(np.broadcast_to(self.start_variance(score.modes), shape), self.steps(score))

    def variance(self, score: Score, fields: int = FIELDS) -> Array:
        """V(k) generated by a score at its modes, shape (…, modes); exact if the score has a kernel.

        For a score that is only callable it is the mean over fields at the *pairs*, with a relative standard error of
        fields^{−1/2} (√2 times that where k = −k). That noise alone makes a KL per site of 1/(4 fields).

        Args:
            score: s(x, t).
            fields: number of fields for a score without a kernel.
        """
        kernels = kernels_of(score, self.grid)
        if kernels is None:
            drawn = self._draw_about_mean(score, (stream("sampled variance", number) for number in range(fields)))
            power = np.asarray(sum(field.real**2 + field.imag**2 for field in drawn) / fields)
            return power if self.components is None else power.mean(axis=0)
        steps = linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)
        start = self.start_variance(modes_of(score, self.noised.lattice))
        return np.broadcast_to(generated_variance(start, steps), np.shape(kernels[0]))

    def deviations(self, score: Score, fields: int = FIELDS) -> Array:
        """The deviations by each criterion of what a score generates, shape (criteria, …); see `variance`."""
        lattice = self.noised.lattice
        modes = lattice.pairs if kernels_of(score, self.grid) is None else modes_of(score, lattice)
        return self.deviations_of(modes, self.variance(score, fields))

    def deviations_of(self, modes: Modes, variance: Array) -> Array:
        """The deviations by each criterion of generated variances of shape (…, modes)."""
        exact = self.noised.spectra_at(modes)[-1]
        return criteria.deviations(self.noised.lattice, modes, variance, exact, self.exact_divergence)

    @cached_property
    def exact_variance(self) -> Array:
        """V(k) generated by the exact score on this grid, at `noised.modes`: only grid and start make errors."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.variance(self.exact_score(self.noised.modes))

    @cached_property
    def exact_divergence(self) -> float:
        """KL per site of the exact score on this grid; 0 if it is not stable."""
        modes, variance = self.noised.modes, self.exact_variance
        if not (np.isfinite(variance) & (variance > 0.0)).all():
            return 0.0
        return float(observables.kl_per_site(modes, variance, self.noised.spectra_at(modes)[-1]))

    @cached_property
    def exact_deviations(self) -> Array:
        """The deviations of the exact score on this grid, shape (criteria,)."""
        return self.deviations_of(self.noised.modes, self.exact_variance)

    @property
    def correlation_length(self) -> float:
        """ξ of the noised target at the lowest level, lattice spacings; NaN if S(0) is below S at the smallest k."""
        modes = self.noised.modes
        return float(observables.correlation_length(self.noised.lattice, modes, self.noised.spectra_at(modes)[-1]))

    @cached_property
    def steps_needed(self) -> dict[str, int | None]:
        """The steps from which on the exact score meets each criterion on geometric grids with the same ends.

        None if `csd.diffusion.grids.MOST_STEPS` are not enough; see `csd.diffusion.grids.steps_needed`.
        """

        def deviations(steps: int) -> Array:
            grid = geometric_grid(float(self.grid[-1]), float(self.grid[0]), steps)
            finer = NoisedTarget(self.noised.target, self.noised.schedule, grid.tolist())
            return ReverseDiffusion(finer, self.integrator, self.start).exact_deviations

        needed, _ = steps_needed(deviations, np.array(list(LIMITS.values())))
        return {name: int(steps) if np.isfinite(steps) else None for name, steps in zip(CRITERIA, needed, strict=True)}


@dataclass(frozen=True)
class SamplesRight:
    """Whether the samples of a score meet all criteria of a goal, for each seed: a `csd.training.recorder.Goal`.

    Attributes:
        reverse: draws the samples.
        met: which criteria are part of the goal, shape (criteria,).
    """

    reverse: ReverseDiffusion
    met: NDArray[np.bool_]

    @property
    def criteria(self) -> list[str]:
        """The names of the criteria of the goal."""
        return [name for name, met in zip(CRITERIA, self.met, strict=True) if met]

    def __call__(self, score: Score) -> NDArray[np.bool_]:
        """Whether all criteria are met, for kernels of shape (…, modes); shape (…)."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.reverse.deviations(score)[self.met]
        limits = np.array([*LIMITS.values()])[self.met]
        return np.asarray((limits >= found.T).all(axis=-1).T)


def goal_of(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> SamplesRight:
    """The goal of a training until samples are right: every criterion that can be met is met, by exact recursion.

    A criterion can be met if the exact score meets it on this grid, and the best network of the architecture does so
    by a margin: a limit that is only approached at the end of training would never be reached.

    Args:
        noised: the target at the trained levels, which are the grid of the reverse diffusion.
        architecture: the network.
        settings: options of training, with the integrator and the start of the reverse diffusion.

    Raises:
        InputError: if no criterion can be met, or there is only one level.
    """
    levels = sorted(map(float, noised.levels), reverse=True)
    if len(levels) < 2:
        raise InputError(
            "until is samples, but there is one noise level; reverse diffusion needs a grid of at least two"
        )
    grid = NoisedTarget(noised.target, noised.schedule, levels)
    reverse = ReverseDiffusion(grid, integrator_of(settings.integrator), settings.start)
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
    """The best score of an architecture at `noised.modes`, one kernel per level."""
    lattice = noised.lattice
    pairs = zip(noised.score_lengths(), noised.spectra_at(noised.modes), strict=True)
    kernels = np.stack([architecture.build(lattice, float(xi)).best_kernel(spectrum) for xi, spectrum in pairs])
    return KernelScore(lattice, noised.modes, noised.levels, kernels, noised.means)
