"""Learning rates by trial: the one at which the error settles soonest, from starts that are not those of the training.

Every rule has the same budget: 17 rates, four a decade, from 10^−1.5 to 10^2.5 times its own rate, and a decade more
beyond an end at which the best one lies; then six between the neighbours of the best, sixteen a decade.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from csd.core.errors import InputError, TrainingDiverged
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, prepare
from csd.training.steps.rates import Tuning

PARTS = 16
"""Rates a decade in the second pass."""
COARSE = PARTS // 4
"""Parts of a decade between two rates in the first pass."""
ENDS = (-3 * PARTS // 2, 5 * PARTS // 2)
"""Parts of a decade from the rule's own rate to the ends of the first pass."""
WIDENED = 4
"""Decades by which it may grow beyond either end."""
STARTS = (2**40 + 1, 2**40 + 2, 2**40 + 3, 2**40 + 4)
"""The seeds of the trials."""
SHORT, LONGER = 50, 4
"""Steps of the first trials beside those of settling, and the factor by which they grow until some rate settles."""
TRIALS = (ENDS[1] - ENDS[0]) // COARSE + 1 + 2 * (COARSE - 1)
"""Rates that are tried, unless the best one lies at an end."""


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


def tuned(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> Tuning:
    """Try rates at each noise level.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training, with `rate_from` tuned.

    Raises:
        InputError: if a seed of the training is one of the trials, or ε settles at no rate.
    """
    if common := set(STARTS) & set(settings.seeds):
        raise InputError(f"seed {min(common)} is one of those on which learning rates are tuned; take another")
    found = []
    for level in noised.levels:
        trials = _Trials(NoisedTarget(noised.target, noised.schedule, [level]), architecture, settings)
        found.append((trials.best(), trials.own, trials.times))
    best = [own * 10.0 ** (place / PARTS) for place, own, _ in found]
    longest = max(len(times) for *_, times in found)
    rates, means = np.full((2, len(found), longest), np.nan)
    for level, (_, own, times) in enumerate(found):
        for column, place in enumerate(sorted(times)):
            rates[level, column], means[level, column] = own * 10.0 ** (place / PARTS), times[place]
    return Tuning(np.array(best), rates, np.where(np.isfinite(means), means, np.nan))


class _Trials:
    """Trials at one noise level; rates are own × 10^(place / PARTS)."""

    def __init__(self, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> None:
        self.noised, self.architecture, self.settings = noised, architecture, settings
        self.own = float(prepare(noised, architecture, replace(settings, rate_from="spectrum")).rates[0])
        self.times: dict[int, float] = {}
        self.steps = min(SHORT + settings.settle, settings.most_steps)

    def best(self) -> int:
        """The place of the best rate."""
        ends = list(ENDS)
        self._try(range(ENDS[0], ENDS[1] + 1, COARSE))
        while not np.isfinite(min(self.times.values())):
            if self.steps >= self.settings.most_steps:
                low, high = (self.own * 10.0 ** (end / PARTS) for end in ends)
                raise InputError(
                    f"at no learning rate from {low:.3g} to {high:.3g} does the error of architecture"
                    f" {self.architecture.label!r} settle within {self.settings.most_steps} steps; take more max_steps"
                )
            self.steps = min(LONGER * self.steps, self.settings.most_steps)
            self.times.clear()
            self._try(range(ENDS[0], ENDS[1] + 1, COARSE))
        for side, sign in enumerate((-1, 1)):
            while self._fastest() == ends[side] and abs(ends[side] - ENDS[side]) < WIDENED * PARTS:
                beyond = ends[side]
                ends[side] += sign * PARTS
                self._try(range(beyond, ends[side] + sign, sign * COARSE))
        middle = self._fastest()
        self._try(range(middle - COARSE + 1, middle + COARSE))
        return self._fastest()

    def _fastest(self) -> int:
        """The place of the rate with the smallest time so far; of equal ones, the smaller rate."""
        return min(sorted(self.times), key=self.times.__getitem__)

    def _try(self, places: Iterable[int]) -> None:
        """Train at the rates of places, unless that was done."""
        for place in places:
            if place not in self.times:
                self.times[place] = self._time(self.own * 10.0 ** (place / PARTS))

    def _time(self, rate: float) -> float:
        """Mean time at a rate; infinite if a seed diverges or does not settle."""
        how: dict[str, Any] = {"learning_rate": rate, "rate_from": "spectrum", "kernel_steps": "none"}
        settings = replace(self.settings, seeds=STARTS, max_steps=self.steps, **how)
        try:
            record = train_network(self.noised, self.architecture, settings)
        except TrainingDiverged:
            return np.inf
        times = record.crossing_time if record.settled_crossing_time is None else record.settled_crossing_time
        return float(np.nan_to_num(times.mean(), nan=np.inf))
