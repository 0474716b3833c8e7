"""One linear layer with on-site nonlinear units: s(x) = −w∗x + Σ_i a_i tanh(b_i x)."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from csd.core.options import Option
from csd.lattice import Array
from csd.networks.linear import inverse_transform, transform
from csd.networks.parametric import ParametricNetwork

OnSiteUnits = Annotated[int, Ge(1), Option("on-site units", "N", label="w{value}")]
"""The option of the networks that have them."""


def on_site_units(parameters: Mapping[str, Any], values: Any) -> Any:
    """Σ_i a_i tanh(b_i v) of a tensor v, with a = `amplitudes` and b = `slopes`; same shape."""
    return ((values[..., None] * parameters["slopes"]).tanh() * parameters["amplitudes"]).sum(-1)


def on_site_slope(parameters: Mapping[str, Any], values: Any) -> Any:
    """Its derivative Σ_i a_i b_i / cosh²(b_i v), summed over all numbers of v."""
    slopes = parameters["slopes"]
    bent = (1.0 - (values[..., None] * slopes).tanh() ** 2) * (parameters["amplitudes"] * slopes)
    return bent.sum()


class OneLayerOnsite(ParametricNetwork):
    """s(x) = −w∗x + Σ_i a_i tanh(b_i x), with w as wide as the lattice; odd, and exact for independent spins ±1.

    The initial parameters are w = 0, a_i = 0 and b_i = i / (standard deviation of x), so that the units differ. The
    learning rate is 1 / C_max, that of the linear layer.

    Args:
        lattice: where the fields live.

    Attributes:
        width: number of units, at least 1.
    """

    width: OnSiteUnits

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w, shape of the lattice, and a, b, shape (width,); the generator is not used."""
        deviation = np.sqrt((self.lattice.half_multiplicity * spectrum).sum() / self.lattice.sites)
        slopes = np.arange(1.0, self.width + 1.0) / deviation
        return {"filter": np.zeros(self.lattice.shape), "amplitudes": np.zeros(self.width), "slopes": slopes}

    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for fields of shape (batch, *lattice.shape)."""
        product = transform(self.lattice, parameters["filter"]) * transform(self.lattice, fields)
        return on_site_units(parameters, fields) - inverse_transform(self.lattice, product)

    def divergence(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """Σ_batch Σ_r [Σ_i a_i b_i / cosh²(b_i x) − w(0)], exact."""
        filters = parameters["filter"]
        return on_site_slope(parameters, fields) - fields.numel() * filters[(0,) * filters.ndim]
