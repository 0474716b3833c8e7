"""A study's training files in one Dataset, and the scaling laws of all its training times.

One `run` of the summary is an architecture on one lattice at one mass with one kind of data; its seeds may come from
several files. Curves are padded with NaN to the longest.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from csd.core.files import TRAINING, Variable, digest, labelled, read
from csd.study.stages.training import TrainingJob
from csd.study.summaries.columns import TRAINED, columns_of, typed_columns
from csd.study.summaries.files import (
    asked_of,
    attributes_of,
    check_request,
    check_source,
    places_of,
    training_file,
    union_of,
)

PADDED = {
    "score_error": ("seed", "noise_level", "step"),
    "predicted_score_error": ("seed", "noise_level", "step"),
    "training_time": ("seed", "noise_level"),
    "crossing_time": ("seed", "noise_level"),
    "predicted_crossing_time": ("seed", "noise_level"),
    "predicted_training_time": ("seed", "noise_level"),
    "kernel_profile": ("seed", "noise_level", "distance"),
    "exact_kernel_profile": ("noise_level", "distance"),
    "learning_rate": ("noise_level",),
    "level_parameters": ("noise_level",),
    "floor": ("noise_level",),
    "range": ("noise_level",),
    "score_length": ("noise_level",),
    "signal": ("noise_level",),
    "noise_variance": ("noise_level",),
}
"""Variables of a training file that go into the summary as they are, and their dimensions."""


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
    groups: dict[Hashable, list[tuple[TrainingJob, xr.Dataset]]] = {}
    for run in runs:
        path = training_file(run, folder)
        dataset = read(path, TRAINING)
        asked = {"tolerance": run.settings.tolerance, "noise levels": sorted(run.noise_levels)}
        check_request(path, dataset, asked_of(run) | asked)
        if not mixed:
            check_request(path, dataset, {"configuration_hash": digest(run.request)})
        groups.setdefault((run.sweep, run.key), []).append((run, dataset))

    members = list(groups.values())
    everything = [dataset for group in members for _, dataset in group]
    if not mixed:
        check_source(everything)
    axes = {name: union_of(everything, name) for name in ("seed", "noise_level", "step", "distance")}
    bins = max(dataset.sizes["inverse_length"] for dataset in everything)
    arrays = {name: np.full((len(members), *(len(axes[dim]) for dim in dims)), np.nan) for name, dims in PADDED.items()}
    shape = (len(members), len(axes["noise_level"]), len(axes["step"]), bins)
    residual = np.full(shape, np.nan, dtype=np.float32)
    inverse_length = np.full((len(members), bins), np.nan)
    for row, group in enumerate(members):
        for _, dataset in group:
            for name, dims in PADDED.items():
                if name in dataset:
                    arrays[name][(row, *places_of(dataset, dims, axes))] = dataset[name].values
        # Residuals are for one picture; one file's seeds are enough for their mean, as long as all of them train.
        first: xr.Dataset = group[0][1]
        filled = first.sizes["inverse_length"]
        mean = np.sqrt((first["mode_residual"] ** 2).mean("seed", skipna=False).values)
        residual[(row, *places_of(first, ("noise_level", "step"), axes), slice(filled))] = mean
        inverse_length[row, :filled] = first["inverse_length"].values

    variables = {
        name: Variable(("run", *PADDED[name]), array, attributes_of(everything, name)) for name, array in arrays.items()
    }
    variables["mode_residual"] = Variable(
        ("run", "noise_level", "step", "bin"), residual, everything[0]["mode_residual"].attrs
    )
    variables["inverse_length"] = Variable(("run", "bin"), inverse_length, everything[0]["inverse_length"].attrs)
    variables |= identity_of(members)
    coordinates = {name: Variable((name,), axes[name], everything[0][name].attrs) for name in axes}
    return xr.Dataset(variables, coordinates)


def identity_of(
    members: Sequence[Sequence[tuple[TrainingJob, xr.Dataset]]], absent: Sequence[str] = ()
) -> dict[str, Variable]:
    """What each run of the summary is; `absent` names what its files do not say."""
    runs = [group[0][0] for group in members]
    files = [group[0][1] for group in members]
    text = {
        "sweep": ("sweep of the study", [run.sweep for run in runs]),
        "architecture": ("architecture and options", [run.label for run in runs]),
        "mass_label": ("how the mass was given", [run.mass_label for run in runs]),
        "data": ("loss and data", [run.data_label for run in runs]),
    }
    numbers = {
        "dimension": ("lattice dimension", "1", [run.dimension for run in runs]),
        "size": ("lattice size", "lattice spacings", [run.size for run in runs]),
        "mass": ("mass", "inverse lattice spacings", [file.attrs["mass"] for file in files]),
        "parameters": ("trainable parameters", "1", [int(file.get("parameters", 0)) for file in files]),
        "data_set": ("fields of the data set, 0 for fresh ones", "1", [run.data_set or 0 for run in runs]),
        "tolerance": (
            "relative score error above the floor",
            "1",
            [file.attrs.get("tolerance", 0.0) for file in files],
        ),
    }
    for name in absent:
        del numbers[name]
    typed = typed_columns([columns_of(run) for run in runs], TRAINED)
    return (
        {
            name: labelled(["run"], np.array(values, dtype=object), long_name)
            for name, (long_name, values) in text.items()
        }
        | {name: labelled(["run"], values, long_name, units) for name, (long_name, units, values) in numbers.items()}
        | typed
    )
