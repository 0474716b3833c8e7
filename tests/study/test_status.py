"""Which files of a study are damaged, stale or foreign, and how far it is."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import TRAINING, read, write
from csd.study.config.reading import parse
from csd.study.config.study import Study, jobs_of
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import training_jobs
from csd.study.status import Fault, job_states, status_lines, study_of, verify_files
from csd.study.summaries.files import training_file
from csd.study.summaries.training import aggregate_training
from tests.helpers import runs_of, train_files

CONTENT = {
    "study": "small",
    "figures": [],
    "integrator_steps": {"dimension": 1, "sizes": [8]},
    "training": {"loss": "population", "noise_levels": [0.1], "seeds": [1]},
    "sweeps": {
        "line": {"dimension": 1, "sizes": [6, 8], "architectures": ["one_layer"]},
        "generated": {
            "dimension": 1,
            "sizes": [6],
            "architectures": ["two_layer"],
            "generation": {"steps": 4, "samples": 4, "transfer": 2},
        },
    },
}
STUDY = parse(CONTENT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the study, made by the commands that the workflow runs."""
    folder = tmp_path_factory.mktemp("results")
    (asked,) = jobs_of(STUDY)["integrators"].values()
    main(["integrators", *asked.arguments(), "--output", str(folder / "summary" / "integrators.nc")])
    for run in training_jobs(STUDY):
        main(["train", *run.arguments(), "--output", str(folder / "training" / f"{run.identifier}.nc")])
    for job in generation_jobs(training_jobs(STUDY)):
        training = folder / "training" / f"{job.run.identifier}.nc"
        output = folder / "generation" / f"{job.identifier}.nc"
        main(["generate", str(training), *job.arguments(), "--output", str(output)])
    main(["study", "--json", json.dumps(CONTENT), "--output", str(folder / "summary" / "study.json")])
    return folder


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for path in finished.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(finished)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


def only(study: Study, folder: Path) -> Fault:
    """The one fault."""
    _, (fault,) = verify_files(study, folder)
    return fault


def first(folder: Path, part: str = "training") -> Path:
    return sorted((folder / part).glob("*.nc"))[0]


def test_a_good_study(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_files(STUDY, results) == (6, [])
    main(["verify", str(results)])
    assert re.findall(r"\d+", capsys.readouterr().out.splitlines()[-1]) == ["6", "6", "0"]
    assert study_of(results, None).sweeps == STUDY.sweeps


@pytest.mark.parametrize("part", ["training", "generation"])
def test_a_damaged_file(results: Path, part: str) -> None:
    path = first(results, part)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    fault = only(STUDY, results)
    assert (fault.path, fault.state) == (path, "damaged")
    assert fault.mend.endswith(f" --force {path}, then run the study again")


def test_a_file_that_may_not_be_read_is_not_made_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = first(results), Path.open

    def refused(asked: Path, *how: str) -> Any:
        if asked == path:
            raise PermissionError(13, "Permission denied")
        return opened(asked, *how)

    monkeypatch.setattr(Path, "open", refused)
    fault = only(STUDY, results)
    assert (fault.path, fault.state) == (path, "unreadable")
    assert "Permission denied" in fault.reason
    assert "force" not in fault.mend


@pytest.mark.parametrize("part", ["training", "generation"])
def test_a_file_that_other_code_made(results: Path, part: str) -> None:
    path = first(results, part)
    with xr.open_dataset(path) as file:
        dataset = file.load()
    dataset.attrs["source_hash"] = "0" * 16
    dataset.to_netcdf(path)
    states = {(fault.path, fault.state, fault.reason) for fault in verify_files(STUDY, results)[1]}
    assert (path, "stale", "other code made it") in states


def test_a_generation_file_of_a_training_file_that_was_made_again(results: Path) -> None:
    (run,) = (run for run in training_jobs(STUDY) if run.generation is not None)
    path = results / "generation" / f"{run.identifier}.nc"
    with xr.open_dataset(path) as file:
        dataset = file.load()
    dataset.attrs["training_source_hash"] = "0" * 16
    dataset.to_netcdf(path)
    fault = only(STUDY, results)
    assert (fault.path, fault.reason) == (path, "its training file was made again by other code")


def test_files_of_another_configuration(results: Path) -> None:
    """A tolerance is not in a file's name, but in its hash; the sampler's number of fields likewise."""
    changed = parse({**CONTENT, "training": {**CONTENT["training"], "tolerance": 0.02}})  # type: ignore[dict-item]
    checked, faults = verify_files(changed, results)
    assert checked == 6
    assert {fault.reason for fault in faults} == {"another configuration made it"}
    assert len(faults) == 5
    with pytest.raises(InputError, match=r"tolerance is 0\.01\b.*\b0\.02"):
        aggregate_training([run for run in training_jobs(changed) if run.generation is None], results / "training")
    sweeps = yaml.safe_load(yaml.safe_dump(CONTENT["sweeps"]))
    sweeps["generated"]["generation"]["samples"] = 5
    assert len(verify_files(parse({**CONTENT, "sweeps": sweeps}), results)[1]) == 2


@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_what_is_no_file_in_place_of_one(what: str, results: Path) -> None:
    path = first(results)
    path.unlink()
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("gone")}
    make[what]()
    fault = only(STUDY, results)
    assert (fault.path, fault.state) == (path, "damaged")
    assert {"folder": "a folder", "pipe": "a named pipe", "link": "gone"}[what] in fault.reason
    assert fault.mend == "move it away, then run the study again"


