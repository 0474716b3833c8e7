"""Numbers of the pages: each is written from a finished study or from a script's output, and compared by a test.

In a page a number stands between two comments, which no reader sees:

    <!-- study: training training_time two_layer d1 L128 t0.1 mL1 as .0f -->32<!-- / -->
    <!-- study: scaling exponent±error one_layer d1,2,3 t0.1 training_time power -->2.000(1), …<!-- / -->
    <!-- study: claims verdict id=C1 -->holds<!-- / -->
    <!-- output: finite_size.limit as .4f -->1.2345<!-- / -->

*study* names a table of the study's summary, a column, and words that choose one row, or rows that have the same there:

    table    scaling, claims, tests (of the claims), training, generation, integrators, monte_carlo, timing
    column   a column, or an expression of columns without spaces (sampled_susceptibility/exact_susceptibility);
             after a ± the expression of its error, where it is not the one that goes with the column
    word     one_layer, power, …: the value of any column of text; d2, L64, t0.1: dimension, size, noise level;
             column=value: anything else. Values with commas between them make a list, in their order

Tables of files have one row for each run and each value of the dimensions that a file has coordinates for (noise_level,
criterion, …). Seeds are averaged: `X` is the mean over all of them, NaN if one has no value, `X_error` its error.
Of what goes along training steps, `last_X` and `lowest_X` are the last and the lowest value of each seed, and
`step_of_lowest_X` is where the latter is.

A whole table is written where it begins with a comment on a line of its own, with the columns that name its rows, and
either the one that its columns are for or, without `columns`, the columns that it shows; rows are in the order of the
study, and of the values of a word:

    <!-- study-table: training training_time one_layer,two_layer t0.1 mL1 rows=dimension,architecture columns=size -->
    <!-- study-table: tests measured,accepted,verdict id=C1 rows=measure,architecture,dimension,noise_level -->
    <!-- / -->

`HEAD:COLUMN` gives a column a head of its own, in which underscores are blanks.

*output* names a number that a script in this folder printed: `docs/numbers/SCRIPT.py`, output in `SCRIPT.txt`;
*output-table* a list of rows, the first of which is the head, between comments as those of *study-table*.

A mark is whole: it names something, is closed, and a number's text is of one line; comments that look like marks and
are none are errors.

After `as` comes a format of Python's, or `()`: with the error in parentheses, which is what numbers with an error have
if nothing else is said; others have four digits.

    python -m docs.numbers collect results   # what the pages name, out of a finished study, into study.json
    python -m docs.numbers run finite_size   # a script's numbers into docs/numbers/finite_size.txt
    python -m docs.numbers write             # all pages, from these files
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError, nearest
from csd.core.source import fingerprint
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import TRAINED

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
STUDY = FOLDER / "study.json"
"""Numbers of the default study, as `collect` found them."""
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")])

FILES = ("training", "generation", "integrators", "monte_carlo", "timing")
"""NetCDF files of a summary; tables of that name."""
ABBREVIATIONS = {"d": "dimension", "L": "size", "t": "noise_level"}
SHOWN = {"dimension": "d", "size": "L", "noise_level": "t"}
"""Columns as a page names them."""
ERRORS = {"exponent": "error", "z": "error", "measured": "error"}
"""Columns whose error is not called after them."""

KINDS = ("study", "study-table", "output", "output-table")
"""What a mark may name a number of."""

_MARK = re.compile(r"(<!--\s*(study|study-table|output|output-table):\s*(.+?)\s*-->)(.*?)(<!--\s*/\s*-->)", re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_FENCE = re.compile(r"^(```+).*?^\1`*\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """One number of a page.

    Attributes:
        kind: 'study', 'study-table', 'output' or 'output-table'.
        key: what it names, without its format.
        form: the format, '' for the usual one.
        text: what stands there.
    """

    kind: str
    key: str
    form: str
    text: str

    @property
    def of_study(self) -> bool:
        """Whether a study has it, and not a script."""
        return self.kind.startswith("study")


def marks(page: str) -> Iterator[Mark]:
    """The marked numbers of a page, outside of its blocks of code.

    Raises:
        InputError: if a mark is not whole, or a number in a line begins it, where Markdown would take the whole line
            for HTML.
    """
    text = _FENCE.sub("", page)
    _check_comments(text)
    for found in _MARK.finditer(text):
        start = found.string.rfind("\n", 0, found.start()) + 1
        if not found[2].endswith("table") and not found.string[start : found.start()].strip():
            raise InputError(f"{found[1]}: a line begins with this comment; break the line elsewhere")
        yield _mark(found)


def _check_comments(text: str) -> None:
    """Refuse comments that were meant for marks and are none: misspelt, without a key, or not closed."""
    begun: re.Match[str] | None = None
    for comment in _COMMENT.finditer(text):
        kind, colon, key = (part.strip() for part in comment[1].partition(":"))
        if kind in KINDS:
            if begun is not None:
                raise InputError(f"{begun[0]}: this mark is not closed by <!-- / --> before the next one begins")
            if not colon or not key:
                raise InputError(f"{comment[0]}: this mark names nothing; it is <!-- {kind}: what it names -->")
            begun = comment
        elif comment[1] == "/":
            if begun is None:
                raise InputError(f"{_line(text, comment)}: this <!-- / --> closes no mark (known: {', '.join(KINDS)})")
            if not begun[1].startswith(("study-table", "output-table")) and "\n" in text[begun.end() : comment.start()]:
                raise InputError(f"{begun[0]}: its number stands on several lines; a mark may hold text of one line")
            begun = None
        elif colon and get_close_matches(kind, KINDS, n=1, cutoff=0.7):
            raise InputError(f"{comment[0]}: there is no mark {kind!r}{nearest(kind, KINDS)}")
    if begun is not None:
        raise InputError(f"{begun[0]}: this mark is not closed by <!-- / -->")


def _line(text: str, comment: re.Match[str]) -> str:
    """The line that a comment stands in."""
    return text[text.rfind("\n", 0, comment.start()) + 1 : comment.end()].strip()


def _mark(found: re.Match[str]) -> Mark:
    """What a match of the pattern says."""
    key, _, form = " ".join(found[3].split()).partition(" as ")
    return Mark(found[2], key, form, found[4])


def written(page: str, study: Mapping[str, Any] | None, outputs: Callable[[str], Mapping[str, Any]]) -> str:
    """A page whose marked numbers are those of a study and of scripts.

    Args:
        page: its text.
        study: what `collect` returns; None leaves its numbers as they are.
        outputs: the numbers of a script, by its name.

    Raises:
        InputError: if a number is in none of them, a line begins with one, or a mark is not whole.
    """
    list(marks(page))

    def replaced(found: re.Match[str]) -> str:
        mark = _mark(found)
        if mark.of_study and study is None:
            return found[0]
        if mark.kind == "study-table":
            return f"{found[1]}\n{_as_table(_known(study, mark), mark.form)}\n{found[5]}"
        if mark.kind == "study":
            return f"{found[1]}{_as_text(_known(study, mark), mark.form)}{found[5]}"
        script, _, name = mark.key.partition(".")
        values = outputs(script)
        if name not in values:
            raise InputError(f"docs/numbers/{script}.txt has no {name!r}{nearest(name, list(values))}")
        if mark.kind == "output-table":
            head, *rows = values[name]
            cells = [{"names": [], "cells": [[value, None] for value in row]} for row in rows]
            return f"{found[1]}\n{_as_table({'head': head, 'rows': cells}, mark.form)}\n{found[5]}"
        return f"{found[1]}{_as_text({'value': values[name], 'error': None}, mark.form)}{found[5]}"

    parts, end = [], 0
    for fence in _FENCE.finditer(page):
        parts += [_MARK.sub(replaced, page[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _MARK.sub(replaced, page[end:])])


def _known(study: Mapping[str, Any] | None, mark: Mark) -> Any:
    """What a study says to a mark."""
    assert study is not None
    if mark.key not in study["numbers"]:
        raise InputError(f"docs/numbers/study.json has no {mark.key!r}; run python -m docs.numbers collect results")
    return study["numbers"][mark.key]


def _as_text(known: Mapping[str, Any], form: str) -> str:
    """A value, or several with commas between them."""
    value, error = known["value"], known["error"]
    if isinstance(value, list):
        each = error if isinstance(error, list) else [None] * len(value)
        return ", ".join(_one(*pair, form) for pair in zip(value, each, strict=True))
    return _one(value, error, form)


def _one(value: Any, error: float | None, form: str) -> str:
    """One value in a format."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if form in ("", "()"):
        return parentheses(value, error or 0.0)
    try:
        return format(value, form)
    except ValueError as wrong:
        raise InputError(f"as {form}: not a format of Python's ({wrong})") from wrong


