"""A study's training files in one Dataset.

One `run` of the summary is an architecture on one lattice and target with one kind of training; its seeds may come from
several files. Curves are padded with NaN to the longest.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from csd.core.files import TRAINING, Variable
from csd.study.stages.training import TrainingJob
from csd.study.summaries.columns import IDENTITY, identity_of, typed_columns
from csd.study.summaries.files import files_of, gathered, grouped, over_fields


def aggregate_training(runs: Sequence[TrainingJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All training files of a study in one Dataset.

    Args:
        runs: the training jobs.
        folder: of the training files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, seed, noise_level, step, distance, bin.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups = grouped(files_of(runs, folder, TRAINING, mixed=mixed), lambda run: (run.sweep, run.key))
    files = [over_fields(group, group[0][0]) for group in groups]
    summary = gathered(
        [
            [_with_one_residual(first), *(file.drop_vars("mode_residual") for file in others)]
            for first, *others in files
        ],
        axes=("seed", "noise_level", "step", "distance"),
        numbered={"inverse_length": "bin"},
    )
    rows = [{**identity_of(*group[0]), "tolerance": group[0][1].attrs["tolerance"]} for group in groups]
    return summary.assign(typed_columns(rows, {**IDENTITY, "tolerance": ("relative score error above the floor", "1")}))


def _with_one_residual(file: xr.Dataset) -> xr.Dataset:
    """A file with its residuals averaged over seeds while all of them train; one file is enough for their figure."""
    residual = file["mode_residual"]
    mean = (residual**2).mean("seed", skipna=False)
    return file.assign(mode_residual=Variable(tuple(map(str, mean.dims)), np.sqrt(mean.values), residual.attrs))
