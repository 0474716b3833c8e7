"""The periodic convolution beside its sum and beside PyTorch's, alone and side by side."""

from itertools import product

import numpy as np
import pytest
import torch

from csd.networks.convolution import odd_tanh, periodic_convolution

SMALL = [(1, 8, 3, 3), (1, 5, 5, 3), (2, 6, 3, 3), (2, 8, 5, 3), (2, 3, 3, 3), (3, 4, 3, 3), (2, 4, 1, 3), (3, 5, 5, 1)]
STRIPS = [(1, 64, 3, 256), (2, 16, 3, 128), (3, 8, 3, 32)]
"""Shifted copies of one network are laid out strip by strip of the lattice."""
BLOCKS = [(1, 32, 3, 200), (2, 8, 3, 100)]
"""Those of some networks are laid out together, but not those of all five."""
CASES = SMALL + STRIPS + BLOCKS
"""(d, L, sites along a side of a filter, batch)."""


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    """Normal numbers in float64, of which derivatives may be taken."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def pytorch(fields: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """The same by PyTorch's own padding and convolution."""
    dimension = fields.ndim - 2
    side = round(len(filters) ** (1 / dimension))
    kind = (torch.conv1d, torch.conv2d, torch.conv3d)[dimension - 1]
    padded = torch.nn.functional.pad(fields.movedim(-1, 1), [side // 2] * 2 * dimension, mode="circular")
    weight = filters.permute(2, 1, 0).reshape(filters.shape[2], filters.shape[1], *[side] * dimension)
    return kind(padded, weight).movedim(1, -1)


@pytest.mark.parametrize(("dimension", "size", "side", "batch"), CASES)
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 3), (3, 1), (1, 3)])
def test_value_and_gradients_are_those_of_pytorch(
    dimension: int, size: int, side: int, batch: int, inputs: int, outputs: int
) -> None:
    fields, filters = normal(batch, *[size] * dimension, inputs), normal(side**dimension, inputs, outputs, seed=2)
    ours, theirs = periodic_convolution(fields, filters), pytorch(fields, filters)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    gradient = normal(*ours.shape, seed=3).detach()
    wanted = torch.autograd.grad(theirs, (fields, filters), gradient)
    torch.testing.assert_close(torch.autograd.grad(ours, (fields, filters), gradient), wanted, rtol=0, atol=1e-12)
    # Where the fields are data, from shifted copies of those that have fewer channels.
    alone = torch.autograd.grad(periodic_convolution(fields.detach(), filters), filters, gradient)
    torch.testing.assert_close(alone, wanted[1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "side", "channels"), [(16, 5, 16), (9, 7, 16), (8, 5, 16), (8, 3, 64)])
def test_filters_around_the_size_from_which_pytorch_convolves(size: int, side: int, channels: int) -> None:
    """Single precision, beside the same in double precision."""
    fields, filters = normal(3, size, size, channels), normal(side**2, channels, channels, seed=2)
    wanted = pytorch(fields, filters)
    found = periodic_convolution(fields.float(), filters.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-3)
    gradient = normal(*wanted.shape, seed=3).detach()
    both = [torch.autograd.grad(values, (fields, filters), gradient.to(values.dtype)) for values in (found, wanted)]
    torch.testing.assert_close(*both, rtol=0, atol=1e-2)


def test_it_is_the_sum_over_sites() -> None:
    """y_o(r) = Σ_a Σ_c w_co(a) x_c(r + a), term by term, on a lattice of different sides."""
    fields, filters = normal(2, 3, 4, 5, 2).detach().numpy(), normal(27, 2, 3, seed=2).detach().numpy()
    wanted = np.zeros((2, 3, 4, 5, 3))
    for tap, (i, j, k) in enumerate(product((-1, 0, 1), repeat=3)):
        wanted += np.roll(fields, (-i, -j, -k), axis=(1, 2, 3)) @ filters[tap]
    found = periodic_convolution(torch.tensor(fields), torch.tensor(filters))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dimension", "size", "side", "batch"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_side_by_side_every_network_has_the_bits_that_it_has_alone(
    dimension: int, size: int, side: int, batch: int, dtype: torch.dtype
) -> None:
    fields = normal(5, batch, *[size] * dimension, 2).to(dtype).detach().requires_grad_()
    filters = normal(5, side**dimension, 2, 3, seed=2).to(dtype).detach().requires_grad_()

    def layers(fields: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
        return odd_tanh(periodic_convolution(fields, filters))

    beside = torch.func.vmap(layers)(fields, filters)
    gradient = normal(*beside.shape, seed=3).to(dtype).detach()
    of_fields, of_filters = torch.autograd.grad(beside, (fields, filters), gradient)
    for place in range(5):
        own = [values[place].detach().clone().requires_grad_() for values in (fields, filters)]
        alone = layers(own[0], own[1])
        assert torch.equal(alone, beside[place])
        gradients = torch.autograd.grad(alone, own, gradient[place])
        assert torch.equal(gradients[0], of_fields[place])
        assert torch.equal(gradients[1], of_filters[place])


def test_derivatives_of_derivatives() -> None:
    """By finite differences."""
    fields, filters = normal(2, 4, 4, 2), normal(9, 2, 3, seed=2)
    assert torch.autograd.gradcheck(periodic_convolution, (fields, filters))
    assert torch.autograd.gradgradcheck(periodic_convolution, (fields, filters))
    assert torch.autograd.gradgradcheck(odd_tanh, (fields,))


def test_divergences_of_networks_side_by_side() -> None:
    """vᵀ(∂s/∂x)v by torch.func within vmap, and its gradient, beside PyTorch's operations one network at a time."""
    fields, probe = normal(3, 2, 4, 4, 2).detach(), normal(3, 2, 4, 4, 2, seed=4).detach()
    filters = normal(3, 9, 2, 2, seed=2)

    def divergence(filters: torch.Tensor, fields: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        _, pull = torch.func.vjp(lambda x: odd_tanh(periodic_convolution(x, filters)), fields)
        return (pull(probe)[0] * probe).sum()

    found = torch.func.vmap(divergence)(filters, fields, probe)
    wanted = []
    for own, x, v in zip(filters, fields, probe, strict=True):
        moved = x.clone().requires_grad_()
        (product,) = torch.autograd.grad((pytorch(moved, own).tanh() * v).sum(), moved, create_graph=True)
        wanted.append((product * v).sum())
    torch.testing.assert_close(found, torch.stack(wanted), rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(values.sum(), filters)[0] for values in (found, torch.stack(wanted))]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_other_types_go_to_pytorch() -> None:
    """Half precision has no products in NumPy's libraries; the result is PyTorch's, to its precision."""
    fields, filters = normal(2, 6, 2).detach(), normal(3, 2, 3, seed=2).detach()
    half = periodic_convolution(fields.bfloat16(), filters.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), periodic_convolution(fields, filters), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_odd_and_has_the_bits_of_a_number_anywhere(dtype: torch.dtype) -> None:
    values = normal(1003).to(dtype).detach() * 3.0
    found = odd_tanh(values)
    assert torch.equal(odd_tanh(-values), -found)
    torch.testing.assert_close(
        found, values.double().tanh().to(dtype), rtol=2e-7 if dtype == torch.float32 else 1e-15, atol=0
    )
    for start, stop in ((0, 1), (7, 22), (100, 1003)):
        assert torch.equal(odd_tanh(values[start:stop].clone()), found[start:stop])
