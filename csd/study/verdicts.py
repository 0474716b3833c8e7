"""Verdicts: what a study says about each claim, judged from its fits and never from what was expected.

A value *holds* if it lies in its range with two standard errors, *fails* if it lies outside with two, and is
*undecided* otherwise. The error of z is statistical and systematic in quadrature. Evidence holds from 10 and fails from
−10, with one standard error, as it weighs what z measures with two. Undecided in any case are growth over less than a
factor of 8 in size and z without a systematic error, that is from three sizes. The measure `value` is not about
growth: it has an outcome at each size. A group is *incomplete* if at some size a seed did not reach the tolerance: the
mean over the other seeds would be too small.

Times of a single seed of a random training have no error, and decide nothing. Those of the population loss are exact if
the target's spectrum is known; they are theory's own, and claims about training leave them out. If the target is known
by fields alone, in a file or of a Monte Carlo job, the population loss is full-batch descent on their measured
spectrum, a training like any other, and counts. Its times are random because the fields are: the error is the scatter
over seeds that have fields of their own. If all seeds learn the same fields, they differ by their starts alone, the
error of the fields is unknown, and the value is undecided.

A claim fails if a value fails. Else it is incomplete if a group is, or if a dimension, noise level or size that a test
lists has no value ('no data'); else undecided if a value is; and it holds only if all hold. Without any data it is *not
tested*. A claim that requires others is at best what they are.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.study.claims import COUNTS, FITTED, PRECISE, PULLS, Claim, ClaimTest, check_required
from csd.study.rounding import plus_minus
from csd.study.seeds import student, total_error
from csd.study.summaries.columns import DATA, HOW, SAME_FIELDS, at_default_options
from csd.study.summaries.laws import with_criterion

HOLDS, FAILS, UNDECIDED, INCOMPLETE, NOT_TESTED = "holds", "fails", "undecided", "incomplete", "not tested"

POPULATION = "population"
"""The loss that has no minibatches."""
SPAN = 8.0
"""Least ratio of the largest to the smallest size from which growth is judged."""


@dataclass(frozen=True)
class Outcome:
    """One value of one test.

    Attributes:
        test: the test.
        dimension: d.
        noise_level: t; NaN where there is none.
        data: label of loss and data.
        measured: the value; NaN where there is none.
        error: one standard error; NaN where it is not known.
        note: why the value cannot decide; empty where it can.
        missing: whether there is no value because a size has no mean.
        size: L of a value at one size; 0 of what all sizes together give.
    """

    test: ClaimTest
    dimension: int
    noise_level: float
    data: str
    measured: float
    error: float
    note: str = ""
    missing: bool = False
    size: int = 0

    @property
    def verdict(self) -> str:
        """The verdict of this value alone."""
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
        least, most = -np.inf if low is None else low, np.inf if high is None else high
        margin = self.error if measure == "evidence" else 2.0 * self.error
        lower, upper = self.measured - margin, self.measured + margin
        if least <= lower and upper <= most:
            return HOLDS
        # Evidence below what counts is evidence for nothing.
        fails = upper <= -COUNTS if measure == "evidence" else upper < least or lower > most
        return FAILS if fails else UNDECIDED


@dataclass(frozen=True)
class Verdict:
    """A claim, the values of its tests, and the verdict that follows.

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
        """The values of each test, and an outcome 'no data' for each listed place without one.

        If no test has a value, there are none.
        """
        if not any(self.outcomes):
            return self.outcomes
        return tuple(own + tuple(_absent(test, own)) for test, own in zip(self.claim.tests, self.outcomes, strict=True))


def _absent(test: ClaimTest, outcomes: tuple[Outcome, ...]) -> Iterator[Outcome]:
    """An outcome for every dimension, noise level and size that a test lists and that has no value."""
    # Without a list of levels any level will do, and without one of sizes any size.
    places = {
        (
            one.dimension,
            np.nan if test.noise_levels is None else one.noise_level,
            0 if test.sizes is None else one.size,
        )
        for one in outcomes
    }
    for place in product(test.dimensions, test.noise_levels or [np.nan], test.sizes or [0]):
        if place not in places:
            dimension, level, size = place
            yield Outcome(test, dimension, level, "", np.nan, np.nan, "no data", missing=True, size=size)


