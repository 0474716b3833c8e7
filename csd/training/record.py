"""What a training run leaves: the grid of recorded steps, training times between them, and the record itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Modes

DENSE_RECORDS = 48
"""Every step up to this one is recorded."""
RECORDS_PER_DECADE = 12
"""Recorded steps a decade, beyond."""


@dataclass
class TrainingRecord:
    """What a run leaves; S seeds, T levels, R recorded steps, NaN where a seed had ended before.

    Attributes:
        steps: recorded steps, shape (R,).
        score_error: ε, shape (S, T, R).
        training_time: τ in steps, NaN if never reached, shape (S, T).
        crossing_time: where ln ε crosses the threshold, interpolated between steps τ − 1 and τ, shape (S, T).
        rates: η, shape (T,).
        parameters: trainable numbers at each level, shape (T,).
        ranges: R of local networks at each level, NaN for others, shape (T,).
        floors: ε_R, shape (T,).
        inverse_lengths: geometric mean of sqrt(k̂² + m²) over each bin's momenta, shape (bins,).
        residual: root mean square of |C K − 1| over the modes of each bin, shape (S, T, R, bins).
        kernel: K at the modes after the last step, shape (S, T, modes); None without a kernel.
        kernel_steps: steps at which kernels were kept, shape (KS,).
        recorded_kernels: K at the modes at these steps, shape (S, T, KS, modes); None if there are none.
        recorded_modes: the momenta of these.
        modes: the momenta of the kernel.
        weights: the trained numbers after the last step, shape (S, T, numbers); see `Descent`.
        weights_are: likewise.
        last_step: step at which each seed ended, shape (S,).
        stepping: 'every step', or 'exact jump' where a closed form led from one recorded step to the next.
    """

    steps: NDArray[np.int64]
    score_error: Array
    training_time: Array
    crossing_time: Array
    rates: Array
    parameters: NDArray[np.int64]
    ranges: Array
    floors: Array
    inverse_lengths: Array
    residual: NDArray[np.float32]
    kernel: Array | ComplexArray | None
    kernel_steps: NDArray[np.int64]
    recorded_kernels: NDArray[np.float32] | None
    recorded_modes: Modes
    modes: Modes
    weights: Array | ComplexArray
    weights_are: str
    last_step: NDArray[np.int64]
    stepping: str


def padded(networks: Sequence[Sequence[Array]]) -> Array:
    """The numbers of networks of different size, one a seed and level, as one array with NaN beyond those of each."""
    widest = max(len(numbers) for of_seed in networks for numbers in of_seed)
    wide = np.full((len(networks), len(networks[0]), widest), np.nan)
    for row, of_seed in enumerate(networks):
        for level, numbers in enumerate(of_seed):
            wide[row, level, : len(numbers)] = numbers
    return wide


def record_steps(last: int) -> NDArray[np.int64]:
    """The grid of recorded steps up to `last`: every one to 48, then 12 a decade; the same for every run."""
    grid = sparse_steps(last)
    return np.concatenate([np.arange(min(DENSE_RECORDS, last) + 1), grid[grid > DENSE_RECORDS]])


def sparse_steps(last: int) -> NDArray[np.int64]:
    """Those of `record_steps` that are 12 a decade from the first step on, and step 0."""
    exponents = np.arange(int(np.ceil(np.log10(max(last, 1)) * RECORDS_PER_DECADE)) + 1) / RECORDS_PER_DECADE
    grid = np.unique([0, *np.rint(10.0**exponents)]).astype(np.int64)
    return grid[grid <= last]


def crossing_time(step: float, before: float, after: float, threshold: float) -> float:
    """Where ln ε, straight between steps j − 1 and j, crosses the threshold: j − 1 + ln(ε_{j−1}/θ) / ln(ε_{j−1}/ε_j).

    The integer training time is coarse where it is small; laws are fitted to this.

    Args:
        step: j, the first step at or below the threshold.
        before: ε_{j−1}, above it.
        after: ε_j, at or below it.
        threshold: θ.
    """
    if not 0.0 < after < before:
        return step
    return float(step - 1.0 + np.log(before / threshold) / np.log(before / after))
