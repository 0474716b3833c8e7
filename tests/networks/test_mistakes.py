"""What is wrong with a user-defined network or loss is one sentence that names it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.networks.linear import LinearNetwork, transform
from csd.networks.module import ScoreNetwork
from csd.networks.parametric import ParametricNetwork
from csd.training.losses import Denoising, Implicit
from tests.helpers import Runner
from tests.networks.test_border import FIELDS, HOW, Free, Nothing, Unused


def net(**methods: Any) -> type:
    """A network with some methods replaced."""
    return type("Net", (methods.pop("base", Nothing),), methods)


def start_with(values: Any) -> Any:
    """An __init__ with one parameter."""

    def init(self: Any, lattice: Lattice, spectrum: Any, generator: Any) -> None:
        ScoreNetwork.__init__(self, lattice)
        self.a = torch.nn.Parameter(values, requires_grad=values.is_floating_point())

    return init


class Wild(Implicit):
    """A loss that is not a number."""

    def loss(self, *given: Any) -> Any:
        return super().loss(*given) * torch.nan


class Many(Implicit):
    """A loss of many numbers."""

    def loss(self, network: Any, noised: Any, *given: Any) -> Any:
        return network(noised)


class Bare:
    """A loss without attributes."""


class Unfinished:
    """A loss without methods."""

    stochastic, complex_target = True, False


def no_lattice(self: Any, lattice: Any, spectrum: Any, generator: Any) -> None:
    torch.nn.Module.__init__(self)


ONE = torch.ones(1, dtype=torch.float64)
MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "shape": ({"forward": lambda self, x: x[:, :4]}, ["Net", "(2, 4)", "(2, 16)", "same shape"]),
    "no tensor": ({"forward": lambda self, x: x.numpy()}, ["Net", "forward", "ndarray", "tensor"]),
    "nothing": ({"forward": lambda self, x: None}, ["Net", "forward", "NoneType"]),
    "complex": ({"forward": lambda self, x: x + 1j}, ["Net", "complex", "real"]),
    "nan": ({"forward": lambda self, x: x * torch.nan}, ["Net", "not finite at the start"]),
    "in place": ({"forward": lambda self, x: x.mul_(2.0)}, ["Net", "in place"]),
    "in place in float32": (
        {"__init__": start_with(ONE.float()), "forward": lambda self, x: self.a * x.mul_(2.0)},
        ["Net", "in place"],
    ),
    "random": ({"forward": lambda self, x: x * torch.rand(())}, ["Net", "two scores in two calls"]),
    "no forward": ({"forward": ScoreNetwork.forward}, ["Net", "forward(fields)"]),
    "forward of two": ({"forward": lambda self, x, t: x}, ["Net", "forward(fields)"]),
    "raises": ({"forward": lambda self, x: [][1]}, ["test_mistakes.py, line", "IndexError", "list index"]),
    "no init": ({"__init__": no_lattice}, ["Net", "super().__init__(lattice)"]),
    "half": ({"__init__": start_with(ONE.half())}, ["Net", "parameter a", "float16", "float32"]),
    "integer": ({"__init__": start_with(ONE.long())}, ["Net", "parameter a", "int64", "float32"]),
    "few arguments": ({"__init__": lambda self, lattice: None}, ["Net", "Class(lattice, spectrum, generator"]),
    "raises at start": ({"__init__": lambda self, *given: 1 / 0}, ["test_mistakes.py, line", "ZeroDivisionError"]),
    "rate 0": ({"learning_rate": lambda self, spectrum: 0.0}, ["Net", "learning_rate", "0.0", "above 0"]),
    "rate nan": ({"learning_rate": lambda self, spectrum: np.nan}, ["Net", "learning_rate", "nan"]),
    "rate nothing": ({"learning_rate": lambda self, spectrum: None}, ["Net", "learning_rate", "None"]),
    "uses": ({"uses": 0}, ["Net", "uses is 0", "at least 1"]),
    "detached": (
        {"__init__": start_with(ONE), "forward": lambda self, x: -(self.a.detach()) * x},
        ["Net", "does not depend on its parameters", "detach()"],
    ),
    "no gradient": (
        {"__init__": start_with(ONE - 1.0), "forward": lambda self, x: -self.a.sqrt() * x},
        ["Net", "first step", "not finite"],
    ),
    "sparse": ({"forward": lambda self, x: x.to_sparse()}, ["Net", "dense tensor"]),
    "divergence": (
        {"base": Unused, "loss": Implicit, "divergence": lambda self, x, v: None},
        ["Net", "divergence(fields, probe)", "NoneType", "one number"],
    ),
    "divergence of one": (
        {"base": Unused, "loss": Implicit, "divergence": lambda self, x: None},
        ["Net", "divergence(fields, probe)"],
    ),
    "recursion": ({"forward": lambda self, x: self(x)}, ["test_mistakes.py, line", "RecursionError"]),
    "full layout": ({"base": Free, "kernel": lambda self: self.numbers[:1].expand(16)}, ["(16,)", "(9,)", "[..., :9]"]),
    "no kernel": ({"base": Free, "kernel": lambda self: None}, ["Net", "kernel()", "NoneType"]),
    "kernel nan": ({"base": Free, "kernel": lambda self: self.numbers * torch.nan}, ["Net", "kernel()", "not finite"]),
    "kernel odd": ({"base": Free, "kernel": lambda self: self.numbers * (1 + 1j)}, ["Net", "K(-k) = K(k)*"]),
    "kernel of integers": ({"base": Free, "kernel": lambda self: torch.ones(9).int()}, ["Net", "kernel()", "int32"]),
    "not a network": ({"base": torch.nn.Module, "__init__": no_lattice}, ["Net", "ScoreNetwork"]),
    "loss nan": ({"base": Unused, "loss": Wild}, ["Wild", "nan", "first step"]),
    "loss of many": ({"base": Unused, "loss": Many}, ["Many", "one real number"]),
    "loss without attributes": ({"loss": Bare}, ["Bare", "stochastic", "True or False"]),
    "loss without methods": ({"loss": Unfinished}, ["Unfinished", "no method loss("]),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_sentence(change: dict[str, Any], words: list[str]) -> None:
    """It names the network or loss, what it gave and what is allowed, and never a smaller learning rate."""
    own = dict(change)
    loss = own.pop("loss", "denoising")
    with pytest.raises(InputError) as caught:
        csd.train(net(**own), **(FIELDS | {"loss": loss}))
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert "smaller" not in said and "\n" not in said


def test_a_mistake_of_a_spectral_loss_is_one_sentence() -> None:
    class Empty(Implicit):
        def draw(self, *given: Any) -> None:
            given[5][:] = np.nan

    with pytest.raises(InputError, match=r"loss Empty: draw\(.*finite numbers"):
        csd.train("one_layer", **HOW, loss=Empty)
    with pytest.raises(InputError, match="no method draw"):
        csd.train("one_layer", **HOW, loss=Unfinished)


def test_a_kernel_that_does_not_depend_on_the_parameters_is_one_sentence() -> None:
    made_of = net(base=Free, kernel=lambda self: self.numbers.detach())
    with pytest.raises(InputError, match="Net does not depend on its parameters"):
        csd.train(made_of, **HOW)


def test_the_lattice_of_a_network_is_not_changed_in_place() -> None:
    class Scaled(Nothing):
        def __init__(self, lattice: Lattice, *given: Any) -> None:
            super().__init__(lattice, *given)
            self.laplacian = torch.as_tensor(lattice.laplacian)
            self.laplacian /= self.laplacian.max()

    with pytest.raises(InputError, match=r"lattice\.laplacian in place"):
        csd.train(Scaled, **FIELDS)


def test_a_command_says_file_and_line_and_gives_the_traceback_when_asked(
    tmp_path: Path, csd: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from tests.networks.test_border import Nothing\n\n\nclass Net(Nothing):\n    def forward(self, x):\n"
    (tmp_path / "raising.py").write_text(f"{source}        return x.no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = "train --architecture raising:Net --dimension 1 --size 8 --noise-level 0.1 --path fields --output x.nc"
    ran = csd(command)
    assert ran.status == 2
    assert "raising.py, line 6, in Net.forward: AttributeError" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
    monkeypatch.setenv("CSD_TRACEBACK", "1")
    assert "Traceback" in csd(command).err


class Family(LinearNetwork):
    """One layer as a family of one's own, trained by autograd."""

    filter_shape = (16,)

    def start(self, spectrum: Any, generator: np.random.Generator) -> Any:
        return np.zeros(16)

    def kernel(self, filters: Any) -> Any:
        return transform(self.lattice, filters)

    def learning_rate(self, spectrum: Any) -> Any:
        return 1.0 / spectrum.max()

    def stable_rate(self, spectrum: Any) -> Any:
        return 2.0 / spectrum.max()


