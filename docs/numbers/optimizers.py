"""Training steps of every optimiser at its best rate, beside those of an independent computation.

The population loss, t = 0.1, m = 1/L, to the first step with ε ≤ 0.01, and to the first from which ε stays there for
400 further steps. Rates are tuned by the trials of `csd train --rate-from tuned`. Momenta and the length of a cosine
are the best of a grid, each of whose points has trials of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.descent.modes import ModeDescent
from csd.training.descent.momentum import OptimizedDescent
from csd.training.descent.optimizers import OPTIMIZERS, Optimizer, State, rate_factor, sign
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.steps.tuning import tuned

SLOW = True
SIZES = (8, 16, 32, 64, 128)
NETWORKS = {1: "one_layer", 2: "two_layer"}
WORDS = {1: "one layer", 2: "two layers"}
LASTING, TOLERANCE = 400, 0.01
"""Further steps for which ε has to stay, and where."""
UNTIL = 1500
"""The last step of the longest of the independent computations."""
MOST = 4000
"""Steps of the slowest trial."""
HORIZONS = (500, 1000, 1500, 2000, 2500, 3000)
"""Lengths of a cosine, in steps; a longer one is a constant rate for all but the slowest."""
SHORT = 15
"""Steps below which times are compared by their difference."""
FINE = 128
"""Rates a decade of a scan."""
SCANNED = 10.0 ** (np.arange(-4 * FINE, FINE + 1) / FINE)
"""η of a scan, from 1e-4 to 10."""


@dataclass(frozen=True)
class Case:
    """A row of the tables: a network and its rule.

    Attributes:
        depth: number of layers.
        rule: of the steps.
        first: first steps of the independent computation, by L.
        settled: those from which ε stays, by L.
        how: what is tuned: nothing (`own`), or the rate (`rate`), and β (`momentum`) or the cosine (`horizon`) too;
            `closed`, the pair in closed form.
        dimension: d.
    """

    depth: int
    rule: str
    first: Mapping[int, int] = field(default_factory=dict)
    settled: Mapping[int, int] = field(default_factory=dict)
    how: str = "rate"
    dimension: int = 1

    @property
    def words(self) -> str:
        """What the rule is called."""
        added = {"own": ", default η", "closed": ", η and β above", "horizon": ", cosine"}
        return self.rule + added.get(self.how, "")


def by_size(*steps: int) -> dict[int, int]:
    """Steps at L = 8, 16 …"""
    return dict(zip(SIZES, steps, strict=False))


CASES = (
    Case(1, "gd", by_size(270, 1077, 4307, 17227, 68904), how="own"),
    Case(1, "heavy_ball", by_size(21, 40, 80, 159, 317), how="closed"),
    Case(1, "heavy_ball", by_size(14, 31, 63, 122, 237), how="momentum"),
    Case(1, "nesterov", by_size(23, 49, 103, 208, 423), how="momentum"),
    Case(1, "adam", by_size(38, 92, 205, 526), by_size(102, 126, 214, 546)),
    Case(1, "adam", by_size(38, 79, 204, 534), how="horizon"),
    Case(1, "adam_fourier", by_size(29, 29, 30, 30, 30), by_size(32, 29, 34, 35, 40)),
    Case(1, "sign_fourier", by_size(42, 54, 54, 60, 56)),
    Case(2, "gd", by_size(20, 23, 26, 29, 32), how="own"),
    Case(2, "gd"),
    Case(2, "heavy_ball", by_size(8, 9, 9, 10, 11), how="momentum"),
    Case(2, "nesterov", by_size(4, 7, 7, 8, 9), how="momentum"),
    Case(2, "adam", by_size(18, 53, 116, 250, 501)),
    Case(2, "adam", by_size(19, 57, 116, 256, 591), how="horizon"),
    Case(2, "adam_fourier", by_size(28, 27, 29, 29, 29), by_size(31, 31, 31, 33, 36)),
    Case(2, "sign_fourier", by_size(38, 58, 58, 66, 69)),
    Case(2, "adam", by_size(94, 212, 435), dimension=2),
    Case(2, "adam_fourier", by_size(21, 29, 29), dimension=2),
)
"""With the numbers of the independent computation."""


def noised(size: int, dimension: int = 1) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [0.1])


def momenta(size: int, depth: int) -> list[float]:
    """β about the best ones: for one layer √β = 1 − 2c (C_min/C_max)^½ with c = 0.3 … 3."""
    if depth == 2:
        return [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    spectrum = noised(size).spectra_at(Lattice(1, size).shells)
    ratio = float((spectrum.min() / spectrum.max()) ** 0.5)
    return ((1.0 - np.clip(2.0 * ratio * np.geomspace(0.3, 3.0, 16), 0.0, 0.9)) ** 2).tolist()


def least(case: Case, size: int, settle: int = 0, **options: Any) -> float:
    """The time at the best rate of the trials; infinite if ε settles at none."""
    settings = TrainingSettings(
        "population", **{"optimizer": case.rule, "rate_from": "tuned", "settle": settle, "max_steps": MOST, **options}
    )
    try:
        found = tuned(noised(size, case.dimension), Architecture(NETWORKS[case.depth]), settings)
    except InputError:
        return np.inf
    return float(np.ceil(np.nanmin(found.times)))


def steps(case: Case, size: int, settle: int = 0) -> float:
    """The first step with ε ≤ 0.01 that stays for so many more, with all that the case tunes at its best."""
    if case.how in ("own", "closed"):
        how: dict[str, Any] = {"rate_from": "optimal"} if case.how == "closed" else {}
        settings = TrainingSettings("population", **{"optimizer": case.rule, "settle": settle, **how})
        record = train_network(noised(size, case.dimension), Architecture(NETWORKS[case.depth]), settings)
        found = record.training_time if record.settled_time is None else record.settled_time
        return float(found.item())
    if case.how == "momentum":
        return min(least(case, size, settle, momentum=beta) for beta in momenta(size, case.depth))
    if case.how == "horizon":
        cosines = ({"rate_schedule": "cosine", "max_steps": horizon} for horizon in HORIZONS)
        return min(least(case, size, settle, **own) for own in cosines)
    return least(case, size, settle)


def agree(case: Case, found: float, wanted: int) -> bool:
    """Whether a time is the other one: exactly if nothing is tuned, within two steps if it is short, else 15 %."""
    if case.how in ("own", "closed"):
        return found == wanted
    return abs(found - wanted) <= (2.0 if wanted < SHORT else 0.15 * wanted)


def errors(size: int, depth: int, optimizer: Optimizer, last: int, dimension: int = 1) -> Array:
    """ε from step 0 to the last at the rates of a scan, shape (last + 1, rates)."""
    target, count = noised(size, dimension), len(SCANNED)
    lattice, modes = target.lattice, target.modes
    spectra = np.repeat(target.spectra_at(modes), count, axis=0)
    start = np.full((1, *spectra.shape), 0.0 if depth == 1 else (0.1 / spectra.max()) ** (1.0 / depth))
    plain = ModeDescent(depth, modes, spectra, np.ones(count), start)
    descent = OptimizedDescent(plain, optimizer, SCANNED, lattice, modes)
    found = [descent.error()[0].copy()]
    # Rates beyond stability overflow.
    with np.errstate(all="ignore"):
        for _ in range(last):
            descent.advance(spectra, 1.0)
            found.append(descent.error()[0].copy())
    return np.nan_to_num(np.array(found), nan=np.inf)


def first_steps(found: Array) -> Array:
    """The first step with ε ≤ 0.01 at each rate, infinite where there is none."""
    below = found <= TOLERANCE
    return np.where(below.any(axis=0), below.argmax(axis=0), np.inf)


def last_entries(found: Array) -> Array:
    """The first step from which ε stays within 0.01 to the last step, infinite where ε ends above it."""
    above = found > TOLERANCE
    last = np.where(above.any(axis=0), len(found) - above[::-1].argmax(axis=0), 0.0)
    return np.where(last < len(found), last, np.inf)


def scanned(case: Case, size: int) -> Array:
    """The first step at each rate of a scan, at the best cosine if the case has one; those that matter are right."""
    optimizer, last = OPTIMIZERS[case.rule], round(2.0 * case.first[size])
    if case.how != "horizon":
        return first_steps(errors(size, case.depth, optimizer, last, case.dimension))
    times = []
    for horizon in HORIZONS:
        cosine = replace(optimizer, schedule=rate_factor("cosine", horizon))
        times.append(first_steps(errors(size, case.depth, cosine, min(last, horizon))))
    return np.asarray(np.min(times, axis=0))


def best_of_grids(times: Array, decade: int) -> tuple[float, float]:
    """The smallest and the largest of the best times of all grids with so many rates a decade, within a scan."""
    apart = FINE // decade
    best = [float(times[offset::apart].min()) for offset in range(apart)]
    return min(best), max(best)


def _sign(numbers: Any) -> Any:
    """g / |g|, 0 where g is 0."""
    size = abs(numbers)
    return numbers / (size + (size == 0.0))


def averaged_signs(state: State, gradient: Any, step: int, *, momentum: float = 0.9) -> Any:
    """d = m, m ← β m + (1 − β) g / |g|."""
    (mean,) = state
    mean *= momentum
    mean += (1.0 - momentum) * _sign(gradient)
    return mean


def sign_ahead(state: State, gradient: Any, step: int, *, momentum: float = 0.9) -> Any:
    """d = s / |s|, s = β m + (1 − β) g, with the average m after this step, as in Nesterov's rule."""
    (mean,) = state
    mean *= momentum
    mean += (1.0 - momentum) * gradient
    return _sign(momentum * mean + (1.0 - momentum) * gradient)


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "sign of the averaged gradient": sign,
    "the same, one gradient ahead": sign_ahead,
    "average of signs": averaged_signs,
    "no momentum": partial(sign, momentum=0.0),
}
"""What the sign of the gradient could mean."""


