"""Small networks beside one of 2.6 million parameters, as `python -m benchmarks.beside_others` compares them.

It takes 10 minutes of processor time. Times are those of one machine, so a rerun gives others.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.beside_others import Plan, beside

TIMED = True


def numbers() -> dict[str, Any]:
    """The benchmark's tables, by name."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return dict(beside(Plan(), Path(folder)))
