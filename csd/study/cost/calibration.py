"""Calibration: the pace of this machine, measured in about a second relative to `REFERENCE`."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.study.cost.pace import REFERENCE, Calibration, JobPace, Pace
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare

MEASURED = {("two_layer", 64): 1.4e-4, ("local_one_layer", 16): 2.8e-5}
"""Seconds of a training step of two seeds at two levels in two dimensions, on the machine of `REFERENCE`."""
REPEATS, STEPS = 5, 200
"""Measurements of a step, the least of which counts, and steps in each."""


def calibrate() -> Calibration:
    """`REFERENCE` as it would be on this machine.

    Training steps of a full and of a local network measure the speed: they draw numbers, stream through arrays and
    transform them as all other work does. The job that does nothing is measured as it is.
    """
    slowness = float(np.exp(np.mean([np.log(_step(*what) / seconds) for what, seconds in MEASURED.items()])))
    job = _job()
    paces: dict[str, Any] = {}
    for name, pace in vars(REFERENCE).items():
        if isinstance(pace, Pace):
            paces[name] = Pace(slowness * pace.overhead, slowness * pace.rate)
        else:
            paces[name] = replace(pace, seconds=pace.seconds * job.seconds / REFERENCE.job.seconds)
    return Calibration(**paces | {"job": job})


def _step(name: str, size: int) -> float:
    """Processor seconds of a training step."""
    noised = NoisedTarget(GaussianField.on_critical_line(Lattice(2, size)), VariancePreserving(), [0.1, 0.5])
    architecture = Architecture(name, range=1 if name.startswith("local") else None)
    run = prepare(noised, architecture, TrainingSettings("implicit", 1024, seeds=(0, 1)))
    seconds = []
    for _ in range(REPEATS):
        started = process_time()
        for _ in range(STEPS):
            run.descent.advance(*run.source.draw())
            run.descent.error()
        seconds.append((process_time() - started) / STEPS)
    return min(seconds)


def _job() -> JobPace:
    """A training job of one step, as a process of its own."""
    words = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --loss population --tolerance 0"
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "csd", *words.split(), "--max-steps", "1", "--benchmark", str(record)]
        times = []
        for _ in range(2):
            before = os.times()
            subprocess.run([*command, "--output", f"{folder}/file.nc"], check=True, capture_output=True)
            after = os.times()
            times.append(sum(after[2:4]) - sum(before[2:4]))
        return JobPace(min(times), float(json.loads(record.read_text(encoding="utf-8"))["peak_memory_mb"]))
