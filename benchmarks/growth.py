"""Growth: time of a training and of a generation step, memory and disk against N = L^d, with exponents."""

from functools import partial

import numpy as np
import xarray as xr

from benchmarks import ours
from benchmarks.clock import strings
from benchmarks.plan import Plan
from benchmarks.processes import train_flags, trained
from csd.core.files import labelled
from csd.lattice import Array
from csd.study.scaling import fit_power_law
from csd.training.options import TrainingSettings

GROWTH = ("population step", "implicit step", "generation step, modes", "generation step, transforms")


def measure_growth(plan: Plan) -> xr.Dataset:
    """growth_seconds of a training and a generation step against N, and the exponents."""
    cases = [(dimension, size) for dimension, sizes in plan.growth for size in sizes]
    seconds = np.full((len(cases), len(GROWTH), plan.effort.repeats), np.nan)
    for place, (dimension, size) in enumerate(cases):
        noised = ours.critical(dimension, size)
        sampler = ours.sampler_problem(dimension, size, 2)
        works = (
            ours.bare_step(noised, ours.TWO, TrainingSettings(loss="population"))[1],
            ours.bare_step(noised, ours.TWO, TrainingSettings(loss="implicit", batch=1024))[1],
            ours.mode_sampler(sampler, transformed=False),
            ours.score_step(sampler),
        )
        units = (1.0, 1.0, 2.0, 1.0)
        timed = {name: plan.effort.repeated(work, unit) for name, work, unit in zip(GROWTH, works, units, strict=True)}
        seconds[place] = list(plan.effort.race(timed).values())
    sites = np.array([float(size**dimension) for dimension, size in cases])
    dimensions = np.array([dimension for dimension, _ in cases])
    exponents = np.array(
        [
            [
                _exponent(sites[dimensions == d], np.median(seconds[dimensions == d, row], axis=-1))
                for d, _ in plan.growth
            ]
            for row in range(len(GROWTH))
        ]
    )
    return xr.Dataset(
        {
            "growth_seconds": labelled(["growth_case", "step_of", "repeat"], seconds, "time of a step", "s"),
            "growth_exponent": labelled(["step_of", "dimension"], exponents[..., 0], "exponent of N"),
            "growth_exponent_error": labelled(["step_of", "dimension"], exponents[..., 1], "its standard error"),
        },
        {
            "step_of": labelled(["step_of"], strings(GROWTH), "what a step is of"),
            "dimension": labelled(["dimension"], [d for d, _ in plan.growth], "dimension"),
            "growth_dimension": labelled(["growth_case"], dimensions, "dimension"),
            "growth_sites": labelled(["growth_case"], sites, "sites N"),
        },
    )


FITTED_FROM = 2**16
"""Exponents are fitted to lattices of at least this many sites, where there are three; below, overheads count."""


def _exponent(sites: Array, values: Array) -> tuple[float, float]:
    """(exponent of N, its standard error) of a power law."""
    chosen = sites >= FITTED_FROM if (sites >= FITTED_FROM).sum() >= 3 else sites > 0
    _, exponent, error, _ = fit_power_law(sites[chosen], values[chosen])
    return exponent, error


def measure_files(plan: Plan) -> xr.Dataset:
    """Peak memory and bytes on disk of `csd train` to 1 % (two layers, d = 2, B = 1024), a fresh process each.

    Memory is above what the smallest lattice takes, which is the interpreter and its libraries.
    """
    flags = partial(train_flags, 2, architecture="two_layer")
    runs = [trained([*flags(size), "--batch", "1024"], plan.limit) for size in (4, *plan.files)]
    memory = np.array([took.memory for took, _, _ in runs])
    disk = np.array([float(written) for _, written, _ in runs])
    sites = np.array([float(size**2) for size in plan.files])
    above = np.maximum(memory[1:] - memory[0], 1.0)
    laws = {"memory": _exponent(sites, above), "disk": _exponent(sites, np.maximum(disk[1:], 1.0))}
    return xr.Dataset(
        {
            "file_memory": labelled(["file_case"], memory[1:], "peak memory of the process", "bytes"),
            "file_memory_base": labelled([], memory[0], "peak memory at L = 4", "bytes"),
            "file_disk": labelled(["file_case"], disk[1:], "size of the training file", "bytes"),
            "file_exponent": labelled(["stored"], [law[0] for law in laws.values()], "exponent of N"),
            "file_exponent_error": labelled(["stored"], [law[1] for law in laws.values()], "its standard error"),
        },
        {
            "stored": labelled(["stored"], strings(list(laws)), "where"),
            "file_sites": labelled(["file_case"], sites, "sites N"),
        },
    )
