"""User-defined classes that cannot be taken: one sentence, with the file and line of the user's code that fails."""

import sys
from pathlib import Path

import pytest

import csd as package
from csd.core.errors import InputError
from csd.core.plugins import resolve
from tests.helpers import Runner, outside

FILES = {
    "syntax.py": "x = 1\ndef f(:\n",
    "ends.py": "import sys\n\nsys.exit('no licence')\n",
    "raises.py": "x = 1\n\n\nraise RuntimeError('two\\nlines')\n",
    "needs.py": "import numpy\nimport there_is_no_such_thing\n",
    "inner/__init__.py": "from . import deep\n",
    "inner/deep.py": "import numpy\n\nnumpy.zeros(3)[7]\n",
    "number.py": "Net = 3\n",
    "plain.py": "class Net:\n    class Inner:\n        pass\n",
    "latin.py": "x = 'é'\n",
    "annotated.py": "from csd.networks.module import ScoreNetwork\nclass Net(ScoreNetwork):\n    x: 'Nowhere' = 1\n",
    "random.py": "class Net:\n    pass\n",
    "numpy.py": "class Net:\n    pass\n",
}
"""Modules of a user, in the working directory."""
REFUSED = {
    "syntax:Net": ["syntax.py, line 2", "invalid syntax"],
    "ends:Net": ["ends.py, line 3", "SystemExit: no licence"],
    "raises:Net": ["raises.py, line 4", "RuntimeError: two lines"],
    "needs:Net": ["needs.py, line 2", "there_is_no_such_thing"],
    "inner:Net": ["deep.py, line 3", "IndexError"],
    "inner.deep:Net": ["deep.py, line 3", "IndexError"],
    "latin:Net": ["latin.py, line 1", "utf-8"],
    "number:Net": ["is 3, which is no class"],
    "plain:Net": ["is no network", "csd.networks.module.ScoreNetwork"],
    "plain:Network": ["plain.py", "has no class Network"],
    "annotated:Net": ["annotation", "'Nowhere'"],
    "absent:Net": ["there is no module absent", "PYTHONPATH"],
    "plain.absent:Net": ["there is no module plain.absent"],
    "random:Net": ["random.py in the working directory", "rename it"],
    "numpy:Net": ["numpy.py in the working directory", "rename it"],
    "__main__:Net": ["notebook, a script or a function"],
    "plain:make.<locals>.Net": ["notebook, a script or a function"],
    ":Net": ["package.module:Class"],
    "./plain:Net": ["package.module:Class"],
    "plain.py:Net": ["there is no module plain.py"],
    "plain:Net:Inner": ["package.module:Class"],
}
"""Dotted paths, and words of the sentence that refuses each."""
STUDY = "study: s\nfigures: []\nsweeps: {{a: {{dimension: 1, sizes: 8, architectures: ['{name}']}}}}\n"
TRAIN = "train --dimension 1 --size 8 --noise-level 0.1 --output f.nc --architecture"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the modules."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    monkeypatch.chdir(tmp_path)
    # Away again after the test, as other tests have modules of the same names.
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_imported_is_one_sentence(modules: Path, csd: Runner, name: str) -> None:
    """The same from a command, from the check of a study, and in Python."""
    (modules / "study.yaml").write_text(STUDY.format(name=name))
    said = []
    for command in (f"{TRAIN} '{name}'", "validate --no-cost study.yaml"):
        ran = csd(command)
        assert ran.status == 2
        (sentence,) = ran.complaints(command)
        # Names of files come first in a study.
        if "cannot name a file" not in sentence:
            said.append(sentence)
    with pytest.raises(InputError) as caught:
        package.train(name, dimension=1, size=8, noise_levels=[0.1])
    for sentence in (*said, str(caught.value)):
        assert [word for word in [*REFUSED[name], repr(name)] if word not in sentence] == [], sentence
        assert "\n" not in sentence


def test_a_class_within_a_class_is_found(modules: Path) -> None:
    assert resolve("loss", "plain:Net.Inner", {}).__qualname__ == "Net.Inner"


@pytest.mark.parametrize("module", ["random", "numpy", "json", "torch"])
def test_a_file_that_has_the_name_of_another_module_does_no_harm(tmp_path: Path, module: str) -> None:
    """`python -m csd` looks into the working directory last, as `csd` does."""
    (tmp_path / f"{module}.py").write_text("class Net:\n    pass\n")
    ran = outside(*TRAIN.split(), "two_layer", folder=tmp_path)
    assert ran.status == 0, ran.err
    ran = outside(*TRAIN.split(), f"{module}:Net", folder=tmp_path)
    assert ran.status == 2
    assert f"{module}.py in the working directory has the name of that module" in ran.err
    assert "Traceback" not in ran.err
