"""The stage of scores: held-out fields of a target with their exact scores, one file for each target, size and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field

from csd.core.errors import InputError
from csd.core.files import SCORES, digest
from csd.core.options import declared
from csd.study.config.schema import Positive, Seed, TargetPart, chosen, with_options
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.base import OnLattice, Stage, file_name, once
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import FieldOptions, NoiseOptions
from csd.targets.scores import SOURCE, ScoreSettings, score_request

HOW = declared(ScoreSettings)
NOISE = declared(NoiseOptions)
LONGEST = 40
"""Characters of noise levels in the name of a file; a longer list is named by its length and hash."""


@with_options({"fields": HOW["fields"], "schedule": NOISE["schedule"]})
class Scores(TargetPart):
    """Held-out fields over sizes, masses and seeds in one dimension."""

    noise_levels: Annotated[list[Positive], Field([0.01, 0.1, 0.5, 1.0], min_length=1, description="noise levels t")]
    seeds: Annotated[list[Seed], Field([1], min_length=1, description="random seeds, a file each")]


@dataclass(frozen=True)
class ScoresJob(OnLattice):
    """A target and a seed.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice.
        noise: the noise.
        settings: which fields.
    """

    sweep: str
    field: FieldOptions
    noise: NoiseOptions
    settings: ScoreSettings

    @property
    def noised(self) -> NoisedTarget:
        """The target at its noise levels."""
        return NoisedTarget(self.gaussian, schedule_of(self.noise.schedule), self.noise.noise_levels or ())

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        noise_levels = self.noise.noise_levels or ()
        levels = "-".join(f"{level:.12g}" for level in noise_levels)
        if len(levels) > LONGEST:
            levels = f"{len(noise_levels)}.{digest({'levels': noise_levels})[:8]}"
        how = f"{self.noise.schedule.replace(':', '.')}-t{levels}_M{self.settings.fields}"
        return file_name(f"d{self.dimension}_L{self.size}_{self.target_label}_{how}_s{self.settings.seed}")

    @property
    def request(self) -> Mapping[str, Any]:
        """All that determines its file besides the code."""
        return score_request(self.noised, self.settings)

    def arguments(self) -> list[str]:
        """The flags of `csd scores` for this job, without --output."""
        return [*self.field.words(), *self.noise.words(), *self.settings.words()]


def _jobs(parts: Mapping[str, Scores]) -> Iterator[ScoresJob]:
    """Jobs in the order of the configuration."""
    for name, part in parts.items():
        try:
            noise = NoiseOptions(**chosen(NOISE, part))
            for size, given, seed in product(part.sizes, part.targets(), part.seeds):
                settings = ScoreSettings(seed=seed, **chosen(HOW, part))
                job = ScoresJob(name, FieldOptions(part.dimension, size, **given), noise, settings)
                # Checks the target and its noise levels.
                _ = job.noised
                yield job
        except InputError as error:
            raise InputError(f"scores.{name}: {error}") from error


def expected_scores(jobs: Sequence[ScoresJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job: every field is drawn, and transformed there and back at each level."""
    costs = []
    for job in jobs:
        fields, levels = job.settings.fields, len(job.noise.noise_levels or ())
        numbers = float(fields * job.size**job.dimension)
        seconds = calibration.job.seconds + calibration.field((1.0 + levels) * numbers, (1.0 + levels) * fields)
        memory = calibration.job.memory_mb + 8e-6 * (2.0 + 3.0 * levels) * numbers
        costs.append(ExpectedCost("scores", job.identifier, seconds, memory, 4e-6 * (1.0 + 2.0 * levels) * numbers))
    return costs


HELD_OUT = Stage(
    "scores",
    key="scores",
    command="scores",
    kind=SCORES,
    jobs=lambda study, before: once(_jobs(study.scores), "scores"),
    cost="csd.study.stages.scores:expected_scores",
    ends=("noise level ",),
    source=SOURCE,
    plugins=lambda job: [name for name in (job.noise.schedule,) if ":" in name],
    works=("held-out fields", lambda job: job.settings.fields),
)
