"""What independent fields cost, in field updates and in seconds, by Monte Carlo and by a diffusion model.

    Monte Carlo        cost(n) = (20 τ + 2 τ n) field updates: Sokal's 20 τ to forget the start, then 2 τ a field
    diffusion model    cost(n) = training until samples are right + n × the steps of the sampler

A field update visits all N sites once. A training step counts one for each noise level, a step of the sampler one:
each passes over N modes. Seconds are processor time of one core, all measured in one process (docs/montecarlo.md).
This is the only file of a study that holds times: every other one is the same, byte for byte, when it is made again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
import xarray as xr

from csd.campaign import Simulation
from csd.chains import Chain
from csd.config import Run
from csd.dynamics import times
from csd.errors import InputError
from csd.generation import FrozenKernel, linear_steps, sample_modes
from csd.samplers import sweep_of
from csd.store import labelled
from csd.stream import stream
from csd.training import prepare

FIELDS = (1, 10**2, 10**4, 10**6)
"""n, how many independent fields are made."""
FORGET, APART = 20.0, 2.0
"""Autocorrelation times to forget the start, and from one field to the next."""
REPEATS = 5
SHORTEST = 0.01
"""Seconds that one of the repeats takes at least; shorter work is repeated within it."""


@dataclass(frozen=True)
class Method:
    """What n fields cost, on one lattice.

    Attributes:
        name: of the sampler or architecture.
        kind: 'Monte Carlo' or 'diffusion'.
        dimension, size: of the lattice.
        start, each: field updates before the first field, and for each.
        start_error, each_error: their standard errors.
        start_s, each_s: seconds of one of these field updates, medians.
        spread: relative half-width of the quartiles of the seconds.
    """

    name: str
    kind: str
    dimension: int
    size: int
    start: float
    each: float
    start_error: float
    each_error: float
    start_s: float
    each_s: float
    spread: float


def seconds_of(work: Callable[[], float]) -> tuple[float, float]:
    """Processor seconds of a unit of work: median, and half the distance of the quartiles over it.

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
        measured.append((process_time() - started) / done)
    low, median, high = np.quantile(measured, (0.25, 0.5, 0.75))
    return float(median), float(0.5 * (high - low) / median)


def of_samplers(rows: Sequence[Simulation], summary: xr.Dataset) -> list[Method]:
    """The cost of fields by each sampler of the Gaussian field on the critical line m = 1/L.

    Args:
        rows: the study's simulations.
        summary: of `csd.dynamics.aggregate`.
    """
    tau, error = times(summary, "autocorrelation_updates")
    models = {(row.sweep, row.dimension, row.size, row.components): row.model for row in rows}
    methods = []
    for place in np.flatnonzero((summary["target_label"] == "mL1").values & np.isfinite(error)):
        one = summary.isel(run=int(place))
        sampler, dimension, size = str(one["sampler"].values), int(one["dimension"]), int(one["size"])
        model = models[str(one["sweep"].values), dimension, size, int(one["components"])]
        if model.components > 1:
            continue
        chain = Chain(model, sweep_of(sampler, model), stream("timing", sampler, dimension, size))
        chain.thermalise(50)

        def sweep(chain: Chain = chain) -> float:
            before = chain.done
            chain.advance(5)
            return chain.done - before

        per_update, spread = seconds_of(sweep)
        apart = APART * float(tau[place])
        methods.append(
            Method(
                sampler,
                "Monte Carlo",
                dimension,
                size,
                FORGET * float(tau[place]),
                apart,
                FORGET * float(error[place]),
                APART * float(error[place]),
                per_update,
                per_update,
                spread,
            )
        )
    return methods


RIGHT = "effective_sample_size"
"""The criterion by which a network's samples count as right."""


