"""The stages of generation: jobs that sample from a training file each, and hybrids, of several files with windows.

Each job is one `csd generate` command and makes one file. A hybrid names sweeps and windows of the noise level. It has
a job for each target, size and group of seeds that all of its sweeps train, which takes their files by a flag each.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Protocol, Self

from pydantic import Field, model_validator

from csd.core.errors import InputError, check_distinct, unknown
from csd.core.files import GENERATION as GENERATION_FILE
from csd.core.files import GENERATION_SUMMARY, HYBRIDS_SUMMARY, digest
from csd.core.options import declared
from csd.diffusion.hybrid.windows import Served, Window, from_the_top, requested, served_levels
from csd.diffusion.quality import GenerationSettings
from csd.diffusion.reverse import check_exact_start
from csd.study.config.schema import Number, Part, Positive, Several, Size, chosen, with_options
from csd.study.stages.base import Job, Stage, check_target, difference, file_name, once, seeds_name
from csd.study.stages.sweeps import GENERATED
from csd.study.stages.training import TRAINING, TrainingJob
from csd.targets.options import FieldOptions


@dataclass(frozen=True)
class GenerationJob:
    """Generation from a training job, on its own lattice or a larger one.

    Attributes:
        run: the training job whose file it takes.
        size: of the lattice.
    """

    run: TrainingJob
    size: int

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        return file_name(self.run.identifier + f"_to{self.size}" * (self.size != self.run.size))

    @property
    def sweep(self) -> str:
        """Name of its sweep."""
        return self.run.sweep

    @property
    def dimension(self) -> int:
        """Dimension of the lattice."""
        return self.run.dimension

    @property
    def settings(self) -> GenerationSettings:
        """How fields are generated, as `csd generate` has it from the job's flags."""
        assert self.run.generation is not None
        larger = None if self.size == self.run.size else self.size
        # A conditioned network takes the grid of the study, others have been trained at its levels.
        steps = self.run.generation.steps if self.run.settings.conditioned else None
        settings = GenerationSettings(
            **chosen(GENERATED, self.run.generation), size=larger, steps=steps, device=self.run.settings.device
        )
        return settings.for_networks(self.run.name)

    @property
    def request(self) -> dict[str, Any]:
        """All that determines its file besides the code."""
        return {"training": digest(self.run.request), **self.settings.asked()}

    def arguments(self) -> list[str]:
        """The flags of `csd generate` for this job, without files."""
        return self.settings.words()


def generation_jobs(runs: Sequence[TrainingJob]) -> list[GenerationJob]:
    """The jobs that generate from training jobs.

    Raises:
        InputError: for a start that the target does not have.
    """
    found: list[GenerationJob] = []
    for run in runs:
        if run.generation is not None:
            found += [GenerationJob(run, factor * run.size) for factor in (1, *(run.generation.transfer or ()))]
            try:
                _check_start(run, found[-1].settings)
            except InputError as error:
                raise InputError(f"sweeps.{run.sweep}.generation: {error}") from error
    return found


def _check_start(run: TrainingJob, settings: GenerationSettings) -> None:
    """Refuse an exact start of a built-in target that has none."""
    if settings.start == "exact" and isinstance(run.field, FieldOptions) and ":" not in run.target:
        check_exact_start(settings.start, check_target(run.field))


GENERATION = Stage(
    "generation",
    key="sweeps",
    command="generate",
    kind=GENERATION_FILE,
    jobs=lambda study, before: generation_jobs(before),
    cost="csd.study.cost.estimate:expected_generation",
    ends=("  two-sample test", "  nearest training"),
    aggregate="csd.study.summaries.generation:aggregate_generation",
    rule="aggregate_generation",
    summary=GENERATION_SUMMARY,
    laws="csd.study.summaries.laws:generation_table",
    after=TRAINING.name,
    wildcard="sampling",
    parent=lambda job: job.run,
    gpu=lambda job: job.settings.device == "cuda",
    plugins=lambda job: [name for name in (job.settings.integrator, job.run.name) if ":" in name],
    alike=lambda job: job.run.alike,
)


# ---- hybrids ---------------------------------------------------------------------------------------------------------

HOW = {**GENERATED, "steps": declared(GenerationSettings)["steps"]}
"""Options of generation that a hybrid may have."""


