"""Descent of many networks of one architecture at once, with one array of parameters and one optimiser.

Where it pays, the `forward` of a network runs once for several networks side by side (`torch.func.vmap`); how many is
known from shapes alone. Side by side a network must have the same gradients, to the last bit, as by itself. The first
steps are computed both ways to see this. Networks that differ, that change their buffers, or that vmap refuses, such as
those with dropout, are called one after the other. So the bytes of a network do not depend on its company.

Networks of `csd.networks.convolution` and of operations number by number agree. PyTorch's own convolutions, and some
transforms and products of small matrices, round in an order that depends on how many networks there are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, vmap

from csd.core.errors import InputError
from csd.networks.module import ScoreNetwork
from csd.training.descent.optimizers import Optimizer

SIDE_BY_SIDE = 2**15
"""Most numbers of fields of the networks that are side by side; with more their layers leave the cache."""
FEWEST = 4
"""Fewest networks that take less time side by side than one after the other."""
MULTIPLE = 32
"""Batches side by side are multiples of this: vectorised loops then have no remainder, which may round otherwise."""
TRIALS = 3
"""Steps that are computed both ways."""
NEVER = -1
"""In place of the trials left: networks that do not agree."""
ALIGNED = 16
"""A row of parameters is a multiple of this long: every network lies in memory as it would by itself."""

NetworkLoss = Callable[..., torch.Tensor]
"""(network, data of this network …) → its loss, a number."""
Gradients = Sequence[torch.Tensor | None]
"""∂ℒ/∂θ of each parameter; None for one that the loss does not depend on."""


def gradients_of(network: ScoreNetwork, loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> Gradients:
    """∂ℒ/∂θ by autograd."""
    return torch.autograd.grad(loss, parameters, allow_unused=True)


class _Loss(torch.nn.Module):
    """The loss of a network as a module, whose parameters are those of the network."""

    def __init__(self, network: ScoreNetwork, loss: NetworkLoss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, *data: torch.Tensor) -> torch.Tensor:
        """ℒ on the data of one network."""
        return self.loss(self.network, *data)


class GroupedNetworks:
    """Networks of one architecture, each with data of its own, whose parameters are rows of one array.

    The parameters of the modules become views of the array, so that the modules follow every step.

    Args:
        networks: modules that differ in the values of parameters and buffers alone.
        loss: the loss of one network on its data; what differs between networks, such as σ², is part of the data.
        optimizer: of all of them.
        rates: η of each network.
        differentiate: gradients of the loss of one network.

    Raises:
        InputError: if parameters are complex, or of several precisions.
    """

    def __init__(
        self,
        networks: Sequence[ScoreNetwork],
        loss: NetworkLoss,
        optimizer: Optimizer,
        rates: Sequence[float],
        differentiate: Callable[[ScoreNetwork, torch.Tensor, Sequence[torch.Tensor]], Gradients] = gradients_of,
    ) -> None:
        self.networks, self.loss, self.optimizer = list(networks), loss, optimizer
        self.differentiate = differentiate
        named = [(name, own) for name, own in networks[0].named_parameters() if own.requires_grad]
        for name, own in named:
            if own.is_complex() or own.dtype != named[0][1].dtype:
                kind, first = (str(one.dtype).removeprefix("torch.") for one in (own, named[0][1]))
                other = "" if own.is_complex() else f" and {named[0][0]!r} is {first}"
                raise InputError(
                    f"parameter {name!r} of {type(networks[0]).__name__} is {kind}{other}; all parameters of a network"
                    " must be real numbers of one precision for any optimizer but gd and heavy_ball"
                )
        self._names, self._shapes = [f"network.{name}" for name, _ in named], [own.shape for _, own in named]
        self._numbers = sum(shape.numel() for shape in self._shapes)
        rows = torch.stack([torch.cat([own.detach().ravel() for own in _trained(one)]) for one in networks])
        self.parameters = torch.nn.functional.pad(rows, (0, -self._numbers % ALIGNED))
        self.rates = torch.tensor(rates, dtype=self.parameters.dtype, device=self.parameters.device)[:, None]
        self.steps = 0
        self.state = optimizer.start(self.parameters)
        # Trials left, by the shape of the fields of a block.
        self._trials: dict[tuple[int, ...], int] = {}
        self._bind()

    def _bind(self) -> None:
        """Make the parameters of the modules views of the array, and stack what else the modules hold."""
        self._point_to(self.parameters)
        self._module = _Loss(self.networks[0], self.loss)
        held = [dict(network.named_parameters()) | dict(network.named_buffers()) for network in self.networks]
        others = [name for name in held[0] if f"network.{name}" not in self._names]
        self._held = {f"network.{name}": torch.stack([own[name].detach() for own in held]) for name in others}

    def _point_to(self, rows: torch.Tensor) -> None:
        """Make the parameters of the modules views of the rows of an array."""
        for network, row in zip(self.networks, rows, strict=True):
            for parameter, values in zip(_trained(network), self._split(row), strict=True):
                parameter.data = values

    def _split(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Views of rows of the array in the shapes of the parameters of a module."""
        parts = torch.split(rows[..., : self._numbers], [shape.numel() for shape in self._shapes], dim=-1)
        return [part.view((*rows.shape[:-1], *shape)) for part, shape in zip(parts, self._shapes, strict=True)]

    def advance(self, *data: torch.Tensor) -> torch.Tensor:
        """Take one step of every network; return the losses before it, shape (networks,).

        Args:
            data: arguments of the loss after the network, fields of shape (networks, batch, …) first; each has an axis
                of networks before the others.
        """
        losses, gradient = self.gradients(*data)
        self.step(gradient)
        return losses

    def step(self, gradient: torch.Tensor) -> None:
        """Take one step of every network on gradients of shape (networks, parameters)."""
        self.steps += 1
        self.optimizer.advance(self.parameters, self.state, gradient, self.steps, self.rates)

    def gradients(self, *data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(losses, shape (networks,); their gradients, shape (networks, parameters))."""
        many = side_by_side(data[0].shape)
        blocks = [slice(low, low + many) for low in range(0, len(self.networks), many)]
        found = [self._together(own, [values[own] for values in data]) for own in blocks]
        losses, gradients = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(gradients)

    def _together(self, own: slice, data: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses and gradients of a block of networks, side by side if they agree with those one after the other."""
        shape = data[0].shape
        left = self._trials.get(shape, TRIALS) if len(data[0]) >= FEWEST else NEVER
        if left == 0:
            return self._side_by_side(own, data)
        held = [buffer.clone() for buffer in self.networks[own][0].buffers()] if left > 0 else []
        alone = self._in_turn(own, data)
        if left > 0:
            fixed = all(map(torch.equal, held, self.networks[own][0].buffers()))
            self._trials[shape] = left - 1 if fixed and self._same(alone, own, data) else NEVER
        return alone

    def _same(self, alone: tuple[torch.Tensor, torch.Tensor], own: slice, data: list[torch.Tensor]) -> bool:
        """Whether a block has these losses and gradients, to the last bit, side by side too."""
        try:
            beside = self._side_by_side(own, data)
        except Exception:
            # vmap refuses the network; what is wrong with the network itself has been raised before.
            return False
        return all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))

    def _in_turn(self, own: slice, data: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses and gradients of networks that are called one after the other."""
        gradients = torch.zeros_like(self.parameters[own])
        losses = torch.empty_like(gradients[:, 0])
        for place, network in enumerate(self.networks[own]):
            loss = self.loss(network, *(values[place] for values in data))
            parameters = _trained(network)
            found = self.differentiate(network, loss, parameters)
            losses[place] = loss.detach()
            all_of_them = [
                (torch.zeros_like(parameter) if gradient is None else gradient).ravel()
                for parameter, gradient in zip(parameters, found, strict=True)
            ]
            torch.cat(all_of_them, out=gradients[place, : self._numbers])
        return losses, gradients

    def _side_by_side(self, own: slice, data: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses and gradients of networks in one call."""

        def loss_of(values: dict[str, torch.Tensor], *of_one: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = functional_call(self._module, values, of_one)
            return found

        parameters = [part.detach().requires_grad_() for part in self._split(self.parameters[own])]
        values = dict(zip(self._names, parameters, strict=True)) | {
            name: held[own] for name, held in self._held.items()
        }
        losses = vmap(loss_of)(values, *data)
        # The networks share nothing: the gradient of the sum is that of each.
        found = torch.autograd.grad(losses.sum(), parameters, allow_unused=True, materialize_grads=True)
        gradients = torch.zeros_like(self.parameters[own])
        torch.cat([gradient.flatten(1) for gradient in found], dim=1, out=gradients[:, : self._numbers])
        return losses.detach(), gradients

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Drop all networks but the chosen ones."""
        self.networks = [network for network, kept in zip(self.networks, chosen, strict=True) if kept]
        mask = torch.as_tensor(chosen, device=self.parameters.device)
        self.parameters, self.rates = self.parameters[mask], self.rates[mask]
        self.state = tuple(array[mask] for array in self.state)
        self._bind()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the parameters of the modules are their moving averages, where the optimiser has them."""
        if not self.optimizer.average:
            yield
            return
        self._point_to(self.state[-1])
        try:
            yield
        finally:
            self._point_to(self.parameters)

    def snapshot(self) -> dict[str, Any]:
        """The state that steps change, as arrays, for `resume`."""
        arrays = {"parameters": self.parameters} | {f"state {place}": own for place, own in enumerate(self.state)}
        return {"steps": np.array(self.steps)} | {name: own.cpu().numpy().copy() for name, own in arrays.items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of the same networks."""
        self.steps = int(snapshot["steps"])
        for place, array in enumerate((self.parameters, *self.state)):
            name = f"state {place - 1}" if place else "parameters"
            array.copy_(torch.as_tensor(snapshot[name]))


def side_by_side(shape: Sequence[int]) -> int:
    """How many networks are best side by side for fields of shape (networks, batch, …); 1 for one after the other."""
    numbers = int(np.prod(shape[1:]))
    many = SIDE_BY_SIDE // max(numbers, 1)
    return many if many >= FEWEST and len(shape) > 1 and shape[1] % MULTIPLE == 0 else 1


def _trained(network: ScoreNetwork) -> list[torch.nn.Parameter]:
    """The parameters that are trained, in their order."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
