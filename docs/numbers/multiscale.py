"""Multiscale networks on the exact loss, m = 1/L, in d = 1: steps, floors, overshoot of the softest mode.

`multiscale_sizes` does the same in two and three dimensions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

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
SIX, FULL = Architecture("multiscale_blocks", channels=5, taps=6), Architecture("two_layer")
WORDS = {DILATED: "dilated", BLOCKS: "blocks", FEWER: "blocks, C = 3", SIX: "blocks, C = 5, T = 6"}
LEVELS = (0.001, 0.1, 1.0, 2.0, 4.0, 6.0)
SEEDS, FEW = 20, 4
TOLERANCE = 0.01
LONGEST = 1000
"""Steps after which a start counts as one that does not learn."""
LINE = (16, 64, 256, 1024)
LATER = (100, 200, 400, 800, 1600, 3200, 6400)
"""Steps after which errors are told."""
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
    ends = dict.fromkeys((f"{values.min():.0f}", f"{values.max():.0f}"))
    return "–".join(ends)


Means = dict[tuple[str, float], list[float]]
"""For filters and noise level, the mean steps at each size."""


def steps_table(
    dimension: int, sizes: Sequence[int], architectures: Sequence[Architecture], seeds_of: Callable[[int, float], int]
) -> tuple[list[list[str]], Means]:
    """Parameters, steps of the fastest and the slowest seed at each noise level, and how many starts diverged.

    Args:
        dimension: d.
        sizes: L, in rising order.
        architectures: the networks.
        seeds_of: the number of seeds at a size and noise level.
    """
    rows = [["filters", "L", "parameters", *(f"t = {level:g}" for level in LEVELS), "diverged"]]
    means: Means = {}
    for architecture in architectures:
        for size in sizes:
            spans, lost, starts = [], 0, 0
            for level in LEVELS:
                seeds = seeds_of(size, level)
                times, own = learned(architecture, dimension, size, level, seeds)
                means.setdefault((WORDS[architecture], level), []).append(float(times.mean()))
                spans.append(span(times))
                lost, starts = lost + own, starts + seeds
            parameters = architecture.build(Lattice(dimension, size), 1.0).parameters
            rows.append([WORDS[architecture], f"{size}", f"{parameters}", *spans, f"{lost} of {starts}"])
    return rows, means


def growth_table(dimension: int, sizes: Sequence[int], means: Means) -> list[list[str]]:
    """Steps more when L doubles, the mean over seeds and over the doublings from a size to the next."""
    rows = [["filters", "d", "L", *(f"t = {level:g}" for level in LEVELS)]]
    for words in dict.fromkeys(words for words, _ in means):
        for place, (small, large) in enumerate(pairwise(sizes)):
            times = [means[words, level][place : place + 2] for level in LEVELS]
            more = [f"{(after - before) / np.log2(large / small):.1f}" for before, after in times]
            rows.append([words, f"{dimension}", f"{small}–{large}", *more])
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


def floors_table(places: Sequence[tuple[int, Architecture, int, int, int]]) -> list[list[str]]:
    """ε after many steps and the steps to 1 %, the largest of the noise levels of a sampler, one seed.

    Args:
        places: dimension, network, size, steps and noise levels of each row.
    """
    rows = [["filters", "d", "L", "noise levels", "steps to 1 %", "steps", "largest ε", "at t"]]
    for dimension, architecture, size, steps, count in places:
        levels = geometric_grid(LOWEST_LEVEL, longest_level(size), count - 1)
        found = course(architecture, dimension, size, levels.tolist(), 1, steps)
        place = int(found.errors[0].argmax())
        latest = f"{found.times.max():.0f}" if np.isfinite(found.times).all() else "more"
        about = [WORDS[architecture], f"{dimension}", f"{size}", f"{count}", latest]
        rows.append([*about, f"{steps}", f"{found.errors[0, place]:.1e}", f"{levels[place]:.2g}"])
    return rows


def tail_table() -> list[list[str]]:
    """ε of one start at t = 1 after so many steps, two full layers beside."""
    rows = [["filters", "d", "L", *(f"{step:,}" for step in LATER)]]
    for dimension, size, blocks in ((1, 256, BLOCKS), (2, 32, FEWER)):
        for own, words in ((blocks, WORDS[blocks]), (DILATED, WORDS[DILATED]), (FULL, "two full layers")):
            _, run = prepared(own, dimension, size, [1.0], 1)
            found = []
            for step in range(LATER[-1] + 1):
                if step in LATER:
                    found.append(f"{float(run.descent.error().item()):.0e}")
                run.descent.advance(*run.source.draw())
            rows.append([words, f"{dimension}", f"{size}", *found])
    return rows


def numbers() -> dict[str, Any]:
    """All tables, and the fewest and the most steps more when L doubles at t ≤ 1, from the first to the last size."""
    line, means = steps_table(1, LINE, (DILATED, BLOCKS), lambda *_: SEEDS)
    doublings = np.log2(LINE[-1] / LINE[0])
    more = [(times[-1] - times[0]) / doublings for (_, level), times in means.items() if level <= 1.0]
    return {
        "line": line,
        "growth": growth_table(1, LINE, means),
        "fewest_more": min(more),
        "most_more": max(more),
        "channels": steps_table(2, (16, 64), (BLOCKS, FEWER, SIX), lambda *_: SEEDS)[0],
        "stability": stability_table(),
        "floors": floors_table([(1, own, size, 1000, 25) for size in LINE[1:] for own in (DILATED, BLOCKS)]),
        "tail": tail_table(),
    }
