"""Arrays of users: every kind of file, type and layout that `csd data` reads, and what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

import csd as package
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner

F = GaussianField(Lattice(2, 8), 0.5).sample(stream("borders"), 24)
"""Fields of a user."""
RAW = stream("borders", "white")
D1, D3 = RAW.standard_normal((24, 16)), RAW.standard_normal((12, 6, 6, 6))
THREE, FIVE, MANY = (RAW.standard_normal((count, n, 8, 8)) for count, n in ((24, 3), (24, 5), (200, 3)))
NAN = np.where(np.arange(24)[:, None, None] == 3, np.nan, F)
SPINS = np.sign(F)
Write = Callable[[str], Any]


def npy(array: Any) -> Write:
    """Writes one array; numpy.save would add an ending to the name."""

    def write(path: str) -> None:
        with Path(path).open("wb") as file:
            np.save(file, array)

    return write


def h5(**arrays: Any) -> Write:
    """Writes datasets of HDF5; __ in a name stands for /."""

    def write(path: str) -> None:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name.replace("__", "/")] = array

    return write


def one_each(name: str, numbers: Any = range(24)) -> Write:
    """Writes a dataset of HDF5 for each field; the name holds its number."""
    return h5(**{name.format(number): F[place] for place, number in enumerate(numbers)})


def stored(**how: Any) -> Write:
    """Writes a dataset of HDF5 in a way of its own."""

    def write(path: str) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("phi", data=F, **how)

    return write


def nc(dims: str = "txy", array: Any = F, **how: Any) -> Write:
    """Writes a variable of NetCDF."""
    return lambda path: xr.Dataset({"phi": (tuple(dims), array)}).to_netcdf(path, **how)


def linked(path: str) -> None:
    """Writes a dataset that a soft link of HDF5 names once more."""
    with h5py.File(path, "w") as file:
        file["phi"], file["s"] = F, h5py.SoftLink("/phi")


def packed(path: str) -> None:
    """Writes integers with a scale and an offset, whose values are those of the fields to 0.0005."""
    how = {"dtype": "i2", "scale_factor": 1e-3, "add_offset": 1.0, "_FillValue": -32768}
    nc(encoding={"phi": how})(path)


FIELDS, PAIRS = "24 fields in d = 2 with L = 8, of type {}", "24 configurations of {} components in d = {} with L = {}"
DOUBLE = FIELDS.format("float64")
# How it is written, flags, what is found, and the fields as they must be read.
READ: dict[str, tuple[str, Write, str, str, Array]] = {
    # Types of numbers.
    "float64": ("a.npy", npy(F), "", DOUBLE, F),
    "float32": ("a.npy", npy(F.astype("f4")), "", FIELDS.format("float32"), F),
    "float16": ("a.npy", npy(F.astype("f2")), "", FIELDS.format("float16"), F.astype("f2").astype("f8")),
    "long double": ("a.npy", npy(F.astype(np.longdouble)), "", "24 fields in d = 2 with L = 8", F),
    "big-endian": ("a.npy", npy(F.astype(">f8")), "", FIELDS.format(">f8"), F),
    "int8": ("a.npy", npy(SPINS.astype("i1")), "", FIELDS.format("int8"), SPINS),
    "big-endian integers": ("a.npy", npy(SPINS.astype(">i4")), "", FIELDS.format(">i4"), SPINS),
    "int64 beyond float32": ("a.npy", npy((F * 1e17).astype("i8")), "", FIELDS.format("int64"), F * 1e17),
    "uint64 beyond int64": ("a.npy", npy((abs(F) * 5e18).astype("u8")), "", FIELDS.format("uint64"), abs(F) * 5e18),
    "uint8": ("a.npy", npy((50 * abs(F)).astype("u1")), "", FIELDS.format("uint8"), np.floor(50 * abs(F))),
    "bool": ("a.npy", npy(F > 0), "", FIELDS.format("bool"), (F > 0) * 1.0),
    # Orders, scales and means.
    "order of Fortran": ("a.npy", npy(np.asfortranarray(F)), "", DOUBLE, F),
    "tiny": ("a.npy", npy(F * 1e-20), "", DOUBLE, F * 1e-20),
    "huge": ("a.npy", npy(F * 1e20), "", DOUBLE, F * 1e20),
    "mean 5": ("a.npy", npy(F + 5), "", DOUBLE, F + 5.0),
    "mean 10¹²": ("a.npy", npy(F + 1e12), "", DOUBLE, F),
    "negative": ("a.npy", npy(-F), "", DOUBLE, -F),
    # Layouts.
    "d = 1": ("a.npy", npy(D1), "", "24 fields in d = 1 with L = 16", D1),
    "d = 3": ("a.npy", npy(D3), "", "12 fields in d = 3 with L = 6", D3),
    "odd size": ("a.npy", npy(F[:, :7, :7]), "", "24 fields in d = 2 with L = 7", F[:, :7, :7]),
    "square": ("a.npy", npy(F[0]), "", "8 fields in d = 1 with L = 8", F[0]),
    "sites along an axis": ("a.npy", npy(F.reshape(24, 64)), "--dimension 2", DOUBLE, F),
    "one component": ("a.npy", npy(F[:, None]), "", DOUBLE, F),
    "one component at the end": ("a.npy", npy(F[..., None]), "", DOUBLE, F),
    "three components": ("a.npy", npy(THREE), "", PAIRS.format(3, 2, 8), THREE.reshape(72, 8, 8)),
    "three at the end": ("a.npy", npy(np.moveaxis(THREE, 1, -1)), "", PAIRS.format(3, 2, 8), THREE.reshape(72, 8, 8)),
    "two in d = 1": ("a.npy", npy(D1.reshape(12, 2, 16)), "", "12 configurations of 2 components in d = 1", D1),
    "five, with a flag": ("a.npy", npy(FIVE), "--components 5", PAIRS.format(5, 2, 8), FIVE.reshape(120, 8, 8)),
    # Names.
    "no ending": ("noext", npy(F), "", f"noext: {DOUBLE}", F),
    "another ending": ("a.dat", npy(F), "", f"a.dat: {DOUBLE}", F),
    "the wrong ending": ("a.h5", npy(F), "", f"a.h5: {DOUBLE}", F),
    "HDF5 named .npy": ("a.npy", h5(group__phi=F), "", f"a.npy: group/phi: {DOUBLE}", F),
    "spaces and accents": ("späce é.npy", npy(F), "", f"späce é.npy: {DOUBLE}", F),
    # Archives of NumPy.
    "archive": ("a.npz", lambda path: np.savez(path, phi=F), "", f"phi: {DOUBLE}", F),
    "packed archive": ("a.npz", lambda path: np.savez_compressed(path, phi=F), "", f"phi: {DOUBLE}", F),
    "archive without names": ("a.npz", lambda path: np.savez(path, F), "", f"arr_0: {DOUBLE}", F),
    "archive with times": ("a.npz", lambda path: np.savez(path, phi=F, t=np.arange(3)), "", f"phi: {DOUBLE}", F),
    "archive with objects": ("a.npz", lambda path: np.savez(path, phi=F, o=np.array([None])), "", f"phi: {DOUBLE}", F),
    "one array a field": ("a.npz", lambda path: np.savez(path, *F), "", f"arr_#: {DOUBLE}", F),
    # HDF5.
    "group": ("a.h5", h5(group__phi=F), "", f"group/phi: {DOUBLE}", F),
    "with a number": ("a.h5", h5(phi=F, beta=0.4), "", f"phi: {DOUBLE}", F),
    "compressed pieces": (
        "a.h5",
        stored(chunks=(7, 3, 5), compression="gzip", fletcher32=True),
        "",
        DOUBLE,
        F,
    ),
    "without an end": ("a.h5", stored(maxshape=(None, 8, 8), chunks=(1, 8, 8)), "", DOUBLE, F),
    "float32 of the other order": ("a.h5", h5(phi=F.astype(">f4")), "", FIELDS.format(">f4"), F),
    "truth": ("a.h5", h5(phi=F > 0), "", "24 fields in d = 2 with L = 8", (F > 0) * 1.0),
    "numbered from 1": ("a.h5", one_each("configs__{}", range(1, 25)), "", f"configs/#: {DOUBLE}", F),
    "numbered with gaps": ("a.h5", one_each("configs__{}", range(0, 48, 2)), "", f"configs/#: {DOUBLE}", F),
    "numbered with zeros": ("a.h5", one_each("configs__cfg_{:04d}"), "", f"configs/cfg_#: {DOUBLE}", F),
    "numbered at the root": ("a.h5", one_each("cfg{}"), "", f"cfg#: {DOUBLE}", F),
    "numbered groups": ("a.h5", one_each("traj_{}__beta_0.4__phi"), "", "phi: 24 fields in d = 2 with L = 8", F),
    "by its key": ("a.h5", h5(phi=F, x__y=2 * F), "--data-key x/y", f"x/y: {DOUBLE}", 2 * F),
    # NetCDF.
    "NetCDF": ("a.nc", nc(), "", f"phi: {DOUBLE}", F),
    "NetCDF 3": ("a.nc", nc(format="NETCDF3_CLASSIC", engine="scipy"), "", "phi: 24 fields in d = 2 with L = 8", F),
    "scaled integers": ("a.nc", packed, "", FIELDS.format("int16"), np.rint(1e3 * F) / 1e3),
    # What training will have to know, but can learn from.
    "few fields": ("a.npy", npy(F[:4]), "", "4 fields in d = 2 with L = 8", F[:4]),
    "the same within a field": ("a.npy", npy(F[:, :1, :1] + 0 * F), "", DOUBLE, F[:, :1, :1] + 0 * F),
    "equal fields": ("a.npy", npy(np.tile(F[:6], (4, 1, 1))), "", DOUBLE, np.tile(F[:6], (4, 1, 1))),
    "two phases": ("a.npy", npy(F + 9 * SPINS[:, :1, :1]), "", DOUBLE, F + 9 * SPINS[:, :1, :1]),
}


@pytest.mark.parametrize(("name", "write", "flags", "found", "fields"), READ.values(), ids=READ.keys())
def test_what_is_read(name: str, write: Write, flags: str, found: str, fields: Array, csd: Runner) -> None:
    """With the variance of all numbers, and S(0) = N × the mean square of the fields' means about that of all."""
    write(name)
    ran = csd(f"data '{name}' {flags}")
    assert ran.status == 0, ran.err
    assert found in ran.out.splitlines()[0]
    own = np.asarray(fields, dtype=float)
    means = own.reshape(len(own), -1).mean(axis=1)
    lines = [line for line in ran.out.splitlines() if line.startswith("  ")]
    printed = {line[2:26].strip(): line[26:].split()[0].rstrip(",") for line in lines}
    loose = 1e-3 if "e+12" in ran.out or "int16" in found else 1e-4
    assert float(printed["variance"]) == pytest.approx(own.var(), rel=loose)
    (zero,) = (float(value) for key, value in printed.items() if re.fullmatch(r"n = \(?0(, 0)*\)?", key))
    assert zero == pytest.approx(own[0].size * means.var(), rel=loose)


