"""Interruption: a killed run goes on from its checkpoint, to the same bytes."""

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csd.core.errors import GenerationFailed, InputError, Interrupted, TrainingDiverged
from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.reverse import goal_of
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.targets.base import HasSpectrum
from csd.targets.dataset import FieldSet
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.checkpoint import JobWatch
from csd.training.descent.optimizers import OPTIMIZERS
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import move, prepare
from csd.training.record import TrainingRecord
from csd.training.reference import expected_steps
from tests.helpers import tilted_fields


class Once(JobWatch):
    """A watch that gets SIGTERM at the first chance from a step on; 0 for never."""

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(checkpoint, "test", lambda: float("nan"), lambda line: None)
        self.step = step

    def passed(self, step: int, excess: object) -> bool:
        asked = 0 < self.step <= step
        if asked:
            signal.raise_signal(signal.SIGTERM)
        return asked


NO_KERNELS: dict[str, Any] = {"kernel_steps": "last"}
SIDE_BY_SIDE: list[tuple[str, str, dict[str, Any]]] = [
    ("gd", "implicit", {"learning_rate": 0.01}),
    ("heavy_ball", "denoising", {"learning_rate": 0.01, "tolerance": 0.8}),
    ("nesterov", "denoising", {"learning_rate": 0.001, "clip": 1.0}),
    ("adam", "denoising", {"average": 0.9, "rate_schedule": "cosine"}),
    ("adamw", "implicit", {"tolerance": 0.8, "learning_rate": 0.02}),
]
CASES: dict[str, tuple[Architecture, dict[str, Any]]] = {
    "one layer, implicit": (Architecture("one_layer"), {"batch": 32}),
    "two layers, denoising": (Architecture("two_layer"), {"loss": "denoising", "batch": 2048}),
    "local, ranges of its own": (Architecture("local_one_layer", range="2xi"), {"batch": 64}),
    "tied local filters": (Architecture("local_two_layer", range=2), {"batch": 1024}),
    "a data set": (
        Architecture("two_layer"),
        {"loss": "population", "data_set": 16, "tolerance": 0.0, "max_steps": 60},
    ),
    "closed-form steps": (Architecture("one_layer"), {"loss": "population"}),
    "raw fields, autograd": (
        Architecture("two_layer"),
        {"path": "fields", "batch": 8, "max_steps": 40, "tolerance": 0.0},
    ),
    "held-out losses": (
        Architecture("one_layer_onsite", width=2),
        {"path": "fields", "loss": "denoising", "batch": 8, "max_steps": 40, "tolerance": 0.0, "kernel_steps": "last"},
    ),
    "conditioned": (
        Architecture("wiener", width=4),
        {
            **{"path": "fields", "loss": "denoising", "batch": 8, "max_steps": 40, "tolerance": 0.0},
            **{"conditioned": True, "average": 0.9, "kernel_steps": "last"},
        },
    ),
    "adam, filters from amplitudes": (Architecture("two_layer"), {"batch": 32, "optimizer": "adam", "max_steps": 60}),
    "adam, amplitudes from filters": (
        Architecture("two_layer"),
        {"path": "fields", "batch": 8, "optimizer": "adam_fourier", "max_steps": 40, "tolerance": 0.0},
    ),
    "nesterov, ranges of its own": (
        Architecture("local_one_layer", range="2xi"),
        {"loss": "denoising", "optimizer": "nesterov", "rate_schedule": "inverse_sqrt", "max_steps": 60},
    ),
    "adamw, autograd": (
        Architecture("one_layer_onsite", width=2),
        {"path": "fields", "loss": "denoising", "optimizer": "adamw", "clip": 0.5, "max_steps": 40, **NO_KERNELS},
    ),
    **{
        f"side by side, {optimizer}": (
            Architecture("convolutional", width=2, depth=2),
            {"path": "fields", "batch": 32, "loss": loss, "optimizer": optimizer, "max_steps": 60, **NO_KERNELS, **how},
        )
        for optimizer, loss, how in SIDE_BY_SIDE
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_run_goes_on_as_if_nothing_had_been(case: str, tmp_path: Path) -> None:
    """Stopped at step 3, at 17, and when the first seed has left: every number as in one go."""
    architecture, keys = CASES[case]
    target: HasSpectrum = GaussianField.on_critical_line(Lattice(1, 12))
    if case == "held-out losses":
        target, keys = FieldSet.split(target.lattice, tilted_fields(target.lattice, 30, 2.0)), {**keys, "data_set": 24}
    noised = NoisedTarget(target, VariancePreserving(), [0.05, 0.4])
    settings = TrainingSettings(**{"seeds": (1, 2, 3), "kernel_steps": "recorded", **keys})
    whole = train_network(noised, architecture, settings)
    stops = sorted({3, 17, *(int(step) for step in whole.last_step if step < whole.last_step.max())})
    for stop in [stop for stop in stops if stop < whole.last_step.max()]:
        with (
            pytest.raises(Interrupted, match=rf"SIGTERM .*\b{stop}\b.*c\.npz"),
            Once(tmp_path / "c.npz", stop) as watch,
        ):
            descend(noised, prepare(noised, architecture, settings), settings, watch)
    last = Once(tmp_path / "c.npz", 0)
    assert last.found() is not None
    resumed = descend(noised, prepare(noised, architecture, settings), settings, last)
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(resumed, name), value, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_rule_goes_on_after_twenty_stops(optimizer: str, tmp_path: Path) -> None:
    """Twenty times stopped and resumed, at random steps: the same numbers as in one go."""
    settings = TrainingSettings(
        "denoising", 64, seeds=(1, 2), optimizer=optimizer, learning_rate=0.01, max_steps=80, tolerance=0.0
    )
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(2, 6)), VariancePreserving(), [0.1, 0.4])

    def trained(watch: JobWatch | None) -> TrainingRecord:
        return descend(noised, prepare(noised, Architecture("two_layer"), settings), settings, watch)

    for stop in sorted(np.random.default_rng(6).choice(np.arange(1, 80), 20, replace=False)):
        with pytest.raises(Interrupted), Once(tmp_path / "c.npz", int(stop)) as watch:
            trained(watch)
    last = Once(tmp_path / "c.npz", 0)
    assert (last.found() or {})["recorder/step"] == stop
    np.testing.assert_array_equal(trained(last).weights, trained(None).weights)


