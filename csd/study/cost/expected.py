"""What a job is expected to take, and the limits that follow for a cluster."""

from dataclasses import dataclass
from math import ceil

HEAD_ROOM = 6.0
"""Time limit over the time expected with the speed of `REFERENCE`: 3 for slower machines, 2 for the estimate."""
MEMORY_HEAD_ROOM = 2.0
SNAKEMAKES_MB = 600.0
"""Two Snakemakes take 300 MB beside each step of a cluster job."""
LONGEST = 24 * 60
"""Minutes: the time limit of many partitions. What takes longer goes on from its checkpoint in the next attempt."""


@dataclass(frozen=True)
class Shared:
    """Runs that share a cluster job: those expected to take less than `below` seconds, `members` of them."""

    below: float
    members: int


GROUPS = {"short": Shared(20.0, 60), "middling": Shared(300.0, 10)}
"""As in `group-components` of the profiles for clusters."""


@dataclass(frozen=True)
class ExpectedCost:
    """What one job of a study is expected to take.

    Attributes:
        stage: name of the job's stage.
        identifier: of the job.
        seconds: on one core.
        memory_mb: at most.
        disk_mb: of its file.
        steps: of each seed's training, where it trains.
        known: whether the time is; that of user-defined networks and of GPUs is not.
        family: of jobs that are alike in how wrong their expected times are: a network, a set of samplers.
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
        """Memory of a cluster job in MB, for two Snakemakes around it too; doubled at each attempt."""
        return ceil(SNAKEMAKES_MB + MEMORY_HEAD_ROOM * self.memory_mb) * 2 ** (attempt - 1)

    @property
    def group(self) -> str | None:
        """Jobs that share one of the cluster: 'short', 'middling', or None: long ones, and those of unknown length."""
        if not self.known:
            return None
        return next((name for name, shared in GROUPS.items() if self.seconds < shared.below), None)
