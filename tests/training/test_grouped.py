"""Networks side by side: the steps of PyTorch's optimiser, and bytes that do not depend on the company."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.networks.convolution import odd_tanh, periodic_convolution
from csd.networks.module import ScoreNetwork
from csd.training.descent.grouped import GroupedNetworks, NetworkLoss, side_by_side
from csd.training.descent.optimizers import OPTIMIZERS

BATCH, SIZE = 32, 8
Activation = Callable[[torch.Tensor], torch.Tensor]


class Layers(ScoreNetwork):
    """1 → 4 → 1 channels in d = 1, with a scale that is not trained and differs between networks."""

    def __init__(self, seed: int, activation: Activation = odd_tanh, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(Lattice(1, SIZE))
        generator = torch.Generator().manual_seed(seed)
        self.inner = torch.nn.Parameter(torch.randn(3, 1, 4, generator=generator).to(dtype))
        self.outer = torch.nn.Parameter(torch.randn(3, 4, 1, generator=generator).to(dtype))
        self.register_buffer("scale", torch.tensor(1.0 + seed, dtype=dtype))
        self.activation = activation

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """The score."""
        scale: torch.Tensor = self.scale  # type: ignore[assignment]
        hidden = self.activation(periodic_convolution(fields[..., None], self.inner))
        return periodic_convolution(hidden, self.outer)[..., 0] / scale


class ByPyTorch(Layers):
    """The same with PyTorch's convolutions, which round otherwise when they are grouped."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """The score."""
        hidden = fields[:, None]
        for filters in (self.inner, self.outer):
            padded = torch.nn.functional.pad(hidden, (1, 1), mode="circular")
            hidden = torch.conv1d(padded, filters.permute(2, 1, 0)).tanh()
        return hidden[:, 0]


class Refused(Layers):
    """A network that looks at its fields, which vmap refuses."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """The score."""
        return super().forward(fields) * (2.0 if float(fields.detach().sum()) > 0.0 else 1.0)


def loss(network: ScoreNetwork, fields: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """½ |s + z|² per site."""
    return 0.5 * (network(fields) + noise).square().mean()


def data(count: int, step: int, dtype: torch.dtype = torch.float32, batch: int = BATCH) -> list[torch.Tensor]:
    """(x, z) of networks 0, 1, … at a step, each with numbers of its own."""
    draw = [
        torch.randn(2, batch, SIZE, generator=torch.Generator().manual_seed(9 * step + own)) for own in range(count)
    ]
    return list(torch.stack(draw).to(dtype).transpose(0, 1).contiguous())


def grouped(networks: Sequence[ScoreNetwork], optimizer: str = "adam", own_loss: NetworkLoss = loss) -> GroupedNetworks:
    """Networks at a rate that is larger for the later ones."""
    return GroupedNetworks(
        networks, own_loss, OPTIMIZERS[optimizer], [0.01 * (1 + place) for place in range(len(networks))]
    )


def test_steps_are_those_of_pytorch() -> None:
    """Six steps of Adam in float64, each network by itself and PyTorch's optimiser, to 1e-12; and the losses."""
    networks = [Layers(seed, dtype=torch.float64) for seed in range(5)]
    others = [Layers(seed, dtype=torch.float64) for seed in range(5)]
    optimizers = [torch.optim.Adam(own.parameters(), lr=0.01 * (1 + place)) for place, own in enumerate(others)]
    group = grouped(networks)
    for step in range(6):
        own = data(5, step, torch.float64)
        losses = group.advance(*own)
        for place, (other, optimizer) in enumerate(zip(others, optimizers, strict=True)):
            optimizer.zero_grad()
            value = loss(other, *(values[place] for values in own))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            torch.testing.assert_close(losses[place], value.detach(), rtol=1e-12, atol=0)
    for network, other in zip(networks, others, strict=True):
        for parameter, wanted in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(parameter, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [Layers, partial(Layers, activation=torch.nn.functional.silu), ByPyTorch, Refused])
