"""Verdicts: decided by the numbers and their errors alone, so that wrong physics fails and a lack of data is said."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from csd.core.errors import InputError
from csd.core.files import write
from csd.diffusion.discretisation import COMPARED
from csd.study.claims import Claim, ClaimTest
from csd.study.claims import load_claims as load
from csd.study.config.reading import load as load_study
from csd.study.config.reading import parse
from csd.study.nested_law import fit_nested_law, systematic_error
from csd.study.scaling import fit_log_law, fit_power_law, seed_errors
from csd.study.seeds import student
from csd.study.stages.monte_carlo import monte_carlo_jobs
from csd.study.stages.phases import phases_jobs
from csd.study.stages.scores import scores_jobs
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.laws import fitted_laws, training_table
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import (
    FAILS,
    HOLDS,
    INCOMPLETE,
    NOT_TESTED,
    SPAN,
    UNDECIDED,
    Outcome,
    Verdict,
    agreement,
    as_json,
    as_markdown,
    judge,
)
from tests.helpers import ROOT, train_files

OURS = load(ROOT / "config" / "claims.yaml")
NO_SUMMARY = xr.Dataset()


def criterion(**keys: Any) -> ClaimTest:
    """A test of the exponent of `one_layer` between 1.9 and 2.1 in one dimension at t = 0.1, but for these keys."""
    about = {"measure": "exponent", "architecture": "one_layer", "dimensions": [1], "noise_levels": [0.1]}
    about |= {"accepted": [1.9, 2.1]} | keys
    return ClaimTest.model_validate(
        about | {"because": None if about["noise_levels"] is None else "a test asks for it"}
    )


def claim(*tests: ClaimTest, name: str = "X", **keys: Any) -> Claim:
    """A claim of these tests."""
    return Claim(id=name, statement="Whatever it says.", tests=list(tests), **keys)


def fits(*rows: dict[str, Any]) -> pd.DataFrame:
    """A scaling table whose rows are power laws of `one_layer` with z = 2.00 ± 0.01, but for these keys."""
    about = {
        "study": "line",
        "architecture": "one_layer",
        "dimension": 1,
        "mass": "mL1",
        "data": "implicit-B64",
        "loss": "implicit",
        "noise_level": 0.1,
        "quantity": "training_time",
        "criterion": "",
        "law": "power",
        "exponent": 2.0,
        "error": 0.01,
        "systematic_error": np.nan,
        "evidence": np.nan,
        "evidence_error": np.nan,
        "reference": np.nan,
        "sizes": "8 16 32 64",
        "note": "",
    }
    return pd.DataFrame([about | row for row in rows])


def verdict_of(tests: Sequence[ClaimTest], scaling: pd.DataFrame, summary: xr.Dataset = NO_SUMMARY) -> str:
    """The verdict of one claim."""
    return judge([claim(*tests)], scaling, summary)[0].verdict


# One value and its error.


@pytest.mark.parametrize(
    ("accepted", "measured", "error", "expected"),
    [
        ([1.9, 2.1], 2.0, 0.0, HOLDS),
        ([1.9, 2.1], 2.0, 0.05, HOLDS),
        ([1.9, 2.1], 1.9, 0.0, HOLDS),
        ([1.9, 2.1], 2.1, 0.0, HOLDS),
        ([1.9, 2.1], 2.0, 0.06, UNDECIDED),
        ([1.9, 2.1], 2.09, 0.02, UNDECIDED),
        ([1.9, 2.1], 1.89, 0.02, UNDECIDED),
        ([1.9, 2.1], 2.0, 5.0, UNDECIDED),
        ([1.9, 2.1], 2.2, 0.06, UNDECIDED),
        ([1.9, 2.1], 2.2, 0.04, FAILS),
        ([1.9, 2.1], 1.8, 0.04, FAILS),
        ([1.9, 2.1], 0.2, 0.0, FAILS),
        ([1.9, 2.1], np.nan, 0.0, UNDECIDED),
        ([1.9, 2.1], 2.0, np.nan, UNDECIDED),
        ([1.9, 2.1], np.inf, 0.0, FAILS),
        ([None, 0.35], -100.0, 1.0, HOLDS),
        ([None, 0.35], 0.3, 0.1, UNDECIDED),
        ([None, 0.35], 2.0, 0.1, FAILS),
        ([None, 0.35], np.nan, 0.1, UNDECIDED),
    ],
)
def test_a_value_is_judged_with_two_errors(
    accepted: list[float | None], measured: float, error: float, expected: str
) -> None:
    assert Outcome(criterion(accepted=accepted), 1, 0.1, "implicit-B64", measured, error).verdict == expected


def outcome(measure: str, measured: float, error: float) -> str:
    """The verdict of a value of a measure that has its range by itself."""
    test = ClaimTest(measure=measure, architecture="two_layer", dimensions=[1])  # type: ignore[arg-type]
    return Outcome(test, 1, 0.1, "implicit-B64", measured, error).verdict


@pytest.mark.parametrize("measure", ["log", "constant"])
def test_a_logarithm_and_a_constant_are_0_within_a_tenth(measure: str) -> None:
    """|z| + 2σ ≤ 0.1 holds, |z| − 2σ > 0.1 fails."""
    for sign in (-1.0, 1.0):
        assert outcome(measure, sign * 0.06, 0.019) == HOLDS
        assert outcome(measure, sign * 0.06, 0.021) == UNDECIDED
        assert outcome(measure, sign * 0.15, 0.026) == UNDECIDED
        assert outcome(measure, sign * 0.15, 0.024) == FAILS


def test_evidence_counts_from_ten_either_way() -> None:
    assert [outcome("evidence", value, 1.0) for value in (11.5, 10.5, 5.0, 0.0, -5.0, -10.5, -11.5)] == [
        HOLDS,
        *[UNDECIDED] * 5,
        FAILS,
    ]
    assert outcome("evidence", np.nan, 0.0) == outcome("evidence", 50.0, np.nan) == UNDECIDED


def test_an_exact_exponent_is_compared_by_its_pull() -> None:
    assert outcome("exact_exponent", 0.05, 0.02) == HOLDS
    assert outcome("exact_exponent", 0.07, 0.02) == FAILS
    assert outcome("exact_exponent", -0.07, 0.02) == FAILS
    assert outcome("exact_exponent", 0.0, 0.11) == outcome("exact_exponent", 0.0, np.nan) == UNDECIDED


H, F, U, M = (2.0, 0.01), (1.0, 0.01), (2.0, 0.5), None
"""(z, error) that holds, fails, is undecided against 1.9 to 2.1; a size without all its seeds."""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[H]], HOLDS),
        ([[F]], FAILS),
        ([[U]], UNDECIDED),
        ([[M]], INCOMPLETE),
        ([[]], NOT_TESTED),
        ([[], []], NOT_TESTED),
        ([[H, H], [H]], HOLDS),
        ([[H, F]], FAILS),
        ([[F, U]], FAILS),
        ([[F, M]], FAILS),
        ([[H], [F]], FAILS),
        ([[F], []], FAILS),
        ([[H], [U]], UNDECIDED),
        ([[H], [M]], INCOMPLETE),
        ([[U], [M]], INCOMPLETE),
        ([[H], []], INCOMPLETE),
        ([[U], []], INCOMPLETE),
        ([[U, U], [H, H]], UNDECIDED),
        ([[H, U], [H]], UNDECIDED),
    ],
)
def test_a_claim_is_what_its_values_make_it(values: list[list[tuple[float, float] | None]], expected: str) -> None:
    """Fails if a value fails; else incomplete if one is missing; undecided if one is; holds only if all do."""
    tests = [criterion() for _ in values]
    outcomes = tuple(
        tuple(
            Outcome(test, 1, 0.1, "implicit-B64", *(value or (np.nan, np.nan)), "", missing=value is None)
            for value in own
        )
        for test, own in zip(tests, values, strict=True)
    )
    assert Verdict(claim(*tests), outcomes).verdict == expected


@pytest.mark.parametrize(
    ("own", "required", "expected"),
    [
        (H, H, HOLDS),
        (H, F, FAILS),
        (H, U, UNDECIDED),
        (H, None, INCOMPLETE),
        (F, H, FAILS),
        (U, F, FAILS),
        (None, F, NOT_TESTED),
    ],
)
def test_a_claim_is_at_best_what_it_requires(own: Any, required: Any, expected: str) -> None:
    first = claim(criterion(architecture="two_layer"), name="C3")
    second = claim(criterion(), name="C4", requires=["C3"])
    rows = [
        {"architecture": name, "exponent": value[0], "error": value[1]}
        for name, value in (("two_layer", required), ("one_layer", own))
        if value is not None
    ]
    table = fits(*rows) if rows else pd.DataFrame()
    assert judge([first, second], table, NO_SUMMARY)[1].verdict == expected
    with pytest.raises(InputError, match="requires C3"):
        judge([second, first], table, NO_SUMMARY)


# Which fits a test is about.


@pytest.mark.parametrize(
    "other",
    [
        {"architecture": "two_layer"},
        {"dimension": 2},
        {"mass": "m0.5"},
        {"noise_level": 0.5},
        {"quantity": "predicted_training_time"},
        {"quantity": "generation_training_time", "noise_level": np.nan},
        {"law": "log"},
    ],
    ids=lambda other: " ".join(map(str, other.values())),
)
def test_only_fits_of_what_is_claimed_count(other: dict[str, Any]) -> None:
    wrong = {"exponent": 1.0, **other}
    assert verdict_of([criterion()], fits({})) == HOLDS
    assert verdict_of([criterion()], fits({"exponent": 1.0})) == FAILS
    assert verdict_of([criterion()], fits({}, wrong)) == HOLDS
    assert verdict_of([criterion()], fits(wrong)) == NOT_TESTED


def test_every_dimension_level_and_kind_of_data_that_is_there_counts() -> None:
    test = criterion(dimensions=[1, 2], noise_levels=[0.1, 0.5])
    for bad in ({"dimension": 2}, {"noise_level": 0.5}, {"data": "implicit-B1024"}, {"study": "other"}):
        table = fits({}, {**bad, "exponent": 3.0})
        assert verdict_of([test], table) == FAILS
        assert len(judge([claim(test)], table, NO_SUMMARY)[0].outcomes[0]) == 2
    assert verdict_of([criterion(data="implicit-B64")], fits({}, {"data": "other", "exponent": 3.0})) == HOLDS
    assert verdict_of([criterion(noise_levels=None)], fits({}, {"noise_level": 7.0, "exponent": 3.0})) == FAILS


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [("momentum", 0.9, "momentum0.9"), ("path", "fields", "fields"), ("target", "mine:Target", "mine.Target")],
)
def test_a_test_is_about_default_options_unless_it_names_others(name: str, value: Any, label: str) -> None:
    usual = {"target": "gaussian", "schedule": "vp", "momentum": 0.0, "path": "spectral"}
    other = usual | {name: value, "data": f"implicit-B64-{label}", "exponent": 3.0}
    table = fits(usual, other)
    assert verdict_of([criterion()], table) == HOLDS
    assert verdict_of([criterion(**{name: value})], table) == FAILS
    assert verdict_of([criterion(data=other["data"])], table) == FAILS
    assert len(judge([claim(criterion(**{name: [usual[name], value]}))], table, NO_SUMMARY)[0].outcomes[0]) == 2
    (found,) = json.loads(as_json(judge([claim(criterion(**{name: value}))], table, NO_SUMMARY)))
    assert found["tests"][0][name] == [value]


def test_networks_that_train_on_raw_fields_alone_are_tested_on_them() -> None:
    fields = {"architecture": "one_layer_onsite", "path": "fields", "exponent": 3.0}
    table = fits({"path": "spectral"}, fields)
    assert verdict_of([criterion()], table) == HOLDS
    assert verdict_of([criterion(architecture="one_layer_onsite")], table) == FAILS


def test_the_population_loss_on_fields_is_a_training() -> None:
    """Full-batch descent on a measured spectrum, random by its fields: undecided if all seeds learn the same ones."""
    own = {"data": "population-M100-data", "loss": "population", "target": "data", "same_fields": 0}
    test = criterion(target="data")
    assert verdict_of([test], fits(own)) == HOLDS
    assert verdict_of([test], fits(own | {"exponent": 1.0})) == FAILS
    assert verdict_of([test], fits(own | {"same_fields": 1})) == UNDECIDED
    assert verdict_of([test], fits(own | {"same_fields": 1, "exponent": 1.0})) == UNDECIDED
    # Minibatches of the same fields scatter, and count as before.
    assert verdict_of([test], fits(own | {"same_fields": 1, "loss": "implicit"})) == HOLDS
    assert verdict_of([test], fits(own | {"target": "gaussian"})) == NOT_TESTED


def test_the_population_loss_decides_nothing_about_training() -> None:
    """Theory's own loss may support a claim about theory."""
    for z, verdict in ((2.0, HOLDS), (1.0, FAILS)):
        table = fits({"data": "population", "loss": "population", "exponent": z})
        assert verdict_of([criterion()], table) == NOT_TESTED
        assert judge([claim(criterion(), about="theory")], table, NO_SUMMARY)[0].verdict == verdict
    # Nor does the population loss over a data set.
    assert (
        verdict_of([criterion()], fits({}, {"data": "population-M32", "loss": "population", "exponent": 1.0})) == HOLDS
    )