class Given(ParametricNetwork):
    """s(x) = −a x."""

    def start(self, spectrum: Any, generator: np.random.Generator) -> Any:
        return {"a": np.zeros(1)}

    def score(self, parameters: Any, fields: Any) -> Any:
        return -parameters["a"] * fields


FAMILIES: dict[str, tuple[type, dict[str, Any], list[str]]] = {
    "start": (Family, {"start": lambda self, *given: np.zeros(3)}, ["Own", "start(spectrum", "(3,)", "(16,)"]),
    "start nan": (Family, {"start": lambda self, *given: np.full(16, np.nan)}, ["Own", "start(spectrum", "nan"]),
    "rate": (Family, {"learning_rate": lambda self, spectrum: -1.0}, ["Own", "learning_rate", "-1.0"]),
    "stable rate": (Family, {"stable_rate": lambda self, spectrum: None}, ["Own", "stable_rate", "None"]),
    "floor": (Family, {"floor": lambda self, spectrum: np.nan}, ["Own", "floor", "nan"]),
    "abstract": (LinearNetwork, {"start": Family.start}, ["Own", "Class(lattice, **options)", "kernel"]),
    "layout": (Family, {"kernel": lambda self, w: w * 1.0}, ["Own", "kernel()", "(9,)", "[..., :9]"]),
    "no dictionary": (Given, {"start": lambda self, *given: None}, ["Own", "start(spectrum", "NoneType", "dictionary"]),
    "score": (Given, {"score": lambda self, parameters, x: x[0]}, ["Own", "(16,)", "same shape"]),
    "score raises": (Given, {"score": lambda self, p, x: p["b"] * x}, ["test_mistakes.py, line", "KeyError"]),
}


