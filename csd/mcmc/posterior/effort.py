"""How long the chains of a posterior must be, and the two independent halves of their estimates.

A field x₀ whose noised field is x is itself an exact draw of the posterior, so chains that start at x₀ are in
equilibrium from their first sweep, and a mean over their sweeps is unbiased. A square of such a mean is not: its error
counts as signal. So each chain is divided into a half A, a gap of `GAP` τ, and a half B of the same length, which are
independent given x:

    ŝ = (ŝ_A + ŝ_B)/2,   E|s*|² = E[ŝ_A·ŝ_B],   E|ŝ − s*|² = ¼ E|ŝ_A − ŝ_B|²

τ = ½ + Σ_l (1 − V(l)/V_∞) is that of the slowest of the series, with the variogram V(l) = ½ E[(m(s) − m(s+l))²] over
all fields and V_∞ its value at large lags, which needs no mean of a chain. Where x₀ is not known, chains start at
`Posterior.start` and run until the posterior energies of halves A and B agree, as means over all fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array
from csd.mcmc.posterior.base import Posterior, Walk
from csd.mcmc.posterior.lanes import LANES

TUNING = 40
"""Sweeps of the pilot in which the updates are tuned."""
PILOT_FIELDS = 64
"""Fields of the pilot, the first ones."""
SHORTEST = 64
"""Sweeps of the first attempt to measure τ."""
LONGEST = 8192
"""Most sweeps of the pilot in which τ is measured."""
RESOLVED = 20.0
"""Sweeps of the pilot over τ, with which τ counts as measured."""
GAP = 5.0
"""Sweeps between the two halves, in units of τ."""
PARTS = 16
"""Parts of a half, of τ or more, whose scatter shows where the errors are large."""
MARGIN = 1.25
"""Ratio of the sweeps made and those that the pilot asks for."""
MOST_SWEEPS = 100_000
"""Most sweeps of each chain that an accuracy may ask for."""
ATTEMPTS = 8
"""Most runs of the chains until the accuracy is reached and energies agree."""
DRIFT = 4.0
"""Difference of energies in halves A and B, in standard errors, at which chains still depend on their start."""
SHARED = 5.0
"""Weight of the mean squared error of all sites beside the 2 `PARTS` − 1 degrees of freedom of a site's own."""
PRIOR = 16.0
"""Weight of the scatter of the parts alone beside the differences of halves, in sites, which may be few."""

Made = Callable[[Posterior, Array, np.random.Generator, Walk | None], Walk]
"""(posterior of some fields, their start, random numbers, tuned walk) → the walk of these fields."""


@dataclass(frozen=True)
class Estimates:
    """Scores of noised fields by chains of their posterior.

    Attributes:
        halves: ŝ_A and ŝ_B, shape (2, fields, n, *lattice.shape).
        error: standard error of their mean, shape (fields, n, *lattice.shape).
        tau: τ of the slowest series, sweeps.
        sweeps: of each chain, in both halves together.
        gap: sweeps between the halves.
    """

    halves: Array
    error: Array
    tau: float
    sweeps: int
    gap: int

    @property
    def score(self) -> Array:
        """ŝ, shape (fields, n, *lattice.shape)."""
        mean: Array = self.halves.mean(axis=0)
        return mean

    @property
    def squares(self) -> Array:
        """ŝ_A·ŝ_B/N of each field, shape (fields,)."""
        first, second = self.halves
        sites = first[0, 0].size
        return np.asarray((first * second).reshape(len(first), -1).sum(axis=1) / sites)

    @property
    def inaccuracy(self) -> float:
        """E|ŝ − s*|²/E|s*|²."""
        first, second = self.halves
        return float(0.25 * ((first - second) ** 2).sum() / max((first * second).sum(), 1e-300))


def slowest_time(series: Array) -> float:
    """The largest τ of series of shape (sweeps, observables, chains), by their variograms over all chains."""
    return max(_time(np.ascontiguousarray(series[:, place])) for place in range(series.shape[1]))