@pytest.mark.parametrize("optimizer", ["heavy_ball", "adamw"])
@pytest.mark.parametrize("batch", [BATCH, 30])
def test_bytes_of_a_network_do_not_depend_on_its_company(
    kind: Callable[[int], Layers], optimizer: str, batch: int
) -> None:
    """Ten steps in groups of nine, of five from the sixth step on, and of one."""
    group = grouped([kind(seed) for seed in range(9)], optimizer)
    kept = np.arange(9) % 2 == 0
    for step in range(10):
        if step == 5:
            group.keep(kept)
        own = data(9, step, batch=batch)
        group.advance(*(values[torch.as_tensor(kept)] if step >= 5 else values for values in own))
    for place, seed in enumerate(np.flatnonzero(kept).tolist()):
        network = kind(seed)
        alone = GroupedNetworks([network], loss, OPTIMIZERS[optimizer], [0.01 * (1 + seed)])
        for step in range(10):
            alone.advance(*(values[seed][None] for values in data(9, step, batch=batch)))
        assert torch.equal(alone.parameters[0], group.parameters[place])
        for parameter, other in zip(network.parameters(), group.networks[place].parameters(), strict=True):
            assert torch.equal(parameter, other)


def test_networks_that_agree_run_side_by_side() -> None:
    """After the trials `forward` is called once for all networks, and once for each of those that do not agree."""
    for kind, calls in ((Layers, 1), (ByPyTorch, 6), (Refused, 6)):
        networks, called = [kind(seed) for seed in range(6)], []

        def counted(network: ScoreNetwork, *own: torch.Tensor, called: list[int] = called) -> torch.Tensor:
            called.append(1)
            return loss(network, *own)

        group = grouped(networks, own_loss=counted)
        for step in range(5):
            called.clear()
            group.advance(*data(6, step))
        assert len(called) == calls


@pytest.mark.parametrize(
    ("shape", "many"),
    [((32, 32, 32), 32), ((2, 32, 256), 4), ((4, 64, 16, 16), 1), ((9, 31, 8), 1), ((9, 64, 8), 64)],
)
def test_how_many_are_side_by_side_follows_from_shapes(shape: tuple[int, ...], many: int) -> None:
    assert side_by_side(shape) == many


def test_a_divergence_may_be_part_of_the_loss() -> None:
    """½ |s|² + vᵀ(∂s/∂x)v by torch.func, in groups and alone: the same bytes."""

    def implicit(network: ScoreNetwork, fields: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        score, pull = torch.func.vjp(network, fields)
        probe = noise.sign()
        return (0.5 * score.square().sum() + (pull(probe)[0] * probe).sum()) / fields.numel()

    group = grouped([Layers(seed) for seed in range(5)], own_loss=implicit)
    alone = GroupedNetworks([Layers(3)], implicit, OPTIMIZERS["adam"], [0.04])
    for step in range(6):
        group.advance(*data(5, step))
        alone.advance(*(values[3:4] for values in data(5, step)))
    assert torch.equal(alone.parameters[0], group.parameters[3])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_descent_takes_the_same_steps(optimizer: str) -> None:
    """From a snapshot after four steps, in other objects, three more: the same bytes as seven in a row."""
    whole, part = (grouped([Layers(seed) for seed in range(4)], optimizer) for _ in range(2))
    for step in range(4):
        whole.advance(*data(4, step))
    snapshot = {name: array.copy() for name, array in whole.snapshot().items()}
    part.resume(snapshot)
    for step in range(4, 7):
        for group in (whole, part):
            group.advance(*data(4, step))
    for name, array in whole.snapshot().items():
        np.testing.assert_array_equal(array, part.snapshot()[name])
    assert torch.equal(part.networks[2].outer, whole.networks[2].outer)  # type: ignore[arg-type]


def test_parameters_have_one_precision_and_are_real() -> None:
    network = Layers(0)
    network.outer = torch.nn.Parameter(network.outer.detach().to(torch.complex64))
    with pytest.raises(InputError, match=r"parameter 'outer' of Layers is complex64; .* real"):
        grouped([network])


def test_what_is_not_trained_stays() -> None:
    """A frozen parameter, of another precision too, and one that the loss does not use."""
    networks = [Layers(seed) for seed in range(4)]
    for network in networks:
        network.inner.requires_grad_(False)
        network.unused = torch.nn.Parameter(torch.ones(2))  # type: ignore[assignment]
    before = [network.inner.detach().clone() for network in networks]
    group = grouped(networks)
    for step in range(5):
        group.advance(*data(4, step))
    assert all(torch.equal(network.inner, own) for network, own in zip(networks, before, strict=True))
    assert all(bool((network.unused == 1.0).all()) for network in networks)
    assert not torch.equal(networks[0].outer, Layers(0).outer)
