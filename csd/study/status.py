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
from csd.core.files import ENSEMBLE, GENERATION, TRAINING, digest, read
from csd.core.source import fingerprint, fingerprint_with_plugins
from csd.study.config.reading import load, parse
from csd.study.config.study import Study
from csd.study.stages.generation import GenerationJob, generation_jobs
from csd.study.stages.monte_carlo import MonteCarloJob, monte_carlo_jobs
from csd.study.stages.training import TrainingJob, training_jobs

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
    """Look at all training, generation and Monte Carlo files of a study.

    Args:
        study: what they should be of.
        folder: its results.

    Returns:
        (files of the study that are there, those at fault and those that are none of it).
    """
    runs = training_jobs(study)
    files = generation_jobs(runs)
    faults, checked, hashes = [], 0, {}
    for run in runs:
        path = folder / "training" / f"{run.identifier}.nc"
        if path.is_file():
            checked += 1
            fault, hashes[run.identifier] = _training_fault(run, path)
            faults += [fault] if fault else []
    for job in files:
        path = folder / "generation" / f"{job.identifier}.nc"
        if path.is_file():
            checked += 1
            fault = _generation_fault(job, path, hashes.get(job.run.identifier))
            faults += [fault] if fault else []
    chains = monte_carlo_jobs(study.monte_carlo)
    for sampled in chains:
        path = folder / "monte_carlo" / f"{sampled.identifier}.nc"
        if path.is_file():
            checked += 1
            fault = _monte_carlo_fault(sampled, path)
            faults += [fault] if fault else []
    own = {
        "monte_carlo": {f"{job.identifier}.nc" for job in chains},
        "training": {f"{run.identifier}.nc" for run in runs},
        "generation": {f"{job.identifier}.nc" for job in files},
        "checkpoints": {f"{run.identifier}.{suffix}" for run in runs for suffix in ("npz", "json")},
    }
    for part, names in own.items():
        faults += [
            _foreign(path) for path in sorted((folder / part).glob("*")) if path.is_file() and path.name not in names
        ]
    return checked, faults


def _foreign(path: Path) -> Fault:
    """The fault of a file that no job of the study makes."""
    reason = "left of a write that was killed" if path.name.startswith(".") else "no run of this study makes it"
    return Fault(path, "foreign", reason, f"rm {shlex.quote(str(path))}", counted=False)


def _remake(path: Path) -> str:
    """The command that makes a file of the workflow again; one that is only removed is not missed by what was made."""
    profile = "snakemake --workflow-profile workflow/profiles/default"
    return f"{profile} --force {shlex.quote(str(path))}, then run the study again"


def _training_fault(run: TrainingJob, path: Path) -> tuple[Fault | None, str | None]:
    """(what is wrong with a training file, the hash of the code that made it)."""
    try:
        made_by = read(path, TRAINING).attrs
    except InputError as error:
        return Fault(path, "damaged", str(error).removeprefix(f"{path}: "), _remake(path)), None
    source = str(made_by["source_hash"])
    names = (run.name, run.target, run.schedule, run.settings.loss)
    if source != fingerprint_with_plugins("train", *names):
        return Fault(path, "stale", "other code made it", _remake(path)), source
    if made_by["configuration_hash"] != digest(run.request):
        return Fault(path, "stale", "another configuration made it", _remake(path)), source
    return None, source


def _generation_fault(job: GenerationJob, path: Path, training: str | None) -> Fault | None:
    """What is wrong with a generation file; `training` is the hash of the code that made its training file."""
    try:
        made_by = read(path, GENERATION).attrs
    except InputError as error:
        return Fault(path, "damaged", str(error).removeprefix(f"{path}: "), _remake(path))
    if made_by["source_hash"] != fingerprint_with_plugins("generate", job.integrator):
        return Fault(path, "stale", "other code made it", _remake(path))
    if training is not None and made_by["training_source_hash"] != training:
        return Fault(path, "stale", "its training file was made again by other code", _remake(path))
    if made_by["configuration_hash"] != digest(job.request):
        return Fault(path, "stale", "another configuration made it", _remake(path))
    return None


def _monte_carlo_fault(job: MonteCarloJob, path: Path) -> Fault | None:
    """What is wrong with a Monte Carlo file."""
    try:
        made_by = read(path, ENSEMBLE).attrs
    except InputError as error:
        return Fault(path, "damaged", str(error).removeprefix(f"{path}: "), _remake(path))
    if made_by["source_hash"] != fingerprint("mcmc"):
        return Fault(path, "stale", "other code made it", _remake(path))
    if made_by["configuration_hash"] != digest(job.request):
        return Fault(path, "stale", "another configuration made it", _remake(path))
    return None


@dataclass(frozen=True)
class JobStatus:
    """How far one training, generation or Monte Carlo job is.

    Attributes:
        name: of its file.
        state: 'done', 'running', 'failed', 'stopped' or 'left'.
        about: what else is known, in words.
    """

    name: str
    state: str
    about: str = ""


ENDS = ("noise level ", "  two-sample test", "  binder")
"""How the last line of a log begins where a job has done its work."""
STATES = ("done", "running", "failed", "stopped", "left")


def jobs(study: Study, folder: Path) -> Iterator[JobStatus]:
    """All training, generation and Monte Carlo jobs of a study."""
    runs = training_jobs(study)
    for run in runs:
        yield _job(run.identifier, folder, "training", "train")
    for job in generation_jobs(runs):
        yield _job(job.identifier, folder, "generation", "generate")
    for sampled in monte_carlo_jobs(study.monte_carlo):
        yield _job(sampled.identifier, folder, "monte_carlo", "mcmc")


def _job(name: str, folder: Path, part: str, log: str) -> JobStatus:
    """One job, from its file, its log and what it tells of its progress."""
    shown = f"{part}/{name}"
    if (folder / part / f"{name}.nc").is_file():
        return JobStatus(shown, "done")
    progress = _progress(folder / "checkpoints" / f"{name}.json") if part == "training" else None
    if progress is not None and time.time() - progress["updated"] < ALIVE:
        return JobStatus(shown, "running", _far(progress))
    lines = _lines(folder / "logs" / log / f"{name}.log")
    if not lines:
        return JobStatus(shown, "left")
    if lines[-1].startswith(ENDS):
        return JobStatus(shown, "left", "its file was made and is gone")
    if lines[-1].startswith((f"csd {log}: stopped by", f"csd {log} --", "going on after")) or progress is not None:
        kept = (folder / "checkpoints" / f"{name}.npz").is_file()
        return JobStatus(shown, "stopped", "its checkpoint is kept" if kept else "no checkpoint is kept")
    return JobStatus(shown, "failed", lines[-1])


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
