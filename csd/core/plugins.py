"""Named things: a registry's name, the dotted path `package.module:Class` of something user-defined, or its class."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from csd.core.errors import InputError, unknown

_GIVEN: dict[str, type] = {}
"""Classes that were given as such, by dotted path: one of a notebook, or of a function, can be found in no module."""


LASTING = {
    "csd.targets.dataset": "csd.measured",
    "csd.targets.gaussian": "csd.field",
    "csd.targets.noising": "csd.noise",
    "csd.targets.phi4": "csd.model",
    "csd.targets.spins": "csd.model",
}
"""Modules of classes that files name, and what files call these modules."""


def dotted_path(made: type) -> str:
    """'package.module:Class' of a class."""
    return f"{made.__module__}:{made.__qualname__}"


def lasting_path(made: type) -> str:
    """The dotted path of a class for files: of csd's own targets and schedules, that of version 0.1.

    Files and the names of random streams hold it, and neither is to change when code moves; `resolve` finds both.
    """
    return f"{LASTING.get(made.__module__, made.__module__)}:{made.__qualname__}"


def name_of(kind: str, thing: str | type, registry: dict[str, str]) -> str:
    """The name that a thing goes by in files: that of the registry if it has one, or its dotted path.

    Args:
        kind: what it is ('architecture', …), for the message.
        thing: a name, or a class, which `resolve` finds again in this process, whatever module it is of.
        registry: names and their dotted paths.

    Raises:
        InputError: if it is neither.
    """
    if isinstance(thing, str):
        return thing
    if not isinstance(thing, type):
        raise InputError(f"{kind} is {thing!r}; it must be a name, 'package.module:Class', or a class")
    path = dotted_path(thing)
    own = [name for name, known in registry.items() if known == path]
    if own:
        return own[0]
    _GIVEN[path] = thing
    return path


def resolve(kind: str, name: str, registry: dict[str, str]) -> Any:
    """The class that `name` stands for.

    Args:
        kind: what it is ('architecture', …), for the message.
        name: a key of the registry, or a dotted path `package.module:Class`. A module beside the user's own files is
            found in the working directory.
        registry: names and their dotted paths; a path, so that only what is used gets imported.

    Raises:
        InputError: if the name is unknown, or the dotted path cannot be imported or is no class.
    """
    path = registry.get(name, name)
    module, colon, attribute = path.partition(":")
    if not colon:
        raise unknown(kind, name, registry)
    if path in _GIVEN:
        return _GIVEN[path]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"{kind} {name!r} cannot be imported ({error}); it must be 'package.module:Class', with the module's folder"
            " as the working directory or on PYTHONPATH"
        ) from error
    if not isinstance(found, type):
        raise InputError(f"{kind} {name!r} is no class; it must be 'package.module:Class'")
    return found
