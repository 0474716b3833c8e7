"""The posterior of fields x₀ of which noised values x = α x₀ + σ z are observed in a box |r_μ| ≤ R only.

    p(φ | x in B) ∝ exp(−H(φ) − ½ γ Σ_{r∈B} φ² + Σ_{r∈B} j·φ),   γ = α²/σ²,   j = α x/σ²

on the whole lattice: outside the box φ fluctuates freely, and makes the weight of what is inside. x₀ is an exact draw
of this posterior as well, since it is one given any part of x. Of ⟨φ⟩ two numbers are read: its value at the site
r = 0 in the middle of the box, and its mean over the box.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from csd.core.plugins import is_user_defined
from csd.lattice import Array, Lattice
from csd.lattice.sites import Indices
from csd.mcmc.posterior.base import Posterior


@dataclass(frozen=True)
class BoxPosterior(Posterior):
    """The posterior of several fields, given their noised values in a box.

    Args:
        target: the distribution of x₀.
        noised: x, shape (fields, n, *lattice.shape).
        signal: α.
        variance: σ².
        reach: R.

    Raises:
        InputError: if the box does not fit on the lattice, R ≥ L/2.
    """

    reach: int

    @property
    def sites(self) -> Indices:
        """Flat indices of the sites of the box, in ascending order."""
        return np.flatnonzero(readings_of(self.lattice, self.reach)[1])

    @property
    def site_precision(self) -> Array:
        """γ in the box and 0 outside, shape `lattice.shape`."""
        return self.precision * self._inside

    @property
    def source(self) -> Array:
        """j = α x/σ² in the box and 0 outside, with the target's own uniform source if it has one."""
        total = self.signal / self.variance * self.noised * self._inside
        if not is_user_defined(self.target):
            total[:, 0] += self.target.source
        return total

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is read of ⟨φ⟩: (fields, n, 2)."""
        return (*self.noised.shape[:2], 2)

    @property
    def _inside(self) -> Array:
        """1 in the box and 0 outside, shape `lattice.shape`."""
        return (readings_of(self.lattice, self.reach)[1] > 0.0).astype(float).reshape(self.lattice.shape)

    def read(self, fields: Array) -> Array:
        """Values at r = 0 and means over the box, shape (…, *lattice.shape) → (…, 2)."""
        weights = readings_of(self.lattice, self.reach).T
        return np.asarray(fields.reshape(*fields.shape[: -self.lattice.dimension], -1) @ weights)

    def score(self, mean: Array) -> Array:
        """(α ⟨φ⟩ − x)/σ² from readings of ⟨φ⟩, shape (fields, n, 2)."""
        return (self.signal * mean - self.read(self.noised)) / self.variance


@lru_cache(maxsize=8)
def readings_of(lattice: Lattice, reach: int) -> Array:
    """Weights of the sites in what is read of a field, its value at r = 0 and its mean over a box; shape (2, sites).

    Args:
        lattice: where the box lies.
        reach: R of the box |r_μ| ≤ R.

    Raises:
        InputError: if R ≥ L/2.
    """
    box, weights = lattice.index(lattice.box(reach)), np.zeros((2, lattice.sites))
    weights[0, 0] = 1.0
    weights[1, box] = 1.0 / len(box)
    return weights
