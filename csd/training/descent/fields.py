"""Descent of nonlinear networks on raw fields, all seeds and noise levels at once, by any optimiser."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.lattice import Array, Modes
from csd.lattice.arrays import fields_between
from csd.networks.module import ScoreNetwork, defining_class, precision
from csd.targets.base import HasFields
from csd.targets.noising import NoisedTarget
from csd.training.batches import fields_trained
from csd.training.descent.grouped import GroupedNetworks
from csd.training.descent.modules import AutogradDescent, half_squares
from csd.training.descent.optimizers import Optimizer
from csd.training.losses import Objective

MEASURED = 128
"""Fields on which errors are measured at each noise level, or at all levels of one network together."""


class FieldDescent(AutogradDescent):
    """Descent of one nonlinear network for each seed and noise level, which are grouped where that pays.

    Errors and weights are those of the averaged parameters, where the optimiser averages. Errors are measured at
    recorded steps only, as a measurement takes longer than a step.

    Args:
        networks: modules, for each seed and level, that differ in the values of parameters and buffers alone.
        noised: the target at its noise levels.
        modes: momenta of the kernels, which these networks do not have.
        rates: η, shape (levels,) or (seeds, levels).
        objective: the loss.
        device: of the modules.
        optimizer: of all of them.
        parts: of a minibatch, whose gradients are averaged one after the other.
        layers: as for `AutogradDescent`.
        build: as for `AutogradDescent`.
    """

    measured_when_recorded = True

    def __init__(
        self,
        networks: Sequence[Sequence[ScoreNetwork]],
        noised: NoisedTarget,
        modes: Modes,
        rates: Array,
        objective: Objective,
        device: torch.device,
        optimizer: Optimizer,
        parts: int = 1,
        layers: Sequence[Sequence[np.random.Generator]] = (),
        build: Callable[[int, int], ScoreNetwork] | None = None,
    ) -> None:
        super().__init__(networks, noised, modes, rates, objective, device, layers, build)
        self.held_out_fields = MEASURED
        every = [network for of_seed in self.networks for network in of_seed]
        self.optimizer, self.parts = optimizer, parts
        self._kind = precision(every[0])
        own: list[Any] = [stream for of_seed in self._layers for stream in of_seed] or [nullcontext()] * len(every)
        self._streams: dict[ScoreNetwork, AbstractContextManager[None]] = dict(zip(every, own, strict=True))
        of_each = self._rates.ravel().tolist()
        self.group = GroupedNetworks(every, self._loss_of_one, optimizer, of_each, self._gradients)
        # Held-out losses of the last measurement, and the number of steps before it.
        self._of_held_out: tuple[int, Array] | None = None

    def _loss_of_one(self, network: ScoreNetwork, *data: torch.Tensor) -> torch.Tensor:
        """ℒ of a network on the data of a step, checked."""
        with self._streams[network]:
            return self.checked(self._value(network, *data))

    def _value(self, network: ScoreNetwork, *data: torch.Tensor) -> torch.Tensor:
        """ℒ of a network on (x_t, z, probe, σ²)."""
        return self.objective.loss(network, *data)  # type: ignore[arg-type]

    def advance(self, *data: Any) -> None:
        """Take one step of every network on (x_t, z, probe) of `csd.training.batches`."""
        variances = self._tensor(np.tile(self.noised.variances, len(self.networks))).to(self._kind)
        self.step([array.reshape(-1, *array.shape[2:]) for array in data], variances)

    def step(self, of_fields: Sequence[Array], *others: torch.Tensor) -> None:
        """Take one step of every network.

        Args:
            of_fields: arguments of the loss for each field, shape (networks, batch, …).
            others: further arguments, shape (networks, …).
        """
        split = [np.array_split(array, self.parts, axis=1) for array in of_fields]
        shares = self.parts * self.networks[0][0].uses
        with self._first_step_checked():
            found = [
                self.group.gradients(*(self._tensor(array).to(self._kind) for array in part), *others)
                for part in zip(*split, strict=True)
            ]
            losses, gradient = found[0]
            for more, further in found[1:]:
                losses, gradient = losses + more, gradient + further
            self.group.step(gradient if shares == 1 else gradient / shares)
            if self._stepped:
                return
            finite = losses.isfinite() & self.group.parameters.isfinite().all(dim=1)
            if not bool(finite.all()):
                raise InputError(
                    f"loss {type(self.objective).__name__} of network {defining_class(self.networks[0][0]).__name__} or"
                    " its gradient is not finite at the first step; both must be finite"
                )

    def _measured(self, measure: Callable[[ScoreNetwork, int], Any]) -> list[list[Any]]:
        """A function of each network, with averaged parameters, and its level, for each seed and level."""
        with self.group.averaged():
            return super()._measured(measure)

    def numbers(self) -> Array:
        """The averaged parameters of every module in its order, then its buffers."""
        with self.group.averaged():
            return super().numbers()

    def held_out_data(self) -> Any:
        """The held-out fields of a data set, of a Monte Carlo file its last ones; None where fields are drawn."""
        trained, target = fields_trained(self.noised.target), self.noised.target
        if trained is None or not isinstance(target, HasFields):
            return super().held_out_data()
        return fields_between(target.data, trained, len(target.data))

    def error(self) -> Array:
        """E|s − s*|² / E|s*|², against exact scores or, over held-out fields, the linear score s* of their spectrum."""
        return self._checked(self._held_out_errors() if self.scored is None else self._against(self.scored))

    def _held_out_errors(self) -> Array:
        """E|s − s*|² / E|s*|² over held-out fields, with the linear score s* of their spectrum; losses are kept."""
        scores = self._held_out_scores()
        losses = [[self._losses_of(*own) for own in enumerate(of_seed)] for of_seed in scores]
        self._of_held_out = self.group.steps, np.array(losses)
        return np.array([[self._error_of(*own) for own in enumerate(of_seed)] for of_seed in scores])

    def held_out_losses(self) -> Array:
        """½ |s + z/σ|² per site of held-out fields, shape (seeds, levels, fields)."""
        if (
            self._of_held_out is None
            or self._of_held_out[0] != self.group.steps
            or len(self._of_held_out[1]) != len(self.networks)
        ):
            self._held_out_errors()
        assert self._of_held_out is not None
        return self._of_held_out[1]

    def _held_out_scores(self) -> list[list[torch.Tensor]]:
        """s of held-out fields, for each seed and level."""
        return self._measured(lambda network, level: network(self._held_out_fields()[level][0]))

    def _error_of(self, level: int, score: torch.Tensor) -> float:
        """The error of a score at a level."""
        _, exact, _ = self._held_out_fields()[level]
        return float((score - exact).square().sum() / exact.square().sum())

    def _losses_of(self, level: int, score: torch.Tensor) -> Array:
        """The losses of a score at a level, shape (fields,)."""
        return half_squares(score + self._held_out_fields()[level][2])

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        of_seed = len(self.networks[0])
        super().keep(seeds)
        self._of_held_out = None
        self.group.keep(np.repeat(seeds, of_seed))

    def snapshot(self) -> dict[str, Any]:
        """Parameters and the state of the optimiser; buffers and random states of user-defined networks."""
        return self.group.snapshot() | {name: own for name, own in super().snapshot().items() if name != "weights"}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot."""
        self.group.resume(snapshot)
        # The parameters of the modules are those of the group.
        others = {name: own for name, own in snapshot.items() if name in ("buffers", "layers")}
        super().resume(super().snapshot() | others)
