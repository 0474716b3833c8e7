"""A stage of a study: a kind of job, the files that its jobs make, and all that the study does with them."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from csd.core.errors import InputError, unknown
from csd.core.files import digest
from csd.core.paths import short_name
from csd.lattice import Lattice
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.targets.base import BY_MASS, OWN, Target, target_from_spec
from csd.targets.gaussian import GaussianField, gaussian_field
from csd.targets.labels import target_label
from csd.targets.options import FieldOptions, LatticeOptions

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FILE_NAME = r"[A-Za-z0-9_.+-]+"
"""The characters that the name of a job may hold; Snakemake's wildcard takes the same."""
LONGEST_NAME = 235
"""The most bytes of a job's name that version 0.1 could write, with `.NAME.json.12345678.json` beside a record."""
LONGEST_LEVELS = 40
"""Characters of noise levels in the name of a file; a longer list is named by its length and hash."""


def file_name(name: str) -> str:
    """The name of a job; a digest stands for the end of one that is too long for a file.

    Raises:
        InputError: if it cannot name a file.
    """
    if not re.fullmatch(FILE_NAME, name):
        raise InputError(
            f"the run {name!r} cannot name a file; names and ranges may hold letters, digits, '_', '.', '+', '-'"
        )
    return short_name(name, LONGEST_NAME)


def seeds_name(seeds: Sequence[int]) -> str:
    """Seeds in the name of a job: 's1-4' of consecutive ones, 's1.3' of others."""
    consecutive = len(seeds) > 1 and all(after - before == 1 for before, after in pairwise(seeds))
    return f"s{seeds[0]}-{seeds[-1]}" if consecutive else f"s{'.'.join(map(str, seeds))}"


def levels_label(levels: Sequence[float]) -> str:
    """Noise levels in the name of a file: '0.1-0.5', or how many there are and a hash."""
    label = "-".join(f"{level:.12g}" for level in levels)
    return label if len(label) <= LONGEST_LEVELS else f"{len(levels)}.{digest({'levels': levels})[:8]}"


class Job(Protocol):
    """One command that makes one file of a study."""

    @property
    def sweep(self) -> str:
        """Its name in its part of the configuration."""

    @property
    def identifier(self) -> str:
        """Unique name of its file."""

    @property
    def request(self) -> Mapping[str, Any]:
        """All that determines its file besides the code; the file's configuration hash is computed from it."""

    def arguments(self) -> list[str]:
        """The flags of its command, without files."""


class OnLattice:
    """A job with a target on a lattice, given by the options `field`."""

    field: LatticeOptions

    @property
    def dimension(self) -> int:
        """Dimension d of the lattice."""
        return self.field.dimension

    @property
    def size(self) -> int:
        """Size L of the lattice."""
        return self.field.size

    @property
    def target_label(self) -> str:
        """The mass or couplings of the target as text: 'mL1', 'm0.1', 'r-1u2', 'b0.44'."""
        names = ("mass", "mass_times_length", "beta", "magnetisation", "probability")
        given = {name: getattr(self.field, name, None) for name in names}
        pair = (self.field.r0, self.field.u)
        return target_label(**given, couplings=None if None in pair else pair)  # type: ignore[arg-type]

    @property
    def gaussian(self) -> GaussianField:
        """The Gaussian field of the mass that is given, or that follows from the couplings."""
        given = {name: getattr(self.field, name) for name in ("mass", "mass_times_length", "r0", "u")}
        return gaussian_field(Lattice(self.dimension, self.size), **given)


@cache
def check_target(field: FieldOptions) -> Target:
    """The built-in target of options, one for all jobs that have them.

    Raises:
        InputError: if there is no such target, or it cannot be made from them.
    """
    if field.target not in BY_MASS:
        raise unknown("target", field.target, BY_MASS)
    return target_from_spec(field.spec())


def difference(first: tuple[str, Iterable[Any]], other: tuple[str, Iterable[Any]]) -> str:
    """In what the targets of two parts differ, of those that are the most alike: ': mass is 1 in … and 2 in …'.

    Args:
        first: name of a part, and the options of its targets.
        other: those of another part.

    Returns:
        The words; '' where the targets are not of one kind.
    """
    pairs = [(one, two) for one in first[1] for two in other[1] if type(one) is type(two) is FieldOptions]
    apart = [
        [(name, vars(one)[name], vars(two)[name]) for name in vars(one) if vars(one)[name] != vars(two)[name]]
        for one, two in pairs
    ]

    def shown(value: Any) -> str:
        return "not given" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)

    least = min(apart, key=lambda own: (len(own), str(own)), default=[])
    words = [f"{name} is {shown(one)} in {first[0]} and {shown(two)} in {other[0]}" for name, one, two in least]
    return f": {', '.join(words)}" * bool(words)


def finite_components(part: Any) -> list[int]:
    """The components n of a part whose targets have Markov chains; empty where all is in closed form.

    Args:
        part: with `components`, `beta` and the keys of a `csd.study.config.schema.FieldPart`.

    Raises:
        InputError: for chains of a target of two phases.
    """
    finite: list[int] = part.components or ([1] if part.beta else [])
    given = "beta" if part.beta else "components"
    if finite and part.target in OWN:
        raise InputError(f"target is {part.target!r}, which has one component; leave components and beta out")
    for target, names in OWN.items():
        for name in names:
            if finite and getattr(part, name) is not None:
                raise InputError(
                    f"{name} and {given} are both given; {name} belongs to target {target}, without chains"
                )
    return finite


