"""Numbers that a paper quotes, as LaTeX macros: each with its error in parentheses, in units of the last digit."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError
from csd.report.paper.tables import on_critical_line, series_of_sizes
from csd.study.rounding import parentheses, rounded

NAMING = Path(__file__).with_name("naming.tex")
"""The rule of the macros' names, and what they are made of."""
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Point")
SPELLED = dict(zip("0123456789.", DIGITS, strict=True))
DIMENSIONS = {1: "OneD", 2: "TwoD", 3: "ThreeD"}
TRAINING = "training_time"
TIMES = {TRAINING: "", "generation_training_time": "Generation"}
"""How names of the laws of a quantity begin, where that is not the quantity itself."""
LAWS = {
    "Exponent": ("exponent", "error", "exponent"),
    "PredictedExponent": ("predicted_exponent", "", "predicted exponent"),
    "LogSlope": ("log_slope", "log_slope_error", "slope in ln L"),
    "Nested": ("z", "z_total_error", "nested z"),
    "Evidence": ("evidence", "evidence_error", "ΔAICc for the log law"),
}
"""Numbers of a law: columns of value and error in `csd.report.paper.tables.table_of_exponents`, and words."""


@dataclass(frozen=True)
class QuotedNumber:
    """A number, or a word, that a paper may quote.

    Attributes:
        name: of its macro, without the backslash: letters only.
        value: the number; a word, or a number whose digits are chosen already, as it is to be read.
        error: its standard error; 0 or NaN where none is known.
        meaning: the number in words.
    """

    name: str
    value: float | str
    error: float
    meaning: str


def spelled(text: str) -> str:
    """A name or a number in letters only, as TeX wants its macros: 'deep_linear-p3' is DeepLinearPThree."""
    words = re.sub(r"\d+(\.\d+)*", lambda found: f" {''.join(SPELLED[digit] for digit in found[0])} ", text)
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z]+", words))


def macro_name(quantity: str, architecture: str, dimension: int, criterion: str = "") -> str:
    """The name of a macro, without its backslash: csdExponentOneLayerTwoD."""
    return f"csd{quantity}{spelled(architecture)}{DIMENSIONS[dimension]}{spelled(criterion)}"


def numbers(
    claims: Sequence[Mapping[str, Any]], laws: pd.DataFrame, times: pd.DataFrame, level: float
) -> list[QuotedNumber]:
    """The numbers of claims, laws and largest sizes.

    Args:
        claims: content of claims.json.
        laws: of `csd.report.paper.tables.table_of_exponents`.
        times: of `csd.report.paper.tables.times_table`.
        level: the noise level of the figures.

    Raises:
        InputError: if two numbers would have one name.
    """
    found = [*_of_claims(claims), *_of_laws(laws, level), *_of_largest_sizes(times, level)]
    meanings: dict[str, str] = {}
    for number in found:
        other = meanings.setdefault(number.name, number.meaning)
        if other != number.meaning:
            raise InputError(
                f"'{other}' and '{number.meaning}' would both be the macro \\{number.name};"
                " rename an architecture, or give the second a study of its own"
            )
    return found


def _of_claims(claims: Sequence[Mapping[str, Any]]) -> Iterator[QuotedNumber]:
    """Each verdict, and the number beside it."""
    for claim in claims:
        name, meaning = f"csdClaim{spelled(claim['id'])}", f"claim {claim['id']}"
        if claim["measured"] is not None:
            yield QuotedNumber(name, claim["measured"], claim["error"] or 0.0, meaning)
        yield QuotedNumber(f"{name}Verdict", claim["verdict"], 0.0, f"verdict on {meaning}")


def _of_laws(laws: pd.DataFrame, level: float) -> Iterator[QuotedNumber]:
    """Numbers of laws; of several sweeps with one architecture and dimension, those of the one with the most sizes."""
    chosen = on_critical_line(laws, level)
    counts = chosen["sizes"].str.split().str.len()
    chosen = chosen.loc[counts.sort_values(ascending=False, kind="stable").index]
    by = ["quantity", "criterion", "architecture", "dimension"]
    for _, row in chosen.drop_duplicates(by).sort_index().iterrows():
        time = TIMES.get(row["quantity"], spelled(row["quantity"]))
        of = f"{row['quantity']} {row['criterion'] and 'by '}{row['criterion']}".strip().replace("_", " ")
        about = f"{of}, {row['architecture']}, d = {row['dimension']}, {row['data']}, L = {row['sizes']}"
        row["z_total_error"] = np.hypot(row["z_error"], row["z_systematic_error"])
        # All of training, of samples no second law, and of other times, which have a power law alone, that.
        count = len(LAWS) if row["quantity"] == TRAINING else 3 if row["quantity"] in TIMES else 2
        for quantity, (value, error, words) in list(LAWS.items())[:count]:
            if np.isfinite(row[value]):
                name = macro_name(time + quantity, row["architecture"], row["dimension"], row["criterion"])
                # What is left of a zero by rounding is zero; theory has no error to say how many digits it has.
                shown = round(row[value], 12) + 0.0 if error else f"{row[value]:.3f}"
                yield QuotedNumber(name, shown, round(row[error], 12) if error else 0.0, f"{words} of {about}")


