"""Hot loops against the machine: what each must move and draw, the time that alone would take, and where time goes.

A loop's share of a resource is the time that the resource needs for what the loop cannot do without, over the time that
the loop takes. Bytes are those of reading the state and the target's spectrum and writing the state back, once, with
the score error taken in the same pass; temporaries and further passes are what is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from benchmarks import ours
from benchmarks.clock import Timed, quartiles, strings
from benchmarks.limits import limit_timers, transform_flops, transform_pair
from benchmarks.plan import BATCH, Plan
from csd.core.files import labelled
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings

RESOURCES = ("copy", "random numbers", "transforms")
PROFILED = 6
"""Functions that a profile shows."""


@dataclass(frozen=True)
class Loop:
    """A hot loop and what one turn of it cannot do without.

    Attributes:
        name: in words.
        work: one turn.
        moved: bytes read and written.
        flops: additions and multiplications.
        gammas, normals: random numbers.
        transforms: pairs of a transform and its inverse.
        lattice: that these are on.
        bandwidth: 'copy_cache' or 'copy_memory', by where its arrays lie.
    """

    name: str
    work: Callable[[], Any]
    moved: float
    flops: float
    lattice: Lattice
    gammas: float = 0.0
    normals: float = 0.0
    transforms: float = 0.0
    bandwidth: str = "copy_memory"


def training_loop(
    name: str, noised: NoisedTarget, architecture: Architecture, loss: str, bandwidth: str = "copy_memory"
) -> Loop:
    """A training step with its score error. Real kernels: w read and written, C read, 24 bytes a mode; complex: 40."""
    run, work = ours.bare_step(noised, architecture, TrainingSettings(loss=loss, batch=BATCH))
    modes = float(len(run.modes) * len(noised.levels))
    drawn = modes if loss != "population" else 0.0
    if architecture.name.startswith("local"):
        return Loop(name, work, 8.0 * modes, 2.0 * modes, noised.lattice, drawn, transforms=0.5 * len(noised.levels))
    complex_kernel = loss == "denoising"
    return Loop(
        name,
        work,
        (40.0 if complex_kernel else 24.0) * modes,
        (18.0 if complex_kernel else 11.0) * modes,
        noised.lattice,
        drawn,
        2.0 * drawn if complex_kernel else 0.0,
        bandwidth=bandwidth,
    )


def sampling_loop(name: str, noised: NoisedTarget) -> Loop:
    """A sampler of one field, mode by mode. A step: complex state read and written, gain read, 40 bytes a mode."""
    modes = float(len(noised.lattice.pairs))
    steps = len(noised.levels) - 1
    work = ours.mode_sampler(noised, transformed=False)
    # The start is drawn too.
    return Loop(
        name, work, 40.0 * modes * steps, 6.0 * modes * steps, noised.lattice, normals=2.0 * modes * (steps + 1)
    )


def hot_loops(size: int) -> list[Loop]:
    """The loops, those beyond the cache at this size in d = 2."""
    small = max(8, size // 16)
    return [
        training_loop("population step, in cache", ours.critical(2, small, 16), ours.TWO, "population", "copy_cache"),
        training_loop("population step, beyond cache", ours.critical(2, size, 16), ours.TWO, "population"),
        training_loop("implicit step, in cache", ours.critical(2, small, 16), ours.TWO, "implicit", "copy_cache"),
        training_loop("implicit step, beyond cache", ours.critical(2, size), ours.TWO, "implicit"),
        training_loop("denoising step, in cache", ours.critical(2, small, 16), ours.ONE, "denoising", "copy_cache"),
        training_loop("two local layers, implicit", ours.critical(2, max(8, size // 4)), ours.LOCAL, "implicit"),
        sampling_loop("generation by modes", ours.sampler_problem(2, size, 4)),
    ]


def measure_loops(plan: Plan) -> xr.Dataset:
    """limit_rate(limit, repeat); loop_share(loop, resource, quartile) and where the time of each loop goes."""
    loops = hot_loops(plan.loop_size)
    timed: dict[str, Timed] = dict(limit_timers(plan.effort, beyond_cache=plan.beyond_cache, batch=BATCH))
    names = list(timed)
    for number, loop in enumerate(loops):
        timed[loop.name] = plan.effort.repeated(loop.work)
        timed[f"transforms {number}"] = plan.effort.repeated(transform_pair(loop.lattice))
    found = plan.effort.race(timed)
    share = np.empty((len(loops), len(RESOURCES), plan.effort.repeats))
    rate = np.empty((len(loops), plan.effort.repeats))
    for number, loop in enumerate(loops):
        pair = found[f"transforms {number}"]
        needed = (
            loop.moved * found[loop.bandwidth],
            loop.gammas * found["gamma"] + loop.normals * found["normal"],
            loop.transforms * pair,
        )
        share[number] = np.array(needed) / found[loop.name]
        rate[number] = 2.0 * transform_flops(loop.lattice) / pair
    functions, shares = _profiles(plan)
    return xr.Dataset(
        {
            "limit_rate": labelled(["limit", "repeat"], [1.0 / found[name] for name in names], "rate", "s-1"),
            "loop_seconds": labelled(["loop", "repeat"], [found[loop.name] for loop in loops], "time of a turn", "s"),
            "loop_share": labelled(
                ["loop", "resource", "quartile"], quartiles(share), "time that the resource needs over time taken"
            ),
            "loop_intensity": labelled(["loop"], [loop.flops / loop.moved for loop in loops], "flops a byte moved"),
            "loop_transform_rate": labelled(["loop", "repeat"], rate, "flops a second of transforms", "s-1"),
            "profile_function": labelled(["profiled", "rank"], functions, "function"),
            "profile_share": labelled(["profiled", "rank"], shares, "share of the time, in the function alone"),
        },
        {
            "limit": labelled(["limit"], strings(names), "bytes, numbers or calls"),
            "loop": labelled(["loop"], strings(loop.name for loop in loops), "hot loop"),
            "resource": labelled(["resource"], strings(RESOURCES), "resource"),
            "profiled": labelled(["profiled"], strings(PROFILES), "training that is profiled"),
        },
    )


PROFILES = ("population", "implicit", "denoising", "local, implicit")


def _profiles(plan: Plan) -> tuple[Any, Any]:
    """(functions, shares) of the profiles, shape (profiles, ranks); d = 2, 16 levels, 400 steps."""
    size = max(8, plan.loop_size // 16)
    functions = np.full((len(PROFILES), PROFILED), "", dtype=object)
    shares = np.zeros((len(PROFILES), PROFILED))
    for row, kind in enumerate(PROFILES):
        local, loss = kind.startswith("local"), kind.split()[-1]
        settings = TrainingSettings(loss=loss, batch=1024, tolerance=0.0, max_steps=400)
        # One layer on the population loss has a closed form, and nothing to profile.
        architecture = ours.LOCAL if local else ours.TWO if loss == "population" else ours.ONE
        entries = ours.profile(ours.critical(2, size, 16), architecture, settings)[:PROFILED]
        for rank, (function, part) in enumerate(entries):
            functions[row, rank], shares[row, rank] = function, part
    return functions, shares


def measure_overhead(plan: Plan) -> xr.Dataset:
    """overhead_seconds of a step on five modes, where nothing else counts: two layers, d = 1, L = 8, one level."""
    noised = ours.critical(1, 8)
    timed = {
        loss: ours.training_step(noised, ours.TWO, TrainingSettings(loss=loss, batch=1024), plan.effort)
        for loss in ("population", "implicit")
    }
    seconds = plan.effort.race(timed)
    return xr.Dataset(
        {"overhead_seconds": labelled(["loss", "repeat"], list(seconds.values()), "time of a step on 5 modes", "s")},
        {"loss": labelled(["loss"], strings(seconds), "loss")},
    )
