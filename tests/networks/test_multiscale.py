"""Multiscale linear networks: their numbers, their kernels, their descent, and the steps that they need."""

from functools import cached_property
from itertools import product

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.module import ConvolutionalScore
from csd.networks.multiscale import Multiscale, MultiscaleBlocks, TiedFilters
from csd.training.descent import patches
from csd.training.descent.families import Descent, descent_of
from csd.training.descent.modules import AutogradDescent
from csd.training.loop import train_network
from csd.training.losses import Denoising
from csd.training.options import TrainingSettings
from csd.training.recorder import MANY
from tests.conftest import Problem

NAMES = ("multiscale", "multiscale_blocks")


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


def test_taps_beyond_the_lattice_come_back_to_its_sites() -> None:
    """However many: a billion are as quick as five on a lattice of five sites."""
    assert Multiscale(Lattice(1, 5), 6, 10**9).parameters == 6 * 5


def blocks_of(lattice: Lattice, taps: int) -> list[set[tuple[int, ...]]]:
    """Blocks from the origin on: of 2^j sites a side, within the cube of 2^j T and not covered before."""
    covered: set[tuple[int, ...]] = set()
    found, scale = [], 0
    while len(covered) < lattice.sites:
        side = 2**scale
        for corner in product(range(0, taps * side, side), repeat=lattice.dimension):
            ranges = (range(start, min(start + side, lattice.size)) for start in corner)
            own = set(product(*ranges)) - covered
            if own:
                found.append(own)
                covered |= own
        scale += 1
    return found


@pytest.mark.parametrize(
    ("dimension", "size", "taps"), [(1, 64, 8), (1, 24, 4), (1, 10, 6), (2, 16, 4), (2, 12, 4), (2, 8, 2), (3, 8, 4)]
)
def test_blocks_tile_the_lattice(dimension: int, size: int, taps: int) -> None:
    """Each function is constant on a block, and the functions of the blocks are orthonormal."""
    lattice = Lattice(dimension, size)
    network = MultiscaleBlocks(lattice, 1, taps)
    expected = blocks_of(lattice, taps)
    functions = network.placed(np.eye(network.filter_shape[1]))
    assert len(functions) == len(expected)
    found = [{tuple(place) for place in np.argwhere(one).tolist()} for one in functions]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    wide = functions.reshape(len(functions), -1)
    np.testing.assert_allclose(wide @ wide.T, np.eye(len(functions)), atol=1e-14)
    for one, own in zip(wide, found, strict=True):
        np.testing.assert_allclose(one[one != 0.0], len(own) ** -0.5)


@pytest.mark.parametrize(("size", "parameters"), [(64, 80), (256, 112), (1024, 144)])
def test_numbers_of_blocks_grow_as_the_logarithm_of_the_size(size: int, parameters: int) -> None:
    """In d = 1 there are T + (T/2) log₂(L/T) blocks."""
    assert Architecture("multiscale_blocks").build(Lattice(1, size), 1.0).parameters == parameters


@pytest.mark.parametrize("name", NAMES)
def test_soft_modes_start_as_small_as_asked(name: str) -> None:
    """The mean of C_max K(0) over 400 starts is 0.1, to 4 of its errors; K(0) is χ² of as many degrees as channels."""
    lattice, starts = Lattice(2, 32), 400
    network = Architecture(name).build(lattice, 1.0)
    spectrum = np.array([1000.0, 1.0])
    filters = np.array([network.start(spectrum, np.random.default_rng(seed)) for seed in range(starts)])
    found = 1000.0 * network.kernel(filters)[:, 0, 0].mean()
    assert found == pytest.approx(0.1, abs=4 * 0.1 * np.sqrt(2 / network.filter_shape[0] / starts))


