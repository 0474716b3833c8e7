"""What a study costs before it starts: steps from closed forms, times what steps take on this machine.

The time of a training job is that of a job that does nothing (start-up, a small file), plus

    steps × (numbers drawn + modes or patches stepped) + recorded steps × residuals + prediction + file,

each an overhead and a rate times the numbers worked on. `calibrate` measures them in about a second, in processor time,
which other work on the machine disturbs least; limits on a cluster use the speed of one machine (`REFERENCE`) with
head-room. Generation costs the recursion of every recorded kernel through all levels, plus samples × levels × modes.
Memory and disk are the sizes of the arrays that are held and written. Expected steps are interpolated between noise
levels and masses that lie close, so 10,000 jobs cost a few evaluations.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Literal, TypeVar

import numpy as np

from csd.core.compiled_random import WORTH_LOADING
from csd.diffusion.quality import SAMPLES
from csd.lattice import Lattice
from csd.lattice.bins import BINS
from csd.networks import Architecture
from csd.networks.full import DeepLinear
from csd.networks.local import SITE_PAIR, LocalNetwork, LocalTwoLayer, transform_time
from csd.networks.multiscale import Multiscale, TiedFilters
from csd.networks.score import KernelScore
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import LOOPS, Calibration
from csd.study.cost.samples import FILE, HELD, by_kernels, by_networks, drawing_time, pairs_of, shells_of
from csd.study.cost.scored import expected_errors
from csd.study.stages.base import Job
from csd.study.stages.data import DataField
from csd.study.stages.generation import GenerationJob, generation_jobs
from csd.study.stages.training import TrainingJob
from csd.targets.noising import NoisedTarget
from csd.targets.options import FieldOptions
from csd.training.batches import BLOCK, MOST_DRAWN
from csd.training.descent.modes import ModeDescent
from csd.training.descent.patches import KEPT, KNOWN_PAIR, levels_together
from csd.training.loop import at_steps
from csd.training.options import TrainingSettings, with_population
from csd.training.preparation import prepare
from csd.training.record import record_steps, sparse_steps
from csd.training.recorder import MANY, RIGHT_FOR
from csd.training.reference import expected_steps
from csd.training.steps.tuning import networks_tried

MASSES, LEVELS = 8, 9
"""Most masses of a sweep, and most levels of a grid, at which steps are computed; others are interpolated."""
BISECTIONS = 20
"""Evaluations of the closed form in the bisection for a training time, at each noise level."""
BLOCKS_SLOWER, DILATED_SLOWER, UNTIL_RIGHT = 1.8, 0.7, 0.6
"""Steps of multiscale networks to a tolerance, over those of two full layers of the same rate: of blocks, and of
dilated filters over N^¼; and until samples are right, over N^{3/2}. Measured; the latter within a factor of four.
"""
TIED_CALLS = 6.0
"""Overheads of a step of tied filters for each part of the levels."""
TRIED = 280.0
"""Bytes of a mode of a network of the trials of learning rates, with its other starts, measured."""
CURVE, WEIGHT, KERNEL, RECORDED = 24.0, 1.7, 3.2, 0.7
"""Bytes on disk: of a network at a recorded step; of a mode's weight in full layers, of its kernel after the last step,
and of its kernel at one recorded step.
"""


@dataclass(frozen=True)
class Work:
    """The work of a training job, as far as its time and memory depend on it; S seeds, T noise levels.

    Attributes:
        networks: S T.
        modes: modes of spectra and kernels.
        shells: shells of the lattice.
        step: seconds of a step of all networks, without drawing data.
        ahead: seconds of a step of the prediction.
        look: seconds to compute the kernels at a recorded step, where they are not at hand.
        set_up: seconds before and after the steps.
        layers: 'one' full layer or two balanced ones, whose prediction is a closed form; 'deep'; 'local', of one or
            'local_two' layers; 'tied', filters across the lattice; 'module', trained by autograd.
    """

    networks: int
    modes: int
    shells: int
    step: float
    ahead: float = 0.0
    look: float = 0.0
    set_up: float = 0.0
    layers: Literal["one", "deep", "local", "local_two", "tied", "module"] = "module"


def work_of(run: TrainingJob, pace: Calibration) -> Work:
    """The work of a training job."""
    noised, architecture, settings = stand_in(run).problem()
    lattice = noised.lattice
    pairs, shells = pairs_of(lattice), shells_of(lattice)
    seeds, networks = len(settings.seeds), len(settings.seeds) * len(noised.levels)
    if by_autograd(run):
        assert pace.fields is not None
        numbers = settings.batch * lattice.sites if settings.path == "fields" else 2 * pairs
        return Work(networks, pairs, shells, pace.fields(networks * numbers, networks))
    built = [architecture.build(lattice, float(length)) for length in noised.score_lengths()]
    if local := [network for network in built if isinstance(network, LocalNetwork)]:
        groups = len({network.patch.reach for network in local})
        step, ahead = (
            pace.patch(seeds * sum(patch_time(network, fresh=fresh) for network in local), groups)
            for fresh in (_seeded(run), False)
        )
        look = pace.patch.rate * networks * transform_time(lattice)
        set_up = pace.patch.rate * sum(map(_set_up_time, local))
        layers: Literal["local", "local_two"] = "local_two" if isinstance(local[0], LocalTwoLayer) else "local"
        return Work(networks, pairs, shells, step, ahead, look, set_up, layers)
    if isinstance(tied := built[0], TiedFilters):
        step = pace.patch(networks * _tied_time(tied, networks), TIED_CALLS * seeds * _parts(tied, len(built)))
        return Work(networks, pairs, shells, step, step, layers="tied")
    depth = built[0].filter_shape[0] if isinstance(built[0], DeepLinear) else 1
    # Passes over the modes, in units of the ten that two layers take.
    passes = (7.0 + 3.0 * (depth - 1)) / 10.0
    modes = pairs if _seeded(run) else shells
    step, ahead = (pace.modes(passes * networks * numbers) for numbers in (modes, shells))
    return Work(networks, modes, shells, step, ahead, layers="one" if depth == 1 else "deep")


def _seeded(run: TrainingJob) -> bool:
    """Whether seeds differ in the fields that they see."""
    return run.settings.loss != "population" or run.settings.data_set is not None


def patch_time(network: LocalNetwork, *, fresh: bool) -> float:
    """Nominal nanoseconds of a step of one local network and its error.

    Args:
        network: the network.
        fresh: whether its spectrum is drawn anew at every step.
    """
    pairs, transform = float(len(network.patch)) ** 2, transform_time(network.lattice)
    known = min(KNOWN_PAIR * pairs, 2.0 * transform)
    made = transform + SITE_PAIR * pairs if SITE_PAIR * pairs < transform else 2.0 * transform
    own = 0.0
    if isinstance(network, LocalTwoLayer):
        filters = float(len(network.offsets)) ** 2
        own = 2.0 * min(SITE_PAIR * filters, (network.channels + 1) * transform)
    return (made if fresh else known) + known + own


def _tied_time(network: TiedFilters, networks: int) -> float:
    """Nominal nanoseconds of a step of one network of tied filters and its error, of as many in a job."""
    kept = networks * network.channels * int(np.prod(network.lattice.half_shape)) <= KEPT
    return (2.0 if kept else 3.0) * network.channels * transform_time(network.lattice)


def _parts(network: TiedFilters, levels: int) -> int:
    """The number of parts in which the levels of a seed take a step."""
    return -(-levels // levels_together(network))


def _set_up_time(network: LocalNetwork) -> float:
    """Nominal nanoseconds to find the start, rate, floor and best kernel of a local network, and its prediction."""
    patch, lattice = network.patch, network.lattice
    classes = float(comb(patch.reach + lattice.dimension, lattice.dimension))
    return 4.0 * (classes**3 + SITE_PAIR * classes * len(patch) + transform_time(lattice))


def kept_steps(run: TrainingJob, steps: float) -> int:
    """The number of training steps at which kernels are kept; none where nothing is generated."""
    if run.generation is None:
        return 0
    grid = sparse_steps if run.generation.kernel_steps == "sparse" else record_steps
    return len(grid(max(int(steps), 1)))


def is_known(job: TrainingJob) -> bool:
    """Whether its network is a built-in family, whose cost is known; others are not imported to estimate theirs."""
    return ":" not in job.name and job.architecture.is_family


def by_autograd(job: Job) -> bool:
    """Whether a job trains by autograd, as user-defined networks do."""
    return isinstance(job, TrainingJob) and (job.settings.path == "fields" or not is_known(job))


def stand_in(run: TrainingJob) -> TrainingJob:
    """The job with built-in parts in the place of user-defined ones, which are not imported to estimate their cost.

    They are one layer, the Gaussian target, VP noise and the implicit loss.
    """

    def built_in(name: str, usual: str) -> str:
        return usual if ":" in name else name

    field = run.field
    if isinstance(field, DataField):
        given: dict[str, Any] = {"dimension": run.dimension, "size": run.size, "mass": field.stand_in_mass}
        # Their cost is that of a Gaussian data set of the same correlation length.
        field = FieldOptions(**given)
    else:
        field = replace(field, target=built_in(run.target, "gaussian"))
    return replace(
        run,
        field=field,
        schedule=built_in(run.schedule, "vp"),
        architecture=run.architecture if is_known(run) else Architecture("one_layer"),
        settings=replace(run.settings, loss=built_in(run.settings.loss, TrainingSettings.loss)),
    )


def _trials(run: TrainingJob, work: Work) -> float:
    """Networks of the trials of learning rates over those of a training; they take as many steps."""
    return networks_tried(alike=work.layers in ("one", "deep", "local")) / len(run.seeds)


def _training(run: TrainingJob, work: Work, steps: float, pace: Calibration) -> ExpectedCost:
    """The cost of a training job."""
    fresh = run.settings.loss != "population" and run.settings.path == "spectral"
    records = len(record_steps(max(int(steps), 1)))
    numbers = float(work.networks * work.modes)
    closed_form = work.layers == "one" and not _seeded(run)
    taken = records + BISECTIONS * len(run.noise_levels) if closed_form else steps
    block = int(np.clip(BLOCK // work.modes, 1, MOST_DRAWN)) if fresh else 1
    job = pace.fields_job if work.layers == "module" and pace.fields_job is not None else pace.job
    look = work.look + pace.record(numbers, work.networks)
    if run.settings.rate_from == "tuned":
        # Trials take every step, also where training has a closed form.
        taken += steps * _trials(run, work)
    seconds = job.seconds + work.set_up + taken * work.step + records * look
    # Numbers are drawn a block of steps at a time, so a short training draws a whole one.
    drawn = numbers * block * np.ceil(max(steps, 1.0) / block) if fresh else 0.0
    if fresh:
        seconds += drawing_time(pace.draw, drawn, taken)
    if work.layers in ("deep", "local_two", "tied"):
        # Their prediction is a map that is iterated.
        seconds += steps * work.ahead + records * (work.look + pace.record(work.networks * work.shells, work.networks))
    else:
        seconds += (records + BISECTIONS) * work.ahead / len(run.seeds)
    alike = work.modes > MANY and work.layers not in ("local_two", "tied")
    kept = kept_steps(run, steps) * float(work.networks * (work.shells if alike else work.modes))
    if run.settings.until == "samples":
        seconds += pace.recursion(records * numbers, records * len(run.noise_levels))
    of_errors, read = expected_errors(run.scores, records * work.networks * (work.layers == "module"), pace)
    seconds += of_errors
    curves = float(records * work.networks)
    # Filters, room for a step, spectra and kernels; a block of spectra; recorded kernels, one by one and together.
    wide = 1.5 if run.settings.loss == "denoising" and work.layers in ("one", "deep", "local") else 1.0
    held = read + wide * (8.0 * numbers * (6.0 + block) + 2.0 * 4.0 * kept) + curves * (8.0 * 3.0 + 4.0 * BINS)
    if run.settings.path == "fields":
        held += 8.0 * 8.0 * work.networks * run.settings.batch * run.size**run.dimension
    # Filters laid out on the lattice, and their transforms.
    held += 16.0 * work.networks * run.size**run.dimension if work.look else 0.0
    if run.settings.rate_from == "tuned":
        held += TRIED * numbers * _trials(run, work)
    held += 1e6 * LOOPS.memory_mb if drawn > WORTH_LOADING else 0.0
    of_modes = WEIGHT * (work.layers not in ("local", "local_two", "tied")) + KERNEL * (kept > 0.0)
    written = FILE + 8.0 * work.shells + of_modes * numbers + RECORDED * kept + CURVE * curves
    memory, known = job.memory_mb + held / 1e6, is_known(run) and run.settings.device != "cuda"
    return ExpectedCost("training", run.identifier, float(seconds), memory, written / 1e6, steps, known, run.name)


def _generation(job: GenerationJob, work: Work, steps: float, pace: Calibration) -> ExpectedCost:
    """The cost of a generation job."""
    run, asked = job.run, job.settings
    if ":" not in run.name and not run.architecture.is_family:
        assert run.generation is not None
        place, family = ("generation", job.identifier), f"{asked.integrator} {run.name}"
        fields = Lattice(run.dimension, job.size), len(run.seeds), asked.samples
        return by_networks(place, family, *fields, run.generation.steps, pace)
    lattice = Lattice(run.dimension, job.size)
    modes = shells_of(lattice) if work.modes == work.shells else pairs_of(lattice)
    levels, seeds, records = len(run.noise_levels), len(run.seeds), kept_steps(run, steps)
    kernels = float(levels * seeds * records * modes)
    seconds = pace.job.seconds + work.set_up + pace.recursion(kernels, levels)
    if job.size == run.size:
        # The population loss is followed to the last recorded step, for one seed.
        seconds += pace.recursion(kernels / seeds, levels * records)
        seconds += (records if work.layers == "one" else steps) * work.ahead / seeds
    count = asked.samples or SAMPLES
    drawn, further = by_kernels(lattice, seeds, count, levels, asked.integrator, pace)
    seconds += drawn
    written = 2.0 * FILE + seeds * BINS * (4.0 * records + 1.5 * levels * np.log10(10.0 + steps))
    memory = pace.job.memory_mb + (HELD * 8.0 * kernels + further) / 1e6
    return ExpectedCost(
        "generation", job.identifier, float(seconds), memory, float(written) / 1e6, family=asked.integrator
    )


_KNOWN: dict[str, float] = {}
"""Expected steps by job: training and generation ask for those of the same job one after the other."""


def _steps(run: TrainingJob) -> float:
    """Expected steps of a job, by closed forms at some of its levels; all that are allowed where nothing is known."""
    asked = repr(run)
    if asked not in _KNOWN:
        noised, architecture, settings = stand_in(run).problem()
        steps = float("nan")
        if settings.until == "samples" and ":" not in settings.integrator:
            steps = _until_right(noised, architecture, settings)
        if steps != steps:
            chosen = np.unique(np.linspace(0, len(noised.levels) - 1, LEVELS).astype(int))
            levels = [noised.levels[place] for place in chosen]
            steps = expected_steps(NoisedTarget(noised.target, noised.schedule, levels), architecture, settings)
            if architecture.is_family and isinstance(tied := architecture.build(noised.lattice, 1.0), TiedFilters):
                steps = min(_tied_steps(tied, steps, settings), float(settings.most_steps))
        _KNOWN[asked] = steps if steps == steps else float(settings.most_steps)
    return _KNOWN[asked]


def _tied_steps(network: TiedFilters, steps: float, settings: TrainingSettings) -> float:
    """Steps of multiscale networks, from those of two full layers of the same rate."""
    sites = float(network.lattice.sites)
    slower = DILATED_SLOWER * sites**0.25 if isinstance(network, Multiscale) else BLOCKS_SLOWER
    return max(slower * steps, UNTIL_RIGHT * sites**1.5 if settings.until == "samples" else 0.0)


def _until_right(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> float:
    """Steps of full layers until samples are right on the population loss; NaN for other networks."""
    from csd.diffusion.reverse import goal_of

    exact = replace(with_population(settings), seeds=settings.seeds[:1])
    if not architecture.is_family or not isinstance((run := prepare(noised, architecture, exact)).descent, ModeDescent):
        return float("nan")
    goal = goal_of(noised, architecture, settings)
    since, step = np.inf, 0
    for step in at_steps(run, record_steps(settings.most_steps).tolist()):
        score = KernelScore(noised.lattice, run.modes, noised.levels, run.descent.kernel()[0])
        since = min(since, step) if goal(score) else np.inf
        if step >= RIGHT_FOR * since:
            break
    return float(step)


def steps_of(runs: Sequence[TrainingJob]) -> list[float]:
    """Expected steps of each job: the same for jobs that differ in seeds alone, interpolated between masses.

    Args:
        runs: training jobs of one study.
    """
    groups: dict[Hashable, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, run in enumerate(runs):
        groups[run.alike][run.field.mass or run.field.mass_times_length or 0.0].append(place)
    steps = np.zeros(len(runs))
    for members in groups.values():
        masses = np.array(sorted(members))
        chosen = masses[np.unique(np.linspace(0, len(masses) - 1, MASSES).astype(int))]
        known = [_steps(runs[members[mass][0]]) for mass in chosen]
        known_log = np.log(np.maximum(known, 1.0))
        for mass, places in members.items():
            steps[places] = known[0] if len(known) == 1 else np.exp(np.interp(np.log(mass), np.log(chosen), known_log))
    return steps.tolist()


J = TypeVar("J", TrainingJob, GenerationJob)


def _expected(
    cost: Callable[[J, Work, float, Calibration], ExpectedCost],
    jobs: Sequence[J],
    runs: Sequence[TrainingJob],
    pace: Calibration,
) -> list[ExpectedCost]:
    """The cost of each job; `runs` has the training of each."""
    works = {alike: work_of(run, pace) for alike, run in {run.alike: run for run in runs}.items()}
    triples = zip(jobs, runs, steps_of(runs), strict=True)
    return [cost(job, works[run.alike], steps, pace) for job, run, steps in triples]


def expected_training(runs: Sequence[TrainingJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each training job."""
    return _expected(_training, runs, runs, calibration)


def expected_generation(jobs: Sequence[GenerationJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each generation job."""
    return _expected(_generation, jobs, [job.run for job in jobs], calibration)


def expected_costs(runs: Sequence[TrainingJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each training job, then of each job that generates from them.

    Args:
        runs: the training jobs.
        calibration: of this machine.
    """
    return expected_training(runs, calibration) + expected_generation(generation_jobs(runs), calibration)
