"""Hybrids through Snakemake: they wait for the files of all their windows, and are made again where a window moves."""

import copy
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd
from csd.core.files import HYBRIDS_SUMMARY, read
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.status import job_states, verify_files
from tests.helpers import planned, snakemake

pytestmark = pytest.mark.workflow

CONFIG: dict[str, Any] = {
    "study": "hybrids",
    "output": "results/hybrids",
    "figures": [],
    "training": {
        "noise_levels": [0.01, 0.1, 0.5, 1.0, 3.0],
        **{"loss": "population", "seeds": [1, 2], "max_steps": 50, "tolerance": 0.0},
    },
    "sweeps": {
        "wide": {"dimension": 2, "sizes": [8], "mass": 0.25, "architectures": ["one_layer"]},
        "local": {
            **{"dimension": 2, "sizes": [8], "mass": 0.25},
            "architectures": [{"name": "local_one_layer", "range": 1}],
        },
    },
    "hybrids": {
        "mixed": {
            "samples": 8,
            "windows": [
                {"sweep": "local", "t_max": 0.1},
                {"sweep": "wide", "t_min": 0.1, "t_max": 1.0},
                {"sweep": "local", "t_min": 1.0},
            ],
        }
    },
}
SUMMARY = "results/hybrids/summary/hybrids.nc"


def test_hybrids_of_a_study(tmp_path: Path) -> None:
    snakemake(tmp_path, CONFIG, "--", SUMMARY)
    results = tmp_path / "results" / "hybrids"
    (file,) = (results / "hybrids").glob("*.nc")
    assert file.name == "mixed_d2_L8_m0.25_s1-2.nc"
    local, wide = sorted((results / "training").glob("*.nc"))
    by_hand = csd.generate(hybrid=[(local, 1.0, np.inf), (wide, 0.1, 1.0), (local, 0.0, 0.1)], samples=8)
    made = csd.read(file)
    assert made.attrs["configuration_hash"] == by_hand.attrs["configuration_hash"]
    np.testing.assert_array_equal(made["total_kl"], by_hand["total_kl"])
    summary = read(results / "summary" / "hybrids.nc", HYBRIDS_SUMMARY).isel(run=0)
    assert summary["hybrid"].item() == "mixed"
    assert summary["networks"].item() == "local_one_layer-R1+one_layer"
    np.testing.assert_array_equal(summary["total_kl"], made["total_kl"].isel(step=0))
    np.testing.assert_array_equal(summary["training_cost"], [50 * (2 * 64 + 3 * 9)] * 2)
    states = {job.name: job.state for job in job_states(jobs_of(parse(CONFIG)), results)}
    assert states["hybrids/mixed_d2_L8_m0.25_s1-2"] == "done"
    assert verify_files(parse(CONFIG | {"output": str(results)}), results)[1] == []
    # Networks change places, so that the files and the windows are the same.
    other = copy.deepcopy(CONFIG)
    for number, sweep in ((0, "wide"), (1, "local")):
        other["hybrids"]["mixed"]["windows"][number]["sweep"] = sweep
    runs = planned(snakemake(tmp_path, other, "--dry-run", "--", SUMMARY))
    assert runs.keys() == {"generate_hybrid", "study", "aggregate_hybrids"}
    other = copy.deepcopy(CONFIG)
    other["sweeps"]["wide"]["training"] = {"max_steps": 60}
    runs = planned(snakemake(tmp_path, other, "--dry-run", "--", SUMMARY))
    assert (runs["train"], runs["generate_hybrid"]) == (1, 1)
    # Its command can be repeated.
    assert shlex.split(made.attrs["command"])[:2] == ["csd", "generate"]
