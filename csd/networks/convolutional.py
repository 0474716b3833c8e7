"""Periodic convolutional networks: `convolutional`, and the layers that it shares with `unet`."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.lattice import Array
from csd.networks.layers import ODD_ACTIVATIONS, Amplitudes, activate, convolve, film, film_units, start_film
from csd.networks.nonlinear import Activation, Depth, KernelSize, NonlinearNetwork, Width


class ConvolutionalLayers(NonlinearNetwork):
    """A network of periodic convolutions, y = f((1 + V h) (w∗x + b) + V′h), where FiLM gives V h and V′h.

    There are no b and no V′h where the network has to be odd and f is. Filters start as normal numbers of variance 1 /
    (numbers that enter a sum), b as 0.
    """

    width: Width = 16
    kernel_size: KernelSize = 3
    activation: Activation = "tanh"

    @property
    def odd_by_form(self) -> bool:
        """Whether the activation is odd."""
        return self.activation in ODD_ACTIVATIONS

    @property
    def biased(self) -> bool:
        """Whether layers have b and V′h."""
        return self.symmetry == "none" or not self.odd_by_form

    @property
    @abstractmethod
    def channels(self) -> dict[str, tuple[int, int]]:
        """Channels in and out of each layer, by name, in order; the last one is linear."""

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """Filters (taps, in, out), b (out,), and FiLM; the spectrum is not used."""
        taps, *hidden = self.kernel_size**self.lattice.dimension, *self.channels
        parameters: dict[str, Array] = {}
        for name, (inputs, outputs) in self.channels.items():
            normal = generator.standard_normal((taps, inputs, outputs))
            parameters[f"filter_{name}"] = normal / np.sqrt(taps * inputs)
            if self.biased:
                parameters[f"offset_{name}"] = np.zeros(outputs)
        if self.conditioned:
            scaled = {name: self.channels[name][1] * (1 + self.biased) for name in hidden[:-1]}
            parameters |= start_film(scaled)
        return parameters

    def silence(self, parameters: dict[str, Array]) -> None:
        """Set the last filter to 0."""
        parameters[f"filter_{list(self.channels)[-1]}"][:] = 0.0

    def linear(self, parameters: Mapping[str, Any], name: str, fields: Any) -> Any:
        """w∗x + b of a layer."""
        convolved = convolve(fields, parameters[f"filter_{name}"])
        return convolved + parameters[f"offset_{name}"] if self.biased else convolved

    def hidden(self, parameters: Mapping[str, Any], name: str, fields: Any, units: Any) -> Any:
        """A layer with its activation; `units` are those of FiLM."""
        convolved = self.linear(parameters, name, fields)
        if units is not None:
            scale = film(parameters, name, units, self.lattice.dimension)
            width = convolved.shape[-1]
            convolved = convolved * (1.0 + scale[..., :width])
            convolved = convolved + scale[..., width:] if self.biased else convolved
        return activate(self.activation, convolved)


class Convolutional(ConvolutionalLayers):
    """N(x): `depth` periodic convolutions with an activation between two of them; 1 layer is linear."""

    depth: Depth = 3

    @property
    def channels(self) -> dict[str, tuple[int, int]]:
        """n → width → … → width → n."""
        through = [self.inputs, *[self.width] * (self.depth - 1), self.inputs]
        return {str(layer): (through[layer], through[layer + 1]) for layer in range(self.depth)}

    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """The layers in order."""
        units = film_units(parameters, noise)
        *hidden, last = self.channels
        for name in hidden:
            fields = self.hidden(parameters, name, fields, units)
        return self.linear(parameters, last, fields)
