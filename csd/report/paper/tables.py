"""Tables of a study: claims, laws, training and generation times; tidy as data, and in words as LaTeX."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.diffusion.criteria import WORDS
from csd.networks import Architecture
from csd.report.figures import looks
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import networks_of
from csd.study.summaries.laws import with_criterion
from csd.targets.labels import target_label

TESTS = ["claim", "measure", "quantity", "criterion", "architecture", "measured", "error", "verdict"]
TESTS += ["accepted_from", "accepted_to"]
"""Columns of the table of claims that are typeset."""
WORDS_OF_CLAIMS = ["claim", "measure", "architecture", "values", "measured", "accepted", "verdict"]
CRITICAL = target_label(mass_times_length=1.0)
"""Label of the critical line m = 1/L."""
KINDS = {"training_time": "training", "settled_time": "settled", "generation_training_time": "generation"}
"""Quantities of the typeset table of laws, in a word."""
PREDICTED = {f"predicted_{quantity}": quantity for quantity in (*KINDS, "slowest_training_time")}
"""Predictions of theory, and the quantities that they predict."""
ABOUT = {"training_time": "", "generation_training_time": ", samples", "integrator_steps": ", steps"}
ABOUT |= {"autocorrelation_time": ", τ", "autocorrelation_updates": ", τ in updates"}
"""The quantity of a claim's measure, where it is not named by its own words."""
VERDICTS = ("fails", "incomplete", "not tested", "undecided", "holds")
"""From the worst to the best; several values have the worst of theirs."""

SIGNS = {
    r" ξ\$\_t\$": r"\,$\xi_t$",
    "ξ": r"$\xi$",
    "χ": r"$\chi$",
    "τ": r"$\tau$",
    "Δ": r"$\Delta$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    " … ": " to ",
    "–": "--",
}
"""Characters of the tables in LaTeX."""

KEYS = ["quantity", "criterion", "architecture", "dimension", "mass", "noise_level", "data"]
RUN = {"sweep": "study", "architecture": "architecture", "dimension": "dimension", "mass_label": "mass"}
RUN |= {name: name for name in ("data", "data_set", "loss", "size")}
"""Columns of a summary that say what a run is, and their names in tables."""
TIMES = [*RUN.values(), "noise_level", "tolerance", "parameters", "seeds"]
TIMES += ["training_time", "error", "predicted_training_time"]
GENERATION_TIMES = [*RUN.values(), "trained_size", "criterion", "criterion_remark", "seeds"]
GENERATION_TIMES += ["generation_training_time", "error", "predicted_generation_training_time"]


def claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a value of a test: claim, measure, quantity, architecture, reference, dimension, noise_level, …"""
    table = pd.DataFrame([{"claim": claim["id"], **test} for claim in claims for test in claim["tests"]])
    if table.empty:
        return pd.DataFrame(columns=TESTS)
    accepted = table.pop("accepted")
    return table.assign(accepted_from=[low for low, _ in accepted], accepted_to=[high for _, high in accepted])


def table_of_exponents(scaling: pd.DataFrame, networks: Mapping[str, Architecture]) -> pd.DataFrame:
    """One row a power law, measured beside predicted, with the z of the nested law and the slope of the log law.

    The prediction for integrator steps is that of the law N^{1/(2p)}.

    Args:
        scaling: of `csd fit`.
        networks: of `csd.study.summaries.columns.networks_of`.
    """
    of_run, own = [*KEYS, "study"], with_criterion(scaling)
    power, log, nested = (own[own["law"] == law] for law in ("power", "log", "boxcox"))
    is_theory = power["quantity"].isin(PREDICTED)
    predicted = power[is_theory].assign(quantity=power["quantity"].map(PREDICTED))
    table = power[~is_theory].reindex(columns=[*of_run, "sizes", "exponent", "error", "evidence", "evidence_error"])
    for other, names in (
        (nested, {"exponent": "z", "error": "z_error", "systematic_error": "z_systematic_error"}),
        (predicted, {"exponent": "predicted_exponent"}),
        (log, {"exponent": "log_slope", "error": "log_slope_error"}),
    ):
        table = table.merge(other.reindex(columns=[*of_run, *names]).rename(columns=names), how="left", on=of_run)
    if "reference" in power:
        by_law = power[power["quantity"] == "integrator_steps"].set_index(of_run)["reference"]
        found = by_law.reindex(pd.MultiIndex.from_frame(table[of_run])).to_numpy()
        table["predicted_exponent"] = table["predicted_exponent"].fillna(pd.Series(found, index=table.index))
    columns = [*KEYS, *table.columns[len(of_run) :], "study"]
    keys = ["quantity", "criterion", "dimension", "noise_level"]
    return _sorted(table[columns], keys, [False, True, True, True], networks)


def _sorted(
    table: pd.DataFrame, keys: Sequence[str], ascending: Sequence[bool], networks: Mapping[str, Architecture]
) -> pd.DataFrame:
    """A table in the order of its keys, then of architectures as figures have them."""
    order = {family: place for place, family in enumerate(looks.FAMILIES)}
    place = [order.get(looks.family(networks.get(label, label)), len(order)) for label in table["architecture"]]
    by = table.assign(place=place).sort_values([*keys, "place", "architecture"], ascending=[*ascending, True, True])
    return by.drop(columns="place").reset_index(drop=True)


def times_table(summary: xr.Dataset) -> pd.DataFrame:
    """One row a run and noise level of a summary of training, measured beside predicted: `TIMES`."""
    ran = np.isfinite(summary["score_error"].isel(step=0))
    return _times(summary, ran, "training_time", "noise_level", TIMES)


def generation_times_table(summary: xr.Dataset) -> pd.DataFrame:
    """One row a run and criterion of a summary of generation, measured beside predicted: `GENERATION_TIMES`."""
    ran = np.isfinite(summary["kl_per_site"].isel(step=0))
    return _times(summary, ran, "generation_training_time", "criterion", GENERATION_TIMES)


def _times(summary: xr.Dataset, ran: Any, quantity: str, index: str, columns: Sequence[str]) -> pd.DataFrame:
    """A table of means over the seeds that were run, one row a run and value of `index`."""
    measured = summary[quantity].transpose("run", index, "seed")
    # A prediction of samples has no seeds.
    theory = summary[f"predicted_{quantity}"].broadcast_like(measured).transpose(*measured.dims)
    ran = ran.broadcast_like(measured).transpose(*measured.dims)
    mean, error = mean_over_seeds(measured, ran=ran)
    predicted, _ = mean_over_seeds(theory, ran=ran)
    found = {quantity: mean, "error": error, f"predicted_{quantity}": predicted, "seeds": ran.values.sum(axis=-1)}
    shape = measured.isel(seed=0, drop=True)
    others = [name for name in columns if name in summary and name not in (*found, *RUN.values(), index)]
    table = summary[[*RUN, *others]].rename(RUN).assign({name: shape.copy(data=found[name]) for name in found})
    rows = table.to_dataframe(dim_order=["run", index]).reset_index()
    return _sorted(rows.loc[rows["seeds"] > 0, columns], ["dimension", index], [True, True], networks_of([summary]))


def on_critical_line(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Rows of the critical line at one noise level, and of quantities that have none; of fresh fields."""
    chosen = table[(table["mass"] == CRITICAL) & ((table["noise_level"] == level) | table["noise_level"].isna())]
    return chosen[chosen["data_set"] == 0] if "data_set" in chosen else chosen


