"""Scatter of generated χ and ξ due to minibatches at a constant learning rate: d = 2, L = 16, 55 steps of Heun.

Scatter is the relative standard deviation over seeds and training steps, by exact recursion of the kernels, once the
soft modes have converged: from step 100 on with one layer, 60 with two.
"""

from typing import Any

import numpy as np

from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.integrators import Heun
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Lattice
from csd.lattice.observables import correlation_length, susceptibility
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

SIZE, STEPS = 16, 55
FROM = {"one_layer": 100, "two_layer": 60}
BATCHES = [1024, 16384]


def scatter(architecture: str, batch: int) -> tuple[float, float]:
    """Relative standard deviations of χ and ξ."""
    lattice = Lattice(2, SIZE)
    grid = geometric_grid(1e-3, longest_level(SIZE), STEPS)
    noised = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), grid.tolist())
    kept = tuple(range(FROM[architecture], FROM[architecture] + 100, 5))
    seeds = tuple(range(1, 17))
    settings = TrainingSettings(batch=batch, seeds=seeds, tolerance=0.0, max_steps=kept[-1], kernel_steps=kept)
    record = train_network(noised, Architecture(architecture), settings)
    assert record.recorded_kernels is not None
    modes, kernels = record.modes, np.moveaxis(record.recorded_kernels.astype(float), 1, 0)
    variance = ReverseDiffusion(noised, Heun()).variance(KernelScore(lattice, modes, noised.levels, kernels))
    exact = noised.spectra_at(modes)[-1]
    ratios = (
        susceptibility(modes, variance) / susceptibility(modes, exact),
        correlation_length(lattice, modes, variance) / correlation_length(lattice, modes, exact),
    )
    return float(ratios[0].std()), float(ratios[1].std())


def numbers() -> dict[str, Any]:
    """Scatter in percent by batch, of χ and ξ, for one layer and two."""
    found = {batch: 100.0 * np.round([scatter(architecture, batch) for architecture in FROM], 5) for batch in BATCHES}
    head = ["B", *(f"{name}, {layers}" for name in "χξ" for layers in ("one layer", "two layers"))]
    return {"table": [head, *([str(batch), *found[batch].T.ravel().tolist()] for batch in BATCHES)]}
