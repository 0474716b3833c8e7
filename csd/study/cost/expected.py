"""The expected cost of a job, and the limits on time and memory that follow for a cluster."""

from dataclasses import dataclass
from math import ceil

HEAD_ROOM = 6.0
"""Time limit over the time expected at the speed of `REFERENCE`: 3 for slower machines, 2 for the estimate."""
MEMORY_HEAD_ROOM = 2.0
SNAKEMAKES_MB = 600.0
"""Memory of the two Snakemakes beside each step of a cluster job, twice what they were seen to take."""
LONGEST = 24 * 60
"""Minutes: the time limit of many partitions. A longer job goes on from its checkpoint in the next attempt."""


@dataclass(frozen=True)
class Shared:
    """Jobs that share a cluster job: `members` of those expected to take less than `below` seconds."""

    below: float
    members: int


GROUPS = {"short": Shared(20.0, 60), "middling": Shared(300.0, 10)}
"""The groups of `group-components` in the profiles for clusters."""


@dataclass(frozen=True)
class ExpectedCost:
    """The expected cost of one job of a study.

    Attributes:
        stage: name of the job's stage.
        identifier: of the job.
        seconds: time on one core.
        memory_mb: peak memory.
        disk_mb: size of its file.
        steps: training steps of each seed; 0 where nothing is trained.
        known: whether the time is known; that of user-defined networks and of GPUs is not.
        family: name shared by jobs whose expected times are wrong by the same factor: a network, a set of samplers.
    """

    stage: str
    identifier: str
    seconds: float
    memory_mb: float
    disk_mb: float
    steps: float = 0.0
    known: bool = True
    family: str = ""

    def time_limit(self, attempt: int = 1) -> int:
        """Minutes that a cluster job may take; doubled at each attempt."""
        return min(LONGEST, ceil(1.0 + HEAD_ROOM * self.seconds / 60.0) * 2 ** (attempt - 1))

    def memory_limit(self, attempt: int = 1) -> int:
        """Memory of a cluster job in MB, with that of two Snakemakes; doubled at each attempt."""
        return ceil(SNAKEMAKES_MB + MEMORY_HEAD_ROOM * self.memory_mb) * 2 ** (attempt - 1)

    @property
    def group(self) -> str | None:
        """The group in which it shares a cluster job; None for long jobs and those whose time is not known."""
        if not self.known:
            return None
        return next((name for name, shared in GROUPS.items() if self.seconds < shared.below), None)
