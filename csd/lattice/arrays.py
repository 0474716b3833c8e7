"""Arrays of fields in files: (M, L, …, L), or (M, n, L, …, L) with n components, of any real type of numbers.

A file is `.npy`, `.npz`, HDF5 or NetCDF, which its first bytes tell, not its name. Fields are read in pieces, so that an
array may be larger than the memory; only an array of an `.npz` file is read as a whole.
"""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError, nearest
from csd.lattice.lattice import ORDERS, Array, Lattice
from csd.lattice.memory import require_memory

PIECE = 2**26
"""Bytes of fields, as float64, that are read at a time."""
FEW = 4
"""Most components that an array may have without being told; a longer axis may be one of a lattice."""
NPY, ZIP, HDF5, CLASSIC = b"\x93NUMPY", b"PK", b"\x89HDF\r\n\x1a\n", b"CDF"
"""First bytes of files."""
USER_BLOCKS = (0, 512, 1024, 2048)
"""Places where an HDF5 file may begin, after a block of the user's."""
SHOWN = 8
"""Most arrays of a file that an error lists."""


class Sliceable(Protocol):
    """An array that is read when it is indexed by a slice or by integers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> Any:
        """Type of its numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class Layout:
    """How the axes of an array after the first are read.

    Attributes:
        dimension: d.
        size: L.
        components: n.
        place: of the components: 'none', 'first' or 'last'; 'flat' for sites along one axis.
    """

    dimension: int
    size: int
    components: int = 1
    place: str = "none"

    def __str__(self) -> str:
        several = f" with {self.components} components" * (self.components > 1)
        return f"fields in d = {self.dimension} with L = {self.size}{several}"


