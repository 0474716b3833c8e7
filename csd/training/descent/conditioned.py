"""Descent of conditioned networks: one for each seed, which gives the score at every noise level.

The loss is the mean over noise levels of σ² ℒ_t, which is of the same order at every t. With y = x/σ it is the loss ℒ
of the score σ s(σ y) of y, in which the noise has variance 1:

    ½ |σ s + z|² = σ² ½ |s + z/σ|²,     ½ |σ s|² + ∇_y·(σ s) = σ² (½ |s|² + ∇·s)

So every loss of `csd.training.losses` has this form without a change.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from csd.lattice import Array
from csd.networks.layers import Amplitudes
from csd.networks.module import ScoreNetwork
from csd.networks.nonlinear_score import NonlinearScore
from csd.targets.noising import NoisedTarget
from csd.training.descent.fields import FieldDescent
from csd.training.descent.optimizers import Optimizer
from csd.training.losses import Objective

MEASURED, FEWEST = 128, 4
"""Fields on which errors are measured at all noise levels together, and the fewest at one: a small part of the time."""


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


class ConditionedDescent(FieldDescent):
    """Descent of one network for each seed, on fields at random noise levels.

    Errors are measured at each noise level of the target.

    Args:
        networks: modules that are called at any noise level, one for each seed.
        noised: the target at its noise levels.
        rates: η, shape (1,).
        objective: the loss.
        device: of the modules.
        optimizer: of all of them.
        parts: of a minibatch, whose gradients are averaged one after the other.
    """

    def __init__(
        self,
        networks: Sequence[NonlinearScore],
        noised: NoisedTarget,
        rates: Array,
        objective: Objective,
        device: torch.device,
        optimizer: Optimizer,
        parts: int = 1,
    ) -> None:
        of_seeds = [[network] for network in networks]
        super().__init__(of_seeds, noised, noised.lattice.pairs, rates, objective, device, optimizer, parts)
        self.held_out_fields = max(FEWEST, MEASURED // len(noised.levels))
        self._noise = [networks[0].noise_at(level) for level in noised.levels]

    def _loss_of_one(self, network: Any, *data: torch.Tensor) -> torch.Tensor:
        """σ² ℒ_t of a network on (y, z, probe, α, σ²), each field at a noise level of its own."""
        fields, noise, probe, signal, variance = data
        return self.checked(
            self.objective.loss(UnitNoise(network, Amplitudes(signal, variance)), fields, noise, probe, 1.0)
        )

    def advance(self, *data: Any) -> None:
        """Take one step of every network on the data of `csd.training.batches.ConditionedFields`."""
        self.step(data)

    def kernel(self) -> None:
        """None, as the score is not linear."""

    def _measured(self, measure: Callable[[Any, int], Any]) -> list[list[Any]]:
        """A function of the score at each noise level, and the number of the level, for each seed and level."""
        with self.group.averaged(), torch.no_grad():
            return [
                [measure(_at(network, noise), level) for level, noise in enumerate(self._noise)]
                for (network,) in self.networks
            ]


def _at(network: ScoreNetwork, noise: Amplitudes) -> Callable[[torch.Tensor], torch.Tensor]:
    """The score of a network at a noise level."""

    def score(fields: torch.Tensor) -> torch.Tensor:
        """s(x, t)."""
        return network(fields, noise)

    return score
