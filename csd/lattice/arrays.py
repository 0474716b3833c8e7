"""Arrays of fields: (M, L, …, L), or (M, n, L, …, L) with n components, of any real type of numbers.

They are read when they are indexed, so an array may be larger than the memory.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError, nearest, one_line
from csd.core.paths import expanded
from csd.lattice.array_files import NUMBER, Series, arrays_of
from csd.lattice.lattice import ORDERS, Array, Lattice

PIECE = 2**22
"""Numbers of an array that are read at a time."""
FEW = 4
"""Most components that an array may have without being told; a longer axis may be one of a lattice."""
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
    """

    dtype = np.dtype(np.float64)

    def __init__(self, raw: Sliceable, layout: Layout, name: str) -> None:
        self.raw, self.layout, self.name = raw, layout, name
        self.lattice = Lattice(layout.dimension, layout.size)
        self.configurations, self.components = len(raw), layout.components
        self.shape = (self.configurations * self.components, *self.lattice.shape)

    def __len__(self) -> int:
        return self.shape[0]

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
        try:
            found = np.asarray(self.raw[rows], dtype=np.float64)
        except (OSError, RuntimeError, BadZipFile, ZlibError) as error:
            raise InputError(
                f"{self.name}: its numbers cannot be read ({error}); it is damaged, or compressed in a way that is not"
                " known here: save it with gzip or uncompressed"
            ) from error
        if self.layout.place == "last":
            found = np.moveaxis(found, -1, 1)
        return found.reshape(len(found), self.components, *self.lattice.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype)


class LazyFields:
    """Some consecutive fields of an array that is read when it is indexed.

    Args:
        fields: the array.
        start: index of the first field.
        stop: index after the last one.
    """

    def __init__(self, fields: Any, start: int, stop: int) -> None:
        self.fields, self.start, self.dtype = fields, start, fields.dtype
        self.shape = (stop - start, *fields.shape[1:])

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Any:
        """The fields of a slice with a positive step, or of an array of indices from 0 on."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.fields[self.start + start : self.start + stop : step]
        return self.fields[np.asarray(index) + self.start]


def fields_between(fields: Any, start: int, stop: int) -> Any:
    """Fields `start` to `stop` of an array, without reading them."""
    return fields[start:stop] if isinstance(fields, np.ndarray) else LazyFields(fields, start, stop)


def configurations(fields: Any, chosen: NDArray[np.integer[Any]], components: int | None) -> Array:
    """The chosen scalar fields, shape (chosen, *lattice.shape), or configurations, (chosen, n, *lattice.shape).

    Args:
        fields: shape (M, *lattice.shape), the components of a configuration one after the other.
        chosen: places of scalar fields or, with components, of configurations.
        components: n of a configuration; None for scalar fields.
    """
    if components is None:
        return np.asarray(fields[chosen], dtype=float)
    places = (chosen[:, None] * components + np.arange(components)).ravel()
    return np.asarray(fields[places], dtype=float).reshape(len(chosen), components, *fields.shape[1:])


def pieces_of(fields: Any, together: int = 1) -> Iterator[Array]:
    """The fields in consecutive pieces of at most `PIECE` numbers, as float64.

    Args:
        fields: shape (M, *lattice.shape).
        together: fields that are not separated, such as the components of a configuration.
    """
    step = together * max(1, PIECE // (together * int(np.prod(fields.shape[1:]))))
    for start in range(0, len(fields), step):
        yield np.asarray(fields[start : start + step], dtype=float)


def open_fields(
    source: Any, key: str = "", *, dimension: int | None = None, size: int | None = None, components: int | None = None
) -> StoredFields:
    """The fields of a file, or of an array, unread.

    Args:
        source: a path, or anything that NumPy takes for an array.
        key: name of the array in a file that has several: 'phi', 'group/phi', or 'configs/#' for configs/1, …
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
        return _fields(_array(source), "data", given)
    path = expanded(source)
    table, about = arrays_of(path, fits=lambda shape: any(one.components <= FEW for one in _layouts(shape)))
    if about:
        key = key or "fields" * ("fields" in table)
        given |= {name: int(about[name]) for name in ("dimension", "size") if given[name] is None and name in about}
    name = _chosen(path, table, key, given)
    where = f"{path}: {name}" if name else str(path)
    odd = table[name].odd if isinstance(table[name], Series) else ()
    if odd:
        shape, usual = tuple(table[odd[0]].shape), tuple(table[name].shape[1:])
        wrong = "holds no real numbers" if shape == usual else f"has the shape {shape}"
        raise InputError(
            f"{where}: {odd[0]} {wrong}, but the others of this series are real fields of shape {usual}; delete or"
            " rename it, or read each array by its own key"
        )
    fields = _fields(table[name], where, given)
    if fields.components > 1 and components is None and isinstance(table[name], Series):
        raise InputError(
            f"{where}: each of these arrays has the shape {tuple(table[name].shape[1:])}, which may mean"
            f" {fields.components} fields, or one of {fields.components} components; in the second case give components"
            f" {fields.components}, in the first put all fields into one array"
        )
    return fields


