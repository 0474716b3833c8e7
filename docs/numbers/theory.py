"""Training times of the population loss at t = 0.1 on the line m = 1/L, and floors of local networks."""

from typing import Any

import numpy as np
import xarray as xr

import csd

SIZES = (8, 16, 32, 64, 128, 256)
LARGEST = {1: 256, 2: 256, 3: 32}
DEPTHS = {1: (1, 2, 3, 4, 6), 2: (1, 2), 3: (1, 2)}
PATCHES = ((1, 256, 0.1), (1, 256, 0.5), (2, 64, 0.1), (2, 64, 0.5), (3, 16, 0.1))
"""Dimension, size and noise level of the rows of floors."""


def predicted(dimension: int, size: int, level: float = 0.1, depth: int = 0, reach: int = 2) -> xr.Dataset:
    """The prediction for a network of so many layers, or for one local layer of a range where `depth` is 0."""
    shape: dict[str, Any] = {"dimension": dimension, "size": size, "noise_levels": [level], "max_steps": 10**7}
    if depth == 0:
        return csd.predict("local_one_layer", range=reach, **shape)
    named = {1: "one_layer", 2: "two_layer"}
    return csd.predict(named[depth], **shape) if depth in named else csd.predict("deep_linear", depth=depth, **shape)


def steps(dimension: int, size: int, depth: int = 0) -> float:
    """Training time in whole steps."""
    return float(predicted(dimension, size, depth=depth).training_time.item())


def floors(levels: tuple[float, ...], reaches: list[int]) -> list[float]:
    """Floors of a range at each noise level, d = 1, L = 256."""
    return [
        float(predicted(1, 256, level, reach=reach).floor.item()) for level, reach in zip(levels, reaches, strict=True)
    ]


def numbers() -> dict[str, Any]:
    """Tables of steps by dimension and depth and of floors; steps, ranges and lengths of local networks."""
    times: list[list[Any]] = [["d", "p", "L = 8", *map(str, SIZES[1:])]]
    for dimension, depths in DEPTHS.items():
        for depth in depths:
            row = [steps(dimension, size, depth) if size <= LARGEST[dimension] else None for size in SIZES]
            times.append([str(dimension), str(depth), *row])
    table: list[list[Any]] = [["d, L", "t", "ξ_t", "R = 1", "2", "4"]]
    for dimension, size, level in PATCHES:
        found = [predicted(dimension, size, level, reach=reach) for reach in (1, 2, 4)]
        length = f"{found[0].score_length.item():.3f}"
        table.append([f"{dimension}, {size}", f"{level:g}", length, *(f"{one.floor.item():.3g}" for one in found)])
    levels = (0.01, 0.1, 0.5, 1.0)
    local: list[list[Any]] = [["d", "L = 8", *map(str, SIZES[1:])]]
    local += [[str(dimension), *(steps(dimension, size) for size in SIZES)] for dimension in (1, 2)]
    lengths = [float(predicted(1, 256, level).score_length.item()) for level in levels]
    reaches = [int(np.ceil(3.0 * length)) for length in lengths]
    return {
        "times": times,
        "floors": table,
        "local": local,
        "following": [
            ["t", "R = ⌈3 ξ_t⌉", "its floor", "floor of R = 2"],
            *map(list, zip(levels, reaches, floors(levels, reaches), floors(levels, [2] * len(levels)), strict=True)),
        ],
        "decay_lengths": [float(1.0 / (2.0 * np.arcsinh(1.0 / (2.0 * length)))) for length in (lengths[1], lengths[3])],
        "score_lengths": [lengths[1], lengths[3]],
    }
