"""Paths of commands and calls: no file in two roles, no file of the user's destroyed, disks that are full or locked."""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import csd as package
from csd.cli import commands as cli
from csd.core.errors import InputError, NotWritten
from csd.core.files import read
from tests.helpers import Ran, Runner, on_path, outside

TRAIN = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 1 --loss population"
"""A run of some ten steps; a file of 30 kB."""
CALL = {"dimension": 1, "size": 8, "noise_levels": [0.5, 1.0], "loss": "population"}


@pytest.fixture
def run(csd: Runner) -> Runner:
    """Runs `csd`, where a training file `in.nc` is."""
    assert csd(f"{TRAIN} --output in.nc").status == 0
    return csd


def refused(ran: Ran, *words: str) -> None:
    """One sentence that holds the words, besides the echoed command line."""
    assert ran.status == 2
    said = ran.err.splitlines()[-1]
    assert said.startswith("csd ")
    for word in words:
        assert word in said


# One role.


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("generate in.nc --output ./in.nc", ["FILE.nc", "--output"]),
        ("generate in.nc --output out.nc --benchmark link.nc", ["FILE.nc", "--benchmark"]),
        (f"{TRAIN} --output out.nc --benchmark out.nc", ["--output", "--benchmark"]),
        (f"{TRAIN} --output out.nc --checkpoint ./out.nc", ["--output", "--checkpoint"]),
        (f"{TRAIN} --output out.nc --benchmark out.nc.checkpoint.npz", ["--benchmark", "--checkpoint"]),
        (f"{TRAIN} --output out.nc --benchmark out.nc.checkpoint.json", ["--benchmark", "progress", "--checkpoint"]),
        (f"{TRAIN} --output out.nc --checkpoint a.json", ["progress", "--checkpoint"]),
        ("train --architecture one_layer --noise-level 0.5 --data in.nc --output hard.nc", ["--data", "--output"]),
        ("mcmc --dimension 1 --size 8 --mass 1 --sampler hmc --output out.nc --benchmark out.nc", ["--benchmark"]),
        ("fit --summary in.nc --output in.nc", ["--summary", "--output"]),
        ("claims --summary in.nc --scaling s --claims c --output v --table v", ["--output", "--table"]),
        ("figure fields --summary in.nc --scaling fields.rst --output fields", ["--scaling", "--output"]),
        ("figure fields --summary . --scaling s --checkpoint out --output ./out", ["--output", "--checkpoint"]),
        ("explore --summary in.nc --output in.nc", ["--summary", "--output"]),
        ("pages --study in.nc --summary in.nc --claims pages/study.html --benchmarks . --output pages", ["--claims"]),
    ],
)
def test_a_file_in_two_roles_is_refused_before_work_begins(command: str, flags: list[str], run: Runner) -> None:
    Path("link.nc").symlink_to("in.nc")
    Path("hard.nc").hardlink_to("in.nc")
    Path("pages").mkdir()
    for name in ("fields.rst", "pages/study.html"):
        Path(name).write_text("input")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    refused(run(command), "name the same file", *flags)
    assert before == {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_every_flag_that_is_a_path_has_a_role() -> None:
    """A flag of type Path would not be checked, and not know ~."""
    for module in Path(cli.__file__).parent.glob("*.py"):
        assert "type=Path" not in module.read_text(encoding="utf-8"), module


def test_an_aggregate_spares_the_files_that_it_reads(run: Runner) -> None:
    study = {"study": "s", "sweeps": {"a": {"dimension": 1, "sizes": 8, "architectures": "two_layer"}}}
    study["training"] = {"seeds": [1], "noise_levels": [0.5], "batch": 16384}
    assert run(f"study --json {shlex.quote(str(study).replace(chr(39), chr(34)))} --output study.json").status == 0
    name = "training/d1_L8_mL1_two_layer_implicit-B16384_s1.nc"
    train = "train --architecture two_layer --dimension 1 --size 8 --noise-level 0.5 --batch 16384 --seed 1"
    assert run(f"{train} --output {name}").status == 0
    refused(run(f"aggregate --study study.json --files training --output {name}"), name, "--output")
    assert run("aggregate --study study.json --files training --output ./training/summary.nc").status == 0


def test_calls_refuse_what_commands_refuse(run: Runner) -> None:
    with pytest.raises(InputError, match="training and output name the same file"):
        package.generate("in.nc", output="./in.nc")
    with pytest.raises(InputError, match="output and checkpoint name the same file"):
        package.train("one_layer", **CALL, output="out.nc", checkpoint=Path("out.nc"))
    with pytest.raises(InputError, match="checkpoint name the same file"):
        package.train("one_layer", **CALL, output="out.nc", checkpoint="a.json")
    os.mkfifo("pipe")
    for call in (package.train, package.predict):
        with pytest.raises(NotWritten, match="named pipe"):
            call("one_layer", **CALL, output="pipe")


# Files of the user's.


@pytest.mark.parametrize(
    "command", [f"{TRAIN} --output", "generate in.nc --output", "explore --summary in.nc --output"]
)
def test_a_named_pipe_is_not_replaced(command: str, run: Runner) -> None:
    os.mkfifo("pipe")
    refused(run(f"{command} pipe"), "'pipe'", "named pipe")
    assert Path("pipe").is_fifo()


def test_the_name_of_a_folder_is_refused(run: Runner) -> None:
    for name in ("''", "new/"):
        refused(run(f"{TRAIN} --output {name}"), "--output", "names no file")
    with pytest.raises(NotWritten, match=r"'new/'.*names no file"):
        package.train("one_layer", **CALL, output="new/")
    with pytest.raises(NotWritten, match=r"'new/'.*names no file"):
        package.generate("in.nc", output="new/")
    assert [path.name for path in Path().iterdir()] == ["in.nc"]


def test_no_file_but_a_checkpoint_is_taken_for_one(run: Runner) -> None:
    """It would be replaced, and removed in the end: arrays of the user's, a training file, a record beside it."""
    np.savez("mine.npz", x=np.ones(3))
    Path("text.npz").write_text("not a checkpoint")
    Path("run.json").write_text('{"mine": 1}')
    for name, word in (("mine.npz", "mine.npz"), ("text.npz", "text.npz"), ("in.nc", "in.nc"), ("run.npz", "run.json")):
        refused(run(f"{TRAIN} --output out.nc --checkpoint {name}"), word)
    assert np.load("mine.npz")["x"].sum() == 3.0
    assert Path("run.json").read_text() == '{"mine": 1}'
    assert not Path("out.nc").exists()
    read("in.nc")


def test_a_tilde_in_a_flag_or_call_is_the_home_folder(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    assert run(f"{TRAIN} '--output=~/r/a.nc'").status == 0
    assert run("generate '~/r/a.nc' --output '~/r/b.nc' --samples 8").status == 0
    package.train("one_layer", **CALL, output="~/r/c.nc", progress=False)
    package.generate("~/r/c.nc", samples=8)
    assert sorted(path.name for path in Path("home/r").iterdir()) == ["a.nc", "b.nc", "c.nc"]
    assert package.read("~/r/c.nc").attrs["csd_file"] == "training"
    assert not Path("~").exists()


def test_the_longest_name_of_a_file_has_a_checkpoint(run: Runner) -> None:
    name = "n" * 252 + ".nc"
    assert run(f"{TRAIN} --output {name}").status == 0
    assert sorted(path.name for path in Path().iterdir()) == ["in.nc", name]
    refused(run(f"{TRAIN} --output n{name}"), "shorter name")


# Disks.


def on_small_disk(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell in a folder, where `small` is a disk of 32 kB, seen by them alone."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    (folder / "small").mkdir(exist_ok=True)
    csd = f'csd() {{ {shlex.quote(sys.executable)} -m csd "$@"; }}'
    script = "\n".join(["mount -t tmpfs -o size=32k none small || exit 77", csd, *lines])
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, env=on_path()
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no mounts of one's own here")
    return done


def test_a_training_that_cannot_be_written_is_kept_and_written_by_the_same_command(tmp_path: Path) -> None:
    command = f"{TRAIN} --kernel-steps recorded --output small/a.nc --checkpoint c.npz"
    said = on_small_disk(tmp_path, f"csd {command}", "ls -A small").stderr
    assert said.splitlines()[-1].startswith("csd train: output 'small/a.nc' cannot be written (No space left")
    assert "c.npz; the same command writes it without training again" in said
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["c.npz"]
    ran = outside(*shlex.split(command), folder=tmp_path)
    assert ran.status == 0
    assert "finished already" in ran.err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.nc"]
    written = (tmp_path / "small" / "a.nc").read_bytes()
    (tmp_path / "small" / "a.nc").unlink()
    outside(*shlex.split(command), folder=tmp_path)
    assert (tmp_path / "small" / "a.nc").read_bytes() == written


def test_disks_that_are_full_or_read_only_are_found_before_the_work(tmp_path: Path) -> None:
    chains = "mcmc --dimension 1 --size 8 --mass 1 --sampler heat_bath --sweeps 1000000000 --output small/b.nc"
    done = on_small_disk(
        tmp_path,
        f"csd {TRAIN} --kernel-steps recorded --output small/a.nc",
        "head -c 32768 /dev/zero > small/fill 2> /dev/null",
        f"csd {chains}",
        "rm small/fill; mount -o remount,ro small",
        f"csd {chains}",
    )
    last = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert [line.partition("(")[2].partition(")")[0] for line in last] == [
        "No space left on device",
        "No space left on device",
        "Read-only file system",
    ]
    assert "no checkpoint could be written either, the training is lost" in last[0]


def test_a_file_that_is_a_mount_point_is_refused_before_the_work(tmp_path: Path) -> None:
    """As a container has it: the file can be written, but not replaced."""
    chains = "mcmc --dimension 1 --size 8 --mass 1 --sampler heat_bath --sweeps 1000000000 --output b.nc"
    done = on_small_disk(tmp_path, "touch a.nc b.nc", "mount --bind a.nc b.nc || exit 77", f"csd {chains}", "ls -A")
    assert "output 'b.nc' cannot be written" in done.stderr.splitlines()[-1]
    assert "mount point" in done.stderr
    assert done.stdout.split() == ["a.nc", "b.nc", "small"]


def test_what_is_lost_is_said_where_there_is_no_checkpoint(tmp_path: Path) -> None:
    chains = "mcmc --dimension 1 --size 8 --mass 1 --sampler heat_bath hmc --sweeps 3000 --output small/b.nc"
    said = on_small_disk(tmp_path, f"csd {chains}").stderr.splitlines()[-1]
    assert said.startswith("csd mcmc: output 'small/b.nc' cannot be written (No space left on device)")
    assert said.endswith("its content is lost")


# Locks.


def test_a_file_that_another_process_has_locked_is_read_and_replaced(run: Runner) -> None:
    before = read("in.nc")
    with Path("in.nc").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert read("in.nc").equals(before)
        assert outside("show", "in.nc", folder=Path.cwd()).status == 0
        assert outside(*shlex.split(TRAIN), "--output", "in.nc", folder=Path.cwd()).status == 0


NO_LOCKS = """
#include <errno.h>
int flock(int file, int how) { errno = ENOLCK; return -1; }
"""
SCRIPT = """
import netCDF4
import csd
run = csd.train("one_layer", dimension=1, size=8, noise_levels=[0.5, 1.0], loss="population", output="b.nc")
assert csd.read("b.nc").equals(run)
"""


def test_files_are_written_and_read_on_a_file_system_without_locks(tmp_path: Path) -> None:
    """Also by a script that has imported netCDF4, whose HDF5 asks for locks, before csd."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "locks.c").write_text(NO_LOCKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "locks.so", "locks.c"], cwd=tmp_path, check=True)
    without = on_path() | {"LD_PRELOAD": str(tmp_path / "locks.so")}
    for words in (["-m", "csd", *shlex.split(TRAIN), "--output", "a.nc"], ["-c", SCRIPT]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=without, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert read(tmp_path / "a.nc").equals(read(tmp_path / "b.nc"))