@pytest.mark.parametrize("case", [case for case, (_, keys) in CASES.items() if not {"path", "optimizer"} & keys.keys()])
def test_steps_on_a_device_go_on_as_if_nothing_had_been(case: str, device: str, tmp_path: Path) -> None:
    """Stopped again and again, within blocks and after the first seed has left: every number as in one go."""
    architecture, keys = CASES[case]
    target: HasSpectrum = GaussianField.on_critical_line(Lattice(1, 12))
    if case == "held-out losses":
        target, keys = FieldSet.split(target.lattice, tilted_fields(target.lattice, 30, 2.0)), {**keys, "data_set": 24}
    noised = NoisedTarget(target, VariancePreserving(), [0.05, 0.4])
    settings = TrainingSettings(**{"seeds": (1, 2, 3), "kernel_steps": "recorded", **keys})

    def trained(watch: JobWatch | None) -> TrainingRecord:
        return descend(noised, move(prepare(noised, architecture, settings), device), settings, watch)

    whole = trained(None)
    end = int(whole.last_step.max())
    for stop in (3, end // 3, 2 * end // 3):
        with pytest.raises(Interrupted, match="SIGTERM"), Once(tmp_path / "c.npz", stop) as watch:
            trained(watch)
    last = Once(tmp_path / "c.npz", 0)
    kept = last.found()
    assert kept is not None
    assert 2 * end // 3 <= kept["recorder/step"] < end
    resumed = trained(last)
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(resumed, name), value, err_msg=name)


@pytest.mark.parametrize("device", [None, "cpu", "cuda"], indirect=True)
def test_training_until_samples_are_right_goes_on_as_if_nothing_had_been(device: str | None, tmp_path: Path) -> None:
    """It ends at a recorded step, the first at which the goal was met for long enough, whatever stopped it before."""
    architecture, lattice = Architecture("two_layer"), Lattice(1, 8)
    grid = geometric_grid(1e-3, longest_level(8), 16).tolist()
    noised = NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), grid)
    settings = TrainingSettings(batch=2**16, seeds=(1, 2, 3), kernel_steps="sparse", until="samples", max_steps=500)
    with pytest.raises(InputError, match="goal"):
        train_network(noised, architecture, settings)

    def trained(watch: JobWatch | None) -> TrainingRecord:
        run = prepare(noised, architecture, settings)
        goal = goal_of(noised, architecture, settings)
        return descend(noised, run if device is None else move(run, device), settings, watch, goal)

    whole = trained(None)
    end = int(whole.last_step.max())
    assert end < 60
    assert np.isnan(whole.score_error).sum() == 16 * (end - whole.last_step).sum() + (end - whole.last_step).sum()
    for stop in (3, end - 5, end - 2):
        with pytest.raises(Interrupted, match="SIGTERM"), Once(tmp_path / "c.npz", stop) as watch:
            trained(watch)
    resumed = trained(Once(tmp_path / "c.npz", 0))
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(resumed, name), value, err_msg=name)
    # Another seed's last kernels meet every criterion, those of five steps before do not.
    goal = goal_of(noised, architecture, settings)
    assert whole.kernel is not None
    assert whole.recorded_kernels is not None
    assert list(whole.kernel_steps[:12]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15]
    for kernels, right in ((whole.kernel, True), (whole.recorded_kernels[:, :, 11], False)):
        score = KernelScore(lattice, whole.modes, noised.levels, kernels.swapaxes(0, 1))
        assert goal(score).tolist() == [right] * 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_a_damaged_checkpoint_is_left_aside(content: bytes, tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "c.npz").write_bytes(content)
    assert JobWatch(tmp_path / "c.npz", "mine", lambda: 10.0, said.append).found() is None
    assert len(said) == 1
    assert "c.npz" in said[0]


