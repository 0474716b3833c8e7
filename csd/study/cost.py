"""What a study costs before it starts: steps from closed forms, times what steps take on this machine.

A run's time is that of a job that does nothing (start-up, a small file), plus

    steps × (numbers drawn + modes or patches stepped) + recorded steps × residuals + the prediction + the file,

each an overhead and a rate times the numbers worked on, measured here in about a second (`calibrate`), in processor
time, which others on the machine disturb least. What a cluster job may take is the same, with the speed of one machine
that stands here (`REFERENCE`) and head-room. Generation is the recursion of every kept kernel through all levels,
plus samples × levels × modes. Memory and disk are the sizes of the arrays that are held and written. Between levels and
masses that lie close, expected steps are interpolated, so 10,000 runs cost a few.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import ceil, comb
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from csd.campaign import Simulation
from csd.config import Run, Sampling, samplings
from csd.field import GaussianField
from csd.generation import FrozenKernel, generated_variance, linear_steps, sample_modes
from csd.lattice import Lattice
from csd.minibatch import BLOCK, STEPS, FreshSpectra
from csd.networks import Architecture
from csd.networks.full import DeepLinear, ModeDescent
from csd.networks.local import KNOWN_PAIR, SITE_PAIR, LocalNetwork, LocalTwoLayer, transform_time
from csd.noise import NoisedTarget, VariancePreserving
from csd.objectives import Implicit
from csd.samples import compared, draw_samples
from csd.simulation import SERIES
from csd.stream import WORTH_LOADING, stream
from csd.theory import expected_steps
from csd.training import (
    BINS,
    RIGHT_FOR,
    LengthBins,
    Settings,
    at_steps,
    descend,
    prepare,
    record_steps,
    sparse_steps,
    with_population,
)

HEAD_ROOM = 6.0
"""Time limit over the time expected with the speed of `REFERENCE`: 3 for slower machines, 2 for the estimate."""
MEMORY_HEAD_ROOM = 2.0
SNAKEMAKES_MB = 600.0
"""Two Snakemakes take 300 MB beside each step of a cluster job."""
LONGEST = 24 * 60
"""Minutes: the time limit of many partitions. What takes longer goes on from its checkpoint in the next attempt."""


@dataclass(frozen=True)
class Shared:
    """Runs that share a cluster job: those expected to take less than `below` seconds, `members` of them."""

    below: float
    members: int


GROUPS = {"short": Shared(20.0, 60), "middling": Shared(300.0, 10)}
"""As in `group-components` of the profiles for clusters."""

LEVELS = 9
"""Most noise levels whose steps are computed, out of a sampler's grid."""
MASSES = 8
"""Most masses whose steps are computed, out of a sweep's list."""
BISECTIONS = 20
"""How often the bisection for a training time evaluates a closed form, for each noise level."""
ODES = ("euler", "heun")
"""Integrators that draw no noise."""
OTHER_JOBS = 10.0
"""A figure or a summary in units of a job that does nothing: mostly imports of Matplotlib, pandas and SciPy."""
SUMMED_FILE = 0.1
"""What a file adds to the summary of it, in the same units."""
COMPRESSED = 0.35
"""What compression leaves of kernels that are kept during training."""
SAMPLING_MB = 200.0
"""What Numba and pyerrors hold."""
HELD = 4.0
"""Arrays of the size of the kept kernels that generation holds at a time."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a call: overhead + rate × numbers worked on."""

    overhead: float
    rate: float

    def __call__(self, numbers: float, calls: float = 1.0) -> float:
        """Seconds of `calls` calls that work on `numbers` numbers together."""
        return calls * self.overhead + self.rate * numbers


@dataclass(frozen=True)
class Job:
    """Seconds that a process takes and MB that it holds, whatever its work."""

    seconds: float
    memory_mb: float


LOOPS = Job(0.3, 130.0)
"""What loading the compiled loops of `csd.stream` adds to a job that draws many numbers."""
COMPILED = 0.4
"""Time of drawing and using a number by compiled loops, over that by NumPy's."""