def _as_table(known: Mapping[str, Any], form: str) -> str:
    """A Markdown table with blank lines around it."""
    lines = [known["head"], ["---"] * len(known["head"])]
    for row in known["rows"]:
        cells = [_one(value, error, form) for value, error in row["cells"]]
        lines.append([*(_one(name, None, "") for name in row["names"]), *cells])
    assert all(len(line) == len(known["head"]) for line in lines)
    return (
        "\n" + "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
    )


class Results:
    """The tables of a finished study.

    Args:
        folder: that the study was written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """A table of the summary, with one row for what words can tell apart.

        Raises:
            InputError: if there is no such table, or its file is not there.
        """
        if name not in self._tables:
            path = self.folder / "summary"
            if name == "scaling":
                from csd.study.summaries.laws import read_scaling

                self._tables[name] = read_scaling(path / "scaling.csv")
            elif name in ("claims", "tests"):
                self._tables[name] = _claims(path / "claims.json")[name]
            elif name in FILES:
                from csd.core.files import read

                self._tables[name] = flat(read(path / f"{name}.nc"))
            else:
                known = ["scaling", "claims", "tests", *FILES]
                raise InputError(
                    f"{name!r} is no table of a study{nearest(name, known)} (there are {', '.join(known)})"
                )
        return self._tables[name]

    def find(self, key: str) -> dict[str, Any]:
        """Value and error of what a mark names; lists of both where words hold several values.

        Raises:
            InputError: if rows with several values are meant, or none, or one without a value.
        """
        name, column, words = _parts(key)
        table = self.table(name)
        several = any("," in word for word in words)
        found = []
        for choice in product(*(_several(word) for word in words)):
            value, error = _cell(chosen(table, choice), column, f"{key}: {' '.join(choice)}")
            if value is None:
                raise InputError(f"{key}: the study has no value there")
            found.append((value, error))
        values, errors = [value for value, _ in found], [error for _, error in found]
        return {"value": values, "error": errors} if several else {"value": values[0], "error": errors[0]}

    def find_table(self, key: str) -> dict[str, Any]:
        """Head and rows of what the mark of a table names.

        Raises:
            InputError: if two rows of the study would go into one cell, or none is left.
        """
        name, column, words = _parts(key)
        options = dict(word.split("=", 1) for word in words if word.startswith(("rows=", "columns=")))
        if "rows" not in options:
            raise InputError(f"{key}: rows=COLUMN,… says what names a row of the table")
        table = self.table(name)
        for word in words:
            if not word.startswith(("rows=", "columns=")):
                parts = [chosen(table, [one]) for one in _several(word)]
                table = pd.concat(parts).loc[lambda joined: ~joined.index.duplicated()]
        if table.empty:
            raise InputError(f"{key}: the study has no such rows")
        by = options["rows"].split(",")
        for wanted in (*by, *([options["columns"]] if "columns" in options else [])):
            _require(table, wanted, key)
        across = sorted(table[options["columns"]].unique()) if "columns" in options else []
        shown = column.split(",") if not across else [column]
        head = [SHOWN.get(one, one.replace("_", " ")) for one in by]
        if across:
            title = SHOWN.get(options["columns"], options["columns"])
            head += [f"{title} = {_plain(across[0])}", *(str(_plain(one)) for one in across[1:])]
        else:
            titles = [title or one for title, _, one in (one.rpartition(":") for one in shown)]
            head += [SHOWN.get(title, title.replace("_", " ")) for title in titles]
            shown = [one.rpartition(":")[2] for one in shown]
        rows = []
        for names, group in table.groupby(by, sort=False, dropna=False):
            own = [group[group[options["columns"]] == one] for one in across] or [group] * len(shown)
            place = ", ".join(f"{one} {name}" for one, name in zip(by, names, strict=True))
            cells = [
                [None, None] if cell.empty else list(_cell(cell, one, f"{key}: {place}"))
                for cell, one in zip(own, shown * len(own) if across else shown, strict=False)
            ]
            rows.append({"names": [_plain(one) for one in names], "cells": cells})
        return {"head": head, "rows": rows}


def flat(dataset: xr.Dataset) -> pd.DataFrame:
    """A file of a summary as a table: one row for each run and each value of its other coordinates.

    Args:
        dataset: as `csd.core.files.read` returns it.

    Returns:
        Columns: what names a run, the coordinates, and every number; means over seeds where there are seeds, with
        `X_error`, and `last_X` and `lowest_X` of what goes along steps.
    """
    along = [
        name for name in dataset.coords if name in dataset.dims and name not in ("run", "seed", "step", "distance")
    ]
    ran = _ran(dataset)
    columns: dict[str, xr.DataArray] = {}
    for key, variable in dataset.data_vars.items():
        name = str(key)
        dims, numbers = set(variable.dims), variable.dtype.kind in "fiu"
        if not dims <= {"run", "seed", "step", *along}:
            continue
        if "seed" not in dims:
            if "step" not in dims:
                columns.setdefault(name, variable)
        elif numbers and "step" in dims:
            for label, one in (("last", _last(variable)), ("lowest", variable.min("step", skipna=True))):
                columns[f"{label}_{name}"], columns[f"{label}_{name}_error"] = _averaged(one, ran, None)
            place = f"step_of_lowest_{name}"
            columns[place], columns[f"{place}_error"] = _averaged(_where_lowest(variable), ran, None)
        elif numbers and not (name.endswith("_error") and name[: -len("_error")] in dataset):
            columns[name], columns[f"{name}_error"] = _averaged(variable, ran, dataset.get(f"{name}_error", None))
    return xr.Dataset(columns).to_dataframe().reset_index().drop(columns=["run"], errors="ignore")


def _last(series: xr.DataArray) -> xr.DataArray:
    """The last value along steps that is there."""
    values = series.transpose("step", ...)
    there = np.isfinite(values.values)
    place = len(there) - 1 - np.argmax(there[::-1], axis=0)
    return values.isel(step=0, drop=True).copy(data=np.take_along_axis(values.values, place[None], axis=0)[0])


def _where_lowest(series: xr.DataArray) -> xr.DataArray:
    """The step at which a series is lowest; NaN where there is none."""
    known = series.notnull().any("step")
    return series.fillna(np.inf).idxmin("step").where(known)


def _ran(dataset: xr.Dataset) -> xr.DataArray | None:
    """Whether each seed of each run was run: something of it is there; dims (run, seed)."""
    there = None
    for variable in dataset.data_vars.values():
        if {"run", "seed"} <= set(variable.dims) and variable.dtype.kind == "f":
            found = variable.notnull().any([dim for dim in variable.dims if dim not in ("run", "seed")])
            there = found if there is None else there | found
    return there


def _averaged(
    values: xr.DataArray, ran: xr.DataArray | None, own: xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """(mean over seeds, its standard error): the larger of their scatter and of what their own errors allow."""
    assert ran is not None
    dims = [dim for dim in values.dims if dim != "seed"]
    turned = values.transpose(*dims, "seed")
    there = np.broadcast_to(ran.broadcast_like(turned).transpose(*dims, "seed").values, turned.shape)
    mean, error = np.empty(turned.shape[:-1]), np.empty(turned.shape[:-1])
    for place in np.ndindex(*mean.shape):
        mean[place], error[place] = mean_over_seeds(turned.values[place], ran=there[place])
    if own is not None:
        each = np.where(there, own.transpose(*dims, "seed").values, 0.0)
        count = np.maximum(there.sum(axis=-1), 1)
        error = np.fmax(error, np.sqrt(np.nansum(each**2, axis=-1)) / count)
    # Coordinates of the seeds' array, without the seed.
    like = turned.isel(seed=0, drop=True)
    return like.copy(data=mean), like.copy(data=error)


def _parts(key: str) -> tuple[str, str, list[str]]:
    """Table, column and words of a key."""
    name, *rest = key.split()
    if not rest:
        raise InputError(f"{key}: a table and a column are needed")
    return name, rest[0], rest[1:]


def _claims(path: Path) -> dict[str, pd.DataFrame]:
    """Verdicts: one table of claims, one of their tests with the id of the claim."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); make it with csd claims") from error
    tests = [{"id": claim["id"], **test} for claim in content for test in claim["tests"]]
    for row in (*content, *tests):
        row["accepted"] = _range(row["accepted"])
    claims = [{name: value for name, value in claim.items() if name != "tests"} for claim in content]
    return {"claims": pd.DataFrame(claims), "tests": pd.DataFrame(tests)}


