"""Files: written whole or not at all, with checksums, the same bytes each time, and refused if anything is amiss."""

import getpass
import json
import os
import re
import socket
import stat
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from csd.core.errors import InputError, NotWritten
from csd.core.files import (
    REQUIRED,
    SCHEMA,
    THEORY,
    TRAINING,
    Variable,
    commit,
    content_of,
    labelled,
    provenance,
    read,
    write,
)
from csd.core.paths import atomic_path, require_writable, write_text

COMMAND = ["csd", "train", "--size", "8", "--output", "a b.nc"]


def dataset(count: int = 10, kind: str = TRAINING) -> xr.Dataset:
    """The least that a file of a kind must hold, with noise that does not compress."""
    noise = np.random.default_rng(0).standard_normal(count)
    variables = {name: labelled([], 1.0, name) for name in REQUIRED[kind]}
    variables["score_error"] = labelled(["step"], noise, "relative score error")
    steps = labelled(["step"], np.arange(count), "training step", "steps")
    return xr.Dataset(variables, {"step": steps}, provenance(COMMAND, {"size": 8}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file that is there, written by us."""
    there = tmp_path / "file.nc"
    write(dataset(), there, TRAINING)
    return there


class Broken(Exception):
    """Something that nobody expects."""


# Whole or not at all.


@pytest.mark.parametrize("raised", [Broken, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_exception_in_the_middle_leaves_the_old_file_and_no_other(path: Path, raised: type[BaseException]) -> None:
    old = path.read_bytes()
    with pytest.raises(raised), atomic_path(path) as temporary:
        temporary.write_bytes(b"half of it")
        assert temporary.parent == path.parent
        assert path.read_bytes() == old
        raise raised
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_an_exception_in_the_middle_of_a_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Broken), atomic_path(tmp_path / "new" / "file.nc") as temporary:
        temporary.write_bytes(b"half of it")
        raise Broken
    assert list((tmp_path / "new").iterdir()) == []


class Exploding:
    """Values that cannot be had; a part of the file that holds them is on the disk by then."""

    def __init__(self, raised: Exception, folder: Path) -> None:
        self.raised, self.folder = raised, folder

    def __array__(self, *_: object) -> np.ndarray:
        (half,) = self.folder.glob(".*file.nc.*")
        assert half.stat().st_size > 1000
        raise self.raised


@pytest.mark.parametrize("raised", [Broken("bug"), OSError(28, "No space left on device")], ids=["bug", "full disk"])
def test_a_write_that_breaks_in_the_middle(path: Path, raised: Exception) -> None:
    old = path.read_bytes()
    content = content_of(dataset(300_000))
    content.variables["late"] = Variable(("step",), Exploding(raised, path.parent), {})
    expected = InputError if isinstance(raised, OSError) else Broken
    with pytest.raises(expected) as caught:
        write(content, path, TRAINING)
    if expected is InputError:
        assert path.name in str(caught.value)
        assert str(raised.strerror) in str(caught.value)  # type: ignore[attr-defined]
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_text_that_cannot_be_encoded_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "text.csv"
    write_text("old ξ\n", file)
    with pytest.raises(UnicodeEncodeError):
        write_text("new \ud800\n", file)
    assert file.read_text(encoding="utf-8") == "old ξ\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(path: Path) -> None:
    with path.open("rb") as opened:
        first = opened.read(100)
        write(dataset(20), path, TRAINING)
        opened.seek(0)
        assert opened.read(100) == first
    assert read(path).sizes["step"] == 20


def test_folders_are_made_and_permissions_follow_the_mask(tmp_path: Path) -> None:
    """`mkstemp` gives 0600, which would hide results from everybody else."""
    file = tmp_path / "a" / "b" / "file.nc"
    mask = os.umask(0o027)
    try:
        write(dataset(), file, TRAINING)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert read(file).attrs["csd_file"] == TRAINING


@pytest.mark.parametrize("name", ["file/below/out.nc", "file/out.nc", "folder"])
def test_where_nothing_can_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    attempts = lambda p: write(dataset(), p, TRAINING, lambda _: ""), lambda p: write_text("new", p), require_writable
    for attempt in attempts:
        with pytest.raises(InputError, match=re.escape(name)):
            attempt(tmp_path / name)
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_file_keeps_its_permissions(path: Path) -> None:
    path.chmod(0o600)
    write(dataset(20), path, TRAINING)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path).sizes["step"] == 20


def test_a_result_that_cannot_replace_its_file_is_written_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another program has protected the file since the work began."""
    replace = Path.replace

    def refused(temporary: Path, target: Path) -> Path:
        if target == path:
            raise PermissionError(1, "Operation not permitted")
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(NotWritten, match=r"file\.nc.*not permitted.*kept in '.*rescued-[0-9a-f]{8}-file\.nc'"):
        write(dataset(20), path, TRAINING)
    (other,) = path.parent.glob("rescued-*")
    assert (read(path).sizes["step"], read(other).sizes["step"]) == (10, 20)
    assert len(list(path.parent.iterdir())) == 2


def test_asking_whether_a_file_can_be_written_leaves_no_trace(path: Path, tmp_path: Path) -> None:
    old = path.read_bytes()
    require_writable(path)
    require_writable(tmp_path / "other.nc")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == old


# What is written is what is read.


def test_a_round_trip_keeps_values_types_and_attributes(tmp_path: Path) -> None:
    made = xr.Dataset(
        {
            "score_error": labelled(["seed", "step"], [[1.0, np.nan], [1e-300, np.inf]], "relative score error"),
            "training_time": labelled(["seed"], [np.nan, 3.0], "training time", "steps"),
            "residual": labelled(["step"], np.array([0.5, 0.1], dtype=np.float32), "residual"),
            "parameters": labelled([], 7, "parameters"),
            "learning_rate": labelled([], 0.1, "learning rate"),
            "level_parameters": labelled([], 7, "parameters"),
            "floor": labelled([], 0.0, "floor"),
            "name": labelled(["seed"], np.array(["ä", "two_layer"], dtype=object), "name"),
        },
        {"seed": labelled(["seed"], np.array([0, 2**62]), "random seed")},
        {"mass": 0.1, "batch": 0, "label": "", "note": "ξ = 1 / m"},
    )
    write(made, tmp_path / "file.nc", TRAINING)
    again = read(tmp_path / "file.nc", TRAINING)
    xr.testing.assert_identical(again.drop_attrs(deep=False), made.drop_attrs(deep=False))
    assert {name: again[name].dtype for name in again.variables if name != "name"} == {
        name: made[name].dtype for name in made.variables if name != "name"
    }
    assert again.attrs == {**made.attrs, "csd_file": TRAINING, "csd_schema": SCHEMA}
    assert again["training_time"].attrs == {"long_name": "training time", "units": "steps"}


def test_large_arrays_are_compressed_and_have_checksums(tmp_path: Path) -> None:
    write(dataset(1_000), tmp_path / "file.nc", TRAINING)
    with netCDF4.Dataset(tmp_path / "file.nc") as opened:
        filters = opened["score_error"].filters()
    assert filters["zlib"]
    assert filters["fletcher32"]


def test_a_change_of_a_small_variable_is_found(path: Path) -> None:
    with netCDF4.Dataset(path, "a") as opened:
        opened["score_error"][3] += 1e-9
    with pytest.raises(InputError, match=r"file\.nc: .*NetCDF"):
        read(path)


def test_whole_numbers_of_a_step_are_stored_in_few_bytes_and_read_as_what_they_stand_for(tmp_path: Path) -> None:
    """By us and by xarray, and again when what was read is written."""
    made = dataset(2_000)
    values = np.random.default_rng(1).standard_normal((2, 2_000)) * [[1.0], [1e4]]
    values[0, 3] = np.nan
    for name, own in zip(("short", "long"), values, strict=True):
        made[name] = labelled(["step"], own, "noise", step=2.0**-8)
    write(made, tmp_path / "file.nc", TRAINING)
    write(read(tmp_path / "file.nc"), tmp_path / "again.nc", TRAINING)
    for path in (tmp_path / "file.nc", tmp_path / "again.nc"):
        with netCDF4.Dataset(path) as opened:
            assert [opened[name].dtype for name in ("short", "long")] == [np.int16, np.int32]
        for found in (read(path), xr.open_dataset(path)):
            for name, own in zip(("short", "long"), values, strict=True):
                np.testing.assert_allclose(found[name].values, own, rtol=0.0, atol=2.0**-9)
                assert (found[name] * 2.0**8 == np.rint(found[name] * 2.0**8)).sum() == own.size - np.isnan(own).sum()


def test_the_same_dataset_gives_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    """More than a second apart, as file formats count time in seconds; under other names, in other folders."""
    write(dataset(), tmp_path / "one.nc", TRAINING)
    time.sleep(1.1)
    write(dataset(), tmp_path / "elsewhere" / "another.nc", TRAINING)
    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "elsewhere" / "another.nc").read_bytes()


# Where it came from.


def test_provenance_says_what_made_a_file_but_not_when_or_where() -> None:
    made = provenance(COMMAND, {"size": 8})
    names = {"csd_version", "csd_commit", "command", "configuration_hash", "source_hash", "package_versions"}
    assert set(made) == names
    assert made["csd_version"] == version("csd")
    assert made["command"] == "csd train --size 8 --output 'a b.nc'"
    versions = json.loads(made["package_versions"])
    assert versions["numpy"] == np.__version__
    assert {"scipy", "torch", "xarray", "netCDF4"} <= set(versions)
    assert re.fullmatch(r"unknown|[0-9a-f]{12}(-dirty)?", commit())
    assert made["csd_commit"] == commit()


def test_files_hold_no_time_host_user_or_folder(path: Path) -> None:
    content = path.read_bytes()
    traces = [
        socket.gethostname(),
        str(path.parent),
        str(Path.cwd()),
        time.strftime("%Y-%m-%d"),
        time.strftime("%H:%M"),
    ]
    if getpass.getuser() != "root":
        traces.append(getpass.getuser())
    # A host called 'x' would be found everywhere.
    assert [trace for trace in traces if len(trace) > 3 and trace.encode() in content] == []


def test_the_hash_is_of_what_was_asked_for_and_not_of_its_order() -> None:
    def hashed(asked: dict[str, object]) -> str:
        return provenance(COMMAND, asked)["configuration_hash"]

    assert hashed({"size": 8, "seeds": [1, 2]}) == hashed({"seeds": [1, 2], "size": 8})
    others = [{"size": 9, "seeds": [1, 2]}, {"size": 8, "seeds": [2, 1]}, {"size": 8}, {}]
    assert len({hashed(other) for other in [{"size": 8, "seeds": [1, 2]}, *others]}) == 5
    assert provenance(["csd", "other"], {"size": 8})["configuration_hash"] == hashed({"size": 8})


# What is refused.


def test_a_flipped_byte_in_the_data_is_found(tmp_path: Path) -> None:
    """The middle of a large file is data; without the digest, a flipped byte there would be read as a number."""
    path = tmp_path / "large.nc"
    write(dataset(20_000), path, TRAINING)
    good = path.read_bytes()
    assert len(good) > 100_000
    for fraction in (0.3, 0.4, 0.5, 0.6, 0.7):
        place = int(fraction * len(good))
        broken = bytearray(good)
        broken[place] ^= 1
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"large\.nc: .*NetCDF.* make"):
            read(path)
    path.write_bytes(good)
    assert read(path).sizes["step"] == 20_000


