"""A paper's numbers, tables and figures, made from the summaries of a study and from nothing else.

Every number is a LaTeX macro, so that no digit is typed by hand: `\\csdExponentOneLayerTwoD` is 1.9994(4); with `Value`
or `Error` at its end it is 1.9994, or 0.0004.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.config import FigureStyle, summary_of
from csd.errors import InputError
from csd.figures import draw
from csd.store import write_text

SOURCE = Path(__file__).with_name("paper.tex")
"""The paper itself."""

SPELLED = dict(
    zip(
        "0123456789.",
        ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Point"],
        strict=True,
    )
)
DIMENSIONS = {1: "OneD", 2: "TwoD", 3: "ThreeD"}
QUANTITIES = {
    "training_time": "",
    "predicted_training_time": "Predicted",
    "generation_training_time": "Generation",
    "predicted_generation_training_time": "PredictedGeneration",
}
"""Quantities of a table of scaling laws, and how their macros begin."""

USUAL_MASS = "mL1"
"""The critical line m = 1/L goes without saying."""


@dataclass(frozen=True)
class Number:
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
        words = "" if mass == USUAL_MASS else f"Mass{spelled(mass)}"
        words += "" if data == self.data.get(prefix) else f"Data{spelled(data)}"
        return words + ("" if not np.isfinite(level) or level == self.level else f"At{spelled(f'{level:g}')}")


def spelled(text: str) -> str:
    """A name or a number in letters only, as TeX wants its macros: 'deep_linear-p3' is DeepLinearPThree."""
    words = re.sub(r"\d+(\.\d+)*", lambda found: f" {''.join(SPELLED[digit] for digit in found[0])} ", text)
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z]+", words))


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error to the digits that the error allows: one of its own, two where it begins with 1.

    Returns:
        Decimals of the same length; the error is empty where there is none, and the value then has four digits.
    """
    if not error > 0.0 or not np.isfinite(error):
        return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e7 else f"{value:.4g}", ""
    leading = int(np.floor(np.log10(error)))
    decimals = (1 if error / 10.0**leading < 2.0 else 0) - leading
    shown = max(decimals, 0)
    return f"{round(value, decimals):.{shown}f}", f"{round(error, decimals):.{shown}f}"


def parentheses(value: float, error: float) -> str:
    """A value with its error in units of the last digit: 1.9994(4); 16000(12000) where that is not a decimal."""
    shown, spread = rounded(value, error)
    digits = spread.replace(".", "").lstrip("0")
    return f"{shown}({digits})" if digits else shown


def numbers(
    claims: Sequence[Mapping[str, Any]], scaling: pd.DataFrame, summaries: Mapping[str, xr.Dataset], usual: Usual
) -> list[Number]:
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
    data: dict[str, str] = {}
    for kind, summary in summaries.items():
        prefix = "Generation" if kind == "generation" else ""
        table = summary[["data", "mass_label", "data_set"]].to_dataframe()
        table = table[(table["mass_label"] == USUAL_MASS) & (table["data_set"] == 0)]
        if len(table):
            data[prefix] = data[f"Predicted{prefix}"] = str(table["data"].mode()[0])
    return Usual(level, data)


def _claims(claims: Sequence[Mapping[str, Any]]) -> Iterator[Number]:
    """The number that stands beside each verdict."""
    for claim in claims:
        if claim["measured"] is not None:
            yield Number(
                f"csdClaim{spelled(claim['id'])}", claim["measured"], claim["error"] or 0.0, f"claim {claim['id']}"
            )


def _laws(scaling: pd.DataFrame, usual: Usual) -> Iterator[Number]:
    """Exponents of power laws, slopes of log laws, and what decides between the two."""
    if "exponent" not in scaling:
        return
    for _, row in scaling[scaling["law"].isin(["power", "log"])].iterrows():
        prefix = QUANTITIES[row["quantity"]]
        where = spelled(row["architecture"]) + DIMENSIONS[row["dimension"]]
        where += usual.suffix(prefix, row["mass"], row["data"], row["noise_level"])
        at = "" if np.isnan(row["noise_level"]) else f", t = {row['noise_level']:g}"
        about = f"{row['quantity'].replace('_', ' ')}, {row['architecture']}, d = {row['dimension']}{at}"
        about += f", {row['mass']}, {row['data']}, L = {row['sizes']}"
        if row["law"] == "power":
            yield Number(f"csd{prefix}Exponent{where}", row["exponent"], row["error"], f"exponent of {about}")
            if np.isfinite(row["evidence"]):
                yield Number(f"csd{prefix}Evidence{where}", row["evidence"], 0.0, f"ΔAICc for the log law of {about}")
        else:
            yield Number(f"csd{prefix}LogSlope{where}", row["exponent"], row["error"], f"slope in ln L of {about}")


