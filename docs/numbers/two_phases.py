"""Fields of two phases, d = 2, m = ½, M = 1: when a box and the lattice know the phase, and what local scores lose."""

from math import log
from typing import Any

from csd.lattice import Lattice
from csd.locality.two_phase import (
    CRITERIA,
    PhaseBox,
    asymptotic_width,
    box_speciation_time,
    separation_needed,
    speciation_time,
)
from csd.targets.noising import Schedule, VariancePreserving
from csd.targets.two_phase import TwoPhase

SIZES, RANGES = [16, 32, 64], [1, 2, 4, 8]
SCHEDULE = VariancePreserving()


def numbers() -> dict[str, Any]:
    """Times are noise levels of VP noise, path KLs in nats; `table` is at L = 32, `boxes` the path KL over ln 2.

    `below` and `inside` are the shares of the bit's path KL below t_R and between t_R and t_S at R = 1, 2, 4, 8.
    """
    target = TwoPhase(Lattice(2, 32), 0.5, 1.0)
    whole = speciation_time(target, SCHEDULE)
    narrow = TwoPhase(Lattice(2, 32), 1e3, 1.0)
    rows = {
        "t_R": [box_speciation_time(target, SCHEDULE, reach) for reach in RANGES],
        "½ ln(N/V)": [asymptotic_width(target, reach) for reach in RANGES],
        "path KL of φ": [PhaseBox(target, reach).path_kl_of_field() for reach in RANGES],
        "path KL of the bit": [PhaseBox(target, reach).path_kl_of_bit() for reach in RANGES],
    }
    rows["t_S − t_R"] = [whole - time for time in rows["t_R"]]
    shares = [
        _shares(PhaseBox(target, reach), SCHEDULE, time, whole) for reach, time in zip(RANGES, rows["t_R"], strict=True)
    ]
    below, inside, above = ([one[place] for one in shares] for place in range(3))
    rows |= {"of it below t_R": below, "in [t_R, t_S]": inside, "above t_S": above}
    order = ("t_R", "t_S − t_R", "½ ln(N/V)", "path KL of φ", "path KL of the bit", *list(rows)[-3:])
    return {
        "separations": [separation_needed(name) for name in CRITERIA],
        "times": [speciation_time(TwoPhase(Lattice(2, size), 0.5, 1.0), SCHEDULE) for size in SIZES],
        "below": below,
        "inside": inside,
        "boxes": PhaseBox(narrow, 2).path_kl_of_bit() / log(2.0),
        "table": [
            ["", "R = 1", *map(str, RANGES[1:])],
            *([name, *(f"{one:.4g}" for one in rows[name])] for name in order[:5]),
            *([name, *(f"{one:.3f}" for one in rows[name])] for name in order[5:]),
        ],
    }


def _shares(inside: PhaseBox, schedule: Schedule, lowest: float, highest: float) -> tuple[float, float, float]:
    """Shares of the bit's path KL at noise levels below, between and above two of them."""
    low, high = (float(schedule.signal(time) ** 2 / schedule.variance(time)) for time in (lowest, highest))
    total, between = inside.path_kl_of_bit(), inside.bit_lost_between(high, low)
    above = inside.bit_lost_between(1e-12 * high, high)
    return (total - between - above) / total, between / total, above / total
