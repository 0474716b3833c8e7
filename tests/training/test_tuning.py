"""Tuned learning rates beside a search through a grid, and beside the rates that are known to be best."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError, TrainingDiverged
from csd.networks import Architecture
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.reference import reference_curve
from csd.training.steps.rates import Tuning
from csd.training.steps.tuning import STARTS, prepare_tuned
from tests.conftest import Problem
from tests.helpers import Runner


def tuning_of(noised: Any, architecture: Architecture, settings: TrainingSettings) -> Tuning:
    """The trials of a run."""
    found = prepare_tuned(noised, architecture, settings).tuning
    assert found is not None
    return found


@pytest.mark.parametrize("optimizer", ["gd", "nesterov", "adam_fourier"])
def test_no_rate_of_the_grid_settles_sooner(optimizer: str, critical: Problem) -> None:
    """Trained one by one on the seeds of the trials: the times of the trials, and none below the best."""
    noised, network = critical(1, 8), Architecture("two_layer")
    settings = TrainingSettings("population", optimizer=optimizer, rate_from="tuned", settle=20, max_steps=2000)
    found = tuning_of(noised, network, settings)
    times = []
    for rate in found.rates[0]:
        how: dict[str, Any] = {"rate_from": "spectrum", "learning_rate": float(rate), "seeds": STARTS}
        try:
            settled = train_network(noised, network, replace(settings, **how)).settled_crossing_time
            assert settled is not None
            times.append(settled.mean())
        except TrainingDiverged:
            times.append(np.nan)
    known = np.isfinite(found.times[0])
    assert known.any()
    np.testing.assert_allclose(found.times[0][known], np.array(times)[known], rtol=1e-12)
    assert found.best[0] == found.rates[0][np.nanargmin(times)]
    # What is not followed to its end would not have been the best.
    assert not (np.array(times)[~known] < found.times[0][known].min()).any()
    # Three decades and more, the best inside, with neighbours that are 10^(1/32) away.
    assert found.rates[0][-1] / found.rates[0][0] >= 1e3
    place = int(np.nanargmin(times))
    assert 0 < place < len(times) - 1
    np.testing.assert_allclose(found.rates[0][place - 1 : place + 2] / found.best[0], 10.0 ** (np.arange(-1, 2) / 32))


def test_plain_descent_is_tuned_to_the_edge_of_its_rates(critical: Problem) -> None:
    """On a quadratic loss the best η is 2/(C_max + C_min): tuned rates are within a step of the grid below it."""
    noised = critical(1, 16, (0.05, 0.6))
    settings = TrainingSettings("population", rate_from="tuned", tolerance=1e-4)
    found = tuning_of(noised, Architecture("one_layer"), settings)
    spectra = noised.spectra_at(noised.modes)
    ratio = found.best * (spectra.max(axis=1) + spectra.min(axis=1)) / 2.0
    assert (ratio <= 1.0 + 1e-9).all() and (ratio > 10.0 ** (-1.0 / 32.0)).all()


def test_rates_beyond_the_first_grid_are_found(critical: Problem) -> None:
    """The sign of the gradient at its own rate is tuned; where the start is far from the best kernel, it is larger."""
    noised, network = critical(1, 8), Architecture("one_layer")
    settings = TrainingSettings("population", optimizer="adam_fourier", beta2=0.9, rate_from="tuned", settle=5)
    found = tuning_of(noised, network, settings)
    assert found.rates[0][np.isfinite(found.rates[0])][0] < found.best[0] < np.nanmax(found.rates[0])


def test_all_seeds_train_at_the_rate_of_the_trials(critical: Problem) -> None:
    """Whatever the seeds of a job, and each noise level at its own; the prediction is at the same rates."""
    noised, network = critical(1, 8, (0.05, 0.6)), Architecture("local_two_layer", range=2)
    settings = TrainingSettings("population", rate_from="tuned", max_steps=4000)
    found = tuning_of(noised, network, settings)
    for seeds in ((1, 2), (7,)):
        own = replace(settings, seeds=seeds)
        record = descend(noised, prepare_tuned(noised, network, own), own)
        np.testing.assert_array_equal(record.rates, found.best)
    run = prepare_tuned(noised, network, settings)
    prediction = reference_curve(noised, network, settings, run)
    assert prediction is not None
    given = TrainingSettings("population", learning_rate=float(found.best[1]), max_steps=4000)
    alone = train_network(critical(1, 8, (0.6,)), network, given)
    np.testing.assert_array_equal(prediction.training_time[:, 1], alone.training_time[:, 0])


def test_tuning_is_in_the_file(csd: Runner) -> None:
    done = csd(
        "train --architecture two_layer --dimension 1 --size 8 --noise-level 0.1 0.5 --loss population"
        " --rate-from tuned --optimizer nesterov --momentum 0.5 --output run.nc"
    )
    assert done.status == 0, done.err
    from csd import read

    file = read("run.nc")
    assert file.attrs["rate_from"] == "tuned"
    best = file["tuning_rate"].values[np.arange(2), np.nanargmin(file["tuning_time"].values, axis=1)]
    np.testing.assert_array_equal(file["learning_rate"].values, best)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.1}, "learning_rate is"),
        ({"tolerance": 0.0}, "tolerance is 0"),
        ({"until": "max_steps"}, "until is max_steps"),
        ({"loss": "implicit"}, "loss is 'implicit'"),
        ({"seeds": (STARTS[1],)}, "is one of those on which"),
        ({"max_steps": 5}, "at no learning rate"),
    ],
)
def test_tuning_that_cannot_be_is_refused(options: dict[str, Any], words: str, critical: Problem) -> None:
    with pytest.raises(InputError, match=words):
        prepare_tuned(
            critical(1, 8),
            Architecture("two_layer"),
            TrainingSettings(**{"loss": "population", "rate_from": "tuned", "max_steps": 100, **options}),
        )


def test_trials_are_made_by_those_who_train(critical: Problem) -> None:
    settings = TrainingSettings("population", rate_from="tuned")
    with pytest.raises(InputError, match=r"csd\.train"):
        train_network(critical(1, 8), Architecture("two_layer"), settings)
