"""The variables of a generation file that come from sampled fields."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csd.core.files import Variable, labelled
from csd.diffusion.comparison.observables import phase_of
from csd.diffusion.comparison.references import SHOWN, Reference, all_observables, reference_of
from csd.diffusion.comparison.verdicts import BlockSpectra, Judgement, drawn_until_decided, judgement_of, most_fields
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import Samples, measured, sample_streams, sampled_divergences, whole_fields
from csd.lattice import Array
from csd.lattice.bins import LengthBins
from csd.networks.score import Score, kernels_of
from csd.targets.base import HasFields, HasHeldOut


@dataclass(frozen=True)
class Drawn:
    """The fields of one seed.

    Attributes:
        samples: what is measured of them.
        judgement: the criteria by these fields; None for a score with a kernel, whose criteria are exact.
    """

    samples: Samples
    judgement: Judgement | None


def sampled_variables(
    reverse: ReverseDiffusion, scores: Sequence[Score], seeds: Sequence[int], run: str, count: int | None
) -> dict[str, Variable]:
    """Draw fields with the score of each seed, measure them, and compare them with the target.

    Args:
        reverse: draws the fields.
        scores: one for each seed.
        seeds: of the training.
        run: name of the random streams, besides the seed.
        count: fields of each seed, at least 2; if None, as many as it takes to decide all criteria from samples.

    Returns:
        power_spectrum(seed, wavenumber), sampled_… observables (seed) with their errors and pulls, their reference, and
        the tests of whole fields; for scores without a kernel the criteria by samples.
    """
    noised, lattice = reverse.noised, reverse.noised.lattice
    bins = LengthBins(lattice.pairs, noised.target.mass, lattice.dimension)
    found = [
        _drawn(reverse, score, bins, count, (run, lattice.size, seed))
        for score, seed in zip(scores, seeds, strict=True)
    ]
    drawn = [one.samples for one in found]
    judgements = [one.judgement for one in found if one.judgement is not None]
    whole = bool(judgements) or isinstance(noised.target, HasFields)
    reference = reference_of(reverse, bins, run, whole=whole)
    # Linear networks learn all fields of a Monte Carlo file, others hold some out.
    variables = whole_fields(reverse, drawn, seeds, run, all_learned=not judgements)
    for name, observable in all_observables(reverse).items():
        units = observable.units
        words, of_bins = name.replace("_", " "), ["wavenumber"] * (name == "power_spectrum")
        own = [observable.of(one) for one in drawn]
        prefix = "" if of_bins else "sampled_"
        how = "from the binomial distribution" if observable.fraction else "by the jackknife"
        variables |= _with_errors(prefix, name, ["seed", *of_bins], own, units, how)
        if name in reference.values:
            variables |= _compared(reference, prefix, name, ["seed", *of_bins], own, units)
        if isinstance(noised.target, HasHeldOut):
            value, error = reference.values[name]
            variables[f"held_out_{name}"] = labelled(of_bins, value, f"{words} of held-out fields with noise", units)
            variables[f"held_out_{name}_error"] = labelled(
                of_bins, error, "its standard error, by the jackknife", units
            )
    variables |= _with_errors("sampled_", "kl_per_site", ["seed"], sampled_divergences(noised, drawn, bins), "1")
    if whole:
        variables |= _whole(drawn, reference, lattice.sites, float(noised.means[-1]), reverse.components or 1)
    if judgements:
        fields = [len(one.magnetisations) for one in drawn]
        variables |= {"samples_drawn": labelled(["seed"], fields, "number of sampled fields"), **_criteria(judgements)}
    return variables


def _drawn(
    reverse: ReverseDiffusion, score: Score, bins: LengthBins, count: int | None, purpose: tuple[object, ...]
) -> Drawn:
    """Draw and measure the fields of one seed."""
    noised, mean = reverse.noised, float(reverse.noised.means[-1])
    phase = phase_of(noised)
    with_kernel = kernels_of(score, reverse.grid) is not None
    streams = sample_streams(count or most_fields(noised.lattice), *purpose)
    drawn = reverse.draw(score, streams)
    if count is None:
        states, judgement = drawn_until_decided(reverse, drawn)
        return Drawn(measured(noised.lattice, states, bins, len(states), mean, phase=phase), judgement)
    if with_kernel:
        return Drawn(measured(noised.lattice, drawn, bins, count, mean, phase=phase), None)
    spectra = BlockSpectra(noised, count)
    samples = measured(noised.lattice, spectra.passing(drawn), bins, count, mean, phase=phase)
    return Drawn(samples, judgement_of(reverse, spectra))


def _with_errors(
    prefix: str,
    name: str,
    dims: Sequence[str],
    found: Sequence[tuple[Array, Array]],
    units: str,
    how: str = "by the jackknife",
) -> dict[str, Variable]:
    """An observable of sampled fields and its standard error, from (value, error) of each seed."""
    values, errors = zip(*found, strict=True)
    words = f"{name.replace('_', ' ')} of sampled fields"
    return {
        f"{prefix}{name}": labelled(dims, values, words, units),
        f"{prefix}{name}_error": labelled(dims, errors, f"its standard error, {how}", units),
    }


def _compared(
    reference: Reference, prefix: str, name: str, dims: Sequence[str], found: Sequence[tuple[Array, Array]], units: str
) -> dict[str, Variable]:
    """The reference of an observable, its standard error, and the pulls of the seeds."""
    value, error = reference.values[name]
    words, over = f"{reference.kind} {name.replace('_', ' ')}", "sampled less reference over the error of both"
    return {
        f"reference_{name}": labelled(dims[1:], value, words, units),
        f"reference_{name}_error": labelled(dims[1:], error, f"standard error of the {words}", units),
        f"{prefix}{name}_pull": labelled(
            dims,
            [reference.pulls(name, *own) for own in found],
            f"pull of the {name.replace('_', ' ')}: {over}",
            "standard errors",
        ),
    }


def _whole(
    drawn: Sequence[Samples], reference: Reference, sites: int, mean: float, components: int
) -> dict[str, Variable]:
    """The magnetisation of every field, and the first component of some fields, of each seed and of the reference."""
    most = max(len(one.magnetisations) for one in drawn)
    magnetisations = np.full((len(drawn), most), np.nan)
    for row, one in zip(magnetisations, drawn, strict=True):
        row[: len(one.magnetisations)] = one.magnetisations
    fields = np.stack([one.fields[:SHOWN, :sites] + mean for one in drawn])
    kind, words = reference.kind, "magnetisation M/N" if components == 1 else "modulus |M|/N of the magnetisation"
    of_vectors = {"sampled_components": labelled([], components, "components n of a field, generated together")}
    return {
        "sampled_magnetisation": labelled(["seed", "sample"], magnetisations, f"{words} of each sampled field"),
        "reference_magnetisation": labelled(["reference"], reference.magnetisations, f"{words} of each {kind} field"),
        **(of_vectors if components > 1 else {}),
        "sampled_field": labelled(["seed", "shown", "site"], fields.astype(np.float32), "some of the sampled fields"),
        "reference_field": labelled(
            ["shown", "site"],
            _padded(reference.fields[:, :sites], len(fields[0])).astype(np.float32),
            f"some {kind} fields",
        ),
    }


def _padded(fields: Array, count: int) -> Array:
    """As many fields as asked for; NaN in place of those that are missing."""
    found = np.full((count, fields.shape[1]), np.nan)
    found[: len(fields)] = fields[:count]
    return found


def _criteria(judgements: Sequence[Judgement]) -> dict[str, Variable]:
    """Deviations by each criterion from samples, with errors, and what they say."""
    dims = ["seed", "criterion"]
    return {
        "sampled_deviation": labelled(
            dims, [one.deviations for one in judgements], "deviation by each criterion, from samples, without its bias"
        ),
        "sampled_deviation_error": labelled(dims, [one.errors for one in judgements], "its standard error"),
        "verdict": labelled(
            dims,
            np.array([one.verdicts for one in judgements], dtype=object),
            "whether each criterion is met, missed or undecided by two standard errors",
        ),
    }
