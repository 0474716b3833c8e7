"""The stage of generation: each job samples from a training file, by one `csd generate` command, into one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from csd.core.files import GENERATION as GENERATION_FILE
from csd.core.files import GENERATION_SUMMARY, digest
from csd.diffusion.quality import GenerationSettings
from csd.study.config.schema import chosen
from csd.study.stages.base import Stage, file_name
from csd.study.stages.sweeps import GENERATED
from csd.study.stages.training import TRAINING, TrainingJob


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
    """The jobs that generate from training jobs."""
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
