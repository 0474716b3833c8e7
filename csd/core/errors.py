"""Errors that a user can act on: one sentence with the key, flag or file, what is wrong, and what is allowed."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from math import isfinite
from operator import index
from pathlib import Path
from signal import Signals
from types import FrameType, TracebackType
from typing import Any

LARGEST_INTEGER = 2**63 - 1
"""The largest integer that files and arrays hold."""


class InputError(ValueError):
    """A flag, key, file or argument given by the user cannot be used."""


class NotWritten(InputError):
    """A file cannot be written."""


class Unreadable(InputError):
    """A file that is there cannot be opened or read; its content may be good."""


class TrainingDiverged(ArithmeticError):
    """Gradient descent became unstable; the message names the step, the noise level and a stable learning rate."""


class GenerationFailed(ArithmeticError):
    """A score gave values that are not finite during generation; the message names the time, and the site or mode."""


PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of csd."""


@contextmanager
def users_errors() -> Iterator[None]:
    """Raise an InputError, with file and line, from an error that user-defined code raises while the block runs."""
    try:
        yield
    except (InputError, TrainingDiverged, GenerationFailed, MemoryError):
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        place = users_place(error.__traceback__)
        if place is None:
            raise
        frame, line = place
        code = frame.f_code
        raise InputError(f"{code.co_filename}, line {line}, in {code.co_qualname}: {described(error)}") from error


def one_line(error: BaseException) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split())


def described(error: BaseException) -> str:
    """The type of an error and its message, on one line."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")


def users_place(traceback: TracebackType | None) -> tuple[FrameType, int] | None:
    """The innermost frame, and its line, that is neither csd's nor an installed library's; None if there is none."""
    from sysconfig import get_path

    libraries = (f"{PACKAGE}{os.sep}", f"{get_path('stdlib')}{os.sep}", "<frozen")
    found = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == "<string>":
            # A method that dataclasses write for a class belongs to the file of the class.
            file = traceback.tb_frame.f_globals.get("__file__", file)
        if not (file.startswith(libraries) or {"site-packages", "dist-packages"} & set(Path(file).parts)):
            found = traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def log(message: str) -> None:
    """Write a line to the log, on standard error; a log that cannot be written stops no work."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the allowed name closest to `name`; the empty string if none is close."""
    match = get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def unknown(what: str, name: str, allowed: Iterable[str]) -> InputError:
    """The error for a `name` that is not one of the `allowed` names of a kind of thing (`what`)."""
    names = sorted(allowed)
    return InputError(f"unknown {what} {name!r}{nearest(name, names)} (known: {', '.join(names)})")


def number_in(text: str, kind: type) -> Any:
    """The number of a type, int or float, that a text is; a ValueError for 1_000 and digits of other scripts too."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return kind(text)


def exactly(number: float) -> str:
    """A number with as many digits as it takes to give the same one: '0.1', '4', '0.3333333333333'."""
    return repr(float(number)).removesuffix(".0")


def plain(value: Any) -> Any:
    """The value without types of NumPy, PyTorch or xarray: an array becomes a list, a number one of Python's."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    array = value.__array__() if hasattr(value, "__array__") else value
    return array.tolist() if hasattr(array, "tolist") else value


def check_integer(name: str, value: Any, least: int, most: int = LARGEST_INTEGER) -> int:
    """Return the value, of Python or NumPy, as an integer of Python; refuse one that is none from `least` to `most`."""
    with suppress(TypeError):
        if not isinstance(value, bool) and least <= (found := index(value)) <= most:
            return found
    above = f" and at most {most}" if isinstance(value, int) and value > most else ""
    raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}{above}")


def check_positive(name: str, value: float) -> float:
    """Return the number if it is finite and above 0; raise InputError otherwise."""
    with suppress(TypeError, OverflowError):
        if isfinite(value) and value > 0.0:
            return value
    raise InputError(f"{name} is {value!r}; it must be a finite number above 0")


def check_distinct(what: str, values: Sequence[Any]) -> None:
    """Refuse a list of one kind of thing (`what`) that is empty or contains a value twice."""
    if not values:
        raise InputError(f"no {what} is given; at least one is needed")
    if len(set(values)) < len(values):
        raise InputError(f"a {what} is given twice in {list(values)}; each must be given once")


class Interrupted(KeyboardInterrupt):
    """A signal stopped a training run.

    Args:
        signal: its number.
        kept: a clause on what was saved of the run, for the message.
    """

    def __init__(self, signal: int, kept: str) -> None:
        self.signal, self.kept = int(signal), kept
        super().__init__(f"stopped by {Signals(signal).name} {kept}")

    def __reduce__(self) -> "tuple[type[Interrupted], tuple[int, str]]":
        """The arguments that make a copy, for pickles: those of other errors are their message."""
        return type(self), (self.signal, self.kept)
