"""Targets as a call from Python."""

from typing import Any

import numpy as np

from csd.api.keywords import DATA, FIELD, checked, spelt_out
from csd.core.errors import InputError, users_errors
from csd.core.plugins import name_of, resolve
from csd.targets.base import (
    BY_MASS,
    OWN,
    HasFields,
    HasSpectrum,
    spec_of,
    spectrum_modes,
    spectrum_of,
    target_from_spec,
    with_spectrum,
)
from csd.targets.options import DataOptions, spec_of_options


@spelt_out(FIELD)
@users_errors()
def target(**asked: Any) -> HasSpectrum:
    """The target; a Gaussian one knows its exact susceptibility, correlation length, variance and energy.

    Those of any target with a propagator are given by `csd.targets.gaussian.exact_observables(target)`.

    Args:
        **asked: what follows.

    Raises:
        InputError: for an argument that cannot be used.
    """
    return target_of(checked("target", FIELD, asked))


def target_of(given: dict[str, Any]) -> HasSpectrum:
    """The target of checked keywords."""
    # A parameter that one target alone has names it.
    implied = [name for name, own in OWN.items() if any(one in given for one in own)]
    if "target" not in given and "probability" in given and "magnetisation" not in given:
        raise InputError("probability is given without magnetisation; it is that of the phase +M, give both")
    wanted = given.get("target", (*implied, FIELD["target"].default)[0])
    if not isinstance(wanted, str | type):
        return _as_it_is(wanted, [name for name in FIELD if name in given and name != "target"])
    missing = [name for name, one in FIELD.items() if one.required and name not in given]
    if missing:
        raise TypeError(f"missing a required keyword argument: {missing[0]!r}")
    name = name_of("target", wanted, BY_MASS)
    resolve("target", name, BY_MASS)
    spec = spec_of_options(given | {"target": name})
    return with_spectrum(target_from_spec(spec))


def target_of_data(data: Any, given: dict[str, Any]) -> HasFields:
    """The target of fields in a file or an array, checked.

    Args:
        data: a path or an array.
        given: checked keywords of the target.
    """
    others = [name for name in FIELD if name in given and name not in DATA]
    if others:
        raise InputError(f"{others[0]} is given with data, whose fields are the target; give one of them")
    from csd.mcmc.fields import load_fields

    return load_fields(data, DataOptions(**{name: given[name] for name in DATA if name in given}), check=True)


def _as_it_is(given: Any, besides: list[str]) -> HasSpectrum:
    """A target given as an object; an InputError if a file could not describe it."""
    if besides:
        raise InputError(f"target is given as an object, which has its own lattice and mass; leave out {besides[0]}")
    found = with_spectrum(given)
    # Files identify the fields of a Monte Carlo file by their digest.
    if isinstance(found, HasFields):
        return found
    # Checks that its class can be imported by name.
    name_of("target", type(found), BY_MASS)
    try:
        again = with_spectrum(target_from_spec(spec_of(found)))
    except TypeError as error:
        name = f"target {type(given).__name__}"
        raise InputError(
            f"{name} cannot be made by its class from its spec, or from lattice and mass ({error})"
        ) from error
    modes = spectrum_modes(found)
    if not np.array_equal(spectrum_of(again, modes), spectrum_of(found, modes)):
        raise InputError(
            f"target {type(given).__name__} depends on more than its class, lattice and mass; make the rest part of its"
            " class, or of its spec() and from_spec()"
        )
    return found
