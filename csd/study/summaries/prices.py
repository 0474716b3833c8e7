"""Prices: what a method asks for its first field and for each further one, in field updates and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csd.lattice import Array

KINDS = ("direct", "accelerated", "local", "diffusion")
FREE = "free"


@dataclass(frozen=True)
class Price:
    """start + each × n, in field updates or in seconds, with standard errors.

    Attributes:
        start, each: before the first field, and for each.
        start_error, each_error: their errors; they go together, so those of a sum add up.
    """

    start: float
    each: float
    start_error: float = 0.0
    each_error: float = 0.0

    def of(self, count: Array | float) -> tuple[Any, Any]:
        """(cost, error) of `count` fields."""
        return self.start + self.each * count, self.start_error + self.each_error * count

    def __add__(self, other: "Price") -> "Price":
        pairs = zip(self._numbers, other._numbers, strict=True)
        return Price(*(own + another for own, another in pairs))

    def measured(self, seconds: float, spread: float) -> "Price":
        """In seconds, of `seconds` an update with a relative error `spread`."""
        return Price(
            self.start * seconds,
            self.each * seconds,
            float(np.hypot(self.start_error, spread * self.start)) * seconds,
            float(np.hypot(self.each_error, spread * self.each)) * seconds,
        )

    @property
    def _numbers(self) -> tuple[float, float, float, float]:
        return self.start, self.each, self.start_error, self.each_error


NO_MAKER = "no such sampler was run on this lattice, or its chains are too short for the tau of m"
UNKNOWN = Price(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Method:
    """A way to make fields on one lattice.

    Attributes:
        name: 'direct', a sampler, or an architecture.
        kind: one of `KINDS`.
        dimension, size: of the lattice.
        updates, seconds: what fields cost.
        data, data_kind: who made the fields that a network learned from, and its kind; 'free' for both if nobody is
            charged, '' for what learns nothing.
        seen: S × B, fields seen in training.
        steps: S, training steps.
        evaluations: of the score for a field made.
        per_field: M/ESS, fields made for one that counts, mean over seeds.
        remark: why there is no cost.
    """

    name: str
    kind: str
    dimension: int
    size: int
    updates: Price
    seconds: Price
    data: str = ""
    data_kind: str = ""
    seen: float = 0.0
    steps: float = 0.0
    evaluations: int = 0
    per_field: float = 1.0
    remark: str = ""


def undominated(methods: Sequence[Method]) -> list[Method]:
    """Those methods of which no other is cheaper both before the first field and for each; one if none has a cost."""
    known = [one for one in methods if np.isfinite(one.updates.each)]
    kept: list[Method] = []
    for one in sorted(known, key=lambda one: (one.updates.start, one.updates.each)):
        if not kept or one.updates.each < kept[-1].updates.each:
            kept.append(one)
    return kept or list(methods[:1])


def cheapest(methods: Sequence[Method], kind: str, dimension: int, size: int, count: float) -> Method | None:
    """Whichever of a kind makes `count` fields of a lattice with the fewest field updates; None if none can."""
    able = [
        one
        for one in methods
        if (one.kind, one.dimension, one.size) == (kind, dimension, size) and np.isfinite(one.updates.each)
    ]
    return min(able, key=lambda one: float(one.updates.of(count)[0]), default=None)