MEASURES = ("log", "power", "constant", "power_log", "exponent", "evidence")
LAWS = {"log": "boxcox", "power": "boxcox", "power_log": "power_log"}


def growing(measure: str, **keys: Any) -> str:
    """The verdict on a row that would hold by its numbers, but for these keys."""
    zero = measure in ("log", "constant")
    test = criterion(measure=measure, accepted=[-0.1, 0.1] if zero else [1.9, 2.1])
    if measure == "evidence":
        test = criterion(measure=measure, accepted=[10.0, None])
    row = {"law": LAWS.get(measure, "power"), "exponent": 0.0 if zero else 2.0, "systematic_error": 0.01}
    return verdict_of([test], fits(row | {"evidence": 20.0, "evidence_error": 1.0} | keys))


@pytest.mark.parametrize("measure", MEASURES)
def test_growth_over_less_than_a_factor_of_eight_is_undecided(measure: str) -> None:
    assert growing(measure) == HOLDS
    assert growing(measure, sizes="8 16 32 63") == UNDECIDED
    assert growing(measure, sizes="8 12 16 24 32", exponent=7.0, evidence=-50.0) == UNDECIDED


def test_three_sizes_give_no_systematic_error_and_decide_nothing() -> None:
    for measure in ("log", "power"):
        assert growing(measure, sizes="8 16 64", systematic_error=np.nan) == UNDECIDED
        assert growing(measure, sizes="8 16 64", systematic_error=np.nan, exponent=9.0) == UNDECIDED
    (found,) = judge(
        [claim(criterion(measure="log", accepted=[-0.1, 0.1]))],
        fits({"law": "boxcox", "sizes": "8 16 64", "exponent": 0.0}),
        NO_SUMMARY,
    )
    assert found.outcomes[0][0].note == "three sizes give no systematic error"


