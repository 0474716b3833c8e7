"""The stage of training: jobs that train a network for a few seeds, one file and one `csd train` command each."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Protocol

from csd.core.errors import InputError, unknown
from csd.core.files import SUMMARY
from csd.core.files import TRAINING as TRAINING_FILE
from csd.core.plugins import resolve
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.registry import options_of
from csd.study.config.schema import Dimension, Item, chosen, listed, validated
from csd.study.stages.base import FILE_NAME, Stage, once
from csd.study.stages.sweeps import HOW, Generation, Sweep, Training, UserNetwork
from csd.targets.base import BY_MASS, target_from_spec, with_spectrum
from csd.targets.gaussian import GaussianField, gaussian_field
from csd.targets.labels import target_label
from csd.targets.noising import SCHEDULES, NoisedTarget
from csd.targets.options import FieldOptions, NoiseOptions
from csd.training.content import training_request
from csd.training.options import TrainingSettings


class HasSweeps(Protocol):
    """What training needs of a study."""

    @property
    def training(self) -> Training:
        """How networks are trained, where a sweep does not say otherwise."""

    @property
    def sweeps(self) -> Mapping[str, Sweep]:
        """What is run, by name."""


@dataclass(frozen=True)
class TrainingJob:
    """A network that is trained on one lattice at one mass, for a few seeds.

    Attributes:
        sweep: its sweep's name.
        dimension, size: of the lattice.
        mass: m itself, or None.
        mass_times_length: c of m = c / L, or None.
        couplings: (r₀, u), or None.
        target: its name.
        architecture: the network, before it is built for a lattice.
        schedule: name of the noise.
        noise_levels: that are trained: the study's, or the grid to generate on of this size.
        settings: how it is trained.
        generation: what is generated from it, or None.
    """

    sweep: str
    dimension: Dimension
    size: int
    mass: float | None
    mass_times_length: float | None
    couplings: tuple[float, float] | None
    target: str
    architecture: Architecture
    schedule: str
    noise_levels: list[float]
    settings: TrainingSettings
    generation: Generation | None = None

    @property
    def name(self) -> str:
        """The network's name, without its options."""
        return self.architecture.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """That this job trains."""
        return self.settings.seeds

    @property
    def data_set(self) -> int | None:
        """M, or None."""
        return self.settings.data_set

    @property
    def label(self) -> str:
        """Architecture and options: 'local_two_layer-R2'."""
        return self.architecture.label

    @property
    def mass_label(self) -> str:
        """How the mass was given, as text."""
        return target_label(mass=self.mass, mass_times_length=self.mass_times_length, couplings=self.couplings)

    @property
    def data_label(self) -> str:
        """Loss and data: 'implicit-B64', 'population', 'population-M100'."""
        labels = self.settings.labels()
        # Files have been named in this order ever since.
        parts = [labels.pop(name) for name in ("loss", "batch", "data_set", "path") if name in labels]
        if self.schedule != NoiseOptions.schedule:
            parts.append(self.schedule.replace(":", "."))
        parts += labels.values()
        if self.generation is not None:
            parts.append(f"grid{self.generation.steps}")
            if self.generation.t_max is not None:
                parts.append(f"t{self.generation.t_max:.12g}")
        if self.target != "gaussian":
            parts.append(self.target.replace(":", "."))
        return "-".join(parts)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What is trained on what, whatever the sweep and the seeds: what jobs of one run of a summary share."""
        target = (self.dimension, self.size, self.mass, self.mass_times_length, self.couplings, self.target)
        grid = None if self.generation is None else (self.generation.steps, self.generation.t_max)
        return *target, self.architecture, *self.settings.key, self.schedule, grid

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        names = [self.name, self.target, self.schedule, self.settings.loss]
        if self.settings.until == "samples":
            names.append(self.settings.integrator)
        return [name for name in names if ":" in name]

    @property
    def alike(self) -> tuple[Hashable, ...]:
        """What jobs share that differ in mass and in which seeds they train: steps are interpolated between masses."""
        own = (self.sweep, self.dimension, self.size, self.architecture, self.data_set, len(self.seeds))
        return (*own, self.mass is None, self.couplings)

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        first, last = self.seeds[0], self.seeds[-1]
        consecutive = len(self.seeds) > 1 and all(after - before == 1 for before, after in pairwise(self.seeds))
        seeds = f"{first}-{last}" if consecutive else ".".join(map(str, self.seeds))
        name = f"d{self.dimension}_L{self.size}_{self.mass_label}_{self.label}_{self.data_label}_s{seeds}"
        if not re.fullmatch(FILE_NAME, name):
            raise InputError(
                f"the run {name!r} cannot name a file; names and ranges may hold letters, digits, '_', '.', '+', '-'"
            )
        return name

    def problem(self) -> tuple[NoisedTarget, Architecture, TrainingSettings]:
        """What is trained on what, and how: as `csd train` has it from the job's flags."""
        lattice = Lattice(self.dimension, self.size)
        r0, u = self.couplings or (None, None)
        gaussian = gaussian_field(lattice, mass=self.mass, mass_times_length=self.mass_times_length, r0=r0, u=u)
        target = with_spectrum(target_from_spec(gaussian.spec() | {"target": self.target}))
        schedule = resolve("schedule", self.schedule, SCHEDULES)()
        return NoisedTarget(target, schedule, self.noise_levels), self.architecture, self.settings

    @property
    def request(self) -> dict[str, Any]:
        """What the configuration hash of its file is of."""
        return training_request(*self.problem())

    def arguments(self) -> list[str]:
        """The flags of `csd train` that do this job, without --output."""
        r0, u = self.couplings or (None, None)
        target = FieldOptions(self.dimension, self.size, self.mass, self.mass_times_length, r0, u, self.target)
        noise = NoiseOptions(self.schedule, tuple(self.noise_levels))
        return [*self.architecture.words(), *target.words(), *noise.words(), *self.settings.words()]


