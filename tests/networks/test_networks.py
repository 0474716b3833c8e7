import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.linear import LinearNetwork
from csd.networks.local import LocalNetwork, Patch
from csd.networks.module import ConvolutionalScore, ScoreNetwork
from csd.training.descent.families import descent_of
from csd.training.descent.modes import BLOCK, blocks
from csd.training.descent.modules import AutogradDescent
from csd.training.losses import Denoising, Implicit, Objective
from tests.conftest import Problem

ARCHITECTURES = [
    Architecture("one_layer"),
    Architecture("two_layer"),
    Architecture("deep_linear", depth=1),
    Architecture("deep_linear", depth=3),
    Architecture("deep_linear", depth=4),
    Architecture("local_one_layer", range=1),
    Architecture("local_two_layer", range=1),
    Architecture("local_two_layer", range=1, channels=2),
]
WIDE = [Architecture("local_one_layer", range=7), Architecture("local_two_layer", range=7)]
"""Ranges at which correlations are taken by transforms."""
LATTICES = [(1, 8), (1, 7), (2, 6), (3, 4)]


def _filters(network: LinearNetwork) -> np.ndarray:
    """Random filters; balanced ones for full networks."""
    generator = stream("test filters", network.filter_shape)
    if isinstance(network, LocalNetwork):
        return generator.standard_normal(network.filter_shape)
    one = 0.3 * generator.standard_normal(network.lattice.shape)
    even = one + np.roll(np.flip(one), 1, axis=tuple(range(one.ndim)))
    return np.broadcast_to(even, network.filter_shape).copy()


@pytest.mark.parametrize("objective", [Implicit(), Denoising()], ids=["implicit", "denoising"])
@pytest.mark.parametrize(
    ("architecture", "dimension", "size"),
    [(a, *lattice) for a in ARCHITECTURES for lattice in LATTICES] + [(a, 2, 16) for a in WIDE],
    ids=lambda part: part.label if isinstance(part, Architecture) else str(part),
)
def test_both_paths_take_the_same_step(
    architecture: Architecture, dimension: int, size: int, objective: Objective, critical: Problem
) -> None:
    """A step of autograd on raw fields and one on their spectra change the kernel equally, to 1e-10."""
    noised = critical(dimension, size, (0.2,))
    lattice, modes, rate, batch = noised.lattice, noised.lattice.pairs, 0.01, 4
    network = architecture.build(lattice, 1.0)
    filters = _filters(network)
    generator = stream("test step", dimension)
    clean = noised.target.sample(generator, batch)
    noise = generator.standard_normal(clean.shape)
    sigma = np.sqrt(noised.variances[0])
    fields = noised.signals[0] * clean + sigma * noise
    probe = generator.choice([-1.0, 1.0], size=clean.shape)

    module = ConvolutionalScore(network, filters)
    device = torch.device("cpu")
    by_fields = AutogradDescent([[module]], noised, modes, np.array([rate]), objective, device)
    by_fields.advance(fields[None, None], noise[None, None], probe[None, None])

    x, z = (lattice.gather(lattice.transform(a), modes) for a in (fields, noise))
    spectrum = (np.abs(x) ** 2).mean(axis=0)[None, None] / lattice.sites
    target = 1.0
    if objective.complex_target:
        target = (x.conj() * z).mean(axis=0)[None, None] / (lattice.sites * sigma)
    by_spectra = descent_of(
        [network],
        modes,
        noised.spectra_at(modes),
        np.array([rate]),
        [[filters]],
        complex_kernel=objective.complex_target,
    )
    assert by_spectra is not None
    before = by_spectra.kernel().copy()
    by_spectra.advance(spectrum, target)
    after = by_fields.kernel()
    assert after is not None
    np.testing.assert_allclose(by_spectra.kernel(), after, rtol=0, atol=1e-10 * np.abs(after).max())
    assert np.abs(after - before).max() > 1e-6, "the step must do something for this to mean anything"

    # The third way: autograd on the spectra themselves.
    third = AutogradDescent(
        [[ConvolutionalScore(network, filters)]], noised, modes, np.array([rate]), objective, device
    )
    third.advance(spectrum, target)
    np.testing.assert_allclose(third.kernel(), after, rtol=0, atol=1e-10 * np.abs(after).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.label)
def test_modules_are_convolutions_with_their_kernel(architecture: Architecture) -> None:
    """forward, kernel and divergence against the dense Jacobian of the module."""
    lattice = Lattice(2, 4)
    network = architecture.build(lattice, 1.0)
    module = ConvolutionalScore(network, _filters(network))
    assert isinstance(module, torch.nn.Module)
    field = torch.from_numpy(stream("test jacobian").standard_normal((1, *lattice.shape)))
    jacobian = torch.func.jacrev(lambda x: module(x))(field).reshape(lattice.sites, lattice.sites).detach()
    np.testing.assert_allclose((jacobian @ field.ravel()).numpy(), module(field).detach().ravel().numpy(), atol=1e-12)
    divergence = module.divergence(field, torch.ones_like(field))
    assert float(divergence.detach()) == pytest.approx(float(jacobian.trace()), rel=1e-12)
    # Translation invariance: shifting the input shifts the output.
    shifted = module(torch.roll(field, (1, 2), (1, 2)))
    np.testing.assert_allclose(shifted.detach(), torch.roll(module(field), (1, 2), (1, 2)).detach(), atol=1e-12)