def of_definition(rule: Callable[..., Any], depth: int, size: int) -> Array:
    """The first step at each rate of a scan with this sign of the gradient."""
    return first_steps(errors(size, depth, replace(OPTIMIZERS["sign_fourier"], rule=rule), 200))


def said(steps: Iterable[float]) -> list[str]:
    """Numbers of steps as text."""
    return [f"{step:.0f}" if step < np.inf else f"> {MOST}" for step in steps]


def between(ends: tuple[float, float]) -> str:
    """A range as text."""
    return "–".join(dict.fromkeys(said(ends)))


def beside(case: Case, own: Mapping[int, float], other: Mapping[int, int], time: str) -> list[str]:
    """A row with own steps / those of the independent computation, and the range of their ratios."""
    cells = [f"{own[size]:.0f} / {other[size]}" if size in other else "" for size in SIZES]
    ratios = [own[size] / value for size, value in other.items()]
    ends = dict.fromkeys(f"{ratio:.2f}" for ratio in (min(ratios), max(ratios)))
    return [WORDS[case.depth], str(case.dimension), case.words, time, *cells, "–".join(ends)]


def apart(case: Case, own: Mapping[int, float], *, settled: bool) -> list[list[str]]:
    """Rows of times that do not agree, with the best of all grids of rates; to be settled there is to stay to the end.

    Args:
        case: of the times.
        own: by L.
        settled: whether they are settled ones.
    """
    rows = []
    for size, wanted in (case.settled if settled else case.first).items():
        if agree(case, own[size], wanted):
            continue
        times = last_entries(errors(size, case.depth, OPTIMIZERS[case.rule], UNTIL)) if settled else scanned(case, size)
        grids = [between(best_of_grids(times, decade)) for decade in (8, 4)]
        label = [WORDS[case.depth], str(case.dimension), case.words, "settled" if settled else "first", str(size)]
        rows.append([*label, f"{own[size]:.0f}", str(wanted), *grids])
    return rows


