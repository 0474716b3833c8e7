"""What csd does, as the benchmarks call it: problems, training steps, sampling, profiles."""

import cProfile
import pstats
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import csd
from benchmarks.clock import Effort, Timed
from csd.core.random import draw_normal, stream
from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.integrators import EulerMaruyama
from csd.diffusion.sampling import linear_steps, sample_modes, start_variance
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import descend
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, prepare
from csd.training.record import DENSE_RECORDS

ONE = Architecture("one_layer")
TWO = Architecture("two_layer")
LOCAL = Architecture("local_two_layer", range=2)

LONGEST = 4096
"""Most steps of one timed training."""


def critical(dimension: int, size: int, levels: int = 1) -> NoisedTarget:
    """The field of mass 1/L with VP noise, at t = 0.1 or at this many levels, geometric from 0.01 to 1."""
    target = GaussianField.on_critical_line(Lattice(dimension, size))
    grid = [0.1] if levels == 1 else np.geomspace(0.01, 1.0, levels).tolist()
    return NoisedTarget(target, VariancePreserving(), grid)


def sampler_problem(dimension: int, size: int, steps: int) -> NoisedTarget:
    """The field of mass 1/L at the levels of a geometric sampling grid, from t_max down to 10⁻³."""
    target = GaussianField.on_critical_line(Lattice(dimension, size))
    grid = geometric_grid(1e-3, longest_level(size), steps)
    return NoisedTarget(target, VariancePreserving(), grid.tolist())


def rates(noised: NoisedTarget) -> Array:
    """η of one layer at each noise level, 1 / C_max."""
    return np.array(1.0 / noised.spectra_at(noised.lattice.shells).max(axis=-1))


class Watched:
    """A source of data that notes when it is asked for the data of the first step after those that are all recorded.

    Args:
        source: whose data it gives.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._drawn = 0
        self.noted = float("nan")

    def draw(self) -> Any:
        """The data of the next step."""
        if self._drawn == DENSE_RECORDS:
            self.noted = perf_counter()
        self._drawn += 1
        return self._source.draw()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def training_step(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, effort: Effort
) -> Timed:
    """Seconds a training step once the first, all of which are recorded, are over, recording and all.

    Args:
        noised: the target at its noise levels.
        architecture: what is trained.
        settings: how; tolerance and last step are replaced.
        effort: how long to measure.
    """

    def timed(steps: int) -> float:
        own = replace(settings, tolerance=0.0, max_steps=DENSE_RECORDS + steps)
        run = prepare(noised, architecture, own)
        watched = Watched(run.source)
        descend(noised, replace(run, source=watched), own)
        return (perf_counter() - watched.noted) / steps

    trial = timed(64)
    # Random numbers come in blocks of up to 256 steps, so fewer, or parts of them, would measure how they fall.
    steps = int(np.clip(4.0 * effort.shortest / trial, min(256.0, 4.0 / trial), LONGEST))
    steps -= steps % 256 if steps > 256 else 0
    return lambda: timed(max(steps, 1))


def bare_step(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings
) -> tuple[Prepared, Callable[[], None]]:
    """A prepared run, and one step of it with its score error, without recording."""
    run = prepare(noised, architecture, settings)

    def step() -> None:
        run.descent.advance(*run.source.draw())
        run.descent.error()

    return run, step


def mode_sampler(noised: NoisedTarget, kernels: Any = None, *, transformed: bool = True) -> Callable[[], Any]:
    """Draws one field by Euler–Maruyama, mode by mode.

    Args:
        noised: at the levels of a sampling grid.
        kernels: K at each level and the lattice's *pairs*; the exact score's if None.
        transformed: whether the field is brought to real space at the end.
    """
    lattice, pairs = noised.lattice, noised.lattice.pairs
    levels = np.array(noised.levels)
    kernels = 1.0 / noised.spectra_at(pairs) if kernels is None else kernels
    steps = linear_steps(EulerMaruyama(), noised.schedule, levels, kernels)
    start, generator = start_variance(noised.schedule, float(levels[0])), stream("benchmark", "samples")

    def draw() -> Any:
        modes = sample_modes(steps, pairs, start, generator)
        return lattice.inverse(np.sqrt(lattice.sites) * lattice.spread(modes, pairs)) if transformed else modes

    return draw


def score_step(noised: NoisedTarget) -> Callable[[], Array]:
    """One Euler–Maruyama step of one field with a score that is called on fields: −K∗x by FFT."""
    lattice, levels = noised.lattice, noised.levels
    kernel = 1.0 / noised.spectra(noised.target.propagator(lattice.laplacian))[0]
    generator = stream("benchmark", "score")
    fields = generator.standard_normal((1, *lattice.shape))
    integrator = EulerMaruyama()

    def score(x: Array, t: float) -> Array:
        return lattice.inverse(-kernel * lattice.transform(x))

    def noise() -> Array:
        return draw_normal(generator, fields.shape)

    return lambda: integrator.step(score, noised.schedule, fields, levels[0], levels[1], noise)


def profile(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> list[tuple[str, float]]:
    """(function, share of the time spent in it alone) of a training, most first; functions of csd and what they call.

    NumPy's arithmetic is no function to the profiler: it counts for the function that it stands in.
    """
    run = prepare(noised, architecture, settings)
    profiler = cProfile.Profile()
    profiler.runcall(descend, noised, run, settings)
    entries: Any = pstats.Stats(profiler)
    shares = {_where(place): row[2] / entries.total_tt for place, row in entries.stats.items()}
    return sorted(shares.items(), key=lambda item: -item[1])


def _where(place: tuple[str, int, str]) -> str:
    """A profiled function in words: 'networks/full.advance', or the built-in's own name."""
    file, _, name = place
    package = Path(csd.__file__).parent
    if file == "~":
        return name.removeprefix("<").removesuffix(">").removeprefix("method ").removeprefix("built-in method ")
    path = Path(file)
    inside = path.relative_to(package) if path.is_relative_to(package) else Path(path.name)
    return f"{inside.with_suffix('')}.{name}"
