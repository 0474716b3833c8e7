"""Fields of experts: `fields_of_experts`, the gradient of an energy with learned potentials."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.lattice import Array
from csd.networks.layers import Amplitudes, convolve, film, film_units, start_film, transposed
from csd.networks.nonlinear import KernelSize, NonlinearNetwork, Units, Width


class FieldsOfExperts(NonlinearNetwork):
    """N = −∇E, E(x) = Σ_r Σ_c V_c(y_c(r)), y = w∗x, so that two layers share each filter,

        N = −wᵀ∗V′(w∗x),   V′_c(y) = a_c y + Σ_i b_ci tanh(s_ci y + o_ci),

    with o = 0 in an odd network. With FiLM, V_c(y) becomes g_c V_c(h_c y), g and h functions of the noise level. At the
    start w are normal numbers of variance 1 / (numbers of a filter), a = 1 / channels, b = 0, and s_ci = i.
    """

    width: Width = 16
    kernel_size: KernelSize = 3
    units: Units = 4

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w (taps, n, channels), a (channels,), b, s and o (channels, units); the spectrum is not used."""
        taps, shape = self.kernel_size**self.lattice.dimension, (self.width, self.units)
        normal = generator.standard_normal((taps, self.inputs, self.width))
        parameters = {
            "filter": normal / np.sqrt(taps * self.inputs),
            "quadratic": np.full(self.width, 1.0 / self.width),
            "amplitudes": np.zeros(shape),
            "slopes": np.broadcast_to(np.arange(1.0, self.units + 1.0), shape).copy(),
        }
        offsets = {"offsets": np.zeros(shape)} if self.symmetry == "none" else {}
        scales = start_film({"potential": 2 * self.width}) if self.conditioned else {}
        return {**parameters, **offsets, **scales}

    def silence(self, parameters: dict[str, Array]) -> None:
        """Set a and b to 0."""
        parameters["quadratic"][:] = parameters["amplitudes"][:] = 0.0

    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """−wᵀ∗V′(w∗x)."""
        scale = 1.0 + film(parameters, "potential", film_units(parameters, noise), self.lattice.dimension)
        inner, outer = (1.0, 1.0) if isinstance(scale, float) else scale.split(self.width, dim=-1)
        argument = inner * convolve(fields, parameters["filter"])
        inside = argument[..., None] * parameters["slopes"]
        inside = inside + parameters["offsets"] if self.symmetry == "none" else inside
        slope = parameters["quadratic"] * argument + (parameters["amplitudes"] * inside.tanh()).sum(-1)
        return -convolve(outer * inner * slope, transposed(parameters["filter"]))
