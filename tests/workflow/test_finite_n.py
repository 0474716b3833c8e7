"""The study of config/finite_n-test.yaml through Snakemake: exact scores at finite n, and what is learned of fields."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from csd.core.files import SCORES_SUMMARY, SUMMARY, read
from csd.study.claims import load_claims
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.status import job_states
from csd.study.summaries.laws import read_scaling
from tests.helpers import ROOT, snakemake

pytestmark = pytest.mark.workflow

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config" / "finite_n-test.yaml").read_text())
STUDY = parse(CONFIG)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the study."""
    folder = tmp_path_factory.mktemp("finite_n")
    snakemake(folder, CONFIG, "--", "all")
    return folder / CONFIG["output"]


def test_a_finished_study_is_whole(results: Path) -> None:
    assert {one.state for one in job_states(jobs_of(STUDY), results)} == {"done"}
    for figure in CONFIG["figures"]:
        assert "nothing to show" not in (results / "figures" / f"{figure}.rst").read_text()


def test_networks_are_measured_against_exact_scores(results: Path) -> None:
    """A linear network is nowhere better than the best linear score, by more than four of its standard errors."""
    training = read(results / "summary" / "training.nc", SUMMARY)
    linear = training.isel(run=training["sweep"].values == "linear-phi4").sel(noise_level=0.1)
    error, scatter = linear["exact_score_error"], linear["exact_score_error_error"]
    floor, uncertain = linear["linear_score_error"], linear["linear_score_error_error"]
    assert np.isfinite(error.isel(step=0)).all()
    assert not (error + 4.0 * np.hypot(scatter, uncertain) < floor).any()


def test_the_zero_mode_has_a_time_where_it_is_learned(results: Path) -> None:
    """Of mean field, trained beyond the tolerance: ε at k = 0 is at most 1/2 at all recorded steps from then on."""
    training = read(results / "summary" / "training.nc", SUMMARY)
    own = training.isel(run=training["sweep"].values == "mean-field").sel(noise_level=0.1)
    times, error = own["zero_mode_training_time"], own["zero_mode_error"]
    assert np.isfinite(times).all()
    assert not (error.where(own["step"] >= np.ceil(times)) > 0.5).any()
    laws = read_scaling(results / "summary" / "scaling.csv").query("quantity == 'zero_mode_training_time'")
    values = laws[(laws["law"] == "value") & (laws["study"] == "mean-field")]
    np.testing.assert_allclose(values["value"], times.mean("seed"))
    assert len(values) == 3


def test_two_coupled_components_in_three_dimensions(results: Path) -> None:
    scores = read(results / "summary" / "scores.nc", SCORES_SUMMARY)
    own = scores.isel(run=scores["sweep"].values == "phi4-3d-2")
    assert (own["components"].item(), own["dimension"].item()) == (2, 3)


def test_claims_at_finite_n_are_judged(results: Path) -> None:
    """On lattices that span a factor of 2 nothing about growth holds; larger ones that a claim names are missing."""
    judged = {claim["id"]: claim for claim in json.loads((results / "summary" / "claims.json").read_text())}
    ids = {claim.id for claim in load_claims(ROOT / "config" / "claims.yaml")}
    assert ids == set(judged)
    assert judged["F1"]["verdict"] == "not tested"
    assert judged["F1-phi4"]["verdict"] == "undecided"
    assert judged["F4"]["verdict"] == "not tested"
