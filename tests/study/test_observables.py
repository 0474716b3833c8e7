"""Observables of generated fields beside their references: deviations, and the training steps until they are right."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

from csd.core.random import stream
from csd.study.scaling import fit_weighted
from csd.study.summaries.laws import observable_table
from csd.study.summaries.observables import (
    RIGHT,
    observables_by_step,
    time_until_right,
)

RUN: dict[str, Any] = {
    **{"sweep": "grow", "architecture": "wiener", "architecture_name": "wiener", "mass_label": "phi4"},
    **{"loss": "denoising", "dimension": 2, "target": "data", "compared_with": "Monte Carlo"},
}


def summary_of(lengths: dict[int, dict[int, list[float]]], error: float = 0.01) -> xr.Dataset:
    """A summary of generation with U4 of the seeds by size and training length; the reference is 0.5 ± 0.003."""
    runs = [(size, steps, values) for size, own in lengths.items() for steps, values in own.items()]
    values = np.array([values for *_, values in runs])
    columns: dict[str, Any] = {name: np.array([value] * len(runs), dtype=object) for name, value in RUN.items()}
    columns |= {"size": np.array([size for size, *_ in runs]), "trained_size": np.array([size for size, *_ in runs])}
    columns |= {"sampled_step": np.array([steps for _, steps, _ in runs], dtype=float)}
    columns |= {"max_steps": columns["sampled_step"], "dimension": np.full(len(runs), 2)}
    columns |= {"data": np.array([f"denoising-B8-steps{steps}-grid9" for _, steps, _ in runs], dtype=object)}
    seeds = {
        "sampled_binder": values,
        "sampled_binder_error": np.full_like(values, error),
        "sampled_susceptibility": np.ones_like(values),
        "own_reference_binder": np.full_like(values, 0.5),
        "own_reference_binder_error": np.full_like(values, 0.003),
    }
    one = {"reference_binder": np.full(len(runs), 0.5), "reference_binder_error": np.full(len(runs), 0.003)}
    variables = {name: ("run", own) for name, own in (columns | one).items()}
    return xr.Dataset(
        variables | {name: (("run", "seed"), own) for name, own in seeds.items()},
    )


def test_a_right_observable_is_called_wrong_as_seldom_as_said() -> None:
    """The sum of squares of normal pulls is distributed as χ²: 4.6 % for one seed, 0.3 % for four."""
    assert chi2.sf(RIGHT**2, 1) == pytest.approx(0.046, abs=5e-4)
    assert chi2.sf(4 * RIGHT**2, 4) == pytest.approx(0.003, abs=5e-5)


@pytest.mark.parametrize(
    ("pulls", "before", "after", "remark"),
    [
        ([-9.0, 3.0, 1.0, -1.9], 20.0, 40.0, ""),
        # Right once is not right for good.
        ([-9.0, 1.0, 3.0, 0.5], 40.0, 80.0, ""),
        ([-9.0, 1.0, 1.0, 2.1], 80.0, np.inf, "still wrong at step 80"),
        ([-9.0, 1.0, 1.0, np.nan], 80.0, np.inf, "still wrong at step 80"),
        ([0.0, 0.0, 0.0, 0.0], 0.0, 10.0, "right from step 10 on or earlier"),
    ],
)
def test_the_time_lies_between_two_known_steps(pulls: list[float], before: float, after: float, remark: str) -> None:
    time = time_until_right([10, 20, 40, 80], np.array(pulls))
    assert (time.before, time.after, time.remark) == (before, after, remark)
    assert time.known == (before > 0.0 and after < np.inf)
    assert time.step == pytest.approx(np.sqrt(before * after) if time.known else np.nan, nan_ok=True)
    assert time.error == pytest.approx(time.step * np.log(2.0) / np.sqrt(12.0), nan_ok=True)


def test_times_on_a_coarse_grid_of_lengths_have_errors_that_cover_the_power_law() -> None:
    """τ = 7 L^z on grids of steps a factor of 2 apart that begin anywhere: pulls of z of 1; ±0.07 by chance, 200 laws.

    The errors of ln τ are uniform, not normal. Of four sizes the larger of both errors of a law is taken, which is too
    large on the average, so the pulls are a little below 1.
    """
    chance, sizes, pulls = stream("grids of lengths"), [8, 16, 32, 64], []
    for _ in range(200):
        exponent = chance.uniform(0.0, 2.0)
        found = []
        for size in sizes:
            steps = 2.0 ** (np.arange(16) + chance.uniform())
            found.append(time_until_right(steps, np.where(steps < 7.0 * size**exponent, 9.0, 0.0)))
        law = fit_weighted(sizes, np.array([one.step for one in found]), np.array([one.error for one in found]))
        pulls.append((law.exponent - exponent) / law.error)
    assert 0.75 < np.sqrt(np.mean(np.square(pulls))) < 1.07
    assert np.mean(np.abs(pulls) < 2.0) > 0.93


def test_deviations_have_the_errors_of_samples_and_reference() -> None:
    """Two seeds 0.39 and 0.41 with errors of 0.01 each: mean 0.4, error 0.01 by scatter; 0.4/0.5 − 1 = −0.2."""
    (row,) = observables_by_step(summary_of({8: {50: [0.39, 0.41]}})).to_dict("records")
    assert (row["observable"], row["step"], row["sampled"]) == ("binder", 50, True)
    assert (row["value"], row["error"]) == (pytest.approx(0.4), pytest.approx(0.01))
    assert row["deviation"] == pytest.approx(-0.2)
    assert row["deviation_error"] == pytest.approx(np.hypot(0.01 / 0.5, 0.4 * 0.003 / 0.5**2))
    pulls = np.array([-0.11, -0.09]) / np.hypot(0.01, 0.003)
    assert row["pull"] == pytest.approx(-np.sqrt((pulls**2).mean()))
    assert (row["lowest"], row["highest"]) == (pytest.approx(pulls[0]), pytest.approx(pulls[1]))


def test_seeds_that_differ_are_not_right_on_the_average() -> None:
    """One seed has collapsed: the mean has a large error, and is compatible with the reference; the pulls are not."""
    (row,) = observables_by_step(summary_of({8: {50: [0.0, 1.0]}})).to_dict("records")
    assert abs(row["deviation"]) < row["deviation_error"]
    assert abs(row["pull"]) > 40.0


def test_trainings_of_several_lengths_make_one_law() -> None:
    """U4 is right from 2, 4 and 8 times the shortest training on at L = 4, 8 and 16: τ ∝ L."""
    right, wrong = [0.5, 0.5], [0.0, 0.1]
    lengths = {
        size: {steps: wrong if steps < 25 * size else right for steps in (50, 100, 200, 400, 800)}
        for size in (4, 8, 16)
    }
    table = observable_table(summary_of(lengths))
    deviations = table[table["quantity"] == "observable_deviation"]
    assert len(deviations) == 15
    assert set(deviations["law"]) == {"value"}
    assert set(deviations["max_steps"]) == {50, 100, 200, 400, 800}
    times = table[table["quantity"] == "observable_training_time"]
    assert set(times["data"]) == {"denoising-B8-grid9"}
    values = times[times["law"] == "value"]
    assert values["sizes"].tolist() == ["4", "8", "16"]
    assert values["value"].to_numpy() == pytest.approx([50 * 2**0.5, 100 * 2**0.5, 200 * 2**0.5])
    assert values["error"].to_numpy() == pytest.approx(values["value"].to_numpy() * np.log(2.0) / np.sqrt(12.0))
    (law,) = times[times["law"] == "power"].to_dict("records")
    assert (law["criterion"], law["sizes"]) == ("binder", "4 8 16")
    assert law["exponent"] == pytest.approx(1.0)
    # ln τ is known to ln 2/√12 at each of three points that are ln 2 apart.
    assert law["error"] == pytest.approx(1.0 / np.sqrt(12.0) / np.sqrt(2.0))


def test_where_an_observable_is_never_right_there_is_no_law() -> None:
    lengths = {size: {50: [0.0, 0.0], 100: [0.5, 0.5 if size < 16 else 0.1]} for size in (4, 8, 16)}
    times = observable_table(summary_of(lengths)).query("quantity == 'observable_training_time'")
    assert times["law"].tolist() == ["value", "value", "value", "none"]
    assert np.isfinite(times["value"]).tolist() == [True, True, False, False]
    assert times["note"].iloc[2] == "at size 16 it is still wrong at step 100"
    assert times["note"].iloc[-1] == "at size 16 it is still wrong at step 100, so there is no time to fit"
    early = {size: {50: [0.5, 0.5], 100: [0.5, 0.5]} for size in (4, 8, 16)}
    times = observable_table(summary_of(early)).query("quantity == 'observable_training_time'")
    assert times["law"].tolist() == ["value", "value", "value", "none"]
    assert "at size 4 it is right from step 50 on or earlier" in times["note"].iloc[-1]
    # One training alone says nothing about steps.
    alone = observable_table(summary_of({size: {50: [0.5, 0.5]} for size in (4, 8, 16)}))
    assert set(alone["quantity"]) == {"observable_deviation"}


def test_exact_references_are_not_compared() -> None:
    summary = summary_of({8: {50: [0.4, 0.4]}})
    summary["compared_with"][:] = "exact"
    assert observables_by_step(summary).empty
    assert observable_table(summary).empty