def of_networks(runs: Sequence[Run], summary: xr.Dataset) -> list[Method]:
    """The cost of fields by each network that was trained on the critical line with fresh fields.

    Args:
        runs: the study's rows that generate.
        summary: of `csd.summary.aggregate_generation`.
    """
    known: dict[tuple[str, str, int], Any] = {}
    table = summary[["sweep", "architecture", "size", "trained_size"]].to_dataframe()
    for place, row in table[table["size"] == table["trained_size"]].iterrows():
        steps = summary["generation_training_time"].isel(run=int(str(place))).sel(criterion=RIGHT).values
        known.setdefault((row["sweep"], row["architecture"], int(row["size"])), steps[np.isfinite(steps)])
    methods = []
    for run in runs:
        steps = known.pop((run.sweep, run.label, run.size), np.empty(0))
        if run.mass_label != "mL1" or run.data_set is not None or not len(steps) or run.plugins:
            continue
        noised, architecture, settings = run.problem()
        levels = len(noised.levels)
        prepared = prepare(noised, architecture, replace(settings, seeds=settings.seeds[:1]))

        def step(prepared: Any = prepared, levels: int = levels) -> float:
            prepared.descent.advance(*prepared.source.draw())
            prepared.descent.error()
            return levels

        modes = noised.lattice.pairs
        down = np.argsort(noised.levels)[::-1]
        kernels = 1.0 / noised.spectra_at(modes)[down]
        moves = linear_steps(FrozenKernel(), noised.schedule, np.array(noised.levels)[down], kernels)
        generator = stream("timing", run.label, run.size)

        def field(moves: Any = moves, modes: Any = modes, generator: Any = generator) -> float:
            sample_modes(moves, modes, 1.0, generator)
            return len(moves)

        (trained, first), (drawn, second) = seconds_of(step), seconds_of(field)
        error = float(steps.std(ddof=1) / np.sqrt(len(steps))) if len(steps) > 1 else 0.0
        methods.append(
            Method(
                run.label,
                "diffusion",
                run.dimension,
                run.size,
                float(steps.mean()) * levels,
                float(levels - 1),
                error * levels,
                0.0,
                trained,
                drawn,
                max(first, second),
            )
        )
    return methods


def cost_of_fields(methods: Sequence[Method]) -> xr.Dataset:
    """What n = 1, 10², 10⁴, 10⁶ fields cost by each method.

    Args:
        methods: of `of_samplers` and `of_networks`.

    Returns:
        Dimensions run (a method on a lattice) and fields: `updates`, `seconds` and their errors.

    Raises:
        InputError: if there is nothing to compare.
    """
    if not methods:
        raise InputError(
            "no sampler was run on the Gaussian field with m = 1/L, and no network generates there; add monte_carlo and"
            " a sweep with generation"
        )
    n = np.array(FIELDS, dtype=float)
    column = {name: np.array([getattr(one, name) for one in methods])[:, None] for name in NUMBERS}
    updates = column["start"] + column["each"] * n
    updates_error = column["start_error"] + column["each_error"] * n
    seconds = column["start"] * column["start_s"] + column["each"] * column["each_s"] * n
    seconds_error = column["start_error"] * column["start_s"] + column["each_error"] * column["each_s"] * n
    both = ["run", "fields"]
    variables = {
        "method": labelled(["run"], np.array([one.name for one in methods], dtype=object), "sampler or architecture"),
        "kind": labelled(["run"], np.array([one.kind for one in methods], dtype=object), "Monte Carlo or diffusion"),
        "dimension": labelled(["run"], [one.dimension for one in methods], "lattice dimension"),
        "size": labelled(["run"], [one.size for one in methods], "lattice size", "lattice spacings"),
        "updates": labelled(both, updates, "cost of n independent fields", "field updates"),
        "updates_error": labelled(both, updates_error, "its standard error", "field updates"),
        "seconds": labelled(both, seconds, "cost of n independent fields, processor time of one core", "s"),
        "seconds_error": labelled(both, np.hypot(seconds_error, column["spread"] * seconds), "its error", "s"),
        "seconds_of_start": labelled(["run"], column["start_s"][:, 0], "a field update before the first field", "s"),
        "seconds_of_field": labelled(["run"], column["each_s"][:, 0], "a field update of each field", "s"),
    }
    return xr.Dataset(
        variables,
        {"fields": labelled(["fields"], np.array(FIELDS), "independent fields n")},
        {
            "note_cost": "Monte Carlo: (20 tau + 2 tau n) field updates; diffusion: noise levels x training steps + n x"
            " steps of the sampler",
            "repeats": REPEATS,
        },
    )


NUMBERS = ("start", "each", "start_error", "each_error", "start_s", "each_s", "spread")