def _time(series: Array) -> float:
    """τ of a series of shape (sweeps, chains); 0 of constant ones."""
    length = len(series)
    lags = 3 * length // 4
    series = series - series.mean(axis=0)
    size = 2 ** int(np.ceil(np.log2(2 * length)))
    power = np.abs(np.fft.rfft(series, size, axis=0)) ** 2
    products = np.fft.irfft(power, size, axis=0)[:lags].sum(axis=1)
    squares = np.cumsum((series**2).sum(axis=1))
    left, lag = squares[::-1][:lags], np.arange(lags)
    right = squares[-1] - np.concatenate([[0.0], squares[: lags - 1]])
    variogram = (0.5 * (left + right) - products) / (length - lag)
    plateau = variogram[length // 2 :].mean()
    if plateau <= 1e-20 * max(float((series**2).mean()), 1e-300):
        return 0.0
    correlation = 1.0 - variogram / plateau
    below = np.flatnonzero(correlation < 0.02)
    window = int(below[0]) if below.size else lags
    return float(0.5 + correlation[1:window].sum())


def estimated_in_blocks(
    posterior: Posterior,
    start: Array,
    make: Made,
    purpose: tuple[object, ...],
    accuracy: float,
    where: str,
    *,
    known: bool,
    parts: int = PARTS,
) -> Estimates:
    """Scores of all fields with E|ŝ − s*|² ≤ accuracy × E|s*|², by walks of `LANES` fields each.

    Args:
        posterior: of all fields.
        start: φ at the start, shape (fields, n, *lattice.shape).
        make: the walk of some of the fields.
        purpose: of the random streams: a name, the seed, and what else tells one estimate from another.
        accuracy: of the mean of both halves.
        where: the noise level, for messages.
        known: whether chains start at x₀.
        parts: of a half, each of τ or more; few make short chains and poor errors of single sites.

    Raises:
        InputError: if τ is too long to be measured, or the accuracy takes more than `MOST_SWEEPS`, or it or equilibrium
            cannot be reached.
    """
    count, (name, *about) = len(start), purpose

    def walk_of_block(chosen: slice, tuned: Walk | None) -> Walk:
        which = ("pilot",) if tuned is None else ("chains", chosen.start)
        return make(posterior.part(chosen), start[chosen], stream(name, *which, *about), tuned)

    blocks = [slice(first, min(first + LANES, count)) for first in range(0, count, LANES)]
    few = slice(0, min(PILOT_FIELDS, count))
    pilot = walk_of_block(few, None)
    pilot.tune(TUNING)
    tau = _pilot_time(pilot, where)
    gap, length = ceil(GAP * tau), max(SHORTEST // 2, ceil(10.0 * tau))
    found = _run(posterior.part(few), [pilot], [slice(0, few.stop)], length, gap, parts)[0]
    needed = MARGIN * 0.5 * found.sweeps * found.inaccuracy / accuracy
    _check_sweeps(2.0 * needed, accuracy, where)
    length = max(parts * ceil(max(tau, needed / parts)), 2 * parts)
    walks = [walk_of_block(block, pilot) for block in blocks]
    if not known:
        for walk in walks:
            walk.advance(ceil(2.0 * GAP * tau) + TUNING)
    for _ in range(ATTEMPTS):
        found, drift = _run(posterior, walks, blocks, length, gap, parts)
        slow = found.tau > 1.5 * tau
        short = found.inaccuracy > 1.05 * accuracy
        if not (slow or short or (drift > DRIFT and not known)):
            return found
        if slow:
            tau = found.tau
            gap = ceil(GAP * tau)
        growth = MARGIN * found.inaccuracy / accuracy if short else 1.0
        if short:
            _check_sweeps(2.0 * growth * length, accuracy, where)
        length = parts * ceil(max(growth * length, tau * parts) / parts)
    raise InputError(
        f"{where}: after {ATTEMPTS} runs of up to {length} sweeps the error is {found.inaccuracy:.2g} of the score, the"
        f" autocorrelation time {found.tau:.3g} sweeps, and energies differ by {drift:.2g} standard errors between"
        " halves of the chains; take a smaller noise level, or a larger accuracy"
    )


def _check_sweeps(needed: float, accuracy: float, where: str) -> None:
    """Refuse an accuracy that asks for more than `MOST_SWEEPS`."""
    if needed > MOST_SWEEPS:
        raise InputError(
            f"{where}: accuracy is {accuracy:g}, which takes about {needed:.2g} sweeps of each field, more than"
            f" {MOST_SWEEPS}; about {1.1 * accuracy * needed / MOST_SWEEPS:.2g} and above can be reached"
        )


def _pilot_time(pilot: Walk, where: str) -> float:
    """τ of the pilot in equilibrium; an InputError where it is too long."""
    length = SHORTEST
    while True:
        tau = slowest_time(pilot.advance(length)[1])
        if length >= RESOLVED * tau:
            return tau
        if length >= LONGEST:
            raise InputError(
                f"{where}: chains of the posterior do not mix; their autocorrelation time is {tau:.0f} sweeps or more"
                f" of the {length} of the pilot, and a score would take more than"
                f" {2 * PARTS * tau + GAP * tau:.0f} sweeps of each field; take a smaller noise level or size"
            )
        length = 2 * length


def _run(
    posterior: Posterior, walks: list[Walk], blocks: list[slice], length: int, gap: int, parts: int
) -> tuple[Estimates, float]:
    """The estimates of two halves of given length and gap, and the drift of energies in standard errors."""
    halves = np.zeros((2, *posterior.shape))
    error, series = np.empty(posterior.shape), list[list[Array]]([[], []])
    for walk, block in zip(walks, blocks, strict=True):
        own, squares, total = posterior.part(block), np.zeros(1), np.zeros(1)
        for half in range(2):
            # Chains that never change have τ = 0, and no gap.
            if half and gap:
                walk.advance(gap)
            rows = []
            for _ in range(parts):
                estimate, row = walk.advance(length // parts)
                score = own.score(estimate)
                halves[half, block] += score / parts
                squares, total = squares + score**2, total + score
                rows.append(row)
            series[half].append(np.concatenate(rows))
        spread = squares / (2 * parts) - (total / (2 * parts)) ** 2
        error[block] = np.maximum(spread, 0.0) / (2 * parts - 1)
    first, second = (np.concatenate(rows, axis=2) for rows in series)
    tau = slowest_time(second)
    return Estimates(halves, _errors(halves, error, parts), tau, 2 * length, gap), _drift(first, second)


def _errors(halves: Array, squares: Array, parts: int) -> Array:
    """Standard errors from squared errors by the scatter of parts, each of which is taken as independent.

    Neighbouring parts are correlated, so all are multiplied by the root mean square of the differences of halves in
    units of these errors.
    """
    true, mean = 0.25 * (halves[0] - halves[1]) ** 2, squares.mean()
    if mean == 0.0:
        return np.sqrt(true)
    own = 2.0 * parts - 1.0
    smooth = (own * squares + SHARED * mean) / (own + SHARED)
    scale = ((true / smooth).sum() + PRIOR) / (true.size + PRIOR)
    return np.asarray(np.sqrt(scale * smooth))


def _drift(first: Array, second: Array) -> float:
    """Difference of the energies of two halves, in standard errors; series of shape (sweeps, n + 1, fields)."""
    energies = first[:, -1], second[:, -1]
    tau = max(slowest_time(second[:, -1:]), 0.5)
    variance = sum(2.0 * tau * float(one.var(axis=0).mean()) / one.size for one in energies)
    change = float(energies[0].mean() - energies[1].mean())
    return abs(change) / sqrt(variance) if variance > 0.0 else 0.0