def test_the_error_of_z_is_statistical_and_systematic() -> None:
    """0.03 and 0.04 in quadrature are 0.05."""
    for z, expected in ((0.0, HOLDS), (0.01, UNDECIDED), (0.19, UNDECIDED), (0.21, FAILS)):
        table = fits({"law": "boxcox", "exponent": z, "error": 0.03, "systematic_error": 0.04})
        assert verdict_of([criterion(measure="log", accepted=[-0.1, 0.1])], table) == expected


def test_a_size_without_all_its_seeds_is_incomplete() -> None:
    none = {"law": "none", "exponent": np.nan, "error": np.nan, "note": "at size 64 some seeds did not"}
    for measure in MEASURES:
        assert growing(measure, **none) == INCOMPLETE
        # Two sizes were too few in any case; one was never meant to be a law.
        assert growing(measure, **none, sizes="8 64") == UNDECIDED
        assert growing(measure, **none, sizes="8") == NOT_TESTED


def test_a_criterion_picks_its_rows() -> None:
    keys = {"quantity": "generation_training_time", "noise_levels": None}
    test = criterion(**keys, criterion="total_kl")
    row = {"quantity": "generation_training_time", "noise_level": np.nan}
    good, bad = {**row, "criterion": "total_kl"}, {**row, "criterion": "kl_per_site", "exponent": 7.0}
    assert verdict_of([test], fits(good, bad)) == HOLDS
    assert verdict_of([test], fits(bad)) == NOT_TESTED
    for wrong in ({}, {"criterion": "kl"}):
        with pytest.raises(ValueError, match="criterion"):
            criterion(**keys, **wrong)


def test_noise_levels_are_chosen_for_a_reason() -> None:
    about = {"measure": "log", "architecture": "two_layer", "dimensions": [1]}
    with pytest.raises(ValueError, match="noise_levels and because"):
        ClaimTest.model_validate(about | {"noise_levels": [0.1]})
    assert ClaimTest.model_validate(about | {"noise_levels": [0.1], "because": "of this"}).noise_levels == [0.1]


def test_a_study_without_any_fit_tests_nothing() -> None:
    """One size: the table has rows without a law, or none at all."""
    none = {"law": "none", "exponent": np.nan, "sizes": "8", "note": "one size"}
    assert verdict_of([criterion()], fits(none)) == NOT_TESTED
    assert verdict_of([criterion()], pd.DataFrame()) == NOT_TESTED


# Ratios and agreement, from the times themselves.


def summary_of(*runs: dict[str, Any]) -> xr.Dataset:
    """A summary of runs at noise level 0.1, with the times of some seeds, predicted times and parameters."""
    seeds = max(len(run["times"]) for run in runs)
    columns = {
        "architecture": [run.get("architecture", "one_layer") for run in runs],
        "dimension": [run.get("dimension", 1) for run in runs],
        "size": [run["size"] for run in runs],
        "mass_label": [run.get("mass", "mL1") for run in runs],
        "data": [run.get("data", "implicit-B1024") for run in runs],
        "loss": [run.get("loss", "implicit") for run in runs],
        "data_set": [run.get("data_set", 0) for run in runs],
        "sweep": ["line"] * len(runs),
    }
    times = np.full((len(runs), seeds, 1), np.nan)
    # NaN for seeds that were not run; NaN among the times is one that never reached the tolerance.
    ran = np.full((len(runs), seeds), np.nan)
    for row, run in enumerate(runs):
        times[row, : len(run["times"]), 0] = run["times"]
        ran[row, : len(run["times"])] = 1.0
    predicted = np.array([[[run.get("predicted", np.nan)]] * seeds for run in runs], dtype=float)
    parameters = np.array([[run.get("parameters", 1)] for run in runs], dtype=float)
    return xr.Dataset(
        {
            **{name: ("run", np.array(values, dtype=object)) for name, values in columns.items() if name != "size"},
            "dimension": ("run", columns["dimension"]),
            "size": ("run", columns["size"]),
            "score_error": (("run", "seed", "noise_level", "step"), ran[:, :, None, None]),
            "crossing_time": (("run", "seed", "noise_level"), times),
            "predicted_crossing_time": (("run", "seed", "noise_level"), predicted),
            "level_parameters": (("run", "noise_level"), parameters),
        },
        {"seed": np.arange(seeds), "noise_level": [0.1], "step": [0]},
    )


