"""Learning rates by trial: the one at which the error settles soonest, from starts that are not those of the training.

Every rule has the same budget: rates from 10^−1.5 to 10^3.5 times its own, and further decades as long as the best one
lies within a decade of an end. Times of full layers, which start alike, jump between neighbouring rates where the error
comes back to the tolerance, so that they need a fine grid of 64 rates a decade. Other networks have 16.

The rates train side by side, as networks of one descent. One that has needed more steps than the best so far cannot be
the best: it is not followed further, and the result is the same.

The best rate of descent is the edge beyond which a start of the trials diverges. Where starts are random each has an
edge of its own, and half of the best rate is taken.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings, with_own_steps
from csd.training.preparation import Prepared, prepare
from csd.training.record import crossing_time
from csd.training.steps.divergence import largest_error
from csd.training.steps.rates import Tuning
from csd.training.steps.rule import optimizer_for

FINE, COARSE = 64, 16
"""Rates a decade, of networks that all start alike and of others."""
ENDS = (-1.5, 3.5)
"""Decades from the rule's own rate to the ends of the first grid."""
WIDENED = 4
"""Decades by which it may grow beyond either end."""
STARTS = (2**40 + 1, 2**40 + 2, 2**40 + 3, 2**40 + 4)
"""The seeds of the trials."""
MARGIN = 2.0
"""What the best rate is divided by where another start could diverge at it."""


def networks_tried(*, alike: bool) -> int:
    """Networks of the first grid at a noise level: a rate has one where all seeds start alike, else those of `STARTS`.

    Args:
        alike: whether they do.
    """
    decades = ENDS[1] - ENDS[0]
    return int(decades * FINE) + 1 if alike else len(STARTS) * (int(decades * COARSE) + 1)


def prepare_tuned(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, **how: Any) -> Prepared:
    """Prepare a run, at rates that are tuned before where they are to be.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        **how: further arguments of `csd.training.preparation.prepare`.

    Raises:
        InputError: as `prepare` and `tuned` do.
    """
    if settings.rate_from == "tuned" and how.get("tuning") is None:
        how["tuning"] = tuned(noised, architecture, settings)
    return prepare(noised, architecture, settings, **how)


def check_trial_seeds(settings: TrainingSettings) -> None:
    """Refuse seeds of a training that are those of the trials.

    Args:
        settings: options of training.

    Raises:
        InputError: if rates are tuned and a seed is one of them.
    """
    if settings.rate_from == "tuned" and (common := set(STARTS) & set(settings.seeds)):
        raise InputError(
            f"seed {min(common)} is one of those on which learning rates are tuned, {min(STARTS)} to {max(STARTS)};"
            " take another"
        )


