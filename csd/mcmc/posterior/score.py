"""Exact scores s*(x) = (α E[x₀ | x] − x)/σ² of noised fields, by chains of their posteriors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from csd.core.errors import InputError, check_integer, check_positive
from csd.lattice import Array
from csd.mcmc.posterior.base import Posterior, Walk, components_of, with_energy
from csd.mcmc.posterior.effort import Estimates, estimated_in_blocks
from csd.mcmc.posterior.hybrid import HybridWalk, PhiFourWalk
from csd.mcmc.posterior.spins import SpinWalk
from csd.targets.noising import Schedule, VariancePreserving, check_level
from csd.targets.phi4 import PhiFour
from csd.targets.scores import ScoreSettings
from csd.targets.spins import SpinModel

Kinds = tuple[Callable[..., Walk], Callable[..., Walk], Callable[..., Walk]]
"""(posterior, start, generator) → a walk of unit spins; with a tuned walk and `improved`, of φ⁴, and of others."""


class PosteriorScore:
    """The exact score of a target with an energy, s*(x) = (α E[x₀ | x] − x)/σ², with its error.

    Args:
        target: φ⁴, unit spins, or any object with `lattice`, `energy(fields)` and `force(fields)`.
        schedule: α(t) and σ²(t).
        accuracy: E|ŝ − s*|²/E|s*|² to be reached, as a mean over fields and sites.
        seed: of all random numbers.
        improved: whether means of targets with a force are estimated by the Schwinger–Dyson equation.

    Raises:
        InputError: if the target has no energy, or another argument cannot be used.
    """

    def __init__(
        self,
        target: Any,
        schedule: Schedule | None = None,
        *,
        accuracy: float = ScoreSettings.accuracy,
        seed: int = 0,
        improved: bool = True,
    ) -> None:
        self.target, self.schedule = with_energy(target), schedule or VariancePreserving()
        self.accuracy, self.seed = check_positive("accuracy", accuracy), check_integer("seed", seed, 0)
        self.improved = improved

    def __call__(self, fields: Array, level: float, clean: Array | None = None) -> tuple[Array, Array]:
        """The scores of fields, and their standard errors.

        Args:
            fields: x_t, shape (fields, n, *lattice.shape), for n = 1 also (fields, *lattice.shape).
            level: t.
            clean: the fields x₀ from which `fields` were made by adding noise, same shape; chains start there, and need
                no thermalisation. Without them, chains start at αx/(α² + σ²).

        Returns:
            Two arrays of the shape of `fields`.

        Raises:
            InputError: if a shape does not fit, or the chains mix too slowly.
        """
        found = self.estimates(fields, level, clean)
        return found.score.reshape(fields.shape), found.error.reshape(fields.shape)

    def estimates(self, fields: Array, level: float, clean: Array | None = None) -> Estimates:
        """The same with both halves, their τ and their number of sweeps; arrays have the shape (fields, n, …)."""
        noised, start = self._checked("fields", fields), None
        if clean is not None:
            start = self._checked("clean", clean)
            if start.shape != noised.shape:
                raise InputError(f"clean has the shape {clean.shape}; it must be that of fields, {fields.shape}")
        signal, variance = float(self.schedule.signal(check_level(level))), float(self.schedule.variance(level))
        posterior = Posterior(self.target, noised, signal, variance)
        start = posterior.start() if start is None else start
        make, purpose = partial(walk_of, improved=self.improved), ("posterior", self.seed, float(level))
        where = f"noise level {level:g}"
        return estimated_in_blocks(posterior, start, make, purpose, self.accuracy, where, known=clean is not None)

    def _checked(self, name: str, fields: Array) -> Array:
        """Fields as float64 of shape (fields, n, *lattice.shape)."""
        given, components = np.asarray(fields, dtype=float), components_of(self.target)
        shape = (components, *self.target.lattice.shape)
        if components == 1 and given.ndim == len(shape):
            given = given[:, None]
        if given.shape[1:] != shape or not len(given):
            raise InputError(f"{name} has the shape {np.shape(fields)}; it must be (fields, {str(shape)[1:]}")
        if not np.isfinite(given).all():
            raise InputError(f"{name} holds numbers that are not finite; all must be finite")
        return given


def walk_of(
    posterior: Posterior,
    start: Array,
    generator: np.random.Generator,
    tuned: Walk | None = None,
    *,
    improved: bool = True,
    kinds: Kinds = (SpinWalk, PhiFourWalk, HybridWalk),
) -> Walk:
    """Chains of a posterior, with the updates that its target takes.

    Args:
        posterior: of the fields.
        start: φ at the start, shape (fields, n, *lattice.shape).
        generator: source of all random numbers.
        tuned: chains of the same target and noise level, whose tuning is taken; not tuned if None.
        improved: whether means of targets with a force are estimated by the Schwinger–Dyson equation.
        kinds: the walks of unit spins, of φ⁴, and of any other target.
    """
    of_spins, of_phi_four, of_any = kinds
    if isinstance(posterior.target, SpinModel):
        return of_spins(posterior, start, generator)
    kind = of_phi_four if type(posterior.target) is PhiFour else of_any
    return kind(posterior, start, generator, tuned if isinstance(tuned, HybridWalk) else None, improved=improved)
