"""Paths that the user names: one role for each file, and only regular files are replaced."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from csd.core.errors import InputError, NotWritten, Unreadable
from csd.core.paths import (
    atomic_path,
    check_paths,
    expanded,
    file_to_write,
    is_temporary,
    read_bytes,
    remove_leftovers,
    require_writable,
    short_name,
    write_text,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# One role.


@pytest.mark.parametrize("other", ["a", "./a", "sub/../a", "link", "hard", "linked/a", "{folder}/a"])
def test_a_file_that_is_read_is_not_written(other: str, folder: Path) -> None:
    Path("a").write_text("input")
    Path("sub").mkdir()
    Path("link").symlink_to("a")
    Path("hard").hardlink_to("a")
    Path("linked").symlink_to(folder)
    with pytest.raises(InputError, match=r"--data and --output name the same file"):
        check_paths([("--data", Path("a"))], [("--output", Path(other.format(folder=folder)))])
    assert Path("a").read_text() == "input"


@pytest.mark.parametrize("other", ["new", "./new", "link", "linked/new"])
def test_a_file_that_is_not_there_yet_is_not_written_twice(other: str, folder: Path) -> None:
    Path("link").symlink_to("new")
    Path("linked").symlink_to(folder)
    with pytest.raises(InputError, match=r"--output and --benchmark name the same file"):
        check_paths([], [("--output", Path("new")), ("--benchmark", Path(other))])
    assert sorted(path.name for path in folder.iterdir()) == ["link", "linked"]


def test_files_of_their_own_may_be_named_alike(folder: Path) -> None:
    """Two names that differ in case are two files here; a file may be read twice."""
    Path("a").write_text("input")
    check_paths([("--data", Path("a")), ("--start", Path("a"))], [("--output", Path("b")), ("--table", Path("c"))])
    folds = (folder / "A").exists()
    if not folds:
        check_paths([], [("--output", Path("B")), ("--benchmark", Path("b"))])
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_names_that_differ_in_case_are_one_file_where_the_file_system_folds_them(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A file system that folds case, as on a Mac: a path exists if one does whose name differs in case alone."""
    exists = Path.exists

    def folding(path: Path) -> bool:
        return exists(path) or any(
            beside.name.lower() == path.name.lower() for beside in path.absolute().parent.iterdir()
        )

    monkeypatch.setattr(Path, "exists", folding)
    with pytest.raises(InputError, match=r"--output and --benchmark name the same file"):
        check_paths([], [("--output", Path("Run.nc")), ("--benchmark", Path("run.nc"))])
    assert list(folder.iterdir()) == []


# Only regular files.


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [pipe, unix_socket, device, Path.mkdir])
def test_what_is_no_regular_file_is_neither_replaced_nor_read(make: object, folder: Path) -> None:
    make(Path("there"))  # type: ignore[operator]
    before = Path("there").lstat()
    for attempt in (require_writable, lambda path: write_text("new", path)):
        with pytest.raises(NotWritten, match=r"'there'.*(named pipe|socket|device|folder)"):
            attempt(Path("there"))
    with pytest.raises(InputError, match="there: this is"):
        read_bytes(Path("there"))
    assert Path("there").lstat() == before
    assert [path.name for path in folder.iterdir()] == ["there"]


# Only files that may be written.