def _range(bounds: Any) -> Any:
    """An accepted range in words."""
    if not isinstance(bounds, list):
        return bounds
    low, high = bounds
    if low is None or high is None:
        return f"≤ {high:g}" if low is None else f"≥ {low:g}"
    return f"{low:g} to {high:g}"


def _several(word: str) -> list[str]:
    """A word for each of the values that one word holds: d1,2 is d1 and d2."""
    name, equals, values = word.rpartition("=")
    if equals:
        return [f"{name}={value}" for value in values.split(",")]
    first, *rest = word.split(",")
    prefix = first[0] if _abbreviated(first) else ""
    return [first, *(prefix + value for value in rest)]


def _abbreviated(word: str) -> str | None:
    """The column of a word such as d2, L64 or t0.1."""
    return ABBREVIATIONS[word[0]] if re.fullmatch(r"[dLt]\d[\d.e+-]*", word) else None


def chosen(table: pd.DataFrame, words: Any) -> pd.DataFrame:
    """The rows that every word is true of.

    Raises:
        InputError: if a word is true of no row at all.
    """
    rows = np.ones(len(table), dtype=bool)
    for word in words:
        name, equals, value = word.partition("=")
        column = name if equals else _abbreviated(word)
        if column is not None:
            _require(table, column, word)
            found = _equal(table[column], value if equals else word[1:])
        else:
            # Words are of what is shown.
            texts = [own for own in table if own not in TRAINED and not pd.api.types.is_numeric_dtype(table[own])]
            found = np.logical_or.reduce([(table[own] == word).to_numpy() for own in texts])
            if not found.any():
                values = sorted({str(one) for own in texts for one in table[own].unique()})
                raise InputError(f"{word!r} is in no row of the study{nearest(word, values)}")
        rows &= found
    return table[rows]