def judge(claims: list[Claim], scaling: pd.DataFrame, summary: xr.Dataset) -> list[Verdict]:
    """The verdicts of all claims.

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
        theory = claim.about == "theory"
        outcomes = tuple(
            tuple(_from_fits(test, scaling, theory) if test.measure in FITTED else _from_times(test, summary, theory))
            for test in claim.tests
        )
        verdicts[claim.id] = Verdict(claim, outcomes, tuple(verdicts[name].verdict for name in claim.requires))
    return list(verdicts.values())


def _trained_so(table: pd.DataFrame, test: ClaimTest) -> pd.DataFrame:
    """The rows of a table of runs or laws whose data and options of training a test is about."""
    if test.data is None:
        return at_default_options(table, test.options)
    table = table[table["data"] == test.data]
    every = {name: table[name].unique() for name in HOW if name in table}
    return at_default_options(table, every | test.options)


def _counted(table: pd.DataFrame, theory: bool) -> Any:
    """Which rows of a table of runs or laws a claim is about: all if it is about theory, else those of trainings."""
    of_fields = table["target"] == DATA if "target" in table else False
    return theory | (table["loss"] != POPULATION) | of_fields


def _unknown_fields(run: Mapping[Any, Any]) -> str:
    """Why times of a run, or their law, have no error on the population loss; '' where they have one."""
    same = np.asarray(run["loss"]).item() == POPULATION and float(run.get(SAME_FIELDS, 0.0)) == 1.0
    return "all seeds learn the same fields, whose error is not known" if same else ""


def _from_fits(test: ClaimTest, scaling: pd.DataFrame, theory: bool) -> Iterator[Outcome]:
    """The values of a test of laws or of single sizes, for a claim about theory or about training."""
    if "law" not in scaling or "quantity" not in scaling:
        return
    table, measure = with_criterion(scaling), test.measure
    # Where there is no law, there may be values.
    laws = [FITTED[measure]] if measure == "value" else [FITTED[measure], "none"]
    chosen = table[
        table["law"].isin(laws)
        & (table["quantity"] == test.quantity)
        & (table["criterion"] == test.criterion)
        & (table["architecture"] == test.architecture)
        & test.is_about(table["mass"])
        & table["dimension"].isin(test.dimensions)
        & _counted(table, theory)
    ]
    if test.noise_levels is not None:
        chosen = chosen[chosen["noise_level"].isin(test.noise_levels)]
    for _, row in _trained_so(chosen, test).iterrows():
        where = test, int(row["dimension"]), float(row["noise_level"]), str(row["data"])
        sizes = [int(size) for size in str(row["sizes"]).split()]
        if row["law"] == "none":
            # A single size was never meant to be a law.
            if len(sizes) > 1:
                yield Outcome(*where, np.nan, np.nan, str(row["note"]), missing=len(sizes) > 2)
            continue
        if measure == "value":
            if test.sizes is None or sizes[0] in test.sizes:
                yield _at_one_size(where, row, sizes[0])
            continue
        names = ("evidence", "evidence_error") if measure == "evidence" else ("exponent", "error")
        value, error = (float(row.get(name, np.nan)) for name in names)
        if measure == "exact_exponent":
            value -= float(row.get("reference", np.nan))
        if FITTED[measure] == "boxcox":
            error = total_error(row)
        note = _unknown_fields(row)
        if measure != "exact_exponent" and max(sizes) < SPAN * min(sizes):
            note = f"sizes {min(sizes)} to {max(sizes)} span less than a factor of {SPAN:g}"
        elif not np.isfinite(value):
            note = "too few sizes" if measure == "evidence" else "no value"
        elif not note and not np.isfinite(error):
            note = "three sizes give no systematic error" if len(sizes) == 3 else "its error is not known"
        yield Outcome(*where, value, error, note)


def _at_one_size(where: tuple[ClaimTest, int, float, str], row: "pd.Series[Any]", size: int) -> Outcome:
    """The outcome of a row with a value at one size; without one it says why, or that there is none."""
    value, error = float(row["value"]), float(row["error"])
    note = "" if pd.isna(row["note"]) else str(row["note"])
    if np.isfinite(value):
        note = note or ("" if np.isfinite(error) else "its error is not known")
        return Outcome(*where, value, error, note, size=size)
    return Outcome(*where, np.nan, np.nan, note or "no value", missing=True, size=size)


def _from_times(test: ClaimTest, summary: xr.Dataset, theory: bool) -> Iterator[Outcome]:
    """Ratios of training times or parameters, and agreement with the prediction, of runs that the claim is about."""
    if "architecture" not in summary:
        return
    columns = ["architecture", "dimension", "size", "mass_label", "data", "loss"]
    table = summary[[*columns, *(name for name in HOW if name in summary)]].to_dataframe()
    table = table[_counted(table, theory) & test.is_about(table["mass_label"])]
    table = table[table["dimension"].isin(test.dimensions)]
    own, reference = (
        _trained_so(table[table["architecture"] == name], test) for name in (test.architecture, test.reference)
    )
    known = summary["noise_level"].values
    for (dimension, data), rows in own.groupby(["dimension", "data"], sort=False):
        others = reference[(reference["dimension"] == dimension) & (reference["data"] == data)]
        places = list(rows.index)
        if test.reference is not None:
            if not (shared := set(rows["size"]) & set(others["size"])):
                continue
            places = [of.index[of["size"] == max(shared)][0] for of in (rows, others)]
        for level in known if test.noise_levels is None else [level for level in test.noise_levels if level in known]:
            at = summary.sel(noise_level=level)
            runs = [run for run in (at.isel(run=int(place)) for place in places) if len(_times(run))]
            if len(runs) == len(places) if test.reference is not None else runs:
                yield Outcome(test, int(dimension), float(level), str(data), *_value_of_times(test.measure, runs))


def _value_of_times(measure: str, runs: list[xr.Dataset]) -> tuple[float, float, str, bool]:
    """(value, error, note, missing) of a measure of the times of runs at one noise level; of ratios from two runs."""
    if measure == "parameter_ratio":
        return float(runs[0]["level_parameters"]) / float(runs[1]["level_parameters"]), 0.0, "", False
    times = [_times(run) for run in runs]
    for run, sample in zip(runs, times, strict=True):
        if not np.isfinite(sample).all():
            note = f"at size {int(run['size'])} some seeds did not reach the tolerance"
            return np.nan, np.nan, note, True
    # Without minibatches and without a data set nothing is random.
    exact = [str(run["loss"].values) == POPULATION and not int(run["data_set"]) for run in runs]
    if measure == "agreement":
        predicted = [_times(run, "predicted_crossing_time") for run in runs]
        value, error = agreement(list(zip(times, predicted, strict=True)), exact=all(exact))
    else:
        value = float(times[0].mean() / times[1].mean())
        relative = (_standard_error(*one) / one[0].mean() for one in zip(times, exact, strict=True))
        error = value * float(np.hypot(*relative))
    unknown = next(filter(None, map(_unknown_fields, runs)), "")
    return value, error, unknown or ("" if np.isfinite(error) else "a single seed gives no error"), False


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


def _standard_error(sample: Any, exact: bool) -> float:
    """Standard error of the mean over seeds, widened by Student's quantile; of one seed 0 if it is exact, else NaN."""
    if sample.size < 2:
        return 0.0 if exact else float("nan")
    return student(sample.size) * float(sample.std(ddof=1) / np.sqrt(sample.size))


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


