"""What a training file generates: exact spectra at every kept step, sampled fields at one, quality of both.

The noise levels of the file, from the highest down, are the grid of the reverse diffusion, and the score trained at a
level steps from it. What is generated is judged against the noised target at the lowest level, by the five criteria of
`csd.diffusion.criteria`. The generation training time of a criterion is the training step from which on it is met for
good. Where the exact score itself misses a criterion on the same grid there is none, and a remark names the steps that
reverse diffusion would need (docs/physics.md, section 6).

A network can also generate on a larger lattice than it was trained on (*size transfer*): its kernel is taken in real
space, out to half the trained size, and laid on the larger lattice. The target there has the same mass.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.files import Content, Variable, content_of, digest, labelled
from csd.core.options import Option, Options, declared
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.core.rounding import shortened
from csd.diffusion.criteria import CRITERIA
from csd.diffusion.integrators import INTEGRATORS
from csd.diffusion.measures import (
    SPECTRAL_OBSERVABLES,
    judged,
    observables_of,
    predicted_variances,
    remarks_on,
    times_until_right,
    words_of,
)
from csd.diffusion.reverse import ReverseDiffusion, best_score
from csd.diffusion.samples import (
    SampledObservable,
    jackknife,
    measured,
    sample_streams,
    sampled_observables,
    two_sample_test,
)
from csd.diffusion.sampling import sample_modes
from csd.diffusion.trained import Kept, Trained, kept_scores, load_trained, transfer
from csd.lattice import Array, Lattice, observables
from csd.lattice.bins import LengthBins
from csd.lattice.memory import require_memory
from csd.networks.score import KernelScore, SpectralScore
from csd.targets.noising import NoisedTarget
from csd.training.batches import empirical_spectra
from csd.training.options import INTEGRATOR, TrainingSettings
from csd.training.preparation import data_identity

if TYPE_CHECKING:
    import xarray as xr


Level = Annotated[float, Gt(0.0)]


@dataclass(frozen=True)
class GenerationSettings(Options):
    """How a training file is generated from."""

    integrator: Annotated[
        str, Option("how a step is made", always=True, names="csd.diffusion.integrators:INTEGRATORS")
    ] = INTEGRATOR
    start: Annotated[Literal["noise", "exact"], Option("noise, or the exact distribution at t_max", always=True)] = (
        "noise"
    )
    samples: Annotated[int, Ge(2), Option("fields to draw for each seed", "M", always=True)] = 256
    step: Annotated[int | None, Option("training step to sample at", "N", default="the last one kept")] = None
    t_min: Annotated[Level | None, Option("lowest noise level", "T", default="the file's lowest")] = None
    t_max: Annotated[Level | None, Option("highest noise level", "T", default="the file's highest")] = None
    size: Annotated[int | None, Option("a larger lattice than was trained on", "L")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.t_min is not None and self.t_max is not None and self.t_min >= self.t_max:
            raise InputError(f"t_min is {self.t_min!r}, t_max is {self.t_max!r}; t_min must be below t_max")

    def levels(self, trained: Array) -> Array:
        """The grid: those of the trained levels that lie between t_min and t_max, from the highest down.

        Raises:
            InputError: if an end is not covered by the trained levels, or fewer than two lie between.
        """
        falling = np.sort(trained)[::-1]
        if len(falling) < 2:
            raise InputError("the file holds one noise level; reverse diffusion needs a grid of at least two")
        low = falling[-1] if self.t_min is None else self.t_min
        high = falling[0] if self.t_max is None else self.t_max
        covered = f"the file's noise levels go from {falling[-1]:g} to {falling[0]:g}"
        # Levels are told apart to six digits, so that what `csd show` prints can be given.
        slack = 1e-6
        if low < falling[-1] * (1.0 - slack) or high > falling[0] * (1.0 + slack):
            name, value = ("t_min", low) if low < falling[-1] else ("t_max", high)
            raise InputError(f"{name} is {value:g}, but {covered}; train on levels that cover the grid")
        chosen = falling[(falling >= low * (1.0 - slack)) & (falling <= high * (1.0 + slack))]
        if len(chosen) < 2:
            raise InputError(f"fewer than two of the file's noise levels lie between {low:g} and {high:g}; {covered}")
        return chosen


def evaluate(training: "xr.Dataset", settings: GenerationSettings) -> "xr.Dataset":
    """`generated` of a training file and as one that xarray has read."""
    return generated(content_of(training), settings).dataset()


def generated(training: Content, settings: GenerationSettings) -> Content:
    """What a training file generates.

    Args:
        training: of `csd train`, with at least two noise levels.
        settings: how.

    Returns:
        The quantities of the five criteria (seed, step) and observables of the exact spectrum of what is generated, at
        every kept training step; generation_training_time(seed, criterion); at some steps the spectrum at every noise
        level along the reverse trajectory; power_spectrum(seed, wavenumber), sampled observables and a two-sample test
        at one step.

    Raises:
        InputError: if the file does not allow it: say which steps were kept, which levels are there.
        GenerationFailed: if a mode blows up.
    """
    trained = load_trained(training, settings.levels(training["noise_level"].values).tolist())
    lattice = trained.noised.lattice
    larger = Lattice(lattice.dimension, lattice.size if settings.size is None else settings.size)
    if larger.size < lattice.size:
        raise InputError(f"size is {larger.size}, the network was trained at {lattice.size}; it must be at least that")
    kept = kept_scores(training, trained, settings.step)
    require_memory(6.0 * kept.score.kernels.size * larger.sites / lattice.sites, f"generation at size {larger.size}")
    kept = replace(kept, score=transfer(kept.score, larger))
    noised = trained.noised_on(larger)
    reverse = ReverseDiffusion(noised, resolve("integrator", settings.integrator, INTEGRATORS)(), settings.start)
    bins = LengthBins(kept.score.modes, noised.target.mass, larger.dimension)
    variables = {
        **_generated(reverse, kept, bins),
        **_on_the_way(reverse, kept, bins),
        **_reference(reverse, "exact_score", "with the exact score on this grid", reverse.exact_score(larger.shells)),
        **remarks_on(reverse),
        **_exact(reverse),
        **_predicted(trained, reverse, kept),
        **_memorised(trained, reverse, kept),
        **_sampled(reverse, training, kept.score[:, kept.chosen], settings.samples),
    }
    return Content(
        variables,
        {
            "seed": training["seed"],
            "step": labelled(["step"], kept.steps, "training step", "steps"),
            "criterion": labelled(["criterion"], np.array(CRITERIA, dtype=object), "what counts as right"),
            "shown_step": labelled(["shown_step"], kept.steps[_shown(kept)], "training step", "steps"),
            "noise_level": labelled(["noise_level"], reverse.grid, "noise level t"),
            "wavenumber": labelled(["wavenumber"], bins.wavenumbers, "wavenumber", "inverse lattice spacings"),
        },
        {
            "integrator": settings.integrator,
            "start": settings.start,
            "samples": settings.samples,
            "sampled_step": int(kept.steps[kept.chosen]),
            "t_max": float(reverse.grid[0]),
            "t_min": float(reverse.grid[-1]),
            "sampler_steps": len(reverse.grid) - 1,
            "note_start": "noise: independent normal numbers of variance signal^2 + sigma^2 at t_max; exact: the"
            " noised target's own distribution at t_max",
            **{name: training.attrs[name] for name in CARRIED if name in training.attrs},
            "size": larger.size,
            "trained_size": lattice.size,
        },
    )


RIGHT = "training step from which on samples are right; NaN if never, or if the exact score is not on this grid"
CARRIED = (
    *("architecture", "label", "dimension", "mass", "schedule", "target", "until"),
    *(one.attribute or "" for one in declared(TrainingSettings).values() if one.option.label is not None),
)
"""Attributes of the training file that a generation file keeps: what was trained, by options that say so."""
IDENTITY = {
    "target": str,
    "dimension": int,
    "size": int,
    "mass": float,
    "schedule": str,
    "label": str,
    "loss": str,
    "batch": int,
    "data_set": int,
    "path": str,
    "learning_rate_given": float,
}
"""Attributes of the training file that say what was trained, whatever the seeds, and what they are in Python."""


def _generated(reverse: ReverseDiffusion, kept: Kept, bins: LengthBins) -> dict[str, Variable]:
    """Criteria, observables and spectra of what the kept scores generate, exactly; NaN where a seed had ended."""
    modes, variance = kept.score.modes, reverse.variance(kept.score)
    deviations = reverse.deviations_of(modes, variance)
    times = [
        times_until_right(reverse, kept.steps[~gone], deviations[:, row, ~gone]) for row, gone in enumerate(kept.ended)
    ]
    dims = ["seed", "step"]
    variables = judged("", "of what is generated", dims, reverse, modes, variance) | {
        "generated_spectrum": labelled(
            [*dims, "wavenumber"], bins.mean(variance).astype(np.float32), "exact spectrum of what is generated"
        ),
    }
    for name, found in variables.items():
        gone = kept.ended.reshape(*kept.ended.shape, *[1] * (len(found.dims) - 2))
        variables[name] = found._replace(values=np.where(gone, np.nan, found.values))
    variables["generation_training_time"] = labelled(["seed", "criterion"], times, RIGHT, "steps")
    return variables


def _shown(kept: Kept) -> NDArray[np.intp]:
    """Places of the kept steps nearest to 1, 10, 100, …, and of the sampled one."""
    positive = np.flatnonzero(kept.steps > 0)
    if not len(positive):
        return np.array([kept.chosen])
    decades = np.arange(np.floor(np.log10(kept.steps[positive[-1]])) + 1)
    nearest = [positive[np.argmin(np.abs(np.log10(kept.steps[positive]) - decade))] for decade in decades]
    return np.unique([*nearest, kept.chosen])


def _on_the_way(reverse: ReverseDiffusion, kept: Kept, bins: LengthBins) -> dict[str, Variable]:
    """Generated over exact spectrum at each level along the reverse trajectory, for scores of some training steps."""
    places = _shown(kept)
    exact = reverse.noised.spectra_at(kept.score.modes)[:, None, None]
    ratio = bins.mean(reverse.variances(kept.score[:, places]) / exact)
    ratio = np.where(kept.ended[:, places, None, None], np.nan, shortened(np.moveaxis(ratio, 0, 2), 10))
    dims = ["seed", "shown_step", "noise_level", "wavenumber"]
    words = "generated over exact spectrum at each noise level along the reverse trajectory"
    return {"ratio_on_the_way": labelled(dims, ratio, words)}


def _reference(reverse: ReverseDiffusion, prefix: str, words: str, score: SpectralScore) -> dict[str, Variable]:
    """Criteria and observables of what a score with one kernel a level generates on this grid."""
    modes, ways = score.modes, reverse.variances(score)
    soft = ways[:, 0] / reverse.noised.spectra_at(modes)[:, 0]
    return judged(f"{prefix}_", words, [], reverse, modes, ways[-1]) | {
        f"{prefix}_soft_ratio": labelled(
            ["noise_level"], soft, f"generated over exact variance of the zero mode at each noise level, {words}"
        ),
    }


def _exact(reverse: ReverseDiffusion) -> dict[str, Variable]:
    """The target's own values at the lowest level."""
    lattice, modes = reverse.noised.lattice, reverse.noised.lattice.shells
    spectrum = reverse.noised.spectra_at(modes)[-1]
    bins = LengthBins(modes, reverse.noised.target.mass, lattice.dimension)
    variables = {"exact_spectrum": labelled(["wavenumber"], bins.mean(spectrum), "exact spectrum")}
    for name, value in observables_of(lattice, modes, spectrum).items():
        variables[f"exact_{name}"] = labelled([], value, f"exact {words_of(name)}", SPECTRAL_OBSERVABLES[name])
    return variables


