"""Nothing that is wrong looks good: full disks, folders that cannot be written, one run of a hundred that fails."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.stages.training import training_jobs
from csd.study.status import job_states, verify_files
from tests.helpers import outside, snakemake

TRAIN = ["train", "--architecture", "one_layer", "--dimension", "2", "--noise-level", "0.1", "--loss", "population"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = shutil.which("mount") and os.geteuid() == 0
    if not made or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "csd", str(folder)]).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_leaves_old_files_and_a_clear_error(small_disk: Path) -> None:
    first = outside(*TRAIN, "--size", "6", "--output", "run.nc", folder=small_disk)
    assert first.status == 0, first.err
    before = (small_disk / "run.nc").read_bytes()
    room = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(bytes(max(room - 16_000, 0)))
    second = outside(*TRAIN, "--size", "32", "--seed", *map(str, range(40)), "--output", "run.nc", folder=small_disk)
    assert second.status == 2
    last = second.err.strip().splitlines()[-1]
    assert last.startswith("csd train: ")
    assert "'run.nc'" in last
    assert "(No space left on device); make room on the disk" in last
    assert (small_disk / "run.nc").read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "run.nc"]


@pytest.mark.workflow
def test_one_failing_run_of_a_hundred(tmp_path: Path) -> None:
    """99 results, and one report that says what failed and how."""
    study = {
        "study": "hundred",
        "output": "out",
        "figures": [],
        "training": {"noise_levels": [0.5], "seeds": [1], "loss": "population"},
        "sweeps": {
            "good": {
                "dimension": 1,
                "sizes": [4],
                "mass": [0.5 + 0.01 * i for i in range(99)],
                "architectures": ["one_layer"],
            },
            "bad": {"dimension": 1, "sizes": [4], "architectures": ["two_layer"], "training": {"learning_rate": 5.0}},
        },
    }
    with pytest.raises(AssertionError, match=r"csd train: .*diverged"):
        snakemake(tmp_path, study)
    found = list(job_states(jobs_of(parse(study)), tmp_path / "out"))
    states = [job.state for job in found if job.name.startswith("training/")]
    assert (states.count("done"), states.count("failed")) == (99, 1)
    (failed,) = (job for job in found if job.state == "failed")
    assert "with learning rate 5; it must be below 1" in failed.about
    assert len(training_jobs(parse(study))) == 100
    assert verify_files(parse(study), tmp_path / "out") == (100, [])
