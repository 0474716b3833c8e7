"""The cost of hybrids: the recursion of their last kernels and fields drawn mode by mode, or calls of networks."""

from collections.abc import Sequence

from csd.diffusion.quality import SAMPLES
from csd.lattice import Lattice
from csd.lattice.bins import BINS
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.cost.samples import FILE, of_kernels, of_networks, pairs_of
from csd.study.stages.hybrids import HybridJob

HELD = 4.0
"""Arrays of the size of the kernels that generation holds at a time."""


def expected_hybrids(jobs: Sequence[HybridJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job of a hybrid."""
    return [_expected(job, calibration) for job in jobs]


def _expected(job: HybridJob, pace: Calibration) -> ExpectedCost:
    """The cost of a job."""
    place, lattice, asked = ("hybrids", job.identifier), Lattice(job.dimension, job.size), job.settings
    seeds, levels = len(job.seeds), job.steps + 1
    family = f"{asked.integrator} {job.label}"
    if not job.linear:
        return of_networks(place, family, lattice, seeds, asked.samples, job.steps, pace)
    kernels = float(levels * seeds * pairs_of(lattice))
    drawn, held = of_kernels(lattice, seeds, asked.samples or SAMPLES, levels, asked.integrator, pace)
    seconds = pace.job.seconds + pace.recursion(kernels, levels) + drawn
    memory = pace.job.memory_mb + (HELD * 8.0 * kernels + held) / 1e6
    written = 2.0 * FILE + 4.0 * seeds * BINS * levels
    return ExpectedCost(*place, seconds, memory, written / 1e6, family=family)
