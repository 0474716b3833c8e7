"""Studies of users: YAML in all its forms, values of keys, and what Snakemake is given with --config."""

from pathlib import Path
from typing import Any

import pytest

from csd.study.config.reading import load, parse
from csd.study.config.study import jobs_of
from tests.helpers import Runner

HEAD = """study: s
output: o
figures: []
training: {noise_levels: [0.1], batch: 64, seeds: [1], max_steps: 20}
sweeps:
  a:
    dimension: 1
    sizes: [8]
"""
"""A study up to the networks of its sweep."""
NETWORK = "    architectures: one_layer\n"
LOCAL = "    architectures: {name: local_one_layer, range: %s}\n"


def text(change: tuple[str, str] | str) -> str:
    """The study with one text in place of another, or with other lines at its end."""
    if isinstance(change, str):
        return HEAD + change
    assert change[0] in HEAD
    return HEAD.replace(*change, 1) + NETWORK


def at(key: str, value: str) -> tuple[str, str]:
    """The study with another value of a key."""
    old = {"noise_levels": "[0.1]", "batch": "64", "seeds": "[1]", "max_steps": "20", "dimension": "1", "sizes": "[8]"}
    old |= {"study": "s", "output": "o"}
    return (f"{key}: {old[key]}", f"{key}: {value}")


# What is read: the number of jobs, and a value found by its keys.
READ: dict[str, tuple[tuple[str, str] | str, int, str, Any]] = {
    "a list of one": ("    architectures: [one_layer]\n", 1, "architecture", "one_layer"),
    "two networks": ("    architectures: [one_layer, two_layer]\n", 2, "size", 8),
    "hexadecimal": (at("batch", "0x40"), 1, "batch", 64),
    "underscore": (at("batch", "1_000"), 1, "batch", 1000),
    "the largest integer": (at("batch", "9223372036854775807"), 1, "batch", 2**63 - 1),
    "dimension 1.0": (at("dimension", "1.0"), 1, "dimension", 1),
    "a level in words": (at("noise_levels", '["0.1"]'), 1, "noise_levels", [0.1]),
    "a power without a point": (at("noise_levels", "[1e-1]"), 1, "noise_levels", [0.1]),
    "without a zero": (at("noise_levels", "[.1e0]"), 1, "noise_levels", [0.1]),
    "a tiny level": (at("noise_levels", "[0.1, 1e-300]"), 1, "noise_levels", [0.1, 1e-300]),
    "a huge level": (at("noise_levels", "[0.1, 1e300]"), 1, "noise_levels", [0.1, 1e300]),
    "a number of seeds": (at("seeds", "3"), 1, "seeds", [1, 2, 3]),
    "a large lattice": (at("sizes", "[1000000000]"), 1, "size", 10**9),
    "name of a study in quotes": (at("study", "'a/b c'"), 1, "size", 8),
    "folder above": (at("output", ".."), 1, "size", 8),
    "folder with spaces": (at("output", "a b"), 1, "size", 8),
    "name of a sweep": (("  a:", "  a b/c:"), 1, "size", 8),
    "merged mapping": (
        f"{NETWORK}  b: &x\n    dimension: 2\n    sizes: [4]\n{NETWORK}  c:\n    <<: *x\n    sizes: [6]\n",
        3,
        "size",
        8,
    ),
    "comment and document": (("study: s", "---\n# mine\nstudy: s # name"), 1, "size", 8),
    "a power as mass": (f"    mass: 1e-3\n{NETWORK}", 1, "mass", 1e-3),
    "range 3xi": (LOCAL % "3xi", 1, "size", 8),
    "range 3": (LOCAL % 3, 1, "size", 8),
    "two depths": ("    architectures: {name: deep_linear, depth: [2, 3]}\n", 2, "size", 8),
    "network of the user": ("    architectures: ['tests.borders.test_classes:Free']\n", 1, "size", 8),
    "options of the user": (
        "    architectures: {name: 'tests.borders.test_classes:WithOptions', flag: [true, false], scale: 1e-3}\n",
        2,
        "size",
        8,
    ),
    "target of the user": (f"    target: tests.borders.test_classes:Plain\n{NETWORK}", 1, "size", 8),
}


