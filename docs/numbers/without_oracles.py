"""The study without oracles: the trainings of `config/without_oracles.yaml`, and the verdicts on its claims."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from csd.api.training import trained
from csd.study.claims import load_claims
from csd.study.config.reading import load, parse
from csd.study.rounding import parentheses
from csd.study.stages.training import training_jobs
from csd.study.summaries.files import training_file
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import judge

SLOW = True
ROOT = Path(__file__).resolve().parents[2]
CLAIMS = ("O4", "O5")
NETWORKS = {
    "one_layer": "one layer",
    "local_one_layer-R2": "one local layer",
    "two_layer": "two layers",
    "local_two_layer-R2": "two local layers",
}
MEASURES = {
    "power": "z of the nested law",
    "agreement": "largest deviation of τ from theory",
    "constant": "slope of ln τ in ln L",
}


def numbers() -> dict[str, Any]:
    """The verdicts, and tables of what was measured and of the times at t = 0.1."""
    runs = training_jobs(parse(load(ROOT / "config" / "without_oracles.yaml")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for run in runs:
            trained(*run.problem(), "docs", training_file(run, folder))
        return found(runs, folder)


def found(runs: Any, folder: Path) -> dict[str, Any]:
    """The same of finished trainings.

    Args:
        runs: the jobs.
        folder: of their files.
    """
    summary = aggregate_training(runs, folder)
    verdicts = judge(load_claims(ROOT / "config" / "claims.yaml"), training_table(summary), summary)
    said: dict[str, Any] = {}
    table = [["claim", "measure", "network", "d", "t", "measured", "verdict"]]
    for verdict in verdicts:
        if verdict.claim.id in CLAIMS:
            said[verdict.claim.id] = verdict.verdict
            for one in (outcome for row in verdict.rows for outcome in row):
                test = one.test
                value = parentheses(one.measured, one.error) if one.error > 0.0 else f"{one.measured:.3f}"
                about = [verdict.claim.id, MEASURES[test.measure], NETWORKS[test.architecture], str(one.dimension)]
                table.append([*about, f"{one.noise_level:g}", value, one.verdict])
    level = summary.sel(noise_level=0.1)
    sizes = sorted({run.size for run in runs})
    times = [["network", "d", *map(str, sizes)]]
    for label, words in NETWORKS.items():
        for dimension in (1, 2):
            chosen = (summary["architecture"] == label) & (summary["dimension"] == dimension)
            if chosen.any():
                mean = level["training_time"].mean("seed").values[chosen.values]
                own = dict(zip(summary["size"].values[chosen.values].tolist(), mean, strict=True))
                shown = (f"{own[size]:.1f}" if size in own and np.isfinite(own[size]) else "" for size in sizes)
                times.append([words, str(dimension), *shown])
    return {"verdicts": table, "times": times, **said}
