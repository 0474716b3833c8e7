"""Marks of numbers in a page: found, checked and filled."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from csd.core.errors import InputError, nearest
from csd.study.rounding import parentheses

KINDS = ("study", "study-table", "output", "output-table")
"""Where the number of a mark comes from."""

Table = list[list[str]]
"""Cells of a table, its head first."""

_MARK = re.compile(r"(<!--\s*(study|study-table|output|output-table):\s*(.+?)\s*-->)(.*?)(<!--\s*/\s*-->)", re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_FENCE = re.compile(r"^(```+).*?^\1`*\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """One number of a page.

    Attributes:
        kind: one of `KINDS`.
        key: the name of the number, without its format.
        form: the format, '' for the default.
        text: the text between the two comments.
    """

    kind: str
    key: str
    form: str
    text: str

    @property
    def of_study(self) -> bool:
        """Whether the number is a study's, not a script's."""
        return self.kind.startswith("study")


def marks(page: str) -> Iterator[Mark]:
    """The marked numbers of a page, outside of its blocks of code.

    Raises:
        InputError: if a mark is not whole, or begins a line, which Markdown would then take for HTML.
    """
    text = _FENCE.sub("", page)
    _check_comments(text)
    for found in _MARK.finditer(text):
        start = found.string.rfind("\n", 0, found.start()) + 1
        if not found[2].endswith("table") and not found.string[start : found.start()].strip():
            raise InputError(f"{found[1]}: a line begins with this comment; break the line elsewhere")
        yield _mark(found)


def _check_comments(text: str) -> None:
    """Refuse marks that are misspelt, have no key, or are not closed."""
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
    """The line of a comment."""
    return text[text.rfind("\n", 0, comment.start()) + 1 : comment.end()].strip()


def _mark(found: re.Match[str]) -> Mark:
    """The mark of a match of the pattern."""
    key, _, form = " ".join(found[3].split()).partition(" as ")
    return Mark(found[2], key, form, found[4])


def written(page: str, study: Mapping[str, Any] | None, outputs: Callable[[str], Mapping[str, Any]]) -> str:
    """A page with the marked numbers of a study and of scripts.

    Args:
        page: its text.
        study: the content that `collect` returns; None leaves numbers of a study as they are.
        outputs: the numbers of a script, by its name.

    Raises:
        InputError: if a number is unknown, or a mark begins a line or is not whole.
    """
    list(marks(page))

    def replaced(found: re.Match[str]) -> str:
        mark = _mark(found)
        if mark.of_study and study is None:
            return found[0]
        known = _known(study, mark) if mark.of_study else _output(outputs, mark)
        if mark.kind.endswith("table"):
            text = f"\n{_as_markdown(_as_table(known, mark.form))}\n"
        else:
            text = _as_text(known, mark.form)
        return f"{found[1]}{text}{found[5]}"

    parts, end = [], 0
    for fence in _FENCE.finditer(page):
        parts += [_MARK.sub(replaced, page[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _MARK.sub(replaced, page[end:])])


def cells(
    definition: str, study: Mapping[str, Any] | None, outputs: Callable[[str], Mapping[str, Any]]
) -> Table | None:
    """Head and rows of a table that a mark names, as text; None for a table of a study where there is none.

    Args:
        definition: what stands in the comment of the mark, 'study-table: …' or 'output-table: …'.
        study: the content that `collect` returns.
        outputs: the numbers of a script, by its name.

    Raises:
        InputError: if the mark is not one of a table, or names nothing.
    """
    if not definition.startswith(("study-table:", "output-table:")):
        raise InputError(f"{definition}: a table begins with study-table or output-table")
    (mark,) = marks(marked(definition))
    if mark.of_study and study is None:
        return None
    return _as_table(_known(study, mark) if mark.of_study else _output(outputs, mark), mark.form)


def marked(definition: str) -> str:
    """A mark without text."""
    return f"<!-- {definition} -->\n<!-- / -->\n"


def _known(study: Mapping[str, Any] | None, mark: Mark) -> Any:
    """The value of a study that a mark names."""
    assert study is not None
    if mark.key not in study["numbers"]:
        raise InputError(f"docs/numbers/study.json has no {mark.key!r}; run python -m docs.numbers collect results")
    return study["numbers"][mark.key]


def _output(outputs: Callable[[str], Mapping[str, Any]], mark: Mark) -> Any:
    """The value of a script's output that a mark names, in the form of a study's."""
    script, _, name = mark.key.partition(".")
    values = outputs(script)
    if name not in values:
        raise InputError(f"docs/numbers/{script}.txt has no {name!r}{nearest(name, list(values))}")
    if mark.kind == "output":
        return {"value": values[name], "error": None}
    head, *rows = values[name]
    return {"head": head, "rows": [{"names": [], "cells": [[value, None] for value in row]} for row in rows]}


def _as_text(known: Mapping[str, Any], form: str) -> str:
    """A value, or several separated by commas."""
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


def _as_table(known: Mapping[str, Any], form: str) -> Table:
    """The cells of a table as text, its head first."""
    lines = [known["head"]]
    for row in known["rows"]:
        cells = [_one(value, error, form) for value, error in row["cells"]]
        lines.append([*(_one(name, None, "") for name in row["names"]), *cells])
    assert all(len(line) == len(known["head"]) for line in lines)
    return lines


def _as_markdown(table: Table) -> str:
    """A Markdown table with blank lines around it."""
    head, *rows = ([cell.replace("|", "\\|") for cell in line] for line in table)
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)) + "\n"
