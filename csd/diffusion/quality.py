"""Generate from a training file: exact spectra at every kept step, sampled fields at one, and the quality of both.

The noise levels of the file, from the highest down, are the grid of the reverse diffusion; the score trained at a level
makes the step from it. The result is compared with the noised target at the lowest level, by the five criteria of
`csd.diffusion.criteria`. The generation training time of a criterion is the training step from which on it stays met.
It is not defined where the exact score itself misses the criterion on the same grid; a remark then gives the number of
steps that reverse diffusion would need (docs/physics.md, section 6).

A network can also generate on a larger lattice than it was trained on (*size transfer*): its kernel in real space, up
to half the trained size, is placed on the larger lattice. The target there has the same mass. A network without a
kernel is built on the other lattice with the same weights, if they do not depend on the lattice.

A network without a kernel generates fields alone, which are measured as those of any other, and its criteria are
decided by them (`csd.diffusion.comparison`). A network that was trained on a data set is compared with its held-out
fields, never with the fields that it was trained on.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.files import Content, Variable, content_of, labelled
from csd.core.options import Option, Options
from csd.diffusion import criteria
from csd.diffusion.comparison.references import reference_kind, score_kind
from csd.diffusion.comparison.sampled import sampled_variables
from csd.diffusion.criteria import CRITERIA
from csd.diffusion.grids import GRID_STEPS
from csd.diffusion.hybrid.networks import Networks, WindowedTraining
from csd.diffusion.hybrid.windows import Window
from csd.diffusion.integrators import integrator_of
from csd.diffusion.measures import (
    SPECTRAL_OBSERVABLES,
    judged,
    magnetisation,
    predicted_variances,
    remarks_on,
    times_until_right,
)
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import OF_TRAINING_FIELDS, over_held_out
from csd.diffusion.trained import Kept, Trained, is_linear, transfer
from csd.lattice import Array, Lattice, Modes, observables
from csd.lattice.bins import LengthBins
from csd.lattice.memory import require_memory
from csd.networks.linear import LinearNetwork
from csd.networks.registry import network_class
from csd.networks.score import Score, SpectralScore
from csd.targets.base import HasFields, HasHeldOut
from csd.targets.noising import NoisedTarget
from csd.training.batches import empirical_spectra
from csd.training.content import shortened
from csd.training.options import INTEGRATOR
from csd.training.steps.rates import data_identity

if TYPE_CHECKING:
    import xarray as xr


Level = Annotated[float, Gt(0.0)]
SAMPLES = 256
"""Fields drawn by default with a linear network, whose criteria are known without them."""


@dataclass(frozen=True)
class GenerationSettings(Options):
    """Options of generation."""

    integrator: Annotated[
        str, Option("integrator of the reverse diffusion", always=True, names="csd.diffusion.integrators:INTEGRATORS")
    ] = INTEGRATOR
    start: Annotated[
        Literal["noise", "exact"], Option("start: noise, or exact for the exact distribution at t_max", always=True)
    ] = "noise"
    samples: Annotated[
        Annotated[int, Ge(2), Le(10**9)] | None,
        Option(
            "fields to draw for each seed",
            "M",
            always=True,
            default="256; of a network without a kernel as many as decide all criteria, up to 16384",
        ),
    ] = None
    step: Annotated[
        Annotated[int, Ge(0)] | None, Option("training step to sample at", "N", default="the last one kept")
    ] = None
    t_min: Annotated[Level | None, Option("lowest noise level", "T", default="the file's lowest")] = None
    t_max: Annotated[Level | None, Option("highest noise level", "T", default="the file's highest")] = None
    steps: Annotated[
        Annotated[int, Ge(1)] | None,
        Option("steps on a geometric grid, for a conditioned network", "N", default=str(GRID_STEPS)),
    ] = None
    size: Annotated[Annotated[int, Ge(2)] | None, Option("another lattice than the trained one", "L")] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Option("cpu; cuda; auto: cuda, where there is one, for networks without a kernel", label=None, attribute=None),
    ] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.t_min is not None and self.t_max is not None and self.t_min >= self.t_max:
            raise InputError(f"t_min is {self.t_min!r}, t_max is {self.t_max!r}; t_min must be below t_max")

    def asked(self) -> dict[str, Any]:
        """The options that determine a generation file, without those that are newer than files and not given."""
        found = {name: value for name, value in asdict(self).items() if name != "device"}
        return {name: value for name, value in found.items() if name not in ("steps", "samples") or value is not None}

    def for_networks(self, *names: str) -> Self:
        """The options for networks of these names: without `samples`, built-in linear ones draw `SAMPLES` fields."""
        if self.samples is not None or not all(
            ":" not in name and issubclass(network_class(name), LinearNetwork) for name in names
        ):
            return self
        return replace(self, samples=SAMPLES)

    @property
    def window(self) -> Window:
        """From t_min to t_max."""
        return Window(self.t_min or 0.0, inf if self.t_max is None else self.t_max)


def evaluate(training: "xr.Dataset", settings: GenerationSettings) -> "xr.Dataset":
    """`generated` from and to Datasets of xarray."""
    return generated(content_of(training), settings).dataset()


def generated(
    training: Content | Sequence[WindowedTraining], settings: GenerationSettings, data: HasFields | None = None
) -> Content:
    """Generate from a training file, or from several with a window of the noise level each.

    Args:
        training: of `csd train`, with at least two noise levels; or the parts of a hybrid.
        settings: options of generation.
        data: the fields that the network was trained on, for a file that does not name theirs; see `load_trained`. With
            another size they are those of that lattice.

    Returns:
        The quantities of the five criteria and observables of the generated spectrum (seed, step) at every kept
        training step; generation_training_time(seed, criterion); at some steps the spectrum at every noise level along
        the reverse trajectory; power_spectrum(seed, wavenumber), sampled observables, their pulls and a two-sample test
        at one step. Networks without a kernel have these last alone, and verdicts on the criteria by samples.
        Of several files the networks at their last steps are taken.

    Raises:
        InputError: if the file lacks what the options ask for, with the kept steps or noise levels; if the files of a
            hybrid do not belong together.
        GenerationFailed: if a mode diverges.
    """
    networks = chosen_networks(training, settings)
    lattice, seeds = networks.lattice, networks.seeds
    larger = Lattice(lattice.dimension, lattice.size if settings.size is None else settings.size)
    if larger.size < lattice.size and any(map(is_linear, networks.trainings)):
        raise InputError(f"size is {larger.size}, the network was trained at {lattice.size}; it must be at least that")
    noised = networks.noised_on(larger, data) if larger != lattice else None
    if noised is None or networks.linear:
        loaded = networks.loaded(data if noised is None else None)
        noised = noised or networks.noised(loaded)
    components = None if networks.linear else networks.components
    reverse = ReverseDiffusion(noised, integrator_of(settings.integrator), settings.start, components)
    exact_score = reverse.exact_score(noised.modes)
    scores: list[Score]
    if networks.linear:
        kept = networks.kept(loaded, settings.step)
        numbers = 6.0 * kept.score.kernels.size * larger.sites / lattice.sites
        require_memory(numbers, f"generation at size {larger.size}")
        kept = replace(kept, score=transfer(kept.score, larger))
        bins = LengthBins(kept.score.modes, noised.target.mass, larger.dimension)
        variables = {
            **_generated(reverse, kept, bins),
            **_along_the_trajectory(reverse, kept, bins),
            **_best(networks, loaded, reverse),
        }
        if networks.alone:
            trained = replace(loaded[0], noised=networks.noised(loaded))
            variables |= {**_predicted(trained, reverse, kept), **_memorised(trained, reverse, kept)}
        else:
            # The steps before the last are not known.
            del variables["generation_training_time"]
        steps = {
            "step": labelled(["step"], kept.steps, "training step", "steps"),
            "shown_step": labelled(["shown_step"], kept.steps[_shown(kept)], "training step", "steps"),
        }
        scores, step = [kept.score[row, kept.chosen] for row in range(len(kept.ended))], kept.steps[kept.chosen]
        count: int | None = settings.samples or SAMPLES
    else:
        if settings.step is not None:
            raise InputError(f"step is {settings.step}, but the network has no kernel, which step needs; leave it out")
        bins = LengthBins(larger.pairs, noised.target.mass, larger.dimension)
        scores = [networks.score(seed, noised, settings.device) for seed in seeds]
        variables, steps, step, count = {}, {}, networks.last_step, settings.samples
    variables |= {
        **_reference(reverse, "exact_score", f"with the {score_kind(noised.target)} score on this grid", exact_score),
        **remarks_on(reverse),
        **_exact(reverse),
        **networks.counted(),
        **({} if isinstance(training, Content) else networks.windows()),
        **sampled_variables(reverse, scores, seeds, networks.identity, count),
    }
    if larger != lattice:
        # These are not the fields that the network has learned.
        variables = {name: own for name, own in variables.items() if name not in OF_TRAINING_FIELDS}
    drawn: Any = variables["samples_drawn"].values.max() if "samples_drawn" in variables else count
    return Content(
        variables,
        {
            "seed": labelled(["seed"], np.array(seeds, dtype=np.int64), "random seed"),
            **steps,
            "criterion": labelled(["criterion"], np.array(CRITERIA, dtype=object), "what counts as right"),
            "noise_level": labelled(["noise_level"], reverse.grid, "noise level t"),
            "wavenumber": labelled(["wavenumber"], bins.wavenumbers, "wavenumber", "inverse lattice spacings"),
        },
        {
            "integrator": settings.integrator,
            "start": settings.start,
            "samples": int(drawn),
            "reference": reference_kind(noised.target),
            "sampled_step": int(step),
            "t_max": float(reverse.grid[0]),
            "t_min": float(reverse.grid[-1]),
            "sampler_steps": len(reverse.grid) - 1,
            "note_start": "noise: independent normal numbers of variance signal^2 + sigma^2 at t_max; exact: the"
            " noised target's own distribution at t_max",
            **networks.attributes(),
            "size": larger.size,
            "trained_size": lattice.size,
        },
    )


def chosen_networks(training: Content | Sequence[WindowedTraining], settings: GenerationSettings) -> Networks:
    """The networks of a training between t_min and t_max, or those of the parts of a hybrid.

    Raises:
        InputError: if t_min or t_max is given for a hybrid, or as for `Networks`.
    """
    if isinstance(training, Content):
        return Networks([WindowedTraining.of(training, settings.window)], settings.steps)
    for name in ("t_min", "t_max"):
        if getattr(settings, name) is not None:
            raise InputError(f"{name} is given, but the windows of hybrid have ends of their own; leave {name} out")
    return Networks(training, settings.steps)


RIGHT = "training step from which on samples are right; NaN if never, or if the exact score is not on this grid"


def _generated(reverse: ReverseDiffusion, kept: Kept, bins: LengthBins) -> dict[str, Variable]:
    """Exact criteria, observables and spectra generated by the kept scores; NaN after the last step of a seed."""
    modes, variance = kept.score.modes, reverse.variance(kept.score)
    deviations = reverse.deviations_of(modes, variance)
    times = [
        times_until_right(reverse, kept.steps[~gone], deviations[:, row, ~gone]) for row, gone in enumerate(kept.ended)
    ]
    dims, words = ["seed", "step"], "exact spectrum of what is generated"
    variables = judged("", "of what is generated", dims, reverse, modes, variance)
    variables |= magnetisation(dims, reverse, variables["susceptibility"].values)
    if isinstance(reverse.noised.target, HasHeldOut):
        variables |= _divergence_errors(reverse.noised, modes, variance)
    variables["generated_spectrum"] = labelled([*dims, "wavenumber"], bins.mean(variance).astype(np.float32), words)
    for name, found in variables.items():
        gone = kept.ended.reshape(*kept.ended.shape, *[1] * (len(found.dims) - 2))
        variables[name] = found._replace(values=np.where(gone, np.nan, found.values))
    return variables | {"generation_training_time": labelled(["seed", "criterion"], times, RIGHT, "steps")}


def _divergence_errors(noised: NoisedTarget, modes: Modes, variance: Array) -> dict[str, Variable]:
    """Error and bias of the KL per site of generated variances from held-out fields, by the scatter of these fields."""

    def divergence(exact: Array) -> Array:
        return criteria.quantities(noised.lattice, modes, variance, exact)["kl_per_site"]

    _, error, bias = over_held_out(noised, modes, divergence)
    words = "of the KL divergence per site, by the jackknife over held-out fields"
    return {
        "kl_per_site_error": labelled(["seed", "step"], error, f"standard error {words}"),
        "kl_per_site_bias": labelled(["seed", "step"], bias, f"bias {words}; the divergence contains it"),
    }


def _shown(kept: Kept) -> NDArray[np.intp]:
    """Indices of the kept steps nearest to 1, 10, 100, …, and of the sampled one."""
    positive = np.flatnonzero(kept.steps > 0)
    if not len(positive):
        return np.array([kept.chosen])
    decades = np.arange(np.floor(np.log10(kept.steps[positive[-1]])) + 1)
    nearest = [positive[np.argmin(np.abs(np.log10(kept.steps[positive]) - decade))] for decade in decades]
    return np.unique([*nearest, kept.chosen])


def _along_the_trajectory(reverse: ReverseDiffusion, kept: Kept, bins: LengthBins) -> dict[str, Variable]:
    """Generated over exact spectrum at each level along the reverse trajectory, at some training steps."""
    places = _shown(kept)
    exact = reverse.noised.spectra_at(kept.score.modes)[:, None, None]
    ratio = bins.mean(reverse.variances(kept.score[:, places]) / exact)
    ratio = np.where(kept.ended[:, places, None, None], np.nan, shortened(np.moveaxis(ratio, 0, 2), 10))
    dims = ["seed", "shown_step", "noise_level", "wavenumber"]
    words = "generated over exact spectrum at each noise level along the reverse trajectory"
    return {"ratio_on_the_way": labelled(dims, ratio, words)}


def _reference(reverse: ReverseDiffusion, prefix: str, words: str, score: SpectralScore) -> dict[str, Variable]:
    """Criteria and observables of what a score with one kernel per level generates on this grid."""
    modes, ways = score.modes, reverse.variances(score)
    soft = ways[:, 0] / reverse.noised.spectra_at(modes)[:, 0]
    about = f"generated over exact variance of the zero mode at each noise level, {words}"
    own = {f"{prefix}_soft_ratio": labelled(["noise_level"], soft, about)}
    return judged(f"{prefix}_", words, [], reverse, modes, ways[-1]) | own


def _exact(reverse: ReverseDiffusion) -> dict[str, Variable]:
    """The exact values of the target at the lowest level."""
    noised, lattice, modes = reverse.noised, reverse.noised.lattice, reverse.noised.modes
    spectrum = noised.spectra_at(modes)[-1]
    bins = LengthBins(modes, noised.target.mass, lattice.dimension)
    measured = isinstance(noised.target, HasFields)
    words = "spectrum of the held-out fields, or of a long run, with noise" if measured else "exact spectrum"
    variables = {"exact_spectrum": labelled(["wavenumber"], bins.mean(spectrum), words)}
    for name, value in observables.spectral_observables(lattice, modes, spectrum).items():
        about = f"{name.replace('_', ' ')} of this spectrum" if measured else f"exact {name.replace('_', ' ')}"
        variables[f"exact_{name}"] = labelled([], value, about, SPECTRAL_OBSERVABLES[name])
    if isinstance(noised.target, HasHeldOut):

        def values(own: Array) -> Array:
            return np.array([*observables.spectral_observables(lattice, modes, own).values()])

        words = "its standard error, by the jackknife over held-out fields"
        for (name, units), error in zip(
            SPECTRAL_OBSERVABLES.items(), over_held_out(noised, modes, values)[1], strict=True
        ):
            variables[f"exact_{name}_error"] = labelled([], error, words, units)
    return variables


def _best(networks: Networks, loaded: Sequence[Trained], reverse: ReverseDiffusion) -> dict[str, Variable]:
    """Theory of the architectures: what the best network of each generates."""
    if isinstance(loaded[0].noised.target, HasHeldOut) or (best := networks.best(loaded)) is None:
        return {}
    words = "with the best network of this architecture"
    return _reference(reverse, "best", words, transfer(best, reverse.noised.lattice))


def _predicted(trained: Trained, reverse: ReverseDiffusion, kept: Kept) -> dict[str, Variable]:
    """Theory of training on the population loss, on the trained lattice."""
    if trained.architecture is None or isinstance(trained.noised.target, HasHeldOut):
        return {}
    if reverse.noised.lattice != trained.noised.lattice:
        return {}
    modes, variance = predicted_variances(reverse, trained.architecture, trained.settings, kept.steps)
    times = times_until_right(reverse, kept.steps, reverse.deviations_of(modes, variance))
    return {
        **judged("predicted_", "of what is generated, predicted", ["step"], reverse, modes, variance),
        "predicted_generation_training_time": labelled(["criterion"], times, f"{RIGHT}, predicted", "steps"),
    }


def _memorised(trained: Trained, reverse: ReverseDiffusion, kept: Kept) -> dict[str, Variable]:
    """KL per site of the generated distribution from that of the data set; empty without a data set."""
    noised, fields = trained.noised, trained.settings.data_set
    if fields is None or trained.settings.path == "fields" or reverse.noised.lattice != noised.lattice:
        return {}
    lowest = NoisedTarget(noised.target, noised.schedule, noised.levels[-1:])
    spectra = empirical_spectra(lowest, trained.modes, fields, data_identity(noised), trained.settings.seeds)
    variance = reverse.variance(kept.score)
    divergence = observables.kl_per_site(trained.modes, variance, spectra)
    own = observables.kl_per_site(trained.modes, spectra[:, 0], lowest.spectra_at(trained.modes)[0])
    words = "KL divergence per site of what is generated from the distribution of the data set"
    found = labelled(["seed", "step"], np.where(kept.ended, np.nan, divergence), words)
    memory = labelled(["seed"], own, "KL divergence per site of that distribution from the true one")
    return {"data_set_kl_per_site": found, "memory_kl_per_site": memory}
