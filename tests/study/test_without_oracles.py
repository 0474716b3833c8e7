"""The study without oracles: its claims ask for what it has, and a part of it beside closed forms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from csd.api.training import trained
from csd.core.errors import InputError
from csd.core.files import read
from csd.study.claims import load_claims
from csd.study.config.reading import parse
from csd.study.stages.training import TrainingJob, check_training, training_jobs
from csd.study.summaries.files import training_file
from csd.training.steps.window import largest_start, steps_from
from tests.helpers import ROOT


def content() -> dict[str, Any]:
    """The study."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config" / "without_oracles.yaml").read_text())
    return found


def test_claims_ask_for_what_the_study_has() -> None:
    """Each test of O4 and O5 picks jobs at three sizes or more, in each of its dimensions."""
    runs = training_jobs(parse(content()))
    claims = {claim.id: claim for claim in load_claims(ROOT / "config" / "claims.yaml")}
    for name in ("O4", "O5"):
        for test in claims[name].tests:
            wanted = {key: values[0] for key, values in test.options.items()}
            assert wanted
            for dimension in test.dimensions:
                sizes = [
                    run.size
                    for run in runs
                    if (run.label, run.dimension) == (test.architecture, dimension)
                    and all(getattr(run.settings, key) == value for key, value in wanted.items())
                ]
                assert len(sizes) >= 3, (name, test.architecture, dimension)


def spectrum_of(run: TrainingJob, level: int) -> tuple[Any, Any]:
    """(C, multiplicity) of a job at one of its noise levels."""
    noised = run.problem()[0]
    return noised.spectra_at(noised.modes)[level], noised.modes.multiplicity


def test_starts_lie_in_the_window() -> None:
    """Also with the largest of a minibatch: a variance of 64 fields is above 3 times its mean in less than 1 of 10⁹."""
    for run in training_jobs(parse(content())):
        if run.label == "two_layer":
            start = run.settings.start_kernel
            assert start is not None
            for level in range(3):
                assert start < largest_start(3.0 * spectrum_of(run, level)[0].max(), 0.25)


def test_two_layers_take_the_steps_of_the_closed_form(tmp_path: Path) -> None:
    """With minibatches of 64 fields, times scatter by less than a step about those of the population loss.

    A seed's time differs by the noise of the error near 1 %, whose mean is higher by 0.5 %: up to three steps later.
    """
    study = content()
    sweep = study["sweeps"]["two-layers-1d"]
    study["sweeps"] = {"two-layers-1d": sweep | {"sizes": [16, 64, 128]}}
    study["training"] |= {"noise_levels": [0.1], "seeds": 4, "seeds_per_job": 4}
    means = []
    for run in training_jobs(parse(study)):
        file = training_file(run, tmp_path)
        trained(*run.problem(), "test", file)
        times = read(file)["crossing_time"].values.ravel()
        form = steps_from(*spectrum_of(run, 0), 1e-6, 0.25, 0.01)
        assert np.all((times > form - 1.0) & (times < form + 3.0))
        means.append(times.mean())
    assert np.ptp(means) < 1.0


def test_a_sweep_whose_rates_cannot_follow_from_data_is_refused_before_it_runs() -> None:
    """Two layers have the rate ¼ whatever the data; one layer has not."""
    sweeps = content()["sweeps"]
    check_training(training_jobs(parse(content() | {"sweeps": {"one": sweeps["one-layer-1d"]}})))
    two = sweeps["two-layers-1d"] | {"training": {"rate_from": "data"}}
    with pytest.raises(InputError, match=r"sweeps\.two: rate_from is data, but .* 0\.25 whatever the data"):
        check_training(training_jobs(parse(content() | {"sweeps": {"two": two}})))