def _plain(value: Any) -> Any:
    """A value that JSON can hold: None where a number is not finite."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def as_json(verdicts: list[Verdict]) -> str:
    """Verdicts as JSON: for each claim id, statement, verdict, and for each test measured, error, accepted range."""
    content = []
    for verdict in verdicts:
        claim, tests = verdict.claim, []
        for test, outcomes in zip(claim.tests, verdict.rows, strict=True):
            names = ("measure", "quantity", "criterion", "architecture", "reference", "because")
            about = {name: getattr(test, name) for name in names} | test.options
            about |= {"accepted": [_plain(bound) for bound in test.accepted], "bounds": _bounds(test)}
            found = ["dimension", "noise_level", "data", "measured", "error", "verdict", "note"]
            found += ["size"] if test.measure == "value" else []
            tests += [about | {name: _plain(getattr(outcome, name)) for name in found} for outcome in outcomes] or [
                about | {"measured": None, "error": None, "verdict": NOT_TESTED, "note": "no data"}
            ]
        shown = next((test for test in tests if test["verdict"] == verdict.verdict), tests[0])
        own = {"id": claim.id, "statement": claim.statement, "requires": claim.requires}
        own |= {name: shown[name] for name in ("measured", "error", "accepted", "bounds")}
        content.append(own | {"verdict": verdict.verdict, "tests": tests})
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_markdown(verdicts: list[Verdict]) -> str:
    """Verdicts as a Markdown table, one row for each test and dimension."""
    lines = [
        "| claim | test | d | t | data | measured | accepted | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for verdict in verdicts:
        statement = verdict.claim.statement.replace("|", "\\|")
        if verdict.claim.requires:
            statement += f" Requires {', '.join(verdict.claim.requires)}."
        lines.append(f"| **{verdict.claim.id}** | {statement} | | | | | | **{verdict.verdict}** |")
        for test, outcomes in zip(verdict.claim.tests, verdict.rows, strict=True):
            of = "" if test.quantity == "training_time" else f" of {test.quantity.replace('_', ' ')}"
            of += f" ({test.criterion.replace('_', ' ')})" if test.criterion else ""
            name = f"{test.measure.replace('_', ' ')}{of} of {test.architecture}"
            name += f" over {test.reference}" if test.reference else ""
            name += "".join(f", {option} {' or '.join(map(str, values))}" for option, values in test.options.items())
            if not outcomes:
                lines.append(f"| | {name} | | | | | {_bounds(test)} | {NOT_TESTED} |")
            for o in outcomes:
                value = plus_minus(o.measured, o.error) if np.isfinite(o.measured) else ""
                level = f"{o.noise_level:g}" if np.isfinite(o.noise_level) else ""
                why = f": {o.note}" if o.note else ""
                where = f"{o.dimension} | {level} | {o.data}{f', L = {o.size}' if o.size else ''}"
                lines.append(f"| | {name} | {where} | {value} | {_bounds(test)} | {o.verdict}{why} |")
    return "\n".join(lines) + "\n"
