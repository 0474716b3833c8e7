"""Claims: what a study says about each, judged from its fits and never from what was expected.

A claim is a list of tests. A test picks groups of runs and a measure, and gives the range that its value must lie in:

    log               z of the nested law fitted to τ(L), within ±0.1
    power             the same z, in a range about another power
    constant          slope of ln τ in ln L, within ±0.1
    power_log         exponent of τ / ln L
    exponent          exponent of the power law
    exact_exponent    exponent of the power law less an exact one of the same sizes
    evidence          ΔAICc in favour of the log law, which counts from 10
    time_ratio        τ over that of a reference architecture, at the largest size that both have
    parameter_ratio   parameters over those of a reference architecture, likewise
    agreement         largest |τ / τ_predicted − 1| over sizes

Times are means over seeds, interpolated between steps.

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

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import BeforeValidator, Field, model_validator

from csd.config import load, validated
from csd.criteria import CRITERIA
from csd.errors import InputError, nearest
from csd.rounding import plus_minus
from csd.scaling import student
from csd.schema import Dimension, Part, Positive, Several, number

HOLDS, FAILS, UNDECIDED, INCOMPLETE, NOT_TESTED = "holds", "fails", "undecided", "incomplete", "not tested"

SPAN = 8.0
"""Largest over smallest size that growth is judged from."""
COUNTS = 10.0
"""ΔAICc that counts as evidence, for or against."""
PULLS = 3.0
"""Errors within which an exponent agrees with an exact one."""
PRECISE = 0.1
"""Error of an exponent that is compared with an exact one, at most."""

FITTED = {
    "log": "boxcox",
    "power": "boxcox",
    "constant": "power",
    "power_log": "power_log",
    "exponent": "power",
    "exact_exponent": "power",
    "evidence": "power",
}
"""Measures of fitted laws, and the law whose row of the table has the value."""
ACCEPTED: dict[str, list[float | None]] = {
    "log": [-0.1, 0.1],
    "constant": [-0.1, 0.1],
    "evidence": [COUNTS, None],
    "exact_exponent": [-PULLS * PRECISE, PULLS * PRECISE],
}
"""Ranges of measures that go without saying."""


WITH_CRITERION = ("generation_training_time", "integrator_steps")
"""Quantities that are times by one criterion of samples."""
Bound = Annotated[float, BeforeValidator(number)]
Name = Annotated[str, Field(min_length=1)]


class Criterion(Part):
    """One number, or one a group, that must lie in a range."""

    measure: Literal[
        "log",
        "power",
        "constant",
        "power_log",
        "exponent",
        "exact_exponent",
        "evidence",
        "time_ratio",
        "parameter_ratio",
        "agreement",
    ]
    architecture: Name
    reference: Name | None = None
    dimensions: Several[Dimension]
    noise_levels: Several[Positive] | None = None
    because: Name | None = None
    quantity: Literal[
        "training_time",
        "generation_training_time",
        "autocorrelation_time",
        "autocorrelation_updates",
        "integrator_steps",
    ] = "training_time"
    criterion: str = ""
    mass: str = "mL1"
    data: str | None = None
    accepted: Annotated[list[Bound | None], Field([None, None], min_length=2, max_length=2)]

    @model_validator(mode="before")
    @classmethod
    def _usual_range(cls, content: Any) -> Any:
        """The range that a measure has if none is given."""
        if isinstance(content, dict) and "accepted" not in content and content.get("measure") in ACCEPTED:
            return content | {"accepted": ACCEPTED[content["measure"]]}
        return content

    @model_validator(mode="after")
    def _complete(self) -> "Criterion":
        """A range needs a bound, a ratio something to compare with, a choice of noise levels a reason."""
        low, high = self.accepted
        if low is None and high is None:
            raise ValueError("accepted is [null, null]; at least one bound is needed")
        # Neither is true of NaN.
        if not (-np.inf if low is None else low) <= (np.inf if high is None else high):
            raise ValueError(f"accepted is {self.accepted}; it must be [lowest, highest], with null for no bound")
        if self.measure.endswith("ratio") != (self.reference is not None):
            needs = "needs a" if self.reference is None else "takes no"
            raise ValueError(f"measure {self.measure} {needs} reference architecture")
        if self.measure not in FITTED and self.quantity != "training_time":
            raise ValueError(f"measure {self.measure} is of training_time; quantity is {self.quantity}")
        if self.criterion and self.criterion not in CRITERIA:
            near = nearest(self.criterion, CRITERIA)
            raise ValueError(f"criterion is {self.criterion!r}{near} (known: {', '.join(CRITERIA)})")
        if (self.quantity in WITH_CRITERION) != bool(self.criterion):
            needs = "has none" if self.criterion else f"needs one of {', '.join(CRITERIA)}"
            raise ValueError(f"criterion is {self.criterion!r}; quantity {self.quantity} {needs}")
        for name, several in (("dimension", self.dimensions), ("noise level", self.noise_levels or [])):
            if len(set(several)) < len(several):
                raise ValueError(f"a {name} is given twice in {several}; each must be given once")
        if (self.noise_levels is None) != (self.because is None):
            raise ValueError("noise_levels and because belong together: all levels are tested, or some for a reason")
        return self


class Claim(Part):
    """A statement and the tests that it stands or falls with.

    Attributes:
        id: its name.
        statement: what is claimed.
        tests: all of them must hold.
        about: 'training', which runs with the population loss decide nothing about, or 'theory'.
        requires: ids of claims without which this one makes no sense.
    """

    id: Name
    statement: Name
    tests: Several[Criterion]
    about: Literal["training", "theory"] = "training"
    requires: Annotated[list[str], Field([])]


@dataclass(frozen=True)
class Outcome:
    """One value of one test.

    Attributes:
        criterion: the test.
        dimension: d.
        noise_level: t; NaN where there is none.
        data: loss and data.
        measured: value; NaN where there is none.
        error: one standard error; NaN where it is not known.
        note: why the value cannot decide; empty where it can.
        missing: whether there is no value because a size has no mean.
    """

    criterion: Criterion
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
        measure = self.criterion.measure
        if measure == "exact_exponent":
            if not self.error <= PRECISE:
                return UNDECIDED
            return HOLDS if abs(self.measured) < PULLS * self.error else FAILS
        low, high = self.criterion.accepted
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


def _absent(test: Criterion, outcomes: tuple[Outcome, ...]) -> Iterator[Outcome]:
    """An outcome for every dimension and noise level that a test lists and that has no value."""
    places = {(outcome.dimension, outcome.noise_level) for outcome in outcomes}
    for dimension in test.dimensions:
        # Without a list of levels any will do.
        anywhere = test.noise_levels is None and any(of == dimension for of, _ in places)
        for level in [np.nan] if test.noise_levels is None else test.noise_levels:
            if not anywhere and (dimension, level) not in places:
                yield Outcome(test, dimension, level, "", np.nan, np.nan, "no data", missing=True)


def load_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file.

    Raises:
        InputError: if it cannot be read or is malformed.
    """
    return parse_claims(load(path, "a claims file is a mapping with the key claims"), str(path))


