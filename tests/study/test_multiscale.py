"""The study of multiscale networks in small: steps to every noise level, samples, claims, the figure."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from matplotlib.colors import same_color

from csd.cli.commands import main
from csd.report.figures import looks, parameters_by_steps
from csd.report.figures.looks import FigureStyle
from csd.study.claims import load_claims
from csd.study.config.reading import parse
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.files import training_file
from csd.study.summaries.generation import aggregate_generation
from csd.study.summaries.laws import generation_table, training_table
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import judge
from tests.helpers import ROOT


def jobs_of(name: str) -> list[TrainingJob]:
    """The trainings of a study of config/."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    return training_jobs(parse(found))


def test_the_study_for_a_cluster_is_valid() -> None:
    """It reaches L = 1024, 256 and 64 with 20 seeds, and takes samples in three dimensions."""
    runs = jobs_of("multiscale_large")
    levels = [run for run in runs if run.settings.until != "samples" and run.generation is None]
    for dimension, size, name in (
        (1, 1024, "multiscale_blocks"),
        (2, 256, "multiscale_blocks-c3"),
        (3, 64, "multiscale"),
    ):
        own = [run for run in levels if (run.dimension, run.size, run.label) == (dimension, size, name)]
        assert sorted(seed for run in own for seed in run.seeds) == list(range(1, 21))
    assert {run.dimension for run in runs if run.settings.until == "samples"} == {1, 2, 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the small study."""
    runs, folder = jobs_of("multiscale-test"), tmp_path_factory.mktemp("multiscale")
    for run in runs:
        main(["train", *run.arguments(), "--output", str(training_file(run, folder / "training"))])
    for job in generation_jobs(runs):
        trained = str(training_file(job.run, folder / "training"))
        main(["generate", trained, *job.arguments(), "--output", str(folder / f"generation/{job.identifier}.nc")])
    return folder


@pytest.fixture(scope="module")
def generation(folder: Path) -> Any:
    """The summary of its samples."""
    return aggregate_generation(generation_jobs(jobs_of("multiscale-test")), folder / "generation")


def test_claims_ask_for_what_the_study_has() -> None:
    """Each test of these claims picks jobs at sizes that span a factor of 8 or more; bounds of numbers are right."""
    runs = jobs_of("multiscale")
    claims = {claim.id: claim for claim in load_claims(ROOT / "config" / "claims.yaml")}
    for test in [test for name in ("M1", "M1-blocks", "M2", "M3") for test in claims[name].tests]:
        for dimension in test.dimensions:
            own = [run for run in runs if run.label == test.architecture and run.dimension == dimension]
            sizes = sorted({run.size for run in own if (run.settings.until == "samples") == bool(test.criterion)})
            assert max(sizes) >= 8 * min(sizes)
            if test.measure == "parameter_ratio":
                shared = {run.size for run in runs if run.label == test.reference and run.dimension == dimension}
                size = max(shared & set(sizes))
                allowed = {1: 16, 2: 150}[dimension] * np.log2(size) / size**dimension
                assert test.accepted == [None, pytest.approx(allowed, rel=1e-3)]


def test_numbers_and_times_decide_claims(folder: Path) -> None:
    """On the small study: the ratio of parameters at the largest size, and the growth until all levels are learned."""
    runs = [run for run in jobs_of("multiscale-test") if run.settings.until != "samples"]
    summary = aggregate_training(runs, folder / "training")
    claims = [claim for claim in load_claims(ROOT / "config" / "claims.yaml") if claim.id in ("M1", "M1-blocks")]
    for verdict, parameters in zip(judge(claims, training_table(summary), summary), (72, 80), strict=True):
        ratios, _, growth, *_ = verdict.outcomes
        assert [outcome.measured for outcome in ratios] == [parameters / 64] * 2
        assert [np.isnan(outcome.noise_level) for outcome in growth] == [True]
        assert not any(outcome.missing for outcome in growth)


def test_blocks_make_the_susceptibility_right_before_hard_modes(generation: Any) -> None:
    """And sooner than dilated filters do, on the same lattice with the same grid."""
    at = generation.isel(run=np.flatnonzero(generation["size"].values == 16)).set_index(run="architecture_name")
    soft, hard = (at["generation_training_time"].sel(criterion=name) for name in ("susceptibility", "kl_per_site"))
    assert (soft < hard).sel(run="multiscale_blocks").values.all()
    assert (soft.sel(run="multiscale_blocks").values < soft.sel(run="multiscale").values).all()


def test_the_figure_multiplies_numbers_by_steps(generation: Any) -> None:
    figure, facts = parameters_by_steps.draw(generation, generation_table(generation), FigureStyle())
    assert [axes.get_title() for axes in figure.axes] == ["KL per site, d = 1", "all five criteria, d = 1"]
    last = generation.isel(run=np.flatnonzero(generation["size"].values == 16)).set_index(run="architecture_name")
    times = last["generation_training_time"].max("criterion", skipna=False).mean("seed")
    # At L = 16 two layers have 32 numbers, a dilated channel has the sites 0 … 4, 6, 8 and 12, and blocks are 8 and 4.
    for name, numbers in (("two_layer", 32), ("multiscale", 6 * 8), ("multiscale_blocks", 4 * 12)):
        product = numbers * float(times.sel(run=name))
        ends = [
            line.get_ydata()[-1]
            for line in figure.axes[1].lines
            if same_color(line.get_color(), looks.colour(name)) and len(line.get_ydata()) == 3
        ]
        assert ends
        np.testing.assert_allclose(ends, product)
        assert f"{product:,.0f}" in facts["products"]
    plt.close(figure)
