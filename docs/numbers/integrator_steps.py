"""Integrator steps with the exact score, from the exact distribution at t_max = ½ ln(1 + 100 L²), m = 1/L."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from csd.diffusion.discretisation import compare
from csd.study.summaries.laws import integrator_table

NAMES = ("euler_maruyama", "predictor_corrector", "heun")
"""In the order of a cell."""
PAIR = (NAMES[0], NAMES[2])
SIZES = {1: [8, 16, 32, 64, 128, 256, 512], 2: [8, 16, 32, 64, 128], 3: [4, 8, 16, 32]}
GRIDS = {"vp": ("log_snr", "uniform"), "ve": ("geometric",)}
KINDS = {"log_snr": "uniform in ln(α²/σ²)", "uniform": "uniform in t", "geometric": "geometric in t"}


def cell(values: Iterable[Any], form: str = ".0f") -> str:
    """Numbers of several integrators, separated by strokes; empty where none was asked for."""
    return "/".join("" if np.isnan(value) else format(value, form) for value in values).strip("/")


def head(first: list[str], sizes: list[int]) -> list[str]:
    """The head of a table against size."""
    return [*first, f"L = {sizes[0]}", *map(str, sizes[1:])]


def of_size(array: xr.DataArray, sizes: Iterable[int], form: str = ".0f") -> list[str]:
    """One cell for each size, of an array (integrator, size)."""
    return [cell(array.sel(size=size).values.ravel(), form) for size in sizes]


def rounded(row: Any) -> str:
    """An exponent with its error in parentheses."""
    return f"{row['exponent']:.3f}({1e3 * row['error']:.0f})"


def numbers() -> dict[str, Any]:
    """Tables of steps, of shares of the softest modes and of other grids; exponents of the steps.

    Raises:
        ValueError: if steps for χ or ξ depend on the dimension.
    """
    found = compare(SIZES, integrators=NAMES, schedules=["vp"], grids=["geometric"]).squeeze(["schedule", "grid"])
    needed = found["steps_needed"]
    sizes = needed["size"].values.tolist()
    steps = [head(["criterion", "d"], sizes)]
    for criterion in ("kl_per_site", "total_kl", "effective_sample_size"):
        for dimension in SIZES:
            one = needed.sel(criterion=criterion, dimension=dimension)
            steps.append([criterion, str(dimension), *of_size(one, sizes)])
    for criterion in ("susceptibility", "correlation_length"):
        one = needed.sel(criterion=criterion)
        if not bool((one.max("dimension") == one.min("dimension")).all()):
            raise ValueError(f"the steps for {criterion} depend on the dimension")
        steps.append([criterion, "any", *of_size(one.max("dimension"), sizes)])
    shares = [head(["d"], SIZES[1])]
    for dimension in SIZES:
        share = found["soft_share"].sel(dimension=dimension, integrator=[*PAIR])
        small = float(share.sel(size=8).min()) < 0.005
        shares.append([str(dimension), *of_size(share, SIZES[1], ".3f" if small else ".2f")])
    grids = [head(["schedule, grid"], SIZES[2])]
    for schedule, kinds in GRIDS.items():
        other = compare({2: SIZES[2]}, integrators=PAIR, schedules=[schedule], grids=kinds)["steps_needed"]
        for kind in kinds:
            row = other.sel(criterion="kl_per_site", grid=kind).squeeze(["dimension", "schedule"])
            grids.append([f"{schedule.upper()}, {KINDS[kind]}", *of_size(row, SIZES[2])])
    laws = integrator_table(found.expand_dims(["schedule", "grid"]))
    laws = laws.set_index(["dimension", "architecture", "criterion"])
    fitted = {
        f"{name}_law": [rounded(laws.loc[(dimension, name, "effective_sample_size")]) for dimension in (2, 3)]
        for name in PAIR
    }
    euler, heun, euler_soft = (
        [*map(float, laws.loc[(1, name, criterion), "local_exponents"].split())]
        for name, criterion in (
            (PAIR[0], "effective_sample_size"),
            (PAIR[1], "effective_sample_size"),
            (PAIR[0], "susceptibility"),
        )
    )
    return {
        "steps": steps,
        "shares": shares,
        "grids": grids,
        **fitted,
        "euler_maruyama_local": f"{max(euler):.2f} down to {min(euler):.2f}",
        "heun_local": f"{min(heun):.2f} to {max(heun):.2f}",
        "susceptibility_local": euler_soft,
    }