def parse_claims(content: Mapping[str, Any], file: str) -> list[Claim]:
    """The claims of a file.

    Args:
        content: as YAML has it.
        file: its name, for errors.

    Raises:
        InputError: one sentence for the first thing that is wrong, with the claim's id and the number of the test.
    """
    if not isinstance(items := content.get("claims"), list):
        raise InputError(f"{file}: a claims file is a mapping with the key claims, which holds a list of claims")
    claims = [_claim(item, file, number) for number, item in enumerate(items, 1)]
    for place, claim in enumerate(claims):
        before = [other.id for other in claims[:place]]
        if claim.id in before:
            raise InputError(f"{file}: claim {claim.id} is there twice; every claim needs an id of its own")
        _check_required(claim, before, f"{file}: ")
    return claims


def _claim(item: Any, file: str, number: int) -> Claim:
    """One claim of a file, whose tests are checked one by one."""
    name = f"claim number {number}"
    if isinstance(item, dict) and isinstance(item.get("id"), str):
        name = f"claim {item['id']}"
    place = f"{file}: {name}"
    if not isinstance(item, dict):
        raise InputError(f"{place} is {item!r}; it must be a mapping with id, statement and tests")
    tests = item.get("tests")
    if isinstance(tests, list):
        for count, test in enumerate(tests, 1):
            if not isinstance(test, dict):
                raise InputError(f"{place}, test {count} is {test!r}; it must be a mapping of keys to values")
            validated(Criterion, test, f"{place}, test {count}: ")
    return validated(Claim, item, f"{place}: ")


