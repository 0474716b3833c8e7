"""Scaling laws of the steps that integrators need, as one table."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.diffusion.discretisation import FOLLOWS_LAW, ORDERS
from csd.diffusion.grids import MOST_STEPS
from csd.lattice import Array
from csd.study.scaling import fit_power_law, law_row, local_exponents

SCHEDULE, GRID = "vp", "geometric"
DATA = f"{SCHEDULE}-{GRID}"
"""What laws are of, in the table's column of data."""


def integrator_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Power laws n ∝ L^z of the steps needed on the geometric grid of VP, in the columns of `csd fit`.

    Steps are exact, so seeds and sampling leave no error. What is not known is how far the sizes are from the law:
    `residual_error` is the standard error from the scatter about a pure power, `systematic_error` by how much z changes
    when the smallest size is left out (NaN for three sizes), and `error` both in quadrature.

    Args:
        dataset: of `compare`.

    Returns:
        A row for each dimension, integrator and criterion, with quantity `integrator_steps` and the integrator as
        architecture. `reference` is d/(2p) where the law holds: total KL and effective sample size, d = 2 and 3.
    """
    rows: list[dict[str, Any]] = []
    chosen = dataset["crossing_steps"].sel(schedule=SCHEDULE, grid=GRID)
    for dimension in dataset["dimension"].values.tolist():
        for name in dataset["integrator"].values.tolist():
            for criterion in dataset["criterion"].values.tolist():
                steps = chosen.sel(dimension=dimension, integrator=name, criterion=criterion).dropna("size")
                lawful = dimension > 1 and criterion in FOLLOWS_LAW
                about = {
                    "study": "integrator_steps",
                    "architecture": name,
                    "dimension": dimension,
                    "mass": dataset.attrs["mass_label"],
                    "data": DATA,
                    "noise_level": np.nan,
                    "quantity": "integrator_steps",
                    "criterion": criterion,
                    "loss": "",
                }
                reference = dimension / (2.0 * ORDERS.get(name, np.nan)) if lawful else np.nan
                rows.append(about | _power(steps["size"].values, steps.values) | {"reference": reference})
    return pd.DataFrame(rows)


def _power(sizes: Array, steps: Array) -> dict[str, Any]:
    """The law of one group, or why there is none."""
    if len(sizes) < 3:
        return law_row(sizes, f"a scaling law needs at least three sizes; there are {len(sizes)}")
    if not np.isfinite(steps).all():
        largest = int(sizes[~np.isfinite(steps)][0])
        return law_row(sizes, f"more than {MOST_STEPS} steps are needed at size {largest}")
    length = sizes.astype(float)
    intercept, exponent, residual_error, _ = fit_power_law(length, steps)
    change = fit_power_law(length[1:], steps[1:])[1] - exponent if len(sizes) > 3 else np.nan
    return law_row(
        sizes,
        law="power",
        local_exponents=local_exponents(length, steps),
        exponent=exponent,
        error=float(np.hypot(residual_error, change)),
        systematic_error=abs(change),
        bootstrap_error=0.0,
        residual_error=residual_error,
        intercept=intercept,
    )