class HybridWindow(Part):
    """A sweep, and the noise levels t_min < t ≤ t_max at which its networks are used."""

    sweep: Annotated[str, Field(description="a sweep of this study")]
    network: Annotated[
        str | None, Field(None, description="label of one of its networks, if it has several, as local_two_layer-R2")
    ]
    t_min: Annotated[
        Number, Field(0.0, ge=0.0, description="lower end of the window, or the lowest level that is trained")
    ]
    t_max: Annotated[
        Positive | None, Field(None, description="upper end of the window; the highest level trained if absent")
    ]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """The lower end is below the upper one."""
        if self.t_max is not None and self.t_min >= self.t_max:
            raise ValueError(f"t_min is {self.t_min:.12g}, t_max is {self.t_max:.12g}; t_min must be below t_max")
        return self

    @property
    def window(self) -> Window:
        """The window."""
        return Window(self.t_min, inf if self.t_max is None else self.t_max)


@with_options(HOW)
class Hybrid(Part):
    """Networks of several sweeps, each for a window of the noise level, from which fields are generated."""

    windows: Annotated[list[HybridWindow], Field(min_length=1, description="sweeps and windows, which join")]
    sizes: Annotated[
        Several[Size] | None, Field(None, description="lattice sizes; all that the sweeps have in common if absent")
    ]


class HasHybrids(Protocol):
    """The part of a study that says from which networks hybrids are made."""

    hybrids: dict[str, Hybrid]


@dataclass(frozen=True)
class HybridJob:
    """Generation from training jobs with a window each.

    Attributes:
        sweep: name of the hybrid.
        runs: the training jobs.
        windows: that of each.
        given: how fields are generated.
    """

    sweep: str
    runs: tuple[TrainingJob, ...]
    windows: tuple[Window, ...]
    given: GenerationSettings

    @property
    def dimension(self) -> int:
        """Dimension of the lattice."""
        return self.runs[0].dimension

    @property
    def size(self) -> int:
        """Size of the lattice."""
        return self.runs[0].size

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its networks."""
        return self.runs[0].seeds

    @property
    def target_label(self) -> str:
        """The mass or couplings of the target as text."""
        return self.runs[0].target_label

    @property
    def kind(self) -> str:
        """Kind of the target, as 'two_phase', or its dotted path."""
        return self.runs[0].target

    @property
    def label(self) -> str:
        """The labels of its networks, from the highest window down."""
        falling = sorted(zip(self.windows, self.runs, strict=True), key=lambda one: one[0].low, reverse=True)
        return "+".join(dict.fromkeys(run.label for _, run in falling))

    @property
    def linear(self) -> bool:
        """Whether all of its networks are built-in ones with kernels."""
        return all(":" not in run.name and run.architecture.is_family for run in self.runs)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the jobs of one run of a summary share: all but the seeds."""
        return self.sweep, self.runs[0].field

    @property
    def steps(self) -> int:
        """Integrator steps."""
        return sum(map(len, self.levels())) - 1

    def levels(self) -> list[Any]:
        """The noise levels of each window.

        Raises:
            InputError: if the windows do not join, or the trained levels do not cover them.
        """
        key = f"hybrids.{self.sweep}.windows"
        parts = [
            Served(f"{key}.{place}", window, tuple(run.noise_levels), run.settings.conditioned, f"sweeps.{run.sweep}")
            for place, (run, window) in enumerate(zip(self.runs, self.windows, strict=True))
        ]
        return served_levels(from_the_top(parts), self.given.steps)

    @property
    def settings(self) -> GenerationSettings:
        """How fields are generated, as `csd generate` has it from the job's flags."""
        return self.given.for_networks(*(run.name for run in self.runs))

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        target = f"_{self.kind.replace(':', '.')}" * (self.kind != "gaussian")
        lattice = f"d{self.dimension}_L{self.size}"
        return file_name(f"{self.sweep}_{lattice}_{self.target_label}{target}_{seeds_name(self.seeds)}")

    @property
    def request(self) -> dict[str, Any]:
        """All that determines its file besides the code."""
        pairs = ((digest(run.request), window) for run, window in zip(self.runs, self.windows, strict=True))
        return {"hybrid": requested(pairs), **self.settings.asked()}

    @property
    def takes(self) -> dict[str, tuple[str, Job]]:
        """The training jobs whose files it takes, each with its stage, by the flag, in which {} stands for the file."""
        pairs = zip(self.runs, self.windows, strict=True)
        return {f"--hybrid={{}}:{window}": (TRAINING.name, run) for run, window in pairs}

    @property
    def served(self) -> str:
        """Which networks serve which window, as text."""
        pairs = zip(self.runs, self.windows, strict=True)
        return " ".join(f"{run.identifier}:{window}" for run, window in pairs)

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        return [name for name in (self.settings.integrator, *(run.name for run in self.runs)) if ":" in name]

    def arguments(self) -> list[str]:
        """The flags of `csd generate` for this job, without files."""
        return self.settings.words()


def hybrid_jobs(study: HasHybrids, runs: Sequence[TrainingJob]) -> list[HybridJob]:
    """The jobs of the hybrids of a study, each checked as far as it can be without training.

    Raises:
        InputError: for a hybrid that cannot be made.
    """
    return once(_expanded(study.hybrids, runs), "hybrids")


