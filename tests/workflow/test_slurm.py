"""The workflow on a real SLURM of one node: to the end, through failures, with accounting; mistakes in one sentence."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.cost.expected import GROUPS, LONGEST, ExpectedCost
from csd.study.cost.limits import Limits
from csd.study.stages.training import training_jobs
from tests.helpers import ROOT
from tests.slurm.cluster import ClusterError, clean, cluster, missing

PROFILES = ROOT / "workflow" / "profiles"
# Looked at often, since the tests wait for it.
EAGER = {
    "slurm": ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"],
    "sbatch": ["--seconds-between-status-checks", "2", "--latency-wait", "5"],
}
SQUEUE = ["--slurm-status-command", "squeue"]
TRAINING = {"noise_levels": [0.1], "seeds": [1, 2], "batch": 1024, "tolerance": 0.1}
LINE = {"dimension": 1, "sizes": [8, 12], "architectures": ["one_layer", "two_layer"]}
CHAINS = {"phi4": {"dimension": 1, "sizes": [8], "mass": 0.5, "samplers": ["heat_bath"], "sweeps": 2000, "fields": 64}}
CONDITIONED = {
    "dimension": 1,
    "sizes": [8],
    "data": {"monte_carlo": "phi4"},
    "architectures": [{"name": "wiener", "width": 2}],
    "generation": {"steps": 8, "samples": 16},
    "training": {
        "conditioned": True,
        "path": "fields",
        "loss": "denoising",
        "batch": 16,
        "max_steps": 20,
        "optimizer": ["adam", "adamw"],
    },
}
GENERATION = {"dimension": 1, "sizes": [8], "architectures": ["two_layer"], "generation": {"steps": 8, "samples": 16}}


def study(folder: Path, **sweeps: Any) -> dict[str, Any]:
    """A small study in a folder of its own, with the networks that misbehave beside it."""
    folder.mkdir()
    shutil.copy(ROOT / "tests" / "slurm" / "misbehaving.py", folder)
    content = {"study": "small", "output": "out", "figures": ["learning_curves"], "training": TRAINING}
    content |= {"sweeps": sweeps} | ({"monte_carlo": CHAINS} if CONDITIONED in sweeps.values() else {})
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
        output = process.communicate(timeout=300)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[0]) from None
    assert process.returncode == status, output
    return output


def jobs() -> dict[int, tuple[str, str]]:
    """(memory, GPUs) that SLURM's jobs asked for, by number."""
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--Format=JobID,MinMemory,tres-per-job"],
        check=True,
        text=True,
        capture_output=True,
    ).stdout
    return {int(number): (memory, gpus) for number, memory, gpus in map(str.split, listed.splitlines())}


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
    """Studies at once. One comes to its end though a job fails once and another needs more memory. In the second, a run
    needs a GPU that is not there and a member of a group diverges; both are reported, and a second call makes all the
    others. In the third, a run that is stopped by its time limit goes on in the next attempt. The last has the group of
    the second, in the profile whose groups go on after a failure."""
    folders = {name: tmp_path / name for name in ("good", "bad", "late", "group")}
    sweeps = {"line": LINE, "generation": GENERATION, "conditioned": CONDITIONED}
    content = study(folders["good"], **sweeps, trouble=misbehaving("FailsOnce", "Hungry"))
    diverging = {**LINE, "sizes": [8], "training": {"loss": "denoising", "batch": 4, "seeds": [1]}}
    fine = {**LINE, "dimension": 2, "sizes": [6]}
    device = {**LINE, "sizes": [6], "architectures": ["two_layer"], "training": {"device": "cuda"}}
    study(folders["bad"], line=diverging, fine=fine, device=device)
    slow = study(
        folders["late"], slow={**misbehaving("Slow"), "training": {"seeds": [1], "tolerance": 0, "max_steps": 2000}}
    )
    group = study(folders["group"], line=diverging, fine=fine)
    # Of the four, all but the one.
    others = {run.identifier for run in training_jobs(parse(group)) if run.sweep == "fine" or run.name == "one_layer"}
    once = ["--retries", "0", "--", "aggregate"]
    options = {
        "good": [],
        "bad": once,
        "late": ["--retries", "1", "--set-resources", "train:runtime=attempt", "--", "aggregate"],
    }
    started = {"late": start(folders["late"], PROFILES / "slurm", *SQUEUE, *options.pop("late"))}
    # SLURM looks at time limits every 30 s: before the first look after its limit, this one has kept a checkpoint.
    while not jobs():
        assert started["late"].poll() is None, started["late"].communicate()[0]
        time.sleep(0.5)
    started |= {name: start(folders[name], PROFILES / "slurm", *SQUEUE, *own) for name, own in options.items()}
    started["group"] = start(folders["group"], PROFILES / "sbatch", *once)
    try:
        assert_reported(finish(started["bad"], status=1))
        # The other members that had been made by then are kept; which ones, SLURM does not say.
        assert made(folders["bad"]) <= others
        each_alone = ["--group-components", "short=1", *once]
        started["bad"] = start(folders["bad"], PROFILES / "slurm", *SQUEUE, *each_alone)
        said = finish(started["good"], status=0)
        # The whole study, group by group, chains before what learns their fields: two attempts each of the two runs
        # that went wrong.
        assert said.count("Trying to restart job") == 2
        assert said.count("has been submitted with SLURM jobid") == 13
        assert "RuntimeError: the first attempt fails" in said
        (log,) = folders["good"].glob(".snakemake/slurm_logs/rule_train/*Hungry*/*.log")
        assert re.search(r"(?i)oom|out of memory|memory limit", log.read_text())
        memories = {number: memory for number, (memory, _) in jobs().items() if f"jobid {number} " in said}
        # The three aggregates and the group of summaries ask for 2000 MB at once.
        assert list(memories.values()).count("2000M") == 4
        # The two attempts of each of the two.
        limit = Limits(jobs_of(parse(content)))["training", misbehaving_run(content)].memory_limit
        attempts = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*misbehaving\S*", said)
        assert sorted(memories[int(number)] for number in attempts) == 2 * [f"{limit(1)}M"] + 2 * [f"{limit(2)}M"]
        assert_complete(folders["good"], content)
        for name in ("group", "bad"):
            said = finish(started[name], status=1)
            assert "training diverged at step" in said
            assert made(folders[name]) == others
        assert_gone_on(folders["late"], slow, finish(started["late"], status=0))
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


