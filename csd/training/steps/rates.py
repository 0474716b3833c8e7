"""Learning rates of networks: their own, given ones, or those that follow from data; and what they are bounded by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import checked_numbers, is_user_defined
from csd.lattice import Array
from csd.networks.linear import LinearNetwork, relative_error
from csd.targets.base import HasHeldOut
from csd.targets.noising import NoisedTarget
from csd.training.batches import estimated_spectra
from csd.training.descent.optimizers import Optimizer
from csd.training.options import TrainingSettings
from csd.training.steps.quadratic import best_pair


@dataclass(frozen=True)
class Tuning:
    """The trials at each noise level.

    Attributes:
        best: η with the smallest mean time, or half of it (`csd.training.steps.tuning`), shape (levels,).
        rates: η that were tried, in rising order, shape (levels, trials); NaN fills up levels with fewer.
        times: mean over seeds of the time from which ε stays, NaN if it did not in the steps of the trials, same shape.
    """

    best: Array
    rates: Array
    times: Array


Known = tuple[Array, Array, Array, Array]
"""η, the largest stable η, R and ε_R of the network at each level, shape (levels,) each.

Where seeds have rates of their own, from fields of their own, η has shape (seeds, levels).
"""


def known_rates(
    networks: Sequence[Any], noised: NoisedTarget, learned: Array, settings: TrainingSettings, optimizer: Optimizer
) -> Known:
    """Rates, ranges and floors of networks.

    Args:
        networks: families, or modules, of which only the rate is known.
        noised: the target at its noise levels.
        learned: `learned_spectra` of it.
        settings: with the learning rate, if it is given, and the seeds.
        optimizer: with its own rate, if it has one, or with one for each level.
    """
    stable, ranges, floors = np.full((3, len(networks)), np.nan)
    floors[:] = 0.0
    lattice, measured = noised.lattice, isinstance(noised.target, HasHeldOut)
    exact, weight = noised.spectra_at(noised.modes), noised.modes.multiplicity
    of_data = settings.rate_from == "data"
    each = of_data and not measured
    name = f"rate {data_identity(noised)}"
    seen = np.stack([estimated_spectra(noised, name, seed) for seed in settings.seeds] if each else [learned])
    rates = np.full(seen.shape[:2], np.nan)
    for level, (network, spectrum) in enumerate(zip(networks, learned, strict=True)):
        family = isinstance(network, LinearNetwork)
        own = [spectra[level] if family else lattice.half(spectra[level]) for spectra in seen]
        usual: Any = (
            [_own_rate(network, one) for one in own]
            if optimizer.rate is None
            else np.broadcast_to(optimizer.rate, len(networks))[level]
        )
        rates[:, level] = settings.learning_rate or usual
        if settings.rate_from == "optimal" and settings.linear_rule is not None:
            rates[:, level] = best_pair(settings.linear_rule[0], spectrum.min(), spectrum.max())[0]
        if settings.rate_from == "safe":
            rates[:, level] = network.safe_rate(spectrum)
        if of_data and rates[0, level] == _own_rate(network, 2.0 * own[0]):
            raise InputError(
                f"rate_from is data, but the network's own learning rate is {rates[0, level]:g} whatever the data;"
                " leave it out"
            )
        ranges[level] = network.reach
        if family:
            stable[level], floors[level] = _bounds(network, spectrum)
        if measured and (family or network.kernel() is not None):
            # Training ends at the best network on the training spectrum.
            best = network.best_kernel(spectrum) if family else 1.0 / spectrum
            floors[level] = relative_error(best, exact[level], weight)
    return rates if each else rates[0], stable, ranges, floors


def _own_rate(network: Any, spectrum: Array) -> float:
    """The default η of a network; that of a user-defined one is checked."""
    rate = network.learning_rate(spectrum)
    if is_user_defined(network):
        rate = float(rate.detach()) if hasattr(rate, "detach") else rate
        checked_numbers(f"network {type(network).__name__}: learning_rate(spectrum)", rate, (), least=0.0)
    return float(rate)


def _bounds(network: LinearNetwork, spectrum: Array) -> tuple[float, float]:
    """(largest stable η, ε_R) of a family; those of a user-defined one are checked."""
    stable, floor = network.stable_rate(spectrum), network.floor(spectrum)
    if is_user_defined(network):
        name = f"network {type(network).__name__}"
        # Any rate may be stable, or nothing known about it.
        if not isinstance(stable, float | int | np.number):
            raise InputError(f"{name}: stable_rate(spectrum) gives {stable!r}; it must give a number, inf or nan")
        checked_numbers(f"{name}: floor(spectrum)", floor, ())
    return stable, floor


def momenta_of(settings: TrainingSettings, learned: Array) -> Array | None:
    """β of each level, shape (levels,), 0 for plain descent; None for rules that are not linear in the gradient.

    Args:
        settings: options of training.
        learned: spectra that are learned.
    """
    rule = settings.linear_rule
    if rule is None:
        return None
    if settings.rate_from == "optimal":
        return np.array([best_pair(rule[0], spectrum.min(), spectrum.max())[1] for spectrum in learned])
    return np.full(len(learned), rule[1])


def data_identity(noised: NoisedTarget) -> str:
    """The name of the random stream of a data set, besides seed and size: all architectures learn the same one."""
    target, lattice = noised.target, noised.lattice
    return f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"
