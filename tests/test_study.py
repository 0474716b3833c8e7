import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from csd.cli import _parser, _problem
from csd.config import expand, json_schema, load, parse
from csd.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
SWEEP: dict[str, Any] = {"dimension": 2, "sizes": [8, 16], "architectures": ["one_layer"]}


def study(**keys: Any) -> dict[str, Any]:
    return {"study": "test", "sweeps": {"a": SWEEP}, **keys}


def sweep(**keys: Any) -> dict[str, Any]:
    return study(sweeps={"a": {**SWEEP, **keys}})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (study(sweps={}), r"sweps: unknown key; did you mean 'sweeps'\?"),
        (sweep(szies=[8]), r"sweeps\.a\.szies: unknown key; did you mean 'sizes'\?"),
        (study(training={"bach": 3}), r"training\.bach: unknown key; did you mean 'batch'\?"),
        (sweep(training={"bach": 3}), r"sweeps\.a\.training\.bach: unknown key; did you mean 'batch'\?"),
        (
            sweep(architectures=[{"name": "x", "rage": 1}]),
            r"architectures\.0\.rage: unknown key; did you mean 'range'\?",
        ),
        (study(figure_style={"fnt_size": 3}), r"figure_style\.fnt_size: unknown key; did you mean 'font_size'\?"),
        (sweep(generation={"step": 3}), r"generation\.step: unknown key; did you mean 'steps'\?"),
        (study(figures=["colapse"]), r"figures\.0 is 'colapse'.*did you mean 'collapse'\?"),
        (study(sweeps={}), r"sweeps is \{\}: .*at least 1"),
        (sweep(sizes=[]), r"sweeps\.a\.sizes is \[\]"),
        (sweep(architectures=[]), r"sweeps\.a\.architectures is \[\]"),
        (sweep(mass=[]), r"sweeps\.a\.mass is \[\]"),
        (sweep(sizes=[1]), r"sweeps\.a\.sizes\.0 is 1: .*greater than or equal to 2"),
        (sweep(sizes=[8.5]), r"sweeps\.a\.sizes\.0 is 8\.5"),
        (sweep(dimension=4), r"sweeps\.a\.dimension is 4"),
        (sweep(mass=[-1.0]), r"sweeps\.a\.mass\.0 is -1\.0: .*greater than 0"),
        (sweep(mass=[float("nan")]), r"sweeps\.a\.mass\.0 is nan"),
        (sweep(mass=[1.0], mass_times_length=[1.0]), r"mass and mass_times_length are both given"),
        (sweep(architectures=["one_lyer"]), r"sweeps\.a: unknown architecture 'one_lyer'; did you mean 'one_layer'\?"),
        (sweep(architectures=[{"name": "local_one_layer", "range": 4}]), r"sweeps\.a: range is 4; .* size 8 .* 0 to 3"),
        (sweep(architectures=["deep_linear"]), r"sweeps\.a: architecture 'deep_linear' needs the option depth"),
        (sweep(training={"loss": "implict"}), r"sweeps\.a: unknown loss 'implict'; did you mean 'implicit'\?"),
        (sweep(training={"seeds": [1, 1]}), r"sweeps\.a: a seed is given twice"),
        (sweep(training={"seeds": [-1]}), r"sweeps\.a\.training\.seeds\.0 is -1"),
        (sweep(training={"batch": True}), r"sweeps\.a\.training\.batch is True"),
        (sweep(couplings=[{"r0": -1.0, "u": 0.0}]), r"sweeps\.a: the gap equation has no root"),
        (sweep(sizes=[8, 8]), r"sweeps\.a: the run d2_L8_.* is there twice"),
        (study(sweeps={"a": SWEEP, "b": SWEEP}), r"sweeps\.b: .* is there twice, also in sweeps\.a"),
        (sweep(training={"schedule": "ve"}, generation={}), r"sweeps\.a: generation needs schedule vp"),
        (sweep(generation={"integrator": "huen"}), r"sweeps\.a: unknown integrator 'huen'; did you mean 'heun'\?"),
        (sweep(generation={"t_min": 100.0}), r"sweeps\.a: t_min is 100\.0"),
        ({"sweeps": {"a": SWEEP}}, r"study: this key is missing"),
    ],
)
def test_mistakes_are_one_sentence_with_their_key(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        expand(parse(content))
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    with pytest.raises(InputError, match=r"bad\.yaml: this is not valid YAML"):
        load(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(InputError, match=r"list\.yaml: a study is a mapping"):
        load(tmp_path / "list.yaml")


@pytest.mark.parametrize("name", ["config.yaml", "test.yaml", "large.yaml"])
def test_our_studies_are_valid_and_their_runs_distinct(name: str) -> None:
    runs = expand(parse(load(ROOT / "config" / name)))
    identifiers = [run.identifier for run in runs]
    assert len(set(identifiers)) == len(identifiers) > 30
    assert all(re.fullmatch(r"[A-Za-z0-9_.+-]+", identifier) for identifier in identifiers)


def test_arguments_of_a_run_are_the_run() -> None:
    """What a row asks for survives the command line: lattice, mass, network, levels, training."""
    content = study(
        sweeps={
            "a": {
                **SWEEP,
                "mass_times_length": [0.7],
                "architectures": [{"name": "local_two_layer", "range": ["2xi", 1]}],
            },
            "b": {**SWEEP, "couplings": [{"r0": -1e-7, "u": 2.5}], "training": {"loss": "denoising", "batch": 7}},
            "c": {
                **SWEEP,
                "mass": [1 / 3],
                "training": {"loss": "population", "data_sets": [5], "learning_rate": 1e-5},
            },
            "d": {**SWEEP, "generation": {"steps": 5}},
        }
    )
    for run in expand(parse(content)):
        arguments: argparse.Namespace = _parser().parse_args(["train", *run.arguments(), "--output", "x.nc"])
        noised, architecture, settings = _problem(arguments)
        assert (noised.lattice.dimension, noised.lattice.size) == (run.dimension, run.size)
        assert architecture.label == run.label
        assert list(noised.levels) == run.noise_levels
        assert settings.seeds == run.seeds
        assert (settings.loss, settings.data_set) == (run.training.loss, run.data_set)
        assert settings.learning_rate == run.training.learning_rate
        if run.mass is not None:
            assert noised.target.mass == run.mass
        elif run.mass_times_length is not None:
            assert noised.target.mass == run.mass_times_length / run.size
        assert settings.kernel_steps == ("recorded" if run.generation else "last")


def test_numbers_that_yaml_takes_for_words() -> None:
    """YAML 1.1 reads 1e-3 as a string; for us it is a number all the same."""
    content = yaml.safe_load(
        "{study: s, training: {tolerance: 1e-3}, sweeps: {a: {dimension: 1, sizes: 8, architectures: one_layer}}}"
    )
    assert content["training"]["tolerance"] == "1e-3"
    assert parse(content).training.tolerance == 1e-3


def test_figures_of_generation_need_generation() -> None:
    assert "generation_time" not in parse(study()).drawn
    assert "generation_time" in parse(sweep(generation={})).drawn
    with pytest.raises(InputError, match="'generation_time' needs a sweep with generation"):
        parse(study(figures=["fields", "generation_time"]))


def test_what_training_would_refuse_is_refused_before() -> None:
    for keys, match in (
        ({"data_sets": [4]}, "loss is 'implicit' with a data set"),
        ({"loss": "population", "path": "fields"}, "loss is 'population' with path fields"),
    ):
        with pytest.raises(InputError, match=f"sweeps.a: {match}"):
            expand(parse(sweep(training=keys)))


def test_seeds_are_dealt_to_jobs_in_order() -> None:
    content = sweep(sizes=[8], training={"seeds": [3, 1, 4, 2, 9], "seeds_per_job": 2})
    runs = expand(parse(content))
    assert [run.seeds for run in runs] == [(3, 1), (4, 2), (9,)]
    more = expand(parse(sweep(sizes=[8], training={"seeds": [3, 1, 4, 2, 9, 5, 6], "seeds_per_job": 2})))
    assert [run.identifier for run in more[:2]] == [run.identifier for run in runs[:2]]


def test_schema_is_the_one_that_is_committed() -> None:
    committed = json.loads((ROOT / "workflow" / "schemas" / "study.schema.json").read_text())
    assert committed == json_schema(), "run: csd schema > workflow/schemas/study.schema.json"
