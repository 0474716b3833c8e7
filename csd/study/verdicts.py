"""Verdicts: what a study says about each claim, judged from its fits and never from what was expected.

A value *holds* if it lies in its range with two standard errors, *fails* if it lies outside with two, and is
*undecided* otherwise. The error of z is statistical and systematic in quadrature. Evidence holds from 10 and fails from
−10, with one standard error; it is no measurement, and what it weighs is judged by z with two. Growth over less than a
factor of 8 in size is undecided whatever the numbers, and so is z without a systematic error, that is from three sizes.
A group is *incomplete* if at some size one seed or more did not reach the tolerance, as the mean over the others would
be too small.

Times of a single seed of a random training have no error, and decide nothing; those of the population loss are exact.

A claim fails if a value fails. Else it is incomplete if a group is, or if a dimension or noise level that a test lists
has no value ('no data'); undecided if a value is; and it holds only if all hold. Without any data it is *not tested*. A
claim that requires others is at best what they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.study.claims import COUNTS, FITTED, PRECISE, PULLS, Claim, ClaimTest, check_required
from csd.study.seeds import student, total_error
from csd.study.summaries.columns import HOW, at_default_options
from csd.study.summaries.laws import with_criterion

HOLDS, FAILS, UNDECIDED, INCOMPLETE, NOT_TESTED = "holds", "fails", "undecided", "incomplete", "not tested"

SPAN = 8.0
"""Largest over smallest size that growth is judged from."""


@dataclass(frozen=True)
class Outcome:
    """One value of one test.

    Attributes:
        test: whose value it is.
        dimension: d.
        noise_level: t; NaN where there is none.
        data: loss and data.
        measured: value; NaN where there is none.
        error: one standard error; NaN where it is not known.
        note: why the value cannot decide; empty where it can.
        missing: whether there is no value because a size has no mean.
    """

    test: ClaimTest
    dimension: int
    noise_level: float
    data: str
    measured: float
    error: float
    note: str = ""
    missing: bool = False

    @property
    def verdict(self) -> str:
        """Of this value alone."""
        if self.missing:
            return INCOMPLETE
        if self.note:
            return UNDECIDED
        measure = self.test.measure
        if measure == "exact_exponent":
            if not self.error <= PRECISE:
                return UNDECIDED
            return HOLDS if abs(self.measured) < PULLS * self.error else FAILS
        low, high = self.test.accepted
        margin = self.error if measure == "evidence" else 2.0 * self.error
        lower, upper = self.measured - margin, self.measured + margin
        if (low is None or lower >= low) and (high is None or upper <= high):
            return HOLDS
        if measure == "evidence":
            # Less than what counts is evidence for nothing.
            return FAILS if upper <= -COUNTS else UNDECIDED
        if (low is not None and upper < low) or (high is not None and lower > high):
            return FAILS
        return UNDECIDED


Where = tuple[ClaimTest, int, float, str]
"""The first attributes of an outcome: test, dimension, noise level and data."""


@dataclass(frozen=True)
class Verdict:
    """A claim, the values of its tests, and what they amount to.

    Attributes:
        claim: what is claimed.
        outcomes: values of each test that the study has.
        required: verdicts of the claims that it requires.
    """

    claim: Claim
    outcomes: tuple[tuple[Outcome, ...], ...]
    required: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """'holds', 'fails', 'undecided', 'incomplete' or 'not tested'."""
        found = [outcome.verdict for of_test in self.rows for outcome in of_test]
        if not found:
            return NOT_TESTED
        found += [INCOMPLETE if verdict == NOT_TESTED else verdict for verdict in self.required]
        return next(verdict for verdict in (FAILS, INCOMPLETE, UNDECIDED, HOLDS) if verdict in found)

    @property
    def rows(self) -> tuple[tuple[Outcome, ...], ...]:
        """Values of each test, and an outcome without one for what it lists and the study has not.

        Nothing where there is no value of any test.
        """
        if not any(self.outcomes):
            return self.outcomes
        return tuple(own + tuple(_absent(test, own)) for test, own in zip(self.claim.tests, self.outcomes, strict=True))


def _absent(test: ClaimTest, outcomes: tuple[Outcome, ...]) -> Iterator[Outcome]:
    """An outcome for every dimension and noise level that a test lists and that has no value."""
    places = {(outcome.dimension, outcome.noise_level) for outcome in outcomes}
    for dimension in test.dimensions:
        # Without a list of levels any will do.
        anywhere = test.noise_levels is None and any(of == dimension for of, _ in places)
        for level in [np.nan] if test.noise_levels is None else test.noise_levels:
            if not anywhere and (dimension, level) not in places:
                yield Outcome(test, dimension, level, "", np.nan, np.nan, "no data", missing=True)


def judge(claims: list[Claim], scaling: pd.DataFrame, summary: xr.Dataset) -> list[Verdict]:
    """Verdicts of all claims.

    Args:
        claims: what is claimed; a claim comes after those that it requires.
        scaling: of `csd.study.summaries.laws.training_table`.
        summary: of `csd.study.summaries.training.aggregate_training`.

    Raises:
        InputError: for a required claim that does not come before.
    """
    verdicts: dict[str, Verdict] = {}
    for claim in claims:
        check_required(claim, verdicts)
        outcomes = tuple(tuple(_outcomes(test, claim.about, scaling, summary)) for test in claim.tests)
        verdicts[claim.id] = Verdict(claim, outcomes, tuple(verdicts[name].verdict for name in claim.requires))
    return list(verdicts.values())


def _outcomes(test: ClaimTest, about: str, scaling: pd.DataFrame, summary: xr.Dataset) -> Iterator[Outcome]:
    """The values of a test, one for each dimension, noise level and kind of data that the study has."""
    # The population loss is theory's own; it says nothing of training.
    left_out = None if about == "theory" else "population"
    if test.measure in FITTED:
        yield from _from_fits(test, scaling, left_out)
    else:
        yield from _from_times(test, summary, left_out)


def _from_fits(test: ClaimTest, scaling: pd.DataFrame, left_out: str | None) -> Iterator[Outcome]:
    """What fits of measured times say, but for those of networks trained on the loss that is left out."""
    if "law" not in scaling or "quantity" not in scaling:
        return
    table = with_criterion(scaling)
    chosen = table[
        table["law"].isin([FITTED[test.measure], "none"])
        & (table["quantity"] == test.quantity)
        & (table["criterion"] == test.criterion)
        & (table["architecture"] == test.architecture)
        & (table["mass"] == test.mass)
        & table["dimension"].isin(test.dimensions)
        & (table["loss"] != left_out)
    ]
    if test.noise_levels is not None:
        chosen = chosen[chosen["noise_level"].isin(test.noise_levels)]
    for _, row in _trained_so(chosen, test).iterrows():
        where = int(row["dimension"]), float(row["noise_level"]), str(row["data"])
        sizes = [int(size) for size in str(row["sizes"]).split()]
        if row["law"] == "none":
            # A single size was never meant to be a law.
            if len(sizes) > 1:
                yield Outcome(test, *where, np.nan, np.nan, str(row["note"]), missing=len(sizes) > 2)
            continue
        value, error = _value_of_fit(test.measure, row)
        note = ""
        if test.measure != "exact_exponent" and max(sizes) < SPAN * min(sizes):
            note = f"sizes {min(sizes)} to {max(sizes)} span less than a factor of {SPAN:g}"
        elif not np.isfinite(value):
            note = "too few sizes" if test.measure == "evidence" else "no value"
        elif not np.isfinite(error):
            note = "three sizes give no systematic error" if len(sizes) == 3 else "its error is not known"
        yield Outcome(test, *where, value, error, note)


def _value_of_fit(measure: str, row: pd.Series) -> tuple[float, float]:
    """(value, error) of a measure from the row of its law."""

    def column(name: str) -> float:
        return float(row[name]) if name in row else float("nan")

    if measure == "evidence":
        return column("evidence"), column("evidence_error")
    if measure == "exact_exponent":
        return column("exponent") - column("reference"), column("error")
    if FITTED[measure] == "boxcox":
        return column("exponent"), total_error(row)
    return column("exponent"), column("error")


def _from_times(test: ClaimTest, summary: xr.Dataset, left_out: str | None) -> Iterator[Outcome]:
    """Ratios of training times or parameters, and agreement with the prediction, but for the loss that is left out."""
    if "architecture" not in summary:
        return
    columns = ["architecture", "dimension", "size", "mass_label", "data", "loss"]
    table = summary[[*columns, *(name for name in HOW if name in summary)]].to_dataframe()
    table = table[table["loss"] != left_out]
    own, reference = _runs(table, test, test.architecture), _runs(table, test, test.reference)
    for (dimension, data), rows in own.groupby(["dimension", "data"], sort=False):
        others = reference[(reference["dimension"] == dimension) & (reference["data"] == data)]
        for level in summary["noise_level"].values if test.noise_levels is None else test.noise_levels:
            if level not in summary["noise_level"].values:
                continue
            at = summary.sel(noise_level=level)
            where = test, int(dimension), float(level), str(data)
            if test.measure == "agreement":
                runs = [at.isel(run=int(run)) for run in rows.index if len(_times(at.isel(run=int(run))))]
                if runs:
                    yield _agreement(where, runs)
                continue
            shared = set(rows["size"]) & set(others["size"])
            if not shared:
                continue
            pair = [at.isel(run=int(table.index[table["size"] == max(shared)][0])) for table in (rows, others)]
            if all(len(_times(run)) for run in pair):
                yield _ratio(where, pair)


def _agreement(where: Where, runs: list[xr.Dataset]) -> Outcome:
    """Agreement with theory of the runs of several sizes."""
    for run in runs:
        if not np.isfinite(_times(run)).all():
            return Outcome(*where, np.nan, np.nan, _late(run), missing=True)
    pairs = [(_times(run), _times(run, "predicted_crossing_time")) for run in runs]
    return _timed(where, *agreement(pairs, exact=all(map(_exact, runs))))


def agreement(pairs: Sequence[tuple[Any, Any]], exact: bool = False) -> tuple[float, float]:
    """(largest |τ/τ_predicted − 1| of means over seeds, largest standard error of any of them).

    The largest of several deviations is no more certain than the least certain of them. The error is NaN if a size has
    a single seed, unless times are exact.

    Args:
        pairs: times and predicted times of the seeds of each size.
        exact: whether training is not random.
    """
    deviations, errors = [], []
    for times, predicted in pairs:
        ratio = float(times.mean() / predicted.mean())
        deviations.append(abs(ratio - 1.0))
        # A seed's start moves both its time and its prediction.
        errors.append(_standard_error(times - ratio * predicted, exact) / float(predicted.mean()))
    return max(deviations), float(np.max(errors))


def _exact(run: xr.Dataset) -> bool:
    """Whether training has neither minibatches nor a data set, so that a time is exact: the population loss itself."""
    return str(run["loss"].values) == "population" and not int(run["data_set"])


def _timed(where: Where, value: float, error: float) -> Outcome:
    """A value of times, which decides nothing where its error is not known."""
    return Outcome(*where, value, error, "" if np.isfinite(error) else "a single seed gives no error")


def _ratio(where: Where, pair: list[xr.Dataset]) -> Outcome:
    """Parameters or times of one run over those of another."""
    if where[0].measure == "parameter_ratio":
        return Outcome(*where, float(pair[0]["level_parameters"]) / float(pair[1]["level_parameters"]), 0.0)
    times = [_times(run) for run in pair]
    for run, sample in zip(pair, times, strict=True):
        if not np.isfinite(sample).all():
            return Outcome(*where, np.nan, np.nan, _late(run), missing=True)
    quotient = float(times[0].mean() / times[1].mean())
    relative = np.hypot(
        *(_standard_error(sample, _exact(run)) / sample.mean() for run, sample in zip(pair, times, strict=True))
    )
    return _timed(where, quotient, quotient * float(relative))


def _standard_error(sample: Any, exact: bool) -> float:
    """Of the mean over seeds, widened by Student's quantile; of a single seed 0 if it is exact, else NaN."""
    if sample.size < 2:
        return 0.0 if exact else float("nan")
    return student(sample.size) * float(sample.std(ddof=1) / np.sqrt(sample.size))


