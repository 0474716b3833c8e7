"""Multiscale networks on the exact loss, m = 1/L: steps, floors, how far the softest mode overshoots, samples."""

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
from csd.training.preparation import prepare

SLOW = True
NETWORKS = {"multiscale": "dilated", "multiscale_blocks": "blocks"}
LEVELS = (0.001, 0.1, 1.0, 2.0, 4.0)
SEEDS = 20
TOLERANCE = 0.01
PLACES = ((1, 64, 1000), (1, 256, 1000), (2, 16, 300))
"""Dimension, size and steps of floors."""
GRID = 100
"""Steps of Heun's method."""
LOST = 1e6
"""ε from which a start has diverged."""


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
    name: str,
    dimension: int,
    size: int,
    levels: tuple[float, ...],
    seeds: int,
    steps: int,
    *,
    rate: float | None = None,
    learn: bool = False,
) -> Course:
    """Descent of the exact loss for a number of steps, or until all have learned."""
    lattice = Lattice(dimension, size)
    noised = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), list(levels))
    settings = TrainingSettings("population", seeds=tuple(range(1, seeds + 1)), learning_rate=rate)
    run = prepare(noised, Architecture(name), settings)
    zero = int(np.flatnonzero(run.modes.laplacian == 0.0)[0])
    softest = noised.spectra_at(run.modes)[:, zero]
    shape = (seeds, len(levels))
    times, peaks, lost = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape, dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            errors = run.descent.error()
            lost |= ~(errors < LOST)
            if learn and (lost | np.isfinite(times)).all():
                break
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


def steps_table(dimension: int, sizes: tuple[int, ...], seeds: int, most: int) -> list[list[str]]:
    """Parameters, and steps of the fastest and the slowest seed, by size and noise level."""
    rows = [["filters", "L", "parameters", *(f"t = {level:g}" for level in LEVELS)]]
    for name, words in NETWORKS.items():
        for size in sizes:
            found = course(name, dimension, size, LEVELS, seeds, most, learn=True)
            rows.append([words, f"{size}", f"{found.parameters}", *map(span, found.times.T)])
    return rows


def stability_table() -> list[list[str]]:
    """Overshoot of the zero mode at the lowest noise level, the curvature that it brings, and starts that diverge."""
    rows = [["filters", "L", "numbers of a channel", "largest C K(0)", "largest ηλ", "diverged", "diverged at η/2"]]
    for name, words in NETWORKS.items():
        for size in (64, 256, 1024):
            found = course(name, 1, size, LEVELS[:1], SEEDS, 130)
            # At half the rate the overshoot is the same, and no start diverges.
            half = course(name, 1, size, LEVELS[:1], 4, 260, rate=0.5 * MULTISCALE_RATE)
            # The curvature along the filters' own direction is that of the zero mode, A/N (3 C K − 1).
            channel = Architecture(name).build(Lattice(1, size), 1.0).filter_shape[1]
            share = channel / size if words == "dilated" else 1.0
            peak = float(np.median(half.peaks))
            curvature = MULTISCALE_RATE * share * (3.0 * peak - 1.0)
            lost = f"{int(found.lost.sum())} of {SEEDS}", f"{int(half.lost.sum())} of 4"
            rows.append([words, f"{size}", f"{channel}", f"{peak:.3g}", f"{curvature:.2f}", *lost])
    return rows


def floors_table() -> list[list[str]]:
    """ε after many steps, the largest of all noise levels."""
    rows = [["filters", "d", "L", "parameters", "steps", "largest ε", "at t"]]
    for dimension, size, steps in PLACES:
        for name, words in NETWORKS.items():
            found = course(name, dimension, size, LEVELS, 1, steps)
            place = int(found.errors[0].argmax())
            error = f"{found.errors[0, place]:.1e}"
            rows.append(
                [words, f"{dimension}", f"{size}", f"{found.parameters}", f"{steps}", error, f"{LEVELS[place]:g}"]
            )
    return rows


def samples_table() -> list[list[str]]:
    """Steps from which samples are right by each criterion, Heun's method, one seed."""
    rows: list[list[str]] = []
    for name, words in NETWORKS.items():
        for size in (16, 32):
            grid = geometric_grid(LOWEST_LEVEL, longest_level(size), GRID).tolist()
            options: dict[str, Any] = {
                "loss": "population",
                "seeds": [1],
                "until": "samples",
                "integrator": "heun",
                "max_steps": 20000,
            }
            trained = csd.train(name, dimension=1, size=size, noise_levels=grid, kernel_steps="sparse", **options)
            found = csd.generate(trained, integrator="heun", samples=2)
            times = found["generation_training_time"].isel(seed=0)
            if not rows:
                rows.append(["filters", "L", *(str(one).replace("_", " ") for one in found["criterion"].values)])
            rows.append([words, f"{size}", *(f"{time:.0f}" for time in times.values)])
    return rows


def numbers() -> dict[str, Any]:
    """All tables."""
    return {
        "line": steps_table(1, (16, 64, 256), SEEDS, 450),
        "stability": stability_table(),
        "floors": floors_table(),
        "samples": samples_table(),
    }
