"""Files: NetCDF-4 through xarray, written whole or not at all, checked when read, and traceable to what made them.

A file is written under a temporary name in its own folder and then renamed, compressed and with checksums
(fletcher32). Its attributes hold the version and commit of the code, the command, the versions of the packages that
matter and a hash of what was asked for; no time stamps or host names, so that a rerun gives the same bytes.
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.errors import InputError

SCHEMA = 1
"""Version of the layout of our files; a reader takes only its own."""

TRAINING = "training"
THEORY = "theory"
SUMMARY = "training summary"
GENERATION = "generation"
GENERATION_SUMMARY = "generation summary"
INTEGRATORS = "integrators"

REQUIRED: dict[str, tuple[str, ...]] = {
    TRAINING: ("score_error", "training_time", "parameters", "learning_rate", "level_parameters", "floor"),
    THEORY: ("score_error", "training_time", "parameters", "learning_rate", "level_parameters", "floor"),
    GENERATION: ("kl_per_site", "generation_training_time", "power_spectrum"),
    GENERATION_SUMMARY: ("kl_per_site", "generation_training_time", "architecture"),
    INTEGRATORS: ("steps_needed",),
    SUMMARY: ("score_error", "training_time", "parameters", "architecture"),
}
PACKAGES = ("numpy", "scipy", "torch", "xarray", "netCDF4")


def commit() -> str:
    """Commit of the code that runs, with -dirty if it was changed since; 'unknown' outside its repository."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(command: Sequence[str], asked: Mapping[str, Any], source: str = "") -> dict[str, str]:
    """Attributes that say what made a file.

    Args:
        command: the command line.
        asked: what determines the content, JSON-serialisable; hashed.
        source: fingerprint of the code that made it.
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "csd_version": version("csd"),
        "csd_commit": commit(),
        "command": shlex.join(command),
        "configuration_hash": digest(asked),
        "source_hash": source,
        "package_versions": json.dumps(versions, sort_keys=True),
    }


def digest(asked: Mapping[str, Any]) -> str:
    """Hash of what was asked for, JSON-serialisable."""
    return blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16).hexdigest()


def require_writable(path: Path) -> None:
    """Find out, before hours of work, whether a file can be written; leaves nothing behind.

    Raises:
        InputError: if its folder cannot be made or written.
    """
    if path.is_dir():
        raise InputError(f"output {str(path)!r} cannot be written, it is a folder; choose the name of a file")
    _temporary(path).unlink()


def _temporary(path: Path) -> Path:
    """A new empty file beside `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(
            f"output {str(path)!r} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error
    os.close(handle)
    return Path(name)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that replaces `path` when the block ends well, and is removed otherwise.

    Raises:
        InputError: if the folder cannot be made or written.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"output {str(path)!r} cannot be written ({error.strerror or error})") from error
    except RuntimeError as error:
        # netCDF4's own, where a disk is full.
        if "NetCDF" not in str(error):
            raise
        full = shutil.disk_usage(path.parent).free < 2**20
        reason = "the disk is full" if full else str(error)
        raise InputError(f"output {str(path)!r} cannot be written ({reason})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode creation mask, which `mkstemp` ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write(dataset: xr.Dataset, path: Path, kind: str) -> None:
    """Write one of our files, whole or not at all.

    Args:
        dataset: what to write; its attributes are kept.
        path: where.
        kind: 'training', …; read back by `read`.

    Raises:
        InputError: if it cannot be written.
    """
    stamped = dataset.assign_attrs({"csd_file": kind, "csd_schema": SCHEMA, **dataset.attrs})
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in stamped.variables.items():
        encoding[str(name)] = {"_FillValue": None} if variable.dtype.kind in "iuUSO" else {}
        if variable.ndim and variable.dtype.kind in "fiu":
            encoding[str(name)] |= {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}
    with atomic_path(path) as temporary:
        stamped.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read(path: Path, *kinds: str) -> xr.Dataset:
    """Read one of our files into memory and check it.

    Args:
        path: the file.
        kinds: the kinds that will do; any of ours if none is given.

    Raises:
        InputError: if the file is missing, truncated, damaged, not one of ours, or of another kind or schema.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    mend = "remove it and run the step that makes it again"
    try:
        with xr.open_dataset(path, engine="netcdf4") as opened:
            attributes = dict(opened.attrs)
            kind = attributes.get("csd_file")
            if kind is None:
                raise InputError(f"{path}: this is a NetCDF file, but not one of csd's")
            if "command" in attributes:
                mend = f"make it again with: {attributes['command']}"
            dataset = opened.load()
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable NetCDF-4 file, it may be truncated or damaged; {mend}") from error
    if kind not in REQUIRED:
        raise InputError(f"{path}: this version of csd knows no {kind!r} files; {mend}")
    if attributes.get("csd_schema") != SCHEMA:
        written = attributes.get("csd_schema")
        raise InputError(f"{path}: written with layout {written}, this version of csd reads layout {SCHEMA}; {mend}")
    if kinds and kind not in kinds:
        raise InputError(f"{path}: this is a {kind} file; a {' or '.join(kinds)} file is needed")
    missing = [name for name in REQUIRED[str(kind)] if name not in dataset]
    if missing:
        raise InputError(f"{path}: the variable {missing[0]!r} is missing; {mend}")
    return dataset


def labelled(dims: Sequence[str], values: Any, long_name: str, units: str = "1") -> xr.Variable:
    """A variable with its long name and units."""
    return xr.Variable(tuple(dims), np.asarray(values), {"long_name": long_name, "units": units})
