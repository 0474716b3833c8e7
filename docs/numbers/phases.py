"""What scores of finite range lose: numbers of Gaussian fields, and the separation of half a bit (docs/phases.md)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import csd
from csd.locality.two_phase import separation_needed

RANGES = (1, 2, 4, 8)
BOXES = ((1, (64, 256, 1024)), (2, (16, 32, 64, 128)), (3, (8, 16, 32)))
"""Dimensions, and the sizes in each."""


def numbers() -> dict[str, Any]:
    """Tables by range R, on the line m = 1/L."""
    return {
        "half_bit": separation_needed(),
        "information": [["d", "L", "t", *(f"R = {reach}" for reach in RANGES)], *_information()],
        "divergences": [["range R", "path KL", "SDE", "ODE", "SDE, reversed", "ODE, reversed"], *_divergences()],
        "boxes": [["d", "L", *(f"R = {reach}" for reach in RANGES)], *_boxes()],
    }


def _information() -> Iterator[list[str]]:
    """I(A:C|B) in nats."""
    for dimension, size in ((1, 256), (2, 64)):
        found = csd.phases(dimension=dimension, size=size, noise_levels=[0.1, 1.0, 3.0], ranges=RANGES)
        for level, row in zip((0.1, 1.0, 3.0), found["conditional_mutual_information"].values, strict=True):
            yield [str(dimension), str(size), f"{level:g}", *(f"{value:.4e}" for value in row)]


def _divergences() -> Iterator[list[str]]:
    """KLs in nats, d = 2, L = 32."""
    found = csd.phases(dimension=2, size=32, noise_levels=[1.0], ranges=RANGES)
    names = ("path_kl", "sde_kl", "ode_kl", "sde_reverse_kl", "ode_reverse_kl")
    for reach in RANGES:
        at = found.sel(range=reach)
        yield [str(reach), *(f"{float(at[name]):.4g}" for name in names)]


def _boxes() -> Iterator[list[str]]:
    """Path KL over N/V − 1."""
    for dimension, sizes in BOXES:
        for size in sizes:
            ranges = [reach for reach in RANGES if 2 * reach + 1 < size]
            found = csd.phases(dimension=dimension, size=size, noise_levels=[1.0], ranges=ranges)
            boxes = (size / (2.0 * np.array(ranges) + 1.0)) ** dimension - 1.0
            values = [f"{value:.3f}" for value in found["path_kl"].values / boxes]
            yield [str(dimension), str(size), *values, *[""] * (len(RANGES) - len(values))]
