"""Updates of single sites in turn: Metropolis, heat bath, overrelaxation; even sites first, then odd ones.

With the sum h of the neighbours (plus s e₁), the weight of a site is exp(h·φ − A φ² − g (φ²)²) for φ⁴, A = d + r₀/2,
g = u/(4n), and exp(β h·S) for spins. The update of a site leaves its weight invariant, so a sweep does so with e^{−H}.

*Heat bath*, φ⁴: a normal proposal of mean h/(2B) and precision 2B, B = A + 2gc, is accepted with probability
exp(−g (φ² − c)²), which is exact for any c. The fewest proposals are rejected if c = ⟨φ²⟩ of the proposal, that is if
B³ − A B² − g n B − g h²/2 = 0; none are at u = 0. Spins: the angle to h by Wood's rejection (Commun. Stat. Simul. 23,
157, 1994).

*Overrelaxation*, φ⁴: φ → h/B − φ, with a Metropolis acceptance step (always accepted at u = 0). Spins: the reflection
about h, which conserves H.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from csd.core.errors import InputError
from csd.lattice import Array
from csd.lattice.sites import Indices, checkerboard, compiled, dot, neighbour_sum, neighbours, normalise, part
from csd.mcmc.updates.tuning import Tuned
from csd.targets.base import HasEnergy, is_ising

Couplings = tuple[float, ...]
"""(A, g, s) of a φ⁴ field or (β, s/β) of spins; for Metropolis followed by the width of proposals."""
Loop = Callable[[Array, Indices, Indices, Generator, int, Couplings], int]
"""(field, places, order, generator, sweeps, couplings) → number of sites that took a new value."""
LARGEST_NARROWNESS = 1e6
"""Largest ratio of the variances of φ² in the proposal and in the weight of a site; 1 in 1000 is accepted there."""

LARGEST_STRENGTH = 1e12
"""Largest energy of a spin among its neighbours: it scatters by 1e-12 of its length or more, rounding by 1e-16."""


class SiteUpdate:
    """A local update, which visits the sites of a checkerboard in turn.

    Args:
        target: the target.
        of_fields: compiled loop over the sites of a φ⁴ field.
        of_spins: the same for unit spins.
    """

    ergodic = True
    """Whether this update alone reaches every field."""

    def __init__(self, target: HasEnergy, of_fields: Loop, of_spins: Loop) -> None:
        self.target = target
        self.places, self.order = neighbours(target.lattice), checkerboard(target.lattice)
        self.updates = 0.0
        self.loop = of_spins if target.unit_length else of_fields
        self.couplings = target.site_couplings

    def apply(self, field: Array, generator: Generator, times: int = 1) -> float:
        """Make sweeps over a field, shape (n, sites), in place; returns the fraction of sites that took a new value."""
        self.updates += times
        changed = self.loop(field, self.places, self.order, generator, times, self.couplings)
        return changed / (times * self.target.lattice.sites)

    def adapt(self, accepted: float) -> None:
        """Do nothing, as there is nothing to tune."""


class Metropolis(SiteUpdate):
    """φ → φ + step × normal numbers, normalised for spins, accepted with min(1, e^{−ΔH}).

    The proposal for an Ising spin is drawn from {−1, +1}. If every proposal were a flip, domain walls on a small
    lattice would move in step and never meet.

    Args:
        target: the target.
        step: width of proposals; tuned if None, so that half of them are accepted.
    """

    acceptance = 0.5

    def __init__(self, target: HasEnergy, step: float | None = None) -> None:
        super().__init__(target, _metropolis_phi_four, _metropolis_spins)
        self.step = Tuned("step", step, start=1.0, acceptance=self.acceptance)
        self.couplings = (*self.couplings, self.step.value)

    def adapt(self, accepted: float) -> None:
        """Tune the step after a sweep that accepted this fraction of proposals."""
        if not is_ising(self.target):
            self.step.adapt(accepted)
            self.couplings = (*self.couplings[:-1], self.step.value)


class HeatBath(SiteUpdate):
    """Heat bath: φ(r) is drawn from its conditional distribution given its neighbours.

    Raises:
        InputError: for φ⁴ with |φ| so nearly fixed that hardly any proposal would be accepted; for spins with couplings
            above `LARGEST_STRENGTH`.
    """

    def __init__(self, target: HasEnergy) -> None:
        strength = 2.0 * target.lattice.dimension * target.coupling + abs(target.source)
        if target.unit_length and target.components > 1 and strength > LARGEST_STRENGTH:
            raise InputError(
                f"'heat_bath' takes spins up to 2d beta + |source| = {LARGEST_STRENGTH:g}, as rounding freezes them"
                f" beyond; here it is {strength:.3g}, take a smaller beta or source"
            )
        if not target.unit_length:
            quadratic, quartic, _ = target.site_couplings
            precision = _envelope(quadratic, quartic, target.components, 0.0)
            # Without neighbours, φ² has mean c = n/(2B) and variance n/(2B²) under the proposal.
            narrowness = target.components * quartic / precision**2
            if narrowness > LARGEST_NARROWNESS:
                raise InputError(
                    f"'heat_bath' would accept one proposal in {narrowness**0.5:.0e} for {target!r}; take 'metropolis'"
                    " with 'wolff', or the limit of unit spins (SpinModel.limit_of)"
                )
        super().__init__(target, _heat_bath_phi_four, _heat_bath_spins)


class Overrelaxation(SiteUpdate):
    """Reflection of each site in the field of its neighbours, which nearly conserves H; not for Ising spins."""

    ergodic = False

    def __init__(self, target: HasEnergy) -> None:
        super().__init__(target, _overrelax_phi_four, _overrelax_spins)


@compiled
def _envelope(quadratic: float, quartic: float, components: int, square: float) -> float:
    """The positive root B of B³ − A B² − g n B − g h²/2 = 0, by Newton's method from above.

    There is only one positive root. An inexact B lowers the acceptance, but the heat bath stays exact.
    """
    if quartic == 0.0:
        return quadratic
    linear, constant = quartic * components, 0.5 * quartic * square
    root = max(quadratic, 0.0) + np.sqrt(linear) + np.cbrt(constant)
    for _ in range(50):
        value = ((root - quadratic) * root - linear) * root - constant
        change = value / ((3.0 * root - 2.0 * quadratic) * root - linear)
        root -= change
        if change < 1e-3 * root:
            break
    return root


@part
def _put(field: Array, site: int, values: Array) -> None:
    """Set φ(r) of a field, shape (n, sites)."""
    for a in range(values.size):
        field[a, site] = values[a]


@compiled
def _metropolis_phi_four(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    quadratic, quartic, source, step = couplings
    components, accepted = field.shape[0], 0
    around, proposed = np.empty(components), np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            old = new = change = 0.0
            for a in range(components):
                proposed[a] = field[a, site] + step * generator.standard_normal()
                old += field[a, site] ** 2
                new += proposed[a] ** 2
                change -= around[a] * (proposed[a] - field[a, site])
            change += (quadratic + quartic * (new + old)) * (new - old)
            if change <= 0.0 or generator.random() < np.exp(-change):
                accepted += 1
                _put(field, site, proposed)
    return accepted


@compiled
def _metropolis_spins(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    coupling, source, step = couplings
    components, accepted = field.shape[0], 0
    around, proposed = np.empty(components), np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            if components == 1:
                if generator.random() < 0.5:
                    continue
                proposed[0] = -field[0, site]
            else:
                for a in range(components):
                    proposed[a] = field[a, site] + step * generator.standard_normal()
                normalise(proposed)
            change = 0.0
            for a in range(components):
                change -= coupling * around[a] * (proposed[a] - field[a, site])
            if change <= 0.0 or generator.random() < np.exp(-change):
                accepted += 1
                _put(field, site, proposed)
    return accepted


@compiled
def _heat_bath_phi_four(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    quadratic, quartic, source = couplings
    components = field.shape[0]
    around = np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            precision = _envelope(quadratic, quartic, components, dot(around, around))
            width = np.sqrt(0.5 / precision)
            centre = 0.0 if quartic == 0.0 else 0.5 * (precision - quadratic) / quartic
            while True:
                drawn = 0.0
                for a in range(components):
                    field[a, site] = 0.5 * around[a] / precision + width * generator.standard_normal()
                    drawn += field[a, site] ** 2
                if quartic == 0.0 or generator.random() < np.exp(-quartic * (drawn - centre) ** 2):
                    break
    return sweeps * order.size


@compiled
def _heat_bath_spins(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    coupling, source = couplings
    components = field.shape[0]
    around, across = np.empty(components), np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            if components == 1:
                up = 1.0 / (1.0 + np.exp(-2.0 * coupling * around[0]))
                field[0, site] = 1.0 if generator.random() < up else -1.0
                continue
            length = np.sqrt(dot(around, around))
            strength = coupling * length
            if length == 0.0:
                around[0] = length = 1.0
            around /= length
            cosine = draw_cosine(generator, strength, components)
            # A direction orthogonal to h: an isotropic one minus its component along h.
            for a in range(components):
                across[a] = generator.standard_normal()
            across -= dot(across, around) * around
            across *= np.sqrt((1.0 - cosine) * (1.0 + cosine) / dot(across, across))
            total = np.sqrt(((cosine * around + across) ** 2).sum())
            for a in range(components):
                field[a, site] = (cosine * around[a] + across[a]) / total
    return sweeps * order.size


@compiled
def draw_cosine(generator: Generator, strength: float, components: int) -> float:
    """w of density ∝ (1 − w²)^{(n−3)/2} e^{κw} on [−1, 1], κ = strength, n ≥ 2, by Wood's rejection."""
    others = components - 1.0
    start = others / (2.0 * strength + np.sqrt(4.0 * strength**2 + others**2))
    middle = (1.0 - start) / (1.0 + start)
    top = strength * middle + others * np.log(1.0 - middle**2)
    while True:
        beta = generator.beta(0.5 * others, 0.5 * others)
        cosine = (1.0 - (1.0 + start) * beta) / (1.0 - (1.0 - start) * beta)
        if strength * cosine + others * np.log(1.0 - middle * cosine) - top >= np.log(1.0 - generator.random()):
            return cosine


