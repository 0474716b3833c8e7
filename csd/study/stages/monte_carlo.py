"""The stage of Monte Carlo: each job samples one target on one lattice with one seed, by one `csd mcmc` command.

A job runs several samplers, into one file.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, ENSEMBLE_SUMMARY
from csd.core.options import declared
from csd.lattice import Lattice
from csd.mcmc.samplers import SAMPLERS, sweep_of
from csd.mcmc.simulation import MonteCarloSettings, monte_carlo_request, target_of_chains
from csd.study.config.schema import Count, Positive, Seed, Several, TargetPart, chosen, with_options
from csd.study.stages.base import OnLattice, Stage, file_name, once
from csd.targets.base import HasEnergy
from csd.targets.options import ChainOptions

HOW = declared(MonteCarloSettings)
ELSEWHERE = ("samplers", "seed", "step", "trajectory")
"""Options with a key of their own, or none."""


@with_options({name: one for name, one in HOW.items() if name not in ELSEWHERE})
class MonteCarlo(TargetPart):
    """Monte Carlo jobs over sizes, targets and seeds in one dimension."""

    components: Annotated[Several[Count], Field([1], description="components n of the field or spin")]
    beta: Annotated[Several[Positive] | None, Field(None, description="couplings of unit spins with n components")]
    samplers: Annotated[Several[str], Field(description=", ".join(SAMPLERS))]
    seeds: Annotated[list[Seed], Field([1], min_length=1, description="random seeds, a file each")]


@dataclass(frozen=True)
class MonteCarloJob(OnLattice):
    """A target, its samplers, a seed.

    Attributes:
        sweep: its name in the study.
        field: the target and its lattice.
        settings: how it is sampled.
    """

    sweep: str
    field: ChainOptions
    settings: MonteCarloSettings

    @property
    def components(self) -> int:
        """Components n of the field or spin."""
        return self.field.components

    @property
    def target(self) -> HasEnergy:
        """The target."""
        given = {name: value for name, value in vars(self.field).items() if name not in ("dimension", "size")}
        return target_of_chains(Lattice(self.dimension, self.size), **given)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """All that is sampled, without the seed: what the jobs of one run of a summary share."""
        return self.sweep, self.field

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        how = "_".join(self.settings.labels().values())
        target = f"d{self.dimension}_L{self.size}_{self.target_label}_n{self.components}"
        return file_name(f"{target}_{how}_s{self.settings.seed}")

    @property
    def request(self) -> dict[str, Any]:
        """All that determines its file besides the code."""
        return monte_carlo_request(self.target, self.settings)

    def arguments(self) -> list[str]:
        """The flags of `csd mcmc` for this job, without --output."""
        return [*self.field.words(), *self.settings.words()]


def monte_carlo_jobs(sweeps: Mapping[str, MonteCarlo]) -> list[MonteCarloJob]:
    """The jobs, each checked as far as it can be without sampling.

    Raises:
        InputError: for a job that cannot be done, or two that have one file.
    """
    return once(_expanded(sweeps), "monte_carlo")


def _expanded(sweeps: Mapping[str, MonteCarlo]) -> Iterator[MonteCarloJob]:
    """Jobs in the order of the configuration."""
    for name, sweep in sweeps.items():
        try:
            for size, components, given, seed in product(sweep.sizes, sweep.components, sweep.targets(), sweep.seeds):
                field = ChainOptions(sweep.dimension, size, **given, components=components)
                job = MonteCarloJob(name, field, MonteCarloSettings(seed=seed, **chosen(HOW, sweep)))
                for sampler in sweep.samplers:
                    sweep_of(sampler, job.target)
                yield job
        except InputError as error:
            raise InputError(f"monte_carlo.{name}: {error}") from error


MONTE_CARLO = Stage(
    "monte_carlo",
    key="monte_carlo",
    command="mcmc",
    kind=ENSEMBLE,
    jobs=lambda study, before: monte_carlo_jobs(study.monte_carlo),
    cost="csd.study.cost.monte_carlo:expected_monte_carlo_costs",
    ends=("  binder",),
    wildcard="simulation",
    works=("Markov chains", lambda job: job.settings.chains * len(job.settings.samplers)),
    aggregate="csd.study.summaries.dynamics:aggregate_monte_carlo",
    rule="aggregate_mcmc",
    summary=ENSEMBLE_SUMMARY,
    laws="csd.study.summaries.dynamics:dynamic_table",
)
