"""The stage of scores: held-out fields of a target with their exact scores, one file for each target, size and seed.

Those of Gaussian targets, and of O(n) models at n → ∞, are in closed form; those at finite n, of φ⁴ with `components`
and of spins, and those of user-defined targets with an energy are by conditional Monte Carlo. Either way the fields are
drawn by `csd scores` itself, with random streams of their own: they are not those of any data set, nor from the same
Markov chains.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field

from csd.core.errors import InputError, check_distinct, unknown, users_errors
from csd.core.files import SCORES, SCORES_SUMMARY
from csd.core.options import declared
from csd.lattice import Lattice
from csd.mcmc.posterior.base import with_energy
from csd.mcmc.simulation import target_of_chains
from csd.study.config.schema import Count, FieldPart, Positive, Seed, Several, chosen, with_options
from csd.study.stages.base import OnLattice, Stage, check_target, file_name, finite_components, levels_label, once
from csd.targets.base import BY_MASS, target_from_spec, with_samples, with_spectrum
from csd.targets.noising import NoisedTarget, check_schedule, schedule_of
from csd.targets.options import ChainOptions, FieldOptions, NoiseOptions
from csd.targets.scores import SOURCE, ScoreSettings, posterior_request, score_request

HOW = declared(ScoreSettings)
NOISE = declared(NoiseOptions)


@with_options(
    {
        "fields": HOW["fields"],
        "accuracy": HOW["accuracy"],
        "schedule": NOISE["schedule"],
        "target": declared(FieldOptions)["target"],
    }
)
class Scores(FieldPart):
    """Held-out fields over sizes, targets and seeds in one dimension."""

    components: Annotated[
        Several[Count] | None,
        Field(None, description="components n of φ⁴ or spins; without them couplings mean n → ∞, and spins have one"),
    ]
    beta: Annotated[Several[Positive] | None, Field(None, description="couplings of unit spins with n components")]
    noise_levels: Annotated[list[Positive], Field([0.01, 0.1, 0.5, 1.0], min_length=1, description="noise levels t")]
    seeds: Annotated[list[Seed], Field([1], min_length=1, description="random seeds, a file each")]


@dataclass(frozen=True)
class ScoresJob(OnLattice):
    """A target and a seed.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice; the options of chains are those of φ⁴ and spins at finite n.
        noise: the noise.
        settings: which fields, and how accurate their scores are.
    """

    sweep: str
    field: FieldOptions | ChainOptions
    noise: NoiseOptions
    settings: ScoreSettings

    @property
    def components(self) -> int:
        """Components n; 0 where the score is in closed form, as for n → ∞, and 1 for user-defined targets."""
        return self.field.components if isinstance(self.field, ChainOptions) else int(self.user_defined)

    @property
    def user_defined(self) -> bool:
        """Whether the target is a class of the user's, which is imported only by what runs or checks a job."""
        return not isinstance(self.field, ChainOptions) and ":" in self.field.target

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Noise levels t."""
        return self.noise.noise_levels or ()

    @property
    def target(self) -> Any:
        """The target whose scores are by Monte Carlo."""
        if isinstance(self.field, ChainOptions):
            given = {name: value for name, value in vars(self.field).items() if name not in ("dimension", "size")}
            return target_of_chains(Lattice(self.dimension, self.size), **given)
        mass = self.field.mass or (self.field.mass_times_length or 1.0) / self.size
        about = {"target": self.field.target, "dimension": self.dimension, "size": self.size, "mass": mass}
        return target_from_spec(about)

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        names = (self.noise.schedule, self.field.target if isinstance(self.field, FieldOptions) else "")
        return [name for name in names if ":" in name]

    @property
    def key(self) -> tuple[Hashable, ...]:
        """All that is asked for, without the seed: what the jobs of one run of a summary share."""
        return self.sweep, self.field

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        noise = f"{self.noise.schedule.replace(':', '.')}-t{levels_label(self.noise_levels)}"
        how = f"{noise}_M{self.settings.fields}"
        target = self.target_label
        if self.components:
            own = self.field.target.replace(":", ".") if isinstance(self.field, FieldOptions) else f"n{self.components}"
            target += f"_{own}"
            how += "".join(f"-{label}" for name, label in self.settings.labels().items() if name == "accuracy")
        return file_name(f"d{self.dimension}_L{self.size}_{target}_{how}_s{self.settings.seed}")

    @property
    def request(self) -> Mapping[str, Any]:
        """All that determines its file besides the code; every part of it is checked.

        Raises:
            InputError: if the target, the noise or its levels cannot be used.
        """
        schedule = schedule_of(self.noise.schedule)
        if not self.components:
            target = with_spectrum(check_target(self.field))
            return score_request(NoisedTarget(target, schedule, self.noise_levels), self.settings)
        check_distinct("noise level", self.noise_levels)
        check_schedule(schedule, self.noise_levels)
        return posterior_request(self.target, schedule, self.noise_levels, self.settings)

    @property
    def step(self) -> str:
        """The step in `csd.core.source`, or the modules, whose code its file depends on."""
        return "scores" if self.components else SOURCE

    def arguments(self) -> list[str]:
        """The flags of `csd scores` for this job, without --output."""
        return [*self.field.words(), *self.noise.words(), *self.settings.words()]


def scores_jobs(parts: Mapping[str, Scores]) -> list[ScoresJob]:
    """The jobs, each checked as far as it can be without computing scores; `sweep` of each is the name of its part.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(parts), "scores")


