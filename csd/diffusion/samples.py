"""Fields drawn with any score, and what is measured on them, with errors (docs/physics.md, section 6).

Fields are drawn one by one and leave sums behind, in at most 256 blocks, so memory does not grow with their number;
errors come from the jackknife over blocks. Spectra are summed in bins of wavenumber. Beside them stand quantities that
need no Fourier transform: the moments of the marginal distribution over sites,

    mean ⟨φ⟩ = 0,     skewness ⟨φ³⟩ / ⟨φ²⟩^{3/2} = 0,     excess kurtosis ⟨φ⁴⟩ / ⟨φ²⟩² − 3 = 0    (exact values),

and a two-sample test of whole fields, by their energy distance 2 E|x − y| − E|x − x′| − E|y − y′| (Székely and Rizzo,
J. Stat. Plan. Inference 143, 1249, 2013), which is 0 only if both follow one law.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from csd.core.random import stream
from csd.diffusion.integrators import LinearStep
from csd.diffusion.sampling import sample_modes
from csd.lattice import Array, ComplexArray, Lattice, observables
from csd.lattice.bins import LengthBins

BLOCKS = 256
"""Most blocks of the jackknife."""
COMPARED = 200
"""Most fields of each kind in the two-sample test."""
COMPARED_NUMBERS = 2**23
"""Most numbers that its fields of each kind hold together."""
PERMUTATIONS = 499
"""Of the two-sample test: its smallest p-value is 1/500."""


@dataclass
class Samples:
    """What fields have left behind.

    Attributes:
        counts: fields of each block, shape (blocks,).
        sums: of each observable over the fields of a block, shape (blocks,), 'spectrum' (blocks, bins).
        fields: the first of them, shape (compared, sites).
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
        lattice: where they live.
        steps: of `csd.diffusion.sampling.linear_steps`, at the lattice's *pairs*.
        start: variance at the highest noise level.
        bins: of wavenumbers.
        count: fields, at least 2.
        purpose: what names the random streams; each field has one of its own.

    Raises:
        GenerationFailed: if a mode is not finite.
    """
    drawn = (sample_modes(steps, lattice.pairs, start, own) for own in sample_streams(count, *purpose))
    return measured(lattice, drawn, bins, count)


def sample_streams(count: int, *purpose: object) -> Iterator[np.random.Generator]:
    """The random stream of each of `count` samples."""
    return (stream("sample", *purpose, number) for number in range(count))


def measured(lattice: Lattice, drawn: Iterable[ComplexArray], bins: LengthBins, count: int) -> Samples:
    """What fields leave behind, one by one.

    Args:
        lattice: where they live.
        drawn: x̂/√N of each at the lattice's *pairs*, of `csd.diffusion.sampling.draw_modes`.
        bins: of wavenumbers.
        count: how many there are, at least 2.
    """
    modes = lattice.pairs
    first_shell = observables.first_shell(lattice, modes)
    blocks = min(count, BLOCKS)
    names = ("zero_mode", "first_mode", "energy", "first_moment", "second_moment", "third_moment", "fourth_moment")
    sums = {name: np.zeros(blocks) for name in names} | {"spectrum": np.zeros((blocks, len(bins.middles)))}
    counts = np.zeros(blocks)
    kept = np.empty((compared_fields(lattice, count), lattice.sites))
    for sample, state in enumerate(drawn):
        spectrum = state.real**2 + state.imag**2
        field = lattice.inverse(lattice.spread(state, modes) * np.sqrt(lattice.sites)).ravel()
        if sample < len(kept):
            kept[sample] = field
        block = sample * blocks // count
        counts[block] += 1
        sums["spectrum"][block] += bins.mean(spectrum)
        sums["zero_mode"][block] += observables.susceptibility(modes, spectrum)
        sums["first_mode"][block] += spectrum @ first_shell
        sums["energy"][block] += observables.energy(modes, spectrum)
        squared = field * field
        sums["first_moment"][block] += field.mean()
        sums["second_moment"][block] += squared.mean()
        sums["third_moment"][block] += (squared * field).mean()
        sums["fourth_moment"][block] += (squared * squared).mean()
    return Samples(counts, sums, kept)


def compared_fields(lattice: Lattice, count: int) -> int:
    """How many of `count` fields the two-sample test looks at."""
    return max(2, min(count, COMPARED, COMPARED_NUMBERS // lattice.sites))


def skewness(first: Array, second: Array, third: Array) -> Array:
    """⟨(φ − ⟨φ⟩)³⟩ / ⟨(φ − ⟨φ⟩)²⟩^{3/2}, from the first three moments."""
    spread = second - first**2
    return (third - 3.0 * first * second + 2.0 * first**3) / spread**1.5


def excess_kurtosis(second: Array, fourth: Array) -> Array:
    """⟨φ⁴⟩ / ⟨φ²⟩² − 3, about the exact mean 0."""
    return fourth / second**2 - 3.0


def jackknife(statistic: Callable[..., Array], counts: Array, *sums: Array) -> tuple[Array, Array, Array]:
    """A function of means, its error and its bias, by leaving out one block at a time.

    A statistic that does not exist (NaN) for all the samples has no error. One that exists, but not without some of the
    blocks, is so near to where it ceases to exist that its error is not known: it is NaN too, and so is the bias.

    Args:
        statistic: of one mean for each of `sums`; may return an array.
        counts: samples in each block, shape (blocks,).
        sums: over the samples of each block, shape (blocks, …).

    Returns:
        (value, standard error, bias), each of the statistic's shape.
    """
    blocks = len(counts)
    left_out = np.array(
        [
            statistic(*((total.sum(axis=0) - total[i]) / (counts.sum() - counts[i]) for total in sums))
            for i in range(blocks)
        ]
    )
    value = np.asarray(statistic(*(total.sum(axis=0) / counts.sum() for total in sums)))
    mean = left_out.mean(axis=0)
    error = np.sqrt((blocks - 1) * np.mean((left_out - mean) ** 2, axis=0))
    return value, error, (blocks - 1) * (mean - value)


def two_sample_test(fields: Array, others: Array, *purpose: object) -> tuple[float, float]:
    """Energy distance of two samples of whole fields, and how rarely chance alone makes it as large.

    Args:
        fields: shape (samples, sites).
        others: shape (other samples, sites).
        purpose: what names the random stream of the permutations.

    Returns:
        (distance, p-value); the p-value is uniform if both follow one law, by permutations of the pooled fields.
    """
    pooled = np.concatenate([fields, others])
    squares = (pooled**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * pooled @ pooled.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    generator, places = stream("permutations", *purpose), np.arange(len(pooled))
    orders = [places, *(generator.permutation(places) for _ in range(PERMUTATIONS))]
    # One row a division of the pooled fields: 1 for those that count as the first sample.
    first = np.zeros((len(orders), len(pooled)))
    for row, order in zip(first, orders, strict=True):
        row[order[: len(fields)]] = 1.0
    to_first = first @ distances
    within = (to_first * first).sum(axis=1)
    across = (to_first * (1.0 - first)).sum(axis=1)
    within_others = distances.sum() - within - 2.0 * across
    own, other = len(fields), len(others)
    energy = 2.0 * across / (own * other) - within / (own * (own - 1)) - within_others / (other * (other - 1))
    # Divisions that are the same but for rounding count as equal.
    larger = np.count_nonzero(energy[1:] >= energy[0] - 1e-12 * abs(energy[0]))
    return float(energy[0]), (larger + 1.0) / (PERMUTATIONS + 1.0)
