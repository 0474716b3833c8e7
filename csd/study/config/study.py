"""The whole study: its validated configuration, and its jobs.

A study is one YAML file. `csd.study.stages` has its parts, and expands them into jobs: one command and one file each.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from csd.core.paths import LONGEST, expanded
from csd.study.config.schema import Count, Part, Positive
from csd.study.stages.base import Job, Stage
from csd.study.stages.generation import GENERATION, HYBRIDS, Hybrid
from csd.study.stages.integrators import INTEGRATORS, IntegratorSteps
from csd.study.stages.monte_carlo import MONTE_CARLO, MonteCarlo
from csd.study.stages.phases import PHASES_OF_DATA, Phases
from csd.study.stages.scores import HELD_OUT, Scores
from csd.study.stages.sweeps import Sweep, Training
from csd.study.stages.training import TRAINING

STAGES: dict[str, Stage] = {
    stage.name: stage for stage in (TRAINING, GENERATION, MONTE_CARLO, INTEGRATORS, HELD_OUT, PHASES_OF_DATA, HYBRIDS)
}
"""Kinds of job by name, each after the one whose files it takes."""
Jobs = Mapping[str, Mapping[str, Job]]
"""All jobs of a study by stage and identifier."""
DEFAULT_CLAIMS = "config/claims.yaml"
"""The file of claims; the package has a copy of it, for use without a checkout."""


LONGEST_FOLDER = 3800
"""Bytes of the path of a folder in which the files of a study have paths that systems allow."""


def results_folder(name: str) -> str:
    """Refuse the name of a folder that cannot be made or written to, or that Snakemake would take for a pattern."""
    if set(name) & set("{}\0"):
        raise ValueError("the name of a folder without braces and NUL characters is needed")
    path = expanded(name)
    if name.startswith("~") and str(path).startswith("~"):
        raise ValueError(f"there is no user {path.parts[0][1:]!r}; name another folder")
    if max(map(len, map(os.fsencode, path.parts)), default=0) > LONGEST:
        raise ValueError(f"a folder whose name has at most {LONGEST} bytes is needed")
    if len(os.fsencode(path.absolute())) > LONGEST_FOLDER:
        raise ValueError(f"a folder whose path has at most {LONGEST_FOLDER} bytes is needed")
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ValueError(f"{str(there)!r} is there and no folder; name another folder")
    return name


class FigureStyle(Part):
    """Settings of all figures; changing one redraws and trains nothing."""

    noise_level: Annotated[Positive, Field(0.1, description="the noise level that figures show")]
    dots_per_inch: Annotated[Count, Field(200, le=2400, description="resolution of the PNG files")]
    font_size: Annotated[Positive, Field(8.0, description="points")]


class Study(Part):
    """A whole study."""

    study: Annotated[str, Field(min_length=1, description="its name")]
    output: Annotated[
        str,
        Field("results", min_length=1, description="folder that everything is written to"),
        AfterValidator(results_folder),
    ]
    claims: Annotated[
        str,
        Field(DEFAULT_CLAIMS, description="claims to test, a file in the working directory or in the checkout"),
    ]
    training: Annotated[Training, Field(default_factory=lambda: Training.model_validate({}))]
    sweeps: Annotated[dict[str, Sweep], Field(min_length=1, description="what is run, by name")]
    monte_carlo: Annotated[
        dict[str, MonteCarlo], Field(default_factory=dict, description="what is sampled by Monte Carlo, by name")
    ]
    scores: Annotated[
        dict[str, Scores], Field(default_factory=dict, description="held-out fields with exact scores, by name")
    ]
    phases: Annotated[
        dict[str, Phases], Field(default_factory=dict, description="what scores of finite range lose, by name")
    ]
    hybrids: Annotated[
        dict[str, Hybrid],
        Field(default_factory=dict, description="networks of several sweeps, each for a window of t, by name"),
    ]
    integrator_steps: Annotated[IntegratorSteps, Field(default_factory=lambda: IntegratorSteps.model_validate({}))]
    figures: Annotated[
        list[str] | None, Field(None, description="figures to draw; by default those that a sweep has something for")
    ]
    figure_style: Annotated[FigureStyle, Field(default_factory=lambda: FigureStyle.model_validate({}))]

    @property
    def results(self) -> Path:
        """The folder that everything is written to."""
        return expanded(self.output)


def jobs_of(study: Study) -> Jobs:
    """All jobs of a study by stage and identifier, each checked as far as it can be without running it.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    found: dict[str, dict[str, Job]] = {}
    for name, stage in STAGES.items():
        before = list(found[stage.after].values()) if stage.after else []
        found[name] = {job.identifier: job for job in stage.jobs(study, before)}
    return found
