"""User-defined code in a study: what its edits rerun, and what `csd verify` says; the configuration of Snakemake."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import on_path, planned, snakemake

pytestmark = pytest.mark.workflow

PACKAGE = {
    "mypkg/__init__.py": "",
    "mypkg/nets.py": """
import torch
from csd.networks.module import LinearScore
from . import gates

class Net(LinearScore):
    def __init__(self, lattice, spectrum, generator):
        super().__init__(lattice)
        self.k = torch.nn.Parameter(torch.zeros(spectrum.shape, dtype=torch.float64))

    def kernel(self):
        return gates.gate(self.k)
""",
    "mypkg/gates.py": "from aside import strength\n\ndef gate(k):\n    return strength * k\n",
    "aside.py": "strength = 1.0\n",
    "mypkg/noise.py": "from csd.targets.noising import VariancePreserving as VP\nclass Noise(VP):\n    pass\n",
    "mypkg/loss.py": "from csd.training.losses import Implicit\nclass Loss(Implicit):\n    pass\n",
    "mypkg/field.py": "from csd.targets.gaussian import GaussianField\nclass Field(GaussianField):\n    pass\n",
}
SWEEP: dict[str, Any] = {"dimension": 1, "sizes": [8], "architectures": ["two_layer"]}
STUDY: dict[str, Any] = {
    "study": "own",
    "output": "out",
    "figures": [],
    "training": {"noise_levels": [0.5], "seeds": [1], "max_steps": 3, "path": "fields"},
    "sweeps": {
        "plain": SWEEP,
        "network": {**SWEEP, "architectures": ["mypkg.nets:Net"]},
        "noise": {**SWEEP, "training": {"schedule": "mypkg.noise:Noise"}},
        "loss": {**SWEEP, "training": {"loss": "mypkg.loss:Loss"}},
        "target": {**SWEEP, "target": "mypkg.field:Field"},
    },
}
EDITED = {
    "aside.py": {"mypkg.nets"},
    "mypkg/noise.py": {"mypkg.noise"},
    "mypkg/__init__.py": {"mypkg.nets", "mypkg.noise", "mypkg.loss", "mypkg.field"},
}
"""Files, and the modules of the classes whose jobs depend on them."""


def verified(folder: Path, path: Path) -> str:
    """What `csd verify` says with a folder on PYTHONPATH."""
    env = on_path()
    env["PYTHONPATH"] += f"{os.pathsep}{path}"
    command = [sys.executable, "-m", "csd", "verify", "out"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False).stdout


def test_an_edit_of_any_module_that_is_reached_reruns_the_jobs_that_reach_it(tmp_path: Path) -> None:
    """Networks, schedules, losses and targets in a package on PYTHONPATH; `csd verify` names the same files."""
    lib, folder = tmp_path / "lib", tmp_path / "study"
    (lib / "mypkg").mkdir(parents=True)
    folder.mkdir()
    for name, text in PACKAGE.items():
        (lib / name).write_text(text)
    snakemake(folder, STUDY, "--", "aggregate", path=str(lib))
    assert "5 good, 0 to mend" in verified(folder, lib)
    for name, reach in EDITED.items():
        text = (lib / name).read_text()
        (lib / name).write_text(f"{text}\nedited = 1\n")
        jobs = planned(snakemake(folder, STUDY, "--dry-run", "--", "aggregate", path=str(lib)))
        assert jobs == {"train": len(reach), "aggregate": 1}, name
        said = verified(folder, lib)
        assert f"{5 - len(reach)} good, {len(reach)} to mend" in said
        assert all(f"stale, other code of {module}:" in said for module in reach)
        (lib / name).write_text(f"{text}\n# edited\n")
    assert "Nothing to be done" in snakemake(folder, STUDY, "--dry-run", "--", "aggregate", path=str(lib))
    # Elsewhere the classes are not found, which is not the same as found and equal.
    assert "1 good, 4 to mend" in verified(folder, tmp_path)
    planned_without = planned(snakemake(folder, STUDY, "--dry-run", "--", "aggregate"))
    assert planned_without == {"train": 4, "aggregate": 1}


PLAIN: dict[str, Any] = {**STUDY, "sweeps": {"plain": SWEEP}}


def test_snakemake_reads_its_configuration_as_yaml(tmp_path: Path) -> None:
    """The jobs are those of the same text in the file."""
    given = "training={batch: 512, seeds: [1, 2], tolerance: 1e-3, learning_rate: null, seeds_per_job: 1}"
    said = snakemake(tmp_path, PLAIN, "--dry-run", "--printshellcmds", "--config", given, "--", "aggregate")
    training = PLAIN["training"] | yaml.safe_load(given.partition("=")[2])
    written = snakemake(tmp_path, {**PLAIN, "training": training}, "--dry-run", "--printshellcmds", "--", "aggregate")
    assert planned(said) == planned(written) == {"study": 1, "train": 2, "aggregate": 1}
    commands = [{line for line in text.splitlines() if "csd train" in line} for text in (said, written)]
    assert commands[0] == commands[1]
    assert all("--batch 512" in line and "--tolerance 0.001" in line for line in commands[0])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("training={batch: 512", "--config training: this is not valid YAML"),
        ("training={batch: many}", "training.batch is 'many'"),
        ("sweeps={plain: {architectures: [{name: 'gone:Net', width: 2}]}}", "there is no module gone"),
    ],
)
def test_snakemake_refuses_a_wrong_configuration_in_one_sentence(entry: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        snakemake(tmp_path, PLAIN, "--dry-run", "--config", entry)
    assert f"configuration: {words}" in str(caught.value).replace(
        "sweeps.plain: architecture 'gone:Net' cannot be imported: ", ""
    )
    assert "Traceback" not in str(caught.value)


def test_snakemake_refuses_equal_keys_in_any_of_its_files(tmp_path: Path) -> None:
    """Before it makes a job."""
    twice = tmp_path / "twice.yaml"
    twice.write_text("training:\n  batch: 8\n  batch: 16\n")
    with pytest.raises(AssertionError, match=r"twice\.yaml: the key 'batch' is given twice, in lines 2 and 3"):
        snakemake(tmp_path, PLAIN, str(twice), "--dry-run")
