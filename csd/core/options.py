"""Options, each declared once: an annotated attribute of a class with its type, bounds, default and an `Option`.

    batch: Annotated[int, Ge(1), Option("fields in a minibatch", "B", label="B{value}")] = 64

Checks, flags, keywords, keys of a study, attributes and names of files all derive from this declaration. A type is
int, float, str, bool, a `Literal`, a tuple of any number of one of these, or a union of such types. Bounds are those of
`annotated_types`, which pydantic reads too; pydantic itself is imported by the configuration only, since it would make
the start of a job a fifth longer (CONTRIBUTING.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass
from functools import cache
from importlib import import_module
from math import isfinite
from operator import ge, gt, le, lt
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from csd.core.errors import LARGEST_INTEGER, InputError, nearest, number_in, plain, unknown
from csd.core.plugins import is_user_defined, name_of

WRONG: Any = object()
"""The result of fitting a value of a wrong type."""
BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (ge, "of at least"),
    "gt": (gt, "above"),
    "le": (le, "of at most"),
    "lt": (lt, "below"),
}
NOUNS = {int: "an integer", float: "a finite number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Option:
    """The description of an option, beside its type, bounds and default.

    Args:
        help: the meaning of the option; the default is added to it.
        metavar: the placeholder of its value in the help of its flag.
        flag: its flag without dashes, where that is not its name: 'seed' for each of `seeds`.
        default: the words shown for a default of None.
        label: how a value shows in names of files; None for an option that does not change the content of a file.
        unnamed: a value that does not show there, as the default does not.
        attribute: its name in files, if it has another one there; None if files do not record it.
        absent: the value that files record for None; nothing is recorded if this is None.
        always: whether files and commands contain the default too.
        note: the text of a further attribute of files that explains this one.
        names: 'module:REGISTRY' of the names it may have, beside dotted paths.
        check: a function of the value that raises an error for a value that type and bounds allow, but is wrong.
        allowed: the values that are allowed, in words, where the type does not say enough.
    """

    help: str
    metavar: str = "NAME"
    flag: str = ""
    default: str = ""
    label: str | None = "{name}{value}"
    unnamed: Any = None
    attribute: str | None = ""
    absent: Any = None
    always: bool = False
    note: str = ""
    names: str = ""
    check: Callable[[Any], object] = id
    allowed: str = ""


@dataclass(frozen=True)
class Declared:
    """An option as a class declares it.

    Args:
        name: of the attribute.
        kind: type and bounds.
        shown: type alone.
        default: MISSING if the option is required.
        option: the description.
    """

    name: str
    kind: Any
    shown: Any
    default: Any
    option: Option

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def flag(self) -> str:
        """The flag, such as '--data-set'."""
        return f"--{(self.option.flag or self.name).replace('_', '-')}"

    @property
    def help(self) -> str:
        """The meaning of the option, and its default."""
        own = self.default
        shown = self.option.default or ("" if own in (MISSING, None) else " ".join(map(_word, _several(own))))
        return self.option.help + f" ({shown})" * bool(shown)

    @property
    def kinds(self) -> set[Any]:
        """The types of single values that it allows."""
        return _kinds(self.kind)

    @property
    def item(self) -> Any:
        """The type of one item of an option that takes several; None for other options."""
        return next((get_args(part)[0] for part, _ in _alternatives(self.kind) if get_origin(part) is tuple), None)

    @property
    def mixed(self) -> bool:
        """Whether it is either an integer or text."""
        return {int, str} <= self.kinds

    @property
    def attribute(self) -> str | None:
        """Its name in files; None if files do not record it."""
        return self.name if self.option.attribute == "" else self.option.attribute

    def choices(self) -> tuple[str, ...]:
        """The names that it may have, for completion."""
        literal = [part for part, _ in _alternatives(self.kind) if get_origin(part) is Literal]
        words = [str(word) for part in literal for word in get_args(part)]
        return (*words, *("true", "false") * (bool in self.kinds), *self._registry())

    def _registry(self) -> Mapping[str, str]:
        """The registry that its value is a name of."""
        module, _, found = self.option.names.partition(":")
        return getattr(import_module(module), found) if module else {}

    def expected(self, value: Any) -> str:
        """A sentence on the allowed values, with the allowed name nearest to a wrong one."""
        close = nearest(value, self.choices()) if isinstance(value, str) else ""
        return f"it must be {self.option.allowed or _allowed(self.kind)}{_if_too_large(value)}{close}"

    def from_yaml(self, value: Any) -> Any:
        """The value; text becomes the number or truth value that it is: YAML reads 1e-3 as text. No check is made."""
        truth = bool in self.kinds and value in ("true", "false")
        return self.parse(value) if truth or float in self.kinds else value

    def read(self, value: Any) -> Any:
        """A value of a configuration.

        Raises:
            ValueError: for a value of a wrong type or out of bounds, with what is allowed.
        """
        fitted = _fit(self.kind, self.from_yaml(value))
        if fitted is WRONG:
            raise ValueError(self.expected(value))
        return fitted

    def fit(self, value: Any) -> Any:
        """The value in the option's type: a class becomes its name, a NumPy number a Python one, several a tuple.

        Raises:
            InputError: for a value of a wrong type or out of bounds.
        """
        if self.option.names and self.kind is str and value != self.default:
            value = name_of(self.name, value, dict(registry := self._registry()))
            if ":" not in value and value not in registry:
                raise unknown(self.name, value, registry)
        value = plain(value)
        if value is None and self.default is None:
            return None
        fitted = _fit(self.kind, value)
        if fitted is not WRONG:
            self.option.check(fitted)
            return fitted
        item, flag = self.item, self.option.flag.replace("-", " ")
        several = item is not None and (flag or not isinstance(value, str))
        wrong = [one for one in _several(value) if _fit(item, one) is WRONG] if several else []
        if wrong and flag:
            raise InputError(f"{flag} is {wrong[0]!r}; it must be {_allowed(item)}{_if_too_large(wrong[0])}")
        found = f"holds {wrong[0]!r}" if wrong else f"is {value!r}"
        raise InputError(f"{self.name.rstrip('_')} {found}; {self.expected(value)}")

    def parse(self, stored: Any) -> Any:
        """A value from the words of a command or the attribute of a file; no check is made.

        Text becomes a number or a truth value where the option allows one, and a list becomes a tuple.
        """
        if isinstance(stored, list | tuple):
            alone = len(stored) == 1 and stored[0] in self.choices() and str in self.kinds
            return stored[0] if alone else tuple(map(self.parse, stored))
        if bool in self.kinds and str(stored) in TRUTH:
            return TRUTH[str(stored)]
        for kind in (int, float):
            if kind in self.kinds and isinstance(stored, str):
                with suppress(ValueError):
                    return number_in(stored, kind)
        return stored

    def stored(self, value: Any) -> Any:
        """The value as an attribute of a file, which has no truth values and no mixed types."""
        if isinstance(value, tuple):
            return [self.stored(item) for item in value]
        return str(value) if self.mixed else int(value) if isinstance(value, bool) else value


TRUTH = {"true": True, "false": False, "1": True, "0": False}
"""Truth values in commands, and as files store them."""


def _several(value: Any) -> tuple[Any, ...]:
    """One value or several, as a tuple."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else (value,)