def _times(summary: xr.Dataset, prefix: str, usual: Usual) -> Iterator[Number]:
    """Training times at every size, measured and predicted, and parameters."""
    quantity = "generation_training_time" if prefix else "training_time"
    levels = [np.nan] if prefix else summary["noise_level"].values
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
            yield Number(name, float(own["parameters"]), 0.0, f"parameters of {words}")
        for level in levels:
            at = own if prefix else own.sel(noise_level=level)
            suffix, shown = usual.suffix(prefix, mass, data, level), "" if prefix else f", t = {level:g}"
            for kind in ("", "predicted_"):
                values = at[f"{kind}{quantity}"].values
                mean, error = over_seeds(values, _ran(at) if np.ndim(values) else True)
                if np.isfinite(mean):
                    name = f"csd{kind.rstrip('_').capitalize()}{prefix}Time{where}{suffix}"
                    meaning = f"{kind.replace('_', ' ')}{quantity.replace('_', ' ')} in steps of {words}{shown}"
                    # A prediction is a number of its own, not a sample.
                    yield Number(name, mean, 0.0 if kind else error, meaning)


def over_seeds(values: Any, ran: Any = True) -> tuple[float, float]:
    """Mean over seeds and its standard error; (NaN, 0) where none ran, or one that ran never arrived.

    Args:
        values: one number a seed, or one alone; NaN where it never arrived.
        ran: whether a seed was run, same shape.
    """
    there = np.atleast_1d(np.asarray(values, dtype=float))
    there = there[np.broadcast_to(ran, there.shape)]
    # The mean of those that arrived would be too small.
    if not there.size or not np.isfinite(there).all():
        return float("nan"), 0.0
    return float(there.mean()), float(there.std(ddof=1) / np.sqrt(there.size)) if there.size > 1 else 0.0


def _ran(own: xr.Dataset) -> Any:
    """Whether each seed of a run was run, at one noise level or in generation; shape (seeds,)."""
    return np.isfinite(own["kl_per_site" if "kl_per_site" in own else "score_error"].isel(step=0).values)


def macros(found: Iterable[Number], claims: Sequence[Mapping[str, Any]]) -> str:
    """The file of macros: for each number itself, and its value and error where it has an error; a claim's verdict."""
    lines = []
    for number in found:
        value, error = rounded(number.value, number.error)
        lines.append(f"% {number.meaning}")
        lines.append(f"\\newcommand{{\\{number.name}}}{{{_typeset(parentheses(number.value, number.error))}}}")
        if error:
            lines.append(f"\\newcommand{{\\{number.name}Value}}{{{_typeset(value)}}}")
            lines.append(f"\\newcommand{{\\{number.name}Error}}{{{error}}}")
    for claim in claims:
        lines.append(f"\\newcommand{{\\csdClaim{spelled(claim['id'])}Verdict}}{{{claim['verdict']}}}")
    return "\n".join(lines) + "\n"


def _typeset(text: str) -> str:
    """A number with a minus sign and a power of ten as mathematics, in and out of it."""
    if match := re.fullmatch(r"(.*)e([+-]\d+)", text):
        return rf"\ensuremath{{{match[1]}\times 10^{{{int(match[2])}}}}}"
    return rf"\ensuremath{{{text}}}" if text.startswith("-") else text


def claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a value of a test: claim, measure, quantity, architecture, reference, dimension, noise_level, …"""
    rows = [{"claim": claim["id"], **test} for claim in claims for test in claim["tests"]]
    table = pd.DataFrame(rows)
    low_high = table.pop("accepted")
    return table.assign(
        accepted_from=[low for low, _ in low_high],
        accepted_to=[high for _, high in low_high],
    )


LAWS = ["quantity", "architecture", "dimension", "noise_level", "data", "sizes", "exponent", "error", "evidence"]
LAWS += ["predicted_exponent", "log_slope", "log_slope_error"]


def exponents_table(scaling: pd.DataFrame) -> pd.DataFrame:
    """Power laws on the critical line, measured beside predicted, with slope and evidence of the log law: `LAWS`."""
    if "exponent" not in scaling:
        return pd.DataFrame(columns=LAWS)
    own = scaling[scaling["mass"] == USUAL_MASS]
    power, log = own[own["law"] == "power"], own[own["law"] == "log"]
    is_theory = power["quantity"].str.startswith("predicted").astype(bool)
    predicted = power[is_theory].assign(quantity=power["quantity"].str.removeprefix("predicted_"))
    of_run = ["quantity", "architecture", "dimension", "noise_level", "data", "study"]
    table = power[~is_theory][[*of_run, "sizes", "exponent", "error", "evidence"]]
    for other, names in (
        (predicted, {"exponent": "predicted_exponent"}),
        (log, {"exponent": "log_slope", "error": "log_slope_error"}),
    ):
        table = table.merge(other[[*of_run, *names]].rename(columns=names), how="left", on=of_run)
    return _sorted(table[LAWS], ["quantity", "dimension", "noise_level"], ascending=[False, True, True])


def _sorted(table: pd.DataFrame, keys: Sequence[str], ascending: Sequence[bool]) -> pd.DataFrame:
    """A table in the order of its keys, then of architectures as figures have them."""
    from csd.figures import style as looks

    order = {label: place for place, label in enumerate(looks.COLOURS)}
    place = [order.get(looks.family(label), len(order)) for label in table["architecture"]]
    by = table.assign(place=place).sort_values([*keys, "place", "architecture"], ascending=[*ascending, True, True])
    return by.drop(columns="place")


TIMES = ["architecture", "dimension", "noise_level", "data", "size", "training_time", "error"]
TIMES += ["predicted_training_time", "parameters"]


def times_table(summary: xr.Dataset) -> pd.DataFrame:
    """Training times on the critical line at every size and noise level, measured beside predicted: `TIMES`."""
    rows = []
    for run in range(summary.sizes["run"]):
        own = summary.isel(run=run)
        if str(own["mass_label"].values) != USUAL_MASS or int(own["data_set"]):
            continue
        for level in summary["noise_level"].values:
            at = own.sel(noise_level=level)
            mean, error = over_seeds(at["training_time"].values, _ran(at))
            rows.append(
                {
                    "architecture": str(own["architecture"].values),
                    "dimension": int(own["dimension"]),
                    "noise_level": level,
                    "data": str(own["data"].values),
                    "size": int(own["size"]),
                    "training_time": mean,
                    "error": error,
                    "predicted_training_time": over_seeds(at["predicted_training_time"].values, _ran(at))[0],
                    "parameters": int(own["parameters"]),
                }
            )
    return _sorted(pd.DataFrame(rows, columns=TIMES), ["dimension", "noise_level"], ascending=[True, True])


def typeset_claims(claims: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> pd.DataFrame:
    """`claims_table` in words, a row a claim and measure: how many values, from where to where, and the verdict."""
    rows = []
    for claim in claims:
        own = table[table["claim"] == claim["id"]]
        for (measure, quantity, architecture), values in own.groupby(
            ["measure", "quantity", "architecture"], sort=False
        ):
            known = values.dropna(subset=["measured"])
            low, high = values["accepted_from"].iloc[0], values["accepted_to"].iloc[0]
            bound = f"≤ {high:g}" if pd.isna(low) else f"≥ {low:g}" if pd.isna(high) else f"{low:g} … {high:g}"
            ends = [known["measured"].idxmin(), known["measured"].idxmax()] if len(known) > 1 else list(known.index)
            shown = [parentheses(known.loc[end, "measured"], known.loc[end, "error"] or 0.0) for end in ends]
            rows.append(
                {
                    "claim": claim["id"],
                    "measure": f"{measure.replace('_', ' ')}{', samples' * (quantity != 'training_time')}",
                    "architecture": architecture,
                    "values": len(known),
                    "measured": " … ".join(dict.fromkeys(shown)) or "–",
                    "accepted": bound,
                    "verdict": _together(values["verdict"]),
                }
            )
    return pd.DataFrame(rows)


def _together(verdicts: pd.Series) -> str:
    """The verdict of several values: the worst of them."""
    there = set(verdicts)
    return next(verdict for verdict in ("fails", "not tested", "holds") if verdict in there)


def typeset_exponents(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """`exponents_table` in words, at one noise level and for generation."""
    chosen = table[(table["noise_level"] == level) | table["noise_level"].isna()]
    return pd.DataFrame(
        {
            "time": np.where(chosen["quantity"] == "training_time", "training", "generation"),
            "architecture": chosen["architecture"],
            "d": chosen["dimension"],
            "L": [f"{sizes.split()[0]} … {sizes.split()[-1]}" for sizes in chosen["sizes"]],
            "exponent": _pairs(chosen["exponent"], chosen["error"]),
            "theory": [f"{value:.3f}" if np.isfinite(value) else "–" for value in chosen["predicted_exponent"]],
            "slope in ln L": [
                parentheses(slope, error) if exponent < 0.5 else "–"
                for slope, error, exponent in zip(
                    chosen["log_slope"], chosen["log_slope_error"], chosen["exponent"], strict=True
                )
            ],
            "ΔAICc": [f"{value:.1f}" if np.isfinite(value) else "–" for value in chosen["evidence"]],
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


def tabular(table: pd.DataFrame, columns: str) -> str:
    """A table of words as a LaTeX tabular with the rules of booktabs.

    Args:
        table: its cells as they are to be read.
        columns: 'lrc…', one a column.
    """
    from csd.figures import style as looks

    words = table.copy()
    if "architecture" in words:
        words["architecture"] = [looks.name(label) for label in words["architecture"]]
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
        ("Δ", r"$\Delta$"),
        ("≤", r"$\leq$"),
        ("≥", r"$\geq$"),
        (" … ", " to "),
        ("–", "--"),
    ):
        text = text.replace(character, command)
    return re.sub(r"(?<![\w(])-(?=\d)", "$-$", text)


def stamp(made_by: Mapping[str, str], summary: xr.Dataset, mark: str) -> str:
    """Comment lines that say what made a file.

    Args:
        made_by: of `csd.store.provenance`.
        summary: of training, whose study and code are named too.
        mark: that begins a comment.
    """
    lines = [
        f"csd {made_by['csd_version']}, commit {made_by['csd_commit']}",
        f"command: {made_by['command']}",
        f"summaries: commit {summary.attrs['csd_commit']}, configuration {summary.attrs['configuration_hash']}",
    ]
    return "".join(f"{mark} {line}\n" for line in lines)


def write_paper(
    summaries: Mapping[str, Path],
    scaling_file: Path,
    claims_file: Path,
    output: Path,
    shown: Sequence[str],
    style: FigureStyle,
    made_by: Mapping[str, str],
) -> None:
    """Write numbers.tex, tables/, figures/ and paper.tex.

    Args:
        summaries: files of 'training', and of 'generation' and 'integrators' if the study has them.
        scaling_file: of `csd fit`.
        claims_file: claims.json of `csd claims`.
        output: folder to write to.
        shown: figures to draw; the paper leaves out what is not there.
        style: of figures; the paper's own fonts come on top.
        made_by: of `csd.store.provenance`.

    Raises:
        InputError: if a file is missing or damaged, or a figure's summary was not given.
    """
    import json

    from csd.store import GENERATION_SUMMARY, SUMMARY, read
    from csd.summary import read_scaling

    kinds = {"training": SUMMARY, "generation": GENERATION_SUMMARY}
    known = {kind: read(summaries[kind], of) for kind, of in kinds.items() if kind in summaries}
    scaling = read_scaling(scaling_file)
    try:
        claims = json.loads(claims_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{claims_file}: cannot be read ({error}); make it with csd claims") from error
    level = style.noise_level
    usual = usual_data(known, level)

    def written(text: str, name: str, mark: str = "%") -> None:
        write_text(stamp(made_by, known["training"], mark) + text, output / name)

    written(macros(numbers(claims, scaling, known, usual), claims), "numbers.tex")
    judged, laws, times = claims_table(claims), exponents_table(scaling), times_table(known["training"])
    for name, table in (("claims", judged), ("exponents", laws), ("training_times", times)):
        written(table.to_csv(index=False), f"tables/{name}.csv", "#")
    written(tabular(typeset_claims(claims, judged), "lllrrrl"), "tables/claims.tex")
    written(tabular(typeset_exponents(laws, level), "llrrrrrr"), "tables/exponents.tex")
    wide = typeset_times(times, level)
    written(tabular(wide, "rl" + "r" * (wide.shape[1] - 2)), "tables/training_times.tex")
    for name in shown:
        summary = summaries.get(summary_of(name))
        if summary is None:
            raise InputError(f"the figure {name!r} needs --{summary_of(name)}, or to be left out of --figure")
        draw(name, summary, scaling_file, style, output / "figures" / name, paper=True)
    written(SOURCE.read_text(encoding="utf-8"), "paper.tex")
