"""Samples: observables of fields drawn with any score, and their errors (docs/physics.md, section 6).

Fields are drawn one by one and added to sums over at most 256 blocks, so memory does not grow with their number; errors
come from the jackknife over blocks. Spectra are summed in bins of wavenumber. Some quantities need no Fourier
transform: the moments of the marginal distribution over sites,

    mean ⟨φ⟩ = 0,     skewness ⟨φ³⟩ / ⟨φ²⟩^{3/2} = 0,     excess kurtosis ⟨φ⁴⟩ / ⟨φ²⟩² − 3 = 0    (Gaussian fields),

and two comparisons of whole fields (`csd.lattice.distances`): a two-sample test with exact or held-out fields and,
for a data set, the distance of each sample to the nearest training field beside those of held-out fields.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from csd.core.files import Variable, labelled
from csd.core.random import draw_normal, stream
from csd.diffusion.integrators import LinearStep
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.sampling import TOGETHER, sample_modes
from csd.lattice import Array, ComplexArray, Lattice, Modes, observables
from csd.lattice.arrays import configurations, fields_between, pieces_of
from csd.lattice.bins import LengthBins
from csd.lattice.distances import nearest_distances, two_sample_test, with_translations
from csd.lattice.jackknife import jackknife_error, without_each
from csd.targets.base import HasFields, HasHeldOut, drawn_fields
from csd.targets.dataset import FEWEST, HELD_OUT_SHARE
from csd.targets.noising import NoisedTarget
from csd.targets.scores import with_nonlinear_score

BLOCKS = 256
"""The most blocks of the jackknife."""
COMPARED = 200
"""The most fields of each kind in the two-sample test."""
COMPARED_NUMBERS = 2**23
"""The most numbers in its fields of each kind."""

OF_TRAINING_FIELDS = (
    "nearest_training_field",
    "held_out_nearest_training_field",
    "nearer_fraction",
    "memorisation_p_value",
)
"""Variables that tell how near samples are to the training fields."""


@dataclass
class Samples:
    """Sums of observables over blocks of fields, and some of the fields.

    Attributes:
        counts: fields of each block, shape (blocks,).
        sums: of each observable over the fields of a block, shape (blocks,), 'spectrum' (blocks, bins).
        fields: the first fields, about the mean, shape (compared, sites); (compared, n sites) with n components.
        magnetisations: M/N of every field, or |M|/N with several components, shape (fields,).
    """

    counts: Array
    sums: dict[str, Array]
    fields: Array
    magnetisations: Array

    def estimate(self, statistic: Callable[..., Array], *names: str) -> tuple[Array, Array]:
        """(value, standard error) of a function of means; see `jackknife`."""
        value, error, _ = jackknife(statistic, self.counts, *(self.sums[name] for name in names))
        return value, error

    def fraction(self, name: str) -> tuple[Array, Array]:
        """(f, standard error) of the fraction f = K/M of independent fields with a property.

        The error is √(g(1 − g)/M) with g = (K + 2)/(M + 4), which is not 0 where all or none have it (Agresti and
        Coull, The American Statistician 52, 119 (1998)).
        """
        fields, having = self.counts.sum(), self.sums[name].sum()
        smoothed = (having + 2.0) / (fields + 4.0)
        return np.asarray(having / fields), np.asarray(np.sqrt(smoothed * (1.0 - smoothed) / fields))


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


def measured(
    lattice: Lattice,
    drawn: Iterable[ComplexArray],
    bins: LengthBins,
    count: int,
    mean: float = 0.0,
    blocks: int = BLOCKS,
    phase: float | None = None,
) -> Samples:
    """Measure fields one by one: their magnetisation as it is, all else about a mean.

    Of fields of n components φ_a, M = Σ_r φ(r) and m = M/N are vectors, and |M|² and |m| are those of the vectors. All
    other observables are means over the components: S(k), the energy, and moments of the marginal distribution of φ_a.

    Args:
        lattice: of the fields.
        drawn: x̂/√N of each at the lattice's *pairs*, as `ReverseDiffusion.draw` gives it, shape (pairs,) or (n, pairs).
        bins: of wavenumbers.
        count: number of fields, at least 2.
        mean: of the target at the noise level of the fields.
        blocks: the most blocks of consecutive fields; few where neighbours are alike.
        phase: αM of a target with phases, where fields are positive, or undecided; None for other targets.
    """
    modes = lattice.pairs
    first_shell = observables.first_shell(lattice, modes)
    constant = np.where(modes.laplacian == 0.0, mean * np.sqrt(lattice.sites), 0.0)
    blocks = min(count, blocks)
    sums: dict[str, Array] = defaultdict(lambda: np.zeros(blocks), spectrum=np.zeros((blocks, len(bins.middles))))
    counts = np.zeros(blocks)
    kept, magnetisations = list[Array](), np.empty(count)
    for sample, whole in enumerate(drawn):
        state = whole - constant if mean else whole
        field = lattice.inverse(lattice.spread(state, modes) * np.sqrt(lattice.sites)).ravel()
        if sample < compared_fields(lattice, count):
            kept.append(field)
        # Of each component: its mean over the sites, and the power of its modes.
        offs, power = field.reshape(-1, lattice.sites).mean(axis=1), np.atleast_2d(state.real**2 + state.imag**2)
        spectrum, off, squared = power.mean(axis=0), offs.mean(), field * field
        zero = observables.susceptibility(modes, spectrum)
        magnetisation = lattice.sites * ((offs + mean) ** 2).sum() if mean else len(power) * zero
        found = {
            "spectrum": bins.mean(spectrum),
            "zero_mode": zero,
            "squared_magnetisation": magnetisation,
            "fourth_magnetisation": magnetisation * magnetisation,
            "first_mode": spectrum @ first_shell,
            "energy": observables.energy(modes, spectrum),
            "first_moment": off,
            "absolute_mean": np.sqrt(((offs + mean) ** 2).sum()),
            "second_moment": squared.mean(),
            "third_moment": (squared * field).mean(),
            "fourth_moment": (squared * squared).mean(),
        }
        if phase is not None:
            found |= {"positive": float(off + mean > 0.0), "undecided": float(abs(off + mean) < 0.5 * phase)}
        magnetisations[sample] = off + mean if len(offs) == 1 else found["absolute_mean"]
        block = sample * blocks // count
        counts[block] += 1
        for name, value in found.items():
            sums[name][block] += value
    return Samples(counts, sums, np.stack(kept), magnetisations)


def compared_fields(lattice: Lattice, count: int) -> int:
    """How many of `count` fields the two-sample test compares."""
    return max(2, min(count, COMPARED, COMPARED_NUMBERS // lattice.sites))


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
    left = without_each(statistic, counts, *sums)
    value = np.asarray(statistic(*(total.sum(axis=0) / counts.sum() for total in sums)))
    return value, jackknife_error(left), (len(counts) - 1) * (left.mean(axis=0) - value)


def sampled_divergences(noised: NoisedTarget, drawn: Sequence[Samples], bins: LengthBins) -> list[tuple[Array, Array]]:
    """KL per site of sampled fields from the target, by their spectra in bins, and its error; for each seed.

    The KL is a convex function of noisy spectra: its bias by the noise is subtracted, also that of held-out fields.
    """
    weight, pairs = bins.momenta / noised.lattice.sites, noised.lattice.pairs

    def divergence(spectrum: Array, exact: Array) -> Array:
        ratio = spectrum / exact
        return np.asarray(0.5 * (weight * (ratio - 1.0 - np.log(ratio))).sum())

    exact, found = bins.mean(noised.spectra_at(pairs)[-1]), []
    for one in drawn:
        value, error, bias = jackknife(lambda spectrum: divergence(spectrum, exact), one.counts, one.sums["spectrum"])
        if isinstance(noised.target, HasHeldOut):
            mean = one.sums["spectrum"].sum(axis=0) / one.counts.sum()
            _, more, further = over_held_out(noised, pairs, lambda own: divergence(mean, bins.mean(own)))  # noqa: B023
            error, bias = np.hypot(error, more), bias + further
        found.append((value - bias, error))
    return found


def over_held_out(
    noised: NoisedTarget, modes: Modes, statistic: Callable[[Array], Array]
) -> tuple[Array, Array, Array]:
    """(value, standard error, bias) of a function of C(k) of held-out fields at the lowest level; see `jackknife`.

    Args:
        noised: with a target that has held-out fields.
        modes: of C.
        statistic: of C, shape (modes,); may return an array.
    """
    counts, spectra = cast("HasHeldOut", noised.target).held_out_blocks(modes)
    return jackknife(statistic, counts, counts[:, None] * noised.spectra(spectra)[-1])


def fields_to_compare(target: HasFields) -> Any:
    """The held-out fields of a data set; of a Monte Carlo file the last fifth, not learned by nonlinear networks."""
    if isinstance(target, HasHeldOut):
        return target.held_out
    fields, together = len(target.data), int(getattr(target, "components", 1))
    return fields_between(target.data, fields - together * (fields // together // HELD_OUT_SHARE), fields)


def compared_with(reverse: ReverseDiffusion) -> int:
    """Number of `fields_to_compare` or, with `components`, of their configurations."""
    return len(fields_to_compare(cast("HasFields", reverse.noised.target))) // (reverse.components or 1)


def held_out_samples(reverse: ReverseDiffusion, run: str, numbers: Sequence[int]) -> Iterator[Array]:
    """α y + σ z of `fields_to_compare` y at the lowest level; a field's noise depends on its number alone.

    Args:
        reverse: with a data set as target.
        run: name of the random streams.
        numbers: of the fields or, with `components`, of the configurations, shape (n, *lattice.shape).
    """
    noised = reverse.noised
    held_out = fields_to_compare(cast("HasFields", noised.target))
    signal, deviation = noised.signals[-1], np.sqrt(noised.variances[-1])
    for start in range(0, len(numbers), TOGETHER):
        chosen = np.array(numbers[start : start + TOGETHER])
        fields = configurations(held_out, chosen, reverse.components)
        for number, clean in zip(chosen.tolist(), fields, strict=True):
            noise = draw_normal(stream("noise of held-out fields", run, number), clean.shape)
            yield signal * clean + deviation * noise


def whole_fields(
    reverse: ReverseDiffusion, drawn: Sequence[Samples], seeds: Sequence[int], run: str, *, all_learned: bool
) -> dict[str, Variable]:
    """Two-sample tests of every seed, and distances to training fields, about the mean, which would round them.

    There is no test where the networks learned all fields of a Monte Carlo file.
    """
    noised, lattice = reverse.noised, reverse.noised.lattice
    target, compared = noised.target, [one.fields for one in drawn]
    held_out = None
    if isinstance(target, HasFields) and not isinstance(target, HasHeldOut) and all_learned:
        return _training_distances(reverse, compared, None)
    if isinstance(target, HasFields) and (fields := compared_with(reverse)) >= FEWEST:
        # Spread over the set, as neighbours along a Markov chain are alike.
        numbers = np.linspace(0, fields - 1, compared_fields(lattice, fields)).astype(int).tolist()
        held_out = np.stack([own.ravel() for own in held_out_samples(reverse, run, numbers)]) - noised.means[-1]
    elif isinstance(target, HasFields):
        return _training_distances(reverse, compared, None)
    tests = []
    for own, seed in zip(compared, seeds, strict=True):
        # Exact fields of their own for each seed: tests that shared them would not be independent.
        others = exact_fields(reverse, len(own), run, seed) if held_out is None else held_out
        tests.append(two_sample_test(own, others, run, lattice.size, seed))
    distances, p_values = zip(*tests, strict=True)
    words = f"energy distance of sampled from {'exact' if held_out is None else 'held-out'} fields"
    variables = {
        "two_sample_distance": labelled(["seed"], distances, words),
        "two_sample_p_value": labelled(["seed"], p_values, "its p-value, by permutations"),
    }
    if isinstance(target, HasFields):
        variables |= _training_distances(reverse, compared, held_out if isinstance(target, HasHeldOut) else None)
    return variables


def _training_distances(
    reverse: ReverseDiffusion, compared: Sequence[Array], held_out: Array | None
) -> dict[str, Variable]:
    """Distances of samples, and of held-out fields, to the nearest training field α y at the lowest level."""
    noised = reverse.noised
    target, lattice, signal = cast("HasFields", noised.target), noised.lattice, noised.signals[-1]
    shape = (-1, *(() if reverse.components is None else (reverse.components,)), *lattice.shape)
    fields = np.concatenate([*compared, *([] if held_out is None else [held_out])])
    pieces = pieces_of(target.data, reverse.components or 1)
    others = (signal * (piece.reshape(shape) - noised.mean) for piece in pieces)
    translations = with_translations(lattice, len(fields), len(target.data))
    found = nearest_distances(lattice, fields.reshape(shape), others, translations=translations)
    own = np.split(found, np.cumsum([len(one) for one in compared]))
    over = "at its best translation" if translations else "as it lies"
    about = f"root mean square distance per site to the nearest training field, {over}"
    variables = {
        "nearest_training_field": labelled(["seed", "compared_sample"], own[:-1], f"{about}, of sampled fields")
    }
    if held_out is not None:
        from scipy.stats import mannwhitneyu

        held = labelled(["held_out_field"], own[-1], f"{about}, of held-out fields with noise")
        p_values = [float(mannwhitneyu(one, own[-1], alternative="less").pvalue) for one in own[:-1]]
        words = "p-value of the rank test that samples are not nearer to the training fields than held-out fields are"
        nearer = [float((one < own[-1].min()).mean()) for one in own[:-1]]
        variables |= {
            "held_out_nearest_training_field": held,
            "nearer_fraction": labelled(["seed"], nearer, "fraction of samples nearer than every held-out field"),
            "memorisation_p_value": labelled(["seed"], p_values, words),
        }
    return variables


def exact_fields(reverse: ReverseDiffusion, count: int, run: str, seed: object) -> Array:
    """Exact fields about their mean at the lowest level, different for each seed; shape (count, sites).

    They are Gaussian unless the target is known to be of another kind.
    """
    noised, lattice = reverse.noised, reverse.noised.lattice
    modes = lattice.pairs
    spectrum = noised.spectra_at(modes)[-1]
    streams = [stream("exact sample", run, lattice.size, seed, i) for i in range(count)]
    if (target := with_nonlinear_score(noised.target)) is not None:
        clean = np.concatenate([drawn_fields(target, own, 1) for own in streams]) - noised.mean
        noise = np.stack([draw_normal(own, lattice.shape) for own in streams])
        fields = noised.signals[-1] * clean + np.sqrt(noised.variances[-1]) * noise
        return np.asarray(fields.reshape(count, lattice.sites))
    drawn = np.stack([sample_modes([], modes, spectrum, own) for own in streams])
    return lattice.inverse(lattice.spread(drawn, modes) * np.sqrt(lattice.sites)).reshape(count, lattice.sites)