def numbers() -> dict[str, Any]:
    """Tables of first and of settled steps, those beside others, what grids and definitions change, and powers."""
    title = ["network", "optimiser", *map(str, SIZES)]
    tables: dict[str, Any] = {"first": [title], "stays": [title]}
    tables["beside"] = [["network", "d", "optimiser", "time", *map(str, SIZES), "ratio"]]
    tables["apart"] = [
        ["network", "d", "optimiser", "time", "L", "here", "independent", "grids, 8 a decade", "grids, 4 a decade"]
    ]
    tables["definitions"] = [["network", "step", *map(str, SIZES)]]
    found: dict[str, Any] = {}
    for case in CASES:
        sizes = SIZES if case.dimension == 1 else SIZES[:3]
        for name, settle, other in (("first", 0, case.first), ("stays", LASTING, case.settled)):
            if settle and (case.how != "rate" or case.dimension > 1 or case.rule == "gd"):
                continue
            own = {size: steps(case, size, settle) for size in sizes}
            if case.dimension == 1:
                tables[name].append([WORDS[case.depth], case.words, *said(own.values())])
            if other:
                tables["beside"].append(beside(case, own, other, "settled" if settle else "first"))
                tables["apart"] += apart(case, own, settled=settle > 0)
            if (case.rule, case.how, case.dimension, settle) == ("adam", "rate", 1, 0):
                found[f"adam_{case.depth}"] = float(np.polyfit(np.log(sizes), np.log(list(own.values())), 1)[0])
    for depth in NETWORKS:
        (case,) = [one for one in CASES if one.rule == "sign_fourier" and one.depth == depth]
        tables["definitions"].append([WORDS[depth], "independent computation", *said(case.first.values())])
        for words, rule in DEFINITIONS.items():
            cells = [between(best_of_grids(of_definition(rule, depth, size), 8)) for size in SIZES]
            tables["definitions"].append([WORDS[depth], words, *cells])
    return {**tables, **found}