class StoredFields:
    """M n scalar fields, shape (M n, *lattice.shape), which are read as float64 when they are indexed.

    The n components of a configuration follow each other.

    Args:
        raw: the array, with the configurations along its first axis.
        layout: of its other axes.
        name: of the file or array, for errors.
        window: first and last + 1 configuration; all by default.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, raw: Sliceable, layout: Layout, name: str, window: tuple[int, int] | None = None) -> None:
        self.raw, self.layout, self.name = raw, layout, name
        self.window = window or (0, len(raw))
        self.lattice = Lattice(layout.dimension, layout.size)

    @property
    def configurations(self) -> int:
        """M."""
        return self.window[1] - self.window[0]

    @property
    def components(self) -> int:
        """n."""
        return self.layout.components

    @property
    def shape(self) -> tuple[int, ...]:
        """(M n, *lattice.shape)."""
        return (self.configurations * self.components, *self.lattice.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, start: int, stop: int) -> "StoredFields":
        """The configurations from `start` to `stop` − 1, unread."""
        first = self.window[0]
        return StoredFields(self.raw, self.layout, self.name, (first + start, first + stop))

    def __getitem__(self, key: Any) -> Array:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                first, last = start // self.components, -(-max(start, stop) // self.components)
                flat = self.read(slice(first, last)).reshape(-1, *self.lattice.shape)
                return flat[start - first * self.components : max(start, stop) - first * self.components]
            key = np.arange(start, stop, step)
        places = np.asarray(key) % max(len(self), 1)
        rows, back = np.unique(places // self.components, return_inverse=True)
        return self.read(rows)[back.reshape(places.shape), places % self.components]

    def read(self, rows: "slice | NDArray[np.intp]") -> Array:
        """Configurations, shape (rows, n, *lattice.shape); `rows` are a slice of step 1 or ascending integers."""
        first = self.window[0]
        own = slice(first + rows.start, first + rows.stop) if isinstance(rows, slice) else first + rows
        found = np.asarray(self.raw[own], dtype=np.float64)
        if self.layout.place == "last":
            found = np.moveaxis(found, -1, 1)
        return found.reshape(len(found), self.components, *self.lattice.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype)


def pieces(fields: Sliceable) -> Iterator[tuple[int, Array]]:
    """The fields in pieces of at most `PIECE` bytes, each with the index of its first field."""
    each = max(1, PIECE // (8 * int(np.prod(fields.shape[1:]))))
    for start in range(0, len(fields), each):
        yield start, np.asarray(fields[start : start + each], dtype=np.float64)


def open_fields(
    source: Any, key: str = "", *, dimension: int | None = None, size: int | None = None, components: int | None = None
) -> StoredFields:
    """The fields of a file, or of an array, unread.

    Args:
        source: a path, or anything that NumPy takes for an array.
        key: name of the array in a file that has several: 'phi', 'group/phi', or 'configs/#' for configs/1, configs/2, …
        dimension: d, where the shape leaves it open or is to be checked.
        size: L, likewise.
        components: n, likewise.

    Raises:
        InputError: if there is no such file or array, or its shape or type is not one of fields.
    """
    given = {"dimension": dimension, "size": size, "components": components}
    if not isinstance(source, str | Path):
        if key:
            raise InputError(f"data_key is {key!r}, but data is an array and no file; leave it out")
        raw = np.ma.filled(source.astype(float), np.nan) if isinstance(source, np.ma.MaskedArray) else source
        # An array that is read when it is indexed, such as a data set of h5py, stays unread.
        return _fields(raw if isinstance(getattr(raw, "dtype", None), np.dtype) else np.asarray(raw), "data", given)
    path = Path(source).expanduser()
    table, about = _arrays(path)
    if about:
        key = key or "fields" * ("fields" in table)
        given |= {name: int(about[name]) for name in ("dimension", "size") if given[name] is None and name in about}
    name = _chosen(path, table, key, given)
    return _fields(table[name], f"{path}: {name}" if name else str(path), given)


def _chosen(path: Path, table: Mapping[str, Any], key: str, given: Mapping[str, int | None]) -> str:
    """The name of the array to read: the one that is asked for, or the only one with a shape of fields."""
    if key:
        inside = [name for name in table if name.rpartition("/")[0] == key.strip("/") and "#" in name]
        for name in (key.strip("/"), *(inside if len(inside) == 1 else ())):
            if name in table:
                return name
        raise InputError(f"{path}: it has no array {key!r}{nearest(key, table)} ({_listed(table)})")
    stacked = {one for found in table.values() for one in getattr(found, "members", ())}
    fitting = [
        name for name, found in table.items() if name not in stacked and _layouts(found.shape, **_none_wrong(given))
    ]
    if len(fitting) == 1 or len(table) == 1:
        return (fitting or list(table))[0]
    which = "several arrays" if fitting else "no array"
    raise InputError(f"{path}: it has {which} of fields; name one with --data-key ({_listed(table)})")


def _none_wrong(given: Mapping[str, int | None]) -> dict[str, int | None]:
    """What is given of the layout, except for the number of components, which a single array may contradict."""
    return {**given, "components": None}


def _listed(table: Mapping[str, Any]) -> str:
    """The arrays of a file with their shapes, in words."""
    shown = [f"{name} {tuple(found.shape)}" for name, found in table.items()]
    more = f", and {len(shown) - SHOWN} more" * (len(shown) > SHOWN)
    return f"it has {', '.join(shown[:SHOWN])}{more}" if shown else "it has no array of numbers"


# ---- shapes and types -----------------------------------------------------------------------------------------------


def _fields(raw: Sliceable, name: str, given: Mapping[str, int | None]) -> StoredFields:
    """The array as fields, after a check of its type and shape."""
    _check_type(raw.dtype, name)
    return StoredFields(raw, _layout(tuple(raw.shape), name, given), name)


def _check_type(kind: Any, name: str) -> None:
    """Refuse an array that does not hold real numbers."""
    names = getattr(kind, "names", None)
    if getattr(kind, "kind", "O") == "c" or names == ("r", "i"):
        raise InputError(
            f"{name} holds complex numbers; save real and imaginary part as two components, an array (M, 2, L, …, L)"
        )
    if names:
        raise InputError(f"{name} holds records of {', '.join(names)}; save the field alone, as an array of numbers")
    if getattr(kind, "kind", "O") not in "biuf":
        raise InputError(
            f"{name} holds no numbers that can be read here (text, Python objects, or 16-bit floats in HDF5); save it"
            " as an array of float32 or float64"
        )


def _layouts(shape: tuple[int, ...], dimension: int | None, size: int | None, components: int | None) -> list[Layout]:
    """All readings of a shape as fields that agree with what is given."""
    found, rest = [], shape[1:]
    for d in ORDERS if dimension is None else (dimension,):
        for place, axes, n in (("none", rest, 1), ("first", rest[1:], rest[:1]), ("last", rest[:-1], rest[-1:])):
            if len(axes) == d and len(set(axes)) == 1 and axes[0] >= 2 and n != ():
                found.append(Layout(d, axes[0], n if isinstance(n, int) else n[0], place))
    if not found and dimension is not None and len(rest) == 1:
        line = round(rest[0] ** (1.0 / dimension))
        found += [Layout(dimension, line, 1, "flat")] * (line**dimension == rest[0] and line >= 2)
    asked = [one for one in found if size in (None, one.size) and components in (None, one.components)]
    first = [replace(one, place="last") for one in asked if one.place == "first"]
    return [one for one in asked if one not in first]


def _layout(shape: tuple[int, ...], name: str, given: Mapping[str, int | None]) -> Layout:
    """The one reading of a shape as fields."""
    said = ", ".join(f"{one} {value}" for one, value in given.items() if value is not None)
    where = f"{name} has the shape {shape}"
    found = _layouts(shape, **given)
    if not found:
        raise InputError(
            f"{where}{f', and {said} is asked for' if said else ''}; it must be (M, L, …, L) or (M, n, L, …, L) for M"
            " fields of n components on a lattice with equal sides of at least 2, in 1, 2 or 3 dimensions"
        )
    likely = [one for one in found if one.components <= FEW]
    if len(likely) == 1 and len(found) > 1:
        return likely[0]
    if len(found) > 1 or (not likely and given["dimension"] is None and given["components"] is None):
        ways = "; or ".join(map(str, found))
        sides = " (the sides of a lattice must be equal)" * (not likely)
        raise InputError(f"{where}, which may mean {ways}; say which with --dimension, --size or --components{sides}")
    return found[0]


# ---- files ----------------------------------------------------------------------------------------------------------


def _arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the arrays of a file by name, the attributes of a file of csd, none for other files)."""
    try:
        with path.open("rb") as file:
            starts = [file.seek(place) or file.read(len(HDF5)) for place in USER_BLOCKS]
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path}: it cannot be read ({reason})") from error
    try:
        if starts[0].startswith(NPY):
            return {"": _mapped(path)}, {}
        if starts[0].startswith(ZIP):
            return _stacked(_zipped(path)), {}
        if HDF5 in starts or starts[0].startswith(CLASSIC):
            return _netcdf(path)
    except (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        if "object" in str(error).lower():
            raise InputError(
                f"{path}: it holds Python objects (a pickle), which could run code and are not read; save an array"
                " of numbers"
            ) from error
        raise InputError(f"{path}: it cannot be read, it may be truncated or damaged ({error})") from error
    raise InputError(
        f"--data is {str(path)!r}, which begins like no file of arrays; it must be .npy, .npz, HDF5, NetCDF, or a file"
        " of csd mcmc --fields (from text: numpy.save('fields.npy', numpy.loadtxt(FILE)))"
    )


def _mapped(path: Path) -> Any:
    """The array of an .npy file, in the memory map that NumPy makes of it."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        # An array without numbers cannot be mapped.
        found = np.load(path, allow_pickle=False) if path.stat().st_size < 2**16 else None
        if found is None or found.size:
            raise
        return found


class _Zipped:
    """An array of an .npz file, which is read as a whole when it is first indexed."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, _, self.dtype = header(file)
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
        self.missing = np.unique(np.concatenate([np.ravel(one) for one in fills if one is not None] or [[]]))

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


def _netcdf(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
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
    return _stacked(found), about if "csd_file" in about else {}


class _Stack:
    """Arrays of one shape, a configuration each, as one array."""

    def __init__(self, arrays: Sequence[Any], members: Sequence[str]) -> None:
        self.arrays, self.members = arrays, tuple(members)
        self.shape, self.dtype = (len(arrays), *arrays[0].shape), arrays[0].dtype

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, key: Any) -> Any:
        chosen = self.arrays[key] if isinstance(key, slice) else [self.arrays[place] for place in key]
        return np.array([one[...] for one in chosen]).reshape(-1, *self.shape[1:])


def _stacked(table: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a file, and those whose names differ in numbers alone also as one array: configs/# for configs/1, …

    They are put in the order of their numbers.
    """
    alike = defaultdict[tuple[str, tuple[int, ...]], list[str]](list)
    for name, found in table.items():
        with suppress(AttributeError):
            if found.dtype.kind in "biuf" and re.search(r"\d", name):
                alike[re.sub(r"\d+", "#", name), tuple(found.shape)].append(name)
    stacks = {}
    for (pattern, shape), names in alike.items():
        ordered = sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        if len(ordered) > 1 and _layouts((len(ordered), *shape), None, None, None):
            stacks[pattern] = _Stack([table[name] for name in ordered], ordered)
    return {**table, **stacks}
