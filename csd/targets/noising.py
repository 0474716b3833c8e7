"""Noising schedules: x_t = α(t) x₀ + σ(t) z (docs/physics.md, section 3).

    VP (Ornstein–Uhlenbeck): dx = −x dt + √2 dW, α = exp(−t), σ² = 1 − exp(−2t).
    VE: dx = dW, α = 1, σ² = t.

The spectrum of the noised field is C_t(k) = α² G(k) + σ², its exact score −K* x̂ with K* = 1 / C_t.
"""

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import Any, Protocol

import numpy as np

from csd.core.errors import InputError, check_distinct, check_positive
from csd.core.plugins import built, checked_numbers, is_user_defined, require_methods, resolve
from csd.lattice import Array, Lattice, Modes
from csd.targets.base import HasHeldOut, HasSpectrum, spectrum_modes, spectrum_of


class Schedule(Protocol):
    """The amplitudes of signal and noise in a field at noise level t > 0.

    Each function takes numbers or arrays, and may return one number if it is the same at all levels.
    """

    def signal(self, level: Any) -> Any:
        """α(t)."""

    def variance(self, level: Any) -> Any:
        """σ²(t)."""

    def damping(self, level: Any) -> Any:
        """a(t) = −d ln α / dt of the noising process dx = −a x dt + √D dW."""

    def diffusion(self, level: Any) -> Any:
        """D(t) = dσ²/dt + 2 a σ² of the noising process."""


class VariancePreserving:
    """Ornstein–Uhlenbeck noising: α = exp(−t), σ² = 1 − exp(−2t)."""

    def signal(self, level: Any) -> Any:
        """α(t) = exp(−t)."""
        return np.exp(-level)

    def variance(self, level: Any) -> Any:
        """σ²(t) = 1 − exp(−2t)."""
        return -np.expm1(-2.0 * level)

    def damping(self, level: float) -> float:
        """a = 1."""
        return 1.0

    def diffusion(self, level: float) -> float:
        """D = 2."""
        return 2.0


class VarianceExploding:
    """Brownian noising: α = 1, σ² = t."""

    def signal(self, level: Any) -> Any:
        """α(t) = 1."""
        return np.ones_like(level)

    def variance(self, level: Any) -> Any:
        """σ²(t) = t."""
        return level

    def damping(self, level: float) -> float:
        """a = 0."""
        return 0.0

    def diffusion(self, level: float) -> float:
        """D = 1."""
        return 1.0


SCHEDULES: dict[str, str] = {
    "vp": "csd.targets.noising:VariancePreserving",
    "ve": "csd.targets.noising:VarianceExploding",
}


STEP, SLACK, ROUNDING = 1e-4, 1e-3, 1e-9
"""Relative step of the differences of a schedule, and their relative and absolute deviations that are allowed."""


FIRST, LAST = -690.0, 690.0
"""ln of the smallest and largest noise level that a time is searched in."""


def schedule_of(name: str) -> Schedule:
    """The schedule of a name in `SCHEDULES` or of a dotted path."""
    made: Schedule = built("schedule", resolve("schedule", name, SCHEDULES), "Class()")
    return made


def check_schedule(schedule: Schedule, levels: Sequence[float]) -> None:
    """Refuse a user-defined schedule whose α(t) or σ²(t) cannot be used.

    Raises:
        InputError: if a method is missing, or α or σ² is not finite, α negative or σ² not above 0 at one of the levels.
    """
    require_methods("schedule", schedule, "signal(level)", "variance(level)")
    for level in levels if is_user_defined(schedule) else ():
        name = f"schedule {type(schedule).__name__}"
        signal = checked_numbers(f"{name}: signal({level:g})", schedule.signal(level), ())
        if signal < 0.0:
            raise InputError(f"{name}: signal({level:g}) gives {signal}; it must be at least 0")
        checked_numbers(f"{name}: variance({level:g})", schedule.variance(level), (), least=0.0)


def check_reversible(schedule: Schedule, levels: Sequence[float]) -> None:
    """Refuse a user-defined schedule with which reverse diffusion has no meaning.

    Its a = −d ln α/dt and D = dσ²/dt + 2aσ² are compared with differences of α and σ²; a schedule with kinks may differ
    from them at some levels, but not at most of them.

    Args:
        schedule: that `check_schedule` accepts.
        levels: noise levels from t_max down.

    Raises:
        InputError: if a method is missing, a(t) or D(t) is not finite, D negative, α²/σ² does not fall with t, or a or
            D belongs to another α or σ².
    """
    if not is_user_defined(schedule):
        return
    require_methods("schedule", schedule, "damping(level)", "diffusion(level)")
    name, before, wrong = f"schedule {type(schedule).__name__}", -1.0, 0
    for level in levels:
        damping = checked_numbers(f"{name}: damping({level:g})", schedule.damping(level), ())
        diffusion = checked_numbers(f"{name}: diffusion({level:g})", schedule.diffusion(level), ())
        if diffusion < 0.0:
            raise InputError(f"{name}: diffusion({level:g}) gives {diffusion}; it must be at least 0")
        signal, variance = schedule.signal(level), schedule.variance(level)
        if signal**2 <= before * variance:
            raise InputError(f"{name}: signal^2/variance does not fall with the noise level at {level:g}; it must")
        before, step = signal**2 / variance, STEP * level
        # A schedule need not be defined above t_max.
        slopes = [
            (3.0 * of(level) - 4.0 * of(level - step) + of(level - 2.0 * step)) / (2.0 * step)
            for of in (schedule.signal, schedule.variance)
        ]
        off = abs(slopes[0] + damping * signal), abs(slopes[1] + 2.0 * damping * variance - diffusion)
        scale = abs(slopes[0]) + abs(damping * signal), abs(slopes[1]) + abs(2.0 * damping * variance) + diffusion
        wrong += off[0] > SLACK * scale[0] + ROUNDING or off[1] > SLACK * scale[1] + ROUNDING
    if 2 * wrong > len(levels):
        raise InputError(
            f"{name}: its damping and diffusion belong to another signal or variance; they must be damping ="
            " -d ln(signal)/dt and diffusion = d variance/dt + 2 damping variance"
        )


