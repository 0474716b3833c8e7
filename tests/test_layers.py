"""The package reads from the ground up, and what users of version 0.1 hold still leads somewhere."""

import ast
import importlib
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import csd
from csd.core.aliases import MOVED, RENAMED
from csd.core.plugins import lasting_path, resolve
from csd.targets.base import TARGETS
from csd.targets.noising import SCHEDULES

PACKAGE = Path(csd.__file__).parent
LAYERS = (
    {"core"},
    {"lattice"},
    {"targets"},
    {"networks"},
    {"training", "mcmc"},
    {"diffusion", "locality"},
    {"study"},
    {"report"},
    {"api"},
    {"cli"},
)
"""From the ground up; those of one layer do not import each other."""
REGISTRIES = ("targets", "networks", "report/figures", "mcmc/updates")
MOST_MODULES = 10
COMMANDS = ("csd.cli.runs", "csd.cli.study", "csd.cli.report")
"""Modules whose functions are commands of the shell."""


def module_of(path: Path) -> str:
    """'csd.lattice.bins' of a file."""
    return ".".join(("csd", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """Modules of csd that a file imports: at the top, inside functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "csd":
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inside or {str(node.module)}
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "csd"}
    return found


def layer(module: str) -> int | None:
    """The number of a module's layer; None for the package itself and its command."""
    own = [
        number
        for number, packages in enumerate(LAYERS)
        if module.split(".")[1:2][0:1] and module.split(".")[1] in packages
    ]
    return own[0] if own else None


def test_packages_are_those_that_the_docstring_names() -> None:
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert there == {name for packages in LAYERS for name in packages}
    assert there == set(re.findall(r"`(\w+)`", csd.__doc__ or ""))


def test_every_package_says_what_is_in_it_and_what_is_not() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE and not (path.parent.parent.name == "report" or path.parent.name == "updates"):
            words = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
            assert len(words) == 3, path
            assert words[2].startswith("Nothing here"), path


def test_imports_go_downwards() -> None:
    for name, path in MODULES.items():
        own = layer(name)
        for other in imports(path):
            assert other in MODULES, f"{name} imports {other}, which is not there"
            above = layer(other)
            if own is None or above is None:
                assert own is None or other == "csd", f"{name} imports {other}"
                continue
            same = name.split(".")[1] == other.split(".")[1]
            assert above < own or same, f"{name} imports {other}, which stands beside or above it"


def test_no_two_modules_import_each_other() -> None:
    graph = {name: imports(path) & MODULES.keys() for name, path in MODULES.items() if layer(name) is not None}
    tuple(TopologicalSorter(graph).static_order())


def test_packages_are_small() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        own = [module for module in path.parent.glob("*.py") if module.name != "__init__.py"]
        if str(path.parent.relative_to(PACKAGE)) not in REGISTRIES:
            assert len(own) <= MOST_MODULES, path.parent


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if len(path.read_text().splitlines()) > 400
    }
    assert not long


def test_one_name_stands_for_one_thing() -> None:
    """Public classes and functions have a name of their own; not what every figure has, and commands of the shell."""
    places = defaultdict(list)
    for name, path in MODULES.items():
        if name not in COMMANDS and not path.name.startswith("_z"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    places[node.name].append(name)
    assert not {name: where for name, where in places.items() if len(where) > 1 and name != "draw"}


def test_tests_use_what_is_public() -> None:
    """No name with an underscore of the package is imported, patched or looked at; the module _ziggurat is named so."""
    found = []
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "csd":
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                names = [node.attr]
            elif isinstance(node, ast.Constant) and str(node.value).startswith("csd."):
                names = str(node.value).split(".")
            found += [f"{path.name}: {name}" for name in names if re.fullmatch(r"_(?!_|ziggurat$)\w+", name)]
    assert not found


@pytest.mark.parametrize("old", MOVED)
def test_old_modules_can_be_imported(old: str) -> None:
    for place in MOVED[old].split():
        importlib.import_module(f"csd.{place}")
    module = importlib.import_module(f"csd.{old}")
    with pytest.raises(AttributeError):
        _ = module.there_is_no_such_name


@pytest.mark.parametrize(("old", "name"), RENAMED)
def test_old_names_lead_to_what_they_are_now(old: str, name: str) -> None:
    found = getattr(importlib.import_module(f"csd.{old}"), name)
    last = RENAMED[old, name].rpartition(".")[2]
    assert getattr(found, "__name__", last) == last
    assert found is not None


@pytest.mark.parametrize(
    "path",
    [
        "csd.field:GaussianField",
        "csd.noise:VariancePreserving",
        "csd.noise:VarianceExploding",
        "csd.objectives:Implicit",
        "csd.generation:Heun",
        "csd.networks.full:TwoLayer",
        "csd.networks.module:ConvolutionalScore",
    ],
)
def test_dotted_paths_in_old_files_are_found(path: str) -> None:
    assert resolve("class", path, {}).__name__ == path.split(":")[1]


def test_walks_through_the_code_are_short_and_lead_somewhere() -> None:
    """CONTRIBUTING.md: three walks of at most five files each; a function or class that is named is in its file."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walks = re.split(r"^\*\*How .*\?\*\*$", text, flags=re.MULTILINE)[1:]
    assert len(walks) == 3
    for walk in walks:
        steps = re.findall(r"^\d\. `(csd/[\w/]+\.py)`(?:, `(\w+)`)?", walk, re.MULTILINE)
        assert 4 <= len(steps) <= 5
        for file, name in steps:
            tree = ast.parse((PACKAGE.parent / file).read_text(encoding="utf-8"))
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            assert not name or name in defined, f"{file} has no {name}"


@pytest.mark.parametrize("registry", [TARGETS, SCHEDULES])
def test_files_name_classes_by_paths_that_last(registry: dict[str, str]) -> None:
    """Files of version 0.1 say 'csd.field:GaussianField', and names of random streams are made of it."""
    for path in registry.values():
        made = resolve("class", path, {})
        assert resolve("class", lasting_path(made), {}) is made
    assert lasting_path(resolve("class", TARGETS["gaussian"], {})) == "csd.field:GaussianField"
    assert lasting_path(resolve("class", SCHEDULES["vp"], {})) == "csd.noise:VariancePreserving"


SHOWN = """
autocorrelation: estimate gamma_method time_of
chains: Step run_chains
claims: parse_claims
config: Study expand load parse
cost: REFERENCE Estimate estimate
criteria: CRITERIA LIMITS
errors: InputError TrainingDiverged nearest
exact_sweeps: exact_times
field: TARGETS Target GaussianField WATSON critical_ratio gaussian_field
generation: Heun EulerMaruyama INTEGRATORS geometric_grid longest_level linear_steps generate
goal: Sampler
lattice: Array Lattice Modes axis_profile require_memory
measured: load_fields
model: PhiFour SpinModel Model
networks: ARCHITECTURES Architecture
networks.local: Patch
networks.module: LinearScore ScoreNetwork
noise: NoisedTarget VarianceExploding VariancePreserving SCHEDULES
objectives: Denoising Implicit OBJECTIVES Objective
observables: correlation_length susceptibility
quality: Settings crossing_step predicted_deviations evaluate
rounding: parentheses
samples: draw_samples
scaling: mean_over_seeds fit
simulation: Settings gaussian_model
source: fingerprint
store: read write_text
stream: stream
summary: aggregate read_scaling scaling_table
theory: depth_exponent one_layer_error predict
training: LengthBins Settings descend prepare train
updates: UPDATES make_update
"""
"""What pages of version 0.1 import, and what lies beside it."""


@pytest.mark.parametrize("line", SHOWN.strip().splitlines())
def test_names_that_the_pages_of_version_0_1_show(line: str) -> None:
    module, names = line.split(": ")
    found: dict[str, object] = {}
    exec(f"from csd.{module} import {', '.join(names.split())}", found)
    assert set(names.split()) <= found.keys()
    starred: dict[str, object] = {}
    exec(f"from csd.{module} import *", starred)
    assert module in ("lattice", "networks") or set(names.split()) <= starred.keys()


def test_modules_within_old_packages_are_found() -> None:
    for new in ("mcmc/updates", "report/figures", "report/paper"):
        for path in (PACKAGE / new).glob("[!_]*.py"):
            old = importlib.import_module(f"csd.{new.rpartition('/')[2]}.{path.stem}")
            now = importlib.import_module(f"csd.{new.replace('/', '.')}.{path.stem}")
            public = [name for name in vars(now) if not name.startswith("_")]
            assert all(getattr(old, name) is getattr(now, name) for name in public)
