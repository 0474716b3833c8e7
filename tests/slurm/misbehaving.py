"""Networks whose training goes wrong in the ways that jobs on a cluster do; each lies beside a study of the tests."""

import time
from pathlib import Path
from typing import Any

import torch

from csd.networks.module import LinearScore


class Patient(LinearScore):
    """K = ŵ, and nothing goes wrong."""

    uses = 1

    def __init__(self, lattice: Any, spectrum: torch.Tensor, generator: torch.Generator) -> None:
        super().__init__(lattice)
        start = torch.zeros(lattice.shape, dtype=torch.float64)
        start.view(-1)[0] = 0.1 / spectrum.max()
        self.filter = torch.nn.Parameter(start)

    def kernel(self) -> torch.Tensor:
        return torch.fft.rfftn(self.filter)

    def learning_rate(self, spectrum: torch.Tensor) -> float:
        return float(1 / spectrum.max())


class FailsOnce(Patient):
    """Raises in the first attempt."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        before = Path("failed-before")
        if not before.exists():
            before.touch()
            raise RuntimeError("the first attempt fails")


class Hungry(Patient):
    """Takes 1300 MB for a while: more than a first attempt is given, and less than a second."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        ballast = b"x" * 1_300_000_000
        # Where cgroups may not be made, SLURM looks once a second.
        time.sleep(3.0)
        del ballast


class Slow(Patient):
    """Takes minutes in the first attempt, and no time in any other."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        begun = Path("begun")
        self.pause = 0.0 if begun.exists() else 0.2
        begun.touch()

    def kernel(self) -> torch.Tensor:
        time.sleep(self.pause)
        return super().kernel()
