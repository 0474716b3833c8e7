"""The stage of generation: what is sampled from training files, one file and one `csd generate` command a job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from csd.core.files import GENERATION as GENERATION_FILE
from csd.core.files import GENERATION_SUMMARY, digest
from csd.diffusion.quality import GenerationSettings
from csd.study.config.schema import chosen
from csd.study.stages.base import Stage
from csd.study.stages.sweeps import GENERATED
from csd.study.stages.training import TRAINING, TrainingJob


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
    def sweep(self) -> str:
        """Its sweep's name."""
        return self.run.sweep

    @property
    def dimension(self) -> int:
        """Of the lattice."""
        return self.run.dimension

    @property
    def settings(self) -> GenerationSettings:
        """How it is generated: as `csd generate` has it from the job's flags."""
        asked = self.run.generation
        assert asked is not None
        larger = None if self.size == self.run.size else self.size
        return GenerationSettings(**chosen(GENERATED, asked), size=larger)

    @property
    def request(self) -> dict[str, Any]:
        """What the configuration hash of its file is of."""
        return {"training": digest(self.run.request), **asdict(self.settings)}

    def arguments(self) -> list[str]:
        """The flags of `csd generate` that make it, without its files."""
        return self.settings.words()


def generation_jobs(runs: Sequence[TrainingJob]) -> list[GenerationJob]:
    """All that is generated from what training jobs train."""
    return [
        GenerationJob(run, factor * run.size)
        for run in runs
        if run.generation is not None
        for factor in (1, *(run.generation.transfer or ()))
    ]


GENERATION = Stage(
    "generation",
    key="sweeps",
    command="generate",
    kind=GENERATION_FILE,
    jobs=lambda study, before: generation_jobs(before),
    cost="csd.study.cost.estimate:expected_generation",
    ends=("  two-sample test",),
    aggregate="csd.study.summaries.generation:aggregate_generation",
    rule="aggregate_generation",
    summary=GENERATION_SUMMARY,
    laws="csd.study.summaries.laws:generation_table",
    after=TRAINING.name,
    wildcard="sampling",
    parent=lambda job: job.run,
    plugins=lambda job: [name for name in [job.settings.integrator] if ":" in name],
    alike=lambda job: job.run.alike,
)
