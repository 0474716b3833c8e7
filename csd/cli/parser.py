"""Shared by all commands: a parser whose errors are one sentence, the log, and the text of the command."""

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from csd.core.errors import InputError, nearest, number_in
from csd.core.options import Declared
from csd.core.paths import Named, check_paths, expanded, file_to_write

BAD_INPUT = 2
DIVERGED = 3


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, with the nearest valid name for a typo."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        self.given: Sequence[str] = ()
        self.fill: Callable[[Parser], None] | None = None
        self.further: Callable[[argparse.Namespace], Iterator[Named]] = lambda arguments: iter(())
        """Lists the files that the command writes besides those that flags name, each with the flag that decides it."""
        self.reads: Callable[[argparse.Namespace], Iterable[Named]] = lambda arguments: ()
        """Lists the files that the command reads besides those that flags name."""
        super().__init__(*args, **kwargs)
        # argparse takes -1 for a number, but -1e-3 for a flag.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^-inf$|^-nan$")

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        typo = [word for word in self.given if word.startswith("--") and word.split("=")[0] not in self.flags()]
        if "are required" in message and typo:
            message = f"unrecognized arguments: {typo[0]}"
        if message.startswith("unrecognized arguments: "):
            word = message.removeprefix("unrecognized arguments: ").split()[0]
            message = f"unknown argument {word!r}{nearest(word, self.flags())}"
        elif "invalid choice: " in message:
            word = message.split("invalid choice: ")[1].split("'")[1]
            known = next(list(action.choices or ()) for action in self._actions if action.dest == "command")
            message = f"unknown command {word!r}{nearest(word, known)} (known: {', '.join(known)})"
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse does not notice that it cannot be written."""
        try:
            print(self.format_help(), end="", file=file, flush=True)
        except BrokenPipeError:
            pass
        except OSError as error:
            self.exit(1, f"{self.prog}: standard output cannot be written ({error.strerror})\n")

    def filled(self) -> "Parser":
        """The parser with all flags; those of options are added on first use, as their modules are slow to import."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return self

    def flags(self) -> list[str]:
        """All long flags."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; unknown arguments are reported by the parser of the command, which knows its flags."""
        self.given = sys.argv[1:] if args is None else args
        self.filled()
        parsed, extra = super().parse_known_args(args, namespace)
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return parsed, extra

    def check_paths(self, arguments: argparse.Namespace) -> None:
        """Check the files and folders of a command before its work begins.

        Raises:
            InputError: if a file has two roles, or cannot be written.
        """
        own: dict[Any, list[Named]] = {read_path: [], written_path: []}
        for action in self._actions:
            path = getattr(arguments, action.dest, None)
            if action.type in own and path is not None:
                own[action.type].append(((action.option_strings or [str(action.metavar)])[0], path))
        check_paths([*own[read_path], *self.reads(arguments)], [*own[written_path], *self.further(arguments)])


def read_path(text: str) -> Path:
    """The path of a file or folder that a command reads."""
    return expanded(text)


def written_path(text: str) -> Path:
    """The path of a file that a command writes."""
    try:
        return file_to_write(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def written_names(text: str) -> Path:
    """A folder, or the beginning of a name, of several files that a command writes; `Parser.further` lists them."""
    return expanded(text)


def real(text: str) -> float:
    """The number that a flag is given."""
    with suppress(ValueError):
        return float(number_in(text, float))
    raise argparse.ArgumentTypeError(f"{text!r} is not a number")


def integer(text: str) -> int:
    """The integer that a flag is given."""
    with suppress(ValueError):
        return int(number_in(text, int))
    raise argparse.ArgumentTypeError(f"{text!r} is not an integer")


def add_options(parser: Any, options: Mapping[str, Declared], *, required: bool = True) -> None:
    """Flags of declared options.

    Args:
        parser: a parser, or a group of it.
        options: the options.
        required: whether options without a default must be given.
    """
    for name, one in options.items():
        kind = real if float in one.kinds else integer if int in one.kinds and str not in one.kinds else None
        several: Any = {} if one.item is None else {"nargs": "+", "action": "extend"}
        if one.kinds == {bool}:
            several = {"nargs": "?", "const": "true"}
        about: Any = {"metavar": one.option.metavar, "help": one.help.replace("%", "%%")}
        needed = required and one.required
        parser.add_argument(one.flag, dest=name, type=kind, required=needed, **about, **several).names = one.choices


def add_paths(
    parser: Any,
    *flags: str,
    about: str | None = None,
    required: bool = True,
    kind: Callable[[str], Path] | None = None,
) -> None:
    """Flags that take a path.

    Args:
        parser: a parser.
        flags: without dashes.
        about: their help.
        required: whether they must be given.
        kind: `read_path`, `written_path` or `written_names`; None for the second of --output, the first of others.
    """
    for flag in flags:
        usual = written_path if flag == "output" else read_path
        parser.add_argument(f"--{flag}", type=kind or usual, required=required, help=about)


def given_options(arguments: argparse.Namespace, options: Mapping[str, Declared]) -> dict[str, Any]:
    """The declared options that were given as flags."""
    found = {name: getattr(arguments, name, None) for name in options}
    return {name: options[name].parse(value) for name, value in found.items() if value is not None}


def command_line(arguments: argparse.Namespace) -> str:
    """The command, as it can be typed again; bytes that are not UTF-8 become escapes, as files hold text."""
    return os.fsencode(shlex.join(["csd", *arguments.given])).decode("utf-8", "backslashreplace")


def parsed_json(flag: str, text: str) -> Any:
    """The value of a flag given as JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{flag} is {text!r}; it must be JSON ({error})") from error


def duration(seconds: float) -> str:
    """A time in words, such as '12 s', '3.4 min', '5.6 h'."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.1f} min" if seconds < 6000.0 else f"{seconds / 3600.0:,.1f} h"
