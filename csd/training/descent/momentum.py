"""The heavy ball, and the other optimisers, for any descent whose plain step is known."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, Lattice, Modes
from csd.training.descent.families import Descent
from csd.training.descent.modes import ModeDescent
from csd.training.descent.optimizers import EITHER, FOURIER, REAL, Optimizer

UNMOVED = ("buffers", "layers")
"""Parts of the state of a descent on which no gradient acts."""
STATE, STEPS = "optimizer ", "optimizer steps"
"""Prefix, in checkpoints, of the arrays of an optimiser, and the name of the number of its steps."""


class _OtherSteps(ABC):
    """A descent that takes other steps than the plain descent from which it has the gradients.

    Args:
        descent: plain descent.
        start: the arrays that the steps need, by the name of the part of the descent's state to which they belong.
    """

    def __init__(self, descent: Descent, start: Callable[[Any], tuple[Any, ...]]) -> None:
        self.descent, self.steps = descent, 0
        found = deepcopy(descent.snapshot())
        self._state = {name: start(own) for name, own in found.items() if name not in UNMOVED}

    def __getattr__(self, name: str) -> Any:
        """Errors, kernels and weights are those of the plain descent."""
        return getattr(self.descent, name)

    @abstractmethod
    def _moved(self, name: str, here: Any, there: Any) -> Any:
        """The numbers after a step from `here`, where the plain step leads to `there`; the state follows."""

    def advance(self, *data: Any) -> None:
        """Take one step on the data of the plain descent."""
        # Copied, as a descent may step in place.
        here = deepcopy(self.descent.snapshot())
        self.descent.advance(*data)
        self.steps += 1
        there = self.descent.snapshot()
        self.descent.resume(there | {name: self._moved(name, here[name], there[name]) for name in self._state})

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.descent.keep(seeds)
        self._state = {name: tuple(array[seeds] for array in own) for name, own in self._state.items()}

    def snapshot(self) -> dict[str, Any]:
        """The state of the descent and of the steps."""
        arrays = {f"{STATE}{i} {name}": array for name, own in self._state.items() for i, array in enumerate(own)}
        return self.descent.snapshot() | arrays | {STEPS: np.array(self.steps)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot."""
        self.steps = int(snapshot[STEPS])
        self._state = {
            name: tuple(np.array(snapshot[f"{STATE}{i} {name}"]) for i in range(len(own)))
            for name, own in self._state.items()
        }
        self.descent.resume({name: own for name, own in snapshot.items() if not name.startswith(STATE)})


class HeavyBall(_OtherSteps):
    """w_{j+1} = w_j − η ∂ℒ/∂w_j + β (w_j − w_{j−1}), w_{−1} = w_0 (Polyak, 1964), for any descent.

    On a quadratic loss the slowest mode, of curvature λ, decays at best like β^{j/2} with √β = 1 − √(ηλ): where plain
    descent takes 1/(ηλ) steps the heavy ball takes 1/√(ηλ).

    Args:
        descent: plain descent, which takes the step −η ∂ℒ/∂w.
        momentum: β, from 0 to below 1.
    """

    def __init__(self, descent: Descent, momentum: float) -> None:
        super().__init__(descent, lambda own: (own,))
        self.momentum = momentum

    def _moved(self, name: str, here: Any, there: Any) -> Any:
        """w_{j+1}; the state is w_{j−1}."""
        (behind,) = self._state[name]
        self._state[name] = (here,)
        return there + self.momentum * (here - behind)


class OptimizedDescent(_OtherSteps):
    """An optimiser of `csd.training.descent.optimizers` for any descent.

    Args:
        descent: plain descent at learning rate 1, whose step −∂ℒ/∂w gives the gradient.
        optimizer: the optimiser, without an average.
        rates: η, shape (levels,) or (seeds, levels).
        lattice: of the fields.
        modes: of the kernels.

    Attributes:
        momenta: β of each level, shape (levels,), in the place of the optimiser's own; None for that.
    """

    momenta: Array | None = None

    def __init__(self, descent: Descent, optimizer: Optimizer, rates: Array, lattice: Lattice, modes: Modes) -> None:
        self.optimizer, self._basis = optimizer, NUMBERS
        if isinstance(descent, ModeDescent) and (
            optimizer.space == REAL or (optimizer.clip and optimizer.space == EITHER)
        ):
            self._basis = _real_space(lattice, modes, descent.filters)
            # The equal layers of a network share the length of its gradient.
            self.optimizer = replace(optimizer, clip=optimizer.clip / descent.depth**0.5)
        elif not isinstance(descent, ModeDescent) and optimizer.space == FOURIER:
            self._basis = _fourier_space(lattice)
        super().__init__(descent, self._start)
        groups = getattr(descent, "groups", None)
        of_levels = [rates] if groups is None else [rates[..., levels] for levels in groups]
        of_parts = zip(self._state.items(), of_levels, strict=True)
        self._rates = {name: np.broadcast_to(own, arrays[0].shape[:2]) for (name, arrays), own in of_parts}

    def _start(self, own: Any) -> tuple[Any, ...]:
        """The numbers in the space of the optimiser, and its state."""
        numbers = np.ascontiguousarray(self._basis.to(own))
        return numbers, *self.optimizer.start(numbers)

    def _moved(self, name: str, here: Any, there: Any) -> Any:
        """The numbers after a step of the optimiser."""
        # NaN fills up levels with fewer numbers.
        gradient = self._basis.to(np.where(np.isnan(here), 0.0, here - there))
        seeds, levels = gradient.shape[:2]
        numbers, *state = (array.reshape(seeds * levels, -1) for array in self._state[name])
        rates = self._rates[name].reshape(-1, 1)
        optimizer = self.optimizer
        if self.momenta is not None:
            optimizer = replace(optimizer, momenta=np.tile(self.momenta, seeds)[:, None])
        optimizer.advance(numbers, tuple(state), gradient.reshape(numbers.shape), self.steps, rates)
        return self._basis.back(self._state[name][0].copy())

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        super().keep(seeds)
        self._rates = {name: own[seeds] for name, own in self._rates.items()}


@dataclass(frozen=True)
class Basis:
    """A change of basis of the numbers that a descent trains, shape (seeds, levels, …), for an optimiser.

    Attributes:
        to: from the numbers of the descent to those on which the optimiser acts.
        back: the inverse.
    """

    to: Callable[[Any], Any]
    back: Callable[[Any], Any]


NUMBERS = Basis(lambda own: own, lambda own: own)
"""No change."""


def _real_space(lattice: Lattice, modes: Modes, filters: Any) -> Basis:
    """From amplitudes at modes, real or complex as `filters` are, to filters as wide as the lattice."""

    def back(own: Any) -> Any:
        """w(k)."""
        found = lattice.gather(lattice.transform(own), modes)
        return found if np.iscomplexobj(filters) else found.real

    return Basis(lambda own: lattice.inverse(lattice.spread(own, modes)), back)


def _fourier_space(lattice: Lattice) -> Basis:
    """From filters as wide as the lattice to their amplitudes in the *half* layout."""
    return Basis(
        lambda own: lattice.transform(own.reshape(*own.shape[:2], -1, *lattice.shape)),
        lambda own: lattice.inverse(own).reshape(*own.shape[:2], -1),
    )
