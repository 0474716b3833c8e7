"""The description of fields in words: moments, spectrum, correlations, symmetries, and what training assumes of them.

Errors of moments are those of the Γ method (`csd.mcmc.autocorrelation`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import floor, log10, nan, sqrt
from typing import Any

import numpy as np

from csd.lattice import Array
from csd.mcmc.autocorrelation import FEWEST, Estimate, constant, estimate
from csd.mcmc.survey import CONTRADICTION, Survey, parts
from csd.targets.dataset import held_out_count

ALARM = 0.01
"""A symmetry is taken for broken at a p below this: the rate of false alarms."""
SMALLEST_P = 1e-12
"""Smallest p that is printed, far in the tail of an approximation."""
SMALL, LARGE = 1e-6, 1e6
"""Smallest and largest variance of fields that is of the order of that of the noise, 1."""
MOST_BATCHES = 2**17
"""Most batches of configurations in the errors of moments."""
HELD_OUT_BLOCKS = 20
"""Most blocks of held-out fields whose means are compared with those of the training fields."""
SHELLS = 4
"""Shells of S(k) that are printed, momentum by momentum."""


def moments(found: Survey) -> dict[str, Estimate]:
    """Mean, variance, skewness and excess kurtosis of all values; none for too few fields."""
    whole = [float(power.mean()) for power in found.powers]
    # Errors of long series are the same from means over batches.
    batch = max(1, found.fields.configurations // MOST_BATCHES)
    used = found.fields.configurations // batch * batch
    y = [power.mean(axis=0)[:used].reshape(1, -1, batch).mean(axis=2) for power in found.powers]

    def moment(of: Callable[..., Any], count: int) -> Estimate:
        rows = y[:count]
        steady = [bool(constant(row).any()) for row in rows]

        def of_moving(*means: Any) -> Any:
            rest = iter(means)
            return of(*(mean if still else next(rest) for mean, still in zip(whole, steady, strict=False)))

        if rows[0].shape[1] >= FEWEST and not all(steady):
            about = estimate(*(row for row, still in zip(rows, steady, strict=True) if not still), of=of_moving)
            return replace(about, value=float(of(*whole[:count])))
        value = float(of(*whole[:count]))
        return Estimate(value, nan, nan, nan, nan, nan, rows[0].size, "too few fields, or a constant")

    def skewness(a: float, b: float, c: float) -> float:
        return (c - 3.0 * a * b + 2.0 * a**3) / (b - a**2) ** 1.5

    def kurtosis(a: float, b: float, c: float, d: float) -> float:
        return (d - 4.0 * a * c + 6.0 * a**2 * b - 3.0 * a**4) / (b - a**2) ** 2 - 3.0

    return {
        "mean": moment(lambda a: found.scale * a + found.shift, 1),
        "variance": moment(lambda a, b: found.scale**2 * (b - a**2), 2),
        "skewness": moment(skewness, 3),
        "excess kurtosis": moment(kurtosis, 4),
    }


def summary(found: Survey, known: Mapping[str, float], *, whole: bool = False) -> list[str]:
    """Lines of text on the fields, a screenful.

    Args:
        found: of the fields.
        known: couplings; none if nothing is known.
        whole: whether training takes all fields, as it does from a Monte Carlo file.
    """
    fields, lattice = found.fields, found.fields.lattice
    count, total = fields.components, fields.configurations
    kind = f"{total} configurations of {count} components" if count > 1 else f"{total} fields"
    lines = [
        f"{fields.name}: {kind} in d = {lattice.dimension} with L = {lattice.size}, of type {fields.raw.dtype}",
        _row("values", f"from {found.lowest:.5g} to {found.highest:.5g}"),
    ]
    for name, one in moments(found).items():
        away = f", {abs(one.value) / one.error:.1f} errors from 0" if name == "mean" and one.error > 0.0 else ""
        lines.append(_row(name, _with_error(one.value, one.error) + away))
    lines += _spectrum_lines(found)
    lines += ["correlation along the file, in configurations (tau = 1/2 + sum of rho):"]
    lines += [
        _row(name, f"tau {_with_error(one.tau, one.tau_error)}" + " (too few fields for errors)" * bool(one.remark))
        for name, one in found.slow.items()
    ]
    lines += [_row("independent", f"about {found.effective:.0f} of {total} configurations")]
    lines += [f"symmetries (where one holds, p is below {ALARM} for one in {1.0 / ALARM:.0f} files):"]
    tests = {
        "change of sign": found.sign,
        "rotation, reflection": found.isotropy,
        "translation": found.translation,
        "exchange of components": found.alike,
    }
    lines += [_row(name, _verdict(p)) for name, p in tests.items() if name[0] != "e" or count > 1]
    same = total * count - found.distinct
    lines += [
        _row(
            "duplicates",
            f"{same} fields repeat another, {found.distinct - found.distinct_up_to_sign} are the negative of another",
        )
    ]
    if whole:
        return [*lines, "training takes all of them, with mean 0 and the spectrum of the long run in their file"]
    held = held_out_count(total, fields.name)
    assumed = "mean 0 and an isotropic spectrum, by the couplings" if known else "nothing of their mean and spectrum"
    lines += [f"training takes the first {total - held}, holds out the last {held}, and assumes {assumed}"]
    return [*lines, *(f"beware: {remark}" for remark in remarks(found))]


def remarks(found: Survey) -> list[str]:
    """Sentences on what spoils training or its comparison with held-out fields."""
    said = [
        f"the {name} of the held-out fields is {held:.5g}, that of the training fields {own:.5g} (p = {p:.1g}); errors"
        " and qualities, which compare with the held-out fields, tell this difference too: give fields in equilibrium,"
        " in an order in which the last are like the first"
        for name, (own, held, p) in _held_out_differs(found).items()
    ]
    variance = found.scale**2 * (float(found.powers[1].mean()) - float(found.powers[0].mean()) ** 2)
    if not SMALL < variance < LARGE:
        said.append(
            f"the variance of the fields is {variance:.1g}, but noise has a variance of at most 1; divide all fields by"
            f" {sqrt(variance):.1g}"
        )
    return said


def _held_out_differs(found: Survey) -> dict[str, tuple[float, float, float]]:
    """(value of the training fields, of the held-out fields, p) of mean and variance, where p is below five sigma's.

    p is that of Student's t, with errors from the scatter of block means.
    """
    mean, square = (power.mean(axis=0) for power in found.powers[:2])
    part = parts(len(mean))
    blocks: dict[str, list[Array]] = {"mean": [], "variance": []}
    for own, most in zip(part, (4 * HELD_OUT_BLOCKS, HELD_OUT_BLOCKS), strict=True):
        values = {"mean": found.scale * mean[own] + found.shift}
        values["variance"] = found.scale**2 * (square[own] + (mean[own].mean() - 2.0 * mean[own]) * mean[own].mean())
        for name, series in values.items():
            blocks[name].append(np.array([one.mean() for one in np.array_split(series, min(most, len(series)))]))
    differs = {}
    for name, (own_blocks, held) in blocks.items():
        a, b = float(own_blocks.mean()), float(held.mean())
        error = sqrt(own_blocks.var(ddof=1) / len(own_blocks) + held.var(ddof=1) / len(held))
        # Differences below five errors never matter, and need no import.
        if abs(b - a) > 5.0 * error + 1e-12 * (abs(a) + abs(b)):
            from scipy.special import stdtr

            p = 2.0 * float(stdtr(len(held) - 1, -abs(b - a) / error)) if error > 0.0 else 0.0
            if p < CONTRADICTION:
                differs[name] = (a, b, p)
    return differs


def _row(name: str, shown: str) -> str:
    """A line with a name and a value."""
    return f"  {name:<24}{shown}"


def _with_error(value: float, error: float) -> str:
    """A value and its error."""
    if error != error:
        return f"{value:.5g}, error not known"
    # As many digits as the error has.
    digits = 2 + floor(log10(abs(value) / error)) if error > 0.0 and value else 5
    return f"{value:.{min(max(digits, 5), 15)}g} ± {error:.2g}"


def _verdict(p: float) -> str:
    """The result of a test in words."""
    if p != p:
        return "not tested"
    shown = f"p = {p:.2g}" if p >= SMALLEST_P else f"p below {SMALLEST_P:g}"
    return f"{shown}: {'broken' if p < ALARM else 'no sign that it is broken'}"


def _spectrum_lines(found: Survey) -> list[str]:
    """S(k) of the softest shells, one by one in the directions of those with |n_μ| ≤ 1."""
    size = found.fields.lattice.size
    signed = np.where(found.modes > size // 2, found.modes - size, found.modes)
    classes = np.sort(np.abs(signed), axis=1)
    order = np.lexsort((*classes.T[::-1], (classes**2).sum(axis=1)))
    lines, seen = ["S(k) about the mean, at k = 2 pi n / L:"], list[list[int]]()
    for place in order:
        own = classes[place].tolist()
        seen += [own] * (own not in seen)
        if len(seen) > SHELLS:
            break
        value, error = (float(one[place]) for one in found.spectrum)
        lines.append(_row(f"n = ({', '.join(map(str, signed[place]))})", _with_error(value, error)))
    return lines
