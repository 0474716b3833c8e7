"""The accuracy at which networks are compared: the training steps, and the grids, from which samples have it.

Samples have the right distribution once they are reweighted. S is the first recorded step of training at which every
seed has an effective sample size of at least half its samples (`csd.diffusion.criteria`) and χ is within 2 % (root mean
square over seeds), by exact recursion along the reverse trajectory. The integrator may leave out noise levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import TRAINING, Content, content_of, read_content
from csd.diffusion.criteria import CRITERIA, LIMITS, log_effective_sample_size
from csd.diffusion.integrators import FrozenKernel, Integrator, integrator_of
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.trained import Kept, Trained, kept_scores, load_trained
from csd.lattice import Array
from csd.lattice.observables import susceptibility
from csd.study.seeds import mean_over_seeds
from csd.study.stages.training import TrainingJob
from csd.study.summaries.columns import columns_of
from csd.study.summaries.files import training_file
from csd.targets.noising import NoisedTarget, Schedule

CRITERION = "effective_sample_size"
SUSCEPTIBILITY = 0.02
"""Largest relative deviation of χ from the exact one."""
THINNER = 0.8
"""Ratio of the numbers of steps of successive grids that are tried."""


@dataclass(frozen=True)
class Matched:
    """The training time S from which the seeds of a network are accurate on one grid.

    Attributes:
        grid: noise levels, from the highest down.
        evaluations: of the score, for each field.
        steps: S.
        per_field: M/ESS after S steps, shape (seeds,).
        steps_error: standard error of S.
        batch: B.
    """

    grid: Array
    evaluations: int
    steps: float
    per_field: Array
    steps_error: float = 0.0
    batch: int = 0


def of_network(members: Sequence[TrainingJob], summary: xr.Dataset, folder: Path) -> list[Matched] | str:
    """`matched` of a network's files, or the reason why it is never accurate enough.

    Args:
        members: the jobs that train it, each with some of its seeds.
        summary: of `csd.study.summaries.generation.aggregate_generation`.
        folder: of the training files.
    """
    first = members[0]
    if first.settings.loss == "population":
        return "the population loss has seen infinitely many fields"
    own = _run_of(summary, first).sel(criterion=CRITERION)
    seeds = sorted(seed for run in members for seed in run.seeds)
    reached = own["generation_training_time"].sel(seed=seeds).values
    if never := [str(seed) for seed, time in zip(seeds, reached, strict=True) if not np.isfinite(time)]:
        some = f"seed{'s' * (len(never) > 1)} {', '.join(never)} of {len(seeds)}"
        return str(own["criterion_remark"].values) or f"{some} never had {CRITERION} of a half for good"
    files = [_since(read_content(training_file(run, folder), TRAINING), float(reached.min())) for run in members]
    integrator = integrator_of(first.settings.integrator)
    grids = matched(files, integrator, first.settings.start)
    if not grids:
        asked = f"an ESS/M of a half and the susceptibility within {SUSCEPTIBILITY:.0%}"
        return f"at no recorded step had all {len(seeds)} seeds {asked}"
    # Seeds scatter as their times do that are interpolated between recorded steps.
    mean, error = mean_over_seeds(reached)
    return [replace(grid, batch=first.settings.batch, steps_error=grid.steps * error / mean) for grid in grids]


def _run_of(summary: xr.Dataset, run: TrainingJob) -> xr.Dataset:
    """The run of a summary that samples on the lattice of a training job."""
    wanted: dict[str, Any] = {"sweep": run.sweep, "dimension": run.dimension, "size": run.size}
    wanted |= {"trained_size": run.size, "data_set": run.data_set or 0, **columns_of(run)}
    if run.field.mass is not None:
        wanted["mass"] = run.field.mass
    here = np.ones(summary.sizes["run"], dtype=bool)
    for name, value in wanted.items():
        found = summary[name].values
        here &= found == value if value == value else np.isnan(found)
    if not here.any():
        raise InputError(
            f"the summary of generation lacks {run.identifier}; make it again with csd aggregate-generation"
        )
    return summary.isel(run=int(here.argmax()))


def _since(training: Content, step: float) -> Content:
    """A training file without the recorded kernels before a step."""
    dataset = training.dataset()
    return content_of(dataset.isel(kernel_step=np.flatnonzero(dataset["kernel_step"].values >= np.floor(step))))


def matched(files: Sequence[Content], integrator: Integrator, start: str) -> list[Matched]:
    """The first recorded step at which every seed has ESS/M of a half and χ is within 2 %, by recursion of the kernels.

    Integrators may take longer steps than the study's: grids with fewer and fewer of the trained levels are tried,
    until one on which the exact score misses either, or the seeds are never right. A still coarser one may have both
    again, as the integrator's error changes its sign, but only by chance.

    Args:
        files: training files of one network, with recorded kernels.
        integrator: that makes a step.
        start: 'noise' or 'exact'.

    Returns:
        One for each grid, the full one first; empty if the seeds are never right, even there.
    """
    levels = np.sort(files[0]["noise_level"].values)[::-1]
    common = files[0]["kernel_step"].values
    for file in files[1:]:
        common = np.intersect1d(common, file["kernel_step"].values)
    trained = [load_trained(file, levels.tolist()) for file in files]
    kept = [kept_scores(*own, None) for own in zip(files, trained, strict=True)]
    shown = [np.isin(one.steps, common) for one in kept]
    grids: list[Matched] = []
    count = len(levels) - 1
    while count >= 1:
        places = np.unique(np.linspace(0, len(levels) - 1, count + 1).round().astype(int))
        count = min(count - 1, round(count * THINNER))
        deviations = ReverseDiffusion(_on(trained[0], places), integrator, start).exact_deviations
        exact = dict(zip(CRITERIA, deviations, strict=True))
        if exact[CRITERION] > LIMITS[CRITERION] or exact["susceptibility"] > SUSCEPTIBILITY:
            break
        pairs = [_accuracy(*own, places, integrator, start) for own in zip(trained, kept, strict=True)]
        weight, off = (
            np.concatenate([one[:, own] for one, own in zip(part, shown, strict=True)])
            for part in zip(*pairs, strict=True)
        )
        good = (weight >= np.exp(-LIMITS[CRITERION])).all(axis=0)
        good &= np.sqrt((off**2).mean(axis=0)) <= SUSCEPTIBILITY
        if not good.any():
            break
        first = int(good.argmax())
        asked = evaluations(integrator, trained[0].noised.schedule, levels[places])
        grids.append(Matched(levels[places], asked, float(common[first]), 1.0 / weight[:, first]))
    return grids


def _on(trained: Trained, places: Array) -> NoisedTarget:
    """The target on some of the trained levels."""
    whole = trained.noised
    return NoisedTarget(whole.target, whole.schedule, np.array(whole.levels)[places].tolist())


def _accuracy(trained: Trained, kept: Kept, places: Array, integrator: Integrator, start: str) -> tuple[Array, Array]:
    """(ESS/M, χ over the exact one less 1) on some of the trained levels, shape (seeds, steps); 0 and ∞ if ended."""
    noised = _on(trained, places)
    modes = kept.score.modes
    exact = noised.spectra_at(modes)[-1]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        generated = ReverseDiffusion(noised, integrator, start).variance(kept.score)
        weight = np.exp(log_effective_sample_size(modes, generated, exact))
        off = susceptibility(modes, generated) / susceptibility(modes, exact) - 1.0
    return np.where(kept.ended, 0.0, weight), np.where(kept.ended, np.inf, off)


def evaluations(integrator: Integrator, schedule: Schedule, grid: Array) -> int:
    """The number of evaluations of the score by an integrator on a grid, counted on a single number.

    Args:
        integrator: that makes a step.
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down.
    """
    if isinstance(integrator, FrozenKernel):
        return len(grid) - 1
    asked = 0

    def score(fields: Array, t: float) -> Array:
        nonlocal asked
        asked += 1
        return -fields

    state = np.zeros(1)
    for t, lower in pairwise(grid):
        state = integrator.step(score, schedule, state, float(t), float(lower), lambda: np.zeros(1))
    return asked
