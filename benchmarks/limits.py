"""What this machine can do, on one core: bandwidth of copies, rate of FFTs, of random numbers, of calls of NumPy.

Bandwidth counts bytes read and bytes written. An FFT's flops are 2.5 N log₂ N for a real transform.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.clock import Effort, Timed
from csd.core.random import draw_gamma, draw_normal, stream
from csd.lattice import Array, Lattice

IN_CACHE, BEYOND_CACHE = 2**14, 2**25
"""Numbers in the arrays that are copied: 128 KB and 256 MB."""
DRAWN = 2**13
"""Random numbers drawn at a time; they stay in the cache, and the allocator keeps their room."""


def limit_timers(effort: Effort, *, beyond_cache: int = BEYOND_CACHE, batch: int = 64) -> dict[str, Timed]:
    """Timers of a unit of what the machine can do.

    Args:
        effort: how long to measure.
        beyond_cache: numbers in the large arrays.
        batch: B of the Gamma(B) that is drawn.

    Returns:
        copy_cache and copy_memory (a byte), gamma and normal (a number, as csd draws it), gamma_numpy and normal_numpy
        (as NumPy's own loops do), call (of a ufunc on five numbers).
    """
    generator = stream("limits")
    numbers = np.empty(DRAWN)
    five = np.ones(5)

    def copy(count: int) -> Callable[[], None]:
        source, target = np.ones(count), np.empty(count)
        return lambda: np.copyto(target, source)

    return {
        "copy_cache": effort.repeated(copy(IN_CACHE), 16.0 * IN_CACHE),
        "copy_memory": effort.repeated(copy(beyond_cache), 16.0 * beyond_cache),
        "gamma": effort.repeated(lambda: draw_gamma(generator, batch, numbers.shape), DRAWN),
        "normal": effort.repeated(lambda: draw_normal(generator, numbers.shape), DRAWN),
        "gamma_numpy": effort.repeated(lambda: generator.standard_gamma(batch, out=numbers), DRAWN),
        "normal_numpy": effort.repeated(lambda: generator.standard_normal(out=numbers), DRAWN),
        "call": effort.repeated(lambda: np.multiply(five, five, out=five)),
    }


def transform_flops(lattice: Lattice) -> float:
    """2.5 N log₂ N of one real transform."""
    return 2.5 * lattice.sites * float(np.log2(lattice.sites))


def transform_pair(lattice: Lattice) -> Callable[[], Array]:
    """One transform of a real field and its inverse, as csd does them."""
    field = stream("transforms").standard_normal(lattice.shape)
    return lambda: lattice.inverse(lattice.transform(field))
