"""The file of a measurement, and the machine in words."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import provenance

KIND = "benchmarks"


def machine() -> str:
    """Processor, cores, cache and memory in words; no names."""
    words = [_processor(), f"{os.cpu_count()} cores"]
    words += [f"{size} of level-{level} cache" for level, size in _caches()]
    words.append(f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory")
    return f"{', '.join(words)}; {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]} ({platform.machine()})" if named else platform.machine()


def _caches() -> list[tuple[str, str]]:
    """(level, size) of the first core's caches beyond the first level, where the system tells."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level = (folder / "level").read_text().strip()
        if level != "1":
            found.append((level, (folder / "size").read_text().strip().replace("K", " KiB")))
    return found


def stamp(dataset: xr.Dataset, words: Sequence[str], *, quick: bool) -> xr.Dataset:
    """The measurement with what made it: machine, code, command line.

    Args:
        dataset: what was measured.
        words: arguments of the command line.
        quick: whether it was only to see that the code runs.
    """
    made_by = provenance(["python", "-m", "benchmarks", *words], {"machine": machine(), "quick": quick})
    return dataset.assign_attrs(machine=machine(), quick=int(quick), **made_by)


def load(path: Path) -> xr.Dataset:
    """Read benchmarks.nc.

    Raises:
        InputError: if there is no such file, or it is none.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; make it with python -m benchmarks")
    try:
        with xr.open_dataset(path, engine="netcdf4") as opened:
            dataset = opened.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a readable NetCDF-4 file; make it again with python -m benchmarks") from error
    if dataset.attrs.get("csd_file") != KIND:
        raise InputError(f"{path}: not a file of benchmarks; make one with python -m benchmarks")
    return dataset
