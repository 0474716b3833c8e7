"""Optimisers: w ← (1 − η κ) w − η d with a direction d from the gradients g so far, and a decay κ.

Each rule is a function of the state after the steps before, the gradient, and the number of the step from 1 on. It
changes the state in place and returns d. It acts number by number on arrays of NumPy or PyTorch of any shape, so that
many networks share one array, by operations that round alike wherever a number lies in its array. Of a complex number,
such as an amplitude in Fourier space, the modulus counts.

Of a filter the numbers are its values in real space. A rule that is linear in the gradients, such as the first three
below, takes the same step if they are its amplitudes in Fourier space. Adam does not: there it is another rule, which
divides the gradient of each mode by its size.

On a quadratic loss a mode of curvature λ has the gradient g = λ e at a distance e from its minimum. Its distances
e_j = c₁ μ₁^j + c₂ μ₂^j are then known at every step for the first three rules: plain descent has μ = 1 − ηλ, and the
others have the two roots of

    heavy ball   μ² − (1 + β − ηλ) μ + β = 0
    Nesterov     μ² − (1 − ηλ) [(1 + β) μ − β] = 0

whose modulus is √β and √(β (1 − ηλ)) where they are complex. Adam divides by the size of the gradient: it moves a mode
by about η a step, whatever λ, until e is of the order of η.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from math import cos, pi
from typing import Any

from csd.core.errors import InputError, nearest

State = tuple[Any, ...]
"""Arrays of the shape of the gradient, which a rule needs from step to step; 0 at first."""
Rule = Callable[..., Any]
"""(state, g, step) → d, with the options of the rule by keyword."""
BLOCK = 2**15
"""Numbers that take a step at a time: what stays in the cache from one operation to the next."""


MOMENTUM = 0.9
"""The default β, and β₁."""


def gradient_descent(state: State, gradient: Any, step: int) -> Any:
    """d = g."""
    return gradient


def heavy_ball(state: State, gradient: Any, step: int, *, momentum: float = MOMENTUM) -> Any:
    """d = v, v ← β v + g (Polyak, 1964): w_{j+1} = w_j − η g_j + β (w_j − w_{j−1}).

    Args:
        state: (v,).
        gradient: g.
        step: not used.
        momentum: β.
    """
    (velocity,) = state
    velocity *= momentum
    velocity += gradient
    return velocity


def nesterov(state: State, gradient: Any, step: int, *, momentum: float = MOMENTUM) -> Any:
    """d = g + β v, v ← β v + g (Nesterov, 1983, with the gradient where the step before would lead on).

    Args:
        state: (v,).
        gradient: g.
        step: not used.
        momentum: β.
    """
    return gradient + momentum * heavy_ball(state, gradient, step, momentum=momentum)


def adam(
    state: State, gradient: Any, step: int, *, momentum: float = MOMENTUM, beta2: float = 0.999, floor: float = 1e-8
) -> Any:
    """d = m̂ / (√v̂ + ε), m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) |g|², m̂ = m / (1 − β₁^j), v̂ = v / (1 − β₂^j).

    Kingma and Ba, 2015.

    Args:
        state: (m, v).
        gradient: g.
        step: j, from 1 on.
        momentum: β₁.
        beta2: β₂.
        floor: ε, in units of g.
    """
    mean, square = state
    mean *= momentum
    mean += (1.0 - momentum) * gradient
    square *= beta2
    square += (1.0 - beta2) * (gradient * gradient.conj()).real
    size = (square / (1.0 - beta2**step)) ** 0.5
    size += floor
    return mean / (1.0 - momentum**step) / size


def sign(state: State, gradient: Any, step: int, *, momentum: float = MOMENTUM) -> Any:
    """d = m / |m|, m ← β m + (1 − β) g; 0 where m is 0.

    In Fourier space this is the orthogonalised step of Muon (Jordan et al., 2024) for a filter: the singular values of
    the convolution with g are |ĝ(k)|, and those of the convolution with d are 1.

    Args:
        state: (m,).
        gradient: g.
        step: not used.
        momentum: β.
    """
    (mean,) = state
    mean *= momentum
    mean += (1.0 - momentum) * gradient
    size = abs(mean)
    size += size == 0.0
    return mean / size


def _constant(step: int) -> float:
    """1."""
    return 1.0


def _inverse_sqrt(step: int) -> float:
    """1/√j."""
    return float(step**-0.5)


def rate_factor(name: str, last: int) -> Callable[[int], float]:
    """η_j / η of a step j from 1 on: 1 for constant, ½ (1 + cos(π (j − 1)/N)) for cosine, 1/√j for inverse_sqrt.

    Args:
        name: of the schedule.
        last: N, the last step.
    """
    if name == "cosine":
        return lambda step: 0.5 * (1.0 + cos(pi * (step - 1) / last))
    return {"constant": _constant, "inverse_sqrt": _inverse_sqrt}[name]


EITHER, REAL, FOURIER = "real or Fourier space", "real space", "Fourier space"
"""Where a rule acts on filters: a linear rule takes the same step in both."""


@dataclass(frozen=True)
class Optimizer:
    """w ← (1 − η κ) w − η d, with the direction d of a rule.

    Attributes:
        rule: of d.
        arrays: how many its state has, without the average.
        space: where it acts on filters, `EITHER`, `REAL` or `FOURIER`.
        weight_decay: κ, which AdamW has (Loshchilov and Hutter, 2019); it is not part of the gradient.
        rate: the default η, or one for each noise level; None where it depends on the network.
        bounded: whether the numbers of d are bounded, whatever the gradient.
        schedule: η_j / η as a function of the step j.
        clip: the largest norm of the gradient of a network; longer ones are shortened to it; 0 for any norm.
        average: D of the moving average a ← D_j a + (1 − D_j) w, with D_j = min(D, j/(j + 9)); 0 for none.
        momenta: β of each network, shape (networks, 1), in the place of the rule's own; None for that.
    """

    rule: Rule
    arrays: int
    space: str = REAL
    weight_decay: float = 0.0
    rate: Any = None
    bounded: bool = False
    schedule: Callable[[int], float] = _constant
    clip: float = 0.0
    average: float = 0.0
    momenta: Any = None

    def start(self, parameters: Any) -> State:
        """The state before the first step: zeros of the shape of w and, last, the average, if there is one."""
        zeros = (0.0 * parameters, 0.0 * abs(parameters))[: self.arrays]
        return (*zeros, 1.0 * parameters) if self.average else zeros

    def advance(self, parameters: Any, state: State, gradient: Any, step: int, rate: Any) -> None:
        """Change w and the state in place.

        Args:
            parameters: w, shape (networks, numbers).
            state: after the step before.
            gradient: g, same shape.
            step: number of the step, from 1 on.
            rate: η, a number, or one for each network, shape (networks, 1).
        """
        rate = rate * self.schedule(step)
        if self.clip:
            _shorten(gradient, self.clip)
        for rows, columns in _blocks(parameters.shape):
            own = parameters[rows, columns]
            held = tuple(array[rows, columns] for array in state)
            own_momentum = {} if self.momenta is None else {"momentum": self.momenta[rows]}
            direction = self.rule(held[: self.arrays], gradient[rows, columns], step, **own_momentum)
            eta = rate if isinstance(rate, float) else rate[rows]
            if self.weight_decay:
                own *= 1.0 - eta * self.weight_decay
            own -= eta * direction
            if self.average:
                mean = held[-1]
                mean += (1.0 - min(self.average, step / (step + 9.0))) * (own - mean)


def _shorten(gradient: Any, longest: float) -> None:
    """Scale the gradients of networks, shape (networks, numbers), to a norm of at most `longest`, in place."""
    for own in gradient:
        # Row by row, so that the sum does not depend on the other networks.
        norm = (own * own.conj()).real.sum() ** 0.5
        own *= (longest / (norm + 1e-6)).clip(None, 1.0)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks of an array."""
    rows = max(1, BLOCK // max(shape[1], 1))
    for row in range(0, shape[0], rows):
        for column in range(0, shape[1], BLOCK):
            yield slice(row, row + rows), slice(column, column + BLOCK)


ADAM_RATE, ADAM_FOURIER_RATE, SIGN_FOURIER_RATE = 0.003, 0.1, 0.01
"""The default η of Adam, and of rules on Fourier modes, whose best kernel is at most 1/σ²."""
OPTIMIZERS: dict[str, Optimizer] = {
    "gd": Optimizer(gradient_descent, 0, EITHER),
    "heavy_ball": Optimizer(heavy_ball, 1, EITHER),
    "nesterov": Optimizer(nesterov, 1, EITHER),
    "adam": Optimizer(adam, 2, rate=ADAM_RATE, bounded=True),
    "adamw": Optimizer(adam, 2, weight_decay=0.01, rate=ADAM_RATE, bounded=True),
    "adam_fourier": Optimizer(adam, 2, FOURIER, rate=ADAM_FOURIER_RATE, bounded=True),
    "sign_fourier": Optimizer(sign, 1, FOURIER, rate=SIGN_FOURIER_RATE, bounded=True),
}


def optimizer_of(name: str, **options: float) -> Optimizer:
    """The optimiser of a name, with the values of its options: those of its rule and, for adamw, `weight_decay`.

    Raises:
        InputError: for a name that is not there, or an option that the optimiser does not have.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer is {name!r}; it must be one of {', '.join(OPTIMIZERS)}{nearest(name, OPTIMIZERS)}")
    found = OPTIMIZERS[name]
    own = [key for key, given in signature(found.rule).parameters.items() if given.kind is given.KEYWORD_ONLY]
    allowed = own + ["weight_decay"] * (found.weight_decay > 0.0)
    for option in options:
        if option not in allowed:
            has = " and ".join(one for one in allowed if one != "floor") or "no options"
            raise InputError(f"{option} is given, but optimizer {name!r} has no such option; it has {has}")
    rule = partial(found.rule, **{key: value for key, value in options.items() if key in own})
    return replace(found, rule=rule, weight_decay=options.get("weight_decay", found.weight_decay))