def test_odd_blocks_are_refused() -> None:
    with pytest.raises(InputError, match="taps is 5; of multiscale_blocks it must be even"):
        Architecture("multiscale_blocks", taps=5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dimension", "size"), [(1, 16), (1, 9), (2, 8), (3, 4)])
def test_both_descents_take_the_same_steps(name: str, dimension: int, size: int, critical: Problem) -> None:
    """Those of transforms against autograd, on spectra of minibatches of two seeds, to 1e-11."""
    noised = critical(dimension, size, (0.1, 0.5))
    lattice, modes = noised.lattice, noised.lattice.pairs
    network = Architecture(name, channels=2).build(lattice, 1.0)
    assert isinstance(network, TiedFilters)
    generator = np.random.default_rng(5)
    starts = 0.03 * generator.standard_normal((2, 2, *network.filter_shape))
    rates = np.array([0.01, 0.02])
    modules = [[ConvolutionalScore(network, own) for own in of_seed] for of_seed in starts]
    slow = AutogradDescent(modules, noised, modes, rates, Denoising(), torch.device("cpu"))
    spectra = noised.spectra_at(modes)
    fast = descent_of([network] * 2, modes, spectra, rates, list(starts), complex_kernel=True)
    assert fast is not None
    for _ in range(5):
        data = (
            spectra * generator.uniform(0.5, 1.5, (2, *spectra.shape)),
            generator.uniform(0.5, 1.5, (2, *spectra.shape)),
        )
        fast.advance(*data)
        slow.advance(*data)
        np.testing.assert_allclose(fast.error(), slow.error(), rtol=1e-11)
    np.testing.assert_allclose(fast.weights(), slow.weights(), atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_does_not_depend_on_the_others(name: str) -> None:
    options = {"dimension": 2, "size": 8, "noise_levels": [0.1, 0.5, 1.0], "max_steps": 20, "batch": 16}
    together, alone = (csd.train(name, seeds=seeds, **options) for seeds in ([1, 2, 3], [2]))
    for quantity in ("weights", "score_error"):
        np.testing.assert_array_equal(together[quantity].sel(seed=2), alone[quantity].sel(seed=2))


@pytest.mark.parametrize("kept", [0, patches.KEPT])
@pytest.mark.parametrize("name", NAMES)
def test_seeds_with_rates_of_their_own_step_as_alone(
    name: str, kept: int, critical: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once a seed has ended, and whether transforms are kept from an error to the next step or not."""
    monkeypatch.setattr(patches, "KEPT", kept)
    noised = critical(1, 16, (0.1, 0.5))
    modes, network = noised.modes, Architecture(name, channels=2).build(noised.lattice, 1.0)
    spectra, rates = noised.spectra_at(modes), np.array([[0.01, 0.02], [0.03, 0.04], [0.05, 0.06]])
    starts = [list(own) for own in 0.03 * np.random.default_rng(6).standard_normal((3, 2, *network.filter_shape))]

    def made(rates: Array, starts: list[list[Array]]) -> Descent:
        found = descent_of([network] * 2, modes, spectra, rates, starts, complex_kernel=False)
        assert found is not None
        return found

    together, first, last = made(rates, starts), made(rates[0], starts[:1]), made(rates[2], starts[2:])
    for step in range(6):
        for descent in (together, first, last):
            descent.advance(spectra, 1.0)
        if step == 2:
            # As training does, which looks at errors before it drops a seed.
            assert together.error().shape == (3, 2)
            together.keep(np.array([True, False, True]))
        assert len(together.error()) == (3 if step < 2 else 2)
        np.testing.assert_array_equal(together.error()[[0, -1]], np.concatenate([first.error(), last.error()]))
        if step == 4:
            together.resume(together.snapshot())
    np.testing.assert_array_equal(together.weights(), np.concatenate([first.weights(), last.weights()]))


@pytest.mark.parametrize(("factor", "settles"), [(0.97, True), (1.03, False)])
@pytest.mark.parametrize("name", NAMES)
def test_the_largest_stable_rate_is_an_edge_where_filters_are_full(
    name: str, factor: float, settles: bool, critical: Problem
) -> None:
    """One channel with a number for each site: near K = 1/C a deviation is multiplied by 1 − 2 η at each step."""
    noised = critical(1, 8, (0.1,))
    modes, network = noised.modes, Architecture(name, channels=1, taps=8).build(noised.lattice, 1.0)
    spectra = noised.spectra_at(modes)
    rate = np.array([factor * network.stable_rate(spectra[0])])
    # Sites are in their order, whichever scale they belong to.
    root = noised.lattice.inverse(noised.lattice.spread(1.001 / np.sqrt(spectra), modes))
    found = descent_of([network], modes, spectra, rate, [[root]], complex_kernel=False)
    assert found is not None
    start = found.error()[0, 0]
    assert start == pytest.approx(0.002**2, rel=0.01)
    for _ in range(40):
        found.advance(spectra, 1.0)
    assert found.error()[0, 0] < 0.1 * start if settles else found.error()[0, 0] > 10.0 * start


@pytest.mark.parametrize(
    "architecture", [Architecture("multiscale", channels=2), Architecture("local_two_layer", range=2)]
)
def test_recorded_kernels_have_all_momenta(architecture: Architecture, critical: Problem) -> None:
    """Where there are many, too, since momenta of a class differ: K(r = 0), their mean, is the sum of all squares."""
    noised = critical(2, 96, (0.5,))
    settings = TrainingSettings("population", seeds=(1, 2), max_steps=3, kernel_steps=(0, 3), until="max_steps")
    record = train_network(noised, architecture, settings)
    assert record.recorded_kernels is not None
    assert len(record.modes) > MANY
    mean = record.recorded_kernels[:, 0, -1] @ record.recorded_modes.multiplicity / noised.lattice.sites
    np.testing.assert_allclose(mean, (record.weights[:, 0] ** 2).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "levels", "fewest", "most"), [(64, [0.1, 2.0], 45, 110), (256, [0.1, 1.0], 65, 130)])
def test_every_noise_level_is_learned_in_few_steps(
    name: str, size: int, levels: list[float], fewest: int, most: int
) -> None:
    """Steps to ε = 0.01 on the exact loss at m = 1/L; one full layer needs 2500 and 40,000 at t = 0.1."""
    run = csd.train(name, dimension=1, size=size, noise_levels=levels, loss="population", seeds=[1, 2], max_steps=400)
    times = run["training_time"].values
    assert ((times >= fewest) & (times <= most)).all(), times


class Crosses(Multiscale):
    """Taps along the axes alone."""

    @cached_property
    def offsets(self) -> np.ndarray:
        """Sites of the cubes with one coordinate that is not 0, or none."""
        cubes = Multiscale(self.lattice, self.channels, self.taps).offsets
        return cubes[(cubes != 0).sum(axis=1) <= 1]


def test_taps_along_the_axes_alone_take_longer(critical: Problem) -> None:
    """In d = 2, L = 16, from one start each: a third of the numbers of cubes, and more steps to 1 % at both levels."""
    noised = critical(2, 16, (0.1, 1.0))
    modes = noised.lattice.pairs
    spectra = noised.spectra_at(modes)
    times, numbers = {}, {}
    for family in (Crosses, Multiscale):
        network = family(noised.lattice, 6, 5)
        starts = [[network.start(own, np.random.default_rng(1)) for own in spectra]]
        descent = descent_of([network] * 2, modes, spectra, np.full(2, 0.125), starts, complex_kernel=False)
        assert descent is not None
        errors = [descent.error()[0]]
        while (errors[-1] > 0.01).any() and len(errors) < 300:
            descent.advance(spectra, 1.0)
            errors.append(descent.error()[0])
        times[family], numbers[family] = (np.array(errors) > 0.01).sum(axis=0), network.parameters
    assert numbers == {Crosses: 90, Multiscale: 288}
    assert (times[Crosses] < 300).all()
    assert (times[Crosses] > times[Multiscale]).all()
