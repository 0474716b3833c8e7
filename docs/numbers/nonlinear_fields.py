"""Fields of a nonlinear network trained in a minute, as `python -m benchmarks.networks` measures them.

Times and memory are those of one machine, so a rerun gives others. Run it with OPENBLAS_NUM_THREADS=1: NumPy is loaded
before the benchmark can see to it.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import Plan, Report, memory, networks

TIMED = True


def numbers() -> dict[str, Any]:
    """The benchmark's table, the peak memory of its large job in GB, and what misses a limit."""
    torch.set_num_threads(1)
    plan, report = Plan(), Report(strict=True)
    with tempfile.TemporaryDirectory() as folder:
        networks(plan, Path(folder), report)
    taken = memory(plan, report)
    return {"table": report.table, "memory": round(taken, 2), "missed": report.missed}
