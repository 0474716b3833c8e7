"""Arrays of fields in files: kinds of files, types of numbers, layouts of axes."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import Content, labelled, write
from csd.core.random import stream
from csd.lattice.array_files import kind_of_csd
from csd.lattice.arrays import open_fields

PHI = stream("arrays").standard_normal((6, 8, 8))


@pytest.mark.parametrize(
    ("shape", "given", "expected"),
    [
        ((9, 16), {}, (1, 16, 1)),
        ((9, 16, 16), {}, (2, 16, 1)),
        ((9, 16, 16, 16), {}, (3, 16, 1)),
        ((16, 16), {}, (1, 16, 1)),
        ((9, 1, 16, 16), {}, (2, 16, 1)),
        ((9, 2, 16, 16), {}, (2, 16, 2)),
        ((9, 3, 8, 8, 8), {}, (3, 8, 3)),
        ((9, 16, 16, 2), {}, (2, 16, 2)),
        ((9, 2, 16), {}, (1, 16, 2)),
        ((9, 16, 2), {}, (1, 16, 2)),
        # An axis of at most four sites may be one of components.
        ((9, 4, 4), {"dimension": 2}, (2, 4, 1)),
        ((9, 4, 4), {"dimension": 1}, (1, 4, 4)),
        ((9, 4, 4), {"components": 1}, (2, 4, 1)),
        ((9, 2, 3), {"size": 3}, (1, 3, 2)),
        ((9, 8, 8, 8, 8), {"dimension": 3}, (3, 8, 8)),
        ((9, 4, 4, 4, 4), {"components": 4}, (3, 4, 4)),
        ((9, 6, 16, 16), {"components": 6}, (2, 16, 6)),
        # Sites along one axis.
        ((9, 64), {"dimension": 2}, (2, 8, 1)),
        ((9, 64), {"dimension": 3}, (3, 4, 1)),
        ((0, 8, 8), {}, (2, 8, 1)),
    ],
)
def test_layouts(shape: tuple[int, ...], given: dict[str, Any], expected: tuple[int, int, int]) -> None:
    found = open_fields(np.zeros(shape), **given)
    assert (found.lattice.dimension, found.lattice.size, found.components) == expected
    assert found.shape == (shape[0] * found.components, *found.lattice.shape)


@pytest.mark.parametrize(
    ("shape", "given", "words"),
    [
        ((9, 4, 4), {}, "say which by dimension"),
        ((9, 2, 3), {}, "size or components"),
        ((9, 16, 32), {}, "a lattice has equal sides"),
        ((9, 64, 16, 16), {}, "or components"),
        ((9, 8, 8, 8, 8), {}, "or components"),
        ((9, 4, 4, 4, 4), {}, "at most 3 dimensions"),
        ((9, 16, 16), {"dimension": 3}, "dimension 3"),
        ((9, 16, 16), {"size": 8}, "size 8"),
        ((9, 16, 16), {"components": 2}, "components 2"),
        ((9, 1, 1), {}, "at least 2"),
        ((9,), {}, "M, L"),
        ((), {}, "M, L"),
        ((9, 8, 8, 16), {}, "equal"),
        ((2, 3, 4, 8, 8, 8, 8), {}, "1, 2 or 3 dimensions"),
    ],
)
def test_what_is_no_array_of_fields_or_may_be_two_is_refused(
    shape: tuple[int, ...], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        open_fields(np.zeros(shape), **given)


def test_components_are_read_from_either_side_and_follow_each_other() -> None:
    both = stream("components").standard_normal((5, 2, 8, 8))
    flat = both.reshape(10, 8, 8)
    for fields in (open_fields(both), open_fields(np.moveaxis(both, 1, -1))):
        np.testing.assert_array_equal(fields[:], flat)
        np.testing.assert_array_equal(fields[3:8], flat[3:8])
        np.testing.assert_array_equal(fields[1:9:3], flat[1:9:3])
        np.testing.assert_array_equal(fields[np.array([7, 0, 7, 9])], flat[[7, 0, 7, 9]])
        np.testing.assert_array_equal(fields[-1], flat[-1])
        assert fields[4:4].shape == (0, 8, 8)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4", "f2", "i1", "<i8", ">i4", "u1", "?", "longdouble"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_type_and_order(kind: str, order: Any, tmp_path: Path) -> None:
    whole = np.asarray(np.rint(PHI), dtype=float) if np.dtype(kind).kind in "ib" else PHI
    stored = np.asarray(np.abs(whole) if kind == "u1" else whole, order=order).astype(kind)
    np.save(tmp_path / "a.npy", stored)
    fields = open_fields(tmp_path / "a.npy")
    np.testing.assert_array_equal(fields[:], stored.astype(float))
    np.testing.assert_array_equal(fields[np.array([5, 0])], stored[[5, 0]].astype(float))
    assert fields[:].dtype == np.float64


def test_a_file_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PHI)
    np.savez(tmp_path / "b.npz", phi=PHI, beta=0.4)
    with h5py.File(tmp_path / "c", "w", userblock_size=512) as file:
        file["phi"] = PHI
    for name in ("a.npy", "b.npz", "c"):
        (tmp_path / name).rename(tmp_path / "data.dat")
        np.testing.assert_array_equal(open_fields(tmp_path / "data.dat")[:], PHI)


def test_a_damaged_file_of_ours_is_refused_before_hdf5_reads_it(tmp_path: Path) -> None:
    """Data sets are read in pieces, as they may be larger than the memory; their digest is checked first."""
    path = tmp_path / "fields.nc"
    fields = labelled(["configuration", "x", "y"], PHI, "fields")
    write(Content({"fields": fields}, {}, {"dimension": 2, "size": PHI.shape[-1]}), path, "Monte Carlo")
    np.testing.assert_array_equal(open_fields(path)[:], PHI)
    assert kind_of_csd(path) == "Monte Carlo"
    good = path.read_bytes()
    for place in np.linspace(8, len(good) - 100, 50).astype(int):
        path.write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
        with pytest.raises(InputError, match=r"fields\.nc: .*damaged"):
            open_fields(path)
        assert kind_of_csd(path) == ""


def _store(path: Path) -> None:
    """An HDF5 file with the layouts of lattice repositories."""
    with h5py.File(path, "w") as file:
        file["beta"] = 0.44
        file["about"] = "text"
        file["chain/phi"] = PHI
        file.create_dataset("packed", data=PHI, chunks=(1, 8, 8), compression="gzip", shuffle=True)
        file["big_endian"] = PHI.astype(">f4")
        file["spins"] = np.sign(PHI).astype("i1")
        file["truth"] = PHI > 0
        file.create_dataset("zeros", data=np.zeros((6, 8, 8), "i4"), chunks=True)
        file["complex"] = PHI + 1j
        file["half"] = PHI.astype("f2")
        file["records"] = np.zeros(6, dtype=[("phi", "f8", (8, 8)), ("time", "i4")])
        # Written in another order than that of their numbers.
        for number in (10, 9, 8, 11, 12, 7):
            file[f"configs/{number}"] = PHI[number - 7]
            file[f"run/trajectory_{number}/phi"] = 2.0 * PHI[number - 7]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("chain/phi", PHI),
        ("/chain/phi", PHI),
        ("packed", PHI),
        ("big_endian", PHI.astype("f4")),
        ("spins", np.sign(PHI)),
        ("truth", PHI > 0),
        ("zeros", np.zeros_like(PHI)),
        ("configs/#", PHI),
        ("configs", PHI),
        ("run/trajectory_#/phi", 2.0 * PHI),
    ],
)
def test_layouts_of_hdf5(key: str, expected: Any, tmp_path: Path) -> None:
    _store(tmp_path / "a.h5")
    fields = open_fields(tmp_path / "a.h5", key)
    np.testing.assert_array_equal(fields[:], expected)
    np.testing.assert_array_equal(fields[np.array([4, 1, 4])], expected[[4, 1, 4]])


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("complex", "two components"),
        ("half", "float32"),
        ("records", "phi, time"),
        ("chain/pi", "did you mean 'chain/phi'"),
        ("", r"several arrays.*--data-key.*big_endian \(6, 8, 8\)"),
    ],
)
def test_what_is_not_read_from_hdf5(key: str, words: str, tmp_path: Path) -> None:
    _store(tmp_path / "a.h5")
    with pytest.raises(InputError, match=words):
        open_fields(tmp_path / "a.h5", key)


def test_the_only_array_of_fields_needs_no_key(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["magnetisation"], file["fields/phi"] = np.zeros(6), PHI
    np.testing.assert_array_equal(open_fields(tmp_path / "a.h5")[:], PHI)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for number, field in enumerate(PHI):
            file[f"configs/{number:04d}"] = field
    np.testing.assert_array_equal(open_fields(tmp_path / "b.h5")[:], PHI)
    np.savez(tmp_path / "c.npz", *PHI)
    np.testing.assert_array_equal(open_fields(tmp_path / "c.npz")[:], PHI)


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET"])
def test_packed_and_missing_values_of_netcdf(form: Any, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=form) as file:
        for name, size in (("sample", 6), ("x", 8), ("y", 8)):
            file.createDimension(name, size)
        packed = file.createVariable("phi", "i2", ("sample", "x", "y"), fill_value=-999)
        packed.scale_factor, packed.add_offset = 0.01, 1.0
        packed[:] = np.ma.masked_array(PHI, np.abs(PHI) > 1.5)
        unwritten = file.createVariable("psi", "f4", ("sample", "x", "y"))
        unwritten[:3] = PHI[:3]
    found = open_fields(tmp_path / "a.nc", "phi")[:]
    np.testing.assert_array_equal(np.isnan(found), np.abs(PHI) > 1.5)
    np.testing.assert_allclose(found[~np.isnan(found)], PHI[np.abs(PHI) <= 1.5], atol=0.006)
    assert np.isnan(open_fields(tmp_path / "a.nc", "psi")[3:]).all()


def test_ensembles_of_two_couplings_are_not_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("beta_0.40", "beta_0.44"):
            file[f"{name}/configs"] = PHI
    with pytest.raises(InputError, match=r"several arrays.*beta_0.40/configs \(6, 8, 8\), beta_0.44"):
        open_fields(tmp_path / "a.h5")
    assert open_fields(tmp_path / "a.h5", "beta_0.44/configs").shape == (6, 8, 8)


def _members(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """An HDF5 file of arrays with these shapes, each full of its number."""
    with h5py.File(path, "w") as file:
        for number, (name, shape) in enumerate(shapes.items()):
            file[name] = np.full(shape, float(number))
    return path


def test_a_member_unlike_the_rest_of_its_series_is_named(tmp_path: Path) -> None:
    shapes = {f"configs/{number}": (8, 8) for number in range(12)} | {"configs/6": (7, 8)}
    path = _members(tmp_path / "a.h5", shapes)
    for key in ("", "configs", "configs/#"):
        with pytest.raises(InputError, match=r"configs/6 has the shape \(7, 8\), but the others"):
            open_fields(path, key)
    assert open_fields(path, "configs/6").shape == (7, 8)


def test_a_series_runs_over_one_number(tmp_path: Path) -> None:
    """A coupling is no number of a configuration; neither is the size of a lattice."""
    names = [f"beta_{beta}/conf{number}" for beta in ("0.40", "0.45") for number in range(9)]
    path = _members(tmp_path / "a.h5", dict.fromkeys(names, (8, 8)))
    with pytest.raises(InputError, match=r"it has beta_0.40/conf# \(9, 8, 8\), beta_0.45/conf# \(9, 8, 8\)"):
        open_fields(path)
    np.testing.assert_array_equal(open_fields(path, "beta_0.45/conf#")[:][:, 0, 0], np.arange(9, 18))
    path = _members(tmp_path / "b.h5", {f"beta_{beta}/phi": (8, 8) for beta in ("0.40", "0.42", "0.45", "0.50")})
    with pytest.raises(InputError, match="several arrays"):
        open_fields(path)
    path = _members(tmp_path / "c.h5", {f"L{size}/{number}": (size, size) for size in (4, 8) for number in range(9)})
    with pytest.raises(InputError, match=r"it has L4/# \(9, 4, 4\), L8/# \(9, 8, 8\)"):
        open_fields(path)
    # Two numbers of one configuration.
    path = _members(tmp_path / "d.h5", {f"run{number}/beta_0.4/conf{number}": (8, 8) for number in (10, 9, 8, 7)})
    np.testing.assert_array_equal(open_fields(path)[:][:, 0, 0], [3, 2, 1, 0])
    np.testing.assert_array_equal(open_fields(path, "run#/beta_#.#/conf#")[:][:, 0, 0], [3, 2, 1, 0])


def test_members_of_several_fields_may_be_components(tmp_path: Path) -> None:
    path = _members(tmp_path / "a.h5", {f"stream{number}/phi": (3, 8, 8) for number in range(10)})
    with pytest.raises(InputError, match=r"\(3, 8, 8\), which may mean 3 fields, or one of 3 components"):
        open_fields(path)
    assert open_fields(path, components=3).components == 3


def test_a_link_that_leads_nowhere_is_suspected(tmp_path: Path) -> None:
    """The library of NetCDF does not open such a file."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["phi"] = PHI
        file["copy"] = h5py.SoftLink("/gone")
    with pytest.raises(InputError, match="a link that leads nowhere"):
        open_fields(tmp_path / "a.h5")


