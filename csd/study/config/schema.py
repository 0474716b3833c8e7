"""The kinds of values that the parts of a configuration share, and the check of content against a part."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StrictInt,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from csd.core.errors import LARGEST_INTEGER, InputError, nearest
from csd.core.options import Declared
from csd.targets.labels import EVEN


@dataclass(frozen=True)
class Listed:
    """Metadata of a list for which a single value may stand.

    Args:
        one: whether a value is itself a list of numbers or words; several values are a list of lists then.
    """

    one: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the list, after `listed`; one item may be read, or several."""
        several: Any = handler(source)
        either = core_schema.union_schema([several["items_schema"], several])
        read = partial(listed, one=self.one)
        return core_schema.no_info_before_validator_function(read, several, json_schema_input_schema=either)


def listed(value: Any, *, one: bool = False) -> Any:
    """A single value as a list of one; `one` as for `Listed`."""
    alone = not isinstance(value, list | tuple) or (one and not any(isinstance(item, list | tuple) for item in value))
    return [value] if alone and value is not None else value


Item = TypeVar("Item")
Several = Annotated[list[Item], Field(min_length=1), Listed()]


def number(value: Any) -> Any:
    """Refuse yes and no, which YAML reads as truth values and Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


def held(value: int) -> int:
    """Refuse an integer that files and arrays cannot hold."""
    if abs(value) > LARGEST_INTEGER:
        raise ValueError("an integer that 64 bits can hold is needed")
    return value


Number = Annotated[float, BeforeValidator(number, json_schema_input_type=float), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0.0)]
Fraction = Annotated[Number, Field(gt=0.0, lt=1.0)]
HELD = AfterValidator(held)
Count = Annotated[StrictInt, Field(ge=1), HELD]
Seed = Annotated[StrictInt, Field(ge=0), HELD]
Size = Annotated[StrictInt, Field(ge=2), HELD]
Dimension = Annotated[Literal[1, 2, 3], BeforeValidator(number, json_schema_input_type=Literal[1, 2, 3])]

MOST_SEEDS = 10_000
"""The largest number of seeds that a number may stand for; each is a network to train."""
SeedCount = Annotated[StrictInt, Field(ge=1, le=MOST_SEEDS)]


class Part(BaseModel):
    """A part of a configuration, in which unknown keys are errors."""

    # Built when they are first used: a figure needs only one of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


P = TypeVar("P", bound=Part)


def with_options(options: Mapping[str, Declared], *, several: bool = False) -> Callable[[type[P]], type[P]]:
    """A decorator that gives a part of a configuration a key for each option, with its type, bounds, default and help.

    Args:
        options: by name.
        several: whether a key may hold a list of values, or null.
    """

    def extend(part: type[P]) -> type[P]:
        keys: Any = {}
        for name, one in options.items():
            kind: Any = Annotated[one.kind, BeforeValidator(one.read, json_schema_input_type=one.kind)]
            if several:
                kind = Annotated[list[kind], Field(min_length=1), Listed(one.item is not None)] | None
            default = ... if one.required else one.default
            keys[name] = (kind, Field(default, description=one.option.help))
        return create_model(part.__name__, __base__=part, __doc__=part.__doc__, __module__=part.__module__, **keys)

    return extend


def chosen(options: Mapping[str, Declared], *parts: Part) -> dict[str, Any]:
    """The values of options that parts of a configuration give; the last part that has a key counts."""
    return {name: value for part in parts for name, value in vars(part).items() if name in options}


class Couplings(Part):
    """Bare couplings of the O(n) model; the mass follows from the gap equation."""

    r0: Annotated[Number, Field(description="bare mass squared")]
    u: Annotated[Number, Field(ge=0.0, description="quartic coupling")]


WAYS = ("mass", "mass_times_length", "couplings", "beta")
"""Keys that give a target; `beta` is of Monte Carlo alone."""


class TargetPart(Part):
    """A target on lattices of several sizes, by its masses or couplings."""

    dimension: Annotated[Dimension, Field(description="lattice dimension")]
    sizes: Annotated[Several[Size], Field(description="lattice sizes L")]
    mass: Annotated[Several[Positive] | None, Field(None, description="masses m")]
    mass_times_length: Annotated[
        Several[Positive] | None,
        Field(None, description="c of the critical line m = c / L; 1 if the target is given in no other way"),
    ]
    couplings: Annotated[Several[Couplings] | None, Field(None, description="couplings (r0, u) of the O(n) model")]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Targets are given in one way."""
        given = [way for way in WAYS if getattr(self, way, None) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; give the target in one way")
        return self

    def targets(self) -> list[dict[str, Any]]:
        """Its targets, each as the options of a command that give it: {'mass': 0.1}, {'r0': -0.2, 'u': 2.0}."""
        for way in WAYS:
            if (values := getattr(self, way, None)) is not None:
                return [value.model_dump() if way == "couplings" else {way: value} for value in values]
        return [{"mass_times_length": 1.0}]


OF_PHASES = ("magnetisation", "probability")
"""Keys of a target of two phases."""


class FieldPart(TargetPart):
    """A target of trainings or scores, which may have two phases."""

    magnetisation: Annotated[
        Several[Positive] | None, Field(None, description="M of the phases sM + φ, s = ±1, of target two_phase")
    ]
    probability: Annotated[
        Several[Fraction] | None, Field(None, description="probability of the phase s = 1; ½ if absent")
    ]

    def targets(self) -> list[dict[str, Any]]:
        """Its targets, for each magnetisation and probability: {'mass': 0.1, 'magnetisation': 1, 'probability': ½}."""
        found = super().targets()
        values = {name: getattr(self, name) for name in OF_PHASES}
        if values["magnetisation"] is not None and values["probability"] is None:
            # So that it is one target whether its default is given or not.
            values["probability"] = [EVEN]
        for name, own in values.items():
            if own is not None:
                found = [{**one, name: value} for one in found for value in own]
        return found


def counted(value: Any) -> Any:
    """A number n of seeds as the seeds 1 … n."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return list(range(1, value + 1))
    raise ValueError(f"a list of seeds, or how many: an integer from 1 to {MOST_SEEDS}")


def validated(model: type[P], content: Any, prefix: str) -> P:
    """The content of a configuration as a model.

    Args:
        model: what the content must be.
        content: as YAML has it.
        prefix: text before the keys in an error.

    Raises:
        InputError: one sentence for the first thing that is wrong, with its key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key makes two errors, one for the key that is missing; the misspelt one says more.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise InputError(_sentence(model, first, prefix, content)) from error


def _location(parts: Sequence[str | int], content: Any) -> Iterator[str | int]:
    """The keys and places in lists that lead to a value; a single value that stands for a list has no place."""
    for part in parts:
        if str(part).startswith(("function-", "list[")) or (isinstance(part, int) and not isinstance(content, list)):
            continue
        yield part
        with suppress(KeyError, IndexError, TypeError):
            content = content[part]


def _sentence(model: type[BaseModel], error: Any, prefix: str, content: Any) -> str:
    """One sentence for one of pydantic's errors about some content."""
    location = list(_location(error["loc"], content))
    key, kind = prefix + ".".join(map(str, location)), error["type"]
    if kind == "extra_forbidden":
        allowed = _fields_at(model, location[:-1])
        if location[-1] == "options" and "name" in allowed:
            return f"{key}: options are keys beside name (allowed: {', '.join(allowed)})"
        return f"{key}: unknown key{nearest(str(location[-1]), allowed)} (allowed: {', '.join(allowed)})"
    if kind == "missing":
        return f"{key}: this key is missing"
    message = error["msg"][0].lower() + error["msg"][1:]
    if kind == "value_error":
        message = str(error["ctx"]["error"])
        if isinstance(error["input"], dict):
            # The error is about several keys, which the sentence names.
            return f"{key.rstrip('.: ')}: {message}"
    if kind in ("model_type", "dict_type"):
        message = f"it must be {'a name or ' * ('architectures' in location)}a mapping of keys to values"
    if kind == "literal_error":
        message += nearest(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return f"{key} is {error['input']!r}: {message}"


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """The keys allowed at the place of an unknown one; names of sweeps may be those of keys."""
    path = list(location)
    while path:
        field = model.model_fields.get(str(path.pop(0)))
        if field is not None:
            model = _part_in(field.annotation) or model
            del path[: get_origin(field.annotation) is dict]
    return list(model.model_fields)


def _part_in(annotation: Any) -> type[BaseModel] | None:
    """The part of a configuration that a key holds, one or several; None for other values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _part_in(one)) is not None), None)
