"""Claims: what a study says about each, judged from its fits and never from what was expected.

A claim is a list of tests. A test picks groups of runs and a measure, and gives the range that its value must lie in:

    exponent          z of the power law fitted to τ(L)
    evidence          ΔAICc in favour of the log law
    time_ratio        τ over that of a reference architecture, at the largest size that both have
    parameter_ratio   parameters over those of a reference architecture, likewise
    agreement         largest |τ / τ_predicted − 1| over sizes

Times are means over seeds. Where some seeds of a run never came to the tolerance there is none: that of the others
would be too small.

A value holds if it lies in its range with its error bar, fails if it lies outside with its error bar, and is undecided
otherwise. A claim *fails* if a value fails. It *holds* if none does and every test has one that holds in each dimension
and at each noise level that it lists, and is *incomplete* if every test has one that holds, but not in all of these. It
is *not tested* otherwise: a test without data, or with none that decides it, leaves it open.
"""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from csd.config import load
from csd.errors import InputError

HOLDS, FAILS, INCOMPLETE, NOT_TESTED = "holds", "fails", "incomplete", "not tested"


class Criterion(BaseModel):
    """One number, or one a group, that must lie in a range."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: Literal["exponent", "evidence", "time_ratio", "parameter_ratio", "agreement"]
    architecture: str
    reference: str | None = None
    dimensions: list[int]
    noise_levels: list[float] | None = None
    quantity: Literal[
        "training_time", "generation_training_time", "autocorrelation_time", "autocorrelation_updates"
    ] = "training_time"
    mass: str = "mL1"
    data: str | None = None
    accepted: Annotated[list[float | None], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _complete(self) -> "Criterion":
        """A range needs a bound, a ratio something to compare with."""
        if self.accepted == [None, None]:
            raise ValueError("accepted is [null, null]; at least one bound is needed")
        if self.measure.endswith("ratio") and self.reference is None:
            raise ValueError(f"measure {self.measure} needs a reference architecture")
        return self


class Claim(BaseModel):
    """A statement and the tests that it stands or falls with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    statement: str
    tests: Annotated[list[Criterion], Field(min_length=1)]


@dataclass(frozen=True)
class Outcome:
    """One value of one test."""

    criterion: Criterion
    dimension: int
    noise_level: float
    data: str
    measured: float
    error: float

    @property
    def verdict(self) -> str:
        """Of this value alone."""
        low, high = self.criterion.accepted
        lower, upper = self.measured - self.error, self.measured + self.error
        if (low is None or lower >= low) and (high is None or upper <= high):
            return HOLDS
        if (low is not None and upper < low) or (high is not None and lower > high):
            return FAILS
        return NOT_TESTED


@dataclass(frozen=True)
class Verdict:
    """A claim, the values of its tests, and what they amount to."""

    claim: Claim
    outcomes: tuple[tuple[Outcome, ...], ...]

    @property
    def verdict(self) -> str:
        """'holds', 'fails', 'incomplete' or 'not tested'."""
        each = [[outcome.verdict for outcome in of_test] for of_test in self.outcomes]
        if any(verdict == FAILS for of_test in each for verdict in of_test):
            return FAILS
        if any(HOLDS not in of_test for of_test in each):
            return NOT_TESTED
        complete = all(
            _places(test) <= {place for outcome in of_test if outcome.verdict == HOLDS for place in _place(outcome)}
            for test, of_test in zip(self.claim.tests, self.outcomes, strict=True)
        )
        return HOLDS if complete else INCOMPLETE


def _places(test: Criterion) -> set[tuple[int, float | None]]:
    """The dimensions and noise levels that a test lists; None for any level."""
    levels: list[float | None] = [None] if test.noise_levels is None else [*test.noise_levels]
    return set(product(test.dimensions, levels))


def _place(outcome: Outcome) -> set[tuple[int, float | None]]:
    """Where a value is from, at its level and at any."""
    return {(outcome.dimension, outcome.noise_level), (outcome.dimension, None)}


