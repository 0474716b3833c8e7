"""What scores of finite range lose: numbers of Gaussian fields, and the separation of half a bit (docs/phases.md)."""

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

import csd
from csd.locality.two_phase import separation_needed
from csd.targets.two_phase import undecided

RANGES = (1, 2, 4, 8)
BOXES = ((1, (64, 256, 1024)), (2, (16, 32, 64, 128)), (3, (8, 16, 32)))
"""Dimensions, and the sizes in each."""


def numbers() -> dict[str, Any]:
    """Tables by range R, on the line m = 1/L.

    `most` is the Λ at which Λ q(Λ) is largest, `before` how far below t_R this is; `reversed` KL(samples‖true) of the
    SDE and the path KL at d = 1, L = 256, R = 1. At d = 2 and other masses: `short` is how much longer in percent the
    Markov length is than its limit at L = 15, m = 0.7, t = 1 and 2, `long` the same at L = 64 from R = 12 and 16,
    `massive` the path KL over N/V − 1 at L = 16, m = 1/4, R = 1, 2, 4.
    """
    line = csd.phases(dimension=1, size=256, noise_levels=[1.0], ranges=[1])
    massive = csd.phases(dimension=2, size=16, mass=0.25, noise_levels=[1.0], ranges=[1, 2, 4])
    most = _most()
    return {
        "half_bit": separation_needed(),
        "most": most,
        "before": 0.5 * log(most / separation_needed()),
        "reversed": [float(line[name].item()) for name in ("sde_reverse_kl", "path_kl")],
        "short": _excess(15, None),
        "long": _excess(64, [12, 16]),
        "massive": [float(value) for value in massive["path_kl"].values / _boxes_but_one(2, 16, [1, 2, 4])],
        "information": [["d", "L", "t", *(f"R = {reach}" for reach in RANGES)], *_information()],
        "divergences": [["range R", "path KL", "SDE", "ODE", "SDE, reversed", "ODE, reversed"], *_divergences()],
        "boxes": [["d", "L", *(f"R = {reach}" for reach in RANGES)], *_boxes()],
    }


def _most() -> float:
    """Λ of the largest Λ q(Λ)."""
    found = minimize_scalar(
        lambda own: -own * float(undecided(own)), bounds=(0.5, 4.0), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x)


def _excess(size: int, ranges: list[int] | None) -> list[float]:
    """By how many percent the Markov length exceeds half of the score's decay length; d = 2, m = 0.7, t = 1 and 2."""
    found = csd.phases(dimension=2, size=size, mass=0.7, noise_levels=[1.0, 2.0], ranges=ranges)
    excess = 100.0 * (found["markov_length"] / found["markov_length_theory"] - 1.0)
    return [float(value) for value in excess.values]


def _boxes_but_one(dimension: int, size: int, ranges: Sequence[int]) -> np.ndarray:
    """N/V − 1."""
    return (size / (2.0 * np.array(ranges) + 1.0)) ** dimension - 1.0


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
            per_box = found["path_kl"].values / _boxes_but_one(dimension, size, ranges)
            values = [f"{value:.3f}" for value in per_box]
            yield [str(dimension), str(size), *values, *[""] * (len(RANGES) - len(values))]
