"""Networks given by their parameters and a function of these: s(x) = f_θ(x), trained by autograd on raw fields.

A class of this kind is read for its options whenever a command starts; PyTorch is loaded when one is built.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice


class ParametricNetwork(ABC):
    """A score s_θ(x) at one noise level; its options are keywords of a subclass's constructor.

    Args:
        lattice: where the fields live.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice

    @abstractmethod
    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """θ to start from, by name, for a spectrum C in the *half* layout."""

    @abstractmethod
    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for PyTorch fields of shape (batch, *lattice.shape), from parameters that are tensors; same shape."""

    def learning_rate(self, spectrum: Array) -> float:
        """Default η for a spectrum C in the *half* layout: that of one linear layer, 1 / C_max, unless overridden."""
        return float(1.0 / spectrum.max())
