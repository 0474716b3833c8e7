"""Classes by name: a name in a registry, the dotted path `package.module:Class`, or the class itself."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from csd.core.errors import InputError, unknown

_GIVEN: dict[str, type] = {}
"""Classes given as objects, by dotted path: a class of a notebook or a function cannot be imported from a module."""
LASTING = {
    "csd.targets.dataset": "csd.measured",
    "csd.targets.gaussian": "csd.field",
    "csd.targets.noising": "csd.noise",
    "csd.targets.phi4": "csd.model",
    "csd.targets.spins": "csd.model",
}
"""Modules whose classes are named in files, and the names of these modules there."""


def lasting_path(made: type) -> str:
    """The dotted path of a class as files record it; for targets and schedules of csd, that of version 0.1.

    It is also part of the names of random streams. Neither may change when code moves; `resolve` finds both paths.
    """
    return f"{LASTING.get(made.__module__, made.__module__)}:{made.__qualname__}"


def name_of(kind: str, thing: str | type, registry: dict[str, str]) -> str:
    """The name of a class in files: its name in the registry if it has one, or else its dotted path.

    Args:
        kind: the kind of class ('architecture', …), for the message.
        thing: a name, which is returned as it is, or a class, which `resolve` finds again in this process.
        registry: names and their dotted paths.

    Raises:
        InputError: if it is neither a name nor a class.
    """
    if isinstance(thing, str):
        return thing
    if not isinstance(thing, type):
        raise InputError(f"{kind} is {thing!r}; it must be a name, 'package.module:Class', or a class")
    path = f"{thing.__module__}:{thing.__qualname__}"
    own = [name for name, known in registry.items() if known == path]
    if own:
        return own[0]
    _GIVEN[path] = thing
    return path


def resolve(kind: str, name: str, registry: dict[str, str]) -> Any:
    """The class of a name.

    Args:
        kind: the kind of class ('architecture', …), for the message.
        name: a key of the registry, or a dotted path `package.module:Class`; modules are also looked for in the working
            directory.
        registry: names and their dotted paths, so that only the classes in use are imported.

    Raises:
        InputError: if the name is unknown, or the dotted path cannot be imported or is not a class.
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
