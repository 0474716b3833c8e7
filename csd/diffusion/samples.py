"""Samples: observables of fields drawn with any score, and their errors (docs/physics.md, section 6).

Fields are drawn one by one and added to sums over at most 256 blocks, so memory does not grow with their number; errors
come from the jackknife over blocks. Spectra are summed in bins of wavenumber. Some quantities need no Fourier
transform: the moments of the marginal distribution over sites,

    mean ⟨φ⟩ = 0,     skewness ⟨φ³⟩ / ⟨φ²⟩^{3/2} = 0,     excess kurtosis ⟨φ⁴⟩ / ⟨φ²⟩² − 3 = 0    (exact values),

and a two-sample test of whole fields, by their energy distance 2 E|x − y| − E|x − x′| − E|y − y′| (Székely and Rizzo,
J. Stat. Plan. Inference 143, 1249, 2013), which is 0 only if both have the same distribution.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from csd.core.random import stream
from csd.diffusion.integrators import LinearStep
from csd.diffusion.sampling import sample_modes
from csd.lattice import Array, ComplexArray, Lattice, observables
from csd.lattice.bins import LengthBins

BLOCKS = 256
"""The most blocks of the jackknife."""
COMPARED = 200
"""The most fields of each kind in the two-sample test."""
COMPARED_NUMBERS = 2**23
"""The most numbers in its fields of each kind."""
PERMUTATIONS = 499
"""Permutations of the two-sample test, whose smallest p-value is 1/500."""


@dataclass
class Samples:
    """Sums of observables over blocks of fields, and some of the fields.

    Attributes:
        counts: fields of each block, shape (blocks,).
        sums: of each observable over the fields of a block, shape (blocks,), 'spectrum' (blocks, bins).
        fields: the first fields, shape (compared, sites).
    """

    counts: Array
    sums: dict[str, Array]
    fields: Array

    def estimate(self, statistic: Callable[..., Array], *names: str) -> tuple[Array, Array]:
        """(value, standard error) of a function of means; see `jackknife`."""
        value, error, _ = jackknife(statistic, self.counts, *(self.sums[name] for name in names))
        return value, error


def draw_samples(
    lattice: Lattice, steps: Sequence[LinearStep], start: Array | float, bins: LengthBins, count: int, *purpose: object
) -> Samples:
    """Draw fields by the steps of a linear score and measure them.

    Args:
        lattice: of the fields.
        steps: of `csd.diffusion.sampling.linear_steps`, at the lattice's *pairs*.
        start: variance at the highest noise level.
        bins: of wavenumbers.
        count: number of fields, at least 2.
        purpose: name of the random streams; each field has one of its own.

    Raises:
        GenerationFailed: if a mode is not finite.
    """
    drawn = (sample_modes(steps, lattice.pairs, start, own) for own in sample_streams(count, *purpose))
    return measured(lattice, drawn, bins, count)


def sample_streams(count: int, *purpose: object) -> Iterator[np.random.Generator]:
    """The random stream of each of `count` samples."""
    return (stream("sample", *purpose, number) for number in range(count))


def measured(lattice: Lattice, drawn: Iterable[ComplexArray], bins: LengthBins, count: int) -> Samples:
    """Measure fields one by one.

    Args:
        lattice: of the fields.
        drawn: x̂/√N of each at the lattice's *pairs*, of `csd.diffusion.sampling.draw_modes`.
        bins: of wavenumbers.
        count: number of fields, at least 2.
    """
    modes = lattice.pairs
    first_shell = observables.first_shell(lattice, modes)
    blocks = min(count, BLOCKS)
    sums: dict[str, Array] = defaultdict(lambda: np.zeros(blocks), spectrum=np.zeros((blocks, len(bins.middles))))
    counts = np.zeros(blocks)
    kept = np.empty((compared_fields(lattice, count), lattice.sites))
    for sample, state in enumerate(drawn):
        spectrum = state.real**2 + state.imag**2
        field = lattice.inverse(lattice.spread(state, modes) * np.sqrt(lattice.sites)).ravel()
        if sample < len(kept):
            kept[sample] = field
        zero, mean, squared = observables.susceptibility(modes, spectrum), field.mean(), field * field
        found = {
            "spectrum": bins.mean(spectrum),
            "zero_mode": zero,
            "squared_zero_mode": zero * zero,
            "first_mode": spectrum @ first_shell,
            "energy": observables.energy(modes, spectrum),
            "first_moment": mean,
            "absolute_mean": abs(mean),
            "second_moment": squared.mean(),
            "third_moment": (squared * field).mean(),
            "fourth_moment": (squared * squared).mean(),
        }
        block = sample * blocks // count
        counts[block] += 1
        for name, value in found.items():
            sums[name][block] += value
    return Samples(counts, sums, kept)


def compared_fields(lattice: Lattice, count: int) -> int:
    """How many of `count` fields the two-sample test compares."""
    return max(2, min(count, COMPARED, COMPARED_NUMBERS // lattice.sites))


def skewness(first: Array, second: Array, third: Array) -> Array:
    """⟨(φ − ⟨φ⟩)³⟩ / ⟨(φ − ⟨φ⟩)²⟩^{3/2}, from the first three moments."""
    spread = second - first**2
    return (third - 3.0 * first * second + 2.0 * first**3) / spread**1.5


def excess_kurtosis(second: Array, fourth: Array) -> Array:
    """⟨φ⁴⟩ / ⟨φ²⟩² − 3, with the exact mean 0."""
    return fourth / second**2 - 3.0


def binder(square: Array, fourth: Array) -> Array:
    """U4 = 1 − ⟨M⁴⟩ / (3 ⟨M²⟩²), from the moments of the magnetisation in any units; 0 for Gaussian fields."""
    return 1.0 - fourth / (3.0 * square**2)


class SampledObservable(NamedTuple):
    """An observable of sampled fields: a function of means over them.

    Attributes:
        of_means: the function, of the means of `sums` in their order.
        sums: names in `Samples.sums`.
        units: of the value.
    """

    of_means: Callable[..., Array]
    sums: tuple[str, ...]
    units: str = "1"


def _length(zero: Array, first: Array, *, size: int) -> Array:
    """ξ from S(0) and S(k₁); NaN where S(0) < S(k₁), where no second-moment length exists."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(zero / first - 1.0) / (2.0 * np.sin(np.pi / size)))


