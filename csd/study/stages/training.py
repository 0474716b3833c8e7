"""The stage of training: each job trains a network for a few seeds, by one `csd train` command, into one file."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol

from csd.core.errors import InputError, check_distinct, users_errors
from csd.core.files import SUMMARY
from csd.core.files import TRAINING as TRAINING_FILE
from csd.networks import Architecture
from csd.networks.parametric import ParametricNetwork
from csd.networks.registry import options_of
from csd.study.config.schema import OF_PHASES, Item, chosen, listed
from csd.study.stages.base import Job, OnLattice, Stage, check_target, file_name, once, seeds_name
from csd.study.stages.data import DataField, MadeField, made_fields
from csd.study.stages.monte_carlo import MONTE_CARLO, MonteCarlo
from csd.study.stages.scored import ScoresMade, scores_for
from csd.study.stages.scores import HELD_OUT, Scores, scores_jobs
from csd.study.stages.sweeps import AXES, HOW, Generation, Sweep, Training, UserNetwork
from csd.targets.base import HasSpectrum, is_symmetric, target_from_spec, with_spectrum
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import FieldOptions, NoiseOptions
from csd.training.content import training_request
from csd.training.options import TrainingSettings, check_chains, check_conditioned, check_option_names, with_own_steps
from csd.training.preparation import prepare
from csd.training.steps.rule import check_steps
from csd.training.steps.tuning import check_trial_seeds


class HasSweeps(Protocol):
    """The parts of a study that say what is trained, and how where a sweep does not say otherwise."""

    training: Training
    sweeps: dict[str, Sweep]
    monte_carlo: dict[str, MonteCarlo]
    scores: dict[str, Scores]

    @property
    def results(self) -> Path:
        """The folder of its files."""


@dataclass(frozen=True)
class TrainingJob(OnLattice):
    """A network trained on one target and lattice, for a few seeds.

    Attributes:
        sweep: name of its sweep.
        field: the target and its lattice, or fields in a file.
        architecture: the network, before it is built for a lattice.
        schedule: name of the noise.
        noise_levels: the study's, or the grid of this size to generate on.
        settings: how it is trained.
        generation: what is generated from it, or None.
        scores: the exact scores that it is measured against, or None.
        several_lengths: whether its sweep has several numbers of steps, so that its name contains its own.
    """

    sweep: str
    field: FieldOptions | DataField  # type: ignore[assignment]
    architecture: Architecture
    schedule: str
    noise_levels: list[float]
    settings: TrainingSettings
    generation: Generation | None = None
    scores: ScoresMade | None = None
    several_lengths: bool = False

    @property
    def target_label(self) -> str:
        """The mass or couplings of the target, or the file of its fields, as text."""
        return self.field.label if isinstance(self.field, DataField) else super().target_label

    @property
    def target(self) -> str:
        """Name of the target, or its dotted path."""
        return str(self.field.target)

    @property
    def name(self) -> str:
        """The network's name, without its options."""
        return self.architecture.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that it trains."""
        return self.settings.seeds

    @property
    def data_set(self) -> int | None:
        """The number of fields M of a fixed data set, or None."""
        return self.settings.data_set

    @property
    def max_steps(self) -> int | None:
        """The steps after which training ends in any case, where its sweep has several numbers of them; else None."""
        return with_own_steps(self.architecture, self.settings).max_steps if self.several_lengths else None

    @property
    def label(self) -> str:
        """Architecture and options: 'local_two_layer-R2'."""
        return self.architecture.label

    @property
    def data_label(self) -> str:
        """Loss, data and all other options of training: 'implicit-B64', 'population-M100'."""
        labels = self.settings.labels()
        # This order is that of the names of existing files.
        parts = [labels.pop(name) for name in ("loss", "batch", "data_set", "path") if name in labels]
        if self.schedule != NoiseOptions.schedule:
            parts.append(self.schedule.replace(":", "."))
        parts += labels.values()
        parts += [f"steps{self.max_steps}"] * self.several_lengths
        if self.generation is not None:
            parts.append(f"grid{self.generation.steps}")
            if self.generation.t_max is not None:
                parts.append(f"t{self.generation.t_max:.12g}")
        parts += [self.target.replace(":", ".")] * (self.target != FieldOptions.target)
        return "-".join(parts)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """All that is trained, without sweep and seeds: what the jobs of one run of a summary share."""
        grid = None if self.generation is None else (self.generation.steps, self.generation.t_max)
        field = self.field.of_any_seed if isinstance(self.field, MadeField) else self.field
        return field, self.architecture, *self.settings.key, self.max_steps, self.schedule, grid

    @property
    def takes(self) -> dict[str, tuple[str, Job]]:
        """The jobs whose fields it learns and whose scores it is measured against, with their stages, by the flag."""
        fields: dict[str, tuple[str, Job]] = {}
        if isinstance(self.field, MadeField):
            fields["--data"] = MONTE_CARLO.name, self.field.job
        if self.scores is not None:
            fields["--scores"] = HELD_OUT.name, self.scores.job
        return fields

    @property
    def paired(self) -> bool:
        """Whether each of its seeds learns the fields of the Monte Carlo job of the same seed."""
        return isinstance(self.field, MadeField) and self.field.paired

    @property
    def step(self) -> str:
        """The steps of `csd.core.source` whose code its file depends on."""
        return self.settings.step + " api/scored" * (self.scores is not None)

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        names = [self.name, self.target, self.schedule, self.settings.loss]
        if self.settings.until == "samples":
            names.append(self.settings.integrator)
        return [name for name in names if ":" in name]

    @property
    def alike(self) -> tuple[Hashable, ...]:
        """What jobs share that differ in mass and seeds alone: expected steps are interpolated between masses."""
        given = tuple(getattr(self.settings, name) for name in AXES)
        given += tuple(getattr(self.field, name, None) for name in OF_PHASES)
        own = (self.sweep, self.dimension, self.size, self.architecture, self.data_set, len(self.seeds), *given)
        return (*own, self.field.mass is None, self.field.r0, self.field.u)

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        own = f"{self.target_label}_{self.label}_{self.data_label}_{seeds_name(self.seeds)}"
        return file_name(f"d{self.dimension}_L{self.size}_{own}")

    def problem(self) -> tuple[NoisedTarget, Architecture, TrainingSettings]:
        """The target under noise, the network and the settings, as `csd train` makes them from the job's flags."""
        target: HasSpectrum = (
            self.field.loaded()
            if isinstance(self.field, DataField)
            else with_spectrum(target_from_spec(self.field.spec()))
        )
        noised = NoisedTarget(target, schedule_of(self.schedule), self.noise_levels)
        return noised, self.architecture, with_own_steps(self.architecture, self.settings)

    @property
    def request(self) -> dict[str, Any]:
        """All that determines its file besides the code."""
        measured = {} if self.scores is None else {"scores": self.scores.digest}
        return training_request(*self.problem()) | measured

    def arguments(self) -> list[str]:
        """The flags of `csd train` for this job, without --output."""
        noise = NoiseOptions(self.schedule, tuple(self.noise_levels))
        return [*self.architecture.words(), *self.field.words(), *noise.words(), *self.settings.words()]


