"""Integrator steps: how many a sampler needs with the exact score (docs/physics.md, section 6).

For a linear score the generated spectrum is known exactly for every integrator and grid, so the number of steps after
which KL per site is at most a tolerance is a root, found without sampling. The start is the exact law at t_max, so that
only the steps are at fault.
"""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from csd import observables
from csd.errors import InputError
from csd.field import Target
from csd.generation import (
    INTEGRATORS,
    Integrator,
    generated_variance,
    geometric_grid,
    linear_steps,
    log_snr_grid,
    longest_level,
    uniform_grid,
)
from csd.lattice import Array
from csd.noise import SCHEDULES, NoisedTarget, Schedule
from csd.plugins import resolve
from csd.store import labelled

MOST_STEPS = 2**10
"""Samplers that need more than this are left as NaN."""
COMPARED = ("euler_maruyama", "exponential", "frozen_kernel", "euler", "heun")
GRIDS = ("uniform", "geometric", "log_snr")


def grid(kind: str, schedule: Schedule, t_min: float, t_max: float, steps: int) -> Array:
    """Noise levels of a kind of grid ('uniform', 'geometric', 'log_snr'), from t_max down; shape (steps + 1,)."""
    if kind == "log_snr":
        return log_snr_grid(schedule, t_min, t_max, steps)
    return (uniform_grid if kind == "uniform" else geometric_grid)(t_min, t_max, steps)


def highest_level(schedule: str, size: int) -> float:
    """t_max at which the softest critical mode's signal is 1/100 of the noise: ½ ln(1 + 100 L²) (VP), 100 L² (VE)."""
    return longest_level(size) if schedule == "vp" else 100.0 * size**2


def exact_score_divergence(target: Target, schedule: Schedule, integrator: Integrator, levels: Array) -> float:
    """KL per site that the exact score leaves on a grid, from the exact law at t_max; infinite if it is unstable."""
    modes = target.lattice.shells
    spectra = NoisedTarget(target, schedule, levels.tolist()).spectra_at(modes)
    with np.errstate(over="ignore", invalid="ignore"):
        variance = generated_variance(spectra[0], linear_steps(integrator, schedule, levels, 1.0 / spectra))
    if not (np.isfinite(variance).all() and (variance > 0.0).all()):
        return float("inf")
    return float(observables.kl_per_site(modes, variance, spectra[-1]))


def steps_needed(divergence: Callable[[int], float], tolerance: float) -> float:
    """Smallest number of steps with a divergence of at most `tolerance`, by doubling and halving; NaN beyond 2^10.

    Args:
        divergence: of a number of steps; falls, once small.
        tolerance: above 0.
    """
    high = 1
    while divergence(high) > tolerance:
        high *= 2
        if high > MOST_STEPS:
            return float("nan")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if divergence(middle) <= tolerance else (middle, high)
    return float(high)


def compare(make: Callable[[int], Target], sizes: Sequence[int], tolerance: float, t_min: float) -> xr.Dataset:
    """Steps needed by every integrator, schedule and grid, against size.

    Args:
        make: the target of a size.
        sizes: L.
        tolerance: KL per site, above 0.
        t_min: lowest noise level.

    Returns:
        steps_needed(integrator, schedule, grid, size); NaN where more than 2^10 are needed.

    Raises:
        InputError: if there is no size, one is given twice, or the tolerance is not above 0.
    """
    if not sizes or len(set(sizes)) < len(sizes):
        raise InputError(f"sizes are {list(sizes)}; give at least one, each once")
    if not (np.isfinite(tolerance) and tolerance > 0.0):
        raise InputError(f"tolerance is {tolerance!r}; it must be a finite number above 0")
    needed = np.full((len(COMPARED), len(SCHEDULES), len(GRIDS), len(sizes)), np.nan)
    for place in np.ndindex(*needed.shape):
        name, schedule_name, kind = COMPARED[place[0]], list(SCHEDULES)[place[1]], GRIDS[place[2]]
        integrator = resolve("integrator", name, INTEGRATORS)()
        schedule = resolve("schedule", schedule_name, SCHEDULES)()
        target, t_max = make(sizes[place[3]]), highest_level(schedule_name, sizes[place[3]])

        def divergence(
            steps: int,
            target: Target = target,
            schedule: Schedule = schedule,
            integrator: Integrator = integrator,
            kind: str = kind,
            t_max: float = t_max,
        ) -> float:
            return exact_score_divergence(target, schedule, integrator, grid(kind, schedule, t_min, t_max, steps))

        needed[place] = steps_needed(divergence, tolerance)
    dims = ["integrator", "schedule", "grid", "size"]
    return xr.Dataset(
        {"steps_needed": labelled(dims, needed, "integrator steps until KL per site is at the tolerance", "steps")},
        {
            "integrator": labelled(["integrator"], np.array(COMPARED, dtype=object), "integrator"),
            "schedule": labelled(["schedule"], np.array(list(SCHEDULES), dtype=object), "noising schedule"),
            "grid": labelled(["grid"], np.array(GRIDS, dtype=object), "spacing of noise levels"),
            "size": labelled(["size"], np.array(sizes, dtype=np.int64), "lattice size", "lattice spacings"),
        },
        {"tolerance": tolerance, "t_min": t_min, "dimension": make(sizes[0]).lattice.dimension},
    )
