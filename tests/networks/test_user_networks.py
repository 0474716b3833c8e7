"""Options of networks, of every type: of a user-defined network, and of one in the registry."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd as package
from csd.core.errors import InputError
from csd.core.files import read_content
from csd.diffusion.trained import trained_networks
from csd.networks import Architecture
from csd.study.config.reading import parse
from csd.study.stages.training import training_jobs
from tests.helpers import Runner, on_path

NETS = '''
from typing import Annotated, Literal

import torch
from annotated_types import Ge

from csd.core.options import Option
from csd.networks.module import ScoreNetwork


class Gated(ScoreNetwork):
    """s(x) = -c x + Σ_i a_i tanh(b_i x): with options of every type."""

    width: Annotated[int, Ge(1), Option("units", "N", label="w{value}")]
    slopes: Annotated[tuple[float, ...], Option("b_i", "B")] = (1.0, 2.0)
    linear: Annotated[bool, Option("a linear term")] = True
    unit: Annotated[Literal["tanh", "sin"], Option("of each unit", label="{value}")] = "tanh"
    used: Annotated[int | Literal["all"], Option("units that are used")] = "all"

    def __init__(self, lattice, spectrum, generator, width, slopes, linear, unit, used):
        super().__init__(lattice)
        self.b, self.function = torch.tensor(slopes), getattr(torch, unit)
        assert used == "all" or isinstance(used, int)
        self.c = torch.nn.Parameter(torch.tensor(float(linear), dtype=torch.float64), requires_grad=linear)
        self.a = torch.nn.Parameter(torch.zeros(width, dtype=torch.float64))

    def forward(self, fields):
        units = self.function(fields[..., None] * self.b[: len(self.a)])
        return (units * self.a).sum(-1) - self.c * fields


class Usual(Gated):
    width: Annotated[int, Ge(1), Option("units", "N", label="w{value}")] = 1


class Clashing(Gated):
    batch: Annotated[int, Option("not the batch of training")] = 3


class Undeclared(Usual):
    order: int = 2
'''
GIVEN = {"width": 1, "slopes": (0.5,), "linear": False, "unit": "sin", "used": 1}
FLAGS = "--width 1 --slopes 0.5 --linear false --unit sin --used 1"
TRAINING = "--dimension 1 --size 8 --noise-level 0.5 --path fields --max-steps 5 --output trained.nc"


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The dotted path of a user-defined network, in a package in the working directory."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").write_text("")
    (tmp_path / "mypkg" / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("mypkg", "mypkg.nets"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return "mypkg.nets:Gated"


def test_options_of_a_user_defined_network_are_flags_and_attributes(nets: str, tmp_path: Path, csd: Runner) -> None:
    """From flags to a file, and from the file to the network; Python makes the same file."""
    assert csd(f"train --architecture {nets} {FLAGS} {TRAINING}").status == 0
    file = read_content(tmp_path / "trained.nc")
    network = Architecture(nets, **GIVEN)
    assert Architecture.of_attributes(file.attrs) == network
    assert file.attrs["label"] == network.label == "mypkg.nets.Gated-w1-slopes0.5-linearfalse-sin-used1"
    (module,) = trained_networks(file, 0)
    assert not module.c.requires_grad
    assert module.a.abs().sum() > 0.0
    how: Any = {"dimension": 1, "size": 8, "noise_levels": [0.5], "path": "fields", "max_steps": 5}
    again = package.train(nets, **how, **GIVEN)
    assert again.attrs["configuration_hash"] == file.attrs["configuration_hash"]
    np.testing.assert_array_equal(again["weights"], file["weights"].values)


def test_defaults_of_a_user_defined_network_are_in_its_files(nets: str, tmp_path: Path, csd: Runner) -> None:
    """They need not be given, and the file holds them all the same; a required option is asked for."""
    assert csd(f"train --architecture {nets} --width 2 {TRAINING}").status == 0
    about = read_content(tmp_path / "trained.nc").attrs
    assert about["label"] == "mypkg.nets.Gated-w2"
    assert (list(about["slopes"]), about["linear"], about["unit"]) == ([1.0, 2.0], 1, "tanh")
    assert "--width" in csd(f"train --architecture {nets} {TRAINING}").err
    assert Architecture(nets).options == ()
    usual = Architecture("mypkg.nets:Usual", width=1, slopes=[1, 2])
    assert usual == Architecture("mypkg.nets:Usual")
    assert usual.words() == ["--architecture", "mypkg.nets:Usual"]
    assert dict(usual.complete().options)["width"] == 1
    with pytest.raises(InputError, match="needs the option width"):
        Architecture(nets).complete()


def study(architecture: Any) -> dict[str, Any]:
    """A study of one network."""
    sweep = {"dimension": 1, "sizes": [8], "architectures": architecture}
    training = {"path": "fields", "noise_levels": [0.5], "max_steps": 5, "seeds": 1}
    return {"study": "nets", "training": training, "sweeps": {"own": sweep}}


def networks(architecture: Any) -> list[Architecture]:
    """The networks of a study, after it was written and read again."""
    parsed = parse(study(architecture))
    assert parse(json.loads(parsed.model_dump_json())) == parsed
    return [job.architecture for job in training_jobs(parsed)]


def test_options_of_a_user_defined_network_are_keys_of_a_study(nets: str) -> None:
    """A list stands for one network each; several values of one option are a list of lists."""
    one = {"name": nets, **GIVEN, "slopes": [0.5]}
    assert networks(one) == [Architecture(nets, **GIVEN)]
    several = networks({**one, "width": [1, 2], "slopes": [["5e-1"], [1, 2]]})
    assert [dict(network.options)["slopes"] for network in several] == [(0.5,), (1.0, 2.0)] * 2
    assert networks({**one, "slopes": 0.5}) == [Architecture(nets, **GIVEN)]
    for wrong, word in (({"height": 2}, "height"), ({"linear": "no"}, "true or false"), ({"unit": "sinn"}, "'sin'")):
        with pytest.raises(InputError, match=word):
            networks({**one, **wrong})


def test_a_user_defined_network_is_imported_for_its_options_only(csd: Runner) -> None:
    """A study without options of it can be planned where its class is not found; so can the help of a command."""
    assert networks("nowhere:Net") == [Architecture("nowhere:Net")]
    with pytest.raises(InputError, match="nowhere:Net"):
        networks({"name": "nowhere:Net", "width": 2})
    assert csd("train --help").status == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--architecture mypkg.nets:Gated --width 0", ["width", "at least 1"]),
        ("--architecture mypkg.nets:Gated --width 1 --widht 2", ["--widht", "--width"]),
        ("--architecture mypkg.nets:Gated --width 1 --linear maybe", ["linear", "true or false"]),
        ("--architecture mypkg.nets:Gated --width 1 --depth 2", ["takes no depth", "deep_linear"]),
        ("--architecture mypkg.nets:Clashing --width 1", ["batch", "rename it"]),
        ("--architecture mypkg.nets:Undeclared --order 3", ["order", "order: Annotated[int, Ge(1), Option("]),
        ("--architecture two_layer --linear true", ["--linear"]),
    ],
)
def test_a_wrong_option_of_a_user_defined_network_is_one_sentence(
    nets: str, csd: Runner, words: str, expected: list[str]
) -> None:
    ran = csd(f"train {words} {TRAINING}")
    assert ran.status == 2
    sentence = ran.err.splitlines()[-1]
    assert [word for word in expected if word not in sentence] == [], sentence


def test_an_option_that_is_not_declared_says_how_it_is(nets: str) -> None:
    """In a study and in Python too; options of a study are keys beside `name`."""
    undeclared = nets.replace("Gated", "Undeclared")
    how: Any = {"dimension": 1, "size": 8, "noise_levels": [0.5], "order": 3}
    with pytest.raises(InputError, match="takes no order; to declare it"):
        package.train(undeclared, **how)
    with pytest.raises(InputError, match="takes no order; to declare it"):
        networks({"name": undeclared, "order": 3})
    for name in (undeclared, "one_layer"):
        with pytest.raises(InputError, match="options are keys beside name"):
            networks({"name": name, "options": {"order": 3}})


def test_validate_asks_for_a_required_option(nets: str, tmp_path: Path, csd: Runner) -> None:
    for network, status, said in ((nets, 2, "sweeps.own: "), ({"name": nets, "width": 1}, 0, "")):
        (tmp_path / "study.yaml").write_text(json.dumps(study([network]) | {"figures": []}))
        ran = csd("validate --no-cost study.yaml")
        assert ran.status == status, ran.err
        assert said in ran.err
        assert ("needs the option width" in ran.err) == bool(said)


REGISTERED = """
import csd.networks.registry as registry
from pathlib import Path