def series_of_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table of times whose architecture was run at three sizes or more."""
    sizes = table.groupby(["architecture", "dimension", "data"])["size"].transform("nunique")
    return table[sizes >= 3]


def typeset_claims(table: pd.DataFrame) -> pd.DataFrame:
    """`claims_table` in words: a row a claim and measure, with the number of values, the least and the greatest."""
    rows = []
    by = ["claim", "measure", "quantity", "criterion", "architecture"]
    for (claim, measure, quantity, right, architecture), values in table.groupby(by, sort=False):
        known = values.dropna(subset=["measured"])
        low, high = values["accepted_from"].iloc[0], values["accepted_to"].iloc[0]
        ends = [known["measured"].idxmin(), known["measured"].idxmax()] if len(known) > 1 else list(known.index)
        shown = [parentheses(known.loc[end, "measured"], known.loc[end, "error"] or 0.0) for end in ends]
        about = ABOUT.get(quantity, f", {quantity.replace('_', ' ')}")
        # A criterion of samples, or an observable of them.
        about += f" by {WORDS[right]}" if right in WORDS else f" of {right.replace('_', ' ')}" if right else ""
        rows.append(
            {
                "claim": claim,
                "measure": measure.replace("_", " ") + about,
                "architecture": architecture,
                "values": len(known),
                "measured": " … ".join(dict.fromkeys(shown)) or "–",
                "accepted": f"≤ {high:g}" if pd.isna(low) else f"≥ {low:g}" if pd.isna(high) else f"{low:g} … {high:g}",
                "verdict": min(values["verdict"], key=VERDICTS.index),
            }
        )
    return pd.DataFrame(rows, columns=WORDS_OF_CLAIMS)


def typeset_exponents(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Laws of training and generation times of `table_of_exponents` in words, on the critical line."""
    chosen = on_critical_line(table, level)
    chosen = chosen[chosen["quantity"].isin(KINDS)]
    right = chosen["criterion"].map(lambda criterion: f", {WORDS[criterion]}" if criterion else "")
    slopes = _pairs(chosen["log_slope"], chosen["log_slope_error"])
    return pd.DataFrame(
        {
            "time": chosen["quantity"].map(KINDS) + right,
            "architecture": chosen["architecture"],
            "d": chosen["dimension"],
            "L": chosen["sizes"].str.replace(r"(\d+) .* (\d+)$", r"\1 … \2", regex=True),
            "exponent": _pairs(chosen["exponent"], chosen["error"]),
            "theory": [f"{value:.3f}" if np.isfinite(value) else "–" for value in chosen["predicted_exponent"]],
            "z": _pairs(chosen["z"], np.hypot(chosen["z_error"], chosen["z_systematic_error"])),
            "slope in ln L": np.where(chosen["exponent"] < 0.5, slopes, "–"),
            "ΔAICc": _pairs(chosen["evidence"], chosen["evidence_error"]),
        }
    )


def typeset_times(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """`times_table` in words on the critical line: a row an architecture and dimension, a column a size."""
    chosen = series_of_sizes(on_critical_line(table, level))
    chosen = chosen.assign(shown=_pairs(chosen["training_time"], chosen["error"])).rename(columns={"dimension": "d"})
    wide = chosen.pivot_table(
        index=["d", "architecture"], columns="size", values="shown", aggfunc="first", sort=False, fill_value=""
    )
    return wide[sorted(wide.columns)].reset_index().rename(columns=str).rename_axis(columns=None)


def _pairs(values: Iterable[float], errors: Iterable[float]) -> list[str]:
    """Values with their errors in parentheses; what is left of a zero by rounding is zero."""
    return [
        parentheses(round(value, 12) + 0.0, round(error, 12)) if np.isfinite(value) else "–"
        for value, error in zip(values, errors, strict=True)
    ]


def tabular(table: pd.DataFrame, columns: str, networks: Mapping[str, Architecture]) -> str:
    """A table in words as a LaTeX tabular with the rules of booktabs.

    Args:
        table: its cells as they are to be read.
        columns: 'lrc…', one a column.
        networks: of `csd.study.summaries.columns.networks_of`.
    """
    words = table.copy()
    if "architecture" in words:
        words["architecture"] = [looks.name(networks.get(label, label)) for label in words["architecture"]]
    text = words.to_latex(index=False, escape=True, column_format=columns)
    for character, command in SIGNS.items():
        text = text.replace(character, command)
    return re.sub(r"(?<![\w(])-(?=\d)", "$-$", text)
