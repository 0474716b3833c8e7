"""Rates that fall, and rates that do not, with minibatches: two layers, implicit loss, B = 64, d = 1, t = 0.1, m = 1/L.

Each rule has its best rate of a grid, four a decade from a tenth to a hundred times its own: that at which ε is the
soonest within 0.01 for 100 further steps, the mean over eight seeds, all of which have to settle within 2000 steps.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from csd.core.errors import TrainingDiverged
from csd.networks import Architecture
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from docs.numbers.oracles import noised

SLOW = True
SIZES, STEPS = (16, 64), 2000
RULES: tuple[Literal["gd", "nesterov", "adam", "adam_fourier"], ...] = ("gd", "nesterov", "adam", "adam_fourier")
SCHEDULES: tuple[Literal["constant", "inverse_sqrt"], ...] = ("constant", "inverse_sqrt")
OWN = {"gd": 0.25, "nesterov": 0.25, "adam": 0.003, "adam_fourier": 0.1}
PLACES = range(-4, 9)
"""Quarters of a decade from a rule's own rate."""


class Found(NamedTuple):
    """A training of eight seeds: mean settled time, that of the slowest, mean ε from half-way on, and its rate."""

    mean: float
    slowest: float
    error: float
    rate: float


def trained(size: int, rate: float, **how: Any) -> Found | None:
    """Eight seeds at a rate; None where a seed diverges."""
    settings = TrainingSettings(
        learning_rate=rate, seeds=tuple(range(1, 9)), settle=100, max_steps=STEPS, until="max_steps", **how
    )
    try:
        record = train_network(noised(1, size), Architecture("two_layer"), settings)
    except TrainingDiverged:
        return None
    assert record.settled_time is not None
    times = np.nan_to_num(record.settled_time, nan=np.inf)
    error = float(record.score_error[..., record.steps >= STEPS // 2].mean())
    return Found(float(times.mean()), float(times.max()), error, rate)


def numbers() -> dict[str, Any]:
    """The table of settled times and of what is left of the error, by size."""
    rows = [
        ["optimiser", "rate", *(f"{what}, L = {size}" for size in SIZES for what in ("η", "steps", "slowest", "ε"))]
    ]
    for rule in RULES:
        for schedule in SCHEDULES:
            row: list[str] = [rule, schedule]
            for size in SIZES:
                tried = [
                    trained(size, OWN[rule] * 10.0 ** (place / 4), optimizer=rule, rate_schedule=schedule)
                    for place in PLACES
                ]
                best = min((own for own in tried if own is not None), key=lambda own: (own.mean, own.error))
                times = [f"{time:.0f}" if np.isfinite(time) else "never" for time in (best.mean, best.slowest)]
                row += [f"{best.rate:.2g}", *times, f"{best.error:.1g}"]
            rows.append(row)
    return {"table": rows}
