"""Which runs a figure is drawn from: one choice for the jobs of a study and for the rows of its summary.

A run is a mapping with the columns of `run_table`, and `trained_size` in a summary of generation, `noise_levels` in one
of training. Nothing here imports pandas or xarray.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from csd.core.files import TIMING
from csd.study.config.study import STAGES, Jobs
from csd.study.summaries.columns import HOW, Run, columns_of, with_default_options

SUMMARIES = {name: stage.summary for name, stage in STAGES.items() if stage.summary} | {"timing": TIMING}
"""What a figure may be drawn from, and its kind of file."""


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
    if not hasattr(run, "field"):
        return {"sweep": run.sweep}
    about = {"sweep": run.sweep, "dimension": run.dimension, "size": job.size, **columns_of(run)}
    if not hasattr(run, "architecture"):
        return about | {"components": run.components}
    about |= {"architecture": run.label, "network": run.architecture, "data_set": run.data_set or 0}
    return about | {"trained_size": run.size, "noise_levels": run.noise_levels}


def _at_defaults(run: Run) -> bool:
    """Whether the cost of fields counts a run of generation."""
    return run["data_set"] == 0 and ":" not in run["architecture_name"] and len(with_default_options([run])) == 1


def chosen(runs: Iterable[Run], **wanted: Any) -> list[Run]:
    """The runs whose columns are as wanted, by size; a list or tuple stands for any of its values.

    Runs whose target, noise or options of training (`HOW`) are not the default are there if they are wanted, or if no
    run has the default.
    """
    several = {key: value if isinstance(value, list | tuple) else [value] for key, value in wanted.items()}
    found = [run for run in runs if all(run[key] in several[key] for key in several.keys() - HOW)]
    found = with_default_options(found, {key: several[key] for key in several.keys() & HOW}, usual=True)
    return sorted(found, key=lambda run: run["size"])


def critical(runs: Iterable[Run], *names: str) -> list[Run]:
    """The runs with m = 1/L and fresh fields, of the architectures named or of all."""
    return chosen(runs, mass_times_length=1.0, data_set=0, **({"architecture_name": names} if names else {}))


def generated(runs: Iterable[Run], *names: str) -> list[Run]:
    """The runs of generation with m = 1/L and fresh fields, on the lattice that they were trained on."""
    return [run for run in critical(runs, *names) if run["size"] == run["trained_size"]]


def grown(runs: Sequence[Run], *alike: str) -> list[Run]:
    """The runs that stand, with others of equal columns `alike`, at three sizes or more."""
    sizes = defaultdict[tuple[Hashable, ...], set[int]](set)
    for run in runs:
        sizes[tuple(run[column] for column in alike)].add(run["size"])
    return [run for run in runs if len(sizes[tuple(run[column] for column in alike)]) >= 3]


def together(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """The runs in dimensions in which all architectures named are."""
    there = {(run["dimension"], run["architecture_name"]) for run in runs}
    return [run for run in runs if all((run["dimension"], name) in there for name in names)]


def if_any(runs: list[Run], condition: Callable[[Run], bool]) -> list[Run]:
    """The runs, if any of them fulfils a condition; none otherwise."""
    return runs if any(map(condition, runs)) else []


def mass_is_given(run: Run) -> bool:
    """Whether the mass of a run is given itself, rather than by c of m = c / L or by couplings."""
    return bool(np.isnan([run["mass_times_length"], run["r0"]]).all())


def with_data_sets(runs: Iterable[Run]) -> list[Run]:
    """The runs that learn from fixed data sets."""
    return [run for run in chosen(runs) if run["data_set"] > 0]