def _of_largest_sizes(times: pd.DataFrame, level: float) -> Iterator[QuotedNumber]:
    """Size, training time and parameters at the largest size of each series."""
    chosen = series_of_sizes(on_critical_line(times, level)).sort_values("size", kind="stable")
    for _, row in chosen.drop_duplicates(["architecture", "dimension"], keep="last").sort_index().iterrows():
        about = f"{row['architecture']}, d = {row['dimension']}, L = {row['size']}, {row['data']}"
        for quantity, value, error, words in (
            ("Size", "size", 0.0, "largest size"),
            ("Time", "training_time", row["error"], "training time in steps"),
            ("PredictedTime", "predicted_training_time", 0.0, "predicted training time in steps"),
            ("Parameters", "parameters", 0.0, "parameters"),
        ):
            if np.isfinite(row[value]):
                name = macro_name(quantity, row["architecture"], row["dimension"])
                yield QuotedNumber(name, float(row[value]), error, f"{words} of {about}")


def settings(summary: xr.Dataset, times: pd.DataFrame, level: float) -> Iterator[QuotedNumber]:
    """Settings that most runs on the critical line have, and versions of software.

    Args:
        summary: of training.
        times: of `csd.report.paper.tables.times_table`.
        level: the noise level of the figures.
    """
    chosen = on_critical_line(times, level)
    found = {"NoiseLevel": (f"{level:g}", "noise level")}
    # A study whose sweeps all generate has no runs of training alone.
    for _, usual in (
        (chosen if len(chosen) else times)[["data", "loss", "tolerance", "seeds"]].mode().head(1).iterrows()
    ):
        found |= {
            "Loss": (usual["loss"], "loss"),
            "Tolerance": (f"{usual['tolerance']:g}", "tolerance of the relative score error"),
            "Seeds": (f"{usual['seeds']}", "seeds of a run"),
        }
        if batch := re.search(r"-B(\d+)", usual["data"]):
            found["Batch"] = batch[1], "fields in a batch"
    found |= {
        "Runs": (f"{summary.sizes['run']}", "runs of training"),
        "Configuration": (summary.attrs["configuration_hash"], "hash of the configuration"),
        "Commit": (summary.attrs["csd_commit"], "commit of csd"),
        "VersionCsd": (summary.attrs["csd_version"], "version of csd"),
    }
    for package, version in json.loads(summary.attrs.get("package_versions", "{}")).items():
        found[f"Version{spelled(package)}"] = version, f"version of {package}"
    for name, (value, meaning) in found.items():
        yield QuotedNumber(f"csd{name}", str(value), 0.0, meaning)


def macros(found: Iterable[QuotedNumber]) -> str:
    """The file of macros: the rule of their names, and each with its meaning in a comment above."""
    head = NAMING.read_text(encoding="utf-8")
    return head + "".join(f"% {one.meaning}\n\\newcommand{{\\{one.name}}}{{{_content(one)}}}\n" for one in found)


def _content(number: QuotedNumber) -> str:
    """A word in LaTeX; of a number the value with its error, the value, and the error, empty if none is known."""
    if isinstance(number.value, str):
        return _typeset(number.value.replace("_", r"\_"))
    value, error = rounded(number.value, number.error)
    whole = _typeset(parentheses(number.value, number.error))
    return rf"\csdnumber{{{whole}}}{{{_typeset(value)}}}{{{error}}}"


def _typeset(text: str) -> str:
    """A number, whose minus sign and power of ten are set as mathematics in text too."""
    if match := re.fullmatch(r"(.*)e([+-]\d+)", text):
        return rf"\ensuremath{{{match[1]}\times 10^{{{int(match[2])}}}}}"
    return rf"\ensuremath{{{text}}}" if text.startswith("-") else text