def _expanded(parts: Mapping[str, Scores]) -> Iterator[ScoresJob]:
    """Jobs in the order of the configuration."""
    for name, part in parts.items():
        try:
            noise = NoiseOptions(**chosen(NOISE, part))
            own: str = vars(part)["target"]
            finite = finite_components(part)
            if ":" not in own and own not in BY_MASS:
                raise unknown("target", own, BY_MASS)
            if ":" in own and (finite or part.couplings):
                raise InputError(f"target is {own!r}, which is built from its lattice and a mass; leave couplings out")
            for size, components, given, seed in product(part.sizes, finite or [0], part.targets(), part.seeds):
                settings = ScoreSettings(seed=seed, **chosen(HOW, part))
                lattice = part.dimension, size
                field = (
                    ChainOptions(*lattice, **given, components=components)
                    if components
                    else FieldOptions(*lattice, **given, target=own)
                )
                job = ScoresJob(name, field, noise, settings)
                if not job.user_defined:
                    _ = job.request
                yield job
        except InputError as error:
            raise InputError(f"scores.{name}: {error}") from error


def check_scores(jobs: Iterable[ScoresJob]) -> None:
    """Refuse user-defined targets whose scores cannot be computed; each is built once, on its smallest lattice.

    Raises:
        InputError: for the first one without energy, force or samples, with its part of the study.
    """
    seen = set[tuple[str, str]]()
    for job in sorted(jobs, key=lambda job: job.size):
        kind = job.sweep, getattr(job.field, "target", "")
        if job.user_defined and kind not in seen:
            seen.add(kind)
            try:
                with users_errors():
                    with_samples(with_energy(job.target))
            except InputError as error:
                raise InputError(f"scores.{job.sweep}: {error}") from error


HELD_OUT = Stage(
    "scores",
    key="scores",
    command="scores",
    kind=SCORES,
    jobs=lambda study, before: scores_jobs(study.scores),
    cost="csd.study.cost.scores:expected_scores",
    ends=("noise level ",),
    steps=lambda job: job.step,
    plugins=lambda job: job.plugins,
    works=("held-out fields", lambda job: job.settings.fields),
    aggregate="csd.study.summaries.scores:aggregate_scores",
    rule="aggregate_scores",
    summary=SCORES_SUMMARY,
    laws="csd.study.summaries.scores:floor_table",
)