def misbehaving_run(content: dict[str, Any]) -> str:
    """The name of a run of a network from outside."""
    return next(run.identifier for run in training_jobs(parse(content)) if ":" in run.name)


def made(folder: Path) -> set[str]:
    """Names of the training files of a study."""
    return {path.stem for path in (folder / "out" / "training").glob("*.nc")}


def assert_reported(said: str) -> None:
    """What went wrong is said; a GPU was asked for where one is needed."""
    assert "training diverged at step" in said
    assert "PyTorch finds no GPU here" in said
    (number,) = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*rule_train/d1_L6_\S*", said)
    asked = jobs()
    assert asked.pop(int(number))[1] == "gres:gpu:1"
    assert not [gpus for _, gpus in asked.values() if "gpu" in gpus]


def assert_gone_on(folder: Path, content: dict[str, Any], said: str) -> None:
    """The first attempt was stopped by its time limit, and the second made what one attempt makes, byte by byte."""
    (run,) = training_jobs(parse(content))
    assert "SLURM status is: 'TIMEOUT'" in said
    reported = re.search(r"log: .*?(\S*/rule_train/\S*Slow\S*\.log) \(check log file", said)
    assert reported is not None
    assert "DUE TO TIME LIMIT" in Path(reported[1]).read_text()
    log = (folder / "out" / "logs" / "train" / f"{run.identifier}.log").read_text()
    assert re.search(r"(?m)^going on after step \d+, from out/checkpoints/", log)
    whole = folder / "whole"
    whole.mkdir()
    shutil.copy(folder / "misbehaving.py", whole)
    (whole / "begun").touch()
    command = shlex.split(log.splitlines()[0])
    subprocess.run(
        [sys.executable, "-m", *command],
        check=True,
        cwd=whole,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    file = Path("out") / "training" / f"{run.identifier}.nc"
    with xr.open_dataset(whole / file) as once, xr.open_dataset(folder / file) as resumed:
        assert once.identical(resumed)
    assert (whole / file).read_bytes() == (folder / file).read_bytes()


def assert_complete(folder: Path, content: dict[str, Any]) -> None:
    """Every file of the study is there, and what was trained on the cluster is what is trained without one."""
    for name in ("figures/learning_curves.pdf", "summary/claims.md", "summary/scaling.csv"):
        assert (folder / "out" / name).is_file()
    for run in training_jobs(parse(content)):
        assert (folder / "out" / "training" / f"{run.identifier}.nc").is_file()
        record = json.loads((folder / "out" / "benchmarks" / f"{run.identifier}.json").read_text())
        limits = Limits(jobs_of(parse(content)))["training", run.identifier]
        assert record["wall_s"] / 60 < limits.time_limit() / 3
        if "Hungry" not in run.name:
            assert record["peak_memory_mb"] < limits.memory_limit() / 2
    run = training_jobs(parse(content))[0]
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
    # Of each: training with generation, the comparison of integrators, two aggregates, the group of summaries.
    assert charged == ["csd|paid|COMPLETED"] * 10
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


def limits_of(**changes: Any) -> ExpectedCost:
    """What the training job of a study of one run may take."""
    sweep = {"dimension": 2, "sizes": [16], "architectures": ["one_layer"]} | changes
    jobs = jobs_of(parse({"study": "jobs", "sweeps": {"all": sweep}}))
    (identifier,) = jobs["training"]
    return Limits(jobs)["training", identifier]


def test_each_attempt_asks_for_more() -> None:
    short = limits_of()
    assert short.memory_limit(2) == 2 * short.memory_limit(1)
    assert short.time_limit(2) == 2 * short.time_limit(1)
    assert short.group == "short"
    long = limits_of(sizes=[512], training={"max_steps": 10**9})
    assert long.time_limit(1) == long.time_limit(2) == LONGEST
    assert long.group is None


def test_networks_from_outside_have_jobs_of_their_own() -> None:
    """They are not looked for, and asked for what one layer takes by autograd."""
    outside = limits_of(architectures=["nowhere:Network"], target="nowhere:Target")
    assert outside.group is None
    assert outside.memory_limit() > limits_of().memory_limit()
    assert outside.steps == limits_of().steps


@pytest.mark.parametrize("kind", sorted(EAGER))
def test_profiles_share_jobs_as_the_estimate_has_it(kind: str) -> None:
    written = yaml.safe_load((PROFILES / kind / "config.yaml").read_text())["group-components"]
    assert {name: written[name] for name in GROUPS} == {name: shared.members for name, shared in GROUPS.items()}


def test_limits_hold_what_was_measured() -> None:
    """Processor times (s) and peak memories (MB) of long jobs of config.yaml, on a core of an EPYC processor."""
    grid = {"steps": 64, "samples": 256}
    levels = {"noise_levels": [0.01, 0.1, 0.5, 1.0], "batch": 1024, "seeds": list(range(1, 9)), "seeds_per_job": 8}
    local_two = [{"name": "local_two_layer", "range": "3xi"}]
    tied = levels | {"seeds": [1, 2, 3, 4], "learning_rate": 0.125}
    deep = [{"name": "deep_linear", "depth": 6}]
    follows = [{"name": "local_one_layer", "range": "3xi"}]
    for seconds, peak, changes in (
        (19, 187, {"sizes": [64], "training": levels}),
        (26, 505, {"sizes": [32], "generation": grid, "training": levels}),
        (17, 188, {"dimension": 1, "sizes": [256], "training": levels}),
        (31, 314, {"dimension": 1, "sizes": [128], "generation": grid, "training": levels}),
        (10, 263, {"sizes": [256], "architectures": [{"name": "local_one_layer", "range": 2}], "training": levels}),
        (5, 492, {"architectures": follows, "generation": grid, "sizes": [32], "training": levels}),
        (3, 187, {"dimension": 1, "sizes": [256], "architectures": deep, "training": levels}),
        (3, 192, {"sizes": [24], "architectures": local_two, "generation": grid, "training": tied}),
        (113, 189, {"dimension": 1, "sizes": [512], "training": levels | {"max_steps": 3_000_000}}),
        (45, 209, {"dimension": 3, "sizes": [32], "training": levels}),
    ):
        limits = limits_of(**changes)
        assert 5 * seconds < 60 * limits.time_limit()
        assert 1.5 * peak + 300 < limits.memory_limit()
