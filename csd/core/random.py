"""Random streams: one generator for each purpose, so that the numbers of a seed depend only on their purpose.

All numbers are those of NumPy. A process that needs many of them draws them in compiled loops, which give the same
numbers bit for bit; `csd.core.compiled_random` explains when, and how to turn this off.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.compiled_random import loops_for, state_words
from csd.core.compiled_random import position as position

ONE_AT_A_TIME = RLock()
"""Held while the global generators have states that are not the caller's, as threads share them."""
ROOT_HALF = float(np.sqrt(0.5))
GLOBAL = 0x676C6F62616C
"""Key of the seeds of global generators among the descendants of a stream's seed."""


def stream(*purpose: object) -> np.random.Generator:
    """The generator for a purpose, given by its parts in order (run, seed, noise level, 'start', …).

    Equal parts give equal numbers on every machine and in any order of drawing. The bit generator is SFC64, NumPy's
    fastest, seeded with the BLAKE2 hash of the parts.
    """
    digest = blake2b("\x1f".join(map(repr, purpose)).encode(), digest_size=32).digest()
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(int.from_bytes(digest, "little"))))


@contextmanager
def global_generators(generator: np.random.Generator) -> Iterator[None]:
    """Seed the global generators of PyTorch, NumPy and Python while the block runs, and set them back at its end.

    Args:
        generator: a stream, from whose purpose the seeds follow; nothing is drawn from it.
    """
    purpose: Any = generator.bit_generator.seed_seq
    own = np.random.SeedSequence(purpose.entropy, spawn_key=(*purpose.spawn_key, GLOBAL))
    seeds = own.generate_state(3).tolist()
    with ONE_AT_A_TIME, ExitStack() as states:
        states.callback(random.setstate, random.getstate())
        states.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
        random.seed(seeds[0])
        np.random.seed(seeds[1])  # noqa: NPY002
        # A network without PyTorch must not load it.
        if torch := sys.modules.get("torch"):
            devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
            states.enter_context(torch.random.fork_rng(devices=devices))
            (torch.manual_seed if devices else torch.default_generator.manual_seed)(seeds[2])
        yield


def move_to(generator: np.random.Generator, place: NDArray[np.uint64]) -> None:
    """Set the state of a stream to one returned by `position`."""
    generator.bit_generator.state = {
        "bit_generator": "SFC64",
        "state": {"state": place[:4]},
        "has_uint32": int(place[4]),
        "uinteger": int(place[5]),
    }


def draw_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent standard normal numbers, equal to `generator.standard_normal(shape)`; compiled if that is faster."""
    numbers = np.empty(shape)
    loops = loops_for(generator, numbers.size)
    if loops is not None:
        loops.fill_normal(state_words(generator), numbers.reshape(-1))
    else:
        generator.standard_normal(out=numbers)
    return numbers


def draw_gamma(generator: np.random.Generator, order: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Independent Gamma(B) numbers, equal to `generator.standard_gamma(B, shape)`; compiled where that is faster.

    Args:
        generator: the random stream.
        order: B > 0.
        shape: of the array.
    """
    numbers = np.empty(shape)
    loops = loops_for(generator, numbers.size) if order > 1.0 else None
    if loops is not None:
        loops.fill_gamma(state_words(generator), float(order), numbers.reshape(-1))
    else:
        generator.standard_gamma(order, out=numbers)
    return numbers


def draw_complex_normal(
    generator: np.random.Generator,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    out: NDArray[np.complex128],
) -> None:
    """Set out = mean + deviation × ζ with independent complex normal numbers ζ of ⟨|ζ|²⟩ = 1.

    Args:
        generator: the random stream.
        mean: real, shape (rows, columns).
        deviation: real, same shape.
        out: array for the result, same shape; it may be part of wider rows.
    """
    loops = loops_for(generator, 2 * out.size)
    if loops is not None:
        loops.fill_complex_normal(state_words(generator), mean, deviation, out)
        return
    unit = generator.standard_normal((*out.shape, 2))
    unit *= ROOT_HALF
    np.multiply(unit[..., 0], deviation, out=out.real)
    out.real += mean
    np.multiply(unit[..., 1], deviation, out=out.imag)
