"""Integrator steps: how many reverse diffusion needs with the exact score (docs/physics.md, section 6).

For a linear score the generated variances are known exactly for every integrator and grid, so the number of steps from
which on samples are right by each criterion of `csd.diffusion.criteria` is found without sampling. The start is the
exact distribution at t_max, so that only the steps are at fault.

**Law.** An integrator of order p leaves each mode a relative error ρ − 1 ∝ n^{−p} in its variance, and as −ln ESS ≈
½ Σ_k (ρ − 1)² and N·KL ≈ ¼ Σ_k (ρ − 1)² are sums over N modes, a fixed value of either needs n ∝ N^{1/(2p)} steps:
L^{d/2} for p = 1, L^{d/4} for p = 2. That holds where the sum belongs to the many hard modes, in d = 2 and 3; in d = 1
the softest decide (`soft_share`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from csd.core.errors import InputError, check_distinct, check_positive
from csd.core.files import labelled
from csd.core.plugins import resolve
from csd.diffusion.criteria import CRITERIA, LIMITS, deviations, log_effective_sample_size
from csd.diffusion.grids import SIGNAL_LEFT, geometric_grid, log_snr_grid, steps_needed, uniform_grid
from csd.diffusion.integrators import BLOCK, INTEGRATORS, Integrator
from csd.lattice import Array, Lattice
from csd.networks.score import ExactScore
from csd.targets.base import HasSpectrum
from csd.targets.gaussian import GaussianField
from csd.targets.labels import target_label
from csd.targets.noising import SCHEDULES, Schedule, noised_spectrum

FIRST_ORDER = ("euler_maruyama", "exponential", "frozen_kernel", "predictor_corrector", "euler")
ORDERS = {**dict.fromkeys(FIRST_ORDER, 1), "heun": 2}
"""p of the integrators compared: the error of a mode's variance falls as n^{−p}."""
COMPARED = tuple(ORDERS)
GRIDS = ("uniform", "geometric", "log_snr")
FOLLOWS_LAW = ("total_kl", "effective_sample_size")
"""Criteria that sum over all modes, whose steps grow as N^{1/(2p)}."""


def grid(kind: str, schedule: Schedule, t_min: float, t_max: float, steps: int) -> Array:
    """Noise levels of a kind of grid ('uniform', 'geometric', 'log_snr'), from t_max down; shape (steps + 1,)."""
    if kind == "log_snr":
        return log_snr_grid(schedule, t_min, t_max, steps)
    return (uniform_grid if kind == "uniform" else geometric_grid)(t_min, t_max, steps)


def highest_level(schedule: Schedule, size: int) -> float:
    """t_max at which α² L² / σ² = 1/100, for any schedule: ½ ln(1 + 100 L²) for VP, 100 L² for VE.

    Raises:
        InputError: if no noise level between 10⁻³⁰⁰ and 10³⁰⁰ is that high.
    """
    from scipy.optimize import brentq

    def excess(logarithm: float) -> float:
        level = np.exp(logarithm)
        with np.errstate(under="ignore", divide="ignore"):
            signal, noise = float(schedule.signal(level)), float(schedule.variance(level))
            return float(2.0 * np.log(signal) - np.log(noise) + 2.0 * np.log(size) - np.log(SIGNAL_LEFT))

    name = f"schedule {type(schedule).__name__}"
    # Bracketed in octaves from t = 1: far beyond, a signal may be 0 in floating point.
    low = high = 0.0
    while low > -690.0 and excess(low) < 0.0:
        low -= np.log(2.0)
    while high < 690.0 and excess(high) > 0.0:
        high += np.log(2.0)
    if not (excess(low) >= 0.0 >= excess(high)):
        raise InputError(f"{name} has no noise level at which the signal of size {size} is 1/100 of the noise")
    if excess(high) == -np.inf:
        raise InputError(f"{name} has no signal left where it would be 1/100 of the noise")
    return float(np.exp(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))) if low < high else float(np.exp(low))


