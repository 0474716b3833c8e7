"""Classes by name: a name in a registry, the dotted path `package.module:Class`, or the class itself."""

import re
import sys
from contextlib import suppress
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from csd.core.errors import InputError, described, unknown, users_place

_GIVEN: dict[str, type] = {}
"""Classes given as objects, by dotted path: a class of a notebook or a function cannot be imported from a module."""
_NAMED: dict[type, str] = {}
"""The dotted paths by which classes were found, which may lead to another module that imports them."""
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


def path_named(made: type) -> str:
    """The dotted path by which the user named a class; its lasting path if it was named by none."""
    return _NAMED.get(made, lasting_path(made))


def is_user_path(name: str) -> bool:
    """Whether a name is the dotted path of a class that is not of csd."""
    return ":" in name and not name.startswith("csd.")


def given_class(path: str) -> type | None:
    """The class of a dotted path, if this process has it; no module is imported."""
    return _GIVEN.get(path) or _in_module(path)


def found_in_module(path: str, made: type) -> bool:
    """Whether a dotted path leads to the class itself, and not to another one or into a function."""
    return _in_module(path) is made


def _in_module(path: str) -> Any:
    """What a dotted path leads to in a module that has been imported; None without it."""
    module, _, name = path.partition(":")
    with suppress(KeyError, AttributeError):
        return attrgetter(name)(sys.modules[module])
    return None


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
    what = f"{kind} {name!r} cannot be imported"
    if not re.fullmatch(r"[^\W\d]\w*(\.\w+)*:[^:]+", path):
        raise InputError(f"{what}; it must be 'package.module:Class'")
    try:
        made = import_module(module)
    except KeyboardInterrupt:
        raise
    # A module may raise anything while it is imported, such as SystemExit.
    except BaseException as error:
        raise InputError(f"{what}: {_reason(module, error)}") from error
    try:
        found = attrgetter(attribute)(made)
    except AttributeError as error:
        raise InputError(f"{what}: {_missing(module, attribute)}") from error
    if not isinstance(found, type):
        raise InputError(f"{kind} {name!r} is {found!r}, which is no class; it must be 'package.module:Class'")
    _NAMED[found] = path
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


def checked_numbers(
    what: str, given: Any, shape: tuple[int, ...], *, least: float | None = None, converted: bool = False
) -> Any:
    """Check numbers that a user-defined object has returned; return them as an array.

    Args:
        what: the call that returned them, for the message.
        given: the numbers.
        shape: that they must have.
        least: a number that all of them must be above; None for none.
        converted: whether the caller takes the array; lists and tensors are refused otherwise.

    Raises:
        InputError: if they are not real and finite numbers of that shape, or too small.
    """
    import numpy as np

    must = f"it must give {'an array of real numbers' if shape else 'a real number'}"
    if not (converted or isinstance(given, int | float | complex | str | np.generic | np.ndarray | None)):
        raise InputError(f"{what} gives {type(given).__name__}; {must}{' of NumPy' * bool(shape)}")
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


def _missing(module: str, attribute: str) -> str:
    """Why a module that was imported does not have a class."""
    if module == "__main__" or "<" in attribute:
        return "it was defined in a notebook, a script or a function; define it at the top of a module"
    place, own = getattr(sys.modules[module], "__file__", None), Path(*module.split(".")).with_suffix(".py")
    other = own.is_file() and not (place and own.samefile(place))
    hint = f"{own} in the working directory has the name of that module, rename it" if other else ""
    hint = hint or "it must be 'package.module:Class'"
    return f"the module {module} ({place or 'built into Python'}) has no class {attribute}; {hint}"


def _reason(module: str, error: BaseException) -> str:
    """Why a module cannot be imported: the file and line of the user's code that fails, and its error."""
    place = users_place(error.__traceback__)
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.") and place is None:
        must = "it must be 'package.module:Class', with the module's folder as the working directory or on PYTHONPATH"
        return f"there is no module {error.name}; {must}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    said = described(error)
    return said if place is None else f"{place[0].f_code.co_filename}, line {place[1]}: {said}"
