"""The identity of user-defined code: all modules that a dotted name reaches, and classes that are in no file."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csd.core import plugins, source
from csd.core.source import plugin_fingerprint
from tests.helpers import on_path

PACKAGE = {
    "mypkg/__init__.py": "",
    "mypkg/nets.py": "from . import gates\nfrom .deep.inner import scale\nimport csd.networks.module as base\n"
    "class Net(base.LinearScore):\n    def kernel(self):\n        from late import f\n        return f(scale)\n",
    "mypkg/gates.py": "gate = abs\n",
    "mypkg/deep/inner.py": "import aside as other\nscale = 1.0\n",
    "mypkg/unused.py": "x = 1\n",
    "aside.py": "from importlib import import_module\nnamed = import_module('named_by_text')\n",
    "late.py": "import numpy, mailbox\ndef f(x):\n    return x\n",
    "named_by_text.py": "x = 1\n",
    "mailbox.py": "x = 1\n",
}
"""A package, a namespace package without __init__.py, modules beside it, and one that has the name of Python's own."""
REACHED = PACKAGE.keys() - {"mypkg/unused.py"}


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder, which may not be there yet."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def python(code: str, *path: Path, folder: Path, **env: str) -> str:
    """What a new process of Python prints, with folders on PYTHONPATH."""
    known = on_path() | env
    known["PYTHONPATH"] = ":".join([known["PYTHONPATH"], *map(str, path)])
    (folder / "run.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=folder, env=known, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PRINTS = "from csd.core.source import plugin_fingerprint\nprint(plugin_fingerprint('mypkg.nets:Net'))"
PLACES: dict[str, Callable[[Path], tuple[Path, list[Path]]]] = {
    "on PYTHONPATH": lambda home: (home / "lib", [home / "lib"]),
    "in the working directory": lambda home: (home / "work", []),
    "installed into a folder": lambda home: (home / "target", [home / "target"]),
    "in site-packages": lambda home: (home / "site-packages", [home / "site-packages"]),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_module_that_a_name_reaches_counts(place: str, tmp_path: Path) -> None:
    """Wherever it lies; those around a named package that is installed are other distributions, and do not count."""
    lib, path = PLACES[place](tmp_path)
    write(lib, PACKAGE)
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "target" / "mypkg-1.0.dist-info").mkdir(parents=True)

    def prints() -> str:
        return python(PRINTS, *path, folder=tmp_path / "work")

    before = prints()
    installed = path and lib.name != "lib"
    for name, text in PACKAGE.items():
        (lib / name).write_text(text + "# a comment\n")
        assert prints() == before, name
        (lib / name).write_text(text + "edited = 1\n")
        counts = name in REACHED and (name.startswith("mypkg") or not installed)
        # The working directory comes after Python's own library.
        counts = counts and (name != "mailbox.py" or bool(path))
        assert (prints() != before) == counts, name
        (lib / name).write_text(text)
    assert prints() == before


def test_a_module_that_is_not_found_is_like_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    empty = "nowhere"
    absent = plugin_fingerprint(f"{empty}:Net")
    assert absent not in ("", plugin_fingerprint("elsewhere:Net"))
    (tmp_path / f"{empty}.py").write_text("")
    assert plugin_fingerprint(f"{empty}:Net") != absent
    # Neither is one that Python cannot parse, which is read as it stands.
    prints = set()
    for text in ("def f(:", "def f(: # a comment"):
        (tmp_path / f"{empty}.py").write_text(text)
        prints.add(plugin_fingerprint(f"{empty}:Net"))
    assert len(prints) == 2


def test_a_module_with_compiled_code_or_in_an_archive_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    prints = []
    for text in ("x = 1", "x = 2"):
        with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
            archive.writestr("zipped/nets.py", text)
            archive.writestr("zipped/__init__.py", "")
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "library.zip")])
        sys.path_importer_cache.pop(str(tmp_path / "library.zip"), None)
        prints.append(plugin_fingerprint("zipped.nets:Net"))
    assert prints[0] != prints[1]
    assert source.UserModules().add("math", named=True) in (True, False)


NOTEBOOK = """
import dataclasses
import numpy as np
import torch
from csd.core.plugins import name_of
from csd.core.source import plugin_fingerprint
from csd.networks.module import LinearScore
import mypkg.gates

TABLE = {"a": np.arange(3), "b": torch.ones(2), "c": {"x", "y"}}
SCALE = 2.0

def helper(x):
    return SCALE * x

class Base(LinearScore):
    def kernel(self):
        return helper(len(TABLE)) + mypkg.gates.gate(1)

class Net(Base):
    width = 3

    @property
    def units(self):
        return [step for step in range(self.width) if "a" in {"a", "b", "c"}]

@dataclasses.dataclass(frozen=True)
class Noise:
    rate: float = 1.0
    levels: list = dataclasses.field(default_factory=list)

    def signal(self, t):
        return t * self.rate

def made(count):
    class Inner(Net):
        def units(self):
            return count
    return Inner

for one in (Net, Noise, made(1), made(2)):
    print(plugin_fingerprint(name_of("architecture", one, {})))
"""
EDITS: dict[str, tuple[str, str, list[int]]] = {
    "a comment and an empty line": ("class Net", "# more\n\nclass Net", []),
    "its own code": ("range(self.width)", "range(1, self.width)", [0, 2, 3]),
    "an attribute": ("width = 3", "width = 4", [0, 2, 3]),
    "its base": ("helper(len", "helper(1 + len", [0, 2, 3]),
    "a function that its base calls": ("SCALE * x", "x * SCALE", [0, 2, 3]),
    "a number that this function takes": ("SCALE = 2.0", "SCALE = 3.0", [0, 2, 3]),
    "an array": ("np.arange(3)", "np.arange(4)", [0, 2, 3]),
    "a tensor": ("torch.ones(2)", "torch.zeros(2)", [0, 2, 3]),
    "a set": ('{"x", "y"}', '{"x", "z"}', [0, 2, 3]),
    "a default": ("rate: float = 1.0", "rate: float = 1.5", [1]),
    "what a function has made it of": ("made(2)", "made(3)", [3]),
    "other code": ("for one in", "answer = 42\nfor one in", []),
}


