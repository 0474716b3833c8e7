"""Descent of conditioned networks: one for each seed, which gives the score at every noise level.

The loss is the mean over noise levels of σ² ℒ_t, which is of the same order at every t. With y = x/σ it is the loss ℒ
of the score σ s(σ y) of y, in which the noise has variance 1:

    ½ |σ s + z|² = σ² ½ |s + z/σ|²,     ½ |σ s|² + ∇_y·(σ s) = σ² (½ |s|² + ∇·s)

So every loss of `csd.training.losses` has this form without a change.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
        variance: σ² of each field, shape (batch,).
        at: noise level of each field, as the network takes it.
    """

    def __init__(self, network: ScoreNetwork, variance: torch.Tensor, at: Any) -> None:
        super().__init__(network.lattice)
        self.network, self.variance, self.at = network, variance, at
        self.functional = network.functional

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """σ s(σ y, t), same shape as y."""
        deviation = self.variance.sqrt().reshape(-1, *(1,) * (fields.dim() - 1))
        return deviation * self.network(deviation * fields, self.at)


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
        layers: as for `AutogradDescent`, with one level.
        build: as for `AutogradDescent`.
    """

    def __init__(
        self,
        networks: Sequence[ScoreNetwork],
        noised: NoisedTarget,
        rates: Array,
        objective: Objective,
        device: torch.device,
        optimizer: Optimizer,
        parts: int = 1,
        layers: Sequence[Sequence[np.random.Generator]] = (),
        build: Callable[[int, int], ScoreNetwork] | None = None,
    ) -> None:
        of_seeds, how = [[network] for network in networks], (objective, device, optimizer, parts, layers, build)
        super().__init__(of_seeds, noised, noised.lattice.pairs, rates, *how)
        self.held_out_fields = max(FEWEST, MEASURED // len(noised.levels))
        self._at = (min(noised.levels),)
        first = self.networks[0][0]
        self._levels = [first.noise_at(t) if isinstance(first, NonlinearScore) else t for t in noised.levels]

    def _value(self, network: ScoreNetwork, *data: torch.Tensor) -> torch.Tensor:
        """σ² ℒ_t of a network on (y, z, probe, α, σ², t), each field at a noise level of its own."""
        fields, noise, probe, signal, variance, levels = data
        at = Amplitudes(signal, variance) if isinstance(network, NonlinearScore) else levels
        return self.objective.loss(UnitNoise(network, variance, at), fields, noise, probe, 1.0)

    def advance(self, *data: Any) -> None:
        """Take one step of every network on the data of `csd.training.batches.ConditionedFields`."""
        self.step(data)

    def kernel(self) -> None:
        """None, as the score is not linear."""

    def _measured(self, measure: Callable[[Any, int], Any]) -> list[list[Any]]:
        """A function of the score at each noise level, and the number of the level, for each seed and level."""

        def at_each(network: ScoreNetwork, _: int) -> list[Any]:
            """The function of s(x, t) of one network at each level."""
            scores = [lambda fields, t=t: network(fields, t) for t in self._levels]
            return [measure(score, level) for level, score in enumerate(scores)]

        return [found for (found,) in super()._measured(at_each)]
