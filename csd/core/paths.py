"""Paths that the user names: which may be read or written, and files that are written completely or not at all.

A file is written under a temporary name in its own folder and then renamed. A symbolic link is followed: the file that
it names is replaced and keeps its permissions, the link stays. Whatever else exists and is not a regular file (a
folder, a named pipe, a socket, a device) is never replaced, nor is a file that is protected from writing.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENAMETOOLONG, ENOSPC, EXDEV
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from csd.core.errors import InputError, NotWritten, Unreadable

LONGEST = 255
"""Bytes that file systems allow for the name of a file."""
DIGEST = 16
"""Digits of the digest in a name that was too long."""
TOKEN = 8
"""Digits that tell temporary files apart."""
ENDS = rf"[0-9a-f]{{{TOKEN}}}(\.\w+)?"
"""The end of the name of a temporary file."""
SEAL, DIGITS = b"\ncsd: blake2b of all bytes above: ", 32
"""Text behind the content of a file, and number of the digits of its digest, which follow."""
BLOCK = 2**20
"""Bytes that are read at once to compute a digest."""
MEND = "remove it and run the step that makes it again"
"""Advice for a damaged file that does not tell its command."""
TRIED = 2**14
"""Bytes that are written to find out whether a file can be written."""
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What is not a regular file, in words."""
ADVICE = {ENAMETOOLONG: "choose a shorter name", ENOSPC: "make room on the disk", EDQUOT: "make room in your quota"}
"""Advice for errors of the system; for all others, the advice is another folder."""

Named = tuple[str, Path]
"""A path, after the flag or the argument that names it."""


def expanded(path: str | Path) -> Path:
    """The path with the home folder in place of a `~` at its beginning, which shells replace in some places only."""
    # A name may begin with ~ and be no user's.
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def file_to_write(path: str | Path) -> Path:
    """The path of a file to write, as by `expanded`.

    Raises:
        NotWritten: if it is empty, or ends as that of a folder does.
    """
    # A Path has no slash at its end.
    if os.fspath(path).rpartition(os.sep)[2] in ("", ".", ".."):
        raise NotWritten(f"output {str(path)!r} cannot be written, it names no file; choose the name of a file")
    return expanded(path)