@dataclass(frozen=True)
class Calibration:
    """How fast this machine is.

    Attributes:
        job: a training job that trains nothing.
        draw: a step's spectra, of one seed and level.
        modes: a step of two full layers and its error.
        patch: the same of local networks; their numbers are nominal nanoseconds (`csd.networks.local`).
        record: residuals of one seed and level.
        recursion: all kernels of one level through a step of the sampler.
        sample: a step of one sampled field, with noise.
        flow: the same without, for the integrators of the ODE.
        field: all that is done once for a sampled field.
        fields: a step of one network by autograd on raw fields; None where nothing asks for it.
        fields_job: a job that does that, and loads PyTorch; None likewise.
    """

    job: Job
    draw: Pace
    modes: Pace
    patch: Pace
    record: Pace
    recursion: Pace
    sample: Pace
    flow: Pace
    field: Pace
    fields: Pace | None = None
    fields_job: Job | None = None


REFERENCE = Calibration(
    job=Job(0.2, 65.0),
    draw=Pace(5e-7, 1.5e-8),
    modes=Pace(1.2e-5, 1.5e-9),
    patch=Pace(2.5e-5, 2.5e-9),
    record=Pace(5e-6, 2e-9),
    recursion=Pace(1.2e-5, 4e-9),
    sample=Pace(8e-6, 2e-8),
    flow=Pace(4e-6, 2.5e-9),
    field=Pace(6e-5, 3.5e-8),
    fields=Pace(3e-4, 4e-8),
    fields_job=Job(1.5, 300.0),
)
"""A core of an EPYC processor that other work shared, as `calibrate` saw it, rounded up."""


@dataclass(frozen=True)
class Estimate:
    """What one job of a study is expected to take.

    Attributes:
        identifier: of the run, or of the generation file.
        generates: whether it is the latter.
        steps: of each seed's training.
        seconds: on one core.
        memory_mb: at most.
        disk_mb: of its file.
        known: whether the time is; that of user-defined networks and of GPUs is not.
    """

    identifier: str
    generates: bool
    steps: float
    seconds: float
    memory_mb: float
    disk_mb: float
    known: bool = True

    def time_limit(self, attempt: int = 1) -> int:
        """Minutes that a cluster job may take; doubled at each attempt."""
        return min(LONGEST, ceil(1.0 + HEAD_ROOM * self.seconds / 60.0) * 2 ** (attempt - 1))

    def memory_limit(self, attempt: int = 1) -> int:
        """Memory of a cluster job in MB, for two Snakemakes around it too; doubled at each attempt."""
        return ceil(SNAKEMAKES_MB + MEMORY_HEAD_ROOM * self.memory_mb) * 2 ** (attempt - 1)

    @property
    def group(self) -> str | None:
        """Jobs that share one of the cluster: 'short', 'middling', or None: long ones, and those of unknown length."""
        if not self.known:
            return None
        return next((name for name, shared in GROUPS.items() if self.seconds < shared.below), None)


