"""Caches save time; where one cannot be written or read, everything still works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import copied_package, on_path

NOWHERE = "/dev/null/nowhere"
"""A folder that nobody can make, not even root."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in whose folders no `__pycache__` can be made."""
    folder = tmp_path_factory.mktemp("package")
    for package in {path.parent for path in copied_package(folder).rglob("*.py")}:
        (package / "__pycache__").write_text("no folder")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "mcmc --dimension 1 --size 8 --mass 1 --sampler heat_bath --sweeps 500 --output out.nc",
        "scores --dimension 1 --size 8 --noise-level 0.1 --fields 4 --output out.nc",
        # Enough random numbers that compiled loops would draw them.
        "train --architecture one_layer --dimension 1 --size 256 --noise-level 0.1 --batch 4 --max-steps 300000"
        " --tolerance 0 --output out.nc",
    ],
)
def test_commands_work_without_any_cache(command: str, bare: Path, tmp_path: Path) -> None:
    """As in a container with a read-only package and a user without a home."""
    variables = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"), NOWHERE) | {"PYTHONPATH": str(bare)}
    done = subprocess.run(
        [sys.executable, "-m", "csd", *command.split()],
        cwd=tmp_path,
        env={name: value for name, value in on_path().items() if name != "NUMBA_CACHE_DIR"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.nc").is_file()
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Matplotlib created a temporary cache directory") <= 1


COUNT = """
import numpy as np
from csd.lattice.sites import compiled

@compiled
def total(numbers):
    found = 0.0
    for number in numbers:
        found += number
    return found

print(total(np.arange(5.0)), sum(total.stats.cache_hits.values()))
"""


def test_compiled_code_is_kept_and_compiled_again_where_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "count.py").write_text(COUNT)

    def counted() -> list[str]:
        variables = {"PYTHONPATH": os.pathsep.join([str(tmp_path), on_path()["PYTHONPATH"]])}
        command = [sys.executable, "-c", "import count"]
        return subprocess.run(
            command, env=on_path() | variables, capture_output=True, text=True, check=True
        ).stdout.split()

    assert counted() == ["10.0", "0"]
    assert counted() == ["10.0", "1"]
    for kept in (tmp_path / "__pycache__").glob("count.total*"):
        kept.write_bytes(b"damaged")
    assert counted() == ["10.0", "0"]
