"""The arrays of a file: `.npy`, `.npz`, HDF5 or NetCDF, which its first bytes tell, not its name.

They are unread and can be indexed by slices and ascending integers; only an array of an `.npz` file is read as a whole.
"""

import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from csd.core.errors import InputError
from csd.core.paths import check_digest, regular_file
from csd.lattice.lattice import Array
from csd.lattice.memory import require_memory

NPY, ZIP, HDF5, CLASSIC = b"\x93NUMPY", b"PK", b"\x89HDF\r\n\x1a\n", b"CDF"
"""First bytes of files."""
USER_BLOCKS = (0, 512, 1024, 2048)
"""Places where an HDF5 file may begin, after a block of the user's."""
NUMBER = re.compile(r"\d+(?:\.\d+)?")
"""A number in the name of an array."""
Fits = Callable[[tuple[int, ...]], bool]


def arrays_of(path: Path, fits: Fits) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a file, unread.

    Args:
        path: of the file.
        fits: whether a shape may be one of fields.

    Returns:
        (arrays by name, attributes of a file of csd, none for other files).

    Raises:
        InputError: if the file cannot be read, or is of another kind.
    """
    with regular_file(path) as file:
        starts = [_bytes_at(file, place) for place in USER_BLOCKS]
        check_digest(file, path)
    try:
        if starts[0].startswith(NPY):
            return {"": _Mapped(path)}, {}
        if starts[0].startswith(ZIP):
            return _stacked(_zipped(path), fits), {}
        if HDF5 in starts or starts[0].startswith(CLASSIC):
            return _netcdf(path, fits)
    except (OSError, RuntimeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        if "object" in str(error).lower():
            raise InputError(
                f"{path}: it holds Python objects (a pickle), which could run code and are not read; save an array"
                " of numbers"
            ) from error
        # NetCDF opens no file of HDF5 with such a link, also where the fields are elsewhere in the file.
        link = ", or hold a link that leads nowhere; if so, delete the link" * (HDF5 in starts)
        raise InputError(
            f"{path}: it cannot be read ({error}); it may be truncated, damaged, or of an unknown form{link}"
        ) from error
    raise InputError(
        f"{path}: it begins like no file of arrays; it must be .npy, .npz, HDF5, NetCDF, or a file"
        " of csd mcmc --fields (from text: numpy.save('fields.npy', numpy.loadtxt(FILE)))"
    )


def kind_of_csd(path: Path) -> str:
    """The kind of a file of csd, such as 'Monte Carlo'; '' for all other files, also for one that cannot be read."""
    import netCDF4

    with suppress(OSError, RuntimeError, AttributeError, InputError), regular_file(path) as file:
        if _bytes_at(file, 0) == HDF5:
            check_digest(file, path)
            with netCDF4.Dataset(path) as opened:
                return str(opened.__dict__.get("csd_file", ""))
    return ""


def _bytes_at(file: BinaryIO, place: int) -> bytes:
    """The bytes at a place of a file, as many as tell its kind."""
    file.seek(place)
    return file.read(len(HDF5))


class _Mapped:
    """The array of an .npy file, by a memory map."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.shape, self.dtype = _header(file)
        # An array without numbers cannot be mapped.
        self._empty = np.empty(self.shape, self.dtype) if 0 in self.shape else None
        self._open()

    def _open(self) -> Any:
        """The array, unread. Pages that were read count as memory of this process while it is open."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False) if self._empty is None else self._empty

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __getitem__(self, key: Any) -> Any:
        return np.array(self._open()[key])


def _header(file: Any) -> tuple[tuple[int, ...], Any]:
    """(shape, type) of the array of an .npy file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    return shape, kind


