"""The study's configuration: mistakes give their key with its path, and the run table is what the commands run."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.report.figures import drawn, with_names
from csd.study.config.reading import json_schema, load, parse, parse_style
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import TRAINING, TrainingJob, training_jobs
from csd.training.options import with_own_steps
from tests.helpers import ROOT, runs_of

STUDIES = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.name != "claims.yaml")
SWEEP: dict[str, Any] = {"dimension": 1, "sizes": [8, 16], "architectures": ["one_layer"]}
LOCAL = {"name": "local_one_layer", "range": 2}


def study(**keys: Any) -> dict[str, Any]:
    """A study of one sweep `a`, with further keys at the top."""
    return copy.deepcopy({"study": "test", "sweeps": {"a": SWEEP}, **keys})


def sweep(**keys: Any) -> dict[str, Any]:
    """A study of one sweep `a`, with further keys in it."""
    return study(sweeps={"a": {**SWEEP, **keys}})


def trained(**keys: Any) -> dict[str, Any]:
    """A study with further keys in `training`."""
    return study(training=keys)


def network(**keys: Any) -> dict[str, Any]:
    """A study of one sweep with one architecture of these keys."""
    return sweep(architectures=[keys])


def mistake(content: dict[str, Any]) -> str:
    """The one sentence that a study is answered with."""
    with pytest.raises(InputError) as raised:
        runs_of(content)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


MISSPELT: dict[str, tuple[dict[str, Any], str, str]] = {
    "top": (study(sweps={}), "sweps", "sweeps"),
    "top, figures": (study(figure=[]), "figure", "figures"),
    "sweep": (sweep(size=[8]), "sweeps.a.size", "sizes"),
    "sweep, mass": (sweep(mass_time_length=1), "sweeps.a.mass_time_length", "mass_times_length"),
    "training": (trained(noise_level=[0.1]), "training.noise_level", "noise_levels"),
    "training, seeds": (trained(seeds_a_job=2), "training.seeds_a_job", "seeds_per_job"),
    "training in a sweep": (sweep(training={"bach": 3}), "sweeps.a.training.bach", "batch"),
    "architecture": (network(name="local_one_layer", rnge=2), "sweeps.a.architectures.0.rnge", "range"),
    "architecture, name": (network(nmae="one_layer"), "sweeps.a.architectures.0.nmae", "name"),
    "second architecture": (
        sweep(architectures=["one_layer", {**LOCAL, "chanels": 2}]),
        "sweeps.a.architectures.1.chanels",
        "channels",
    ),
    "architecture alone": (sweep(architectures={**LOCAL, "dept": 2}), "sweeps.a.architectures.dept", "depth"),
    "couplings": (sweep(couplings=[{"r0": 1.0, "u": 1.0, "r": 1.0}]), "sweeps.a.couplings.0.r", "r0"),
    "figure style": (study(figure_style={"fnt_size": 9}), "figure_style.fnt_size", "font_size"),
    "a sweep called training": (study(sweeps={"training": {**SWEEP, "size": [8]}}), "sweeps.training.size", "sizes"),
    "a sweep called couplings": (
        study(sweeps={"couplings": {**SWEEP, "archtectures": ["one_layer"]}}),
        "sweeps.couplings.archtectures",
        "architectures",
    ),
}


@pytest.mark.parametrize(("content", "key", "nearest"), MISSPELT.values(), ids=MISSPELT.keys())
def test_a_misspelt_key_gives_its_path_and_the_nearest_name(content: dict[str, Any], key: str, nearest: str) -> None:
    sentence = mistake(content)
    assert sentence.startswith(f"{key}: ")
    # As a suggestion, and in the list of what is allowed.
    assert repr(nearest) in sentence
    assert nearest in sentence.replace(repr(nearest), "")


def test_a_key_far_from_any_gets_no_suggestion_but_the_list() -> None:
    sentence = mistake(study(xyzzy=1))
    assert sentence.startswith("xyzzy: ")
    assert "study, output, " in sentence
    assert "'" not in sentence


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    # Nothing to run.
    "no sweeps": (study(sweeps={}), "sweeps is {}", "at least 1"),
    "sweeps null": (study(sweeps=None), "sweeps is None", "mapping"),
    "sweep null": (study(sweeps={"a": None}), "sweeps.a is None", "mapping"),
    "no sizes": (sweep(sizes=[]), "sweeps.a.sizes is []", "at least 1"),
    "no architectures": (sweep(architectures=[]), "sweeps.a.architectures is []", "at least 1"),
    "no masses": (sweep(mass=[]), "sweeps.a.mass is []", "at least 1"),
    "no couplings": (sweep(couplings=[]), "sweeps.a.couplings is []", "at least 1"),
    "no depths": (network(name="deep_linear", depth=[]), "sweeps.a.architectures.0.depth is []", "at least 1"),
    "no noise levels": (trained(noise_levels=[]), "training.noise_levels is []", "at least 1"),
    "no seeds": (trained(seeds=[]), "training.seeds is []", "at least 1"),
    "no name": (study(study=""), "study is ''", "at least 1"),
    # Something missing.
    "study missing": ({"sweeps": {"a": SWEEP}}, "study", "missing"),
    "sweeps missing": ({"study": "s"}, "sweeps", "missing"),
    "dimension missing": (study(sweeps={"a": {**SWEEP, "dimension": None}}), "sweeps.a.dimension", "1, 2 or 3"),
    "architecture's name missing": (network(range=2), "sweeps.a.architectures.0.name", "missing"),
    "u missing": (sweep(couplings={"r0": 1.0}), "sweeps.a.couplings.u", "missing"),
    # Values.
    "dimension 4": (sweep(dimension=4), "sweeps.a.dimension is 4", "1, 2 or 3"),
    "dimension yes": (sweep(dimension=True), "sweeps.a.dimension is True", "number"),
    "integrators, dimension yes": (
        study(integrator_steps={"dimension": True}),
        "integrator_steps.dimension is True",
        "number",
    ),
    "integrators, dimension twice": (
        study(integrator_steps={"dimension": [1, 1]}),
        "integrator_steps: a dimension is given twice in [1, 1]",
        "once",
    ),
    "integrators, size twice": (
        study(integrator_steps={"dimension": [1, 2], "sizes": [[8], [8, 16, 8]]}),
        "integrator_steps: a size is given twice in [8, 16, 8]",
        "once",
    ),
    "integrators, no room": (
        study(integrator_steps={"sizes": [8, 16], "t_min": 5.0}),
        "integrator_steps: t_min is 5.0",
        "below the highest level of size 8, 4.38",
    ),
    "generation, no room": (sweep(generation={"t_min": 2.0, "t_max": 1.0}), "sweeps.a: t_min is 2.0", "below t_max"),
    "size 1": (sweep(sizes=[8, 1]), "sweeps.a.sizes.1 is 1", "greater than or equal to 2"),
    "size a fraction": (sweep(sizes=[8.5]), "sweeps.a.sizes.0 is 8.5", "integer"),
    "mass 0": (sweep(mass=0), "sweeps.a.mass is 0", "greater than 0"),
    "mass nan": (sweep(mass=math.nan), "sweeps.a.mass is nan", "finite"),
    "mass infinite": (sweep(mass=[1.0, math.inf]), "sweeps.a.mass.1 is inf", "finite"),
    "mass yes": (sweep(mass=True), "sweeps.a.mass is True", "number"),
    "mass a word": (sweep(mass="heavy"), "sweeps.a.mass is 'heavy'", "number"),
    "u negative": (sweep(couplings={"r0": 1, "u": -1}), "sweeps.a.couplings.u is -1", "greater than or equal to 0"),
    "noise level 0": (trained(noise_levels=[0.1, 0]), "training.noise_levels.1 is 0", "greater than 0"),
    "seed negative": (trained(seeds=[-1]), "training.seeds.0 is -1", "greater than or equal to 0"),
    "seed in a sweep": (sweep(training={"seeds": [1, "two"]}), "sweeps.a.training.seeds.1 is 'two'", "integer"),
    "batch yes": (trained(batch=True), "training.batch is True", "integer"),
    "max steps a power": (trained(max_steps="1e6"), "training.max_steps is '1e6'", "integer"),
    "tolerance negative": (trained(tolerance=-1), "training.tolerance is -1", "at least 0"),
    "rate 0": (trained(learning_rate=0), "training.learning_rate is 0", "above 0"),
    "range a fraction": (network(name="local_one_layer", range=2.5), "sweeps.a.architectures.0.range is 2.5", "3xi"),
    "path": (trained(path="spectrl"), "training.path is 'spectrl'", "did you mean 'spectral'?"),
    "font size 0": (study(figure_style={"font_size": 0}), "figure_style.font_size is 0", "greater than 0"),
    "training a list": (sweep(training=[1]), "sweeps.a.training is [1]", "mapping"),
    # Names.
    "architecture": (sweep(architectures=["two_layr"]), "sweeps.a: unknown architecture", "did you mean 'two_layer'?"),
    "loss": (trained(loss="implict"), "sweeps.a: unknown loss 'implict'", "did you mean 'implicit'?"),
    "schedule": (trained(schedule="vpp"), "sweeps.a: unknown schedule 'vpp'", "did you mean 'vp'?"),
    "target": (sweep(target="gausian"), "sweeps.a: unknown target 'gausian'", "did you mean 'gaussian'?"),
    # Jobs that cannot be trained.
    "depth missing": (sweep(architectures=["deep_linear"]), "sweeps.a: architecture 'deep_linear'", "depth"),
    "depth not taken": (network(name="one_layer", depth=3), "sweeps.a: architecture 'one_layer'", "no depth"),
    "range too large for one size": (
        sweep(sizes=[16, 8, 32], architectures=[{"name": "local_one_layer", "range": 5}]),
        "sweeps.a: range is 5",
        "size 8 it must be an integer from 0 to 3",
    ),
    "range malformed": (network(name="local_one_layer", range="xi3"), "sweeps.a: range is 'xi3'", "3xi"),
    "no root of one pair": (
        sweep(couplings=[{"r0": -1, "u": 1}, {"r0": -1, "u": 0}]),
        "sweeps.a: the gap equation has no root",
        "r0 must be above 0",
    ),
    "population on fields": (trained(loss="population", path="fields"), "sweeps.a", "implicit, denoising or posterior"),
    "data sets in minibatches": (trained(loss="implicit", data_sets=16), "sweeps.a", "path fields"),
    # The mass in two ways.
    "mass and line": (sweep(mass=1, mass_times_length=1), "sweeps.a: mass and mass_times_length", "one way"),
    "mass and couplings": (sweep(mass=1, couplings={"r0": 1, "u": 1}), "sweeps.a: mass and couplings", "one way"),
    "three ways": (
        sweep(mass=1, mass_times_length=1, couplings={"r0": 1, "u": 1}),
        "sweeps.a: mass and mass_times_length and couplings",
        "one way",
    ),
    # Given twice.
    "seed twice": (sweep(training={"seeds": [1, 2, 1]}), "sweeps.a: a seed is given twice in [1, 2, 1]", "once"),
    "noise level twice": (sweep(training={"noise_levels": [0.1, 0.1]}), "sweeps.a: a noise level is", "twice in [0.1"),
    "size twice": (sweep(sizes=[8, 16, 8]), "sweeps.a: the run d1_L8_mL1_one_layer_", "twice, also in sweeps.a"),
    "mass twice": (sweep(mass=[0.5, 0.5]), "sweeps.a: the run d1_L8_m0.5_one_layer_", "twice, also in sweeps.a"),
    "architecture twice": (
        sweep(architectures=["one_layer", {"name": "one_layer"}]),
        "sweeps.a: the run d1_L8_mL1_one_layer_",
        "twice, also in sweeps.a",
    ),
    "depth twice": (network(name="deep_linear", depth=[3, 3]), "sweeps.a: the run d1_L8_mL1_deep_linear-p3_", "twice"),
    "data set twice": (trained(loss="population", data_sets=[9, 9]), "sweeps.a: the run d1_L8_mL1_one_", "twice"),
    "run in two sweeps": (
        study(sweeps={"a": SWEEP, "b": {**SWEEP, "sizes": [32, 16], "mass_times_length": 1.0}}),
        "sweeps.b: the run d1_L16_mL1_one_layer_",
        "twice, also in sweeps.a",
    ),
}


@pytest.mark.parametrize(("content", "key", "allowed"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_gives_its_path_and_what_is_allowed(content: dict[str, Any], key: str, allowed: str) -> None:
    sentence = mistake(content)
    assert sentence.startswith(key)
    assert allowed in sentence


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("file", "'file' is there and no folder"),
        ("file/r", "file' is there and no folder"),
        ("link", "'link' is there and no folder"),
        ("/dev/null", "is there and no folder"),
        ("a\0b", "NUL"),
        ("{x}", "braces"),
        ("r/" + "n" * 256, "at most 255 bytes"),
        ("ä" * 128, "at most 255 bytes"),
        ("abcdefg/" * 500, "at most 3800 bytes"),
        ("~nobody-of-this-name/r", "no user 'nobody-of-this-name'"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(
    output: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("the study itself, for instance")
    Path("link").symlink_to("gone")
    sentence = mistake(study(output=output))
    assert sentence.startswith("output is ")
    assert words in sentence
    for good in ("r", "new/r", ".", "n" * 255, "with space, ü and '", "~"):
        assert parse(study(output=good)).output == good


@pytest.mark.parametrize("content", [None, [], "study", 3])
def test_a_study_that_is_no_mapping(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"study\.yaml: .*mapping"):
        load(path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """UTF-16, as some editors save it, or a NetCDF file given by mistake."""
    path = tmp_path / "study.yaml"
    path.write_bytes("study: s".encode("utf-16"))
    with pytest.raises(InputError, match=r"study\.yaml: "):
        load(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_file_without_an_end() -> None:
    with pytest.raises(InputError, match=r"/dev/zero: .*longer than"):
        load(Path("/dev/zero"))


def test_the_style_of_figures_alone() -> None:
    assert parse_style({"font_size": 9}).font_size == 9.0
    with pytest.raises(InputError, match=r"^figure_style\.font: .*'font_size'"):
        parse_style({"font": 9})


def test_yaml_numbers_in_all_spellings() -> None:
    """YAML 1.1 takes 1e-3 for a word; a number it is all the same."""
    content = yaml.safe_load(
        """
        study: s
        training: {noise_levels: [1e-3, 1.0e-2, .5, 1], tolerance: 1e-4, learning_rate: 5e-2, seeds: [1]}
        sweeps:
          a: {dimension: 1, sizes: 8, mass: [1e-3, 2], architectures: one_layer}
          b: {dimension: 1, sizes: 8, couplings: {r0: -1e-3, u: 1e+1}, architectures: one_layer}
        figure_style: {noise_level: 1e-2}
        """
    )
    assert isinstance(content["training"]["tolerance"], str)
    parsed = parse(content)
    assert parsed.training.noise_levels == [0.001, 0.01, 0.5, 1.0]
    assert (parsed.training.tolerance, parsed.training.learning_rate) == (1e-4, 0.05)
    assert parsed.figure_style.noise_level == 0.01
    runs = training_jobs(parsed)
    assert [run.field.mass for run in runs] == [0.001, 2.0, None]
    assert (runs[2].field.r0, runs[2].field.u) == (-0.001, 10.0)


def test_single_values_stand_for_lists_of_one() -> None:
    single = {"dimension": 1, "sizes": 8, "mass": 0.5, "architectures": {"name": "deep_linear", "depth": 3}}
    listed = {"dimension": 1, "sizes": [8], "mass": [0.5], "architectures": [{"name": "deep_linear", "depth": [3]}]}
    assert runs_of(study(sweeps={"a": single})) == runs_of(study(sweeps={"a": listed}))


def test_the_table_is_the_product_of_all_choices() -> None:
    runs = runs_of(
        sweep(
            sizes=[8, 16],
            mass=[0.1, 0.2, 0.3],
            architectures=["two_layer", {"name": "local_two_layer", "range": [1, 2], "channels": [1, 3]}],
            training={"loss": "population", "data_sets": [4, 5], "seeds": [1, 2, 3], "seeds_per_job": 2},
        )
    )
    # Sizes × masses × (1 + ranges × channels) × data sets × jobs.
    assert len(runs) == 2 * 3 * (1 + 2 * 2) * 2 * 2
    assert {run.label for run in runs} == {
        "two_layer",
        "local_two_layer-R1-c1",
        "local_two_layer-R1-c3",
        "local_two_layer-R2-c1",
        "local_two_layer-R2-c3",
    }
    assert {run.seeds for run in runs} == {(1, 2), (3,)}
    assert {(run.size, run.field.mass, run.data_set) for run in runs} == {
        (size, mass, count) for size in (8, 16) for mass in (0.1, 0.2, 0.3) for count in (4, 5)
    }


def test_a_number_of_seeds_counts_from_one() -> None:
    for content in (trained(seeds=3), sweep(training={"seeds": 3})):
        assert {run.seeds for run in training_jobs(parse(content))} == {(1, 2, 3)}
    assert len(parse(trained(seeds=10_000)).training.seeds) == 10_000
    for wrong in (0, -1, True, 3.0, "3", None, 10_001, 1_000_000_000):
        with pytest.raises(InputError, match=rf"^training\.seeds is {wrong!r}: .*1 to 10000"):
            parse(trained(seeds=wrong))


def test_a_sweep_overrides_the_training_of_the_study_and_only_that() -> None:
    content = study(
        training={"batch": 7, "tolerance": 0.5, "seeds": [9]},
        sweeps={"a": SWEEP, "b": {**SWEEP, "training": {"batch": 11}}},
    )
    settings = {run.sweep: run.settings for run in runs_of(content)}
    assert (settings["a"].batch, settings["a"].tolerance, settings["a"].seeds) == (7, 0.5, (9,))
    assert (settings["b"].batch, settings["b"].tolerance, settings["b"].seeds) == (11, 0.5, (9,))


def test_couplings_fix_the_mass_by_the_gap_equation() -> None:
    """L = 2, d = 1, u = 2, m² = 1: I = 0.6 and r₀ = −0.2."""
    (run,) = runs_of(sweep(sizes=[2], couplings={"r0": -0.2, "u": 2}))
    assert run.target_label == "r-0.2u2"
    assert problem(run)[0].target.mass == pytest.approx(1.0, rel=1e-12)


class Reached(BaseException):
    """Where a command is stopped."""


def problem(run: TrainingJob) -> Any:
    """What `csd train` is about to train, with a run's arguments."""

    def stop(*asked: Any, **_: Any) -> None:
        raise Reached(*asked)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Reached) as reached:
        patched.setattr("csd.api.training.trained", stop)
        main(["train", *run.arguments(), "--output", "out.nc"])
    return reached.value.args[:3]


