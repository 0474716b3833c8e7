"""The cost of jobs of phases: in closed form that of boxes of the covariance, at finite n that of Markov chains."""

from collections.abc import Sequence
from math import comb

from csd.mcmc.simulation import held_out_chains
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.monte_carlo import expected_monte_carlo_costs
from csd.study.cost.pace import Calibration
from csd.study.cost.scores import sweep_cost
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.phases import PhasesJob
from csd.targets.options import ChainOptions
from csd.targets.scores import ScoreSettings

DECOMPOSED, SUMMED, NODES = 0.75, 1.5, 200
"""Numbers of a recursion for each mode and squared field of a basis, in its decomposition; for each mode, field and
noise level; and levels of the quadratures."""
PILOT, PILOT_SWEEPS, SWEEPS = 64, 250.0, 50.0
"""Most boxes, and sweeps of each, in which chains are tuned and timed; and sweeps of each box that count."""


def expected_phases(jobs: Sequence[PhasesJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job.

    In closed form it is one decomposition of the covariance in a box for each range, and sums at all levels; at finite
    n that of the fields, and of a chain for each box.
    """
    costs = []
    for job in jobs:
        if isinstance(job.field, ChainOptions) and job.drawn is not None:
            costs.append(_by_chains(job, job.field, job.drawn, calibration))
            continue
        dimension, size, block = job.dimension, job.size, job.settings.block
        numbers, largest = 0.0, 0.0
        for reach in job.ranges:
            boxes = [(1, comb(size // 2 + dimension, dimension), comb(reach + dimension, dimension))]
            if block > 1:
                boxes.append((dimension + 1, (size // 2 + 1) ** dimension, ((block + 1) // 2 + reach) ** dimension))
            for ways, modes, fields in boxes:
                levels = len(job.noise_levels) * block**dimension + NODES
                numbers += ways * modes * fields * (DECOMPOSED * fields + SUMMED * levels)
                largest = max(largest, ways * modes * fields)
        seconds = calibration.job.seconds + calibration.recursion(numbers)
        memory = calibration.job.memory_mb + 4e-5 * largest
        costs.append(ExpectedCost("phases", job.identifier, seconds, memory, 0.1))
    return costs


def _by_chains(job: PhasesJob, field: ChainOptions, drawn: ScoreSettings, calibration: Calibration) -> ExpectedCost:
    """The cost of a job at finite n."""
    chains = MonteCarloJob(job.sweep, field, held_out_chains(drawn.fields, drawn.seed))
    (made,) = expected_monte_carlo_costs([chains], calibration)
    fields, boxes = drawn.fields, drawn.fields * 2**job.dimension
    ranges = len(job.ranges)
    sweeps = sum(count * SWEEPS + min(count, PILOT) * PILOT_SWEEPS for count in (fields, *[boxes] * ranges))
    numbers = float(job.components * job.size**job.dimension)
    drawn_numbers = (
        sweeps * numbers * sum(sweep_cost(job.target, job.noise, level, clusters=True) for level in job.noise_levels)
    )
    seconds = made.seconds + calibration.draw.rate * drawn_numbers
    memory = made.memory_mb + 8e-6 * numbers * (12.0 * fields + 4.0 * boxes)
    return ExpectedCost("phases", job.identifier, seconds, memory, 0.1, family=job.kind)