@compiled
def _overrelax_phi_four(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    quadratic, quartic, source = couplings
    components, accepted = field.shape[0], 0
    around = np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            precision = _envelope(quadratic, quartic, components, dot(around, around))
            old = new = 0.0
            for a in range(components):
                old += field[a, site] ** 2
                new += (around[a] / precision - field[a, site]) ** 2
            # The reflection conserves −h·φ + B φ², so only (A − B) φ² + g (φ²)² changes.
            change = (quadratic - precision + quartic * (new + old)) * (new - old)
            if quartic == 0.0 or change <= 0.0 or generator.random() < np.exp(-change):
                accepted += 1
                for a in range(components):
                    field[a, site] = around[a] / precision - field[a, site]
    return accepted


@compiled
def _overrelax_spins(
    field: Array, places: Indices, order: Indices, generator: Generator, sweeps: int, couplings: Couplings
) -> int:
    source = couplings[1]
    components = field.shape[0]
    around, turned = np.empty(components), np.empty(components)
    for _ in range(sweeps):
        for site in order:
            neighbour_sum(field, places, site, source, around)
            square = overlap = 0.0
            for a in range(components):
                square += around[a] ** 2
                overlap += around[a] * field[a, site]
            if square == 0.0:
                continue
            length = 0.0
            for a in range(components):
                turned[a] = 2.0 * overlap / square * around[a] - field[a, site]
                length += turned[a] ** 2
            # Otherwise rounding errors of the length would accumulate over many sweeps.
            turned /= np.sqrt(length)
            _put(field, site, turned)
    return sweeps * order.size
