"""Random streams: one generator for each purpose, so that a seed's numbers depend on nothing but what they are for."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