def _predicted(trained: Trained, reverse: ReverseDiffusion, kept: Kept) -> dict[str, Variable]:
    """What theory says of this architecture: its best network, and its training on the population loss, step by step.

    The latter only on the trained lattice.
    """
    if trained.architecture is None:
        return {}
    noised, small = trained.noised, trained.noised.lattice
    best = transfer(best_score(trained.architecture, noised), reverse.noised.lattice)
    variables = _reference(reverse, "best", "with the best network of this architecture", best)
    if reverse.noised.lattice == small:
        modes, variance = predicted_variances(reverse, trained.architecture, trained.settings, kept.steps)
        times = times_until_right(reverse, kept.steps, reverse.deviations_of(modes, variance))
        variables |= judged("predicted_", "of what is generated, predicted", ["step"], reverse, modes, variance)
        variables["predicted_generation_training_time"] = labelled(["criterion"], times, f"{RIGHT}, predicted", "steps")
    return variables


def _memorised(trained: Trained, reverse: ReverseDiffusion, kept: Kept) -> dict[str, Variable]:
    """KL per site of what is generated from the distribution of the data set itself; nothing without a data set."""
    noised, fields = trained.noised, trained.settings.data_set
    if fields is None or trained.settings.path == "fields" or reverse.noised.lattice != noised.lattice:
        return {}
    lowest = NoisedTarget(noised.target, noised.schedule, noised.levels[-1:])
    spectra = empirical_spectra(lowest, trained.modes, fields, data_identity(noised), trained.settings.seeds)
    variance = reverse.variance(kept.score)
    divergence = observables.kl_per_site(trained.modes, variance, spectra)
    own = observables.kl_per_site(trained.modes, spectra[:, 0], lowest.spectra_at(trained.modes)[0])
    return {
        "data_set_kl_per_site": labelled(
            ["seed", "step"],
            np.where(kept.ended, np.nan, divergence),
            "KL divergence per site of what is generated from the distribution of the data set",
        ),
        "memory_kl_per_site": labelled(["seed"], own, "KL divergence per site of that distribution from the true one"),
    }