@pytest.mark.parametrize(("base", "methods", "words"), FAMILIES.values(), ids=FAMILIES.keys())
def test_a_mistake_of_a_family_is_one_sentence(base: type, methods: dict[str, Any], words: list[str]) -> None:
    how = FIELDS if base is Given else HOW
    with pytest.raises(InputError) as caught:
        csd.train(type("Own", (base,), methods), **how)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("base", [Family, Given])
def test_families_without_mistakes_train(base: Any) -> None:
    run = csd.train(base, **(FIELDS if base is Given else HOW))
    assert float(run.score_error[0, 0, -1]) < float(run.score_error[0, 0, 0])


class Scaled(Denoising):
    """A loss of its own on fields."""

    def loss(self, *given: Any) -> Any:
        return 2.0 * super().loss(*given)


class Drawn(Implicit):
    """A distribution of spectra of its own."""

    def draw(self, generator: Any, modes: Any, spectrum: Any, variance: float, batch: int, *arrays: Any) -> None:
        arrays[0][:] = spectrum


class Returned(Implicit):
    """A draw that returns what it should fill in."""

    def draw(self, generator: Any, modes: Any, spectrum: Any, *given: Any) -> Any:
        return spectrum, 1.0


def test_a_loss_is_used_as_it_is_defined_or_refused() -> None:
    """On power spectra training takes `draw` alone, on fields `loss` alone."""
    with pytest.raises(InputError, match=r"loss Scaled defines loss.*path fields"):
        csd.train("one_layer", **HOW, loss=Scaled)
    with pytest.raises(InputError, match=r"loss Drawn defines draw.*path spectral"):
        csd.train("one_layer", **HOW, loss=Drawn, path="fields")
    with pytest.raises(InputError, match=r"loss Returned.*has not filled its arrays"):
        csd.train("one_layer", **HOW, loss=Returned)


def test_there_is_no_prediction_for_a_loss_of_ones_own() -> None:
    for loss, path in ((Drawn, "spectral"), (Scaled, "fields")):
        run = csd.train("one_layer", **HOW, loss=loss, path=path)
        assert run.attrs["prediction"] == "none"
        assert np.isnan(run["predicted_training_time"]).all()
    exact = csd.train("one_layer", **HOW, loss="population")
    own = csd.train("one_layer", **HOW, loss=Drawn)
    np.testing.assert_allclose(own["score_error"], exact["score_error"], rtol=1e-6)


@pytest.mark.parametrize("error", [SystemExit("no data"), SystemExit(3), GeneratorExit(), ValueError("no data")])
def test_whatever_a_network_raises_is_one_sentence(error: BaseException) -> None:
    def fails(self: Any) -> Any:
        raise error

    with pytest.raises(InputError, match=rf"test_mistakes.py, line \d+, in .*fails: {type(error).__name__}"):
        csd.train(net(base=Free, kernel=fails), **HOW)
    with pytest.raises(KeyboardInterrupt):
        csd.train(net(base=Free, kernel=lambda self: (_ for _ in ()).throw(KeyboardInterrupt())), **HOW)
