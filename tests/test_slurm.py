"""The workflow on a real SLURM of one node: to the end, through failures, with accounting; mistakes in one sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from csd.config import LONGEST, Run, expand, parse
from tests.slurm.cluster import ClusterError, clean, cluster, missing

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ROOT / "workflow" / "profiles"
# Looked at often, since the tests wait for it.
EAGER = {
    "slurm": ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"],
    "sbatch": ["--seconds-between-status-checks", "2", "--latency-wait", "5"],
}
SQUEUE = ["--slurm-status-command", "squeue"]
TRAINING = {"noise_levels": [0.1], "seeds": [1, 2], "batch": 1024, "tolerance": 0.1}
LINE = {"dimension": 1, "sizes": [8, 12], "architectures": ["one_layer", "two_layer"]}
GENERATION = {"dimension": 1, "sizes": [8], "architectures": ["two_layer"], "generation": {"steps": 8, "samples": 16}}


def study(folder: Path, **sweeps: Any) -> dict[str, Any]:
    """A small study in a folder of its own, with the networks that misbehave beside it."""
    folder.mkdir()
    shutil.copy(ROOT / "tests" / "slurm" / "misbehaving.py", folder)
    content = {"study": "small", "output": "out", "figures": ["learning_curves"], "training": TRAINING}
    content |= {"sweeps": sweeps}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return content


def misbehaving(*names: str) -> dict[str, Any]:
    """A sweep over networks that misbehave."""
    return {"dimension": 1, "sizes": [8], "architectures": [f"misbehaving:{name}" for name in names]}


def profile(kind: str, folder: Path, **resources: str) -> Path:
    """The project's profile, with its lines on account and partition filled in."""
    made = folder / "profiles" / kind
    shutil.copytree(PROFILES / kind, made)
    text = (made / "config.yaml").read_text()
    for name, value in resources.items():
        text, count = re.subn(rf"(?m)^  # {name}: .*$", f"  {name}: {value}", text)
        assert count == 1
    (made / "config.yaml").write_text(text)
    return made


def start(folder: Path, profile: Path, *options: str, path: str | None = None) -> subprocess.Popen[str]:
    """Snakemake on the study of a folder."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "workflow" / "Snakefile"),
        "--directory",
        str(folder),
    ]
    command += ["--workflow-profile", str(profile), "--configfile", str(folder / "config.yaml"), *EAGER[profile.name]]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH'] if path is None else path}"
    return subprocess.Popen(
        [*command, *options],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )


def finish(process: subprocess.Popen[str], status: int) -> str:
    """What Snakemake said, after it ended as it should."""
    try:
        output = process.communicate(timeout=240)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[0]) from None
    assert process.returncode == status, output
    return output


def jobs() -> dict[int, str]:
    """Memory that SLURM's jobs asked for, by number."""
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format=%i %m"], check=True, text=True, capture_output=True
    ).stdout
    return {int(line.split()[0]): line.split()[1] for line in listed.splitlines()}


@pytest.fixture
def plain() -> Iterator[None]:
    """A cluster without accounting."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with cluster():
        # One in use is nobody's leftover.
        with pytest.raises(ClusterError, match="in use"):
            clean()
        yield


@pytest.fixture
def accounting() -> Iterator[None]:
    """A cluster with accounting, whose user may charge the account csd."""
    reason = missing(accounting=True)
    if reason is not None:
        pytest.skip(reason)
    with cluster(accounting=True):
        yield


@pytest.mark.slurm
def test_failures_are_tried_again_or_reported(plain: None, tmp_path: Path) -> None:
    """Two studies at once. One comes to its end though a job fails once and another needs more memory. In the other,
    one run takes too long and one member of a group diverges; both are reported."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    content = study(good, line=LINE, generation=GENERATION, trouble=misbehaving("FailsOnce", "Hungry"))
    diverging = {"loss": "denoising", "batch": 4, "seeds": [1]}
    study(
        bad,
        line={**LINE, "sizes": [8], "training": diverging},
        fine={**LINE, "dimension": 2, "sizes": [6]},
        late=misbehaving("Endless"),
    )
    goes_wrong = start(
        bad, PROFILES / "slurm", *SQUEUE, "--retries", "0", "--set-resources", "train:runtime=1", "--", "aggregate"
    )
    try:
        said = finish(start(good, PROFILES / "slurm", *SQUEUE), status=0)
        # The whole study, group by group: two attempts each of the two runs that went wrong.
        assert said.count("Trying to restart job") == 2
        assert said.count("has been submitted with SLURM jobid") == 6
        assert "RuntimeError: the first attempt fails" in said
        (log,) = good.glob(".snakemake/slurm_logs/rule_train/*Hungry*/*.log")
        assert re.search(r"(?i)oom|out of memory|memory limit", log.read_text())
        memories = [memory for number, memory in jobs().items() if f"jobid {number} " in said]
        # Both groups and the four attempts; the summaries ask for 2000 MB at once.
        assert sorted(memories) == ["1000M"] * 3 + ["2000M"] * 3
        assert_complete(good, content)
        said = finish(goes_wrong, status=1)
    finally:
        goes_wrong.kill()
        goes_wrong.communicate()
    log = re.search(r"log: .*?(\S*/rule_train/\S*Endless\S*\.log) \(check log file", said)
    assert "SLURM status is: 'TIMEOUT'" in said
    assert log is not None
    assert "DUE TO TIME LIMIT" in Path(log[1]).read_text()
    assert "training diverged at step" in said
    # The other members that had been made by then are kept; which ones, SLURM does not say.
    assert not list((bad / "out" / "training").glob("*two_layer_denoising*"))


