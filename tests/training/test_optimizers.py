"""Optimisers beside those of PyTorch, and beside the roots of their recursions on a quadratic loss."""

from typing import Any

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.training.descent.optimizers import OPTIMIZERS, optimizer_of

TORCH: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any], dict[str, float]]] = {
    "gd": (torch.optim.SGD, {}, {}),
    "heavy_ball": (torch.optim.SGD, {"momentum": 0.8}, {"momentum": 0.8}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.8, "nesterov": True}, {"momentum": 0.8}),
    "adam": (torch.optim.Adam, {}, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.02}, {"weight_decay": 0.02}),
}


def steps(name: str, start: Any, gradients: list[Any], rate: Any, **options: float) -> Any:
    """The parameters after steps on given gradients."""
    optimizer = optimizer_of(name, **options)
    parameters = start.copy() if isinstance(start, np.ndarray) else start.clone()
    state = optimizer.start(parameters)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.advance(parameters, state, gradient, step, rate)
    return parameters


@pytest.mark.parametrize("name", TORCH)
def test_it_is_that_of_pytorch(name: str) -> None:
    """30 steps on the same gradients, of sizes from 1e-6 to 10, to 1e-12; the same by NumPy."""
    kind, keywords, options = TORCH[name]
    generator = torch.Generator().manual_seed(1)
    draw = [torch.randn(4, 7, generator=generator, dtype=torch.float64) for _ in range(31)]
    start, gradients = draw[0], [own * 10.0 ** torch.linspace(-6, 1, 7, dtype=torch.float64) for own in draw[1:]]
    theirs = torch.nn.Parameter(start.clone())
    optimizer = kind([theirs], lr=0.03, **keywords)  # type: ignore[call-arg]
    for gradient in gradients:
        theirs.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(steps(name, start, gradients, 0.03, **options), theirs.detach(), rtol=1e-12, atol=1e-12)
    by_numpy = steps(name, start.numpy(), [own.numpy() for own in gradients], 0.03, **options)
    np.testing.assert_allclose(by_numpy, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


def modes(name: str, curvatures: Any, rate: float, count: int, **options: float) -> Any:
    """Distances e of modes of curvatures λ after steps on the gradients λ e, from e = 1."""
    optimizer, distances = optimizer_of(name, **options), np.ones((1, len(curvatures)))
    state = optimizer.start(distances)
    for step in range(1, count + 1):
        optimizer.advance(distances, state, curvatures * distances, step, rate)
    return distances[0]


@pytest.mark.parametrize("name", ["gd", "heavy_ball", "nesterov"])
@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_modes_follow_the_roots_that_the_page_gives(name: str, momentum: float) -> None:
    """e_j = c₁ μ₁^j + c₂ μ₂^j with e_0 = 1 and e_1 after one step, for real and complex roots."""
    rate, count, curvatures = 0.5, 25, np.array([0.01, 0.1, 0.5, 1.0, 1.7])
    decay = 1.0 - rate * curvatures
    found = modes(name, curvatures, rate, count, **({} if name == "gd" else {"momentum": momentum}))
    if name == "gd":
        wanted = decay**count
    else:
        linear = -(momentum + decay) if name == "heavy_ball" else -(1.0 + momentum) * decay
        constant = np.full_like(decay, momentum) if name == "heavy_ball" else momentum * decay
        half = np.sqrt(np.asarray(linear**2 - 4.0 * constant, dtype=complex))
        first, second = (-linear + half) / 2.0, (-linear - half) / 2.0
        after_one = decay if name == "heavy_ball" else 1.0 - rate * (1.0 + momentum) * curvatures
        weight = (after_one - second) / (first - second)
        wanted = (weight * first**count + (1.0 - weight) * second**count).real
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("ratio", [4.0, 100.0, 13_000.0])
def test_best_rates_and_momenta_are_those_that_the_page_gives(ratio: float) -> None:
    """The largest modulus of the roots over C from 1 to κ, and no other η or β near them has a smaller one."""

    def largest(name: str, rate: float, momentum: float) -> float:
        decay = 1.0 - rate * np.geomspace(1.0, ratio, 400)
        linear = -(momentum + decay) if name == "heavy_ball" else -(1.0 + momentum) * decay
        constant = np.full_like(decay, momentum) if name == "heavy_ball" else momentum * decay
        half = np.sqrt(np.asarray(linear**2 - 4.0 * constant, dtype=complex))
        return float(max(abs(-linear + half).max(), abs(-linear - half).max()) / 2.0)

    root = (ratio**0.5 - 1.0) / (ratio**0.5 + 1.0)
    side = (3.0 * ratio + 1.0) ** 0.5
    best = {
        "heavy_ball": (4.0 / (ratio**0.5 + 1.0) ** 2, root**2, root),
        "nesterov": (4.0 / (3.0 * ratio + 1.0), (side - 2.0) / (side + 2.0), 1.0 - 2.0 / side),
    }
    for name, (rate, momentum, modulus) in best.items():
        # Roots are double there, so that rounding counts by its square root.
        assert largest(name, rate, momentum) == pytest.approx(modulus, abs=1e-6)
        for factor in (0.99, 1.01):
            assert largest(name, factor * rate, momentum) > modulus
            assert largest(name, rate, 1.0 - factor * (1.0 - momentum)) > modulus


def test_adam_moves_every_mode_alike_at_first() -> None:
    """By η a step whatever λ, as long as e changes little; complex modes by the modulus of the gradient."""
    curvatures = 10.0 ** np.arange(-3.0, 4.0)
    np.testing.assert_allclose(modes("adam", curvatures, 1e-6, 50), 1.0 - 50e-6, rtol=0, atol=1e-8)
    phase = np.exp(1j * np.arange(7.0))
    start = 2.0 * phase[None]
    optimizer, own = OPTIMIZERS["adam"], start.copy()
    optimizer.advance(own, optimizer.start(own), curvatures * start, 1, 0.1)
    np.testing.assert_allclose(own[0], 1.9 * phase, rtol=0, atol=1e-5)


def test_the_sign_is_that_of_all_gradients_so_far() -> None:
    """d = m/|m| with m ∝ Σ_i β^{j−i} g_i, real or complex; a mode that never had a gradient stays."""
    generator = np.random.default_rng(5)
    draw = generator.standard_normal((20, 1, 6)) + 1j * generator.standard_normal((20, 1, 6))
    draw[..., -1] = 0.0
    for gradients in (draw, draw.real):
        start = np.ones_like(gradients[0])
        for momentum in (0.0, 0.7):
            wanted = start.copy()
            for step in range(20):
                mean = np.tensordot(momentum ** np.arange(step, -1.0, -1.0), gradients[: step + 1], 1)
                wanted -= 0.1 * np.divide(mean, abs(mean), out=np.zeros_like(mean), where=mean != 0.0)
            found = steps("sign_fourier", start, list(gradients), 0.1, momentum=momentum)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_rates_of_rows_are_those_of_each() -> None:
    """Every row of an array moves as it would by itself, to the last bit."""
    generator = np.random.default_rng(2)
    # More than one block of numbers.
    start, gradients = generator.standard_normal((3, 40_000)), list(generator.standard_normal((4, 3, 40_000)))
    rates = np.array([[0.1], [0.01], [1.0]])
    for name in OPTIMIZERS:
        together = steps(name, start, gradients, rates)
        for row in range(3):
            own = slice(row, row + 1)
            alone = steps(name, start[own], [gradient[own] for gradient in gradients], float(rates[row, 0]))
            np.testing.assert_array_equal(alone, together[own])


def test_mistakes_are_answered_in_a_sentence() -> None:
    with pytest.raises(InputError, match=r"optimizer is 'adma'; it must be one of gd, .*did you mean 'adam'"):
        optimizer_of("adma")
    with pytest.raises(InputError, match=r"decay is given, but optimizer 'adam' has no such option; it has momentum"):
        optimizer_of("adam", weight_decay=0.1)
    with pytest.raises(InputError, match=r"momentum is given, but optimizer 'gd' .* no options"):
        optimizer_of("gd", momentum=0.1)
