"""Options of the target, its lattice and the noise."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from csd.core.options import Option, Options

Positive = Annotated[float, Gt(0.0)]


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
        Any, Option("gaussian, or package.module:Class", label="{value}", names="csd.targets.base:BY_MASS")
    ] = "gaussian"


@dataclass(frozen=True)
class ChainOptions(LatticeOptions):
    """The target of Markov chains: n Gaussian fields by a mass, φ⁴ by r0 and u, unit spins by beta."""

    components: Annotated[int, Ge(1), Option("components n of the field or spin", "N", always=True)] = 1
    beta: Annotated[Positive | None, Option("coupling of unit spins: Ising, XY, Heisenberg, …", "B")] = None


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
