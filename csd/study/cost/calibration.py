"""Calibration: how fast this machine is beside the one that stands in `REFERENCE`, measured in about a second."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import fields, replace
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

    Speed is measured by training steps of a full and of a local network, which draw numbers, stream through arrays and
    transform them as all other work does; the job that does nothing is measured as it is.
    """
    slowness = float(np.exp(np.mean([np.log(_step(*what) / seconds) for what, seconds in MEASURED.items()])))
    job = _job()
    start_up = job.seconds / REFERENCE.job.seconds
    paces: dict[str, Any] = {"job": job}
    for field in fields(REFERENCE):
        pace = getattr(REFERENCE, field.name)
        if isinstance(pace, Pace):
            paces[field.name] = Pace(slowness * pace.overhead, slowness * pace.rate)
        elif field.name != "job":
            paces[field.name] = JobPace(start_up * pace.seconds, pace.memory_mb)
    return replace(REFERENCE, **paces)


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
    """A training job of one step, as another process."""
    words = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --loss population --tolerance 0"
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "csd", *words.split(), "--max-steps", "1", "--benchmark", str(record)]
        times = []
        for _ in range(2):
            before = _of_children()
            subprocess.run([*command, "--output", f"{folder}/file.nc"], check=True, capture_output=True)
            times.append(_of_children() - before)
        return JobPace(min(times), float(json.loads(record.read_text())["peak_memory_mb"]))


def _of_children() -> float:
    """Processor seconds of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system
