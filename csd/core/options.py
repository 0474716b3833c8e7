"""Options, each declared once: an annotated attribute of a class with its type, bounds, default and an `Option`.

    batch: Annotated[int, Ge(1), Option("fields in a minibatch", "B", label="B{value}")] = 64

Checks, flags and the words of a command, keywords and their docstring, attributes and names of files, keys of a study:
all are made from that. Bounds are those of `annotated_types`, which pydantic reads too; pydantic itself is left to the
configuration, since the start of a job would be a fifth longer with it (CONTRIBUTING.md).
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

from csd.core.errors import InputError, nearest, unknown
from csd.core.plugins import name_of

WRONG: Any = object()
"""What a value of the wrong type becomes."""
BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (ge, "of at least"),
    "gt": (gt, "above"),
    "le": (le, "of at most"),
    "lt": (lt, "below"),
}
NOUNS = {int: "integer", float: "number", str: "text"}


@dataclass(frozen=True)
class Option:
    """What an option says of itself, beside its type, bounds and default.

    Args:
        help: what it is; the default is added.
        metavar: its value, in the help of its flag.
        flag: its flag without dashes, where that is not the name: 'seed' for each of `seeds`.
        default: what stands for the default in help, where that is None.
        label: how a value other than the default shows in the names of files; None for what leaves alone what is made.
        attribute: its name in files, where it is another; None for what files do not say.
        absent: what files say where it is None or does not apply; if that is None, they say nothing.
        always: whether files and commands say it at its default too.
        note: what an attribute that explains it says.
        names: 'module:REGISTRY' of what it names, beside dotted paths.
        check: called with a value, raises for one that type and bounds allow and that is wrong all the same.
        allowed: what is allowed, where the type says too little.
    """

    help: str
    metavar: str = "NAME"
    flag: str = ""
    default: str = ""
    label: str | None = "{name}{value}"
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
        kind: its type and bounds.
        shown: its type alone.
        default: MISSING if it must be given.
        option: what it says of itself.
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
        """'--data-set'."""
        return f"--{(self.option.flag or self.name).replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it is, and its default."""
        own = self.default
        shown = self.option.default or ("" if own in (MISSING, None) else " ".join(map(str, _several(own))))
        return self.option.help + f" ({shown})" * bool(shown)

    def expected(self, value: Any) -> str:
        """What it must be, in words, and the name that is nearest to a wrong one."""
        close = nearest(value, self.choices()) if isinstance(value, str) else ""
        return f"it must be {self.option.allowed or _allowed(self.kind)}{close}"

    def read(self, value: Any) -> Any:
        """A value of a configuration, where numbers may be text: YAML takes 1e-3 for that.

        Raises:
            ValueError: if it is none, with what it must be.
        """
        with suppress(ValueError):
            value = float(value) if isinstance(value, str) and float in self.kinds else value
        if _fit(self.kind, value) is WRONG:
            raise ValueError(self.expected(value))
        return value

    @property
    def kinds(self) -> set[Any]:
        """Types of single values that it allows."""
        return _kinds(self.kind)

    @property
    def item(self) -> Any:
        """The type of each of several values; None for an option of one."""
        return next((get_args(part)[0] for part, _ in _alternatives(self.kind) if get_origin(part) is tuple), None)

    @property
    def mixed(self) -> bool:
        """Whether it is a number, or words that say what it follows."""
        return {int, str} <= self.kinds

    @property
    def attribute(self) -> str | None:
        """Its name in files."""
        return self.name if self.option.attribute == "" else self.option.attribute

    def choices(self) -> tuple[str, ...]:
        """Names that it may be, for completion."""
        literal = [
            word for part, _ in _alternatives(self.kind) for word in get_args(part) if get_origin(part) is Literal
        ]
        return (*map(str, literal), *self._registry())

    def _registry(self) -> Mapping[str, str]:
        """What it may name."""
        module, _, found = self.option.names.partition(":")
        return getattr(import_module(module), found) if module else {}

    def fit(self, value: Any) -> Any:
        """A value as the option has it: classes by their names, numbers without NumPy, several as a tuple.

        Raises:
            InputError: if it is none.
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
            raise InputError(f"{flag} is {wrong[0]!r}; it must be {_allowed(item)}")
        found = f"holds {wrong[0]!r}" if wrong else f"is {value!r}"
        raise InputError(f"{self.name} {found}; {self.expected(value)}")

    def parse(self, words: Any) -> Any:
        """A value as a command or a file has it: words that are numbers as these, several as a tuple."""
        if isinstance(words, list):
            return words[0] if len(words) == 1 and words[0] in self.choices() else tuple(map(self.parse, words))
        number = self.mixed and isinstance(words, str) and words.removeprefix("-").isdecimal()
        return int(words) if number else words


def plain(value: Any) -> Any:
    """A value without NumPy: its arrays as lists, its numbers as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _several(value: Any) -> tuple[Any, ...]:
    """One value or several, as a tuple."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else (value,)


def _alternatives(kind: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The types that a type is one of, each with its bounds."""
    bounds: tuple[Any, ...] = ()
    if get_origin(kind) is Annotated:
        kind, *rest = get_args(kind)
        bounds = tuple(rest)
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from ((found, (*own, *bounds)) for found, own in _alternatives(part))
    else:
        yield kind, bounds


def _kinds(kind: Any) -> set[Any]:
    """Types of single values that a type allows, within several too."""
    kinds: set[Any] = set()
    for part, _ in _alternatives(kind):
        inner = get_args(part)
        literal = get_origin(part) is Literal
        kinds |= {type(word) for word in inner} if literal else _kinds(inner[0]) if inner else {part}
    return kinds


