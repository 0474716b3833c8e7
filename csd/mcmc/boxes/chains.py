"""Halves of the scores of fields from chains of the posteriors of boxes, and of all sites."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice
from csd.mcmc.boxes.box import BoxPosterior
from csd.mcmc.boxes.walks import box_walk
from csd.mcmc.posterior.base import Posterior
from csd.mcmc.posterior.effort import Estimates, estimated_in_blocks

PARTS = 4
"""Parts of a half, of τ or more: more fields are worth more than longer chains."""


@dataclass(frozen=True)
class NoisedFields:
    """Fields of a target under noise.

    Args:
        target: φ⁴, unit spins, or any target with energy and force.
        clean: x₀, shape (fields, n, *lattice.shape).
        field: x = α x₀ + σ z, same shape.
        level: t.
        signal: α.
        variance: σ².
    """

    target: Any
    clean: Array
    field: Array
    level: float
    signal: float
    variance: float

    @property
    def middles(self) -> list[tuple[int, ...]]:
        """Sites in the middle of the boxes of a field."""
        return middles(self.target.lattice)

    def moved(self, values: Array) -> Array:
        """Values of each field with each middle of a box at r = 0, shape (fields, …) → (fields × boxes, …)."""
        axes = self.target.lattice.axes
        each = [np.roll(values, [-step for step in middle], axes) for middle in self.middles]
        return np.stack(each, axis=1).reshape(-1, *values.shape[1:])

    def exact_scores(self, accuracy: float, seed: int) -> Estimates:
        """s* of each field, with smaller errors at the middles of boxes.

        Args:
            accuracy: E|ŝ − s*|²/E|s*|².
            seed: of all random numbers.

        Raises:
            InputError: if the chains mix too slowly.
        """
        posterior = Posterior(self.target, self.field, self.signal, self.variance)
        return self._estimated(posterior, self.clean, None, accuracy, seed)

    def box_scores(self, reach: int, accuracy: float, seed: int) -> Estimates:
        """The best scores from the boxes |r_μ| ≤ R: s_R in the middle, and the score of the box's mean.

        Args:
            reach: R.
            accuracy: E|ŝ − s|²/E|s|² of both.
            seed: of all random numbers.

        Returns:
            Halves of shape (2, fields × boxes, n, 2), with the boxes of a field next to each other.

        Raises:
            InputError: if the chains mix too slowly.
        """
        posterior = BoxPosterior(self.target, self.moved(self.field), self.signal, self.variance, reach)
        return self._estimated(posterior, self.moved(self.clean), reach, accuracy, seed)

    def scores_of_all_sites(self, exact: Estimates) -> Estimates:
        """What `box_scores` would return of a box that is the whole lattice, from `exact_scores`, without chains."""
        lattice = self.target.lattice
        sites = lattice.index(np.array(self.middles))

        def read(values: Array) -> Array:
            """Values in the middles of the boxes and means over the lattice, (…, fields, n, *lattice.shape)."""
            inside = np.moveaxis(lattice.take(values, sites), -1, -2)
            mean = np.broadcast_to(values.mean(axis=lattice.axes)[..., None, :], inside.shape)
            pairs = np.stack([inside, mean], axis=-1)
            return pairs.reshape(*values.shape[: -2 - lattice.dimension], -1, *pairs.shape[-2:])

        return replace(exact, halves=read(exact.halves), error=read(exact.error))

    def _estimated(
        self, posterior: Posterior, start: Array, reach: int | None, accuracy: float, seed: int
    ) -> Estimates:
        make = partial(box_walk, chosen=self.target.lattice.index(np.array(self.middles)))
        where = f"noise level {self.level:g}" + ("" if reach is None else f", range {reach}")
        purpose = "boxes", seed, self.level, reach
        return estimated_in_blocks(posterior, start, make, purpose, accuracy, where, known=True, parts=PARTS)


def middles(lattice: Lattice) -> list[tuple[int, ...]]:
    """The sites with all r_μ either 0 or L/2, in the middle of the boxes of a field."""
    return list(product((0, lattice.size // 2), repeat=lattice.dimension))
