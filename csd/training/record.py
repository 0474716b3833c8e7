"""The record of a training run, its grid of steps, and training times interpolated between steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Modes

DENSE_RECORDS = 48
"""All steps up to this one are recorded."""
RECORDS_PER_DECADE = 12
"""Recorded steps per decade beyond `DENSE_RECORDS`."""
HALF = 0.5
"""ε of the zero mode with which it counts as learned: half of E|ŝ*(0)|² is explained, where a score of 0 has ε = 1."""


@dataclass
class TrainingRecord:
    """The record of a run with S seeds, T levels and R recorded steps; NaN after the last step of a seed.

    Attributes:
        steps: recorded steps, shape (R,).
        score_error: ε, shape (S, T, R).
        training_time: τ in steps, NaN if not reached, shape (S, T); see `times_of_losses` where the held-out loss ends
            training.
        crossing_time: where ln ε crosses the threshold, interpolated between steps τ − 1 and τ, shape (S, T).
        settled_time: the first step from which ε stays at or below the threshold for `settle` further steps, NaN if it
            was not seen to, shape (S, T); None where no such steps are asked for.
        settled_crossing_time: the same, interpolated as `crossing_time` is.
        rates: η, shape (T,), or (S, T) where seeds have rates of their own.
        parameters: trainable numbers at each level, shape (T,).
        ranges: R of local networks at each level, NaN for others, shape (T,).
        floors: ε_R, shape (T,).
        inverse_lengths: geometric mean of sqrt(k̂² + m²) over each bin's momenta, shape (bins,).
        residual: root mean square of |C K − 1| over the modes of each bin, shape (S, T, R, bins).
        exact_errors: errors against exact scores, rows of `csd.training.metrics.score_errors.ScoreErrors`, shape
            (S, T, R, numbers); None without exact scores.
        linear_errors: that of the best linear score on the same fields and its error, shape (T,) each, where known.
        held_out_loss: ½ E|s + z/σ|² per site over held-out fields, shape (S, T, R); None where it is not measured.
        best_step: the last recorded step whose held-out loss is the lowest within a standard error, NaN where it is not
            measured, shape (S, T).
        linear_loss: the same of the best linear score, shape (T,).
        kernel: K at the modes after the last step, shape (S, T, modes); None without a kernel.
        kernel_steps: steps at which kernels were kept, shape (KS,).
        recorded_kernels: K at `recorded_modes` at these steps, shape (S, T, KS, modes); None if there are none.
        recorded_modes: momenta of the recorded kernels.
        modes: momenta of the last kernel.
        weights: the trained numbers after the step `weights_at`, shape (S, T, numbers).
        weights_are: 'modes', 'filters' or 'parameters'; see `csd.training.descent.families.Descent`.
        weights_at: 'last_step', or 'best_step' where the held-out loss ends training.
        last_step: step at which the training of each seed ended, shape (S,).
        until: what ends training, unless max_steps comes first.
        tuning_rates: η that were tried at each level, NaN fills up levels with fewer, shape (T, trials); None without.
        tuning_times: mean times at these, NaN where ε did not settle, shape (T, trials).
        stepping: 'every step', or 'exact jump' where a closed form gave the recorded steps.
    """

    steps: NDArray[np.int64]
    score_error: Array
    training_time: Array
    crossing_time: Array
    settled_time: Array | None
    settled_crossing_time: Array | None
    rates: Array
    parameters: NDArray[np.int64]
    ranges: Array
    floors: Array
    inverse_lengths: Array
    residual: NDArray[np.float32]
    exact_errors: Array | None
    linear_errors: dict[str, Array]
    held_out_loss: Array | None
    linear_loss: Array | None
    best_step: Array
    kernel: Array | ComplexArray | None
    kernel_steps: NDArray[np.int64]
    recorded_kernels: NDArray[np.float32] | None
    recorded_modes: Modes
    modes: Modes
    weights: Array | ComplexArray
    weights_are: str
    weights_at: str
    last_step: NDArray[np.int64]
    stepping: str
    until: str
    tuning_rates: Array | None = None
    tuning_times: Array | None = None


def padded(networks: Sequence[Sequence[Array]]) -> Array:
    """The numbers of networks of different size, one for each seed and level, as one array padded with NaN."""
    widest = max(len(numbers) for of_seed in networks for numbers in of_seed)
    wide = np.full((len(networks), len(networks[0]), widest), np.nan)
    for row, of_seed in enumerate(networks):
        for level, numbers in enumerate(of_seed):
            wide[row, level, : len(numbers)] = numbers
    return wide


def record_steps(last: int) -> NDArray[np.int64]:
    """The grid of recorded steps up to `last`: all steps up to 48, then 12 per decade."""
    grid = sparse_steps(last)
    return np.concatenate([np.arange(min(DENSE_RECORDS, last) + 1), grid[grid > DENSE_RECORDS]])


def sparse_steps(last: int) -> NDArray[np.int64]:
    """Step 0 and 12 steps per decade from step 1 on, up to `last`."""
    exponents = np.arange(int(np.ceil(np.log10(max(last, 1)) * RECORDS_PER_DECADE)) + 1) / RECORDS_PER_DECADE
    grid = np.unique([0, *np.rint(10.0**exponents)]).astype(np.int64)
    return grid[grid <= last]


def kernels_at(asked: str | tuple[int, ...], last: int) -> set[int]:
    """The steps up to `last` at which kernels are kept besides the last one, by the option `kernel_steps`."""
    if not isinstance(asked, str):
        return set(asked)
    grid = {"recorded": record_steps, "sparse": sparse_steps}.get(asked)
    return set() if grid is None else set(grid(last).tolist())


def crossing_time(step: float, before: float, after: float, threshold: float, width: float = 1.0) -> float:
    """j − w + w ln(ε_{j−w}/θ) / ln(ε_{j−w}/ε_j), where ln ε crosses the threshold, linear between steps j − w and j.

    Where ε_j is negative, as a measured error may be, ε itself is taken as linear in the step. Integer training times
    are coarse where they are small; scaling laws are fitted to these.

    Args:
        step: j, the first step at or below the threshold.
        before: ε_{j−w}, above it.
        after: ε_j, at or below it.
        threshold: θ.
        width: w, steps between the two errors.
    """
    if after < 0.0 < threshold < before:
        return float(step - width + width * (before - threshold) / (before - after))
    if not 0.0 < after < before:
        return step
    return float(step - width + width * np.log(before / threshold) / np.log(before / after))


def compared_losses(
    losses: Array, lowest: Array, variances: Array | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the mean loss is lower than the lowest so far, and whether it exceeds that by at most a standard error.

    The error is that of the mean difference over the same fields, so that their own scatter does not count.

    Args:
        losses: ℒ of each field, shape (S, T, fields); NaN where there is none.
        lowest: the same at the step of the lowest mean so far, infinite before the first one.
        variances: σ², shape (T,), for the mean of σ² ℒ over levels in the place of each level by itself.

    Returns:
        Shape (S, T) each.
    """
    with np.errstate(invalid="ignore"):
        # Before the first step the difference is infinite, without an error.
        excess, error = losses.mean(-1) - lowest.mean(-1), (losses - lowest).std(-1, ddof=1)
    error /= np.sqrt(losses.shape[-1])
    if variances is not None:
        share = variances / len(variances)
        shape = excess.shape
        excess = np.broadcast_to((excess * share).sum(axis=1, keepdims=True), shape)
        error = np.broadcast_to(np.sqrt(((error * share) ** 2).sum(axis=1, keepdims=True)), shape)
    lower = excess < 0.0
    return lower, lower | (excess <= error)