def assert_round_trip(run: TrainingJob) -> None:
    """A run's arguments, parsed back, are the problem that the run stands for."""
    noised, architecture, settings = problem(run)
    lattice, training = noised.lattice, with_own_steps(run.architecture, run.settings)
    assert (lattice.dimension, lattice.size) == (run.dimension, run.size)
    if run.field.mass is not None:
        assert noised.target.mass == run.field.mass
    elif run.field.mass_times_length is not None:
        assert noised.target.mass == run.field.mass_times_length / run.size
    else:
        from csd.targets.gaussian import GaussianField

        assert run.field.r0 is not None
        assert run.field.u is not None
        assert noised.target.mass == GaussianField.from_couplings(lattice, run.field.r0, run.field.u).mass
    assert type(noised.schedule).__name__ == {"vp": "VariancePreserving", "ve": "VarianceExploding"}[run.schedule]
    assert list(noised.levels) == run.noise_levels
    assert architecture == run.architecture
    assert architecture.label == run.label
    assert settings.seeds == run.seeds
    assert settings.data_set == run.data_set
    for name in ("loss", "tolerance", "max_steps", "learning_rate", "path"):
        assert getattr(settings, name) == getattr(training, name), name
    if training.loss != "population":
        assert settings.batch == training.batch


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_our_studies_are_valid_and_every_run_survives_the_command_line(path: Path) -> None:
    parsed = parse(load(path))
    runs = training_jobs(parsed)
    identifiers = [run.identifier for run in runs]
    assert len(set(identifiers)) == len(identifiers) > 0
    assert all(re.fullmatch(r"d[123]_L\d+_[A-Za-z0-9_.+-]+", identifier) for identifier in identifiers)
    if parsed.figures is None:
        assert len(drawn(parsed)) > 5
    else:
        assert set(drawn(parsed)) == set(parsed.figures)
    assert (ROOT / parsed.claims).is_file()
    assert parsed.figure_style.noise_level in parsed.training.noise_levels
    # The workflow adds the file of fields that the study makes.
    whole = [run for run in runs if not TRAINING.takes(run)]
    for run in whole[:: max(1, len(whole) // 100)]:
        assert_round_trip(run)


def test_there_are_studies_to_check() -> None:
    assert {"config.yaml", "test.yaml", "large.yaml"} <= {path.name for path in STUDIES}


numbers = st.floats(1e-8, 1e8)
SWEEPS = st.fixed_dictionaries(
    {
        "dimension": st.sampled_from([1, 2, 3]),
        "sizes": st.lists(st.integers(4, 9), min_size=1, max_size=2, unique=True),
        "architectures": st.sampled_from(
            [
                "one_layer",
                {"name": "deep_linear", "depth": [1, 7]},
                {"name": "local_one_layer", "range": [0, 1, "xi", "2.5xi", "1e-1xi"]},
                {"name": "local_two_layer", "range": 1, "channels": [1, 2]},
            ]
        ),
    },
    optional={
        "training": st.fixed_dictionaries(
            {},
            optional={
                "schedule": st.sampled_from(["vp", "ve"]),
                "noise_levels": st.lists(numbers, min_size=1, max_size=3, unique=True),
                "loss": st.sampled_from(["population", "implicit", "denoising"]),
                "batch": st.integers(1, 10**6),
                "tolerance": st.floats(0.0, 1e3),
                "max_steps": st.integers(1, 10**12),
                "learning_rate": numbers,
                "seeds": st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True),
                "seeds_per_job": st.integers(1, 5),
            },
        )
    },
)
MASSES = st.one_of(
    st.just({}),
    st.builds(lambda m: {"mass": m}, numbers),
    st.builds(lambda c: {"mass_times_length": c}, numbers),
    st.builds(lambda r0, u: {"couplings": {"r0": r0, "u": u}}, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)),
)