def _word(value: Any) -> str:
    """A single value in help and commands, as YAML has it too; no digit of a number is lost."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _alternatives(kind: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The alternatives of a type, each with its bounds."""
    bounds: list[Any] = []
    if get_origin(kind) is Annotated:
        kind, *bounds = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from ((found, (*own, *bounds)) for found, own in _alternatives(part))
    else:
        yield kind, tuple(bounds)


def _kinds(kind: Any) -> set[Any]:
    """The types of single values that a type allows, also as items of a tuple."""
    kinds: set[Any] = set()
    for part, _ in _alternatives(kind):
        inner = get_args(part)
        literal = get_origin(part) is Literal
        kinds |= {type(word) for word in inner} if literal else _kinds(inner[0]) if inner else {part}
    return kinds


def _storable(kind: Any) -> bool:
    """Whether files can hold all values of a type."""
    return all(
        part in {*NOUNS, NoneType}
        or get_origin(part) is Literal
        or (get_origin(part) is tuple and _storable(get_args(part)[0]))
        for part, _ in _alternatives(kind)
    )


def _fit(kind: Any, value: Any) -> Any:
    """The value converted to the first alternative that it fits, or `WRONG`."""
    for part, bounds in _alternatives(kind):
        found = WRONG
        if get_origin(part) is tuple:
            items = tuple(_fit(get_args(part)[0], item) for item in _several(value))
            found = items if items and not any(item is WRONG for item in items) else WRONG
        elif get_origin(part) is Literal:
            found = next((word for word in get_args(part) if word == value and type(word) is type(value)), WRONG)
        elif part is float:
            with suppress(OverflowError):
                real = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
                found = float(value) if real else WRONG
        elif part is int and _if_too_large(value):
            found = WRONG
        elif part is Any or (isinstance(value, part) and (part is bool or not isinstance(value, bool))):
            found = value
        if found is not WRONG and all(compare(found, limit) for compare, limit, _ in _limits(bounds)):
            return found
    return WRONG


def _if_too_large(value: Any) -> str:
    """What an integer must be besides, if one of the values is an integer that files and arrays cannot hold."""
    large = any(isinstance(one, int) and abs(one) > LARGEST_INTEGER for one in _several(value))
    return ", which 64 bits can hold" * large


