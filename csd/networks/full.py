"""Score networks with filters as wide as the lattice: `exact`, `one_layer`, `two_layer`, `deep_linear`.

    K(k) = Π_{i=1…p} w_i(k),

with p trainable filters of N numbers each. Filters that are equal at the start, w_1 = … = w_p = w, stay equal, and a
step of gradient descent acts on each mode separately (docs/physics.md, section 5):

    w ← w − η (w*)^{p−1} (S K − T).
"""

from functools import reduce
from operator import mul
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.networks.linear import COMPOSED_RATE, START_KERNEL, LinearNetwork, transform


class DeepLinear(LinearNetwork):
    """p linear layers, K = Π_i w_i.

    The initial kernel is K₀ = 0 for p = 1, and K₀ = 0.1 / C_max (filters w₀ δ_{r,0}) otherwise. The learning rate is
    1 / C_max for p = 1, ¼ for p = 2 and 1 / max_k(p K*^{2−2/p} C) for p > 2.

    Args:
        lattice: where the fields live.
        depth: p ≥ 1.
    """

    depth: Annotated[int, Ge(1), Le(1000), Option("layers", "P", label="p{value}", absent=0, always=True)]

    def __init__(self, lattice: Lattice, depth: int) -> None:
        super().__init__(lattice)
        self.depth = depth

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """(p, *lattice.shape)."""
        return (self.depth, *self.lattice.shape)

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """w_i(r) = K₀^{1/p} δ_{r,0}; the generator is not used."""
        filters = np.zeros((self.depth, self.lattice.sites))
        filters[:, 0] = self.start_filter(spectrum)
        return filters.reshape(self.filter_shape)

    def start_filter(self, spectrum: Array) -> float:
        """w₀ = K₀^{1/p}, which is the same in all modes."""
        return 0.0 if self.depth == 1 else float((START_KERNEL / spectrum.max()) ** (1.0 / self.depth))

    def kernel(self, filters: Any) -> Any:
        """K = Π_i ŵ_i in the *half* layout."""
        return reduce(mul, transform(self.lattice, filters))

    def learning_rate(self, spectrum: Array) -> float:
        """1 / C_max, ¼, or 1 / max_k(p C^{2/p − 1})."""
        return COMPOSED_RATE if self.depth == 2 else 0.5 * self.stable_rate(spectrum)

    def stable_rate(self, spectrum: Array) -> float:
        """2 / max_k(p K*^{2−2/p} C) = 2 / max_k(p C^{2/p − 1}), from the curvature at the fixed point."""
        return float(2.0 / (self.depth * spectrum ** (2.0 / self.depth - 1.0)).max())


class OneLayer(DeepLinear):
    """One filter as wide as the lattice, K = w."""

    depth: int = 1

    def __init__(self, lattice: Lattice) -> None:
        super().__init__(lattice, depth=1)


class TwoLayer(DeepLinear):
    """Two filters as wide as the lattice, K = w₁ w₂."""

    depth: int = 2

    def __init__(self, lattice: Lattice) -> None:
        super().__init__(lattice, depth=2)


class Exact(LinearNetwork):
    """The exact score, K = K* = 1 / C, for comparison; it has no trainable parameters."""

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """That of the kernel, which is as wide as the lattice."""
        return self.lattice.shape

    @property
    def parameters(self) -> int:
        """0: nothing is trained."""
        return 0

    def start(self, spectrum: Array, generator: np.random.Generator) -> Array:
        """K*(r), the transform of 1 / C."""
        return self.lattice.inverse(self.lattice.half(1.0 / spectrum))

    def kernel(self, filters: Any) -> Any:
        """K in the *half* layout."""
        return transform(self.lattice, filters)

    def learning_rate(self, spectrum: Array) -> float:
        """0: nothing is trained."""
        return 0.0

    def stable_rate(self, spectrum: Array) -> float:
        """Infinite: nothing is trained."""
        return float("inf")
