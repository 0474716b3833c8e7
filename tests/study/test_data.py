"""Fields of a file in a study: what is checked, and what runs again when the file changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import TRAINING, read
from csd.core.random import stream
from csd.lattice import Lattice
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.status import job_states, study_of, verify_files
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


CHAINS = {
    "phi4": {"dimension": 2, "sizes": 8, "mass": 0.5, "samplers": "heat_bath", "sweeps": 1000, "fields": 40},
    "chains": {"dimension": 2, "sizes": 8, "mass": 0.5, "samplers": "hmc", "sweeps": 1000},
    "seeds": {
        **{"dimension": 2, "sizes": [8, 12], "mass": 0.5, "samplers": "heat_bath", "sweeps": 1000, "fields": 50},
        "seeds": [1, 2, 4],
    },
}
"""Parts of `monte_carlo`, with fields and without."""


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


def test_files_of_several_sizes_are_one_target(folder: Path) -> None:
    """A law is fitted to them, as their runs differ in size alone."""
    for size in (8, 12):
        np.save(f"mine-{size}.npy", GaussianField(Lattice(2, size), 0.5).sample(stream("of a size", size), 50))
    study = content(file="mine-{size}.npy")
    study["sweeps"]["mine"]["sizes"] = [8, 12]
    first, second = runs_of(study)
    assert [run.field.file for run in (first, second)] == ["mine-8.npy", "mine-12.npy"]
    assert first.target_label == second.target_label
    assert first.target_label.startswith("mine.")
    study["sweeps"]["mine"]["sizes"] = [8, 16]
    with pytest.raises(InputError, match=r"'mine-16.npy', but there is no such file"):
        runs_of(study)


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


def test_a_sweep_learns_the_fields_of_a_monte_carlo_job_of_its_study(folder: Path) -> None:
    """They need not be there before the study runs; a job that is checked later reads them where the results lie."""
    content_of_study = content() | {"monte_carlo": CHAINS, "output": "elsewhere"}
    content_of_study["sweeps"]["mine"]["data"] = {"monte_carlo": "phi4"}
    study = parse(content_of_study)
    jobs = jobs_of(study)
    (run,) = jobs["training"].values()
    stage, maker = STAGES["training"].takes(run)["--data"]
    assert stage == "monte_carlo"
    assert maker in jobs["monte_carlo"].values()
    assert maker.sweep == "phi4"
    assert "--data" not in run.arguments()
    assert "--data-set 40" in " ".join(run.arguments())
    with pytest.raises(InputError, match=r"elsewhere/monte_carlo/.*run the study, which makes them"):
        _ = run.request
    # Wherever the results are, the job is the same.
    (moved,) = jobs_of(study.model_copy(update={"output": "results"}))["training"].values()
    assert moved.identifier == run.identifier


def paired(sizes: Any = 8, architecture: str = "two_layer", **training: Any) -> dict[str, Any]:
    """A study whose training seeds learn fields of their own."""
    study = content() | {"monte_carlo": CHAINS}
    study["sweeps"]["mine"] |= {"data": {"monte_carlo": "seeds"}, "sizes": sizes, "training": training}
    study["sweeps"]["mine"]["architectures"] = architecture
    return study


def test_each_training_seed_learns_the_fields_of_the_monte_carlo_seed_of_its_number() -> None:
    runs = runs_of(paired([8, 12], seeds=[4, 1]))
    learned = [STAGES["training"].takes(run)["--data"][1] for run in runs]
    assert [(run.size, run.seeds, job.settings.seed) for run, job in zip(runs, learned, strict=True)] == [  # type: ignore[attr-defined]
        *[(8, (1,), 1), (8, (4,), 4)],
        *[(12, (1,), 1), (12, (4,), 4)],
    ]
    assert len({run.identifier for run in runs}) == 4
    # One run of the summary for each size, whose labels are the same.
    assert len({run.key for run in runs}) == 2
    assert len({(run.target_label, run.data_label) for run in runs}) == 1
    assert {run.alike for run in runs[:2]} == {runs[0].alike}


def test_a_single_monte_carlo_seed_is_for_all_training_seeds() -> None:
    """Names of jobs stay those of studies that have been run."""
    study = paired()
    study["sweeps"]["mine"] |= {"data": {"monte_carlo": "phi4"}, "training": {"seeds": [1, 2]}}
    (run,) = runs_of(study)
    assert run.seeds == (1, 2)
    assert run.identifier == "d2_L8_phi4.fcc39078_two_layer_population-M40-data_s1-2"


def test_paired_seeds_are_one_run_whose_scatter_is_that_of_the_fields(folder: Path) -> None:
    """One layer starts at 0. The learning rate, which follows from the measured spectrum, is the mean over seeds."""
    runs = runs_of(paired(architecture="one_layer", seeds=[1, 2, 4]))
    for run in runs:
        job: Any = STAGES["training"].takes(run)["--data"][1]
        main(["mcmc", *job.arguments(), "--output", str(STAGES["monte_carlo"].file(job, Path("results")))])
    train_files(runs, folder / "results" / "training")
    summary = aggregate_training(runs, folder / "results" / "training")
    assert summary.sizes["run"] == 1
    assert summary["same_fields"].values.tolist() == [0]
    files = [read(folder / "results" / "training" / f"{run.identifier}.nc", TRAINING) for run in runs]
    times = [float(file["crossing_time"].item()) for file in files]
    assert len(set(times)) == 3
    np.testing.assert_array_equal(summary["crossing_time"].values.ravel(), times)
    rates = [float(file["learning_rate"].item()) for file in files]
    np.testing.assert_allclose(summary["learning_rate"].values.ravel(), np.mean(rates))


def test_seeds_that_learn_the_same_fields_have_the_same_times(folder: Path) -> None:
    """One layer starts at 0, so that no scatter over seeds tells the error of the fields: the summary says so."""
    study = content()
    study["sweeps"]["mine"] |= {"architectures": "one_layer", "training": {"seeds": [1, 2, 4]}}
    runs = runs_of(study)
    train_files(runs, folder / "results" / "training")
    summary = aggregate_training(runs, folder / "results" / "training")
    assert summary["same_fields"].values.tolist() == [1]
    assert np.ptp(summary["crossing_time"].values) == 0.0


@pytest.mark.workflow
def test_the_workflow_makes_the_fields_before_it_trains_on_them(tmp_path: Path) -> None:
    study = content() | {"monte_carlo": CHAINS, "figures": []}
    study["sweeps"]["mine"]["data"] = {"monte_carlo": "phi4"}
    snakemake(tmp_path, study, "--", "results/summary/training.nc")
    (file,) = (tmp_path / "results" / "training").iterdir()
    assert read(file, TRAINING).attrs["data_file"].startswith("results/monte_carlo/d2_L8_m0.5_n1_heat_bath_M40")
    here = study_of(tmp_path / "results", None)
    checked, faults = verify_files(here, tmp_path / "results")
    assert (checked, faults) == (2, [])
    for made in (tmp_path / "results" / "monte_carlo").glob("*heat_bath*"):
        made.unlink()
    (fault,) = verify_files(here, tmp_path / "results")[1]
    assert (fault.state, "run the study, which makes them" in fault.reason) == ("stale", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": {"file": "none.npy"}}, r"sweeps.mine: data.file is 'none.npy'"),
        ({"data": {"file": "fields.npy", "key": "phi"}}, "no array 'phi'"),
        ({"data": {"file": "fields.npy", "kappa": 0.2}}, "kappa and lambda belong together"),
        ({"data": {"file": "fields.npy", "kapa": 0.2}}, "did you mean 'kappa'"),
        ({"data": {"key": "phi"}}, "data: neither file nor monte_carlo is given"),
        ({"data": {"file": "fields.npy", "monte_carlo": "phi4"}}, "data: file and monte_carlo are both given"),
        ({"data": {"monte_carlo": "phi5"}}, "data.monte_carlo.*did you mean 'phi4'"),
        ({"data": {"monte_carlo": "phi4", "key": "phi"}}, "key is given with monte_carlo"),
        ({"data": {"monte_carlo": "phi4"}, "sizes": 16}, "monte_carlo.phi4 has no fields in dimension 2 of size 16"),
        ({"data": {"monte_carlo": "chains"}}, "'chains', which keeps no fields"),
        (
            {"data": {"monte_carlo": "seeds"}, "training": {"seeds": [1, 3]}},
            "monte_carlo.seeds has several seeds, 1, 2, 4, each for .* no seed 3",
        ),
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
    study = content() | {"monte_carlo": CHAINS}
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
