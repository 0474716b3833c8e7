"""A study's training files in one Dataset, and the scaling laws of all its training times.

One `run` of the summary is an architecture on one lattice at one mass with one kind of data; its seeds may come from
several files. Curves are padded with NaN to the longest.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.config import Run, Sampling
from csd.criteria import CRITERIA
from csd.errors import InputError
from csd.record import request
from csd.scaling import fit
from csd.store import GENERATION, TRAINING, Variable, digest, labelled, read

PADDED = {
    "score_error": ("seed", "noise_level", "step"),
    "predicted_score_error": ("seed", "noise_level", "step"),
    "training_time": ("seed", "noise_level"),
    "crossing_time": ("seed", "noise_level"),
    "predicted_crossing_time": ("seed", "noise_level"),
    "predicted_training_time": ("seed", "noise_level"),
    "kernel_profile": ("seed", "noise_level", "distance"),
    "exact_kernel_profile": ("noise_level", "distance"),
    "learning_rate": ("noise_level",),
    "level_parameters": ("noise_level",),
    "floor": ("noise_level",),
    "range": ("noise_level",),
    "score_length": ("noise_level",),
    "signal": ("noise_level",),
    "noise_variance": ("noise_level",),
}
"""Variables of a training file that go into the summary as they are, and their dimensions."""


FITTED = {"training_time": "crossing_time", "predicted_training_time": "predicted_crossing_time"}
"""What laws are fitted to: training times interpolated between steps, as whole steps are coarse where they are few."""


def training_file(run: Run, folder: Path) -> Path:
    """Where the workflow keeps a run's file."""
    return folder / f"{run.identifier}.nc"


