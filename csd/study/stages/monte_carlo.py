"""The stage of Monte Carlo: its part of the configuration, and the jobs that it expands to.

A job is one target on one lattice with one seed, sampled by several samplers: one file of the workflow and one
`csd mcmc` command.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictInt

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, ENSEMBLE_SUMMARY
from csd.lattice import Lattice
from csd.mcmc.samplers import sweep_of
from csd.mcmc.simulation import MonteCarloSettings, monte_carlo_request, target_of_chains
from csd.study.config.schema import Count, Couplings, Dimension, Part, Positive, Seed, Several, Size, listed
from csd.study.stages.base import Alone, Stage, once
from csd.targets.base import HasEnergy
from csd.targets.labels import target_label


class MonteCarlo(Part):
    """Monte Carlo jobs over sizes, targets and seeds in one dimension."""

    dimension: Annotated[Dimension, Field(description="lattice dimension")]
    sizes: Annotated[
        Several[Size],
        BeforeValidator(listed, json_schema_input_type=Size | Several[Size]),
        Field(description="lattice sizes L"),
    ]
    components: Annotated[
        Several[Count],
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count]),
        Field([1], description="components n of the field or spin"),
    ]
    mass: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="masses of Gaussian fields"),
    ]
    mass_times_length: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="c of the critical line m = c / L; 1 if no target is given in any way"),
    ]
    couplings: Annotated[
        Several[Couplings] | None,
        BeforeValidator(listed, json_schema_input_type=Couplings | Several[Couplings] | None),
        Field(None, description="couplings (r0, u) of phi^4 with n components"),
    ]
    beta: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="couplings of unit spins with n components"),
    ]
    samplers: Annotated[
        Several[str],
        BeforeValidator(listed, json_schema_input_type=str | Several[str]),
        Field(description="metropolis, heat_bath, overrelaxation, langevin, hmc, fourier_hmc, wolff"),
    ]
    sweeps: Annotated[Count, Field(10_000, description="sweeps of each chain after thermalisation")]
    every: Annotated[Count, Field(1, description="sweeps from one measurement to the next")]
    thermalisation: Annotated[
        Annotated[StrictInt, Field(ge=0)] | None, Field(None, description="sweeps before; a tenth, at least 100")
    ]
    chains: Annotated[Count, Field(4, description="Markov chains of each sampler")]
    seeds: Annotated[list[Seed], Field([1], min_length=1, description="random seeds, a file each")]
    fields: Annotated[
        Annotated[StrictInt, Field(ge=0)], Field(0, description="decorrelated fields to keep, with one sampler")
    ]


@dataclass(frozen=True)
class MonteCarloJob(Alone):
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
        value = self.value
        given = dict(zip(("r0", "u"), value, strict=True)) if isinstance(value, tuple) else {self.parameter: value}
        return target_of_chains(Lattice(self.dimension, self.size), self.components, **given)

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
        names = ".".join(self.settings.samplers)
        kept = f"_M{self.settings.fields}" if self.settings.fields else ""
        return (
            f"d{self.dimension}_L{self.size}_{self.target_label}_n{self.components}_{names}{kept}_s{self.settings.seed}"
        )

    @property
    def request(self) -> dict[str, Any]:
        """What the configuration hash of its file is of."""
        return monte_carlo_request(self.target, self.settings)

    def arguments(self) -> list[str]:
        """The flags of `csd mcmc` that make it, without --output."""
        flag = f"--{self.parameter.replace('_', '-')}"
        given = self.value if isinstance(self.value, tuple) else (self.value,)
        flags = ("--r0", "--u") if isinstance(self.value, tuple) else (flag,)
        words = ["--dimension", str(self.dimension), "--size", str(self.size), "--components", str(self.components)]
        words += [word for pair in zip(flags, map(repr, given), strict=True) for word in pair]
        settings = self.settings
        words += ["--sampler", *settings.samplers, "--sweeps", str(settings.sweeps), "--every", str(settings.every)]
        words += ["--thermalisation", str(settings.warming), "--chains", str(settings.chains)]
        words += ["--seed", str(settings.seed)]
        return [*words, "--fields", str(settings.fields)] if settings.fields else words


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
            parameter, values = _targets(sweep)
            for size, components, value, seed in product(sweep.sizes, sweep.components, values, sweep.seeds):
                settings = MonteCarloSettings(
                    tuple(sweep.samplers),
                    sweep.sweeps,
                    sweep.every,
                    sweep.thermalisation,
                    sweep.chains,
                    seed,
                    sweep.fields,
                )
                job = MonteCarloJob(name, sweep.dimension, size, components, parameter, value, settings)
                for sampler in sweep.samplers:
                    sweep_of(sampler, job.target)
                yield job
        except InputError as error:
            raise InputError(f"monte_carlo.{name}: {error}") from error


def _targets(sweep: MonteCarlo) -> tuple[str, list[Any]]:
    """How the targets of a sweep are given, and their values."""
    ways = ("mass", "mass_times_length", "couplings", "beta")
    given = [way for way in ways if getattr(sweep, way) is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are both given; give the target in one way")
    if not given:
        return "mass_times_length", [1.0]
    values = getattr(sweep, given[0])
    return given[0], [(pair.r0, pair.u) for pair in values] if given[0] == "couplings" else list(values)


MONTE_CARLO = Stage(
    "monte_carlo",
    key="monte_carlo",
    command="mcmc",
    kind=ENSEMBLE,
    jobs=lambda study, before: monte_carlo_jobs(study.monte_carlo),
    cost="study.cost.monte_carlo:expected_monte_carlo_costs",
    ends=("  binder",),
    works=("Markov chains", lambda job: job.settings.chains * len(job.settings.samplers)),
    aggregate="study.summaries.dynamics:aggregate_monte_carlo",
    rule="aggregate_mcmc",
    summary=ENSEMBLE_SUMMARY,
)
