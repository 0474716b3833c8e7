"""The documentation: every block of code runs, every link leads somewhere, and the site builds without a warning.

Blocks of tutorials and claims run while the site is built, those of all other pages here.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("markdown_it", reason="markdown-it-py is not installed (pip install .[docs])")

from csd.core.files import GENERATION, REQUIRED, SCORES, TIMING
from csd.mcmc.ensemble import VARIABLES as SAMPLED
from csd.training.content import VARIABLES as TRAINED
from docs.hooks.blocks import KNOWN, ROOT, Session, blocks

EXECUTED = ("start.md", "claims/", "tutorials/")
SITE = find_spec("mkdocs") is not None and find_spec("mkdocstrings") is not None
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")])


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _runs_in_the_build(page: Path) -> bool:
    return page.is_relative_to(ROOT / "docs") and page.relative_to(ROOT / "docs").as_posix().startswith(EXECUTED)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_code_runs(page: Path, tmp_path: Path) -> None:
    found = list(blocks(page.read_text()))
    for block in found:
        assert block.language in KNOWN, f"line {block.line}: {block.language!r}"
        assert block.not_run != "", f"line {block.line}: not run, without a reason"
    if SITE and _runs_in_the_build(page):
        pytest.skip("runs while the site is built")
    session = Session(_name(page), tmp_path)
    for block in found:
        session.run(block)


def test_a_block_that_fails_is_told(tmp_path: Path) -> None:
    session = Session("page.md", tmp_path)
    bad_command, bad_warning, bad_study, bad_language = blocks(
        "```bash\ncsd field --dimension 4 --size 8\n```\n\n"
        "```python\nimport warnings\nwarnings.warn('old')\n```\n\n"
        "```yaml\nsweeps: {line: {dimension: 1, szies: 8, architectures: exact}}\n```\n\n"
        "```fortran\nend\n```\n"
    )
    with pytest.raises(ValueError, match=r"page.md:2: status 2\n(.|\n)*dimension is 4"):
        session.run(bad_command)
    with pytest.raises(UserWarning, match="old"):
        session.run(bad_warning)
    with pytest.raises(ValueError, match="szies"):
        session.run(bad_study)
    with pytest.raises(ValueError, match="fortran"):
        session.run(bad_language)


def test_blocks_share_a_namespace_and_a_folder(tmp_path: Path) -> None:
    page = (
        '```python title="mine.py"\nx = 2\n```\n\n<!-- not run: never -->\n```bash\nexit 1\n```\n\n'
        "<!-- first: echo 3 > three -->\n```python\nimport mine\ny = mine.x\n```\n\n"
        "```python\nprint('sum')\ny + 3\n```\n"
    )
    session = Session("page.md", tmp_path)
    assert "".join(session.run(block).text for block in blocks(page)) == "sum\n5\n"
    assert (tmp_path / "three").read_text() == "3\n"


def _links(text: str) -> Iterator[str]:
    """Targets of the links and images of a page, outside of code."""
    from markdown_it import MarkdownIt

    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or []:
            target = child.attrs.get("href") or child.attrs.get("src")
            if target is not None:
                yield str(target)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links(page: Path) -> None:
    """Files are there where the repository is read as it is; headings are checked by the build."""
    for link in _links(page.read_text()):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[\w.-]+\.[a-z]{2,}", parts.netloc), link
        elif parts.path and "reference/" not in parts.path:
            assert (page.parent / parts.path).exists(), link


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SITE:
        pytest.skip("mkdocs or mkdocstrings is not installed (pip install .[docs])")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


def test_site_has_every_page_and_module(site: Path) -> None:
    there = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {
        page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")
    } <= there
    modules = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "csd").rglob("*.py")]
    public = {".".join(path.parts).removesuffix(".__init__") for path in modules if "__main__" not in path.parts}
    assert {f"reference/{name}" for name in public - {"csd"} if "._" not in name} <= there


def test_site_tells_every_key_of_a_study(site: Path) -> None:
    page = (site / "configuration.html").read_text()
    schema = json.loads((ROOT / "workflow" / "schemas" / "study.schema.json").read_text())
    for part in (schema, *schema["$defs"].values()):
        for key, known in part["properties"].items():
            assert f"<td><code>{key}</code></td>" in page, key
            if part is not schema and "description" in known:
                # What mkdocs makes of quotes and stars is its own matter.
                words = re.split(r"[`*<>&'\"]", known["description"])
                assert all(word in page for word in words), known["description"]


def test_site_tells_every_variable_of_files(site: Path) -> None:
    """Tables of variables come from files made for the page, which have all that the code can write."""
    page = (site / "results.html").read_text()
    for name in {*REQUIRED[GENERATION], *REQUIRED[SCORES], *REQUIRED[TIMING], *TRAINED, *SAMPLED}:
        assert f"<code>{name}</code>" in page, name


def test_site_needs_no_network(site: Path) -> None:
    """Nothing is loaded from elsewhere when a page is opened."""
    loads = re.compile(r"""<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
    for page in site.rglob("*.html"):
        assert not loads.findall(page.read_text()), page


def test_site_shows_formulas_results_and_figures(site: Path) -> None:
    for source in (ROOT / "docs" / "claims").glob("*.md"):
        text, page = source.read_text(), (site / "claims" / f"{source.stem}.html").read_text()
        assert page.count('display="block"') == text.count("\n$$\n") // 2 > 0
        assert "arithmatex" not in page
    page = (site / "claims" / "one-layer.html").read_text()
    # The number that the table of docs/physics.md has for L = 256.
    assert re.search(r"L =  256   τ =    275614", page)
    assert len(list((site / "tutorials").glob("*.svg"))) >= 5
