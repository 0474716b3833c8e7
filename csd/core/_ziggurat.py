"""Normal and Gamma numbers in compiled loops (Numba), equal to those of NumPy and three to five times as fast.

The loops do what NumPy's `Generator` does on SFC64, bit for bit and from the same state, but without a call through a
pointer for every 64 bits. Normal numbers come from the ziggurat (Marsaglia and Tsang, J. Stat. Software 5, 8, 2000)
with NumPy's tables, Gamma numbers from the cube of a normal number (Marsaglia and Tsang, ACM Trans. Math. Software 26,
363, 2000). `csd.core.compiled_random` decides when they are used, and checks that they agree with the installed NumPy.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.np.random._constants import fi_double as HEIGHTS
from numba.np.random._constants import ki_double as INSIDE
from numba.np.random._constants import wi_double as WIDTHS
from numba.np.random._constants import ziggurat_nor_inv_r as INVERSE_EDGE
from numba.np.random._constants import ziggurat_nor_r as EDGE
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Words = tuple[Any, Any, Any, Any]
"""The state of SFC64: three words and a counter."""

ZERO, ONE, THREE, EIGHT, ELEVEN, TWENTY_FOUR, FORTY = (np.uint64(n) for n in (0, 1, 3, 8, 11, 24, 40))
LAYER, MANTISSA = np.uint64(0xFF), np.uint64(0x000FFFFFFFFFFFFF)
ROOT_HALF = float(np.sqrt(0.5))
STATE, NUMBERS = numba.uint64[::1], numba.float64[::1]
GIVEN = numba.types.Array(numba.float64, 2, "A", readonly=True)
"""A read-only array of any strides."""
MARGIN = 1e-9
"""A margin for the squeeze, far above the rounding errors of the test that it replaces."""


def part(function: Function) -> Function:
    """Compile a function together with those that call it."""
    return cast("Function", numba.njit(error_model="numpy")(function))


def compiled(*arguments: Any) -> Callable[[Function], Function]:
    """Compile the decorated function for these argument types, or load it from disk; IEEE arithmetic, no threads."""
    return cast("Callable[[Function], Function]", numba.njit(numba.void(*arguments), cache=True, error_model="numpy"))


@part
def following(words: Words) -> tuple[Any, Words]:
    """The next 64 bits and the new state."""
    a, b, c, counter = words
    bits = a + b + counter
    return bits, (b ^ (b >> ELEVEN), c + (c << THREE), ((c << TWENTY_FOUR) | (c >> FORTY)) + bits, counter + ONE)


@part
def uniform(words: Words) -> tuple[float, Words]:
    """A uniform number in [0, 1) of 53 bits, and the new state."""
    bits, words = following(words)
    return np.float64(bits >> ELEVEN) * (1.0 / 9007199254740992.0), words


@part
def layered(bits: Any) -> tuple[Any, Any, float]:
    """The layer of the ziggurat, the place in it and the normal number that 64 bits encode."""
    place = (bits >> (EIGHT + ONE)) & MANTISSA
    layer = bits & LAYER
    value = np.float64(np.int64(place)) * WIDTHS[layer]
    return layer, place, -value if (bits >> EIGHT) & ONE else value


@part
def beside(layer: Any, place: Any, value: float, words: Words) -> tuple[float, Words]:
    """A normal number after the first try fell outside its layer, which happens once in a hundred tries."""
    while True:
        if layer == ZERO:
            while True:
                first, words = uniform(words)
                second, words = uniform(words)
                beyond, height = -INVERSE_EDGE * np.log1p(-first), -np.log1p(-second)
                if height + height > beyond * beyond:
                    return (-(EDGE + beyond) if (place >> EIGHT) & ONE else EDGE + beyond), words
        height, words = uniform(words)
        if (HEIGHTS[layer - ONE] - HEIGHTS[layer]) * height + HEIGHTS[layer] < np.exp(-0.5 * value * value):
            return value, words
        bits, words = following(words)
        layer, place, value = layered(bits)
        if place < INSIDE[layer]:
            return value, words


@part
def normal(words: Words) -> tuple[float, Words]:
    """A normal number and the new state."""
    bits, words = following(words)
    layer, place, value = layered(bits)
    if place < INSIDE[layer]:
        return value, words
    return beside(layer, place, value, words)


@compiled(STATE, NUMBERS)
def fill_normal(state: NDArray[np.uint64], out: NDArray[np.float64]) -> None:
    """Fill an array with independent standard normal numbers.

    Args:
        state: of SFC64, shape (4,); advanced.
        out: shape (numbers,).
    """
    words = (state[0], state[1], state[2], state[3])
    for i in range(out.size):
        out[i], words = normal(words)
    state[0], state[1], state[2], state[3] = words


@compiled(STATE, GIVEN, GIVEN, numba.complex128[:, :])
def fill_complex_normal(
    state: NDArray[np.uint64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    out: NDArray[np.complex128],
) -> None:
    """Set out = mean + deviation × ζ with independent complex normal numbers ζ of ⟨|ζ|²⟩ = 1.

    Args:
        state: of SFC64, shape (4,); advanced.
        mean: shape (rows, columns).
        deviation: same shape.
        out: same shape.
    """
    words = (state[0], state[1], state[2], state[3])
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            real, words = normal(words)
            imaginary, words = normal(words)
            spread = deviation[row, column]
            out[row, column] = complex(mean[row, column] + real * ROOT_HALF * spread, imaginary * ROOT_HALF * spread)
    state[0], state[1], state[2], state[3] = words


@compiled(STATE, numba.float64, NUMBERS)
def fill_gamma(state: NDArray[np.uint64], shape: float, out: NDArray[np.float64]) -> None:
    """Fill an array with independent numbers of density x^{B−1} e^{−x} / Γ(B).

    Args:
        state: of SFC64, shape (4,); advanced.
        shape: B > 1.
        out: shape (numbers,).
    """
    words = (state[0], state[1], state[2], state[3])
    scale = shape - 1.0 / 3.0
    width = 1.0 / np.sqrt(9.0 * scale)
    # NumPy accepts x if ln u < f(x) = x²/2 + b (1 − v + ln v), v = (1 + y)³, y = x/√(9b), and without evaluating f if
    # u < 1 − 0.0331 x⁴. As f = −b y⁴ (3/4 − 3y/5 + …) ≥ −1.3 b y⁴ for |y| ≤ 1/2, it accepts every x with
    # u < 1 − 1.5 b y⁴ = 1 − x⁴/(54 b), a bound hundreds of times nearer to 1; it is below 0 for |y| > 1/2 and b > 11.
    squeeze, top = (1.0 / (54.0 * scale), 1.0 - MARGIN) if 11.0 < scale < 1e5 else (0.0, 0.0)
    for i in range(out.size):
        while True:
            while True:
                value, words = normal(words)
                cube = 1.0 + width * value
                if cube > 0.0:
                    break
            cube = cube * cube * cube
            level, words = uniform(words)
            square = value * value
            if level < top - squeeze * square * square or level < 1.0 - 0.0331 * square * square:
                break
            if np.log(level) < 0.5 * value * value + scale * (1.0 - cube + np.log(cube)):
                break
        out[i] = scale * cube
    state[0], state[1], state[2], state[3] = words