@dataclass(frozen=True)
class Stage:
    """A kind of job. Functions that are named 'package.module:function' are imported when they are used.

    Attributes:
        name: folder of its files, name of its summary.
        key: its part of the configuration.
        command: command of the shell; also the rule's name and the folder of logs, unless `made_by` and `logs` are
            given, and, unless `source` is, the step in `csd.core.source`.
        kind: kind of its files.
        jobs: (study, jobs of the stage before) → its jobs.
        cost: (jobs, calibration) → the expected cost of each job.
        ends: beginnings of the last line in the log of a job that has finished.
        works: what a job works on, in words, and how many of them; None where that says nothing.
        aggregate: (jobs, folder, mixed) → the files as one summary; '' where there is none.
        rule: rule of the workflow that aggregates, and its step in `csd.core.source`.
        summary: kind of the summary; that of the files themselves where these are summaries already.
        laws: summary → the scaling laws of its times, rows of `csd fit`.
        summarised: whether a job's file goes into the summary.
        after: name of the stage before, whose files its commands take.
        parent: the job of the stage before whose file a job takes.
        takes: jobs of other stages whose files the command of a job takes, each with its stage, by the flag; in a flag
            with {} that stands for the file.
        plugins: dotted paths of user-defined code that a job's file depends on.
        data: what of its files is not in its flags, as the digest of the fields that a job learns; '' where there is
            nothing such.
        alike: key of jobs whose cost is estimated together.
        gpu: whether a job asks for a GPU.
        source: modules that its files depend on, where `csd.core.source` has no step for them.
        steps: the step in `csd.core.source` for the file of a job, where jobs differ in it; '' elsewhere.
        made_by: name of the rule of its jobs, where it is not its command.
        folder: folder of its files, where it is not its name.
        logs: folder of its logs, where it is not its command.
        checkpoints: whether its command keeps checkpoints.
        names: pattern of its jobs' identifiers, where other files lie in the same folder.
        wildcard: wildcard of its rule, which workflows that import ours may name in rules that they change.
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
    takes: Callable[[Any], Mapping[str, tuple[str, Job]]] = lambda job: {}
    plugins: Callable[[Any], Sequence[str]] = lambda job: ()
    data: Callable[[Any], str] = lambda job: ""
    alike: Callable[[Any], Hashable] = lambda job: None
    gpu: Callable[[Any], bool] = lambda job: False
    source: str = ""
    steps: Callable[[Any], str] = lambda job: ""
    made_by: str = ""
    folder: str | None = None
    logs: str | None = None
    checkpoints: bool = False
    names: str = FILE_NAME
    wildcard: str = "job"

    @property
    def job_rule(self) -> str:
        """Name of the rule of its jobs."""
        return self.made_by or self.command

    def part(self, job: Job) -> str:
        """The part of the configuration that a job is of: 'sweeps.line', 'scores.held'."""
        return self.key if job.sweep == self.key else f"{self.key}.{job.sweep}"

    def step(self, job: Job) -> str:
        """The step, or the modules, that `csd.core.source.fingerprint` takes for the file of a job."""
        return self.steps(job) or self.source or self.command

    @property
    def place(self) -> Path:
        """Folder of its files."""
        return Path(self.name if self.folder is None else self.folder)

    def file(self, job: Job, results: Path) -> Path:
        """The file of a job in the folder of a study's results."""
        return results / self.place / f"{job.identifier}.nc"

    def before(self, job: Job) -> list[Job]:
        """The jobs of the stage before whose files the command of a job takes."""
        parent = self.parent(job)
        others = [own for name, own in self.takes(job).values() if name == self.after]
        return others if parent is None else [parent, *others]

    @property
    def log_place(self) -> Path:
        """Folder of its logs."""
        return Path("logs", self.command if self.logs is None else self.logs)

    @property
    def records(self) -> Path:
        """Folder of the records of its jobs; those of training have always been at the top."""
        return Path("benchmarks", "" if self.checkpoints else self.name)

    def expected(self, jobs: Sequence[Job], calibration: Calibration) -> list[ExpectedCost]:
        """The expected cost of each of its jobs."""
        return list(_named(self.cost)(jobs, calibration))

    def law_table(self, summary: "xr.Dataset") -> "pd.DataFrame":
        """The scaling laws in a summary."""
        table: pd.DataFrame = _named(self.laws)(summary)
        return table

    def summarised_jobs(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose files make the summary; without any, one whose file tells the variables of an empty one."""
        own = list(jobs)
        return [job for job in own if self.summarised(job)] or own[:1]

    def summed_up(self, jobs: Iterable[Job], folder: Path, *, mixed: bool = False) -> "xr.Dataset":
        """The files of its jobs as one summary, which has no runs if no job's file goes into it.

        Args:
            jobs: all of the study.
            folder: of the files.
            mixed: accept files of different versions of the code, or of other requests than the study's.

        Raises:
            InputError: if there is no job, or a file is missing, damaged, or not what its job asks for.
        """
        if not (chosen := self.summarised_jobs(jobs)):
            raise InputError(f"the study has no jobs of {self.kind}; add some under the key {self.key}")
        found: xr.Dataset = _named(self.aggregate)(chosen, folder, mixed=mixed)
        return found if self.summarised(chosen[0]) else found.isel(run=slice(0))


def _named(place: str) -> Callable[..., Any]:
    """The function 'package.module:function'."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


J = TypeVar("J", bound=Job)


def once(jobs: Iterable[J], key: str) -> list[J]:
    """The jobs of a part of the configuration, after a check that each has a file of its own.

    Raises:
        InputError: for two jobs with one file.
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