def test_files_of_no_run(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stray = results / "training" / "d1_L99_mL1_one_layer_population_s1.nc"
    stray.write_bytes(b"")
    (results / "training" / ".d1_L6.nc.x7.nc").write_bytes(b"")
    (results / "training" / ".d1_L6.nc.0123abcd").write_bytes(b"")
    _, faults = verify_files(STUDY, results)
    assert {(fault.path.name, fault.state, "was killed" in fault.reason) for fault in faults} == {
        (stray.name, "foreign", False),
        (".d1_L6.nc.x7.nc", "foreign", False),
        (".d1_L6.nc.0123abcd", "foreign", True),
    }
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(results)])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert f"mend: rm {stray}" in out
    assert re.findall(r"\d+", out.splitlines()[-1]) == ["6", "6", "3"]


def test_files_of_different_versions_are_not_aggregated_without_a_flag(results: Path) -> None:
    runs = [run for run in training_jobs(STUDY) if run.generation is None]
    path = first(results)
    with xr.open_dataset(path) as file:
        dataset = file.load()
    dataset.attrs["source_hash"] = "0" * 16
    dataset.to_netcdf(path)
    with pytest.raises(InputError, match="--mixed"):
        aggregate_training(runs, results / "training")
    assert aggregate_training(runs, results / "training", mixed=True).sizes["run"] == 2


def test_how_far_a_study_is(results: Path) -> None:
    """One job of each kind: done, running, stopped, failed, left."""
    runs = training_jobs(STUDY)
    names = [run.identifier for run in runs]
    for name in names:
        (results / "training" / f"{name}.nc").unlink()
    (results / "logs" / "train").mkdir(parents=True)
    (results / "checkpoints").mkdir()
    told = {"step": 1200, "excess": 3.5, "expected_steps": 4000.0, "updated": time.time()}
    (results / "checkpoints" / f"{names[0]}.json").write_text(json.dumps(told))
    (results / "logs" / "train" / f"{names[1]}.log").write_text("csd train --size 8\ncsd train: out of memory\n")
    states = {job.name: job for job in job_states(jobs_of(STUDY), results)}
    assert states[f"training/{names[0]}"].state == "running"
    assert states[f"training/{names[0]}"].about == "step 1,200 of about 4,000, error 3.5 times the tolerance"
    assert states[f"training/{names[1]}"].state == "failed"
    assert states[f"training/{names[2]}"].state == "left"
    assert states[f"generation/{names[2]}"].state == "done"
    # A file that was made and removed is to be made again.
    (results / "logs" / "train" / f"{names[2]}.log").write_text(
        "csd train --size 6\nnoise level 0.1: training time 7\n"
    )
    assert [job.state for job in job_states(jobs_of(STUDY), results)][2] == "left"
    # Told too long ago, with a checkpoint beside it: killed.
    (results / "checkpoints" / f"{names[0]}.json").write_text(json.dumps({**told, "updated": time.time() - 3600}))
    (results / "checkpoints" / f"{names[0]}.npz").write_bytes(b"")
    (results / "logs" / "train" / f"{names[0]}.log").write_text("csd train --size 6\n")
    lines = list(status_lines(STUDY, list(job_states(jobs_of(STUDY), results))))
    assert lines[0] == "small: 6 jobs, 3 done, 0 running, 1 failed, 1 stopped, 1 left"
    assert lines[1:] == [
        f"  stopped  training/{names[0]}: its checkpoint is kept",
        f"  failed   training/{names[1]}: csd train: out of memory (sweeps.line)",
    ]


def test_status_says_what_time_is_left(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", str(results)])
    assert capsys.readouterr().out == "small: 6 jobs, 6 done, 0 running, 0 failed, 0 stopped, 0 left\n"
    first(results).unlink()
    main(["status", str(results)])
    out = capsys.readouterr().out
    assert "5 done, 0 running, 0 failed, 0 stopped, 1 left" in out
    assert re.search(r"about \d+ s of core time", out)


def test_a_folder_that_is_no_study_s(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"summary/study\.json .*--config"):
        study_of(tmp_path, None)
    with pytest.raises(InputError, match="absent"):
        study_of(tmp_path / "absent", None)


def test_files_of_other_user_defined_code_are_not_mixed(tmp_path: Path) -> None:
    """Jobs of one class share its hash; jobs of other classes do not."""
    loss = "csd.training.losses:Denoising"
    sweep = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
    study = {
        "study": "s",
        "training": {"noise_levels": [0.1], "seeds": [1], "max_steps": 3},
        "sweeps": {"a": {**sweep, "sizes": [8, 10], "training": {"loss": loss}}, "b": sweep},
    }
    jobs = runs_of(study)
    train_files(jobs, tmp_path)

    def aggregated(*hashes: str) -> int:
        for job, digits in zip(jobs, hashes, strict=True):
            path = training_file(job, tmp_path)
            write(read(path, TRAINING).assign_attrs(source_hash=f"{'0' * 16}{digits}"), path, TRAINING)
        return int(aggregate_training(jobs, tmp_path).sizes["run"])

    assert aggregated("1" * 16, "1" * 16, "") == 3
    with pytest.raises(InputError, match="--mixed"):
        aggregated("1" * 16, "2" * 16, "")
