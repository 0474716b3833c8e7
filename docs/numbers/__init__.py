"""Numbers of the pages: each is written from a finished study or from a script's output, and compared by a test.

In a page a number stands between two comments, which no reader sees:

    <!-- study: training training_time two_layer d1 L128 t0.1 mL1 as .0f -->32<!-- / -->
    <!-- study: scaling exponent±error one_layer d1,2,3 t0.1 training_time power -->2.000(1), …<!-- / -->
    <!-- study: claims verdict id=C1 -->holds<!-- / -->
    <!-- output: finite_size.limit as .4f -->1.2345<!-- / -->

*study* names a table of the study's summary, a column, and words that choose one row, or rows of one value:

    table    scaling, claims, tests (of the claims), training, generation, integrators, monte_carlo, timing
    column   a column, or an expression of columns without spaces (sampled_susceptibility/exact_susceptibility);
             after ± the expression of its error, where that is not the column's own error
    word     one_layer, power, …: a value of any column of text; d2, L64, t0.1: dimension, size, noise level;
             column=value: anything else. Several values, separated by commas, make a list in their order

Tables of files have one row for each run and each value of the file's other coordinates (noise_level, criterion, …).
`X` is the mean over all seeds, NaN if one has no value, and `X_error` its error. For quantities recorded along
training, `last_X` and `lowest_X` are the last and the lowest value of each seed, `step_of_lowest_X` its step.

A whole table begins with a comment on a line of its own. It names the columns that label the rows and either the column
that is spread over the table's columns or, without `columns`, the columns to show. Rows keep the order of the study and
of the values of a word:

    <!-- study-table: training training_time one_layer,two_layer t0.1 mL1 rows=dimension,architecture columns=size -->
    <!-- study-table: tests measured,accepted,verdict id=C1 rows=measure,architecture,dimension,noise_level -->
    <!-- / -->

`HEAD:COLUMN` gives a column its own head, with blanks for underscores.

*output* names a number that a script in this folder printed: `docs/numbers/SCRIPT.py`, output in `SCRIPT.txt`.
*output-table* names a list of rows, the first of which is the head, between comments like those of *study-table*.

A mark names something and is closed, and its number is text of one line. A comment that looks like a mark and is none
is an error.

After `as` comes a Python format, or `()` for the error in parentheses. Without it a number with an error has the error
in parentheses, and any other has four digits.

Tables that a page links to by a line of its own are files of `docs/numbers/tables/`, which the site shows in its place.
`tables.yaml` has the mark from which each is written:

    [Table: steps to ε = 0.01](numbers/tables/depths.csv)

    python -m docs.numbers collect results   # the named numbers of a finished study into study.json
    python -m docs.numbers run finite_size   # a script's numbers into docs/numbers/finite_size.txt
    python -m docs.numbers write             # all pages and tables, from these files
"""

import csv
import io
import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from csd.core.errors import InputError
from docs.numbers._marks import cells, marked, marks, written
from docs.numbers._study import Results, collect, flat, made_by

__all__ = [
    "Results",
    "collect",
    "computed",
    "flat",
    "made_by",
    "marks",
    "output",
    "parsed",
    "printed",
    "tables",
    "texts",
    "written",
]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
STUDY = FOLDER / "study.json"
"""Numbers of the default study, stored by `collect`."""
TABLES = FOLDER / "tables.yaml"
"""The mark of each table, by the name of its file."""
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")])


@cache
def output(script: str) -> dict[str, Any]:
    """The stored numbers of a script.

    Raises:
        InputError: if no output of the script is stored.
    """
    path = FOLDER / f"{script}.txt"
    if not path.is_file():
        raise InputError(f"docs/numbers/{script}.txt is not there; run python -m docs.numbers run {script}")
    return parsed(path.read_text(encoding="utf-8"))


def parsed(text: str) -> dict[str, Any]:
    """Numbers by name, from lines `name = number`; several numbers are separated by commas."""
    return {name: json.loads(value) for name, value in (line.split(" = ", 1) for line in text.splitlines() if line)}


def computed(script: str) -> dict[str, Any]:
    """The numbers that a script returns now, read back from its output."""
    module = import_module(f"docs.numbers.{script}")
    return parsed(printed(module.numbers()))


def printed(values: Mapping[str, Any]) -> str:
    """A script's output: one line per number."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def texts() -> dict[str, str]:
    """Every page, by its path, and the marks of all tables."""
    found = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
    return found | {TABLES.relative_to(ROOT).as_posix(): "\n".join(map(marked, _definitions().values()))}


def tables(study: Mapping[str, Any] | None) -> dict[Path, str]:
    """The text of each file of a table; without a study, of those that need none.

    Raises:
        InputError: if a table names an unknown number.
    """
    found = {}
    for name, definition in _definitions().items():
        table = cells(definition, study, output)
        if table is not None:
            stream = io.StringIO()
            csv.writer(stream, lineterminator="\n").writerows(table)
            found[FOLDER / "tables" / f"{name}.csv"] = stream.getvalue()
    return found


def _definitions() -> dict[str, str]:
    """The marks of tables, by name."""
    return dict(yaml.safe_load(TABLES.read_text(encoding="utf-8")))