def token() -> str:
    """Random digits that no other name has."""
    return os.urandom(TOKEN // 2).hex()


def short_name(name: str, longest: int = LONGEST) -> str:
    """The name of a file; if it has more than `longest` bytes, a digest of the whole name replaces its end."""
    whole = os.fsencode(name)
    if len(whole) <= longest:
        return name
    from hashlib import blake2b

    head = whole[: longest - DIGEST - 1].decode(errors="ignore")
    return f"{head}.{blake2b(whole, digest_size=DIGEST // 2).hexdigest()}"


# ---- before the work ------------------------------------------------------------------------------------------------


def check_paths(read: Iterable[Named], written: Iterable[Named]) -> None:
    """Check the paths of a command or of a call before its work begins.

    Args:
        read: files and folders that are read; one may be named twice.
        written: files that are written.

    Raises:
        InputError: if a file is both read and written, or written twice, under whatever paths; if one cannot be
            written.
    """
    written = list(written)
    names, fresh = {_identity(path): name for name, path in read}, dict[str, Named]()
    for name, path in written:
        identity = _identity(path)
        other = names.setdefault(identity, name)
        if isinstance(identity, str):
            near, beside = fresh.setdefault(_folded(path), (name, path))
            other = near if other == name and near != name and _folds(beside, path) else other
        if other != name:
            raise InputError(f"{other} and {name} name the same file, {str(path)!r}; give each a file of its own")
    for _, path in written:
        require_writable(path)


def _identity(path: Path) -> object:
    """The key that all paths of one file share: its device and inode or, before it exists, its path without links."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except OSError:
        return os.path.realpath(path)


def _folded(path: Path) -> str:
    """The path as text that does not depend on case and on the Unicode form of accents."""
    real = os.path.realpath(path)
    if not real.isascii():
        from unicodedata import normalize

        real = normalize("NFC", real)
    return real.casefold()


def _folds(first: Path, second: Path) -> bool:
    """Whether the file system takes two paths that differ in case or accents for one; tried with other names."""
    hidden = f".{token()}."
    tried, other = (path.with_name(hidden + path.name) for path in (first, second))
    try:
        tried.touch(exist_ok=False)
    except OSError:
        return False
    try:
        return other.exists()
    finally:
        tried.unlink()


def require_writable(path: Path) -> None:
    """Check, before hours of work, that a file can be written; no file remains.

    Raises:
        InputError: if its folder cannot be created or written, is full, or something is there that must not be
            replaced.
    """
    with _temporary(path) as (temporary, _):
        temporary.write_bytes(bytes(TRIED))


def destination(path: Path) -> Path:
    """The file that is written for a path, after its symbolic links have been followed.

    Raises:
        InputError: if something is there that is not a regular file, or a link leads to a folder that is not there.
    """
    refused = f"output {str(path)!r} cannot be written"
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        kind = None
    if kind not in (None, stat.S_IFREG):
        raise NotWritten(f"{refused}, it is {KINDS.get(kind, 'no regular file')}; choose the name of a file")
    real, folder = Path(os.path.realpath(path)), os.path.realpath(path.parent)
    if folder == "/dev" or folder.startswith("/proc/"):
        raise NotWritten(f"{refused}, it is a device or a stream of the process; choose the name of a file")
    broken = next((place for place in (path, *path.parents) if place.is_symlink() and not place.exists()), None)
    if broken is not None and not (broken == path and real.parent.is_dir()):
        where = os.path.realpath(broken)
        raise NotWritten(f"{refused}, the link {str(broken)!r} leads to {where!r}, which is not there; mend the link")
    if kind is not None and (why := _protected(real)):
        raise NotWritten(f"{refused}, {why}; choose another name")
    return real


def _protected(real: Path) -> str:
    """Why a regular file must or can not be replaced, in words; empty if it may be."""
    found, folder = real.stat(), real.parent.stat()
    if not found.st_mode & 0o222:
        return "the file that is there is protected from writing"
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, folder.st_uid):
        return "the file that is there is another user's, in a folder where only owners may replace a file"
    try:
        real.open("r+b").close()
    except OSError as error:
        return f"the file that is there may not be written ({error.strerror})"
    return "the file that is there is a mount point, which cannot be replaced" if _mounted(real) else ""


def _mounted(real: Path) -> bool:
    """Whether a file is a mount point, by `mount --bind`: then it has no second name in its own folder."""
    tried = _beside(real)
    try:
        tried.hardlink_to(real)
    except OSError as error:
        return error.errno == EXDEV
    tried.unlink()
    return False


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, Path]]:
    """A new empty file beside the file that a path names, and that file; the new one is removed at the end.

    Raises:
        InputError: if the new file cannot be made or filled.
    """
    temporary = None
    try:
        real = destination(path)
        real.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(real)
        temporary.touch(exist_ok=False)
        with suppress(OSError):
            temporary.chmod(stat.S_IMODE(real.stat().st_mode))
        yield temporary, real
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "choose a folder that you may write to")
        raise NotWritten(f"output {str(path)!r} cannot be written ({error.strerror or error}); {advice}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _beside(real: Path) -> Path:
    """A new name for a temporary file beside a file."""
    return real.with_name(f"{_hidden(real)}{token()}")


def _hidden(real: Path) -> str:
    """The beginning of the names of temporary files beside a file."""
    return f".{short_name(real.name, LONGEST - TOKEN - 2)}."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of a file; it replaces the file if the block succeeds, and is removed otherwise.

    Raises:
        NotWritten: if the file cannot be written.
    """
    with _temporary(path) as (temporary, real):
        yield temporary
        temporary.replace(real)


def write_text(text: str, path: Path) -> None:
    """Write a text file, completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes have left beside a file."""
    real = Path(os.path.realpath(path))
    ours = re.compile(re.escape(_hidden(real)) + ENDS)
    with suppress(OSError):
        for beside in [beside for beside in real.parent.iterdir() if ours.fullmatch(beside.name)]:
            beside.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of a temporary file, which only a killed process leaves."""
    return re.fullmatch(rf"\..+\.{ENDS}", path.name) is not None


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; errors are those of `regular_file`."""
    with regular_file(path) as file:
        return file.read()


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading.

    Raises:
        InputError: if there is none.
        Unreadable: if it is there and cannot be opened or read; this tells nothing about its content.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            raise InputError(f"{path}: this is {KINDS.get(kind, 'no regular file')}; a file is needed")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        link = f", the link leads to {os.path.realpath(path)!r}" if path.is_symlink() else ""
        raise InputError(f"{path}: there is no such file{link}") from None
    except OSError as error:
        raise Unreadable(
            f"{path}: the file cannot be opened or read ({error.strerror or error}); it need not be damaged"
        ) from error


# ---- digests --------------------------------------------------------------------------------------------------------


def append_digest(path: Path) -> None:
    """Append the digest of a file to it."""
    with path.open("r+b") as file:
        digest = _digest_of(file, file.seek(0, SEEK_END))
        file.seek(0, SEEK_END)
        file.write(SEAL + digest)


def check_digest(file: BinaryIO, path: Path) -> None:
    """Compare the digest at the end of a file with its content; a file without a digest passes.

    Args:
        file: open for reading; its position changes.
        path: of the file, for the error.

    Raises:
        InputError: if the content does not have this digest.
    """
    size = file.seek(0, SEEK_END)
    file.seek(max(size - len(SEAL) - DIGITS, 0))
    # A file that is cut off at its end has fewer digits.
    _, seal, digits = file.read().partition(SEAL)
    if seal and digits != _digest_of(file, size - len(seal) - len(digits)):
        raise InputError(f"{path}: this NetCDF file is damaged, or was changed by another program; {MEND}")


def _digest_of(file: BinaryIO, size: int) -> bytes:
    """The digest of the first `size` bytes of an open file, in hexadecimal digits."""
    from hashlib import blake2b

    found = blake2b(digest_size=DIGITS // 2)
    file.seek(0)
    for start in range(0, size, BLOCK):
        found.update(file.read(min(BLOCK, size - start)))
    return found.hexdigest().encode()
