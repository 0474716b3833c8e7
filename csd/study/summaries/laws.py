"""Scaling laws of the times in summaries, and of the steps that integrators need, as one table."""

import csv
import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.core.paths import read_bytes
from csd.diffusion.criteria import CRITERIA
from csd.diffusion.discretisation import FOLLOWS_LAW, ORDERS
from csd.diffusion.grids import MOST_STEPS
from csd.lattice import Array
from csd.study.scaling import fit, fit_power_law, law_row, local_exponents, weighted_law
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import HOW, SAME_FIELDS
from csd.study.summaries.observables import (
    DEVIATION,
    TIME,
    TimeUntilRight,
    observables_by_step,
    of_any_length,
    times_until_right_of,
)

FITTED = {"training_time": "crossing_time", "predicted_training_time": "predicted_crossing_time"}
"""Quantities and the times that are fitted: those interpolated between steps, as whole steps are coarse when few."""
ZERO_MODE = "zero_mode_training_time"
"""The quantity of runs with exact scores whose error by the held-out fields is common to all seeds."""
FLOOR_RATIO = "floor_ratio"
"""The error at the end of a training over the smallest one that its network can have."""
SLOWEST = {f"{kind}slowest_training_time": f"{kind}crossing_time" for kind in ("", "predicted_")}
"""The largest of the times at all noise levels: steps until every level is learned."""
SETTLED = {"settled_time": "settled_crossing_time", "predicted_settled_time": "predicted_settled_crossing_time"}
"""The same of trainings that go on until their error has settled."""
SHORTEST = 1.0
"""Generation training times below one step count as one, as 0 steps have no logarithm."""
SCHEDULE, GRID = "vp", "geometric"
DATA = f"{SCHEDULE}-{GRID}"
"""The noise and grid of laws of integrator steps, in the table's column of data."""
EVERY_ROW = (
    *("study", "architecture", "dimension", "mass", "data", "noise_level", "quantity", "criterion", "loss"),
    *("law", "sizes", "note"),
)
"""Columns that every table of laws has."""
EVERY_LAW = ("exponent", "error")
"""Further columns of a table that has a law."""


def read_scaling(path: Path) -> pd.DataFrame:
    """The table that `csd fit` wrote.

    Raises:
        InputError: if it is missing, no such table, or damaged.
    """
    content = read_bytes(path)
    try:
        text = content.decode()
        head, *rows = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
        # A table whose series all have one size would be read as numbers.
        table = pd.read_csv(io.StringIO(text), dtype={"sizes": str})
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table of scaling laws ({error}); make it with csd fit") from error
    needed = [*EVERY_ROW, *(EVERY_LAW if "law" in table and (table["law"] != "none").any() else ())]
    if missing := [name for name in needed if name not in head]:
        raise InputError(f"{path}: not a table of scaling laws (no column {missing[0]!r}); make it with csd fit")
    # pandas fills up short rows; a last line without its end may be cut in its last word.
    if any(len(row) != len(head) for row in rows) or not text.endswith("\n"):
        raise InputError(f"{path}: this table of scaling laws is cut off in a row; make it again with csd fit")
    return table


def with_criterion(scaling: pd.DataFrame) -> pd.DataFrame:
    """A table of laws that has the column `criterion`, empty where a quantity has none."""
    return scaling.assign(criterion=scaling["criterion"].astype(object).fillna("") if "criterion" in scaling else "")


