"""Score networks: the registry of architectures, and how one is built for a lattice and a noise level.

`build("two_layer", lattice, spectrum)` gives the family that trains fast; `module("two_layer", …)` the same network as
a `torch.nn.Module`. A new family is a class in a file of its own and a line in `ARCHITECTURES`; a user-defined one is
named `package.module:Class` (see `csd.networks.module`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from csd.core.errors import InputError, unknown
from csd.core.options import Choice, Declared, declared, said
from csd.core.plugins import resolve
from csd.lattice import Array, Lattice
from csd.networks.linear import LinearNetwork
from csd.networks.parametric import ParametricNetwork

if TYPE_CHECKING:
    from csd.networks.module import ScoreNetwork

ARCHITECTURES: dict[str, str] = {
    "exact": "csd.networks.full:Exact",
    "one_layer": "csd.networks.full:OneLayer",
    "two_layer": "csd.networks.full:TwoLayer",
    "deep_linear": "csd.networks.full:DeepLinear",
    "local_one_layer": "csd.networks.local:LocalOneLayer",
    "local_two_layer": "csd.networks.local:LocalTwoLayer",
    "one_layer_onsite": "csd.networks.one_layer_onsite:OneLayerOnsite",
}


def options_of(name: str) -> dict[str, Declared]:
    """The options that an architecture takes, as its class declares them; of a built-in name, or a dotted path."""
    return declared(resolve("architecture", name, ARCHITECTURES))


@cache
def network_options() -> dict[str, Declared]:
    """The options of all built-in architectures, none required; those of one name are one option."""
    found: dict[str, Declared] = {}
    for name in ARCHITECTURES:
        for option, own in options_of(name).items():
            if option in found and found[option].kind != own.kind:
                raise TypeError(f"{name} declares {option} with another type than an architecture before it")
            owners = f"{found[option].help}, {name}" if option in found else f"{own.help}; of {name}"
            found[option] = replace(own, default=None, option=replace(own.option, help=owners, default=""))
    return found


@dataclass(frozen=True, init=False)
class Architecture(Choice):
    """A named network with its options, before it is built for a lattice; `architecture.depth` is an option's value.

    Args:
        name: a key of `ARCHITECTURES`, or a dotted path `package.module:Class`.
        options: of its class; None for one that is not given.

    Raises:
        InputError: for an unknown name, an option that the architecture does not take or lacks, or a wrong value.
    """

    name: str
    options: tuple[tuple[str, Any], ...]

    def __init__(self, name: str, **options: Any) -> None:
        if ":" not in name and name not in ARCHITECTURES:
            raise unknown("architecture", name, ARCHITECTURES)
        given = {option: value for option, value in options.items() if value is not None}
        takes = options_of(name) if given or ":" not in name else {}
        for option in given:
            if option not in takes:
                owners = ", ".join(own for own in ARCHITECTURES if option in options_of(own)) or "no architecture"
                raise InputError(f"architecture {name!r} takes no {option}; it is an option of {owners}")
        for option, own in takes.items():
            if own.required and option not in given:
                raise InputError(f"architecture {name!r} needs the option {option}")
        object.__setattr__(self, "name", name)
        held = tuple((option, own.fit(given.get(option, own.default))) for option, own in takes.items())
        object.__setattr__(self, "options", held)

    def __getattr__(self, option: str) -> Any:
        """The value of an option; None where it is not given, or another architecture's."""
        if option.startswith("_") or option == "options" or option not in {**dict(self.options), **network_options()}:
            raise AttributeError(f"an Architecture has no {option}")
        return dict(self.options).get(option)

    always = True

    def own(self) -> Mapping[str, Declared]:
        """Its options, and those of others, which files say that it has not."""
        return {**network_options(), **(options_of(self.name) if self.options else {})}

    def applied(self) -> dict[str, Any]:
        """The values of its options."""
        return dict(self.options)

    @property
    def label(self) -> str:
        """A short unique name for files and tables: 'deep_linear-p3', 'local_two_layer-R2'."""
        return "-".join([self.name.replace(":", "."), *self.labels().values()])

    def words(self) -> list[str]:
        """The flags that give it."""
        return ["--architecture", self.name, *super().words()]

    @classmethod
    def of_attributes(cls, about: Mapping[str, Any]) -> Self:
        """The architecture that a file says."""
        name = about["architecture"]
        return cls(name, **said(options_of(name), about))

    def check(self, lattice: Lattice) -> None:
        """Refuse options that do not fit a lattice.

        Raises:
            InputError: if one does not.
        """
        if self.options and self.is_family:
            resolve("architecture", self.name, ARCHITECTURES).check(lattice, **dict(self.options))

    def build(self, lattice: Lattice, score_length: float) -> LinearNetwork:
        """The family on a lattice, at a noise level of the given score length (lattice spacings).

        Raises:
            InputError: if an option does not fit the lattice, or the class is not a family of `csd.networks.linear`.
        """
        family = resolve("architecture", self.name, ARCHITECTURES)
        if not issubclass(family, LinearNetwork):
            raise InputError(f"architecture {self.name!r} is no csd.networks.linear.LinearNetwork")
        return family.at_level(lattice, score_length, **dict(self.options))

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
        from csd.networks.module import ConvolutionalScore, ParametricScore, ScoreNetwork

        made = resolve("architecture", self.name, ARCHITECTURES)
        if isinstance(made, type) and issubclass(made, LinearNetwork):
            network = self.build(lattice, score_length)
            return ConvolutionalScore(network, network.start(spectrum, generator))
        half = lattice.spread(spectrum, lattice.shells)
        if isinstance(made, type) and issubclass(made, ParametricNetwork):
            own = made(lattice, **dict(self.options))
            return ParametricScore(own, own.start(half, generator))
        module = made(lattice, half, generator, **dict(self.options))
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
