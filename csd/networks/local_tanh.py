"""A local linear layer and a tanh of a local linear statistic: s(x) = −κ∗x + a tanh(g∗x + c) + d."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice
from csd.networks.global_tanh import TanhOfSum, excess_of_zero_mode
from csd.networks.linear import inverse_transform, place_filters, transform
from csd.networks.local import Patch
from csd.networks.nonlinear import KernelSize, check_kernel_size


class LocalTanh(TanhOfSum):
    """s(x) = −κ∗x + a tanh(g∗x + c) + d, κ and g on a box |r_μ| ≤ R of `kernel_size` 2R + 1 sites along a side.

    It holds the best score from the box of fields x₀ = sM + φ, s = ±1: with the covariance P of the noised φ in the
    box, κ = P⁻¹e₀, g = αM P⁻¹1 and a = αM (P⁻¹1)_0, so that g∗x + c = ½ ln[P(s = 1|box)/P(s = −1|box)].

    The parameters are a, Ac, d, w and v with κ = Q^{−1/2} w and Ag = Q^{−1/2} v, Q the covariance of x in the box, so
    that the loss has a curvature of at most about 1 in each of them. They start at w = c = d = 0 and at a = A and the g
    of two phases that make S(0) larger than S at the smallest momentum. The learning rate is 0.4, and steps are
    Nesterov's.

    Args:
        lattice: where the fields live.
        kernel_size: sites along a side of the box.

    Raises:
        InputError: for a box that is wider than the lattice.
    """

    kernel_size: KernelSize = 3

    def __init__(self, lattice: Lattice, kernel_size: int) -> None:
        super().__init__(lattice)
        self.check(lattice, kernel_size=kernel_size)
        self.patch = Patch(lattice, kernel_size // 2)

    @classmethod
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse a box that is wider than the lattice.

        Raises:
            InputError: if it is.
        """
        check_kernel_size(options["kernel_size"], lattice)

    def constants(self, spectrum: Array) -> dict[str, Array]:
        """Q^{−1/2}, shape (sites of the box, sites of the box), and A = √(excess/N) (P⁻¹1)_0, 1 without an excess."""
        values, vectors = np.linalg.eigh(self.patch.covariance(spectrum))
        pull, strength = self._pull(spectrum)
        scale = strength * float(pull[self.patch.centre]) or 1.0
        whitening: Array = (vectors / np.sqrt(values)) @ vectors.T
        return {"whitening": whitening, "scale": np.array([scale])}

    def _pull(self, spectrum: Array) -> tuple[Array, float]:
        """P⁻¹1 of the field in a phase, and √(excess/N), for two phases that explain the excess of S(0)."""
        constant = np.ones(len(self.patch))
        excess = excess_of_zero_mode(self.lattice, spectrum) / self.lattice.sites
        inside = self.patch.covariance(spectrum) - excess * np.outer(constant, constant)
        return np.asarray(np.linalg.solve(inside, constant)), sqrt(excess)

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w and v, shape (sites of the box,), and a, c and d, one number each; the generator is not used."""
        constants, (pull, strength) = self.constants(spectrum), self._pull(spectrum)
        scale = constants["scale"]
        statistic = np.asarray(np.linalg.solve(constants["whitening"], pull * (strength or 1.0)), dtype=float)
        statistic *= scale / min(1.0, float(np.linalg.norm(statistic)))
        numbers = {"amplitude": scale, "offset": np.zeros(1), "constant": np.zeros(1)}
        return {"filter": np.zeros(len(self.patch)), "statistic": statistic, **numbers}

    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for fields of shape (batch, *lattice.shape)."""
        lattice, transformed = self.lattice, transform(self.lattice, fields)

        def convolved(name: str) -> Any:
            placed = place_filters(lattice, parameters["whitening"] @ parameters[name], self.patch.offsets)
            return inverse_transform(lattice, transform(lattice, placed) * transformed)

        bent = ((convolved("statistic") + parameters["offset"]) / parameters["scale"]).tanh()
        return parameters["amplitude"] * bent + parameters["constant"] - convolved("filter")