def _check_required(claim: Claim, before: Collection[str], prefix: str = "") -> None:
    """Refuse a claim that requires one which does not come before it."""
    if absent := [name for name in claim.requires if name not in before]:
        raise InputError(f"{prefix}claim {claim.id} requires {absent[0]}, which does not come before it")


def judge(claims: list[Claim], scaling: pd.DataFrame, summary: xr.Dataset) -> list[Verdict]:
    """Verdicts of all claims.

    Args:
        claims: what is claimed; a claim comes after those that it requires.
        scaling: of `csd.summary.scaling_table`.
        summary: of `csd.summary.aggregate`.

    Raises:
        InputError: for a required claim that does not come before.
    """
    verdicts: dict[str, Verdict] = {}
    for claim in claims:
        _check_required(claim, verdicts)
        outcomes = tuple(tuple(_outcomes(test, claim.about, scaling, summary)) for test in claim.tests)
        verdicts[claim.id] = Verdict(claim, outcomes, tuple(verdicts[name].verdict for name in claim.requires))
    return list(verdicts.values())


def _outcomes(test: Criterion, about: str, scaling: pd.DataFrame, summary: xr.Dataset) -> Iterator[Outcome]:
    """The values of a test, one for each dimension, noise level and kind of data that the study has."""
    values = _from_fits(test, scaling) if test.measure in FITTED else _from_times(test, summary)
    for outcome in values:
        # The population loss is theory's own; it says nothing of training.
        if about == "theory" or not outcome.data.startswith("population"):
            yield outcome


def _from_fits(test: Criterion, scaling: pd.DataFrame) -> Iterator[Outcome]:
    """What fits of measured times say."""
    if "law" not in scaling or "quantity" not in scaling:
        return
    table = scaling.assign(criterion=scaling["criterion"].astype(object).fillna("") if "criterion" in scaling else "")
    chosen = table[
        table["law"].isin([FITTED[test.measure], "none"])
        & (table["quantity"] == test.quantity)
        & (table["criterion"] == test.criterion)
        & (table["architecture"] == test.architecture)
        & (table["mass"] == test.mass)
        & table["dimension"].isin(test.dimensions)
    ]
    if test.noise_levels is not None:
        chosen = chosen[chosen["noise_level"].isin(test.noise_levels)]
    if test.data is not None:
        chosen = chosen[chosen["data"] == test.data]
    for _, row in chosen.iterrows():
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
        return column("exponent"), float(np.hypot(column("error"), column("systematic_error")))
    return column("exponent"), column("error")


def _from_times(test: Criterion, summary: xr.Dataset) -> Iterator[Outcome]:
    """Ratios of training times or parameters, and agreement with the prediction."""
    if "architecture" not in summary:
        return
    own = _runs(summary, test, test.architecture)
    reference = _runs(summary, test, test.reference)
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


def _agreement(where: tuple[Criterion, int, float, str], runs: list[xr.Dataset]) -> Outcome:
    """Agreement with theory of the runs of several sizes."""
    for run in runs:
        if not np.isfinite(_times(run)).all():
            return Outcome(*where, np.nan, np.nan, _late(run), missing=True)
    pairs = [(_times(run), _times(run, "predicted_crossing_time")) for run in runs]
    return _timed(where, *agreement(pairs, exact=_exact(where[3])))


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


def _exact(data: str) -> bool:
    """Whether training has neither minibatches nor a data set, so that a time is exact: the population loss itself."""
    loss, *others = data.split("-")
    return loss == "population" and not any(re.fullmatch(r"[BM]\d+", other) for other in others)


def _timed(where: tuple[Criterion, int, float, str], value: float, error: float) -> Outcome:
    """A value of times, which decides nothing where its error is not known."""
    return Outcome(*where, value, error, "" if np.isfinite(error) else "a single seed gives no error")


