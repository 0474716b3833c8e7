"""The figures of a study are those that can be drawn, and a redraw is of what has changed."""

from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import SUMMARY, Variable, provenance, write
from csd.report import figures
from csd.report.figures import FIGURES, draw_all, drawn, figure_module, series
from csd.report.figures.needs import runs_of
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle, Study, jobs_of
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.columns import IDENTITY, identity_of, typed_columns
from csd.study.summaries.generation import aggregate_generation
from csd.study.summaries.laws import generation_table, training_table
from csd.study.summaries.training import aggregate_training
from tests.helpers import Runner, train_files

STYLE = FigureStyle.model_validate({})
ALWAYS = ("fields", "generated_fields")
"""Figures that show no run of the study."""
NETWORKS: list[Any] = ["one_layer", "two_layer", {"name": "deep_linear", "depth": 3}, "local_two_layer"]
NETWORKS += [{"name": "local_one_layer", "range": reach} for reach in (1, [1, 2], "2xi")]
TARGETS: list[dict[str, Any]] = [{}, {"mass": [0.3]}, {"mass_times_length": [1.0, 2.0]}]
TARGETS += [{}, {"couplings": {"r0": -0.25, "u": 1.0}}]
TRAININGS: list[dict[str, Any]] = [
    {},
    {"data_sets": [8]},
    {"noise_levels": [0.5]},
    {"path": "fields"},
    {"momentum": 0.5},
]


def some_study(number: int) -> Study:
    """A small study by chance."""
    chance = Random(number)

    def sweep() -> dict[str, Any]:
        networks = [
            {"name": one, "range": 1} if one == "local_two_layer" else one
            for one in chance.sample(NETWORKS, chance.randint(1, 3))
        ]
        own = {
            "dimension": chance.choice([1, 1, 2]),
            "sizes": sorted(chance.sample([4, 5, 6, 8], chance.randint(1, 4))),
        }
        own |= {"architectures": networks, "training": chance.choice(TRAININGS), **chance.choice(TARGETS)}
        if chance.random() < 0.4:
            transfer = {"transfer": 2} if chance.random() < 0.4 else {}
            own["generation"] = {"steps": 8, "samples": 4, **transfer}
        return own

    sweeps = {f"sweep-{place}": sweep() for place in range(chance.randint(1, 3))}
    training = {"noise_levels": chance.choice([[0.1], [0.1, 0.5]]), "seeds": 1, "batch": 64, "max_steps": 40}
    while True:
        try:
            study = parse({"study": "chance", "training": training, "sweeps": sweeps})
            jobs_of(study)
            return study
        except InputError as error:
            # Networks of two sweeps that would have one file, or of a range that a lattice is too small for.
            del sweeps[str(error).split("sweep-")[1][0].join(("sweep-", ""))]
            if not sweeps:
                return some_study(number + 1000)


def summary_of_jobs(jobs: list[TrainingJob]) -> xr.Dataset:
    """What a summary of training says of its runs, without training."""
    levels = sorted({level for job in jobs for level in job.noise_levels})
    file = xr.Dataset(attrs={"mass": 0.5})
    error = [[[[1.0 if level in job.noise_levels else np.nan]] for level in levels] for job in jobs]
    columns = typed_columns([identity_of(job, file) for job in jobs], IDENTITY)
    score_error = Variable(("run", "noise_level", "seed", "step"), np.array(error), {})
    return xr.Dataset({**columns, "score_error": score_error}, {"noise_level": levels, "seed": [1], "step": [0]})


@pytest.mark.parametrize("number", range(60))
def test_runs_are_chosen_alike_among_jobs_and_in_a_summary(number: int) -> None:
    jobs = jobs_of(some_study(number))
    trained = [job for job in jobs["training"].values() if isinstance(job, TrainingJob) and job.generation is None]
    if not trained:
        return
    summary, runs = summary_of_jobs(trained), runs_of(jobs)["training"]
    for name in FIGURES:
        module = figure_module(name)
        if module.SUMMARY == "training" and hasattr(module, "WANTED"):
            columns = ["sweep", "dimension", "size", "architecture", "data_set"]
            found = series.runs(summary, module.WANTED)[columns].itertuples(index=False)
            expected = Counter(tuple(run[column] for column in columns) for run in module.WANTED(runs))
            assert Counter(map(tuple, found)) == expected, name


class NotReached(Exception):
    """No seed reaches the tolerance."""


def _draw(module: Any, summary: xr.Dataset, scaling: Any) -> None:
    """Draw a figure.

    Raises:
        InputError: if it lacks runs.
        NotReached: if nothing is reached by them.
    """
    try:
        module.draw(summary, scaling, STYLE)
    except InputError as error:
        if "reach the tolerance" in str(error):
            raise NotReached from error
        raise
    finally:
        plt.close("all")


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13, 102, 116, 121])
def test_figures_of_a_study_are_those_that_can_be_drawn(number: int, tmp_path: Path) -> None:
    study = some_study(number)
    runs, names = training_jobs(study), drawn(study)
    train_files(runs, tmp_path / "training")
    jobs = generation_jobs(runs)
    for job in jobs:
        trained = tmp_path / "training" / f"{job.run.identifier}.nc"
        main(["generate", str(trained), *job.arguments(), "--output", str(tmp_path / f"{job.identifier}.nc")])
    made: dict[str, Any] = {}
    if plain := [run for run in runs if run.generation is None]:
        made["training"] = aggregate_training(plain, tmp_path / "training")
    if jobs:
        made["generation"] = aggregate_generation(jobs, tmp_path)
    laws = {"training": training_table, "generation": generation_table}
    for kind, summary in made.items():
        scaling = laws[kind](summary)
        for name in FIGURES:
            module = figure_module(name)
            if kind != module.SUMMARY or name in ALWAYS:
                continue
            # What is known after training alone is no reason to leave a figure out.
            with nullcontext() if name in names else pytest.raises(InputError), suppress(NotReached):
                _draw(module, summary, scaling)


