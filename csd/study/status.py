"""What of a study is there: files that are damaged, stale or foreign, and how far it is (docs/reruns.md).

Everything is read from the study and its folder alone, so that another terminal or another node of a cluster sees the
same.
"""

import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csd.core.errors import InputError
from csd.core.files import digest, read
from csd.core.source import fingerprint_with_plugins
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES, Jobs, Study, jobs_of
from csd.study.stages.base import Job, Stage

ALIVE = 60.0
"""Seconds after which a job that has told nothing counts as dead; one tells every ten seconds."""


@dataclass(frozen=True)
class Fault:
    """A file that must not reach a figure.

    Attributes:
        path: of the file.
        state: 'damaged', 'stale' or 'foreign'.
        reason: what is wrong with it.
        mend: a command.
        counted: whether it is one of the study's own files.
    """

    path: Path
    state: str
    reason: str
    mend: str
    counted: bool = True


def study_of(folder: Path, config: Path | None) -> Study:
    """The study of a results folder: the one given, or the one that was last run into it.

    Raises:
        InputError: if the folder is not there, or says nothing of its study.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give that of a study's results")
    if config is not None:
        return parse(load(config))
    record = folder / "summary" / "study.json"
    if not record.is_file():
        raise InputError(f"{folder}: there is no summary/study.json in it; name the study with --config")
    return parse(load(record))


def verify_files(study: Study, folder: Path) -> tuple[int, list[Fault]]:
    """Look at all files that the jobs of a study make.

    Args:
        study: what they should be of.
        folder: its results.

    Returns:
        (files of the study that are there, those at fault and those that are none of it).
    """
    faults: list[Fault] = []
    sources: dict[str, str] = {}
    own: dict[Path, set[str]] = {}
    for name, jobs in jobs_of(study).items():
        stage = STAGES[name]
        if stage.folder is None:
            own[stage.place] = {f"{identifier}.nc" for identifier in jobs}
        if stage.checkpoints:
            own[Path("checkpoints")] = {f"{identifier}.{suffix}" for identifier in jobs for suffix in ("npz", "json")}
        for identifier, job in jobs.items():
            path = folder / stage.place / f"{identifier}.nc"
            if path.is_file():
                fault = _fault(stage, job, path, sources)
                faults += [Fault(path, *fault, _remake(path))] if fault else []
    for part, names in own.items():
        faults += [
            _foreign(path) for path in sorted((folder / part).glob("*")) if path.is_file() and path.name not in names
        ]
    return len(sources), faults


def _foreign(path: Path) -> Fault:
    """The fault of a file that no job of the study makes."""
    reason = "left of a write that was killed" if path.name.startswith(".") else "no run of this study makes it"
    return Fault(path, "foreign", reason, f"rm {shlex.quote(str(path))}", counted=False)


def _remake(path: Path) -> str:
    """The command that makes a file of the workflow again; one that is only removed is not missed by what was made."""
    profile = "snakemake --workflow-profile workflow/profiles/default"
    return f"{profile} --force {shlex.quote(str(path))}, then run the study again"


def _fault(stage: Stage, job: Job, path: Path, sources: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with the file of a job: (state, reason).

    Args:
        stage: of the job.
        job: whose file it is.
        path: of the file.
        sources: hashes of the code that made the files looked at so far, to which this one's is added; '' if damaged.
    """
    place = f"{stage.name}/{job.identifier}"
    sources[place] = ""
    try:
        made_by = read(path, stage.kind).attrs
    except InputError as error:
        return "damaged", str(error).removeprefix(f"{path}: ")
    sources[place] = str(made_by["source_hash"])
    if sources[place] != fingerprint_with_plugins(stage.step, *stage.plugins(job)):
        return "stale", "other code made it"
    parent = stage.parent(job)
    before = sources.get(f"{stage.after}/{parent.identifier}") if parent else None
    if before and made_by[f"{stage.after}_source_hash"] != before:
        return "stale", f"its {stage.after} file was made again by other code"
    if made_by["configuration_hash"] != digest(job.request):
        return "stale", "another configuration made it"
    return None


@dataclass(frozen=True)
class JobStatus:
    """How far one job is.

    Attributes:
        name: of its file.
        state: 'done', 'running', 'failed', 'stopped' or 'left'.
        about: what else is known, in words.
    """

    name: str
    state: str
    about: str = ""


STATES = ("done", "running", "failed", "stopped", "left")


def job_states(jobs: Jobs, folder: Path) -> Iterator[JobStatus]:
    """How far each job of a study is.

    Args:
        jobs: all of the study.
        folder: its results.
    """
    for name, own in jobs.items():
        for identifier in own:
            yield JobStatus(f"{STAGES[name].place}/{identifier}", *_state(STAGES[name], identifier, folder))


def _state(stage: Stage, name: str, folder: Path) -> tuple[str, str]:
    """(state, what else is known) of one job, from its file, its log and what it tells of its progress."""
    if (folder / stage.place / f"{name}.nc").is_file():
        return "done", ""
    progress = _progress(folder / "checkpoints" / f"{name}.json") if stage.checkpoints else None
    if progress is not None and time.time() - progress["updated"] < ALIVE:
        return "running", _far(progress)
    lines = _lines(folder / stage.log_place / f"{name}.log")
    if not lines:
        return "left", ""
    if lines[-1].startswith(stage.ends):
        return "left", "its file was made and is gone"
    command = f"csd {stage.command}"
    if lines[-1].startswith((f"{command}: stopped by", f"{command} --", "going on after")) or progress is not None:
        kept = stage.checkpoints and (folder / "checkpoints" / f"{name}.npz").is_file()
        return "stopped", "its checkpoint is kept" if kept else "no checkpoint is kept"
    return "failed", lines[-1]


def _progress(path: Path) -> dict[str, float] | None:
    """What a job last told; None if nothing."""
    try:
        told: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told


def _far(told: dict[str, float]) -> str:
    """A job's progress in words."""
    expected = told.get("expected_steps")
    of = f" of about {expected:,.0f}" if expected else ""
    return f"step {told['step']:,.0f}{of}, error {told['excess']:.3g} times what is allowed"


def _lines(path: Path) -> list[str]:
    """Lines of a log that hold something; none if there is no log."""
    try:
        return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def status_lines(study: Study, found: Sequence[JobStatus]) -> Iterator[str]:
    """How far a study is, in words: counts, then each job that is running, stopped or failed.

    Args:
        study: the study.
        found: its jobs.
    """
    counts = Counter(job.state for job in found)
    yield f"{study.study}: {len(found)} jobs, " + ", ".join(f"{counts[state]} {state}" for state in STATES)
    for job in found:
        if job.state in ("running", "failed", "stopped"):
            yield f"  {job.state:<8} {job.name}: {job.about}"
