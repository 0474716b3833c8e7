"""What a stage of a study is: a kind of job, what its jobs make, and all that the study does with them."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from csd.core.errors import InputError
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FILE_NAME = r"[A-Za-z0-9_.+-]+"
"""What the name of a job may hold; Snakemake's wildcard takes the same."""


class Job(Protocol):
    """What makes one file of a study, by one command."""

    @property
    def sweep(self) -> str:
        """What it belongs to in its part of the configuration."""

    @property
    def identifier(self) -> str:
        """Unique name of its file."""

    @property
    def request(self) -> Mapping[str, Any]:
        """What the configuration hash of its file is of."""

    def arguments(self) -> list[str]:
        """The flags of its command, without files."""


@dataclass(frozen=True)
class Stage:
    """A kind of job. What is named by 'package.module:function' is imported when it is used.

    Attributes:
        name: folder of its files, name of its summary.
        key: of its part of the configuration.
        command: of the shell, which is the rule's name, the folder of its logs and its step in `csd.core.source`,
            unless `source` names the modules that its files depend on.
        kind: of its files.
        jobs: all of a study, from the study and the jobs of the stage before.
        cost: (jobs, calibration) → what each is expected to take.
        ends: how the last line of a log begins where a job has done its work.
        works: what a job does at once, in words, and how much of it; None where that says nothing.
        aggregate: (jobs, folder, mixed) → their files as one summary; '' where there is none.
        rule: of the workflow that does so, and its step in `csd.core.source`.
        summary: kind of that; of its files, where these are summaries already.
        laws: summary → the scaling laws of its times, rows of `csd fit`.
        summarised: whether a job's file goes into it.
        after: name of the stage before, whose files its commands take.
        parent: the job of that stage whose file a job takes.
        plugins: dotted paths of user-defined code that a job's file depends on.
        alike: what jobs share whose cost is estimated together.
        gpu: whether a job asks for a GPU.
        folder: of its files where it is not its name.
        logs: folder of its logs where it is not its command.
        checkpoints: whether its command keeps checkpoints.
        names: pattern of its jobs' identifiers, which tells its files from others in the same folder.
        wildcard: of its rule, which workflows that import ours may name in rules that they change.
    """

    name: str
    key: str
    command: str
    kind: str
    jobs: Callable[[Any, Sequence[Any]], Sequence[Job]]
    cost: str
    ends: tuple[str, ...]
    works: tuple[str, Callable[[Any], int]] | None = None
    aggregate: str = ""
    rule: str = ""
    summary: str = ""
    laws: str = ""
    summarised: Callable[[Any], bool] = lambda job: True
    after: str = ""
    parent: Callable[[Any], Job | None] = lambda job: None
    plugins: Callable[[Any], Sequence[str]] = lambda job: ()
    alike: Callable[[Any], Hashable] = lambda job: None
    gpu: Callable[[Any], bool] = lambda job: False
    source: str = ""
    folder: str | None = None
    logs: str | None = None
    checkpoints: bool = False
    names: str = FILE_NAME
    wildcard: str = "job"

    @property
    def step(self) -> str:
        """What its files are made by, for `csd.core.source.fingerprint`."""
        return self.source or self.command

    @property
    def place(self) -> Path:
        """Folder of its files."""
        return Path(self.name if self.folder is None else self.folder)

    def file(self, job: Job, results: Path) -> Path:
        """The file of a job in the folder of a study's results."""
        return results / self.place / f"{job.identifier}.nc"

    @property
    def log_place(self) -> Path:
        """Folder of its logs."""
        return Path("logs", self.command if self.logs is None else self.logs)

    @property
    def records(self) -> Path:
        """Folder of the records of its jobs."""
        # Of training they have always been at the top.
        return Path("benchmarks", "" if self.checkpoints else self.name)

    def expected(self, jobs: Sequence[Job], calibration: Calibration) -> list[ExpectedCost]:
        """What each of its jobs is expected to take."""
        found: list[ExpectedCost] = _named(self.cost)(jobs, calibration)
        return found

    def law_table(self, summary: "xr.Dataset") -> "pd.DataFrame":
        """The scaling laws in a summary."""
        table: pd.DataFrame = _named(self.laws)(summary)
        return table

    def summed_up(self, jobs: Iterable[Job], folder: Path, *, mixed: bool = False) -> "xr.Dataset":
        """The files of its jobs as one summary.

        Args:
            jobs: all of the study.
            folder: of the files.
            mixed: take files that different versions of the code, or other requests than the study's, made.

        Raises:
            InputError: if there is none, or a file is missing, damaged, or not what its job asks for.
        """
        if not (chosen := self.summarised_jobs(jobs)):
            raise InputError(f"the study has no jobs of {self.kind}; give it some by the key {self.key}")
        found: xr.Dataset = _named(self.aggregate)(chosen, folder, mixed=mixed)
        return found if self.summarised(chosen[0]) else found.isel(run=slice(0))

    def summarised_jobs(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose files make the summary; where none has a place in it, one that says what an empty one holds."""
        own = list(jobs)
        return [job for job in own if self.summarised(job)] or own[:1]


def _named(place: str) -> Callable[..., Any]:
    """The function of 'package.module:function'."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


J = TypeVar("J", bound=Job)


def once(jobs: Iterable[J], key: str) -> list[J]:
    """The jobs of a part of the configuration, each of which has a file of its own.

    Raises:
        InputError: for two that have one file.
    """
    seen: dict[str, J] = {}
    for job in jobs:
        other = seen.setdefault(job.identifier, job)
        if other is not job:
            raise InputError(
                f"{key}.{job.sweep}: the run {job.identifier} is there twice, also in {key}.{other.sweep};"
                " every run must stand there once"
            )
    return list(seen.values())
