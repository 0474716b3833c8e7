"""Targets as a call from Python."""

from typing import Any, Unpack

import numpy as np

from csd.api.keywords import DEFAULTS, REQUIRED_KEYWORDS, Field, checked, spelt_out
from csd.core.errors import InputError
from csd.core.plugins import name_of, resolve
from csd.lattice import Lattice
from csd.targets.base import BY_MASS, HasFields, HasSpectrum, spec_of, target_from_spec, with_spectrum
from csd.targets.gaussian import gaussian_field


@spelt_out
def target(**asked: Unpack[Field]) -> HasSpectrum:
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


def target_of(given: dict[str, Any]) -> HasSpectrum:
    """`target` of checked keywords."""
    wanted = given.get("target", DEFAULTS["target"])
    if not isinstance(wanted, str | type):
        return _as_it_is(wanted, [name for name in Field.__annotations__ if name in given and name != "target"])
    missing = [name for name in REQUIRED_KEYWORDS if name not in given]
    if missing:
        raise TypeError(f"missing a required keyword argument: {missing[0]!r}")
    masses = {name: given[name] for name in ("mass", "mass_times_length", "r0", "u") if name in given}
    gaussian = gaussian_field(Lattice(given["dimension"], given["size"]), **masses)
    name = name_of("target", wanted, BY_MASS)
    resolve("target", name, BY_MASS)
    return with_spectrum(target_from_spec(gaussian.spec() | {"target": name}))


def _as_it_is(given: Any, besides: list[str]) -> HasSpectrum:
    """A target that was given as an object, if a file can say what it is."""
    if besides:
        raise InputError(f"target is given as an object, which has its own lattice and mass; leave out {besides[0]}")
    found = with_spectrum(given)
    # Of fields that Monte Carlo has made, files say which, by their digest.
    if isinstance(found, HasFields):
        return found
    # So that its class is found again, wherever it is from.
    name_of("target", type(found), BY_MASS)
    try:
        again = with_spectrum(target_from_spec(spec_of(found)))
    except TypeError as error:
        raise InputError(
            f"target is {given!r}, which its class does not make again, of its spec or of lattice and mass ({error})"
        ) from error
    laplacian = found.lattice.shells.laplacian
    if not np.array_equal(again.propagator(laplacian), found.propagator(laplacian)):
        raise InputError(
            f"target is {given!r}, which is more than its class, lattice and mass; files keep these alone: make the"
            " rest part of a class, or of its spec() and from_spec()"
        )
    return found
