"""What n independent fields cost at the same accuracy: direct sampling, Markov chains and diffusion models.

    direct sampling    cost(n) = n field updates: white noise and one transform a field, for Gaussian fields alone
    Markov chain       cost(n) = 20 τ + 2 τ n: to forget the start, then a run that weighs as much as n such fields
    diffusion model    cost(n) = S × levels + data(S × B) + n × evaluations of the score a field × M/ESS

A field update visits all N sites once: a sweep of a local update, a step of leapfrog, a transform, one evaluation of a
linear score, one noise level in a training step. τ is that of the slowest series, m itself included, so that every mode
of the fields counts as independent.

*The same accuracy.* Fields of direct sampling and of a chain have the right distribution. Those of a network have it
after reweighting, and are made after S steps of training, on the grids that `csd.study.summaries.accuracy` finds: M/ESS
for each one that counts. Levels that the integrator leaves out are not trained then: with fewer a field is cheaper and
training longer, so a network has a cost for each grid that is best for some n. A network with a seed that is never
accurate has none, and a remark says so: a mean over the other seeds would be that of the lucky ones.

*What training has seen.* Each step takes B fresh fields. One set serves all noise levels, with other noise at each, as
levels are separate networks: χ then scatters as it does with a set for each level, as the study draws them (a test).
The fields are charged four ways: free; by direct sampling; by the cheapest accelerated chain; by the cheapest local one
(each chosen by its field updates for S × B fields). So a network taught by a chain cannot cost less than the chain
before it has made more fields than it has seen. A run on the population loss has seen infinitely many: it has no cost.

*What is not counted*: that a linear score lets the steps of the integrator be multiplied together; each counts, as it
would for any other network. Seconds are processor time of one core, all measured in one process (docs/montecarlo.md).
This is the only file of a study that holds times: every other one is the same, byte for byte, when it is made again.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import labelled
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.diffusion.integrators import INTEGRATORS
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.sampling import sample_modes
from csd.lattice import Lattice
from csd.mcmc.chains import Chain
from csd.mcmc.samplers import sweep_of
from csd.study.seeds import mean_over_seeds
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.stages.training import TrainingJob
from csd.study.summaries.accuracy import SUSCEPTIBILITY, Matched, of_network
from csd.study.summaries.columns import typed_columns
from csd.study.summaries.dynamics import times
from csd.study.summaries.prices import FREE, KINDS, NO_MAKER, UNKNOWN, Method, Price, cheapest, undominated
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget
from csd.training.preparation import prepare

FIELDS = (1, 10**2, 10**4, 10**6, 10**8)
"""n, how many independent fields are made."""
FORGET, APART = 20.0, 2.0
"""Autocorrelation times to forget the start, and that weigh as much as one independent field."""
LOCAL = ("metropolis", "heat_bath", "langevin")
"""Samplers that move by single sites or short steps, z = 2; the others are accelerated."""
REPEATS = 9
SHORTEST = 0.01
"""Seconds that one of the repeats takes at least; shorter work is repeated within it."""


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
        started, done = process_time(), 0.0
        for _ in range(calls):
            done += work()
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
    critical = [job for job in jobs if job.parameter == "mass_times_length" and job.value == 1.0]
    about = {(job.sweep, job.dimension, job.size, job.components): job for job in critical}
    methods = []
    for place in np.flatnonzero(summary["mass_times_length"].values == 1.0):
        one = summary.isel(run=int(place))
        sampler, dimension, size = str(one["sampler"].values), int(one["dimension"]), int(one["size"])
        key = str(one["sweep"].values), dimension, size, int(one["components"])
        target = about[key].target
        if target.components > 1:
            continue
        kind = "local" if sampler in LOCAL else "accelerated"
        # Every seed counts: a mean over the chains that were long enough would be too small.
        seeds = [job.settings.seed for job in critical if (job.sweep, job.dimension, job.size, job.components) == key]
        if not np.isfinite(summary["slowest_tau_error"].isel(run=int(place)).sel(seed=seeds).values).all():
            remark = "the chains are too short for the tau of m, or measured too seldom"
            methods.append(Method(sampler, kind, dimension, size, UNKNOWN, UNKNOWN, remark=remark))
            continue
        chain = Chain(target, sweep_of(sampler, target), stream("timing", sampler, dimension, size))
        chain.thermalise(50)

        def sweep(chain: Chain = chain) -> float:
            before = chain.done
            chain.advance(5)
            return chain.done - before

        own, its = float(tau[place]), float(error[place])
        updates = Price(FORGET * own, APART * own, FORGET * its, APART * its)
        methods.append(Method(sampler, kind, dimension, size, updates, updates.measured(*seconds_of(sweep))))
    return methods


def of_networks(
    runs: Sequence[TrainingJob], summary: xr.Dataset, folder: Path, makers: Sequence[Method]
) -> list[Method]:
    """The cost of fields by each network trained on fresh minibatches on the critical line, its data charged four ways.

    Args:
        runs: the training jobs that are generated from.
        summary: of `csd.study.summaries.generation.aggregate_generation`.
        folder: of the training files.
        makers: what may have made the training data, of `of_direct` and `of_samplers`.
    """
    grouped: dict[Hashable, list[TrainingJob]] = {}
    for run in runs:
        user_defined = run.plugins or ":" in run.settings.integrator
        if run.mass_times_length == 1.0 and run.data_set is None and not user_defined:
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
    """What a network costs on each grid, its data free; seconds of an update are measured on the full one."""
    noised, architecture, settings = run.problem()
    noised = NoisedTarget(noised.target, noised.schedule, grids[0].grid.tolist())
    prepared = prepare(noised, architecture, replace(settings, seeds=settings.seeds[:1]))

    def step() -> float:
        prepared.descent.advance(*prepared.source.draw())
        return len(noised.levels)

    modes = noised.lattice.pairs
    reverse = ReverseDiffusion(noised, resolve("integrator", settings.integrator, INTEGRATORS)(), settings.start)
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
        methods.append(
            Method(
                run.label,
                "diffusion",
                run.dimension,
                run.size,
                training + fields,
                training.measured(*of_step) + fields.measured(*of_field),
                FREE,
                FREE,
                own.steps * own.batch,
                own.steps,
                own.evaluations,
                weight,
            )
        )
    return methods


def billed(free: Method, own: Matched, makers: Sequence[Method]) -> list[Method]:
    """A network with its training data free, and made by the cheapest method of each kind on its lattice."""
    methods = [free]
    for kind in KINDS[:3]:
        maker = cheapest(makers, kind, free.dimension, free.size, free.seen)
        if maker is None:
            methods.append(replace(free, updates=UNKNOWN, seconds=UNKNOWN, data_kind=kind, data="", remark=NO_MAKER))
            continue
        paid = {}
        for unit in ("updates", "seconds"):
            rate: Price = getattr(maker, unit)
            cost, error = rate.of(free.seen)
            paid[unit] = getattr(free, unit) + Price(cost, 0.0, error + rate.each * own.batch * own.steps_error)
        methods.append(replace(free, **paid, data=maker.name, data_kind=kind))
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
    lattices = {(one.dimension, one.size) for one in chains}
    lattices |= {(run.dimension, run.size) for run in runs if run.mass_times_length == 1.0 and run.data_set is None}
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
    """What n = 1, 10², 10⁴, 10⁶, 10⁸ fields cost by each method.

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
        prices: list[Price] = [getattr(one, unit) for one in methods]
        pairs = [price.of(np.array(FIELDS, dtype=float)) for price in prices]
        about = "cost of n independent fields" + (", processor time of one core" if unit == "seconds" else "")
        variables[unit] = labelled(["run", "fields"], np.array([cost for cost, _ in pairs]), about, units)
        errors = np.array([error for _, error in pairs])
        variables[f"{unit}_error"] = labelled(["run", "fields"], errors, "its standard error", units)
        for part, what in (("start", "before the first field"), ("each", "of each field")):
            values = [getattr(price, part) for price in prices]
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
