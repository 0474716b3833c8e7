"""`python -m benchmarks.grouped [--quick]`: training steps of many small networks, beside a plain PyTorch loop.

    ℒ = ½ mean |s(x_t) + z/σ|²,   s = w₃∗f(w₂∗f(w₁∗x)),   Adam, float32, one core

The loop is what a practitioner writes: one network after the other, with `nn.Conv` and `torch.optim.Adam`. It is timed
in three forms, of which the fastest counts. A test compares the parameters that it reaches with csd's. The limit is the
rate of NumPy's product of large matrices; a network's flops are those of its convolutions and of their gradients. The
exit status is 1 if csd is slower than `LEAST` allows.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.clock import Effort, Timed, quartiles  # noqa: E402
from csd.core.random import draw_normal, stream  # noqa: E402
from csd.lattice import Lattice  # noqa: E402
from csd.networks.convolution import odd_tanh, periodic_convolution  # noqa: E402
from csd.networks.module import ScoreNetwork  # noqa: E402
from csd.targets.gaussian import GaussianField  # noqa: E402
from csd.training.descent.grouped import TRIALS, GroupedNetworks  # noqa: E402
from csd.training.descent.optimizers import OPTIMIZERS  # noqa: E402

RATE, SIGMA = 1e-3, 0.4
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (odd_tanh, torch.tanh),
    "silu": (torch.nn.functional.silu, torch.nn.functional.silu),
    "relu": (torch.relu, torch.relu),
}
"""f of csd's networks, and of the plain ones."""
FORMS = (("circular", False), ("cat", False), ("cat", True))
"""Ways to write the loop: who pads, and whether Adam is fused."""


@dataclass(frozen=True)
class Group:
    """Networks of three layers that train at the same time.

    Attributes:
        dimension, size, batch: d, L and B.
        networks: how many.
        width: channels of the hidden layers.
        side: sites along a side of a filter.
    """

    dimension: int
    size: int
    batch: int
    networks: int
    width: int = 16
    side: int = 3

    @property
    def flops(self) -> float:
        """Of a step of one network: a product a layer, and two for its gradients but one for the first layer's."""
        product = 2.0 * self.batch * (self.size * self.side) ** self.dimension * self.width
        return product * (2.0 + 3.0 * self.width + 3.0)

    def filters(self, seed: int) -> list[torch.Tensor]:
        """Initial filters, shape (taps, channels in, channels out) each."""
        generator = torch.Generator().manual_seed(seed)
        taps, channels = self.side**self.dimension, (1, self.width, self.width, 1)
        return [
            torch.randn(taps, inputs, outputs, generator=generator) / (taps * inputs) ** 0.5
            for inputs, outputs in pairwise(channels)
        ]

    def data(self) -> list[torch.Tensor]:
        """(x_t, z) of each network, shape (networks, batch, *lattice)."""
        shape = (self.networks, self.batch, *[self.size] * self.dimension)
        return [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]


HEADLINE = Group(1, 32, 32, 32)
GROUPS = (
    HEADLINE,
    Group(1, 32, 32, 4),
    Group(1, 32, 32, 1),
    Group(1, 32, 32, 32, width=8),
    Group(1, 32, 32, 32, width=32),
    Group(1, 32, 32, 32, side=5),
    Group(1, 256, 32, 8),
    Group(2, 16, 64, 4),
    Group(2, 16, 64, 1),
    Group(2, 16, 64, 1, width=8),
    Group(2, 16, 64, 1, width=32),
    Group(2, 16, 64, 1, side=5),
    Group(2, 16, 64, 1, width=32, side=5),
    Group(2, 32, 64, 1),
    Group(3, 8, 64, 1),
)
LEAST, LEAST_OF_MANY = 0.85, 1.6
"""Smallest time of the loop over csd's: of any group, and of the first one."""
QUICK = (Group(1, 8, 32, 5, width=4), Group(2, 4, 4, 2, width=4))