@given(SWEEPS, MASSES)
def test_any_run_survives_the_command_line(keys: dict[str, Any], mass: dict[str, Any]) -> None:
    runs = runs_of(study(sweeps={"a": {**keys, **mass}}))
    identifiers = [run.identifier for run in runs]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[A-Za-z0-9_.+-]+", identifier) for identifier in identifiers)
    for run in runs:
        assert_round_trip(run)


VARIANTS: dict[str, dict[str, Any]] = {
    "size": sweep(sizes=[9]),
    "dimension": sweep(sizes=[8], dimension=2),
    "mass": sweep(sizes=[8], mass=0.125),
    "line": sweep(sizes=[8], mass_times_length=2),
    "couplings": sweep(sizes=[8], couplings={"r0": 1, "u": 1}),
    "other couplings": sweep(sizes=[8], couplings={"r0": -1, "u": 1}),
    "architecture": sweep(sizes=[8], architectures=["two_layer"]),
    "depth": sweep(sizes=[8], architectures=[{"name": "deep_linear", "depth": 3}]),
    "range": sweep(sizes=[8], architectures=[LOCAL]),
    "range that follows": sweep(sizes=[8], architectures=[{**LOCAL, "range": "2xi"}]),
    "loss": sweep(sizes=[8], training={"loss": "denoising"}),
    "population": sweep(sizes=[8], training={"loss": "population"}),
    "batch": sweep(sizes=[8], training={"batch": 3}),
    "data set": sweep(sizes=[8], training={"loss": "population", "data_sets": 3}),
    "path": sweep(sizes=[8], training={"path": "fields"}),
    "schedule": sweep(sizes=[8], training={"schedule": "ve"}),
    "rate": sweep(sizes=[8], training={"learning_rate": 0.01}),
    "seeds": sweep(sizes=[8], training={"seeds": [1, 2, 3]}),
    "seeds with a gap": sweep(sizes=[8], training={"seeds": [1, 3]}),
    "one seed": sweep(sizes=[8], training={"seeds": [13]}),
    "seeds the other way round": sweep(sizes=[8], training={"seeds": [3, 1]}),
}


