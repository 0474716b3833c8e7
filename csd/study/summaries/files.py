"""Files of a study, gathered: those that were made as asked, by one source, as arrays over all of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import Variable, digest, read
from csd.study.stages.base import Job


class OnLattice(Job, Protocol):
    """A job on a lattice."""

    @property
    def dimension(self) -> int:
        """Of the lattice."""

    @property
    def size(self) -> int:
        """Of the lattice."""


J = TypeVar("J", bound=OnLattice)


def training_file(run: Job, folder: Path) -> Path:
    """Where the workflow keeps a job's file."""
    return folder / f"{run.identifier}.nc"


def files_of(jobs: Sequence[J], folder: Path, kind: str, *, mixed: bool) -> list[tuple[J, xr.Dataset]]:
    """Each job with its file.

    Args:
        jobs: of a stage.
        folder: of its files.
        kind: of the files.
        mixed: take files that different versions of the code, or other requests than the study's, made.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    found = []
    for job in jobs:
        path = folder / f"{job.identifier}.nc"
        file = read(path, kind)
        request: dict[str, Any] = {"dimension": job.dimension, "size": job.size}
        if not mixed:
            # Whatever an attribute says is named; the hash holds the rest.
            said = {name: value for name, value in job.request.items() if isinstance(value, str | float | int)}
            request |= {name: value for name, value in said.items() if name in file.attrs and name not in request}
            request["configuration_hash"] = digest(job.request)
        for name, value in request.items():
            if file.attrs.get(name) != value:
                raise InputError(
                    f"{path}: {name} is {file.attrs.get(name)}, the study asks for {value}; remove the file and run the"
                    " study again"
                )
        found.append((job, file))
    # User-defined modules come after the first 16 digits.
    sources = {str(file.attrs.get("source_hash"))[:16]: job.identifier for job, file in found}
    if not mixed and len(sources) > 1:
        first, second = list(sources.values())[:2]
        raise InputError(
            f"different versions of the code made the files of {first!r} and {second!r}; run the study again, or take"
            " them together with --mixed"
        )
    return found


def gathered(
    groups: Sequence[Sequence[xr.Dataset]],
    axes: Collection[str],
    numbered: Mapping[str, str],
    left_out: Collection[str] = (),
) -> xr.Dataset:
    """The variables of files as arrays, `run` before their own dimensions.

    Along `axes` values are where their coordinate is in the union over all files; along `numbered` dimensions, whose
    coordinates differ from run to run and become variables, they are counted from the first. What no file holds is NaN,
    or '' of text. Every variable is there whose dimensions all are among these.

    Args:
        groups: files of each run.
        axes: dimensions whose coordinates runs share.
        numbered: others, and the names that they have in the summary.
        left_out: variables that are not wanted.
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
        if name in axes or name in left_out or not set(found.dims) <= names.keys():
            continue
        dims = [names[str(dim)] for dim in found.dims]
        text = found.dtype.kind not in "biuf"
        held = [file.variables[name].dtype for file in files if name in file.variables]
        short = len(dims) > 3 or all(own == np.float32 for own in held)
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
    first = {name: next(file[name] for file in files if name in file.coords) for name in axes}
    return xr.Dataset(
        variables, {name: Variable((name,), union.values, dict(first[name].attrs)) for name, union in unions.items()}
    )


def _places(file: xr.Dataset, unions: Mapping[str, pd.Index], names: Collection[str]) -> dict[str, Any]:
    """Where a file's values go along its dimensions."""
    own = {str(dim): size for dim, size in file.sizes.items() if dim in names}
    return {
        dim: unions[dim].get_indexer(file[dim].values) if dim in unions else np.arange(size)
        for dim, size in own.items()
    }


def _union(values: Sequence[Any]) -> pd.Index:
    """All values of a coordinate: numbers sorted, names in their order."""
    together = np.concatenate(values)
    return pd.Index(np.unique(together) if together.dtype.kind in "iuf" else pd.unique(together))