class Layers(ScoreNetwork):
    """The network in csd's operations."""

    def __init__(self, group: Group, seed: int, activation: Callable[[Any], Any]) -> None:
        super().__init__(Lattice(group.dimension, group.size))
        self.filters = torch.nn.ParameterList(group.filters(seed))
        self.activation = activation

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x)."""
        hidden = periodic_convolution(fields[..., None], self.filters[0])
        for filters in list(self.filters)[1:]:
            hidden = periodic_convolution(self.activation(hidden), filters)
        return hidden[..., 0]


class PlainLayers(torch.nn.Module):
    """The network as a practitioner writes it."""

    def __init__(self, group: Group, seed: int, activation: Callable[[Any], Any], padding: str) -> None:
        super().__init__()
        kind = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)[group.dimension - 1]
        mode = {"padding": "same", "padding_mode": "circular"} if padding == "circular" else {}
        self.layers, self.activation = torch.nn.ModuleList(), activation
        self.reach = 0 if mode else group.side // 2
        for filters in group.filters(seed):
            layer: Any = kind(filters.shape[1], filters.shape[2], group.side, bias=False, **mode)
            layer.weight.data = filters.permute(2, 1, 0).reshape(layer.weight.shape).contiguous()
            self.layers.append(layer)

    def padded(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields continued beyond the lattice, where the layers do not do it."""
        for axis in range(2, fields.ndim if self.reach else 2):
            low, high = fields.narrow(axis, 0, self.reach), fields.narrow(axis, -self.reach, self.reach)
            fields = torch.cat([high, fields, low], axis)
        return fields

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x)."""
        hidden = self.layers[0](self.padded(fields[:, None]))
        for layer in list(self.layers)[1:]:
            hidden = layer(self.padded(self.activation(hidden)))
        score: torch.Tensor = hidden[:, 0]
        return score


class PlainLoop:
    """One network after the other, each with an optimiser of its own.

    Args:
        group: the networks.
        activation: f.
        padding: 'circular' for that of `nn.Conv`, 'cat' for one by hand.
        fused: whether Adam is.
    """

    def __init__(self, group: Group, activation: Callable[[Any], Any], padding: str, fused: bool) -> None:
        self.networks = [PlainLayers(group, seed, activation, padding) for seed in range(group.networks)]
        more: dict[str, Any] = {"fused": True} if fused else {}
        self.optimizers = [torch.optim.Adam(network.parameters(), lr=RATE, **more) for network in self.networks]

    def step(self, fields: torch.Tensor, noise: torch.Tensor) -> None:
        """One step of every network."""
        for network, optimizer, x, z in zip(self.networks, self.optimizers, fields, noise, strict=True):
            optimizer.zero_grad()
            denoising(network, x, z).backward()
            optimizer.step()


def denoising(network: torch.nn.Module, fields: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """½ |s + z/σ|² per site."""
    return 0.5 * (network(fields) + noise / SIGMA).square().mean()


def grouped(group: Group, activation: Callable[[Any], Any]) -> GroupedNetworks:
    """csd's networks."""
    networks = [Layers(group, seed, activation) for seed in range(group.networks)]
    return GroupedNetworks(networks, denoising, OPTIMIZERS["adam"], [RATE] * group.networks)


def race(group: Group, name: str, effort: Effort) -> dict[str, Any]:
    """Seconds a step and network of csd and of each form of the loop, shape (repeats,)."""
    ours, plain = ACTIVATIONS[name]
    data, networks = group.data(), grouped(group, ours)
    for _ in range(TRIALS + 1):
        # The first steps are computed both ways, alone and side by side.
        networks.advance(*data)
    timed: dict[str, Timed] = {"csd": effort.repeated(partial(networks.advance, *data), group.networks)}
    for padding, fused in FORMS:
        loop = PlainLoop(group, plain, padding, fused)
        timed[f"{padding} {fused}"] = effort.repeated(partial(loop.step, *data), group.networks)
    return effort.race(timed)


