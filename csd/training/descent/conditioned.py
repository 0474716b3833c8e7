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
from csd.training.descent.fields import MEASURED, FieldDescent
from csd.training.descent.optimizers import Optimizer
from csd.training.losses import Objective
from csd.training.metrics.score_errors import ScoreErrors

FEWEST = 4
"""The fewest fields on which errors are measured at a noise level."""


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
        rates: η, shape (1,) or (seeds, 1).
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

    def _value(self, network: ScoreNetwork, *data: torch.Tensor) -> torch.Tensor:
        """σ² ℒ_t of a network on (y, z, probe, α, σ², t), each field at a noise level of its own."""
        fields, noise, probe, signal, variance, levels = data
        at = _levels(network, signal, variance, levels)
        return self.objective.loss(UnitNoise(network, variance, at), fields, noise, probe, 1.0)

    def advance(self, *data: Any) -> None:
        """Take one step of every network on the data of `csd.training.batches.ConditionedFields`."""
        self.step(data)

    def kernel(self) -> None:
        """None, as the score is not linear."""

    def _against(self, exact: ScoreErrors) -> Array:
        """ε against exact scores at each noise level; the other errors are kept in `rows`."""

        def rows(network: ScoreNetwork, _: int) -> list[Array]:
            """The errors of one network at each level."""
            return [self._row(exact, network, place, level) for place, level in enumerate(self.noised.levels)]

        self.rows = np.array([of_seed for (of_seed,) in self._measured(rows)])
        return np.asarray(self.rows[..., 0])

    def _held_out_scores(self) -> list[list[torch.Tensor]]:
        """s of held-out fields, for each seed and level, from few calls for all levels."""
        fields = torch.cat([own for own, *_ in self._held_out_fields()])
        noised, count = self.noised, self.held_out_fields
        at = [self._tensor(np.repeat(own, count)) for own in (noised.signals, noised.variances, noised.levels)]
        parts = [torch.split(part, MEASURED) for part in (fields, *(values.to(self._kind) for values in at))]

        def score(network: ScoreNetwork, _: int) -> Sequence[torch.Tensor]:
            """s of one network at each level."""
            found = [network(own, _levels(network, *of_own)) for own, *of_own in zip(*parts, strict=True)]
            return torch.split(torch.cat(found), count)

        return [list(of_seed) for (of_seed,) in self._measured(score)]


def _levels(network: ScoreNetwork, signal: torch.Tensor, variance: torch.Tensor, levels: torch.Tensor) -> Any:
    """The noise level of each field as a network takes it: t, or α and σ² for those of csd."""
    return Amplitudes(signal, variance) if isinstance(network, NonlinearScore) else levels
