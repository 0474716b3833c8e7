"""Options in the reference: as keywords of functions that take them as `**asked`, and as attributes of settings.

Both are declared once, and made when the program runs; Griffe reads source.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from griffe import Class, Docstring, Extension, Function, Module, Parameter, ParameterKind, Parameters

KINDS = {kind.name: ParameterKind[kind.name.lower()] for kind in inspect._ParameterKind}


class Keywords(Extension):
    """Puts what the running program says of options in the place of what the source does."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Change the functions and classes of a package, once all of it is known and before docstrings are read."""
        from csd.core.options import declared

        for member in _members(pkg):
            made = getattr(import_module(member.module.path), member.name)
            if isinstance(member, Function):
                member.parameters = Parameters(*map(_parameter, inspect.signature(made).parameters.values()))
                member.docstring = Docstring(inspect.getdoc(made) or "", parent=member)
            elif isinstance(member, Class):
                for name, one in declared(made).items():
                    if name in member.members:
                        _tell(member.members[name], one)


def _tell(attribute: Any, one: Any) -> None:
    """An option as its help and its type."""
    attribute.annotation = inspect.formatannotation(one.shown)
    attribute.docstring = Docstring(f"{one.help}.", parent=attribute)


def _parameter(one: inspect.Parameter) -> Parameter:
    """A parameter as Griffe has it."""
    default = None if one.default is inspect.Parameter.empty else repr(one.default)
    annotation = one.annotation if isinstance(one.annotation, str) else inspect.formatannotation(one.annotation)
    return Parameter(one.name, annotation=annotation, kind=KINDS[one.kind.name], default=default)


def _members(parent: Module) -> Iterator[Function | Class]:
    """Functions that take options, and classes that may declare some, of a module and of those within it."""
    for member in parent.members.values():
        if member.is_alias:
            continue
        takes = isinstance(member, Function) and any("spelt_out" in str(one.value) for one in member.decorators)
        if takes or (
            isinstance(member, Class) and any("Annotated" in str(one.annotation) for one in member.attributes.values())
        ):
            yield member
        elif isinstance(member, Module):
            yield from _members(member)
