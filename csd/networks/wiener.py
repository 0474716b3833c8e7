"""The Wiener sandwich: `wiener`, the best linear score with a nonlinear network between two Wiener filters."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np

from csd.core.errors import InputError
from csd.core.options import Option, declared
from csd.lattice import Array, Lattice
from csd.networks.convolutional import Convolutional
from csd.networks.fields_of_experts import FieldsOfExperts
from csd.networks.layers import Amplitudes
from csd.networks.mean_field import MeanField
from csd.networks.nonlinear import Activation, Coupling, Depth, KernelSize, NonlinearNetwork, Scales, Units, Width
from csd.networks.unet import UNet

INNER: dict[str, type[NonlinearNetwork]] = {
    "convolutional": Convolutional,
    "unet": UNet,
    "fields_of_experts": FieldsOfExperts,
    "mean_field": MeanField,
}
"""Networks that may stand inside the sandwich."""


class Wiener(NonlinearNetwork):
    """s = −K∗x + W∗N(W∗x / c) / c,   K = 1 / (α² S + σ²),   W = α S K,   c² = ⟨φ²⟩,

    with the spectrum S of the fields without noise and an inner network N whose last layer is 0 at the start, where s
    is the best linear score. W∗x is the mean of x₀ given x for Gaussian fields. To first order in the
    coupling u of φ⁴ (n = 1), N(y) is −u c⁴ y³ at every noise level, so that a local function is left to be learned.
    """

    inner: Annotated[
        Literal["convolutional", "unet", "fields_of_experts", "mean_field"],
        Option("network inside the sandwich", label="{value}"),
    ] = "convolutional"
    depth: Depth = 3
    width: Width = 16
    kernel_size: KernelSize = 3
    activation: Activation = "tanh"
    scales: Scales = 3
    units: Units = 4
    coupling: Coupling = None  # type: ignore[assignment]

    def __init__(self, lattice: Lattice, **options: Any) -> None:
        super().__init__(lattice, **options)
        takes = {*declared(INNER[self.inner]), "components", "conditioned"}
        own = {name: value for name, value in options.items() if name in takes}
        self.network = INNER[self.inner](lattice, **own)

    @classmethod
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse options that do not fit the lattice, or that the inner network does not have.

        Raises:
            InputError: for such an option.
        """
        inner = options["inner"]
        takes = declared(INNER[inner])
        for name, one in declared(cls).items():
            if name != "inner" and name not in takes and options[name] != one.default:
                raise InputError(f"{name} is {options[name]}, but inner is {inner!r}, which takes {', '.join(takes)}")
        INNER[inner].check(lattice, **{name: options[name] for name in takes})

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """The θ of the inner network, with its last layer 0."""
        parameters = self.network.start(spectrum, generator)
        self.network.silence(parameters)
        return parameters

    def silence(self, parameters: dict[str, Array]) -> None:
        """Nothing: the last layer is 0 at the start."""

    def constants(self, spectrum: Array) -> dict[str, Array]:
        """S beside those of the inner network."""
        return {**super().constants(spectrum), **self.network.constants(spectrum), "spectrum": spectrum}

    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """N of the inner network."""
        return self.network.symmetric_body(parameters, fields, noise)

    def score(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """−K∗x + W∗N(W∗x / c) / c, by FFT."""
        from torch import fft

        lattice = self.lattice
        axes = tuple(range(1, lattice.dimension + 1))
        signal, variance = (values.reshape(*values.shape, *(1,) * lattice.dimension) for values in noise)
        spectrum, scale = parameters["spectrum"], parameters["power"].sqrt()
        kernel = (1.0 / (signal**2 * spectrum + variance))[..., None]
        filtering = (signal * spectrum)[..., None] * kernel / scale
        transformed = fft.rfftn(fields, dim=axes)
        estimate = fft.irfftn(filtering * transformed, s=lattice.shape, dim=axes)
        correction = fft.rfftn(self.body(parameters, estimate, noise).contiguous(), dim=axes)
        return fft.irfftn(filtering * correction - kernel * transformed, s=lattice.shape, dim=axes)
