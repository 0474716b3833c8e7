"""Jobs: what a study expands to, a file each."""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from csd.core.errors import InputError, unknown
from csd.core.plugins import resolve
from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.integrators import INTEGRATORS
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.study.config.reading import validated
from csd.study.config.schema import Item
from csd.study.config.study import FILE_NAME, Generation, Study, Sweep, Training
from csd.targets.base import BY_MASS, target_from_spec, with_spectrum
from csd.targets.gaussian import GaussianField, gaussian_field
from csd.targets.labels import target_label
from csd.targets.noising import SCHEDULES, NoisedTarget
from csd.training.losses import OBJECTIVES
from csd.training.options import TrainingSettings


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
        architecture: name, and options as they appear on the command line.
        training: settings, with one data set or none.
        data_set: M, or None.
        seeds: that this job trains.
    """

    sweep: str
    dimension: int
    size: int
    mass: float | None
    mass_times_length: float | None
    couplings: tuple[float, float] | None
    target: str
    name: str
    depth: int | None
    range: int | str | None
    channels: int | None
    training: Training
    data_set: int | None
    seeds: tuple[int, ...]
    generation: Generation | None = None

    @property
    def noise_levels(self) -> list[float]:
        """The levels trained: the study's, or the grid to generate on of this size."""
        if self.generation is None:
            return self.training.noise_levels
        asked = self.generation
        t_max = longest_level(self.size) if asked.t_max is None else asked.t_max
        return [float(level) for level in geometric_grid(asked.t_min, t_max, asked.steps)]

    @property
    def label(self) -> str:
        """Architecture and options: 'local_two_layer-R2'."""
        return self.architecture.label

    @property
    def architecture(self) -> Architecture:
        """The network, before it is built for a lattice."""
        return Architecture(self.name, self.depth, self.range, self.channels)

    @property
    def mass_label(self) -> str:
        """How the mass was given, as text."""
        return target_label(mass=self.mass, mass_times_length=self.mass_times_length, couplings=self.couplings)

    @property
    def data_label(self) -> str:
        """Loss and data: 'implicit-B64', 'population', 'population-M100'."""
        parts = [self.training.loss.replace(":", ".")]
        if self.training.loss != "population":
            parts.append(f"B{self.training.batch}")
        if self.data_set is not None:
            parts.append(f"M{self.data_set}")
        if self.training.path != "spectral":
            parts.append(self.training.path)
        if self.training.schedule != "vp":
            parts.append(self.training.schedule.replace(":", "."))
        if self.training.learning_rate is not None:
            parts.append(f"lr{self.training.learning_rate:.12g}")
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
        training, asked = self.training, self.generation
        return (
            *(self.dimension, self.size, self.mass, self.mass_times_length, self.couplings, self.target),
            *(self.name, self.depth, self.range, self.channels, self.data_set),
            *(training.loss, None if training.loss == "population" else training.batch),
            *(training.path, training.schedule, training.learning_rate),
            None if asked is None else (asked.steps, asked.t_max),
        )

    @property
    def plugins(self) -> list[str]:
        """Dotted paths that the job uses."""
        names = [self.name, self.target, self.training.schedule, self.training.loss]
        if self.generation is not None:
            names.append(self.generation.integrator)
        return [name for name in names if ":" in name]

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
        schedule = resolve("schedule", self.training.schedule, SCHEDULES)()
        return NoisedTarget(target, schedule, self.noise_levels), self.architecture, self.settings

    @property
    def settings(self) -> TrainingSettings:
        """How it is trained; InputError for what training would refuse."""
        population = self.training.loss == "population"
        return TrainingSettings(
            loss=self.training.loss,
            batch=TrainingSettings.batch if population else self.training.batch,
            data_set=self.data_set,
            seeds=self.seeds,
            tolerance=self.training.tolerance,
            max_steps=self.training.max_steps,
            learning_rate=self.training.learning_rate,
            path=self.training.path,
            device=self.training.device,
            **self._of_generation,
        )

    @property
    def _of_generation(self) -> dict[str, Any]:
        """Settings of training that follow from the sweep's `generation`."""
        asked = self.generation
        if asked is None:
            # Their weights tell it.
            return {"kernel_steps": "none"}
        kept = {"kernel_steps": asked.kernel_steps}
        if self.training.until == "score_error":
            return kept
        return kept | {"until": self.training.until, "integrator": asked.integrator, "start": asked.start}

    def arguments(self) -> list[str]:
        """The flags of `csd train` that do this job, without --output."""
        training = self.training
        flags: list[tuple[str, Any]] = [
            ("--architecture", self.name),
            ("--depth", self.depth),
            ("--range", self.range),
            ("--channels", self.channels),
            ("--dimension", self.dimension),
            ("--size", self.size),
            ("--mass", self.mass),
            ("--mass-times-length", self.mass_times_length),
            ("--r0", self.couplings[0] if self.couplings else None),
            ("--u", self.couplings[1] if self.couplings else None),
            ("--target", None if self.target == "gaussian" else self.target),
            ("--schedule", training.schedule),
            ("--noise-level", self.noise_levels),
            ("--loss", training.loss),
            ("--batch", None if training.loss == "population" else training.batch),
            ("--data-set", self.data_set),
            ("--tolerance", training.tolerance),
            ("--max-steps", training.max_steps),
            ("--learning-rate", training.learning_rate),
            ("--path", training.path),
            ("--device", None if training.device == "auto" else training.device),
            *((f"--{name.replace('_', '-')}", value) for name, value in self._of_generation.items()),
            ("--seed", self.seeds),
        ]
        words: list[str] = []
        for flag, value in flags:
            if value is not None:
                values = value if isinstance(value, list | tuple) else [value]
                words += [flag, *(repr(v) if isinstance(v, float) else str(v) for v in values)]
        return words