def _equal(column: pd.Series, value: str) -> Any:
    """Where a column has a value that is given as text; '' is what is empty."""
    if value == "":
        return column.isna().to_numpy() | (column.astype(str) == "").to_numpy()
    if not pd.api.types.is_numeric_dtype(column):
        return (column.astype(str) == value).to_numpy()
    try:
        return np.isclose(column.to_numpy(dtype=float), float(value), rtol=1e-6, atol=0.0)
    except ValueError as error:
        raise InputError(f"{column.name}={value}: a number is needed") from error


def _require(table: pd.DataFrame, column: str, key: str) -> None:
    """Refuse a column that is not there."""
    if column not in table:
        raise InputError(f"{key}: there is no column {column!r}{nearest(column, list(map(str, table)))}")


def _cell(rows: pd.DataFrame, column: str, key: str) -> tuple[Any, float | None]:
    """(value, error) of a column, or of an expression of columns, which has to be the same in all rows."""
    if rows.empty:
        raise InputError(f"{key}: the study has no such row")
    expression, _, spread = column.partition("±")
    if not spread and f"{expression}_error" in rows:
        spread = f"{expression}_error"
    elif not spread and expression in ERRORS and ERRORS[expression] in rows:
        spread = ERRORS[expression]
    values = [_plain(value) for value in _values(rows, expression, key)]
    errors = [_plain(value) for value in _values(rows, spread, key)] if spread else [None] * len(rows)
    if len(set(zip(values, errors, strict=True))) > 1:
        differing = [
            f"{name} ({', '.join(map(str, found[:4]))}{', …' if len(found) > 4 else ''})"
            for name in rows
            if len(found := rows[name].astype(str).unique()) > 1 and not pd.api.types.is_float_dtype(rows[name])
        ]
        told = "; ".join(differing) or "numbers only"
        raise InputError(f"{key}: {len(rows)} rows are meant; say more, they differ in {told}")
    return values[0], errors[0] if isinstance(errors[0], float) and errors[0] > 0.0 else None


