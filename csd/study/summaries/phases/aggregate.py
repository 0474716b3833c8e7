"""A study's files of phases in one Dataset, and KLs of the best local scores against size.

One `run` is a target on one lattice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.files import PHASES
from csd.study.scaling import law_row, weighted_law
from csd.study.stages.phases import PhasesJob
from csd.study.summaries.columns import PHASED, SAMPLED, About, columns_of, typed_columns
from csd.study.summaries.files import files_of, gathered

QUANTITIES = ("path_kl", "path_kl_linear", "path_kl_bit", "sde_kl", "sde_reverse_kl", "ode_kl", "ode_reverse_kl")
"""Numbers of each range whose values, and whose growth with the size, are rows of a table of laws."""
EXACT = 1e-12
"""Relative error of exact numbers in a fit, whose own error is then that of their scatter about the law."""
IDENTITY_OF_PHASES: About = {
    "sweep": ("name of the part of the study", "1"),
    "target": ("kind of target", "1"),
    "target_label": ("how the target was given", "1"),
    "dimension": ("lattice dimension", "1"),
    "size": ("lattice size", "lattice spacings"),
    "components": ("components n; 0 where all is in closed form", "1"),
    "schedule": ("noise schedule", "1"),
    "block": ("side of the cube of the conditional mutual information", "lattice spacings"),
    **SAMPLED,
    **PHASED,
}
"""Columns of a summary of phases."""


def aggregate_phases(jobs: Sequence[PhasesJob], folder: Path, *, mixed: bool = False) -> xr.Dataset:
    """All files of phases of a study in one Dataset.

    Args:
        jobs: those of phases.
        folder: of their files.
        mixed: accept files of different versions of the code, or of other requests than the study's.

    Returns:
        Dimensions run, noise_level and range; NaN where a run has none of these.

    Raises:
        InputError: if a file is missing, damaged, or not what its job asks for.
    """
    groups, rows = [], []
    for job, file in files_of(jobs, folder, PHASES, mixed=mixed):
        groups.append([file])
        about = {name: getattr(job, name) for name in ("sweep", "target_label", "dimension", "size", "components")}
        about |= {"target": file.attrs["target"], "schedule": job.noise.schedule, "block": job.settings.block}
        rows.append(about | columns_of(job))
    return gathered(groups, ("noise_level", "range"), {}).assign(typed_columns(rows, IDENTITY_OF_PHASES))


def phases_table(summary: xr.Dataset) -> pd.DataFrame:
    """KLs of the best local scores and their power laws, in the columns of `csd fit`.

    `architecture` is `best_local R4` for R = 4, `mass` how the target was given, `data` its kind; there is no noise
    level. There is one row a size, law `value`, and one with the power law, or with the reason why there is none.

    Args:
        summary: of `aggregate_phases`.
    """
    keys = ["sweep", "dimension", "target_label", "target", "schedule"]
    rows: list[dict[str, Any]] = []
    for group, members in summary[[*keys, "size"]].to_dataframe().groupby(keys, sort=False):
        sweep, dimension, label, target, schedule = group
        members = members.sort_values("size")
        about = {"study": sweep, "dimension": dimension, "mass": label, "data": target, "schedule": schedule}
        about |= {"criterion": "", "loss": "", "noise_level": np.nan}
        chosen, sizes = summary.isel(run=members.index.to_numpy()), members["size"].to_numpy()
        for quantity in (name for name in QUANTITIES if name in summary):
            for reach in summary["range"].values:
                values = chosen[quantity].sel(range=reach).values
                known = np.isfinite(values)
                own = about | {"architecture": f"best_local R{reach}", "quantity": quantity}
                rows += [own | law for law in _laws(sizes[known], values[known])]
    return pd.DataFrame(rows)


def _laws(sizes: Any, values: Any) -> list[dict[str, Any]]:
    """The rows of one quantity at one range: a value for each size, and how it depends on the size."""
    rows = [law_row([size], law="value", value=float(one), error=0.0) for size, one in zip(sizes, values, strict=True)]
    return [*rows, weighted_law(sizes, values, EXACT * values)] if rows else []
