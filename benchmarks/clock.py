"""Timing: several measurements side by side, in turns, so that whatever else the machine does meets all of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np

from csd.lattice import Array

QUARTILES = (0.25, 0.5, 0.75)

Timed = Callable[[], float]
"""One measurement: seconds a unit of work, by the wall clock."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        repeats: measurements of each thing.
        shortest: seconds that one measurement takes at least; work that is shorter is repeated within it.
    """

    repeats: int = 5
    shortest: float = 0.15

    def repeated(self, work: Callable[[], Any], units: float = 1.0) -> Timed:
        """Seconds a unit of work that is called again and again; called once here, to warm up and to count.

        Args:
            work: what is timed.
            units: of work in one call.
        """
        work()
        calls = max(1, ceil(self.shortest / max(elapsed(work), 1e-9)))

        def timed() -> float:
            start = perf_counter()
            for _ in range(calls):
                work()
            return (perf_counter() - start) / (calls * units)

        return timed

    def race(self, timed: Mapping[str, Timed]) -> dict[str, Array]:
        """Every measurement once, then every one again, and so on; shape (repeats,) each."""
        rounds = [[one() for one in timed.values()] for _ in range(self.repeats)]
        return dict(zip(timed, np.array(rounds).T, strict=True))


def elapsed(work: Callable[[], Any]) -> float:
    """Seconds that one call takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def quartiles(values: Array) -> Array:
    """Lower quartile, median and upper quartile over the last axis, shape (…, 3)."""
    return np.moveaxis(np.quantile(values, QUARTILES, axis=-1), 0, -1)


def strings(values: Iterable[str]) -> Any:
    """Strings as an array that NetCDF takes."""
    return np.array(list(values), dtype=object)