def _values(rows: pd.DataFrame, expression: str, key: str) -> Any:
    """A column, or what an expression of columns makes."""
    if expression in rows:
        return rows[expression]
    try:
        return rows.eval(expression)
    except Exception as error:
        names = re.findall(r"[^\W\d]\w*", expression)
        missing = next((name for name in names if name not in rows), expression)
        raise InputError(f"{key}: there is no column {missing!r}{nearest(missing, list(map(str, rows)))}") from error


def _plain(value: Any) -> Any:
    """A number or a text that JSON can hold; None for what is not there."""
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    if np.isnan(number):
        return None
    return int(number) if number.is_integer() and not isinstance(value, float) else number


def collect(folder: Path, pages: Mapping[str, str]) -> dict[str, Any]:
    """What pages name, out of a finished study.

    Args:
        folder: that the study was written to.
        pages: text of each page, by name.

    Returns:
        study (its name), commit (of the code that made its summary), numbers (by key).

    Raises:
        InputError: if the study has not what a page names.
    """
    results = Results(folder)
    numbers = {}
    for page, text in pages.items():
        try:
            for mark in marks(text):
                if mark.of_study and mark.key not in numbers:
                    found = results.find(mark.key) if mark.kind == "study" else results.find_table(mark.key)
                    numbers[mark.key] = found
        except InputError as error:
            raise InputError(f"{page}: {error}") from error
    about = json.loads((folder / "summary" / "study.json").read_text(encoding="utf-8"))
    return {"study": about["study"], "numbers": dict(sorted(numbers.items()))}


