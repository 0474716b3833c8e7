"""What a practitioner writes without csd: score training on fresh minibatches of fields, and sampling in a plain loop.

    ℒ = ½ mean |s(x_t) + z/σ|²,   x_t = α x₀ + σ z,   s(x) = −K∗x with a kernel as wide as the lattice

by autograd and SGD, with one network a noise level: (a) `nn.Conv` with circular padding, (b) convolution by FFT, both
PyTorch; (c) the same by hand in NumPy, with FFTs. All in float64. Every one takes the step of csd's spectral descent
with Ŝ and T of its fields (docs/physics.md, section 4); tests say so to 1e-10.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch

from csd.lattice import Array, ComplexArray, Lattice
from csd.targets.noising import NoisedTarget

Batch = tuple[Any, Any]
"""(x_t, z) of one noise level, each of shape (batch, *lattice.shape)."""


class Baseline(Protocol):
    """One training, for all noise levels."""

    def draw(self) -> list[Batch]:
        """A fresh minibatch for each noise level."""

    def step(self, batches: Sequence[Batch]) -> None:
        """One step of gradient descent."""

    def kernels(self) -> ComplexArray:
        """K(k) of each noise level in the *half* layout, shape (levels, *half_shape)."""

    def score(self, fields: Any, level: int) -> Any:
        """s(x) at the noise level of this number, same shape as the fields."""

    def normal(self, count: int) -> Any:
        """Independent standard normal fields, shape (count, *lattice.shape)."""


class Convolution(torch.nn.Module):
    """s = w ⋆ x by `nn.Conv` with circular padding and a kernel as wide as the lattice; starts at 0.

    Args:
        lattice: where the fields live.
    """

    def __init__(self, lattice: Lattice) -> None:
        super().__init__()
        self.lattice = lattice
        kind = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)[lattice.dimension - 1]
        self.convolution = kind(
            1, 1, lattice.size, padding="same", padding_mode="circular", bias=False, dtype=torch.float64
        )
        torch.nn.init.zeros_(self.convolution.weight)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x), same shape."""
        score: torch.Tensor = self.convolution(fields[:, None])[:, 0]
        return score

    def kernel(self) -> torch.Tensor:
        """K = −ŵ*: PyTorch correlates, s(r) = Σ_j w(j) x(r + j − ⌊(L−1)/2⌋)."""
        lattice = self.lattice
        centre = (-((lattice.size - 1) // 2),) * lattice.dimension
        weight = torch.roll(self.convolution.weight[0, 0], centre, tuple(range(lattice.dimension)))
        kernel: torch.Tensor = -torch.fft.rfftn(weight).conj()
        return kernel


class FourierConvolution(torch.nn.Module):
    """s = −w ∗ x by FFT; starts at 0.

    Args:
        lattice: where the fields live.
    """

    def __init__(self, lattice: Lattice) -> None:
        super().__init__()
        self.lattice = lattice
        self.weight = torch.nn.Parameter(torch.zeros(lattice.shape, dtype=torch.float64))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x), same shape."""
        axes, shape = self.lattice.axes, self.lattice.shape
        product = torch.fft.rfftn(self.weight) * torch.fft.rfftn(fields, dim=axes)
        score: torch.Tensor = -torch.fft.irfftn(product, s=shape, dim=axes)
        return score

    def kernel(self) -> torch.Tensor:
        """K = ŵ."""
        kernel: torch.Tensor = torch.fft.rfftn(self.weight)
        return kernel


class TorchTraining:
    """PyTorch: fresh minibatches, denoising loss, autograd, SGD.

    Args:
        noised: the target at its noise levels.
        batch: B, fields of each noise level.
        rates: η of each noise level.
        network: `Convolution` or `FourierConvolution`.
        seed: of the minibatches.
        device: where it runs.
    """

    def __init__(
        self,
        noised: NoisedTarget,
        batch: int,
        rates: Array,
        network: Callable[[Lattice], Any] = FourierConvolution,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.lattice, self.batch = noised.lattice, batch
        self.signals, self.sigmas = noised.signals.tolist(), np.sqrt(noised.variances).tolist()
        self.networks = [network(noised.lattice).to(device) for _ in noised.levels]
        groups = [
            {"params": list(net.parameters()), "lr": float(rate)}
            for net, rate in zip(self.networks, rates, strict=True)
        ]
        self.optimiser = torch.optim.SGD(groups)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.device = device
        amplitude = np.sqrt(noised.target.propagator(noised.lattice.laplacian))
        self.amplitude = torch.as_tensor(amplitude, device=device)

    def normal(self, count: int) -> torch.Tensor:
        """Independent standard normal fields."""
        shape = (count, *self.lattice.shape)
        return torch.randn(shape, generator=self.generator, dtype=torch.float64, device=self.device)

    def draw(self) -> list[Batch]:
        """A fresh minibatch for each noise level: exact fields by FFT, and their noise."""
        axes, shape, batches = self.lattice.axes, self.lattice.shape, []
        for signal, sigma in zip(self.signals, self.sigmas, strict=True):
            white = torch.fft.rfftn(self.normal(self.batch), dim=axes)
            clean, noise = torch.fft.irfftn(self.amplitude * white, s=shape, dim=axes), self.normal(self.batch)
            batches.append((signal * clean + sigma * noise, noise))
        return batches

    def step(self, batches: Sequence[Batch]) -> None:
        """One step of SGD for every network."""
        self.optimiser.zero_grad()
        for network, sigma, (fields, noise) in zip(self.networks, self.sigmas, batches, strict=True):
            loss = 0.5 * (network(fields) + noise / sigma).square().mean()
            loss.backward()
        self.optimiser.step()

    def kernels(self) -> ComplexArray:
        """K(k) of each noise level in the *half* layout."""
        with torch.no_grad():
            return np.stack([network.kernel().cpu().numpy() for network in self.networks])

    @torch.no_grad()
    def score(self, fields: torch.Tensor, level: int) -> torch.Tensor:
        """s(x) of one network."""
        score: torch.Tensor = self.networks[level](fields)
        return score


class NumpyTraining:
    """NumPy: the same with the gradient written out, K ← K + (η/BN) Σ_b x̂_b* r̂_b with r = s(x_t) + z/σ.

    Args:
        noised: the target at its noise levels.
        batch: B, fields of each noise level.
        rates: η of each noise level.
        seed: of the minibatches.
    """

    def __init__(self, noised: NoisedTarget, batch: int, rates: Array, seed: int = 0) -> None:
        self.lattice, self.batch, self.rates = noised.lattice, batch, rates
        self.signals, self.sigmas = noised.signals, np.sqrt(noised.variances)
        self.filters = np.zeros((len(noised.levels), *noised.lattice.half_shape), dtype=complex)
        self.amplitude = np.sqrt(noised.target.propagator(noised.lattice.laplacian))
        self.generator = np.random.default_rng(seed)

    def normal(self, count: int) -> Array:
        """Independent standard normal fields."""
        return self.generator.standard_normal((count, *self.lattice.shape))

    def draw(self) -> list[Batch]:
        """A fresh minibatch for each noise level: exact fields by FFT, and their noise."""
        batches = []
        for signal, sigma in zip(self.signals, self.sigmas, strict=True):
            clean = self.lattice.inverse(self.amplitude * self.lattice.transform(self.normal(self.batch)))
            noise = self.normal(self.batch)
            batches.append((signal * clean + sigma * noise, noise))
        return batches

    def step(self, batches: Sequence[Batch]) -> None:
        """One step of gradient descent for every kernel."""
        for level, (fields, noise) in enumerate(batches):
            transformed = self.lattice.transform(fields)
            residual = self.lattice.transform(noise) / self.sigmas[level] - self.filters[level] * transformed
            gradient = -(transformed.conj() * residual).mean(axis=0) / self.lattice.sites
            self.filters[level] -= self.rates[level] * gradient

    def kernels(self) -> ComplexArray:
        """K(k) of each noise level in the *half* layout."""
        return self.filters.copy()

    def score(self, fields: Array, level: int) -> Array:
        """−K∗x by FFT."""
        return self.lattice.inverse(-self.filters[level] * self.lattice.transform(fields))


BASELINES: dict[str, Callable[..., Any]] = {
    "conv": lambda noised, batch, rates, **more: TorchTraining(noised, batch, rates, Convolution, **more),
    "fft": lambda noised, batch, rates, **more: TorchTraining(noised, batch, rates, FourierConvolution, **more),
    "numpy": NumpyTraining,
}
"""(a), (b) and (c), each made from (noised, batch, rates)."""


def load_kernels(baseline: Any, kernels: Array | ComplexArray) -> None:
    """Put kernels, in the *half* layout and of shape (levels, *half_shape), into a baseline's networks."""
    if isinstance(baseline, NumpyTraining):
        baseline.filters = np.array(kernels, dtype=complex)
        return
    lattice = baseline.lattice
    for network, kernel in zip(baseline.networks, kernels, strict=True):
        with torch.no_grad():
            if isinstance(network, FourierConvolution):
                network.weight.copy_(torch.as_tensor(lattice.inverse(kernel)))
                continue
            weight = np.roll(lattice.inverse(-kernel.conj()), (lattice.size - 1) // 2, tuple(range(lattice.dimension)))
            network.convolution.weight.copy_(torch.as_tensor(weight)[None, None])


def euler_maruyama(baseline: Baseline, noised: NoisedTarget, start: Any, normal: Callable[[], Any]) -> Any:
    """Fields at the lowest noise level: x ← x + h (a x + D s(x)) + √(D h) z, level after level.

    Args:
        baseline: with a network for each noise level.
        noised: its target; the levels fall from t_max to t_min.
        start: fields at t_max, shape (count, *lattice.shape).
        normal: standard normal fields of the same shape, new ones at every call.
    """
    fields, schedule = start, noised.schedule
    for number, (t, lower) in enumerate(pairwise(noised.levels)):
        h, a, d = t - lower, schedule.damping(t), schedule.diffusion(t)
        fields = fields + h * (a * fields + d * baseline.score(fields, number)) + (d * h) ** 0.5 * normal()
    return fields
