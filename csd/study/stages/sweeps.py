"""The sweeps of a study: networks trained over sizes and masses, how they are trained, and what is generated."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, StrictInt, WrapValidator, model_validator

from csd.core.options import declared
from csd.diffusion.grids import GRID_STEPS, LOWEST_LEVEL, geometric_grid, longest_level
from csd.diffusion.quality import GenerationSettings
from csd.networks.registry import network_options
from csd.study.config.schema import (
    HELD,
    OF_PHASES,
    WAYS,
    Count,
    FieldPart,
    Part,
    Positive,
    Seed,
    SeedCount,
    Several,
    counted,
    with_options,
)
from csd.study.stages.data import FieldsInFile
from csd.targets.options import FieldOptions, NoiseOptions
from csd.training.options import TrainingSettings

Factor = Annotated[StrictInt, Field(ge=2), HELD]
HOW = declared(TrainingSettings)
GENERATED = {name: declared(GenerationSettings)[name] for name in ("integrator", "start", "samples")}
"""Options under the key `generation` of a sweep; all others are under `training`."""
ELSEWHERE = ("data_set", "seeds", "kernel_steps", *GENERATED)
MEASURED = 8
"""Steps of the grid at whose levels the error of a conditioned network is measured."""
AXES = ("optimizer", "max_steps")
"""Options of training of which a list stands for one run each."""


@with_options(network_options(), several=True)
class NetworkConfig(Part):
    """An architecture and its options; a list stands for one network each."""

    name: Annotated[str, Field(description="a built-in architecture, or package.module:Class")]


class UserNetwork(Part, extra="allow"):
    """A user-defined architecture; its class declares which further keys are its options."""

    name: Annotated[str, Field(pattern=":", description="package.module:Class")]


def _network(value: Any, built_in: Callable[[Any], Any]) -> Any:
    """A bare name is an architecture without options; one with a colon is user-defined."""
    given = {"name": value} if isinstance(value, str) else value
    named = isinstance(given, dict) and ":" in str(given.get("name"))
    return UserNetwork.model_validate(given) if named else built_in(given)


Network = Annotated[
    SerializeAsAny[NetworkConfig],
    WrapValidator(_network, json_schema_input_type=str | NetworkConfig | UserNetwork),
]


@with_options({name: HOW[name] for name in AXES}, several=True)
@with_options(
    {"schedule": declared(NoiseOptions)["schedule"]}
    | {name: one for name, one in HOW.items() if name not in (*ELSEWHERE, *AXES)}
)
class Training(Part):
    """How networks are trained; a sweep may override any of these."""

    noise_levels: Annotated[
        list[Positive], Field([0.01, 0.1, 0.5, 1.0], min_length=1, description="noise levels t, each learned alone")
    ]
    data_sets: Annotated[
        Several[Count] | None,
        Field(None, description="fields of a fixed data set, one run each; fresh fields if absent"),
    ]
    seeds: Annotated[
        list[Seed],
        BeforeValidator(counted, json_schema_input_type=SeedCount | list[Seed]),
        Field([1, 2, 3, 4], min_length=1, description="random seeds; n stands for 1 … n"),
    ]
    seeds_per_job: Annotated[Count, Field(4, description="seeds that one job trains")]

    @model_validator(mode="before")
    @classmethod
    def _own_start(cls, content: Any) -> Any:
        """A study compares trainings from the start of each network."""
        if isinstance(content, dict) and "initial" in content:
            raise ValueError(
                "initial is given, but a study trains each network from its own start; train from a file by csd train"
                " --initial"
            )
        return content


@with_options(GENERATED)
class Generation(Part):
    """How fields are generated from the networks of a sweep; they are trained at the levels of the grid."""

    steps: Annotated[
        Count, Field(GRID_STEPS, le=100_000, description="steps of the integrator; one more noise level is trained")
    ]
    t_min: Annotated[Positive, Field(LOWEST_LEVEL, description="lowest noise level")]
    t_max: Annotated[Positive | None, Field(None, description="highest noise level; ½ ln(1 + 10⁴ L²) if absent")]
    kernel_steps: Annotated[
        Literal["recorded", "sparse"],
        Field("recorded", description="kernels kept: every step to 48, then 12 a decade; sparse: 12 a decade"),
    ]
    transfer: Annotated[
        Several[Factor] | None, Field(None, description="also generate on lattices so many times larger")
    ]

    def levels(self, size: int, conditioned: bool) -> list[float]:
        """The noise levels that networks are trained at on a lattice of a given size.

        They are the grid. A conditioned network is trained between its ends and serves all levels, so that fewer of
        them, at which its error is measured, are enough.
        """
        t_max = longest_level(size) if self.t_max is None else self.t_max
        steps = min(self.steps, MEASURED) if conditioned else self.steps
        return [float(level) for level in geometric_grid(self.t_min, t_max, steps)]


class Sweep(FieldPart):
    """Training jobs over sizes, masses, architectures and data sets in one dimension."""

    target: Annotated[str, Field("gaussian", description="gaussian, two_phase, or package.module:Class")]
    data: Annotated[
        FieldsInFile | None,
        Field(None, description="fields in a file, of this size, instead of a target"),
    ]
    scores: Annotated[
        str | None,
        Field(
            None,
            description="a part of scores of this study, of the same target and sizes, against whose exact scores"
            " networks are measured; of several seeds, the first",
        ),
    ]
    architectures: Annotated[Several[Network], Field(description="what is trained")]
    generation: Annotated[Generation | None, Field(None, description="generate from this sweep; vp only")]
    training: Annotated[
        dict[str, Any], Field(default_factory=dict, description="settings of `training` that differ in this sweep")
    ]

    @model_validator(mode="before")
    @classmethod
    def _data_is_a_mapping(cls, content: Any) -> Any:
        """A key `data` names a file; files that csd has written have every key, also where it is null."""
        if isinstance(content, dict) and "data" in content:
            data, complete = content["data"], content.keys() >= FieldPart.model_fields.keys()
            if not isinstance(data, dict | FieldsInFile) and not (data is None and complete):
                file = data if isinstance(data, str) else "fields.npy"
                raise ValueError(f"data is {data!r}; it must be a mapping, such as data: {{file: {file}}}")
        return content

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        """Fields in a file are the only target of a sweep."""
        if self.data is not None:
            others = [way for way in (*WAYS, *OF_PHASES) if getattr(self, way, None) is not None]
            others += ["target"] * (self.target != FieldOptions.target)
            if others:
                raise ValueError(f"data and {others[0]} are both given; the fields of the file are the target")
        return self
