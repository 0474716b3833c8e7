"""What a study is expected to cost, against what its jobs then take."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd.study.cost.estimate
from csd.api.training import trained
from csd.cli.commands import main
from csd.lattice import Lattice
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.cost.calibration import calibrate
from csd.study.cost.estimate import by_autograd, expected_costs, steps_of
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.limits import Limits, cluster_jobs, corrected, other_jobs, study_costs
from csd.study.cost.pace import REFERENCE, Calibration, JobPace, Pace
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import TrainingJob
from csd.training.loop import train_network
from csd.training.reference import expected_steps
from tests.helpers import ROOT, runs_of

NO_TIME = Pace(0.0, 0.0)
MEASURED = Calibration(JobPace(0.0, 0.0), *[NO_TIME] * 8)
"""A machine that takes no time, for what does not depend on it."""


def runs_in(sweep: dict[str, Any], **training: Any) -> list[TrainingJob]:
    """The training jobs of one sweep."""
    keys = {"noise_levels": [0.1, 0.5], "batch": 1024, "seeds": [1, 2]} | training
    return runs_of({"study": "s", "training": keys, "sweeps": {"own": sweep}})


def run_job(run: TrainingJob, folder: Path) -> tuple[dict[str, float], int]:
    """(record, bytes of the file) of a run's training as a process of its own."""
    file, record = folder / f"{run.identifier}.nc", folder / "record.json"
    words = ["train", *run.arguments(), "--output", str(file), "--benchmark", str(record)]
    subprocess.run([sys.executable, "-m", "csd", *words], check=True, capture_output=True)
    return json.loads(record.read_text()), file.stat().st_size


@pytest.fixture(scope="module")
def here() -> Calibration:
    """How fast this machine is."""
    return calibrate()


SMALL = {
    "dimension": 1,
    "sizes": [16],
    "architectures": ["one_layer", "two_layer", {"name": "deep_linear", "depth": 3}],
}
LOCAL = {"dimension": 2, "sizes": [16], "architectures": [{"name": "local_one_layer", "range": [1, 2, "3xi"]}]}


@pytest.mark.parametrize("sweep", [SMALL, LOCAL], ids=["full", "local"])
def test_steps_are_those_that_training_takes(sweep: dict[str, Any]) -> None:
    runs = runs_in(sweep)
    for run, steps in zip(runs, steps_of(runs), strict=True):
        assert train_network(*run.problem()).last_step.max() == pytest.approx(steps, rel=0.1), run.identifier


def test_steps_of_multiscale_networks_are_about_right() -> None:
    """By a factor of two, for the slowest of two seeds and levels."""
    sweep = {"architectures": ["multiscale", "multiscale_blocks"]}
    line = runs_in(sweep | {"dimension": 1, "sizes": [16, 64]}, loss="population")
    plane = runs_in(sweep | {"dimension": 2, "sizes": [16, 32]}, loss="population")
    for run, steps in zip(line + plane, steps_of(line + plane), strict=True):
        assert 0.5 < train_network(*run.problem()).last_step.max() / steps < 2.0, run.identifier


def test_a_grid_of_levels_is_known_by_a_few_of_them() -> None:
    """The few, and the last of all 25 levels that a training comes to."""
    for run in runs_in(SMALL | {"generation": {"steps": 24}}):
        (steps,) = steps_of([run])
        assert train_network(*run.problem()).last_step.max() == pytest.approx(steps, rel=0.25), run.identifier


def test_steps_until_samples_are_right_are_known() -> None:
    """To the recorded step at which training ends."""
    for run in runs_in(
        SMALL | {"architectures": ["one_layer", "two_layer"], "generation": {"steps": 32}}, until="samples", batch=10**6
    ):
        (steps,) = steps_of([run])
        content = trained(*run.problem(), "csd train")
        assert content["last_step"].values.max() == pytest.approx(steps, rel=0.25), run.identifier


