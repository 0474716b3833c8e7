"""Keywords of calls: signatures, docstrings and checks from the declared options."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from csd.core.errors import InputError, nearest
from csd.core.options import Declared, declared
from csd.networks.registry import network_options, options_of, undeclared
from csd.targets.options import DataOptions, FieldOptions, NoiseOptions
from csd.training.options import OTHERS, TrainingSettings, check_option_names

FIELD = declared(FieldOptions)
"""Options of the target."""
DATA = declared(DataOptions)
"""Options of fields that are given as data, some of which are those of a target too."""
TRAINING = {**FIELD, **network_options(), **declared(NoiseOptions), **declared(TrainingSettings)}
"""Options of target, network, noise levels and training."""


def training_options(architecture: str, given: Iterable[str] = ()) -> dict[str, Declared]:
    """The options of training an architecture; those of a user-defined network are read from its class.

    Args:
        architecture: its name, or a dotted path.
        given: names of keywords or flags; they may also be unknown.

    Raises:
        InputError: if the class cannot be imported, if an option has the name of one of training or the target, or if
            one is given that the class has, but does not declare.
    """
    own = options_of(architecture) if ":" in architecture else {}
    check_option_names(architecture, own)
    for option in given:
        if option not in TRAINING and option not in OTHERS and (hint := undeclared(architecture, option)):
            raise InputError(f"architecture {architecture!r} takes no {option}; {hint}")
    return {**TRAINING, **own}


Call = TypeVar("Call", bound=Callable[..., Any])


def spelt_out(options: Mapping[str, Declared]) -> Callable[[Call], Call]:
    """A decorator that puts options taken as `**asked` into the signature and docstring of a function."""

    def spell(function: Call) -> Call:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if one.required else one.default,
                annotation=one.shown,
            )
            for name, one in options.items()
        ]
        before = [parameter for parameter in own if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
        parameters = [*before, *keywords, *own[len(before) :]]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        lines = "\n".join(f"        {name}: {one.help}." for name, one in options.items())
        function.__doc__ = (function.__doc__ or "").replace("        **asked: what follows.", lines)
        return function

    return spell


def checked(call: str, options: Mapping[str, Declared], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check keywords by their options; leave out those that are None.

    Raises:
        TypeError: if one is unknown, as in Python.
        InputError: if one has a wrong value.
    """
    strange = [name for name in given if name not in options]
    if strange:
        raise TypeError(
            f"{call}() got an unexpected keyword argument {strange[0]!r}"
            f"{nearest(strange[0], options)} (known: {', '.join(options)})"
        )
    return {name: options[name].fit(value) for name, value in given.items() if value is not None}
