"""The stage of Monte Carlo: its part of the configuration, and the jobs that it expands to.

A job is one target on one lattice with one seed, sampled by several samplers: one file of the workflow and one
`csd mcmc` command.
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
from csd.study.stages.base import Stage, once
from csd.targets.base import HasEnergy
from csd.targets.labels import target_label
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
class MonteCarloJob:
    """A target, its samplers, a seed.

    Attributes:
        sweep: its name in the study.
        dimension, size: of the lattice.
        components: n.
        parameter: how the target is given: 'mass', 'mass_times_length', 'couplings' or 'beta'.
        value: of that; (r₀, u) for couplings.
        settings: how it is sampled.
    """

    sweep: str
    dimension: int
    size: int
    components: int
    parameter: str
    value: float | tuple[float, float]
    settings: MonteCarloSettings

    @property
    def target(self) -> HasEnergy:
        """The target."""
        return target_of_chains(Lattice(self.dimension, self.size), self.components, **self._given)

    @property
    def _given(self) -> dict[str, float]:
        """How the target is given, by the names of options."""
        value = self.value
        return dict(zip(("r0", "u"), value, strict=True)) if isinstance(value, tuple) else {self.parameter: value}

    @property
    def target_label(self) -> str:
        """The target but for its components, as text."""
        return target_label(**{self.parameter: self.value})  # type: ignore[arg-type]

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What is sampled in which sweep of the study, whatever the seed: what jobs of one run of a summary share."""
        return self.sweep, self.dimension, self.size, self.components, self.parameter, self.value

    @property
    def identifier(self) -> str:
        """Unique name of its file."""
        how = "_".join(self.settings.labels().values())
        return f"d{self.dimension}_L{self.size}_{self.target_label}_n{self.components}_{how}_s{self.settings.seed}"

    @property
    def request(self) -> dict[str, Any]:
        """What the configuration hash of its file is of."""
        return monte_carlo_request(self.target, self.settings)

    def arguments(self) -> list[str]:
        """The flags of `csd mcmc` that make it, without --output."""
        given: Any = {"dimension": self.dimension, "size": self.size, "components": self.components, **self._given}
        return [*ChainOptions(**given).words(), *self.settings.words()]


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
            parameter, values = sweep.targets()
            for size, components, value, seed in product(sweep.sizes, sweep.components, values, sweep.seeds):
                settings = MonteCarloSettings(seed=seed, **chosen(HOW, sweep))
                job = MonteCarloJob(name, sweep.dimension, size, components, parameter, value, settings)
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
