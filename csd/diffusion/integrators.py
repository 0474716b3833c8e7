"""Generation: reverse the noise with a score (docs/physics.md, section 6).

The noising process dx = −a x dt + √D dW is run backwards from t_max to t_min,

    SDE   dx = [a x + D s] dτ + √D dW        ODE   dx = [a x + ½ D s] dτ,

by one of the integrators below, each a free function of any callable score s(x, t). With a linear score s = −K∗x every
integrator maps a mode as x̂ ← g x̂ + √v z, so its variance obeys V ← g² V + v: what would be generated, step size
and all, is known without sampling (`generated_variance`), and fields can be sampled mode by mode without a transform.

    name              g                                         v                        (h = t − t′)
    euler_maruyama    1 + h (a − D K)                           D h
    exponential       e^{ah} − φ D K, φ = (e^{ah} − 1)/a        D (e^{2ah} − 1)/(2a)     score frozen over a step
    frozen_kernel     e^{Ah}, A = a − D K                       D (e^{2Ah} − 1)/(2A)     kernel frozen over a step
    euler             1 + h B, B = a − ½ D K                    0
    heun              1 + ½ h (B + B′ (1 + h B))                0
    K and a, D without a prime belong to t, with one to t′; B′ = a′ − ½ D′ K′.

    predictor_corrector   euler_maruyama, then n Langevin steps 1 − ε K′, 2 ε with ε = r min(σ²(t′), D(t′) h)

Start, at t_max: independent normal numbers of variance α² + σ² (1 for VP, the noise that the process ends in; it
differs from the law of the noised data by α² (G − 1) in each mode), or by choice the exact law N(0, C_{t_max}).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from csd.errors import GenerationFailed, InputError
from csd.lattice import Array, ComplexArray, Modes
from csd.noise import Schedule, check_level
from csd.stream import draw_normal

Score = Callable[[Array, float], Array]
"""s(x, t) for fields x of shape (batch, *lattice), at noise level t; same shape."""
Noise = Callable[[], Array]
"""Independent standard normal numbers of the shape of the fields, new ones at every call."""


BLOCK = 2**14
"""Numbers combined at a time, few enough for the cache."""


class Integrator(Protocol):
    """One step from noise level t down to t′ < t."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""

    def linear(
        self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array
    ) -> tuple[Array, Array | float]:
        """(g, v) of the same step for s = −K∗x: x̂ ← g x̂ + √v z in each mode.

        Levels may be arrays that broadcast with the kernels: one step each.
        """


def _phi(rate: Any, h: Any) -> Any:
    """(e^{rate h} − 1) / rate, h at rate 0."""
    product = np.asarray(rate, dtype=float) * h
    safe = np.where(product == 0.0, 1.0, product)
    return h * np.where(product == 0.0, 1.0, np.expm1(safe) / safe)


def combine(*terms: tuple[Any, Array]) -> Array:
    """Σ_i c_i x_i in one pass over arrays x_i of one shape, with numbers c_i; a new array of that shape."""
    factors = [factor for factor, _ in terms]
    flat = [array.reshape(-1) for _, array in terms]
    total = np.empty(terms[0][1].shape, np.result_type(*flat))
    out = total.reshape(-1)
    part = np.empty(min(BLOCK, out.size), out.dtype)
    for start in range(0, out.size, BLOCK):
        block = out[start : start + BLOCK]
        np.multiply(flat[0][start : start + BLOCK], factors[0], out=block)
        for factor, array in zip(factors[1:], flat[1:], strict=True):
            scaled = np.multiply(array[start : start + BLOCK], factor, out=part[: len(block)])
            block += scaled
    return total


class EulerMaruyama:
    """Reverse SDE, explicit: x + h (a x + D s) + √(D h) z; weak order 1."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        return combine((1.0 + h * a, fields), (h * d, score(fields, t)), (np.sqrt(d * h), noise()))

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> tuple[Array, float]:
        """1 + h (a − D K), D h."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        return 1.0 + h * (a - d * kernel), d * h


class Exponential:
    """Reverse SDE with the score frozen over a step and the rest exact; weak order 1."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        drift = (np.exp(a * h), fields), (_phi(a, h) * d, score(fields, t))
        return combine(*drift, (np.sqrt(d * _phi(2.0 * a, h)), noise()))

    def linear(
        self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array
    ) -> tuple[Array, Array | float]:
        """e^{ah} − φ D K, D (e^{2ah} − 1)/(2a)."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        return np.exp(a * h) - _phi(a, h) * d * kernel, d * _phi(2.0 * a, h)