def _zip_of_text() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", "text")
    return made.getvalue()


def _saved(array: Any, *, cut: int | None = None) -> bytes:
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()[:cut]


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "pickled objects": (lambda: _saved(np.array([PHI, None], dtype=object)), "Python objects"),
    "a pickle": (lambda: pickle.dumps(PHI), "must be .npy"),
    "text": (lambda: b"1.0 2.0\n3.0 4.0\n", "numpy.loadtxt"),
    "nothing": (lambda: b"", "must be .npy"),
    "truncated": (lambda: _saved(PHI, cut=900), "truncated"),
    "header alone": (lambda: _saved(PHI, cut=20), "truncated"),
    "archive of no arrays": (_zip_of_text, "no .npy arrays"),
    "half an archive": (lambda: _zip_of_text()[:40], "truncated"),
    "words": (lambda: _saved(np.array([["a", "b"]])), "no numbers"),
    "dates": (lambda: _saved(np.zeros((6, 8, 8), "M8[s]")), "no numbers"),
    "complex": (lambda: _saved(PHI + 1j), "two components"),
    "records": (lambda: _saved(np.zeros(6, [("phi", "f4", (8, 8))])), "phi"),
    "half an HDF5 file": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "truncated"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_other_files_are_refused_in_one_sentence(content: Callable[[], bytes], words: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content())
    with pytest.raises(InputError, match=words) as refused:
        open_fields(tmp_path / "a.npy")
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="no such file"):
        open_fields(tmp_path / "none.npy")


