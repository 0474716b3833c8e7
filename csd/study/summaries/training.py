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

IN_BINS = ("mode_residual", "shell_error")
"""Variables of each seed, step and bin of modes; residuals are averaged as squares."""


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
            [_over_seeds(first), *(file.drop_vars(IN_BINS, errors="ignore") for file in others)]
            for first, *others in files
        ],
        axes=("seed", "noise_level", "step", "distance"),
        numbered={"inverse_length": "bin"},
    )
    rows = [{**identity_of(*group[0]), "tolerance": group[0][1].attrs["tolerance"]} for group in groups]
    return summary.assign(typed_columns(rows, {**IDENTITY, "tolerance": ("relative score error above the floor", "1")}))


def _over_seeds(file: xr.Dataset) -> xr.Dataset:
    """A file with its numbers in bins averaged over seeds while all of them train; one file is enough for figures."""
    found = {}
    for name in [name for name in IN_BINS if name in file]:
        own, power = file[name], 2 if name == "mode_residual" else 1
        mean = (own**power).mean("seed", skipna=False)
        values = np.sqrt(mean.values) if power == 2 else mean.values
        found[name] = Variable(tuple(map(str, mean.dims)), values, own.attrs)
    return file.assign(found)
