"""What the study of optimisers finds with full layers, which start alike: `config/optimisers.yaml`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csd.api.training import trained
from csd.study.claims import load_claims
from csd.study.config.reading import load, parse
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.files import training_file
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import judge

SLOW = True
ROOT = Path(__file__).resolve().parents[2]
SIZES = (8, 16, 32, 64, 128, 256)
NETWORKS = {"one_layer": "one layer", "two_layer": "two layers", "deep_linear-p3": "three layers"}
CLAIMS = ("O1", "O2", "O3")


def jobs() -> list[TrainingJob]:
    """The trainings of full layers."""
    return [run for run in training_jobs(parse(load(ROOT / "config" / "optimisers.yaml"))) if run.label in NETWORKS]


def numbers() -> dict[str, Any]:
    """Tables of the trainings, made one after the other in a temporary folder."""
    runs = jobs()
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            file = training_file(run, Path(folder))
            file.parent.mkdir(parents=True, exist_ok=True)
            trained(*run.problem(), "numbers", file)
        return found(runs, Path(folder))


def found(runs: Sequence[TrainingJob], folder: Path, *, mixed: bool = False) -> dict[str, Any]:
    """Settled and first times in one dimension, and what follows for each test of the claims.

    Args:
        runs: the trainings.
        folder: of their files.
        mixed: whether the files may be of several versions of the code.
    """
    summary = aggregate_training(runs, folder, mixed=mixed)
    keys = ("architecture", "optimizer", "dimension", "size")
    own = list(zip(*(summary[key].values.tolist() for key in keys), strict=True))
    tables: dict[str, Any] = {}
    for name, variable in (("settled", "settled_time"), ("first", "training_time")):
        times = dict(zip(own, summary[variable].sel(noise_level=0.1).mean("seed").values.tolist(), strict=True))
        rules = {key[:2]: None for key in own if key[2] == 1}
        rows = [
            [NETWORKS[network], rule, *(f"{times[network, rule, 1, size]:.0f}" for size in SIZES)]
            for network in NETWORKS
            for rule in [rule for other, rule in rules if other == network]
        ]
        tables[name] = [["network", "optimiser", *map(str, SIZES)], *rows]
    claims = [claim for claim in load_claims(ROOT / "config" / "claims.yaml") if claim.id in CLAIMS]
    rows = [
        [
            *(verdict.claim.id, NETWORKS[one.test.architecture], one.data.split("-")[-1]),
            *(one.test.measure, f"{one.measured:.3f}", f"{one.error:.3f}", one.verdict),
        ]
        for verdict in judge(claims, training_table(summary), summary)
        for outcomes in verdict.outcomes
        for one in outcomes
    ]
    tables["verdicts"] = [["claim", "network", "optimiser", "measure", "value", "error", "verdict"], *rows]
    return tables
