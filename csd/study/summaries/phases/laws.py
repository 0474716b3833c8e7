"""Numbers of phases of data that have an exact value or a bound, as rows of a table of laws that claims are about.

Each row has the law 'value' and `architecture` best_local. N/V is the number of boxes of V = (2R + 1)^d sites. A file
that lacks a variable gives no row of it.

    information_residual   largest |I + ½ ln(1 − ε_R)| over ranges and five noise levels, ε_R the floor of a local layer
    markov_deviation       largest |Markov length / half the decay length of the exact kernel − 1| over noise levels
    sde_share              largest KL(true‖samples) of the SDE over the path KL, over ranges
    ode_share              smallest KL(true‖samples) of the ODE over the path KL, over ranges
    path_kl_per_box        path KL over N/V − 1, in nats; by range, which is in `data` ('R4')
    window_ratio           t_S − t_R over ½ ln(N/V); by range
    bits_per_box           path KL of the sign of two phases over (N/V − 1) ln 2; by range
    ordered_residual       Δ of Ising spins below T_c in d = 2 less that of two phases, over M²; by range and level
    box_level_growth       dt_R / d ln(2R + 1) by Monte Carlo, t_R the level at which boxes know half of their mean
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.lattice import Array
from csd.study.scaling import law_row
from csd.study.summaries.phases.aggregate import phases_table

BEST_LOCAL = "best_local"
"""The best local score in the column `architecture` of a table of laws."""
SMALLEST = 1e-9
"""Divergences are compared with the path KL where this exceeds it, in nats: below, rounding shows."""
IMAGES = 8.0
"""Size over decay length of the exact kernel from which on the lattice's period does not change a Markov length."""
MOST_SITES, MOST_LEVELS = 300, 5
"""The largest box whose floor is computed anew, and at how many of the noise levels."""
FEWEST = 3
"""Ranges from which on a growth with the range is fitted."""


def phase_table(summary: xr.Dataset) -> pd.DataFrame:
    """The rows of a summary of phases: those of `phases_table`, and these numbers, each with `value` and `error`.

    Args:
        summary: of `aggregate_phases`.
    """
    rows: list[dict[str, Any]] = []
    for place in range(summary.sizes["run"]):
        run = summary.isel(run=place)
        about: dict[str, Any] = {"study": run["sweep"].item(), "architecture": BEST_LOCAL}
        about |= {"dimension": int(run["dimension"]), "mass": run["target_label"].item(), "noise_level": np.nan}
        size = [int(run["size"])]
        about |= {"schedule": run["schedule"].item(), "criterion": "", "loss": ""}
        kind = run["target"].item()
        for quantity, data, value in _values(run):
            if np.isfinite(value):
                own = {"quantity": quantity, "data": data or kind}
                rows.append(about | own | law_row(size, law="value", value=float(value), error=0.0))
        for own, value, error in _measured(run):
            if np.isfinite(value):
                rows.append(about | {"data": kind} | own | law_row(size, law="value", value=value, error=error))
    return pd.concat([phases_table(summary), pd.DataFrame(rows)])


def _values(run: xr.Dataset) -> Iterator[tuple[str, str, float]]:
    """(quantity, range or '', value) of a run; NaN where it has none."""
    if run["target"].item() == "gaussian" and run["block"] == 1:
        yield "information_residual", "", _residual(run)
        theory = run["markov_length_theory"]
        off = abs(run["markov_length"] / theory - 1.0).where(2.0 * IMAGES * theory <= run["size"])
        yield "markov_deviation", "", float(off.max())
    boxes: xr.DataArray = run["range"].astype(float)
    boxes = (run["size"] / (2.0 * boxes + 1.0)) ** run["dimension"]
    boxes = boxes.where(boxes > 1.0)
    found = {name: run.get(name, boxes * np.nan) for name in ("path_kl", "sde_kl", "ode_kl", "path_kl_bit")}
    path = found["path_kl"].where(found["path_kl"] > SMALLEST)
    yield "sde_share", "", float((found["sde_kl"] / path).max())
    yield "ode_share", "", float((found["ode_kl"] / path).min())
    by_range = {"path_kl_per_box": found["path_kl"] / (boxes - 1.0)}
    by_range["bits_per_box"] = found["path_kl_bit"] / ((boxes - 1.0) * np.log(2.0))
    if "speciation_time" in run:
        window = run["speciation_time"] - run["box_speciation_time"]
        by_range["window_ratio"] = window / (0.5 * np.log(boxes))
    for quantity, values in by_range.items():
        for reach, value in zip(values["range"].values, values.values, strict=True):
            yield quantity, f"R{reach}", float(value)


