"""Momentum for any descent: the heavy ball."""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.training.descent.families import Descent

BEHIND = "behind "
"""What a checkpoint calls arrays of the step before, beside their names."""


class HeavyBall:
    """w_{j+1} = w_j − η ∂ℒ/∂w_j + β (w_j − w_{j−1}), w_{−1} = w_0 (Polyak, 1964), of any descent.

    On a quadratic loss the slowest mode, of curvature λ, decays at best like β^{j/2} with √β = 1 − √(ηλ): where plain
    descent takes 1/(ηλ) steps the heavy ball takes 1/√(ηλ).

    Args:
        descent: takes the step −η ∂ℒ/∂w.
        momentum: β, from 0 to below 1.
    """

    def __init__(self, descent: Descent, momentum: float) -> None:
        self.descent, self.momentum = descent, momentum
        self._behind = deepcopy(descent.snapshot())

    def __getattr__(self, name: str) -> Any:
        """Errors, kernels and weights are the descent's own."""
        return getattr(self.descent, name)

    def advance(self, *data: Any) -> None:
        """One step on what the descent takes."""
        # Descents may step in place.
        here = deepcopy(self.descent.snapshot())
        self.descent.advance(*data)
        self.descent.resume(
            {
                name: there if name == "buffers" else there + self.momentum * (here[name] - self._behind[name])
                for name, there in self.descent.snapshot().items()
            }
        )
        self._behind = here

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.descent.keep(seeds)
        self._behind = {name: array[seeds] for name, array in self._behind.items()}

    def snapshot(self) -> dict[str, Any]:
        """Where it is, and where it was a step before."""
        return self.descent.snapshot() | {f"{BEHIND}{name}": array for name, array in self._behind.items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from there."""
        self._behind = {name.removeprefix(BEHIND): own for name, own in snapshot.items() if name.startswith(BEHIND)}
        self.descent.resume({name: own for name, own in snapshot.items() if not name.startswith(BEHIND)})
