"""Files of a study, gathered: those that were made as asked, and by one source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.core.errors import InputError
from csd.study.stages.training import TrainingJob


def training_file(run: TrainingJob, folder: Path) -> Path:
    """Where the workflow keeps a run's file."""
    return folder / f"{run.identifier}.nc"


def asked_of(run: TrainingJob) -> dict[str, Any]:
    """Attributes that a run's files must have."""
    return {"dimension": run.dimension, "size": run.size, "label": run.architecture.label, "loss": run.settings.loss}


def check_request(path: Path, dataset: xr.Dataset, asked: dict[str, Any]) -> None:
    """Refuse a file that is not what its job asks for."""
    for name, value in asked.items():
        found = sorted(dataset["noise_level"].values.tolist()) if name == "noise levels" else dataset.attrs.get(name)
        if found != value:
            raise InputError(
                f"{path}: {name} is {found}, the study asks for {value}; remove the file and run the study again"
            )


def check_source(files: Sequence[xr.Dataset]) -> None:
    """Refuse files that different versions of the code made; user-defined modules come after the first 16 digits."""
    versions = {str(file.attrs.get("source_hash"))[:16]: file.attrs.get("command") for file in files}
    if len(versions) > 1:
        first, second = list(versions.values())[:2]
        raise InputError(
            f"different versions of the code made the files of {first!r} and {second!r}; run the study again,"
            " or take them together with --mixed"
        )


def union_of(datasets: Sequence[xr.Dataset], name: str) -> Any:
    """All values of a coordinate, sorted."""
    return np.unique(np.concatenate([dataset[name].values for dataset in datasets]))


def places_of(dataset: xr.Dataset, dims: Sequence[str], axes: dict[str, Any]) -> tuple[Any, ...]:
    """Where a file's values go along the given dimensions of the summary."""
    return np.ix_(*(np.searchsorted(axes[dim], dataset[dim].values) for dim in dims))


def attributes_of(datasets: Sequence[xr.Dataset], name: str) -> dict[str, Any]:
    """Long name and units of a variable."""
    return next((dict(dataset[name].attrs) for dataset in datasets if name in dataset), {})
