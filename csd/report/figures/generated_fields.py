"""Generated fields after 10, 100, 1000 and 10,000 training steps, for one and two layers, beside the exact score's."""

import numpy as np

from csd.core.random import stream
from csd.diffusion.grids import LOWEST_LEVEL, geometric_grid, longest_level
from csd.diffusion.integrators import Heun
from csd.diffusion.sampling import draw_modes
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.score import ExactScore, KernelScore, Score
from csd.report.figures import looks
from csd.report.figures.fields import picture_of
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import at_steps
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare

SUMMARY = "generation"
NEEDS = "a sweep with generation by a linear network"
WANTED = Wanted(critical=False, data_sets=None)
SIZE = 64
LEVELS = 176
"""Steps of Heun's method: with the exact score χ is within 1 % at this size."""
SHOWN_STEPS = (10, 100, 1000, 10_000)
LEAST = 0.001
"""Relative error below which fields are called equal."""
SHOWN = ("one_layer", "two_layer")


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """The same noise in every panel, one colour scale; kernels from the population loss, m = 1/L, d = 2."""
    target = GaussianField.on_critical_line(Lattice(2, SIZE))
    grid = geometric_grid(LOWEST_LEVEL, longest_level(SIZE), LEVELS)
    noised = NoisedTarget(target, VariancePreserving(), grid.tolist())
    exact = _field(noised, ExactScore(target, noised.schedule, noised.lattice.shells))
    titles = [*(f"{step:,} steps" for step in SHOWN_STEPS), "exact score"]
    figure, panels = looks.subplots(len(SHOWN), len(titles), height=2.7)
    told = []
    for row, architecture in zip(panels, SHOWN, strict=True):
        pictures = [*(_field(noised, score) for score in _scores(noised, architecture)), exact]
        for axes, picture, title in zip(row, pictures, titles, strict=True):
            picture_of(axes, picture, 2.5 * target.variance**0.5)
            axes.set(xticks=[], yticks=[], title=title if architecture == SHOWN[0] else "")
        row[0].set_ylabel(looks.name(architecture))
        errors = [float(np.std(picture - exact) / np.std(exact)) for picture in pictures[:-1]]
        words = [f"{error:.2g}" if error > LEAST else f"less than {LEAST:g}" for error in errors]
        told.append(f"{', '.join(words[:-1])} and {words[-1]} with {looks.name(architecture)}")
    figure.colorbar(panels[0][0].images[0], ax=panels, label="field (lattice units)", extend="both", shrink=0.9)
    return figure, {"errors": told, "lattice": f"d = 2, L = {SIZE}"}


def _scores(noised: NoisedTarget, architecture: str) -> list[Score]:
    """The score after each of the steps of population training."""
    run = prepare(noised, Architecture(architecture), TrainingSettings(loss="population"))
    kernels = [np.array(run.descent.kernel()[0]) for _ in at_steps(run, SHOWN_STEPS)]
    return [KernelScore(noised.lattice, run.modes, noised.levels, own) for own in kernels]


def _field(noised: NoisedTarget, score: Score) -> Array:
    """One field by the probability flow, always from the same noise."""
    lattice, grid = noised.lattice, np.array(noised.levels)
    streams = [stream("figure of generated fields")]
    modes = next(draw_modes(score, lattice, noised.schedule, grid, Heun(), 1.0, streams))
    return lattice.inverse(lattice.spread(modes, lattice.pairs) * np.sqrt(lattice.sites))
