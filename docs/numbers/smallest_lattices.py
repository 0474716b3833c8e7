"""Dependence of z on the smallest lattices: two layers in d = 3 at t = 1, trained as in the default study."""

from typing import Any

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.study.scaling import fit
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

SIZES = [4, 6, 8, 12, 16, 24, 32, 48, 64]
RANGES = [(4, 32), (8, 32), (8, 64)]
LEVELS = [0.01, 0.1, 0.5, 1.0]
SEEDS = tuple(range(1, 9))


def numbers() -> dict[str, Any]:
    """z of the nested law, its statistical and its systematic error, by range of sizes."""
    settings = TrainingSettings(batch=1024, seeds=SEEDS)
    times = {}
    for size in SIZES:
        noised = NoisedTarget(GaussianField.on_critical_line(Lattice(3, size)), VariancePreserving(), LEVELS)
        times[size] = train_network(noised, Architecture("two_layer"), settings).crossing_time[:, -1]
    laws = []
    for first, last in RANGES:
        used = [size for size in SIZES if first <= size <= last]
        laws.append(fit(used, [times[size] for size in used])["boxcox"])
    head = ["two layers, d = 3, t = 1", *(f"L = {first} … {last}" for first, last in RANGES)]
    rows = [
        ["z", *(law.exponent for law in laws)],
        ["statistical error", *(law.error for law in laws)],
        ["systematic error", *(law.systematic_error for law in laws)],
    ]
    return {"table": [head, *rows], "z": [law.exponent for law in laws]}
