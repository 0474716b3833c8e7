"""What CONTRIBUTING.md says of commits, counted."""

import re
import subprocess

import pytest

from tests.helpers import ROOT

ROWS = re.findall(r"^\| an? ([^|]+) \| [^|]+ \| (\d+) \| ([^|]+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
OF_CODE = ("csd/", "workflow/rules/", "workflow/Snakefile")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, text=True, capture_output=True, check=False).stdout


@pytest.mark.parametrize(("change", "count", "title"), ROWS, ids=[row[0] for row in ROWS])
def test_a_change_reaches_as_many_files_as_is_said(change: str, count: str, title: str) -> None:
    """Files of the package and of the workflow in its commit, where the history is there."""
    commits = _git("log", "--format=%H", "--no-merges", f"--grep=^{title}").split()
    if not commits:
        pytest.skip("the history of this checkout does not reach so far")
    files = _git("show", "--name-only", "--format=", commits[-1]).split()
    assert len([file for file in files if file.startswith(OF_CODE)]) == int(count)


def test_all_changes_are_counted() -> None:
    """The five kinds that the text tells how to make."""
    assert len(ROWS) == 5
