"""The relative error of networks against exact scores of held-out fields, without a bias by the noise of the scores.

    ε = E[(s − ŝ_A)·(s − ŝ_B)] / E[ŝ_A·ŝ_B]

with two estimates that are independent given the field. With m = (ŝ_A + ŝ_B)/2 and δ = (ŝ_A − ŝ_B)/2 the products are
|s − m|² − |δ|² and |m|² − |δ|², and by Parseval's theorem sums over momenta. So ε is known at k = 0, in bins of modes,
and, for a linear score s = −K∗x, from spectra of x and m alone: |s − m|² = |K|² |x|² + 2 Re(K x m*) + |m|².

Errors are by a jackknife over blocks of fields. As ε is a difference, it may come out slightly negative.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from csd.lattice import Array, Modes
from csd.lattice.bins import LengthBins
from csd.lattice.jackknife import jackknife_error
from csd.targets.noising import NoisedTarget
from csd.training.metrics.scored_fields import MOST_FIELDS, ScoredFields

BLOCKS = 32
"""The most blocks of the jackknife."""
PIECE, NUMBERS_OF_PIECE = 128, 2**22
"""The most fields of which a network gives the scores in one call, and the most numbers of these."""
Part = Callable[[int, slice], Array]
"""(level, fields) → numbers of these fields, shape (fields, n, *lattice.shape)."""
NAMES = ("exact_score_error", "exact_score_error_error", "zero_mode_error", "zero_mode_error_error")
"""The first numbers of a row of `ScoreErrors`; those of bins follow."""


class ScoreErrors:
    """ε of networks on the fields of a file.

    A row of errors holds ε, its standard error, the same two at k = 0, and ε in each bin of modes.

    Args:
        scored: the fields and their exact scores.
        noised: the target at its noise levels.
        modes: of the kernels.
        some: whether errors are NaN at noise levels that the file lacks, if it has one or more.

    Attributes:
        measured: whether the file has each noise level, shape (levels,).

    Raises:
        InputError: if the fields of the file are on another lattice, or lack a noise level.
    """

    def __init__(self, scored: ScoredFields, noised: NoisedTarget, modes: Modes, *, some: bool = False) -> None:
        places = scored.places(noised, some=some)
        self.measured = np.array([place is not None for place in places])
        # A level that the file lacks takes the place of any other, as its errors are NaN.
        self._places = [place or 0 for place in places]
        self.lattice, self.modes = noised.lattice, modes
        self.bins = LengthBins(modes, noised.target.mass, self.lattice.dimension)
        self.scored, self.count = scored, min(len(scored.clean), MOST_FIELDS)
        self.means = noised.means
        edges = np.linspace(0, self.count, min(BLOCKS, self.count) + 1).astype(int).tolist()
        self._blocks = [slice(*ends) for ends in pairwise(edges)]
        self._zero = int(np.argmin(modes.laplacian))
        # Sums over the fields of each block, at each mode: |δ|², ŝ_A·ŝ_B and, for kernels alone, |x|² and x·m*.
        self._noise, self._products, self._squares, self._cross = [], [], list[Array](), list[Any]()
        for level in range(len(self._places)):
            self._noise.append(self._sums(level, self._difference))
            self._products.append(self._sums(level, self._mean) - self._noise[-1])

    @property
    def linear(self) -> dict[str, Array]:
        """ε of the best linear score at each level and its standard error; empty where scores are in closed form."""
        known = {name: own[self._places] for name, own in self.scored.numbers.items()}
        return {name: np.where(self.measured, own, np.nan) for name, own in known.items()}

    def _fields(self, level: int, which: slice) -> Array:
        """x − α μ, shape (fields, n, *lattice.shape)."""
        return np.asarray(self.scored.fields[self._places[level], which].astype(float) - self.means[level])

    def _mean(self, level: int, which: slice) -> Array:
        """m = (ŝ_A + ŝ_B)/2, same shape."""
        return np.asarray(self.scored.halves[self._places[level], :, which].mean(axis=0, dtype=float))

    def _difference(self, level: int, which: slice) -> Array:
        """δ = (ŝ_A − ŝ_B)/2, same shape."""
        halves = self.scored.halves[self._places[level], :, which].astype(float)
        return np.asarray(0.5 * (halves[0] - halves[-1]))

    def _of_modes(self, one: Array, other: Array) -> Any:
        """Σ_a â_a b̂_a*/N of fields of n components, at each mode; shape (fields, modes), real if both are the same.

        At *shells* the real part, as a mean over the momenta of the shell.
        """
        lattice, modes = self.lattice, self.modes
        first = lattice.transform(one)
        second = first if one is other else lattice.transform(other)
        found = (first * second.conj()).sum(axis=1) / lattice.sites
        if one is other or modes.isotropic:
            found = found.real
        if not modes.isotropic:
            return lattice.gather(found, modes)
        weighted = (lattice.half_multiplicity * found).reshape(len(found), -1)
        rows = [np.bincount(lattice.shell_of_half, weights=row, minlength=len(modes)) for row in weighted]
        return np.stack(rows) / modes.multiplicity

    def _sums(self, level: int, one: Part, other: Part | None = None) -> Any:
        """Sums of products over the fields of each block, or of squares; shape (blocks, modes)."""
        rows = []
        for block in self._blocks:
            first = one(level, block)
            rows.append(self._of_modes(first, first if other is None else other(level, block)).sum(axis=0))
        return np.stack(rows)

    def of_kernels(self, kernels: Any) -> Array:
        """Rows of linear scores −K∗(x − α μ), shape (seeds, levels, 4 + bins), from K, shape (seeds, levels, modes)."""
        if not self._squares:
            for level in range(len(self._places)):
                self._squares.append(self._sums(level, self._fields))
                self._cross.append(self._sums(level, self._fields, self._mean))
        weight, zero = self.modes.multiplicity, self._zero
        rows = []
        for level, (squares, cross) in enumerate(zip(self._squares, self._cross, strict=True)):
            own, rest = kernels[:, level], self._products[level]
            power = own.real**2 + own.imag**2 if np.iscomplexobj(own) else own**2
            total = power @ (weight * squares).T + 2.0 * (own @ (weight * cross).T).real + rest @ weight
            at_zero = power[:, [zero]] * squares[:, zero] + 2.0 * (own[:, [zero]] * cross[:, zero]).real + rest[:, zero]
            of_modes = power * squares.sum(axis=0) + 2.0 * (own * cross.sum(axis=0)).real + rest.sum(axis=0)
            rows.append(self._row(level, total, at_zero, of_modes))
        return np.stack(rows, axis=1)

    def of_score(self, level: int, score: Callable[[Array], Array], components: int | None) -> Array:
        """The row of a network at a level, shape (4 + bins,).

        Args:
            level: its place.
            score: s of fields x − α μ of shape (fields, n, *lattice.shape), for scalar fields (fields, *lattice.shape).
            components: n of a network that takes components together; None for one of scalar fields.
        """
        if not self.measured[level]:
            return np.full(len(NAMES) + len(self.bins.middles), np.nan)
        numbers = self.scored.components * self.lattice.sites
        step = int(np.clip(NUMBERS_OF_PIECE // numbers, 1, PIECE))
        found = []
        for first in range(0, self.count, step):
            own = self._fields(level, slice(first, min(first + step, self.count)))
            given = own if components else own.reshape(-1, *self.lattice.shape)
            found.append(score(given).reshape(own.shape))
        scores = np.concatenate(found)
        sums = self._sums(level, lambda at, block: scores[block] - self._mean(at, block)) - self._noise[level]
        return self._row(level, sums @ self.modes.multiplicity, sums[:, self._zero], sums.sum(axis=0))

    def _row(self, level: int, total: Array, at_zero: Array, of_modes: Array) -> Array:
        """A row of errors from sums of (s − ŝ_A)·(s − ŝ_B), shape (…, blocks), (…, blocks) and (…, modes)."""
        products = self._products[level]
        both = _ratio(total, products @ self.modes.multiplicity), _ratio(at_zero, products[:, self._zero])
        numbers = np.stack([one for pair in both for one in pair], axis=-1)
        bins = self.bins.mean(of_modes) / self.bins.mean(products.sum(axis=0))
        return np.concatenate([numbers, bins], axis=-1)


def _ratio(numerators: Array, denominators: Array) -> tuple[Array, Array]:
    """Σ n / Σ d over blocks, and its standard error by a jackknife, NaN with one block; (…, blocks) → (…)."""
    above, below = numerators.sum(axis=-1), denominators.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        # All blocks at once: a single one leaves nothing without it.
        left = (above[..., None] - numerators) / (below - denominators)
    return above / below, jackknife_error(left, axis=-1)