def test_numbers_that_cannot_be_read_are_an_error_in_one_sentence(tmp_path: Path) -> None:
    """A compression that NetCDF does not have, a damaged chunk, a damaged archive."""
    with h5py.File(tmp_path / "lzf.h5", "w") as file:
        file.create_dataset("phi", data=np.rint(PHI), compression="lzf")
    with h5py.File(tmp_path / "checked.h5", "w") as file:
        file.create_dataset("phi", data=PHI, chunks=PHI.shape, fletcher32=True)
    np.savez(tmp_path / "archive.npz", phi=PHI)
    for name in ("checked.h5", "archive.npz"):
        whole = bytearray((tmp_path / name).read_bytes())
        whole[whole.index(PHI.tobytes()[:64])] ^= 1
        (tmp_path / name).write_bytes(whole)
    for name in ("lzf.h5", "checked.h5", "archive.npz"):
        with pytest.raises(InputError, match=f"{name}.*cannot be read"):
            open_fields(tmp_path / name)[:]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: np.ma.masked_array(PHI + 1j, PHI > 2.0), "complex numbers"),
        (lambda: np.ma.masked_array(PHI.astype(str)), r"no numbers.*\(text\)"),
        (lambda: np.ma.masked_array(PHI.astype(object)), r"no numbers.*\(Python objects\)"),
        (lambda: np.ma.zeros(6, [("phi", "f8", (8, 8))]), "records of phi"),
        (lambda: [PHI[0], PHI[1, :4]], "list of fields that differ in shape"),
        (lambda: [[1.0, 2.0], [3.0]], "list of fields that differ in shape"),
        (lambda: torch.tensor(PHI, requires_grad=True), r"type Tensor.*detach\(\)"),
        (lambda: torch.tensor(PHI, dtype=torch.bfloat16), r"type Tensor.*float\(\)"),
        (lambda: xr.Dataset({"phi": (("i", "x", "y"), PHI)}), "type Dataset and holds 'phi'"),
        (lambda: {"phi": PHI}, "type dict and holds 'phi'"),
        (lambda: {}, "type dict and holds nothing"),
        (lambda: (field for field in PHI), "type generator and has no length"),
        (lambda: iter(PHI), "has no length"),
        (lambda: object(), "type object and has no length"),
    ],
)
def test_what_is_no_array_is_refused_in_one_sentence(made: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        open_fields(made())
    assert "\n" not in str(refused.value)


def test_files_that_are_open_are_refused_with_their_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", phi=PHI)
    with np.load(tmp_path / "a.npz") as archive, pytest.raises(InputError, match="type NpzFile and holds 'phi'"):
        open_fields(archive)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/phi"] = PHI
        with pytest.raises(InputError, match="type Group and holds 'phi'"):
            open_fields(file["group"])
        np.testing.assert_array_equal(open_fields(file["group/phi"])[:], PHI)


def test_arrays_of_other_libraries() -> None:
    """Masked numbers are missing, and what is read when it is indexed stays unread."""
    masked = open_fields(np.ma.masked_array(PHI, PHI > 2.0))[:]
    np.testing.assert_array_equal(np.isnan(masked), PHI > 2.0)

    class Lazy:
        shape, dtype = (10**9, 64, 64), np.dtype(np.float32)

        def __len__(self) -> int:
            return self.shape[0]

        def __getitem__(self, key: slice) -> Any:
            return np.full((key.stop - key.start, 64, 64), key.start)

    fields = open_fields(Lazy())
    assert len(fields) == 10**9
    assert fields[5:7].shape == (2, 64, 64)
    assert (fields[5:7] == 5).all()