RUN = "import json\nfor text in json.loads({texts!r}):\n    exec(text, {{'__name__': '__main__'}})\n"
"""Each text as a notebook of its own, in one process."""


def test_a_class_of_a_notebook_counts_by_its_compiled_code(tmp_path: Path) -> None:
    """With its bases, functions and values, wherever they are; the same in every process."""
    write(tmp_path, PACKAGE)

    def prints(*texts: str, seed: str) -> list[list[str]]:
        out = python(RUN.format(texts=json.dumps(texts)), folder=tmp_path, PYTHONHASHSEED=seed).split()
        return [out[start : start + 4] for start in range(0, len(out), 4)]

    def changed(before: list[str], after: list[str]) -> list[int]:
        return [place for place in range(4) if after[place] != before[place]]

    assert all(old in NOTEBOOK for old, *_ in EDITS.values())
    before, *after = prints(NOTEBOOK, *(NOTEBOOK.replace(old, new) for old, new, _ in EDITS.values()), seed="1")
    assert len({*before}) == 4
    assert {name: changed(before, own) for name, own in zip(EDITS, after, strict=True)} == {
        name: expected for name, (*_, expected) in EDITS.items()
    }
    assert prints(NOTEBOOK, seed="2") == [before]
    (tmp_path / "mypkg" / "gates.py").write_text("gate = round\n")
    assert changed(before, prints(NOTEBOOK, seed="1")[0]) == [0, 2, 3]


def test_a_value_that_cannot_be_copied_makes_a_class_unlike_any_other() -> None:
    class Net:
        """With a generator, whose state nobody can read."""

        numbers = (one for one in "ab")

    path = plugins.name_of("architecture", Net, {})
    assert plugin_fingerprint(path) != plugin_fingerprint(path)


def test_a_module_that_changed_after_its_import_is_not_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook has the old class in memory, and the file has a new one: the hash is that of neither."""
    (tmp_path / "edited_later.py").write_text("class Net:\n    width = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = plugins.name_of("architecture", plugins.resolve("architecture", "edited_later:Net", {}), {})
    old = plugin_fingerprint(path)
    (tmp_path / "edited_later.py").write_text("class Net:\n    width = 20\n")
    both = plugin_fingerprint(path)
    monkeypatch.delitem(sys.modules, "edited_later")
    found = python("from csd.core.source import *\nprint(plugin_fingerprint('edited_later:Net'))", folder=tmp_path)
    assert len({old, both, found}) == 3


NET = """
import torch
from csd.networks.module import LinearScore
from aside import STRETCH

class Net(LinearScore):
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)
        self.k = torch.nn.Parameter(torch.zeros(spectrum.shape, dtype=torch.float64))

    def kernel(self):
        return STRETCH * self.k
"""


def stopped(folder: Path) -> str:
    """What `csd train` says of the network `nets:Net`, in a package on PYTHONPATH, until SIGTERM stops it."""
    words = "train --architecture nets:Net --dimension 1 --size 32 --noise-level 0.1 --path fields --tolerance 0"
    words += " --max-steps 10000000 --output run.nc --checkpoint run.npz --checkpoint-every 0.1"
    env = on_path()
    env["PYTHONPATH"] += f":{folder}"
    process = subprocess.Popen(
        [sys.executable, "-m", "csd", *words.split()], cwd=folder, env=env, stderr=subprocess.PIPE, text=True
    )
    before = (folder / "run.npz").stat().st_mtime_ns if (folder / "run.npz").is_file() else 0
    while not (folder / "run.npz").is_file() or (folder / "run.npz").stat().st_mtime_ns == before:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=60.0)[1]


def test_an_interrupted_training_goes_on_with_the_same_code_only(tmp_path: Path) -> None:
    """Of a module on PYTHONPATH, after an edit of one that it imports."""
    write(tmp_path, {"nets.py": NET, "aside.py": "STRETCH = 1.0\n"})
    assert "same command goes on from there" in stopped(tmp_path)
    assert "going on after step" in stopped(tmp_path)
    write(tmp_path, {"aside.py": "STRETCH = 2.0\n"})
    said = stopped(tmp_path)
    assert "the checkpoint is of other user-defined code; training starts at step 0" in said
    assert "going on" not in said


def test_generation_says_that_the_class_of_a_network_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights would be laid into another function."""
    import csd
    from csd.core.files import content_of
    from csd.diffusion.trained import trained_networks

    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, {"nets_of_before.py": NET.replace("aside", "aside_of_before"), "aside_of_before.py": "STRETCH = 1"})
    how: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.5], "path": "fields", "max_steps": 3}
    run = content_of(csd.train("nets_of_before:Net", **how))
    assert trained_networks(run, 0)
    write(tmp_path, {"aside_of_before.py": "STRETCH = 25"})
    with pytest.warns(UserWarning, match=r"other code of nets_of_before:Net .* train again"):
        trained_networks(run, 0)
