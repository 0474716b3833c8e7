"""Multiscale networks on the exact loss, m = 1/L: steps, floors, how far the softest mode overshoots, samples.

It takes 15 minutes of one core, most of them for the largest lattices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import csd
from csd.diffusion.grids import LOWEST_LEVEL, geometric_grid, longest_level
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.multiscale import MULTISCALE_RATE
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, prepare

SLOW = True
DILATED, BLOCKS, FEWER = (
    Architecture("multiscale"),
    Architecture("multiscale_blocks"),
    Architecture("multiscale_blocks", channels=3),
)
SIX = Architecture("multiscale_blocks", channels=5, taps=6)
WORDS = {DILATED: "dilated", BLOCKS: "blocks", FEWER: "blocks, C = 3", SIX: "blocks, C = 5, T = 6"}
LEVELS = (0.001, 0.1, 1.0, 2.0, 4.0, 6.0)
SEEDS, FEW = 20, 4
JUDGED = (0.001, 1.0, 4.0)
"""Noise levels of all seeds on planes of 2^16 sites; others have few."""
TOLERANCE = 0.01
LONGEST = 1000
"""Steps after which a start counts as one that does not learn."""
LINE, PLANE, CUBE = (16, 64, 256, 1024), (16, 64, 256), (8, 16, 32, 64)
PLACES = (
    (1, 64, 1000),
    (1, 256, 1000),
    (1, 1024, 1000),
    *((2, size, 300) for size in PLANE),
    (3, 16, 300),
    (3, 64, 300),
)
"""Dimension, size and steps of floors."""
OF_SAMPLER = {1: 25, 2: 25, 3: 7}
"""Noise levels of floors in each dimension, over the grid of reverse diffusion."""
GRID = 100
"""Steps of Heun's method."""
LOST = 1e6
"""ε from which a start has diverged."""


def prepared(
    architecture: Architecture,
    dimension: int,
    size: int,
    levels: Sequence[float],
    seeds: int,
    rate: float | None = None,
) -> tuple[NoisedTarget, Prepared]:
    """The target and the descent of its exact loss."""
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), list(levels))
    settings = TrainingSettings("population", seeds=tuple(range(1, seeds + 1)), learning_rate=rate)
    return noised, prepare(noised, architecture, settings)


def learned(architecture: Architecture, dimension: int, size: int, level: float, seeds: int) -> tuple[Array, int]:
    """(first step of each seed with ε ≤ 0.01, infinite without any; how many diverged) at one noise level."""
    _, run = prepared(architecture, dimension, size, [level], seeds)
    times, lost, left = np.full(seeds, np.inf), 0, np.arange(seeds)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(LONGEST + 1):
            error = run.descent.error()[:, 0]
            reached, diverged = error <= TOLERANCE, ~(error < LOST)
            times[left[reached]] = step
            lost += int(diverged.sum())
            if (ended := reached | diverged).any():
                run.descent.keep(~ended)
                left = left[~ended]
            if not len(left):
                break
            run.descent.advance(*run.source.draw())
    return times, lost


@dataclass
class Course:
    """What happens on the way, all of shape (seeds, levels).

    Attributes:
        parameters: trainable numbers.
        times: first step with ε ≤ 0.01; infinite without any.
        errors: ε at the end.
        peaks: largest C K of the zero mode.
        lost: whether it diverged.
    """

    parameters: int
    times: Array
    errors: Array
    peaks: Array
    lost: Array


def course(
    architecture: Architecture,
    dimension: int,
    size: int,
    levels: Sequence[float],
    seeds: int,
    steps: int,
    rate: float | None = None,
) -> Course:
    """Descent for a number of steps."""
    noised, run = prepared(architecture, dimension, size, levels, seeds, rate)
    zero = int(np.flatnonzero(run.modes.laplacian == 0.0)[0])
    softest = noised.spectra_at(run.modes)[:, zero]
    shape = (seeds, len(levels))
    times, peaks, lost = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape, dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            errors = run.descent.error()
            lost |= ~(errors < LOST)
            times = np.where((errors <= TOLERANCE) & ~lost, np.minimum(times, step), times)
            own = run.descent.kernel()[..., zero] * softest
            peaks = np.where(lost, peaks, np.maximum(peaks, own))
            run.descent.advance(*run.source.draw())
    return Course(int(run.parameters.max()), times, errors, peaks, lost)


def span(values: Array) -> str:
    """The smallest and the largest of some numbers of steps; how many are infinite, where any is."""
    late = int(np.isinf(values).sum())
    if late:
        return f"{late} of {values.size} never"
    return f"{values.min():.0f}–{values.max():.0f}"


def seeds_of(dimension: int, size: int, level: float) -> int:
    """Seeds that are affordable."""
    if dimension == 3:
        return FEW if size < CUBE[-1] else FEW // 2
    return SEEDS if size**dimension < 2**16 or level in JUDGED else FEW


