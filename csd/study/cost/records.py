"""Records of past jobs: how long jobs took that have run into a study's folder, against what was expected of them."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from csd.study.config.study import STAGES
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration

OTHER_JOBS = 10.0
"""A figure or a summary in units of a job that does nothing: mostly imports of Matplotlib, pandas and SciPy."""
SUMMED_FILE = 0.1
"""What a file adds to the summary of it, in the same units."""


def corrected(costs: Sequence[ExpectedCost], results: Path) -> tuple[list[ExpectedCost], int]:
    """Expected times, each times Σ measured / Σ expected over those jobs of its family that have a record.

    Families without any take the ratio of their stage, stages without any are left as they are.

    Args:
        costs: of all jobs of a study.
        results: folder of the study.

    Returns:
        (the costs, how many records there are).
    """
    sums: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    records = 0
    for cost in costs:
        measured = _seconds(results / STAGES[cost.stage].records / f"{cost.identifier}.json")
        if measured is None:
            continue
        records += 1
        for kind in ((cost.stage,), (cost.stage, cost.family)):
            sums[kind][0] += measured
            sums[kind][1] += cost.seconds

    def ratio(cost: ExpectedCost) -> float:
        kinds = ((cost.stage, cost.family), (cost.stage,))
        return next((sums[kind][0] / sums[kind][1] for kind in kinds if sums[kind][1] > 0.0), 1.0)

    return [replace(cost, seconds=cost.seconds * ratio(cost)) for cost in costs], records


def _seconds(record: Path) -> float | None:
    """Processor time of a job; None where there is no record of it."""
    try:
        return float(json.loads(record.read_text(encoding="utf-8"))["cpu_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def other_jobs(estimates: Sequence[ExpectedCost], figures: int, calibration: Calibration) -> float:
    """Seconds of summaries, fits, claims and figures of a study."""
    return calibration.job.seconds * (OTHER_JOBS * (figures + 4) + SUMMED_FILE * len(estimates))
