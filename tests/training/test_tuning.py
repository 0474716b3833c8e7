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
from csd.training.steps.divergence import largest_error
from csd.training.steps.rates import Tuning
from csd.training.steps.tuning import STARTS, mean_times, prepare_tuned
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
    # Three decades and more, the best inside, 64 rates a decade; every eighth of them, and all about the best.
    assert found.rates[0][-1] / found.rates[0][0] >= 1e3
    np.testing.assert_allclose(found.rates[0][1:] / found.rates[0][:-1], 10.0 ** (1 / 64))
    place = int(np.flatnonzero(found.rates[0] == found.best[0])[0])
    assert found.rates[0][0] <= found.best[0] / 10.0 and found.best[0] * 10.0 <= found.rates[0][-1]
    tried = np.union1d(np.arange(0, len(found.rates[0]), 8), np.arange(place - 4, place + 5))
    times = []
    for rate in found.rates[0][tried]:
        how: dict[str, Any] = {"rate_from": "spectrum", "learning_rate": float(rate), "seeds": STARTS}
        try:
            settled = train_network(noised, network, replace(settings, **how)).settled_crossing_time
            assert settled is not None
            times.append(settled.mean())
        except TrainingDiverged:
            times.append(np.nan)
    own = found.times[0][tried]
    known = np.isfinite(own)
    assert known.any()
    np.testing.assert_allclose(own[known], np.array(times)[known], rtol=1e-12)
    assert found.times[0][place] == np.nanmin(times) == np.nanmin(found.times)
    # What is not followed to its end would not have been the best.
    assert not (np.array(times)[~known] < own[known].min()).any()


def test_plain_descent_is_tuned_to_the_edge_of_its_rates(critical: Problem) -> None:
    """On a quadratic loss the best η is 2/(C_max + C_min): tuned rates are within a step of the grid."""
    noised = critical(1, 16, (0.05, 0.6))
    settings = TrainingSettings("population", rate_from="tuned", tolerance=1e-4)
    found = tuning_of(noised, Architecture("one_layer"), settings)
    spectra = noised.spectra_at(noised.modes)
    ratio = found.best * (spectra.max(axis=1) + spectra.min(axis=1)) / 2.0
    assert (np.abs(np.log10(ratio)) < 1.0 / 64.0).all()


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


@pytest.mark.parametrize("optimizer", ["gd", "nesterov", "adam"])
def test_other_random_starts_survive_the_tuned_rate(optimizer: str, critical: Problem) -> None:
    """Of 20 starts of `multiscale` that are not those of the trials none diverges, but some do at the best rate itself.

    By 64 other starts, descent diverges at the best rate with a probability of 0.3 and at half of it of less than 0.05.
    Adam, whose steps are bounded, keeps the best rate.
    """
    noised, network = critical(1, 16), Architecture("multiscale")
    beta = {} if optimizer != "nesterov" else {"momentum": 0.5}
    own: dict[str, Any] = {"optimizer": optimizer, "settle": 20, "max_steps": 2000, **beta}
    settings = TrainingSettings("population", rate_from="tuned", **own)
    found = tuning_of(noised, network, settings)
    best = found.rates[0][np.nanargmin(found.times[0])]
    assert found.best[0] == (best if optimizer == "adam" else best / 2.0)
    seeds = tuple(range(1, 21))
    given = TrainingSettings("population", learning_rate=float(found.best[0]), seeds=seeds, **own)
    settled = train_network(noised, network, given).settled_time
    assert settled is not None
    assert np.isfinite(settled).all()
    if optimizer != "adam":
        with pytest.raises(TrainingDiverged):
            train_network(noised, network, replace(given, learning_rate=float(best)))


def test_tuning_is_in_the_file(csd: Runner) -> None:
    done = csd(
        "train --architecture two_layer --dimension 1 --size 8 --noise-level 0.1 0.5 --loss population"
        " --rate-from tuned --optimizer nesterov --momentum 0.5 --output run.nc"
    )
    assert done.status == 0, done.err
    from csd import read

    file = read("run.nc")
    assert file.attrs["rate_from"] == "tuned"
    # Full layers start alike, so that nothing is left of the best rate as a margin.
    best = file["tuning_rate"].values[np.arange(2), np.nanargmin(file["tuning_time"].values, axis=1)]
    np.testing.assert_array_equal(file["learning_rate"].values, best)


def test_trials_wait_as_long_as_training(critical: Problem) -> None:
    """Of an error that swings through the tolerance, for every number of further steps."""
    noised, network = critical(1, 8), Architecture("one_layer")
    found = set()
    for settle in range(12):
        how: dict[str, Any] = {"optimizer": "adam_fourier", "learning_rate": 0.5, "settle": settle}
        settings = TrainingSettings("population", max_steps=400, **how)
        settled = train_network(noised, network, settings).crossing_time if settle == 0 else None
        settled = train_network(noised, network, settings).settled_crossing_time if settled is None else settled
        assert settled is not None
        assert mean_times(prepare_tuned(noised, network, settings), settings)[0] == settled[0, 0]
        found.add(settled[0, 0])
    assert len(found) > 1


@pytest.mark.parametrize(("optimizer", "start", "limit"), [("gd", 0.01, 1e3), ("gd", 5.0, 5e3), ("adam", 5.0, 1e308)])
def test_what_counts_as_diverged(optimizer: str, start: float, limit: float, critical: Problem) -> None:
    """A thousand times the error at the start, or 1 where that is larger, unless steps are bounded."""
    settings = TrainingSettings("population", **{"optimizer": optimizer})
    run = prepare_tuned(critical(1, 8), Architecture("two_layer"), settings)
    assert min(largest_error(run, settings, np.array([[start]])), 1e308) == limit


def test_the_grid_is_that_of_the_page(critical: Problem) -> None:
    """From 10^−1.5 to 10^3.5 times the own rate, 1/C_max, where the best is a decade or more from both ends."""
    noised = critical(1, 8)
    found = tuning_of(noised, Architecture("one_layer"), TrainingSettings("population", rate_from="tuned"))
    own = 1.0 / noised.spectra_at(noised.modes).max()
    np.testing.assert_allclose(found.rates[0][[0, -1]], [own * 10**-1.5, own * 10**3.5])


def test_a_best_rate_near_an_end_widens_the_grid(critical: Problem) -> None:
    """Adam on one layer, whose own rate is 0.003, is best at about 2: within a decade of 0.003 × 10^3.5."""
    settings = TrainingSettings("population", optimizer="adam", rate_from="tuned", settle=20, max_steps=400)
    found = tuning_of(critical(1, 16), Architecture("one_layer"), settings)
    assert 1.0 < found.best[0] < 3.0
    np.testing.assert_allclose(found.rates[0][[0, -1]], [0.003 * 10**-1.5, 0.003 * 10**4.5])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.1}, "learning_rate is"),
        ({"tolerance": 0.0}, "tolerance is 0"),
        ({"until": "max_steps"}, "until is max_steps"),
        ({"loss": "implicit"}, "loss is 'implicit'"),
        ({"seeds": (STARTS[1],)}, "is one of those on which"),
        ({"max_steps": 3}, "at no learning rate"),
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
