"""All that bends NumPy's generators: compiled loops that write into the state of one, and when that may be done.

Reason. NumPy spends most of the time of a random number in a call through a pointer for every 64 bits. Minibatches are
little but random numbers, so trainings on them take half as long or less where `csd.core._ziggurat` draws instead.

Checks. The loops give the same numbers, bit for bit, and leave the stream in the same place, so which of the two draws
can be seen in nothing but the time. They are used only where

- the generator is SFC64 and a call asks for `FEW` numbers or more;
- the process has drawn `WORTH_LOADING` numbers before, so that short jobs never load Numba;
- the words at the address that NumPy gives are the generator's state, and thousands of numbers drawn beside the NumPy
  at hand, and the place that the stream is left in, are equal to the last bit;
- what is compiled can be kept on the disk.

Switch. The environment variable `CSD_COMPILED_RANDOM=0` leaves everything to NumPy; Numba is never loaded then.

The loops themselves are in a file of their own, which imports Numba at its first line and is not imported before that
is worth it; Numba finds what it has compiled by the file of a function and the time of its last change.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SWITCH = "CSD_COMPILED_RANDOM"
"""Environment variable that turns the loops off where it is 0; read when they would be loaded."""
WORTH_LOADING = 2**25
"""Numbers that a process draws by NumPy first: about the time that it takes to load the compiled loops, 0.3 s."""
FEW = 256
"""Fewer numbers than this at a call are NumPy's: the way into a compiled loop costs more."""


class Process:
    """What this process has drawn.

    Attributes:
        drawn: numbers, in calls that asked for `FEW` or more.
    """

    drawn = 0


def loops_for(generator: np.random.Generator, numbers: int) -> Any:
    """Count the numbers that are to be drawn; the module of loops that draws them, None where NumPy does."""
    if numbers < FEW:
        return None
    Process.drawn += numbers
    if Process.drawn <= WORTH_LOADING or not isinstance(generator.bit_generator, np.random.SFC64):
        return None
    return compiled_loops()


def load_loops() -> bool:
    """Have numbers drawn by compiled loops from now on; whether that can be done here."""
    Process.drawn = WORTH_LOADING
    return compiled_loops() is not None


def state_words(generator: np.random.Generator) -> NDArray[np.uint64]:
    """The generator's own four words of SFC64, shape (4,): what is written there moves the generator."""
    address: int = generator.bit_generator.ctypes.state_address
    return np.ctypeslib.as_array((ctypes.c_uint64 * 4).from_address(address))


@cache
def compiled_loops() -> Any:
    """The loops, loaded and checked; None where they are turned off, draw otherwise than NumPy, or cannot be kept."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        with _undisturbed():
            from csd.core import _ziggurat as loops
    # Numba's tables are not where they were, or nowhere can be written what is compiled: every job would compile anew.
    except (ImportError, RuntimeError, OSError):
        return None
    # With NUMBA_DISABLE_JIT functions stay what they were.
    is_compiled = hasattr(loops.fill_normal, "py_func")
    return loops if is_compiled and all(draw_alike(loops, order) for order in (1.5, 64.0, 1e6)) else None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait until the end: a Ctrl-C in the midst of loading Numba would be lost."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def draw_alike(loops: Any, order: float) -> bool:
    """Whether loops draw NumPy's normal and Gamma(B) numbers, and leave the stream where NumPy leaves it."""
    theirs, ours = (np.random.Generator(np.random.SFC64(int(order))) for _ in range(2))
    # Nothing is written before the four words are known to be what they are taken for.
    if not np.array_equal(state_words(ours), _place(ours)[0]):
        return False
    normal, gamma = np.empty(2**12), np.empty(2**12)
    loops.fill_normal(state_words(ours), normal)
    loops.fill_gamma(state_words(ours), order, gamma)
    return (
        np.array_equal(normal, theirs.standard_normal(normal.shape))
        and np.array_equal(gamma, theirs.standard_gamma(order, gamma.shape))
        and np.array_equal(_place(ours)[0], _place(theirs)[0])
        and _place(ours)[1:] == _place(theirs)[1:]
    )


def _place(generator: np.random.Generator) -> tuple[NDArray[np.uint64], int, int]:
    """Where a generator stands, by NumPy's own account."""
    state: Any = generator.bit_generator.state
    return state["state"]["state"], state["has_uint32"], state["uinteger"]