def test_a_checkpoint_of_something_else_is_left_aside(tmp_path: Path) -> None:
    said: list[str] = []
    watch = JobWatch(tmp_path / "c.npz", "other", lambda: 10.0, said.append)
    watch.keep({"recorder/step": np.array(5)})
    assert watch.found() is not None
    assert JobWatch(tmp_path / "c.npz", "mine", lambda: 10.0, said.append).found() is None
    assert "c.npz" in said[-1]


@pytest.mark.parametrize("earlier", ["mine", "other", None])
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(earlier: str | None, tmp_path: Path) -> None:
    """A run that is stopped says that it goes on from there, unless the file is of another run."""
    path = tmp_path / "c.npz"
    if earlier is not None:
        JobWatch(path, earlier, lambda: 10.0, str).keep({"recorder/step": np.array(5)})
    watch = JobWatch(path, "mine", lambda: 10.0, str)
    assert (watch.found() is not None) == (earlier == "mine")
    tmp_path.joinpath("c.npz").touch()
    path.chmod(0o444)
    with (
        pytest.raises(Interrupted, match="from the last checkpoint" if earlier == "mine" else "nothing was kept"),
        watch,
    ):
        signal.raise_signal(signal.SIGTERM)
        watch.keep({"recorder/step": np.array(7)})


COMMAND = ["train", "--architecture", "one_layer", "--dimension", "1", "--size", "96", "--noise-level", "0.1", "0.5"]
COMMAND += ["--batch", "64", "--seed", "1", "2", "--kernel-steps", "recorded", "--checkpoint-every", "0.02"]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "csd", *COMMAND, *words, "--output", "run.nc"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def test_killed_runs_leave_identical_results(tmp_path: Path) -> None:
    """SIGKILL at 10 random moments of the run, start-up and writing included; then the same bytes."""
    began = time.monotonic()
    start(tmp_path).communicate()
    length = time.monotonic() - began
    expected = (tmp_path / "run.nc").read_bytes()
    (tmp_path / "run.nc").unlink()
    resumed = 0
    for moment in np.random.default_rng(20).uniform(0.2, 1.0, 10) * length:
        process = start(tmp_path)
        try:
            said = process.communicate(timeout=float(moment))[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            said = process.communicate()[1]
        resumed += "going on after step" in said
        if (tmp_path / "run.nc").exists():
            assert (tmp_path / "run.nc").read_bytes() == expected
            (tmp_path / "run.nc").unlink()
    start(tmp_path).communicate()
    assert (tmp_path / "run.nc").read_bytes() == expected
    assert resumed > 1
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["run.nc"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_twenty_kills_of_any_rule_leave_identical_results(optimizer: str, tmp_path: Path) -> None:
    """SIGKILL at 20 random moments; after each the run is finished, to the same bytes."""
    words = ("--optimizer", optimizer, "--tolerance", "0", "--max-steps", "6000", "--learning-rate", "1e-4")
    began = time.monotonic()
    start(tmp_path, *words).communicate()
    length = time.monotonic() - began
    expected = (tmp_path / "run.nc").read_bytes()
    resumed = 0
    for moment in np.random.default_rng(21).uniform(0.2, 1.0, 20) * length:
        (tmp_path / "run.nc").unlink(missing_ok=True)
        process = start(tmp_path, *words)
        try:
            process.communicate(timeout=float(moment))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        resumed += "going on after step" in start(tmp_path, *words).communicate()[1]
        assert (tmp_path / "run.nc").read_bytes() == expected
    assert resumed > 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_the_run_and_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "--checkpoint-every", "1000", "--tolerance", "0")
    progress = tmp_path / "run.nc.checkpoint.json"
    deadline = time.monotonic() + 60.0
    while not progress.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number
    assert time.monotonic() - sent < 5.0
    assert said.splitlines()[-1].startswith(f"csd train: stopped by {number.name}")
    assert "run.nc.checkpoint.npz" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc.checkpoint.npz"]


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("one_layer"),
        Architecture("two_layer"),
        Architecture("deep_linear", depth=4),
        Architecture("local_one_layer", range=2),
        Architecture("local_two_layer", range=2),
    ],
    ids=lambda architecture: architecture.label,
)
def test_expected_steps_are_those_of_training(architecture: Architecture) -> None:
    """From closed forms, or one logistic map for 48 values of C; tied local filters start at random (factor 2)."""
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(1, 24)), VariancePreserving(), [0.05, 0.4])
    settings = TrainingSettings(loss="population")
    taken = float(train_network(noised, architecture, settings).last_step.max())
    factor = 2.0 if architecture.name == "local_two_layer" else 1.2
    assert taken / factor < expected_steps(noised, architecture, settings) < taken * factor


def test_errors_pass_from_process_to_process() -> None:
    """As `multiprocessing` does it: a copy with the same message and attributes."""
    for error in (
        Interrupted(signal.SIGTERM, "after step 5"),
        InputError("size is 1"),
        TrainingDiverged("at step 5"),
        GenerationFailed("at 0.1"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