def _array(source: Any) -> Any:
    """The array that is given in Python, unread if it is read when it is indexed, such as a data set of h5py."""
    kind = type(source).__name__
    if isinstance(source, np.ma.MaskedArray):
        # As float64, complex numbers would lose their imaginary part.
        _check_type(source.dtype, "data")
        return np.ma.filled(source.astype(float), np.nan)
    if isinstance(getattr(source, "dtype", None), np.dtype):
        return source
    if isinstance(source, Mapping):
        names = ", ".join(repr(name) for name in list(source)[:SHOWN])
        raise InputError(f"data is of the type {kind} and holds {names or 'nothing'}; give one array of it")
    if not hasattr(source, "__len__"):
        raise InputError(f"data is of the type {kind} and has no length; give an array or a list of fields")
    try:
        return np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(source, list | tuple):
            raise InputError(f"data is a {kind} of fields that differ in shape; give fields of one shape") from error
        raise InputError(
            f"data is of the type {kind}, which NumPy cannot read ({one_line(error)}); give an array of NumPy (from"
            " PyTorch: data.detach().float().numpy())"
        ) from error


def _chosen(path: Path, table: Mapping[str, Any], key: str, given: Mapping[str, int | None]) -> str:
    """The name of the array to read: the one that is asked for, or the only one with a shape of fields."""
    if key:
        asked = key.strip("/")
        inside = [
            name
            for name in table
            if "#" in name and asked in (name.rpartition("/")[0], re.sub(r"\d+", "#", name), re.sub(NUMBER, "#", name))
        ]
        for name in (asked, *(inside if len(inside) == 1 else ())):
            if name in table:
                return name
        raise InputError(f"{path}: it has no array {key!r}{nearest(key, table)}; {_listed(table)}")
    stacked = _members(table)
    fitting = [
        name
        for name, found in table.items()
        if name not in stacked and _layouts(found.shape, **_without_components(given))
    ]
    if len(fitting) == 1 or len(table) == 1:
        return (fitting or list(table))[0]
    which = "several arrays" if fitting else "no array"
    raise InputError(
        f"{path}: it has {which} of fields; name one by its key (--data-key in a command, data_key in Python, key in a"
        f" study), {_listed(table)}"
    )


def _without_components(given: Mapping[str, int | None]) -> dict[str, int | None]:
    """What is given of the layout, except for the number of components, which a single array may contradict."""
    return {**given, "components": None}


def _members(table: Mapping[str, Any]) -> set[str]:
    """Names of the arrays of a series, which is also there as one array."""
    return {one for found in table.values() if isinstance(found, Series) for one in (*found.members, *found.odd)}


def _listed(table: Mapping[str, Any]) -> str:
    """The arrays of a file with their shapes, in words."""
    stacked = _members(table)
    shown = [f"{name or 'one'} {tuple(found.shape)}" for name, found in table.items() if name not in stacked]
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
    letter = getattr(kind, "kind", "O")
    if letter not in "biuf":
        held = {"U": "text", "S": "text", "M": "dates", "m": "times"}.get(letter, "Python objects")
        # Types that NetCDF does not know appear as objects.
        several = "text, Python objects, or 16-bit floats in HDF5" if letter == "O" and name != "data" else held
        raise InputError(
            f"{name} holds no numbers that can be read here ({several}); save it as an array of float32 or float64"
        )


def _layouts(
    shape: tuple[int, ...], dimension: int | None = None, size: int | None = None, components: int | None = None
) -> list[Layout]:
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
    # (M, 4, 4, 4, 4) may be a lattice in four dimensions, which is none of ours.
    four = len(shape) == 5 and len(set(shape[1:])) == 1
    likely = [one for one in found if one.components <= FEW and not four]
    if len(likely) == 1 and len(found) > 1:
        return likely[0]
    if len(found) > 1 or (not likely and given["dimension"] is None and given["components"] is None):
        ways = "; or ".join(map(str, found))
        sides = " (a lattice has equal sides and at most 3 dimensions)" * (not likely)
        raise InputError(f"{where}, which may mean {ways}; say which by dimension, size or components{sides}")
    return found[0]
