"""The state of a study: files that are damaged, stale or foreign, and the progress of its jobs (docs/reruns.md).

All is read from the study and its folder alone, so that another terminal or another node of a cluster sees the same.
"""

import json
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from csd.core.errors import InputError, Unreadable
from csd.core.files import digest, read
from csd.core.paths import is_temporary
from csd.core.source import fingerprint_with_plugins
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES, Jobs, Study, jobs_of
from csd.study.stages.base import Job, Stage

ALIVE = 60.0
"""Seconds without a report after which a job counts as dead; a running job reports every ten seconds."""


@dataclass(frozen=True)
class Fault:
    """A file that must not reach a figure.

    Attributes:
        path: of the file.
        state: 'damaged', 'unreadable', 'stale' or 'foreign'.
        reason: what is wrong with it.
        mend: a command that mends it.
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
        InputError: if the folder is missing, or holds no record of its study.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give that of a study's results")
    record = config or folder / "summary" / "study.json"
    if config is None and not record.is_file():
        raise InputError(f"{folder}: there is no summary/study.json in it; name the study with --config")
    return parse({**load(record), "output": str(folder)})


def verify_files(study: Study, folder: Path) -> tuple[int, list[Fault]]:
    """Check all files in the folders that the jobs of a study write to.

    Args:
        study: that the files should belong to.
        folder: its results.

    Returns:
        (number of the study's files that are there, faults of these and foreign files).
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
        for job in jobs.values():
            path = stage.file(job, folder)
            # A link may lead to nothing, and something else than a file may be in its place.
            if os.path.lexists(path) and (fault := _fault(stage, job, path, sources)):
                # Snakemake does not notice that a file is missing while the files made from it are there.
                force = f"snakemake --workflow-profile workflow/profiles/default --force {shlex.quote(str(path))}"
                mend = "allow it to be read" if fault[0] == "unreadable" else f"{force}, then run the study again"
                mend = mend if path.is_file() else "move it away, then run the study again"
                faults.append(Fault(path, *fault, mend))
    for part, names in own.items():
        for path in sorted((folder / part).glob("*")):
            if path.is_file() and path.name not in names:
                reason = "left by a write that was killed" if is_temporary(path) else "no run of this study makes it"
                faults.append(Fault(path, "foreign", reason, f"rm {shlex.quote(str(path))}", counted=False))
    return len(sources), faults


def _fault(stage: Stage, job: Job, path: Path, sources: dict[str, str]) -> tuple[str, str] | None:
    """The fault of a job's file, (state, reason), or None.

    Args:
        stage: of the job.
        job: whose file it is.
        path: of the file.
        sources: hashes of the code that made the files checked so far, to which this one's is added; '' if damaged.
    """
    place = f"{stage.name}/{job.identifier}"
    sources[place] = ""
    try:
        made_by = read(path, stage.kind).attrs
    except Unreadable as error:
        return "unreadable", str(error).removeprefix(f"{path}: ")
    except InputError as error:
        return "damaged", str(error).removeprefix(f"{path}: ")
    sources[place] = str(made_by["source_hash"])
    plugins = stage.plugins(job)
    if sources[place] != (now := fingerprint_with_plugins(stage.step(job), *plugins)):
        same = sources[place][:16] == now[:16]
        return "stale", f"other code of {', '.join(plugins)} made it than is found here" * same or "other code made it"
    before = [sources.get(f"{stage.after}/{one.identifier}") for one in stage.before(job)]
    if before and all(before) and made_by[f"{stage.after}_source_hash"] != " ".join(sorted({*map(str, before)})):
        return "stale", f"its {stage.after} file was made again by other code"
    try:
        same = made_by["configuration_hash"] == digest(job.request)
    except InputError as error:
        return "stale", str(error)
    return None if same else ("stale", "another configuration made it")


@dataclass(frozen=True)
class JobStatus:
    """The progress of one job.

    Attributes:
        name: folder and name of its file.
        state: one of `STATES`.
        about: further information, in words.
    """

    name: str
    state: str
    about: str = ""


STATES = ("done", "running", "failed", "stopped", "left")


def job_states(jobs: Jobs, folder: Path) -> Iterator[JobStatus]:
    """The progress of each job of a study.

    Args:
        jobs: all of the study.
        folder: its results.
    """
    for name, own in jobs.items():
        for job in own.values():
            yield JobStatus(f"{STAGES[name].place}/{job.identifier}", *_state(STAGES[name], job, folder))


def _state(stage: Stage, job: Job, folder: Path) -> tuple[str, str]:
    """(state, further information) of one job, from its file, its log and the reports of its progress."""
    name = job.identifier
    if (folder / stage.place / f"{name}.nc").is_file():
        return "done", ""
    told: dict[str, float] | None = None
    with suppress(OSError, ValueError):
        report = folder / "checkpoints" / f"{name}.json"
        told = json.loads(report.read_text(encoding="utf-8")) if stage.checkpoints else None
    if told is not None and time.time() - told["updated"] < ALIVE:
        of = f" of about {told['expected_steps']:,.0f}" if told.get("expected_steps") else ""
        return "running", f"step {told['step']:,.0f}{of}, error {told['excess']:.3g} times the tolerance"
    lines: list[str] = []
    with suppress(OSError):
        log = (folder / stage.log_place / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        lines = [line for line in log.splitlines() if line.strip()]
    if not lines:
        return "left", ""
    if lines[-1].startswith(stage.ends):
        return "left", "its file was made and is gone"
    command = f"csd {stage.command}"
    if lines[-1].startswith((f"{command}: stopped by", f"{command} --", "going on after")) or told is not None:
        kept = stage.checkpoints and (folder / "checkpoints" / f"{name}.npz").is_file()
        return "stopped", "its checkpoint is kept" if kept else "no checkpoint is kept"
    return "failed", f"{lines[-1]} ({stage.part(job)})"


def status_lines(study: Study, found: Sequence[JobStatus]) -> Iterator[str]:
    """The progress of a study in words: counts, then each job that is running, stopped or failed.

    Args:
        study: the study.
        found: its jobs.
    """
    counts = Counter(job.state for job in found)
    yield f"{study.study}: {len(found)} jobs, " + ", ".join(f"{counts[state]} {state}" for state in STATES)
    for job in found:
        if job.state in ("running", "failed", "stopped"):
            yield f"  {job.state:<8} {job.name}: {job.about}"
