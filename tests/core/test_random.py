"""Streams of random numbers: compiled loops draw what NumPy draws, bit for bit, whoever asks, whenever they come in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from csd.core import _ziggurat as ziggurat
from csd.core import compiled_random
from csd.core.compiled_random import FEW, SWITCH, WORTH_LOADING, Process, compiled_loops, draw_alike, load_loops
from csd.core.random import draw_complex_normal, draw_gamma, draw_normal, position, stream
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

NUMBERS = 2**18


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled loops from the first number on."""
    monkeypatch.setattr(Process, "drawn", 0)
    assert load_loops()


# 11.33 and 1e5 + 1/3 are where the squeeze of `fill_gamma` changes.
@pytest.mark.parametrize("order", [1.0 + 1e-9, 1.5, 4.0, 11.3, 11.4, 64.0, 1024.0, 99_999.0, 1e5 + 1.0, 1e9])
def test_gamma_numbers_are_those_of_numpy(order: float, compiled: None) -> None:
    ours, theirs = stream("gamma", order), stream("gamma", order)
    np.testing.assert_array_equal(
        draw_gamma(ours, order, (NUMBERS // 2, 2)).ravel(), theirs.standard_gamma(order, NUMBERS)
    )
    np.testing.assert_array_equal(position(ours), position(theirs))


def test_normal_numbers_are_those_of_numpy(compiled: None) -> None:
    """A million, of which one in a hundred lie beside their layer and 260 beyond the ziggurat's edge."""
    ours, theirs = stream("normal"), stream("normal")
    drawn = draw_normal(ours, (4, NUMBERS))
    np.testing.assert_array_equal(drawn.ravel(), theirs.standard_normal(4 * NUMBERS))
    np.testing.assert_array_equal(position(ours), position(theirs))
    assert np.abs(drawn).max() > ziggurat.EDGE


def test_complex_normal_numbers_are_those_of_numpy(compiled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """mean + deviation × (x + i y)/√2 with x, y in turn from the stream; into part of wider rows."""
    generator = stream("mean and deviation")
    mean = generator.standard_normal((50, 80))[:, ::2]
    deviation = np.broadcast_to(generator.standard_normal(40), (50, 40))
    unit = stream("complex").standard_normal((50, 40, 2)) * np.sqrt(0.5)
    wide = np.zeros((50, 43), dtype=complex)
    draw_complex_normal(stream("complex"), mean, deviation, wide[:, :40])
    np.testing.assert_array_equal(wide[:, :40], mean + unit[..., 0] * deviation + 1j * (unit[..., 1] * deviation))
    assert (wide[:, 40:] == 0).all()


@pytest.mark.parametrize("numbers", [1, FEW - 1, FEW])
def test_few_numbers_are_those_of_numpy(numbers: int, compiled: None) -> None:
    ours, theirs = stream("few"), stream("few")
    for _ in range(3):
        np.testing.assert_array_equal(draw_normal(ours, (numbers,)), theirs.standard_normal(numbers))
        np.testing.assert_array_equal(draw_gamma(ours, 2.5, (numbers,)), theirs.standard_gamma(2.5, numbers))


@pytest.mark.parametrize("generator", [np.random.default_rng(3), np.random.Generator(np.random.MT19937(3))])
def test_other_generators_are_numpys(generator: np.random.Generator, compiled: None) -> None:
    kind = type(generator.bit_generator)
    np.testing.assert_array_equal(draw_normal(generator, (1000,)), np.random.Generator(kind(3)).standard_normal(1000))


def _trained(loss: str) -> dict[str, np.ndarray]:
    """All numbers of a training in d = 2, whose blocks are several pieces long."""
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(2, 24)), VariancePreserving(), [0.05, 0.4])
    settings = TrainingSettings(loss=loss, batch=64, seeds=(1, 2), tolerance=0.0, max_steps=400)
    record = train_network(noised, Architecture("one_layer"), settings)
    return {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("loss", ["implicit", "denoising"])
@pytest.mark.parametrize("first", [0, 10_000, 200_000])
def test_a_training_does_not_show_when_loops_came_in(loss: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first number, in the first block of steps, and in a later one: the bytes of NumPy alone."""
    with monkeypatch.context() as patch:
        patch.setattr(compiled_random, "compiled_loops", lambda: None)
        expected = _trained(loss)
    monkeypatch.setattr(compiled_random, "WORTH_LOADING", first)
    monkeypatch.setattr(Process, "drawn", 0)
    for name, value in _trained(loss).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert Process.drawn > 2 * first


def test_loops_that_disagree_with_numpy_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a change of NumPy's algorithm: one number in the last place is enough."""
    right = ziggurat.fill_gamma

    def wrong(state: np.ndarray, order: float, out: np.ndarray) -> None:
        right(state, order, out)
        out[-1] = np.nextafter(out[-1], np.inf)

    assert draw_alike(ziggurat, 64.0)
    monkeypatch.setattr(ziggurat, "fill_gamma", wrong)
    assert not draw_alike(ziggurat, 64.0)
    assert compiled_loops.__wrapped__() is None


def test_numpy_goes_on_where_nothing_compiled_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    def refuse(*arguments: object, **options: object) -> object:
        raise RuntimeError("cannot cache function 'fill_normal': no locator available for file")

    monkeypatch.setattr(numba, "njit", refuse)
    monkeypatch.delitem(sys.modules, "csd.core._ziggurat")
    monkeypatch.delattr("csd.core._ziggurat")
    assert compiled_loops.__wrapped__() is None


TRAIN = ["train", "--architecture", "one_layer", "--dimension", "2", "--size", "64", "--noise-level", "0.1", "0.3"]
TRAIN += ["--batch", "64", "--tolerance", "0", "--output", "run.nc", "--max-steps"]
PROGRAM = (
    "import sys; from csd.cli.commands import main; "
    "status = main(sys.argv[1:]); print('numba' in sys.modules); sys.exit(status)"
)


def _job(folder: Path, steps: int, **environment: str) -> "subprocess.Popen[str]":
    """A training job of 4,100 numbers a step, which says in the end whether it loaded Numba."""
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *TRAIN, str(steps)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_jobs_that_start_at_once_leave_the_same_file(tmp_path: Path) -> None:
    """Two that compile at the same time, into an empty folder, one that may not compile, and one told not to."""
    kept = tmp_path / "compiled"
    steps = 11 * WORTH_LOADING // 4100 // 10
    jobs = {f"{i}": _job(tmp_path / f"{i}", steps, NUMBA_CACHE_DIR=str(kept)) for i in range(2)}
    jobs["NumPy"] = _job(tmp_path / "NumPy", steps, NUMBA_DISABLE_JIT="1")
    jobs["off"] = _job(tmp_path / "off", steps, **{SWITCH: "0"})
    said = {name: job.communicate()[0] for name, job in jobs.items()}
    assert all(job.returncode == 0 for job in jobs.values())
    loaded = {name: text.split()[-1] for name, text in said.items()}
    assert loaded == {"0": "True", "1": "True", "NumPy": "True", "off": "False"}
    assert any(kept.rglob("_ziggurat*.nbc"))
    files = {(tmp_path / name / "run.nc").read_bytes() for name in jobs}
    assert len(files) == 1


def test_a_short_job_does_not_load_numba(tmp_path: Path) -> None:
    job = _job(tmp_path / "short", 100)
    assert job.communicate()[0].split()[-1] == "False"
    assert job.returncode == 0