def test_every_flipped_bit_is_found_before_hdf5_reads_it(path: Path) -> None:
    """HDF5 would read wrong numbers or never end; flips in the text before the digest are harmless."""
    good, expected = path.read_bytes(), read(path)
    end = good.rindex(b"csd: blake2b")
    rng = np.random.default_rng(3)
    for place in [*rng.integers(0, end, 400).tolist(), *range(end, len(good))]:
        broken = bytearray(good)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            assert read(path).identical(expected)
            assert place >= end - 1
        except InputError as error:
            assert str(path) in str(error)


def test_the_digest_troubles_no_other_program(path: Path) -> None:
    """Neither those that read a file nor those that change it; one that they made is read without a digest."""
    assert xr.load_dataset(path)["score_error"].equals(read(path)["score_error"])
    with h5py.File(path) as file:
        assert file["score_error"].shape == (10,)
    with netCDF4.Dataset(path, "a") as opened:
        opened.note = "mine" * 1000
    assert read(path).attrs["note"] == "mine" * 1000
    write(dataset(), path, TRAINING)
    xr.load_dataset(path).to_netcdf(path.with_name("copy.nc"))
    assert read(path.with_name("copy.nc"))["score_error"].equals(read(path)["score_error"])


@pytest.mark.parametrize("kept", [0, 3, 8, 200, -1, -1000])
def test_a_truncated_file_is_refused(kept: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"file\.nc: .*NetCDF"):
        read(path)


