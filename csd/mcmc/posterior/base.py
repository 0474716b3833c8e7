"""The posterior of fields x₀ given noised fields x = α x₀ + σ z, and what a Markov chain of it must do.

    p(φ | x) ∝ exp(−H(φ) − ½ γ φ² + j·φ),   γ = α²/σ²,   j = α x/σ²,   s*(x) = (α ⟨φ⟩ − x)/σ²

So the posterior is the target with a larger mass and a source at each site.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import checked_numbers, is_user_defined, require_methods
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.targets.base import Target

ROUNDING = 1e-9
"""Relative difference of two energies that counts as rounding."""
STEP = 1e-4
"""Step of the difference of energies that is compared with a force, and the relative deviation that is allowed."""


@runtime_checkable
class HasSmoothEnergy(Target, Protocol):
    """A target e^{−H} of real fields, of which nothing but H and its force is needed."""

    def energy(self, fields: Array) -> Array:
        """H, shape (…, n, *lattice.shape) → (…)."""

    def force(self, fields: Array) -> Array:
        """−∂H/∂φ, same shape as `fields`."""


@dataclass(frozen=True)
class Posterior:
    """The posterior of several fields at one noise level.

    Args:
        target: the distribution of x₀.
        noised: x, shape (fields, n, *lattice.shape).
        signal: α.
        variance: σ².
    """

    target: Any
    noised: Array
    signal: float
    variance: float

    @property
    def lattice(self) -> Lattice:
        """Where the fields live."""
        lattice: Lattice = self.target.lattice
        return lattice

    @property
    def precision(self) -> float:
        """γ = α²/σ²."""
        return self.signal**2 / self.variance

    @property
    def site_precision(self) -> float | Array:
        """γ at each site: the same number at all, as each site is observed."""
        return self.precision

    @property
    def source(self) -> Array:
        """j = α x/σ², with the target's own uniform source if it has one; same shape as the fields."""
        total = self.signal / self.variance * self.noised
        if not is_user_defined(self.target):
            total[:, 0] += self.target.source
        return total

    def part(self, chosen: slice) -> Self:
        """The posterior of some of the fields."""
        return replace(self, noised=self.noised[chosen])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of estimates of ⟨φ⟩, that of x."""
        return self.noised.shape

    def score(self, mean: Array) -> Array:
        """(α ⟨φ⟩ − x)/σ² from an estimate of ⟨φ⟩, same shape."""
        return (self.signal * mean - self.noised) / self.variance

    def start(self) -> Array:
        """αx/(α² + σ²), the mean of x₀ if it were white noise of variance 1; its direction for unit spins."""
        if not getattr(self.target, "unit_length", False):
            return self.signal / (self.signal**2 + self.variance) * self.noised
        length = np.sqrt((self.noised**2).sum(axis=1, keepdims=True))
        direction = np.where(length > 0.0, self.noised, 1.0)
        return np.asarray(direction / np.sqrt((direction**2).sum(axis=1, keepdims=True)))


class Walk(Protocol):
    """Markov chains of the posterior of some fields, one chain a field."""

    def tune(self, sweeps: int) -> None:
        """Make sweeps, and tune what can be tuned."""

    def present(self) -> Array:
        """The present fields, shape (fields, n, *lattice.shape)."""

    def advance(self, sweeps: int) -> tuple[Array, Array]:
        """Make sweeps.

        Returns:
            An unbiased estimate of ⟨φ⟩ by their mean, shape (fields, n, *lattice.shape), and the series of slow
            observables, shape (sweeps, n + 1, fields).
        """


def components_of(target: Any) -> int:
    """n of a target; 1 of a user-defined one that does not say otherwise."""
    return int(getattr(target, "components", 1))


def with_energy(target: Any) -> Any:
    """The target, if its posterior can be sampled; a user-defined one is checked here on normal numbers.

    Raises:
        InputError: if it has no energy, or has a force that is not the negative gradient of its energy.
    """
    name = f"target {type(target).__name__}"
    if getattr(target, "unit_length", False) and not is_user_defined(target):
        return target
    if not isinstance(target, HasSmoothEnergy):
        raise InputError(f"{name} has no energy and force; exact scores need energy(fields) and force(fields)")
    if is_user_defined(target):
        require_methods("target", target, "energy(fields)", "force(fields)")
        generator = stream("posterior", "check")
        fields, toward = generator.standard_normal((2, 2, components_of(target), *target.lattice.shape))
        force = checked_numbers(f"{name}: force(fields)", target.force(fields), fields.shape)
        ahead, behind = (
            checked_numbers(f"{name}: energy(fields)", target.energy(fields + step * toward), (2,))
            for step in (STEP, -STEP)
        )
        slope, found = (behind - ahead) / (2.0 * STEP), (force * toward).reshape(2, -1).sum(axis=1)
        if (np.abs(slope - found) > STEP * np.abs(force * toward).reshape(2, -1).sum(axis=1)).any():
            raise InputError(f"{name}: force(fields) is not the negative gradient of energy(fields); it must be")
    return target


def is_symmetric_energy(target: Any) -> bool:
    """Whether H is the same after a reflection of the components; of a user-defined target for normal numbers.

    The uniform source of a built-in target is part of j.
    """
    if not is_user_defined(target):
        return True
    generator, components = stream("posterior", "symmetry"), components_of(target)
    fields, axis = generator.standard_normal((2, components, *target.lattice.shape)), random_axis(generator, components)
    along = np.tensordot(axis, fields, axes=(0, 1))[:, None]
    turned = fields - 2.0 * along * axis.reshape(-1, *(1,) * (fields.ndim - 2))
    own, other = target.energy(fields), target.energy(turned)
    return bool(np.allclose(own, other, rtol=ROUNDING, atol=ROUNDING * fields[0].size))


def random_axis(generator: np.random.Generator, components: int) -> Array:
    """A random direction, shape (n,); 1 for n = 1."""
    if components == 1:
        return np.ones(1)
    drawn = generator.standard_normal(components)
    return np.asarray(drawn / np.sqrt((drawn**2).sum()))
