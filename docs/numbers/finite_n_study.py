"""What the study of finite n finds: `config/finite_n.yaml`, run for a quarter of an hour in a temporary folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.files import GENERATION_SUMMARY, SUMMARY, read
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds, total_error
from csd.study.summaries.laws import read_scaling
from csd.study.summaries.observables import OBSERVABLES, observables_by_step
from docs.numbers._run import whole_study

if TYPE_CHECKING:
    import pandas as pd

TIMED = True
NAMES = {
    "one_layer": "one linear layer",
    "two_layer": "two linear layers",
    "one_layer_onsite-w2": "one layer, on-site units",
    "convolutional-w8": "convolutional, 3 layers of 8 channels",
    "mean_field-coupling0": "mean field",
    "mean_field": "mean field",
    "local_polynomial-k5": "local polynomial, 5 × 5",
    "convolutional": "convolutional, 3 layers of 16 channels",
    "wiener": "Wiener sandwich",
}
OWN = dict.fromkeys(("convolutional-w8", "mean_field-coupling0", "local_polynomial-k5"), "adam")
"""Optimisers of networks that have one of their own."""
FIELDS = {"phi4": "φ⁴", "phi4-one": "φ⁴", "ising": "Ising", "ising-one": "Ising", "mL1": "n → ∞"}


def numbers() -> dict[str, Any]:
    """Tables of the finished study, its core time in seconds and its wall time in minutes."""
    with whole_study("finite_n") as (results, about):
        return about | found(results)


def found(results: Path) -> dict[str, Any]:
    """Tables of the finished study.

    Args:
        results: its folder.
    """
    scaling = read_scaling(results / "summary" / "scaling.csv")
    claims = json.loads((results / "summary" / "claims.json").read_text(encoding="utf-8"))
    own = [claim for claim in claims if claim["id"].startswith("F")]
    head = ["network", "fields", "optimiser", "ε", *(f"L = {size}" for size in SIZES), "z", "b ln 2"]
    return {
        "times": [head, *_times(results, scaling)],
        "floors": [["target", "L", "t", "all modes", "zero mode"], *_floors(scaling)],
        "observables": [["network", "L", "step", "χ", "ξ", "H/N", "⟨\\|m\\|⟩", "U4"], *_observables(results)],
        "verdicts": [["claim", "verdict"], *([claim["id"], claim["verdict"]] for claim in own)],
    }


SIZES = (8, 12, 16, 24, 32, 64)


def _times(results: Path, scaling: "pd.DataFrame") -> Iterator[list[str]]:
    """Training times with errors at each size, z of the nested law, and b ln 2 of a + b ln L (law a + b ln L)."""
    training = read(results / "summary" / "training.nc", SUMMARY)
    # The sweep `zero-mode` repeats the start of `mean-field`.
    for sweep in [name for name in dict.fromkeys(training["sweep"].values) if name != "zero-mode"]:
        for name in dict.fromkeys(training["architecture"].values[training["sweep"].values == sweep]):
            of_group = (training["sweep"].values == sweep) & (training["architecture"].values == name)
            runs = training.isel(run=np.flatnonzero(of_group)).sortby("size")
            found = {
                int(size): parentheses(*map(float, mean_over_seeds(row[np.isfinite(row)])))
                for size, row in zip(runs["size"].values, runs["crossing_time"].isel(noise_level=0).values, strict=True)
            }
            times = [found.get(size, "") for size in SIZES]
            rows = scaling[(scaling["study"] == sweep) & (scaling["architecture"] == name)]
            rows = rows[rows["quantity"] == "training_time"].set_index("law")
            fields, optimizer = str(runs["mass_label"].values[0]).split(".")[0], str(runs["optimizer"].values[0])
            rule = "Adam" if "adam" in (optimizer, OWN.get(str(name))) else "gradient descent"
            about = [NAMES[str(name)], FIELDS[fields], rule, f"{float(runs['tolerance'].values[0]):g}"]
            yield [*about, *times, *(_growth(rows) if "boxcox" in rows.index else ["", ""])]


def _growth(rows: "pd.DataFrame") -> list[str]:
    """z of the nested law with its error, if it has one below 1, and b ln 2 of the log law, where z is 0 within 0.1."""
    nested, log = rows.loc["boxcox"], rows.loc["log"]
    z, error = float(nested["exponent"]), total_error(nested)
    # A slope in ln L means something only where the law is a logarithm.
    slope = parentheses(np.log(2.0) * log["exponent"], np.log(2.0) * log["error"]) if abs(z) + 2.0 * error < 0.1 else ""
    return [parentheses(z, error) if error < 1.0 else "", slope]


def _floors(scaling: "pd.DataFrame") -> Iterator[list[str]]:
    """Errors of the best linear score at the largest size of each target and noise level."""
    rows = scaling[(scaling["architecture"] == "best_linear") & (scaling["law"] == "value")]
    rows = rows.assign(size=rows["sizes"].astype(int))
    for (dimension, _, data, level), group in rows.groupby(["dimension", "mass", "data", "noise_level"], sort=False):
        largest = group[group["size"] == group["size"].max()].set_index("quantity")
        values = [
            parentheses(largest.loc[name, "value"], largest.loc[name, "error"])
            for name in ("linear_score_error", "linear_zero_mode_error")
        ]
        kind, _, components = str(data).rpartition("-n")
        target = "Ising" if kind == "spins" else f"φ⁴, n = {components}"
        yield [f"{target}, d = {dimension}", str(group["size"].max()), f"{level:g}", *values]


def _observables(results: Path) -> Iterator[list[str]]:
    """Deviations of generated observables from those of Monte Carlo, in units of the error of the difference."""
    summary = read(results / "summary" / "generation.nc", GENERATION_SUMMARY)
    rows = observables_by_step(summary)
    rows = rows[rows["sampled"]]
    for run, own in rows.groupby("run", sort=False):
        pulls = own.set_index("observable")["pull"]
        about = [NAMES[str(summary["architecture"].values[run])], str(summary["size"].values[run])]
        yield [*about, f"{own['step'].iloc[0]}", *(f"{pulls[name]:.1f}" for name in OBSERVABLES)]