def measured(test: ClaimTest, summary: xr.Dataset) -> list[tuple[float, float]]:
    """Values and errors of a test."""
    (outcomes,) = judge([claim(test)], pd.DataFrame(), summary)[0].outcomes
    return [(outcome.measured, outcome.error) for outcome in outcomes]


RATIO = criterion(measure="time_ratio", architecture="two_layer", reference="one_layer", accepted=[None, 0.1])


def test_the_ratio_of_times_is_at_the_largest_size_of_both() -> None:
    summary = summary_of(
        {"size": 8, "times": [100.0] * 2},
        {"size": 16, "times": [400.0] * 2},
        {"size": 64, "times": [6400.0] * 2},
        {"architecture": "two_layer", "size": 16, "times": [20.0] * 2},
        {"architecture": "two_layer", "size": 8, "times": [19.0] * 2},
        {"architecture": "two_layer", "size": 32, "times": [30.0] * 2},
    )
    assert measured(RATIO, summary) == [(0.05, 0.0)]
    assert verdict_of([RATIO], pd.DataFrame(), summary) == HOLDS


def test_the_error_of_a_ratio_is_that_of_independent_means() -> None:
    """τ₁ = 20 ± 2/√4 and τ₂ = 200 ± 10/√3: relative errors 0.05 and 0.0289 in quadrature; none if a seed never came."""
    one = 20.0 + 2.0 * np.array([1.0, -1.0, 1.0, -1.0]) * np.sqrt(3.0 / 4.0)
    two = 200.0 + np.array([10.0, 0.0, -10.0])
    own = {"architecture": "two_layer", "size": 8, "times": one}
    summary = summary_of({"size": 8, "times": two}, own)
    ((value, error),) = measured(RATIO, summary)
    assert value == pytest.approx(0.1)
    assert error == pytest.approx(0.1 * np.hypot(0.05 * student(4), 0.05 / np.sqrt(3.0) * student(3)))
    assert verdict_of([RATIO], pd.DataFrame(), summary) == UNDECIDED
    late = summary_of({"size": 8, "times": [*two, np.nan]}, own)
    assert verdict_of([RATIO], pd.DataFrame(), late) == INCOMPLETE


@pytest.mark.parametrize(
    "other",
    [
        {"size": 16},
        {"dimension": 2},
        {"data": "implicit-B64"},
        {"mass": "m0.5"},
        {"architecture": "exact"},
    ],
    ids=lambda other: " ".join(map(str, other.values())),
)
def test_a_ratio_needs_both_of_one_kind(other: dict[str, Any]) -> None:
    reference = {"size": 8, "times": [100.0, 100.0]}
    own = {"architecture": "two_layer", "size": 8, "times": [5.0, 5.0]}
    assert verdict_of([RATIO], pd.DataFrame(), summary_of(reference, own)) == HOLDS
    assert verdict_of([RATIO], pd.DataFrame(), summary_of({**reference, **other}, own)) == NOT_TESTED


def test_a_ratio_at_a_level_that_was_not_trained_is_not_tested() -> None:
    summary = summary_of({"size": 8, "times": [100.0]}, {"architecture": "two_layer", "size": 8, "times": [5.0]})
    elsewhere = RATIO.model_copy(update={"noise_levels": [0.5]})
    assert verdict_of([elsewhere], pd.DataFrame(), summary) == NOT_TESTED


def test_the_ratio_of_parameters() -> None:
    test = RATIO.model_copy(update={"measure": "parameter_ratio", "accepted": [None, 1.0]})
    few = {"architecture": "two_layer", "size": 8, "times": [5.0], "parameters": 6}
    assert measured(test, summary_of({"size": 8, "times": [9.0], "parameters": 8}, few)) == [(0.75, 0.0)]
    assert verdict_of([test], pd.DataFrame(), summary_of({"size": 8, "times": [9.0], "parameters": 5}, few)) == FAILS


def test_agreement_is_the_worst_over_sizes_of_the_mean_over_seeds() -> None:
    """With the largest error of any size: 100 ± 10/√2 widened for two seeds, against 100."""
    test = criterion(measure="agreement", accepted=[None, 0.05])
    good = {"size": 8, "times": [100.0, 100.0], "predicted": 100.0}
    assert measured(test, summary_of(good)) == [(0.0, 0.0)]
    assert measured(test, summary_of(good, {"size": 16, "times": [380.0] * 2, "predicted": 400.0})) == [
        (pytest.approx(0.05), 0.0)
    ]
    scattered = {"size": 8, "times": [90.0, 110.0], "predicted": 100.0}
    assert measured(test, summary_of(scattered)) == [(0.0, pytest.approx(0.1 * student(2)))]
    assert verdict_of([test], pd.DataFrame(), summary_of(scattered)) == UNDECIDED
    assert verdict_of(
        [test], pd.DataFrame(), summary_of(good, {"size": 16, "times": [500.0] * 2, "predicted": 400.0})
    ) == (FAILS)
    for never in ([np.nan, np.nan], [400.0, np.nan]):
        late = {"size": 16, "times": never, "predicted": 400.0}
        assert verdict_of([test], pd.DataFrame(), summary_of(good, late)) == INCOMPLETE


@pytest.mark.parametrize(
    ("loss", "data_set", "expected"),
    [("implicit", 0, UNDECIDED), ("population", 32, UNDECIDED), ("population", 0, HOLDS)],
)
def test_a_single_seed_decides_only_where_training_is_not_random(loss: str, data_set: int, expected: str) -> None:
    """Its time has no error, which is not an error of 0; the population loss itself has no noise."""
    agrees = criterion(measure="agreement", accepted=[None, 0.05])
    data = {"loss": loss, "data_set": data_set}
    for seeds, verdict in ((1, expected), (2, HOLDS)):
        rows: list[dict[str, Any]] = [
            {"size": 8, "times": [100.0] * seeds, "predicted": 100.0, **data},
            {"architecture": "two_layer", "size": 8, "times": [5.0] * seeds, **data},
        ]
        for test in (RATIO, agrees):
            (found,) = judge([claim(test, about="theory")], pd.DataFrame(), summary_of(*rows))
            assert found.verdict == verdict
            assert [outcome.note for outcome in found.outcomes[0]] == [
                "a single seed gives no error" if verdict == UNDECIDED else ""
            ]
    # One size with a single seed leaves the worst of all sizes without an error.
    more = [{"size": size, "times": [100.0] * n, "predicted": 100.0, **data} for size, n in ((16, 1), (32, 2))]
    assert judge([claim(agrees, about="theory")], pd.DataFrame(), summary_of(*more))[0].verdict == expected