def test_runs_that_differ_have_identifiers_that_differ() -> None:
    """One setting changed at a time."""
    identifiers = [runs_of(content)[0].identifier for content in (sweep(sizes=[8]), *VARIANTS.values())]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(
    "network",
    [
        {"name": "local_one_layer", "range": "3 xi"},
        {"name": "../elsewhere:Net"},
        {"name": "my module:Net"},
    ],
    ids=lambda network: str(network["name"]),
)
def test_an_identifier_is_always_the_name_of_a_file(network: dict[str, Any]) -> None:
    """What cannot be put in a file's name, or in Snakemake's wildcard, is refused when the study is read."""
    try:
        runs = runs_of(sweep(architectures=[network]))
    except InputError as error:
        assert str(error).startswith("sweeps.a")
    else:
        assert all(re.fullmatch(r"[A-Za-z0-9_.+-]+", run.identifier) for run in runs)


def test_seeds_far_apart_cost_nothing() -> None:
    """The name of a job must not be found by listing all numbers between its seeds."""
    (run,) = runs_of(sweep(sizes=[8], training={"seeds": [0, 2**62]}))
    assert run.identifier.endswith(f"_s0.{2**62}")


def test_more_seeds_leave_the_first_jobs_as_they_were() -> None:
    def jobs(count: int) -> list[str]:
        content = sweep(sizes=[8], training={"seeds": list(range(1, count + 1)), "seeds_per_job": 2})
        return [run.identifier for run in runs_of(content)]

    assert jobs(6)[:2] == jobs(4)
    assert [identifier.rsplit("_s", 1)[1] for identifier in jobs(5)] == ["1-2", "3-4", "5"]


