"""Where Adam's powers of L come from: settled times at the best rate of a grid, t = 0.1, m = 1/L, ε ≤ 0.01.

Beside Adam itself, at several sizes, dimensions and values of β₂ and of its floor, stand changes of the rule that leave
out one part of what happens: a warm-up, and one second moment for all numbers of a filter.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.descent.optimizers import State, adam
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared
from csd.training.steps.tuning import mean_times, prepare_at_rates

SLOW = True
SIZES = (8, 16, 32, 64, 128, 256, 512)
NAMES = {1: "one_layer", 2: "two_layer"}
SETTLE = 100
"""Further steps for which ε has to stay."""
START = {1: 2.0, 2: 0.4}
"""Rates about which the first grid lies; for two layers, times (L N)^{−2/3}."""
MOST = 40_000
"""Steps of the slowest that is shown."""
FORGETFUL = 1.0 - 1e-5
"""β₂ of a second moment that forgets nothing in the steps of these trainings."""


def one_moment(state: State, gradient: Any, step: int, *, momentum: float = 0.9, beta2: float = 0.999) -> Any:
    """Adam with one second moment for all numbers of a filter, the mean of |g|² over them."""
    mean, square = state
    mean *= momentum
    mean += (1.0 - momentum) * gradient
    square *= beta2
    square += (1.0 - beta2) * (gradient**2).mean(axis=-1, keepdims=True)
    return mean / (1.0 - momentum**step) / ((square / (1.0 - beta2**step)) ** 0.5 + 1e-30)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        words: what it is.
        depth: number of layers.
        sizes: L.
        rule: of the steps.
        warm_up: steps in which the rate rises to its value.
        dimension: d.
    """

    words: str
    depth: int
    sizes: Sequence[int] = SIZES
    rule: Callable[..., Any] = field(default=adam)
    warm_up: int = 0
    dimension: int = 1


CASES = {
    "one": Case("one layer, Adam", 1),
    "one remembering": Case("one layer, β₂ = 0.99999", 1, rule=partial(adam, beta2=FORGETFUL)),
    "one forgetting": Case("one layer, β₂ = 0.99", 1, SIZES[:3], partial(adam, beta2=0.99)),
    "one moment": Case("one layer, one second moment", 1, SIZES[:6], one_moment),
    "one square": Case("one layer, d = 2", 1, (8, 16, 32, 64), dimension=2),
    "two": Case("two layers, Adam", 2),
    "two remembering": Case("two layers, β₂ = 0.99999", 2, rule=partial(adam, beta2=FORGETFUL)),
    "two forgetting": Case("two layers, β₂ = 0.99", 2, rule=partial(adam, beta2=0.99)),
    "two at once": Case("two layers, β₂ = 0.9", 2, rule=partial(adam, beta2=0.9)),
    "two square": Case("two layers, d = 2", 2, (8, 16, 32, 64), dimension=2),
    "two floor 4": Case("two layers, floor 10⁻⁴", 2, rule=partial(adam, floor=1e-4)),
    "two floor 2": Case("two layers, floor 10⁻²", 2, rule=partial(adam, floor=1e-2)),
    "two warm": Case("two layers, warm-up of 100 steps", 2, warm_up=100),
    "two moment": Case("two layers, one second moment", 2, rule=one_moment),
}


def noised(dimension: int, size: int) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [0.1])


def prepared(case: Case, size: int, rates: Array) -> tuple[Prepared, TrainingSettings]:
    """Networks side by side at several rates, with the rule of a case."""
    settings = TrainingSettings(
        "population", optimizer="adam", rate_from="tuned", settle=SETTLE, max_steps=MOST, seeds=(1,)
    )
    run = prepare_at_rates(noised(case.dimension, size), Architecture(NAMES[case.depth]), settings, rates)
    warm = case.warm_up
    schedule = (lambda step: min(1.0, step / warm)) if warm else run.descent.optimizer.schedule
    run.descent.optimizer = replace(run.descent.optimizer, rule=case.rule, schedule=schedule)
    return run, settings


def best(case: Case, size: int) -> tuple[float, float]:
    """(η with the smallest time, this time): eight rates a decade, the best inside, then 32 about it."""
    centre = START[case.depth] * (1.0 if case.depth == 1 else float(size) ** (-2.0 / 3.0 * (1 + case.dimension)))
    tried: dict[int, float] = {}

    def attempt(places: Sequence[int]) -> None:
        new = [place for place in places if place not in tried]
        rates = centre * 10.0 ** (np.array(new) / 32.0)
        run, settings = prepared(case, size, rates)
        found = mean_times(run, settings, min(tried.values(), default=np.inf))
        tried.update(zip(new, found.tolist(), strict=True))

    low, high = -48, 48
    attempt(range(low, high + 1, 4))
    while (place := min(tried, key=tried.__getitem__)) in (low, high):
        if not np.isfinite(tried[place]):
            raise ValueError(f"{case.words}, L = {size}: ε settles at no rate")
        low, high = (low - 32, high) if place == low else (low, high + 32)
        attempt(range(low, high + 1, 4))
    attempt(range(place - 3, place + 4))
    place = min(tried, key=tried.__getitem__)
    return centre * 10.0 ** (place / 32.0), tried[place]