def check_level(level: float) -> float:
    """Return the noise level if it is finite and above 0; raise InputError otherwise."""
    return check_positive("noise level", level)


def noised_spectrum(schedule: Schedule, level: Any, propagator: Array) -> Array:
    """C_t(k) = α² G(k) + σ², same shape as `propagator`."""
    return schedule.signal(level) ** 2 * propagator + schedule.variance(level)


def score_length(schedule: Schedule, level: float, mass: float) -> float:
    """ξ_t = (m² + α²/σ²)^(−1/2): decay length of the exact score's kernel, in lattice spacings."""
    return 1.0 / sqrt(mass**2 + schedule.signal(level) ** 2 / schedule.variance(level))


def level_at(schedule: Schedule, ratio: float) -> float:
    """The noise level t at which α²/σ² has a value; NaN where there is none.

    Args:
        schedule: α(t) and σ²(t), with α²/σ² falling.
        ratio: γ > 0.
    """
    from scipy.optimize import brentq

    def excess(log_level: float) -> float:
        signal, variance = float(schedule.signal(exp(log_level))), float(schedule.variance(exp(log_level)))
        if variance == 0.0 or signal == 0.0:
            return 1e3 if variance == 0.0 else -1e3
        return 2.0 * log(signal) - log(variance) - log(ratio)

    # The levels around 1 first, as a user-defined schedule need not be defined everywhere.
    low, high = -1.0, 1.0
    while excess(low) < 0.0 and low > FIRST:
        low *= 2.0
    while excess(high) > 0.0 and high < LAST:
        high *= 2.0
    if excess(low) < 0.0 or excess(high) > 0.0:
        return float("nan")
    return exp(float(brentq(excess, low, high, xtol=1e-15, rtol=1e-15)))


class NoisedTarget:
    """A target at several noise levels, whose scores one training learns.

    Args:
        target: the distribution of the fields without noise.
        schedule: α(t) and σ²(t).
        levels: noise levels t > 0.

    Raises:
        InputError: if there is no level, one is given twice, or one is not a finite number above 0; or if the schedule
            cannot be used at a level.
    """

    def __init__(self, target: HasSpectrum, schedule: Schedule, levels: Sequence[float]) -> None:
        self.target = target
        self.schedule = schedule
        self.levels = tuple(check_level(level) for level in levels)
        check_distinct("noise level", self.levels)
        check_schedule(schedule, self.levels)

    @property
    def lattice(self) -> Lattice:
        """Where the target lives."""
        return self.target.lattice

    @property
    def variances(self) -> Array:
        """σ²(t) of each level, shape (levels,)."""
        return np.array([self.schedule.variance(level) for level in self.levels])

    @property
    def signals(self) -> Array:
        """α(t) of each level, shape (levels,)."""
        return np.array([self.schedule.signal(level) for level in self.levels])

    @property
    def ratios(self) -> Array:
        """γ = α²/σ² of each level, shape (levels,)."""
        return np.asarray(self.signals**2 / self.variances)

    def spectra(self, propagator: Array) -> Array:
        """C_t(k) at each level, shape (levels, *propagator.shape), for an exact or an empirical propagator."""
        return np.stack([noised_spectrum(self.schedule, level, propagator) for level in self.levels])

    def spectra_at(self, modes: Modes) -> Array:
        """C_t(k) of the target at each level and mode, shape (levels, modes)."""
        return self.spectra(spectrum_of(self.target, modes))

    @property
    def modes(self) -> Modes:
        """Momenta at which the target's spectrum is known: *shells* if it is isotropic, otherwise *pairs*."""
        return spectrum_modes(self.target)

    def half_spectra(self) -> Array:
        """C_t(k) of the target at each level in the *half* layout, shape (levels, *half_shape)."""
        lattice, modes = self.lattice, self.modes
        if not modes.isotropic:
            return lattice.spread(self.spectra_at(modes), modes)
        return self.spectra(self.target.propagator(lattice.laplacian))

    @property
    def means(self) -> Array:
        """α(t) μ of each level, shape (levels,)."""
        return self.signals * self.mean

    @property
    def mean(self) -> float:
        """μ of the fields without noise; 0 for a target that does not say otherwise."""
        return float(getattr(self.target, "mean", 0.0))

    def score_lengths(self) -> Array:
        """ξ_t of each level, shape (levels,), lattice spacings."""
        return np.array([score_length(self.schedule, level, self.target.mass) for level in self.levels])


def learned_spectra(noised: NoisedTarget) -> Array:
    """C_t(k) that networks learn, at `noised.modes`, shape (levels, modes).

    This is the spectrum of the target or, where that is measured in held-out fields, of the training fields.
    """
    target = noised.target
    if isinstance(target, HasHeldOut):
        return noised.spectra(target.empirical_spectrum(noised.modes))
    return noised.spectra_at(noised.modes)


STARTS = ("noise", "exact")
"""Distributions of the fields at the highest level: white noise, or the noised target's own."""


def check_start(start: str) -> None:
    """Refuse a start that is not in `STARTS`."""
    if start not in STARTS:
        raise InputError(f"start is {start!r}; it must be {' or '.join(STARTS)}")
