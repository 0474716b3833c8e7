"""Where Adam's powers of L come from: settled times at the best rate of a grid, t = 0.1, m = 1/L, ε ≤ 0.01.

Beside Adam itself, at several sizes, dimensions and values of β₂ and of its floor, stand changes of the rule that leave
out one part of what happens: a warm-up, one second moment for all numbers of a filter, and two of them.

Steps of NumPy on one core are the limit, half of them transforms.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import brentq

from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.descent.optimizers import State, adam
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared
from csd.training.steps.tuning import mean_times, prepare_at_rates

SLOW = True
SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
LINE, SQUARE, CUBE = SIZES[1:], SIZES[1:5], SIZES[:3]
"""L in one, two and three dimensions."""
NAMES = {1: "one_layer", 2: "two_layer"}
SETTLE = 100
"""Further steps for which ε has to stay."""
START = {1: 2.0, 2: 0.4}
"""Rates about which the first grid lies; for two layers, times (L N)^{−2/3}."""
MOST = 60_000
"""Steps of the slowest that is shown."""
NEVER = 10_000
"""Steps after which a rule that swings is given up."""
BEYOND = 8.0
"""How far above and below the rate at which two limits meet each of them is compared."""
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


def two_moments(state: State, gradient: Any, step: int, *, momentum: float = 0.9, beta2: float = 0.999) -> Any:
    """Adam whose numbers share one second moment but for that at x = 0, which has its own; the first step is Adam's."""
    mean, square = state
    mean *= momentum
    mean += (1.0 - momentum) * gradient
    power = gradient**2
    if step > 1:
        power[..., 1:] = power[..., 1:].mean(axis=-1, keepdims=True)
    square *= beta2
    square += (1.0 - beta2) * power
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
        most: steps after which it is given up.
    """

    words: str
    depth: int
    sizes: Sequence[int] = LINE
    rule: Callable[..., Any] = field(default=adam)
    warm_up: int = 0
    dimension: int = 1
    most: int = MOST


CASES = {
    "one": Case("one layer, Adam", 1),
    "one remembering": Case("one layer, β₂ = 0.99999", 1, LINE[:7], partial(adam, beta2=FORGETFUL)),
    "one forgetting": Case("one layer, β₂ = 0.99", 1, LINE[:5], partial(adam, beta2=0.99), most=NEVER),
    "one moment": Case("one layer, one second moment", 1, LINE[:6], one_moment),
    "one square": Case("one layer, d = 2", 1, SQUARE, dimension=2),
    "one cube": Case("one layer, d = 3", 1, CUBE, dimension=3),
    "two": Case("two layers, Adam", 2),
    "two remembering": Case("two layers, β₂ = 0.99999", 2, rule=partial(adam, beta2=FORGETFUL)),
    "two forgetting": Case("two layers, β₂ = 0.99", 2, rule=partial(adam, beta2=0.99)),
    "two at once": Case("two layers, β₂ = 0.9", 2, rule=partial(adam, beta2=0.9)),
    "two bare": Case("two layers, floor 0", 2, rule=partial(adam, floor=1e-30)),
    "two floor 4": Case("two layers, floor 10⁻⁴", 2, rule=partial(adam, floor=1e-4)),
    "two floor 2": Case("two layers, floor 10⁻²", 2, rule=partial(adam, floor=1e-2)),
    "two warm": Case("two layers, warm-up of 100 steps", 2, warm_up=100),
    "two moment": Case("two layers, one second moment", 2, rule=one_moment),
    "two moments": Case("two layers, two second moments", 2, rule=two_moments),
    "two square": Case("two layers, d = 2", 2, SQUARE, dimension=2),
    "two square floor 4": Case("two layers, d = 2, floor 10⁻⁴", 2, SQUARE, partial(adam, floor=1e-4), dimension=2),
    "two square floor 2": Case("two layers, d = 2, floor 10⁻²", 2, SQUARE, partial(adam, floor=1e-2), dimension=2),
    "two cube": Case("two layers, d = 3", 2, CUBE, dimension=3),
}
BARE = Case("two layers, β₂ = 0.99999, floor 0", 2, rule=partial(adam, beta2=FORGETFUL, floor=1e-30))
"""Adam that neither forgets nor has a floor, as the two limits of its times suppose."""


def noised(dimension: int, size: int) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [0.1])


def prepared(case: Case, size: int, rates: Array) -> tuple[Prepared, TrainingSettings]:
    """Networks side by side at several rates, with the rule of a case."""
    settings = TrainingSettings(
        "population", optimizer="adam", rate_from="tuned", settle=SETTLE, max_steps=case.most, seeds=(1,)
    )
    run = prepare_at_rates(noised(case.dimension, size), Architecture(NAMES[case.depth]), settings, rates)
    warm = case.warm_up
    schedule = (lambda step: min(1.0, step / warm)) if warm else run.descent.optimizer.schedule
    run.descent.optimizer = replace(run.descent.optimizer, rule=case.rule, schedule=schedule)
    return run, settings


def best(case: Case, size: int) -> tuple[float, float]:
    """(η with the smallest time, this time), infinite if ε settles at none: eight rates a decade, then 32 about it."""
    centre = START[case.depth] * (1.0 if case.depth == 1 else float(size) ** (-2.0 / 3.0 * (1 + case.dimension)))
    tried: dict[int, float] = {}

    def attempt(places: Sequence[int]) -> None:
        new = [place for place in places if place not in tried]
        rates = centre * 10.0 ** (np.array(new) / 32.0)
        run, settings = prepared(case, size, rates)
        found = mean_times(run, settings, min(tried.values(), default=np.inf))
        tried.update(zip(new, found.tolist(), strict=True))

    # One layer has one minimum, at the same rate on every large lattice.
    low, high = (-16, 16) if case.depth == 1 and size > 256 else (-48, 48)
    attempt(range(low, high + 1, 4))
    while (place := min(tried, key=tried.__getitem__)) in (low, high):
        if not np.isfinite(tried[place]):
            return np.nan, np.inf
        low, high = (low - 32, high) if place == low else (low, high + 32)
        attempt(range(low, high + 1, 4))
    attempt(range(place - 3, place + 4))
    place = min(tried, key=tried.__getitem__)
    return centre * 10.0 ** (place / 32.0), tried[place]


def fitted(sizes: Sequence[int], values: Sequence[float]) -> tuple[float, float, float]:
    """(power of L with which values grow, its standard error by the scatter about the fit, this scatter)."""
    x, y = np.log(sizes), np.log(values)
    power, offset = np.polyfit(x, y, 1)
    scatter = float((((y - power * x - offset) ** 2).sum() / (len(x) - 2)) ** 0.5)
    return float(power), float(scatter / ((x - x.mean()) ** 2).sum() ** 0.5), scatter


def powers_of(case: Case, times: Sequence[float], rates: Sequence[float]) -> list[str]:
    """A row of the table of powers: range, power and scatter of times, powers of both halves, power of the rates."""
    first = 1 if case.dimension == 1 else 0
    sizes, times, rates = case.sizes[first:], times[first:], rates[first:]
    power, error, scatter = fitted(sizes, times)
    half = len(sizes) // 2 + 1
    halves = [
        f"{np.polyfit(np.log(sizes[part]), np.log(times[part]), 1)[0]:.2f}"
        for part in (slice(half), slice(len(sizes) - half, None))
    ]
    of_rates = fitted(sizes, rates)
    return [
        case.words, f"{sizes[0]}–{sizes[-1]}", f"{power:.2f} ± {error:.2f}", f"{100.0 * scatter:.0f} %",
        *halves, f"{of_rates[0]:.2f} ± {of_rates[1]:.2f}",
    ]  # fmt: skip


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


def rise(depth: int) -> float:
    """c, from the zero mode alone: Adam on one number, with its gradient far out, from the kick on.

    The gradient is the number itself for one layer, and its cube for two. The kick is the second step of numbers whose
    gradient was 0 at the first, or the first step. With v̂ = Σ g² / j, c = (Σ g²)^{−½}.
    """
    place = -(0.1 / (1.0 - 0.9**2)) / (0.5**0.5) if depth == 1 else -1.0
    mean = total = 0.0
    for step in range(4 - depth, 3000):
        gradient = place ** (2 * depth - 1)
        total += gradient**2
        mean = 0.9 * mean + 0.1 * gradient
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
    sums = np.cumsum(np.minimum(rise(1) * np.arange(1.0, MOST) ** 0.5, EDGE)) / spectrum.max()

    def error(place: int) -> float:
        return float((share * ((1.0 - rate * spectrum) * np.exp(-spectrum * sums[place])) ** 2)[slow].sum())

    return float(bisect_left(range(len(sums)), True, key=lambda place: error(place) <= 0.01) + 1)


class Limits:
    """Estimates from below of the steps of two layers at a rate η, for a memory that forgets nothing.

    Args:
        dimension: d.
        size: L.
    """

    def __init__(self, dimension: int, size: int) -> None:
        modes = Lattice(dimension, size).shells
        (self.spectrum,) = noised(dimension, size).spectra_at(modes)
        self.sites = size**dimension
        self.share = modes.multiplicity / self.spectrum
        self.norm = float(self.share.sum() / self.sites)
        self.share /= self.share.sum()
        self.slow = self.spectrum < self.spectrum.max()

    def speed(self, rate: float) -> float:
        """√(k₀/N)/η, with k₀ = Σ_k K*/N: Σ_x w² = k₀, and each of N numbers moves by η a step."""
        return float((self.norm / self.sites) ** 0.5 / rate)

    def kick(self, rate: float) -> float:
        """(3 Λ G / 2 c η)^{2/3}, with Λ = Σ r that takes modes from √K₀ + 2 η, where the kick leaves them, to ε = 0.01.

        As r is small, dw = r w (1 − C w²), so that C w² = 1 / (1 + (1/(C w₀²) − 1) e^{−2Λ}).
        """
        largest = float(self.spectrum.max())
        start = (0.1 / largest) ** 0.5
        begun = 1.0 / (self.spectrum * (start + 2.0 * rate) ** 2) - 1.0

        def error(total: float) -> float:
            left = 1.0 / (1.0 + begun * np.exp(-2.0 * total)) - 1.0
            return float((self.share * left**2)[self.slow].sum())

        total = float(brentq(lambda total: error(total) - 0.01, 0.0, 40.0))
        force = largest * (rate * (self.sites - 2) - start) ** 3 / self.sites
        return float((1.5 * total * force / (rise(2) * rate)) ** (2.0 / 3.0))

    def meeting(self) -> float:
        """The rate at which both are alike."""

        def ratio(power: float) -> float:
            return float(np.log(self.kick(np.exp(power)) / self.speed(np.exp(power))))

        # From where the kick takes the zero mode as far as its fixed point.
        least = np.log(2.0 / (self.sites * self.spectrum.max() ** 0.5))
        return float(np.exp(brentq(ratio, least, 0.0)))


def both_limits(case: Case, size: int, found: tuple[float, float]) -> list[str]:
    """A row: where the limits meet, the best rate and time over it, and times over each limit on its side of it.

    Args:
        case: of two layers.
        size: L.
        found: its best η and time.
    """
    limits = Limits(case.dimension, size)
    rate = limits.meeting()
    sides = np.array([rate / BEYOND, rate * BEYOND])
    run, settings = prepared(replace(BARE, dimension=case.dimension), size, sides[:1])
    (slow,) = mean_times(run, settings)
    signs = run.descent.weights().ravel() < 0.0
    negative = float((run.modes.multiplicity * signs).sum() / limits.sites)
    (fast,) = mean_times(*prepared(replace(BARE, dimension=case.dimension), size, sides[1:]))
    return [
        str(case.dimension), str(size), f"{rate:.2g}", f"{limits.speed(rate):.0f}", f"{found[0] / rate:.2f}",
        f"{found[1] / limits.speed(rate):.2f}", f"{slow / limits.speed(sides[0]):.2f}",
        f"{fast / limits.kick(sides[1]):.2f}", f"{negative:.2f}",
    ]  # fmt: skip


def numbers() -> dict[str, Any]:
    """Tables of times, of the best rates, of the powers of L of both, and of two limits."""
    times, rates = [["case", *map(str, SIZES)]], [["case", *map(str, SIZES)]]
    powers = [["case", "L", "power of τ", "scatter", "lower half", "upper half", "power of η"]]
    limits = [["d", "L", "η where both meet", "τ there", "best η over it", "best τ over it", "slow", "fast", "w < 0"]]
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        pairs = {size: best(case, size) for size in case.sizes}
        said = {size: f"{np.ceil(time):.0f}" if np.isfinite(time) else "never" for size, (_, time) in pairs.items()}
        times.append([case.words, *(said.get(size, "") for size in SIZES)])
        of_times, of_rates = [time for _, time in pairs.values()], [rate for rate, _ in pairs.values()]
        if name == "one remembering":
            steps = [predicted(size, rate) for size, rate in zip(pairs, of_rates, strict=True)]
            off = [abs(own / time - 1.0) for own, time in zip(steps, of_times, strict=True)]
            found["off"] = 100.0 * max(off[3:])
            found["spread"], found["rise"] = common_rate(64, *pairs[64])
            largest = predicted(LINE[-1], of_rates[-1])
            times.append(["one layer, predicted", "", *(f"{one:.0f}" for one in (*steps, largest))])
            # From L = 32 to 256, below the edge.
            found["four_thirds"], found["four_thirds_error"], _ = fitted(case.sizes[2:6], of_times[2:6])
        if name in ("one", "two", "two remembering", "two bare", "two square", "two cube"):
            rates.append([case.words, *(f"{pairs[size][0]:.2g}" if size in pairs else "" for size in SIZES)])
        if case.depth == 2:
            powers.append(powers_of(case, of_times, of_rates))
        if name == "two":
            found["two_power"], found["two_error"], _ = fitted(case.sizes[1:], of_times[1:])
        if name in ("two bare", "two square", "two cube"):
            chosen = (16, 64, 256, 1024) if case.dimension == 1 else case.sizes[-2:]
            limits += [both_limits(case, size, pairs[size]) for size in chosen]
    for dimension, sizes in ((1, LINE), (2, SQUARE), (3, CUBE)):
        case = Case(f"where both limits meet, d = {dimension}", 2, sizes, dimension=dimension)
        both = {size: Limits(dimension, size) for size in sizes}
        of_rates = [own.meeting() for own in both.values()]
        met = {size: own.speed(rate) for (size, own), rate in zip(both.items(), of_rates, strict=True)}
        times.append([case.words, *(f"{met[size]:.0f}" if size in met else "" for size in SIZES)])
        powers.append(powers_of(case, list(met.values()), of_rates))
    found["rise_predicted"], found["rise_two"], found["edge_step"] = rise(1), rise(2), (EDGE / rise(1)) ** 2
    return {"times": times, "rates": rates, "powers": powers, "limits": limits, **found}
