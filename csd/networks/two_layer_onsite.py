"""Two linear layers with an on-site nonlinearity between them: s(x) = −w̃∗V′(w∗x), the gradient of an energy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csd.lattice import Array
from csd.networks.full import TwoLayer
from csd.networks.linear import COMPOSED_RATE, inverse_transform, transform
from csd.networks.one_layer_onsite import OnSiteUnits, on_site_slope, on_site_units
from csd.networks.parametric import ParametricNetwork

CURVED_RATE = 0.25
"""c of the learning rate c / C_max, below the stable one of φ⁴ theory and of Ising spins at their critical points."""


class TwoLayerOnsite(ParametricNetwork):
    """s(x) = −∇E, E(x) = Σ_r V(y(r)), y = w∗x, with w as wide as the lattice and a learned potential V,

        s = −w̃∗V′(w∗x),   V′(y) = y + Σ_i a_i tanh(b_i y),   w̃(r) = w(−r),

    so that both layers share the filter w. It is odd, and exact for independent spins ±1.

    At the start a_i = 0 and w = w₀ δ_{r,0} with w₀² = 0.1 / C_max, as for `two_layer`. The best filter of a linear
    network makes y white with variance 1, so the units start at b_i = i.

    The learning rate is ¼ / C_max, at most ⅛. As the layers share w, ⅛ is the rate ¼ of `two_layer`; but where V is not
    quadratic, the zero mode of y changes V″ at all sites, and the curvature of the loss along the zero mode of w is of
    order C_max.

    Args:
        lattice: where the fields live.

    Attributes:
        width: number of units, at least 1.
    """

    width: OnSiteUnits

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w, shape of the lattice, and a, b, shape (width,); the generator is not used."""
        linear = TwoLayer(self.lattice).start(spectrum, generator)
        return {"filter": linear[0], "amplitudes": np.zeros(self.width), "slopes": np.arange(1.0, self.width + 1.0)}

    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for fields of shape (batch, *lattice.shape)."""
        filters = transform(self.lattice, parameters["filter"])
        inside = inverse_transform(self.lattice, filters * transform(self.lattice, fields))
        force = transform(self.lattice, inside + on_site_units(parameters, inside))
        return -inverse_transform(self.lattice, filters.conj() * force)

    def divergence(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """−Σ_r′ w(r′)² Σ_batch Σ_r V″(y(r)), exact, with V″(y) = 1 + Σ_i a_i b_i / cosh²(b_i y)."""
        filters = parameters["filter"]
        inside = inverse_transform(self.lattice, transform(self.lattice, filters) * transform(self.lattice, fields))
        return -filters.square().sum() * (fields.numel() + on_site_slope(parameters, inside))

    def learning_rate(self, spectrum: Array) -> float:
        """¼ / C_max, at most ⅛."""
        return min(0.5 * COMPOSED_RATE, CURVED_RATE / float(spectrum.max()))
