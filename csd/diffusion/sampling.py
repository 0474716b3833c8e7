"""Reverse diffusion along a grid: variances by exact recursion, fields step by step, modes without a transform."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, islice, pairwise
from typing import Any

import numpy as np

from csd.core.errors import GenerationFailed
from csd.core.plugins import checked_numbers, is_user_defined
from csd.core.random import draw_normal
from csd.diffusion.grids import check_grid
from csd.diffusion.integrators import Integrator, LinearStep, Noise, linear_step
from csd.lattice import Array, ComplexArray, Lattice, Modes
from csd.networks.score import Score, kernels_of, modes_of
from csd.targets.noising import Schedule

TOGETHER, MOST_TOGETHER = 64, 256
"""Fields given at a time to a score without a kernel, and most of them on a small lattice."""
WORTH, NUMBERS_TOGETHER = 2**15, 2**20
"""Numbers in these fields up to which more fields are faster, and most numbers."""


def linear_steps(
    integrator: Integrator, schedule: Schedule, grid: Array, kernels: Sequence[Any] | Array
) -> list[LinearStep]:
    """(g, v) of every step for a linear score.

    Args:
        integrator: of the reverse diffusion.
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down, shape (levels,).
        kernels: K at each of them, shape (levels, …, modes).
    """
    ends = zip(grid[:-1], grid[1:], kernels[:-1], kernels[1:], strict=True)
    return [linear_step(integrator, schedule, float(t), float(lower), k, below) for t, lower, k, below in ends]


def generated_variance(start: Array | float, steps: Sequence[LinearStep]) -> Array:
    """V(k) at the lowest level, by V ← g² V + v.

    Args:
        start: V at t_max, a number or of the shape of the kernels.
        steps: of `linear_steps`.
    """
    return np.asarray(reduce(_next_variance, steps, start))


def variance_history(start: Array, steps: Sequence[LinearStep]) -> Array:
    """V(k) at every level of the grid, by V ← g² V + v, shape (levels, *start.shape).

    Args:
        start: V at t_max.
        steps: of `linear_steps`.
    """
    return np.stack(list(accumulate(steps, _next_variance, initial=start)))


def _next_variance(variance: Any, step: LinearStep) -> Any:
    """g² V + v."""
    return np.abs(step[0]) ** 2 * variance + step[1]


def start_variance(schedule: Schedule, t_max: float) -> float:
    """α² + σ² at t_max: 1 for VP, 1 + t_max for VE."""
    return schedule.signal(t_max) ** 2 + schedule.variance(t_max)


def sample_fields(
    score: Score,
    schedule: Schedule,
    grid: Array,
    integrator: Integrator,
    start: Array,
    noise: Noise,
    callback: Callable[[float, Array], None] | None = None,
) -> Array:
    """Fields at the lowest level of a grid, from fields at its highest, with any score.

    Args:
        score: s(x, t).
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down, shape (levels,).
        integrator: of the reverse diffusion.
        start: fields at t_max, shape (batch, *lattice).
        noise: returns new standard normal numbers of the shape of the fields at every call.
        callback: called with (t, fields) at every level, t_max included.

    Returns:
        Same shape as `start`.

    Raises:
        GenerationFailed: as soon as a score has the wrong shape or a field is not finite.
    """
    levels = check_grid(list(grid))

    def checked(fields: Array, t: float) -> Array:
        value = score(fields, t)
        if np.shape(value) != fields.shape:
            raise GenerationFailed(
                f"at noise level {t:g} the score has shape {np.shape(value)}; the fields have shape {fields.shape}"
            )
        # A finite sum implies finite terms, in one pass; otherwise each term is checked.
        with np.errstate(over="ignore", invalid="ignore"):
            fine = np.isfinite(value.sum())
        if not fine and not np.isfinite(value).all():
            site = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            raise GenerationFailed(f"at noise level {t:g} the score is not finite at (sample, site…) = {site}")
        return value

    tell, fields = callback or (lambda t, fields: None), start
    tell(float(levels[0]), fields)
    for t, lower in pairwise(levels.tolist()):
        fields = integrator.step(checked, schedule, fields, t, lower, noise)
        if is_user_defined(integrator):
            what = f"integrator {type(integrator).__name__}: step at {t:g}"
            fields = checked_numbers(what, fields, start.shape, converted=True)
        tell(lower, fields)
    return fields


def sample_modes(
    steps: Sequence[LinearStep], modes: Modes, start: Array | float, generator: np.random.Generator
) -> ComplexArray:
    """One field in Fourier space by the steps of a linear score, without a transform.

    Args:
        steps: of `linear_steps`, at the lattice's *pairs*.
        modes: the *pairs*.
        start: variance at t_max.
        generator: of this sample.

    Returns:
        x̂/√N at the modes, shape (modes,); real where k = −k.

    Raises:
        GenerationFailed: as soon as a mode is not finite.
    """
    free = len(modes) - modes.self_conjugate

    def normal() -> ComplexArray:
        """Unit normal numbers: real where k = −k, complex elsewhere."""
        drawn = np.empty(len(modes), dtype=complex)
        drawn[:free] = (draw_normal(generator, (free, 2)) * np.sqrt(0.5)).view(complex)[:, 0]
        drawn[free:] = draw_normal(generator, (modes.self_conjugate,))
        return drawn

    state = normal() * np.sqrt(start)
    for number, (gain, added) in enumerate(steps):
        state *= gain
        if np.any(added):
            state += np.sqrt(added) * normal()
        if not np.isfinite(state).all():
            mode = int(np.flatnonzero(~np.isfinite(state))[0])
            raise GenerationFailed(
                f"step {number} of reverse diffusion is not finite at mode n = {modes.numbers[mode].tolist()}"
            )
    return state


def fields_together(lattice: Lattice, components: int = 1) -> int:
    """Number of fields of n components that are given at a time to a score without a kernel."""
    numbers = components * lattice.sites
    most = max(TOGETHER, min(MOST_TOGETHER, WORTH // numbers))
    return max(1, min(most, NUMBERS_TOGETHER // numbers))


def draw_modes(
    score: Score,
    lattice: Lattice,
    schedule: Schedule,
    grid: Array,
    integrator: Integrator,
    start: Array | float,
    streams: Iterable[np.random.Generator],
    components: int | None = None,
) -> Iterator[ComplexArray]:
    """Draw fields in Fourier space with any score: mode by mode if it has a kernel, otherwise by steps on fields.

    Args:
        score: s(x, t), with one kernel per level if it has kernels.
        lattice: of the fields.
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down, shape (levels,).
        integrator: of the reverse diffusion.
        start: variance at t_max, a number or at the lattice's *pairs*.
        streams: a generator for each field, so that a field does not depend on the number of fields.
        components: n of the fields of a score without a kernel, shape (batch, n, *lattice); None for scalar fields.

    Yields:
        x̂/√N at the *pairs*, shape (pairs,), or (n, pairs) with components.

    Raises:
        GenerationFailed: as soon as a mode, a field or a score is not finite.
    """
    pairs, kernels, modes = lattice.pairs, kernels_of(score, grid), modes_of(score, lattice)
    if kernels is not None:
        at_pairs = lattice.gather(lattice.spread(np.stack(kernels), modes), pairs) if modes.isotropic else kernels
        steps = linear_steps(integrator, schedule, grid, at_pairs)
        yield from (sample_modes(steps, pairs, start, own) for own in streams)
        return
    spread = lattice.spread(np.sqrt(np.broadcast_to(start, len(pairs))), pairs)
    shape = lattice.shape if components is None else (components, *lattice.shape)
    left, many = iter(streams), fields_together(lattice, components or 1)
    while together := list(islice(left, many)):

        def noise(together: Sequence[np.random.Generator] = together) -> Array:
            drawn = [draw_normal(own, shape) for own in together]
            # A matrix product rounds in an order that depends on its size: fewer fields are filled up with the first.
            return np.stack(drawn + drawn[:1] * (many - len(drawn)))

        first = lattice.inverse(spread * lattice.transform(noise()))
        fields = sample_fields(score, schedule, grid, integrator, first, noise)[: len(together)]
        yield from lattice.gather(lattice.transform(fields), pairs) / np.sqrt(lattice.sites)