class FrozenKernel:
    """Reverse SDE, exact for the kernel of each step's upper end; for linear scores only."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Refused: a score that is only callable has no kernel to freeze."""
        raise InputError("integrator frozen_kernel needs a linear score; take exponential for any other")

    def linear(
        self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array
    ) -> tuple[Array, Array | float]:
        """e^{Ah}, D (e^{2Ah} − 1)/(2A), A = a − D K."""
        h, d = t - lower, schedule.diffusion(t)
        rate = schedule.damping(t) - d * kernel
        return np.exp(rate * h), d * _phi(2.0 * np.real(rate), h)


class Euler:
    """Probability-flow ODE, explicit; order 1."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        return combine((1.0 + h * a, fields), (0.5 * h * d, score(fields, t)))

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> tuple[Array, float]:
        """1 + h (a − ½ D K), 0."""
        return 1.0 + (t - lower) * (schedule.damping(t) - 0.5 * schedule.diffusion(t) * kernel), 0.0


class Heun:
    """Probability-flow ODE, trapezoidal predictor–corrector; order 2."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        h, slope = t - lower, flow(score, schedule, fields, t)
        ahead = combine((1.0, fields), (h, slope))
        return combine((1.0, fields), (0.5 * h, slope), (0.5 * h, flow(score, schedule, ahead, lower)))

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> tuple[Array, float]:
        """1 + ½ h (B + B′ (1 + h B)), 0."""
        h = t - lower
        upper_rate = schedule.damping(t) - 0.5 * schedule.diffusion(t) * kernel
        lower_rate = schedule.damping(lower) - 0.5 * schedule.diffusion(lower) * kernel_below
        return 1.0 + 0.5 * h * (upper_rate + lower_rate * (1.0 + h * upper_rate)), 0.0


@dataclass(frozen=True)
class PredictorCorrector:
    """Euler–Maruyama, then Langevin steps at the level reached: x + ε s + √(2ε) z, ε = r min(σ²(t′), D(t′) h).

    Weak order 1. Langevin steps of size ε alone leave the variance C/(1 − ε/(2C)) and not C. Were ε the same share of
    σ² on every grid, then on fine grids the corrections, of which there are ever more, would decide, and the variance
    would stay too large by up to r/2 however many steps are made (with r = 0.1 by 2.4 %, root mean square over the
    modes at d = 2, L = 16, m = 1/L, t_min = 0.1). In proportion to h, corrections add a finite amount of Langevin
    dynamics to the path, and their error falls as 1/n with the predictor's.

    Args:
        corrections: n, Langevin steps after each prediction.
        ratio: r; stable below 2, as no kernel of a right score exceeds 1/σ².
    """

    corrections: int = 1
    ratio: float = 0.5

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        fields = EulerMaruyama().step(score, schedule, fields, t, lower, noise)
        epsilon = self._epsilon(schedule, t, lower)
        for _ in range(self.corrections):
            fields = combine((1.0, fields), (epsilon, score(fields, lower)), (np.sqrt(2.0 * epsilon), noise()))
        return fields

    def linear(
        self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array
    ) -> tuple[Array, Array | float]:
        """The product of the predictor's map and n corrections."""
        gain, added = EulerMaruyama().linear(schedule, t, lower, kernel, kernel_below)
        total: Array | float = added
        epsilon = self._epsilon(schedule, t, lower)
        for _ in range(self.corrections):
            correction = 1.0 - epsilon * kernel_below
            gain, total = gain * correction, total * np.abs(correction) ** 2 + 2.0 * epsilon
        return gain, total

    def _epsilon(self, schedule: Schedule, t: Any, lower: Any) -> Any:
        """Size of a Langevin step."""
        return self.ratio * np.minimum(schedule.variance(lower), schedule.diffusion(lower) * (t - lower))


INTEGRATORS: dict[str, str] = {
    "euler_maruyama": "csd.generation:EulerMaruyama",
    "exponential": "csd.generation:Exponential",
    "frozen_kernel": "csd.generation:FrozenKernel",
    "euler": "csd.generation:Euler",
    "heun": "csd.generation:Heun",
    "predictor_corrector": "csd.generation:PredictorCorrector",
}


INTEGRATOR = "heun"
"""Integrator where none is given."""
STARTS = ("noise", "exact")
"""Distributions of the fields at the highest level: white noise, or the noised target's own."""
STEPS = 64
"""Steps of a sampler where no number is given."""
LOWEST_LEVEL = 1e-3
"""t_min where none is given."""
SIGNAL_LEFT = 0.01
"""α² L² / σ² at t_max where integrators are compared: what is left of the softest critical mode, over the noise."""


