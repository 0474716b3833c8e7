"""The cost of Monte Carlo jobs: sweeps and measurements, in units of the time to draw a number.

The ratios were measured once (docs/montecarlo.md); the speed of the machine is that of drawing, the start-up that of a
training job that does nothing.
"""

from collections.abc import Sequence
from math import pi

from csd.mcmc.samplers import sweep_of
from csd.mcmc.simulation import SERIES
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.targets.base import HasEnergy, HasForce

START_UP = 9.0
"""Time to import Numba and pyerrors and to read compiled loops from disk, over a training job that does nothing."""
SITE, OTHER_SITE = {"metropolis": 1.9, "wolff": 2.8}, 0.9
"""A site and component in a sweep of these samplers, and of the others."""
UPDATE, MEASUREMENT = 55.0, 900.0
"""The call of an update; a measurement with the call of the sweeps before it."""
LEAPFROG = {"hmc": (95.0, 0.35), "fourier_hmc": (1500.0, 0.7)}
"""A step of leapfrog, and each site and component in it, without and with Fourier transforms."""
STEP_SCALE = 0.75
"""Tuned step of HMC times N^{1/4}, in units of the inverse stiffest frequency, which is 1 with Fourier acceleration."""
COMPRESSED = 0.2
"""Compressed size of a time series in a file, over its size in memory."""
SAMPLING_MB = 200.0
"""Memory that Numba and pyerrors hold."""


def expected_monte_carlo_costs(jobs: Sequence[MonteCarloJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each Monte Carlo job of a study.

    Args:
        jobs: those of Monte Carlo.
        calibration: of this machine.
    """
    return [_expected(job, calibration) for job in jobs]


def _expected(job: MonteCarloJob, calibration: Calibration) -> ExpectedCost:
    settings, target = job.settings, job.target
    sweeps, measured = settings.chains * (settings.sweeps + settings.warming), settings.sweeps / settings.every
    drawn = settings.chains * measured * MEASUREMENT * len(settings.samplers)
    drawn += sweeps * sum(_sweep(name, target) for name in settings.samplers)
    series = len(settings.samplers) * settings.chains * measured * (len(SERIES) + job.components)
    held = 8e-6 * (series + settings.fields * job.components * target.lattice.sites)
    seconds = START_UP * calibration.job.seconds + calibration.draw.rate * drawn
    memory = calibration.job.memory_mb + SAMPLING_MB + 4.0 * held
    family = ".".join(settings.samplers)
    return ExpectedCost("monte_carlo", job.identifier, seconds, memory, COMPRESSED * held, family=family)


def _sweep(name: str, target: HasEnergy) -> float:
    """The time of one sweep of a sampler, in numbers drawn."""
    numbers = target.lattice.sites * target.components
    if name in LEAPFROG and isinstance(target, HasForce):
        length = 1.0 if name == "fourier_hmc" else min(float(target.lattice.size), 1.0 / target.hartree_mass)
        step, site = LEAPFROG[name]
        return pi / 2.0 * length * target.lattice.sites**0.25 / STEP_SCALE * (step + site * numbers)
    return (UPDATE + SITE.get(name, OTHER_SITE) * numbers) * sum(step.times for step in sweep_of(name, target))