registry.ARCHITECTURES["gated"] = "mypkg.nets:Gated"
from csd.cli.commands import main
from csd.core.files import SUMMARY, read
from csd.networks import Architecture
from csd.study.config.reading import parse
from csd.study.stages.training import training_jobs
from csd.study.summaries.columns import run_table
from csd.study.summaries.files import training_file
from csd.study.summaries.training import aggregate_training

network = {"name": "gated", "width": 1, "slopes": [[0.5], [1, 2]], "linear": [False, True], "unit": "sin"}
network["used"] = [1, "all"]
sweep = {"dimension": 1, "sizes": [8], "architectures": [network, "one_layer"]}
training = {"path": "fields", "noise_levels": [0.5], "max_steps": 5, "seeds": 1}
jobs = training_jobs(parse({"study": "nets", "training": training, "sweeps": {"own": sweep}}))
for job in jobs:
    main(["train", *job.arguments(), "--output", str(training_file(job, Path()))])
table = run_table(aggregate_training(jobs, Path()))
assert list(table["network"]) == [job.architecture for job in jobs], table["network"]
assert jobs[0].architecture == Architecture("gated", width=1, slopes=[0.5], linear=False, unit="sin", used=1)
assert jobs[0].label == "gated-w1-slopes0.5-linearfalse-sin-used1"
"""


def test_a_registered_network_may_have_options_of_every_type(nets: str, tmp_path: Path) -> None:
    """From the keys of a study to flags, files and columns of a summary; in a process with a registry of its own."""
    env = on_path() | {"PYTHONPATH": f"{on_path()['PYTHONPATH']}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", REGISTERED], cwd=tmp_path, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