def made_by(folder: Path, config: Path) -> bool:
    """Whether a folder holds the finished study of a configuration, as that and the code are now."""
    record, last = folder / "summary" / "study.json", folder / "summary" / "claims.json"
    if not record.is_file() or not last.is_file():
        return False
    made = json.loads(record.read_text(encoding="utf-8"))
    # The record leaves out what changes no file of the summary, so defaults stand there.
    asked = json.loads(parse(load(config)).model_dump_json(exclude={*LEFT_OUT}))
    if {name: value for name, value in made.items() if name not in LEFT_OUT} != asked:
        return False
    return all(_by_this_code(folder / kind, step) for kind, step in STEPS.items())


STEPS = {name: stage.command for name, stage in STAGES.items() if stage.folder is None}
"""Folders of a study, and the steps of the workflow that make their files."""


def _by_this_code(folder: Path, step: str) -> bool:
    """Whether the code as it is now made the files of a folder; a summary takes those of one version only."""
    first = min(folder.glob("*.nc"), default=None)
    if first is None:
        return True
    with xr.open_dataset(first) as dataset:
        # User-defined modules come after the first 16 digits.
        return str(dataset.attrs.get("source_hash"))[:16] == fingerprint(step)


LEFT_OUT = ("claims", "figures", "figure_style")
"""Keys that the workflow leaves out of the record of a study."""


@cache
def output(script: str) -> dict[str, Any]:
    """The stored numbers of a script.

    Raises:
        InputError: if it has none.
    """
    path = FOLDER / f"{script}.txt"
    if not path.is_file():
        raise InputError(f"docs/numbers/{script}.txt is not there; run python -m docs.numbers run {script}")
    return parsed(path.read_text(encoding="utf-8"))


def parsed(text: str) -> dict[str, Any]:
    """Numbers by name, out of lines `name = number`; several numbers have commas between them."""
    return {name: json.loads(value) for name, value in (line.split(" = ", 1) for line in text.splitlines() if line)}


def computed(script: str) -> dict[str, Any]:
    """What a script's `numbers()` returns now, as its output would be read back."""
    module = import_module(f"docs.numbers.{script}")
    return parsed(printed(module.numbers()))


def printed(values: Mapping[str, Any]) -> str:
    """A script's output: a line a number."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