@dataclass(frozen=True)
class GenerationJob:
    """A generation file: a run that is generated from, on its own lattice or a larger one.

    Attributes:
        run: whose training file it starts from.
        size: of the lattice.
    """

    run: TrainingJob
    size: int

    @property
    def identifier(self) -> str:
        """Unique name of the file."""
        return self.run.identifier if self.size == self.run.size else f"{self.run.identifier}_to{self.size}"

    @property
    def integrator(self) -> str:
        """How a step of reverse diffusion is made."""
        assert self.run.generation is not None
        return self.run.generation.integrator

    def arguments(self) -> list[str]:
        """The flags of `csd generate` that make it, without its files."""
        asked = self.run.generation
        assert asked is not None
        words = ["--integrator", asked.integrator, "--start", asked.start, "--samples", str(asked.samples)]
        return words if self.size == self.run.size else [*words, "--size", str(self.size)]


def generation_jobs(runs: Sequence[TrainingJob]) -> list[GenerationJob]:
    """All that is generated from what training jobs train."""
    return [
        GenerationJob(run, factor * run.size)
        for run in runs
        if run.generation is not None
        for factor in (1, *(run.generation.transfer or ()))
    ]


def training_jobs(study: Study) -> list[TrainingJob]:
    """The training jobs of a study, each checked as far as it can be without training.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    runs = list(_expanded(study))
    seen: dict[str, TrainingJob] = {}
    for run in runs:
        other = seen.setdefault(run.identifier, run)
        if other is not run:
            raise InputError(
                f"sweeps.{run.sweep}: the run {run.identifier} is there twice, also in sweeps.{other.sweep};"
                " every run must stand in one sweep, once"
            )
    return runs


def _expanded(study: Study) -> Iterator[TrainingJob]:
    """Jobs in the order of the configuration."""
    for name, sweep in study.sweeps.items():
        overridden = study.training.model_dump() | sweep.training
        training = validated(Training, overridden, f"sweeps.{name}.training.")
        seeds = training.seeds
        if len(set(seeds)) < len(seeds):
            raise InputError(f"sweeps.{name}: a seed is given twice in {seeds}; each must be given once")
        if len(set(training.noise_levels)) < len(training.noise_levels):
            raise InputError(f"sweeps.{name}: a noise level is given twice in {training.noise_levels}")
        chunks = [tuple(seeds[i : i + training.seeds_per_job]) for i in range(0, len(seeds), training.seeds_per_job)]
        for size, mass, network, data_set, chunk in product(
            sweep.sizes, _masses(sweep), _networks(sweep), _choices(training.data_sets), chunks
        ):
            m, c, couplings = mass
            architecture, depth, reach, channels = network
            run = TrainingJob(
                sweep=name,
                dimension=sweep.dimension,
                size=size,
                mass=m,
                mass_times_length=c,
                couplings=couplings,
                target=sweep.target,
                name=architecture,
                depth=depth,
                range=reach,
                channels=channels,
                training=training,
                data_set=data_set,
                seeds=chunk,
                generation=sweep.generation,
            )
            _check(run)
            yield run


def _choices(values: Sequence[Item] | None) -> list[Item | None]:
    """The values of an option, or that it is not given."""
    return [None] if values is None else list(values)


def _masses(sweep: Sweep) -> list[tuple[float | None, float | None, tuple[float, float] | None]]:
    """(mass, mass_times_length, couplings) of each mass of a sweep."""
    if sweep.mass is not None:
        return [(mass, None, None) for mass in sweep.mass]
    if sweep.couplings is not None:
        return [(None, None, (pair.r0, pair.u)) for pair in sweep.couplings]
    return [(None, c, None) for c in sweep.mass_times_length or [1.0]]


def _networks(sweep: Sweep) -> list[tuple[str, int | None, int | str | None, int | None]]:
    """(name, depth, range, channels) of each network of a sweep."""
    return [
        (network.name, depth, reach, channels)
        for network in sweep.architectures
        for depth in _choices(network.depth)
        for reach in _choices(network.range)
        for channels in _choices(network.channels)
    ]


def _check(run: TrainingJob) -> None:
    """Refuse a job that cannot be trained, with the sweep that holds it."""
    try:
        lattice = Lattice(run.dimension, run.size)
        assert run.architecture
        if isinstance(run.range, int):
            lattice.check_range(run.range)
        assert run.settings
        if run.generation is None and run.training.until != "score_error":
            raise InputError("until is samples, but nothing is generated; add generation, or take until score_error")
        if run.generation is not None:
            if run.training.schedule != "vp":
                raise InputError(f"generation needs schedule vp; it is {run.training.schedule!r}")
            if ":" not in run.generation.integrator and run.generation.integrator not in INTEGRATORS:
                raise unknown("integrator", run.generation.integrator, INTEGRATORS)
            assert run.noise_levels
        if run.couplings is not None:
            GaussianField.from_couplings(lattice, *run.couplings)
        assert run.identifier
        for what, name, registry in (
            ("schedule", run.training.schedule, SCHEDULES),
            ("loss", run.training.loss, OBJECTIVES),
            ("target", run.target, BY_MASS),
        ):
            if ":" not in name and name not in registry:
                raise unknown(what, name, registry)
    except InputError as error:
        raise InputError(f"sweeps.{run.sweep}: {error}") from error
