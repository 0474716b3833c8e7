"""Fixtures of all tests: problems in a line, `csd` in a line, devices."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

# As `csd` does: pools of threads only get in the way of arrays this small.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from csd.lattice import Lattice  # noqa: E402
from csd.targets.gaussian import GaussianField  # noqa: E402
from csd.targets.noising import NoisedTarget, VariancePreserving  # noqa: E402
from tests.helpers import Ran, Runner  # noqa: E402

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("fixed")

Problem = Callable[..., NoisedTarget]


@pytest.fixture(scope="session")
def critical() -> Problem:
    """The field of mass 1/L, noised by VP: critical(dimension, size, levels)."""

    def make(dimension: int, size: int, levels: Sequence[float] = (0.1,)) -> NoisedTarget:
        return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), levels)

    return make


@pytest.fixture
def csd(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs `csd` with a line of arguments, in this process and in `tmp_path`."""
    from csd.cli.commands import main

    monkeypatch.chdir(tmp_path)

    def run(command: str) -> Ran:
        capsys.readouterr()
        status = 0
        try:
            main(shlex.split(command))
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str | None:
    """Each device that PyTorch may have here."""
    if request.param == "cuda":
        import torch

        if not torch.cuda.is_available():
            pytest.skip("PyTorch finds no GPU here")
    return request.param