def training_table(summary: xr.Dataset) -> pd.DataFrame:
    """All laws of τ(L), measured and predicted, of everything that was run at several sizes.

    Args:
        summary: of `aggregate`.

    Returns:
        One row a law: study (the sweep), architecture, dimension, mass, data, the options `HOW` of
        `csd.study.summaries.columns`, same_fields, noise_level, quantity, criterion (of samples; empty here), loss
        (empty where nothing was trained), law (of `csd.study.scaling.Fit`, or 'none'), exponent, z (of the nested law
        only), error, systematic_error, bootstrap_error, residual_error, intercept, slope, evidence (ΔAICc, positive for
        the log law), evidence_error, reference (an exact exponent for the same sizes), sizes, local_exponents, note
        (why there is no fit).
    """
    rows: list[dict[str, Any]] = []
    for about, chosen in _groups(summary):
        for level in summary["noise_level"].values:
            ran = np.isfinite(chosen["score_error"].sel(noise_level=level, step=0).values)
            for quantity, fitted in (FITTED | SETTLED if about.get("settle") else FITTED).items():
                times = chosen[fitted].sel(noise_level=level).values
                about |= {"noise_level": level, "quantity": quantity}
                rows += fitted_laws(about, chosen["size"].values, times, ran)
            if ZERO_MODE in chosen:
                at = chosen.sel(noise_level=level)
                rows += [about | {"quantity": ZERO_MODE} | law for law in _laws_of_zero_mode(at)]
            rows += [about | {"quantity": FLOOR_RATIO} | law for law in _floor_ratios(chosen.sel(noise_level=level))]
        about |= {"noise_level": np.nan}
        for quantity, fitted in SLOWEST.items():
            rows += _laws_of_slowest(about | {"quantity": quantity}, chosen, fitted)
    return pd.DataFrame(rows)


def _laws_of_slowest(about: dict[str, Any], runs: xr.Dataset, fitted: str) -> list[dict[str, Any]]:
    """Laws of the steps until every noise level is learned; nothing of runs at one level."""
    runs = runs.transpose("run", "seed", "noise_level", ...)
    trained = np.isfinite(runs["score_error"].sel(step=0).values)
    if trained.any(axis=(0, 1)).sum() < 2:
        return []
    times = np.where(trained, runs[fitted].values, -np.inf).max(axis=-1)
    return fitted_laws(about, runs["size"].values, times, trained.any(axis=-1))


def _laws_of_zero_mode(runs: xr.Dataset) -> Iterator[dict[str, Any]]:
    """A value for each size at one noise level, and their power law; nothing without exact scores.

    All seeds are measured on the same held-out fields. So the error of a mean over seeds is that of their scatter and,
    in quadrature, that of the fields.
    """
    measured = np.isfinite(runs["zero_mode_error"].transpose("run", "seed", "step").values[..., 0])
    sizes = [int(size) for size in runs["size"].values[measured.any(axis=1)]]
    if not sizes:
        return
    ran = measured[measured.any(axis=1)]
    time, own = (runs[name].values[measured.any(axis=1)] for name in (ZERO_MODE, f"{ZERO_MODE}_error"))
    mean, scatter = mean_over_seeds(time, ran=ran)
    common, _ = mean_over_seeds(own, ran=ran)
    errors = np.where(ran.sum(axis=1) > 1, np.hypot(scatter, common), np.nan)
    late = [f"at size {size} some seeds have not learned the zero mode" for size in sizes]
    notes = ["" if np.isfinite(value) else why for value, why in zip(mean, late, strict=True)]
    for size, value, error, note in zip(sizes, mean, errors, notes, strict=True):
        yield law_row([size], note, law="value", value=float(value), error=float(error))
    if note := next(filter(None, notes), ""):
        yield law_row(sizes, f"{note}, so there is no mean to fit")
        return
    yield weighted_law(sizes, mean, errors)


def _floor_ratios(chosen: xr.Dataset) -> Iterator[dict[str, Any]]:
    """ε at the end over the floor ε_R of a network that cannot be exact, trained to the end, not to a tolerance."""
    if "tolerance" not in chosen or "floor" not in chosen:
        return
    for place in np.flatnonzero((chosen["tolerance"] == 0.0) & (chosen["floor"] > 0.0)):
        run = chosen.isel(run=place)
        ratio = run["score_error"].dropna("step", how="all").isel(step=-1).values / float(run["floor"])
        value, error = mean_over_seeds(ratio)
        error = float(error) if np.isfinite(ratio).sum() > 1 else np.nan
        yield law_row([int(run["size"])], law="value", value=float(value), error=error)