class Stopwatch:
    """Times the steps of a training between two of them; a `csd.training.Watch`.

    Args:
        first: the step after which time counts.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.seconds = self.steps = self._started = 0.0

    def found(self) -> None:
        """Nothing was kept."""

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Note the time."""
        if step == self.first:
            self._started = process_time()
        elif step > self.first:
            self.seconds, self.steps = process_time() - self._started, step - self.first
        return False

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Never asked for."""


def _pace(small: tuple[float, float], large: tuple[float, float]) -> Pace:
    """The line through two measurements (numbers, seconds); neither part below 0."""
    rate = max((large[1] - small[1]) / (large[0] - small[0]), 0.0)
    return Pace(max(small[1] - rate * small[0], 0.0), rate)


def _seconds(call: Callable[[], Any], calls: int, repeats: int = 3) -> float:
    """Processor seconds of a call, the least of some repeats."""
    times = []
    for _ in range(repeats):
        started = process_time()
        for _ in range(calls):
            call()
        times.append((process_time() - started) / calls)
    return min(times)


def _noised(lattice: Lattice, levels: Sequence[float] = (0.1, 0.5)) -> NoisedTarget:
    """A critical target to measure on."""
    return NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels)


def _step(lattice: Lattice, architecture: Architecture, loss: str, steps: int, path: str = "spectral") -> float:
    """Seconds of a step of two seeds at two levels, the less of two trainings."""
    noised = _noised(lattice)
    settings = Settings(loss, 64, seeds=(0, 1), tolerance=0.0, max_steps=steps, learning_rate=1e-3, path=path)
    times = []
    for _ in range(2):
        watch = Stopwatch(min(48, steps // 2))
        descend(noised, prepare(noised, architecture, settings), settings, watch)
        times.append(watch.seconds / watch.steps)
    return min(times)


def calibrate(*, fields: bool = False) -> Calibration:
    """Measure how fast this machine is, in about a second.

    Args:
        fields: measure training on raw fields as well, for which PyTorch is loaded.
    """
    small, large = Lattice(1, 16), Lattice(2, 64)

    def drawn(lattice: Lattice) -> tuple[float, float]:
        modes = lattice.pairs
        source = FreshSpectra(Implicit(), _noised(lattice, (0.1,)), modes, 1024, "calibration", (0,))
        return len(modes), _seconds(source.draw, source.steps)

    def stepped(lattice: Lattice, steps: int) -> tuple[float, float]:
        seconds = _step(lattice, Architecture("two_layer"), "population", steps)
        return 4.0 * len(lattice.shells), seconds

    draw = _pace(drawn(small), drawn(large))

    def patched(lattice: Lattice, reach: int, steps: int) -> tuple[float, float]:
        architecture = Architecture("local_one_layer", range=reach)
        network = architecture.build(lattice, 1.0)
        assert isinstance(network, LocalNetwork)
        seconds = _step(lattice, architecture, "implicit", steps) - draw(4.0 * len(lattice.pairs))
        return 4.0 * _patch_time(network, fresh=True), seconds

    def recorded(lattice: Lattice) -> tuple[float, float]:
        bins, values = LengthBins(lattice.pairs, 0.1, lattice.dimension), np.ones(len(lattice.pairs))
        return len(values), _seconds(lambda: bins.root_mean_square(values), 20)

    def recursed(numbers: int) -> tuple[float, float]:
        noised, kernels = _noised(small, (0.5, 0.1)), np.ones((2, numbers))
        integrator, grid = FrozenKernel(), np.array(noised.levels)
        return numbers, _seconds(
            lambda: generated_variance(1.0, linear_steps(integrator, noised.schedule, grid, kernels)), 5
        )

    def sampled(lattice: Lattice, noise: float) -> tuple[float, float]:
        modes, levels = lattice.pairs, 16
        steps = [(np.ones(len(modes)), noise * np.ones(len(modes)))] * levels
        generator = stream("calibration")
        return len(modes), _seconds(lambda: sample_modes(steps, modes, 1.0, generator), 5) / levels

    def kept(lattice: Lattice) -> tuple[float, float]:
        bins = LengthBins(lattice.pairs, 0.1, lattice.dimension)
        return len(lattice.pairs), _seconds(lambda: draw_samples(lattice, [], 1.0, bins, 4, "calibration"), 1) / 4.0

    def on_fields(lattice: Lattice) -> tuple[float, float]:
        seconds = _step(lattice, Architecture("two_layer"), "implicit", 6, "fields")
        return 64.0 * lattice.sites, seconds / 4.0

    return Calibration(
        _job("--loss", "population"),
        draw,
        _pace(stepped(small, 1000), stepped(Lattice(2, 128), 200)),
        _pace(patched(small, 1, 400), patched(Lattice(2, 32), 3, 200)),
        _pace(recorded(small), recorded(large)),
        _pace(recursed(100), recursed(20_000)),
        _pace(sampled(small, 1.0), sampled(large, 1.0)),
        _pace(sampled(small, 0.0), sampled(large, 0.0)),
        _pace(kept(small), kept(large)),
        _pace(on_fields(small), on_fields(Lattice(2, 32))) if fields else None,
        _job("--path", "fields") if fields else None,
    )


def _job(*flags: str) -> Job:
    """A training job of one step, as another process."""
    words = ["train", "--architecture", "one_layer", "--dimension", "1", "--size", "8", "--noise-level", "0.5", *flags]
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        words += ["--max-steps", "1", "--tolerance", "0", "--output", f"{folder}/file.nc", "--benchmark", str(record)]
        times = []
        for _ in range(2):
            before = _of_children()
            subprocess.run([sys.executable, "-m", "csd", *words], check=True, capture_output=True)
            times.append(_of_children() - before)
        return Job(min(times), float(json.loads(record.read_text())["peak_memory_mb"]))


def _of_children() -> float:
    """Processor seconds of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system


