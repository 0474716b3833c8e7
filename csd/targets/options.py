"""Options of the target, its lattice and the noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from csd.core.errors import InputError
from csd.core.options import Option, Options
from csd.lattice import Lattice
from csd.targets.base import OWN, Spec
from csd.targets.gaussian import gaussian_field

Positive = Annotated[float, Gt(0.0)]
Fraction = Annotated[float, Gt(0.0), Lt(1.0)]


@dataclass(frozen=True)
class LatticeOptions(Options):
    """A lattice, and the mass or couplings of a target on it."""

    dimension: Annotated[Literal[1, 2, 3], Option("lattice dimension: 1, 2 or 3", "D")]
    size: Annotated[int, Ge(2), Option("lattice size", "L")]
    mass: Annotated[Positive | None, Option("the mass itself, inverse lattice spacings", "M")] = None
    mass_times_length: Annotated[
        Positive | None, Option("C of the critical line m = C / L; 1 if no mass is given in any way", "C")
    ] = None
    r0: Annotated[float | None, Option("bare mass squared of the O(n) model, with u", "R0")] = None
    u: Annotated[Annotated[float, Ge(0.0)] | None, Option("quartic coupling of the O(n) model, with r0", "U")] = None


@dataclass(frozen=True)
class FieldOptions(LatticeOptions):
    """The target of a training."""

    target: Annotated[
        Any,
        Option(
            "gaussian, two_phase, or package.module:Class",
            label="{value}",
            default="gaussian, or two_phase with a magnetisation",
            names="csd.targets.base:BY_MASS",
        ),
    ] = "gaussian"
    magnetisation: Annotated[
        Positive | None,
        Option(
            "M of the phases s M + phi, s = 1 or -1, with phi by its mass; without a target it means two_phase", "M"
        ),
    ] = None
    probability: Annotated[
        Fraction | None, Option("probability of the phase s = 1, with a magnetisation", "P", default="0.5")
    ] = None

    @property
    def lattice(self) -> Lattice:
        """Where the target lives."""
        return Lattice(self.dimension, self.size)

    def spec(self) -> Spec:
        """The spec of the target; that of a user-defined one has its name, lattice and mass."""
        return spec_of_options(vars(self))


def spec_of_options(given: Mapping[str, Any]) -> Spec:
    """The spec of a target from the options of `FieldOptions` that are given; those that are None are not.

    Raises:
        InputError: if the mass is given in two ways or by couplings that are not of the target, or a parameter is given
            that the target does not have, or lacking.
    """
    given = {name: value for name, value in given.items() if value is not None}
    name = str(given.get("target", FieldOptions.target))
    own = OWN.get(name, ())
    for target, others in OWN.items():
        for other in others:
            if other in given and other not in own:
                raise InputError(f"{other} is given, but target {name!r} has none; it belongs to target {target}")
    masses = {option: given[option] for option in ("mass", "mass_times_length", "r0", "u") if option in given}
    if own and (couplings := [option for option in ("r0", "u") if option in masses]):
        raise InputError(
            f"{couplings[0]} and target {name!r} are both given; r0 and u are those of the O(n) model, give the"
            " mass of the fields about their phase"
        )
    gaussian = gaussian_field(Lattice(given["dimension"], given["size"]), **masses)
    return gaussian.spec() | {"target": name} | {option: given[option] for option in own if option in given}


@dataclass(frozen=True)
class ChainOptions(LatticeOptions):
    """The target of Markov chains: n Gaussian fields by a mass, φ⁴ by r0 and u, unit spins by beta."""

    components: Annotated[int, Ge(1), Option("components n of the field or spin", "N", always=True)] = 1
    beta: Annotated[Positive | None, Option("coupling of unit spins: Ising, XY, Heisenberg, …", "B")] = None


COUPLINGS = (("kappa", "lambda_"), ("r0", "u"), ("beta",))
"""Ways to give the couplings of a lattice field; those of a way belong together."""
KNOWN = ("kappa", "lambda", "r0", "u", "beta", "components")
"""Names of couplings in files."""


@dataclass(frozen=True)
class DataOptions(Options):
    """The place of fields in a file, their lattice, and the couplings of their Hamiltonian, if these are known.

    Couplings say that the fields are symmetric under a change of sign and under rotations and reflections; without any,
    nothing is assumed.
    """

    data_key: Annotated[str, Option("name of the array, in a file that has several")] = ""
    dimension: Annotated[Literal[1, 2, 3] | None, Option("lattice dimension: 1, 2 or 3", "D")] = None
    size: Annotated[Annotated[int, Ge(2)] | None, Option("lattice size", "L")] = None
    components: Annotated[Annotated[int, Ge(1)] | None, Option("components n of the field or spin", "N")] = None
    kappa: Annotated[Positive | None, Option("hopping parameter of the lattice action, with lambda", "K")] = None
    lambda_: Annotated[
        Annotated[float, Ge(0.0)] | None,
        Option("quartic coupling of the lattice action, with kappa", "L", flag="lambda"),
    ] = None
    r0: Annotated[float | None, Option("bare mass squared of the O(n) model, with u", "R0")] = None
    u: Annotated[Annotated[float, Ge(0.0)] | None, Option("quartic coupling of the O(n) model, with r0", "U")] = None
    beta: Annotated[Positive | None, Option("coupling of unit spins: Ising, XY, Heisenberg, …", "B")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [way for way in COUPLINGS if any(getattr(self, name) is not None for name in way)]
        for way in given:
            if any(getattr(self, name) is None for name in way):
                raise InputError(f"{' and '.join(way).replace('_', '')} belong together; give both")
        if len(given) > 1:
            words = [" and ".join(way).replace("_", "") for way in given]
            raise InputError(f"{words[0]} are given as well as {words[1]}; give the couplings in one way")

    @property
    def known(self) -> dict[str, float]:
        """The couplings by name, with the number of components if it is given; empty if none is known."""
        names = [name for way in COUPLINGS for name in way]
        found = {name.rstrip("_"): getattr(self, name) for name in names if getattr(self, name) is not None}
        return found | ({"components": self.components} if found and self.components else {})


@dataclass(frozen=True)
class NoiseOptions(Options):
    """The noise of a training."""

    schedule: Annotated[
        str,
        Option("vp, ve, or package.module:Class", label="{value}", always=True, names="csd.targets.noising:SCHEDULES"),
    ] = "vp"
    noise_levels: Annotated[
        tuple[Positive, ...] | None,
        Option(
            "noise levels t, each learned alone", "T", flag="noise-level", default="a grid of 64 steps to generate on"
        ),
    ] = None