def _fit(kind: Any, value: Any) -> Any:
    """The value as one of the types has it, or `WRONG`."""
    for part, bounds in _alternatives(kind):
        found = WRONG
        if get_origin(part) is tuple:
            items = tuple(_fit(get_args(part)[0], item) for item in _several(value))
            found = items if items and not any(item is WRONG for item in items) else WRONG
        elif get_origin(part) is Literal:
            found = next((word for word in get_args(part) if word == value and type(word) is type(value)), WRONG)
        elif part is float:
            real = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            found = float(value) if real else WRONG
        elif part is Any or (isinstance(value, part) and (part is bool or not isinstance(value, bool))):
            found = value
        if found is not WRONG and all(compare(found, limit) for compare, limit, _ in _limits(bounds)):
            return found
    return WRONG


def _limits(bounds: Iterable[Any]) -> Iterator[tuple[Callable[[Any, Any], bool], Any, str]]:
    """What bounds of `annotated_types` compare a value by, with what, and their words."""
    for bound in bounds:
        for name, (compare, text) in BOUNDS.items():
            if hasattr(bound, name):
                yield compare, getattr(bound, name), f" {text} {getattr(bound, name):g}"


def _allowed(kind: Any) -> str:
    """What a type allows, in words: 'an integer of at least 1', 'noise or exact', 'integers of at least 0'."""
    words = []
    for part, bounds in _alternatives(kind):
        if get_origin(part) is Literal:
            *names, last = map(str, get_args(part))
            words.append(f"{', '.join(names)} or {last}" if names else last)
        elif get_origin(part) is tuple:
            each = _allowed(get_args(part)[0]).removeprefix("an ").removeprefix("a ")
            words.append("one or several " + each.replace("integer", "integers").replace("number", "numbers"))
        elif part is not NoneType:
            noun = NOUNS.get(part, getattr(part, "__name__", str(part)))
            article = "" if noun == "text" else "an " if noun[0] in "aeiou" else "a finite " if part is float else "a "
            words.append(article + noun + " and".join(text for *_, text in _limits(bounds)))
    return ", or ".join(words)


@cache
def declared(owner: type) -> dict[str, Declared]:
    """The options of a class: its annotated attributes with an `Option`, base classes first."""
    found, shown = {}, get_type_hints(owner)
    for name, hint in get_type_hints(owner, include_extras=True).items():
        kind, *rest = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        for option in (one for one in rest if isinstance(one, Option)):
            bounds = tuple(one for one in rest if one is not option)
            kind = Annotated[(kind, *bounds)] if bounds else kind
            found[name] = Declared(name, kind, shown[name], getattr(owner, name, MISSING), option)
    return found


class Choice(ABC):
    """Values of declared options: how they are said in files, their names and commands."""

    always: ClassVar[bool] = False
    """Whether files say all of them, at their defaults too: a network is not read back with a default of later."""

    @abstractmethod
    def own(self) -> Mapping[str, Declared]:
        """The options, as they are declared."""

    @abstractmethod
    def applied(self) -> dict[str, Any]:
        """Their values; None where one is not given, or does not apply beside the others."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What of them says what is made."""
        return tuple(value for name, value in self.applied().items() if self.own()[name].option.label is not None)

    def labels(self) -> dict[str, str]:
        """How those that are not at their defaults show in the names of files."""
        found = {}
        for name, value in self.applied().items():
            one = self.own()[name]
            if one.option.label is not None and value is not None and value != one.default:
                shown = f"{value:.12g}" if isinstance(value, float) else ".".join(map(str, _several(value)))
                found[name] = one.option.label.format(name=name, value=shown).replace(":", ".")
        return found

    def attributes(self) -> dict[str, Any]:
        """What files say: of options that they always say, and of those that are not at their defaults."""
        found, values = {}, self.applied()
        for name, one in self.own().items():
            value = one.option.absent if values.get(name) is None else values[name]
            said = self.always or one.option.always or value != one.default
            if one.attribute is not None and value is not None and said:
                found[one.attribute] = str(value) if one.mixed else list(value) if isinstance(value, tuple) else value
        return found

    def notes(self) -> dict[str, str]:
        """Attributes of a file that explain those of options."""
        return {f"note_{one.attribute}": one.option.note for one in self.own().values() if one.option.note}

    def unsaid(self) -> dict[str, Any]:
        """Those that files do not say."""
        return {name: value for name, value in self.applied().items() if self.own()[name].attribute is None}

    def words(self) -> list[str]:
        """The flags of a command that give them."""
        found: list[str] = []
        for name, value in self.applied().items():
            one = self.own()[name]
            if value is not None and (one.option.always or value != one.default):
                found += [one.flag, *(repr(item) if isinstance(item, float) else str(item) for item in _several(value))]
        return found


@dataclass(frozen=True)
class Options(Choice):
    """Values of the options that a subclass declares, each checked.

    Raises:
        InputError: for a value outside what is declared.
    """

    def __post_init__(self) -> None:
        for name, one in self.own().items():
            object.__setattr__(self, name, one.fit(getattr(self, name)))

    def own(self) -> Mapping[str, Declared]:
        """The options, as they are declared."""
        owner: Any = type(self)
        return declared(owner)

    def applied(self) -> dict[str, Any]:
        """Their values; None where one does not apply beside the others."""
        return {name: getattr(self, name) for name in self.own()}


def said(own: Mapping[str, Declared], about: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the attributes of a file say."""
    found = {name: plain(about.get(one.attribute)) for name, one in own.items() if one.attribute is not None}
    return {
        name: own[name].parse(value) for name, value in found.items() if value not in (None, own[name].option.absent)
    }