def refused_before_the_work(path: Path, words: str) -> None:
    """The file is refused when asked and when written, and stays."""
    before = path.read_bytes()
    for attempt in (require_writable, lambda path: write_text("new", path)):
        with pytest.raises(NotWritten, match=rf"{path.name}'.*{words}"):
            attempt(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_is_protected_is_not_replaced(mode: int, folder: Path) -> None:
    """Not by root either, for whom the system allows it."""
    Path("a").write_text("old")
    Path("a").chmod(mode)
    for attempt in (require_writable, lambda path: write_text("new", path)):
        with pytest.raises(NotWritten, match=r"'a'.*protected"):
            attempt(Path("a"))
    Path("a").chmod(0o644)
    assert Path("a").read_text() == "old"


def test_a_file_of_another_user_in_a_sticky_folder_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """As in /tmp, where only the owner of a file, or of the folder, may rename over it."""
    path = folder / "shared" / "a"
    path.parent.mkdir()
    path.write_text("old")
    path.parent.chmod(0o1777)
    write_text("old", path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1000)
    refused_before_the_work(path, "another user's")


def test_a_file_that_the_system_protects_is_not_replaced(folder: Path) -> None:
    path = folder / "kept" / "a"
    path.parent.mkdir()
    path.write_text("old")
    done = subprocess.run(["chattr", "+i", path], check=False, capture_output=True) if shutil.which("chattr") else None
    if done is None or done.returncode:
        pytest.skip("no file can be made immutable here")
    try:
        refused_before_the_work(path, "not be written")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.parametrize("name", ["", ".", "new/", "new/.", "new/.."])
def test_the_name_of_a_folder_is_none_of_a_file(name: str) -> None:
    with pytest.raises(NotWritten, match=r"names no file"):
        file_to_write(name)


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/null", "/dev/fd/1", "/proc/self/fd/1", "/dev/new.nc"])
def test_devices_and_streams_are_no_files_to_write(path: str) -> None:
    with pytest.raises(NotWritten, match=path):
        require_writable(Path(path))


def test_a_symbolic_link_stays_and_the_file_that_it_names_is_written() -> None:
    """Results may be links to a larger disk: to a file, to one that is not there yet, to a folder."""
    Path("disk").mkdir()
    Path("disk/old").write_text("old")
    for name in ("old", "new"):
        Path(name).symlink_to(f"disk/{name}")
        write_text("written", Path(name))
        assert Path(name).is_symlink()
        assert not Path("disk", name).is_symlink()
    Path("results").symlink_to("disk")
    write_text("written", Path("results/deep/file"))
    assert sorted(str(path) for path in Path("disk").rglob("*")) == [
        "disk/deep",
        "disk/deep/file",
        "disk/new",
        "disk/old",
    ]
    assert Path("disk/old").read_text() == Path("disk/new").read_text() == "written"


@pytest.mark.parametrize("name", ["file", "results/file", "loop"])
def test_a_link_into_a_folder_that_is_not_there_is_refused(name: str, folder: Path) -> None:
    """A disk that is not mounted must not be replaced by a folder of its name."""
    Path("file").symlink_to("unmounted/file")
    Path("results").symlink_to("unmounted")
    Path("loop").symlink_to("loop")
    with pytest.raises(NotWritten, match=name):
        require_writable(Path(name))
    assert not (folder / "unmounted").exists()


# Names.


def test_the_longest_names_are_written_and_longer_ones_refused_at_once(folder: Path) -> None:
    for length in (241, 255):
        name = "ä" * ((length - 3) // 2) + "n" * ((length - 3) % 2) + ".nc"
        assert len(name.encode()) == length
        require_writable(Path(name))
        write_text("long", Path(name))
        with pytest.raises(RuntimeError), atomic_path(Path(name)):
            raise RuntimeError
        assert [path.name for path in folder.iterdir()] == [name]
        Path(name).unlink()
    with pytest.raises(NotWritten, match="choose a shorter name"):
        require_writable(Path("n" * 256))


def test_short_names_are_their_own_and_of_what_is_left_out() -> None:
    assert short_name("n" * 255) == "n" * 255
    one, other = (short_name("ä" * 200 + end) for end in ("a", "b"))
    assert one != other
    assert one[:119] == "ä" * 119
    assert len(one.encode()) <= 255


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert expanded("~/r") == expanded(Path("~/r")) == folder / "r"
    assert expanded("a/~") == Path("a/~")
    assert expanded("~nobody-of-this-name.nc") == Path("~nobody-of-this-name.nc")


def test_only_temporary_files_of_ours_are_removed(folder: Path) -> None:
    """A name may hold characters that mean something in patterns."""
    for name in (".a[1].npz.0123abcd", ".a[1].npz.0123abcd.npz", ".a[1].npz.backup", ".a1.npz.0123abcd", "a[1].npz"):
        Path(name).write_text("")
    remove_leftovers(Path("a[1].npz"))
    assert {path.name for path in folder.iterdir()} == {".a[1].npz.backup", ".a1.npz.0123abcd", "a[1].npz"}
    assert [path.name for path in folder.iterdir() if is_temporary(path)] == [".a1.npz.0123abcd"]


# Reading.


def test_a_file_that_cannot_be_opened_is_not_said_to_be_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may be those of root, who may read everything."""
    Path("a").write_text("good")

    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(Unreadable, match=r"a: .*Permission denied.*need not be damaged"):
        read_bytes(Path("a"))
    with pytest.raises(InputError, match="none: there is no such file"):
        read_bytes(Path("none"))
