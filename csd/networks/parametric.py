"""Networks defined by parameters θ and a function of them, s(x) = f_θ(x), trained by autograd on raw fields.

These classes are imported whenever a command needs their options, so PyTorch is imported only when one is built.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice


class ParametricNetwork(ABC):
    """A score s_θ(x) at one noise level.

    Args:
        lattice: where the fields live.
        options: values of the options of the class.
    """

    def __init__(self, lattice: Lattice, **options: Any) -> None:
        self.lattice = lattice
        vars(self).update(options)

    @classmethod  # noqa: B027
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse options that do not fit the lattice; any fit unless a subclass knows better."""

    @abstractmethod
    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """The initial θ, by name, for a spectrum C in the *half* layout."""

    def constants(self, spectrum: Array) -> dict[str, Array]:
        """Numbers that are not trained, by name, for the same spectrum; none unless a subclass needs some."""
        return {}

    @abstractmethod
    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for tensors of fields, shape (batch, *lattice.shape), and of parameters and constants; same shape."""

    def divergence(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """Σ_batch ∇·s for the same tensors; None where only an estimate with random probes is cheap."""
        return None

    def learning_rate(self, spectrum: Array) -> float:
        """Default η for a spectrum C in the *half* layout: 1 / C_max, as for one linear layer, unless overridden."""
        return float(1.0 / spectrum.max())
