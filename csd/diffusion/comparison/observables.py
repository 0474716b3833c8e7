"""Observables of sampled fields: functions of means over them, by name.

Those of a target with phases ±M include the fractions of fields that are positive, m > 0, and undecided, |m| < αM/2.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from csd.diffusion.samples import Samples
from csd.lattice import Array, Lattice
from csd.lattice.observables import binder, excess_kurtosis, skewness
from csd.targets.base import HasPhases
from csd.targets.noising import NoisedTarget


class SampledObservable(NamedTuple):
    """An observable of sampled fields: a function of means over them.

    Attributes:
        of_means: the function, of the means of `sums` in their order.
        sums: names in `Samples.sums`.
        units: of the value.
        fraction: whether it is the fraction of fields with a property, whose error is binomial.
    """

    of_means: Callable[..., Array]
    sums: tuple[str, ...]
    units: str = "1"
    fraction: bool = False

    def of(self, samples: Samples) -> tuple[Array, Array]:
        """(value, standard error) of sampled fields."""
        return samples.fraction(*self.sums) if self.fraction else samples.estimate(self.of_means, *self.sums)


def _length(zero: Array, first: Array, *, size: int) -> Array:
    """ξ from S(0) and S(k₁); NaN where S(0) < S(k₁), where no second-moment length exists."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(zero / first - 1.0) / (2.0 * np.sin(np.pi / size)))


def phase_of(noised: NoisedTarget) -> float | None:
    """αM at the lowest level, of a target with phases; None for others."""
    target = noised.target
    return float(noised.signals[-1] * target.magnetisation) if isinstance(target, HasPhases) else None


def sampled_observables(
    lattice: Lattice, mean: float = 0.0, components: int = 1, *, phases: bool = False
) -> dict[str, SampledObservable]:
    """The observables of fields of n components on a lattice, measured about a mean, by name.

    Those of a target with phases include the fraction of fields that are positive, and that of undecided ones.
    """
    own, of_vector = np.asarray, partial(binder, components=components)
    fractions = {"positive_fraction": ("positive",), "undecided_fraction": ("undecided",)} if phases else {}
    return {
        "susceptibility": SampledObservable(own, ("zero_mode",)),
        "correlation_length": SampledObservable(
            partial(_length, size=lattice.size), ("zero_mode", "first_mode"), "lattice spacings"
        ),
        "energy": SampledObservable(own, ("energy",)),
        "variance": SampledObservable(own, ("second_moment",)),
        "mean": SampledObservable(lambda off: own(off + mean), ("first_moment",)),
        "skewness": SampledObservable(skewness, ("first_moment", "second_moment", "third_moment")),
        "excess_kurtosis": SampledObservable(excess_kurtosis, ("second_moment", "fourth_moment")),
        "absolute_magnetisation": SampledObservable(own, ("absolute_mean",)),
        "binder": SampledObservable(of_vector, ("squared_magnetisation", "fourth_magnetisation")),
        **{name: SampledObservable(own, sums, fraction=True) for name, sums in fractions.items()},
    }
