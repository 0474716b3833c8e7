"""Keywords that say what is learned and how: their types, defaults and checks."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypedDict, TypeVar

import numpy as np

from csd.core.errors import InputError, nearest
from csd.networks import Architecture
from csd.targets.base import HasSpectrum
from csd.targets.noising import Schedule
from csd.training.options import TrainingSettings


class Field(TypedDict, total=False):
    """Keywords that say what is learned: a lattice, a mass in one way, a target."""

    dimension: int
    size: int
    mass: float | None
    mass_times_length: float | None
    r0: float | None
    u: float | None
    target: str | type[HasSpectrum] | HasSpectrum


class Problem(Field, total=False):
    """Keywords that say what is learned and how; see `train`."""

    depth: int | None
    range: int | str | None
    channels: int | None
    schedule: str | type[Schedule]
    noise_levels: float | Sequence[float] | None
    loss: str | type
    batch: int
    data_set: int | None
    seeds: int | Sequence[int]
    tolerance: float
    max_steps: int
    learning_rate: float | None
    path: str
    device: str
    kernel_steps: str | Sequence[int]
    until: str
    integrator: str | type
    start: str


REQUIRED_KEYWORDS = ("dimension", "size")
NUMBERS = ("mass", "mass_times_length", "r0", "u", "tolerance", "learning_rate")
NETWORK_KEYWORDS = tuple(field.name for field in fields(Architecture) if field.name != "name")
DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in (*fields(Architecture), *fields(TrainingSettings))
} | {
    "target": "gaussian",
    "schedule": "vp",
}
"""Defaults of the keywords; of those that are not here, None."""

Call = TypeVar("Call", bound=Callable[..., Any])


def spelt_out(function: Call) -> Call:
    """The same function; help and completion show the keywords of its `**asked`, with their defaults."""
    signature = inspect.signature(function)
    *own, asked = signature.parameters.values()
    (together,) = asked.annotation.__args__
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in REQUIRED_KEYWORDS else DEFAULTS.get(name),
            annotation=annotation,
        )
        for name, annotation in together.__annotations__.items()
    ]
    positional = [parameter for parameter in own if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    rest = [parameter for parameter in own if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    function.__signature__ = signature.replace(parameters=[*positional, *keywords, *rest])  # type: ignore[attr-defined]
    return function


def plain(value: Any) -> Any:
    """An argument without NumPy: its arrays as lists, its numbers as Python's own."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def as_float(name: str, value: Any) -> float:
    """A number as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} is {value!r}; it must be a number")
    return float(value)


def as_list(value: Any) -> list[Any]:
    """One value or several, as a list."""
    value = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    return [plain(item) for item in value]


def checked(call: str, keywords: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Keywords as plain values, without those that are None.

    Raises:
        TypeError: if one is unknown or missing, as Python says it.
    """
    strange = [name for name in given if name not in keywords.__annotations__]
    if strange:
        raise TypeError(
            f"{call}() got an unexpected keyword argument {strange[0]!r}"
            f"{nearest(strange[0], keywords.__annotations__)} (known: {', '.join(keywords.__annotations__)})"
        )
    found = {name: plain(value) for name, value in given.items() if value is not None}
    return found | {name: as_float(name, found[name]) for name in NUMBERS if name in found}
