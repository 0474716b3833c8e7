"""The safe rate of tied local filters, beside the exact Hessian of the loss along trainings, by autograd."""

from typing import Any

import numpy as np
import pytest
import torch

from csd.core.errors import InputError, TrainingDiverged
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.local import LocalTwoLayer
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from csd.training.reference import expected_steps

Case = tuple[int, int, float, int]
"""d, L, t, R"""
STIFF: list[Case] = [(1, 256, 0.01, 2), (1, 1024, 0.01, 2), (1, 1024, 1.0, 2), (1, 1024, 0.1, 5)]
SOFT: list[Case] = [(1, 1024, 0.1, 1), (2, 32, 0.1, 2), (2, 32, 0.01, 1), (3, 8, 0.1, 1)]


def problem(case: Case) -> tuple[NoisedTarget, Architecture]:
    dimension, size, level, reach = case
    target = GaussianField.on_critical_line(Lattice(dimension, size))
    return NoisedTarget(target, VariancePreserving(), [level]), Architecture("local_two_layer", range=reach)


def curvatures(noised: NoisedTarget, network: LocalTwoLayer, filters: Array) -> tuple[Array, Array]:
    """(eigenvalues, eigenvectors) of half the Hessian of (1/N) Σ_k [½ C K² − K], as each filter is used twice.

    Args:
        noised: the target at one noise level.
        network: the network.
        filters: shape (starts, channels, sites of a filter).
    """
    lattice, modes = noised.lattice, noised.modes
    spectrum = torch.tensor(lattice.half(noised.spectra_at(modes)[0]))
    weight = torch.tensor(lattice.half_multiplicity / lattice.sites)

    flat = torch.tensor(filters.reshape(len(filters), -1), requires_grad=True)
    kernel = network.kernel(flat.reshape(filters.shape))
    loss = (weight * (0.5 * spectrum * kernel**2 - kernel)).sum()
    (gradient,) = torch.autograd.grad(loss, flat, create_graph=True)
    # The starts do not know of each other.
    rows = [torch.autograd.grad(one.sum(), flat, retain_graph=True)[0] for one in gradient.unbind(-1)]
    values, vectors = np.linalg.eigh(0.5 * torch.stack(rows, dim=1).numpy())
    return np.asarray(values), np.asarray(vectors)


@pytest.mark.parametrize("case", [*STIFF, *SOFT], ids=str)
def test_the_safe_rate_is_stable_along_trainings(case: Case) -> None:
    """η λ < 2 at every fifth step of 24 trainings; the direction of the largest λ adds a constant to each filter."""
    noised, architecture = problem(case)
    settings = TrainingSettings("population", rate_from="safe", seeds=tuple(range(24)), tolerance=0.0, max_steps=500)
    run = prepare(noised, architecture, settings)
    network = architecture.build(noised.lattice, float(noised.score_lengths()[0]))
    assert isinstance(network, LocalTwoLayer)
    rate, spectra = float(run.rates[0]), noised.spectra_at(run.modes)
    largest, overlap = np.zeros(24), np.zeros(24)
    for step in range(int(16.0 / rate)):
        if step % 5 == 0:
            filters = run.descent.filters[:, 0]
            values, vectors = curvatures(noised, network, filters)
            amplitudes = filters.sum(axis=-1)
            constant = np.repeat(amplitudes[..., None], filters.shape[-1], axis=-1).reshape(24, -1)
            constant /= np.linalg.norm(constant, axis=-1, keepdims=True)
            now = (constant * vectors[..., -1]).sum(axis=-1) ** 2
            overlap = np.where(values[:, -1] > largest, now, overlap)
            largest = np.maximum(largest, values[:, -1])
        run.descent.advance(spectra, 1.0)
    assert rate * largest.max() < 2.0
    if case in STIFF:
        assert rate < 0.25
        assert largest.max() > 6.0
        assert np.median(overlap) > 0.9
    else:
        # At the best kernel λ is 2, and before it hardly more.
        assert largest.max() < 4.0


@pytest.mark.parametrize("case", STIFF, ids=str)
def test_the_safe_rate_is_not_much_too_small(case: Case) -> None:
    """Of 256 starts none diverges at the rate, nor at one and a half times it, and some do at three times the rate."""
    noised, architecture = problem(case)
    rate = float(prepare(noised, architecture, TrainingSettings("population", rate_from="safe")).rates[0])
    found = []
    for factor in (1.0, 1.5, 3.0):
        settings = TrainingSettings(
            "population", learning_rate=factor * rate, seeds=tuple(range(256)), max_steps=int(30.0 / rate)
        )
        try:
            train_network(noised, architecture, settings)
            found.append(False)
        except TrainingDiverged:
            found.append(True)
    assert found == [False, False, True]


def test_its_formula() -> None:
    """v is n times the variance of the mean of a field over a filter's sites: here of 20,000 sampled ones."""
    noised, architecture = problem((1, 256, 0.01, 2))
    network = architecture.build(noised.lattice, float(noised.score_lengths()[0]))
    assert isinstance(network, LocalTwoLayer)
    spectrum = noised.spectra_at(noised.modes)[0]
    random = np.random.default_rng(1)
    root = np.sqrt(noised.lattice.half(spectrum))
    fields = np.fft.irfft(root * np.fft.rfft(random.standard_normal((20_000, 256))), 256)
    strength = 3.0 * fields[:, :3].mean(axis=1).var() * (noised.modes.multiplicity / spectrum).sum() / 256
    # A variance of 20,000 values has an error of 1 %, its cube root a third of that.
    assert network.safe_rate(spectrum) == pytest.approx(2.0 / (2.0 + 1.15 * strength ** (1 / 3)), rel=0.01)


def test_the_option() -> None:
    noised, architecture = problem((2, 16, 0.1, 1))
    settings = TrainingSettings("population", rate_from="safe")
    assert prepare(noised, architecture, settings).rates.tolist() == [0.25]
    noised, architecture = problem((1, 1024, 0.01, 2))
    slower = expected_steps(noised, architecture, settings)
    assert slower > 2.0 * expected_steps(noised, architecture, TrainingSettings("population"))


@pytest.mark.parametrize(
    ("name", "options"), [("two_layer", {}), ("local_one_layer", {}), ("local_two_layer", {"optimizer": "adam"})]
)
def test_others_have_no_safe_rate(name: str, options: dict[str, Any]) -> None:
    noised, _ = problem((1, 16, 0.1, 1))
    architecture = Architecture(name, **({} if name == "two_layer" else {"range": 1}))
    with pytest.raises(InputError, match=r"rate_from is safe, but .* local_two_layer and gd"):
        prepare(noised, architecture, TrainingSettings("population", rate_from="safe", **options))


def test_each_noise_level_has_its_own_safe_rate() -> None:
    """That which it has alone; the rates of these levels differ."""
    lattice, network = Lattice(1, 256), Architecture("local_two_layer", range=2)
    settings = TrainingSettings("population", rate_from="safe")

    def rates(*levels: float) -> list[float]:
        target = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels)
        return prepare(target, network, settings).rates.tolist()

    assert rates(0.01, 0.1, 2.0) == [*rates(0.01), *rates(0.1), *rates(2.0)]
    assert len(set(rates(0.01, 0.1, 2.0))) == 3
