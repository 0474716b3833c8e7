"""Two tied local layers in d = 1: the largest eigenvalue of the step's Jacobian during training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.random import stream
from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving

Filters = NDArray[Any]
"""w_c(a) of each start, shape (starts, channels, width)."""

SIZES = (64, 256, 1024, 4096, 16384)
CHANNELS, WIDTH = 2, 3
RATE, LEVEL = 1.0 / 64.0, 0.01
SLOW = True
STARTS, STEPS = 256, 1500


def gradient(filters: Filters, covariance: NDArray[np.float64]) -> Filters:
    """(C K − 1) w, projected on the box, with K = Σ_c |w_c|²; per use of a filter.

    Args:
        filters: real, or complex for derivatives by a complex step.
        covariance: c(r) of the noised field for |r| < 2 × width − 1, shape (4 × width − 3,).
    """
    reach = WIDTH - 1
    kernel = np.stack([(filters[..., : WIDTH - r] * filters[..., r:]).sum(axis=(1, 2)) for r in range(WIDTH)], axis=-1)
    kernel = np.concatenate([kernel[:, :0:-1], kernel], axis=-1)
    far = 2 * reach
    smoothed = np.stack(
        [kernel @ covariance[far + r - reach : far + r + reach + 1] for r in range(-reach, reach + 1)], axis=-1
    )
    smoothed[:, reach] -= 1.0
    place = np.subtract.outer(np.arange(WIDTH), np.arange(WIDTH)) + reach
    return np.einsum("sab,scb->sca", smoothed[:, place], filters)


def stiffest(size: int) -> NDArray[np.float64]:
    """Largest eigenvalue during the training of each start, shape (starts,)."""
    target = NoisedTarget(GaussianField.on_critical_line(Lattice(1, size)), VariancePreserving(), [LEVEL])
    wave = 2.0 * np.pi * np.arange(size) / size
    spectrum = target.spectra(target.target.propagator(4.0 * np.sin(wave / 2.0) ** 2))[0]
    covariance = np.array([(spectrum * np.cos(wave * r)).mean() for r in range(2 - 2 * WIDTH, 2 * WIDTH - 1)])
    scale = np.sqrt(0.1 / (spectrum.max() * CHANNELS * WIDTH))
    filters = scale * stream("stiffness").standard_normal((STARTS, CHANNELS, WIDTH))
    largest = np.zeros(STARTS)
    count = CHANNELS * WIDTH
    for _ in range(STEPS):
        jacobian = np.empty((STARTS, count, count))
        for place in range(count):
            moved = filters.astype(complex)
            moved.reshape(STARTS, count)[:, place] += 1e-30j
            jacobian[:, :, place] = gradient(moved, covariance).imag.reshape(STARTS, count) / 1e-30
        largest = np.maximum(largest, np.linalg.eigvalsh(jacobian)[:, -1])
        filters = filters - RATE * gradient(filters, covariance)
    assert np.isfinite(filters).all()
    return largest


def numbers() -> dict[str, Any]:
    """Medians by size, the power of L that they grow with, and the share of starts above 32 at the largest size."""
    found = [stiffest(size) for size in SIZES]
    medians = [float(np.median(largest)) for largest in found]
    return {
        "sizes": list(SIZES),
        "medians": medians,
        "power": float(np.polyfit(np.log(SIZES), np.log(medians), 1)[0]),
        "share": float((found[-1] > 32.0).mean()),
    }
