"""What a study costs before it starts: steps from closed forms, times what steps take on this machine.

A run's time is that of a job that does nothing (start-up, a small file), plus

    steps × (numbers drawn + modes or patches stepped) + recorded steps × residuals + the prediction + the file,

each an overhead and a rate times the numbers worked on, measured here in about a second (`calibrate`), in processor
time, which others on the machine disturb least. What a cluster job may take is the same, with the speed of one machine
that stands here (`REFERENCE`) and head-room. Generation is the recursion of every kept kernel through all levels,
plus samples × levels × modes. Memory and disk are the sizes of the arrays that are held and written. Between levels and
masses that lie close, expected steps are interpolated, so 10,000 runs cost a few.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from csd.core.compiled_random import WORTH_LOADING
from csd.diffusion.samples import compared_fields
from csd.lattice import Lattice
from csd.lattice.bins import BINS
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import LOOPS, Calibration
from csd.study.cost.work import (
    HELD,
    LEVELS,
    Work,
    drawing_time,
    is_known,
    kept_steps,
    pairs_of,
    recorded_steps,
    shells_of,
    stand_in,
    work_of,
)
from csd.study.stages.generation import GenerationJob, generation_jobs
from csd.study.stages.training import TrainingJob
from csd.targets.noising import NoisedTarget
from csd.training.batches import BLOCK, MOST_DRAWN
from csd.training.descent.modes import ModeDescent
from csd.training.loop import at_steps
from csd.training.options import TrainingSettings, with_population
from csd.training.preparation import prepare
from csd.training.record import record_steps
from csd.training.recorder import MANY, RIGHT_FOR
from csd.training.reference import expected_steps

MASSES = 8
"""Most masses whose steps are computed, out of a sweep's list."""
BISECTIONS = 20
"""How often the bisection for a training time evaluates a closed form, for each noise level."""
ODES = ("euler", "heun")
"""Integrators that draw no noise."""
FILE, CURVE, WEIGHT, KERNEL, KEPT = 35e3, 24.0, 1.7, 3.2, 0.7
"""Bytes on disk: of a file without numbers; of a network at a recorded step; of a mode's weight in full layers,
of its kernel after the last step, and at one kept step.
"""