@cache
def _pairs(lattice: Lattice) -> int:
    """Number of *pairs*, without making them."""
    own = 2**lattice.dimension if lattice.size % 2 == 0 else 1
    return (lattice.sites + own) // 2


@cache
def _shells(lattice: Lattice) -> int:
    """Number of *shells*, without making them."""
    return comb(lattice.size // 2 + lattice.dimension, lattice.dimension)


def _set_up_time(network: LocalNetwork) -> float:
    """Nominal nanoseconds to find the start, rate, floor and best kernel of a local network, and its prediction."""
    patch, lattice = network.patch, network.lattice
    classes = float(comb(patch.reach + lattice.dimension, lattice.dimension))
    return 4.0 * (classes**3 + SITE_PAIR * classes * len(patch) + transform_time(lattice))


def _patch_time(network: LocalNetwork, *, fresh: bool) -> float:
    """Nominal nanoseconds of a step of one local network and its error.

    Args:
        network: the network.
        fresh: whether its spectrum is another one at every step.
    """
    pairs, transform = float(len(network.patch)) ** 2, transform_time(network.lattice)
    known = min(KNOWN_PAIR * pairs, 2.0 * transform)
    made = transform + SITE_PAIR * pairs if SITE_PAIR * pairs < transform else 2.0 * transform
    own = 0.0
    if isinstance(network, LocalTwoLayer):
        filters = float(len(network.offsets)) ** 2
        own = 2.0 * min(SITE_PAIR * filters, (network.channels + 1) * transform)
    return (made if fresh else known) + known + own


@dataclass(frozen=True)
class Work:
    """Arrays and calls of a run, as far as its time and room depend on them; S seeds, T levels.

    Attributes:
        networks: S T.
        modes: of spectra and kernels.
        shells: of the lattice.
        own: seconds of a step of all networks, data apart.
        fresh: whether spectra are drawn at every step.
        ahead: seconds of a step of the prediction.
        set_up: seconds before and after the steps.
        full_layer: whether a closed form leads from one recorded step to the next on the population loss.
        leaps: whether that is how it is trained.
        iterated: whether the prediction is a map that is followed, rather than a closed form.
        complex: whether kernels are.
        autograd: whether networks are trained by it.
    """

    networks: int
    modes: int
    shells: int
    own: float
    fresh: bool
    ahead: float = 0.0
    set_up: float = 0.0
    full_layer: bool = False
    leaps: bool = False
    iterated: bool = False
    complex: bool = False
    autograd: bool = False


def _work(run: Run, pace: Calibration) -> Work:
    """What a run works on."""
    noised, architecture, settings = _stand_in(run).problem()
    lattice = noised.lattice
    pairs, shells = _pairs(lattice), _shells(lattice)
    networks = len(settings.seeds) * len(noised.levels)
    seeded = settings.loss != "population" or settings.data_set is not None
    fresh = settings.loss != "population" and settings.path == "spectral"
    if by_autograd(run):
        assert pace.fields is not None
        numbers = settings.batch * lattice.sites if settings.path == "fields" else 2 * pairs
        step = pace.fields(networks * numbers, networks)
        return Work(networks, pairs, shells, step, fresh, autograd=True)
    built = [architecture.build(lattice, float(length)) for length in noised.score_lengths()]
    if isinstance(built[0], LocalNetwork):
        local = [network for network in built if isinstance(network, LocalNetwork)]
        groups = len({network.patch.reach for network in local})

        def stepped(fresh: bool) -> float:
            nominal = sum(_patch_time(network, fresh=fresh) for network in local)
            return pace.patch(len(settings.seeds) * nominal, groups)

        iterated = isinstance(local[0], LocalTwoLayer)
        set_up = pace.patch.rate * sum(_set_up_time(network) for network in local)
        return Work(
            networks,
            pairs,
            shells,
            stepped(seeded),
            fresh,
            ahead=stepped(False),
            set_up=set_up,
            iterated=iterated,
            complex=settings.loss == "denoising" and not iterated,
        )
    depth = built[0].filter_shape[0] if isinstance(built[0], DeepLinear) else 1
    # Passes over the modes, beside the ten of two layers.
    passes = (7.0 + 3.0 * (depth - 1)) / 10.0
    modes = pairs if seeded else shells
    own, ahead = (pace.modes(passes * networks * numbers) for numbers in (modes, shells))
    return Work(
        networks,
        modes,
        shells,
        own,
        fresh,
        ahead=ahead,
        full_layer=depth == 1,
        leaps=depth == 1 and not seeded,
        iterated=depth > 1,
        complex=settings.loss == "denoising",
    )


def _recorded(steps: float) -> int:
    """Recorded steps of a training."""
    return len(record_steps(max(int(steps), 1)))


def _kept(run: Run, steps: float) -> int:
    """Steps of a training at which kernels are kept; none where nothing is generated."""
    if run.generation is None:
        return 0
    grid = sparse_steps if run.generation.kernel_steps == "sparse" else record_steps
    return len(grid(max(int(steps), 1)))


def _training(run: Run, work: Work, steps: float, pace: Calibration) -> Estimate:
    """What a training job takes."""
    records = _recorded(steps)
    numbers = float(work.networks * work.modes)
    taken = records + BISECTIONS * len(run.noise_levels) if work.leaps else steps
    block = int(np.clip(BLOCK // work.modes, 1, STEPS)) if work.fresh else 1
    job = pace.fields_job if work.autograd and pace.fields_job is not None else pace.job
    seconds = job.seconds + work.set_up + taken * work.own + records * pace.record(numbers, work.networks)
    if work.fresh:
        # Numbers are drawn a block of steps at a time, so a short training draws a whole one.
        drawn = numbers * block * np.ceil(max(steps, 1.0) / block)
        seconds += _drawing(pace.draw, drawn, taken)
    if work.iterated:
        seconds += steps * work.ahead + records * pace.record(work.networks * work.shells, work.networks)
    else:
        seconds += (records + BISECTIONS) * work.ahead / len(run.seeds)
    kept = _kept(run, steps) * numbers
    if run.training.until == "samples":
        seconds += pace.recursion(records * numbers, records * len(run.noise_levels))
    curves = float(records * work.networks)
    # Filters, room for a step, spectra and kernels; a block of spectra; kernels kept as they come and together.
    wide = 1.5 if work.complex else 1.0
    held = wide * (8.0 * numbers * (6.0 + block) + 2.0 * 4.0 * kept) + curves * (8.0 * 3.0 + 4.0 * BINS)
    if run.training.path == "fields":
        held += 8.0 * 8.0 * work.networks * run.training.batch * run.size**run.dimension
    held += 1e6 * LOOPS.memory_mb if work.fresh and drawn > WORTH_LOADING else 0.0
    written = 8.0 * numbers + 4.0 * COMPRESSED * kept + curves * (8.0 * 2.0 + 4.0 * BINS)
    memory = job.memory_mb + held / 1e6
    known = ":" not in run.name and run.training.device != "cuda"
    return Estimate(run.identifier, False, steps, float(seconds), memory, written / 1e6, known)


def _drawing(pace: Pace, numbers: float, calls: float) -> float:
    """Seconds of loops that draw this many numbers, the most of them compiled where they are many."""
    by_numpy = min(numbers, float(WORTH_LOADING))
    compiled = numbers - by_numpy
    return pace(by_numpy + COMPILED * compiled, calls) + (LOOPS.seconds if compiled > 0.0 else 0.0)


def _generation(sampling: Sampling, work: Work, steps: float, pace: Calibration) -> Estimate:
    """What a generation job takes."""
    run, asked = sampling.run, sampling.run.generation
    assert asked is not None
    lattice = Lattice(run.dimension, sampling.size)
    modes = _shells(lattice) if work.modes == work.shells else _pairs(lattice)
    levels, seeds, records = len(run.noise_levels), len(run.seeds), _kept(run, steps)
    kernels = float(levels * seeds * records * modes)
    recursion = pace.recursion(kernels, levels)
    predicted = 0.0
    if sampling.size == run.size:
        # The population loss is followed to the last step that was kept, for one seed.
        recursion += pace.recursion(kernels / seeds, levels * records)
        predicted = (records if work.full_layer else steps) * work.ahead / seeds
    step = pace.flow if asked.integrator in ODES else pace.sample
    fields, pairs = float(seeds * asked.samples), _pairs(lattice)
    normals = fields * levels * pairs
    drawn = step(normals, fields * levels) if asked.integrator in ODES else _drawing(step, normals, fields * levels)
    looked = fields + seeds * compared(lattice, asked.samples)
    drawn += pace.field(looked * pairs, looked)
    written = 8.0 * seeds * (records * 6.0 + records * BINS) + 8.0 * seeds * levels * BINS * np.log10(10.0 + steps)
    held = HELD * 8.0 * kernels + 2.0 * 8.0 * compared(lattice, asked.samples) * lattice.sites
    held += 1e6 * LOOPS.memory_mb if asked.integrator not in ODES and normals > WORTH_LOADING else 0.0
    seconds = pace.job.seconds + work.set_up + recursion + predicted + drawn
    memory = pace.job.memory_mb + held / 1e6
    return Estimate(sampling.identifier, True, steps, float(seconds), memory, float(written) / 1e6)


def _steps(run: Run) -> float:
    """Steps of a run, by closed forms at some of its levels; all that are allowed where nothing is known."""
    noised, architecture, settings = _stand_in(run).problem()
    if settings.until == "samples" and ":" not in settings.integrator:
        steps = _until_right(noised, architecture, settings)
        if steps == steps:
            return steps
    if len(noised.levels) > LEVELS:
        chosen = np.unique(np.linspace(0, len(noised.levels) - 1, LEVELS).astype(int))
        noised = NoisedTarget(noised.target, noised.schedule, [noised.levels[place] for place in chosen])
    steps = expected_steps(noised, architecture, settings)
    return steps if steps == steps else float(settings.max_steps)


def _until_right(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> float:
    """Steps of full layers until samples are right on the population loss; NaN for other networks."""
    from csd.goal import goal_of

    exact = replace(with_population(settings), seeds=settings.seeds[:1])
    if not architecture.is_family or not isinstance((run := prepare(noised, architecture, exact)).descent, ModeDescent):
        return float("nan")
    goal = goal_of(noised, architecture, settings, run.modes)
    since, step = np.inf, 0
    for step in at_steps(run, record_steps(settings.max_steps).tolist()):
        since = min(since, step) if goal(run.descent.kernel())[0] else np.inf
        if step >= RIGHT_FOR * since:
            break
    return float(step)


def _alike(run: Run) -> tuple[Any, ...]:
    """What runs share that differ in their mass and in which seeds they train alone."""
    network = (run.name, run.depth, run.range, run.channels)
    return (run.sweep, run.dimension, run.size, *network, run.data_set, len(run.seeds), run.mass is None)


def _kind(run: Run) -> tuple[Any, ...]:
    """What runs share whose steps are interpolated between masses."""
    return (*_alike(run), run.couplings)


def _stand_in(run: Run) -> Run:
    """The run without what is user-defined: one layer, the Gaussian target, VP noise, the implicit loss.

    A plug-in is not imported to see what it costs.
    """
    training = run.training.model_copy(
        update={key: usual for key, usual in USUAL.items() if ":" in getattr(run.training, key)}
    )
    outside = ":" in run.name
    return replace(
        run,
        training=training,
        target="gaussian" if ":" in run.target else run.target,
        name="one_layer" if outside else run.name,
        depth=None if outside else run.depth,
        range=None if outside else run.range,
        channels=None if outside else run.channels,
    )


USUAL = {"schedule": "vp", "loss": "implicit"}


def steps_of(runs: Sequence[Run]) -> list[float]:
    """Expected steps of each run: the same for runs that differ in seeds, interpolated between masses.

    Args:
        runs: of one study.
    """
    groups: dict[tuple[Any, ...], dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, run in enumerate(runs):
        groups[_kind(run)][run.mass or run.mass_times_length or 0.0].append(place)
    steps = np.zeros(len(runs))
    for members in groups.values():
        masses = np.array(sorted(members))
        chosen = masses[np.unique(np.linspace(0, len(masses) - 1, MASSES).astype(int))]
        known = [_steps(runs[members[mass][0]]) for mass in chosen]
        known_log = np.log(np.maximum(known, 1.0))
        for mass, places in members.items():
            steps[places] = known[0] if len(known) == 1 else np.exp(np.interp(np.log(mass), np.log(chosen), known_log))
    return steps.tolist()


def estimate(runs: Sequence[Run], calibration: Calibration) -> list[Estimate]:
    """What each job of a study takes: its runs, then its generation files.

    Args:
        runs: the run table.
        calibration: of this machine.
    """
    works: dict[tuple[Any, ...], Work] = {}

    def work(run: Run) -> Work:
        if _alike(run) not in works:
            works[_alike(run)] = _work(run, calibration)
        return works[_alike(run)]

    steps = {run.identifier: of_run for run, of_run in zip(runs, steps_of(runs), strict=True)}
    return [_training(run, work(run), steps[run.identifier], calibration) for run in runs] + [
        _generation(file, work(file.run), steps[file.run.identifier], calibration) for file in samplings(runs)
    ]


def estimate_simulations(rows: Sequence[Simulation], calibration: Calibration) -> list[Estimate]:
    """What each Monte Carlo job of a study takes, by nominal times of its updates.

    Args:
        rows: the simulations.
        calibration: of this machine.
    """
    written = [
        8e-6
        * (
            len(row.settings.samplers)
            * (row.settings.chains * row.settings.sweeps / row.settings.every * (len(SERIES) + row.components))
            + row.settings.fields * row.components * row.size**row.dimension
        )
        for row in rows
    ]
    return [
        Estimate(row.identifier, False, 0.0, row.seconds(), calibration.job.memory_mb + SAMPLING_MB + 4.0 * disk, disk)
        for row, disk in zip(rows, written, strict=True)
    ]


def other_jobs(estimates: Sequence[Estimate], figures: int, calibration: Calibration) -> float:
    """Seconds of summaries, fits, claims and figures of a study."""
    return calibration.job.seconds * (OTHER_JOBS * (figures + 4) + SUMMED_FILE * len(estimates))


def by_autograd(run: Run) -> bool:
    """Whether a run is trained by autograd, as user-defined networks are."""
    return run.training.path == "fields" or ":" in run.name


class Limits:
    """What the jobs of a study may take on a cluster, each estimated with those of its kind when it is asked for.

    Args:
        runs: the run table.
        simulations: those of Monte Carlo.
    """

    def __init__(self, runs: Sequence[Run], simulations: Sequence[Simulation] = ()) -> None:
        self._runs = {run.identifier: run for run in runs}
        self._simulations = {row.identifier: row for row in simulations}
        self._known: dict[tuple[str, bool], Estimate] = {}

    @cached_property
    def _kinds(self) -> dict[Any, list[Run]]:
        """Runs that are estimated together."""
        kinds: dict[Any, list[Run]] = defaultdict(list)
        for run in self._runs.values():
            kinds[_kind(run)].append(run)
        return kinds

    def _find(self, run: str, identifier: str, *, generates: bool) -> Estimate:
        if (identifier, generates) not in self._known:
            members = self._kinds[_kind(self._runs[run])]
            self._known |= {(job.identifier, job.generates): job for job in estimate(members, REFERENCE)}
        return self._known[identifier, generates]

    def training(self, identifier: str) -> Estimate:
        """The training job of a run."""
        return self._find(identifier, identifier, generates=False)

    def generation(self, sampling: Sampling) -> Estimate:
        """The job that makes a generation file."""
        return self._find(sampling.run.identifier, sampling.identifier, generates=True)

    def simulation(self, identifier: str) -> Estimate:
        """The job of a simulation."""
        return estimate_simulations([self._simulations[identifier]], REFERENCE)[0]


def cluster_jobs(estimates: Sequence[Estimate], runs: Sequence[Run]) -> list[float]:
    """Expected seconds of the jobs that runs and what they generate share on a cluster, summaries apart.

    Args:
        estimates: of all jobs of a study.
        runs: its run table.
    """
    own = {job.identifier: job for job in estimates if not job.generates}
    together = {name: job.seconds for name, job in own.items()}
    by_name = {file.identifier: file.run.identifier for file in samplings(runs)}
    for job in estimates:
        if job.generates:
            together[by_name[job.identifier]] += job.seconds
    jobs = [together[name] for name, job in own.items() if job.group is None]
    for group, shared in GROUPS.items():
        members = [together[name] for name, job in own.items() if job.group == group]
        jobs += [sum(members[start : start + shared.members]) for start in range(0, len(members), shared.members)]
    return jobs
