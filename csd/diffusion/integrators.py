"""Integrators of reverse diffusion (docs/physics.md, section 6).

The noising process dx = −a x dt + √D dW is run backwards from t_max to t_min,

    SDE   dx = [a x + D s] dτ + √D dW        ODE   dx = [a x + ½ D s] dτ,

by one of the integrators below, with any callable score s(x, t). With a linear score s = −K∗x every integrator maps a
mode as x̂ ← g x̂ + √v z, so its variance obeys V ← g² V + v: the generated variances, discretisation errors included,
are known without sampling (`generated_variance`), and fields can be sampled mode by mode without a transform.

    name              g                                         v                        (h = t − t′)
    euler_maruyama    1 + h (a − D K)                           D h
    exponential       e^{ah} − φ D K, φ = (e^{ah} − 1)/a        D (e^{2ah} − 1)/(2a)     score frozen over a step
    frozen_kernel     e^{Ah}, A = a − D K                       D (e^{2Ah} − 1)/(2A)     kernel frozen over a step
    euler             1 + h B, B = a − ½ D K                    0
    heun              1 + ½ h (B + B′ (1 + h B))                0
    K, a and D are those at t, K′, a′ and D′ those at t′; B′ = a′ − ½ D′ K′.

    predictor_corrector   euler_maruyama, then n Langevin steps 1 − ε K′, 2 ε with ε = r min(σ²(t′), D(t′) h)

The start at t_max is independent normal numbers of variance α² + σ² (1 for VP, the limit of the noising process; the
variance of the noised data differs from it by α² (G − 1) in each mode), or optionally the exact N(0, C_{t_max}).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from csd.core.errors import InputError
from csd.core.plugins import built, checked_numbers, is_user_defined, require_methods, resolve
from csd.lattice import Array
from csd.networks.score import Score
from csd.targets.noising import Schedule, VariancePreserving

Noise = Callable[[], Array]
"""Returns new independent standard normal numbers of the shape of the fields at every call."""
LinearStep = tuple[Array, Array | float]
"""(g, v) of x̂ ← g x̂ + √v z in each mode."""

MOST_NOISES = 64
"""Calls for noise in a step up to which a user-defined integrator is checked."""
BLOCK = 2**14
"""Numbers combined at a time, few enough for the cache."""


class Integrator(Protocol):
    """One step from noise level t down to t′ < t."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
        """(g, v) of the same step for s = −K∗x: x̂ ← g x̂ + √v z in each mode.

        Levels may be arrays that broadcast with the kernels: one step each.
        """


def _phi(rate: Any, h: Any) -> Any:
    """(e^{rate h} − 1) / rate, h at rate 0."""
    product = np.asarray(rate, dtype=float) * h
    safe = np.where(product == 0.0, 1.0, product)
    return h * np.where(product == 0.0, 1.0, np.expm1(safe) / safe)


def combine(*terms: tuple[Any, Array]) -> Array:
    """Σ_i c_i x_i of arrays x_i of one shape with numbers c_i, in one pass; a new array of that shape."""
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

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
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

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
        """e^{ah} − φ D K, D (e^{2ah} − 1)/(2a)."""
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        return np.exp(a * h) - _phi(a, h) * d * kernel, d * _phi(2.0 * a, h)


class FrozenKernel:
    """Reverse SDE, exact for the kernel of each step's upper end; for linear scores only."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Raise an InputError: a score that is only callable has no kernel."""
        raise InputError("integrator frozen_kernel needs a linear score; take exponential for any other")

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
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

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
        """1 + h (a − ½ D K), 0."""
        return 1.0 + (t - lower) * (schedule.damping(t) - 0.5 * schedule.diffusion(t) * kernel), 0.0


class Heun:
    """Probability-flow ODE, trapezoidal predictor–corrector; order 2."""

    def step(self, score: Score, schedule: Schedule, fields: Array, t: float, lower: float, noise: Noise) -> Array:
        """Fields at t′ from fields at t."""
        h, slope = t - lower, flow(score, schedule, fields, t)
        ahead = combine((1.0, fields), (h, slope))
        return combine((1.0, fields), (0.5 * h, slope), (0.5 * h, flow(score, schedule, ahead, lower)))

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
        """1 + ½ h (B + B′ (1 + h B)), 0."""
        h = t - lower
        upper_rate = schedule.damping(t) - 0.5 * schedule.diffusion(t) * kernel
        lower_rate = schedule.damping(lower) - 0.5 * schedule.diffusion(lower) * kernel_below
        return 1.0 + 0.5 * h * (upper_rate + lower_rate * (1.0 + h * upper_rate)), 0.0


