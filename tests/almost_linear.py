"""A network whose score is almost linear and which has no kernel, so that it learns from raw fields."""

import numpy as np
import torch

from csd.lattice import Array, Lattice
from csd.networks.module import ScoreNetwork


class Rest(ScoreNetwork):
    """s(x) = −K∗x with K = 1/C, without a kernel, plus a tanh x; a = 0 at the start."""

    def __init__(self, lattice: Lattice, spectrum: Array, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.inverse = 1.0 / torch.as_tensor(spectrum)
        self.share = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """−K∗x + a tanh x."""
        linear = torch.fft.irfftn(-self.inverse * torch.fft.rfftn(fields, dim=(-2, -1)), s=fields.shape[-2:])
        return linear + self.share * fields.tanh()
