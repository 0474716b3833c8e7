"""Named things: a registry's name, or the dotted path `package.module:Class` of something from outside."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from csd.errors import InputError, unknown


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
