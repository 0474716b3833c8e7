"""Training times of the population loss at t = 0.1 on the line m = 1/L, and the floors of local networks."""

from typing import Any

import numpy as np

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.local import Patch
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.options import TrainingSettings
from csd.training.reference import reference_curve

SIZES = (8, 16, 32, 64, 128, 256)
LARGEST = {1: 256, 2: 256, 3: 32}
NAMED = {1: Architecture("one_layer"), 2: Architecture("two_layer")}
DEPTHS = {1: (1, 2, 3, 4, 6), 2: (1, 2), 3: (1, 2)}


def noised(dimension: int, size: int, level: float = 0.1) -> NoisedTarget:
    """The critical field at one noise level."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [level])


def steps(dimension: int, size: int, architecture: Architecture) -> float:
    """Training time in whole steps."""
    prediction = reference_curve(
        noised(dimension, size), architecture, TrainingSettings(loss="population", max_steps=10**7)
    )
    assert prediction is not None
    return float(prediction.training_time[0, 0])


def floor(dimension: int, size: int, level: float, reach: int) -> float:
    """Lowest score error of a kernel of a range."""
    target = noised(dimension, size, level)
    lattice = Lattice(dimension, size)
    (spectrum,) = target.spectra(target.target.propagator(lattice.laplacian))
    return float(Patch(lattice, reach).floor(spectrum))


def numbers() -> dict[str, Any]:
    """Tables of steps by dimension and depth, and of floors; steps of one local layer of range 2."""
    times: list[list[Any]] = [["d", "p", "L = 8", *map(str, SIZES[1:])]]
    for dimension, depths in DEPTHS.items():
        for depth in depths:
            network = NAMED.get(depth) or Architecture("deep_linear", depth=depth)
            row = [steps(dimension, size, network) if size <= LARGEST[dimension] else None for size in SIZES]
            times.append([str(dimension), str(depth), *row])
    floors: list[list[Any]] = [["d, L", "t", "ξ_t", "R = 1", "2", "4"]]
    for dimension, size, level in ((1, 256, 0.1), (1, 256, 0.5), (2, 64, 0.1), (2, 64, 0.5), (3, 16, 0.1)):
        length = float(noised(dimension, size, level).score_lengths()[0])
        found = [f"{floor(dimension, size, level, reach):.3g}" for reach in (1, 2, 4)]
        floors.append([f"{dimension}, {size}", f"{level:g}", f"{length:.3f}", *found])
    local = Architecture("local_one_layer", range=2)
    levels = (0.01, 0.1, 0.5, 1.0)
    lengths = [float(noised(1, 256, level).score_lengths()[0]) for level in levels]
    reaches = [int(np.ceil(3.0 * length)) for length in lengths]
    return {
        "times": times,
        "floors": floors,
        "local_1d": [steps(1, size, local) for size in SIZES],
        "local_2d": [steps(2, size, local) for size in SIZES],
        "following_ranges": reaches,
        "following_floors": [floor(1, 256, level, reach) for level, reach in zip(levels, reaches, strict=True)],
        "fixed_floors": [floor(1, 256, level, 2) for level in levels],
        "decay_lengths": [float(1.0 / (2.0 * np.arcsinh(1.0 / (2.0 * length)))) for length in (lengths[1], lengths[3])],
        "score_lengths": [lengths[1], lengths[3]],
    }
