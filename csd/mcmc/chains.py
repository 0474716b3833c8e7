"""Markov chains of a target, and what is measured on them.

    energy H/N    magnetisation |m|, m = (1/N) Σ_r φ    m² , m⁴    φ² = (1/N) Σ_r φ(r)²    first_mode (1/n) S(k₁)

and m itself, each component with its sign. Without a source every update commutes with global rotations (reflections at
n = 1), so these observables, which do not change under them, never see how slowly m turns: the slowest series, whose
tail the errors of all have, is the slowest of these; with a source it may be a component of m.

Each chain has a stream of its own and tunes itself alone, so its numbers do not depend on how many chains run.
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

Measure = Callable[[Array], float]
CANDIDATES = ("energy", "magnetisation", "m2", "first_mode")
"""Series that may be the slowest."""


class Chain:
    """One Markov chain, from a disordered field.

    Args:
        target: the target.
        sweep: the steps of one sweep, in order.
        generator: of all its random numbers.
    """

    def __init__(self, target: HasEnergy, sweep: Sequence[Step], generator: np.random.Generator) -> None:
        self.target, self.sweep, self.generator = target, tuple(sweep), generator
        self.updates: list[Update] = [make_update(step.update, target, **step.options) for step in sweep]
        self.field = target.start(generator)
        self._flat = self.field.reshape(target.components, -1)

    def thermalise(self, sweeps: int) -> None:
        """Sweep, tuning the updates."""
        for _ in range(sweeps):
            for step, update in zip(self.sweep, self.updates, strict=True):
                for _ in range(step.count(self.generator)):
                    update.adapt(update.apply(self._flat, self.generator))

    def advance(self, sweeps: int) -> Array:
        """Sweep; acceptance of each step summed over the sweeps, shape (steps,)."""
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
    """What chains have left behind.

    Attributes:
        target: the target.
        every: sweeps from one measurement to the next.
        series: of each observable, shape (chains, measurements), from the first measurement after tuning.
        components: of m, shape (chains, n, measurements).
        cut: how many of them to leave out, as the chains still remember their start.
        chains: where they stand, to go on from.
        accepted: mean acceptance of each step of the sweep, shape (chains, steps).
        updates: field updates a sweep, shape (chains,).
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
        """Where the chains stand, shape (chains, n, *lattice.shape)."""
        return np.stack([chain.field for chain in self.chains])

    @cached_property
    def slowest(self) -> Array | None:
        """Of the series that `estimate` takes the mean of, that of the largest τ; None if all are constants.

        Series of one symmetry: m counts only beside a source.
        """
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
        """Series of a component of m after the cut, shape (rows, measurements).

        Without a source all n are the same, and taken as further chains; with one it is that along the source, m₁.
        """
        own = self.components if self.target.source == 0.0 else self.components[:, :1]
        return own[:, :, self.cut :].reshape(-1, own.shape[2] - self.cut)

    def component(self) -> Estimate:
        """A component of m: any without a source, m₁ with one."""
        return estimate(self.one_component, slowest=None if self.target.source == 0.0 else self.slowest)

    @property
    def functions(self) -> dict[str, tuple[tuple[str, ...], Callable[..., Any]]]:
        """Observables that are functions of means: names of the series, and the function."""
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
        """Fields `spacing` sweeps apart, going on from where the chains stand, as many from each, in turns.

        Without a source each has been rotated as a whole by a random element of O(n), which leaves e^{−H} as it is: a
        chain in one of several ordered phases gives fields of all, and what is odd in φ has forgotten the last field.

        Args:
            spacing: sweeps, 2τ or more.
            count: of all fields; the first chains give one more where it does not divide.

        Returns:
            Shape (count, n, *lattice.shape).
        """
        kept = np.empty((count, self.target.components, *self.target.lattice.shape))
        for first, chain in enumerate(self.chains):
            for place in range(first, count, len(self.chains)):
                chain.advance(spacing)
                kept[place] = chain.field
                if self.target.source == 0.0:
                    rotation = random_rotation(self.target.components, chain.generator)
                    kept[place] = np.tensordot(rotation, chain.field, axes=1)
        return kept


def random_rotation(components: int, generator: np.random.Generator) -> Array:
    """An element of O(n), uniform in Haar's measure, shape (n, n); a sign at n = 1.

    Q of normal numbers' QR with a positive diagonal of R (Mezzadri, Notices AMS 54, 592, 2007).
    """
    vectors, triangle = np.linalg.qr(generator.standard_normal((components, components)))
    return vectors * np.sign(np.diag(triangle))


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
        purpose: what names the chains' random streams, besides their numbers.
        chains: how many.
        measurements: of each chain.
        thermalisation: sweeps before them, in which steps are tuned.
        every: sweeps from one measurement to the next.
        measures: further observables, each a function of a field of shape (n, *lattice.shape).
        look: called with (chain, measurement, field) at every measurement.

    Raises:
        InputError: if a count is too low, or the sweep cannot act on the target or does not reach every field.
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
    """`site_sums` of a field of shape (n, sites), and last the sum of squares of its amplitudes in the first waves."""
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
    """(observables, m) from the sums of `_measure`, shape (chains, measurements, 4 + n)."""
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
