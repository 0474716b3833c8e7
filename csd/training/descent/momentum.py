"""The heavy ball, and the other optimisers, for any descent whose plain step is known."""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array
from csd.training.descent.families import Descent
from csd.training.descent.optimizers import Optimizer

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


STATE, STEPS = "optimizer ", "optimizer steps"
"""Prefix, in checkpoints, of the arrays of an optimiser, and the name of the number of its steps."""


class OptimizedDescent:
    """An optimiser of `csd.training.descent.optimizers` for any descent, on the numbers that the descent trains.

    Those are amplitudes in Fourier space for layers as wide as the lattice, else filters in real space or parameters.

    Args:
        descent: plain descent at learning rate 1, whose step −∂ℒ/∂w gives the gradient.
        optimizer: the optimiser, without an average.
        rates: η, shape (levels,).
    """

    def __init__(self, descent: Descent, optimizer: Optimizer, rates: Array) -> None:
        self.descent, self.optimizer, self.steps = descent, optimizer, 0
        groups = getattr(descent, "groups", None)
        self._trained = [name for name in descent.snapshot() if name not in UNMOVED]
        of_levels = [rates] if groups is None else [rates[levels] for levels in groups]
        self._rates = dict(zip(self._trained, of_levels, strict=True))
        self._state = {name: optimizer.start(deepcopy(descent.snapshot()[name])) for name in self._trained}

    def __getattr__(self, name: str) -> Any:
        """Errors, kernels and weights are those of the plain descent."""
        return getattr(self.descent, name)

    def advance(self, *data: Any) -> None:
        """Take one step on the data of the plain descent."""
        here = deepcopy(self.descent.snapshot())
        self.descent.advance(*data)
        self.steps += 1
        there = deepcopy(self.descent.snapshot())
        for name in self._trained:
            own = here[name]
            # NaN fills up levels with fewer numbers.
            gradient = np.where(np.isnan(own), 0.0, own - there[name])
            seeds, levels, rows = len(own), own.shape[1], own.shape[0] * own.shape[1]
            moved, state, gradient = (
                own.reshape(rows, -1).copy(),
                tuple(array.reshape(rows, -1) for array in self._state[name]),
                gradient.reshape(rows, -1),
            )
            rates = np.tile(self._rates[name], seeds)[:, None]
            self.optimizer.advance(moved, state, gradient, self.steps, rates)
            self._state[name] = tuple(array.reshape(seeds, levels, *own.shape[2:]) for array in state)
            there[name] = moved.reshape(own.shape)
        self.descent.resume(there)

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.descent.keep(seeds)
        self._state = {name: tuple(array[seeds] for array in own) for name, own in self._state.items()}

    def snapshot(self) -> dict[str, Any]:
        """The state of the descent and of the optimiser."""
        arrays = {f"{STATE}{i} {name}": own[i] for name, own in self._state.items() for i in range(len(own))}
        return self.descent.snapshot() | arrays | {STEPS: np.array(self.steps)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot."""
        self.steps = int(snapshot[STEPS])
        self._state = {
            name: tuple(np.array(snapshot[f"{STATE}{i} {name}"]) for i in range(len(own)))
            for name, own in self._state.items()
        }
        self.descent.resume({name: own for name, own in snapshot.items() if not name.startswith(STATE)})