def test_a_seeds_start_is_in_its_prediction_too() -> None:
    """Seeds that scatter by 10 % as theory says they do agree with it to the last digit."""
    times = np.array([90.0, 100.0, 110.0])
    assert agreement([(times, times)]) == (0.0, 0.0)
    value, error = agreement([(1.02 * times, times)])
    assert (value, error) == (pytest.approx(0.02), pytest.approx(0.0, abs=1e-12))


def test_a_claim_that_lacks_some_of_what_it_lists_is_incomplete() -> None:
    test = criterion(dimensions=[1, 2], noise_levels=[0.1, 0.5])
    everywhere = [{"dimension": d, "noise_level": t} for d in (1, 2) for t in (0.1, 0.5)]
    assert verdict_of([test], fits(*everywhere)) == HOLDS
    assert verdict_of([test], fits(*everywhere[:3])) == INCOMPLETE
    assert verdict_of([test], fits(*everywhere[:3], {**everywhere[3], "error": 0.5})) == UNDECIDED
    assert verdict_of([test], fits(*everywhere[:3], {**everywhere[3], "exponent": 1.0})) == FAILS
    assert verdict_of([test, criterion(architecture="two_layer")], fits(*everywhere)) == INCOMPLETE
    anywhere = criterion(dimensions=[1, 2], noise_levels=None)
    assert verdict_of([anywhere], fits({"dimension": 2, "noise_level": 7.0})) == INCOMPLETE
    assert verdict_of([anywhere], fits({}, {"dimension": 2, "noise_level": 7.0})) == HOLDS


def test_what_is_missing_has_a_row() -> None:
    """In the table and in JSON: the dimension, or the noise level, and that there is no data."""
    test = criterion(dimensions=[1, 2], noise_levels=None)
    judged = judge([claim(test)], fits({}), NO_SUMMARY)
    assert [(cells(line)[2], cells(line)[-1]) for line in as_markdown(judged).splitlines()[3:]] == [
        ("1", "holds"),
        ("2", "incomplete: no data"),
    ]
    (item,) = strict(as_json(judged))
    assert [(row["dimension"], row["verdict"], row["note"]) for row in item["tests"]] == [
        (1, HOLDS, ""),
        (2, INCOMPLETE, "no data"),
    ]
    assert (item["verdict"], item["measured"], item["tests"][1]["measured"]) == (INCOMPLETE, None, None)
    levels = judge([claim(criterion(noise_levels=[0.1, 0.5]))], fits({}), NO_SUMMARY)
    assert [(row["noise_level"], row["verdict"]) for row in strict(as_json(levels))[0]["tests"]] == [
        (0.1, HOLDS),
        (0.5, INCOMPLETE),
    ]
    # A claim that has no data at all is not tested, in one row.
    (nothing,) = strict(as_json(judge([claim(test)], pd.DataFrame(), NO_SUMMARY)))
    assert [row["verdict"] for row in nothing["tests"]] == [NOT_TESTED]


# Real trainings: what holds, and what fails when the physics is wrong.

