"""Descent by autograd of any `ScoreNetwork`: on raw fields or, for a linear one, on power spectra."""

from collections.abc import Callable, Sequence
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
from csd.targets.base import HasHeldOut, with_samples
from csd.targets.noising import NoisedTarget
from csd.training.losses import Objective
from csd.training.record import padded

HELD_OUT = 256
"""Fields on which the score error of a network without a kernel is measured."""


def choose_device(name: str) -> torch.device:
    """The device named 'cpu', 'cuda' or 'auto', which is a GPU where there is one.

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
        modes: momenta of the kernels.
        rates: η per use of a parameter, shape (levels,).
        objective: the loss.
        device: of the modules.
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
        self._held_out: list[tuple[torch.Tensor, ...]] = []

    def _tensor(self, array: Any) -> torch.Tensor:
        """The array on the device of the modules."""
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    def advance(self, *data: Any) -> None:
        """θ ← θ − (η / uses) ∂ℒ/∂θ on (S, T), or on (x_t, z, probe) of `csd.training.batches`."""
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
                parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
                gradients = torch.autograd.grad(loss, parameters)
                with torch.no_grad():
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        parameter.sub_(gradient, alpha=float(self._rates[level]) / network.uses)

    def _half(self, values: Any, seed: int, level: int) -> torch.Tensor:
        """S or T of one seed and level in the *half* layout."""
        if np.ndim(values) == 0:
            return torch.as_tensor(float(values), dtype=torch.float64, device=self.device)
        own = values[level] if np.ndim(values) == 2 else values[seed, level]
        return self._tensor(self.lattice.spread(own, self.modes))

    def kernel(self) -> Array | ComplexArray | None:
        """K at the modes, shape (seeds, levels, modes); None for networks without a kernel."""
        with torch.no_grad():
            kernels = [
                kernel for of_seed in self.networks for network in of_seed if (kernel := network.kernel()) is not None
            ]
        if len(kernels) < len(self.networks) * len(self._rates):
            return None
        halves = torch.stack(kernels).reshape(len(self.networks), -1, *kernels[0].shape)
        return self.lattice.gather(halves.cpu().numpy(), self.modes)

    @property
    def weights_are(self) -> str:
        """'filters' of a family, 'parameters' of any other module."""
        return "filters" if isinstance(self.networks[0][0], ConvolutionalScore) else "parameters"

    def weights(self) -> Array:
        """The parameters of every module in its order, then its buffers."""
        return padded([[weights_of(network) for network in of_seed] for of_seed in self.networks])

    def error(self) -> Array:
        """ε from the kernels; for networks without one E|s − s*|² / E|s*|² over held-out fields."""
        kernel = self.kernel()
        if kernel is not None:
            return relative_error(kernel, self.spectra, self.modes.multiplicity)
        return self._over_held_out(self._deviation)

    def held_out_loss(self) -> Array:
        """½ E|s + z/σ|² per site over held-out fields, the denoising loss of networks without a kernel."""
        return self._over_held_out(
            lambda network, fields, exact, noise: self._loss(self._score(network, fields), noise)
        )

    def linear_loss(self) -> Array:
        """The denoising loss of the best linear score over the same fields, shape (levels,)."""
        return np.array([self._loss(exact, noise) for _, exact, noise in self._held_out_fields()])

    def _held_out_fields(self) -> list[tuple[torch.Tensor, ...]]:
        """(fields, exact scores, z/σ) of each level."""
        if not self._held_out:
            self._held_out = [self._exact_scores(level) for level in range(len(self.noised.levels))]
        return self._held_out

    def _over_held_out(self, measure: Callable[..., float]) -> Array:
        """A number for the network of each seed and level, from its level's held-out fields."""
        held = self._held_out_fields()
        return np.array(
            [[measure(one, *own) for one, own in zip(of_seed, held, strict=True)] for of_seed in self.networks]
        )

    @staticmethod
    def _loss(score: torch.Tensor, noise: torch.Tensor) -> float:
        """½ E|s + z/σ|² per site."""
        return float(0.5 * (score + noise).square().mean())

    def _deviation(self, network: ScoreNetwork, fields: torch.Tensor, exact: torch.Tensor, _: torch.Tensor) -> float:
        """E|s − s*|² / E|s*|² of one network."""
        score = self._score(network, fields)
        return float((score - exact).square().sum() / exact.square().sum())

    @staticmethod
    def _score(network: ScoreNetwork, fields: torch.Tensor) -> torch.Tensor:
        """The score of one network."""
        with torch.no_grad():
            score: torch.Tensor = network(fields)
        if score.shape != fields.shape:
            raise InputError(
                f"the network gives a score of shape {tuple(score.shape)} for fields of shape {tuple(fields.shape)};"
                " both must be the same"
            )
        return score

    def _exact_scores(self, level: int) -> tuple[torch.Tensor, ...]:
        """Held-out fields about their mean at a noise level, their exact scores −K*∗(x − α μ), and z/σ."""
        target, deviation = self.noised.target, np.sqrt(self.noised.variances[level])
        generator = stream("held out", self.lattice, self.noised.levels[level])
        if isinstance(target, HasHeldOut):
            chosen = generator.integers(len(target.held_out), size=HELD_OUT)
            clean = np.asarray(target.held_out[chosen], dtype=float) - self.noised.mean
        else:
            clean = with_samples(target).sample(generator, HELD_OUT)
        noise = generator.standard_normal(clean.shape)
        fields = self.noised.signals[level] * clean + deviation * noise
        exact = self.lattice.inverse(-self.lattice.transform(fields) / self.noised.half_spectra()[level])
        return tuple(self._tensor(array) for array in (fields, exact, noise / deviation))

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.networks = [of_seed for of_seed, kept in zip(self.networks, seeds, strict=True) if kept]

    def snapshot(self) -> dict[str, Any]:
        """The parameters of every module and, apart, its buffers, which steps leave unchanged."""
        split = [[np.split(weights_of(one), [numbers_trained(one)]) for one in of_seed] for of_seed in self.networks]
        weights, buffers = (padded([[one[part] for one in of_seed] for of_seed in split]) for part in (0, 1))
        return {"weights": weights, "buffers": buffers}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the parameters and buffers of a snapshot."""
        for seed, of_seed in enumerate(self.networks):
            for level, network in enumerate(of_seed):
                weights = snapshot["weights"][seed, level, : numbers_trained(network)]
                load_weights(network, np.concatenate([weights, snapshot["buffers"][seed, level]]))