def training_jobs(study: HasSweeps) -> list[TrainingJob]:
    """The training jobs of a study, each checked as far as it can be without training.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(study), "sweeps")


def _with_symmetry(architecture: Architecture, field: FieldOptions | DataField) -> Architecture:
    """The network with the symmetry of the target, where it is not given."""
    if isinstance(field, DataField):
        return field.with_symmetry(architecture)
    target = None if ":" in field.target else check_target(field)
    symmetric = target is not None and is_symmetric(target)
    return architecture.with_symmetry(symmetric, lambda: float(getattr(target, "mean", 0.0)))


def training_of(study: HasSweeps, sweep: Sweep) -> Training:
    """How a sweep trains: the study's settings, and those that it overrides."""
    return Training.model_validate(study.training.model_dump() | sweep.training)


def _expanded(study: HasSweeps) -> Iterator[TrainingJob]:
    """Jobs in the order of the configuration."""
    # Before any sweep, so that an error in a part of `scores` is not reported as one of the sweep.
    held_out = {name: scores_jobs({name: part}) for name, part in study.scores.items()}
    for name, sweep in study.sweeps.items():
        training = training_of(study, sweep)
        levels = training.noise_levels
        try:
            check_distinct("seed", training.seeds)
            check_distinct("noise level", levels)
            if sweep.data is not None and training.data_sets is not None:
                raise InputError("data_sets and data are both given; the fields of the file are the data set")
            axes = [[(name, value) for value in _choices(getattr(training, name))] for name in AXES]
            lengths = _choices(vars(training)["max_steps"])
            for field in list(_fields(study, sweep, training.seeds)):
                sets = [field.count] if isinstance(field, DataField) else _choices(training.data_sets)
                size: Any = field.size
                grid = sweep.generation and sweep.generation.levels(size, vars(training)["conditioned"])
                noise = NoiseOptions(vars(training)["schedule"], tuple(grid or levels))
                scores = sweep.scores and scores_for(held_out, sweep.scores, field, noise, study.results)
                for network, data_set, chunk, *given in product(
                    _networks(sweep), sets, _chunks(field, training), *axes
                ):
                    run = TrainingJob(
                        name,
                        field,
                        _with_symmetry(Architecture(**network), field),
                        vars(training)["schedule"],
                        grid or levels,
                        _settings(training, sweep.generation, {"data_set": data_set, "seeds": chunk, **dict(given)}),
                        sweep.generation,
                        scores or None,
                        several_lengths=len(lengths) > 1,
                    )
                    _check(run)
                    yield run
        except InputError as error:
            raise InputError(f"sweeps.{name}: {error}") from error


def _chunks(field: FieldOptions | DataField, training: Training) -> list[tuple[int, ...]]:
    """The seeds of each job on a target: those that train together, or the one whose fields these are."""
    seeds, count = training.seeds, training.seeds_per_job
    if isinstance(field, MadeField) and field.paired:
        return [(seed,) for seed in seeds if seed == field.job.settings.seed]
    return [tuple(seeds[start : start + count]) for start in range(0, len(seeds), count)]


