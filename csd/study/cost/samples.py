"""The cost of fields that reverse diffusion draws: mode by mode with kernels, by calls of networks otherwise.

That of hybrids is the recursion of their last kernels and their fields.
"""

from collections.abc import Sequence
from functools import cache
from math import ceil, comb

from csd.core.compiled_random import WORTH_LOADING
from csd.diffusion.quality import SAMPLES
from csd.diffusion.samples import compared_fields
from csd.diffusion.sampling import fields_together
from csd.lattice import Lattice
from csd.lattice.bins import BINS
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import COMPILED, LOOPS, Calibration, Pace
from csd.study.stages.generation import HybridJob

ODES = ("euler", "heun")
"""Integrators that draw no noise."""
UNDECIDED = 1024
"""Fields of a seed that criteria take, where their number is not given: χ is then known to 4 %."""
FILE = 35e3
"""Bytes of a file without numbers."""
HELD = 4.0
"""Arrays of the size of the kernels that generation holds at a time."""


@cache
def pairs_of(lattice: Lattice) -> int:
    """The number of *pairs* of a lattice, without making them."""
    own = 2**lattice.dimension if lattice.size % 2 == 0 else 1
    return (lattice.sites + own) // 2


@cache
def shells_of(lattice: Lattice) -> int:
    """The number of *shells* of a lattice, without making them."""
    return comb(lattice.size // 2 + lattice.dimension, lattice.dimension)


def drawing_time(pace: Pace, numbers: float, calls: float) -> float:
    """Seconds to draw this many numbers; where they are many, compiled loops draw most of them."""
    by_numpy = min(numbers, float(WORTH_LOADING))
    compiled = numbers - by_numpy
    return pace(by_numpy + COMPILED * compiled, calls) + (LOOPS.seconds if compiled > 0.0 else 0.0)


def by_kernels(
    lattice: Lattice, seeds: int, count: int, levels: int, integrator: str, pace: Calibration
) -> tuple[float, float]:
    """Seconds and bytes to draw and measure fields with kernels, mode by mode.

    Args:
        lattice: of the fields.
        seeds: of the networks.
        count: fields of each seed.
        levels: noise levels of the grid.
        integrator: its name.
        pace: of the machine.
    """
    fields, pairs = float(seeds * count), pairs_of(lattice)
    normals, moves = fields * levels * pairs, fields * levels
    noisy = integrator not in ODES
    seconds = drawing_time(pace.sample, normals, moves) if noisy else pace.flow(normals, moves)
    compared = compared_fields(lattice, count)
    looked = fields + seeds * compared
    seconds += pace.field(looked * pairs, looked)
    held = 2.0 * 8.0 * compared * lattice.sites
    return seconds, held + (1e6 * LOOPS.memory_mb if noisy and normals > WORTH_LOADING else 0.0)


def by_networks(
    place: tuple[str, str], family: str, lattice: Lattice, seeds: int, count: int | None, steps: int, pace: Calibration
) -> ExpectedCost:
    """The cost of a job that draws with networks without a kernel: two calls a step, like steps of training.

    Args:
        place: stage and identifier of the job.
        family: name of jobs whose expected times are wrong by the same factor.
        lattice: of the fields.
        seeds: of the networks.
        count: fields of each seed, None for as many as decide all criteria.
        steps: of the integrator.
        pace: of the machine.
    """
    assert pace.fields is not None
    assert pace.fields_job is not None
    fields = float(seeds * (count or UNDECIDED))
    calls = 2.0 * steps * ceil(fields / fields_together(lattice))
    seconds = pace.fields_job.seconds + pace.fields(calls * fields_together(lattice) * lattice.sites, calls)
    seconds += pace.field(fields * pairs_of(lattice), fields)
    held = 8.0 * fields * lattice.sites
    memory, written = pace.fields_job.memory_mb + held / 1e6, (2.0 * FILE + 8.0 * fields) / 1e6
    return ExpectedCost(*place, seconds, memory, written, known=False, family=family)


def expected_hybrids(jobs: Sequence[HybridJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job of a hybrid."""
    return [_expected(job, calibration) for job in jobs]


def _expected(job: HybridJob, pace: Calibration) -> ExpectedCost:
    """The cost of a job."""
    place, lattice, asked = ("hybrids", job.identifier), Lattice(job.dimension, job.size), job.settings
    seeds, levels = len(job.seeds), job.steps + 1
    family = f"{asked.integrator} {job.label}"
    if not job.linear:
        return by_networks(place, family, lattice, seeds, asked.samples, job.steps, pace)
    kernels = float(levels * seeds * pairs_of(lattice))
    drawn, held = by_kernels(lattice, seeds, asked.samples or SAMPLES, levels, asked.integrator, pace)
    seconds = pace.job.seconds + pace.recursion(kernels, levels) + drawn
    memory = pace.job.memory_mb + (HELD * 8.0 * kernels + held) / 1e6
    written = 2.0 * FILE + 4.0 * seeds * BINS * levels
    return ExpectedCost(*place, seconds, memory, written / 1e6, family=family)
