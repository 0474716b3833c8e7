"""Records of jobs: where a job's wall time went, and the memory that it held."""

import argparse
import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csd.cli.parser import command_line, log


class Laps:
    """When the parts of a job had ended, by the wall's clock and by the processor's, in seconds."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.steps: int | None = None

    def __call__(self, part: str) -> None:
        """Take note of a part's end."""
        self.wall[part], self.processor[part] = time.perf_counter(), time.process_time()

    def work(self, part: str) -> dict[str, float]:
        """Seconds of a part for a job's record: its wall time, and `work_cpu_s`, its processor time.

        Both are from the end of set-up to the end of the part; making networks and data ready counts as processor time.
        """
        wall, processor = (clock[part] - clock["set-up"] for clock in (self.wall, self.processor))
        ready = self.processor.get("ready", 0.0) - self.processor.get("start", 0.0)
        return {f"{part}_s": wall, "work_cpu_s": processor + ready}


@contextmanager
def recorded(arguments: argparse.Namespace, part: str) -> Iterator[Laps]:
    """Say the command and refuse files that cannot be written; after the work, write its record if one is asked for.

    Args:
        arguments: with `output` and `benchmark`.
        part: of the job that is the work itself; the laps are told when it has ended, and 'set-up' before it.
    """
    started = time.perf_counter()
    log(shlex.join(command_line(arguments)))
    from csd.core.files import require_writable

    for path in (arguments.output, arguments.benchmark):
        if path is not None:
            require_writable(path)
    laps = Laps()
    yield laps
    if arguments.benchmark is not None:
        _write_benchmark(arguments.benchmark, started, laps.work(part), laps.wall["set-up"], laps.steps)


def _write_benchmark(path: Path, started: float, work: dict[str, float], prepared: float, steps: int | None) -> None:
    """Where a job's wall time went, from the start of the process.

    Args:
        path: of the record.
        started: when csd's first line ran.
        work: seconds of the work itself, by name, and of processor time ('work_cpu_s') in it.
        prepared: when that began.
        steps: of training, of all seeds together.
    """
    from csd.core.files import write_text

    done = time.perf_counter()
    before = max(0.0, _process_age() - (done - started))
    wall = before + done - started
    set_up = before + prepared - started
    of_work = sum(seconds for name, seconds in work.items() if name != "work_cpu_s")
    record = {
        "wall_s": wall,
        "interpreter_s": before,
        "imports_and_set_up_s": set_up,
        **work,
        "prediction_and_writing_s": wall - set_up - of_work,
        "set_up_share": set_up / wall,
        "cpu_s": time.process_time(),
        **({} if steps is None else {"steps": steps}),
        "peak_memory_mb": _peak_memory(),
    }
    write_text(json.dumps(record, indent=2) + "\n", path)


def _process_age() -> float:
    """Seconds since this process started."""
    try:
        after_name = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        import psutil

        return time.time() - psutil.Process().create_time()


def _peak_memory() -> float:
    """Largest resident size of this process so far, in MB."""
    try:
        # What getrusage says is not below the peak of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024.0
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