def _limits(bounds: Iterable[Any]) -> Iterator[tuple[Callable[[Any, Any], bool], Any, str]]:
    """The comparison, the limit and the words of each bound."""
    for bound in bounds:
        for name, (compare, text) in BOUNDS.items():
            if hasattr(bound, name):
                yield compare, getattr(bound, name), f" {text} {getattr(bound, name):g}"


def _allowed(kind: Any) -> str:
    """The values of a type in words: 'an integer of at least 1', 'noise or exact', 'one or several integers'."""
    words = []
    for part, bounds in _alternatives(kind):
        if get_origin(part) is Literal:
            *names, last = map(str, get_args(part))
            words.append(f"{', '.join(names)} or {last}" if names else last)
        elif get_origin(part) is tuple:
            each = _allowed(get_args(part)[0]).removeprefix("an ").removeprefix("a ")
            words.append("one or several " + each.replace("integer", "integers").replace("number", "numbers"))
        elif part is not NoneType:
            noun = NOUNS.get(part) or f"a {getattr(part, '__name__', part)}"
            words.append(noun + " and".join(text for *_, text in _limits(bounds)))
    return ", or ".join(words)


@cache
def declared(owner: type) -> dict[str, Declared]:
    """The options of a class: its annotated attributes with an `Option`, those of base classes first."""
    found, shown = {}, get_type_hints(owner)
    for name, hint in get_type_hints(owner, include_extras=True).items():
        kind, *rest = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        for option in (one for one in rest if isinstance(one, Option)):
            if is_user_defined(owner) and not _storable(kind):
                raise InputError(
                    f"option {name} of {owner.__name__} has a type that files cannot hold, {_allowed(kind)}; it must be"
                    " int, float, str, bool, a Literal, a tuple of one of these, or a union of such types"
                )
            bounds = tuple(one for one in rest if one is not option)
            kind = Annotated[(kind, *bounds)] if bounds else kind
            found[name] = Declared(name, kind, shown[name], getattr(owner, name, MISSING), option)
    return found


class Choice(ABC):
    """Values of declared options, and their form in files, names of files and commands."""

    always: ClassVar[bool] = False
    """Whether files record all of them, so that a network is never read back with a default that has changed."""

    @abstractmethod
    def own(self) -> Mapping[str, Declared]:
        """The declarations of the options."""

    @abstractmethod
    def applied(self) -> dict[str, Any]:
        """The values of the options; None for one that is not given, or does not apply beside the others."""

    def _values(self) -> list[tuple[Declared, Any]]:
        """Each option that applies, with its value."""
        return [(self.own()[name], value) for name, value in self.applied().items()]

    @property
    def key(self) -> tuple[Any, ...]:
        """The values that determine the content of a file."""
        return tuple(value for one, value in self._values() if one.option.label is not None)

    def labels(self) -> dict[str, str]:
        """The parts of a file's name that stand for options which are not at their defaults."""
        found = {}
        for one, value in self._values():
            if one.option.label is not None and value not in (None, one.default, one.option.unnamed):
                items = [f"{item:.12g}" if isinstance(item, float) else _word(item) for item in _several(value)]
                found[one.name] = one.option.label.format(name=one.name, value=".".join(items)).replace(":", ".")
        return found

    def attributes(self) -> dict[str, Any]:
        """The attributes of a file: options that are always recorded, and those that are not at their defaults."""
        found, values = {}, self.applied()
        for name, one in self.own().items():
            value = one.option.absent if values.get(name) is None else values[name]
            recorded = self.always or one.option.always or value != one.default
            if one.attribute is not None and value is not None and recorded:
                found[one.attribute] = one.stored(value)
        return found

    def notes(self) -> dict[str, str]:
        """Attributes of a file that explain those of options."""
        return {f"note_{one.attribute}": one.option.note for one in self.own().values() if one.option.note}

    def unsaid(self) -> dict[str, Any]:
        """The options that files do not record."""
        return {one.name: value for one, value in self._values() if one.attribute is None}

    def words(self) -> list[str]:
        """The flags of the command that gives these values."""
        found: list[str] = []
        for one, value in self._values():
            if value is not None and (one.option.always or value != one.default):
                found += [one.flag, *map(_word, _several(value))]
        return found


@dataclass(frozen=True)
class Options(Choice):
    """Values of the options that a subclass declares, each checked.

    Raises:
        InputError: for a value of a wrong type or out of bounds.
    """

    def __post_init__(self) -> None:
        for name, one in self.own().items():
            object.__setattr__(self, name, one.fit(getattr(self, name)))

    def own(self) -> Mapping[str, Declared]:
        """The declarations of the options."""
        owner: Any = type(self)
        return declared(owner)

    def applied(self) -> dict[str, Any]:
        """The values of the options; None for one that does not apply beside the others."""
        return {name: getattr(self, name) for name in self.own()}
