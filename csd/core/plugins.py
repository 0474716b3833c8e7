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


def is_user_defined(thing: object) -> bool:
    """Whether a class, a method of a class, or the class of an object is defined outside csd."""
    return thing.__module__.partition(".")[0] != "csd"


def built(kind: str, made: Any, call: str, *arguments: Any, **options: Any) -> Any:
    """Make an object of a class.

    Args:
        kind: the kind of class ('architecture', …), for the message.
        made: the class, or a class method of it.
        call: how it is called, such as 'Class(lattice, mass)', for the message.
        arguments: of the call.
        options: keywords of the call.

    Raises:
        InputError: if the class cannot be called in this way.
    """
    try:
        return made(*arguments, **options)
    except TypeError as error:
        # An error from within the class has a longer traceback.
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        name = getattr(made, "__self__", made).__name__
        raise InputError(f"{kind} {name} cannot be built as {call} ({error})") from error


def require_methods(kind: str, thing: Any, *calls: str) -> None:
    """Refuse a class where an object is needed, and a user-defined object that lacks methods of its kind.

    Args:
        kind: the kind of object ('schedule', …), for the message.
        thing: the object.
        calls: its methods with their arguments, such as 'signal(level)'.
    """
    if isinstance(thing, type):
        raise InputError(f"{kind} is the class {thing.__name__}; give an object of it, {thing.__name__}()")
    if not is_user_defined(thing):
        return
    from inspect import signature

    what = f"{kind} {type(thing).__name__}"
    for call in calls:
        name, _, arguments = call.removesuffix(")").partition("(")
        method = getattr(thing, name, None)
        if not callable(method):
            raise InputError(f"{what} has no method {call}")
        try:
            signature(method).bind(*filter(None, arguments.split(", ")))
        except TypeError as error:
            raise InputError(f"{what} has a method {name} that cannot be called as {call} ({error})") from error


def checked_numbers(what: str, given: Any, shape: tuple[int, ...], *, least: float | None = None) -> Any:
    """Check numbers that a user-defined object has returned; return them as an array.

    Args:
        what: the call that returned them, for the message.
        given: the numbers.
        shape: that they must have.
        least: a number that all of them must be above; None for none.

    Raises:
        InputError: if they are not real and finite numbers of that shape, or too small.
    """
    import numpy as np

    must = f"it must give {'an array of real numbers' if shape else 'a real number'}"
    try:
        found = np.asarray(given)
    # NumPy refuses ragged lists, and tensors that require a gradient or are on a GPU, by errors of several types.
    except Exception as error:
        raise InputError(f"{what} gives {type(given).__name__} ({error}); {must}") from error
    if found.dtype.kind not in "fiu":
        raise InputError(f"{what} gives {'complex numbers' if found.dtype.kind == 'c' else repr(given)}; {must}")
    if found.shape != shape:
        raise InputError(f"{what} gives an array of shape {found.shape}; it must have shape {shape}")
    wrong = ~np.isfinite(found) if least is None else ~(np.isfinite(found) & (found > least))
    if wrong.any():
        above = "" if least is None else f" above {least:g}"
        raise InputError(f"{what} gives {found[wrong][0]}; {must}, finite{above}")
    return found
