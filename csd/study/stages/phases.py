"""The stage of phases: what scores of finite range lose on a target, one file for each target and size.

Of Gaussian targets, and of O(n) models at n → ∞, all is in closed form; of those at finite n, φ⁴ with `components` and
spins, by conditional Monte Carlo on fields that `csd phases` itself draws.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field

from csd.core.errors import InputError
from csd.core.files import PHASES, PHASES_SUMMARY
from csd.core.options import declared
from csd.lattice import Lattice
from csd.locality.content import BY_CHAINS, EXACTLY
from csd.locality.kinds import request_of_phases
from csd.locality.options import PhaseSettings
from csd.mcmc.simulation import target_of_chains
from csd.study.config.schema import Count, FieldPart, Positive, Several, chosen, with_options
from csd.study.stages.base import OnLattice, Stage, check_target, file_name, finite_components, levels_label, once
from csd.targets.base import with_spectrum
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import ChainOptions, FieldOptions, NoiseOptions
from csd.targets.scores import ScoreSettings

HOW = declared(PhaseSettings)
DRAWN = declared(ScoreSettings)
NOISE = declared(NoiseOptions)


@with_options(
    {
        "ranges": HOW["ranges"],
        "block": HOW["block"],
        "schedule": NOISE["schedule"],
        "target": declared(FieldOptions)["target"],
        **DRAWN,
    }
)
class Phases(FieldPart):
    """What scores of finite range lose, over sizes and targets in one dimension."""

    components: Annotated[
        Several[Count] | None,
        Field(None, description="components n of φ⁴ or spins; without them couplings mean n → ∞, and spins have one"),
    ]
    beta: Annotated[Several[Positive] | None, Field(None, description="couplings of unit spins with n components")]
    noise_levels: Annotated[Several[Positive], Field([0.1, 0.5, 1.0, 2.0, 3.0], description="noise levels t")]


@dataclass(frozen=True)
class PhasesJob(OnLattice):
    """A target.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice; the options of chains are those of φ⁴ and spins at finite n.
        noise: the noise.
        settings: ranges, and the side of the cube.
        drawn: fields, and the accuracy of their scores, at finite n; None where all is in closed form.
    """

    sweep: str
    field: FieldOptions | ChainOptions
    noise: NoiseOptions
    settings: PhaseSettings
    drawn: ScoreSettings | None = None

    @property
    def components(self) -> int:
        """Components n; 0 where all is in closed form."""
        return self.field.components if isinstance(self.field, ChainOptions) else 0

    @property
    def plugins(self) -> list[str]:
        """Dotted paths of user-defined code that its file depends on."""
        return [name for name in (self.noise.schedule,) if ":" in name]

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Noise levels t."""
        return self.noise.noise_levels or ()

    @property
    def ranges(self) -> tuple[int, ...]:
        """Ranges R of its boxes.

        Raises:
            InputError: if the cube and a box around it do not fit, or a range is given twice.
        """
        return self.settings.on(Lattice(self.dimension, self.size))

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the jobs of one run of a summary share."""
        return self.sweep, self.field, self.settings, self.drawn

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        how = "".join(f"_{label}" for label in self.settings.labels().values())
        noise = f"{self.noise.schedule.replace(':', '.')}-t{levels_label(self.noise_levels)}"
        target = f"{self.target_label}_n{self.components}" if self.components else self.target_label
        if self.drawn is not None:
            own = self.drawn.labels()
            how += f"_{own.pop('fields')}" + "".join(f"-{label}" for label in own.values()) + f"_s{self.drawn.seed}"
        return file_name(f"d{self.dimension}_L{self.size}_{target}_{noise}{how}")

    @property
    def target(self) -> Any:
        """The target."""
        if not isinstance(self.field, ChainOptions):
            return with_spectrum(check_target(self.field))
        given = {name: value for name, value in vars(self.field).items() if name not in ("dimension", "size")}
        return target_of_chains(Lattice(self.dimension, self.size), **given)

    @property
    def kind(self) -> str:
        """Kind of the target, as its file says it: 'gaussian', 'two_phase', 'phi4' or 'spins'."""
        return str(self.request["target"])

    @property
    def noised(self) -> NoisedTarget:
        """The target at its noise levels."""
        return NoisedTarget(self.target, schedule_of(self.noise.schedule), self.noise_levels)

    @property
    def request(self) -> Mapping[str, object]:
        """All that determines its file besides the code; every part of it is checked.

        Raises:
            InputError: if the target, the noise, a range or the cube cannot be used.
        """
        if self.drawn is None:
            return request_of_phases(self.noised, self.settings)
        # Chains load compiled loops.
        from csd.locality.interacting import interacting_request

        return interacting_request(self.noised, self.settings, self.drawn)

    @property
    def step(self) -> str:
        """The step in `csd.core.source` whose code its file depends on."""
        return EXACTLY if self.drawn is None else BY_CHAINS

    def arguments(self) -> list[str]:
        """The flags of `csd phases` for this job, without --output."""
        drawn = [] if self.drawn is None else self.drawn.words()
        return [*self.field.words(), *self.noise.words(), *self.settings.words(), *drawn]


def phases_jobs(parts: Mapping[str, Phases]) -> list[PhasesJob]:
    """The jobs, each checked; `sweep` of each is the name of its part.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(parts), "phases")


def _expanded(parts: Mapping[str, Phases]) -> Iterator[PhasesJob]:
    """Jobs in the order of the configuration."""
    for name, part in parts.items():
        try:
            noise, settings = NoiseOptions(**chosen(NOISE, part)), PhaseSettings(**chosen(HOW, part))
            finite = finite_components(part)
            unused = [option for option, value in chosen(DRAWN, part).items() if value != DRAWN[option].default]
            if unused and not finite:
                raise InputError(f"{unused[0]} is given, but without components or beta phases are exact; leave it out")
            own: str = vars(part)["target"]
            for size, components, given in product(part.sizes, finite or [0], part.targets()):
                lattice = part.dimension, size
                if components:
                    drawn = ScoreSettings(**chosen(DRAWN, part))
                    chains = ChainOptions(*lattice, **given, components=components)
                    job = PhasesJob(name, chains, noise, settings, drawn)
                else:
                    job = PhasesJob(name, FieldOptions(*lattice, **given, target=own), noise, settings)
                _ = job.request
                yield job
        except InputError as error:
            raise InputError(f"phases.{name}: {error}") from error


PHASES_OF_DATA = Stage(
    "phases",
    key="phases",
    command="phases",
    kind=PHASES,
    jobs=lambda study, before: phases_jobs(study.phases),
    cost="csd.study.cost.phases:expected_phases",
    ends=("  noise level ",),
    plugins=lambda job: job.plugins,
    steps=lambda job: job.step,
    works=("ranges", lambda job: len(job.ranges)),
    aggregate="csd.study.summaries.phases.aggregate:aggregate_phases",
    rule="aggregate_phases",
    summary=PHASES_SUMMARY,
    laws="csd.study.summaries.phases.laws:phase_table",
)
