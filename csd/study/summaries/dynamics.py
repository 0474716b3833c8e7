"""A study's Monte Carlo files in one Dataset, and the dynamic exponents of its samplers.

    τ ∝ L^z,  τ the largest of the autocorrelation times of the soft modes, |m|, m² and S(k₁)

in two units: field updates (visits of all sites), which is what it costs; and the sampler's dynamic time, in which
theory has its exponents (`csd.mcmc.ensemble`). On small lattices they are not those of L → ∞, so on the Gaussian field
they stand beside the exponent of the exact times (`csd.mcmc.exact_sweeps`) of the same sizes, fitted with the same
weights. One `run` is a sampler on one target; its seeds may come from several files.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, Variable, digest, labelled, read
from csd.mcmc.simulation import COLLECTIVE, COMPONENT, SERIES
from csd.study.scaling import Fit, fit_weighted
from csd.study.stages.monte_carlo import MonteCarloJob
from csd.study.summaries.columns import SAMPLED, columns_of, typed_columns

PER_OBSERVABLE = ("mean", "error", "tau", "tau_error", "exact_tau", "r_hat")
QUANTITIES = {"autocorrelation_time": "dynamic_time", "autocorrelation_updates": "field_updates"}
"""What exponents are fitted to, and what a sweep counts as in each."""


def monte_carlo_file(job: MonteCarloJob, folder: Path) -> Path:
    """Where the workflow keeps a job's file."""
    return folder / f"{job.identifier}.nc"


