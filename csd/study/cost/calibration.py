"""Calibration: how fast this machine is, measured in about a second."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from csd.core.random import stream
from csd.diffusion.integrators import FrozenKernel
from csd.diffusion.samples import draw_samples
from csd.diffusion.sampling import generated_variance, linear_steps, sample_modes
from csd.lattice import Lattice
from csd.lattice.bins import LengthBins
from csd.networks import Architecture
from csd.networks.local import LocalNetwork
from csd.study.cost.pace import Calibration, JobPace, Pace
from csd.study.cost.work import patch_time
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.batches import FreshSpectra
from csd.training.loop import descend
from csd.training.losses import Implicit
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare


class Stopwatch:
    """Times the steps of a training between two of them; a `csd.training.loop.Watch`.

    Args:
        first: the step after which time counts.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.seconds = self.steps = self._started = 0.0

    def found(self) -> None:
        """Nothing was kept."""

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Note the time."""
        if step == self.first:
            self._started = process_time()
        elif step > self.first:
            self.seconds, self.steps = process_time() - self._started, step - self.first
        return False

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Never asked for."""


def _pace(small: tuple[float, float], large: tuple[float, float]) -> Pace:
    """The line through two measurements (numbers, seconds); neither part below 0."""
    rate = max((large[1] - small[1]) / (large[0] - small[0]), 0.0)
    return Pace(max(small[1] - rate * small[0], 0.0), rate)


def _seconds(call: Callable[[], Any], calls: int, repeats: int = 3) -> float:
    """Processor seconds of a call, the least of some repeats."""
    times = []
    for _ in range(repeats):
        started = process_time()
        for _ in range(calls):
            call()
        times.append((process_time() - started) / calls)
    return min(times)


def _noised(lattice: Lattice, levels: Sequence[float] = (0.1, 0.5)) -> NoisedTarget:
    """A critical target to measure on."""
    return NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels)


def _step(lattice: Lattice, architecture: Architecture, loss: str, steps: int, path: Any = "spectral") -> float:
    """Seconds of a step of two seeds at two levels, the less of two trainings."""
    noised = _noised(lattice)
    settings = TrainingSettings(loss, 64, seeds=(0, 1), tolerance=0.0, max_steps=steps, learning_rate=1e-3, path=path)
    times = []
    for _ in range(2):
        watch = Stopwatch(min(48, steps // 2))
        descend(noised, prepare(noised, architecture, settings), settings, watch)
        times.append(watch.seconds / watch.steps)
    return min(times)


def calibrate(*, fields: bool = False) -> Calibration:
    """Measure how fast this machine is, in about a second.

    Args:
        fields: measure training on raw fields as well, for which PyTorch is loaded.
    """
    small, large = Lattice(1, 16), Lattice(2, 64)

    def drawn(lattice: Lattice) -> tuple[float, float]:
        modes = lattice.pairs
        source = FreshSpectra(Implicit(), _noised(lattice, (0.1,)), modes, 1024, "calibration", (0,))
        return len(modes), _seconds(source.draw, source.steps)

    def stepped(lattice: Lattice, steps: int) -> tuple[float, float]:
        seconds = _step(lattice, Architecture("two_layer"), "population", steps)
        return 4.0 * len(lattice.shells), seconds

    draw = _pace(drawn(small), drawn(large))

    def patched(lattice: Lattice, reach: int, steps: int) -> tuple[float, float]:
        architecture = Architecture("local_one_layer", range=reach)
        network = architecture.build(lattice, 1.0)
        assert isinstance(network, LocalNetwork)
        seconds = _step(lattice, architecture, "implicit", steps) - draw(4.0 * len(lattice.pairs))
        return 4.0 * patch_time(network, fresh=True), seconds

    def recorded(lattice: Lattice) -> tuple[float, float]:
        bins, values = LengthBins(lattice.pairs, 0.1, lattice.dimension), np.ones(len(lattice.pairs))
        return len(values), _seconds(lambda: bins.root_mean_square(values), 20)

    def recursed(numbers: int) -> tuple[float, float]:
        noised, kernels = _noised(small, (0.5, 0.1)), np.ones((2, numbers))
        integrator, grid = FrozenKernel(), np.array(noised.levels)
        return numbers, _seconds(
            lambda: generated_variance(1.0, linear_steps(integrator, noised.schedule, grid, kernels)), 5
        )

    def sampled(lattice: Lattice, noise: float) -> tuple[float, float]:
        modes, levels = lattice.pairs, 16
        steps = [(np.ones(len(modes)), noise * np.ones(len(modes)))] * levels
        generator = stream("calibration")
        return len(modes), _seconds(lambda: sample_modes(steps, modes, 1.0, generator), 5) / levels

    def kept(lattice: Lattice) -> tuple[float, float]:
        bins = LengthBins(lattice.pairs, 0.1, lattice.dimension)
        return len(lattice.pairs), _seconds(lambda: draw_samples(lattice, [], 1.0, bins, 4, "calibration"), 1) / 4.0

    def on_fields(lattice: Lattice) -> tuple[float, float]:
        seconds = _step(lattice, Architecture("two_layer"), "implicit", 6, "fields")
        return 64.0 * lattice.sites, seconds / 4.0

    return Calibration(
        _job("--loss", "population"),
        draw,
        _pace(stepped(small, 1000), stepped(Lattice(2, 128), 200)),
        _pace(patched(small, 1, 400), patched(Lattice(2, 32), 3, 200)),
        _pace(recorded(small), recorded(large)),
        _pace(recursed(100), recursed(20_000)),
        _pace(sampled(small, 1.0), sampled(large, 1.0)),
        _pace(sampled(small, 0.0), sampled(large, 0.0)),
        _pace(kept(small), kept(large)),
        _pace(on_fields(small), on_fields(Lattice(2, 32))) if fields else None,
        _job("--path", "fields") if fields else None,
    )


def _job(*flags: str) -> JobPace:
    """A training job of one step, as another process."""
    words = ["train", "--architecture", "one_layer", "--dimension", "1", "--size", "8", "--noise-level", "0.5", *flags]
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        words += ["--max-steps", "1", "--tolerance", "0", "--output", f"{folder}/file.nc", "--benchmark", str(record)]
        times = []
        for _ in range(2):
            before = _of_children()
            subprocess.run([sys.executable, "-m", "csd", *words], check=True, capture_output=True)
            times.append(_of_children() - before)
        return JobPace(min(times), float(json.loads(record.read_text())["peak_memory_mb"]))


def _of_children() -> float:
    """Processor seconds of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system
