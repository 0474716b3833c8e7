"""The heavy ball: momentum for any descent."""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.training.descent.families import Descent

UNMOVED = ("buffers", "layers")
"""Parts of the state of a descent to which momentum does not apply."""
BEHIND = "behind "
"""Prefix, in checkpoints, of the arrays of the step before."""


class HeavyBall:
    """w_{j+1} = w_j − η ∂ℒ/∂w_j + β (w_j − w_{j−1}), w_{−1} = w_0 (Polyak, 1964), for any descent.

    On a quadratic loss the slowest mode, of curvature λ, decays at best like β^{j/2} with √β = 1 − √(ηλ): where plain
    descent takes 1/(ηλ) steps the heavy ball takes 1/√(ηλ).

    Args:
        descent: plain descent, which takes the step −η ∂ℒ/∂w.
        momentum: β, from 0 to below 1.
    """

    def __init__(self, descent: Descent, momentum: float) -> None:
        self.descent, self.momentum = descent, momentum
        self._behind = deepcopy(descent.snapshot())

    def __getattr__(self, name: str) -> Any:
        """Errors, kernels and weights are those of the plain descent."""
        return getattr(self.descent, name)

    def advance(self, *data: Any) -> None:
        """Take one step on the data of the plain descent."""
        # Copied, as a descent may step in place.
        here = deepcopy(self.descent.snapshot())
        self.descent.advance(*data)
        self.descent.resume(
            {
                name: there if name in UNMOVED else there + self.momentum * (here[name] - self._behind[name])
                for name, there in self.descent.snapshot().items()
            }
        )
        self._behind = here

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.descent.keep(seeds)
        self._behind = {name: array[seeds] for name, array in self._behind.items()}

    def snapshot(self) -> dict[str, Any]:
        """The state now and a step before."""
        return self.descent.snapshot() | {f"{BEHIND}{name}": array for name, array in self._behind.items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot."""
        self._behind = {name.removeprefix(BEHIND): own for name, own in snapshot.items() if name.startswith(BEHIND)}
        self.descent.resume({name: own for name, own in snapshot.items() if not name.startswith(BEHIND)})