def _expanded(hybrids: dict[str, Hybrid], runs: Sequence[TrainingJob]) -> Iterator[HybridJob]:
    """Jobs in the order of the configuration."""
    for name, hybrid in hybrids.items():
        try:
            windows = tuple(part.window for part in hybrid.windows)
            given = GenerationSettings(**chosen(HOW, hybrid))
            if hybrid.sizes is not None:
                check_distinct("size", hybrid.sizes)
            for together in _matched(hybrid, runs):
                job = HybridJob(name, together, windows, given)
                if job.runs[0].schedule != "vp":
                    raise InputError(f"generation needs schedule vp; it is {job.runs[0].schedule!r}")
                _check_start(job.runs[0], given)
                job.levels()
                _ = job.identifier
                yield job
        except InputError as error:
            # Those about windows begin with their key.
            key = f"hybrids.{name}"
            raise InputError(str(error) if f"{key}.windows" in str(error) else f"{key}: {error}") from error


def _matched(hybrid: Hybrid, runs: Sequence[TrainingJob]) -> list[tuple[TrainingJob, ...]]:
    """The training jobs of the windows for each target, size and group of seeds that all of them have.

    Raises:
        InputError: if a sweep is unknown or has several networks, or the sweeps have no target or other seeds.
    """
    found = [_of_window(part, runs) for part in hybrid.windows]
    wanted = [key for key in found[0] if hybrid.sizes is None or key[0].size in hybrid.sizes]
    common = [key for key in wanted if all(key in own for own in found)]
    targets = {field for field, _ in wanted if all(any(field == one for one, _ in own) for own in found)}
    names = " and ".join(dict.fromkeys(f"sweeps.{part.sweep}" for part in hybrid.windows))
    if missing := set(hybrid.sizes or ()) - {field.size for field in targets}:
        raise InputError(f"sizes has {min(missing)}, which {names} do not have in common")
    if not targets:
        fields = [
            (f"sweeps.{part.sweep}", {one for one, _ in own}) for part, own in zip(hybrid.windows, found, strict=True)
        ]
        apart = next((other for other in fields[1:] if not fields[0][1] & other[1]), fields[0])
        differ = difference(fields[0], apart)
        raise InputError(f"{names} have no target and size in common{differ}; all must have the same")
    for field in targets:
        groups = [{seeds for one, seeds in own if one == field} for own in found]
        if any(group != groups[0] for group in groups):
            raise InputError(f"{names} train other seeds, or other numbers of them in a job; give all the same")
    return [tuple(own[key] for own in found) for key in common]


def _of_window(part: HybridWindow, runs: Iterable[TrainingJob]) -> dict[tuple[Any, tuple[int, ...]], TrainingJob]:
    """The training jobs of a window, by target and seeds."""
    own = [run for run in runs if run.sweep == part.sweep]
    if not own:
        raise unknown("sweep", part.sweep, {run.sweep for run in runs})
    labels = dict.fromkeys(run.label for run in own)
    if part.network is None and len(labels) > 1:
        raise InputError(f"sweeps.{part.sweep} has several networks; name one by network: {', '.join(labels)}")
    if part.network is not None and part.network not in labels:
        raise unknown(f"network of sweeps.{part.sweep}", part.network, labels)
    found: dict[tuple[Any, tuple[int, ...]], TrainingJob] = {}
    for run in own:
        if part.network in (None, run.label):
            other = found.setdefault((run.field, run.seeds), run)
            if other is not run:
                raise InputError(
                    f"sweeps.{part.sweep} trains {run.label} in several ways, as {other.data_label} and"
                    f" {run.data_label}; a hybrid takes a sweep with one"
                )
    return found


HYBRIDS = Stage(
    "hybrids",
    key="hybrids",
    command="generate",
    kind=GENERATION_FILE,
    jobs=hybrid_jobs,
    cost="csd.study.cost.samples:expected_hybrids",
    ends=("  two-sample test", "  nearest training"),
    works=("seeds to generate from", lambda job: len(job.seeds)),
    aggregate="csd.study.summaries.generation:aggregate_hybrids",
    rule="aggregate_hybrids",
    summary=HYBRIDS_SUMMARY,
    laws="csd.study.summaries.phases.hybrids:hybrid_table",
    after=TRAINING.name,
    takes=lambda job: job.takes,
    gpu=lambda job: any(run.settings.device == "cuda" for run in job.runs),
    plugins=lambda job: job.plugins,
    data=lambda job: job.served,
    alike=lambda job: (job.sweep, job.size),
    made_by="generate_hybrid",
    logs="hybrids",
    wildcard="hybrid",
)
