"""Score networks: the registry of architectures, and how one is built for a lattice and a noise level.

`build("two_layer", lattice, spectrum)` gives the family that trains fast; `module("two_layer", …)` the same network as
a `torch.nn.Module`. A new family is a class in a file of its own and a line in `ARCHITECTURES`; a user-defined one is
named `package.module:Class` (see `csd.networks.module`).
"""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError, unknown
from csd.core.plugins import resolve
from csd.lattice import Array, Lattice
from csd.networks.linear import LinearNetwork

if TYPE_CHECKING:
    from csd.networks.module import ScoreNetwork

ARCHITECTURES: dict[str, str] = {
    "exact": "csd.networks.full:Exact",
    "one_layer": "csd.networks.full:OneLayer",
    "two_layer": "csd.networks.full:TwoLayer",
    "deep_linear": "csd.networks.full:DeepLinear",
    "local_one_layer": "csd.networks.local:LocalOneLayer",
    "local_two_layer": "csd.networks.local:LocalTwoLayer",
}

OPTIONS: dict[str, tuple[str, ...]] = {
    "deep_linear": ("depth",),
    "local_one_layer": ("range",),
    "local_two_layer": ("range", "channels"),
}
"""Options that each built-in architecture takes; all but `channels` must be given."""


@dataclass(frozen=True)
class Architecture:
    """A named network with its options, before it is built for a lattice.

    Args:
        name: a key of `ARCHITECTURES`, or a dotted path `package.module:Class`.
        depth: layers, for `deep_linear`.
        range: R of the composed kernel as an integer, or 'FACTORxi' for R = ⌈FACTOR ξ_t⌉ at each noise level.
        channels: tied channels, for `local_two_layer`; d + 1 if None.

    Raises:
        InputError: for an unknown name, an option that the architecture does not take or lacks, or a malformed range.
    """

    name: str
    depth: int | None = None
    range: int | str | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if ":" not in self.name and self.name not in ARCHITECTURES:
            raise unknown("architecture", self.name, ARCHITECTURES)
        takes = OPTIONS.get(self.name, ())
        for option in ("depth", "range", "channels"):
            given = getattr(self, option) is not None
            if given and option not in takes:
                owners = [name for name, options in OPTIONS.items() if option in options]
                raise InputError(
                    f"architecture {self.name!r} takes no {option}; it is an option of {', '.join(owners)}"
                )
            if not given and option in takes and option != "channels":
                raise InputError(f"architecture {self.name!r} needs the option {option}")
        if isinstance(self.range, str):
            self.range_factor()

    @property
    def label(self) -> str:
        """A short unique name for files and tables: 'deep_linear-p3', 'local_two_layer-R2'."""
        parts = [self.name.replace(":", ".")]
        for letter, value in (("p", self.depth), ("R", self.range), ("c", self.channels)):
            if value is not None:
                parts.append(f"{letter}{value}")
        return "-".join(parts)

    def range_factor(self) -> float:
        """F of a range 'Fxi' that follows the score length."""
        text = str(self.range)
        number = text.removesuffix("xi")
        try:
            factor = float(number) if number else 1.0
        except ValueError:
            factor = float("nan")
        if text == number or not (np.isfinite(factor) and factor > 0.0):
            raise InputError(f"range is {text!r}; it must be an integer, or a factor of the score length such as '3xi'")
        return factor

    def range_at(self, lattice: Lattice, score_length: float) -> int:
        """R at a noise level of this score length ξ_t; one that follows ξ_t is held between 1 and what fits."""
        if isinstance(self.range, str):
            return max(1, min(ceil(self.range_factor() * score_length), (lattice.size - 1) // 2))
        assert self.range is not None
        return self.range

    def build(self, lattice: Lattice, score_length: float) -> LinearNetwork:
        """The family on a lattice, at a noise level of the given score length (lattice spacings).

        Raises:
            InputError: if an option does not fit the lattice, or the class is not a family of `csd.networks.linear`.
        """
        family = resolve("architecture", self.name, ARCHITECTURES)
        options: dict[str, Any] = {}
        if self.depth is not None:
            options["depth"] = self.depth
        if self.range is not None:
            options["reach"] = self.range_at(lattice, score_length)
        if self.channels is not None:
            options["channels"] = self.channels
        network = family(lattice, **options)
        if not isinstance(network, LinearNetwork):
            raise InputError(f"architecture {self.name!r} is no csd.networks.linear.LinearNetwork")
        return network

    def module(
        self, lattice: Lattice, score_length: float, spectrum: Array, generator: np.random.Generator
    ) -> "ScoreNetwork":
        """The network as a `torch.nn.Module`, at its start.

        Args:
            lattice: where the fields live.
            score_length: ξ_t, lattice spacings.
            spectrum: C_t on *shells*.
            generator: of a random start.
        """
        from csd.networks.module import ConvolutionalScore, ScoreNetwork

        made = resolve("architecture", self.name, ARCHITECTURES)
        if isinstance(made, type) and issubclass(made, LinearNetwork):
            network = self.build(lattice, score_length)
            return ConvolutionalScore(network, network.start(spectrum, generator))
        module = made(lattice, lattice.spread(spectrum, lattice.shells), generator)
        if not isinstance(module, ScoreNetwork):
            raise InputError(
                f"architecture {self.name!r} gives a {type(module).__name__}; it must be a csd ScoreNetwork"
            )
        return module

    @property
    def is_family(self) -> bool:
        """Whether the architecture is a family of `csd.networks.linear`, rather than a module alone."""
        made = resolve("architecture", self.name, ARCHITECTURES)
        return isinstance(made, type) and issubclass(made, LinearNetwork)