def assert_complete(folder: Path, content: dict[str, Any]) -> None:
    """Every file of the study is there, and what was trained on the cluster is what is trained without one."""
    for name in ("figures/learning_curves.pdf", "summary/claims.md", "summary/scaling.csv"):
        assert (folder / "out" / name).is_file()
    for run in expand(parse(content)):
        assert (folder / "out" / "training" / f"{run.identifier}.nc").is_file()
        record = json.loads((folder / "out" / "benchmarks" / f"{run.identifier}.json").read_text())
        assert record["wall_s"] / 60 < run.runtime_minutes() / 3
        if "Hungry" not in run.name:
            assert record["peak_memory_mb"] < run.memory_mb() / 2
    run = expand(parse(content))[0]
    again = folder / "again.nc"
    subprocess.run(
        [sys.executable, "-m", "csd", "train", *run.arguments(), "--output", str(again)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    there = folder / "out" / "training" / f"{run.identifier}.nc"
    with xr.open_dataset(there) as on_cluster, xr.open_dataset(again) as here:
        assert on_cluster.equals(here)


@pytest.mark.slurm
def test_accounts_are_charged_and_demanded(accounting: None, tmp_path: Path) -> None:
    """Both profiles, at once, charge the account that stands in them, and say so if it is missing."""
    running = {}
    for kind in EAGER:
        folder = tmp_path / kind
        content = study(folder, line=LINE, generation=GENERATION)
        running[kind] = start(folder, profile(kind, folder, slurm_account="csd", slurm_partition="paid"))
    for kind, process in running.items():
        finish(process, status=0)
        assert_complete(tmp_path / kind, content)
    charged = subprocess.run(
        ["sacct", "--allocations", "--noheader", "--parsable2", "--format=account,partition,state"],
        check=True,
        text=True,
        capture_output=True,
    ).stdout.split()
    # Two groups each: training with generation, and the summaries.
    assert charged == ["csd|paid|COMPLETED"] * 4
    for kind in EAGER:
        folder = tmp_path / f"{kind}-without"
        study(folder, line=LINE)
        said = finish(start(folder, profile(kind, folder, slurm_partition="paid")), status=1)
        assert re.search(
            r"SLURM refuses jobs with account not given, partition paid \(Invalid account or account/partition "
            rf"combination specified\): set slurm_account and slurm_partition at the top of workflow/profiles/{kind}/",
            said,
        )


@pytest.mark.parametrize("kind", sorted(EAGER))
@pytest.mark.workflow
def test_a_machine_without_slurm_is_one_sentence(kind: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "which"):
        (tools / name).symlink_to(shutil.which(name) or "")
    folder = tmp_path / "study"
    study(folder, line=LINE)
    said = finish(start(folder, PROFILES / kind, path=str(tools)), status=1)
    assert "SLURM's sbatch, squeue, scancel, scontrol, sinfo cannot be found: start this on a login node" in said


def rows(**changes: Any) -> list[Run]:
    """The rows of a study of one sweep."""
    sweep = {"dimension": 2, "sizes": [16], "architectures": ["one_layer"]} | changes
    return expand(parse({"study": "rows", "sweeps": {"all": sweep}}))


def test_each_attempt_asks_for_more() -> None:
    (run,) = rows()
    assert run.memory_mb(2) == 2 * run.memory_mb(1)
    assert run.runtime_minutes(2) == 2 * run.runtime_minutes(1)
    (long,) = rows(sizes=[512], training={"max_steps": 10**9})
    assert long.runtime_minutes(1) == long.runtime_minutes(2) == LONGEST
    assert long.group is None


def test_limits_hold_what_was_measured() -> None:
    """Wall times (s) and peak memories (MB) of jobs of config.yaml that took most, on a core of an EPYC processor."""
    grid = {"steps": 64, "samples": 256}
    levels = {"noise_levels": [0.01, 0.1, 0.5, 1.0], "batch": 1024}
    for wall, peak, changes in (
        (102, 106, {"sizes": [64], "mass": [0.015], "training": levels}),
        (68, 106, {"sizes": [64], "training": levels}),
        (53, 166, {"sizes": [32], "generation": grid, "training": levels | {"seeds": [1, 2]}}),
        (45, 105, {"dimension": 1, "sizes": [256], "training": levels}),
        (39, 151, {"dimension": 1, "sizes": [128], "generation": grid, "training": levels}),
        (22, 151, {"sizes": [256], "architectures": [{"name": "local_one_layer", "range": 2}], "training": levels}),
        (7, 237, {"architectures": [{"name": "local_one_layer", "range": "3xi"}], "generation": grid, "sizes": [32]}),
        (5, 106, {"dimension": 1, "sizes": [256], "architectures": [{"name": "deep_linear", "depth": 6}]}),
    ):
        (run,) = rows(**changes)
        assert wall < 60 * run.runtime_minutes() / 3
        assert peak < run.memory_mb() / 2