def _groups(summary: xr.Dataset) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
    """Runs that differ in size alone, with their columns of a table of laws."""
    options = [name for name in (*HOW, SAME_FIELDS) if name in summary]
    keys = ["sweep", "architecture", "dimension", "mass_label", "data", *options]
    for group, members in summary[[*keys, "size"]].to_dataframe().groupby(keys, sort=False, dropna=False):
        chosen = summary.isel(run=members.index.to_numpy())
        about = dict(zip(["study", "architecture", "dimension", "mass", "data", *options], group, strict=True))
        more = {"noise_level": np.nan, "quantity": "", "criterion": "", "loss": str(chosen["loss"].values[0])}
        yield about | more, chosen


def generation_table(summary: xr.Dataset) -> pd.DataFrame:
    """Laws of the generation training time by each criterion, in the columns of `training_table`; no noise level.

    Where the exact score misses a criterion at any size there is one row without a law, whose note says why.
    """
    rows: list[dict[str, Any]] = []
    own = np.flatnonzero(summary["size"].values == summary["trained_size"].values)
    for about, chosen in _groups(summary.isel(run=own)):
        sizes, ran = chosen["size"].values, np.isfinite(chosen["kl_per_site"].isel(step=0).values)
        for criterion in CRITERIA:
            at = chosen.sel(criterion=criterion)
            missed = [
                f"at size {size}: {why}" for size, why in zip(sizes, at["criterion_remark"].values, strict=True) if why
            ]
            for quantity in ("generation_training_time", "predicted_generation_training_time"):
                about |= {"quantity": quantity, "criterion": criterion}
                if missed:
                    rows.append(about | law_row(sizes, missed[0]))
                    continue
                times = np.maximum(at[quantity].values, SHORTEST)
                times = times if times.ndim == 2 else times[:, None]
                rows += fitted_laws(about, sizes, times, ran if times.shape == ran.shape else np.isfinite(times))
    return pd.concat([pd.DataFrame(rows), observable_table(summary.isel(run=own))])


def observable_table(summary: xr.Dataset) -> pd.DataFrame:
    """Deviations of observables from measured references, and the steps until they are right, as rows of laws.

    Args:
        summary: of `csd.study.summaries.generation.aggregate_generation`.

    Returns:
        In the columns of `training_table`, with the observable as criterion. `observable_deviation` has for each
        training and size a row with law 'value' and the columns value and error. `observable_training_time` has such a
        row for each size, with NaN and a note where the steps are not known, and one with their power law, or with the
        reason why there is none.
    """
    return pd.DataFrame(list(_observable_laws(summary)))


def _observable_laws(summary: xr.Dataset) -> Iterator[dict[str, Any]]:
    """The rows of `observable_table`."""
    found = observables_by_step(summary)
    if found.empty:
        return
    summary = summary.assign(place=("run", np.arange(summary.sizes["run"])))
    for about, chosen in _groups(summary):
        sizes = dict(zip(chosen["place"].values, chosen["size"].values, strict=True))
        own = found[found["sampled"] & found["run"].isin(sizes)]
        for _, row in own.iterrows():
            about |= {"quantity": DEVIATION, "criterion": row["observable"]}
            numbers = {"value": row["deviation"], "error": row["deviation_error"]}
            yield about | law_row([sizes[row["run"]]], law="value", **numbers)
    for about, chosen in _groups(of_any_length(summary)):
        sizes = dict(zip(chosen["place"].values, chosen["size"].values, strict=True))
        own = found[found["run"].isin(sizes)]
        for name, rows in own.assign(size=own["run"].map(sizes)).groupby("observable", sort=False):
            about |= {"quantity": TIME, "criterion": name}
            yield from (about | law for law in _laws_of_observable(times_until_right_of(rows)))


def _laws_of_observable(times: dict[int, TimeUntilRight]) -> Iterator[dict[str, Any]]:
    """The steps until an observable is right at each size, and their law; nothing where there is one training only."""
    unknown = {size: f"at size {size} it is {time.remark}" for size, time in times.items() if time.remark}
    for size, time in times.items():
        yield law_row([size], unknown.get(size, ""), law="value", value=time.step, error=time.error)
    sizes = list(times)
    if unknown:
        yield law_row(sizes, f"{next(iter(unknown.values()))}, so there is no time to fit")
    elif times:
        steps, errors = (np.array([getattr(time, name) for time in times.values()]) for name in ("step", "error"))
        yield weighted_law(sizes, steps, errors)


