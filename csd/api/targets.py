"""Targets as a call from Python."""

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from csd.api.keywords import DEFAULTS, REQUIRED_KEYWORDS, Field, checked, spelt_out
from csd.core.errors import InputError
from csd.core.plugins import name_of, resolve
from csd.lattice import Lattice
from csd.targets.base import Target
from csd.targets.gaussian import TARGETS, gaussian_field

if TYPE_CHECKING:
    pass


@spelt_out
def target(**asked: Unpack[Field]) -> Target:
    """The field to learn, with its exact values: mass, susceptibility, correlation length, variance, energy.

    Args:
        dimension: of the lattice: 1, 2 or 3.
        size: L, at least 2.
        mass: m itself, inverse lattice spacings.
        mass_times_length: c of the critical line m = c / L; 1 if no mass is given in any way.
        r0: bare mass squared of the O(n) model, with `u`.
        u: its quartic coupling, with `r0`.
        target: 'gaussian', 'package.module:Class', or a class that is built from (lattice, mass).

    Raises:
        InputError: for what cannot be used, in a sentence.
    """
    return target_of(checked("target", Field, dict(asked)))


def target_of(given: dict[str, Any]) -> Target:
    """`target` of checked keywords."""
    wanted = given.get("target", DEFAULTS["target"])
    if not isinstance(wanted, str | type):
        return _as_it_is(wanted, [name for name in Field.__annotations__ if name in given and name != "target"])
    missing = [name for name in REQUIRED_KEYWORDS if name not in given]
    if missing:
        raise TypeError(f"missing a required keyword argument: {missing[0]!r}")
    masses = {name: given[name] for name in ("mass", "mass_times_length", "r0", "u") if name in given}
    gaussian = gaussian_field(Lattice(given["dimension"], given["size"]), **masses)
    made: Target = resolve("target", name_of("target", wanted, TARGETS), TARGETS)(gaussian.lattice, gaussian.mass)
    return made


def _as_it_is(given: Any, besides: list[str]) -> Target:
    """A target that was given as an object, if a file can say what it is: by its class, lattice and mass."""
    if besides:
        raise InputError(f"target is given as an object, which has its own lattice and mass; leave out {besides[0]}")
    if hasattr(given, "digest"):
        # Fields of Monte Carlo: files say which, by their digest.
        measured: Target = given
        return measured
    name_of("target", type(given), TARGETS)
    try:
        laplacian = given.lattice.shells.laplacian
        again = type(given)(given.lattice, given.mass).propagator(laplacian)
        same = np.array_equal(again, given.propagator(laplacian))
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"target is {given!r}; it must be a name, a class, or an object such as csd.target() gives ({error})"
        ) from error
    if not same:
        raise InputError(
            f"target is {given!r}, which is more than its class, lattice and mass; files keep these alone: make the"
            " rest part of a class"
        )
    found: Target = given
    return found
