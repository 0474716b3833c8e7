"""A study's files of scores in one Dataset, without their fields, and the error of the best linear score against size.

One `run` is a target on one lattice; its seeds come from one file each, with fields of their own. The mean over seeds
of a number has the larger of two errors: that of the scatter of its seeds, and that of their own errors, by a jackknife
over the fields of each.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.files import SCORES
from csd.study.scaling import law_row, weighted_law
from csd.study.seeds import mean_with_errors
from csd.study.stages.scores import ScoresJob
from csd.study.summaries.columns import SAMPLED, About, columns_of, kind_of_model, typed_columns
from csd.study.summaries.files import files_of, gathered

BEST_LINEAR = "best_linear"
"""The best linear score in the column `architecture` of a table of laws."""
QUANTITIES = ("linear_score_error", "linear_zero_mode_error")
"""Numbers whose values, and whose dependence on the size, are rows of a table of laws."""
BY_CHAINS = (*QUANTITIES, "linear_shell_error")
"""Variables of all summaries, with errors; NaN where scores are in closed form."""
IDENTITY_OF_SCORES: About = {
    "sweep": ("name of the part of the study", "1"),
    "target": ("gaussian, phi4 or spins", "1"),
    "target_label": ("how the target was given", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "components": ("components n; 0 where scores are in closed form", "1"),
    "fields": ("held-out fields of each seed", "1"),
    "schedule": ("noise schedule", "1"),
    **SAMPLED,
}
"""Columns of a summary of scores."""


def aggregate_scores(jobs: Sequence[ScoresJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All files of scores of a study in one Dataset.

    Args:
        jobs: those of scores.
        folder: of their files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, seed, noise_level and bin, of the inverse length, whose values differ from run to run.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups: dict[Hashable, list[xr.Dataset]] = defaultdict(list)
    rows: dict[Hashable, dict[str, Any]] = {}
    for job, file in files_of(jobs, folder, SCORES, mixed=mixed, without="sample"):
        groups[job.key].append(file.expand_dims(seed=[job.settings.seed]))
        about = {name: getattr(job, name) for name in ("sweep", "target_label", "dimension", "size", "components")}
        about |= {"target": file.attrs["target"], "fields": job.settings.fields, "schedule": job.noise.schedule}
        about["components"] = int(file.attrs.get("components", job.components))
        rows.setdefault(job.key, about | columns_of(job))
    summary = gathered(list(groups.values()), ("seed", "noise_level"), {"inverse_length": "bin"})
    unknown = xr.full_like(summary["squared_score"], np.nan).assign_attrs(long_name="NaN: scores in closed form")
    missing = {name for known in BY_CHAINS for name in (known, f"{known}_error") if name not in summary}
    summary = summary.assign(dict.fromkeys(sorted(missing), unknown))
    return summary.assign(typed_columns(list(rows.values()), IDENTITY_OF_SCORES))


def floors(summary: xr.Dataset, name: str) -> tuple[Any, Any]:
    """(mean over seeds, its standard error) of a variable of a summary, shape (runs, noise levels, …) each.

    Args:
        summary: of `aggregate_scores`.
        name: of the variable.
    """
    values, errors = (
        summary[one].transpose("run", "noise_level", ..., "seed").values for one in (name, f"{name}_error")
    )
    return mean_with_errors(values, errors, np.isfinite(values))


def floor_table(summary: xr.Dataset) -> pd.DataFrame:
    """Errors of the best linear score and their power laws, in the columns of `csd fit`.

    `architecture` is `best_linear`, `mass` how the target was given, `data` its kind and components. There is one row a
    size, law `value`, with its `value` and `error`, and one with the power law, or with the reason why there is none.

    Args:
        summary: of `aggregate_scores`.
    """
    keys = ["sweep", "dimension", "target_label", "target", "components", "schedule"]
    rows: list[dict[str, Any]] = []
    for group, members in summary[[*keys, "size"]].to_dataframe().groupby(keys, sort=False):
        sweep, dimension, label, target, components, schedule = group
        members = members.sort_values("size")
        about = {"study": sweep, "architecture": BEST_LINEAR, "dimension": dimension, "mass": label}
        about |= {"data": kind_of_model(target, components), "schedule": schedule, "criterion": "", "loss": ""}
        chosen, sizes = summary.isel(run=members.index.to_numpy()), members["size"].to_numpy()
        for quantity in QUANTITIES if components else ():
            found = zip(summary["noise_level"].values, *(part.T for part in floors(chosen, quantity)), strict=True)
            for level, values, errors in found:
                own = about | {"noise_level": level, "quantity": quantity}
                known = np.isfinite(values)
                rows += [own | law for law in _laws(sizes[known], values[known], errors[known])]
    return pd.DataFrame(rows)


def _laws(sizes: Any, values: Any, errors: Any) -> Iterator[dict[str, Any]]:
    """The rows of one quantity at one noise level: a value for each size, and how it depends on the size."""
    for size, value, error in zip(sizes, values, errors, strict=True):
        yield law_row([size], law="value", value=float(value), error=float(error))
    if len(sizes):
        yield weighted_law(sizes, values, errors)
