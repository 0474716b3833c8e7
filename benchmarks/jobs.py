"""Jobs of `csd train` in processes of their own: two at once, the large ones, and those of a finished study."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks.clock import quartiles, strings
from benchmarks.plan import Plan
from benchmarks.processes import commands, train_flags, trained
from csd.core.errors import InputError
from csd.core.files import TRAINING, labelled, read


def measure_threads(plan: Plan) -> xr.Dataset:
    """Two `csd train` at once against one alone, and the cores that one uses (processor time over wall time)."""
    dimension, size, steps = plan.pair
    flags = train_flags(dimension, size, "two_layer", "--tolerance", "0", "--max-steps", str(steps))
    alone, together, cores = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        jobs = [[*flags, "--seed", str(seed), "--output", str(Path(folder) / f"{seed}.nc")] for seed in (1, 2)]
        for _ in range(plan.effort.repeats):
            (one,), both = commands(jobs[:1], plan.limit), commands(jobs, plan.limit)
            alone.append(one.wall)
            together.append(max(took.wall for took in both))
            cores.append(max(took.processor / took.wall for took in (one, *both)))
    ratio = np.array(together) / np.array(alone)
    return xr.Dataset(
        {
            "pair_ratio": labelled(["quartile"], quartiles(ratio), "time of two jobs at once over that of one"),
            "cores_used": labelled(["quartile"], quartiles(np.array(cores)), "processor time over wall time of a job"),
            "pair_seconds": labelled(["repeat"], np.array(alone), "time of one job alone", "s"),
        }
    )


def measure_large(plan: Plan) -> xr.Dataset:
    """Wall time and peak memory of the large runs, to 1 % at t = 0.1 with B = 1024; why not, where there is none."""
    found = []
    for dimension, size, architecture in plan.large:
        took, _, steps = trained([*train_flags(dimension, size, architecture), "--batch", "1024"], plan.limit)
        found.append((took, float(steps)))
    names = (f"d = {d}, L = {size}, {architecture}" for d, size, architecture in plan.large)
    return xr.Dataset(
        {
            "large_seconds": labelled(["large"], [took.wall for took, _ in found], "time of the whole command", "s"),
            "large_memory": labelled(["large"], [took.memory for took, _ in found], "peak memory", "bytes"),
            "large_steps": labelled(["large"], [steps for _, steps in found], "training steps", "steps"),
            "large_trouble": labelled(["large"], strings(took.trouble for took, _ in found), "why there is no result"),
        },
        {"large": labelled(["large"], strings(names), "large run")},
        {"large_limit_seconds": plan.limit},
    )


def _records(folder: Path) -> Iterator[tuple[dict[str, float], xr.Dataset]]:
    """The record and the file of each job of a study that has both; a study may be at work meanwhile."""
    for path in sorted((folder / "benchmarks").glob("*.json")):
        # A minute's measurement must not be lost for one job's file.
        with suppress(InputError, OSError, ValueError):
            yield json.loads(path.read_text()), read(folder / "training" / f"{path.stem}.nc", TRAINING)


def read_study(folder: Path, seconds_a_site: dict[str, float]) -> xr.Dataset:
    """What the records of a finished study say, beside what a baseline would take for the same steps.

    Args:
        folder: of the study's results, with `benchmarks/` and `training/`.
        seconds_a_site: of each baseline, for a training step, field and site.

    Returns:
        study_seconds and study_share of the jobs; study_ratio(code), the baseline's time for those steps that see
        minibatches over the time of the jobs that take them. Without records, the attribute `study` says so.
    """
    runs = list(_records(folder))
    if not runs:
        return xr.Dataset(attrs={"study": "there are no records of a finished study"})
    walls = np.array([record["wall_s"] for record, _ in runs])
    parts = {
        name: sum(record[f"{name}_s"] for record, _ in runs) / walls.sum()
        for name in ("imports_and_set_up", "training", "prediction_and_writing")
    }
    # Field–sites that a code which draws fields would have gone through.
    work, counted = 0.0, 0.0
    for record, about in runs:
        if about.attrs["batch"] and ":" not in about.attrs["architecture"]:
            sites = float(about.attrs["size"]) ** float(about.attrs["dimension"])
            work += record["steps"] * about.sizes["noise_level"] * about.attrs["batch"] * sites
            counted += record["wall_s"]
    codes = list(seconds_a_site)
    ratios = [seconds_a_site[code] * work / counted if counted else float("nan") for code in codes]
    return xr.Dataset(
        {
            "study_seconds": labelled([], walls.sum(), "processor time of all training jobs", "s"),
            "study_jobs": labelled([], len(runs), "training jobs"),
            "study_share": labelled(["job_part"], list(parts.values()), "share of the time of the jobs"),
            "study_ratio": labelled(["study_code"], ratios, "time of a baseline for the same steps over the jobs'"),
        },
        {
            "job_part": labelled(["job_part"], strings(parts), "part of a job"),
            "study_code": labelled(["study_code"], strings(codes), "code"),
        },
        {"study": "read from the records of its jobs"},
    )
