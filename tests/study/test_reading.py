"""YAML as csd reads it: files of studies and claims, and what Snakemake is given with --config."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from csd.core.errors import InputError
from csd.study.config.reading import given_to_snakemake, load, parse, read_yaml
from tests.helpers import ROOT, Runner

TWICE = {
    "two sweeps of one name": (
        "sweeps:\n  a: {dimension: 1}\n  b: {dimension: 1}\n  a: {dimension: 2}\n",
        "a",
        "2 and 4",
    ),
    "a key of a section": ("training:\n  batch: 8\n  seeds: 1\n\n  batch: 16\n", "batch", "2 and 5"),
    "a section": ("training: {}\nstudy: s\ntraining: {}\n", "training", "1 and 3"),
    "in quotes": ("study: a\n'study': b\n", "study", "1 and 2"),
    "in one line": ("training: {batch: 8, batch: 16}\n", "batch", "line 1"),
    "in a list": ("claims:\n  - id: A\n  - id: B\n    id: C\n", "id", "3 and 4"),
    "a number": ("1: a\n0x1: b\n", "1", "1 and 2"),
    "in JSON": ('{"study": "a",\n "study": "b"}', "study", "1 and 2"),
    "in JSON with tabs": ('{\n\t"study": "a",\n\t"study": "b"\n}', "study", "2 and 3"),
}


@pytest.mark.parametrize("case", TWICE)
def test_a_key_that_is_given_twice_is_refused(case: str, tmp_path: Path) -> None:
    """With the file, the key and both lines."""
    text, key, lines = TWICE[case]
    path = tmp_path / "study.yaml"
    path.write_text(text)
    for reads in (lambda: load(path), lambda: given_to_snakemake({}, [path], [])):
        with pytest.raises(InputError) as caught:
            reads()
        assert [word for word in (str(path), key, lines, "given twice") if word not in str(caught.value)] == []


def test_what_yaml_allows_is_read_as_before() -> None:
    """Merge keys that are overridden, one key in several mappings, JSON with tabs; and every file of the checkout."""
    text = "a: &a {x: 1, y: 2}\nouter: {b: &b {<<: *a, x: 2}}\nc: {<<: *b, z: 1}\nd: {<<: [*a, *b], x: 5}\n"
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml(text)["c"] == {"x": 2, "y": 2, "z": 1}
    content = {"study": "s", "values": [1, 2.5, None, True, "\ta"]}
    assert read_yaml(json.dumps(content, indent="\t")) == content
    for file in [*ROOT.glob("config/*.yaml"), *ROOT.glob("workflow/profiles/*/*.yaml")]:
        assert load(file) == yaml.safe_load(file.read_text())


def test_commands_refuse_equal_keys(tmp_path: Path, csd: Runner) -> None:
    sweep = "{dimension: 1, sizes: 8, architectures: one_layer}"
    study = f"study: s\nclaims: mine.yaml\nsweeps:\n  a: {sweep}\n"
    (tmp_path / "mine.yaml").write_text("claims: []\n")
    (tmp_path / "study.yaml").write_text(f"{study}  a: {sweep}\n")
    assert "study.yaml: the key 'a' is given twice, in lines 4 and 5" in csd("validate --no-cost study.yaml").err
    (tmp_path / "study.yaml").write_text(study)
    (tmp_path / "mine.yaml").write_text("claims: []\nclaims: []\n")
    assert "mine.yaml: the key 'claims' is given twice, in lines 1 and 2" in csd("validate --no-cost study.yaml").err


STUDY: dict[str, Any] = {
    "study": "s",
    "training": {"batch": 64, "seeds": [1]},
    "sweeps": {"a": {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}},
}
GIVEN = [
    "training={batch: 512}",
    "training={batch: 512, tolerance: 1e-3, learning_rate: 2.5e-1, data_sets: null, seeds: [3, 4]}",
    "training={noise_levels: [1e-2, .5, 1]}",
    "training={'batch': 512, 'seeds': 2}",
    "sweeps={a: {sizes: [12, 16], mass: 1e-1}}",
    "sweeps={b: {dimension: 2, sizes: 4, architectures: [{name: deep_linear, depth: [2, 3]}]}}",
    "sweeps={a: {training: {batch: 8}, generation: {steps: 4, t_max: null}}}",
    "figures=[collapse, kernels]",
    "figures=",
    "figure_style={noise_level: 1e-2}",
    'study="7"',
    "study=yes and no",
    "output=results/007",
    "integrator_steps={sizes: [[8, 16], [8]], dimension: [1, 2]}",
]
"""Entries of --config."""


def snakemake_reads(entry: str) -> dict[str, Any]:
    """The configuration of a study as Snakemake has it after an entry of --config."""
    from snakemake.cli import parse_config
    from snakemake.utils import update_config

    config = json.loads(json.dumps(STUDY))
    update_config(config, parse_config([entry]))
    return config


@pytest.mark.parametrize("entry", GIVEN)
def test_an_entry_of_config_is_what_the_same_text_is_in_a_file(entry: str) -> None:
    key, _, text = entry.partition("=")
    written = yaml.safe_load(f"{key}: {text}")[key]
    expected = {**STUDY, key: written}
    if isinstance(written, dict):
        # Snakemake merges what is given into what is there.
        expected[key] = merged(STUDY.get(key, {}), written)
    found = given_to_snakemake(snakemake_reads(entry), [], [entry])
    assert found == expected
    assert parse(found) == parse(expected)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one, in which the second counts."""
    both = {key for key in old if isinstance(old[key], dict) and isinstance(new.get(key), dict)}
    return {**old, **new, **{key: merged(old[key], new[key]) for key in both}}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("training={batch: 512", ["--config training", "not valid YAML"]),
        ("training={batch: 1, batch: 2}", ["--config training", "the key 'batch' is given twice"]),
        ("training={batch: many}", ["training.batch is 'many'", "an integer of at least 1"]),
        ("training={batch: yes}", ["training.batch is True"]),
        ("training={btach: 8}", ["training.btach", "did you mean 'batch'?"]),
        ("trainin={batch: 8}", ["trainin", "did you mean 'training'?"]),
        ("training=512", ["training is 512"]),
        ("training=null", ["training is None"]),
        ("sweeps={a: {sizes: [8, x]}}", ["sweeps.a.sizes.1 is 'x'"]),
        ("study=7", ["study is 7"]),
    ],
)
def test_a_wrong_entry_of_config_is_one_sentence_with_its_key(entry: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse(given_to_snakemake(snakemake_reads(entry), [], [entry]))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize(("value", "base"), [("010", "8"), ("-07", "8"), ("1:40", "60"), ("1:40.5", "60")])
def test_numbers_to_other_bases_are_refused(value: str, base: str, tmp_path: Path) -> None:
    """YAML reads 010 as 8 and 1:40 as 100."""
    path = tmp_path / "study.yaml"
    path.write_text(f"study: s\ntraining:\n  batch: {value}\n")
    with pytest.raises(InputError, match=f"{path}: {value} in line 3 is a number to the base {base} "):
        load(path)


def test_other_spellings_of_numbers_are_read() -> None:
    text = "[0, 10, 0x40, 1_000, -3, 0.5, 05.5, '010', '1:40', 0o20]"
    assert read_yaml(text) == [0, 10, 64, 1000, -3, 0.5, 5.5, "010", "1:40", "0o20"]