def product_rate(effort: Effort, size: int = 512) -> float:
    """Flops a second of a product of large matrices, by NumPy."""
    left = stream("product").standard_normal((size, size), dtype=np.float32)
    timed = effort.repeated(partial(np.matmul, left, left, out=np.empty_like(left)), 2.0 * size**3)
    return float(1.0 / np.median(effort.race({"product": timed})["product"]))


def beside(group: Group, effort: Effort) -> dict[str, float]:
    """Median seconds a network of what else a step needs: fresh fields, their noise, and Adam."""
    target, generator = GaussianField.on_critical_line(Lattice(group.dimension, group.size)), stream("beside")
    networks = grouped(group, odd_tanh)
    gradient, optimizer = torch.randn_like(networks.parameters), OPTIMIZERS["adam"]
    shape = (group.batch, *target.lattice.shape)
    timed = {
        "fields": effort.repeated(lambda: target.sample(generator, group.batch)),
        "noise": effort.repeated(lambda: draw_normal(generator, shape)),
        "Adam": effort.repeated(
            lambda: optimizer.advance(networks.parameters, networks.state, gradient, 1, networks.rates), group.networks
        ),
    }
    return {name: float(np.median(values)) for name, values in effort.race(timed).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of all groups, and those that are slower than they should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grouped", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, in seconds: does the code run?")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    effort = Effort(repeats=2, shortest=0.002) if given.quick else Effort(repeats=7, shortest=0.1)
    rate = product_rate(effort, 64 if given.quick else 512)
    print(f"Product of large matrices: {rate / 1e9:.0f} Gflop/s. Times are µs a network and step.\n")
    print("| d | L | B | networks | width | side | f | csd | PyTorch | PyTorch / csd (quartiles) | of product's rate |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    slow: list[str] = []
    for group in QUICK if given.quick else GROUPS:
        for name in ACTIVATIONS:
            seconds = race(group, name, effort)
            print(row(group, name, seconds, rate), flush=True)
            middle, least = float(np.median(ratio(seconds))), LEAST_OF_MANY if group == HEADLINE else LEAST
            if middle < least and not given.quick:
                slow.append(f"missed: PyTorch / csd is {middle:.2f} for {group}, {name}; at least {least}")
    print("\n| d | L | B | fresh fields | noise | Adam |\n|---|---|---|---|---|---|")
    for group in QUICK[:1] if given.quick else (HEADLINE, Group(2, 16, 64, 1), Group(3, 8, 64, 1)):
        numbers = " | ".join(f"{1e6 * value:.1f}" for value in beside(group, effort).values())
        print(f"| {group.dimension} | {group.size} | {group.batch} | {numbers} |", flush=True)
    print("".join(f"\n{sentence}" for sentence in slow))
    return int(bool(slow))


def fastest(seconds: dict[str, Any]) -> Any:
    """Seconds of the loop's form with the smallest median, shape (repeats,)."""
    return min((own for form, own in seconds.items() if form != "csd"), key=np.median)


def ratio(seconds: dict[str, Any]) -> Any:
    """PyTorch / csd of each repeat."""
    return fastest(seconds) / seconds["csd"]


def row(group: Group, name: str, seconds: dict[str, Any], rate: float) -> str:
    """A row of the table."""
    csd, plain = seconds["csd"], fastest(seconds)
    low, middle, high = quartiles(ratio(seconds))
    what = (group.dimension, group.size, group.batch, group.networks, group.width, group.side, name)
    numbers = f"{1e6 * np.median(csd):.0f} | {1e6 * np.median(plain):.0f} | {middle:.2f} ({low:.2f}–{high:.2f})"
    return f"| {' | '.join(map(str, what))} | {numbers} | {group.flops / np.median(csd) / rate:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
