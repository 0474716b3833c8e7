"""The error of a trained network of mean-field iterations on critical spins, as `python -m benchmarks.finite_n` has it.

Times are those of one machine, so a rerun gives others. Run it with OPENBLAS_NUM_THREADS=1: NumPy is loaded before the
benchmark can see to it.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.finite_n import Plan, finite_n
from benchmarks.networks import Report

TIMED = True


def numbers() -> dict[str, Any]:
    """The benchmark's table, and what misses a limit."""
    torch.set_num_threads(1)
    report = Report(strict=True)
    with tempfile.TemporaryDirectory() as folder:
        finite_n(Plan(), Path(folder), report)
    return {"table": report.table, "missed": report.missed}