def test_the_study_written_out_is_the_study() -> None:
    """`csd study` fills in the defaults; reading that back must give the same run table."""
    for path in STUDIES:
        parsed = parse(load(path))
        again = parse(json.loads(parsed.model_dump_json()))
        assert again == parsed
        assert [run.identifier for run in training_jobs(again)] == [run.identifier for run in training_jobs(parsed)]


SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.json"


def test_the_committed_schema_is_current() -> None:
    """But for figures that are new since: an editor completes their names once the file is made again."""
    committed, current = json.loads(SCHEMA.read_text()), with_names(json_schema())
    names, there = (set(of["properties"]["figures"]["anyOf"][0]["items"].pop("enum")) for of in (committed, current))
    assert committed == current, "run: csd schema > workflow/schemas/study.schema.json"
    assert names <= there


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_our_studies_fit_the_schema(path: Path) -> None:
    """An editor that checks against the schema must not mark what we accept."""
    errors = list(jsonschema.Draft202012Validator(json_schema()).iter_errors(load(path)))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_the_schema_refuses_misspelt_keys() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for content in (study(sweps={}), sweep(size=[8]), trained(bach=3), network(name="one_layer", rnge=2)):
        assert not validator.is_valid(content)


def test_a_network_may_generate_on_larger_lattices() -> None:
    runs = training_jobs(parse(sweep(sizes=[8, 16], generation={"transfer": [2, 4]}, training={"seeds": [1]})))
    files = generation_jobs(runs)
    assert [file.size for file in files] == [8, 16, 32, 16, 32, 64]
    assert files[2].identifier == f"{runs[0].identifier}_to32"
    assert files[2].arguments()[-2:] == ["--size", "32"]
    assert "--size" not in files[0].arguments()
    assert len({file.identifier for file in files}) == 6
    with pytest.raises(InputError, match=r"sweeps\.a\.generation\.transfer"):
        parse(sweep(generation={"transfer": [1]}))
    onsite = {
        "architectures": [{"name": "one_layer_onsite", "width": 2}],
        "generation": {"transfer": 2},
        "training": {"path": "fields"},
    }
    with pytest.raises(InputError, match=r"sweeps\.a: generation\.transfer .*'one_layer_onsite' depend on the lattice"):
        training_jobs(parse(sweep(**onsite)))


