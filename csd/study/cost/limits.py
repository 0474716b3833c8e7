"""The cost of all jobs of a study, corrected by records of past jobs, and the limits that follow for a cluster."""

import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from csd.study.config.study import STAGES, Jobs
from csd.study.cost.expected import GROUPS, ExpectedCost
from csd.study.cost.pace import REFERENCE, Calibration
from csd.study.stages.base import Job

OTHER_JOBS = 10.0
"""Time of a figure or a summary in units of a job that does nothing: mostly imports of Matplotlib, pandas and SciPy."""
SUMMED_FILE = 0.1
"""Time that a file adds to its summary, in the same units."""


def study_costs(jobs: Jobs, calibration: Calibration) -> list[ExpectedCost]:
    """The expected cost of each job of a study."""
    return [cost for name, stage in STAGES.items() for cost in stage.expected(list(jobs[name].values()), calibration)]


def corrected(costs: Sequence[ExpectedCost], results: Path) -> tuple[list[ExpectedCost], int]:
    """Expected times, each multiplied by Σ measured / Σ expected over the jobs of its family that have a record.

    A family without records takes the ratio of its stage; the times of a stage without records stay.

    Args:
        costs: of all jobs of a study.
        results: folder of the study.

    Returns:
        (the corrected costs, the number of records).
    """
    sums: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for cost in costs:
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = results / STAGES[cost.stage].records / f"{cost.identifier}.json"
            measured = float(json.loads(record.read_text(encoding="utf-8"))["cpu_s"])
            for kind in ((cost.stage,), (cost.stage, cost.family)):
                sums[kind].append((measured, cost.seconds))

    def ratio(cost: ExpectedCost) -> float:
        of_jobs = sums.get((cost.stage, cost.family)) or sums.get((cost.stage,)) or [(1.0, 1.0)]
        measured, expected = map(sum, zip(*of_jobs, strict=True))
        return measured / expected if expected > 0.0 else 1.0

    records = sum(len(of_jobs) for kind, of_jobs in sums.items() if len(kind) == 1)
    return [replace(cost, seconds=cost.seconds * ratio(cost)) for cost in costs], records


def other_jobs(estimates: Sequence[ExpectedCost], figures: int, calibration: Calibration) -> float:
    """Seconds of the summaries, fits, claims and figures of a study."""
    return calibration.job.seconds * (OTHER_JOBS * (figures + 4) + SUMMED_FILE * len(estimates))


class Limits:
    """Limits on the jobs of a study on a cluster; similar jobs are estimated together when one of them is looked up.

    Args:
        jobs: all of the study.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._known: dict[tuple[str, str], ExpectedCost] = {}

    @cached_property
    def _alike(self) -> dict[tuple[str, Hashable], list[Job]]:
        """Jobs that are estimated together."""
        alike: dict[tuple[str, Hashable], list[Job]] = defaultdict(list)
        for stage, jobs in self._jobs.items():
            for job in jobs.values():
                alike[stage, STAGES[stage].alike(job)].append(job)
        return alike

    def __getitem__(self, place: tuple[str, str]) -> ExpectedCost:
        """The expected cost of the job (stage, identifier)."""
        if place not in self._known:
            stage, identifier = place
            together = self._alike[stage, STAGES[stage].alike(self._jobs[stage][identifier])]
            costs = STAGES[stage].expected(together, REFERENCE)
            self._known |= {(stage, cost.identifier): cost for cost in costs}
        return self._known[place]

    def group(self, stage: str, identifier: str) -> str | None:
        """The group of a job on a cluster: that of the job whose file it takes, or a group of its stage without one."""
        parent = STAGES[stage].parent(self._jobs[stage][identifier])
        if parent is None:
            return self[stage, identifier].group
        # Where the parent has a cluster job of its own, no other job waits for it.
        return self.group(STAGES[stage].after, parent.identifier) or STAGES[stage].job_rule


def cluster_jobs(costs: Sequence[ExpectedCost], jobs: Jobs) -> list[float]:
    """Expected seconds of the cluster jobs that the jobs of a study share, without summaries.

    Args:
        costs: of all jobs of a study.
        jobs: the same jobs.
    """
    together: dict[tuple[str, str], float] = defaultdict(float)
    group = {}
    for cost in costs:
        stage, identifier = cost.stage, cost.identifier
        while (parent := STAGES[stage].parent(jobs[stage][identifier])) is not None:
            stage, identifier = STAGES[stage].after, parent.identifier
        together[stage, identifier] += cost.seconds
        if stage == cost.stage:
            group[stage, identifier] = cost.group
    shared = [seconds for place, seconds in together.items() if group[place] is None]
    for name, about in GROUPS.items():
        members = [seconds for place, seconds in together.items() if group[place] == name]
        shared += [sum(members[start : start + about.members]) for start in range(0, len(members), about.members)]
    return shared
