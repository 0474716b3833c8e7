"""Records of jobs: the wall time of each part of a job, and its peak memory."""

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csd.cli.parser import command_line
from csd.core.errors import NotWritten, log
from csd.core.paths import write_text


class Laps:
    """The ends of the parts of a job, on the wall clock and in processor time, in seconds."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.steps: int | None = None

    def __call__(self, part: str) -> None:
        """Note the end of a part."""
        self.wall[part], self.processor[part] = time.perf_counter(), time.process_time()

    def record(self, part: str) -> dict[str, float]:
        """The record of a job whose work, after 'set-up', is a given part.

        Wall times are counted from the start of the process. `work_cpu_s` is the processor time of the work, with that
        of making networks and data ready.
        """
        done = time.perf_counter()
        before = max(0.0, _process_age() - (done - self.started))
        wall, set_up = before + done - self.started, before + self.wall["set-up"] - self.started
        work = self.wall[part] - self.wall["set-up"]
        ready = self.processor.get("ready", 0.0) - self.processor.get("start", 0.0)
        return {
            "wall_s": wall,
            "interpreter_s": before,
            "imports_and_set_up_s": set_up,
            f"{part}_s": work,
            "work_cpu_s": self.processor[part] - self.processor["set-up"] + ready,
            "prediction_and_writing_s": wall - set_up - work,
            "set_up_share": set_up / wall,
            "cpu_s": time.process_time(),
            **({} if self.steps is None else {"steps": self.steps}),
            "peak_memory_mb": _peak_memory(),
        }


@contextmanager
def recorded(arguments: argparse.Namespace, part: str) -> Iterator[Laps]:
    """Log the command; after its work, write a record if one is asked for.

    Args:
        arguments: with `benchmark`.
        part: name of the work; the laps are called at its end, and at the end of 'set-up' before it.
    """
    laps = Laps()
    log(command_line(arguments))
    yield laps
    if arguments.benchmark is not None:
        try:
            write_text(json.dumps(laps.record(part), indent=2) + "\n", arguments.benchmark)
        except NotWritten as error:
            # The result is there; Snakemake would remove it if the command failed.
            log(f"{error}; the result is written, its record is not")


def _process_age() -> float:
    """Seconds since the start of this process."""
    try:
        after_name = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        import psutil

        return time.time() - psutil.Process().create_time()


def _peak_memory() -> float:
    """The largest resident size of this process so far, in MB."""
    try:
        # The value of getrusage is at least the peak of the parent process.
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024.0
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
