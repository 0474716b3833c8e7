"""Kinds of values that the parts of a configuration share."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt


def listed(value: Any) -> Any:
    """A single value as a list of one."""
    return value if isinstance(value, list | tuple) or value is None else [value]


Item = TypeVar("Item")
Several = Annotated[list[Item], Field(min_length=1)]


def number(value: Any) -> Any:
    """Refuse yes and no, which YAML reads as truth values and Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


Number = Annotated[float, BeforeValidator(number, json_schema_input_type=float), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0.0)]
Count = Annotated[StrictInt, Field(ge=1)]
Seed = Annotated[StrictInt, Field(ge=0)]
Size = Annotated[StrictInt, Field(ge=2)]
Dimension = Annotated[Literal[1, 2, 3], BeforeValidator(number, json_schema_input_type=Literal[1, 2, 3])]

MOST_SEEDS = 10_000
"""Seeds that a number may stand for; each is a network to train."""
SeedCount = Annotated[StrictInt, Field(ge=1, le=MOST_SEEDS)]


class Part(BaseModel):
    """What all parts of a configuration share: unknown keys are errors."""

    # Built when they are first used: a figure needs but one of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Couplings(Part):
    """Bare couplings of the O(n) model; the mass follows from the gap equation."""

    r0: Annotated[Number, Field(description="bare mass squared")]
    u: Annotated[Number, Field(ge=0.0, description="quartic coupling")]


def counted(value: Any) -> Any:
    """A number n of seeds as the seeds 1 … n."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return list(range(1, value + 1))
    raise ValueError(f"a list of seeds, or how many: an integer from 1 to {MOST_SEEDS}")
