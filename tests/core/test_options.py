"""Options: an annotated attribute is a check, a flag, words of a command, a label and an attribute of files."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
import xarray as xr
from annotated_types import Ge, Gt, Le

from csd.cli.parser import Parser, add_options, given_options
from csd.core.errors import InputError, number_in
from csd.core.options import Option, Options, declared
from csd.lattice import Lattice
from csd.mcmc.simulation import MonteCarloSettings
from csd.networks import Architecture
from csd.networks.registry import said
from csd.training.options import TrainingSettings


@dataclass(frozen=True)
class Oven(Options):
    """What bakes."""

    bread: Annotated[str, Option("what is baked", always=True, label=None)]
    heat: Annotated[float, Ge(0.0), Le(300.0), Option("degrees", "T", label="T{value}")] = 180.0
    loaves: Annotated[tuple[Annotated[int, Ge(1)], ...], Option("one or several", "N", flag="loaf")] = (1,)
    grill: Annotated[Literal["off", "low", "high"], Option("from above", label="{value}")] = "off"
    until: Annotated[int | str, Option("minutes, or brown", "M", attribute="minutes")] = "brown"
    pause: Annotated[Annotated[float, Gt(0.0)] | None, Option("minutes", "M", absent=0.0, always=True)] = None
    crust: Annotated[bool, Option("a crust")] = True
    seeds: Annotated[tuple[Literal["none", "rye", "flax"], ...], Option("on top", label=None)] = ("none",)


USUAL = Oven("rye")
HOT = Oven("rye", 250, (2, 3), "high", 40, 0.5, False, ("rye", "flax"))  # type: ignore[arg-type]


def test_values_are_said_where_they_differ_from_what_is_usual() -> None:
    assert HOT.heat == 250.0
    assert USUAL.labels() == {}
    assert list(HOT.labels().values()) == ["T250", "loaves2.3", "high", "until40", "pause0.5", "crustfalse"]
    assert USUAL.attributes() == {"bread": "rye", "pause": 0.0}
    assert HOT.attributes() == {
        **{"bread": "rye", "heat": 250.0, "loaves": [2, 3], "grill": "high", "minutes": "40", "pause": 0.5},
        **{"crust": 0, "seeds": ["rye", "flax"]},
    }
    assert USUAL.words() == ["--bread", "rye"]


@pytest.mark.parametrize(
    "given",
    [
        USUAL,
        HOT,
        TrainingSettings(),
        TrainingSettings(loss="population", data_set=3, learning_rate=0.25, kernel_steps=(1, 5), seeds=(3, 1)),
        TrainingSettings(path="fields", until="samples", start="exact", integrator="euler", kernel_steps="sparse"),
        MonteCarloSettings(("hmc",), seed=3, thermalisation=0, fields=5),
    ],
)
def test_what_is_said_can_be_read(given: Options) -> None:
    """From the words of a command all; from the attributes of a file what it says."""
    parser, own = Parser(), given.own()
    add_options(parser, own)
    assert type(given)(**given_options(parser.parse_args(given.words()), own)) == given
    stored: Any = {name: np.asarray(value)[()] for name, value in given.attributes().items()}
    read = type(given)(**{**vars(given), **said(own, stored)})
    assert read == given


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"heat": 301}, ["heat is 301", "at least 0", "at most 300"]),
        ({"heat": True}, ["heat is True", "number"]),
        ({"heat": float("nan")}, ["heat is nan", "finite"]),
        ({"loaves": [1, 0]}, ["loaf is 0", "at least 1"]),
        ({"loaves": []}, ["loaves is []", "one or several"]),
        ({"grill": "hihg"}, ["grill is 'hihg'", "off, low or high", "did you mean 'high'?"]),
        ({"pause": 0.0}, ["pause is 0.0", "above 0"]),
        ({"bread": 3}, ["bread is 3", "text"]),
        ({"crust": 1}, ["crust is 1", "true or false"]),
        ({"seeds": ["rye", "flex"]}, ["seeds holds 'flex'", "one or several none, rye or flax"]),
        ({"loaves": 2**63}, ["loaf is 9223372036854775808", "at least 1, which 64 bits can hold"]),
        ({"loaves": np.uint64(2**63)}, ["loaf is 9223372036854775808", "64 bits"]),
        ({"loaves": True}, ["loaf is True", "integer"]),
        ({"loaves": 2.0}, ["loaf is 2.0", "integer"]),
        ({"loaves": np.True_}, ["loaf is True", "integer"]),
        ({"until": -(10**30)}, ["until is -1000", "64 bits"]),
        ({"heat": 10**400}, ["heat is 1000", "finite number"]),
        ({"heat": float("inf")}, ["heat is inf", "finite number"]),
        ({"heat": "180"}, ["heat is '180'", "finite number"]),
    ],
)
def test_a_wrong_value_is_one_sentence(wrong: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Oven(**{"bread": "rye", **wrong})
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize(
    "three", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3), xr.DataArray(3), np.array([3]), [np.int32(3)]]
)
def test_integers_of_libraries_are_taken(three: Any) -> None:
    assert Oven("rye", loaves=three).loaves == (3,)


@pytest.mark.parametrize("text", ["1_0", "\uff11", "1 0", "0x10", ""])
def test_text_is_a_number_only_as_everybody_writes_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|invalid literal"):
        number_in(text, int)
    assert declared(Oven)["until"].parse(text) == text
    assert declared(Oven)["until"].parse(" -10") == -10


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_a_lattice_takes_any_integers(value: Any) -> None:
    lattice = Lattice(value, value * 4)
    assert (type(lattice.dimension), type(lattice.size), lattice.sites) == (int, int, 64)


def test_products_of_integers_do_not_overflow() -> None:
    size = np.int64(3_000_000_000)
    assert Lattice(3, int(size)).sites == Lattice(3, size).sites == 27 * 10**27


@pytest.mark.parametrize("wrong", [True, 8.0, "8", 2**63, np.float64(8.0), None, [8]])
def test_a_lattice_refuses_what_is_no_integer(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"size is .*; it must be an integer of at least 2"):
        Lattice(1, wrong)


def test_numbers_of_numpy_are_taken() -> None:
    oven = Oven("rye", np.float64(200.0), np.array([1, 2]), until=np.int64(5))  # type: ignore[arg-type]
    assert (oven.heat, oven.loaves, oven.until) == (200.0, (1, 2), 5)
    assert {type(value) for value in vars(oven).values() if value is not None} == {str, float, tuple, int, bool}


def test_an_architecture_holds_the_options_of_its_class() -> None:
    network = Architecture("local_two_layer", range="2xi", channels=3)
    assert (network.range, network.channels, network.depth) == ("2xi", 3, None)
    assert network == Architecture.of_attributes({"architecture": "local_two_layer", **network.attributes()})
    with pytest.raises(AttributeError, match="colour"):
        _ = network.colour
    assert "depth" not in declared(type(network))


@pytest.mark.parametrize("kind", [dict, dict[str, int], list[int], tuple[dict[str, int], ...], int | bytes, Any])
def test_a_type_that_files_cannot_hold_is_refused(kind: Any) -> None:
    own = type("Own", (), {"__annotations__": {"table": Annotated[kind, Option("a table")]}, "table": None})
    with pytest.raises(InputError, match=r"option table of Own .* files cannot hold"):
        declared(own)


def test_quoted_truth_values_of_a_study_are_read() -> None:
    own = type("Own", (), {"__annotations__": {"flag": Annotated[bool, Option("a flag")]}, "flag": False})
    assert [declared(own)["flag"].read(text) for text in ("true", "false", True)] == [True, False, True]
    for wrong in ("yes", 1, "1"):
        with pytest.raises(ValueError, match="it must be true or false"):
            declared(own)["flag"].read(wrong)
