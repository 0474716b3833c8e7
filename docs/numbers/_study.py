"""Tables of a finished study: the rows and columns that marks name."""

import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from csd.core.errors import InputError, nearest
from csd.core.files import read
from csd.core.source import fingerprint
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import TRAINED
from csd.study.summaries.laws import read_scaling
from docs.numbers._marks import marks

FILES = ("training", "generation", "integrators", "monte_carlo", "timing")
"""NetCDF files of a summary; each is a table of its name."""
ABBREVIATIONS = {"d": "dimension", "L": "size", "t": "noise_level"}
SHOWN = {"dimension": "d", "size": "L", "noise_level": "t", "data_set": "M"}
"""Heads of columns in a page."""
ERRORS = {"exponent": "error", "z": "error", "measured": "error"}
"""Columns whose error has a name of its own."""
STEPS = {name: stage.command for name, stage in STAGES.items() if stage.folder is None}
"""The command that makes the files of each folder of a study."""
LEFT_OUT = ("claims", "figures", "figure_style")
"""Keys that the workflow leaves out of the record of a study."""


class Results:
    """The tables of a finished study.

    Args:
        folder: the study's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """A table of the summary, with one row for each combination that words can choose.

        Raises:
            InputError: if there is no such table, or its file is not there.
        """
        if name not in self._tables:
            path = self.folder / "summary"
            if name == "scaling":
                self._tables[name] = read_scaling(path / "scaling.csv")
            elif name in ("claims", "tests"):
                self._tables[name] = _claims(path / "claims.json")[name]
            elif name in FILES:
                self._tables[name] = flat(read(path / f"{name}.nc"))
            else:
                known = ["scaling", "claims", "tests", *FILES]
                raise InputError(
                    f"{name!r} is no table of a study{nearest(name, known)} (there are {', '.join(known)})"
                )
        return self._tables[name]

    def find(self, key: str) -> dict[str, Any]:
        """Value and error that a mark names; lists of both where a word holds several values.

        Raises:
            InputError: if the words choose no row, rows that differ, or one without a value.
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
        """Head and rows of the table that a mark names.

        Raises:
            InputError: if no row is left, or several share a cell.
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
        dataset: a file as `csd.core.files.read` returns it.

    Returns:
        The columns are the names of runs, the coordinates, and every number: means over seeds with `X_error`, and for
        quantities recorded along steps `last_X` and `lowest_X`.
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
    """The last finite value along steps."""
    steps = xr.DataArray(np.arange(series.sizes["step"]), dims="step")
    return series.isel(step=(series.notnull() * steps).argmax("step")).drop_vars("step")


def _where_lowest(series: xr.DataArray) -> xr.DataArray:
    """The step at which a series is lowest; NaN where it has no value."""
    return series.fillna(np.inf).idxmin("step").where(series.notnull().any("step"))


def _ran(dataset: xr.Dataset) -> xr.DataArray | None:
    """Whether each seed of each run has any value; dims (run, seed)."""
    there = None
    for variable in dataset.data_vars.values():
        if {"run", "seed"} <= set(variable.dims) and variable.dtype.kind == "f":
            found = variable.notnull().any([dim for dim in variable.dims if dim not in ("run", "seed")])
            there = found if there is None else there | found
    return there


def _averaged(
    values: xr.DataArray, ran: xr.DataArray | None, own: xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """(mean over seeds, its standard error), the larger of the seeds' scatter and of their own errors."""
    assert ran is not None
    each, there = (array.transpose(..., "seed").values for array in xr.broadcast(values, ran))
    mean, error = mean_over_seeds(each, ran=there)
    like = values.transpose(..., "seed").isel(seed=0, drop=True)
    if own is not None:
        squares = np.where(there, own.broadcast_like(values).transpose(*like.dims, "seed").values, 0.0) ** 2
        error = np.fmax(error, np.sqrt(np.nansum(squares, axis=-1)) / np.maximum(there.sum(axis=-1), 1))
    return like.copy(data=mean), like.copy(data=error)