def exact_score_variance(target: HasSpectrum, schedule: Schedule, integrator: Integrator, levels: Array) -> Array:
    """V(k) at the *shells* that the exact score leaves on a grid, from the exact distribution at t_max.

    Infinite where the integrator is unstable.
    """
    modes = target.lattice.shells
    score = ExactScore(target, schedule, modes)
    variance = noised_spectrum(schedule, float(levels[0]), score.propagator)
    at_once = max(1, BLOCK // len(modes))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(levels) - 1, at_once):
            block = levels[start : start + at_once + 1, None]
            kernels = score.kernel(block)
            gains, added = integrator.linear(schedule, block[:-1], block[1:], kernels[:-1], kernels[1:])
            for squared, more in zip(gains * gains, np.broadcast_to(added, gains.shape), strict=True):
                variance *= squared
                variance += more
        # What has grown beyond all measure would overflow in the criteria.
        return np.where(variance < 1e200, variance, np.inf)


def exact_score_deviations(target: HasSpectrum, schedule: Schedule, integrator: Integrator, levels: Array) -> Array:
    """How far from right the exact score's samples are by each criterion on a grid, shape (criteria,).

    The KL per site is all of it, not what exceeds that of the exact score.
    """
    lattice, modes = target.lattice, target.lattice.shells
    variance = exact_score_variance(target, schedule, integrator, levels)
    exact = noised_spectrum(schedule, float(levels[-1]), target.propagator(modes.laplacian))
    return deviations(lattice, modes, variance, exact)


def soft_share(target: HasSpectrum, schedule: Schedule, integrator: Integrator, levels: Array) -> float:
    """Share of the 2d + 1 softest modes (k = 0 and 2π/L along an axis) in −ln(ESS/M) with the exact score."""
    modes = target.lattice.shells
    exact = noised_spectrum(schedule, float(levels[-1]), target.propagator(modes.laplacian))
    ratio = exact_score_variance(target, schedule, integrator, levels) / exact
    soft = modes.numbers.sum(axis=1) <= 1
    one = np.ones_like(ratio)
    parts = log_effective_sample_size(modes, np.stack([np.where(soft, ratio, one), ratio]), one)
    return float(parts[0] / parts[1])


def compare(
    sizes: Mapping[int, Sequence[int]],
    *,
    mass_times_length: float = 1.0,
    tolerance: float = LIMITS["kl_per_site"],
    t_min: float = 1e-3,
    integrators: Sequence[str] = COMPARED,
    schedules: Sequence[str] = tuple(SCHEDULES),
    grids: Sequence[str] = GRIDS,
) -> xr.Dataset:
    """Steps needed by every integrator, schedule and grid for every criterion, against size.

    Args:
        sizes: L by dimension, of Gaussian fields on the critical line.
        mass_times_length: c of m = c / L, above 0.
        tolerance: KL per site, above 0; the other criteria have the limits of `csd.diffusion.criteria`.
        t_min: lowest noise level.
        integrators: names or dotted paths.
        schedules: the same.
        grids: of `GRIDS`.

    Returns:
        steps_needed and crossing_steps (dimension, criterion, integrator, schedule, grid, size): infinite where more
        than 2^12 are needed, NaN where a size was not asked for in a dimension. soft_share (dimension, integrator,
        schedule, grid, size): of the softest modes in −ln(ESS/M) at the number of steps that it needs.

    Raises:
        InputError: if there is no size, one is given twice, or the tolerance is not above 0.
    """
    check_distinct("dimension", list(sizes))
    for own in sizes.values():
        check_distinct("size", own)
    check_positive("tolerance", tolerance)
    limits = np.array([*(LIMITS | {"kl_per_site": tolerance}).values()])
    dimensions, all_sizes = sorted(sizes), sorted({size for own in sizes.values() for size in own})
    shape = (len(dimensions), len(CRITERIA), len(integrators), len(schedules), len(grids), len(all_sizes))
    needed, crossing = np.full((2, *shape), np.nan)
    share = np.full((shape[0], *shape[2:]), np.nan)
    for i, j, k, m, n in np.ndindex(share.shape):
        if all_sizes[n] not in sizes[dimensions[i]]:
            continue
        target = GaussianField.on_critical_line(Lattice(dimensions[i], all_sizes[n]), mass_times_length)
        schedule = resolve("schedule", schedules[k], SCHEDULES)()
        integrator = resolve("integrator", integrators[j], INTEGRATORS)()
        here = (i, slice(None), j, k, m, n)
        needed[here], crossing[here], share[i, j, k, m, n] = _compared(
            target, schedule, integrator, grids[m], t_min, limits
        )
    dims = ["integrator", "schedule", "grid", "size"]
    every = ["dimension", "criterion", *dims]
    return xr.Dataset(
        {
            "steps_needed": labelled(every, needed, "integrator steps needed; infinite beyond 4096", "steps"),
            "crossing_steps": labelled(every, crossing, "the same, interpolated between whole numbers", "steps"),
            "soft_share": labelled(
                ["dimension", *dims], share, "share of the 2d + 1 softest modes in -ln(ESS/M) at its steps needed", "1"
            ),
        },
        {
            "dimension": labelled(["dimension"], np.array(dimensions, dtype=np.int64), "lattice dimension", "1"),
            "criterion": labelled(["criterion"], np.array(CRITERIA, dtype=object), "what is right"),
            "integrator": labelled(["integrator"], np.array(integrators, dtype=object), "integrator"),
            "schedule": labelled(["schedule"], np.array(schedules, dtype=object), "noising schedule"),
            "grid": labelled(["grid"], np.array(grids, dtype=object), "spacing of noise levels"),
            "size": labelled(["size"], np.array(all_sizes, dtype=np.int64), "lattice size", "lattice spacings"),
        },
        {
            "tolerance": tolerance,
            "t_min": t_min,
            "mass_times_length": mass_times_length,
            "mass_label": target_label(mass_times_length=mass_times_length),
        },
    )


def _compared(
    target: HasSpectrum, schedule: Schedule, integrator: Integrator, kind: str, t_min: float, limits: Array
) -> tuple[Array, Array, float]:
    """(steps needed, the same as real numbers, share of the softest modes in −ln(ESS/M) there) on a kind of grid."""
    t_max = highest_level(schedule, target.lattice.size)

    def levels(steps: int) -> Array:
        return grid(kind, schedule, t_min, t_max, steps)

    needed, crossing = steps_needed(
        lambda steps: exact_score_deviations(target, schedule, integrator, levels(steps)), limits
    )
    enough = needed[CRITERIA.index("effective_sample_size")]
    share = soft_share(target, schedule, integrator, levels(int(enough))) if np.isfinite(enough) else np.nan
    return needed, crossing, share