LINE: dict[str, Any] = {"dimension": 1, "sizes": [4, 6], "architectures": ["one_layer"]}
TWO_SIZES: dict[str, Any] = {
    "study": "two sizes",
    "training": {"noise_levels": [0.1], "loss": "population", "seeds": 1},
    "sweeps": {"line": LINE, "masses": {**LINE, "mass": 0.3}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the summary of a study of two sizes, and its laws."""
    folder = tmp_path_factory.mktemp("made")
    runs = training_jobs(parse(TWO_SIZES))
    train_files(runs, folder)
    summary = aggregate_training(runs, folder)
    write(summary.assign_attrs(provenance(["test"], {})), folder / "training.nc", SUMMARY)
    main(["fit", "--summary", str(folder / "training.nc"), "--output", str(folder / "scaling.csv")])
    return folder


DRAWN = ["collapse", "learning_curves", "parameters"]


def test_only_figures_that_changed_are_drawn_again(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, kept = tmp_path / "figures", tmp_path / "checkpoints"

    def again(style: FigureStyle = STYLE, summaries: Path = made) -> set[str]:
        """Figures that are drawn again; all are there, though the workflow removes them before it calls."""
        for file in output.iterdir() if output.is_dir() else []:
            file.unlink()
        before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} if kept.is_dir() else {}
        said = draw_all(DRAWN, summaries, made / "scaling.csv", style, output, checkpoint=kept)[0]
        words = said.removeprefix("drawn: ").partition(";")[0]
        redrawn = set() if words == "none" else set(words.split(", "))
        assert {path.stem for path in kept.iterdir() if path.stat().st_mtime_ns != before.get(path.name)} == redrawn
        for name in DRAWN:
            for suffix in (".pdf", ".png", ".rst"):
                assert (output / f"{name}{suffix}").read_bytes() == (kept / f"{name}{suffix}").read_bytes()
        return redrawn

    assert again() == set(DRAWN)
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    assert again() == set()
    code_of = figures.code_of
    with monkeypatch.context() as edited:
        edited.setattr(figures, "code_of", lambda name: code_of(name) + ("edited" if name == "collapse" else ""))
        assert again() == {"collapse"}
    assert again() == {"collapse"}
    assert again(FigureStyle.model_validate({"dots_per_inch": 100})) == set(DRAWN)
    assert again() == set(DRAWN)
    (kept / "parameters.png").unlink()
    assert again() == {"parameters"}
    (kept / "learning_curves.digest").write_text("{")
    assert again() == {"learning_curves"}
    assert {path.name: path.read_bytes() for path in output.iterdir()} == first
    with xr.open_dataset(made / "training.nc") as summary:
        write(summary.load().assign_attrs(note="edited"), tmp_path / "training.nc", SUMMARY)
    assert again(summaries=tmp_path) == set(DRAWN)


def test_captions_and_code_are_in_what_a_figure_is_drawn_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: figures.code_of(name) for name in DRAWN}
    for name in DRAWN:
        (tmp_path / f"{name}.rst").write_bytes((figures.HERE / f"{name}.rst").read_bytes())
    (tmp_path / "collapse.rst").write_text("Another caption.")
    monkeypatch.setattr(figures, "HERE", tmp_path)
    assert {name for name in DRAWN if figures.code_of(name) != before[name]} == {"collapse"}


def test_a_figure_without_anything_to_draw_costs_no_other(made: Path, tmp_path: Path) -> None:
    """Asked for by name it is an error, once the others are drawn; otherwise a sentence takes its place."""
    about, kept = (made, made / "scaling.csv", STYLE, tmp_path), tmp_path / "kept"
    with pytest.raises(InputError, match=r"^figures: 'overfitting' needs runs with data sets drawn from a target; "):
        draw_all(["overfitting", "parameters"], *about, checkpoint=kept)
    assert (tmp_path / "parameters.png").is_file()
    assert not (tmp_path / "overfitting.png").is_file()
    said = draw_all(["overfitting", "parameters"], *about, checkpoint=kept, if_possible=True)
    assert said[0] == "drawn: overfitting; not changed: parameters"
    assert said[1].startswith("overfitting: nothing to show, as figures: 'overfitting' needs runs with data sets")
    assert (tmp_path / "overfitting.rst").read_text().strip() == said[1]
    assert all((tmp_path / f"overfitting.{suffix}").stat().st_size for suffix in ("png", "pdf"))
    assert [path.name for path in kept.glob("*.digest")] == ["parameters.digest"]


def test_the_command_says_why_a_figure_is_empty(made: Path, csd: Runner) -> None:
    command = f"figure overfitting --summary {made}/training.nc --scaling {made}/scaling.csv --output overfitting"
    assert csd(command).status != 0
    done = csd(f"{command} --if-possible")
    assert done.status == 0
    assert "needs runs with data sets" in done.err
