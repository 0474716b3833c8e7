"""Markov chains of a target, and the observables measured on them.

    energy H/N    magnetisation |m|, m = (1/N) Σ_r φ    m² , m⁴    φ² = (1/N) Σ_r φ(r)²    first_mode (1/n) S(k₁)

and the components of m. Without a source, every update commutes with global rotations (reflections for n = 1), so
invariant observables do not depend on how slowly m turns. The slowest series, whose tail is attached to all errors, is
then the slowest invariant one; with a source it may be a component of m.

Each chain has its own random stream and tunes its own updates, so it does not depend on the number of chains.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from csd.core.errors import InputError, check_integer
from csd.core.random import stream
from csd.lattice import Array
from csd.lattice.sites import Indices, compiled, first_waves, neighbours, site_sums
from csd.mcmc.autocorrelation import FEWEST, Estimate, constant, estimate, thermalisation_cut, time_of
from csd.mcmc.samplers import Step
from csd.mcmc.updates import Update, make_update
from csd.targets.base import HasEnergy
from csd.targets.images import random_rotations

Measure = Callable[[Array], float]
CANDIDATES = ("energy", "magnetisation", "m2", "first_mode")
"""Invariant series, one of which is the slowest."""


class Chain:
    """One Markov chain.

    Args:
        target: the target.
        sweep: the steps of one sweep, in order.
        generator: source of all its random numbers.
        field: where it starts, which it changes in place; if None, a disordered field.
    """

    def __init__(
        self, target: HasEnergy, sweep: Sequence[Step], generator: np.random.Generator, field: Array | None = None
    ) -> None:
        self.target, self.sweep, self.generator = target, tuple(sweep), generator
        self.updates: list[Update] = [make_update(step.update, target, **step.options) for step in sweep]
        self.field = target.start(generator) if field is None else field
        self._flat = self.field.reshape(target.components, -1)

    def thermalise(self, sweeps: int) -> None:
        """Make sweeps, and tune the updates."""
        for _ in range(sweeps):
            for step, update in zip(self.sweep, self.updates, strict=True):
                for _ in range(step.count(self.generator)):
                    update.adapt(update.apply(self._flat, self.generator))

    def advance(self, sweeps: int) -> Array:
        """Make sweeps; return the acceptance of each step, summed over the sweeps, shape (steps,)."""
        accepted = np.zeros(len(self.sweep))
        if len(self.sweep) == 1 and not self.sweep[0].varied:
            times = sweeps * self.sweep[0].times
            return accepted + sweeps * self.updates[0].apply(self._flat, self.generator, times)
        for _ in range(sweeps):
            for place, (step, update) in enumerate(zip(self.sweep, self.updates, strict=True)):
                accepted[place] += update.apply(self._flat, self.generator, step.count(self.generator))
        return accepted

    @property
    def done(self) -> float:
        """Field updates so far."""
        return sum(update.updates for update in self.updates)


@dataclass(frozen=True)
class Chains:
    """The measurements of several chains, and their last fields.

    Attributes:
        target: the target.
        every: sweeps from one measurement to the next.
        series: of each observable, shape (chains, measurements), from the first measurement after tuning.
        components: of m, shape (chains, n, measurements).
        cut: number of first measurements to discard, while the chains still depend on their start.
        chains: the chains, which can be continued.
        accepted: mean acceptance of each step of the sweep, shape (chains, steps).
        updates: field updates per sweep, shape (chains,).
    """

    target: HasEnergy
    every: int
    series: dict[str, Array]
    components: Array
    cut: int
    chains: tuple[Chain, ...]
    accepted: Array
    updates: Array

    @property
    def fields(self) -> Array:
        """The present fields of the chains, shape (chains, n, *lattice.shape)."""
        return np.stack([chain.field for chain in self.chains])

    @cached_property
    def slowest(self) -> Array | None:
        """The series of largest τ; None if all are constant. Components of m count only with a source."""
        kept = [self.series[name][:, self.cut :] for name in CANDIDATES]
        if self.target.source != 0.0:
            kept += list(np.swapaxes(self.components, 0, 1)[:, :, self.cut :])
        moving = [rows for rows in kept if rows.shape[1] >= FEWEST and not constant(rows).any()]
        return max(moving, key=time_of) if moving else None

    def estimate(self, *names: str, of: Callable[..., object] | None = None) -> Estimate:
        """The mean of an observable, or a function of the means of several; see `csd.mcmc.autocorrelation.estimate`."""
        return estimate(*(self.series[name][:, self.cut :] for name in names), of=of, slowest=self.slowest)

    @property
    def one_component(self) -> Array:
        """Series of one component of m after the cut, shape (rows, measurements).

        Without a source the n components are equivalent and count as further chains; with a source it is m₁, along the
        source.
        """
        own = self.components if self.target.source == 0.0 else self.components[:, :1]
        return own[:, :, self.cut :].reshape(-1, own.shape[2] - self.cut)

    def component(self) -> Estimate:
        """The mean of one component of m; see `one_component`."""
        return estimate(self.one_component, slowest=None if self.target.source == 0.0 else self.slowest)

    @property
    def functions(self) -> dict[str, tuple[tuple[str, ...], Callable[..., Any]]]:
        """Observables that are functions of means: the names of the series, and the function."""
        factor = self.target.lattice.sites / self.target.components
        return {
            "susceptibility": (("m2",), lambda second: factor * second),
            "binder": (("m2", "m4"), lambda second, fourth: 1.0 - fourth / (3.0 * second * second)),
        }

    def binder(self) -> Estimate:
        """U = 1 − ⟨m⁴⟩ / (3 ⟨m²⟩²)."""
        series, function = self.functions["binder"]
        return self.estimate(*series, of=function)

    def susceptibility(self) -> Estimate:
        """χ = N ⟨m²⟩ / n."""
        series, function = self.functions["susceptibility"]
        return self.estimate(*series, of=function)

    def decorrelated(self, spacing: int, count: int) -> Array:
        """Fields that are `spacing` sweeps apart, from the continued chains in turn.

        Without a source, each field is rotated as a whole by a random element of O(n), which does not change e^{−H}. So
        a chain in one of several ordered phases gives fields of all phases, and odd functions of successive fields are
        independent.

        Args:
            spacing: sweeps between fields of a chain, 2τ or more.
            count: number of fields; the first chains give one more if it is not a multiple of the number of chains.

        Returns:
            Shape (count, n, *lattice.shape).
        """
        kept = np.empty((count, self.target.components, *self.target.lattice.shape))
        for first, chain in enumerate(self.chains):
            for place in range(first, count, len(self.chains)):
                chain.advance(spacing)
                kept[place] = chain.field
                if self.target.source == 0.0:
                    (rotation,) = random_rotations(self.target.components, 1, chain.generator)
                    kept[place] = np.tensordot(rotation, chain.field, axes=1)
        return kept


def run_chains(
    target: HasEnergy,
    sweep: Sequence[Step],
    *purpose: object,
    chains: int,
    measurements: int,
    thermalisation: int,
    every: int = 1,
    measures: Mapping[str, Measure] | None = None,
    look: Callable[[int, int, Array], None] | None = None,
) -> Chains:
    """Run Markov chains from disordered fields.

    Args:
        target: the target.
        sweep: the steps of one sweep, in order.
        purpose: parts of the names of the random streams, before the number of the chain.
        chains: number of chains.
        measurements: number of measurements of each chain.
        thermalisation: sweeps before the measurements, in which steps are tuned.
        every: sweeps from one measurement to the next.
        measures: further observables, each a function of a field of shape (n, *lattice.shape).
        look: called with (chain, measurement, field) at every measurement.

    Raises:
        InputError: if a number is too small, or the sweep cannot act on the target or is not ergodic.
    """
    check_integer("thermalisation", thermalisation, 0)
    counts = {"chains": chains, "measurements": measurements, "every": every}
    for name, value in (counts | {f"times of {step.update!r}": step.times for step in sweep}).items():
        check_integer(name, value, 1)
    walkers = tuple(Chain(target, sweep, stream("chain", *purpose, number)) for number in range(chains))
    if not any(update.ergodic for update in walkers[0].updates):
        raise InputError(
            f"a sweep of {', '.join(repr(step.update) for step in sweep) or 'nothing'} does not reach every field; add"
            " 'heat_bath', 'metropolis' or 'hmc'"
        )
    others = {name: np.empty((chains, measurements)) for name in measures or {}}
    sums = np.empty((chains, measurements, 4 + target.components))
    places, waves = neighbours(target.lattice), first_waves(target.lattice)
    accepted, updates = np.zeros((chains, len(sweep))), np.empty(chains)
    for number, chain in enumerate(walkers):
        chain.thermalise(thermalisation)
        before, flat = chain.done, chain.field.reshape(target.components, -1)
        for measurement in range(measurements):
            accepted[number] += chain.advance(every)
            _measure(flat, places, waves, sums[number, measurement])
            for name, function in (measures or {}).items():
                others[name][number, measurement] = function(chain.field)
            if look is not None:
                look(number, measurement, chain.field)
        updates[number] = (chain.done - before) / (measurements * every)
    series, components = _series(target, sums)
    cut = thermalisation_cut(series["energy"], series["m2"])
    accepted /= measurements * every
    return Chains(target, every, series | others, components, cut, walkers, accepted, updates)


@compiled
def _measure(field: Array, places: Indices, waves: Array, sums: Array) -> None:
    """`site_sums` of a field of shape (n, sites), then the sum of squares of its amplitudes in the first waves."""
    components = field.shape[0]
    site_sums(field, places, sums[: 3 + components])
    total = 0.0
    for a in range(components):
        for wave in range(waves.shape[1]):
            amplitude = 0.0
            for site in range(field.shape[1]):
                amplitude += field[a, site] * waves[site, wave]
            total += amplitude * amplitude
    sums[3 + components] = total


def _series(target: HasEnergy, sums: Array) -> tuple[dict[str, Array], Array]:
    """(series of observables, m) from the sums of `_measure`, shape (chains, measurements, 4 + n)."""
    lattice, components = target.lattice, target.components
    mean = np.moveaxis(sums[..., 3:-1], -1, 1) / lattice.sites
    second = (mean**2).sum(axis=1)
    return {
        "energy": target.energy_of_sums(sums) / lattice.sites,
        "magnetisation": np.sqrt(second),
        "m2": second,
        "m4": second**2,
        "phi2": sums[..., 1] / lattice.sites,
        # (1/n) Σ_a S_a(k₁), averaged over the axes.
        "first_mode": sums[..., -1] / (lattice.dimension * components * lattice.sites),
    }, mean
