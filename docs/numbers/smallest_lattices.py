"""Dependence of z on the smallest lattices: two layers in d = 3 at t = 1, trained as in the default study."""

from typing import Any

import csd
from csd.study.scaling import fit

SIZES = [4, 6, 8, 12, 16, 24, 32, 48, 64]
RANGES = [(4, 32), (8, 32), (8, 64)]
OPTIONS: dict[str, Any] = {"noise_levels": [0.01, 0.1, 0.5, 1.0], "batch": 1024, "seeds": list(range(1, 9))}


def numbers() -> dict[str, Any]:
    """z of the nested law, its statistical and its systematic error, by range of sizes."""
    times = {
        size: csd.train("two_layer", dimension=3, size=size, **OPTIONS).crossing_time.values[:, -1] for size in SIZES
    }
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
    return {"table": [head, *rows]}
