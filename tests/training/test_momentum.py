"""Momentum beside recursions and PyTorch's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.module import LinearScore, spectral_loss
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, prepare, with_momentum

MOMENTUM = 0.8
LATTICE = Lattice(1, 16)
NETWORKS = [
    Architecture("one_layer"),
    Architecture("two_layer"),
    Architecture("deep_linear", depth=3),
    Architecture("local_one_layer", range=2),
    Architecture("local_two_layer", range=4),
]


def _noised(levels: tuple[float, ...] = (0.1, 0.5)) -> NoisedTarget:
    return NoisedTarget(GaussianField.on_critical_line(LATTICE), VariancePreserving(), levels)


def _run(architecture: Architecture, settings: TrainingSettings, momentum: float = MOMENTUM) -> Prepared:
    return with_momentum(prepare(_noised(), architecture, settings), momentum)


def test_heavy_ball_of_one_layer_follows_its_recursion() -> None:
    """e_{j+1} = (1 + β − η C) e_j − β e_{j−1} of every mode, e = w − K*."""
    run = _run(Architecture("one_layer"), TrainingSettings("population"))
    spectra = _noised().spectra_at(run.modes)
    growth = 1.0 + MOMENTUM - run.rates[:, None] * spectra
    # The ball starts at rest: w_{−1} = w_0.
    before = error = run.descent.kernel()[0] - 1.0 / spectra
    for _ in range(40):
        run.descent.advance(*run.source.draw())
        before, error = error, growth * error - MOMENTUM * before
    assert run.descent.kernel()[0] - 1.0 / spectra == pytest.approx(error, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda network: network.label)
def test_heavy_ball_is_that_of_torch(architecture: Architecture) -> None:
    """The same steps as torch.optim.SGD with momentum on the population loss, whatever the network."""
    run = _run(architecture, TrainingSettings("population", seeds=(3,)))
    noised, weight = _noised(), torch.as_tensor(LATTICE.half_multiplicity / LATTICE.sites)
    modules = prepare(noised, architecture, TrainingSettings("implicit", path="fields", seeds=(3,))).descent.networks[0]
    for level, module in enumerate(modules):
        rate = float(run.rates[level]) / module.uses
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=MOMENTUM)
        spectrum = torch.as_tensor(LATTICE.spread(noised.spectra_at(LATTICE.shells)[level], LATTICE.shells))
        for _ in range(15):
            optimizer.zero_grad()
            spectral_loss(module.kernel(), spectrum, torch.ones_like(spectrum), weight).backward()
            optimizer.step()
    for _ in range(15):
        run.descent.advance(*run.source.draw())
    for level, module in enumerate(modules):
        kernel = LATTICE.gather(module.kernel().detach().numpy(), run.modes)
        assert run.descent.kernel()[0, level] == pytest.approx(kernel.real, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("path", ["spectral", "fields"])
@pytest.mark.parametrize("architecture", NETWORKS[1:4:2], ids=lambda network: network.label)
def test_a_seed_is_the_same_in_any_batch_and_after_a_checkpoint(architecture: Architecture, path: str) -> None:
    """Bit for bit: seeds end at their own steps, and a run that goes on from a snapshot is one that did not stop."""
    settings = TrainingSettings("implicit", 32, seeds=(1, 2, 3), tolerance=0.3, max_steps=60, path=path)
    together = descend(_noised(), _run(architecture, settings), settings)
    for row, seed in enumerate(settings.seeds):
        own = replace(settings, seeds=(seed,))
        alone = descend(_noised(), _run(architecture, own), own)
        assert np.array_equal(alone.weights[0], together.weights[row], equal_nan=True)
    whole, first, second = (_run(architecture, settings) for _ in range(3))
    for _ in range(6):
        whole.descent.advance(*whole.source.draw())
    for _ in range(3):
        first.descent.advance(*first.source.draw())
    second.descent.resume({name: np.array(array) for name, array in first.descent.snapshot().items()})
    second.source.resume(first.source.snapshot())
    for _ in range(3):
        second.descent.advance(*second.source.draw())
    assert np.array_equal(whole.descent.weights(), second.descent.weights(), equal_nan=True)


def test_heavy_ball_is_faster_where_one_layer_is_slow() -> None:
    """With √β = 1 − √(η C_min) errors fall like β^{j/2}: about the square root of the steps of plain descent."""
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(1, 64)), VariancePreserving(), [0.01])
    settings = TrainingSettings("population", tolerance=1e-6)
    steps = {}
    for momentum in (0.0, 0.9):
        run = with_momentum(prepare(noised, Architecture("one_layer"), settings), momentum)
        steps[momentum] = float(descend(noised, run, settings).training_time[0, 0])
    assert steps[0.9] < 0.2 * steps[0.0]


def test_a_fixed_momentum_leaves_the_exponent() -> None:
    """Below (1 − √β)² the slowest mode takes 1 − β times the steps: τ ∝ L² with momentum too (docs/physics.md, 5)."""
    times = {}
    for size in (32, 64):
        noised = NoisedTarget(GaussianField.on_critical_line(Lattice(1, size)), VariancePreserving(), [0.01])
        for momentum in (0.0, 0.5):
            settings = TrainingSettings("population", momentum=momentum)
            run = prepare(noised, Architecture("one_layer"), settings)
            times[size, momentum] = float(descend(noised, run, settings).training_time[0, 0])
    assert times[64, 0.5] / times[32, 0.5] == pytest.approx(4.0, rel=0.01)
    assert times[64, 0.5] / times[64, 0.0] == pytest.approx(0.5, rel=0.01)


def test_momentum_needs_errors_of_every_step() -> None:
    """On a device errors are read many steps at a time: refused, with both keys, but for autograd."""
    with pytest.raises(InputError, match=r"momentum.*device"):
        TrainingSettings(momentum=0.5, device="cuda")
    assert TrainingSettings(momentum=0.5, device="cuda", path="fields").momentum == 0.5
    run = prepare(_noised(), Architecture("one_layer"), TrainingSettings("population"))
    assert with_momentum(run, 0.0) is run


def test_buffers_are_left_as_a_step_made_them() -> None:
    """A network that counts its steps in a buffer counts as many with momentum."""
    counted = []
    for momentum in (0.0, MOMENTUM):
        settings = TrainingSettings("implicit", 4, seeds=(1,), path="fields", momentum=momentum)
        run = prepare(_noised(), Architecture(f"{__name__}:Counting"), settings)
        for _ in range(6):
            run.descent.advance(*run.source.draw())
        counted.append([float(network.steps) for network in run.descent.networks[0]])
        again = prepare(_noised(), Architecture(f"{__name__}:Counting"), settings)
        again.descent.resume({name: np.array(array) for name, array in run.descent.snapshot().items()})
        assert np.array_equal(again.descent.weights(), run.descent.weights())
    assert counted[0] == counted[1] == [6.0, 6.0]


class Counting(LinearScore):
    """One number for all modes, and how often it was used in training."""

    def __init__(self, lattice: Lattice, spectrum: Array, generator: np.random.Generator) -> None:
        super().__init__(lattice)
        self.scale = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
        self.register_buffer("steps", torch.tensor(0.0, dtype=torch.float64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.steps += 1.0
        return super().forward(fields)

    def kernel(self) -> torch.Tensor:
        return self.scale * torch.ones(self.lattice.half_shape, dtype=torch.float64)


@pytest.mark.parametrize(("name", "layers"), [("one_layer", 1), ("two_layer", 2)])
def test_equal_layers_share_the_length_of_a_gradient(name: str, layers: int) -> None:
    """That of all numbers of a network is clipped to G, so that a layer moves by η G over the root of their number."""
    settings = TrainingSettings("population", optimizer="gd", clip=1e-4, learning_rate=0.1)
    run = prepare(_noised((0.1,)), Architecture(name), settings)

    def filters() -> Array:
        kernel = run.descent.kernel().real ** (1.0 / layers)
        return LATTICE.inverse(LATTICE.spread(kernel, run.modes))

    before = filters()
    run.descent.advance(*run.source.draw())
    length = np.sqrt(((filters() - before) ** 2).sum())
    # PyTorch adds 1e-6 to the length by which it divides.
    assert length == pytest.approx(0.1 * 1e-4 / np.sqrt(layers), rel=1e-4)


def test_seeds_keep_their_rates_when_others_end() -> None:
    """Each has a rate of its own, from its own fields, and steps as it does alone after faster seeds have ended."""
    how = TrainingSettings(
        "implicit", batch=4096, optimizer="nesterov", rate_from="data", max_steps=400, seeds=(1, 2, 3, 4)
    )
    together = train_network(_noised(), Architecture("one_layer"), how)
    assert len(set(together.training_time[:, 0])) > 1
    for place, seed in enumerate(how.seeds):
        alone = train_network(_noised(), Architecture("one_layer"), replace(how, seeds=(seed,)))
        np.testing.assert_array_equal(together.crossing_time[place], alone.crossing_time[0])