def _residual(run: xr.Dataset) -> float:
    """max |I + ½ ln(1 − ε_R)| with floors of networks, which solve P κ = δ at each noise level anew; NaN if none."""
    from csd.lattice import Lattice
    from csd.networks.local import Patch
    from csd.targets.gaussian import GaussianField
    from csd.targets.noising import noised_spectrum, schedule_of

    lattice = Lattice(int(run["dimension"]), int(run["size"]))
    field = GaussianField(lattice, 1.0 / float(run["correlation_length"]))
    schedule = schedule_of(run["schedule"].item())
    clean, worst = field.propagator(lattice.laplacian), np.nan
    run = run.isel(noise_level=np.unique(np.linspace(0, run.sizes["noise_level"] - 1, MOST_LEVELS).astype(int)))
    information = run["conditional_mutual_information"].transpose("range", "noise_level")
    for reach, values in zip(run["range"].values, information.values, strict=True):
        # Ranges of another run's larger lattice have no values here.
        if np.isfinite(values).any() and (2 * reach + 1) ** lattice.dimension <= MOST_SITES:
            patch = Patch(lattice, int(reach))
            for level, value in zip(run["noise_level"].values, values, strict=True):
                floor = patch.floor(noised_spectrum(schedule, level, clean))
                worst = float(np.fmax(worst, abs(value + 0.5 * np.log1p(-floor))))
    return worst


def _measured(run: xr.Dataset) -> Iterator[tuple[dict[str, Any], float, float]]:
    """(columns, value, error) of numbers by Monte Carlo."""
    if is_ordered(run):
        yield from _ordered(run)
    if "box_level" in run:
        known = np.isfinite(run["box_level"].values) & (run["box_level_error"].values > 0.0)
        widths, times, errors = (
            values[known]
            for values in (2.0 * run["range"].values + 1.0, run["box_level"].values, run["box_level_error"].values)
        )
        if known.sum() >= FEWEST:
            slope, error = slope_of(np.log(widths), times, errors)
            yield {"quantity": "box_level_growth"}, slope, error


def slope_of(places: Any, values: Any, errors: Any) -> tuple[float, float]:
    """Slope of a weighted straight line, and its error: statistical, and the change without the smallest place.

    Args:
        places: at least three, ascending.
        values: one for each.
        errors: standard errors of the values.
    """

    def fitted(first: int) -> tuple[float, float]:
        weight = 1.0 / errors[first:] ** 2
        centred = places[first:] - weight @ places[first:] / weight.sum()
        power = float((weight * centred) @ centred)
        return float((weight * centred) @ values[first:]) / power, power**-0.5

    (slope, statistical), (without, _) = fitted(0), fitted(1)
    return slope, float(np.hypot(statistical, without - slope))


def is_ordered(run: xr.Dataset) -> bool:
    """Whether a run is of Ising spins on the square lattice below T_c."""
    from csd.locality.ordered import CRITICAL

    ising = run["target"].item() == "spins" and (int(run["dimension"]), int(run["components"])) == (2, 1)
    return ising and float(run["beta"]) > CRITICAL


def ordered_theory(run: xr.Dataset, reach: int, levels: Any) -> Array:
    """Δ of two phases in place of the spins of such a run, at noise levels; shape of `levels`."""
    from csd.locality.ordered import ordered_difference
    from csd.targets.noising import schedule_of

    schedule, sites = schedule_of(run["schedule"].item()), int(run["size"]) ** 2
    signal, variance = np.asarray(schedule.signal(levels)), np.asarray(schedule.variance(levels))
    return ordered_difference(float(run["beta"]), signal, variance, (2 * reach + 1) ** 2, sites)


def _ordered(run: xr.Dataset) -> Iterator[tuple[dict[str, Any], float, float]]:
    """Differences from the theory of two phases, below T_c."""
    from csd.locality.ordered import ordered_phase

    scale = ordered_phase(float(run["beta"]))[0] ** 2
    for reach in run["range"].values:
        for level in run["noise_level"].values:
            at = run.sel(range=reach, noise_level=level)
            columns = {"quantity": "ordered_residual", "data": f"R{reach}", "noise_level": float(level)}
            off = float(at["mmse_difference"]) - float(ordered_theory(run, int(reach), level))
            yield columns, off / scale, float(at["mmse_difference_error"]) / scale
