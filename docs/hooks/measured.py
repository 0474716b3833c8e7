"""Tables of numbers: a line of a page links to a file of docs/numbers/tables/, and the site shows the table there."""

import csv
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.pages import Page

DOCS = Path(__file__).parents[1]
_LINE = re.compile(r"^\[Table: (.+)\]\((\S+\.csv)\)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put each table, with the words of its link above it, in the place of the link."""
    folder = DOCS / posixpath.dirname(page.file.src_uri)

    def table(found: re.Match[str]) -> str:
        with (folder / found[2]).open(encoding="utf-8", newline="") as file:
            head, *rows = ([cell.replace("|", "\\|") for cell in line] for line in csv.reader(file))
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join([f"*Table: {found[1]}.*", "", *(f"| {' | '.join(line)} |" for line in lines), ""])

    return _LINE.sub(table, markdown)
