"""Nonlinear networks: parameters θ and a function of them and of the noise level, s_θ(x; α, σ²).

A network is a class that does not import PyTorch, since commands import it for its options;
`csd.networks.nonlinear_score` makes a module of it. Inside a network the components of a field are its last axis, shape
(batch, *lattice, n), and n = 1 for scalar fields.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from csd.core.errors import InputError
from csd.core.options import Option
from csd.lattice import Array, Lattice
from csd.networks.layers import Amplitudes, on_fields


def _check_odd(kernel_size: int) -> None:
    """Refuse an even size, whose filter has no site at its centre."""
    if kernel_size % 2 == 0:
        raise InputError(f"kernel_size is {kernel_size}; it must be odd")


# Options that several networks share; each class gives its own default.
Depth = Annotated[int, Ge(1), Le(1000), Option("layers", "P", label="p{value}")]
Width = Annotated[int, Ge(1), Option("channels of a layer", "C", label="w{value}")]
KernelSize = Annotated[
    int, Ge(1), Option("sites along a side of a filter, an odd number", "K", label="k{value}", check=_check_odd)
]
Activation = Annotated[
    Literal["tanh", "softsign", "silu", "relu"], Option("tanh, softsign, silu or relu", label="{value}")
]
Scales = Annotated[int, Ge(2), Le(4), Option("lattices, each half as large as the one before", label="s{value}")]
Units = Annotated[int, Ge(1), Option("tanh units of each potential", "U", label="u{value}")]
Coupling = Annotated[float, Option("start of the coupling of neighbours; by default that of the spectrum", "J")]


def check_kernel_size(kernel_size: int, lattice: Lattice) -> None:
    """Refuse a filter that is wider than the lattice.

    Raises:
        InputError: if it is.
    """
    if kernel_size > lattice.size:
        largest = (lattice.size - 1) // 2 * 2 + 1
        raise InputError(
            f"kernel_size is {kernel_size}; on a lattice of size {lattice.size} it must be an odd number of at most"
            f" {largest}"
        )


class NonlinearNetwork(ABC):
    """A score s_θ(x; α, σ²), by default N(x / √⟨x²⟩) / σ with a function N that a subclass defines.

    Both N and its argument are of order one at every noise level, since s* is −E[z|x]/σ.

    Args:
        lattice: where the fields live.
        components: n of fields of shape (batch, n, *lattice); None for scalar fields, shape (batch, *lattice).
        conditioned: whether one network serves all noise levels: functions of ln(σ²/α²) then scale its channels.
        options: values of the options of the class.

    Raises:
        InputError: for options that do not fit the lattice.
    """

    training: ClassVar[dict[str, Any]] = {"optimizer": "adam", "rate_schedule": "cosine", "beta2": 0.99}
    """Options of training where no optimiser is given."""

    symmetry: Annotated[
        Literal["odd", "none"] | None,
        Option(
            "odd, s(−x) = −s(x) by construction, or none",
            label="{value}",
            unnamed="odd",
            default="odd for targets that are symmetric by definition, none for others",
        ),
    ] = None
    precision: Annotated[Literal["float32", "float64"], Option("of parameters and fields", label="{value}")] = "float32"

    def __init__(
        self, lattice: Lattice, *, components: int | None = None, conditioned: bool = False, **options: Any
    ) -> None:
        self.check(lattice, **options)
        self.lattice, self.components, self.conditioned = lattice, components, conditioned
        vars(self).update(options)

    @classmethod
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse options that do not fit the lattice.

        Raises:
            InputError: for a kernel that is wider than the lattice.
        """
        check_kernel_size(options.get("kernel_size", 1), lattice)

    @property
    def inputs(self) -> int:
        """n, 1 for scalar fields."""
        return self.components or 1

    @property
    def odd_by_form(self) -> bool:
        """Whether `body` is odd for any parameters of an odd network."""
        return True

    @abstractmethod
    def start(self, spectrum: Array, generator: np.random.Generator) -> dict[str, Array]:
        """The initial θ, by name, for a spectrum S of fields without noise, in the *half* layout."""

    @abstractmethod
    def silence(self, parameters: dict[str, Array]) -> None:
        """Set the last layer in initial parameters to 0, so that N = 0."""

    def constants(self, spectrum: Array) -> dict[str, Array]:
        """Numbers that are not trained, by name, for the same spectrum: ⟨φ²⟩, and those of a subclass."""
        return {"power": np.asarray((self.lattice.half_multiplicity * spectrum).sum() / self.lattice.sites)}

    @abstractmethod
    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """N of fields of order one, shape (batch, *lattice, n); same shape.

        Args:
            parameters: θ and constants, by name.
            fields: shape (batch, *lattice, n).
            noise: α and σ².
        """

    def symmetric_body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """N, or (N(x) − N(−x)) / 2 if it has to be odd and `body` is not."""
        if self.symmetry == "none" or self.odd_by_form:
            return self.body(parameters, fields, noise)
        return 0.5 * (self.body(parameters, fields, noise) - self.body(parameters, -fields, noise))

    def score(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """s of fields of shape (batch, *lattice, n); same shape, and arguments as for `body`."""
        signal, variance = (on_fields(values, self.lattice.dimension) for values in noise)
        scaled = fields / (signal**2 * parameters["power"] + variance).sqrt()
        return self.symmetric_body(parameters, scaled, noise) / variance.sqrt()
