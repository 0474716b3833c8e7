"""Paths of users: names of files, spellings of one file, what is no file of ours, and values of flags beside them."""

import gzip
import os
import shlex
import shutil
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from csd.cli.commands import main
from csd.core.files import read
from tests.helpers import Ran, Runner

TRAIN = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 1 --loss population"
"""A run of some ten steps."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training file."""
    path = tmp_path_factory.mktemp("made") / "made.nc"
    main([*shlex.split(TRAIN), "--output", str(path)])
    return path


@pytest.fixture
def run(made: Path, csd: Runner) -> Runner:
    """Runs `csd` where the training file is `in.nc`."""
    shutil.copy(made, "in.nc")
    return csd


def assert_refused(ran: Ran, words: list[str]) -> None:
    """One sentence that holds the words, besides the echoed command line."""
    assert ran.status == 2, ran.out
    said = ran.err.splitlines()[-1]
    assert said.startswith("csd ")
    assert [word for word in words if word not in said] == [], said
    assert "Traceback" not in ran.err


# ---- names -----------------------------------------------------------------------------------------------------------

NAMES = {
    "a space": "a b.nc",
    "a new line": "a\nb.nc",
    "quotes": "a'b\"c.nc",
    "signs of a shell": "$HOME `x` *?[a]!&;.nc",
    "braces": "{a}%s{}.nc",
    "a leading dash": "./--output.nc",
    "a leading dot": ".hidden.nc",
    "a backslash": "a\\b.nc",
    "a colon": "a:b.nc",
    "accents, composed": unicodedata.normalize("NFC", "é.nc"),
    "accents, decomposed": unicodedata.normalize("NFD", "é.nc"),
    "other letters": "場の理論.nc",
    "255 bytes": "n" * 252 + ".nc",
    "255 bytes of UTF-8": "é" * 126 + ".nc",
    "no ending": "out",
    "another ending": "out.txt",
    "only dots": "...nc",
    "new folders": "new/of/it/out.nc",
    "a folder and back": "sub/../out.nc",
    "slashes": ".//sub///out.nc",
    "a tilde inside": "a/~/out.nc",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_names_of_files(name: str, made: Path, run: Runner) -> None:
    """The same values are written, and read again by that name; nothing else is left."""
    Path("sub").mkdir()
    before = {path for path in Path().rglob("*") if path.is_file()}
    ran = run(f"{TRAIN} --output {shlex.quote(name)}")
    assert ran.status == 0, ran.err
    assert len({path for path in Path().rglob("*") if path.is_file()} - before) == 1
    assert read(Path(name)).drop_attrs().equals(read(made).drop_attrs())
    assert run(f"show {shlex.quote(name)}").status == 0


def sockets() -> None:
    """A socket of a folder."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")


OUTPUTS: dict[str, tuple[str, list[str]]] = {
    "256 bytes": ("n" * 253 + ".nc", ["shorter name"]),
    "a folder": ("folder", ["'folder'", "cannot be written"]),
    "a folder with a slash": ("folder/", ["folder", "cannot be written"]),
    "below a file": ("in.nc/out.nc", ["'in.nc/out.nc'", "cannot be written"]),
    "a named pipe": ("pipe", ["'pipe'", "named pipe"]),
    "a socket": ("socket", ["'socket'", "socket"]),
    "a link into no folder": ("lost", ["'lost'", "cannot be written"]),
    "a loop of links": ("loop", ["'loop'", "cannot be written"]),
    "standard output": ("/dev/stdout", ["'/dev/stdout'", "cannot be written"]),
    "nowhere": ("/dev/null", ["'/dev/null'", "cannot be written"]),
    "the working directory": (".", ["'.'", "cannot be written"]),
    "the root": ("/", ["'/'", "cannot be written"]),
    "a folder of the kernel": ("/proc/out.nc", ["'/proc/out.nc'", "cannot be written"]),
}


@pytest.mark.parametrize(("name", "words"), OUTPUTS.values(), ids=OUTPUTS.keys())
@pytest.mark.parametrize("command", [TRAIN, "generate in.nc --samples 4"], ids=["train", "generate"])
def test_what_cannot_be_an_output(command: str, name: str, words: list[str], run: Runner) -> None:
    """Nothing is changed."""
    Path("folder").mkdir()
    os.mkfifo("pipe")
    sockets()
    Path("lost").symlink_to("unmounted/out.nc")
    Path("loop").symlink_to("loop")
    before = {path: path.lstat().st_mtime_ns for path in Path().rglob("*")}
    assert_refused(run(f"{command} --output {name}"), words)
    assert before == {path: path.lstat().st_mtime_ns for path in Path().rglob("*")}


def test_a_link_is_written_through_and_stays(run: Runner) -> None:
    Path("disk").mkdir()
    Path("link.nc").symlink_to("disk/new.nc")
    assert run(f"{TRAIN} --output link.nc").status == 0
    assert Path("link.nc").is_symlink()
    assert read("disk/new.nc").attrs["csd_file"] == "training"


# ---- one file by two names -------------------------------------------------------------------------------------------

SPELLINGS = {
    "the same": "in.nc",
    "a dot": "./in.nc",
    "a link": "link.nc",
    "a link to a link": "again.nc",
    "a hard link": "hard.nc",
    "a folder and back": "sub/../in.nc",
    "a linked folder": "here/in.nc",
    "slashes": ".//in.nc",
    "absolute": "{folder}/in.nc",
    "by the process": "/proc/self/cwd/in.nc",
}


@pytest.mark.parametrize("name", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize(
    "command",
    ["generate in.nc --output", "generate in.nc --output o.nc --benchmark", "explore --summary in.nc --output"],
)
def test_no_file_is_read_and_replaced(command: str, name: str, made: Path, run: Runner) -> None:
    Path("link.nc").symlink_to("in.nc")
    Path("again.nc").symlink_to("link.nc")
    Path("hard.nc").hardlink_to("in.nc")
    Path("here").symlink_to(".")
    Path("sub").mkdir()
    name = name.format(folder=Path.cwd())
    assert_refused(run(f"{command} {name}"), ["name the same file", str(Path(name))])
    assert Path("in.nc").read_bytes() == made.read_bytes()
    assert not Path("o.nc").exists()


# ---- what is no file of ours -----------------------------------------------------------------------------------------


def changed(**attributes: Any) -> Callable[[], Any]:
    """Changes attributes of the file."""

    def change() -> None:
        with netCDF4.Dataset("in.nc", "a") as file:
            for name, value in attributes.items():
                file.setncattr(name, value)

    return change


def written(content: bytes) -> Callable[[], Any]:
    """Writes bytes in place of the file."""
    return lambda: Path("in.nc").write_bytes(content)


def cut(count: int) -> Callable[[], Any]:
    """Leaves some bytes of the file, counted from its end where negative."""
    return lambda: Path("in.nc").write_bytes(Path("in.nc").read_bytes()[:count])


def other(kind: Any) -> Callable[[], Any]:
    """Writes a file of xarray in another format, or of another content."""
    return lambda: xr.Dataset({"x": ("t", np.arange(3.0))}).to_netcdf("in.nc", **kind)


def zipped() -> None:
    """Compresses the file as a whole."""
    Path("in.nc").write_bytes(gzip.compress(Path("in.nc").read_bytes()))


def replaced(make: Callable[[Path], Any]) -> Callable[[], Any]:
    """Puts something else in place of the file."""

    def replace() -> None:
        Path("in.nc").unlink()
        make(Path("in.nc"))

    return replace


INPUTS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "missing": (lambda: Path("in.nc").unlink(), ["no such file"]),
    "a folder": (replaced(Path.mkdir), ["folder"]),
    "a loop of links": (replaced(lambda path: path.symlink_to("in.nc")), ["cannot be opened"]),
    "a link to nowhere": (replaced(lambda path: path.symlink_to("gone")), ["no such file"]),
    "a named pipe": (replaced(os.mkfifo), ["named pipe"]),
    "empty": (written(b""), ["empty"]),
    "text": (written(b"1 2 3\n"), ["another format than NetCDF-4"]),
    "JSON": (written(b'{"a": 1}'), ["another format than NetCDF-4"]),
    "bytes": (written(bytes(range(256)) * 99), ["another format than NetCDF-4"]),
    "gzip": (zipped, ["another format than NetCDF-4"]),
    "8 bytes": (cut(8), ["truncated"]),
    "100 bytes": (cut(100), ["truncated"]),
    "20000 bytes": (cut(20000), ["truncated"]),
    "a byte short": (cut(-1), ["damaged"]),
    "classic NetCDF": (other({"format": "NETCDF3_CLASSIC", "engine": "scipy"}), ["another format than NetCDF-4"]),
    "not of csd": (other({}), ["not one of csd's"]),
    "a later schema": (changed(csd_schema=99), ["99"]),
    "a schema in words": (changed(csd_schema="x"), ["layout x"]),
    "another kind": (changed(csd_file="mine"), ["mine"]),
}


@pytest.mark.parametrize(("change", "words"), INPUTS.values(), ids=INPUTS.keys())
def test_what_is_no_file_of_ours(change: Callable[[], Any], words: list[str], run: Runner) -> None:
    """From two commands, in one sentence with the name; no output is written."""
    change()
    for command in ("show in.nc", "generate in.nc --output out.nc"):
        assert_refused(run(command), ["in.nc", *words])
    assert not Path("out.nc").exists()


# ---- flags that are no paths -----------------------------------------------------------------------------------------

HMC = "mcmc --dimension 1 --size 8 --mass 1 --output out.nc --sweeps 10 --sampler"
FLAGS: dict[str, tuple[str, list[str]]] = {
    "step below 0": (f"{HMC} hmc --step -1", ["step is -1.0", "above 0"]),
    "step infinite": (f"{HMC} hmc --step inf", ["step is inf", "finite"]),
    "step nan": (f"{HMC} hmc --step nan", ["step is nan", "finite"]),
    "trajectory 0": (f"{HMC} hmc --trajectory 0", ["trajectory is 0.0", "above 0"]),
    "trajectory infinite": (f"{HMC} hmc --trajectory inf", ["trajectory is inf", "finite"]),
    "no chains": (f"{HMC} hmc --chains 0", ["chains is 0", "at least 1"]),
    "every 0": (f"{HMC} hmc --every 0", ["every is 0", "at least 1"]),
    "every beyond sweeps": (f"{HMC} hmc --every 11", ["every", "11", "10"]),
    "thermalisation below 0": (f"{HMC} hmc --thermalisation -1", ["thermalisation is -1", "at least 0"]),
    "a sampler twice": (f"{HMC} hmc hmc", ["hmc", "twice"]),
    "an unknown sampler": (f"{HMC} hcm", ["'hcm'", "did you mean 'hmc'?"]),
    "a step of no use": (f"{HMC} heat_bath --step 0.1", ["step", "heat_bath"]),
    "one sample": ("generate in.nc --output out.nc --samples 1", ["samples is 1", "at least 2"]),
    "samples a power": ("generate in.nc --output out.nc --samples 1e2", ["--samples", "'1e2'"]),
    "step below 0 of generate": ("generate in.nc --output out.nc --step -1", ["step is -1", "at least 0"]),
    "times turned round": ("generate in.nc --output out.nc --t-min 1 --t-max 0.5", ["t_min is 1", "below t_max"]),
    "time beyond the levels": ("generate in.nc --output out.nc --t-max 9", ["t_max is 9", "0.5 to 1"]),
    "a smaller lattice": ("generate in.nc --output out.nc --size 4", ["size is 4", "8"]),
    "an unknown integrator": ("generate in.nc --output out.nc --integrator eulr", ["'eulr'", "did you mean 'euler'?"]),
}


@pytest.mark.parametrize(("command", "words"), FLAGS.values(), ids=FLAGS.keys())
def test_values_of_flags(command: str, words: list[str], run: Runner) -> None:
    assert_refused(run(command), words)
    assert not Path("out.nc").exists()
