"""The multiscale linear network: its numbers, its kernel, and the steps that it needs."""

from itertools import product

import numpy as np
import pytest
import torch

import csd
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.module import ConvolutionalScore


@pytest.mark.parametrize(("size", "parameters"), [(64, 72), (256, 96), (1024, 120)])
def test_its_parameters_grow_as_the_logarithm_of_the_size(size: int, parameters: int) -> None:
    assert Architecture("multiscale").build(Lattice(1, size), 1.0).parameters == parameters


@pytest.mark.parametrize(("dimension", "size"), [(1, 16), (1, 10), (2, 8), (3, 4)])
def test_its_kernel_is_that_of_dilated_filters(dimension: int, size: int) -> None:
    """A channel of taps on {0, 1, 2}^d 2^j, each site once, and its transpose, applied site by site."""
    lattice = Lattice(dimension, size)
    network = Architecture("multiscale", channels=2, taps=3).build(lattice, 1.0)
    shifts = {
        tuple(number * 2**scale % size for number in taps)
        for scale in range(max(int(np.log2(size)) - 1, 1))
        for taps in product(range(3), repeat=dimension)
    }
    assert network.filter_shape == (2, len(shifts))
    generator = np.random.default_rng(0)
    filters = generator.standard_normal(network.filter_shape)
    field = generator.standard_normal(lattice.shape)
    axes = tuple(range(dimension))
    score = np.zeros(lattice.shape)
    for numbers in filters:
        # K does not depend on the direction of the transform, as filters are real and tied.
        inner = sum(number * np.roll(field, shift, axes) for number, shift in zip(numbers, sorted(shifts), strict=True))
        for number, shift in zip(numbers, sorted(shifts), strict=True):
            score -= number * np.roll(inner, tuple(-one for one in shift), axes)
    module = ConvolutionalScore(network, filters)
    np.testing.assert_allclose(module(torch.from_numpy(field[None])).detach()[0], score, atol=1e-11)


@pytest.mark.parametrize(("size", "levels", "fewest", "most"), [(64, [0.1, 2.0], 60, 110), (256, [0.1, 1.0], 70, 130)])
def test_every_noise_level_is_learned_in_few_steps(size: int, levels: list[float], fewest: int, most: int) -> None:
    """Steps to ε = 0.01 on the exact loss at m = 1/L; one full layer needs 2500 and 40,000 at t = 0.1."""
    run = csd.train(
        "multiscale", dimension=1, size=size, noise_levels=levels, loss="population", seeds=[1, 2], max_steps=400
    )
    times = run["training_time"].values
    assert ((times >= fewest) & (times <= most)).all(), times
