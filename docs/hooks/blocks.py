"""Code blocks of a page: found in its Markdown, run in order in one folder, with what they print and draw.

The site shows what the blocks of tutorials print (`hooks/tutorials.py`); the tests run those of all other pages. A
block with a `title="file"` is that file. One that cannot run says why in a comment above it, `<!-- not run: why -->`.
What a page takes for granted is made in a comment too, `<!-- first: command -->`.
"""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
CLONE = ("Snakefile", "config", "workflow")
"""What blocks find in their folder, beside the installed package."""
KNOWN = ("python", "bash", "yaml", "snakemake", "text")
"""Languages of blocks; those of `text` are output, and not run."""

_COMMENT = re.compile(r"<!--\s*(not run|first):\s*(.+?)\s*-->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: first word after the fence.
        title: file that the block is, or None.
        source: its text.
        line: first line of the source, from 1.
        end: line after the closing fence, from 0.
        not_run: why it is not run, or None.
    """

    language: str
    title: str | None
    source: str
    line: int
    end: int
    not_run: str | None


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page in order, what comes first in a comment among them."""
    not_run = None
    for token in MarkdownIt().parse(text):
        if token.type == "html_block":
            for kind, said in _COMMENT.findall(token.content):
                assert token.map is not None
                if kind == "first":
                    yield Block("bash", None, said, token.map[0] + 1, token.map[1], None)
                else:
                    not_run = said
        elif token.type == "fence":
            assert token.map is not None
            language, _, rest = token.info.strip().partition(" ")
            title = _TITLE.search(rest)
            yield Block(language, title and title.group(1), token.content, token.map[0] + 2, token.map[1], not_run)
            not_run = None
        elif token.type.endswith("_open"):
            not_run = None


@dataclass
class Result:
    """What a block left.

    Attributes:
        text: what it printed, and the value of its last line, as a notebook shows it.
        figures: what it drew, as SVG.
    """

    text: str = ""
    figures: list[str] = field(default_factory=list)


class Session:
    """Blocks of one page, run in one folder and one namespace.

    Args:
        page: its name, for tracebacks.
        folder: an empty folder, which is made to look like a fresh clone.
    """

    def __init__(self, page: str, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        for name in CLONE:
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)

    def run(self, block: Block) -> Result:
        """Run a block.

        Raises:
            ValueError: if its language is not known, or a command fails.
            Exception: whatever Python code raises; warnings are errors.
        """
        if block.language not in KNOWN:
            raise ValueError(f"{self.page}:{block.line}: a block of {block.language!r}; known are {', '.join(KNOWN)}")
        if block.not_run is not None or block.language == "text":
            return Result()
        if block.title is not None:
            (self.folder / block.title).write_text(block.source, encoding="utf-8")
            return Result()
        if block.language == "yaml":
            _check(yaml.safe_load(block.source))
            return Result()
        return Result(self._command(block)) if block.language == "bash" else self._python(block)

    def _command(self, block: Block) -> str:
        """Run a block in bash; what it printed."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.source],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "PYTHONPATH": modules, "COLUMNS": "84"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise ValueError(f"{self.page}:{block.line}: status {done.returncode}\n{block.source}\n{done.stdout}")
        return done.stdout

    def _python(self, block: Block) -> Result:
        """Run a block in the page's namespace; what it printed, its last value and the figures it drew."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        tree = ast.parse(block.source, f"{self.page}")
        ast.increment_lineno(tree, block.line - 1)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        before = set(sys.modules)
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed), warnings.catch_warnings():
                warnings.simplefilter("error")
                exec(compile(tree, self.page, "exec"), self.namespace)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), self.page, "eval"), self.namespace)
                    if value is not None:
                        print(repr(value))
                figures = [_svg(plt.figure(number)) for number in plt.get_fignums()]
        finally:
            plt.close("all")
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]
        return Result(printed.getvalue(), figures)


def _check(content: Any) -> None:
    """Check a part of a study, or a file of claims, as whole ones are."""
    from csd.study.claims import parse_claims
    from csd.study.config.reading import parse

    if isinstance(content.get("claims"), list):
        parse_claims(content, "claims")
    else:
        parse({"study": "example", **content})


def _svg(figure: Any) -> str:
    """A figure as SVG, the same bytes each time."""
    import matplotlib

    target = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "csd"}):
        figure.savefig(target, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return target.getvalue()
