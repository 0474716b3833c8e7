"""A study's training files in one Dataset.

One `run` of the summary is an architecture on one lattice at one mass with one kind of data; its seeds may come from
several files. Curves are padded with NaN to the longest.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from csd.core.files import TRAINING, Variable
from csd.study.stages.training import TrainingJob
from csd.study.summaries.columns import IDENTITY, identity_of, typed_columns
from csd.study.summaries.files import files_of, gathered


def aggregate_training(runs: Sequence[TrainingJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All training files of a study in one Dataset.

    Args:
        runs: the training jobs.
        folder: of the training files.
        mixed: take files that different versions of the code, or other requests than the study's, made.

    Returns:
        Dimensions run, seed, noise_level, step, distance, bin.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups: dict[Hashable, list[tuple[TrainingJob, xr.Dataset]]] = defaultdict(list)
    for run, file in files_of(runs, folder, TRAINING, mixed=mixed):
        group = groups[run.sweep, run.key]
        group.append((run, file.drop_vars("mode_residual") if group else _with_one_residual(file)))
    summary = gathered(
        [[file for _, file in group] for group in groups.values()],
        axes=("seed", "noise_level", "step", "distance"),
        numbered={"inverse_length": "bin"},
    )
    rows = [{**identity_of(*group[0]), "tolerance": group[0][1].attrs["tolerance"]} for group in groups.values()]
    return summary.assign(typed_columns(rows, {**IDENTITY, "tolerance": ("relative score error above the floor", "1")}))


def _with_one_residual(file: xr.Dataset) -> xr.Dataset:
    """Residuals are for one picture; one file's seeds are enough for their mean, as long as all of them train."""
    residual = file["mode_residual"]
    mean = (residual**2).mean("seed", skipna=False)
    return file.assign(mode_residual=Variable(tuple(map(str, mean.dims)), np.sqrt(mean.values), residual.attrs))
