"""When random numbers are drawn by compiled loops that write into the state of a NumPy generator.

Reason: NumPy spends most of the time of a random number in a call through a pointer for every 64 bits. Minibatches
consist of random numbers, so a training on them takes half as long or less with the loops of `csd.core._ziggurat`.

Checks: the loops give the same numbers bit for bit and leave the stream in the same state, so only the time differs.
They are used only if

- the generator is SFC64 and the call asks for at least `FEW` numbers;
- the process has drawn `WORTH_LOADING` numbers before, so that short jobs never load Numba;
- the words at the address given by NumPy are the state of the generator, and thousands of numbers and the final state
  agree with the installed NumPy to the last bit;
- the compiled code can be stored on disk.

Switch: with the environment variable `CSD_COMPILED_RANDOM=0` NumPy draws everything, and Numba is never loaded.

The loops are in a module of their own, since importing it imports Numba; Numba finds its compiled code by the file of
a function and the time of its last change.
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
"""Environment variable that turns the loops off if it is 0; read when they would be loaded."""
WORTH_LOADING = 2**25
"""Numbers that a process first draws with NumPy; they take as long as loading the compiled loops, about 0.3 s."""
FEW = 256
"""Calls for fewer numbers than this use NumPy, as calling a compiled loop costs more."""


class Process:
    """A counter of this process.

    Attributes:
        drawn: numbers drawn in calls for at least `FEW`.
    """

    drawn = 0


def loops_for(generator: np.random.Generator, numbers: int) -> Any:
    """Count the numbers to be drawn; return the module of loops that is to draw them, None if NumPy is."""
    if numbers < FEW:
        return None
    Process.drawn += numbers
    if Process.drawn <= WORTH_LOADING or not isinstance(generator.bit_generator, np.random.SFC64):
        return None
    return compiled_loops()


def load_loops() -> bool:
    """Use the compiled loops from now on; return whether this is possible here."""
    Process.drawn = WORTH_LOADING
    return compiled_loops() is not None


def state_words(generator: np.random.Generator) -> NDArray[np.uint64]:
    """The four words of the state of an SFC64 generator, shape (4,); writing to them changes the generator."""
    address: int = generator.bit_generator.ctypes.state_address
    return np.ctypeslib.as_array((ctypes.c_uint64 * 4).from_address(address))


def position(generator: np.random.Generator) -> NDArray[np.uint64]:
    """The state of an SFC64 generator as NumPy reports it, as six numbers."""
    state: Any = generator.bit_generator.state
    return np.array([*state["state"]["state"], state["has_uint32"], state["uinteger"]], dtype=np.uint64)


@cache
def compiled_loops() -> Any:
    """The module of loops, checked; None if they are turned off, disagree with NumPy, or cannot be stored."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        with _undisturbed():
            from csd.core import _ziggurat as loops
    # Numba has moved its tables, or its compiled code can neither be read nor stored, so that every job would compile
    # it again.
    except Exception:
        return None
    # With NUMBA_DISABLE_JIT nothing is compiled.
    is_compiled = hasattr(loops.fill_normal, "py_func")
    return loops if is_compiled and all(draw_alike(loops, order) for order in (1.5, 64.0, 1e6)) else None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back signals until the end of the block, since a Ctrl-C while Numba is loaded would be lost."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def draw_alike(loops: Any, order: float) -> bool:
    """Whether the loops draw the normal and Gamma(B) numbers of NumPy and leave the stream in the same state."""
    theirs, ours = (np.random.Generator(np.random.SFC64(int(order))) for _ in range(2))
    # Nothing is written before it is certain that the four words are the state.
    if not np.array_equal(state_words(ours), position(ours)[:4]):
        return False
    normal, gamma = np.empty(2**12), np.empty(2**12)
    loops.fill_normal(state_words(ours), normal)
    loops.fill_gamma(state_words(ours), order, gamma)
    return (
        np.array_equal(normal, theirs.standard_normal(normal.shape))
        and np.array_equal(gamma, theirs.standard_gamma(order, gamma.shape))
        and np.array_equal(position(ours), position(theirs))
    )
