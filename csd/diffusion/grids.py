"""Grids of noise levels, from t_max down to t_min, and how many steps one needs."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from csd.core.errors import InputError, check_integer
from csd.lattice import Array
from csd.targets.noising import Schedule, check_level

MOST_STEPS = 2**12
"""Grids with more steps than this are not looked at where the exact score misses a criterion."""
GRID_STEPS = 64
"""Steps of reverse diffusion where no number is given."""
EACH_UP_TO = 32
"""Numbers of steps that are tried one by one; beyond, every half octave, and then within one."""
MARGIN = 4
"""A criterion has to hold at all numbers tried up to so many times the last at which it fails, or to MOST_STEPS."""
LOWEST_LEVEL = 1e-3
"""t_min where none is given."""
SIGNAL_LEFT = 0.01
"""α² L² / σ² at t_max where integrators are compared: what is left of the softest critical mode, over the noise."""


def longest_level(size: int, left: float = 1e-4) -> float:
    """t_max = ½ ln(1 + L²/left): VP noise that leaves the softest critical mode, of variance L², a signal of `left`.

    A start from white noise makes that mode's variance too small by the share `left` at t_max, and by less at t_min.

    Args:
        size: L.
        left: α² L² / σ² at t_max.
    """
    return 0.5 * float(np.log1p(size**2 / left))


def check_grid(grid: Sequence[float]) -> Array:
    """A grid of noise levels from t_max down to t_min, as an array.

    Raises:
        InputError: unless it has at least two levels, all positive and finite, each below the one before.
    """
    levels = np.array([check_level(level) for level in grid])
    if len(levels) < 2 or not (np.diff(levels) < 0.0).all():
        raise InputError("a grid of noise levels must fall from t_max to t_min, and have at least two of them")
    return levels


def _check_ends(t_min: float, t_max: float, steps: int) -> None:
    """Refuse a grid without room or steps."""
    if check_level(t_min) >= check_level(t_max):
        raise InputError(f"t_min is {t_min!r}, t_max is {t_max!r}; t_min must be below t_max")
    check_integer("steps", steps, 1)


def geometric_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels in geometric progression from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.geomspace(t_max, t_min, steps + 1)


def uniform_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels equally spaced from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.linspace(t_max, t_min, steps + 1)


def log_snr_grid(schedule: Schedule, t_min: float, t_max: float, steps: int) -> Array:
    """Levels at which ln(α²/σ²) is equally spaced, from t_max down to t_min, shape (steps + 1,)."""
    from scipy.optimize.elementwise import find_root

    _check_ends(t_min, t_max, steps)

    def log_ratio(logarithm: Array) -> Array:
        level = np.exp(logarithm)
        return np.asarray(2.0 * np.log(schedule.signal(level)) - np.log(schedule.variance(level)))

    # In ln t the ratio falls without turning flat at either end.
    low, high = np.log(t_min), np.log(t_max)
    wanted = np.linspace(log_ratio(high), log_ratio(low), steps + 1)[1:-1]
    if not len(wanted):
        return np.array([t_max, t_min])
    ends = np.full_like(wanted, low), np.full_like(wanted, high)
    found = find_root(lambda x, ratio: log_ratio(x) - ratio, ends, args=(wanted,))  # type: ignore[arg-type, misc]
    return np.array([t_max, *np.exp(found.x), t_min])


def steps_needed(deviation: Callable[[int], Array], limits: Array) -> tuple[Array, Array]:
    """The first number of steps from which on each criterion holds, and the same as a real number.

    Every number up to 32 is tried, then every half octave up to four times the last number at which a criterion fails,
    or to 2^12; the place between the last that fails and the next that was tried is then closed in on. So a criterion
    may hold for a while and fail again, as χ does where its error changes sign.

    Args:
        deviation: of a number of steps, by criterion; shape (criteria,).
        limits: the largest deviations that are right, above 0; shape (criteria,).

    Returns:
        (needed, crossing), each of shape (criteria,): whole numbers, infinite where more than 2^12 are needed; and the
        real n at which ln deviation, a straight line in ln n between the last number that fails and the next, is at the
        limit (the whole number itself if that is 1, or if the deviation before it is infinite).
    """
    octaves = np.arange(1, 2.0 * np.log2(MOST_STEPS / EACH_UP_TO) + 0.5) / 2.0
    ladder = [*range(1, EACH_UP_TO + 1), *np.rint(EACH_UP_TO * 2.0**octaves).astype(int).tolist()]
    tried: dict[int, Array] = {}

    def fails(number: int) -> Any:
        if number not in tried:
            tried[number] = deviation(number)
        return tried[number] > limits

    def between(low: int, high: int, place: int) -> float:
        """Where the deviation is at its limit, on a straight line in the logarithms."""
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
            # Deviations are nearly powers of n; halving now and then bounds the number of attempts where they are not.
            guess = (low + high) // 2 if attempt % 3 == 2 else int(np.ceil(between(low, high, place)))
            middle = min(max(guess, low + 1), high - 1)
            low, high = (middle, high) if fails(middle)[place] else (low, middle)
        needed[place], crossing[place] = high, between(low, high, place)
    return needed, crossing
