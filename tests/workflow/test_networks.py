"""The study of config/networks-test.yaml through Snakemake: networks without a kernel, optimisers, fields it makes."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from csd.core.files import GENERATION, GENERATION_SUMMARY, SUMMARY, TRAINING, read
from csd.report.figures import FIGURES, drawn
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.cost.limits import Limits
from csd.study.status import job_states, verify_files
from tests.helpers import ROOT, planned, snakemake

pytestmark = pytest.mark.workflow

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config" / "networks-test.yaml").read_text())
STUDY = parse(CONFIG)
OWN = (
    *("binder_by_step", "magnetisation", "network_curves", "observable_times", "observables", "observables_by_step"),
    *("optimizer_times", "sampled_fields"),
)
"""Figures of networks without a kernel and of optimisers."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the study."""
    folder = tmp_path_factory.mktemp("networks")
    snakemake(folder, CONFIG, "--", "all", "reported")
    return folder / CONFIG["output"]


def caption(results: Path, figure: str) -> str:
    """The caption of a figure, on one line."""
    return " ".join((results / "figures" / f"{figure}.rst").read_text().split())


def test_the_small_studies_draw_every_figure() -> None:
    names = ("test", "phases-test", "multiscale-test")
    others = [parse(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())) for name in names]
    assert {name for study in (STUDY, *others) for name in drawn(study)} == set(FIGURES)
    assert not set(OWN) & set(drawn(others[0]))


def test_a_finished_study_is_whole(results: Path) -> None:
    jobs = jobs_of(STUDY)
    assert {one.state for one in job_states(jobs, results)} == {"done"}
    checked, faults = verify_files(STUDY.model_copy(update={"output": str(results)}), results)
    assert (checked, faults) == (sum(map(len, jobs.values())), [])
    folder = results.parents[1]
    assert planned(snakemake(folder, CONFIG, "--dry-run", "--", "all")) == {}
    for figure in OWN:
        assert "nothing to show" not in caption(results, figure)
    assert (results / "explore.html").is_file()


def test_summaries_tell_runs_apart(results: Path) -> None:
    training = read(results / "summary" / "training.nc", SUMMARY)
    chosen = training.isel(run=training["sweep"].values == "optimizers")
    assert sorted(set(chosen["optimizer"].values)) == ["gd", "nesterov"]
    assert (training["width"].values[training["architecture_name"].values == "wiener"] == 4).all()
    generation = read(results / "summary" / "generation.nc", GENERATION_SUMMARY)
    by_name = dict(zip(generation["architecture_name"].values, generation["conditioned"].values, strict=True))
    assert by_name == {"wiener": 1, "two_layer": 0}


def test_seeds_that_learn_fields_of_their_own_are_one_run(results: Path) -> None:
    """Monte Carlo seed s for training seed s, in a file each; generated fields are compared with the mean of both."""
    training = read(results / "summary" / "training.nc", SUMMARY)
    generation = read(results / "summary" / "generation.nc", GENERATION_SUMMARY)
    for summary in (training, generation):
        chosen = summary.isel(run=summary["target"].values == "data")
        assert set(chosen["same_fields"].values) == {0}
        assert set(chosen["seed"].values) == {1, 2}
    for seed in (1, 2):
        files = list((results / "training").glob(f"*phi4*_s{seed}.nc"))
        assert len(files) == 10
        assert all(read(file, TRAINING).attrs["data_file"].endswith(f"_hmc_M100_s{seed}.nc") for file in files)
    chosen = (generation["architecture_name"].values == "two_layer") & (generation["size"].values == 8)
    linear = generation.isel(run=chosen)
    assert linear["max_steps"].values.tolist() == [10, 1000]
    made = [
        read(file, GENERATION)["reference_susceptibility"].item() for file in _of_each_seed(results, "d2_L8*steps1000")
    ]
    errors = [
        read(file, GENERATION)["reference_susceptibility_error"].item()
        for file in _of_each_seed(results, "d2_L8*steps1000")
    ]
    np.testing.assert_allclose(linear["reference_susceptibility"].values, np.mean(made))
    np.testing.assert_allclose(linear["reference_susceptibility_error"].values, np.hypot(*errors) / 2.0)


def _of_each_seed(results: Path, name: str) -> list[Path]:
    """The generation files of a name, by seed."""
    return sorted((results / "generation").glob(f"*{name}*"))


def test_networks_are_measured_against_exact_scores(results: Path) -> None:
    """The workflow makes them first; networks of two seeds learn other fields, and are measured on the same."""
    training = read(results / "summary" / "training.nc", SUMMARY)
    measured = training.isel(run=training["sweep"].values == "scored")
    error = measured["exact_score_error"].sel(noise_level=0.1)
    assert (error.max("step") == error.sel(step=0)).all()
    assert (error.min("step") < 0.85 * error.sel(step=0)).all()
    (scores,) = (results / "scores").iterdir()
    for file in (results / "training").glob("*phi4*"):
        held = read(file, TRAINING).attrs.get("scores_file", "")
        assert held.endswith(scores.name) == ("convolutional-w2" in file.name)


def test_other_scores_train_again_what_is_measured_against_them(results: Path) -> None:
    other = copy.deepcopy(CONFIG)
    other["scores"]["phi4"]["fields"] = 32
    folder = results.parents[1]
    runs = planned(snakemake(folder, other, "--dry-run", "--", f"{CONFIG['output']}/summary/training.nc"))
    assert runs == {"scores": 1, "study": 1, "train": 2, "aggregate": 1}


def test_captions_say_what_the_files_hold(results: Path) -> None:
    training = read(results / "summary" / "training.nc", SUMMARY)
    generation = read(results / "summary" / "generation.nc", GENERATION_SUMMARY)
    times = training.isel(run=training["optimizer"].values == "nesterov")["training_time"].sel(noise_level=0.1)
    assert times.max() < training.isel(run=training["optimizer"].values == "gd")["training_time"].max()
    assert "two layers, d = 1: gradient descent" in caption(results, "optimizer_times")
    (wiener,) = np.flatnonzero(generation["architecture_name"].values == "wiener")
    pulls = [
        generation[name].values[wiener]
        for name in map(str, generation)
        if re.fullmatch(r"sampled_\w+_pull", name) and generation[name].dims == ("run", "seed")
    ]
    agree = int((np.abs(pulls) <= 2.0).sum())
    assert f"Wiener sandwich, width 4 {agree} of {np.isfinite(pulls).sum()}" in caption(results, "observables")
    magnetisation = generation["sampled_magnetisation"].values[wiener]
    assert magnetisation.shape == (2, 40)
    assert np.isfinite(magnetisation).all()
    assert "Wiener sandwich, width 4 on phi4, d = 2, L = 8" in caption(results, "magnetisation")
    assert "two layers, Wiener sandwich, width 4" in caption(results, "sampled_fields")
    assert "multiscale" in caption(results, "network_curves").partition("phi4")[0]


def test_limits_on_a_cluster_know_every_job() -> None:
    """The time of training a network without a kernel is not known beforehand: it has a cluster job of its own."""
    jobs = jobs_of(STUDY)
    limits = Limits(jobs)
    for stage, own in jobs.items():
        for identifier in own:
            assert limits[stage, identifier].memory_limit(1) > 0
            nonlinear = "wiener" in identifier or "convolutional" in identifier
            assert stage != "training" or (limits.group(stage, identifier) is None) == nonlinear