def tuned(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> Tuning:
    """Try rates at each noise level.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training, with `rate_from` tuned.

    Raises:
        InputError: if a seed of the training is one of the trials, or ε settles at no rate.
    """
    check_trial_seeds(settings)
    found, best = [], []
    for level in noised.levels:
        trials = _Trials(NoisedTarget(noised.target, noised.schedule, [level]), architecture, settings)
        found.append(trials)
        best.append(trials.rate(trials.best()) / trials.margin)
    longest = max(len(trials.times) for trials in found)
    rates, means = np.full((2, len(found), longest), np.nan)
    for level, trials in enumerate(found):
        for column, place in enumerate(sorted(trials.times)):
            rates[level, column], means[level, column] = trials.rate(place), trials.times[place]
    return Tuning(np.array(best), rates, np.where(np.isfinite(means), means, np.nan))


class SameLevel(NoisedTarget):
    """A target at one noise level, many times over: the networks of these levels differ in their rates alone.

    Args:
        noised: the target at one noise level.
        times: how many.
    """

    def __init__(self, noised: NoisedTarget, times: int) -> None:
        super().__init__(noised.target, noised.schedule, noised.levels)
        self.levels *= times


def prepare_at_rates(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, rates: Array
) -> Prepared:
    """Networks that train at one noise level, each at a rate of its own, for `mean_times`.

    Args:
        noised: the target at one noise level.
        architecture: the network.
        settings: options of training, with `rate_from` tuned.
        rates: η, shape (rates,).
    """
    tuning = Tuning(rates, rates, rates)
    return prepare(SameLevel(noised, len(rates)), architecture, settings, tuning=tuning)


class _Trials:
    """Trials at one noise level; rates are own × 10^(place / parts)."""

    def __init__(self, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> None:
        self.noised, self.architecture = noised, architecture
        self.settings = replace(with_own_steps(architecture, settings), seeds=STARTS)
        run = prepare(noised, architecture, replace(self.settings, rate_from="spectrum"))
        alike = start_alike(run)
        self.own, self.parts = float(run.rates[0]), FINE if alike else COARSE
        # Steps that are bounded, as those of Adam, come back from any start.
        self.margin = 1.0 if alike or optimizer_for(self.settings).bounded else MARGIN
        self.times: dict[int, float] = {}

    def rate(self, place: int) -> float:
        """η of a place."""
        return float(self.own * 10.0 ** (place / self.parts))

    def best(self) -> int:
        """The place of the best rate; of equal ones, the smaller rate."""
        ends = [int(end * self.parts) for end in ENDS]
        self._try(range(ends[0], ends[1] + 1))
        if not np.isfinite(self._least()):
            low, high = map(self.rate, ends)
            raise InputError(
                f"at no learning rate from {low:.3g} to {high:.3g} does the error of architecture"
                f" {self.architecture.label!r} settle within {self.settings.most_steps} steps; take more max_steps"
            )
        for side, sign in enumerate((-1, 1)):
            for _ in range(WIDENED):
                if sign * (ends[side] - self._fastest()) >= self.parts:
                    break
                beyond = ends[side] + sign * self.parts
                self._try(range(*sorted((ends[side] + sign, beyond + sign))))
                ends[side] = beyond
        return self._fastest()

    def _least(self) -> float:
        """The smallest time so far."""
        return min(self.times.values(), default=np.inf)

    def _fastest(self) -> int:
        """The place of the rate with the smallest time so far."""
        return min(sorted(self.times), key=self.times.__getitem__)

    def _try(self, places: range) -> None:
        """Train at the rates of places."""
        rates = np.array([self.rate(place) for place in places])
        run = prepare_at_rates(self.noised, self.architecture, self.settings, rates)
        self.times |= dict(zip(places, mean_times(run, self.settings, self._least()).tolist(), strict=True))


def start_alike(run: Prepared) -> bool:
    """Whether the networks of all seeds have the same start, as full layers do.

    Args:
        run: prepared, not stepped yet.
    """
    weights = run.descent.weights()
    return bool((weights == weights[:1]).all())


def mean_times(run: Prepared, settings: TrainingSettings, best: float = np.inf) -> Array:
    """Mean over seeds of the time from which ε stays, shape (levels,).

    It is infinite where a seed diverges, does not settle, or has made it sure that the mean exceeds that of another
    level, or `best`.

    Args:
        run: prepared, not stepped yet.
        settings: options of training.
        best: a mean that is known.
    """
    descent, source, threshold = run.descent, run.source, settings.tolerance + run.floors
    if start_alike(run):
        # One stands for all, as nothing is random on the population loss.
        first = np.arange(len(run.seeds)) == 0
        descent.keep(first)
        source.keep(first)
    error = before = descent.error()
    limit = largest_error(run, settings, error)
    since, entry = np.full((2, *error.shape), np.nan)
    settled, running = np.zeros(error.shape, dtype=bool), np.ones(error.shape[1], dtype=bool)
    means = np.full(error.shape[1], np.inf)
    # Rates beyond stability overflow.
    with np.errstate(all="ignore"):
        for step in range(settings.most_steps + 1):
            if step > 0:
                descent.advance(*source.draw())
                before, error = error, descent.error()
            below = error <= threshold
            for place in zip(*np.nonzero(below & np.isnan(since)), strict=True):
                since[place] = entry[place] = step
                if step > 0:
                    entry[place] = crossing_time(step, before[place], error[place], threshold[place[1]])
            since[~(below | settled)] = np.nan
            settled |= step - since >= settings.settle
            least = np.where(np.isnan(since), step, entry).mean(axis=0)
            done = running & settled.all(axis=0)
            means[done] = least[done]
            best = min(best, float(means.min()))
            running &= ~done & (error <= limit).all(axis=0) & (least <= best)
            if not running.any():
                break
    return means
