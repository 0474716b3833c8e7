"""All measurements in one dataset: ratios to what a practitioner writes, fractions of limits, growth with the lattice.

Seconds of every repeat are kept beside the ratios that come of them.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import xarray as xr

from benchmarks.clock import QUARTILES
from benchmarks.growth import measure_files, measure_growth
from benchmarks.jobs import measure_large, measure_threads, read_study
from benchmarks.loops import measure_loops, measure_overhead
from benchmarks.plan import Plan
from benchmarks.sampling import measure_updates
from benchmarks.versus import measure_end_to_end, measure_gpu, measure_same_error, measure_sampling, measure_training
from csd.core.compiled_random import load_loops
from csd.core.files import labelled


def measure_loading(plan: Plan) -> xr.Dataset:
    """loading_seconds of the compiled loops, as a long job pays it, once; from here on they draw.

    Whether they are there is in the attribute `draws`: 'compiled' or 'NumPy'.
    """
    started = perf_counter()
    loaded = load_loops()
    seconds = labelled([], perf_counter() - started, "time to load the compiled loops, once a process", "s")
    return xr.Dataset({"loading_seconds": seconds}, attrs={"draws": "compiled" if loaded else "NumPy"})


PARTS: tuple[tuple[str, Callable[[Plan], xr.Dataset]], ...] = (
    ("loading the compiled loops", measure_loading),
    ("training beside the baselines", measure_training),
    ("the error that all reach", measure_same_error),
    ("generation beside the baselines", measure_sampling),
    ("a trained network and right samples", measure_end_to_end),
    ("hot loops beside the limits of the machine", measure_loops),
    ("overhead on small lattices", measure_overhead),
    ("growth with the lattice", measure_growth),
    ("memory and files", measure_files),
    ("two jobs at once", measure_threads),
    ("large runs", measure_large),
    ("Monte Carlo updates", measure_updates),
    ("GPU", measure_gpu),
)


def measure(plan: Plan, study: Path, log: Callable[[str], None]) -> xr.Dataset:
    """Everything that is measured.

    Args:
        plan: what to measure.
        study: results of a finished study, whose records are read if they are there.
        log: told what is measured next.
    """
    found = []
    for what, part in PARTS:
        log(what)
        found.append(part(plan))
    dataset = xr.merge(found, join="exact", combine_attrs="no_conflicts")
    dataset = dataset.merge(read_study(study, seconds_a_site(dataset)), combine_attrs="no_conflicts")
    quartile = labelled(["quartile"], QUARTILES, "quartile over repeats")
    return dataset.assign_coords(quartile=quartile).assign_attrs(repeats=plan.effort.repeats)


def seconds_a_site(dataset: xr.Dataset) -> dict[str, float]:
    """Time of a training step, field and site of the FFT baselines at the first problem."""
    first = dataset.isel(training_case=0)
    work = np.prod([int(first[f"training_{name}"]) for name in ("batch", "levels")])
    work *= int(first["training_size"]) ** int(first["training_dimension"])
    return {code: float(first["training_seconds"].sel(code=code).median() / work) for code in ("fft", "numpy")}