def load_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file.

    Raises:
        InputError: if it cannot be read or is malformed.
    """
    content = load(path)
    if not isinstance(content.get("claims"), list):
        raise InputError(f"{path}: the key 'claims' is missing; it must hold a list of claims")
    try:
        claims = [Claim.model_validate(item) for item in content["claims"]]
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: claims.{key} is {first['input']!r}: {first['msg']}") from error
    return claims


def judge(claims: list[Claim], scaling: pd.DataFrame, summary: xr.Dataset) -> list[Verdict]:
    """Verdicts of all claims.

    Args:
        claims: what is claimed.
        scaling: of `csd.summary.scaling_table`.
        summary: of `csd.summary.aggregate`.
    """
    return [Verdict(claim, tuple(tuple(_outcomes(test, scaling, summary)) for test in claim.tests)) for claim in claims]


def _outcomes(test: Criterion, scaling: pd.DataFrame, summary: xr.Dataset) -> list[Outcome]:
    """The values of a test, one for each dimension, noise level and kind of data that the study has."""
    if test.measure in ("exponent", "evidence"):
        return _from_fits(test, scaling)
    return _from_times(test, summary)


def _from_fits(test: Criterion, scaling: pd.DataFrame) -> list[Outcome]:
    """Exponents, or evidence for the log law, of measured training times."""
    if "exponent" not in scaling:
        return []
    chosen = scaling[
        (scaling["law"] == "power")
        & (scaling["quantity"] == test.quantity)
        & (scaling["architecture"] == test.architecture)
        & (scaling["mass"] == test.mass)
        & scaling["dimension"].isin(test.dimensions)
    ]
    if test.noise_levels is not None:
        chosen = chosen[chosen["noise_level"].isin(test.noise_levels)]
    if test.data is not None:
        chosen = chosen[chosen["data"] == test.data]
    return [
        Outcome(
            test,
            int(row["dimension"]),
            float(row["noise_level"]),
            str(row["data"]),
            float(row[test.measure]),
            float(row["error"]) if test.measure == "exponent" else 0.0,
        )
        for _, row in chosen.iterrows()
    ]


def _from_times(test: Criterion, summary: xr.Dataset) -> list[Outcome]:
    """Ratios of training times or parameters, and agreement with the prediction."""
    outcomes = []
    own = _runs(summary, test, test.architecture)
    for (dimension, data), rows in own.groupby(["dimension", "data"], sort=False):
        for level in test.noise_levels or []:
            if level not in summary["noise_level"].values:
                continue
            value = _value(test, summary.sel(noise_level=level), rows, _runs(summary, test, test.reference), data)
            if value is not None:
                outcomes.append(Outcome(test, int(dimension), level, str(data), *value))
    return outcomes


def _runs(summary: xr.Dataset, test: Criterion, architecture: str | None) -> pd.DataFrame:
    """The runs of an architecture that a test is about."""
    table = summary[["architecture", "dimension", "size", "mass_label", "data"]].to_dataframe()
    chosen = table[
        (table["architecture"] == architecture)
        & (table["mass_label"] == test.mass)
        & table["dimension"].isin(test.dimensions)
    ]
    return chosen if test.data is None else chosen[chosen["data"] == test.data]


def _value(
    test: Criterion, summary: xr.Dataset, rows: pd.DataFrame, reference: pd.DataFrame, data: str
) -> tuple[float, float] | None:
    """(value, error) of a measure at one noise level; None without data."""
    if test.measure == "agreement":
        deviations = []
        for run in rows.index:
            own = summary.isel(run=int(run))
            times, ran = _times(own)
            # As with fits, a size that no seed came to the tolerance at is left out.
            if np.isfinite(times).any():
                predicted = own["predicted_training_time"].values[ran].mean()
                deviations.append(abs(float(times.mean() / predicted) - 1.0))
        values = np.array(deviations)
        return (float(values.max()), 0.0) if values.size and np.isfinite(values).all() else None
    reference = reference[(reference["dimension"] == rows["dimension"].iloc[0]) & (reference["data"] == data)]
    shared = set(rows["size"]) & set(reference["size"])
    if not shared:
        return None
    largest = max(shared)
    pair = [summary.isel(run=int(table.index[table["size"] == largest][0])) for table in (rows, reference)]
    if test.measure == "parameter_ratio":
        return float(pair[0]["level_parameters"]) / float(pair[1]["level_parameters"]), 0.0
    times = [_times(of)[0] for of in pair]
    if not all(sample.size and np.isfinite(sample).all() for sample in times):
        return None
    quotient = float(times[0].mean() / times[1].mean())
    relative = sum(float(sample.std(ddof=1) / sample.mean()) ** 2 / sample.size for sample in times if sample.size > 1)
    return quotient, quotient * float(np.sqrt(relative))


def _times(run: xr.Dataset) -> tuple[Any, Any]:
    """(training times of the seeds of a run, NaN where one never came to the tolerance; which seeds were run)."""
    ran = np.isfinite(run["score_error"].sel(step=0).values)
    return np.asarray(run["training_time"].values, dtype=float)[ran], ran


def _bounds(test: Criterion) -> str:
    """The accepted range in words."""
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
        for test, outcomes in zip(verdict.claim.tests, verdict.outcomes, strict=True):
            about: dict[str, Any] = {
                "measure": test.measure,
                "quantity": test.quantity,
                "architecture": test.architecture,
                "reference": test.reference,
                "accepted": [None if bound is None else _finite(bound) for bound in test.accepted],
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
                }
                for outcome in outcomes
            ] or [about | {"measured": None, "error": None, "verdict": NOT_TESTED}]
        shown = next((test for test in tests if test["verdict"] == verdict.verdict), tests[0])
        content.append(
            {
                "id": verdict.claim.id,
                "statement": verdict.claim.statement,
                "measured": shown["measured"],
                "error": shown["error"],
                "accepted": shown["accepted"],
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
        lines.append(f"| **{verdict.claim.id}** | {statement} | | | | | | **{verdict.verdict}** |")
        for test, outcomes in zip(verdict.claim.tests, verdict.outcomes, strict=True):
            of = "" if test.quantity == "training_time" else f" of {test.quantity.replace('_', ' ')}"
            name = f"{test.measure}{of} of {test.architecture}" + (f" over {test.reference}" if test.reference else "")
            if not outcomes:
                lines.append(f"| | {name} | | | | | {_bounds(test)} | {NOT_TESTED} |")
            for o in outcomes:
                value = f"{o.measured:.4g}" + (f" ± {o.error:.2g}" if o.error else "")
                level = f"{o.noise_level:g}" if np.isfinite(o.noise_level) else ""
                where = f"{o.dimension} | {level} | {o.data}"
                lines.append(f"| | {name} | {where} | {value} | {_bounds(test)} | {o.verdict} |")
    return "\n".join(lines) + "\n"