def _fields(study: HasSweeps, sweep: Sweep, seeds: Sequence[int]) -> Iterator[FieldOptions | DataField]:
    """The targets of a sweep on its lattices, for the seeds that it trains."""
    if sweep.data is not None and (part := sweep.data.monte_carlo) is not None:
        yield from made_fields(study.monte_carlo, part, sweep.dimension, sweep.sizes, seeds, study.results)
        return
    for size in sweep.sizes:
        if sweep.data is not None:
            yield DataField.of(sweep.data, sweep.dimension, size)
            continue
        for given in sweep.targets():
            yield FieldOptions(sweep.dimension, size, **given, target=sweep.target)


def _settings(training: Training, generation: Generation | None, own: dict[str, Any]) -> TrainingSettings:
    """How a job is trained; generation adds which kernels are kept and how samples are made, `own` what jobs have."""
    parts = (training,) if generation is None else (training, generation)
    # Where nothing is generated, weights alone are kept: kernels follow from them.
    kept = {"kernel_steps": "none"} if generation is None else {}
    return TrainingSettings(**chosen(HOW, *parts) | kept | own)


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
                several[name] = each if one is None or each is None else [one.from_yaml(value) for value in each]
        for values in product(*map(_choices, several.values())):
            yield {"name": network.name, **dict(zip(several, values, strict=True))}


def _check(run: TrainingJob) -> None:
    """Refuse a job that cannot be trained."""
    if run.settings.chains is not None and not isinstance(run.field, MadeField):
        check_chains(run.settings, run.field.loaded() if isinstance(run.field, DataField) else run.gaussian)
    run.architecture.check(run.field.lattice)
    if ":" not in run.name:
        if not run.architecture.is_family and run.settings.path == "spectral":
            raise InputError(f"architecture {run.name!r} has no kernel; path must be fields")
        check_steps(run.architecture, with_own_steps(run.architecture, run.settings))
        check_conditioned(run.architecture, run.settings, len(run.noise_levels))
    check_trial_seeds(run.settings)
    if run.generation is not None and run.generation.transfer is not None:
        if isinstance(run.field, DataField):
            raise InputError("generation.transfer is given, but the fields of a file have one size; leave transfer out")
        if ":" not in run.name and issubclass(run.architecture.made_by, ParametricNetwork):
            words = f"the parameters of architecture {run.name!r} depend on the lattice"
            raise InputError(f"generation.transfer is given, but {words}; leave transfer out")
    if run.generation is None and run.settings.until == "samples":
        raise InputError("until is samples, but nothing is generated; add generation, or take until score_error")
    if run.generation is not None and run.schedule != "vp":
        raise InputError(f"generation needs schedule vp; it is {run.schedule!r}")
    # Options are checked as they become the flags of a job and the name of its file.
    run.arguments()
    _ = run.identifier
    if isinstance(run.field, FieldOptions) and ":" not in run.target:
        check_target(run.field)


MOST_SITES = 2**16
"""The largest lattice on which user-defined classes are built for a check."""


def check_training(runs: Iterable[TrainingJob]) -> None:
    """Refuse jobs that training would refuse when it begins: all fields are read, and some networks are built.

    User-defined classes and rates from data, for each sweep and way of training, on the smallest lattice.

    Raises:
        InputError: for the first job that cannot be trained, with its sweep.
    """
    seen = set()
    for run in sorted(runs, key=lambda run: run.size):
        try:
            with users_errors():
                run.architecture.complete()
                made = isinstance(run.field, MadeField)
                if isinstance(run.field, DataField) and not made:
                    run.field.loaded(check=True)
                kind = run.sweep, run.architecture, run.target, run.schedule, run.settings.key
                built = run.plugins or run.settings.rate_from == "data"
                if built and not made and kind not in seen and run.size**run.dimension <= MOST_SITES:
                    _check_start(run)
                seen.add(kind)
        except InputError as error:
            raise InputError(f"sweeps.{run.sweep}: {error}") from error


def _check_start(run: TrainingJob) -> None:
    """Prepare a job, to refuse one that training would refuse when it begins."""
    if ":" in run.name:
        check_option_names(run.name, options_of(run.name))
    noised, architecture, settings = run.problem()
    fields = settings.data_set if isinstance(run.field, DataField) else settings.data_set and 1
    settings = replace(settings, seeds=settings.seeds[:1], device="cpu", data_set=fields)
    settings = replace(settings, rate_from="spectrum") if settings.rate_from == "tuned" else settings
    levels = noised.levels if settings.conditioned else noised.levels[:1]
    prepare(NoisedTarget(noised.target, noised.schedule, levels), architecture, settings)


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
    steps=lambda run: run.step,
    alike=lambda run: run.alike,
    data=lambda run: run.field.digest if isinstance(run.field, DataField) else "",
    takes=lambda run: run.takes,
    gpu=lambda run: run.settings.device == "cuda",
    checkpoints=True,
    wildcard="run",
)
