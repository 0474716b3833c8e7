"""Limits: what a job may take on a cluster, with head-room, and which jobs share one."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from csd.study.cost.estimate import expected_costs, expected_monte_carlo_costs, kind_of
from csd.study.cost.expected import GROUPS, ExpectedCost
from csd.study.cost.pace import REFERENCE
from csd.study.stages.generation import GenerationJob, generation_jobs
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.training import TrainingJob


class Limits:
    """What the jobs of a study may take on a cluster, each estimated with those of its kind when it is asked for.

    Args:
        runs: the training jobs.
        monte_carlo: those of Monte Carlo.
    """

    def __init__(self, runs: Sequence[TrainingJob], monte_carlo: Sequence[MonteCarloJob] = ()) -> None:
        self._runs = {run.identifier: run for run in runs}
        self._monte_carlo = {job.identifier: job for job in monte_carlo}
        self._known: dict[tuple[str, bool], ExpectedCost] = {}

    @cached_property
    def _kinds(self) -> dict[Any, list[TrainingJob]]:
        """Runs that are estimated together."""
        kinds: dict[Any, list[TrainingJob]] = defaultdict(list)
        for run in self._runs.values():
            kinds[kind_of(run)].append(run)
        return kinds

    def _find(self, run: str, identifier: str, *, generates: bool) -> ExpectedCost:
        if (identifier, generates) not in self._known:
            members = self._kinds[kind_of(self._runs[run])]
            self._known |= {(job.identifier, job.generates): job for job in expected_costs(members, REFERENCE)}
        return self._known[identifier, generates]

    def training(self, identifier: str) -> ExpectedCost:
        """The training job of a run."""
        return self._find(identifier, identifier, generates=False)

    def generation(self, job: GenerationJob) -> ExpectedCost:
        """The job that makes a generation file."""
        return self._find(job.run.identifier, job.identifier, generates=True)

    def monte_carlo(self, identifier: str) -> ExpectedCost:
        """A job of Monte Carlo."""
        return expected_monte_carlo_costs([self._monte_carlo[identifier]], REFERENCE)[0]


def cluster_jobs(estimates: Sequence[ExpectedCost], runs: Sequence[TrainingJob]) -> list[float]:
    """Expected seconds of the jobs that runs and what they generate share on a cluster, summaries apart.

    Args:
        estimates: of all jobs of a study.
        runs: its training jobs.
    """
    own = {job.identifier: job for job in estimates if not job.generates}
    together = {name: job.seconds for name, job in own.items()}
    by_name = {file.identifier: file.run.identifier for file in generation_jobs(runs)}
    for job in estimates:
        if job.generates:
            together[by_name[job.identifier]] += job.seconds
    jobs = [together[name] for name, job in own.items() if job.group is None]
    for group, shared in GROUPS.items():
        members = [together[name] for name, job in own.items() if job.group == group]
        jobs += [sum(members[start : start + shared.members]) for start in range(0, len(members), shared.members)]
    return jobs
