"""Grids of noise levels from t_max down to t_min, and the number of steps that a criterion needs."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from csd.core.errors import InputError, check_integer
from csd.lattice import Array
from csd.targets.noising import Schedule, check_level

MOST_STEPS = 2**12
"""The most steps of a grid in the search for the steps that a criterion needs."""
GRID_STEPS = 64
"""The default number of steps of reverse diffusion."""
EACH_UP_TO = 32
"""Numbers of steps up to this one are tried one by one; larger ones every half octave, then within one."""
MARGIN = 4
"""A criterion must hold at all numbers tried up to this multiple of the last at which it fails, or to MOST_STEPS."""
LOWEST_LEVEL = 1e-3
"""The default t_min."""
SIGNAL_LEFT = 0.01
"""α² L² / σ² at t_max in the comparison of integrators: variance of the softest critical mode over the noise."""


def longest_level(size: int, left: float = 1e-4) -> float:
    """t_max = ½ ln(1 + L²/left), where under VP noise α² L² / σ² of the softest critical mode is `left`.

    With a start from white noise the variance of that mode is too small by the fraction `left` at t_max, and by less at
    t_min.

    Args:
        size: L.
        left: α² L² / σ² at t_max.
    """
    return float(portable(0.5 * np.log1p(size**2 / left)))


def portable(levels: Any) -> Array:
    """Levels to twelve digits, so that they are the same numbers, and name the same random streams, on every machine.

    Processors differ in the last bit of exponentials and logarithms.
    """
    return np.array([float(f"{level:.12g}") for level in np.ravel(levels)]).reshape(np.shape(levels))


def check_grid(grid: Sequence[float]) -> Array:
    """Check a grid of noise levels from t_max down to t_min; return it as an array.

    Raises:
        InputError: unless it has at least two levels, all positive and finite, each below the one before.
    """
    levels = np.array([check_level(level) for level in grid])
    if len(levels) < 2 or not (np.diff(levels) < 0.0).all():
        raise InputError("a grid of noise levels must fall from t_max to t_min, and have at least two of them")
    return levels


def _check_ends(t_min: float, t_max: float, steps: int) -> None:
    """Check the ends and the number of steps of a grid."""
    if check_level(t_min) >= check_level(t_max):
        raise InputError(f"t_min is {t_min!r}, t_max is {t_max!r}; t_min must be below t_max")
    check_integer("steps", steps, 1)


def geometric_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels in geometric progression from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.array([t_max, *portable(np.geomspace(t_max, t_min, steps + 1)[1:-1]), t_min])


def uniform_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels equally spaced from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.array([t_max, *portable(np.linspace(t_max, t_min, steps + 1)[1:-1]), t_min])


def log_snr_grid(schedule: Schedule, t_min: float, t_max: float, steps: int) -> Array:
    """Levels at which ln(α²/σ²) is equally spaced, from t_max down to t_min, shape (steps + 1,)."""
    from scipy.optimize.elementwise import find_root

    _check_ends(t_min, t_max, steps)

    def log_ratio(logarithm: Array) -> Array:
        level = np.exp(logarithm)
        return np.asarray(2.0 * np.log(schedule.signal(level)) - np.log(schedule.variance(level)))

    # The ratio falls with ln t, without becoming flat at either end.
    low, high = np.log(t_min), np.log(t_max)
    wanted = np.linspace(log_ratio(high), log_ratio(low), steps + 1)[1:-1]
    if not len(wanted):
        return np.array([t_max, t_min])
    ends = np.full_like(wanted, low), np.full_like(wanted, high)
    found = find_root(lambda x, ratio: log_ratio(x) - ratio, ends, args=(wanted,))  # type: ignore[arg-type, misc]
    return np.array([t_max, *portable(np.exp(found.x)), t_min])


def steps_needed(deviation: Callable[[int], Array], limits: Array) -> tuple[Array, Array]:
    """The first number of steps from which on each criterion holds, as an integer and as a real number.

    Every number up to 32 is tried, then every half octave up to four times the last number at which a criterion fails,
    or to 2^12; then the interval after the last failure is narrowed down. A criterion may hold for a while and fail
    again, as χ does where its error changes sign.

    Args:
        deviation: from a number of steps to the deviations, shape (criteria,).
        limits: the largest deviations allowed, above 0; shape (criteria,).

    Returns:
        (needed, crossing), each of shape (criteria,): integers, infinite where more than 2^12 are needed; and the real
        n at which the deviation equals the limit, with ln deviation linear in ln n between the last number that fails
        and the next (that integer itself if it is 1, or if the deviation before it is infinite).
    """
    octaves = np.arange(1, 2.0 * np.log2(MOST_STEPS / EACH_UP_TO) + 0.5) / 2.0
    ladder = [*range(1, EACH_UP_TO + 1), *np.rint(EACH_UP_TO * 2.0**octaves).astype(int).tolist()]
    tried: dict[int, Array] = {}

    def fails(number: int) -> Any:
        if number not in tried:
            tried[number] = deviation(number)
        return tried[number] > limits

    def between(low: int, high: int, place: int) -> float:
        """The real number at which the deviation equals its limit."""
        if low == 0 or not np.isfinite(tried[low][place]):
            return float(high)
        above, below = (np.log(max(tried[number][place] / limits[place], 1e-300)) for number in (low, high))
        return float(low * (high / low) ** (above / (above - below)))

    failed = np.zeros(len(limits), dtype=int)
    for number in ladder:
        failed[fails(number)] = number
        if number >= EACH_UP_TO and (MARGIN * failed <= number).all():
            break
    needed, crossing = np.full((2, len(limits)), np.inf)
    for place, low in enumerate(failed.tolist()):
        if low == ladder[-1]:
            continue
        high = next(number for number in ladder if number > low)
        for attempt in count():
            if high - low == 1:
                break
            # Deviations are nearly powers of n; halving at every third attempt bounds their number where they are not.
            guess = (low + high) // 2 if attempt % 3 == 2 else int(np.ceil(between(low, high, place)))
            middle = min(max(guess, low + 1), high - 1)
            low, high = (middle, high) if fails(middle)[place] else (low, middle)
        needed[place], crossing[place] = high, between(low, high, place)
    return needed, crossing
