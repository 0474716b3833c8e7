"""Tables of a study: what was claimed, the laws, and the training times; as data, and as LaTeX."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.diffusion.criteria import WORDS
from csd.networks import Architecture
from csd.report.paper.numbers import ran
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import networks_of
from csd.study.summaries.laws import with_criterion
from csd.targets.labels import target_label


def claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a value of a test: claim, measure, quantity, architecture, reference, dimension, noise_level, …"""
    table = pd.DataFrame([{"claim": claim["id"], **test} for claim in claims for test in claim["tests"]])
    accepted = table.pop("accepted")
    return table.assign(accepted_from=[low for low, _ in accepted], accepted_to=[high for _, high in accepted])


KINDS = {"training_time": "training", "generation_training_time": "generation", "integrator_steps": "integrator steps"}
"""Quantities of a table of laws, in a word."""
PREDICTED = {f"predicted_{quantity}": quantity for quantity in KINDS}
"""What quantities of theory predict."""
ABOUT = {"training_time": "", "generation_training_time": ", samples", "integrator_steps": ", steps"}
ABOUT |= {"autocorrelation_time": ", τ", "autocorrelation_updates": ", τ in updates"}
"""What a claim's measure is of, where it is not in the quantity's own words."""

KEYS = ["quantity", "criterion", "architecture", "dimension", "noise_level", "data"]
LAWS = [*KEYS, "sizes", "exponent", "error", "evidence", "evidence_error", "z", "z_error", "z_systematic_error"]
LAWS += ["predicted_exponent", "log_slope", "log_slope_error"]


def table_of_exponents(scaling: pd.DataFrame, networks: Mapping[str, Architecture]) -> pd.DataFrame:
    """Power laws on the critical line, measured beside predicted, with the nested law's z and the log law: `LAWS`.

    The prediction for integrator steps is that of the law N^{1/(2p)}.

    Args:
        scaling: of `csd fit`.
        networks: of `csd.study.summaries.columns.networks_of`.
    """
    if "exponent" not in scaling:
        return pd.DataFrame(columns=LAWS)
    own = with_criterion(scaling[scaling["mass"] == target_label(mass_times_length=1.0)])
    power, log, nested = (own[own["law"] == law] for law in ("power", "log", "boxcox"))
    is_theory = power["quantity"].isin(PREDICTED)
    predicted = power[is_theory].assign(quantity=power["quantity"].map(PREDICTED))
    of_run = [*KEYS, "study"]
    table = power[~is_theory].reindex(columns=[*of_run, "sizes", "exponent", "error", "evidence", "evidence_error"])
    for other, names in (
        (predicted, {"exponent": "predicted_exponent"}),
        (log, {"exponent": "log_slope", "error": "log_slope_error"}),
        (nested, {"exponent": "z", "error": "z_error", "systematic_error": "z_systematic_error"}),
    ):
        table = table.merge(other.reindex(columns=[*of_run, *names]).rename(columns=names), how="left", on=of_run)
    if "reference" in power:
        by_law = power[power["quantity"] == "integrator_steps"].set_index(of_run)["reference"]
        found = by_law.reindex(pd.MultiIndex.from_frame(table[of_run])).to_numpy()
        table["predicted_exponent"] = table["predicted_exponent"].fillna(pd.Series(found, index=table.index))
    keys = ["quantity", "criterion", "dimension", "noise_level"]
    return _sorted(table[LAWS], keys, [False, True, True, True], networks)


def _sorted(
    table: pd.DataFrame, keys: Sequence[str], ascending: Sequence[bool], networks: Mapping[str, Architecture]
) -> pd.DataFrame:
    """A table in the order of its keys, then of architectures as figures have them."""
    from csd.report.figures import looks

    order = {family: place for place, family in enumerate(looks.FAMILIES)}
    place = [order.get(looks.family(networks.get(label, label)), len(order)) for label in table["architecture"]]
    by = table.assign(place=place).sort_values([*keys, "place", "architecture"], ascending=[*ascending, True, True])
    return by.drop(columns="place")


TIMES = ["architecture", "dimension", "noise_level", "data", "size", "training_time", "error"]
TIMES += ["predicted_training_time", "parameters"]


def times_table(summary: xr.Dataset) -> pd.DataFrame:
    """Training times on the critical line at every size and noise level, measured beside predicted: `TIMES`."""
    rows = []
    for run in range(summary.sizes["run"]):
        own = summary.isel(run=run)
        if float(own["mass_times_length"]) != 1.0 or int(own["data_set"]):
            continue
        names = {name: str(own[name].values) for name in ("architecture", "data")}
        counts = {name: int(own[name]) for name in ("dimension", "size", "parameters")}
        for level in summary["noise_level"].values:
            at = own.sel(noise_level=level)
            mean, error = mean_over_seeds(at["training_time"].values, ran=ran(at))
            predicted, _ = mean_over_seeds(at["predicted_training_time"].values, ran=ran(at))
            found = {"training_time": mean, "error": error, "predicted_training_time": predicted}
            rows.append({**names, **counts, "noise_level": level, **found})
    table = pd.DataFrame(rows, columns=TIMES)
    return _sorted(table, ["dimension", "noise_level"], [True, True], networks_of([summary]))


