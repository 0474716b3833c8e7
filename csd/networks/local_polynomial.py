"""Local polynomials of a field: `local_polynomial`, the form that scores of targets of φ⁴ and φ⁶ type take as t → 0."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from csd.core.errors import InputError
from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.networks.linear import inverse_transform, place_filters, transform
from csd.networks.nonlinear import KernelSize, check_kernel_size
from csd.networks.parametric import ParametricNetwork


def _check_odd_degree(degree: int) -> None:
    """Refuse an even degree, as the score is odd."""
    if degree % 2 == 0:
        raise InputError(f"degree is {degree}; it must be odd")


class LocalPolynomial(ParametricNetwork):
    """s(x) = −w∗x − Σ_j a_j x^{2j+1}, j ≥ 1, with w on a box of `kernel_size` sites along a side; odd.

    As t → 0 the score is −∇H, for φ⁴ Δφ − r₀ φ − u φ³, which this network is exactly: w has 2d + r₀ at r = 0 and −1 at
    neighbours, and a_1 = u. At the start all parameters are 0.

    Args:
        lattice: where the fields live.
        kernel_size: sites along a side of w.
        degree: of the polynomial at each site, an odd number of at least 3.

    Raises:
        InputError: for a kernel that is wider than the lattice.
    """

    training: ClassVar[dict[str, Any]] = {"optimizer": "adam", "rate_schedule": "cosine"}
    """Options of training where no optimiser is given."""

    kernel_size: KernelSize = 3
    degree: Annotated[
        int, Ge(3), Option("degree of the polynomial at each site, an odd number", "P", check=_check_odd_degree)
    ] = 3

    def __init__(self, lattice: Lattice, kernel_size: int, degree: int) -> None:
        super().__init__(lattice)
        check_kernel_size(kernel_size, lattice)
        self.offsets = lattice.box(kernel_size // 2)
        self.powers = range(3, degree + 1, 2)

    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """w, shape (sites of the box,), and a, shape (powers,); neither the spectrum nor the generator is used."""
        return {"filter": np.zeros(len(self.offsets)), "coefficients": np.zeros(len(self.powers))}

    def score(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """s(x) for fields of shape (batch, *lattice.shape)."""
        filters = transform(self.lattice, place_filters(self.lattice, parameters["filter"], self.offsets))
        found = -inverse_transform(self.lattice, filters * transform(self.lattice, fields))
        for coefficient, power in zip(parameters["coefficients"], self.powers, strict=True):
            found = found - coefficient * fields**power
        return found

    def divergence(self, parameters: Mapping[str, Any], fields: Any) -> Any:
        """−Σ_batch Σ_r [w(0) + Σ_j (2j + 1) a_j x^{2j}], exact."""
        found = -fields.numel() * parameters["filter"][len(self.offsets) // 2]
        for coefficient, power in zip(parameters["coefficients"], self.powers, strict=True):
            found = found - power * coefficient * (fields ** (power - 1)).sum()
        return found