def _sampled(reverse: ReverseDiffusion, training: Content, score: KernelScore, count: int) -> dict[str, Variable]:
    """Sampled spectra and observables of every seed, with errors; kernels of shape (levels, seeds, modes)."""
    lattice = reverse.noised.lattice
    pairs = lattice.pairs
    bins = LengthBins(pairs, reverse.noised.target.mass, lattice.dimension)
    run = _identity(training)
    drawn = []
    for row, seed in enumerate(training["seed"].values):
        streams = sample_streams(count, run, lattice.size, int(seed))
        drawn.append(measured(lattice, reverse.draw(score[row], streams), bins, count))
    # Seeds that shared their reference would not be independent tests.
    tests = [
        two_sample_test(
            samples.fields, _exact_fields(reverse, len(samples.fields), run, int(seed)), run, lattice.size, int(seed)
        )
        for samples, seed in zip(drawn, training["seed"].values, strict=True)
    ]
    spectra = [samples.estimate(np.asarray, "spectrum") for samples in drawn]
    spectrum, of_seed = ["seed", "wavenumber"], ["seed"]
    variables = {
        "power_spectrum": labelled(spectrum, [value for value, _ in spectra], "power spectrum of sampled fields"),
        "power_spectrum_error": labelled(spectrum, [error for _, error in spectra], "its standard error"),
        "two_sample_distance": labelled(
            of_seed, [distance for distance, _ in tests], "energy distance of whole sampled fields from exact ones"
        ),
        "two_sample_p_value": labelled(of_seed, [p for _, p in tests], "its p-value, by permutations"),
    }
    weight = bins.momenta / lattice.sites
    per_bin = bins.mean(reverse.noised.spectra_at(pairs)[-1])

    def divergence(spectrum: Array) -> Array:
        ratio = spectrum / per_bin
        return np.asarray(0.5 * (weight * (ratio - 1.0 - np.log(ratio))).sum())

    measures = sampled_observables(lattice) | {"kl_per_site": SampledObservable(divergence, ("spectrum",))}
    for name, (of_means, sums, units) in measures.items():
        found = [jackknife(of_means, one.counts, *(one.sums[part] for part in sums)) for one in drawn]
        # A convex function of noisy spectra: what the noise adds is taken off.
        values = [value - bias if name == "kl_per_site" else value for value, _, bias in found]
        errors = [error for _, error, _ in found]
        variables[f"sampled_{name}"] = labelled(of_seed, values, f"{words_of(name)} of sampled fields", units)
        variables[f"sampled_{name}_error"] = labelled(of_seed, errors, "its standard error, by the jackknife", units)
    return variables


def _identity(training: Content) -> str:
    """What names the random streams of samples, besides the seed: not which seeds share a file, nor when they end."""
    about: dict[str, Any] = {name: kind(training.attrs[name]) for name, kind in IDENTITY.items()}
    return digest(about | {"noise_levels": training["noise_level"].values.tolist()})


def _exact_fields(reverse: ReverseDiffusion, count: int, run: str, seed: int) -> Array:
    """Exact fields at the lowest level, other ones for each seed; shape (count, sites)."""
    lattice = reverse.noised.lattice
    modes = lattice.pairs
    spectrum = reverse.noised.spectra_at(modes)[-1]
    streams = [stream("exact sample", run, lattice.size, seed, i) for i in range(count)]
    drawn = np.stack([sample_modes([], modes, spectrum, own) for own in streams])
    return lattice.inverse(lattice.spread(drawn, modes) * np.sqrt(lattice.sites)).reshape(count, lattice.sites)
