"""Work: what the steps of a run are made of, in numbers drawn and stepped."""

from dataclasses import dataclass, replace
from functools import cache
from math import comb

from csd.core.compiled_random import WORTH_LOADING
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.full import DeepLinear
from csd.networks.local import SITE_PAIR, LocalNetwork, LocalTwoLayer, transform_time
from csd.study.cost.pace import COMPILED, LOOPS, Calibration, Pace
from csd.study.stages.base import Job
from csd.study.stages.training import TrainingJob
from csd.training.descent.patches import KNOWN_PAIR
from csd.training.options import TrainingSettings
from csd.training.record import record_steps, sparse_steps

LEVELS = 9
"""Most noise levels whose steps are computed, out of a grid to generate on."""
HELD = 4.0
"""Arrays of the size of the kept kernels that generation holds at a time."""


@cache
def pairs_of(lattice: Lattice) -> int:
    """Number of *pairs*, without making them."""
    own = 2**lattice.dimension if lattice.size % 2 == 0 else 1
    return (lattice.sites + own) // 2


@cache
def shells_of(lattice: Lattice) -> int:
    """Number of *shells*, without making them."""
    return comb(lattice.size // 2 + lattice.dimension, lattice.dimension)


def _set_up_time(network: LocalNetwork) -> float:
    """Nominal nanoseconds to find the start, rate, floor and best kernel of a local network, and its prediction."""
    patch, lattice = network.patch, network.lattice
    classes = float(comb(patch.reach + lattice.dimension, lattice.dimension))
    return 4.0 * (classes**3 + SITE_PAIR * classes * len(patch) + transform_time(lattice))


def patch_time(network: LocalNetwork, *, fresh: bool) -> float:
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
        look: seconds of the kernels that a recorded step looks at, where they are not at hand.
        set_up: seconds before and after the steps.
        full_layer: whether a closed form leads from one recorded step to the next on the population loss.
        closed_form: whether that is how it is trained.
        iterated: whether the prediction is a map that is followed, rather than a closed form.
        complex: whether kernels are.
        autograd: whether networks are trained by it.
        local: whether filters are short, so that weights take no room.
    """

    networks: int
    modes: int
    shells: int
    own: float
    fresh: bool
    ahead: float = 0.0
    look: float = 0.0
    set_up: float = 0.0
    full_layer: bool = False
    closed_form: bool = False
    iterated: bool = False
    complex: bool = False
    autograd: bool = False
    local: bool = False


def work_of(run: TrainingJob, pace: Calibration) -> Work:
    """What a run works on."""
    noised, architecture, settings = stand_in(run).problem()
    lattice = noised.lattice
    pairs, shells = pairs_of(lattice), shells_of(lattice)
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
            nominal = sum(patch_time(network, fresh=fresh) for network in local)
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
            look=pace.patch.rate * networks * transform_time(lattice),
            set_up=set_up,
            iterated=iterated,
            complex=settings.loss == "denoising" and not iterated,
            local=True,
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
        closed_form=depth == 1 and not seeded,
        iterated=depth > 1,
        complex=settings.loss == "denoising",
    )


def recorded_steps(steps: float) -> int:
    """Recorded steps of a training."""
    return len(record_steps(max(int(steps), 1)))


def kept_steps(run: TrainingJob, steps: float) -> int:
    """Steps of a training at which kernels are kept; none where nothing is generated."""
    if run.generation is None:
        return 0
    grid = sparse_steps if run.generation.kernel_steps == "sparse" else record_steps
    return len(grid(max(int(steps), 1)))


def drawing_time(pace: Pace, numbers: float, calls: float) -> float:
    """Seconds of loops that draw this many numbers, the most of them compiled where they are many."""
    by_numpy = min(numbers, float(WORTH_LOADING))
    compiled = numbers - by_numpy
    return pace(by_numpy + COMPILED * compiled, calls) + (LOOPS.seconds if compiled > 0.0 else 0.0)


def stand_in(run: TrainingJob) -> TrainingJob:
    """The run without what is user-defined: one layer, the Gaussian target, VP noise, the implicit loss.

    A plug-in is not imported to see what it costs.
    """

    def usual(name: str, known: str) -> str:
        return known if ":" in name else name

    loss = usual(run.settings.loss, TrainingSettings.loss)
    return replace(
        run,
        target=usual(run.target, "gaussian"),
        schedule=usual(run.schedule, "vp"),
        architecture=run.architecture if is_known(run) else Architecture("one_layer"),
        settings=replace(run.settings, loss=loss),
    )


def is_known(job: TrainingJob) -> bool:
    """Whether its network is a built-in family, whose cost is known; others are not imported to see what they cost."""
    return ":" not in job.name and job.architecture.is_family


def by_autograd(job: Job) -> bool:
    """Whether a job trains by autograd, as user-defined networks do."""
    return isinstance(job, TrainingJob) and (job.settings.path == "fields" or not is_known(job))
