"""The files of a study, gathered as arrays: those that were made as asked, by one version of the code."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import Variable, digest, read
from csd.study.stages.base import Job
from csd.study.stages.generation import GenerationJob, HybridJob
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.phases import PhasesJob
from csd.study.stages.scores import ScoresJob
from csd.study.stages.training import TrainingJob

J = TypeVar("J", TrainingJob, GenerationJob, HybridJob, MonteCarloJob, ScoresJob, PhasesJob)


def training_file(run: Job, folder: Path) -> Path:
    """The path of a job's file in the folder of its stage."""
    return folder / f"{run.identifier}.nc"


def files_of(
    jobs: Sequence[J], folder: Path, kind: str, *, mixed: bool, without: str = ""
) -> list[tuple[J, xr.Dataset]]:
    """Each job with its file.

    Args:
        jobs: of a stage.
        folder: of its files.
        kind: of the files.
        mixed: accept files of different versions of the code, or of other requests than the study's.
        without: a dimension whose variables are left out, if one is given.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    found = []
    for job in jobs:
        path = training_file(job, folder)
        file = read(path, kind)
        request: dict[str, Any] = {"dimension": job.dimension, "size": job.size}
        if not mixed and file.attrs.get("configuration_hash") != digest(job.request):
            # The attributes of a file that say what was asked are named in an error; the hash holds the rest.
            said = {name: value for name, value in job.request.items() if isinstance(value, str | float | int)}
            request |= {name: value for name, value in said.items() if name in file.attrs and name not in request}
            request["configuration_hash"] = digest(job.request)
        for name, value in request.items():
            if file.attrs.get(name) != value:
                raise InputError(
                    f"{path}: {name} is {file.attrs.get(name)}, the study asks for {value}; remove the file and run the"
                    " study again"
                )
        found.append((job, file.drop_dims(without) if without else file))
    made_by: dict[str, dict[str, str]] = defaultdict(dict)
    for job, file in found:
        source, plugins = str(file.attrs.get("source_hash")), " ".join(getattr(job, "plugins", ()))
        # Jobs of one step share the hash of its code; that of user-defined code comes after the first 16 digits.
        step = getattr(job, "step", "")
        made_by[step][source[:16]] = job.identifier
        if plugins:
            made_by[f"{step} {plugins}"][source] = job.identifier
    sources = next((own for own in made_by.values() if len(own) > 1), None)
    if not mixed and sources is not None:
        first, second = list(sources.values())[:2]
        raise InputError(
            f"different versions of the code made the files of {first!r} and {second!r}; run the study again, or take"
            " them together with --mixed"
        )
    return found


def grouped(files: Sequence[tuple[J, xr.Dataset]], key: Callable[[J], Hashable]) -> list[list[tuple[J, xr.Dataset]]]:
    """Jobs and files in groups of equal `key`, each a run of the summary with seeds from several files."""
    groups: dict[Hashable, list[tuple[J, xr.Dataset]]] = defaultdict(list)
    for job, file in files:
        groups[key(job)].append((job, file))
    return list(groups.values())


def over_fields(group: Sequence[tuple[J, xr.Dataset]], run: TrainingJob) -> list[xr.Dataset]:
    """The files of a run; where each seed has fields of its own, with means over these of what has no seed.

    Such are the measured spectrum, the learning rate that follows from it, and the values that samples are compared
    with. A mean of n values has the error √(Σ error²) / n, in the variable `NAME_error` beside `NAME`. What is the same
    for all seeds stays as it is.

    Args:
        group: jobs and files of a run.
        run: the training job of one of them.
    """
    files = [file for _, file in group]
    if not run.paired:
        return files
    means = {}
    for name, first in files[0].data_vars.items():
        values = [file[name].values for file in files if name in file]
        if len(values) < len(files) or "seed" in first.dims or first.dtype.kind != "f":
            continue
        differ = any(not np.array_equal(one, values[0], equal_nan=True) for one in values)
        if differ and len({one.shape for one in values}) == 1:
            error = str(name).endswith("_error")
            mean = np.sqrt(np.sum(np.square(values), 0)) / len(values) if error else np.mean(values, 0)
            means[name] = Variable(tuple(map(str, first.dims)), mean, dict(first.attrs))
    return [file.assign(means) for file in files]


def gathered(groups: Sequence[Sequence[xr.Dataset]], axes: Collection[str], numbered: Mapping[str, str]) -> xr.Dataset:
    """The variables of files as arrays, with the dimension `run` before their own.

    Along `axes` values lie at their coordinate in the union over all files. Along `numbered` dimensions they are
    counted from the first; their coordinates differ from run to run and become variables. Missing values are NaN, or ''
    of text. Variables with any other dimension are left out.

    Args:
        groups: files of each run.
        axes: dimensions whose coordinates runs share.
        numbered: further dimensions, and their names in the summary.
    """
    files = [file for group in groups for file in group]
    unions = {name: _union([file[name].values for file in files if name in file.coords]) for name in axes}
    names = {name: name for name in axes} | dict(numbered)
    sizes = {name: len(union) for name, union in unions.items()}
    sizes |= {dim: max(file.sizes.get(name, 0) for file in files) for name, dim in numbered.items()}
    known = {name: found for file in reversed(files) for name, found in file.variables.items()}
    places = [[_places(file, unions, names) for file in group] for group in groups]
    variables = {}
    for name, found in known.items():
        if name in axes or not set(found.dims) <= names.keys():
            continue
        dims = [names[str(dim)] for dim in found.dims]
        text = found.dtype.kind not in "biuf"
        short = len(dims) > 3 or all(
            file.variables[name].dtype == np.float32 for file in files if name in file.variables
        )
        kind: Any = object if text else np.float32 if short else float
        array = np.full((len(groups), *(sizes[dim] for dim in dims)), "" if text else np.nan, dtype=kind)
        for row, group in enumerate(groups):
            for file, own in zip(group, places[row], strict=True):
                if name in file.variables:
                    where: Any = np.ix_(*(own[str(dim)] for dim in found.dims))
                    array[(row, *where)] = file.variables[name].transpose(*found.dims).values
        if not dims and found.dtype.kind in "iu" and np.isfinite(array).all():
            array = array.astype(np.int64)
        variables[str(name)] = Variable(("run", *dims), array, dict(found.attrs))
    about = {name: dict(file[name].attrs) for file in reversed(files) for name in axes if name in file.coords}
    return xr.Dataset(
        variables,
        {name: Variable((name,), union.values, about.get(name, {})) for name, union in unions.items()},
    )


def _places(file: xr.Dataset, unions: Mapping[str, pd.Index], names: Collection[str]) -> dict[str, Any]:
    """The places of a file's values along its dimensions."""
    return {
        str(dim): unions[str(dim)].get_indexer(file[dim].values) if dim in unions else np.arange(size)
        for dim, size in file.sizes.items()
        if dim in names
    }


def _union(values: Sequence[Any]) -> pd.Index:
    """All values of a coordinate: numbers sorted, names in their order; none if no file has it."""
    if not values:
        return pd.Index([], dtype=float)
    together = np.concatenate(values)
    return pd.Index(np.unique(together) if together.dtype.kind in "iuf" else pd.unique(together))