def text(content: bytes) -> Write:
    """Writes bytes."""
    return lambda path: Path(path).write_bytes(content)


def cut(write: Write, count: int) -> Write:
    """Writes the first bytes alone."""

    def cut_off(path: str) -> None:
        write(path)
        Path(path).write_bytes(Path(path).read_bytes()[:count])

    return cut_off


def broken_links(path: str) -> None:
    """Writes links of HDF5 to nowhere."""
    with h5py.File(path, "w") as file:
        file["l"], file["s"] = h5py.ExternalLink("gone.h5", "/phi"), h5py.SoftLink("/nowhere")


def unlike(path: str) -> None:
    """Writes a dataset for each field, of which one has another shape."""
    h5(**{f"c__{number}": field[: 7 if number == 5 else 8] for number, field in enumerate(F)})(path)


def ragged(path: str) -> None:
    """Writes a dataset of lists of different lengths."""
    with h5py.File(path, "w") as file:
        made = file.create_dataset("phi", (10,), dtype=h5py.vlen_dtype("f8"))
        for number in range(10):
            made[number] = np.arange(number + 3.0)


RECORDS = np.array([(x,) for x in F.ravel()], dtype=[("phi", "f8")]).reshape(F.shape)
FILL = {"dtype": "i2", "scale_factor": 1e-3, "_FillValue": -32768}
REFUSED: dict[str, tuple[str, Write, list[str]]] = {
    # Layouts.
    "of two sites, or two components": ("a.npy", npy(F[:, :2, :2]), ["(24, 2, 2)", "d = 1", "d = 2", "dimension"]),
    "of three sites": ("a.npy", npy(F[:, :3, :3]), ["(24, 3, 3)", "dimension"]),
    "of four sites": ("a.npy", npy(F[:, :4, :4]), ["(24, 4, 4)", "components"]),
    "four components on four sites": ("a.npy", npy(RAW.random((24, 4, 4, 4))), ["d = 3", "4 components"]),
    "one site": ("a.npy", npy(F[:, :1, :1]), ["(24, 1, 1)", "at least 2"]),
    "unequal sides": ("a.npy", npy(F[:, :6]), ["(24, 6, 8)", "equal"]),
    "samples last": ("a.npy", npy(np.moveaxis(F, 0, -1)), ["(8, 8, 24)", "components"]),
    "many components": ("a.npy", npy(FIVE), ["(24, 5, 8, 8)", "5 components", "components"]),
    "chains in an axis": ("a.npy", npy(RAW.random((1, 60, 16, 16))), ["60 components", "components"]),
    "d = 4": ("a.npy", npy(RAW.random((9, 5, 5, 5, 5, 5))), ["1, 2 or 3 dimensions"]),
    "a number": ("a.npy", npy(3.0), ["()", "(M, L"]),
    "a line": ("a.npy", npy(F[:, 0, 0]), ["(24,)", "(M, L"]),
    # Numbers.
    "no fields": ("a.npy", npy(F[:0]), ["number of fields is 0", "at least 4"]),
    "one field": ("a.npy", npy(F[:1]), ["number of fields is 1", "at least 4"]),
    "three fields": ("a.npy", npy(F[:3]), ["number of fields is 3", "at least 4"]),
    "not a number": ("a.npy", npy(NAN), ["1 of 24 fields", "index 3"]),
    "infinite": ("a.npy", npy(np.where(NAN == NAN, F, -np.inf)), ["1 of 24 fields", "index 3"]),
    "constant": ("a.npy", npy(0 * F + 2), ["all values are 2", "nothing to learn"]),
    "minus zero": ("a.npy", npy(-0.0 * abs(F)), ["all values are -0"]),
    "all fields the same": ("a.npy", npy(0 * F + F[0]), ["all 24 fields are the same"]),
    "too large to square": ("a.npy", npy(F * 1e200), ["e+200", "common scale"]),
    "too small to square": ("a.npy", npy(F * 1e-200), ["e-200", "common scale"]),
    "one large value": ("a.npy", npy(np.where(F.max() == F, 1e150, F)), ["1e+150", "common scale"]),
    "unlike means": ("a.npy", npy(MANY + 5 * np.arange(3)[:, None, None]), ["3 components differ", "(M, L"]),
    "unlike variances": ("a.npy", npy(MANY * np.array([1, 3, 9])[:, None, None]), ["3 components differ"]),
    # Types.
    "complex": ("a.npy", npy(F + 1j * F), ["complex", "two components"]),
    "complex without imaginary part": ("a.npy", npy(F + 0j), ["complex", "two components"]),
    "objects": ("a.npy", npy(F.astype(object)), ["Python objects"]),
    "records": ("a.npy", npy(RECORDS), ["records of phi"]),
    "words": ("a.npy", npy(F.astype("U8")), ["no numbers"]),
    "times": ("a.npy", npy(F.astype("m8[s]")), ["no numbers"]),
    # Files.
    "empty": ("a.npy", text(b""), ["a.npy", ".npy, .npz, HDF5, NetCDF"]),
    "text": ("a.txt", text(b"1 2 3\n"), ["a.txt", "numpy.loadtxt"]),
    "gzip": ("a.npy.gz", text(b"\x1f\x8b\x08\x00"), ["a.npy.gz", ".npy, .npz, HDF5, NetCDF"]),
    "cut": ("a.npy", cut(npy(F), 5000), ["a.npy", "truncated"]),
    "archive cut": ("a.npz", cut(lambda path: np.savez(path, phi=F), 5000), ["a.npz", "truncated"]),
    "HDF5 cut": ("a.h5", cut(h5(phi=F), 9000), ["a.h5", "truncated"]),
    "NetCDF cut": ("a.nc", cut(nc(), 9000), ["a.nc", "truncated"]),
    "empty archive": ("a.npz", lambda path: np.savez(path), ["a.npz"]),
    # Several arrays, or none.
    "two in an archive": ("a.npz", lambda path: np.savez(path, a=F, b=2 * F), ["key", "a (24, 8, 8), b"]),
    "two in HDF5": ("a.h5", h5(phi=F, x__y__z=2 * F), ["key", "phi (24, 8, 8)", "x/y/z"]),
    "momenta beside": ("a.h5", h5(phi=F, mom=F), ["key", "mom (24, 8, 8), phi"]),
    "a soft link": ("a.h5", linked, ["key", "phi (24, 8, 8)", "s (24, 8, 8)"]),
    "one of another shape": (
        "a.h5",
        unlike,
        ["key", "c/5", "(7, 8)"],
    ),
    "only a group": ("a.h5", h5(**{"g__x": 1.0}), ["a.h5", "no array"]),
    "links to nowhere": ("a.h5", broken_links, ["a.h5"]),
    "complex in HDF5": ("a.h5", h5(phi=F + 1j), ["phi", "complex", "two components"]),
    "records in HDF5": ("a.h5", h5(phi=RECORDS), ["phi holds records of phi"]),
    "lists in HDF5": ("a.h5", ragged, ["phi", "no numbers"]),
    "samples last in NetCDF": ("a.nc", nc("xyt", np.moveaxis(F, 0, -1)), ["(8, 8, 24)", "components"]),
    "missing values": ("a.nc", nc(array=NAN, encoding={"phi": FILL}), ["phi", "1 of 24 fields", "index 3"]),
    "missing floats": ("a.nc", nc(array=NAN, encoding={"phi": {"_FillValue": -999.0}}), ["1 of 24 fields", "index 3"]),
}