def slope(sizes: Sequence[int], values: Sequence[float], first: int = 0) -> float:
    """The power of L with which values grow, from a place in the list on."""
    return float(np.polyfit(np.log(sizes[first:]), np.log(values[first:]), 1)[0])


def common_rate(size: int, rate: float, time: float) -> tuple[float, float]:
    """Of one layer half-way: (largest over smallest η/√v̂ of the numbers of a filter, c of η/√v̂ = c √j / C_max)."""
    run, _ = prepared(CASES["one remembering"], size, np.array([rate]))
    half = int(time) // 2
    for _ in range(half):
        run.descent.advance(*run.source.draw())
    state = run.descent.snapshot()["optimizer 2 filters"]
    rates = rate / (state.ravel() / (1.0 - FORGETFUL**half)) ** 0.5
    largest = float(noised(1, size).spectra_at(Lattice(1, size).shells).max())
    return float(rates.max() / rates.min()), float(rates.mean() * largest / half**0.5)


def rise() -> float:
    """c of one layer, from the zero mode alone: Adam on one number, with its gradient, from the kick on.

    The kick is the second step of numbers whose gradient was 0 at the first. With v̂ = Σ g² / j, c = (Σ g²)^{−½}.
    """
    place = -(0.1 / (1.0 - 0.9**2)) / (0.5**0.5)
    mean = total = 0.0
    for step in range(3, 3000):
        total += place**2
        mean = 0.9 * mean + 0.1 * place
        place -= mean / (1.0 - 0.9**step) / (total / step) ** 0.5
    return total**-0.5


EDGE = 2.0 * (1.0 + 0.9) / (1.0 - 0.9)
"""r C of Adam's momentum at which a mode loses its stability."""


def predicted(size: int, rate: float) -> float:
    """The first step of one layer by the rate that follows the kick, r = min(c √j, 38)/C_max, with nothing fitted.

    After the first step K(k) = η, and the residual of a mode falls as exp(−C Σ r).
    """
    modes = Lattice(1, size).shells
    (spectrum,) = noised(1, size).spectra_at(modes)
    share = modes.multiplicity / spectrum
    share /= share.sum()
    slow = spectrum < spectrum.max()
    sums = np.cumsum(np.minimum(rise() * np.arange(1.0, MOST) ** 0.5, EDGE)) / spectrum.max()

    def error(place: int) -> float:
        return float((share * ((1.0 - rate * spectrum) * np.exp(-spectrum * sums[place])) ** 2)[slow].sum())

    return float(bisect_left(range(len(sums)), True, key=lambda place: error(place) <= 0.01) + 1)


def numbers() -> dict[str, Any]:
    """Tables of times and of the best rates, and the powers of L of both."""
    times, rates = [["case", *map(str, SIZES)]], [["case", *map(str, SIZES)]]
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        pairs = {size: best(case, size) for size in case.sizes}
        of_time = [f"{np.ceil(pairs[size][1]):.0f}" if size in pairs else "" for size in SIZES]
        times.append([case.words, *of_time])
        if name == "one remembering":
            steps = [predicted(size, rate) for size, (rate, _) in pairs.items()]
            times.append(["one layer, predicted", *(f"{one:.0f}" for one in steps)])
            off = [abs(own / time - 1.0) for own, (_, time) in zip(steps, pairs.values(), strict=True)]
            found["off"] = 100.0 * max(off[3:])
            found["spread"], found["rise"] = common_rate(64, *pairs[64])
        if name in ("one", "one remembering", "two", "two remembering", "two square"):
            rates.append([case.words, *(f"{pairs[size][0]:.2g}" if size in pairs else "" for size in SIZES)])
        key = name.replace(" ", "_")
        own = [time for _, time in pairs.values()]
        if name == "one remembering":
            # From L = 32 to 256, below the edge.
            found["four_thirds"] = slope(case.sizes[2:6], own[2:6])
        if case.depth == 2:
            found[f"{key}_power"] = slope(case.sizes, own, 1)
            found[f"{key}_rate_power"] = slope(case.sizes, [rate for rate, _ in pairs.values()], 1)
    found["rise_predicted"], found["edge_step"] = rise(), (EDGE / rise()) ** 2
    return {"times": times, "rates": rates, **found}