def _late(run: xr.Dataset) -> str:
    """Why there is no mean."""
    return f"at size {int(run['size'])} some seeds did not reach the tolerance"


def _runs(table: pd.DataFrame, test: ClaimTest, architecture: str | None) -> pd.DataFrame:
    """The runs of an architecture that a test is about."""
    chosen = table[
        (table["architecture"] == architecture)
        & (table["mass_label"] == test.mass)
        & table["dimension"].isin(test.dimensions)
    ]
    return _trained_so(chosen, test)


def _trained_so(table: pd.DataFrame, test: ClaimTest) -> pd.DataFrame:
    """The rows whose options of training a test is about."""
    if test.data is None:
        return at_default_options(table, **test.options)
    table = table[table["data"] == test.data]
    every = {name: table[name].unique() for name in HOW if name in table}
    return at_default_options(table, **every | test.options)


def _times(run: xr.Dataset, name: str = "crossing_time") -> Any:
    """Times of a run at one noise level, one for each seed that was trained; NaN if it did not reach the tolerance."""
    ran = np.isfinite(run["score_error"].sel(step=0).values)
    return np.asarray(run[name].values, dtype=float)[ran]


def _bounds(test: ClaimTest) -> str:
    """The accepted range in words."""
    if test.measure == "exact_exponent":
        return f"within {PULLS:g} errors of at most {PRECISE:g}"
    low, high = test.accepted
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
