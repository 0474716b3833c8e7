"""Which runs a figure is drawn from: one choice for the jobs of a study and for the rows of its summary.

A run is a mapping with the columns of `run_table`, and `trained_size` in a summary of generation, `noise_levels` in one
of training. Nothing here imports pandas or xarray.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from csd.core.files import TIMING
from csd.study.config.study import STAGES, Jobs
from csd.study.summaries.columns import DATA, Run, columns_of, with_default_options

SUMMARIES = {name: stage.summary for name, stage in STAGES.items() if stage.summary} | {"timing": TIMING}
"""What a figure may be drawn from, and its kind of file."""

Choice = Callable[[Iterable[Run]], list[Run]]
"""A choice among runs; most are `Wanted`."""
SCORED = "scored"
"""Column of runs that are measured against exact scores."""


def runs_of(jobs: Jobs) -> dict[str, list[Run]]:
    """The runs that each summary of a study will have, without their seeds."""
    found: dict[str, dict[Hashable, Run]] = defaultdict(dict)
    for name in STAGES:
        for job in jobs[name].values() if name in SUMMARIES else ():
            if STAGES[name].summarised(job):
                run: Any = getattr(job, "run", job)
                place = run.sweep, getattr(run, "key", ()), getattr(job, "size", None)
                if place not in found[name]:
                    found[name][place] = _run(run, job)
    priced = {place: run for place, run in found["monte_carlo"].items() if run["components"] == 1}
    priced |= {place: run for place, run in found["generation"].items() if _at_defaults(run)}
    return {name: list(found[name].values()) for name in STAGES} | {"timing": list(priced.values())}


def _run(run: Any, job: Any) -> Run:
    """A job as a run; `run` is the training job of one that generates."""
    about = {"sweep": run.sweep} | ({"target": run.kind} if hasattr(run, "kind") else {})
    if not hasattr(run, "field"):
        return about
    about |= {"dimension": run.dimension, "size": job.size, **columns_of(run)}
    if not hasattr(run, "architecture"):
        return about | {"components": run.components}
    about |= {"architecture": run.label, "network": run.architecture, "data_set": run.data_set or 0}
    return about | {"trained_size": run.size, "noise_levels": run.noise_levels, SCORED: run.scores is not None}


def _at_defaults(run: Run) -> bool:
    """Whether the cost of fields counts a run of generation."""
    return run["data_set"] == 0 and ":" not in run["architecture_name"] and len(with_default_options([run])) == 1


def has_kernel(run: Run) -> bool:
    """Whether the network of a run has a kernel; true of user-defined ones, whose classes need not be found."""
    return ":" in run["architecture_name"] or bool(run["network"].is_family)


def is_scored(run: Run) -> bool:
    """Whether a run is measured against exact scores."""
    return bool(run.get(SCORED, False))


def beyond_theory(run: Run) -> bool:
    """Whether the network of a run may have no kernel: built-in nonlinear ones, user-defined ones on raw fields."""
    return not has_kernel(run) or (":" in run["architecture_name"] and run["path"] == "fields")


def at_finite_n(runs: Iterable[Run]) -> list[Run]:
    """The runs of scores or phases that are by Monte Carlo."""
    return [run for run in runs if run["components"]]


def in_closed_form(runs: Iterable[Run]) -> list[Run]:
    """The runs of scores or phases that are not."""
    return [run for run in runs if not run["components"]]


@dataclass(frozen=True)
class Wanted:
    """A choice among runs: called with those of a summary, it returns those that a figure shows, by size.

    Runs whose target, noise or options of training (`HOW`) are not the default are there if no other run is.

    Attributes:
        names: architectures; all if empty.
        critical: only with m = 1/L.
        data_sets: only with fixed data sets that are drawn, one a seed; False for fresh fields, None for both, and for
            targets that are known by their fields.
        transfer: on larger lattices than they were trained on too.
        together: only in dimensions that have all architectures named.
        grown: columns; only runs that stand, with others of equal values in them, at three sizes or more.
        kernel: only networks with a kernel, which the theory of linear networks is about; of user-defined ones it is
            not known. False for all networks.
        options: options of training in which runs may differ from the default.
        having: none, unless this is true of one of them.
    """

    names: tuple[str, ...] = ()
    critical: bool = True
    data_sets: bool | None = False
    transfer: bool = False
    together: bool = False
    grown: tuple[str, ...] = ()
    kernel: bool = True
    options: tuple[str, ...] = ()
    having: Callable[[Run], bool] | None = None

    def __call__(self, runs: Iterable[Run]) -> list[Run]:
        """The runs among those given."""
        fitting = list(filter(self._fits, runs))
        allowed = {name: [run[name] for run in fitting if name in run] for name in self.options}
        found = with_default_options(fitting, allowed, usual=True)
        if self.together:
            there = {(run["dimension"], run["architecture_name"]) for run in found}
            found = [run for run in found if all((run["dimension"], name) in there for name in self.names)]
        if self.grown:
            places = {(*(run[column] for column in self.grown), run["size"]) for run in found}
            sizes = Counter(place[:-1] for place in places)
            found = [run for run in found if sizes[tuple(run[column] for column in self.grown)] >= 3]
        return sorted(found, key=lambda run: run["size"]) if any(map(self.having or bool, found)) else []

    def _fits(self, run: Run) -> bool:
        """Whether a run is wanted for itself."""
        return (
            (not self.names or run["architecture_name"] in self.names)
            and (not self.kernel or has_kernel(run))
            and (not self.critical or run["mass_times_length"] == 1.0)
            and self.data_sets in (None, run["data_set"] > 0)
            and not (self.data_sets and run.get("target") == DATA)
            and (self.transfer or run["size"] == run.get("trained_size", run["size"]))
        )
