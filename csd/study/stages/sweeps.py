"""The sweeps of a study: what is trained over sizes, masses and networks, how, and what is generated from it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt

from csd.diffusion.grids import GRID_STEPS, LOWEST_LEVEL
from csd.study.config.schema import (
    Count,
    Couplings,
    Dimension,
    Number,
    Part,
    Positive,
    Seed,
    SeedCount,
    Several,
    Size,
    counted,
    listed,
)
from csd.training.options import INTEGRATOR


def _reach(value: Any) -> Any:
    """A range: an integer, or a factor of the score length."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an integer is needed, or a factor of the score length such as 3xi")
    return value


Reach = Annotated[int | str, BeforeValidator(_reach, json_schema_input_type=int | str)]
Factor = Annotated[StrictInt, Field(ge=2)]


class NetworkConfig(Part):
    """An architecture and its options; a list stands for one network each."""

    name: Annotated[str, Field(description="a built-in architecture, or package.module:Class")]
    depth: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="layers of deep_linear"),
    ]
    range: Annotated[
        Several[Reach] | None,
        BeforeValidator(listed, json_schema_input_type=Reach | Several[Reach] | None),
        Field(None, description="range of the composed kernel, or a factor of the score length: 3xi"),
    ]
    channels: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="tied channels of local_two_layer; d + 1 by default"),
    ]


def _network(value: Any) -> Any:
    """A bare name as an architecture without options."""
    return {"name": value} if isinstance(value, str) else value


Network = Annotated[NetworkConfig, BeforeValidator(_network, json_schema_input_type=str | NetworkConfig)]


class Training(Part):
    """How networks are trained; a sweep may override any of these."""

    schedule: Annotated[str, Field("vp", description="noising schedule: vp, ve, or package.module:Class")]
    noise_levels: Annotated[
        list[Positive], Field([0.01, 0.1, 0.5, 1.0], min_length=1, description="noise levels t, each learned alone")
    ]
    loss: Annotated[str, Field("implicit", description="population, implicit, denoising, or package.module:Class")]
    batch: Annotated[Count, Field(64, description="fields in a minibatch")]
    data_sets: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="fields of a fixed data set, one run each; fresh fields if absent"),
    ]
    tolerance: Annotated[
        Number,
        Field(0.01, ge=0.0, description="relative score error above the floor that ends training"),
    ]
    until: Annotated[
        Literal["score_error", "samples"],
        Field("score_error", description="what ends training: the tolerance, or samples that are right"),
    ]
    max_steps: Annotated[Count, Field(1_000_000, description="steps after which training ends in any case")]
    learning_rate: Annotated[Positive | None, Field(None, description="the architecture's default if absent")]
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field("auto", description="cuda: a GPU, which jobs on a cluster ask for; auto: one where autograd finds it"),
    ]
    path: Annotated[Literal["spectral", "fields"], Field("spectral", description="power spectra, or raw fields")]
    seeds: Annotated[
        list[Seed],
        BeforeValidator(counted, json_schema_input_type=SeedCount | list[Seed]),
        Field([1, 2, 3, 4], min_length=1, description="random seeds; n stands for 1 … n"),
    ]
    seeds_per_job: Annotated[Count, Field(4, description="seeds that one job trains")]


class Generation(Part):
    """How fields are generated from what a sweep trains; its noise levels become the grid of the reverse diffusion."""

    steps: Annotated[Count, Field(GRID_STEPS, description="steps of the integrator; one more noise level is trained")]
    t_min: Annotated[Positive, Field(LOWEST_LEVEL, description="lowest noise level")]
    t_max: Annotated[Positive | None, Field(None, description="highest noise level; ½ ln(1 + 10⁴ L²) if absent")]
    integrator: Annotated[str, Field(INTEGRATOR, description="how a step is made, or package.module:Class")]
    start: Annotated[
        Literal["noise", "exact"], Field("noise", description="distribution of the fields at the highest level")
    ]
    kernel_steps: Annotated[
        Literal["recorded", "sparse"],
        Field("recorded", description="kernels kept: every step to 48, then 12 a decade; sparse: 12 a decade"),
    ]
    samples: Annotated[StrictInt, Field(256, ge=2, description="fields drawn for each seed")]
    transfer: Annotated[
        Several[Factor] | None,
        BeforeValidator(listed, json_schema_input_type=Factor | Several[Factor] | None),
        Field(None, description="also generate on lattices so many times larger"),
    ]


class Sweep(Part):
    """Runs over sizes, masses, architectures and data sets in one dimension."""

    dimension: Annotated[Dimension, Field(description="lattice dimension")]
    sizes: Annotated[
        Several[Size],
        BeforeValidator(listed, json_schema_input_type=Size | Several[Size]),
        Field(description="lattice sizes L"),
    ]
    mass: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="masses m"),
    ]
    mass_times_length: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="c of the critical line m = c / L; 1 if no mass is given in any way"),
    ]
    couplings: Annotated[
        Several[Couplings] | None,
        BeforeValidator(listed, json_schema_input_type=Couplings | Several[Couplings] | None),
        Field(None, description="couplings (r0, u) of the O(n) model"),
    ]
    target: Annotated[str, Field("gaussian", description="gaussian, or package.module:Class")]
    architectures: Annotated[
        Several[Network],
        BeforeValidator(listed, json_schema_input_type=Network | Several[Network]),
        Field(description="what is trained"),
    ]
    generation: Annotated[Generation | None, Field(None, description="generate from this sweep; vp only")]
    training: Annotated[
        dict[str, Any], Field(default_factory=dict, description="settings of `training` that differ in this sweep")
    ]