def flow(score: Score, schedule: Schedule, fields: Array, t: float) -> Array:
    """Velocity of the probability flow in reverse time, a x + ½ D s(x, t)."""
    return combine((schedule.damping(t), fields), (0.5 * schedule.diffusion(t), score(fields, t)))


def longest_level(size: int, left: float = 1e-4) -> float:
    """t_max = ½ ln(1 + L²/left): VP noise that leaves the softest critical mode, of variance L², a signal of `left`.

    A start from white noise makes that mode's variance too small by the share `left` at t_max, and by less at t_min.

    Args:
        size: L.
        left: α² L² / σ² at t_max.
    """
    return 0.5 * float(np.log1p(size**2 / left))


def check_start(start: str) -> None:
    """Refuse what is no start."""
    if start not in STARTS:
        raise InputError(f"start is {start!r}; it must be noise or exact")


def check_grid(grid: Sequence[float]) -> Array:
    """A grid of noise levels from t_max down to t_min, as an array.

    Raises:
        InputError: unless it has at least two levels, all positive and finite, each below the one before.
    """
    levels = np.array([check_level(level) for level in grid])
    if len(levels) < 2 or not (np.diff(levels) < 0.0).all():
        raise InputError("a grid of noise levels must fall from t_max to t_min, and have at least two of them")
    return levels


def _check_ends(t_min: float, t_max: float, steps: int) -> None:
    """Refuse a grid without room or steps."""
    if check_level(t_min) >= check_level(t_max):
        raise InputError(f"t_min is {t_min!r}, t_max is {t_max!r}; t_min must be below t_max")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps is {steps!r}; it must be an integer of at least 1")


def geometric_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels in geometric progression from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.geomspace(t_max, t_min, steps + 1)


def uniform_grid(t_min: float, t_max: float, steps: int) -> Array:
    """Levels equally spaced from t_max down to t_min, shape (steps + 1,)."""
    _check_ends(t_min, t_max, steps)
    return np.linspace(t_max, t_min, steps + 1)


def log_snr_grid(schedule: Schedule, t_min: float, t_max: float, steps: int) -> Array:
    """Levels at which ln(α²/σ²) is equally spaced, from t_max down to t_min, shape (steps + 1,)."""
    from scipy.optimize.elementwise import find_root

    _check_ends(t_min, t_max, steps)

    def log_ratio(logarithm: Array) -> Array:
        level = np.exp(logarithm)
        return np.asarray(2.0 * np.log(schedule.signal(level)) - np.log(schedule.variance(level)))

    # In ln t the ratio falls without turning flat at either end.
    low, high = np.log(t_min), np.log(t_max)
    wanted = np.linspace(log_ratio(high), log_ratio(low), steps + 1)[1:-1]
    if not len(wanted):
        return np.array([t_max, t_min])
    ends = np.full_like(wanted, low), np.full_like(wanted, high)
    found = find_root(lambda x, ratio: log_ratio(x) - ratio, ends, args=(wanted,))  # type: ignore[arg-type, misc]
    return np.array([t_max, *np.exp(found.x), t_min])


def linear_steps(
    integrator: Integrator, schedule: Schedule, grid: Array, kernels: Array
) -> list[tuple[Array, Array | float]]:
    """(g, v) of every step for a linear score.

    Args:
        integrator: how a step is made.
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down, shape (levels,).
        kernels: K at each of them, shape (levels, …, modes).
    """
    ends = zip(grid[:-1], grid[1:], kernels[:-1], kernels[1:], strict=True)
    return [integrator.linear(schedule, float(t), float(lower), k, below) for t, lower, k, below in ends]


def generated_variance(start: Array | float, steps: Sequence[tuple[Array, Array | float]]) -> Array:
    """V(k) at the lowest level, by V ← g² V + v from the start's variance.

    Args:
        start: V at t_max, a number or of the shape of a kernel.
        steps: of `linear_steps`.
    """
    variance: Array | float = start
    for gain, added in steps:
        variance = np.abs(gain) ** 2 * variance + added
    return np.asarray(variance)


def variance_history(start: Array, steps: Sequence[tuple[Array, Array | float]]) -> Array:
    """V(k) at every level of the grid, by V ← g² V + v, shape (levels, *start.shape).

    Args:
        start: V at t_max.
        steps: of `linear_steps`.
    """
    history = [start]
    for gain, added in steps:
        history.append(np.abs(gain) ** 2 * history[-1] + added)
    return np.stack(history)


