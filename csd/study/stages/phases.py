"""The stage of phases: what scores of finite range lose on a target, one file for each target and size."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb
from typing import Annotated

from pydantic import Field

from csd.core.errors import InputError
from csd.core.files import PHASES, PHASES_SUMMARY
from csd.core.options import declared
from csd.locality.kinds import request_of_phases
from csd.locality.options import PhaseSettings
from csd.study.config.schema import FieldPart, Positive, Several, chosen, with_options
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.base import OnLattice, Stage, check_target, file_name, levels_label, once
from csd.targets.base import with_spectrum
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import FieldOptions, NoiseOptions

HOW = declared(PhaseSettings)
NOISE = declared(NoiseOptions)
DECOMPOSED, SUMMED, NODES = 0.75, 1.5, 200
"""Numbers of a recursion for each mode and squared field of a basis, in its decomposition; for each mode, field and
noise level; and levels of the quadratures."""


@with_options(
    {
        "ranges": HOW["ranges"],
        "block": HOW["block"],
        "schedule": NOISE["schedule"],
        "target": declared(FieldOptions)["target"],
    }
)
class Phases(FieldPart):
    """What scores of finite range lose, over sizes and targets in one dimension."""

    noise_levels: Annotated[Several[Positive], Field([0.1, 0.5, 1.0, 2.0, 3.0], description="noise levels t")]


@dataclass(frozen=True)
class PhasesJob(OnLattice):
    """A target.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice.
        noise: the noise.
        settings: ranges, and the side of the cube.
    """

    sweep: str
    field: FieldOptions
    noise: NoiseOptions
    settings: PhaseSettings

    @property
    def components(self) -> int:
        """Components n; 0 where all is in closed form."""
        return 0

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
        return file_name(f"d{self.dimension}_L{self.size}_{self.target_label}_{noise}{how}")

    @property
    def noised(self) -> NoisedTarget:
        """The target at its noise levels."""
        return NoisedTarget(
            with_spectrum(check_target(self.field)), schedule_of(self.noise.schedule), self.noise_levels
        )

    @property
    def request(self) -> Mapping[str, object]:
        """All that determines its file besides the code; every part of it is checked.

        Raises:
            InputError: if the target, the noise, a range or the cube cannot be used.
        """
        return request_of_phases(self.noised, self.settings)

    def arguments(self) -> list[str]:
        """The flags of `csd phases` for this job, without --output."""
        return [*self.field.words(), *self.noise.words(), *self.settings.words()]


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
            for size, given in product(part.sizes, part.targets()):
                job = PhasesJob(
                    name, FieldOptions(part.dimension, size, **given, target=vars(part)["target"]), noise, settings
                )
                _ = job.request
                yield job
        except InputError as error:
            raise InputError(f"phases.{name}: {error}") from error


def expected_phases(jobs: Sequence[PhasesJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job: one decomposition of the covariance in a box for each range, and sums at all levels."""
    costs = []
    for job in jobs:
        dimension, size, block = job.dimension, job.size, job.settings.block
        numbers, largest = 0.0, 0.0
        for reach in job.settings.on(job.gaussian.lattice):
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


PHASES_OF_DATA = Stage(
    "phases",
    key="phases",
    command="phases",
    kind=PHASES,
    jobs=lambda study, before: phases_jobs(study.phases),
    cost="csd.study.stages.phases:expected_phases",
    ends=("  noise level ",),
    plugins=lambda job: job.plugins,
    works=("ranges", lambda job: len(job.settings.on(job.gaussian.lattice))),
    aggregate="csd.study.summaries.phases:aggregate_phases",
    rule="aggregate_phases",
    summary=PHASES_SUMMARY,
    laws="csd.study.summaries.phases:phases_table",
)