def training_jobs(study: HasSweeps) -> list[TrainingJob]:
    """The training jobs of a study, each checked as far as it can be without training.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(study), "sweeps")


def _expanded(study: HasSweeps) -> Iterator[TrainingJob]:
    """Jobs in the order of the configuration."""
    for name, sweep in study.sweeps.items():
        overridden = study.training.model_dump() | sweep.training
        training = validated(Training, overridden, f"sweeps.{name}.training.")
        seeds, levels = training.seeds, training.noise_levels
        if len(set(seeds)) < len(seeds):
            raise InputError(f"sweeps.{name}: a seed is given twice in {seeds}; each must be given once")
        if len(set(levels)) < len(levels):
            raise InputError(f"sweeps.{name}: a noise level is given twice in {levels}")
        chunks = [tuple(seeds[i : i + training.seeds_per_job]) for i in range(0, len(seeds), training.seeds_per_job)]
        way, values = sweep.targets()
        for size, value, network, data_set, chunk in product(
            sweep.sizes, values, _networks(sweep), _choices(training.data_sets), chunks
        ):
            m, c, couplings = (value if way == one else None for one in ("mass", "mass_times_length", "couplings"))
            try:
                run = TrainingJob(
                    name,
                    sweep.dimension,
                    size,
                    m,
                    c,
                    couplings,
                    sweep.target,
                    Architecture(**network),
                    vars(training)["schedule"],
                    levels if sweep.generation is None else sweep.generation.levels(size),
                    _settings(training, sweep.generation, data_set, chunk),
                    sweep.generation,
                )
                _check(run)
            except InputError as error:
                raise InputError(f"sweeps.{name}: {error}") from error
            yield run


def _settings(
    training: Training, generation: Generation | None, data_set: int | None, seeds: tuple[int, ...]
) -> TrainingSettings:
    """How a job is trained; what its sweep generates says what training keeps, and what ends it."""
    parts = (training,) if generation is None else (training, generation)
    # Where nothing is generated, weights alone are kept: they tell the kernels.
    kept = {"kernel_steps": "none"} if generation is None else {}
    return TrainingSettings(**chosen(HOW, *parts) | kept | {"data_set": data_set, "seeds": seeds})


def _choices(values: Sequence[Item] | None) -> list[Item | None]:
    """The values of an option; None if it is not given."""
    return [None] if values is None else list(values)


def _networks(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Name and options of each network of a sweep."""
    for network in sweep.architectures:
        several = {name: values for name, values in network if name != "name"}
        if isinstance(network, UserNetwork) and several:
            declared = options_of(network.name)
            for name, values in several.items():
                one = declared.get(name)
                each = listed(values, one=one is not None and one.item is not None)
                several[name] = each if one is None else [one.from_yaml(value) for value in each]
        for values in product(*map(_choices, several.values())):
            yield {"name": network.name, **dict(zip(several, values, strict=True))}


def _check(run: TrainingJob) -> None:
    """Refuse a job that cannot be trained."""
    lattice = Lattice(run.dimension, run.size)
    run.architecture.check(lattice)
    if ":" not in run.name and not run.architecture.is_family:
        if run.settings.path == "spectral":
            raise InputError(f"architecture {run.name!r} has no kernel; path must be fields")
        if run.generation is not None:
            raise InputError(f"architecture {run.name!r} has no kernel to generate by; leave out generation")
    if run.generation is None and run.settings.until != "score_error":
        raise InputError("until is samples, but nothing is generated; add generation, or take until score_error")
    if run.generation is not None and run.schedule != "vp":
        raise InputError(f"generation needs schedule vp; it is {run.schedule!r}")
    if run.couplings is not None:
        GaussianField.from_couplings(lattice, *run.couplings)
    assert run.arguments()
    assert run.identifier
    if ":" not in run.target and run.target not in BY_MASS:
        raise unknown("target", run.target, BY_MASS)


TRAINING = Stage(
    "training",
    key="sweeps",
    command="train",
    kind=TRAINING_FILE,
    jobs=lambda study, before: training_jobs(study),
    cost="csd.study.cost.estimate:expected_training",
    ends=("noise level ", "seed "),
    works=("trained networks a noise level", lambda run: len(run.seeds)),
    aggregate="csd.study.summaries.training:aggregate_training",
    rule="aggregate",
    summary=SUMMARY,
    laws="csd.study.summaries.laws:training_table",
    summarised=lambda run: run.generation is None,
    plugins=lambda run: run.plugins,
    alike=lambda run: run.alike,
    gpu=lambda run: run.settings.device == "cuda",
    checkpoints=True,
    wildcard="run",
)
