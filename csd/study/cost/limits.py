"""Limits: what a job may take on a cluster, with head-room, and which jobs share one."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property

from csd.study.config.study import STAGES, Jobs
from csd.study.cost.expected import GROUPS, ExpectedCost
from csd.study.cost.pace import REFERENCE, Calibration
from csd.study.stages.base import Job


def study_costs(jobs: Jobs, calibration: Calibration) -> list[ExpectedCost]:
    """What each job of a study is expected to take."""
    return [cost for name, stage in STAGES.items() for cost in stage.expected(list(jobs[name].values()), calibration)]


class Limits:
    """What the jobs of a study may take on a cluster, each estimated with those like it when it is asked for.

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
        """The job of (stage, identifier)."""
        if place not in self._known:
            stage, identifier = place
            together = self._alike[stage, STAGES[stage].alike(self._jobs[stage][identifier])]
            costs = STAGES[stage].expected(together, REFERENCE)
            self._known |= {(stage, cost.identifier): cost for cost in costs}
        return self._known[place]

    def group(self, stage: str, identifier: str) -> str | None:
        """The group of a job: that of the job whose file it takes; a name of its own where that has none."""
        parent = STAGES[stage].parent(self._jobs[stage][identifier])
        if parent is None:
            return self[stage, identifier].group
        # Where that has a cluster job of its own, nobody else's waits for it.
        return self.group(STAGES[stage].after, parent.identifier) or STAGES[stage].command


def cluster_jobs(costs: Sequence[ExpectedCost], jobs: Jobs) -> list[float]:
    """Expected seconds of the jobs that jobs of a study share on a cluster, summaries apart.

    Args:
        costs: of all jobs of a study.
        jobs: the same jobs.
    """
    together: dict[tuple[str, str], float] = defaultdict(float)
    first = {}
    for cost in costs:
        stage, identifier = cost.stage, cost.identifier
        while (parent := STAGES[stage].parent(jobs[stage][identifier])) is not None:
            stage, identifier = STAGES[stage].after, parent.identifier
        together[stage, identifier] += cost.seconds
        if stage == cost.stage:
            first[stage, identifier] = cost.group
    shared = [seconds for place, seconds in together.items() if first[place] is None]
    for group, about in GROUPS.items():
        members = [seconds for place, seconds in together.items() if first[place] == group]
        shared += [sum(members[start : start + about.members]) for start in range(0, len(members), about.members)]
    return shared