@pytest.mark.parametrize(("change", "count", "name", "value"), READ.values(), ids=READ.keys())
def test_what_is_read(change: Any, count: int, name: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(text(change))
    jobs = list(jobs_of(parse(load(tmp_path / "study.yaml")))["training"].values())
    assert len(jobs) == count
    assert jobs[0].request.get(name, getattr(jobs[0], name, None)) == value


# What is refused, and words of the sentence: the key, its value, what is allowed.
REFUSED: dict[str, tuple[tuple[str, str] | str, list[str]]] = {
    # Forms of YAML.
    "a tab": ("\tarchitectures: one_layer\n", ["not valid YAML", "line 9", "\\t"]),
    "a colon too much": ("    architectures: a: b\n", ["not valid YAML", "line 9"]),
    "code": ("    architectures: !!python/object/apply:os.system ['touch pwned']\n", ["not valid YAML", "line 9"]),
    "an alias of itself": ("    architectures: &a [one_layer, *a]\n", ["sweeps.a.architectures.1"]),
    "an unknown alias": ("    architectures: *b\n", ["not valid YAML", "line 9"]),
    "two documents": (f"{NETWORK}---\nstudy: t\n", ["not valid YAML"]),
    "a list as key": (f"{NETWORK}    ? [a, b]\n    : 3\n", ["not valid YAML"]),
    "a number as key": (f"{NETWORK}    1: 3\n", ["sweeps.a", "1"]),
    "a capital": (f"{NETWORK}    Target: gaussian\n", ["sweeps.a.Target", "did you mean 'target'?"]),
    "a mapping": ("    architectures: {one_layer}\n", ["sweeps.a.architectures"]),
    "a list in a list": ("    architectures: [one_layer, [two_layer]]\n", ["sweeps.a.architectures.1", "two_layer"]),
    "nothing": ("    architectures: null\n", ["sweeps.a.architectures", "None"]),
    "no networks": ("    architectures: []\n", ["sweeps.a.architectures", "[]"]),
    # Numbers.
    "batch in words": (at("batch", "'64'"), ["training.batch is '64'", "integer of at least 1"]),
    "batch 64.0": (at("batch", "64.0"), ["training.batch is 64.0", "integer of at least 1"]),
    "batch 0": (at("batch", "0"), ["training.batch is 0", "at least 1"]),
    "batch infinite": (at("batch", ".inf"), ["training.batch is inf", "integer"]),
    "batch in octal of Python": (at("batch", "0o20"), ["training.batch is '0o20'", "integer"]),
    "batch yes": (at("batch", "yes"), ["training.batch is True", "integer"]),
    "steps a power": (at("max_steps", "1e3"), ["training.max_steps is '1e3'", "integer"]),
    "steps beyond 64 bits": (at("max_steps", str(10**26)), ["training.max_steps is 1000", "1e+18"]),
    "size beyond 64 bits": (at("sizes", f"[{10**20}]"), ["sweeps.a.sizes.0 is 1000", "64 bits"]),
    "size 1": (at("sizes", "[1]"), ["sweeps.a.sizes.0 is 1", "2"]),
    "size twice": (at("sizes", "[8, 8]"), ["sweeps.a", "twice"]),
    "dimension 4": (at("dimension", "4"), ["sweeps.a.dimension is 4", "1, 2 or 3"]),
    "seed beyond 64 bits": (at("seeds", f"[{10**23}]"), ["training.seeds.0 is 1000", "64 bits"]),
    "seed below 0": (at("seeds", "[-1]"), ["training.seeds.0 is -1", "0"]),
    "seed true": (at("seeds", "[true]"), ["training.seeds.0 is True", "integer"]),
    "no seeds": (at("seeds", "[]"), ["training.seeds is []", "1"]),
    "seed twice": (at("seeds", "[1, 1]"), ["a seed is given twice", "[1, 1]"]),
    "seeds too many": (at("seeds", "100000000"), ["training.seeds is 100000000", "10000"]),
    "level nan": (at("noise_levels", "[.nan]"), ["training.noise_levels.0 is nan", "finite"]),
    "level infinite": (at("noise_levels", "[.inf]"), ["training.noise_levels.0 is inf", "finite"]),
    "level below 0": (at("noise_levels", "[-0.5]"), ["training.noise_levels.0 is -0.5", "greater than 0"]),
    "level twice": (at("noise_levels", "[1e-1, 0.1]"), ["noise level is given twice", "[0.1, 0.1]"]),
    "level no list": (at("noise_levels", "0.1"), ["training.noise_levels is 0.1", "list"]),
    "level yes": (at("noise_levels", "[yes]"), ["training.noise_levels.0 is True", "number"]),
    "level a date": (at("noise_levels", "[2026-01-01]"), ["training.noise_levels.0", "date", "number"]),
    "level beyond floats": (at("noise_levels", "[1e400]"), ["training.noise_levels.0", "1e400", "finite"]),
    "level below floats": (at("noise_levels", "[1e-400]"), ["training.noise_levels.0", "1e-400", "greater than 0"]),
    "no levels": (at("noise_levels", "[]"), ["training.noise_levels is []", "1"]),
    # Names and folders.
    "study a number": (at("study", "12"), ["study is 12", "string"]),
    "study no": (at("study", "no"), ["study is False", "string"]),
    "study empty": (at("study", "''"), ["study is ''"]),
    "output nothing": (at("output", ""), ["output is None", "string"]),
    "output a number": (at("output", "12"), ["output is 12", "string"]),
    "output a list": (at("output", "[a]"), ["output is ['a']", "string"]),
    # Targets and networks.
    "two masses": (
        f"    mass: 1\n    mass_times_length: 1\n{NETWORK}",
        ["sweeps.a", "mass and mass_times_length", "one way"],
    ),
    "masses twice": (f"    mass: [1e-3, 0.001]\n{NETWORK}", ["sweeps.a", "m0.001", "twice"]),
    "no gap": (f"    couplings: {{r0: -1e-1, u: 0}}\n{NETWORK}", ["sweeps.a", "r0 = -0.1", "above 0"]),
    "range with a capital": (LOCAL % "3Xi", ["sweeps.a", "'3Xi'", "3xi"]),
    "range beyond floats": (LOCAL % "1e400xi", ["sweeps.a", "'1e400xi'", "3xi"]),
    "range below 0": (LOCAL % "-1xi", ["sweeps.a", "'-1xi'", "3xi"]),
    "range L / 2": (LOCAL % 4, ["sweeps.a", "range is 4", "0 to 3"]),
    "range 2.0": (LOCAL % 2.0, ["sweeps.a.architectures.range", "2.0", "integer"]),
    "no range": ("    architectures: {name: local_one_layer}\n", ["sweeps.a", "needs the option range"]),
    "range of another": (
        "    architectures: {name: deep_linear, depth: 2, range: 1}\n",
        ["no range", "local_one_layer"],
    ),
    "depth twice": ("    architectures: {name: deep_linear, depth: [2, 2]}\n", ["sweeps.a", "twice"]),
    "network twice": ("    architectures: [one_layer, one_layer]\n", ["sweeps.a", "twice"]),
    "option of no network": ("    architectures: {name: 'tests.borders.test_classes:Free', order: 3}\n", ["order"]),
    "option out of bounds": (
        "    architectures: {name: 'tests.borders.test_classes:WithOptions', most: 0}\n",
        ["most", "0", "at least 1"],
    ),
    # Options that a network or an optimizer does not have.
    "memory of gd": (f"    training: {{optimizer: [adam, gd], beta2: 0.9}}\n{NETWORK}", ["sweeps.a", "beta2", "'gd'"]),
    "modes of filters": (
        f"    training: {{optimizer: adam_fourier}}\n{LOCAL % 1}",
        ["sweeps.a", "'adam_fourier'", "it needs one_layer"],
    ),
    "average of a kernel": (
        f"    training: {{average: 0.9}}\n{NETWORK}",
        ["sweeps.a", "average is 0.9", "'one_layer'"],
    ),
    "conditioned kernel": (
        f"    training: {{path: fields, conditioned: true}}\n{NETWORK}",
        ["sweeps.a", "conditioned", "'one_layer' serves one noise level"],
    ),
    "conditioned at one level": (
        "    training: {path: fields, loss: denoising, conditioned: true}\n    architectures: convolutional\n",
        ["sweeps.a", "conditioned", "one noise level"],
    ),
    "misspelt network": ("    architectures: onelayer\n", ["'onelayer'", "did you mean 'one_layer'?"]),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(change: Any, words: list[str], csd: Runner) -> None:
    Path("study.yaml").write_text(text(change))
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 2, ran.out
    (said,) = ran.complaints("validate --no-cost study.yaml")
    assert [word for word in ["study.yaml: ", *words] if word not in said] == [], said
    assert [path.name for path in Path().iterdir()] == ["study.yaml"]


FILES: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", ["mapping"]),
    "a list": (b"[1, 2]\n", ["mapping"]),
    "a word": (b"study\n", ["mapping"]),
    "latin-1": (b"study: \xe4\n", ["UTF-8"]),
    "UTF-16": (text("").encode("utf-16"), ["UTF-8"]),
    "zero bytes": (b"study: a\0b\n", ["study.yaml"]),
    "NetCDF": (b"\x89HDF\r\n\x1a\n", ["study.yaml"]),
    "aliases of aliases": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in b"bcdefg"),
        ["a: unknown key", "sweeps"],
    ),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES.keys())
def test_files_that_are_no_study(content: bytes, words: list[str], csd: Runner) -> None:
    Path("study.yaml").write_bytes(content)
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 2
    (said,) = ran.complaints("validate --no-cost study.yaml")
    assert [word for word in ["study.yaml", *words] if word not in said] == [], said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_ends_of_lines(encoding: str, end: str, csd: Runner) -> None:
    Path("study.yaml").write_bytes(text(at("study", "Größe")).replace("\n", end).encode(encoding))
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 0, ran.err
    assert "Größe" in ran.out