def aggregate(runs: Sequence[Run], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All training files of a run table in one Dataset.

    Args:
        runs: the run table.
        folder: of the training files.
        mixed: take files that different versions of the code, or other requests than the study's, made.

    Returns:
        Dimensions run, seed, noise_level, step, distance, bin.

    Raises:
        InputError: if a file is missing, damaged, or not what its row asks for.
    """
    groups: dict[tuple[str, str], list[tuple[Run, xr.Dataset]]] = {}
    for run in runs:
        path = training_file(run, folder)
        dataset = read(path, TRAINING)
        asked = {"tolerance": run.training.tolerance, "noise levels": sorted(run.noise_levels)}
        _check(path, dataset, _asked(run) | asked)
        if not mixed:
            _check(path, dataset, {"configuration_hash": digest(request(*run.problem()))})
        groups.setdefault((run.sweep, run.identifier.rsplit("_s", 1)[0]), []).append((run, dataset))

    members = list(groups.values())
    everything = [dataset for group in members for _, dataset in group]
    if not mixed:
        _check_source(everything)
    axes = {name: _union(everything, name) for name in ("seed", "noise_level", "step", "distance")}
    bins = max(dataset.sizes["inverse_length"] for dataset in everything)
    arrays = {name: np.full((len(members), *(len(axes[dim]) for dim in dims)), np.nan) for name, dims in PADDED.items()}
    shape = (len(members), len(axes["noise_level"]), len(axes["step"]), bins)
    residual = np.full(shape, np.nan, dtype=np.float32)
    inverse_length = np.full((len(members), bins), np.nan)
    for row, group in enumerate(members):
        for _, dataset in group:
            for name, dims in PADDED.items():
                if name in dataset:
                    arrays[name][(row, *_places(dataset, dims, axes))] = dataset[name].values
        # Residuals are for one picture; one file's seeds are enough for their mean, as long as all of them train.
        first: xr.Dataset = group[0][1]
        filled = first.sizes["inverse_length"]
        mean = np.sqrt((first["mode_residual"] ** 2).mean("seed", skipna=False).values)
        residual[(row, *_places(first, ("noise_level", "step"), axes), slice(filled))] = mean
        inverse_length[row, :filled] = first["inverse_length"].values

    variables = {
        name: Variable(("run", *PADDED[name]), array, _attributes(everything, name)) for name, array in arrays.items()
    }
    variables["mode_residual"] = Variable(
        ("run", "noise_level", "step", "bin"), residual, everything[0]["mode_residual"].attrs
    )
    variables["inverse_length"] = Variable(("run", "bin"), inverse_length, everything[0]["inverse_length"].attrs)
    variables |= _identity(members)
    coordinates = {name: Variable((name,), axes[name], everything[0][name].attrs) for name in axes}
    return xr.Dataset(variables, coordinates)


def aggregate_generation(files: Sequence[Sampling], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All generation files of a run table in one Dataset.

    Args:
        files: what is generated.
        folder: of the generation files.
        mixed: take files that different versions of the code made.

    Returns:
        Dimensions run, seed, step, criterion, and the places bin, level and shown, whose values differ from run to run.

    Raises:
        InputError: if a file is missing, damaged, or not what its row asks for.
    """
    members: dict[tuple[str, int], list[tuple[Run, xr.Dataset]]] = {}
    for sampling in files:
        path = folder / f"{sampling.identifier}.nc"
        dataset = read(path, GENERATION)
        _check(path, dataset, {**_asked(sampling.run), "size": sampling.size, "trained_size": sampling.run.size})
        key = sampling.run.identifier.rsplit("_s", 1)[0], sampling.size
        members.setdefault(key, []).append((sampling.run, _numbered(dataset)))
    everything = [dataset for group in members.values() for _, dataset in group]
    if not everything:
        raise InputError("no sweep of the study generates; give one the key generation")
    if not mixed:
        _check_source(everything)
    axes = {name: _union(everything, name) for name in ("seed", "step", "criterion", *NUMBERED.values())}
    sizes = {name: len(values) for name, values in axes.items()}
    variables = {}
    for name, dims in GENERATED.items():
        array = np.full(
            (len(members), *(sizes[dim] for dim in dims)), np.nan, dtype=np.float32 if len(dims) > 3 else float
        )
        for row, group in enumerate(members.values()):
            for _, dataset in group:
                if name in dataset:
                    places = _places(dataset, dims, axes) if dims else ()
                    array[(row, *places)] = dataset[name].transpose(*dims).values
        variables[name] = Variable(("run", *dims), array, _attributes(everything, name))
    remarks = [[str(remark) for remark in group[0][1]["criterion_remark"].values] for group in members.values()]
    variables["criterion_remark"] = Variable(
        ("run", "criterion"), np.array(remarks, dtype=object), _attributes(everything, "criterion_remark")
    )
    variables |= _identity([[group[0]] for group in members.values()], ("parameters", "tolerance"))
    variables["size"] = labelled(["run"], [size for _, size in members], "lattice size", "lattice spacings")
    trained = [group[0][0].size for group in members.values()]
    variables["trained_size"] = labelled(["run"], trained, "lattice size in training", "lattice spacings")
    coordinates = {name: Variable((name,), axes[name], everything[0][name].attrs) for name in ("seed", "step")}
    coordinates["criterion"] = labelled(["criterion"], np.array(CRITERIA, dtype=object), "what counts as right")
    return xr.Dataset(variables, coordinates)


def _numbered(dataset: xr.Dataset) -> xr.Dataset:
    """A generation file whose coordinates that differ from run to run are variables along numbered places."""
    kept = {name: dataset[name].variable for name in NUMBERED}
    bare = dataset.drop_vars(list(NUMBERED)).rename_dims(NUMBERED)
    for name, place in NUMBERED.items():
        bare = bare.assign({name: Variable((place,), kept[name].values, kept[name].attrs)})
        bare = bare.assign_coords({place: np.arange(bare.sizes[place])})
    # All files have the same criteria, in an order that is not the alphabet's.
    return bare.assign_coords(criterion=np.arange(len(CRITERIA)))


NUMBERED = {"wavenumber": "bin", "noise_level": "level", "shown_step": "shown"}
"""Coordinates of a generation file that differ from run to run, and the dimension of the summary they lie along."""

GENERATED = {
    **dict.fromkeys(CRITERIA, ("seed", "step")),
    "generation_training_time": ("seed", "criterion"),
    **dict.fromkeys((f"predicted_{name}" for name in CRITERIA), ("step",)),
    "predicted_generation_training_time": ("criterion",),
    **dict.fromkeys((f"{prefix}_{name}" for prefix in ("exact_score", "best") for name in CRITERIA), ()),
    "exact_score_soft_ratio": ("level",),
    "exact_susceptibility": (),
    "exact_correlation_length": (),
    "best_soft_ratio": ("level",),
    "data_set_kl_per_site": ("seed", "step"),
    "memory_kl_per_site": ("seed",),
    "sampled_susceptibility": ("seed",),
    "sampled_susceptibility_error": ("seed",),
    "sampled_correlation_length": ("seed",),
    "sampled_correlation_length_error": ("seed",),
    "two_sample_p_value": ("seed",),
    "power_spectrum": ("seed", "bin"),
    "power_spectrum_error": ("seed", "bin"),
    "generated_spectrum": ("seed", "step", "bin"),
    "exact_spectrum": ("bin",),
    "ratio_on_the_way": ("seed", "shown", "level", "bin"),
    "wavenumber": ("bin",),
    "noise_level": ("level",),
    "shown_step": ("shown",),
}
"""Variables of a generation file that go into the summary, and their dimensions there."""


def _asked(run: Run) -> dict[str, Any]:
    """Attributes that a run's files must have."""
    return {"dimension": run.dimension, "size": run.size, "label": run.label, "loss": run.training.loss}


def _check(path: Path, dataset: xr.Dataset, asked: dict[str, Any]) -> None:
    """Refuse a file that is not what its row asks for."""
    for name, value in asked.items():
        found = sorted(dataset["noise_level"].values.tolist()) if name == "noise levels" else dataset.attrs.get(name)
        if found != value:
            raise InputError(
                f"{path}: {name} is {found}, the study asks for {value}; remove the file and run the study again"
            )


def _check_source(files: Sequence[xr.Dataset]) -> None:
    """Refuse files that different versions of the code made; user-defined modules come after the first 16 digits."""
    versions = {str(file.attrs.get("source_hash"))[:16]: file.attrs.get("command") for file in files}
    if len(versions) > 1:
        first, second = list(versions.values())[:2]
        raise InputError(
            f"different versions of the code made the files of {first!r} and {second!r}; run the study again,"
            " or take them together with --mixed"
        )


def _union(datasets: Sequence[xr.Dataset], name: str) -> Any:
    """All values of a coordinate, sorted."""
    return np.unique(np.concatenate([dataset[name].values for dataset in datasets]))


def _places(dataset: xr.Dataset, dims: Sequence[str], axes: dict[str, Any]) -> tuple[Any, ...]:
    """Where a file's values go along the given dimensions of the summary."""
    return np.ix_(*(np.searchsorted(axes[dim], dataset[dim].values) for dim in dims))


def _attributes(datasets: Sequence[xr.Dataset], name: str) -> dict[str, Any]:
    """Long name and units of a variable."""
    return next((dict(dataset[name].attrs) for dataset in datasets if name in dataset), {})


def _identity(members: Sequence[Sequence[tuple[Run, xr.Dataset]]], absent: Sequence[str] = ()) -> dict[str, Variable]:
    """What each run of the summary is; `absent` names what its files do not say."""
    runs = [group[0][0] for group in members]
    files = [group[0][1] for group in members]
    text = {
        "sweep": ("sweep of the study", [run.sweep for run in runs]),
        "architecture": ("architecture and options", [run.label for run in runs]),
        "mass_label": ("how the mass was given", [run.mass_label for run in runs]),
        "data": ("loss and data", [run.data_label for run in runs]),
    }
    numbers = {
        "dimension": ("lattice dimension", "1", [run.dimension for run in runs]),
        "size": ("lattice size", "lattice spacings", [run.size for run in runs]),
        "mass": ("mass", "inverse lattice spacings", [file.attrs["mass"] for file in files]),
        "parameters": ("trainable parameters", "1", [int(file.get("parameters", 0)) for file in files]),
        "depth": ("layers of deep_linear, 0 for others", "1", [run.depth or 0 for run in runs]),
        "data_set": ("fields of the data set, 0 for fresh ones", "1", [run.data_set or 0 for run in runs]),
        "tolerance": (
            "relative score error above the floor",
            "1",
            [file.attrs.get("tolerance", 0.0) for file in files],
        ),
    }
    for name in absent:
        del numbers[name]
    return {
        name: labelled(["run"], np.array(values, dtype=object), long_name) for name, (long_name, values) in text.items()
    } | {name: labelled(["run"], values, long_name, units) for name, (long_name, units, values) in numbers.items()}


def read_scaling(path: Path) -> pd.DataFrame:
    """The table that `csd fit` wrote.

    Raises:
        InputError: if it is missing, no such table, or a damaged one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        head, *rows = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
        table = pd.read_csv(io.StringIO(text))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table of scaling laws ({error}); make it with csd fit") from error
    needed = [*EVERY_ROW, *(EVERY_LAW if "law" in table and (table["law"] != "none").any() else ())]
    if missing := [name for name in needed if name not in head]:
        raise InputError(f"{path}: not a table of scaling laws (no column {missing[0]!r}); make it with csd fit")
    # pandas would fill up what a row lacks; a last line without its end may be cut in its last word.
    if any(len(row) != len(head) for row in rows) or not text.endswith("\n"):
        raise InputError(f"{path}: this table of scaling laws is cut off in a row; make it again with csd fit")
    return table


EVERY_ROW = (
    *("study", "architecture", "dimension", "mass", "data", "noise_level", "quantity", "criterion", "law"),
    *("sizes", "note"),
)
"""Columns that every table of laws has."""
EVERY_LAW = ("exponent", "error")
"""Those that it has where there is a law."""


def with_criterion(scaling: pd.DataFrame) -> pd.DataFrame:
    """A table of laws whose column `criterion` is there, and empty where a quantity has none."""
    return scaling.assign(criterion=scaling["criterion"].astype(object).fillna("") if "criterion" in scaling else "")


def scaling_table(summary: xr.Dataset) -> pd.DataFrame:
    """All laws of τ(L), measured and predicted, for everything that was run at several sizes.

    Args:
        summary: of `aggregate`.

    Returns:
        One row a law: study (the sweep), architecture, dimension, mass, data, noise_level, quantity, criterion (of
        samples; empty here), law (of `csd.scaling.Fit`, or 'none'), exponent, z (of the nested law only), error,
        systematic_error, bootstrap_error, residual_error, intercept, slope, evidence (ΔAICc, positive for the log law),
        evidence_error, reference (an exact exponent for the same sizes), sizes, local_exponents, note (why there is no
        fit).
    """
    keys = ["sweep", "architecture", "dimension", "mass_label", "data"]
    table = summary[[*keys, "size"]].to_dataframe()
    rows: list[dict[str, Any]] = []
    for group, members in table.groupby(keys, sort=False):
        chosen = summary.isel(run=members.index.to_numpy())
        for level in summary["noise_level"].values:
            ran = np.isfinite(chosen["score_error"].sel(noise_level=level, step=0).values)
            for quantity, fitted in FITTED.items():
                times = chosen[fitted].sel(noise_level=level).values
                about = dict(zip(["study", "architecture", "dimension", "mass", "data"], group, strict=True))
                about |= {"noise_level": level, "quantity": quantity, "criterion": ""}
                rows += _laws(about, chosen["size"].values, times, ran)
    return pd.DataFrame(rows)


SHORTEST = 1.0
"""Generation training times below one step count as one: of 0 steps there is no logarithm."""


def generation_scaling_table(summary: xr.Dataset) -> pd.DataFrame:
    """Laws of the generation training time by each criterion, in the columns of `scaling_table`; no noise level.

    Where the exact score misses a criterion at any size there is one row without a law, whose note says why.
    """
    keys = ["sweep", "architecture", "dimension", "mass_label", "data"]
    table = summary[[*keys, "size", "trained_size"]].to_dataframe()
    table = table[table["size"] == table["trained_size"]]
    rows: list[dict[str, Any]] = []
    for group, members in table.groupby(keys, sort=False):
        chosen = summary.isel(run=members.index.to_numpy())
        sizes = chosen["size"].values
        ran = np.isfinite(chosen["kl_per_site"].isel(step=0).values)
        for criterion in CRITERIA:
            at = chosen.sel(criterion=criterion)
            missed = {int(L): str(why) for L, why in zip(sizes, at["criterion_remark"].values, strict=True) if why}
            for quantity in ("generation_training_time", "predicted_generation_training_time"):
                about = dict(zip(["study", "architecture", "dimension", "mass", "data"], group, strict=True))
                about |= {"noise_level": np.nan, "quantity": quantity, "criterion": criterion}
                if missed:
                    size, why = next(iter(missed.items()))
                    rows.append(about | {"law": "none", "sizes": _joined(sizes), "note": f"at size {size}: {why}"})
                    continue
                times = np.maximum(at[quantity].values, SHORTEST)
                times = times if times.ndim == 2 else times[:, None]
                rows += _laws(about, sizes, times, ran if times.shape == ran.shape else np.isfinite(times))
    return pd.DataFrame(rows)


def _laws(about: dict[str, Any], sizes: Any, times: Any, ran: Any) -> list[dict[str, Any]]:
    """The rows of one group: all laws, or one row that says why there is none.

    Args:
        about: what the group is.
        sizes: L, shape (sizes,).
        times: shape (sizes, seeds); NaN where a seed was not run, or never reached the tolerance.
        ran: whether a seed was run, same shape.
    """
    short = [int(size) for size, row, there in zip(sizes, times, ran, strict=True) if not np.isfinite(row[there]).all()]
    if not np.any(ran):
        return []
    if short:
        # The mean of those that reached it would be too small, and a law without this size one of other sizes.
        note = f"at size {short[0]} some seeds did not reach the tolerance, so there is no mean to fit"
        return [about | {"law": "none", "sizes": _joined(sizes), "note": note}]
    present = ran.any(axis=1)
    used = [int(size) for size in sizes[present]]
    try:
        laws = fit(used, [row[there] for row, there in zip(times[present], ran[present], strict=True)])
    except InputError as error:
        return [about | {"law": "none", "sizes": _joined(used), "note": str(error)}]
    return [
        about
        | {
            "law": law.law,
            "exponent": law.exponent,
            "z": law.exponent if law.law == "boxcox" else np.nan,
            "error": law.error,
            "systematic_error": law.systematic_error,
            "bootstrap_error": law.bootstrap_error,
            "residual_error": law.residual_error,
            "intercept": law.intercept,
            "slope": law.slope,
            "evidence": law.evidence,
            "evidence_error": law.evidence_error,
            "reference": np.nan,
            "sizes": _joined(law.sizes),
            "local_exponents": _joined(f"{z:.4f}" for z in law.local_exponents),
            "note": "",
        }
        for law in laws.values()
    ]


def _joined(values: Any) -> str:
    """Values as one word of a CSV file."""
    return " ".join(map(str, values))
