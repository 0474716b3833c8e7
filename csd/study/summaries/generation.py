"""A study's generation files in one Dataset."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

import xarray as xr

from csd.core.files import GENERATION
from csd.study.stages.generation import GenerationJob
from csd.study.summaries.columns import IDENTITY, identity_of, typed_columns
from csd.study.summaries.files import files_of, gathered

NUMBERED = {"wavenumber": "bin", "noise_level": "level", "shown_step": "shown"}
"""Coordinates of a generation file that differ from run to run, and the dimension of the summary they lie along."""


def aggregate_generation(jobs: Sequence[GenerationJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All generation files of a study in one Dataset.

    Args:
        jobs: the generation jobs.
        folder: of the generation files.
        mixed: take files that different versions of the code, or other requests than the study's, made.

    Returns:
        Dimensions run, seed, step, criterion, and the places bin, level and shown, whose values differ from run to run.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups: dict[Hashable, list[tuple[GenerationJob, xr.Dataset]]] = defaultdict(list)
    for job, file in files_of(jobs, folder, GENERATION, mixed=mixed):
        groups[job.run.key, job.size].append((job, file))
    files = [[file for _, file in group] for group in groups.values()]
    summary = gathered(files, axes=("seed", "step", "criterion"), numbered=NUMBERED)
    rows = [
        {**identity_of(job.run, file), "size": job.size, "trained_size": job.run.size}
        for (job, file), *_ in groups.values()
    ]
    about = {**IDENTITY, "trained_size": ("lattice size in training", "lattice spacings")}
    return summary.assign(typed_columns(rows, about))