def times_of_losses(steps: NDArray[np.int64], losses: Array, variances: Array, tolerance: float) -> tuple[Array, Array]:
    """τ, the first recorded step with 2 (ℒ − ℒ_min) / (1/σ² − 2 ℒ_min) ≤ tolerance, and where the ratio crosses it.

    ℒ = ½ E|s + z/σ|² per site lies above that of the exact score by ½ E|s − s*|², and (1/σ² − 2 ℒ) of the exact score
    is E|s*|². So the ratio is the relative error of the score, with the best score that training has found in the place
    of the exact one, which is not known.

    Args:
        steps: recorded ones, shape (R,).
        losses: ℒ over held-out fields, shape (S, T, R); NaN after the last step of a seed.
        variances: σ², shape (T,).
        tolerance: of the ratio; 0 for no training time.

    Returns:
        (τ, the crossing interpolated between recorded steps), shape (S, T) each; NaN at tolerance 0, and for a network
        that is never better than the score 0.
    """
    times = np.full((2, *losses.shape[:2]), np.nan)
    lowest = np.nanmin(losses, axis=-1, keepdims=True)
    square = 1.0 / variances[:, None] - 2.0 * lowest
    # A network that is never better than the score 0 has learned nothing.
    ratio = 2.0 * (losses - lowest) / np.where(square > 0.0, square, np.nan)
    for row, level in np.argwhere((ratio <= tolerance).any(axis=-1) & (tolerance > 0.0)):
        own = ratio[row, level]
        place = int(np.argmax(own <= tolerance))
        step = before = steps[place]
        if place > 0:
            width = float(steps[place] - steps[place - 1])
            before = crossing_time(float(step), own[place - 1], own[place], tolerance, width)
        times[:, row, level] = step, before
    return times[0], times[1]


def times_of_zero_mode(steps: NDArray[np.int64], errors: Array, uncertainties: Array) -> tuple[Array, Array]:
    """(τ₀, δτ₀): from τ₀ on, to the end of training, ε of the mode k = 0 is at most ½, and the standard error of τ₀.

    ε of a mode that overshoots passes ½ before it has settled, so the last crossing counts. ln ε is taken as linear
    between recorded steps. All steps are measured on the same fields, of which a fraction of ε is common to all steps:
    δτ₀ is half of the difference of the times at which ε + δε and ε − δε cross.

    Args:
        steps: recorded ones, shape (R,).
        errors: ε at k = 0, shape (S, T, R); NaN after the last step of a seed.
        uncertainties: δε over the held-out fields, same shape.

    Returns:
        Shape (S, T) each; τ₀ is NaN where ε is above ½ at the last step, δτ₀ too where ε + δε is.
    """
    early, middle, late = (_last_crossings(steps, errors + sign * uncertainties) for sign in (-1.0, 0.0, 1.0))
    return middle, np.where(np.isfinite(middle), 0.5 * (late - early), np.nan)


def _last_crossings(steps: NDArray[np.int64], errors: Array) -> Array:
    """The step from which on errors of shape (S, T, R) are at most `HALF`, interpolated, NaN for none; shape (S, T)."""
    times = np.full(errors.shape[:2], np.nan)
    for place in np.ndindex(*times.shape):
        own = errors[place][np.isfinite(errors[place])]
        above = np.flatnonzero(own > HALF)
        after = int(above[-1]) + 1 if len(above) else 0
        if after == len(own):
            continue
        times[place] = steps[after]
        if after:
            width = float(steps[after] - steps[after - 1])
            times[place] = crossing_time(float(steps[after]), own[after - 1], own[after], HALF, width)
    return times
