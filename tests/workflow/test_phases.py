"""The study of config/phases-test.yaml through Snakemake: every kind of phases, hybrids, and their figures."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.status import job_states
from tests.helpers import ROOT, snakemake

pytestmark = pytest.mark.workflow

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config" / "phases-test.yaml").read_text())


def test_a_study_of_phases(tmp_path: Path) -> None:
    snakemake(tmp_path, CONFIG, "--", "all")
    results = tmp_path / CONFIG["output"]
    assert {one.state for one in job_states(jobs_of(parse(CONFIG)), results)} == {"done"}
    for figure in CONFIG["figures"]:
        assert "nothing to show" not in (results / "figures" / f"{figure}.rst").read_text()
    judged = {claim["id"]: claim for claim in json.loads((results / "summary" / "claims.json").read_text())}
    # Exact on lattices of any size; the claim about hybrids names two that the small study does not have.
    assert judged["P-information"]["verdict"] == "holds"
    assert judged["P-samples"]["verdict"] == "holds"
    assert judged["P-hybrids"]["verdict"] in ("incomplete", "fails")