def test_estimated_divergence_of_a_nonlinear_network_is_right_in_expectation() -> None:
    class Cubic(ScoreNetwork):
        def forward(self, fields: torch.Tensor) -> torch.Tensor:
            return -(fields**3) + 0.5 * torch.roll(fields, 1, -1) * fields

    lattice = Lattice(1, 6)
    network = Cubic(lattice)
    field = torch.from_numpy(stream("test divergence").standard_normal((1, 6)))
    jacobian = torch.func.jacrev(network)(field).reshape(6, 6)
    # Rademacher probes over all 2^6 signs average to the trace exactly.
    probes = torch.tensor([[1.0 if (n >> i) & 1 else -1.0 for i in range(6)] for n in range(64)], dtype=torch.float64)
    mean = network.divergence(field.repeat(64, 1), probes) / 64
    assert float(mean.detach()) == pytest.approx(float(jacobian.trace()), rel=1e-12)


def test_parameters_are_counted() -> None:
    lattice = Lattice(2, 32)
    counts = {
        "one_layer": (Architecture("one_layer"), 1024),
        "two_layer": (Architecture("two_layer"), 2048),
        "deep": (Architecture("deep_linear", depth=4), 4096),
        "local one": (Architecture("local_one_layer", range=2), 25),
        "local two": (Architecture("local_two_layer", range=2), 27),
        "exact": (Architecture("exact"), 0),
    }
    for architecture, count in counts.values():
        assert architecture.build(lattice, 1.0).parameters == count


# Computed independently of this project: m = 1/L, VP.
FLOORS = [
    (1, 256, 0.1, {1: 0.0209, 2: 5.14e-4, 4: 3.14e-7}),
    (1, 256, 0.5, {1: 0.132, 2: 0.0272, 4: 1.35e-3}),
    (2, 64, 0.1, {1: 8.04e-3, 2: 1.39e-4, 4: 6.06e-8}),
    (2, 64, 0.5, {1: 0.0428, 2: 6.56e-3, 4: 2.17e-4}),
    (3, 16, 0.1, {1: 2.72e-3, 2: 3.77e-5, 4: 1.26e-8}),
]


@pytest.mark.parametrize(("dimension", "size", "level", "floors"), FLOORS)
def test_floors_of_local_kernels(
    dimension: int, size: int, level: float, floors: dict[int, float], critical: Problem
) -> None:
    noised = critical(dimension, size, (level,))
    spectrum = noised.spectra_at(noised.lattice.shells)[0]
    for reach, floor in floors.items():
        for name in ("local_one_layer", "local_two_layer"):
            network = Architecture(name, range=reach).build(noised.lattice, 1.0)
            assert network.floor(spectrum) == pytest.approx(floor, rel=5e-3)


@pytest.mark.parametrize(("dimension", "size", "reach"), [(1, 9, 4), (2, 8, 2), (2, 7, 3), (3, 6, 2)])
def test_symmetric_sums_tell_all_of_a_patch(dimension: int, size: int, reach: int, critical: Problem) -> None:
    """Solution and largest eigenvalue against those of the whole covariance, also where correlations change sign."""
    lattice = Lattice(dimension, size)
    patch = Patch(lattice, reach)
    propagating = critical(dimension, size, (0.3,)).spectra_at(lattice.shells)[0]
    for spectrum in (propagating, 1.0 / propagating):
        half = lattice.spread(spectrum, lattice.shells)
        whole = patch.covariance(half)
        np.testing.assert_allclose(whole @ patch.solve(half), np.eye(len(patch))[patch.centre], atol=1e-12)
        assert patch.largest_eigenvalue(half) == pytest.approx(np.linalg.eigvalsh(whole)[-1], rel=1e-12)


def test_best_local_kernel_is_the_wiener_like_solution(critical: Problem) -> None:
    """No kernel on the box does better: the error's gradient vanishes there, checked by finite differences."""
    noised = critical(2, 8, (0.4,))
    lattice = noised.lattice
    spectrum = noised.spectra_at(lattice.shells)[0]
    network = Architecture("local_one_layer", range=1).build(lattice, 1.0)
    assert isinstance(network, LocalNetwork)
    best = network.patch.solve(lattice.half(spectrum))

    def error(kernel: np.ndarray) -> float:
        deviation = network.kernel(kernel) - 1.0 / lattice.half(spectrum)
        return float((lattice.half_multiplicity * lattice.half(spectrum) * np.abs(deviation) ** 2).sum())

    for site in range(len(best)):
        nudge = np.zeros_like(best)
        nudge[site] = 1e-4
        assert error(best) < min(error(best + nudge), error(best - nudge))


def test_range_that_follows_the_score_length() -> None:
    lattice = Lattice(1, 64)
    follows = Architecture("local_one_layer", range="3xi")
    assert [follows.build(lattice, length).reach for length in (0.1, 0.5, 1.31, 100.0)] == [1, 2, 4, 31]
    for wrong in ("xi3", "0xi", "-1xi", "two", "nanxi"):
        with pytest.raises(InputError, match="range"):
            Architecture("local_one_layer", range=wrong)


def test_blocks_cover_every_mode_once() -> None:
    """Whatever the shape; modes are cut in the same places for one seed and level as for many."""
    for shape in ((1, 1, 5), (3, 2, 7), (2, 65, 2080), (16, 4, 5), (2, 3, BLOCK + 1), (1, 2, 3 * BLOCK)):
        count = np.zeros(shape, dtype=int)
        for part in blocks(shape):
            count[part] += 1
            assert count[part].size <= BLOCK
        assert (count == 1).all()
        assert {part[2].start for part in blocks(shape)} == {part[2].start for part in blocks((1, 1, shape[2]))}
