"""Descent of conditioned networks: one for each seed, which gives the score at every noise level.

The loss is the mean over noise levels of σ² ℒ_t, which is of the same order at every t. With y = x/σ it is the loss ℒ
of the score σ s(σ y) of y, in which the noise has variance 1:

    ½ |σ s + z|² = σ² ½ |s + z/σ|²,     ½ |σ s|² + ∇_y·(σ s) = σ² (½ |s|² + ∇·s)

So every loss of `csd.training.losses` has this form without a change.
"""

from collections.abc import Callable, Sequence
from math import cos, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.lattice import Array
from csd.networks.layers import Amplitudes
from csd.networks.module import ScoreNetwork, precision, weights_of
from csd.networks.nonlinear_score import NonlinearScore
from csd.targets.noising import NoisedTarget
from csd.training.descent.grouped import GroupedNetworks
from csd.training.descent.modules import AutogradDescent
from csd.training.descent.optimizers import optimizer_of
from csd.training.losses import Objective
from csd.training.record import padded, record_steps

MEMORY = 0.99
"""β₂ of Adam: held-out losses are lower than with 0.999."""


class UnitNoise(ScoreNetwork):
    """σ s(σ y, t) of y = x/σ, in which the noise has variance 1.

    Args:
        network: s(x, t).
        noise: α and σ² of each field, shape (batch,).
    """

    def __init__(self, network: NonlinearScore, noise: Amplitudes) -> None:
        super().__init__(network.lattice)
        self.network, self.noise = network, noise

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """σ s(σ y, t), same shape as y."""
        deviation = self.noise.variance.sqrt().reshape(-1, *(1,) * (fields.dim() - 1))
        score: torch.Tensor = deviation * self.network.forward(deviation * fields, self.noise)
        return score


class ConditionedDescent(AutogradDescent):
    """Adam of one module for each seed, on fields at random noise levels, at a rate that falls as a cosine to 0.

    Errors are measured at each noise level of the target. Between recorded steps they are those of the last one.

    Args:
        networks: modules that are called at any noise level, one for each seed.
        noised: the target at its noise levels.
        rate: η of the first step.
        last: the number of steps.
        objective: the loss.
        device: of the modules.
    """

    def __init__(
        self,
        networks: Sequence[NonlinearScore],
        noised: NoisedTarget,
        rate: float,
        last: int,
        objective: Objective,
        device: torch.device,
    ) -> None:
        rates = np.full(len(noised.levels), rate)
        super().__init__([[network] for network in networks], noised, noised.lattice.pairs, rates, objective, device)
        self.rate, self.last = rate, last
        self._recorded = set(record_steps(last).tolist())
        self._noise = [networks[0].noise_at(level) for level in noised.levels]
        self._kind = precision(networks[0])
        optimizer = optimizer_of("adam", memory=MEMORY)
        self._grouped = GroupedNetworks(networks, self._loss_at, optimizer, [rate] * len(networks))
        self._error: Array = np.empty(0)

    def _loss_at(self, network: Any, *data: torch.Tensor) -> torch.Tensor:
        """σ² ℒ_t of a network on the fields of a step, each at a noise level of its own."""
        fields, noise, probe, signal, variance = data
        return self.objective.loss(UnitNoise(network, Amplitudes(signal, variance)), fields, noise, probe, 1.0)

    def advance(self, *data: Any) -> None:
        """Take one step on the data of `csd.training.batches.ConditionedFields`."""
        self._grouped.rates.fill_(0.5 * self.rate * (1.0 + cos(pi * self._grouped.steps / self.last)))
        self._grouped.advance(*(self._tensor(array).to(self._kind) for array in data))

    def kernel(self) -> None:
        """None, as the score is not linear."""

    def _measured(self, measure: Callable[[Any, int], Any]) -> list[list[Any]]:
        """A function of the score at each noise level, and the number of the level, for each seed and level."""
        with torch.no_grad():
            return [
                [
                    measure(lambda fields, n=network, a=noise: n(fields, a), level)
                    for level, noise in enumerate(self._noise)
                ]
                for (network,) in self.networks
            ]

    def weights(self) -> Array:
        """The parameters of every module, shape (seeds, 1, numbers)."""
        return padded([[weights_of(network)] for (network,) in self.networks])

    def error(self) -> Array:
        """ε at each noise level, shape (seeds, levels), as it was at the last recorded step."""
        if self._grouped.steps in self._recorded:
            self._error = super().error()
        return self._error

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        super().keep(seeds)
        self._grouped.keep(seeds)
        self._error = self._error[seeds]

    def snapshot(self) -> dict[str, Any]:
        """Parameters, the state of Adam, and the last errors."""
        return self._grouped.snapshot() | {"error": self._error}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of a descent with the same seeds."""
        self._grouped.resume(snapshot)
        self._error = snapshot["error"]
