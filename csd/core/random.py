"""Random streams: one generator for each purpose, so that a seed's numbers depend on nothing but what they are for.

Numbers are NumPy's. A process that draws many of them has them drawn by compiled loops (`csd.core._ziggurat`) from some
point on, which give the same numbers, bit for bit, and leave the stream in the same place; which of the two draws can
be seen in nothing but the time.
"""

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORTH_LOADING = 2**25
"""Numbers that a process draws by NumPy first: about the time that it takes to load the compiled loops, 0.3 s."""
ROOT_HALF = float(np.sqrt(0.5))
FEW = 256
"""Fewer numbers than this at a call are NumPy's: the way into a compiled loop costs more."""


def stream(*purpose: object) -> np.random.Generator:
    """The generator that belongs to a purpose: its parts, in order (run, seed, noise level, 'start', …).

    The same parts give the same numbers on every machine, whatever else is drawn, in whatever order. The bit generator
    is SFC64, NumPy's fastest, seeded with the BLAKE2 hash of the parts.
    """
    digest = blake2b("\x1f".join(map(repr, purpose)).encode(), digest_size=32).digest()
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(int.from_bytes(digest, "little"))))


def position(generator: np.random.Generator) -> NDArray[np.uint64]:
    """Where a stream stands, as six numbers."""
    state: Any = generator.bit_generator.state
    return np.array([*state["state"]["state"], state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def move_to(generator: np.random.Generator, place: NDArray[np.uint64]) -> None:
    """Go on from where a stream once stood."""
    generator.bit_generator.state = {
        "bit_generator": "SFC64",
        "state": {"state": place[:4]},
        "has_uint32": int(place[4]),
        "uinteger": int(place[5]),
    }


def draw_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent standard normal numbers: `generator.standard_normal(shape)`, as fast as the process can."""
    numbers = np.empty(shape)
    if _PROCESS.compiles(generator, numbers.size):
        _loops().fill_normal(_state(generator), numbers.reshape(-1))
    else:
        generator.standard_normal(out=numbers)
    return numbers


def draw_gamma(generator: np.random.Generator, order: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent Gamma(B) numbers: `generator.standard_gamma(B, shape)`, as fast as the process can.

    Args:
        generator: where they come from.
        order: B > 0.
        shape: of the array.
    """
    numbers = np.empty(shape)
    if order > 1.0 and _PROCESS.compiles(generator, numbers.size):
        _loops().fill_gamma(_state(generator), float(order), numbers.reshape(-1))
    else:
        generator.standard_gamma(order, out=numbers)
    return numbers


def draw_complex_normal(
    generator: np.random.Generator,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    out: NDArray[np.complex128],
) -> None:
    """Fill mean + deviation × ζ, ζ independent complex normal numbers of ⟨|ζ|²⟩ = 1.

    Args:
        generator: where they come from.
        mean: real, shape (rows, columns).
        deviation: real, same shape.
        out: where they go, same shape; may be part of wider rows.
    """
    if _PROCESS.compiles(generator, 2 * out.size):
        _loops().fill_complex_normal(_state(generator), mean, deviation, out)
        return
    unit = generator.standard_normal((*out.shape, 2))
    unit *= ROOT_HALF
    np.multiply(unit[..., 0], deviation, out=out.real)
    out.real += mean
    np.multiply(unit[..., 1], deviation, out=out.imag)


def load_loops() -> bool:
    """Have numbers drawn by compiled loops from now on; whether that can be done here."""
    _PROCESS.drawn = WORTH_LOADING
    return _loops() is not None


class _Process:
    """What this process has drawn.

    Attributes:
        drawn: numbers.
    """

    def __init__(self) -> None:
        self.drawn = 0

    def compiles(self, generator: np.random.Generator, numbers: int) -> bool:
        """Count the numbers that are to be drawn; whether compiled loops draw them."""
        if numbers < FEW:
            return False
        self.drawn += numbers
        return (
            self.drawn > WORTH_LOADING and _loops() is not None and isinstance(generator.bit_generator, np.random.SFC64)
        )


_PROCESS = _Process()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait until the end: a Ctrl-C in the midst of loading Numba would be lost."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@cache
def _loops() -> Any:
    """The compiled loops; None where they do not draw what the NumPy at hand draws, or cannot be kept once compiled."""
    try:
        with _undisturbed():
            from csd.core import _ziggurat as ziggurat
    # Numba's tables are not where they were, or nowhere can be written what is compiled: every job would compile anew.
    except (ImportError, RuntimeError, OSError):
        return None
    # With NUMBA_DISABLE_JIT functions stay what they were.
    is_compiled = hasattr(ziggurat.fill_normal, "py_func")
    return ziggurat if is_compiled and all(_agrees(ziggurat, order) for order in (1.5, 64.0, 1e6)) else None


def _agrees(loops: Any, order: float) -> bool:
    """Whether compiled loops draw NumPy's numbers, and leave the stream where NumPy leaves it."""
    theirs, ours = stream("compiled loops", order), stream("compiled loops", order)
    # Nothing is written before the four words are known to be what they are taken for.
    if not np.array_equal(_state(ours), position(ours)[:4]):
        return False
    normal, gamma = np.empty(2**12), np.empty(2**12)
    loops.fill_normal(_state(ours), normal)
    loops.fill_gamma(_state(ours), order, gamma)
    return (
        np.array_equal(normal, theirs.standard_normal(normal.shape))
        and np.array_equal(gamma, theirs.standard_gamma(order, gamma.shape))
        and np.array_equal(position(ours), position(theirs))
    )


def _state(generator: np.random.Generator) -> NDArray[np.uint64]:
    """The generator's own four words of SFC64, shape (4,): what is written there moves the generator."""
    address: int = generator.bit_generator.ctypes.state_address
    return np.ctypeslib.as_array((ctypes.c_uint64 * 4).from_address(address))
