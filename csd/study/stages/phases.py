"""The stage of phases: what scores of finite range lose on a target, one file for each target and size.

Gaussian targets and those of two phases are in closed form; those at finite n, of φ⁴ with `components` and of spins,
are by conditional Monte Carlo.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import comb
from typing import Annotated, Any

from pydantic import Field

from csd.core.errors import InputError, unknown
from csd.core.files import PHASES, PHASES_SUMMARY
from csd.core.options import declared
from csd.lattice import Lattice
from csd.locality.content import BY_CHAINS, EXACTLY
from csd.locality.interacting import interacting_request
from csd.locality.kinds import request_of_phases
from csd.locality.options import PhaseSettings
from csd.mcmc.simulation import target_of_chains
from csd.study.config.schema import Count, FieldPart, Positive, Seed, Several, chosen, with_options
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.base import OnLattice, Stage, check_target, file_name, levels_label, once
from csd.targets.base import BY_MASS, OWN
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import ChainOptions, FieldOptions, NoiseOptions
from csd.targets.scores import ScoreSettings

HOW = declared(PhaseSettings)
NOISE = declared(NoiseOptions)
DRAWN = declared(ScoreSettings)
DECOMPOSED, SUMMED, NODES = 0.75, 1.5, 200
"""Numbers of a recursion for each mode and squared field of a basis, in its decomposition; for each mode, field and
noise level; and levels of the quadratures."""
OF_BOX = 3.0
"""Time of the chains of a box over those of all sites, which score the same fields."""


@with_options(
    {
        "ranges": HOW["ranges"],
        "block": HOW["block"],
        "schedule": NOISE["schedule"],
        "target": declared(FieldOptions)["target"],
        "fields": DRAWN["fields"],
        "accuracy": DRAWN["accuracy"],
    }
)
class Phases(FieldPart):
    """What scores of finite range lose, over sizes and targets in one dimension."""

    components: Annotated[
        Several[Count] | None,
        Field(None, description="components n of φ⁴ or spins; without them couplings mean n → ∞, and spins have one"),
    ]
    beta: Annotated[Several[Positive] | None, Field(None, description="couplings of unit spins with n components")]
    noise_levels: Annotated[Several[Positive], Field([0.1, 0.5, 1.0, 2.0, 3.0], description="noise levels t")]
    seed: Annotated[Seed, Field(1, description="random seed of fields and chains at finite n")]


@dataclass(frozen=True)
class PhasesJob(OnLattice):
    """A target.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice; the options of chains are those of φ⁴ and spins at finite n.
        noise: the noise.
        settings: ranges, and the side of the cube.
        drawn: fields and accuracy of chains.
    """

    sweep: str
    field: FieldOptions | ChainOptions
    noise: NoiseOptions
    settings: PhaseSettings
    drawn: ScoreSettings = ScoreSettings()  # noqa: RUF009

    @property
    def components(self) -> int:
        """Components n; 0 where all is in closed form."""
        return self.field.components if isinstance(self.field, ChainOptions) else 0

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        return [name for name in (self.noise.schedule,) if ":" in name]

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Noise levels t."""
        return self.noise.noise_levels or ()

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the jobs of one run of a summary share."""
        return self.sweep, self.field, self.settings

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        how = "".join(f"_{label}" for label in self.settings.labels().values())
        noise = f"{self.noise.schedule.replace(':', '.')}-t{levels_label(self.noise_levels)}"
        chains = f"_n{self.components}_M{self.drawn.fields}_s{self.drawn.seed}" if self.components else ""
        return file_name(f"d{self.dimension}_L{self.size}_{self.target_label}_{noise}{how}{chains}")

    @property
    def lattice(self) -> Lattice:
        """Its lattice."""
        return Lattice(self.dimension, self.size)

    @property
    def noised(self) -> NoisedTarget:
        """The target at its noise levels."""
        if isinstance(self.field, ChainOptions):
            given = {name: value for name, value in vars(self.field).items() if name not in ("dimension", "size")}
            target: Any = target_of_chains(self.lattice, **given)
        else:
            target = check_target(self.field)
        return NoisedTarget(target, schedule_of(self.noise.schedule), self.noise_levels)

    @property
    def request(self) -> Mapping[str, object]:
        """All that determines its file besides the code; every part of it is checked.

        Raises:
            InputError: if the target, the noise, a range or the cube cannot be used.
        """
        noised = self.noised
        if self.components:
            return interacting_request(noised, self.settings, self.drawn)
        return request_of_phases(noised, self.settings)

    @property
    def step(self) -> str:
        """The step in `csd.core.source` whose code its file depends on."""
        return BY_CHAINS if self.components else EXACTLY

    def arguments(self) -> list[str]:
        """The flags of `csd phases` for this job, without --output."""
        drawn = self.drawn.words() if self.components else []
        return [*self.field.words(), *self.noise.words(), *self.settings.words(), *drawn]


def phases_jobs(parts: Mapping[str, Phases]) -> list[PhasesJob]:
    """The jobs, each checked; `sweep` of each is the name of its part.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(parts), "phases")


