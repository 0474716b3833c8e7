"""The stage of integrators: one job, without training, finds how many steps each needs with the exact score."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from csd.core.errors import check_distinct
from csd.core.files import INTEGRATOR_STEPS
from csd.diffusion.grids import SIGNAL_LEFT, longest_level
from csd.study.config.schema import Dimension, Part, Positive, Several, Size
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.base import Stage

CALLS, NUMBERS = 8e4, 8e5
"""Steps of all recursions on a lattice until the steps needed are found; numbers in these steps, for each shell."""
MEMORY_MB = 300.0


def _size_lists(value: Any) -> Any:
    """A list of sizes as one such list for all dimensions."""
    return [value] if isinstance(value, list) and not any(isinstance(one, list) for one in value) else value


class IntegratorSteps(Part):
    """How many steps integrators need with the exact score: no training, one job."""

    dimension: Annotated[Several[Dimension], Field([2], description="lattice dimension, or several")]
    sizes: Annotated[
        list[Annotated[list[Size], Field(min_length=1)]],
        BeforeValidator(_size_lists, json_schema_input_type=list[Size] | list[list[Size]]),
        Field(
            [[8, 16, 32, 64, 128]], min_length=1, description="lattice sizes L; or a list of them for each dimension"
        ),
    ]
    mass_times_length: Annotated[Positive, Field(1.0, description="c of the critical line m = c / L")]
    tolerance: Annotated[Positive, Field(0.01, description="KL divergence per site to reach")]
    t_min: Annotated[Positive, Field(1e-3, description="lowest noise level")]

    @model_validator(mode="after")
    def _matched(self) -> "IntegratorSteps":
        """One list of sizes for all dimensions, or one for each; nothing twice; room between the noise levels."""
        check_distinct("dimension", self.dimension)
        for sizes in self.sizes:
            check_distinct("size", sizes)
        if len(self.sizes) not in (1, len(self.dimension)):
            raise ValueError(
                f"sizes has {len(self.sizes)} lists for {len(self.dimension)} dimensions; give one for all, or one each"
            )
        smallest = min(map(min, self.sizes))
        if self.t_min >= (t_max := longest_level(smallest, SIGNAL_LEFT)):
            raise ValueError(
                f"t_min is {self.t_min!r}; it must be below the highest level of size {smallest}, {t_max:.3g}"
            )
        return self


@dataclass(frozen=True)
class IntegratorsJob:
    """The comparison of all integrators.

    Attributes:
        asked: its part of the configuration.
    """

    asked: IntegratorSteps
    sweep: ClassVar[str] = "integrator_steps"
    identifier: ClassVar[str] = "integrators"

    @property
    def request(self) -> dict[str, Any]:
        """All that determines its file besides the code."""
        asked = self.asked
        sizes = asked.sizes * (len(asked.dimension) if len(asked.sizes) == 1 else 1)
        return asked.model_dump(exclude={"sizes"}) | {"size": sizes}

    def arguments(self) -> list[str]:
        """The flags of `csd integrators`, without --output."""
        asked = self.asked
        words = ["--dimension", *map(str, asked.dimension)]
        for sizes in asked.sizes:
            words += ["--size", *map(str, sizes)]
        for name in ("mass_times_length", "tolerance", "t_min"):
            words += [f"--{name.replace('_', '-')}", repr(getattr(asked, name))]
        return words


def expected_integrators(jobs: Sequence[IntegratorsJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of a comparison: the recursions of all integrators, schedules and grids on every lattice."""
    costs = []
    for job in jobs:
        sizes = zip(job.asked.dimension, job.request["size"], strict=True)
        shells = [comb(size // 2 + dimension, dimension) for dimension, own in sizes for size in own]
        seconds = calibration.recursion(NUMBERS * sum(shells), CALLS * len(shells))
        costs.append(ExpectedCost("integrators", job.identifier, seconds, MEMORY_MB, 0.1, known=False))
    return costs


INTEGRATORS = Stage(
    "integrators",
    key="integrator_steps",
    command="integrators",
    kind=INTEGRATOR_STEPS,
    jobs=lambda study, before: [IntegratorsJob(study.integrator_steps)],
    cost="csd.study.stages.integrators:expected_integrators",
    ends=("        ",),
    summary=INTEGRATOR_STEPS,
    laws="csd.study.summaries.laws:integrator_table",
    folder="summary",
    logs="",
    names="integrators",
)
