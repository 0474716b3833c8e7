"""The study of optimisers in small: tuned files, settled times and their laws, claims, the figure."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml

from csd.api.training import trained
from csd.core.errors import InputError
from csd.report.figures import optimizer_times
from csd.report.figures.looks import FigureStyle
from csd.study.claims import load_claims
from csd.study.config.reading import parse
from csd.study.stages.training import training_jobs
from csd.study.summaries.files import training_file
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import judge
from tests.helpers import ROOT


def content(name: str) -> dict[str, Any]:
    """A study of config/."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The files of the small study, as one Dataset."""
    runs, folder = training_jobs(parse(content("optimisers-test"))), tmp_path_factory.mktemp("optimisers")
    for run in runs:
        trained(*run.problem(), "test", training_file(run, folder))
    return aggregate_training(runs, folder)


def test_every_rule_is_there_at_every_size(summary: Any) -> None:
    settled = summary["settled_time"].sel(noise_level=0.1).values
    assert settled.shape == (15, 2)
    assert np.isfinite(settled).all()
    assert (settled >= summary["training_time"].sel(noise_level=0.1).values).all()
    # Nothing is random here.
    np.testing.assert_array_equal(settled[:, 0], settled[:, 1])


def test_claims_ask_for_what_the_study_has() -> None:
    """Each test of O1, O2 and O3 picks jobs of the study, at more than five sizes that span more than a factor of 8."""
    runs = training_jobs(parse(content("optimisers")))
    claims = {claim.id: claim for claim in load_claims(ROOT / "config" / "claims.yaml")}
    for name in ("O1", "O2", "O3"):
        for test in claims[name].tests:
            for optimizer in test.options["optimizer"]:
                wanted = {"momentum": 0.0} | {key: values[0] for key, values in test.options.items()}
                wanted["optimizer"] = optimizer
                sizes = [
                    run.size
                    for run in runs
                    if run.label == test.architecture
                    and run.dimension in test.dimensions
                    and all(getattr(run.settings, key) == value for key, value in wanted.items())
                ]
                assert sizes[:6] == [8, 16, 32, 64, 128, 256], (name, optimizer)


def test_the_study_for_a_cluster_is_valid() -> None:
    """It reaches L = 1024, three dimensions, local networks, and minibatches of L² fields."""
    runs = training_jobs(parse(content("optimisers_large")))
    assert {(run.dimension, run.size) for run in runs} >= {(1, 1024), (2, 128), (3, 32)}
    assert {"local_one_layer-R2", "local_two_layer-R2"} <= {run.label for run in runs}
    batches = {(run.size, run.settings.batch, run.settings.loss) for run in runs if run.settings.loss != "population"}
    assert {(size, size**2, "implicit") for size in (8, 16, 32, 64, 128)} <= batches
    assert {(size, 16 * size**2, "denoising") for size in (8, 16, 32, 64, 128)} <= batches
    assert {(size, 64, "implicit") for size in (8, 128)} | {(8, 1024, "denoising"), (32, 1024, "denoising")} <= batches


@pytest.mark.parametrize("seeds", [[1, 2**40 + 1], [2**40 + 4]])
def test_a_study_does_not_train_on_the_starts_of_its_trials(seeds: list[int]) -> None:
    """They are refused with the study, not by the first job that runs."""
    study = content("optimisers-test")
    study["training"]["seeds"] = seeds
    with pytest.raises(InputError, match=rf"one-layer: seed {seeds[-1]} is one of those .*; take another"):
        training_jobs(parse(study))


def test_claims_are_judged_by_settled_times(summary: Any, tmp_path: Path) -> None:
    """A claim on the small study, whose exponent is that of a fit to the times of the summary."""
    file = tmp_path / "claims.yaml"
    test = {
        **{"measure": "exponent", "quantity": "settled_time", "architecture": "one_layer", "dimensions": [1]},
        **{"optimizer": "heavy_ball", "rate_from": "optimal", "settle": 10, "accepted": [0.5, 1.5]},
    }
    claim = {"id": "X", "statement": "It grows.", "about": "theory", "tests": [test]}
    file.write_text(yaml.safe_dump({"claims": [claim]}))
    table = training_table(summary)
    (verdict,) = judge(load_claims(file), table, summary)
    ((outcome,),) = verdict.outcomes
    chosen = (summary["optimizer"] == "heavy_ball") & (summary["architecture"] == "one_layer")
    times = summary["settled_crossing_time"].sel(noise_level=0.1).values[chosen.values].mean(axis=1)
    slope = np.polyfit(np.log(summary["size"].values[chosen.values]), np.log(times), 1)[0]
    assert outcome.measured == pytest.approx(slope)
    assert outcome.note == "sizes 4 to 8 span less than a factor of 8"


def test_the_figure_shows_settled_times(summary: Any) -> None:
    figure, facts = optimizer_times.draw(summary, training_table(summary), FigureStyle(noise_level=0.1))
    assert facts["settled"]
    assert "settled time" in figure.axes[0].get_ylabel()
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"heavy ball, best pair", "Nesterov, best pair", "Adam, each mode", "gradient descent"} <= set(words)
    plt.close(figure)