def _expanded(parts: Mapping[str, Phases]) -> Iterator[PhasesJob]:
    """Jobs in the order of the configuration."""
    for name, part in parts.items():
        try:
            noise, settings = NoiseOptions(**chosen(NOISE, part)), PhaseSettings(**chosen(HOW, part))
            drawn = ScoreSettings(**chosen(DRAWN, part))
            own: str = vars(part)["target"]
            finite = part.components or ([1] if part.beta else [])
            if own not in BY_MASS:
                raise unknown("target", own, BY_MASS)
            if own in OWN and finite:
                raise InputError(f"target is {own!r}, which has one component; leave components and beta out")
            if not finite and (given := next((key for key in DRAWN if key in part.model_fields_set), None)):
                raise InputError(f"{given} is given, but without components or beta phases are exact; leave it out")
            for size, components, given_target in product(part.sizes, finite or [0], part.targets()):
                lattice = part.dimension, size
                field: FieldOptions | ChainOptions = (
                    ChainOptions(*lattice, **given_target, components=components)
                    if components
                    else FieldOptions(*lattice, **given_target, target=own)
                )
                job = PhasesJob(name, field, noise, settings, drawn)
                _ = job.request
                yield job
        except InputError as error:
            raise InputError(f"phases.{name}: {error}") from error


def expected_phases(jobs: Sequence[PhasesJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job: one decomposition of the covariance in a box for each range, and sums at all levels."""
    costs = []
    for job in jobs:
        if job.components:
            costs.append(_by_chains(job, calibration))
            continue
        dimension, size, block = job.dimension, job.size, job.settings.block
        numbers, largest = 0.0, 0.0
        for reach in job.settings.on(job.lattice):
            boxes = [(1, comb(size // 2 + dimension, dimension), comb(reach + dimension, dimension))]
            if block > 1:
                boxes.append((dimension + 1, (size // 2 + 1) ** dimension, ((block + 1) // 2 + reach) ** dimension))
            for ways, modes, fields in boxes:
                levels = len(job.noise_levels) * block**dimension + NODES
                numbers += ways * modes * fields * (DECOMPOSED * fields + SUMMED * levels)
                largest = max(largest, ways * modes * fields)
        seconds = calibration.job.seconds + calibration.recursion(numbers)
        memory = calibration.job.memory_mb + 4e-5 * largest
        costs.append(ExpectedCost("phases", job.identifier, seconds, memory, 0.1))
    return costs


def _by_chains(job: PhasesJob, calibration: Calibration) -> ExpectedCost:
    """That of scores of the same fields, which chains of all sites make, and as much again for each range."""
    from csd.study.cost.scores import expected_scores
    from csd.study.stages.scores import ScoresJob

    (scores,) = expected_scores([ScoresJob(job.sweep, job.field, job.noise, job.drawn)], calibration)
    ranges = len(job.settings.on(job.lattice))
    return replace(
        scores, stage="phases", identifier=job.identifier, seconds=scores.seconds * (1.0 + OF_BOX * ranges), disk_mb=0.1
    )


PHASES_OF_DATA = Stage(
    "phases",
    key="phases",
    command="phases",
    kind=PHASES,
    jobs=lambda study, before: phases_jobs(study.phases),
    cost="csd.study.stages.phases:expected_phases",
    ends=("  noise level ",),
    steps=lambda job: job.step,
    plugins=lambda job: job.plugins,
    works=("ranges", lambda job: len(job.settings.on(job.lattice))),
    aggregate="csd.study.summaries.phases.aggregate:aggregate_phases",
    rule="aggregate_phases",
    summary=PHASES_SUMMARY,
    laws="csd.study.summaries.phases.laws:phase_table",
)