def test_between_masses_steps_are_interpolated() -> None:
    masses = np.geomspace(0.02, 0.5, 40).tolist()
    runs = runs_in(LOCAL | {"mass": masses})
    for run, steps in zip(runs, steps_of(runs), strict=True):
        assert steps == pytest.approx(expected_steps(*run.problem()), rel=0.1), run.identifier


def test_ten_thousand_runs_need_the_steps_of_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    masses = np.linspace(0.1, 0.5, 2500).tolist()
    runs = runs_in(LOCAL | {"sizes": [8], "architectures": ["one_layer", *LOCAL["architectures"]], "mass": masses})
    assert len(runs) == 10_000
    asked = []
    monkeypatch.setattr(csd.study.cost.estimate, "expected_steps", lambda *problem: asked.append(problem) or 10.0)
    estimates = expected_costs(runs, MEASURED)
    assert [job.identifier for job in estimates] == [run.identifier for run in runs]
    assert 0 < len(asked) <= 4 * csd.study.cost.estimate.MASSES


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_modes_are_counted_without_making_them(dimension: int) -> None:
    for size in (2, 3, 8, 9):
        lattice = Lattice(dimension, size)
        assert csd.study.cost.estimate.pairs_of(lattice) == len(lattice.pairs)
        assert csd.study.cost.estimate.shells_of(lattice) == len(lattice.shells)


def test_memory_and_disk_are_those_of_a_job(here: Calibration, tmp_path: Path) -> None:
    """Of full and local networks, with kernels kept and without; the process itself is measured by a job of nothing."""
    wide = runs_in({"dimension": 3, "sizes": [32], "architectures": ["two_layer"]}, seeds=[1, 2, 3, 4])
    kept = runs_in({"dimension": 2, "sizes": [24], "architectures": ["one_layer"], "generation": {"steps": 16}})
    machine = Calibration(here.job, *[NO_TIME] * 8)
    for run in (*wide, *kept):
        (job,) = [job for job in expected_costs([run], machine) if job.stage == "training"]
        record, size = run_job(run, tmp_path)
        assert job.memory_mb == pytest.approx(record["peak_memory_mb"], rel=0.3), run.identifier
        # How far kernels that are kept compress depends on how they grow.
        assert 0.5 < job.disk_mb / (size / 1e6) < 2.0, run.identifier


@pytest.mark.parametrize(("name", "size", "loss"), [("one_layer", 32, "implicit"), ("multiscale", 64, "population")])
def test_the_time_of_a_job_is_about_right(name: str, size: int, loss: str, here: Calibration, tmp_path: Path) -> None:
    """Processor time, by a factor of four, as others may use the machine."""
    (run,) = runs_in({"dimension": 2, "sizes": [size], "architectures": [name]}, loss=loss)
    (job,) = expected_costs([run], here)
    before = os.times()
    run_job(run, tmp_path)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert 0.25 < job.seconds / seconds < 4.0


def test_time_grows_with_what_is_asked() -> None:
    """Twice the samples, twice the time of sampling; other seeds in jobs of their own, twice the jobs."""
    machine = Calibration(JobPace(0.0, 0.0), *[NO_TIME] * 5, Pace(1.0, 1.0), NO_TIME, NO_TIME)
    sweep = SMALL | {"generation": {"steps": 24, "samples": 100, "integrator": "exponential"}}
    once = expected_costs(runs_in(sweep), machine)
    twice = expected_costs(
        runs_in(sweep | {"generation": {"steps": 24, "samples": 200, "integrator": "exponential"}}), machine
    )
    assert [job.seconds for job in twice] == pytest.approx([2.0 * job.seconds for job in once])
    assert sum(job.seconds for job in once) > 0.0
    runs = runs_in(sweep, seeds=[1, 2, 3, 4], seeds_per_job=2)
    more = expected_costs(runs, machine)
    assert len(more) == len(runs) + len(generation_jobs(runs)) == 2 * len(once)
    assert sum(job.seconds for job in more) == pytest.approx(2.0 * sum(job.seconds for job in once))
    slow = Calibration(JobPace(1.0, 0.0), *[NO_TIME] * 8)
    assert other_jobs(more, 3, slow) > other_jobs(once, 3, slow) > other_jobs(once, 2, slow)