def aggregate_monte_carlo(jobs: Sequence[MonteCarloJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All Monte Carlo files of a study in one Dataset, without their time series.

    Args:
        jobs: those of Monte Carlo.
        folder: of their files.
        mixed: take files that different versions of the code, or other requests than the study's, made.

    Returns:
        Dimensions run (a sampler on a target), seed, observable.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    files: dict[MonteCarloJob, xr.Dataset] = {}
    for job in jobs:
        path = monte_carlo_file(job, folder)
        files[job] = read(path, ENSEMBLE)
        if not mixed and files[job].attrs["configuration_hash"] != digest(job.request):
            raise InputError(f"{path}: another configuration made it; remove the file and run the study again")
    if not files:
        raise InputError("the study has no Monte Carlo jobs; give it the key monte_carlo")
    sources = {str(file.attrs["source_hash"]): path for path, file in files.items()}
    if not mixed and len(sources) > 1:
        first, second = [job.identifier for job in sources.values()][:2]
        raise InputError(
            f"different versions of the code made the files of {first!r} and {second!r}; run the study again, or take"
            " them together with --mixed"
        )
    members: dict[tuple[Hashable, str], list[tuple[MonteCarloJob, xr.Dataset]]] = {}
    for job, file in files.items():
        for sampler in job.settings.samplers:
            members.setdefault((job.key, sampler), []).append((job, file.sel(sampler=sampler)))
    some = next(iter(files.values()))
    seeds, observables = sorted({job.settings.seed for job in jobs}), some["observable"].values
    shape = (len(members), len(seeds))
    tables = {name: np.full((*shape, len(observables)), np.nan) for name in PER_OBSERVABLE}
    remarks = np.full((*shape, len(observables)), "", dtype=object)
    single = {name: np.full(shape, np.nan) for name in ("field_updates", "dynamic_time", "acceptance", "cut")}
    for place, group in enumerate(members.values()):
        for job, file in group:
            seed = seeds.index(job.settings.seed)
            for name in PER_OBSERVABLE:
                tables[name][place, seed] = file[name].values
            remarks[place, seed] = file["remark"].values
            single["field_updates"][place, seed] = file["field_updates"].mean()
            single["dynamic_time"][place, seed] = file["dynamic_time"]
            single["acceptance"][place, seed] = file["acceptance"].isel(update=0).mean()
            single["cut"][place, seed] = file["thermalisation_cut"]
    variables = {
        name: Variable(("run", "seed", "observable"), table, dict(some[name].attrs)) for name, table in tables.items()
    }
    variables["remark"] = Variable(("run", "seed", "observable"), remarks, dict(some["remark"].attrs))
    exact = np.stack([group[0][1]["exact"].values for group in members.values()])
    variables["exact"] = Variable(("run", "observable"), exact, dict(some["exact"].attrs))
    for name, about, units in (
        ("field_updates", "field updates (visits of all sites)", "per sweep"),
        ("dynamic_time", "dynamic time: field updates, or the time of Hamilton's or Langevin's equations", "per sweep"),
        ("acceptance", "acceptance of the first update of a sweep", "1"),
        ("cut", "sweeps after thermalisation that were left out", "sweeps"),
    ):
        variables[name] = labelled(["run", "seed"], single[name], about, units)
    for name, chosen, about in (
        ("slowest_tau", (*SERIES, COMPONENT), "largest tau of the series, m itself among them"),
        ("collective_tau", COLLECTIVE, "largest tau of the soft modes |m|, m^2 and S(k)"),
    ):
        places = [list(observables).index(one) for one in chosen]
        slowest, error = _slowest(tables["tau"][..., places], tables["tau_error"][..., places])
        variables[name] = labelled(["run", "seed"], slowest, about, "sweeps")
        variables[f"{name}_error"] = labelled(["run", "seed"], error, "its standard error", "sweeps")
    soft = [list(observables).index(one) for one in COLLECTIVE]
    exact_tau = np.fmax.reduce(tables["exact_tau"][..., soft], axis=-1)
    variables["exact_collective_tau"] = labelled(
        ["run", "seed"], exact_tau, "the same from the matrix of a sweep, where known", "sweeps"
    )
    coordinates = {
        "seed": labelled(["seed"], seeds, "random seed"),
        "observable": Variable(("observable",), observables, dict(some["observable"].attrs)),
    }
    convention = {"autocorrelation_convention": some.attrs["autocorrelation_convention"]}
    return xr.Dataset(variables | _identity(members), coordinates, convention)


def _slowest(tau: Any, error: Any) -> tuple[Any, Any]:
    """Largest τ and its error, over the last axis; NaN where that one has no error."""
    slowest = np.argmax(np.where(np.isnan(tau), -1.0, tau), axis=-1)[..., None]
    return np.take_along_axis(tau, slowest, -1)[..., 0], np.take_along_axis(error, slowest, -1)[..., 0]


def _identity(members: dict[tuple[Hashable, str], list[tuple[MonteCarloJob, xr.Dataset]]]) -> dict[str, Variable]:
    """What each run of the summary is."""
    jobs = [group[0][0] for group in members.values()]
    text = {
        "sweep": ("name of the simulation in the study", [job.sweep for job in jobs]),
        "sampler": ("sampler", [sampler for _, sampler in members]),
        "target": ("gaussian, phi4 or spins", [group[0][1].attrs["target"] for group in members.values()]),
        "target_label": ("how the target was given", [job.target_label for job in jobs]),
    }
    numbers = {
        "dimension": ("lattice dimension", "1", [job.dimension for job in jobs]),
        "size": ("lattice size", "lattice spacings", [job.size for job in jobs]),
        "components": ("components n", "1", [job.components for job in jobs]),
    }
    typed = typed_columns([columns_of(job) for job in jobs], SAMPLED)
    return (
        {name: labelled(["run"], np.array(values, dtype=object), about) for name, (about, values) in text.items()}
        | {name: labelled(["run"], values, about, units) for name, (about, units, values) in numbers.items()}
        | typed
    )


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
    """The exact τ of the soft modes of each run, with the weights that its measured times have; NaN where unknown.

    Args:
        summary: of `aggregate_monte_carlo`.
        quantity: a key of `QUANTITIES`.
    """
    factor = summary[QUANTITIES[quantity]].values
    return _mean_of_seeds(
        factor * summary["exact_collective_tau"].values, factor * summary["collective_tau_error"].values
    )[0]


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
    exponent of the exact times of the same sizes, where there are such.

    Args:
        summary: of `aggregate_monte_carlo`.
    """
    keys = ["sweep", "sampler", "dimension", "target_label", "target", "components"]
    table = summary[[*keys, "size"]].to_dataframe()
    rows: list[dict[str, Any]] = []
    for group, members in table.groupby(keys, sort=False):
        sweep, sampler, dimension, label, target, components = group
        about = {"study": sweep, "architecture": sampler, "dimension": dimension, "mass": label}
        about |= {"data": kind_of_model(target, components), "noise_level": np.nan}
        chosen = summary.isel(run=members.index.to_numpy())
        for quantity in QUANTITIES:
            tau, error = times(chosen, quantity, "collective_tau")
            law = _law(members["size"].to_numpy(), tau, error, known_times(chosen, quantity))
            rows.append(about | {"quantity": quantity, "criterion": "", "loss": ""} | law)
    return pd.DataFrame(rows)


def kind_of_model(target: str, components: int) -> str:
    """The data of a table of laws, for Monte Carlo: 'gaussian-n1'."""
    return f"{target}-n{components}"


def _law(sizes: Any, tau: Any, error: Any, exact: Any) -> dict[str, Any]:
    """The columns of a power law, or why there is none."""
    known = np.isfinite(error)
    if not known.all():
        size = int(sizes[~known][0])
        note = f"at size {size} the chains are too short for tau, or measured too seldom"
        return {"law": "none", "sizes": " ".join(map(str, sizes)), "note": note}
    try:
        law: Fit = fit_weighted(sizes, tau, error)
    except InputError as problem:
        return {"law": "none", "sizes": " ".join(map(str, sizes)), "note": str(problem)}
    reference = fit_weighted(sizes, exact, exact * error / tau).exponent if np.isfinite(exact).all() else np.nan
    return {
        "law": law.law,
        "exponent": law.exponent,
        "z": np.nan,
        "error": law.error,
        "systematic_error": np.nan,
        "bootstrap_error": law.bootstrap_error,
        "residual_error": law.residual_error,
        "intercept": law.intercept,
        "evidence": law.evidence,
        "evidence_error": np.nan,
        "reference": reference,
        "sizes": " ".join(map(str, law.sizes)),
        "local_exponents": " ".join(f"{z:.4f}" for z in law.local_exponents),
        "note": "",
    }