def fitted_laws(about: dict[str, Any], sizes: Any, times: Any, ran: Any) -> list[dict[str, Any]]:
    """The rows of one group: all laws, or one row that says why there is none.

    Args:
        about: the group's columns.
        sizes: L, shape (sizes,).
        times: shape (sizes, seeds); NaN where a seed was not run, or never reached the tolerance.
        ran: whether a seed was run, same shape.
    """
    if not np.any(ran):
        return []
    late = sizes[(ran & ~np.isfinite(times)).any(axis=1)]
    if late.size:
        # The mean over the other seeds would be too small, and a law without this size one of other sizes.
        note = f"at size {int(late[0])} some seeds did not reach the tolerance, so there is no mean to fit"
        return [about | law_row(sizes, note)]
    present = ran.any(axis=1)
    used = [int(size) for size in sizes[present]]
    try:
        laws = fit(used, [row[there] for row, there in zip(times[present], ran[present], strict=True)])
    except InputError as error:
        return [about | law_row(used, str(error))]
    return [about | law.row for law in laws.values()]


def integrator_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Power laws n ∝ L^z of the steps needed on the geometric grid of VP, in the columns of `csd fit`.

    Steps are exact, so seeds and sampling leave no error; the error is that of sizes that are not yet in the law.
    `residual_error` is the standard error from the scatter about a pure power, `systematic_error` the change of z when
    the smallest size is left out (NaN for three sizes), and `error` both in quadrature.

    Args:
        dataset: of `csd.diffusion.discretisation.compare`.

    Returns:
        A row for each dimension, integrator and criterion, with quantity `integrator_steps` and the integrator as
        architecture. `reference` is d/(2p) where the law holds: total KL and effective sample size, d = 2 and 3.
    """
    rows: list[dict[str, Any]] = []
    chosen = dataset["crossing_steps"].sel(schedule=SCHEDULE, grid=GRID)
    keys = ("dimension", "integrator", "criterion")
    for place in product(*(dataset[key].values.tolist() for key in keys)):
        dimension, name, criterion = place
        steps = chosen.sel(dict(zip(keys, place, strict=True))).dropna("size")
        lawful = dimension > 1 and criterion in FOLLOWS_LAW
        about = {
            "study": "integrator_steps",
            "architecture": name,
            "dimension": dimension,
            "mass": dataset.attrs["mass_label"],
            "data": DATA,
            "noise_level": np.nan,
            "quantity": "integrator_steps",
            "criterion": criterion,
            "loss": "",
        }
        reference = dimension / (2.0 * ORDERS.get(name, np.nan)) if lawful else np.nan
        rows.append(about | _power(steps["size"].values, steps.values) | {"reference": reference})
    return pd.DataFrame(rows)


def _power(sizes: Array, steps: Array) -> dict[str, Any]:
    """The power law of one group, or the reason why there is none."""
    if len(sizes) < 3:
        return law_row(sizes, f"a scaling law needs at least three sizes; there are {len(sizes)}")
    if not np.isfinite(steps).all():
        largest = int(sizes[~np.isfinite(steps)][0])
        return law_row(sizes, f"more than {MOST_STEPS} steps are needed at size {largest}")
    length = sizes.astype(float)
    intercept, exponent, residual_error, _ = fit_power_law(length, steps)
    change = fit_power_law(length[1:], steps[1:])[1] - exponent if len(sizes) > 3 else np.nan
    return law_row(
        sizes,
        law="power",
        local_exponents=local_exponents(length, steps),
        exponent=exponent,
        error=float(np.hypot(residual_error, change)),
        systematic_error=abs(change),
        bootstrap_error=0.0,
        residual_error=residual_error,
        intercept=intercept,
    )