def steps_table(
    dimension: int, sizes: Sequence[int], architectures: Sequence[Architecture]
) -> tuple[list[list[str]], dict[tuple[str, float], list[float]]]:
    """Parameters, steps of the fastest and the slowest seed at each noise level, and how many starts diverged.

    Args:
        dimension: d.
        sizes: L, in rising order.
        architectures: the networks.

    Returns:
        The rows, and for each network and noise level the mean steps at each size.
    """
    rows = [["filters", "L", "parameters", *(f"t = {level:g}" for level in LEVELS), "diverged"]]
    means: dict[tuple[str, float], list[float]] = {}
    for architecture in architectures:
        for size in sizes:
            spans, lost, starts = [], 0, 0
            for level in LEVELS:
                seeds = seeds_of(dimension, size, level)
                times, own = learned(architecture, dimension, size, level, seeds)
                means.setdefault((WORDS[architecture], level), []).append(float(times.mean()))
                spans.append(span(times))
                lost, starts = lost + own, starts + seeds
            parameters = architecture.build(Lattice(dimension, size), 1.0).parameters
            rows.append([WORDS[architecture], f"{size}", f"{parameters}", *spans, f"{lost} of {starts}"])
    return rows, means


def growth_table(found: Sequence[tuple[str, Sequence[int], dict[tuple[str, float], list[float]]]]) -> list[list[str]]:
    """Steps more when L doubles, the mean over all doublings and seeds, by noise level."""
    rows = [["filters", "d", *(f"t = {level:g}" for level in LEVELS)]]
    for dimension, sizes, means in found:
        doublings = np.log2(sizes[-1] / sizes[0])
        for words in dict.fromkeys(words for words, _ in means):
            own = [means[words, level] for level in LEVELS]
            rows.append([words, dimension, *(f"{(times[-1] - times[0]) / doublings:.1f}" for times in own)])
    return rows


def stability_table() -> list[list[str]]:
    """Overshoot of the zero mode at the lowest noise level, the curvature that it brings, and starts that diverge."""
    rows = [["filters", "L", "numbers of a channel", "largest C K(0)", "largest ηλ", "diverged", "diverged at η/2"]]
    for architecture in (DILATED, BLOCKS):
        for size in (64, 256, 1024):
            found = course(architecture, 1, size, LEVELS[:1], SEEDS, 130)
            # At half the rate the overshoot is the same, and no start diverges.
            half = course(architecture, 1, size, LEVELS[:1], FEW, 260, rate=0.5 * MULTISCALE_RATE)
            # The curvature along the filters' own direction is that of the zero mode, A/N (3 C K − 1).
            channel = architecture.build(Lattice(1, size), 1.0).filter_shape[1]
            share = channel / size if architecture is DILATED else 1.0
            peak = float(np.median(half.peaks))
            curvature = MULTISCALE_RATE * share * (3.0 * peak - 1.0)
            lost = f"{int(found.lost.sum())} of {SEEDS}", f"{int(half.lost.sum())} of {FEW}"
            rows.append([WORDS[architecture], f"{size}", f"{channel}", f"{peak:.3g}", f"{curvature:.2f}", *lost])
    return rows


def floors_table() -> list[list[str]]:
    """ε after many steps and the steps to 1 %, the largest of the noise levels of a sampler, one seed."""
    rows = [["filters", "d", "L", "noise levels", "steps to 1 %", "steps", "largest ε", "at t"]]
    for dimension, size, steps in PLACES:
        levels = geometric_grid(LOWEST_LEVEL, longest_level(size), OF_SAMPLER[dimension] - 1)
        for architecture in (DILATED, BLOCKS if dimension == 1 else FEWER):
            found = course(architecture, dimension, size, levels.tolist(), 1, steps)
            place = int(found.errors[0].argmax())
            about = [WORDS[architecture], f"{dimension}", f"{size}", f"{len(levels)}", f"{found.times.max():.0f}"]
            rows.append([*about, f"{steps}", f"{found.errors[0, place]:.1e}", f"{levels[place]:.2g}"])
    return rows


def samples_table() -> list[list[str]]:
    """Steps from which samples are right by each criterion, Heun's method, one seed."""
    rows: list[list[str]] = []
    for architecture in (DILATED, BLOCKS):
        for size in (16, 32):
            grid = geometric_grid(LOWEST_LEVEL, longest_level(size), GRID).tolist()
            options: dict[str, Any] = {
                "loss": "population",
                "seeds": [1],
                "until": "samples",
                "integrator": "heun",
                "max_steps": 20000,
            }
            trained = csd.train(
                architecture.name, dimension=1, size=size, noise_levels=grid, kernel_steps="sparse", **options
            )
            found = csd.generate(trained, integrator="heun", samples=2)
            times = found["generation_training_time"].isel(seed=0)
            if not rows:
                rows.append(["filters", "L", *(str(one).replace("_", " ") for one in found["criterion"].values)])
            rows.append([WORDS[architecture], f"{size}", *(f"{time:.0f}" for time in times.values)])
    return rows


def numbers() -> dict[str, Any]:
    """All tables."""
    line, means_line = steps_table(1, LINE, (DILATED, BLOCKS))
    plane, means_plane = steps_table(2, PLANE, (DILATED, FEWER))
    cube, means_cube = steps_table(3, CUBE, (DILATED, FEWER))
    found = [("1", LINE, means_line), ("2", PLANE, means_plane), ("3", CUBE, means_cube)]
    # Soft modes matter little there.
    short = [(times[-1] - times[0]) / np.log2(LINE[-1] / LINE[0]) for (_, t), times in means_line.items() if t <= 1.0]
    return {
        "line": line,
        "plane": plane,
        "cube": cube,
        "growth": growth_table(found),
        "fewest_more": min(short),
        "most_more": max(short),
        "channels": steps_table(2, (16, 64), (BLOCKS, FEWER, SIX))[0],
        "stability": stability_table(),
        "floors": floors_table(),
        "samples": samples_table(),
    }