def test_samples_that_are_not_given_are_as_many_as_a_network_needs() -> None:
    """256 with a linear network, as always; with any other as many as decide the criteria, which its file then says."""
    fields = {"path": "fields", "seeds": [1]}
    for name, asked in (("one_layer", 256), ("convolutional", None)):
        runs = training_jobs(parse(sweep(sizes=[8], architectures=[name], generation={"steps": 4}, training=fields)))
        (job,) = generation_jobs(runs)
        assert job.request.get("samples") == asked
        assert ("--samples" in job.arguments()) == (asked is not None)
    (job,) = generation_jobs(
        training_jobs(parse(sweep(sizes=[8], architectures=["wiener"], generation={"samples": 64}, training=fields)))
    )
    assert job.request["samples"] == 64


def test_ends_of_the_sampler_s_grid() -> None:
    (run,) = training_jobs(
        parse(sweep(sizes=[8], generation={"t_min": 0.01, "t_max": 2.0, "steps": 4}, training={"seeds": [1]}))
    )
    assert (run.noise_levels[0], run.noise_levels[-1]) == (pytest.approx(2.0), pytest.approx(0.01))
    with pytest.raises(InputError, match=r"t_min .*t_max"):
        training_jobs(parse(sweep(generation={"t_min": 3.0, "t_max": 2.0})))


