"""A study's Monte Carlo files in one Dataset, and the dynamic exponents of its samplers.

    τ ∝ L^z,  τ the largest of the autocorrelation times of the soft modes, |m|, m² and S(k₁)

in two units: field updates (visits of all sites), the unit of cost; and the sampler's dynamic time, in which theory
states exponents (`csd.mcmc.ensemble`). On small lattices these are not the exponents of L → ∞, so on the Gaussian field
they stand beside the exponent of the exact times (`csd.mcmc.exact_sweeps`) of the same sizes, fitted with the same
weights. One `run` is a sampler on one target; its seeds may come from several files.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, labelled
from csd.mcmc.simulation import COLLECTIVE, COMPONENT, SERIES
from csd.study.scaling import fit_weighted, law_row
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.summaries.columns import SAMPLED, About, columns_of, kind_of_model, typed_columns
from csd.study.summaries.files import files_of, gathered

QUANTITIES = {"autocorrelation_time": "dynamic_time", "autocorrelation_updates": "field_updates"}
"""Quantities to which exponents are fitted, and the unit of a sweep in each."""
IDENTITY_OF_SAMPLER: About = {
    "sweep": ("name of the simulation in the study", "1"),
    "sampler": ("sampler", "1"),
    "target": ("gaussian, phi4 or spins", "1"),
    "target_label": ("how the target was given", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "components": ("components n", "1"),
    **SAMPLED,
}
"""Columns of a summary of Monte Carlo."""


def aggregate_monte_carlo(jobs: Sequence[MonteCarloJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All Monte Carlo files of a study in one Dataset, without their time series.

    Args:
        jobs: those of Monte Carlo.
        folder: of their files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run (a sampler on a target), seed, observable.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups: dict[Hashable, list[xr.Dataset]] = defaultdict(list)
    rows: dict[Hashable, dict[str, Any]] = {}
    for job, file in files_of(jobs, folder, ENSEMBLE, mixed=mixed):
        for sampler in job.settings.samplers:
            groups[job.key, sampler].append(_of_sampler(file, sampler, job.settings.seed))
            about = {name: getattr(job, name) for name in ("sweep", "target_label", "dimension", "size", "components")}
            about |= {"sampler": sampler, "target": file.attrs["target"]}
            rows.setdefault((job.key, sampler), about | columns_of(job))
    summary = gathered(list(groups.values()), ("seed", "observable"), {})
    for name, chosen, long_name in (
        ("slowest_tau", (*SERIES, COMPONENT), "largest tau of the series, m itself among them"),
        ("collective_tau", COLLECTIVE, "largest tau of the soft modes |m|, m^2 and S(k)"),
    ):
        series = summary.sel(observable=list(chosen))
        tau, error = series["tau"].values, series["tau_error"].values
        slowest = np.argmax(np.where(np.isnan(tau), -1.0, tau), axis=-1)[..., None]
        for suffix, values, about_it in (("", tau, long_name), ("_error", error, "its standard error")):
            largest = np.take_along_axis(values, slowest, -1)[..., 0]
            summary[f"{name}{suffix}"] = labelled(["run", "seed"], largest, about_it, "sweeps")
    exact_tau = np.fmax.reduce(summary["exact_tau"].sel(observable=list(COLLECTIVE)).values, axis=-1)
    summary["exact_collective_tau"] = labelled(
        ["run", "seed"], exact_tau, "the same from the matrix of a sweep, where known", "sweeps"
    )
    summary.attrs["autocorrelation_convention"] = file.attrs["autocorrelation_convention"]
    return summary.assign(typed_columns(list(rows.values()), IDENTITY_OF_SAMPLER))


def _of_sampler(file: xr.Dataset, sampler: str, seed: int) -> xr.Dataset:
    """The results of a sampler without its time series: means over chains, and the acceptance of its first update."""
    own = file.sel(sampler=sampler, drop=True).rename(thermalisation_cut="cut")
    first = own["acceptance"].isel(update=0).mean("chain")
    own["field_updates"] = own["field_updates"].mean("chain", keep_attrs=True)
    own["acceptance"] = first.assign_attrs(long_name="acceptance of the first update of a sweep", units="1")
    own = own.drop_dims(["chain", "measurement", "update", "component"], errors="ignore")
    with_seed = own.drop_vars("exact").expand_dims(seed=[seed]).assign(exact=own["exact"])
    return with_seed.assign_coords(seed=labelled(["seed"], [seed], "random seed"))


def times(summary: xr.Dataset, quantity: str, name: str = "slowest_tau") -> tuple[Any, Any]:
    """(τ, its standard error) of each run in the unit of a quantity, weighted mean over seeds; shape (runs,) each.

    Args:
        summary: of `aggregate_monte_carlo`.
        quantity: a key of `QUANTITIES`.
        name: 'slowest_tau', of all series and m itself, by which fields are spaced, or 'collective_tau', of the soft
            modes.
    """
    factor = summary[QUANTITIES[quantity]].values
    return _mean_of_seeds(factor * summary[name].values, factor * summary[f"{name}_error"].values)


def known_times(summary: xr.Dataset, quantity: str) -> Any:
    """The exact τ of the soft modes of each run, with the weights of its measured times; NaN where unknown.

    Args:
        summary: of `aggregate_monte_carlo`.
        quantity: a key of `QUANTITIES`.
    """
    factor = summary[QUANTITIES[quantity]].values
    tau, error = summary["exact_collective_tau"].values, summary["collective_tau_error"].values
    return _mean_of_seeds(factor * tau, factor * error)[0]


def _mean_of_seeds(tau: Any, error: Any) -> tuple[Any, Any]:
    """(Σ τ/δτ² / Σ 1/δτ², its error) over the last axis; NaN where no seed has an error."""
    weight = np.where(np.isfinite(error), 1.0 / error**2, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(total > 0.0, np.where(weight > 0.0, weight * tau, 0.0).sum(axis=1) / total, np.nan)
        return mean, np.where(total > 0.0, 1.0 / np.sqrt(total), np.nan)


def dynamic_table(summary: xr.Dataset) -> pd.DataFrame:
    """Dynamic exponents of every sampler at several sizes, in the columns of `csd.study.summaries.laws.training_table`.

    `architecture` is the sampler, `mass` how the target was given, `data` its kind and components, `reference` the
    exponent of the exact times of the same sizes, where these are known.

    Args:
        summary: of `aggregate_monte_carlo`.
    """
    keys = ["sweep", "sampler", "dimension", "target_label", "target", "components"]
    rows: list[dict[str, Any]] = []
    for group, members in summary[[*keys, "size"]].to_dataframe().groupby(keys, sort=False):
        about = dict(zip(["study", "architecture", "dimension", "mass"], group, strict=False))
        about |= {"data": kind_of_model(*group[4:]), "noise_level": np.nan}
        chosen = summary.isel(run=members.index.to_numpy())
        for quantity in QUANTITIES:
            tau, error = times(chosen, quantity, "collective_tau")
            law = _law(members["size"].to_numpy(), tau, error, known_times(chosen, quantity))
            rows.append(about | {"quantity": quantity, "criterion": "", "loss": ""} | law)
    return pd.DataFrame(rows)


def _law(sizes: Any, tau: Any, error: Any, exact: Any) -> dict[str, Any]:
    """The columns of a power law, or of none with the reason why."""
    known = np.isfinite(error)
    if not known.all():
        size = int(sizes[~known][0])
        return law_row(sizes, f"at size {size} the chains are too short for tau, or measured too seldom")
    try:
        law = fit_weighted(sizes, tau, error)
    except InputError as problem:
        return law_row(sizes, str(problem))
    reference = fit_weighted(sizes, exact, exact * error / tau).exponent if np.isfinite(exact).all() else np.nan
    return law.row | {"reference": reference}
