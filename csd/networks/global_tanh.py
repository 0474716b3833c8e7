"""A linear layer and a tanh of the mean of the field: s(x) = −K∗x + a tanh(b m + c) + d."""

from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from csd.lattice import Array, Lattice
from csd.lattice.observables import first_shell
from csd.networks.linear import inverse_transform, transform
from csd.networks.parametric import ParametricNetwork


def excess_of_zero_mode(lattice: Lattice, spectrum: Array) -> float:
    """S(0) − S(k₁), k₁ the smallest momenta, at least 0: for two phases about α² M² N of the noised fields.

    Args:
        lattice: of the fields.
        spectrum: S in the *half* layout.
    """
    modes = lattice.pairs
    return max(0.0, float(spectrum.flat[0] - lattice.gather(spectrum, modes) @ first_shell(lattice, modes)))


class TanhOfSum(ParametricNetwork):
    """A linear layer, and a tanh of a sum of the field, with a loss of curvature about 1 in each parameter."""

    training: ClassVar[dict[str, Any]] = {"optimizer": "nesterov", "rate_schedule": "cosine"}
    """Options of training where no optimiser is given."""

    def learning_rate(self, spectrum: Array) -> float:
        """0.4, stable for a layer of curvature 1 beside a unit and a constant that may have its direction."""
        return 0.4


class GlobalTanh(TanhOfSum):
    """s(x) = −K∗x + a tanh(b m + c) + d, m the mean of x over the sites in standard deviations; exact for two phases.

    The exact score of fields x₀ = sM + φ, s = ±1, has K = C⁻¹ with the spectrum C of the noised φ, a = αM/C(0), and
    b m + c = ½ ln[P(s = 1|x)/P(s = −1|x)].

    The parameters are a, Ab, Ac, d and w with K(k) = w(k)/√S(k), S the spectrum of x, so that the loss has a curvature
    of at most about 1 in each of them. They start at w = c = d = 0 and at a = A and the b of two phases that make S(0)
    larger than S at the smallest momentum. The learning rate is 0.4, and steps are Nesterov's.

    Args:
        lattice: where the fields live.
    """

    def constants(self, spectrum: Array) -> dict[str, Array]:
        """1/√S, in the *half* layout, and A = √(excess/N)/S(k₁) of two phases, 1 without an excess of S(0)."""
        excess = excess_of_zero_mode(self.lattice, spectrum)
        scale = sqrt(excess / self.lattice.sites) / (float(spectrum.flat[0]) - excess) or 1.0
        return {"whitening": spectrum**-0.5, "scale": np.full(1, scale)}

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w, shape of the lattice, and a, b, c and d, one number each; the generator is not used."""
        scale = self.constants(spectrum)["scale"]
        zero, excess = float(spectrum.flat[0]), excess_of_zero_mode(self.lattice, spectrum)
        slope = scale * max(1.0, sqrt(excess * zero) / (zero - excess))
        numbers = {"amplitude": scale, "slope": slope, "offset": np.zeros(1), "constant": np.zeros(1)}
        return {"filter": np.zeros(self.lattice.shape), **numbers}

    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for fields of shape (batch, *lattice.shape)."""
        lattice = self.lattice
        white = transform(lattice, fields) * parameters["whitening"]
        linear = inverse_transform(lattice, transform(lattice, parameters["filter"]) * white)
        zero = white[(..., *(0,) * lattice.dimension)].real / lattice.sites**0.5
        bent = ((parameters["slope"] * zero + parameters["offset"]) / parameters["scale"]).tanh()
        bent = parameters["amplitude"] * bent + parameters["constant"]
        return bent.reshape(-1, *(1,) * lattice.dimension) - linear
