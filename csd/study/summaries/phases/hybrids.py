"""Phases of fields that hybrids generate, as rows of a table of laws: undecided fields, and the phases of the others.

Each row has the law 'value' and the name of the hybrid as `architecture`.

    undecided_fraction             P(|m| < αM/2) of generated fields
    positive_fraction_deviation    P(m > 0) of generated fields less the exact one
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.study.scaling import law_row
from csd.study.summaries.observables import of_samples

DATA = "hybrid"
"""The column `data` of these rows."""


def hybrid_table(summary: xr.Dataset) -> pd.DataFrame:
    """The rows of a summary of hybrids, in the columns of `csd fit` with `value` and `error`.

    Args:
        summary: of `csd.study.summaries.generation.aggregate_hybrids`.
    """
    rows: list[dict[str, Any]] = []
    if "sampled_undecided_fraction" not in summary:
        return pd.DataFrame(rows)
    undecided, (positive, uncertain) = (of_samples(summary, f"{name}_fraction") for name in ("undecided", "positive"))
    deviation = positive - summary["reference_positive_fraction"].values
    found = {"undecided_fraction": undecided, "positive_fraction_deviation": (deviation, uncertain)}
    for quantity, (values, errors) in found.items():
        for place, (value, error) in enumerate(zip(values, errors, strict=True)):
            run = summary.isel(run=place)
            about: dict[str, Any] = {"study": run["hybrid"].item(), "architecture": run["hybrid"].item()}
            about |= {"dimension": int(run["dimension"]), "mass": run["target_label"].item(), "data": DATA}
            about |= {"noise_level": np.nan, "criterion": "", "loss": "", "quantity": quantity}
            if np.isfinite(value):
                law = law_row([int(run["size"])], law="value", value=float(value), error=float(error))
                rows.append(about | law)
    return pd.DataFrame(rows)
