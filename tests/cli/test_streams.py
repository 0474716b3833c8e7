"""Standard output and error of `csd` in any state: a poor encoding, closed, full, or a reader that has gone."""

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from csd.cli import commands as cli
from tests.helpers import ROOT, Ran, on_path

TRAIN = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.1 0.5 --loss population --output {}"
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
"""A locale that knows ASCII alone, for files too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training file."""
    made = tmp_path_factory.mktemp("streams")
    cli.main(shlex.split(TRAIN.format(made / "run.nc")))
    return made


def shell(command: str, folder: Path, **variables: str) -> Ran:
    """Run a line of bash, in which `csd` is that of the checkout."""
    line = f'csd() {{ {shlex.quote(sys.executable)} -m csd "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=on_path() | variables, capture_output=True, text=True, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, ASCII, {}])
def test_what_an_encoding_lacks_is_escaped(variables: dict[str, str], folder: Path) -> None:
    (folder / "g.nc").unlink(missing_ok=True)
    ran = shell("csd generate run.nc --output g.nc | cat -v", folder, **variables)
    assert ran.status == 0, ran.err
    assert (folder / "g.nc").is_file()
    sign = {"ascii": "\\xb1", "latin-1": "M-1", "": "M-BM-1"}[
        variables.get("PYTHONIOENCODING", "ascii" * bool(variables))
    ]
    assert f" {sign} " in ran.out
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("command", "status"),
    [
        # A result in a file is not lost with the words about it.
        ("csd generate run.nc --output {file} >&-", 0),
        ("csd generate run.nc --output {file} >/dev/full", 0),
        (f"csd {TRAIN} 2>/dev/full", 0),
        (f"csd {TRAIN} 2>&-", 0),
        (f"set -o pipefail; csd {TRAIN} 2>&1 | true", 0),
        # What is printed is the result.
        ("csd field --dimension 1 --size 8 >/dev/full", 1),
        ("csd schema >/dev/full", 1),
        ("csd --version >/dev/full", 1),
        ("csd --help >/dev/full", 1),
        ("csd train --help >/dev/full", 1),
        ("set -o pipefail; csd train --help | head -n 1", 0),
        # The reader has what it wanted.
        ("set -o pipefail; csd schema | head -n 1", 0),
        ("set -o pipefail; csd --print-completion bash | head -n 1", 0),
        # A mistake is a mistake, seen or not.
        ("csd trian >&- 2>&-", 2),
    ],
)
def test_streams_that_take_nothing(command: str, status: int, folder: Path) -> None:
    file = folder / "made.nc"
    file.unlink(missing_ok=True)
    ran = shell(command.replace("{file}", "made.nc").replace("{}", "made.nc"), folder)
    assert ran.status == status, ran.err
    assert file.is_file() == ("made.nc" in command or "{" in command)
    assert "Traceback" not in ran.err
    assert "Exception ignored" not in ran.err
    if "/dev/full" in command and "2>" not in command:
        assert "standard output cannot be written (No space left on device)" in ran.err


def test_a_closed_log_does_not_move_to_standard_output(folder: Path) -> None:
    assert shell(f"csd {TRAIN.format('made.nc')} 2>&-", folder).out == ""


def test_the_command_in_a_file_is_text_whatever_was_typed(folder: Path) -> None:
    """A name of bytes that are no UTF-8, and one in UTF-8 under a locale of ASCII."""
    ran = shell(f"csd {TRAIN.format('made.nc')} --benchmark $'\\xff.json' && csd show made.nc", folder)
    assert ran.status == 0, ran.err
    assert "--benchmark '\\xff.json'" in ran.out
    assert json.loads(next(Path(os.fsdecode(name)) for name in folder.glob("*.json")).read_text())["wall_s"] > 0.0
    ran = shell(f"csd {TRAIN.format('made.nc')} --benchmark ξ.json", folder, **ASCII)
    assert ran.status == 0, ran.err
    assert "--benchmark 'ξ.json'" in shell("csd show made.nc", folder).out


@pytest.mark.parametrize(("name", "variables"), [("$'\\xff.nc'", {}), ("ξ.nc", ASCII)])
def test_files_may_have_names_that_the_encoding_lacks(name: str, variables: dict[str, str], folder: Path) -> None:
    ran = shell(
        f"csd {TRAIN.format(name)} && csd generate {name} --output g.nc && csd show {name}", folder, **variables
    )
    assert ran.status == 0, ran.err
    assert "architecture        one_layer" in ran.out


def test_text_files_name_their_encoding() -> None:
    """The locale does not decide how files are read or written; the cache of `csd.core.source` is JSON in ASCII."""
    found = []
    paths = {*(ROOT / "csd").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")} - {ROOT / "csd" / "core" / "source.py"}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            mode = next((str(one.value) for one in node.args if isinstance(one, ast.Constant)), "")
            named = any(keyword.arg == "encoding" for keyword in node.keywords)
            if node.func.attr in ("read_text", "write_text", "open") and not named and "b" not in mode:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found