def test_training_until_samples_are_right_knows_what_will_generate() -> None:
    """The flags of training name the integrator and the start of the sweep's generation; nothing else does."""
    asked = {"generation": {"integrator": "euler", "start": "exact", "kernel_steps": "sparse"}}
    (run,) = training_jobs(parse(sweep(sizes=[8], **asked, training={"seeds": [1], "until": "samples"})))
    assert " ".join(run.arguments()).endswith("--kernel-steps sparse --until samples --integrator euler --start exact")
    assert (run.settings.until, run.settings.integrator, run.settings.start) == ("samples", "euler", "exact")
    (usual,) = training_jobs(parse(sweep(sizes=[8], **asked, training={"seeds": [1]})))
    assert usual.arguments()[-4:] == ["--kernel-steps", "sparse", "--until", "score_error"]
    assert usual.settings.until == "score_error"


def test_what_training_would_refuse_is_refused_before() -> None:
    for keys, match in (
        ({"data_sets": [4]}, "loss is 'implicit'"),
        ({"loss": "population", "path": "fields"}, "loss is 'population'"),
        ({"until": "samples"}, "until is samples"),
    ):
        with pytest.raises(InputError, match=f"sweeps.a: {match}"):
            training_jobs(parse(sweep(training=keys)))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sizes", "sizes.0 is 9223372036854775808"),
        ("seeds", "seeds"),
        ("training.batch", "training.batch is 9223372036854775808"),
        ("data_sets", "data_sets.0 is 9223372036854775808"),
        ("training.max_steps", "training.max_steps is 9223372036854775808"),
        ("seeds_per_job", "seeds_per_job is 9223372036854775808"),
    ],
)
def test_integers_beyond_64_bits_are_refused_in_every_key(key: str, words: str) -> None:
    sweep: dict[str, Any] = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"], "training": {}}
    if key == "sizes":
        sweep["sizes"] = [2**63]
    else:
        sweep["training"][key.removeprefix("training.")] = [2**63] if key in ("seeds", "data_sets") else 2**63
    with pytest.raises(InputError) as caught:
        parse({"study": "s", "sweeps": {"line": sweep}})
    assert words in str(caught.value)
    assert "64 bits can hold" in str(caught.value)