def start_variance(schedule: Schedule, t_max: float) -> float:
    """α² + σ² at t_max: 1 for VP, 1 + t_max for VE."""
    return schedule.signal(t_max) ** 2 + schedule.variance(t_max)


def generate(
    score: Score,
    schedule: Schedule,
    grid: Array,
    integrator: Integrator,
    start: Array,
    noise: Noise,
    callback: Callable[[float, Array], None] | None = None,
) -> Array:
    """Fields at the lowest level of a grid, from fields at its highest, with any score.

    Args:
        score: s(x, t).
        schedule: α(t) and σ²(t).
        grid: noise levels from t_max down, shape (levels,).
        integrator: how a step is made.
        start: fields at t_max, shape (batch, *lattice).
        noise: new standard normal numbers of the shape of the fields, at every call.
        callback: called with (t, fields) at every level, the start's included.

    Returns:
        Same shape as `start`.

    Raises:
        GenerationFailed: as soon as a score has the wrong shape or a field is not finite.
    """
    levels = check_grid(list(grid))

    def checked(fields: Array, t: float) -> Array:
        value = score(fields, t)
        if value.shape != fields.shape:
            raise GenerationFailed(
                f"at noise level {t:g} the score has shape {value.shape}; the fields have shape {fields.shape}"
            )
        # A finite sum says in one pass that all are; only one that is not has to be looked into.
        with np.errstate(over="ignore", invalid="ignore"):
            fine = np.isfinite(value.sum())
        if not fine and not np.isfinite(value).all():
            site = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            raise GenerationFailed(f"at noise level {t:g} the score is not finite at (sample, site…) = {site}")
        return value

    fields = start
    if callback is not None:
        callback(float(levels[0]), fields)
    for t, lower in pairwise(levels):
        fields = integrator.step(checked, schedule, fields, float(t), float(lower), noise)
        if callback is not None:
            callback(float(lower), fields)
    return fields


def generate_adaptively(
    score: Score, schedule: Schedule, t_min: float, t_max: float, start: Array, *, tolerance: float = 1e-6
) -> Array:
    """Probability-flow ODE by an adaptive Runge–Kutta method of order 5(4) (SciPy's RK45), for scores at any t.

    Args:
        score: s(x, t), defined for all t between t_min and t_max.
        schedule: α(t) and σ²(t).
        t_min: where to stop; above t_max, the flow runs forwards, towards noise.
        t_max: where the start belongs.
        start: fields, shape (batch, *lattice).
        tolerance: relative and absolute tolerance of a step.

    Raises:
        GenerationFailed: if the method cannot go on.
    """
    from scipy.integrate import solve_ivp

    def velocity(t: float, flat: Array) -> Array:
        return -flow(score, schedule, flat.reshape(start.shape), t).ravel()

    solution = solve_ivp(velocity, (t_max, t_min), start.ravel(), rtol=tolerance, atol=tolerance)
    if not solution.success or not np.isfinite(solution.y[:, -1]).all():
        raise GenerationFailed(f"the adaptive flow stopped at noise level {solution.t[-1]:g}: {solution.message}")
    return np.asarray(solution.y[:, -1]).reshape(start.shape)


def sample_modes(
    steps: Sequence[tuple[Array, Array | float]], modes: Modes, start: Array | float, generator: np.random.Generator
) -> ComplexArray:
    """One field in Fourier space by the steps of a linear score, without a transform.

    Args:
        steps: of `linear_steps`, at the lattice's *pairs*.
        modes: the *pairs*.
        start: variance at t_max.
        generator: the sample's own.

    Returns:
        x̂/√N at the modes, shape (modes,); real where k = −k.

    Raises:
        GenerationFailed: as soon as a mode is not finite.
    """
    free = len(modes) - modes.self_conjugate

    def normal() -> ComplexArray:
        """Unit normal numbers: complex ones, but real where k = −k."""
        drawn = np.empty(len(modes), dtype=complex)
        drawn[:free] = (draw_normal(generator, (free, 2)) * np.sqrt(0.5)).view(complex)[:, 0]
        drawn[free:] = draw_normal(generator, (modes.self_conjugate,))
        return drawn

    state = normal() * np.sqrt(start)
    for number, (gain, added) in enumerate(steps):
        state *= gain
        if np.any(added):
            state += np.sqrt(added) * normal()
        if not np.isfinite(state).all():
            mode = int(np.flatnonzero(~np.isfinite(state))[0])
            raise GenerationFailed(
                f"step {number} of the sampler is not finite at mode n = {modes.numbers[mode].tolist()}"
            )
    return state