def _ratio(where: tuple[Criterion, int, float, str], pair: list[xr.Dataset]) -> Outcome:
    """Parameters or times of one run over those of another."""
    if where[0].measure == "parameter_ratio":
        return Outcome(*where, float(pair[0]["level_parameters"]) / float(pair[1]["level_parameters"]), 0.0)
    times = [_times(run) for run in pair]
    for run, sample in zip(pair, times, strict=True):
        if not np.isfinite(sample).all():
            return Outcome(*where, np.nan, np.nan, _late(run), missing=True)
    quotient = float(times[0].mean() / times[1].mean())
    relative = np.hypot(*(_standard_error(sample, _exact(where[3])) / sample.mean() for sample in times))
    return _timed(where, quotient, quotient * float(relative))


def _standard_error(sample: Any, exact: bool) -> float:
    """Of the mean over seeds, widened by Student's quantile; of a single seed 0 if it is exact, else NaN."""
    if sample.size < 2:
        return 0.0 if exact else float("nan")
    return student(sample.size) * float(sample.std(ddof=1) / np.sqrt(sample.size))


def _late(run: xr.Dataset) -> str:
    """Why there is no mean."""
    return f"at size {int(run['size'])} some seeds did not reach the tolerance"


def _runs(summary: xr.Dataset, test: Criterion, architecture: str | None) -> pd.DataFrame:
    """The runs of an architecture that a test is about."""
    table = summary[["architecture", "dimension", "size", "mass_label", "data"]].to_dataframe()
    chosen = table[
        (table["architecture"] == architecture)
        & (table["mass_label"] == test.mass)
        & table["dimension"].isin(test.dimensions)
    ]
    return chosen if test.data is None else chosen[chosen["data"] == test.data]


def _times(run: xr.Dataset, name: str = "crossing_time") -> Any:
    """Times of a run at one noise level, one for each seed that was trained; NaN if it did not reach the tolerance."""
    ran = np.isfinite(run["score_error"].sel(step=0).values)
    return np.asarray(run[name].values, dtype=float)[ran]


def _bounds(test: Criterion) -> str:
    """The accepted range in words."""
    if test.measure == "exact_exponent":
        return f"within {PULLS:g} errors of at most {PRECISE:g}"
    low, high = test.accepted
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return float(value) if np.isfinite(value) else None


def as_json(verdicts: list[Verdict]) -> str:
    """Verdicts as JSON: for each claim id, statement, verdict, and for each test measured, error, accepted range."""
    content = []
    for verdict in verdicts:
        tests = []
        for test, outcomes in zip(verdict.claim.tests, verdict.rows, strict=True):
            about: dict[str, Any] = {
                "measure": test.measure,
                "quantity": test.quantity,
                "criterion": test.criterion,
                "architecture": test.architecture,
                "reference": test.reference,
                "because": test.because,
                "accepted": [None if bound is None else _finite(bound) for bound in test.accepted],
                "bounds": _bounds(test),
            }
            tests += [
                about
                | {
                    "dimension": outcome.dimension,
                    "noise_level": _finite(outcome.noise_level),
                    "data": outcome.data,
                    "measured": _finite(outcome.measured),
                    "error": _finite(outcome.error),
                    "verdict": outcome.verdict,
                    "note": outcome.note,
                }
                for outcome in outcomes
            ] or [about | {"measured": None, "error": None, "verdict": NOT_TESTED, "note": "no data"}]
        shown = next((test for test in tests if test["verdict"] == verdict.verdict), tests[0])
        content.append(
            {
                "id": verdict.claim.id,
                "statement": verdict.claim.statement,
                "requires": verdict.claim.requires,
                "measured": shown["measured"],
                "error": shown["error"],
                "accepted": shown["accepted"],
                "bounds": shown["bounds"],
                "verdict": verdict.verdict,
                "tests": tests,
            }
        )
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_markdown(verdicts: list[Verdict]) -> str:
    """Verdicts as a Markdown table, a row a test and dimension."""
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
            if not outcomes:
                lines.append(f"| | {name} | | | | | {_bounds(test)} | {NOT_TESTED} |")
            for o in outcomes:
                value = plus_minus(o.measured, o.error) if np.isfinite(o.measured) else ""
                level = f"{o.noise_level:g}" if np.isfinite(o.noise_level) else ""
                where = f"{o.dimension} | {level} | {o.data}"
                why = f": {o.note}" if o.note else ""
                lines.append(f"| | {name} | {where} | {value} | {_bounds(test)} | {o.verdict}{why} |")
    return "\n".join(lines) + "\n"
