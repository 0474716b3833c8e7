"""Fields of a file in a study: what is checked, and what runs again when the file changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.status import job_states, verify_files
from csd.study.summaries.training import aggregate_training
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner, planned, runs_of, snakemake, train_files

FIELDS = GaussianField(Lattice(2, 8), 0.5).sample(stream("fields of a study"), 200)


def content(**data: Any) -> dict[str, Any]:
    """A study of one network on fields.npy."""
    sweep: dict[str, Any] = {"dimension": 2, "sizes": 8, "data": {"file": "fields.npy", **data}}
    return {
        "study": "own fields",
        "training": {"loss": "population", "noise_levels": [0.1], "seeds": [1], "tolerance": 0.1, "max_steps": 500},
        "sweeps": {"mine": {**sweep, "architectures": "two_layer"}},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the fields."""
    monkeypatch.chdir(tmp_path)
    np.save("fields.npy", FIELDS)
    return tmp_path


def test_a_job_is_its_command_and_its_file(folder: Path) -> None:
    (run,) = runs_of(content(kappa=0.2, **{"lambda": 1}))
    words = " ".join(run.arguments())
    assert "--data fields.npy --dimension 2 --size 8 --kappa 0.2 --lambda 1.0" in words
    assert "--data-set 160" in words
    assert run.request["data_set"] == 160
    assert run.request["kappa"] == 0.2
    assert run.identifier.startswith("d2_L8_fields.")
    (other,) = runs_of(content())
    assert other.identifier != run.identifier


def test_a_changed_file_makes_its_files_stale(folder: Path) -> None:
    study = parse(content())
    (run,) = jobs_of(study)["training"].values()
    before = STAGES["training"].data(run)
    train_files([run], folder / "results" / "training")
    summary = aggregate_training([run], folder / "results" / "training")
    assert summary["target"].values.tolist() == ["data"]
    assert next(job.state for job in job_states(jobs_of(study), folder / "results")) == "done"
    np.save("fields.npy", FIELDS[::-1])
    assert STAGES["training"].data(run) != before
    _, faults = verify_files(study, folder / "results")
    assert [fault.state for fault in faults] == ["stale"]
    with pytest.raises(InputError, match="the study asks for"):
        aggregate_training([run], folder / "results" / "training")


def test_a_study_that_was_written_is_read_again(folder: Path) -> None:
    """It has every key, and null where there are no data."""
    study = content()
    study["sweeps"]["other"] = {"dimension": 2, "sizes": 8, "architectures": "two_layer"}
    written = parse(study).model_dump(mode="json")
    assert written["sweeps"]["other"]["data"] is None
    assert parse(written) == parse(study)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": {"file": "none.npy"}}, r"sweeps.mine: data.file is 'none.npy'"),
        ({"data": {"file": "fields.npy", "key": "phi"}}, "no array 'phi'"),
        ({"data": {"file": "fields.npy", "kappa": 0.2}}, "kappa and lambda belong together"),
        ({"data": {"file": "fields.npy", "kapa": 0.2}}, "did you mean 'kappa'"),
        ({"data": {"key": "phi"}}, "data.file: this key is missing"),
        ({"sizes": [8, 16]}, "size 16"),
        ({"data": "fields.npy"}, r"sweeps.mine: .*must be a mapping, such as data: {file: fields.npy}"),
        ({"data": None}, r"sweeps.mine: data is None; it must be a mapping"),
        ({"data": [{"file": "fields.npy"}]}, r"sweeps.mine: .*must be a mapping"),
        ({"dimension": 3}, "dimension 3"),
        ({"mass": 0.1}, "data and mass are both given"),
        ({"target": "package.module:Class"}, "data and target are both given"),
        ({"training": {"data_sets": [10]}}, "data_sets and data are both given"),
    ],
)
def test_mistakes_are_found_before_training(change: dict[str, Any], words: str, folder: Path) -> None:
    study = content()
    study["sweeps"]["mine"] |= change
    with pytest.raises(InputError, match=words):
        jobs_of(parse(study))


@pytest.mark.parametrize(
    ("fields", "data", "words"),
    [
        (np.where(np.arange(200)[:, None, None] == 3, np.nan, FIELDS), {}, "index 3"),
        (FIELDS + 2.0, {"kappa": 0.2, "lambda": 1.0}, "change of sign"),
    ],
)
def test_validate_reads_all_fields(fields: Any, data: dict[str, Any], words: str, csd: Runner, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content(**data)))
    np.save(tmp_path / "fields.npy", FIELDS)
    good = csd("validate study.yaml")
    assert good.status == 0
    assert "1 jobs" in good.out
    assert "fields.npy: shape (200, 8, 8), read as 200 fields in d = 2 with L = 8" in good.out
    np.save(tmp_path / "fields.npy", fields)
    ran = csd("validate study.yaml")
    assert ran.status == 2
    assert words in ran.err


@pytest.mark.workflow
def test_the_workflow_runs_again_what_a_changed_file_changes(folder: Path) -> None:
    study = {**content(), "output": "results", "figures": []}
    goal = str(STAGES["training"].file(next(iter(jobs_of(parse(study))["training"].values())), Path("results")))
    snakemake(folder, study, "--", goal)
    assert planned(snakemake(folder, study, "-n", "--", goal)) == {}
    np.save("fields.npy", FIELDS)
    assert planned(snakemake(folder, study, "-n", "--", goal)) == {}
    np.save("fields.npy", FIELDS[::-1])
    assert planned(snakemake(folder, study, "-n", "--", goal)) == {"train": 1}