def typeset_claims(table: pd.DataFrame) -> pd.DataFrame:
    """`claims_table` in words, a row a claim and measure: how many values, from where to where, and the verdict."""
    rows = []
    by = ["claim", "measure", "quantity", "criterion", "architecture"]
    for (claim, measure, quantity, right, architecture), values in table.groupby(by, sort=False):
        known = values.dropna(subset=["measured"])
        low, high = values["accepted_from"].iloc[0], values["accepted_to"].iloc[0]
        ends = [known["measured"].idxmin(), known["measured"].idxmax()] if len(known) > 1 else list(known.index)
        shown = [parentheses(known.loc[end, "measured"], known.loc[end, "error"] or 0.0) for end in ends]
        about = ABOUT.get(quantity, f", {quantity.replace('_', ' ')}") + (f" by {WORDS[right]}" if right else "")
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
    return pd.DataFrame(rows)


VERDICTS = ("fails", "incomplete", "not tested", "undecided", "holds")
"""From the worst to the best; several values have the worst of theirs."""


def typeset_exponents(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """`table_of_exponents` in words: at one noise level, for generation, for integrator steps where a law is known."""
    chosen = table[(table["noise_level"] == level) | table["noise_level"].isna()]
    chosen = chosen[(chosen["quantity"] != "integrator_steps") | chosen["predicted_exponent"].notna()]
    return pd.DataFrame(
        {
            "time": [
                KINDS.get(quantity, quantity.replace("_", " ")) + (f", {WORDS[right]}" if right else "")
                for quantity, right in zip(chosen["quantity"], chosen["criterion"], strict=True)
            ],
            "architecture": chosen["architecture"],
            "d": chosen["dimension"],
            "L": [f"{sizes.split()[0]} … {sizes.split()[-1]}" for sizes in chosen["sizes"]],
            "exponent": _pairs(chosen["exponent"], chosen["error"]),
            "theory": [f"{value:.3f}" if np.isfinite(value) else "–" for value in chosen["predicted_exponent"]],
            "z": _pairs(chosen["z"], np.hypot(chosen["z_error"], chosen["z_systematic_error"])),
            "slope in ln L": [
                parentheses(slope, error) if exponent < 0.5 and np.isfinite(slope) else "–"
                for slope, error, exponent in zip(
                    chosen["log_slope"], chosen["log_slope_error"], chosen["exponent"], strict=True
                )
            ],
            "ΔAICc": _pairs(chosen["evidence"], chosen["evidence_error"]),
        }
    )


def typeset_times(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """`times_table` in words at one noise level: a row an architecture and dimension, a column a size."""
    chosen = table[table["noise_level"] == level]
    grown = chosen.groupby(["architecture", "dimension", "data"])["size"].transform("nunique") >= 3
    chosen = chosen[grown]
    chosen = chosen.assign(shown=_pairs(chosen["training_time"], chosen["error"])).rename(columns={"dimension": "d"})
    wide = chosen.pivot_table(
        index=["d", "architecture"], columns="size", values="shown", aggfunc="first", sort=False, fill_value=""
    )
    return wide[sorted(wide.columns)].reset_index().rename(columns=str).rename_axis(columns=None)


def _pairs(values: Iterable[float], errors: Iterable[float]) -> list[str]:
    """Values with their errors in parentheses."""
    return [
        parentheses(value, error) if np.isfinite(value) else "–" for value, error in zip(values, errors, strict=True)
    ]


def tabular(table: pd.DataFrame, columns: str, networks: Mapping[str, Architecture]) -> str:
    """A table of words as a LaTeX tabular with the rules of booktabs.

    Args:
        table: its cells as they are to be read.
        columns: 'lrc…', one a column.
        networks: of `csd.study.summaries.columns.networks_of`.
    """
    from csd.report.figures import looks

    words = table.copy()
    if "architecture" in words:
        words["architecture"] = [looks.name(networks.get(label, label)) for label in words["architecture"]]
    words = words.map(_latex).rename(columns=_latex)
    styled = words.style.hide(axis="index")
    return str(styled.to_latex(hrules=True, column_format=columns))


def _latex(cell: Any) -> str:
    """A cell's text, with what LaTeX would misread."""
    text = str(cell)
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    for character, command in (
        (r" ξ\$\_t\$", r"\,$\xi_t$"),
        ("ξ", r"$\xi$"),
        ("χ", r"$\chi$"),
        ("τ", r"$\tau$"),
        ("Δ", r"$\Delta$"),
        ("≤", r"$\leq$"),
        ("≥", r"$\geq$"),
        (" … ", " to "),
        ("–", "--"),
    ):
        text = text.replace(character, command)
    return re.sub(r"(?<![\w(])-(?=\d)", "$-$", text)
