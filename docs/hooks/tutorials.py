"""Pages whose blocks run while the site is built, and show what they print and draw."""

import tempfile
from pathlib import Path
from typing import Any

from blocks import Session, blocks
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

EXECUTED = ("start.md", "claims/", "tutorials/")


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """The page with the results of its blocks below them; a block that fails ends the build."""
    source = page.file.src_uri
    if not source.startswith(EXECUTED):
        return markdown
    lines = markdown.split("\n")
    shown: dict[int, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        session = Session(source, Path(folder).resolve())
        drawn = 0
        for block in blocks(markdown):
            try:
                result = session.run(block)
            except Exception as error:
                raise PluginError(
                    f"{source}, line {block.line} of its text: {type(error).__name__}: {error}"
                ) from error
            added = ["", "```text", *result.text.rstrip("\n").split("\n"), "```"] if result.text.strip() else []
            for figure in result.figures:
                drawn += 1
                path = Path(source).with_suffix("").as_posix() + f"-{drawn}.svg"
                files.append(File.generated(config, path, content=figure))
                added += ["", f"![Drawn by the code above]({Path(path).name})"]
            if added:
                shown[block.end] = [*added, ""]
    return "\n".join(line for number, line in enumerate([*lines, ""]) for line in [*shown.get(number, []), line])