def test_raw_fields_are_by_autograd_and_more_work() -> None:
    spectral, fields = (
        runs_in({"dimension": 1, "sizes": [16], "architectures": ["one_layer"]}, loss="implicit", path=path)
        for path in ("spectral", "fields")
    )
    assert [by_autograd(run) for run in (*spectral, *fields)] == [False, True]
    machine = Calibration(JobPace(0.1, 50.0), *[NO_TIME] * 8, Pace(0.0, 1e-9), JobPace(2.0, 300.0))
    (fast,), (slow,) = expected_costs(spectral, machine), expected_costs(fields, machine)
    # 2 seeds × 2 levels × 1024 fields × 16 sites a step.
    assert slow.seconds == pytest.approx(2.0 + slow.steps * 2 * 2 * 1024 * 16 * 1e-9)
    assert fast.memory_mb < 300.0 < slow.memory_mb


def test_jobs_of_a_large_study_on_a_cluster_last_minutes() -> None:
    """Half of them longer than two minutes; together they take what all take."""
    jobs = jobs_of(parse(load(ROOT / "config" / "large.yaml")))
    costs = study_costs(jobs, REFERENCE)
    shared = cluster_jobs(costs, jobs)
    assert sum(shared) == pytest.approx(sum(cost.seconds for cost in costs))
    assert 120.0 < float(np.median(shared)) < 3600.0
    # Each is estimated with its own kind as it is with all.
    limits = Limits(jobs)
    for cost in costs[:: len(costs) // 7]:
        assert limits[cost.stage, cost.identifier] == cost
        parent = STAGES[cost.stage].parent(jobs[cost.stage][cost.identifier])
        if parent is not None:
            own, before = limits.group(cost.stage, cost.identifier), limits.group("training", parent.identifier)
            assert own == (before or "generate")


def test_records_of_past_jobs_correct_what_is_expected(tmp_path: Path) -> None:
    """Jobs of a family by those of them that have a record, others by all of their stage, a stage without any not."""

    def cost(stage: str, name: str, family: str) -> ExpectedCost:
        return ExpectedCost(stage, name, 10.0, 100.0, 1.0, family=family)

    costs = [cost("training", name, family) for name, family in (("a", "one"), ("b", "one"), ("c", "two"))]
    costs += [cost("generation", "a", "heun"), cost("monte_carlo", "m", "hmc")]
    (tmp_path / "benchmarks" / "generation").mkdir(parents=True)
    (tmp_path / "benchmarks" / "a.json").write_text(json.dumps({"cpu_s": 30.0}))
    (tmp_path / "benchmarks" / "generation" / "a.json").write_text(json.dumps({"cpu_s": 5.0}))
    (tmp_path / "benchmarks" / "b.json").write_text("damaged")
    found, records = corrected(costs, tmp_path)
    assert records == 2
    assert [one.seconds for one in found] == [30.0, 30.0, 30.0, 5.0, 10.0]
    assert corrected(costs, tmp_path / "absent") == (costs, 0)


def test_the_time_of_a_gpu_is_not_known() -> None:
    sweep = {"dimension": 1, "sizes": [16], "architectures": ["two_layer"]}
    (here,), (there,) = (expected_costs(runs_in(sweep, device=device), MEASURED) for device in ("cpu", "cuda"))
    assert (here.group, there.group) == ("short", None)


def test_validate_says_what_a_study_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        "study: s\nsweeps: {line: {dimension: 1, sizes: [8, 16], architectures: [one_layer, two_layer]}}\n"
    )
    main(["validate", str(study)])
    said = capsys.readouterr().out
    assert "jobs          4 of training, 0 of generation" in said
    for part in ("core time", "longest job", "most memory", "disk"):
        assert f"  {part} " in said
    main(["validate", "--no-cost", str(study)])
    assert capsys.readouterr().out == said.split("expected, from")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
