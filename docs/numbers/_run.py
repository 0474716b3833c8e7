"""A study run whole in a temporary folder, for scripts that tell what it finds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.overhead import run_study

CONFIG = Path(__file__).resolve().parents[2] / "config"


@contextmanager
def whole_study(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run `config/NAME.yaml` on all cores.

    Core time is user and system time of Snakemake and of all that it starts, on one machine, so a rerun gives another.

    Args:
        name: of the study.

    Yields:
        Its results, as long as the context lasts, and its core time in seconds and wall time in minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = perf_counter()
        done, seconds = run_study(CONFIG / f"{name}.yaml", "all", Path(folder))
        done.check_returncode()
        wall = (perf_counter() - started) / 60.0
        yield Path(folder) / "results" / name, {"core_seconds": round(seconds), "wall_minutes": round(wall, 1)}
