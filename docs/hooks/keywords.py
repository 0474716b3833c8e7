"""Keywords that a function takes as `**asked: Unpack[Problem]`, in its signature as the reference shows it.

Griffe's own extension for this adds them to the docstring a second time.
"""

from collections.abc import Iterator
from typing import Any

from griffe import Class, ExprSubscript, Extension, Function, Module, Parameter, ParameterKind, Parameters


class Keywords(Extension):
    """Puts the keys of the TypedDict in the place of `**asked`."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Change the functions of a package, once all of it is known and before docstrings are read."""
        for function in _functions(pkg):
            *own, last = function.parameters if len(function.parameters) else [None]
            if last is None or last.kind is not ParameterKind.var_keyword:
                continue
            if function.docstring is not None and f" {last.name}: " in function.docstring.value:
                continue  # told together, as those of another function
            if isinstance(last.annotation, ExprSubscript) and last.annotation.canonical_name == "Unpack":
                together = pkg.modules_collection[str(last.annotation.slice.canonical_path)]
                function.parameters = Parameters(*own, *_keys(together))


def _functions(parent: Module | Class) -> Iterator[Function]:
    """All functions of a module and of those within it."""
    for member in parent.members.values():
        if member.is_alias:
            continue
        if isinstance(member, Function):
            yield member
        elif isinstance(member, Module):
            yield from _functions(member)


def _keys(together: Class) -> Iterator[Parameter]:
    """The keys of a TypedDict and its bases, as keywords."""
    for name, attribute in together.attributes.items():
        yield Parameter(name, annotation=attribute.annotation, kind=ParameterKind.keyword_only, default="...")