def _parts(key: str) -> tuple[str, str, list[str]]:
    """Table, column and words of a key."""
    name, *rest = key.split()
    if not rest:
        raise InputError(f"{key}: a table and a column are needed")
    return name, rest[0], rest[1:]


def _claims(path: Path) -> dict[str, pd.DataFrame]:
    """Two tables: claims with their verdicts, and their tests with the id of the claim."""
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
    """One word for each value of a word: d1,2 gives d1 and d2."""
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
    """The rows that match every word.

    Raises:
        InputError: if a word matches no row of the table.
    """
    rows = np.ones(len(table), dtype=bool)
    for word in words:
        name, equals, value = word.partition("=")
        column = name if equals else _abbreviated(word)
        if column is not None:
            _require(table, column, word)
            found = _equal(table[column], value if equals else word[1:])
        else:
            # Words match the columns of text that pages show.
            texts = [own for own in table if own not in TRAINED and not pd.api.types.is_numeric_dtype(table[own])]
            found = np.logical_or.reduce([(table[own] == word).to_numpy() for own in texts])
            if not found.any():
                values = sorted({str(one) for own in texts for one in table[own].unique()})
                raise InputError(f"{word!r} is in no row of the study{nearest(word, values)}")
        rows &= found
    return table[rows]


def _equal(column: pd.Series, value: str) -> Any:
    """Where a column has a value, given as text; '' matches empty cells."""
    if value == "":
        return column.isna().to_numpy() | (column.astype(str) == "").to_numpy()
    if not pd.api.types.is_numeric_dtype(column):
        return (column.astype(str) == value).to_numpy()
    try:
        return np.isclose(column.to_numpy(dtype=float), float(value), rtol=1e-6, atol=0.0)
    except ValueError as error:
        raise InputError(f"{column.name}={value}: a number is needed") from error


def _require(table: pd.DataFrame, column: str, key: str) -> None:
    """Refuse a column that the table does not have."""
    if column not in table:
        raise InputError(f"{key}: there is no column {column!r}{nearest(column, list(map(str, table)))}")


def _cell(rows: pd.DataFrame, column: str, key: str) -> tuple[Any, float | None]:
    """(value, error) of a column or an expression of columns, which must be the same in all rows."""
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
    """A column, or the value of an expression of columns."""
    if expression in rows:
        return rows[expression]
    try:
        return rows.eval(expression)
    except Exception as error:
        names = re.findall(r"[^\W\d]\w*", expression)
        missing = next((name for name in names if name not in rows), expression)
        raise InputError(f"{key}: there is no column {missing!r}{nearest(missing, list(map(str, rows)))}") from error


def _plain(value: Any) -> Any:
    """A number or a text for JSON; None for a missing value."""
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    if np.isnan(number):
        return None
    return int(number) if number.is_integer() and not isinstance(value, float) else number


def collect(folder: Path, pages: Mapping[str, str]) -> dict[str, Any]:
    """The numbers of a finished study that pages name.

    Args:
        folder: the study's folder.
        pages: text of each page, by name.

    Returns:
        `study`, its name, and `numbers`, by key.

    Raises:
        InputError: if the study lacks a number that a page names.
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
    """Whether a folder holds the finished study of the present configuration and code."""
    record, last = folder / "summary" / "study.json", folder / "summary" / "claims.json"
    if not record.is_file() or not last.is_file():
        return False
    made = json.loads(record.read_text(encoding="utf-8"))
    # The record leaves out keys that change no file of the summary, which then have their defaults.
    asked = json.loads(parse(load(config)).model_dump_json(exclude={*LEFT_OUT}))
    if {name: value for name, value in made.items() if name not in LEFT_OUT} != asked:
        return False
    return all(_by_this_code(folder / kind, step) for kind, step in STEPS.items())


def _by_this_code(folder: Path, step: str) -> bool:
    """Whether the present code made the files of a folder; a summary takes files of one version only."""
    first = min(folder.glob("*.nc"), default=None)
    if first is None:
        return True
    with xr.open_dataset(first) as dataset:
        # The first 16 digits are csd's own; user-defined modules follow.
        return str(dataset.attrs.get("source_hash"))[:16] == fingerprint(step)
