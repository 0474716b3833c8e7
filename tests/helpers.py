"""What tests of several layers share: the checkout, commands in processes of their own, Snakemake, files of a study."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from csd.core.files import TRAINING, provenance, write
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.study.config.reading import parse
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.files import training_file
from csd.training.checkpoint import JobWatch
from csd.training.content import training_content, training_request
from csd.training.loop import train_network
from csd.training.reference import reference_curve

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""


class Ran(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    def complaints(self, command: str) -> list[str]:
        """Lines on standard error besides the echoed command line."""
        return [line for line in self.err.splitlines() if line != shlex.join(["csd", *shlex.split(command)])]


Runner = Callable[[str], Ran]
"""Runs `csd` with a line of arguments: the fixture `csd`."""


def on_path() -> dict[str, str]:
    """The environment in which `csd` and Python are those of the tests, and the package is the checkout's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def outside(*words: str, folder: Path, **options: Any) -> Ran:
    """Run `csd` as a process of its own, in a folder; options are those of `subprocess.run`."""
    command = [sys.executable, "-m", "csd", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=on_path(), **options)
    return Ran(done.returncode, done.stdout, done.stderr)


# ---- studies --------------------------------------------------------------------------------------------------------


def runs_of(content: dict[str, Any]) -> list[TrainingJob]:
    """The training jobs of a study."""
    return training_jobs(parse(content))


def train_files(runs: Sequence[TrainingJob], folder: Path) -> None:
    """Train every job, and write its file."""
    for run in runs:
        problem = run.problem()
        dataset = training_content(*problem, train_network(*problem), reference_curve(*problem)).dataset()
        made_by = provenance(["test"], training_request(*problem))
        write(dataset.assign_attrs(made_by), training_file(run, folder), TRAINING)


# ---- closed forms ----------------------------------------------------------------------------------------------------


def one_layer_kernel(spectrum: NDArray[np.float64], rate: float, step: int) -> NDArray[np.float64]:
    """K_j = K* (1 − (1 − η C)^j) after j steps from K₀ = 0, at any C; same shape as `spectrum`."""
    return np.asarray((1.0 - (1.0 - rate * spectrum) ** step) / spectrum)


def two_layer_flow(spectrum: NDArray[np.float64], start: float, time: float) -> NDArray[np.float64]:
    """Gradient flow of two balanced layers, K(s) = K* K₀ / (K₀ + (K* − K₀) e^{−2s}), at time s = η × steps."""
    exact = 1.0 / spectrum
    return exact * start / (start + (exact - start) * np.exp(-2.0 * time))


# ---- fields without the symmetries of a lattice ---------------------------------------------------------------------


def tilted_spectrum(lattice: Lattice) -> Array:
    """1/S = 0.2 + 0.6 (1 − cos k_x) + 4 (1 − cos k_y) + (1 − cos(k_x + k_y)), *half* layout; in d = 1 without k_y.

    S differs between the axes, and between (k_x, k_y) and (k_x, −k_y).
    """
    line = 2.0 * np.pi * np.arange(lattice.size) / lattice.size
    axes = np.meshgrid(*(line[:length] for length in lattice.half_shape), indexing="ij")
    inverse = 0.2 + 0.6 * (1.0 - np.cos(axes[0]))
    if lattice.dimension > 1:
        inverse += 4.0 * (1.0 - np.cos(axes[1])) + 1.0 - np.cos(axes[0] + axes[1])
    return np.asarray(1.0 / inverse)


def tilted_fields(lattice: Lattice, count: int, mean: float, *purpose: object) -> Array:
    """Independent Gaussian fields of this spectrum about a mean; shape (count, *lattice.shape)."""
    white = stream("tilted fields", *purpose).standard_normal((count, *lattice.shape))
    return mean + lattice.inverse(np.sqrt(tilted_spectrum(lattice)) * lattice.transform(white))


# ---- Snakemake ------------------------------------------------------------------------------------------------------


def snakemake(folder: Path, config: dict[str, Any], *options: str, package: Path = ROOT, path: str = "") -> str:
    """Run the workflow in a folder: all it says.

    Args:
        folder: where it runs; a copy of the workflow in it is taken instead of the checkout's.
        config: of the study, written to the folder.
        options: of Snakemake, and targets.
        package: where csd is imported from.
        path: further folders of PYTHONPATH.

    Raises:
        AssertionError: if it fails, with all it said.
    """
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakefile = next(place / "Snakefile" for place in (folder, ROOT) if (place / "Snakefile").is_file())
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)]
    command += ["--workflow-profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", "2"]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml"), *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=on_path() | {"PYTHONPATH": f"{package}{os.pathsep}{path}".removesuffix(os.pathsep)},
        # The working directory comes first where modules are looked for.
        cwd=package,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(said: str) -> dict[str, int]:
    """Rules that a dry run names, with their numbers of jobs; those that only collect left out."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", said, re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in said
        return {}
    rows = [line.split() for line in table[1].splitlines() if line.strip()]
    return {rule: int(count) for rule, count in rows if rule not in ("all", "reported")}


# ---- the package's source -------------------------------------------------------------------------------------------


def copied_package(folder: Path) -> Path:
    """A copy of the package that a test may edit."""
    return Path(shutil.copytree(ROOT / "csd", folder / "csd", ignore=shutil.ignore_patterns("__pycache__")))


def source_of(package: Path) -> ModuleType:
    """`csd.core.source` of a copy of the package, as a new process reads it."""
    spec = importlib.util.spec_from_file_location("source_of_a_copy", package / "core" / "source.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Once(JobWatch):
    """Keeps a checkpoint after a step, and ends the run there."""

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(checkpoint, "x", lambda: np.nan, lambda line: None, shown=False)
        self.step = step

    def passed(self, step: int, excess: object) -> bool:
        """Whether a checkpoint is due."""
        return step == self.step

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Keep it, and end the run."""
        super().keep(snapshot)
        raise InterruptedError
