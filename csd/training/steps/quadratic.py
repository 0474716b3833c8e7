"""Rules that are linear in the gradient, on a quadratic loss: the error at any step, stability, the best rate and β.

Along an eigenvector of the Hessian, of curvature λ, the distance e = w − w* evolves alone. With x = η λ, and u the
velocity times η, a step is a linear map of (e, u), and from rest e_j = (M^j)₀₀ e_0:

    gd           M = [[1 − x,            0], [x, 0]]      stable for x < 2
    heavy ball   M = [[1 − x,           −β], [x, β]]      stable for x < 2 (1 + β)
    Nesterov     M = [[1 − (1 + β) x, −β²], [x, β]]       stable for x < 2 (1 + β) / (1 + 2β)

The velocity is u ← β u + x e; the heavy ball then moves by −u, and Nesterov's rule by −(x e + β u). The eigenvalues of
M are the roots in csd.training.descent.optimizers. As x grows, the first to leave the unit circle is −1, where
1 + trace M + det M = 0.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.linalg import matrix_power

from csd.lattice import Array

NUMBERS = 2**17
"""About as many numbers as errors of consecutive steps are computed from at a time."""


def step_map(rule: str, curvature: Array, rate: float, momentum: float) -> Array:
    """M of (e, u), shape (modes, 2, 2).

    Args:
        rule: gd, heavy_ball or nesterov.
        curvature: λ, shape (modes,).
        rate: η.
        momentum: β.
    """
    x, one = rate * curvature, np.ones_like(curvature)
    if rule == "nesterov":
        rows = [[1.0 - (1.0 + momentum) * x, -(momentum**2) * one], [x, momentum * one]]
    else:
        momentum = 0.0 if rule == "gd" else momentum
        rows = [[1.0 - x, -momentum * one], [x, momentum * one]]
    return np.moveaxis(np.array(rows), -1, 0)


def stable_factor(rule: str, momentum: float | Array) -> float | Array:
    """The largest stable η over that of plain descent: 1, 1 + β, or (1 + β) / (1 + 2β).

    Args:
        rule: gd, heavy_ball or nesterov.
        momentum: β.
    """
    if rule == "nesterov":
        return (1.0 + momentum) / (1.0 + 2.0 * momentum)
    return 1.0 + momentum if rule == "heavy_ball" else 1.0 + 0.0 * momentum


def best_pair(rule: str, smallest: float, largest: float) -> tuple[float, float]:
    """(η, β) with the fastest decay of the slowest mode, for curvatures from C_min to C_max, κ = C_max / C_min.

    heavy ball: η = 4 / (√C_max + √C_min)², √β = (√κ − 1) / (√κ + 1), and all modes decay as β^{j/2} (Polyak, 1964).
    Nesterov: η = 4 / (3 C_max + C_min), β = (s − 2) / (s + 2), s = √(3κ + 1), decay (1 − 2/s)^j (Lessard, Recht and
    Packard, 2016). Without momentum: η = 2 / (C_max + C_min), decay ((κ − 1)/(κ + 1))^j.

    Args:
        rule: gd, heavy_ball or nesterov.
        smallest: C_min.
        largest: C_max.
    """
    if rule == "heavy_ball":
        root = (np.sqrt(largest) - np.sqrt(smallest)) / (np.sqrt(largest) + np.sqrt(smallest))
        return float(4.0 / (np.sqrt(largest) + np.sqrt(smallest)) ** 2), float(root**2)
    if rule == "nesterov":
        s = np.sqrt(3.0 * largest / smallest + 1.0)
        return 4.0 / (3.0 * largest + smallest), float((s - 2.0) / (s + 2.0))
    return 2.0 / (largest + smallest), 0.0


@dataclass(frozen=True)
class QuadraticError:
    """ε_j = ε_R + Σ_i s_i [(M_i^j)₀₀]²: the error of a linear rule, from rest, on a quadratic loss.

    Attributes:
        rule: gd, heavy_ball or nesterov.
        curvature: λ, shape (modes,).
        share: s, the contribution of each mode to ε at the start, shape (modes,).
        rate: η.
        momentum: β.
        floor: ε_R.
    """

    rule: str
    curvature: Array
    share: Array
    rate: float
    momentum: float = 0.0
    floor: float = 0.0

    @cached_property
    def _map(self) -> Array:
        """M, shape (modes, 2, 2)."""
        return step_map(self.rule, self.curvature, self.rate, self.momentum)

    def __call__(self, step: float) -> float:
        """ε after a step."""
        if self.rule == "gd":
            left = np.abs(1.0 - self.rate * self.curvature) ** step
        else:
            left = matrix_power(self._map, int(step))[:, 0, 0]
        return float(self.floor + (self.share * left**2).sum())

    def _all(self) -> Iterator[Array]:
        """ε at all steps from 0 on, a block of consecutive steps at a time."""
        # The first states by doubling: M^n leads from the first n to the next n.
        power, states = self._map, np.zeros((len(self.curvature), 2, 1))
        states[:, 0] = 1.0
        while states.size < NUMBERS:
            states = np.concatenate([states, power @ states], axis=2)
            power = power @ power
        while True:
            yield self.floor + self.share @ states[:, 0] ** 2
            states = power @ states

    def entry(self, threshold: float, stay: int, last: int) -> float:
        """The first step j with ε ≤ threshold at j … j + stay, of which the last is at most `last`; NaN if none.

        Args:
            threshold: of ε.
            stay: further steps.
            last: step.
        """
        if self.rule == "gd":
            # Its error never rises.
            found = bisect_left(range(last + 1), True, key=lambda step: self(step) <= threshold)
            return float(found) if found + stay <= last else float("nan")
        since, start = None, 0
        for errors in self._all():
            below = errors <= threshold
            changes = [0, *(np.flatnonzero(below[1:] != below[:-1]) + 1).tolist(), len(below)]
            for first, end in pairwise(changes):
                if not below[first]:
                    since = None
                    continue
                since = start + first if since is None else since
                if start + end - 1 - since >= stay:
                    return float(since) if since + stay <= last else float("nan")
            start += len(below)
            if start > last:
                return float("nan")
        raise AssertionError("there is always another step")