class _Zipped:
    """An array of an .npz file, which is read as a whole when it is first indexed."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with zipfile.ZipFile(path) as archive, zipfile.Path(archive, f"{name}.npy").open("rb") as file:
            self.shape, self.dtype = _header(file)
        self._whole: Any = None

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __getitem__(self, key: Any) -> Any:
        if self._whole is None:
            require_memory(float(np.prod(self.shape)) * self.dtype.itemsize / 8.0, f"reading {self.path}: {self.name}")
            with np.load(self.path, allow_pickle=False) as archive:
                self._whole = archive[self.name]
        return self._whole[key]


def _zipped(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise InputError(f"{path}: this archive holds no .npy arrays; save its fields with numpy.save or numpy.savez")
    return {name: _Zipped(path, name) for name in names}


class _Variable:
    """A variable of an HDF5 or NetCDF file; missing values are NaN, and packed ones are unpacked."""

    def __init__(self, variable: Any) -> None:
        import netCDF4

        self.variable, self.shape = variable, tuple(variable.shape)
        # HDF5 has truth values as an enumeration. Types that NetCDF does not know, such as 16-bit floats, appear as
        # text, and reading them ends the process.
        known = not isinstance(variable.datatype, netCDF4.VLType)
        self.dtype = np.dtype(variable.dtype) if known and variable.dtype is not str else np.dtype(object)
        about = {name: variable.getncattr(name) for name in variable.ncattrs()} if self.dtype.kind in "biuf" else {}
        self.scale, self.offset = about.get("scale_factor", 1.0), about.get("add_offset", 0.0)
        # Numbers that were never written have a value of NetCDF's own.
        usual = netCDF4.default_fillvals.get(self.dtype.str[1:]) if self.dtype.kind == "f" else None
        fills = [about.get(name, usual) for name in ("_FillValue", "missing_value")]
        self.missing = np.unique(np.concatenate([np.ravel(one) for one in fills if one is not None] or [np.empty(0)]))

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __getitem__(self, key: Any) -> Array:
        found = np.asarray(self.variable[key])
        values = found.astype(np.float64)
        if (self.scale, self.offset) != (1.0, 0.0):
            values = values * self.scale + self.offset
        if self.missing.size:
            values[np.isin(found, self.missing.astype(found.dtype))] = np.nan
        return values


def _netcdf(path: Path, fits: Fits) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of an HDF5 or NetCDF file by their path in it, and its attributes if it is one of csd's."""
    import netCDF4

    # The variables keep the file open.
    opened = netCDF4.Dataset(path)
    opened.set_auto_maskandscale(False)
    found: dict[str, Any] = {}

    def walk(group: Any, place: str) -> None:
        for name, variable in group.variables.items():
            if variable.shape:
                found[place + name] = _Variable(variable)
        for name, inner in group.groups.items():
            walk(inner, f"{place}{name}/")

    walk(opened, "")
    about = {str(name): opened.getncattr(name) for name in opened.ncattrs()}
    return _stacked(found, fits), about if "csd_file" in about else {}


class Series:
    """Arrays of one shape, a configuration each, as one array.

    Attributes:
        members: their names, in the order of their numbers.
        odd: names of further arrays of the series, whose shape or type differs.
    """

    def __init__(self, table: Mapping[str, Any], members: Sequence[str], odd: Sequence[str]) -> None:
        self.arrays, self.members, self.odd = [table[name] for name in members], tuple(members), tuple(odd)
        self.shape, self.dtype = (len(members), *self.arrays[0].shape), self.arrays[0].dtype

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, key: Any) -> Any:
        chosen = self.arrays[key] if isinstance(key, slice) else [self.arrays[place] for place in key]
        return np.array([one[...] for one in chosen]).reshape(-1, *self.shape[1:])


def _stacked(table: Mapping[str, Any], fits: Fits) -> dict[str, Any]:
    """The arrays of a file, and those with a running number in their names also as one: configs/# for configs/1, …

    They are put in the order of this number. Other numbers in their names, such as couplings, are the same for all.
    """
    stacks: dict[str, Any] = {}
    for pattern, names in _running(table).items():
        shapes = Counter(tuple(table[name].shape) for name in names if table[name].dtype.kind in "biuf")
        shape = shapes.most_common(1)[0][0] if shapes else ()
        members = [name for name in names if tuple(table[name].shape) == shape and table[name].dtype.kind in "biuf"]
        if len(members) > 1 and fits((len(members), *shape)):
            stacks[pattern] = Series(table, members, [name for name in names if name not in members])
    return {**table, **stacks}


def _running(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that differ in one integer, in its order, by their pattern: 'configs/#'.

    If they differ in several numbers, it is the last of these, unless each number is another in every name.
    """
    alike = defaultdict[tuple[str, ...], list[str]](list)
    for name in names:
        alike[tuple(NUMBER.split(name))].append(name)
    found = defaultdict[str, list[str]](list)
    for texts, own in alike.items():
        numbers = {name: NUMBER.findall(name) for name in own}
        places = [place for place in range(len(texts) - 1) if len({row[place] for row in numbers.values()}) > 1]
        together = all(len({row[place] for row in numbers.values()}) == len(own) for place in places)
        running = set(places if together else places[-1:])
        # A number such as 0.40 is a coupling, not the number of a configuration.
        if running and not any("." in row[place] for row in numbers.values() for place in running):
            for name in sorted(own, key=lambda name: [int(numbers[name][place]) for place in sorted(running)]):
                shown = ["#" if place in running else number for place, number in enumerate(numbers[name])]
                found["".join(part for pair in zip(texts, [*shown, ""], strict=True) for part in pair)].append(name)
    return found
