"""The cost of jobs of scores: of the fields, and at finite n of the Markov chains of their posteriors.

At each noise level the chains of a field make about 32 τ sweeps and, between their halves, 5 τ, with τ ≈ 2 (1 + t²)
sweeps, or as many as the accuracy asks for, whichever are more. A trajectory of length π/(2M) has as many leapfrogs as
steps fit into it. The ratios were measured once, on spins and φ⁴ with n = 1, 2, 3 at criticality in two and three
dimensions; times were within a factor of 3 of these estimates.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import pi, sqrt
from typing import Any

from csd.mcmc.simulation import held_out_chains
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.monte_carlo import expected_monte_carlo_costs
from csd.study.cost.pace import Calibration
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.scores import ScoresJob
from csd.targets.noising import VariancePreserving, schedule_of
from csd.targets.options import ChainOptions, NoiseOptions
from csd.targets.phi4 import PhiFour

SWEEPS_PER_TAU = 37.0
"""Sweeps of the two halves of a chain, and between them, over τ."""
INACCURACY = 0.12
"""E|ŝ − s*|²/E|s*|² times the sweeps."""
REPEATED = 2.0
"""All sweeps, with those of the pilot and those made again as τ was too short, over those that count."""
SPIN, FIELD, LEAPFROG, WELL = 5.0, 1.3, 0.12, 2.5
"""A sweep of a spin component; a trajectory of a field component, a leapfrog step in it, and clusters of a site with
two wells, in numbers drawn."""
STEP_SCALE = 2.0
"""Tuned leapfrog step times N^{1/4}, in units of the inverse stiffest frequency."""
COMPRESSED = 0.85
"""Size of fields in a file, over that in memory."""


def expected_scores(jobs: Sequence[ScoresJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job of scores of a study.

    Args:
        jobs: those of scores.
        calibration: of this machine.
    """
    return [(_by_chains if job.components else _in_closed_form)(job, calibration) for job in jobs]


def _in_closed_form(job: ScoresJob, calibration: Calibration) -> ExpectedCost:
    """Every field is drawn, and transformed there and back at each level."""
    fields, levels = job.settings.fields, len(job.noise_levels)
    numbers = float(fields * job.size**job.dimension)
    seconds = calibration.job.seconds + calibration.field((1.0 + levels) * numbers, (1.0 + levels) * fields)
    memory = calibration.job.memory_mb + 8e-6 * (2.0 + 3.0 * levels) * numbers
    return ExpectedCost("scores", job.identifier, seconds, memory, 4e-6 * (1.0 + 2.0 * levels) * numbers)


def _by_chains(job: ScoresJob, calibration: Calibration) -> ExpectedCost:
    """The fields come from Markov chains, and each has a chain of its posterior at every level."""
    field, levels = job.field, len(job.noise_levels)
    if not isinstance(field, ChainOptions):
        # The target of a user is not imported to estimate its cost; a Gaussian field stands in for it.
        free = ChainOptions(field.dimension, field.size, field.mass, field.mass_times_length)
        stand_in = replace(job, field=free)
        return replace(_by_chains(stand_in, calibration), identifier=job.identifier, known=False, family=field.target)
    chains = MonteCarloJob(job.sweep, field, held_out_chains(job.settings.fields, job.settings.seed))
    (made,) = expected_monte_carlo_costs([chains], calibration)
    numbers = float(job.settings.fields * job.components * job.size**job.dimension)
    drawn = (
        REPEATED
        * numbers
        * sum(_sweeps(job, level) * sweep_cost(job.target, job.noise, level) for level in job.noise_levels)
    )
    # Halves, mean, error and noised fields are kept at every level, in single precision.
    kept = 4e-6 * numbers * (1.0 + 5.0 * levels)
    memory = made.memory_mb + 2.0 * kept + 8e-6 * numbers * (12.0 + levels)
    seconds = made.seconds + calibration.draw.rate * drawn
    family = str(job.request["target"])
    return ExpectedCost("scores", job.identifier, seconds, memory, COMPRESSED * kept, family=family)


def _sweeps(job: ScoresJob, level: float) -> float:
    """The sweeps of the chain of a field."""
    return max(SWEEPS_PER_TAU * 2.0 * (1.0 + level**2), INACCURACY / job.settings.accuracy)


def sweep_cost(target: Any, noise: NoiseOptions, level: float, *, clusters: bool = False) -> float:
    """The time of a sweep for each site and component, in numbers drawn.

    Args:
        target: spins or φ⁴.
        noise: with the schedule.
        level: t.
        clusters: whether clusters of φ⁴ are reflected without two wells at each site.
    """
    if not isinstance(target, PhiFour):
        return SPIN
    # User-defined schedules are not imported to estimate a cost.
    schedule = VariancePreserving() if ":" in noise.schedule else schedule_of(noise.schedule)
    gamma = schedule.signal(level) ** 2 / schedule.variance(level)
    mass = PhiFour(target.lattice, target.components, target.r0 + gamma, target.u).hartree_mass
    stiffest = sqrt(4.0 * target.lattice.dimension + mass**2)
    leapfrogs = 0.5 * pi * stiffest / mass * target.lattice.sites**0.25 / STEP_SCALE
    wells = WELL / target.components if clusters or target.quadratic + 0.5 * gamma < 0.0 else 0.0
    return FIELD + LEAPFROG * leapfrogs + wells