@dataclass(frozen=True)
class PredictorCorrector:
    """Euler–Maruyama, then Langevin steps at the level reached: x + ε s + √(2ε) z, ε = r min(σ²(t′), D(t′) h).

    Weak order 1. Langevin steps of size ε alone lead to the variance C/(1 − ε/(2C)) instead of C. If ε were the same
    fraction of σ² on every grid, the corrections would dominate on fine grids, and the variance would stay too large by
    up to r/2 for any number of steps (with r = 0.1 by 2.4 %, root mean square over the modes at d = 2, L = 16, m = 1/L,
    t_min = 0.1). With ε proportional to h, the corrections add a finite amount of Langevin dynamics to the trajectory,
    and their error falls as 1/n like that of the predictor.

    Args:
        corrections: Langevin steps after each prediction.
        ratio: r; stable below 2, as no kernel of an exact score exceeds 1/σ².
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

    def linear(self, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array) -> LinearStep:
        """The map of the predictor followed by those of the corrections."""
        gain, added = EulerMaruyama().linear(schedule, t, lower, kernel, kernel_below)
        total: Array | float = added
        epsilon = self._epsilon(schedule, t, lower)
        for _ in range(self.corrections):
            correction = 1.0 - epsilon * kernel_below
            gain, total = gain * correction, total * np.abs(correction) ** 2 + 2.0 * epsilon
        return gain, total

    def _epsilon(self, schedule: Schedule, t: Any, lower: Any) -> Any:
        """ε, the size of a Langevin step."""
        return self.ratio * np.minimum(schedule.variance(lower), schedule.diffusion(lower) * (t - lower))


INTEGRATORS: dict[str, str] = {
    "euler_maruyama": "csd.diffusion.integrators:EulerMaruyama",
    "exponential": "csd.diffusion.integrators:Exponential",
    "frozen_kernel": "csd.diffusion.integrators:FrozenKernel",
    "euler": "csd.diffusion.integrators:Euler",
    "heun": "csd.diffusion.integrators:Heun",
    "predictor_corrector": "csd.diffusion.integrators:PredictorCorrector",
}


def integrator_of(name: str) -> Integrator:
    """The integrator of a name in `INTEGRATORS` or of a dotted path."""
    made: Integrator = built("integrator", resolve("integrator", name, INTEGRATORS), "Class()")
    check_integrator(made)
    return made


def check_integrator(integrator: Integrator) -> None:
    """Refuse a class in place of an object, and a user-defined integrator that cannot be used.

    `step` and `linear` must make the same step with the score −K x. `step` acts on a row of sites, each of which
    receives the noise of one call only, so that v is the sum of their squares. An integrator for linear scores only
    raises an InputError in `step`, and is not compared.

    Raises:
        InputError: if a method is missing, or the two methods are not those of one integrator.
    """
    calls = "step(score, schedule, fields, t, lower, noise)", "linear(schedule, t, lower, kernel, kernel_below)"
    require_methods("integrator", integrator, *calls)
    if not is_user_defined(integrator):
        return
    schedule, kernel = VariancePreserving(), np.array([1.2])
    gain, added = linear_step(integrator, schedule, 0.5, 0.4, kernel, kernel)

    def score(fields: Array, t: float) -> Array:
        return np.asarray(-kernel * fields)

    sites = iter(range(1, MOST_NOISES))
    try:
        first = np.eye(1, MOST_NOISES)
        moved = integrator.step(score, schedule, first, 0.5, 0.4, lambda: np.eye(1, MOST_NOISES, next(sites)))
    except (InputError, StopIteration):
        return
    name = f"integrator {type(integrator).__name__}"
    what = f"{name}: step(score, schedule, fields, t, lower, noise)"
    moved = checked_numbers(what, moved, first.shape, converted=True)[0]
    linear = np.ravel([np.real(gain), np.broadcast_to(added, gain.shape)])
    if not np.allclose([moved[0], (moved[1:] ** 2).sum()], linear, rtol=1e-6, atol=1e-9):
        raise InputError(f"{name}: step and linear make different steps with a linear score; they must agree")


def linear_step(
    integrator: Integrator, schedule: Schedule, t: Any, lower: Any, kernel: Array, kernel_below: Array
) -> LinearStep:
    """(g, v) of an integrator's step for a linear score; those of a user-defined integrator are checked.

    Raises:
        InputError: unless it gives two arrays that fit the kernel, the second one without negative numbers.
    """
    found = integrator.linear(schedule, t, lower, kernel, kernel_below)
    if is_user_defined(integrator):
        what = f"integrator {type(integrator).__name__}: linear(schedule, t, lower, kernel, kernel_below)"
        if not isinstance(found, tuple) or len(found) != 2:
            raise InputError(f"{what} gives {type(found).__name__}; it must give the pair (g, v)")
        gain, added = found
        if np.shape(gain) != np.shape(kernel) or (np.isnan(gain).any() and np.isfinite(kernel).all()):
            raise InputError(f"{what} gives a g that is not one number for each mode; its shape must be the kernel's")
        if np.iscomplexobj(added) or not (np.asarray(added) >= 0.0).all():
            raise InputError(f"{what} gives a v that is not real and at least 0; it is the variance of added noise")
    return found


def flow(score: Score, schedule: Schedule, fields: Array, t: float) -> Array:
    """The velocity of the probability flow in reverse time, a x + ½ D s(x, t)."""
    return combine((schedule.damping(t), fields), (0.5 * schedule.diffusion(t), score(fields, t)))