def test_what_cannot_be_used_says_why_and_only_a_damaged_file_is_to_be_removed(path: Path, tmp_path: Path) -> None:
    """Not there, a folder, empty, cut off, of another format, of another program, damaged, of a newer csd."""
    good = path.read_bytes()
    (tmp_path / "folder").mkdir()
    content = {
        "empty": b"",
        "short": good[:5],
        "text": b"not NetCDF",
        "array": b"\x93NUMPY\x01\x00",
        "torn": good[:-100],
        "head": good[:300],
    }
    for name, kept in content.items():
        (tmp_path / name).write_bytes(kept)
    with netCDF4.Dataset(tmp_path / "other", "w") as opened:
        opened.title = "of another program"
    write(dataset().assign_attrs(csd_schema=SCHEMA + 1), tmp_path / "newer", TRAINING)
    expected = {
        "none": ("there is no such file", False),
        "folder": ("this is a folder", False),
        "empty": ("it is empty; remove it", True),
        "short": ("it is truncated; remove it", True),
        "text": ("another format than NetCDF-4", False),
        "array": ("another format than NetCDF-4", False),
        "torn": ("truncated or damaged; remove it", True),
        "head": ("truncated or damaged; if csd made it, remove it", True),
        "other": ("not one of csd's", False),
        "newer": (f"layout {SCHEMA + 1}, this version reads layout {SCHEMA}; update csd", False),
    }
    for name, (words, removed) in expected.items():
        with pytest.raises(InputError, match=re.escape(str(tmp_path / name))) as raised:
            read(tmp_path / name)
        assert words in str(raised.value)
        assert ("remove" in str(raised.value)) == removed


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_a_foreign_file_is_refused(form: str, tmp_path: Path) -> None:
    """Even one whose times xarray cannot decode, and whose names are ours."""
    path = tmp_path / "foreign.nc"
    with netCDF4.Dataset(path, "w", format=form) as opened:
        opened.createDimension("step", 2)
        for name in REQUIRED[TRAINING]:
            opened.createVariable(name, "f8", ("step",))[:] = 1.0
        opened.createVariable("time", "f8", ("step",))[:] = 1e30
        opened["time"].units = "days since 1850-01-01"
    with pytest.raises(InputError, match=r"foreign\.nc: ") as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_a_file_of_another_layout_is_refused(path: Path) -> None:
    for layout in (SCHEMA + 1, 0, "one"):
        write(dataset().assign_attrs(csd_schema=layout), path, TRAINING)
        with pytest.raises(InputError, match=rf"file\.nc: .*layout {layout}\b.*layout {SCHEMA}\b"):
            read(path)
    with netCDF4.Dataset(path, "a") as opened:
        del opened.csd_schema
    with pytest.raises(InputError, match=r"file\.nc: .*layout None"):
        read(path)


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match=r"file\.nc: .*training.*theory"):
        read(path, THEORY)
    with pytest.raises(InputError, match="theory or generation"):
        read(path, THEORY, "generation")
    assert read(path, THEORY, TRAINING).equals(read(path))


@pytest.mark.parametrize("kind", sorted(REQUIRED))
def test_a_file_without_a_variable_that_its_kind_has_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    complete = dataset(kind=kind)
    write(complete, path, kind)
    assert set(REQUIRED[kind]) <= set(read(path, kind).data_vars)
    for name in REQUIRED[kind]:
        write(complete.drop_vars(name), path, kind)
        with pytest.raises(InputError, match=rf"file\.nc: .*'{name}'.* csd train "):
            read(path)


def test_a_file_of_a_kind_that_we_do_not_know_is_refused(path: Path) -> None:
    write(dataset(), path, "poem")
    with pytest.raises(InputError, match=r"file\.nc: .*'?poem'?"):
        read(path)
