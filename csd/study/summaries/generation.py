"""A study's generation files in one Dataset, and those of its hybrids in another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.core.files import GENERATION, Variable
from csd.study.stages.generation import GenerationJob, HybridJob
from csd.study.summaries.columns import IDENTITY, About, identity_of, typed_columns
from csd.study.summaries.files import files_of, gathered, grouped, over_fields
from csd.study.summaries.observables import MEASURED, OBSERVABLES

NUMBERED = {
    **{"wavenumber": "bin", "noise_level": "level", "shown_step": "shown"},
    **{"sample": "sample", "reference": "reference", "shown": "field", "site": "site"},
}
"""Dimensions of a generation file whose places differ from run to run, and their names in the summary."""
OF_KERNELS = {
    "generation_training_time": ("run", "seed", "criterion"),
    "kl_per_site": ("run", "seed", "step"),
    "generated_spectrum": ("run", "seed", "step", "bin"),
    "predicted_generation_training_time": ("run", "criterion"),
    "predicted_kl_per_site": ("run", "step"),
}
"""Variables of all summaries; NaN where no run has a kernel, or a theory, as for fields in a file."""

IDENTITY_OF_HYBRIDS: About = {
    "hybrid": ("name of the hybrid", "1"),
    "networks": ("its networks, from the highest window of noise levels down", "1"),
    "target": ("target", "1"),
    "target_label": ("how the target was given", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "mass": ("mass", "inverse lattice spacings"),
}
"""Columns of a summary of hybrids."""


def aggregate_generation(jobs: Sequence[GenerationJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All generation files of a study in one Dataset.

    Args:
        jobs: the generation jobs.
        folder: of the generation files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, seed, step, criterion, and the places bin, level, shown, sample, reference, field and site,
        whose values differ from run to run.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups = grouped(files_of(jobs, folder, GENERATION, mixed=mixed), lambda job: (job.run.key, job.size))
    own = [[(job, _with_own_references(file)) for job, file in group] for group in groups]
    files = [over_fields(group, group[0][0].run) for group in own]
    rows = [
        {
            **identity_of(group[0][0].run, group[0][1]),
            "size": group[0][0].size,
            "trained_size": group[0][0].run.size,
            "sampled_step": max(int(file.attrs["sampled_step"]) for _, file in group),
            "compared_with": str(group[0][1].attrs.get("reference", "")),
        }
        for group in groups
    ]
    about = {
        **IDENTITY,
        "trained_size": ("lattice size in training", "lattice spacings"),
        "sampled_step": ("training step at which fields were drawn, the last of all seeds", "steps"),
        "compared_with": ("kind of the reference: exact, Monte Carlo or held-out", "1"),
    }
    summary = gathered(files, axes=("seed", "step", "criterion"), numbered=NUMBERED)
    if not summary.sizes["step"]:
        summary = summary.drop_vars("step").assign_coords(step=[0])
    missing = {name: dims for name, dims in OF_KERNELS.items() if name not in summary}
    unknown = {name: (dims, np.full([summary.sizes[dim] for dim in dims], np.nan)) for name, dims in missing.items()}
    return summary.assign(unknown | typed_columns(rows, about))


def _with_own_references(file: xr.Dataset) -> xr.Dataset:
    """A file with the reference of each seed, as the seeds of a run may have learned fields of different chains."""
    if file.attrs.get("reference") not in MEASURED:
        return file
    seeds = file.sizes["seed"]
    own = {
        f"own_{name}": Variable(("seed",), np.full(seeds, float(file[name])), dict(file[name].attrs))
        for name in (f"reference_{observable}{suffix}" for observable in OBSERVABLES for suffix in ("", "_error"))
        if name in file
    }
    return file.assign(own)


def aggregate_hybrids(jobs: Sequence[HybridJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All files of hybrids of a study in one Dataset.

    Args:
        jobs: of the stage.
        folder: of their files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, seed, criterion, window, level, bin, sample and reference; what has a training step in files is
        that of the last.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups = grouped(files_of(jobs, folder, GENERATION, mixed=mixed), lambda job: job.key)
    files = [[_at_the_end(file) for _, file in group] for group in groups]
    numbered = {"window": "window", "noise_level": "level", "wavenumber": "bin"}
    numbered |= {"sample": "sample", "reference": "reference"}
    summary = gathered(files, axes=("seed", "criterion"), numbered=numbered)
    rows: list[dict[str, Any]] = []
    for group in groups:
        job, file = group[0]
        about = {name: getattr(job, name) for name in ("target_label", "dimension", "size")}
        about |= {"hybrid": job.sweep, "target": job.kind, "networks": job.label, "mass": float(file.attrs["mass"])}
        rows.append(about)
    return summary.assign(typed_columns(rows, IDENTITY_OF_HYBRIDS))


def _at_the_end(file: xr.Dataset) -> xr.Dataset:
    """A file without training steps before the last one that all seeds have reached."""
    if "step" not in file.dims:
        return file
    place = int(np.flatnonzero(file["step"].values == file.attrs["sampled_step"])[0])
    return file.isel(step=place, drop=True)