LINE = {"dimension": 1, "sizes": [4, 8, 16, 32, 64, 128], "architectures": ["one_layer", "two_layer"]}
STUDY = {
    "study": "claims",
    "training": {"noise_levels": [0.01, 0.1], "seeds": [1, 2], "loss": "population"},
    "sweeps": {"line": LINE},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training files of one and two layers on the critical line, on the exact loss."""
    made = tmp_path_factory.mktemp("training")
    train_files(training_jobs(parse(STUDY)), made)
    return made


def summary_at(folder: Path, sizes: Sequence[int]) -> xr.Dataset:
    """The summary of some of the sizes."""
    runs: list[TrainingJob] = [run for run in training_jobs(parse(STUDY)) if run.size in sizes]
    return aggregate_training(runs, folder)


def relabelled(summary: xr.Dataset, names: dict[str, str]) -> xr.Dataset:
    """The summary with the architectures' names exchanged for others."""
    labels = np.array([names[name] for name in summary["architecture"].values], dtype=object)
    return summary.assign(architecture=("run", labels))


def verdicts(summary: xr.Dataset) -> dict[str, str]:
    """Verdicts of our claims, in the one dimension that the runs here have, taken for claims about theory."""
    claims = [of.model_copy(update={"tests": [_in_one_dimension(test) for test in of.tests]}) for of in THEORY]
    return {verdict.claim.id: verdict.verdict for verdict in judge(claims, training_table(summary), summary)}


THEORY = [of.model_copy(update={"about": "theory"}) for of in OURS]


def _in_one_dimension(test: ClaimTest) -> ClaimTest:
    return test.model_copy(update={"dimensions": [1]})


SIZES = [4, 8, 16, 32, 64, 128]


def test_the_claims_hold_where_the_physics_is_right(folder: Path) -> None:
    found = verdicts(summary_at(folder, SIZES))
    assert {name: found[name] for name in ("C1", "C3")} == {"C1": HOLDS, "C3": HOLDS}
    # Depth has one layer here and no others; the rest has nothing.
    assert {name for name, verdict in found.items() if verdict != NOT_TESTED} == {"C1", "C3", "depth"}
    assert found["depth"] == INCOMPLETE
    # With the claims as they stand, two dimensions are missing, and the population loss does not count.
    summary = summary_at(folder, SIZES)
    for claims, expected in ((THEORY, INCOMPLETE), (OURS, NOT_TESTED)):
        whole = {verdict.claim.id: verdict.verdict for verdict in judge(claims, training_table(summary), summary)}
        assert whole["C1"] == whole["C3"] == expected


@pytest.mark.parametrize("sizes", [[8, 16], [8, 16, 32], [8, 64, 128], [16, 32, 64]])
def test_few_sizes_and_close_ones_decide_nothing(folder: Path, sizes: list[int]) -> None:
    found = verdicts(summary_at(folder, sizes))
    assert (found["C1"], found["C3"]) == (UNDECIDED, UNDECIDED)


def test_swapped_labels_fail_both_claims(folder: Path) -> None:
    """C1 sees logarithmic times and C3 sees L²: if either still held, it would test its own expectation."""
    swapped = relabelled(summary_at(folder, SIZES), {"one_layer": "two_layer", "two_layer": "one_layer"})
    judged = {verdict.claim.id: verdict for verdict in judge(THEORY, training_table(swapped), swapped)}
    assert (judged["C1"].verdict, judged["C3"].verdict) == (FAILS, FAILS)
    for name, low, high in (("C1", -0.2, 0.2), ("C3", 1.9, 2.1)):
        exponents = judged[name].outcomes[0]
        assert len(exponents) == 2
        assert all(low < found.measured < high and found.verdict == FAILS for found in exponents)


@pytest.mark.parametrize("exponent", [0.3, -0.1, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_the_claim_of_local_networks_holds_for_no_power(exponent: float, noise: float) -> None:
    """Powers with the scatter of 8 seeds, in every dimension; and no logarithm while C3 fails."""
    generator = np.random.default_rng(3)
    sizes = np.array([8, 16, 32, 64, 128, 256])

    def rows(law: Any, architecture: str, dimension: int) -> list[dict[str, Any]]:
        scatter = np.exp(noise * generator.standard_normal((len(sizes), 8)))
        about = {"architecture": architecture, "dimension": dimension, "mass": "mL1", "loss": "implicit"}
        about |= {"study": "line", "data": "implicit-B64"}
        about |= {"noise_level": 0.1, "quantity": "training_time", "criterion": ""}
        return fitted_laws(about, sizes, law(sizes)[:, None] * scatter, np.ones((len(sizes), 8), dtype=bool))

    def logarithm(size: Any) -> Any:
        return 10.0 + 4.48 * np.log(size)

    def power(size: Any) -> Any:
        return 12.0 * (size / 8.0) ** exponent

    (own,) = (item for item in OURS if item.id == "C4")
    growth = [
        test for test in own.tests if test.measure in ("log", "evidence") and test.architecture.startswith("local_two")
    ]
    pair = [next(item for item in OURS if item.id == "C3"), own.model_copy(update={"tests": growth})]
    for deep, local in ((logarithm, power), (power, logarithm)):
        table = [row for d in (1, 2, 3) for row in rows(deep, "two_layer", d)]
        table += [row for d in (1, 2) for row in rows(local, "local_two_layer-R2", d)]
        table += rows(local, "local_two_layer-R1", 3)
        found = {verdict.claim.id: verdict.verdict for verdict in judge(pair, pd.DataFrame(table), NO_SUMMARY)}
        assert found["C4"] != HOLDS
        if noise < 0.05 and exponent > 0.0:
            assert found["C4"] == FAILS


def test_whole_studies_do_not_fail_by_chance() -> None:
    """All of C1 and of C3, 24 values in 3 dimensions and at 4 noise levels: 5 % of scatter, 4 seeds, six sizes.

    Of 100 right studies at most 5 may fail; were the rate 0.15, this would be seen in 99 of 100 choices of the stream.
    """
    generator, sizes = np.random.default_rng(8), np.array([8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
    power = ClaimTest(measure="power", architecture="one_layer", dimensions=[1, 2, 3], accepted=[1.9, 2.1])
    agree = ClaimTest(measure="agreement", architecture="one_layer", dimensions=[1, 2, 3], accepted=[None, 0.05])
    logarithmic = ClaimTest(measure="log", architecture="one_layer", dimensions=[1, 2, 3])
    evidence = ClaimTest(measure="evidence", architecture="one_layer", dimensions=[1, 2, 3])
    for exact, tests in (
        (3.0 * sizes**2, (power, agree)),
        (10.0 + 4.48 * np.log(sizes), (logarithmic, evidence)),
    ):
        wrong = 0
        for _ in range(100):
            times = exact[:, None, None] * np.exp(0.05 * generator.standard_normal((len(sizes), 12, 4)))
            mean = times.mean(-1).T
            spread = seed_errors(sizes, list(times), generator, resamples=100)
            z = fit_nested_law(sizes, mean[:, None], 1.0 / mean)[2][:, 0]
            error = np.hypot(spread["boxcox"], systematic_error(sizes, mean))
            values: dict[str, Any] = {"power": (z, error), "log": (z, error)}
            pairs = [
                agreement([(of[place], np.full(4, level)) for of, level in zip(times, exact, strict=True)])
                for place in range(12)
            ]
            values["agreement"] = tuple(np.array(pairs).T)
            squares = [np.array([law(sizes, row)[3] for row in mean]) for law in (fit_power_law, fit_log_law)]
            values["evidence"] = len(sizes) * np.log(squares[0] / squares[1]), spread["evidence"]
            outcomes = tuple(
                tuple(
                    Outcome(
                        test,
                        1 + place // 4,
                        float(place % 4),
                        "implicit-B64",
                        *(float(x[place]) for x in values[test.measure]),
                    )
                    for place in range(12)
                )
                for test in tests
            )
            found = Verdict(claim(*tests), outcomes).verdict
            wrong += found == FAILS
        assert wrong <= 5, tests[0].measure


def test_a_claim_about_agreement_fails_if_theory_is_wrong(folder: Path) -> None:
    summary = summary_at(folder, SIZES)
    wrong = summary.assign(predicted_crossing_time=1.1 * summary["predicted_crossing_time"])
    assert verdicts(wrong)["C1"] == FAILS
    assert verdicts(wrong)["C3"] == HOLDS


def test_verdicts_survive_the_files_in_between(folder: Path, tmp_path: Path) -> None:
    """The workflow hands over fits as CSV and the summary as NetCDF."""
    from csd.core.files import SUMMARY, read

    summary = summary_at(folder, [4, 8, 16, 32, 64])
    training_table(summary).to_csv(tmp_path / "scaling.csv", index=False)
    write(summary, tmp_path / "summary.nc", SUMMARY)
    again = judge(OURS, pd.read_csv(tmp_path / "scaling.csv"), read(tmp_path / "summary.nc", SUMMARY))
    assert as_json(again) == as_json(judge(OURS, training_table(summary), summary))


# What is written.


def strict(text: str) -> Any:
    """JSON without NaN and Infinity, which the format does not have."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("sizes", [[8, 16], [8, 16, 32], [4, 8, 16, 32, 64]], ids=["two", "three", "five"])
def test_verdicts_as_json(folder: Path, sizes: list[int]) -> None:
    summary = summary_at(folder, sizes)
    judged = judge(OURS, training_table(summary), summary)
    content = strict(as_json(judged))
    assert [item["id"] for item in content] == [claim.id for claim in OURS]
    for item, verdict in zip(content, judged, strict=True):
        assert {"id", "statement", "measured", "error", "accepted", "verdict"} <= set(item)
        assert item["statement"] == verdict.claim.statement
        assert item["verdict"] == verdict.verdict
        assert len(item["tests"]) == sum(max(1, len(rows)) for rows in verdict.rows)
        for test in item["tests"]:
            assert {"measure", "architecture", "measured", "error", "accepted", "verdict"} <= set(test)
            assert (test["measured"] is None) <= (test["verdict"] == NOT_TESTED or test["note"] == "no data")
        if item["verdict"] == FAILS:
            low, high = item["accepted"]
            assert (low is not None and item["measured"] < low) or (high is not None and item["measured"] > high)


def test_numbers_that_json_does_not_have_are_null() -> None:
    """No evidence below five sizes, an error that is not known, an infinite bound, a generation without a level."""
    infinite = criterion(accepted=[1.9, float("inf")], noise_levels=None)
    table = fits({"error": np.nan}, {"exponent": np.inf, "dimension": 1}, {"noise_level": np.nan})
    judged = judge([claim(infinite, criterion(measure="evidence"))], table, NO_SUMMARY)
    (item,) = strict(as_json(judged))
    assert [test["error"] for test in item["tests"]][:1] == [None]
    assert [test["measured"] for test in item["tests"]] == [2.0, None, 2.0, None, None]


def test_the_number_shown_for_a_claim_is_one_that_gives_its_verdict() -> None:
    """A claim that holds must not be shown with a value that was left undecided, or lies outside the range."""
    for rows, expected, shown in (
        ([{}, {"exponent": 2.05}], HOLDS, 2.0),
        ([{}, {"exponent": 1.0}], FAILS, 1.0),
        ([{}, {"error": 0.5, "exponent": 2.05}], UNDECIDED, 2.05),
    ):
        (item,) = strict(as_json(judge([claim(criterion())], fits(*rows), NO_SUMMARY)))
        assert (item["verdict"], item["measured"]) == (expected, shown)


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def test_verdicts_as_markdown(folder: Path) -> None:
    summary = summary_at(folder, [8, 16, 32])
    judged = judge(OURS, training_table(summary), summary)
    header, rule, *rows = [cells(line) for line in as_markdown(judged).splitlines()]
    assert header[0] == "claim"
    assert set(rule) == {"---"}
    assert all(len(row) == len(header) for row in rows)
    titles = {row[0]: row for row in rows if row[0]}
    for verdict in judged:
        row = titles[f"**{verdict.claim.id}**"]
        needs = f" Requires {', '.join(verdict.claim.requires)}." if verdict.claim.requires else ""
        assert row[1].replace("\\|", "|") == verdict.claim.statement + needs
        assert row[-1] == f"**{verdict.verdict}**"
    assert len(rows) == sum(1 + sum(max(1, len(o)) for o in verdict.rows) for verdict in judged)
    theory = judge(THEORY, training_table(summary), summary)
    rows = [cells(line) for line in as_markdown(theory).splitlines()]
    first = next(row for row in rows if row[1] == "power of one_layer")
    assert first[2:5] == ["1", "0.01", "population"]
    assert first[5].startswith(("1.99", "2"))
    assert first[6:] == ["1.9 to 2.1", "undecided: sizes 8 to 32 span less than a factor of 8"]


def test_a_value_has_the_digits_of_its_error() -> None:
    """1.9995 ± 0.00023 is not 2 ± 0.00023."""
    judged = judge([claim(criterion())], fits({"exponent": 1.9995, "error": 0.00023}), NO_SUMMARY)
    assert "| 1.9995 ± 0.0002 |" in as_markdown(judged)


# The file of claims.

LOG_TEST = "{measure: log, architecture: two_layer, dimensions: [1]}"


def one_test(keys: str = "") -> str:
    """A file of one claim X whose one test is of the log law, but for these keys."""
    test = yaml.safe_load(LOG_TEST) | yaml.safe_load(f"{{{keys}}}")
    return f"claims:\n  - {{id: X, statement: s, tests: [{yaml.safe_dump(test, default_flow_style=True).strip()}]}}"


def test_a_test_that_is_changed_in_nothing_is_valid(tmp_path: Path) -> None:
    """So that what the next ones refuse is what they change."""
    path = tmp_path / "claims.yaml"
    path.write_text(one_test())
    assert [of.id for of in load(path)] == ["X"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "mapping with the key claims"),
        ("clams: []", "mapping with the key claims"),
        ("- {id: X, statement: s, tests: []}", "mapping with the key claims"),
        ("claims: [{id: X, statement: s, tests: []}]", r"claims.*tests is \[\]"),
        (one_test("measure: exponnt"), r"claim X, test 1: measure is 'exponnt': .* did you mean 'exponent'\?"),
        ("claims: [{id: X, statement: s, verdict: holds, tests: []}]", "claim X: verdict: unknown key"),
        ("claims: [{id: X, statment: s, tests: []}]", "claim X: statment: unknown key; did you mean 'statement'"),
        ("claims: [{statement: s, tests: []}]", "claim number 1: id: "),
        ("claims: [{id: X, statement: s, tests: [log]}]", "claim X, test 1 is 'log'.*mapping"),
        (one_test("architectur: a"), "claim X, test 1: architectur: unknown key; did you mean 'architecture'"),
        (f"{one_test()}\n  - {{id: X, statement: t, tests: [{LOG_TEST}]}}", "claim X is there twice"),
        (one_test()[:-1] + ", requires: [Y]}", "claim X requires Y"),
        (one_test("accepted: [2, 1]"), r"claim X, test 1: accepted is \[2.0, 1.0\]"),
        (one_test("accepted: [.nan, 1]"), r"claim X, test 1: accepted is \[nan, 1.0\]"),
        (one_test("accepted: [null, .nan]"), "claim X, test 1: accepted is "),
        (one_test("accepted: [null, null]"), "claim X, test 1: accepted is "),
        (one_test("quantity: foo"), "claim X, test 1: quantity is 'foo'"),
        (one_test("quantity: training_tim"), "did you mean 'training_time'"),
        (one_test("criterion: total_kl"), "claim X, test 1: criterion is 'total_kl'.*training_time"),
        (
            one_test("quantity: autocorrelation_time, criterion: total_kl"),
            "criterion is 'total_kl'.*autocorrelation_time",
        ),
        (one_test("quantity: integrator_steps"), "integrator_steps .*kl_per_site"),
        (one_test("quantity: integrator_steps, criterion: total_k"), "did you mean 'total_kl'"),
        (one_test("dimensions: []"), r"claim X, test 1: dimensions is \[\]"),
        (one_test("dimensions: [4]"), r"claim X, test 1: dimensions\.0 is 4\b.*1, 2 or 3"),
        (one_test("dimensions: [true]"), r"claim X, test 1: dimensions\.0 is True"),
        (one_test("dimensions: [1, 1]"), r"dimension .*\[1, 1\]"),
        (one_test("reference: one_layer"), "claim X, test 1: measure log .*reference"),
        (one_test("measure: exact_exponent, accepted: [0, 1]"), "measure exact_exponent .*accepted"),
        (one_test("measure: time_ratio, accepted: [0, 1]"), "measure time_ratio .*reference"),
        (
            one_test("measure: agreement, accepted: [0, 1], quantity: autocorrelation_time"),
            "agreement .*training_time.*autocorrelation_time",
        ),
        ("claims:", "claims"),
        ("claims: [X]", "claims"),
        ("claims: {C1: {statement: s}}", "claims"),
    ],
)
def test_a_malformed_file_of_claims_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


OTHER_STUDIES = {
    **dict.fromkeys(("M1", "M1-blocks", "M2", "M3"), "multiscale"),
    **dict.fromkeys(("O1", "O2", "O3"), "optimisers"),
    **dict.fromkeys(("O4", "O5"), "without_oracles"),
}
"""Where claims are tested that are not about the default study."""


def test_every_claim_is_about_runs_that_our_study_has() -> None:
    """A misspelt architecture or noise level would leave a claim untested for ever, and nobody would know."""
    assert len({claim.id for claim in OURS}) == len(OURS) >= 4
    names = {"config", *OTHER_STUDIES.values()}
    runs_of = {name: training_jobs(parse(load_study(ROOT / "config" / f"{name}.yaml"))) for name in names}
    sampled = monte_carlo_jobs(parse(load_study(ROOT / "config" / "config.yaml")).monte_carlo)
    for claim_, test in ((own, test) for own in OURS if own.id[0] not in "FP" for test in own.tests):
        study = OTHER_STUDIES.get(claim_.id, "config")
        if test.quantity.startswith("autocorrelation"):
            for dimension in test.dimensions:
                jobs = [job for job in sampled if (job.dimension, job.target_label) == (dimension, test.mass)]
                sizes = {job.size for job in jobs if test.architecture in job.settings.samplers}
                assert len(sizes) >= 3, (claim_.id, test.architecture, dimension)
            continue
        if test.quantity == "integrator_steps":
            asked = parse(load_study(ROOT / "config" / "config.yaml")).integrator_steps
            assert test.architecture in COMPARED
            for dimension in test.dimensions:
                sizes = set(asked.sizes[asked.dimension.index(dimension)])
                assert len(sizes) >= 4, (claim_.id, dimension)
                assert max(sizes) >= SPAN * min(sizes), (claim_.id, dimension)
            continue
        generated = test.quantity == "generation_training_time"
        for dimension in test.dimensions:
            for label in filter(None, (test.architecture, test.reference)):
                own = [
                    run
                    for run in runs_of[study]
                    if (run.label, run.dimension, run.target_label) == (label, dimension, test.mass)
                    and (run.generation is not None) == generated
                    and (label == test.reference or all(getattr(run.settings, k) in v for k, v in test.options.items()))
                ]
                sizes = {run.size for run in own}
                # The other studies are short, so that verdicts of some tests are undecided.
                assert len(sizes) >= (4 if study == "config" else 3), (claim_.id, label, dimension)
                assert study != "config" or generated or max(sizes) >= SPAN * min(sizes), (claim_.id, label, dimension)
                assert all(level in own[0].noise_levels for level in test.noise_levels or []), (claim_.id, label)


def test_every_claim_at_finite_n_is_about_runs_of_its_study() -> None:
    study = parse(load_study(ROOT / "config" / "finite_n.yaml"))
    runs, held_out = training_jobs(study), scores_jobs(study.scores)
    for claim_, test in ((own, test) for own in OURS if own.id.startswith("F") for test in own.tests):
        of_scores = test.quantity.startswith("linear_")
        jobs: Sequence[Any] = held_out if of_scores else runs
        found = [
            job
            for job in jobs
            if job.dimension in test.dimensions
            and test.is_about(pd.Series([job.target_label])).all()
            and (of_scores or (job.label == test.architecture and test.data in (None, job.data_label)))
            and (of_scores or (job.generation is not None) == test.quantity.startswith("observable"))
        ]
        sizes = {job.size for job in found}
        assert len(sizes) >= 3, claim_.id
        assert test.measure == "value" or max(sizes) >= SPAN * min(sizes), claim_.id
        assert sizes.issuperset(test.sizes or []), claim_.id
        levels = found[0].noise.noise_levels if of_scores else found[0].noise_levels
        assert set(levels).issuperset(test.noise_levels or []), claim_.id


def test_every_claim_about_phases_is_about_jobs_of_its_study() -> None:
    study = parse(load_study(ROOT / "config" / "phases.yaml"))
    runs, boxes = training_jobs(study), phases_jobs(study.phases)
    for claim_, test in ((own, test) for own in OURS if own.id.startswith("P-") for test in own.tests):
        if test.architecture in study.hybrids:
            assert test.mass in {run.target_label for run in runs}, claim_.id
            continue
        of_boxes = test.architecture == "best_local"
        jobs: Sequence[Any] = boxes if of_boxes else runs
        found = [job for job in jobs if of_boxes or job.label == test.architecture]
        found = [job for job in found if test.is_about(pd.Series([job.target_label])).all()]
        assert {job.dimension for job in found} >= set(test.dimensions), claim_.id
        assert {job.size for job in found}.issuperset(test.sizes or []), claim_.id
        levels = {level for job in found for level in job.noise_levels}
        assert levels.issuperset(test.noise_levels or []), claim_.id
