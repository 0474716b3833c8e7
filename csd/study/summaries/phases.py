"""A study's files of phases in one Dataset; one `run` is a target on one lattice."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from csd.core.files import PHASES
from csd.study.stages.phases import PhasesJob
from csd.study.summaries.columns import SAMPLED, About, columns_of, typed_columns
from csd.study.summaries.files import files_of, gathered

IDENTITY_OF_PHASES: About = {
    "sweep": ("name of the part of the study", "1"),
    "target": ("kind of target", "1"),
    "target_label": ("how the target was given", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "schedule": ("noise schedule", "1"),
    "block": ("side of the cube of the conditional mutual information", "lattice spacings"),
    **SAMPLED,
}
"""Columns of a summary of phases."""


def aggregate_phases(jobs: Sequence[PhasesJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All files of phases of a study in one Dataset.

    Args:
        jobs: those of phases.
        folder: of their files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, noise_level and range; NaN where a run has none of these.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups, rows = [], []
    for job, file in files_of(jobs, folder, PHASES, mixed=mixed):
        groups.append([file])
        about = {name: getattr(job, name) for name in ("sweep", "target_label", "dimension", "size")}
        about |= {"target": file.attrs["target"], "schedule": job.noise.schedule, "block": job.settings.block}
        rows.append(about | columns_of(job))
    return gathered(groups, ("noise_level", "range"), {}).assign(typed_columns(rows, IDENTITY_OF_PHASES))