@pytest.mark.parametrize(("name", "write", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(name: str, write: Write, words: list[str], csd: Runner) -> None:
    write(name)
    ran = csd(f"data {name}")
    assert ran.status == 2, ran.out
    (said,) = ran.complaints(f"data {name}")
    assert [word for word in [name, *words] if word not in said] == [], said


FLAGS: dict[str, tuple[str, list[str]]] = {
    "another size": ("--size 6", ["size 6", "(24, 8, 8)"]),
    "another dimension": ("--dimension 3", ["dimension 3", "(24, 8, 8)"]),
    "dimension 4": ("--dimension 4", ["dimension is 4", "1, 2 or 3"]),
    "a key of no archive": ("--data-key phi", ["no array 'phi'", "(24, 8, 8)"]),
    "one coupling": ("--kappa 0.1", ["kappa and lambda", "both"]),
    "two actions": ("--beta 0.1 --r0 1 --u 1", ["one way"]),
    "coupling nan": ("--beta nan", ["beta is nan", "finite"]),
    "coupling below 0": ("--kappa -1 --lambda 1", ["kappa is -1.0"]),
}


@pytest.mark.parametrize(("flags", "words"), FLAGS.values(), ids=FLAGS.keys())
def test_flags_that_contradict_the_file(flags: str, words: list[str], csd: Runner) -> None:
    npy(F)("a.npy")
    ran = csd(f"data a.npy {flags}")
    assert ran.status == 2, ran.out
    (said,) = ran.complaints(f"data a.npy {flags}")
    assert [word for word in words if word not in said] == [], said


def memory_map(folder: Path) -> Any:
    """The fields, mapped from a file."""
    np.save(folder / "a.npy", F)
    return np.load(folder / "a.npy", mmap_mode="r")


OBJECTS: dict[str, Callable[[Path], Any]] = {
    "list": lambda folder: F.tolist(),
    "tensor": lambda folder: torch.as_tensor(F),
    "of xarray": lambda folder: xr.DataArray(F),
    "no number masked": lambda folder: np.ma.masked_array(F, F > 1e9),
    "order of Fortran": lambda folder: np.asfortranarray(F),
    "reversed": lambda folder: F[::-1].copy()[::-1],
    "big-endian": lambda folder: F.astype(">f8"),
    "mapped": memory_map,
    "of Python's memory": lambda folder: memoryview(F),
}


@pytest.mark.parametrize("made_of", OBJECTS.values(), ids=OBJECTS.keys())
def test_arrays_of_other_libraries_are_the_same_fields(made_of: Any, tmp_path: Path) -> None:
    how: dict[str, Any] = {"noise_levels": 0.5, "max_steps": 2, "loss": "population"}
    runs = [package.train("one_layer", data=data, **how) for data in (made_of(tmp_path), F)]
    assert len({run.attrs["data_digest"] for run in runs}) == 1
    np.testing.assert_array_equal(*(run["kernel"].values for run in runs))


NO_OBJECTS: dict[str, tuple[Any, list[str]]] = {
    "masked": (np.ma.masked_array(F, F > 1.0), ["fields"]),
    "complex": (F + 1j, ["complex", "two components"]),
    "a number": (3.0, []),
    "a line": (F[:, 0, 0], ["shape (24,)"]),
    "words": (F.astype(str), ["no numbers"]),
    "constant": (0 * F, ["nothing to learn"]),
}


@pytest.mark.parametrize(("data", "words"), NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
def test_objects_that_are_no_fields(data: Any, words: list[str]) -> None:
    with pytest.raises(package.InputError) as caught:
        package.train("one_layer", data=data, noise_levels=0.5, max_steps=2)
    assert [word for word in ["data", *words] if word not in str(caught.value)] == [], str(caught.value)