def sampled_observables(lattice: Lattice) -> dict[str, SampledObservable]:
    """The observables of fields on a lattice, by name."""
    own = np.asarray
    return {
        "susceptibility": SampledObservable(own, ("zero_mode",)),
        "correlation_length": SampledObservable(
            partial(_length, size=lattice.size), ("zero_mode", "first_mode"), "lattice spacings"
        ),
        "energy": SampledObservable(own, ("energy",)),
        "variance": SampledObservable(own, ("second_moment",)),
        "mean": SampledObservable(own, ("first_moment",)),
        "skewness": SampledObservable(skewness, ("first_moment", "second_moment", "third_moment")),
        "excess_kurtosis": SampledObservable(excess_kurtosis, ("second_moment", "fourth_moment")),
        "absolute_magnetisation": SampledObservable(own, ("absolute_mean",)),
        "binder": SampledObservable(binder, ("zero_mode", "squared_zero_mode")),
    }


def jackknife(statistic: Callable[..., Array], counts: Array, *sums: Array) -> tuple[Array, Array, Array]:
    """A function of means, its error and its bias, by leaving out one block at a time.

    A statistic that does not exist (NaN) for all samples has no error. If it exists, but does not without one of the
    blocks, its error is not known: error and bias are NaN.

    Args:
        statistic: function of one mean for each of `sums`; may return an array.
        counts: samples in each block, shape (blocks,).
        sums: over the samples of each block, shape (blocks, …).

    Returns:
        (value, standard error, bias), each of the statistic's shape.
    """
    blocks = len(counts)
    every, totals = counts.sum(), [total.sum(axis=0) for total in sums]
    left_out = np.array(
        [
            statistic(*((all_ - own[i]) / (every - counts[i]) for all_, own in zip(totals, sums, strict=True)))
            for i in range(blocks)
        ]
    )
    value = np.asarray(statistic(*(total / every for total in totals)))
    mean = left_out.mean(axis=0)
    error = np.sqrt((blocks - 1) * np.mean((left_out - mean) ** 2, axis=0))
    return value, error, (blocks - 1) * (mean - value)


def two_sample_test(fields: Array, others: Array, *purpose: object) -> tuple[float, float]:
    """The energy distance of two samples of whole fields, and the probability that chance makes it as large.

    Args:
        fields: shape (samples, sites).
        others: shape (other samples, sites).
        purpose: name of the random stream of the permutations.

    Returns:
        (distance, p-value), by permutations of the pooled fields; the p-value is uniform if both distributions agree.
    """
    pooled = np.concatenate([fields, others])
    squares = (pooled**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * pooled @ pooled.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    generator, places = stream("permutations", *purpose), np.arange(len(pooled))
    orders = [places, *(generator.permutation(places) for _ in range(PERMUTATIONS))]
    # Each row is a division of the pooled fields, with 1 for those of the first sample.
    first = np.zeros((len(orders), len(pooled)))
    for row, order in zip(first, orders, strict=True):
        row[order[: len(fields)]] = 1.0
    to_first = first @ distances
    within = (to_first * first).sum(axis=1)
    across = (to_first * (1.0 - first)).sum(axis=1)
    within_others = distances.sum() - within - 2.0 * across
    own, other = len(fields), len(others)
    energy = 2.0 * across / (own * other) - within / (own * (own - 1)) - within_others / (other * (other - 1))
    # Divisions that differ by rounding only count as equal.
    larger = np.count_nonzero(energy[1:] >= energy[0] - 1e-12 * abs(energy[0]))
    return float(energy[0]), (larger + 1.0) / (PERMUTATIONS + 1.0)
