"""Descent of modules by autograd: any `ScoreNetwork`, on raw fields or, where it is linear, on power spectra."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, ComplexArray, Modes
from csd.networks.linear import relative_error
from csd.networks.module import (
    ConvolutionalScore,
    ScoreNetwork,
    load_weights,
    numbers_trained,
    spectral_loss,
    weights_of,
)
from csd.targets.base import with_samples
from csd.targets.noising import NoisedTarget
from csd.training.losses import Objective
from csd.training.record import padded

HELD_OUT = 256
"""Fields on which the score error of a network without a kernel is measured."""


def choose_device(name: str) -> torch.device:
    """The device for 'auto' (a GPU where there is one), 'cpu' or 'cuda'.

    Raises:
        InputError: if there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but PyTorch finds no GPU here; take cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class AutogradDescent:
    """Plain gradient descent of one module for each seed and noise level.

    Args:
        networks: modules, for each seed and level.
        noised: the target at its noise levels.
        modes: momenta at which kernels are compared.
        rates: η per use of a parameter, shape (levels,).
        objective: what is descended.
        device: where the modules live.
    """

    def __init__(
        self,
        networks: Sequence[Sequence[ScoreNetwork]],
        noised: NoisedTarget,
        modes: Modes,
        rates: Array,
        objective: Objective,
        device: torch.device,
    ) -> None:
        self.networks = [[network.to(device) for network in of_seed] for of_seed in networks]
        self.noised, self.lattice, self.modes = noised, noised.lattice, modes
        self.objective, self.device = objective, device
        self.spectra = noised.spectra_at(modes)
        self._rates = rates
        self._weight = self._tensor(self.lattice.half_multiplicity / self.lattice.sites)
        self._held_out: list[tuple[torch.Tensor, torch.Tensor]] = []

    def _tensor(self, array: Any) -> torch.Tensor:
        """The array on the device."""
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    def _descend(self, seed: int, level: int, loss: torch.Tensor) -> None:
        """θ ← θ − (η / uses) ∂ℒ/∂θ."""
        network = self.networks[seed][level]
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=float(self._rates[level]) / network.uses)

    def advance(self, *data: Any) -> None:
        """One step on (S, T), or on (x_t, z, probe): see `csd.training.batches`."""
        for seed, of_seed in enumerate(self.networks):
            for level, network in enumerate(of_seed):
                if len(data) == 3:
                    noised, noise, probe = (self._tensor(array[seed, level]) for array in data)
                    variance = float(self.noised.variances[level])
                    loss = self.objective.loss(network, noised, noise, probe, variance)
                else:
                    spectrum, target = (self._half(values, seed, level) for values in data)
                    kernel = network.kernel()
                    assert kernel is not None
                    loss = spectral_loss(kernel, spectrum, target, self._weight)
                self._descend(seed, level, loss)

    def _half(self, values: Any, seed: int, level: int) -> torch.Tensor:
        """S or T of one seed and level in the *half* layout."""
        if np.ndim(values) == 0:
            return torch.as_tensor(float(values), dtype=torch.float64, device=self.device)
        own = values[level] if np.ndim(values) == 2 else values[seed, level]
        return self._tensor(self.lattice.spread(own, self.modes))

    def kernel(self) -> Array | ComplexArray | None:
        """K at the modes, shape (seeds, levels, modes); None for networks without a kernel."""
        with torch.no_grad():
            kernels = [[network.kernel() for network in of_seed] for of_seed in self.networks]
        if any(kernel is None for of_seed in kernels for kernel in of_seed):
            return None
        arrays = [[kernel.cpu().numpy() for kernel in of_seed if kernel is not None] for of_seed in kernels]
        return self.lattice.gather(np.array(arrays), self.modes)

    @property
    def weights_are(self) -> str:
        """'filters' of a family, 'parameters' of any other module."""
        return "filters" if isinstance(self.networks[0][0], ConvolutionalScore) else "parameters"

    def weights(self) -> Array:
        """The parameters of every module in its own order, and then its buffers."""
        return padded([[weights_of(network) for network in of_seed] for of_seed in self.networks])

    def error(self) -> Array:
        """ε by the kernels, or for networks without one over held-out fields, E|s − s*|² / E|s*|²."""
        kernel = self.kernel()
        if kernel is not None:
            return relative_error(kernel, self.spectra, self.modes.multiplicity)
        if not self._held_out:
            self._held_out = [self._exact_scores(level) for level in range(len(self.noised.levels))]
        error = np.empty((len(self.networks), len(self.noised.levels)))
        with torch.no_grad():
            for seed, of_seed in enumerate(self.networks):
                for level, network in enumerate(of_seed):
                    fields, exact = self._held_out[level]
                    score = network(fields)
                    if score.shape != exact.shape:
                        raise InputError(
                            f"the network gives a score of shape {tuple(score.shape)} for fields of shape"
                            f" {tuple(exact.shape)}; both must be the same"
                        )
                    error[seed, level] = float((score - exact).square().sum() / exact.square().sum())
        return error

    def _exact_scores(self, level: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Held-out fields at a noise level, and their exact scores −K*∗x."""
        generator = stream("held out", self.lattice, self.noised.levels[level])
        clean = with_samples(self.noised.target).sample(generator, HELD_OUT)
        noise = generator.standard_normal(clean.shape)
        fields = self.noised.signals[level] * clean + np.sqrt(self.noised.variances[level]) * noise
        spectrum = self.noised.spectra(self.noised.target.propagator(self.lattice.laplacian))[level]
        exact = self.lattice.inverse(-self.lattice.transform(fields) / spectrum)
        return self._tensor(fields), self._tensor(exact)

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.networks = [of_seed for of_seed, kept in zip(self.networks, seeds, strict=True) if kept]

    def snapshot(self) -> dict[str, Any]:
        """The parameters and, apart, the buffers of every module, which no step of descent moves."""
        split = [[np.split(weights_of(one), [numbers_trained(one)]) for one in of_seed] for of_seed in self.networks]
        parts = {"weights": 0, "buffers": 1}
        return {name: padded([[one[part] for one in of_seed] for of_seed in split]) for name, part in parts.items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from these parameters and buffers."""
        for seed, of_seed in enumerate(self.networks):
            for level, network in enumerate(of_seed):
                weights = snapshot["weights"][seed, level, : numbers_trained(network)]
                load_weights(network, np.concatenate([weights, snapshot["buffers"][seed, level]]))
