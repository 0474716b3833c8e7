"""Options, each declared once: an annotated attribute of a class with its type, bounds, default and an `Option`.

    batch: Annotated[int, Ge(1), Option("fields in a minibatch", "B", label="B{value}")] = 64

Checks, flags and the words of a command, keywords and their docstring, attributes and names of files, keys of a study:
all are made from that. Bounds are those of `annotated_types`, which pydantic reads too; pydantic itself is left to the
configuration, since the start of a job would be a fifth longer with it (CONTRIBUTING.md).
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass
from functools import cache
from importlib import import_module
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from csd.core.errors import InputError, nearest, unknown
from csd.core.plugins import name_of

WRONG: Any = object()
"""What a value of the wrong type becomes."""
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
        check: refuses values that its type and bounds allow.
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
        if isinstance(value, str) and float in _kinds(self.kind):
            with suppress(ValueError):
                value = float(value)
        if _fit(self.kind, value) is WRONG:
            raise ValueError(self.expected(value))
        return value

    @property
    def mixed(self) -> bool:
        """Whether it is a number, or words that say what it follows."""
        return {int, str} <= _kinds(self.kind)

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
        item, flag = _item(self.kind), self.option.flag.replace("-", " ")
        several = item is not None and (flag or not isinstance(value, str))
        wrong = [one for one in _several(value) if _fit(item, one) is WRONG] if several else []
        if wrong and flag:
            raise InputError(f"{flag} is {wrong[0]!r}; it must be {_allowed(item)}")
        found = f"holds {wrong[0]!r}" if wrong else f"is {value!r}"
        raise InputError(f"{self.name} {found}; {self.expected(value)}")

    def parse(self, words: Any) -> Any:
        """A value as argparse has it, or a file's attribute: words of names and numbers as these."""
        if isinstance(words, list) and self.choices() and len(words) == 1 and words[0] in self.choices():
            return words[0]
        if isinstance(words, list):
            return tuple(self.parse(word) for word in words)
        return _number(words) if int in _kinds(self.kind) else words


def plain(value: Any) -> Any:
    """A value without NumPy: its arrays as lists, its numbers as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _number(word: Any) -> Any:
    """The integer that a word is, or the word."""
    digits = isinstance(word, str) and word.removeprefix("-").isdecimal()
    return int(word) if digits else word


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


def _item(kind: Any) -> Any:
    """The type of each of several values; None for an option of one."""
    return next((get_args(part)[0] for part, _ in _alternatives(kind) if get_origin(part) is tuple), None)


def _fit(kind: Any, value: Any) -> Any:
    """The value as one of the types has it, or `WRONG`."""
    for part, bounds in _alternatives(kind):
        found = WRONG
        if get_origin(part) is tuple:
            items = tuple(_fit(get_args(part)[0], item) for item in _several(value))
            found = WRONG if any(item is WRONG for item in items) else items
        elif get_origin(part) is Literal:
            found = (
                value
                if any(value is word or (value == word and type(value) is type(word)) for word in get_args(part))
                else WRONG
            )
        elif part is float:
            real = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            found = float(value) if real else WRONG
        elif part is Any or (isinstance(value, part) and (part is bool or not isinstance(value, bool))):
            found = value
        if found is not WRONG and found is not None and not _within(found, bounds):
            found = WRONG
        if found is not WRONG:
            return found
    return WRONG


def _within(value: Any, bounds: tuple[Any, ...]) -> bool:
    """Whether a value is within bounds of `annotated_types`."""
    return all(
        not (hasattr(bound, "ge") and value < bound.ge)
        and not (hasattr(bound, "gt") and not value > bound.gt)
        and not (hasattr(bound, "le") and value > bound.le)
        and not (hasattr(bound, "min_length") and len(value) < bound.min_length)
        for bound in bounds
    )


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
            limits = [f" of at least {bound.ge:g}" for bound in bounds if hasattr(bound, "ge")]
            limits += [f" above {bound.gt:g}" for bound in bounds if hasattr(bound, "gt")]
            limits += [f" of at most {bound.le:g}" for bound in bounds if hasattr(bound, "le")]
            words.append(article + noun + " and".join(limits))
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


@dataclass(frozen=True)
class Options:
    """Values of the options that a subclass declares, each checked.

    Raises:
        InputError: for a value outside what is declared.
    """

    @classmethod
    def own(cls) -> dict[str, Declared]:
        """The options, as they are declared."""
        owner: Any = cls
        return declared(owner)

    def __post_init__(self) -> None:
        for name, one in self.own().items():
            object.__setattr__(self, name, one.fit(getattr(self, name)))

    def applied(self) -> dict[str, Any]:
        """Their values; None where one does not apply beside the others."""
        return {name: getattr(self, name) for name in self.own()}

    @property
    def key(self) -> tuple[Any, ...]:
        """What of them says what is made."""
        return tuple(value for name, value in self.applied().items() if self.own()[name].option.label is not None)

    def labels(self) -> dict[str, str]:
        """How they show in the names of files."""
        return labels(self.own(), self.applied())

    def attributes(self) -> dict[str, Any]:
        """What files say of them."""
        return attributes(self.own(), self.applied())

    def notes(self) -> dict[str, str]:
        """Attributes of a file that explain those of options."""
        noted = (own for own in self.own().values() if own.option.note)
        return {f"note_{own.attribute}": own.option.note for own in noted}

    def unsaid(self) -> dict[str, Any]:
        """Those that files do not say."""
        return {name: getattr(self, name) for name, own in self.own().items() if own.attribute is None}

    def words(self) -> list[str]:
        """The flags that give them."""
        return words(self.own(), self.applied())

    @classmethod
    def of_attributes(cls, about: Mapping[str, Any], **known: Any) -> Self:
        """Those that a file says, others at their defaults."""
        return cls(**given_by_attributes(cls.own(), about) | known)


def labels(own: Mapping[str, Declared], values: Mapping[str, Any]) -> dict[str, str]:
    """Parts of a file's name, of options that are not at their defaults."""
    found = {}
    for name, value in values.items():
        template = own[name].option.label
        if template is not None and value is not None and value != own[name].default:
            shown = f"{value:.12g}" if isinstance(value, float) else ".".join(map(str, _several(value)))
            found[name] = template.format(name=name, value=shown).replace(":", ".")
    return found


