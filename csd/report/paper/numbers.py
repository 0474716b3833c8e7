"""Numbers of a study as LaTeX macros, each with its error in the digits that the error allows."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.study.rounding import parentheses, rounded
from csd.study.seeds import mean_over_seeds, total_error
from csd.study.summaries.laws import DATA as INTEGRATOR_DATA
from csd.study.summaries.laws import with_criterion
from csd.targets.labels import target_label

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Point")
SPELLED = dict(zip("0123456789.", DIGITS, strict=True))
DIMENSIONS = {1: "OneD", 2: "TwoD", 3: "ThreeD"}
QUANTITIES = {
    "training_time": "",
    "predicted_training_time": "Predicted",
    "generation_training_time": "Generation",
    "predicted_generation_training_time": "PredictedGeneration",
}
"""Quantities of a table of scaling laws, and how their macros begin."""
LAWS = {"power": ("Exponent", "exponent"), "log": ("LogSlope", "slope in ln L"), "boxcox": ("Nested", "nested z")}
"""How macros of a law go on, and what they are in words."""


@dataclass(frozen=True)
class QuotedNumber:
    """A number that a paper may quote.

    Attributes:
        name: of its macro, without the backslash: letters only.
        value: the number.
        error: its standard error; 0 for what has none.
        meaning: what it is, in words.
    """

    name: str
    value: float
    error: float
    meaning: str


@dataclass(frozen=True)
class Usual:
    """What a macro's name leaves out: one noise level and one kind of data a quantity.

    Attributes:
        level: noise level.
        data: loss and data of fresh fields, by prefix of the quantity.
    """

    level: float
    data: Mapping[str, str]

    def suffix(self, prefix: str, mass: str, data: str, level: float) -> str:
        """What distinguishes a number from the one that its name would suggest."""
        # The critical line m = 1/L goes without saying.
        words = "" if mass == target_label(mass_times_length=1.0) else f"Mass{spelled(mass)}"
        words += "" if data == self.data.get(prefix) else f"Data{spelled(data)}"
        return words + ("" if not np.isfinite(level) or level == self.level else f"At{spelled(f'{level:g}')}")


def spelled(text: str) -> str:
    """A name or a number in letters only, as TeX wants its macros: 'deep_linear-p3' is DeepLinearPThree."""
    words = re.sub(r"\d+(\.\d+)*", lambda found: f" {''.join(SPELLED[digit] for digit in found[0])} ", text)
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z]+", words))


def numbers(
    claims: Sequence[Mapping[str, Any]], scaling: pd.DataFrame, summaries: Mapping[str, xr.Dataset], usual: Usual
) -> list[QuotedNumber]:
    """All numbers of a study: claims, exponents and slopes, times at every size, parameters.

    Args:
        claims: content of claims.json.
        scaling: of `csd fit`.
        summaries: 'training', and 'generation' if the study has one.
        usual: what names leave out.

    Raises:
        InputError: if two numbers would have one name.
    """
    found = [*_claims(claims), *_laws(scaling, usual)]
    for kind, summary in summaries.items():
        found += _times(summary, "Generation" if kind == "generation" else "", usual)
    meanings: dict[str, str] = {}
    for number in found:
        other = meanings.setdefault(number.name, number.meaning)
        if other != number.meaning:
            raise InputError(
                f"'{other}' and '{number.meaning}' would both be the macro \\{number.name};"
                " rename an architecture, or give the second a study of its own"
            )
    return found


def usual_data(summaries: Mapping[str, xr.Dataset], level: float) -> Usual:
    """The noise level of the figures, and the kind of data that most runs on the critical line have."""
    data = {"IntegratorSteps": INTEGRATOR_DATA}
    for kind, summary in summaries.items():
        prefix = "Generation" if kind == "generation" else ""
        table = summary[["data", "mass_times_length", "data_set"]].to_dataframe()
        table = table[(table["mass_times_length"] == 1.0) & (table["data_set"] == 0)]
        if len(table):
            data[prefix] = data[f"Predicted{prefix}"] = str(table["data"].mode()[0])
    return Usual(level, data)


def _claims(claims: Sequence[Mapping[str, Any]]) -> Iterator[QuotedNumber]:
    """The number that stands beside each verdict."""
    for claim in claims:
        if claim["measured"] is not None:
            name, meaning = f"csdClaim{spelled(claim['id'])}", f"claim {claim['id']}"
            yield QuotedNumber(name, claim["measured"], claim["error"] or 0.0, meaning)


def _laws(scaling: pd.DataFrame, usual: Usual) -> Iterator[QuotedNumber]:
    """Exponents of power laws, slopes of log laws, z of the nested law, and the evidence between the first two."""
    if "exponent" not in scaling:
        return
    rows = with_criterion(scaling[scaling["law"].isin(LAWS)])
    alike = ["quantity", "criterion", "architecture", "dimension", "mass", "data", "noise_level", "law"]
    twice = rows.duplicated(alike, keep=False)
    for (_, row), again in zip(rows.iterrows(), twice, strict=True):
        prefix = QUANTITIES.get(row["quantity"], spelled(row["quantity"]))
        where = spelled(row["architecture"]) + DIMENSIONS[row["dimension"]]
        where += spelled(row["criterion"]) + usual.suffix(prefix, row["mass"], row["data"], row["noise_level"])
        where += f"Sweep{spelled(row['study'])}" if again else ""
        at = "" if np.isnan(row["noise_level"]) else f", t = {row['noise_level']:g}"
        right = f" by {row['criterion'].replace('_', ' ')}" if row["criterion"] else ""
        about = f"{row['quantity'].replace('_', ' ')}{right}, {row['architecture']}, d = {row['dimension']}{at}"
        about += f", {row['mass']}, {row['data']}, L = {row['sizes']}" + (f", sweep {row['study']}" if again else "")
        kind, words = LAWS[row["law"]]
        error = total_error(row) if row["law"] == "boxcox" else row["error"]
        yield QuotedNumber(f"csd{prefix}{kind}{where}", row["exponent"], error, f"{words} of {about}")
        if row["law"] == "power" and np.isfinite(row["evidence"]):
            error, meaning = float(row.get("evidence_error", np.nan)), f"ΔAICc for the log law of {about}"
            yield QuotedNumber(f"csd{prefix}Evidence{where}", row["evidence"], error, meaning)


def _times(summary: xr.Dataset, prefix: str, usual: Usual) -> Iterator[QuotedNumber]:
    """Training times at every size, measured and predicted, and parameters."""
    quantity = "generation_training_time" if prefix else "training_time"
    levels = [np.nan] if prefix else summary["noise_level"].values
    criteria = [str(name) for name in summary["criterion"].values] if prefix else [""]
    for run in range(summary.sizes["run"]):
        own = summary.isel(run=run)
        if prefix and int(own["size"]) != int(own["trained_size"]):
            continue
        architecture, dimension, size = str(own["architecture"].values), int(own["dimension"]), int(own["size"])
        mass, data = str(own["mass_label"].values), str(own["data"].values)
        where = f"{spelled(architecture)}{DIMENSIONS[dimension]}Size{spelled(str(size))}"
        words = f"{architecture}, d = {dimension}, L = {size}, {mass}, {data}"
        if not prefix:
            name = f"csdParameters{where}{usual.suffix(prefix, mass, data, np.nan)}"
            yield QuotedNumber(name, float(own["parameters"]), 0.0, f"parameters of {words}")
        for level, right in product(levels, criteria):
            at = own.sel(criterion=right) if prefix else own.sel(noise_level=level)
            suffix = spelled(right) + usual.suffix(prefix, mass, data, level)
            by, shown = (f" by {right.replace('_', ' ')}", "") if prefix else ("", f", t = {level:g}")
            for kind in ("", "predicted_"):
                values = at[f"{kind}{quantity}"].values
                mean, error = mean_over_seeds(np.atleast_1d(values), ran=ran(at) if np.ndim(values) else True)
                if np.isfinite(mean):
                    name = f"csd{kind.rstrip('_').capitalize()}{prefix}Time{where}{suffix}"
                    meaning = f"{kind.replace('_', ' ')}{quantity.replace('_', ' ')}{by} in steps of {words}{shown}"
                    # A prediction is a number of its own, not a sample.
                    yield QuotedNumber(name, mean, 0.0 if kind else error, meaning)


def ran(own: xr.Dataset) -> Any:
    """Whether each seed of a run was run, at one noise level or in generation; shape (seeds,)."""
    return np.isfinite(own["kl_per_site" if "kl_per_site" in own else "score_error"].isel(step=0).values)


def macros(found: Iterable[QuotedNumber], claims: Sequence[Mapping[str, Any]]) -> str:
    """The file of macros: for each number itself, and its value and error where it has an error; a claim's verdict."""
    lines = []
    for number in found:
        value, error = rounded(number.value, number.error)
        lines += [f"% {number.meaning}", _macro(number.name, _typeset(parentheses(number.value, number.error)))]
        if error:
            lines += [_macro(f"{number.name}Value", _typeset(value)), _macro(f"{number.name}Error", error)]
    lines += [_macro(f"csdClaim{spelled(claim['id'])}Verdict", claim["verdict"]) for claim in claims]
    return "\n".join(lines) + "\n"


def _macro(name: str, text: str) -> str:
    """The definition of a macro."""
    return f"\\newcommand{{\\{name}}}{{{text}}}"


def _typeset(text: str) -> str:
    """A number with a minus sign and a power of ten as mathematics, in and out of it."""
    if match := re.fullmatch(r"(.*)e([+-]\d+)", text):
        return rf"\ensuremath{{{match[1]}\times 10^{{{int(match[2])}}}}}"
    return rf"\ensuremath{{{text}}}" if text.startswith("-") else text
