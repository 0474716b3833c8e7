"""`csd validate` refuses user-defined code that training would refuse when it begins, with its sweep."""

import json
from pathlib import Path
from typing import Any

import pytest

from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from tests.helpers import Runner

CODE = """
from typing import Annotated

import torch

from csd.core.options import Option
from csd.networks.module import LinearScore, ScoreNetwork
from csd.targets.noising import VarianceExploding
from csd.training.losses import Denoising


class Free(LinearScore):
    order: Annotated[int | None, Option("order")] = None
    flag: Annotated[bool, Option("flag")] = False

    def __init__(self, lattice, spectrum, generator, **options):
        super().__init__(lattice)
        self.numbers = torch.nn.Parameter(torch.as_tensor(0.1 / spectrum))

    def kernel(self):
        return self.numbers


class Named(Free):
    size: Annotated[int, Option("size")] = 3


class Wide(Free):
    table: Annotated[dict, Option("table")] = {}


class Fields(ScoreNetwork):
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)

    def forward(self, fields):
        return -fields


class AtAllLevels(ScoreNetwork):
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, fields, t):
        return -self.factor * fields


class Leaving(Free):
    def kernel(self):
        raise SystemExit("no data")


class Target:
    def __init__(self, lattice, mass):
        self.lattice, self.mass = lattice, mass

    def propagator(self, laplacian):
        return 1.0 / (laplacian + self.mass)


class Weighted(Denoising):
    def loss(self, *given):
        return 2.0 * super().loss(*given)


class Endless(VarianceExploding):
    def variance(self, level):
        return -level
"""
HOPELESS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no kernel": ({"architectures": "own:Fields"}, ["own:Fields", "path must be fields"]),
    "no such class": ({"architectures": "own:Missing"}, ["architecture 'own:Missing'", "has no class Missing"]),
    "name of an option": ({"architectures": "own:Named"}, ["option size", "rename it"]),
    "type of an option": ({"architectures": "own:Wide"}, ["option table of Wide", "dict", "files cannot hold"]),
    "exits": ({"architectures": "own:Leaving"}, ["own.py, line", "Leaving.kernel", "SystemExit: no data"]),
    "no target": ({"target": "own:Free"}, ["target Free", "Class(lattice, mass)"]),
    "no sample": (
        {"target": "own:Target", "training": {"path": "fields"}},
        ["target Target", "sample(generator, count)"],
    ),
    "no schedule": ({"training": {"schedule": "own:Free"}}, ["schedule Free", "Class()"]),
    "schedule": ({"training": {"schedule": "own:Endless"}}, ["schedule Endless", "variance(0.1)"]),
    "no loss": ({"training": {"loss": "own:Target"}}, ["loss Target", "Class()"]),
    "loss of fields": ({"training": {"loss": "own:Weighted"}}, ["loss Weighted", "path fields"]),
}


def study(**sweep: Any) -> dict[str, Any]:
    """A study of one sweep on two lattices, the larger of which is never built."""
    own = {"dimension": 1, "sizes": [10**8, 8], "architectures": ["one_layer"], **sweep}
    training = {"noise_levels": [0.1], "seeds": [1]}
    return {"study": "s", "output": "o", "figures": [], "training": training, "sweeps": {"line": own}}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of a study, with a module of the user's."""
    (tmp_path / "own.py").write_text(CODE)
    return tmp_path / "study.yaml"


@pytest.mark.parametrize("case", HOPELESS)
def test_a_hopeless_study_is_refused(case: str, own: Path, csd: Runner) -> None:
    sweep, words = HOPELESS[case]
    own.write_text(json.dumps(study(**sweep)))
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 2
    assert [word for word in ("sweeps.line: ", *words) if word not in ran.err] == [], ran.err
    assert "Traceback" not in ran.err


def test_null_and_quoted_truth_are_values_of_options(own: Path, csd: Runner) -> None:
    networks = [{"name": "own:Free", "order": None, "flag": "true"}, {"name": "own:Free", "order": [None, 3]}]
    own.write_text(json.dumps(study(architectures=networks)))
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 0, ran.err
    labels = {job.architecture.label for job in jobs_of(parse(json.loads(own.read_text())))["training"].values()}  # type: ignore[attr-defined]
    assert labels == {"own.Free-flagtrue", "own.Free", "own.Free-order3"}


def test_a_conditioned_network_is_built_between_two_levels(own: Path, csd: Runner) -> None:
    training = {"path": "fields", "loss": "denoising", "conditioned": True, "noise_levels": [0.1, 1.0]}
    own.write_text(json.dumps(study(architectures="own:AtAllLevels", training=training)))
    ran = csd("validate --no-cost study.yaml")
    assert ran.status == 0, ran.err


def test_a_class_that_only_generation_needs_is_named_with_its_sweep(own: Path, csd: Runner) -> None:
    own.write_text(json.dumps(study(generation={"steps": 4, "integrator": "own:Missing"}, sizes=8)))
    assert "sweeps.line: class 'own:Missing' cannot be imported" in csd("validate --no-cost study.yaml").err
