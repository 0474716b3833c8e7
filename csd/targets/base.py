"""What a target is: a distribution of fields on a lattice, and what it may be able to do."""

from typing import Protocol

import numpy as np

from csd.lattice import Array, Lattice


class Target(Protocol):
    """A distribution of real fields that is invariant under translations and the lattice's rotations.

    Built from (lattice, mass); a class of this form can be named in the study by its dotted path.
    """

    @property
    def lattice(self) -> Lattice:
        """Where the fields live."""

    @property
    def mass(self) -> float:
        """Inverse correlation length."""

    def propagator(self, laplacian: Array) -> Array:
        """⟨S(k)⟩ at the given values of k̂²."""

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """`count` independent fields, shape (count, *lattice.shape)."""


class Model(Protocol):
    """A Boltzmann weight e^{−H} of n-component fields."""

    @property
    def lattice(self) -> Lattice:
        """Where the fields live."""

    @property
    def components(self) -> int:
        """n."""

    @property
    def source(self) -> float:
        """s, which breaks the symmetry under rotations unless it is 0."""

    @property
    def coupling(self) -> float:
        """β of the term −β Σ φ(r)·φ(r+μ)."""

    def energy_of_sums(self, sums: Array) -> Array:
        """H from the sums of `csd.lattice.sites.site_sums`, shape (…, 3 + n) → (…)."""

    def start(self, generator: np.random.Generator) -> Array:
        """A disordered field, shape (n, *lattice.shape)."""
