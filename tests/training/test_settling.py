"""The time from which the error stays within the tolerance, beside a search through all errors."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.lattice import Array
from csd.networks import Architecture
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from csd.targets.noising import NoisedTarget
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import move, prepare
from csd.training.reference import expected_steps, reference_curve
from tests.conftest import Problem
from tests.helpers import Once, Runner, runs_of, train_files

TOLERANCE = 0.01


def all_errors(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, last: int) -> Array:
    """ε over the threshold, ε_R + 0.01, after every step, shape (steps + 1, seeds, levels)."""
    run = prepare(noised, architecture, settings)
    threshold = TOLERANCE + run.floors
    found = [run.descent.error() / threshold]
    for _ in range(last):
        run.descent.advance(*run.source.draw())
        found.append(run.descent.error() / threshold)
    return np.array(found)


def searched(errors: Array, stay: int) -> tuple[Array, Array]:
    """(first step from which ε is below for so many further steps, where ln ε crosses before it), by a search."""
    times, crossings = np.full((2, *errors.shape[1:]), np.nan)
    for place in np.ndindex(errors.shape[1:]):
        own = errors[(slice(None), *place)]
        for step in range(len(own) - stay):
            if (own[step : step + stay + 1] <= 1.0).all():
                times[place] = crossings[place] = step
                if step:
                    before, after = np.log(own[step - 1 : step + 1])
                    crossings[place] = step - 1 + before / (before - after)
                break
    return times, crossings


CASES: dict[str, tuple[Architecture, dict[str, Any]]] = {
    "closed form": (Architecture("one_layer"), {}),
    "swings": (Architecture("one_layer"), {"momentum": 0.97}),
    "returns": (Architecture("one_layer"), {"optimizer": "adam", "learning_rate": 0.1}),
    "modes": (Architecture("two_layer"), {"optimizer": "adam_fourier", "learning_rate": 0.3}),
    "noise": (Architecture("two_layer"), {"loss": "implicit", "batch": 100, "seeds": (1, 2, 3)}),
    "patches": (Architecture("local_two_layer", range=2), {"momentum": 0.9, "seeds": (4, 5)}),
    "module": (
        Architecture("multiscale"),
        {"optimizer": "adam", "learning_rate": 0.05, "seeds": (4,), "max_steps": 99},
    ),
}


@pytest.mark.parametrize(("case", "stay"), [*product(CASES, [7]), *product(list(CASES)[:-1], [1, 60])])
def test_settled_times_are_those_of_a_search(case: str, stay: int, critical: Problem) -> None:
    architecture, options = CASES[case]
    noised = critical(1, 8, (0.1, 0.7))
    settings = TrainingSettings(**{"loss": "population", "max_steps": 700, **options}, settle=stay)
    record = train_network(noised, architecture, settings)
    last = settings.most_steps
    errors = all_errors(noised, architecture, settings, last)
    times, crossings = searched(errors, stay)
    assert record.settled_time is not None
    assert record.settled_crossing_time is not None
    np.testing.assert_array_equal(record.settled_time, times)
    np.testing.assert_allclose(record.settled_crossing_time, crossings, rtol=1e-9)
    # Training ends as soon as all levels have settled.
    np.testing.assert_array_equal(record.last_step, np.where(np.isnan(times), last, times + stay).max(axis=1))
    np.testing.assert_array_equal(record.training_time, searched(errors, 0)[0])


def test_some_of_these_errors_come_back(critical: Problem) -> None:
    """Otherwise the test above would not tell the two times apart."""
    differ = []
    for case in ("swings", "returns", "noise", "modes"):
        architecture, options = CASES[case]
        settings = TrainingSettings(**{"loss": "population", "max_steps": 700, **options})
        errors = all_errors(critical(1, 8, (0.1, 0.7)), architecture, settings, 700)
        if (searched(errors, 60)[0] > searched(errors, 0)[0]).any():
            differ.append(case)
    assert differ == ["swings", "returns", "noise", "modes"]


def test_settled_times_on_a_device(device: str, critical: Problem) -> None:
    """Read a block of steps at a time, they are those of the plain loop."""
    noised, architecture = critical(1, 8, (0.1, 0.7)), Architecture("two_layer")
    returned = []
    for stay in (3, 40):
        settings = TrainingSettings("implicit", 100, seeds=(1, 2, 3), settle=stay, max_steps=3000)
        plain = train_network(noised, architecture, settings)
        moved = descend(noised, move(prepare(noised, architecture, settings), device), settings)
        for name in ("settled_time", "last_step", "training_time"):
            np.testing.assert_array_equal(getattr(moved, name), getattr(plain, name), err_msg=name)
        assert plain.settled_time is not None
        returned.append((plain.settled_time > plain.training_time).any())
    assert any(returned)


def test_the_prediction_settles_as_training_does(critical: Problem) -> None:
    noised = critical(1, 8, (0.1, 0.7))
    for architecture, options in (CASES["closed form"], CASES["swings"], CASES["modes"]):
        settings = TrainingSettings(**{"loss": "population", "max_steps": 700, **options}, settle=30)
        record, prediction = (
            train_network(noised, architecture, settings),
            reference_curve(noised, architecture, settings),
        )
        assert prediction is not None
        assert prediction.settled_time is not None
        assert prediction.settled_crossing_time is not None
        assert record.settled_crossing_time is not None
        np.testing.assert_array_equal(prediction.settled_time, record.settled_time)
        np.testing.assert_allclose(prediction.settled_crossing_time, record.settled_crossing_time, rtol=1e-9)


def test_max_steps_ends_the_wait(critical: Problem) -> None:
    """One layer needs 270 steps: with 299 the last 30 of them are not seen, with 300 they are."""
    noised, architecture = critical(1, 8), Architecture("one_layer")
    for last, seen in ((299, False), (300, True)):
        settings = TrainingSettings("population", settle=30, max_steps=last)
        prediction = reference_curve(noised, architecture, settings)
        assert prediction is not None
        for found in (train_network(noised, architecture, settings), prediction):
            assert found.settled_time is not None
            assert found.training_time[0, 0] == 270
            np.testing.assert_array_equal(found.settled_time, [[270 if seen else np.nan]])
        assert expected_steps(noised, architecture, settings) == last


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settle": 5, "tolerance": 0.0}, "tolerance is 0"),
        ({"settle": 5, "until": "samples"}, "until is samples"),
        ({"settle": 50, "max_steps": 50}, "ends after 50 steps"),
        ({"settle": -1}, "settle is -1"),
    ],
)
def test_settling_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TrainingSettings("population", **options)


def test_a_held_out_loss_has_no_tolerance_to_stay_within(csd: Runner, tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", np.random.default_rng(1).standard_normal((20, 8)))
    done = csd(
        "train --architecture wiener --data fields.npy --path fields --loss denoising --noise-level 0.1 --max-steps 20"
        " --settle 5 --output run.nc"
    )
    assert done.status == 2
    assert "settle is 5" in done.err and "held-out loss" in done.err
    assert not (tmp_path / "run.nc").exists()


@pytest.mark.parametrize("case", ["returns", "noise"])
def test_settling_goes_on_from_a_checkpoint(case: str, tmp_path: Path, critical: Problem) -> None:
    """Stopped above the tolerance, within a stay, and after one that came to nothing: the same times."""
    noised, (architecture, options) = critical(1, 8, (0.1, 0.7)), CASES[case]
    settings = TrainingSettings(**{"loss": "population", "max_steps": 700, **options}, settle=60)
    whole = train_network(noised, architecture, settings)
    assert whole.settled_time is not None
    first, last = int(np.nanmin(whole.training_time)), int(whole.last_step.min())
    for stop in (first - 2, first + 1, last - 30):
        with pytest.raises(InterruptedError), Once(tmp_path / "c.npz", stop) as watch:
            descend(noised, prepare(noised, architecture, settings), settings, watch)
        resumed = descend(noised, prepare(noised, architecture, settings), settings, Once(tmp_path / "c.npz", 0))
        assert resumed.settled_time is not None
        np.testing.assert_array_equal(resumed.settled_time, whole.settled_time)
        np.testing.assert_array_equal(resumed.last_step, whole.last_step)


def test_settled_times_of_a_study_have_laws(tmp_path: Path) -> None:
    """In files, the summary and the table of laws, of the runs that settle; their law is that of the search."""
    of_all = {"path": "spectral", "loss": "population", "noise_levels": [0.1], "seeds": [1], "max_steps": 3000}
    sizes = [4, 8, 16]
    part = {"dimension": 1, "sizes": sizes, "architectures": ["one_layer"]}
    runs = runs_of(
        {
            "study": "settling",
            "output": "results",
            "training": of_all,
            "sweeps": {
                "plain": {**part, "architectures": ["two_layer"]},
                "stays": {**part, "training": {"momentum": 0.9, "settle": 40}},
            },
        }
    )
    train_files(runs, tmp_path)
    summary = aggregate_training(runs, tmp_path)
    stays = summary["settle"].values == 40
    assert np.isnan(summary["settled_time"].values[~stays]).all()
    expected = [searched(all_errors(*run.problem(), 1500), 40)[1].item() for run in runs if run.settings.settle]
    np.testing.assert_allclose(summary["settled_crossing_time"].values[stays].ravel(), expected, rtol=1e-9)
    table = training_table(summary)
    own = table[table["quantity"].isin(["settled_time", "predicted_settled_time"])]
    assert set(own["study"]) == {"stays"}
    slope = np.polyfit(np.log(sizes), np.log(expected), 1)[0]
    np.testing.assert_allclose(own[own["law"] == "power"]["exponent"], slope, rtol=1e-6)
    assert "settle40" in runs[-1].identifier


def test_the_command_tells_when_the_error_stays(csd: Runner, tmp_path: Path) -> None:
    done = csd(
        "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.1 --loss population --settle 30"
        " --output run.nc"
    )
    assert done.status == 0
    assert "noise level 0.1: time until the error stays within the tolerance 270 steps" in done.err
    assert "seed 0: training ended at step 300: the error has stayed within the tolerance" in done.err