def attributes(own: Mapping[str, Declared], values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a file: of options that it always says, and of those that are not at their defaults."""
    found = {}
    for name, one in own.items():
        value = values.get(name)
        value = one.option.absent if value is None else value
        if one.attribute is not None and value is not None and (one.option.always or value != one.default):
            found[one.attribute] = str(value) if one.mixed else list(value) if isinstance(value, tuple) else value
    return found


def given_by_attributes(own: Mapping[str, Declared], about: Mapping[str, Any]) -> dict[str, Any]:
    """Options that the attributes of a file give."""
    found = {}
    for name, one in own.items():
        value = plain(about.get(one.attribute)) if one.attribute is not None else None
        if value is not None and value != one.option.absent:
            found[name] = one.parse(value)
    return found


def words(own: Mapping[str, Declared], values: Mapping[str, Any]) -> list[str]:
    """The flags of a command that give options."""
    found: list[str] = []
    for name, value in values.items():
        if value is not None and (own[name].option.always or value != own[name].default):
            found += [own[name].flag, *(repr(one) if isinstance(one, float) else str(one) for one in _several(value))]
    return found


def add_flags(parser: Any, own: Mapping[str, Declared], *, required: bool = True) -> None:
    """Flags of options.

    Args:
        parser: argparse's, or a group of it.
        own: the options.
        required: whether those without a default must be given.
    """
    for name, one in own.items():
        kinds = _kinds(one.kind)
        convert = {"type": float} if float in kinds else {"type": int} if int in kinds and str not in kinds else {}
        several = {} if _item(one.kind) is None else {"nargs": "+", "action": "extend"}
        about = {
            "required": required and one.required,
            "metavar": one.option.metavar,
            "help": one.help.replace("%", "%%"),
        }
        parser.add_argument(one.flag, dest=name, **about, **convert, **several).names = one.choices


def given_by_flags(arguments: argparse.Namespace, own: Mapping[str, Declared]) -> dict[str, Any]:
    """Options that were given as flags."""
    found = {name: getattr(arguments, name, None) for name in own}
    return {name: own[name].parse(value) for name, value in found.items() if value is not None}
