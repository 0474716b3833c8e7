"""The cost of n independent fields at the same accuracy: direct sampling, Markov chains and diffusion models.

    direct sampling    cost(n) = n field updates: white noise and one transform a field, for Gaussian fields alone
    Markov chain       cost(n) = 20 τ + 2 τ n: to forget the start, then a run that weighs as much as n such fields
    diffusion model    cost(n) = S × levels + data(S × B) + n × evaluations of the score a field × M/ESS

A field update visits all N sites once: a sweep of a local update, a step of leapfrog, a transform, one evaluation of a
linear score, one noise level in a training step. τ is that of the slowest series, m itself included, so that every mode
of the fields counts as independent.

*The same accuracy.* Fields of direct sampling and of a chain have the right distribution. Those of a network have it
after reweighting, and are made after S steps of training, on the grids that `csd.study.summaries.accuracy` finds, M/ESS
of them for each one that counts. Levels that the integrator leaves out are not trained then: with fewer levels a field
is cheaper and training longer, so a network has a cost for each grid that is best for some n. A network with a seed
that is never accurate has no cost, and a remark says so: a mean over the other seeds would favour the lucky ones.

*Fields seen in training.* Each step takes B fresh fields. One set serves all noise levels, with other noise at each, as
levels are separate networks: χ then scatters as it does with a set for each level, which the study draws (a test).
These fields are charged in four ways: free; by direct sampling; by the cheapest accelerated chain; by the cheapest
local one (each the cheapest in field updates for S × B fields). So a network taught by a chain cannot cost less than
the chain before it has made more fields than it has seen. A run on the population loss has seen infinitely many fields,
and has no cost.

*Not counted* is that a linear score lets the steps of the integrator be multiplied together; each counts, as it would
for any other network. Seconds are processor time of one core, all measured in one process (docs/montecarlo.md). This is
the only file of a study that holds times: every other one is the same, byte for byte, when it is made again.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import labelled
from csd.core.random import stream
from csd.diffusion.integrators import integrator_of
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.sampling import sample_modes
from csd.lattice import Array, Lattice
from csd.mcmc.chains import Chain
from csd.mcmc.samplers import sweep_of
from csd.study.seeds import mean_over_seeds
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.training import TrainingJob
from csd.study.summaries.accuracy import SUSCEPTIBILITY, Matched, of_network
from csd.study.summaries.columns import HOW, columns_of, default_cell, typed_columns
from csd.study.summaries.dynamics import times
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget
from csd.training.steps.tuning import prepare_tuned

FIELDS = (1, 10**2, 10**4, 10**6, 10**8)
"""n, the numbers of independent fields."""
FORGET, APART = 20.0, 2.0
"""Autocorrelation times to forget the start, and that weigh as much as one independent field."""
KINDS = ("direct", "accelerated", "local", "diffusion")
LOCAL = ("metropolis", "heat_bath", "langevin")
"""Samplers that move by single sites or short steps, z = 2; the others are accelerated."""
FREE = "free"
REPEATS = 9
SHORTEST = 0.01
"""Least seconds of one repeat; shorter work is repeated within it."""
NO_MAKER = "no such sampler was run on this lattice, or its chains are too short for the tau of m"


@dataclass(frozen=True)
class Price:
    """start + each × n, in field updates or in seconds, with standard errors.

    Attributes:
        start, each: before the first field, and for each.
        start_error, each_error: their errors; they are fully correlated, so those of a sum add up.
    """

    start: float
    each: float
    start_error: float = 0.0
    each_error: float = 0.0

    def of(self, count: Array | float) -> tuple[Any, Any]:
        """(cost, error) of `count` fields."""
        return self.start + self.each * count, self.start_error + self.each_error * count

    def __add__(self, other: "Price") -> "Price":
        return Price(*(own + another for own, another in zip(astuple(self), astuple(other), strict=True)))

    def measured(self, seconds: float, spread: float) -> "Price":
        """The price in seconds, at `seconds` an update with a relative error `spread`."""
        errors = np.hypot((self.start_error, self.each_error), (spread * self.start, spread * self.each))
        return Price(*(seconds * float(number) for number in (self.start, self.each, *errors)))


UNKNOWN = Price(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Method:
    """A method to make fields on one lattice.

    Attributes:
        name: 'direct', a sampler, or an architecture.
        kind: one of `KINDS`.
        dimension, size: of the lattice.
        updates, seconds: the price of fields.
        data, data_kind: the maker of the fields that a network learned from, and its kind; 'free' for both if they are
            not charged, '' where nothing is learned.
        seen: S × B, fields seen in training.
        steps: S, training steps.
        evaluations: of the score for a field made.
        per_field: M/ESS, fields made for one that counts, mean over seeds.
        remark: why there is no cost.
    """

    name: str
    kind: str
    dimension: int
    size: int
    updates: Price
    seconds: Price
    data: str = ""
    data_kind: str = ""
    seen: float = 0.0
    steps: float = 0.0
    evaluations: int = 0
    per_field: float = 1.0
    remark: str = ""


def undominated(methods: Sequence[Method]) -> list[Method]:
    """The methods that no other undercuts both before the first field and for each; one if none has a cost."""
    known = [one for one in methods if np.isfinite(one.updates.each)]
    kept: list[Method] = []
    for one in sorted(known, key=lambda one: (one.updates.start, one.updates.each)):
        if not kept or one.updates.each < kept[-1].updates.each:
            kept.append(one)
    return kept or list(methods[:1])


def seconds_of(work: Callable[[], float]) -> tuple[float, float]:
    """Processor seconds of a unit of work, median of `REPEATS`, and their relative error, ½ ln of the quartiles' ratio.

    Args:
        work: does some, and returns how many units.
    """
    work()
    started = process_time()
    work()
    calls = max(1, int(np.ceil(SHORTEST / max(process_time() - started, 1e-6))))
    measured = []
    for _ in range(REPEATS):
        started = process_time()
        done = sum(work() for _ in range(calls))
        measured.append(max(process_time() - started, 1e-9) / done)
    low, median, high = np.quantile(measured, (0.25, 0.5, 0.75))
    return float(median), float(0.5 * np.log(high / low))


def of_direct(lattices: Iterable[tuple[int, int]]) -> list[Method]:
    """The cost of Gaussian fields on the critical line m = 1/L by one transform each.

    Args:
        lattices: (dimension, size) of each.
    """
    methods = []
    for dimension, size in lattices:
        target, generator = GaussianField.on_critical_line(Lattice(dimension, size)), stream("timing", dimension, size)
        per_field = seconds_of(lambda target=target, generator=generator: len(target.sample(generator, 10)))  # type: ignore[misc]
        one = Price(0.0, 1.0)
        methods.append(Method("direct", "direct", dimension, size, one, one.measured(*per_field)))
    return methods


def of_samplers(jobs: Sequence[MonteCarloJob], summary: xr.Dataset) -> list[Method]:
    """The cost of fields by each sampler of the Gaussian field on the critical line m = 1/L.

    Args:
        jobs: those of Monte Carlo.
        summary: of `csd.study.summaries.dynamics.aggregate_monte_carlo`.
    """
    tau, error = times(summary, "autocorrelation_updates")
    methods = []
    for place in np.flatnonzero((summary["mass_times_length"] == 1.0) & (summary["components"] == 1)):
        one = summary.isel(run=int(place))
        sampler, dimension, size = str(one["sampler"].values), int(one["dimension"]), int(one["size"])
        key = str(one["sweep"].values), dimension, size, 1.0, 1
        own = [
            job
            for job in jobs
            if (job.sweep, job.dimension, job.size, job.field.mass_times_length, job.components) == key
        ]
        about = sampler, "local" if sampler in LOCAL else "accelerated", dimension, size
        # Every seed counts: a mean over the chains that were long enough would be too small.
        if not np.isfinite(one["slowest_tau_error"].sel(seed=[job.settings.seed for job in own]).values).all():
            remark = "the chains are too short for the tau of m, or measured too seldom"
            methods.append(Method(*about, UNKNOWN, UNKNOWN, remark=remark))
            continue
        chain = Chain(own[0].target, sweep_of(sampler, own[0].target), stream("timing", sampler, dimension, size))
        chain.thermalise(50)

        def sweep(chain: Chain = chain) -> float:
            before = chain.done
            chain.advance(5)
            return chain.done - before

        updates = Price(*(number * float(of[place]) for of in (tau, error) for number in (FORGET, APART)))
        methods.append(Method(*about, updates, updates.measured(*seconds_of(sweep))))
    return methods


def _critical(run: TrainingJob) -> bool:
    """Whether a job trains on fresh fields on the critical line m = 1/L."""
    return run.field.mass_times_length == 1.0 and run.data_set is None


def of_networks(
    runs: Sequence[TrainingJob], summary: xr.Dataset, folder: Path, makers: Sequence[Method]
) -> list[Method]:
    """The cost of fields by each network trained on fresh minibatches on the critical line, its data charged four ways.

    Networks trained in another way than by default, such as with momentum, are left out.

    Args:
        runs: the training jobs that are generated from.
        summary: of `csd.study.summaries.generation.aggregate_generation`.
        folder: of the training files.
        makers: methods that may have made the training data, of `of_direct` and `of_samplers`.
    """
    grouped: dict[Hashable, list[TrainingJob]] = {}
    for run in runs:
        options = columns_of(run)
        # Identity counts too, as NaN stands for a number that is not given.
        usual = all(options[name] in [default_cell(one)] for name, one in HOW.items())
        usual = usual and ":" not in run.settings.integrator
        if _critical(run) and usual and not run.plugins:
            grouped.setdefault((run.sweep, run.key), []).append(run)
    methods = []
    for members in grouped.values():
        first = members[0]
        found = of_network(members, summary, folder)
        if isinstance(found, str):
            about = first.label, "diffusion", first.dimension, first.size
            methods.append(Method(*about, UNKNOWN, UNKNOWN, FREE, FREE, remark=found))
            continue
        bills = [billed(*own, makers) for own in zip(_free(first, found), found, strict=True)]
        for paid in zip(*bills, strict=True):
            methods += undominated(paid)
    return methods


def _free(run: TrainingJob, grids: Sequence[Matched]) -> list[Method]:
    """The cost of a network on each grid, its data free; seconds of an update are measured on the full one."""
    noised, architecture, settings = run.problem()
    noised = NoisedTarget(noised.target, noised.schedule, grids[0].grid.tolist())
    prepared = prepare_tuned(noised, architecture, replace(settings, seeds=settings.seeds[:1]))

    def step() -> float:
        prepared.descent.advance(*prepared.source.draw())
        return len(noised.levels)

    modes = noised.lattice.pairs
    reverse = ReverseDiffusion(noised, integrator_of(settings.integrator), settings.start)
    moves = reverse.steps(reverse.exact_score(modes))
    start, generator = reverse.start_variance(modes), stream("timing", run.label, run.size)

    def sampled() -> float:
        sample_modes(moves, modes, start, generator)
        return grids[0].evaluations

    of_step, of_field = seconds_of(step), seconds_of(sampled)
    methods = []
    for own in grids:
        levels, (weight, error) = len(own.grid), mean_over_seeds(own.per_field)
        training = Price(own.steps * levels, 0.0, own.steps_error * levels)
        fields = Price(0.0, own.evaluations * weight, 0.0, own.evaluations * error)
        prices = training + fields, training.measured(*of_step) + fields.measured(*of_field)
        about = run.label, "diffusion", run.dimension, run.size
        seen = own.steps * own.batch
        methods.append(Method(*about, *prices, FREE, FREE, seen, own.steps, own.evaluations, weight))
    return methods


def billed(free: Method, own: Matched, makers: Sequence[Method]) -> list[Method]:
    """A network with its training data free, and made by the cheapest method of each kind on its lattice."""
    methods = [free]
    for kind in KINDS[:3]:
        place = kind, free.dimension, free.size
        able = [one for one in makers if (one.kind, one.dimension, one.size) == place and np.isfinite(one.updates.each)]
        if not able:
            methods.append(replace(free, updates=UNKNOWN, seconds=UNKNOWN, data_kind=kind, data="", remark=NO_MAKER))
            continue
        maker = min(able, key=lambda one: float(one.updates.of(free.seen)[0]))

        def paid(price: Price, rate: Price) -> Price:
            cost, error = rate.of(free.seen)
            return price + Price(cost, 0.0, error + rate.each * own.batch * own.steps_error)

        updates, seconds = paid(free.updates, maker.updates), paid(free.seconds, maker.seconds)
        methods.append(replace(free, updates=updates, seconds=seconds, data=maker.name, data_kind=kind))
    return methods


def compared(
    jobs: Sequence[MonteCarloJob],
    monte_carlo: xr.Dataset,
    runs: Sequence[TrainingJob],
    generation: xr.Dataset,
    training: Path,
) -> list[Method]:
    """Every method of a study, each measured once: direct sampling, then chains, then networks.

    Args:
        jobs: those of Monte Carlo.
        monte_carlo: summary of `csd.study.summaries.dynamics.aggregate_monte_carlo`.
        runs: the training jobs that are generated from.
        generation: summary of `csd.study.summaries.generation.aggregate_generation`.
        training: folder of the training files.
    """
    chains = of_samplers(jobs, monte_carlo)
    lattices = {(one.dimension, one.size) for one in chains} | {
        (run.dimension, run.size) for run in runs if _critical(run)
    }
    makers = of_direct(sorted(lattices)) + chains
    return makers + of_networks(runs, generation, training, makers)


ABOUT = {
    "method": ("direct, sampler or architecture", "1"),
    "kind": ("direct, accelerated or local sampler, or diffusion", "1"),
    "data": ("what made the training data; free where they are not charged", "1"),
    "data_kind": ("its kind", "1"),
    "remark": ("why there is no cost", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "steps": ("training steps S; 0 for what learns nothing", "1"),
    "seen": ("fields seen in training", "1"),
    "evaluations": ("evaluations of the score per generated field", "1"),
    "per_field": ("generated fields per effective one, M/ESS, mean over seeds", "1"),
}
"""Columns of the comparison, and their units."""


def cost_of_fields(methods: Sequence[Method]) -> xr.Dataset:
    """The cost of n = 1, 10², 10⁴, 10⁶, 10⁸ fields by each method.

    Args:
        methods: of `compared`.

    Returns:
        Dimensions run (a method on a lattice; of networks, a way to charge training data and a grid) and fields:
        `updates`, `seconds` and their errors; `start_…` and `each_…`, of which they are made.

    Raises:
        InputError: if there is nothing to compare.
    """
    if not methods:
        raise InputError(
            "no sampler was run on the Gaussian field with m = 1/L, and no network generates there; add monte_carlo and"
            " a sweep with generation"
        )
    variables = typed_columns([{**vars(one), "method": one.name} for one in methods], ABOUT)
    for unit, units in (("updates", "field updates"), ("seconds", "s")):
        numbers = np.array([astuple(getattr(one, unit)) for one in methods]).T
        cost, error = Price(*numbers[:, :, None]).of(np.array(FIELDS, dtype=float))
        about = "cost of n independent fields" + (", processor time of one core" if unit == "seconds" else "")
        variables[unit] = labelled(["run", "fields"], cost, about, units)
        variables[f"{unit}_error"] = labelled(["run", "fields"], error, "its standard error", units)
        for part, what, values in (
            ("start", "before the first field", numbers[0]),
            ("each", "of each field", numbers[1]),
        ):
            variables[f"{part}_{unit}"] = labelled(["run"], values, f"cost {what}", units)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, part, what in (("start", "start", "before the first field"), ("field", "each", "of each field")):
            ratio = variables[f"{part}_seconds"].values / variables[f"{part}_updates"].values
            variables[f"seconds_of_{name}"] = labelled(["run"], ratio, f"time of a field update {what}", "s")
    return xr.Dataset(
        variables,
        {"fields": labelled(["fields"], np.array(FIELDS), "independent fields n")},
        {
            "note_cost": "direct: n; Markov chains: 20 tau + 2 tau n field updates; diffusion: noise levels x training"
            " steps + data + n x evaluations of the score x M/ESS",
            "accuracy": f"ESS/M of at least a half, and the susceptibility within {SUSCEPTIBILITY:.0%}",
            "repeats": REPEATS,
        },
    )