def _training(run: TrainingJob, work: Work, steps: float, pace: Calibration) -> ExpectedCost:
    """What a training job takes."""
    records = recorded_steps(steps)
    numbers = float(work.networks * work.modes)
    taken = records + BISECTIONS * len(run.noise_levels) if work.closed_form else steps
    block = int(np.clip(BLOCK // work.modes, 1, MOST_DRAWN)) if work.fresh else 1
    job = pace.fields_job if work.autograd and pace.fields_job is not None else pace.job
    look = work.look + pace.record(numbers, work.networks)
    seconds = job.seconds + work.set_up + taken * work.own + records * look
    if work.fresh:
        # Numbers are drawn a block of steps at a time, so a short training draws a whole one.
        drawn = numbers * block * np.ceil(max(steps, 1.0) / block)
        seconds += drawing_time(pace.draw, drawn, taken)
    if work.iterated:
        seconds += steps * work.ahead + records * (work.look + pace.record(work.networks * work.shells, work.networks))
    else:
        seconds += (records + BISECTIONS) * work.ahead / len(run.seeds)
    kept = kept_steps(run, steps) * float(work.networks * (work.shells if work.modes > MANY else work.modes))
    if run.settings.until == "samples":
        seconds += pace.recursion(records * numbers, records * len(run.noise_levels))
    curves = float(records * work.networks)
    # Filters, room for a step, spectra and kernels; a block of spectra; kernels kept as they come and together.
    wide = 1.5 if work.complex else 1.0
    held = wide * (8.0 * numbers * (6.0 + block) + 2.0 * 4.0 * kept) + curves * (8.0 * 3.0 + 4.0 * BINS)
    if run.settings.path == "fields":
        held += 8.0 * 8.0 * work.networks * run.settings.batch * run.size**run.dimension
    # Filters laid out on the lattice, and their transforms.
    held += 16.0 * work.networks * run.size**run.dimension if work.look else 0.0
    held += 1e6 * LOOPS.memory_mb if work.fresh and drawn > WORTH_LOADING else 0.0
    of_modes = WEIGHT * (not work.local) + KERNEL * (kept > 0.0)
    written = FILE + 8.0 * work.shells + of_modes * numbers + KEPT * kept + CURVE * curves
    memory = job.memory_mb + held / 1e6
    known = is_known(run) and run.settings.device != "cuda"
    return ExpectedCost(
        "training", run.identifier, float(seconds), memory, written / 1e6, steps, known, family=run.name
    )


def _generation(job: GenerationJob, work: Work, steps: float, pace: Calibration) -> ExpectedCost:
    """What a generation job takes."""
    run, asked = job.run, job.settings
    lattice = Lattice(run.dimension, job.size)
    modes = shells_of(lattice) if work.modes == work.shells else pairs_of(lattice)
    levels, seeds, records = len(run.noise_levels), len(run.seeds), kept_steps(run, steps)
    kernels = float(levels * seeds * records * modes)
    recursion = pace.recursion(kernels, levels)
    predicted = 0.0
    if job.size == run.size:
        # The population loss is followed to the last step that was kept, for one seed.
        recursion += pace.recursion(kernels / seeds, levels * records)
        predicted = (records if work.full_layer else steps) * work.ahead / seeds
    step = pace.flow if asked.integrator in ODES else pace.sample
    fields, pairs = float(seeds * asked.samples), pairs_of(lattice)
    normals = fields * levels * pairs
    drawn = step(normals, fields * levels) if asked.integrator in ODES else drawing_time(step, normals, fields * levels)
    looked = fields + seeds * compared_fields(lattice, asked.samples)
    drawn += pace.field(looked * pairs, looked)
    written = 2.0 * FILE + seeds * BINS * (4.0 * records + 1.5 * levels * np.log10(10.0 + steps))
    held = HELD * 8.0 * kernels + 2.0 * 8.0 * compared_fields(lattice, asked.samples) * lattice.sites
    held += 1e6 * LOOPS.memory_mb if asked.integrator not in ODES and normals > WORTH_LOADING else 0.0
    seconds = pace.job.seconds + work.set_up + recursion + predicted + drawn
    memory = pace.job.memory_mb + held / 1e6
    return ExpectedCost(
        "generation", job.identifier, float(seconds), memory, float(written) / 1e6, family=asked.integrator
    )


_KNOWN: dict[str, float] = {}
"""Steps of runs that were asked for before: training and generation of a run ask one after the other."""


def _steps(run: TrainingJob) -> float:
    """Steps of a run, by closed forms at some of its levels; all that are allowed where nothing is known."""
    if (asked := repr(run)) not in _KNOWN:
        _KNOWN[asked] = _found_steps(run)
    return _KNOWN[asked]


def _found_steps(run: TrainingJob) -> float:
    noised, architecture, settings = stand_in(run).problem()
    if settings.until == "samples" and ":" not in settings.integrator:
        steps = _until_right(noised, architecture, settings)
        if steps == steps:
            return steps
    if len(noised.levels) > LEVELS:
        chosen = np.unique(np.linspace(0, len(noised.levels) - 1, LEVELS).astype(int))
        noised = NoisedTarget(noised.target, noised.schedule, [noised.levels[place] for place in chosen])
    steps = expected_steps(noised, architecture, settings)
    return steps if steps == steps else float(settings.max_steps)


def _until_right(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> float:
    """Steps of full layers until samples are right on the population loss; NaN for other networks."""
    from csd.diffusion.reverse import goal_of

    exact = replace(with_population(settings), seeds=settings.seeds[:1])
    if not architecture.is_family or not isinstance((run := prepare(noised, architecture, exact)).descent, ModeDescent):
        return float("nan")
    goal = goal_of(noised, architecture, settings)
    since, step = np.inf, 0
    for step in at_steps(run, record_steps(settings.max_steps).tolist()):
        score = KernelScore(noised.lattice, run.modes, noised.levels, run.descent.kernel()[0])
        since = min(since, step) if goal(score) else np.inf
        if step >= RIGHT_FOR * since:
            break
    return float(step)


def steps_of(runs: Sequence[TrainingJob]) -> list[float]:
    """Expected steps of each run: the same for runs that differ in seeds, interpolated between masses.

    Args:
        runs: of one study.
    """
    groups: dict[Hashable, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, run in enumerate(runs):
        groups[run.alike][run.mass or run.mass_times_length or 0.0].append(place)
    steps = np.zeros(len(runs))
    for members in groups.values():
        masses = np.array(sorted(members))
        chosen = masses[np.unique(np.linspace(0, len(masses) - 1, MASSES).astype(int))]
        known = [_steps(runs[members[mass][0]]) for mass in chosen]
        known_log = np.log(np.maximum(known, 1.0))
        for mass, places in members.items():
            steps[places] = known[0] if len(known) == 1 else np.exp(np.interp(np.log(mass), np.log(chosen), known_log))
    return steps.tolist()


def expected_costs(runs: Sequence[TrainingJob], calibration: Calibration) -> list[ExpectedCost]:
    """What training jobs take, then what generates from them.

    Args:
        runs: the training jobs.
        calibration: of this machine.
    """
    return expected_training(runs, calibration) + expected_generation(generation_jobs(runs), calibration)


def expected_training(runs: Sequence[TrainingJob], calibration: Calibration) -> list[ExpectedCost]:
    """What training jobs take."""
    works = _works(runs, calibration)
    return [
        _training(run, works[run.alike], steps, calibration) for run, steps in zip(runs, steps_of(runs), strict=True)
    ]


def expected_generation(jobs: Sequence[GenerationJob], calibration: Calibration) -> list[ExpectedCost]:
    """What generation jobs take."""
    runs = [job.run for job in jobs]
    works = _works(runs, calibration)
    return [
        _generation(job, works[job.run.alike], steps, calibration)
        for job, steps in zip(jobs, steps_of(runs), strict=True)
    ]


def _works(runs: Sequence[TrainingJob], calibration: Calibration) -> dict[Hashable, Work]:
    """What runs work on, which is the same for those that are alike."""
    return {alike: work_of(run, calibration) for alike, run in {run.alike: run for run in runs}.items()}
