"""Commands in processes of their own: wall time, cores used, peak memory, with a limit on the time."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A process starts with the peak memory of the one that it came from, so a small one stands between.
LAUNCH = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True)
class Finished:
    """What a command took.

    Attributes:
        wall: seconds from start to end.
        processor: seconds of processor time, over all threads.
        memory: peak resident size, bytes.
        trouble: why there is no result, the empty string if there is one.
    """

    wall: float
    processor: float
    memory: float
    trouble: str = ""


def commands(arguments: Sequence[Sequence[str]], limit: float = 600.0) -> list[Finished]:
    """Run `csd` with each list of arguments, all at the same time, each on one thread.

    Args:
        arguments: of each command.
        limit: seconds after which they are killed.
    """
    running = [_start(own) for own in arguments]
    return [_finish(process, limit) for process in running]


def command(arguments: Sequence[str], limit: float = 600.0) -> Finished:
    """Run `csd` with these arguments."""
    return commands([arguments], limit)[0]


def _start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    """The process, behind its launcher, in a group of its own."""
    words = [sys.executable, "-S", "-c", LAUNCH, "-m", "csd", *arguments]
    search = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    # The job itself must see to it that it takes one thread.
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment = inherited | {"PYTHONPATH": search}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def _finish(process: "subprocess.Popen[str]", limit: float) -> Finished:
    """Wait for it, or kill it."""
    nothing = float("nan")
    try:
        out, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Finished(nothing, nothing, nothing, f"not done after {limit:g} s")
    wall, processor, memory, status = json.loads(out.splitlines()[-1])
    trouble = "" if status == 0 else f"exit status {status}: {error.strip().splitlines()[-1]}"
    return Finished(wall, processor, memory, trouble)


def train_flags(dimension: int, size: int, architecture: str, *more: str) -> list[str]:
    """`csd train` of an architecture and its options on the critical line at t = 0.1, B = 64, without its output."""
    words = ["train", "--dimension", str(dimension), "--size", str(size), "--architecture", *architecture.split()]
    return [*words, "--noise-level", "0.1", *more]


def trained(flags: Sequence[str], limit: float = 600.0) -> tuple[Finished, int, int]:
    """What a `csd train` took, the bytes of its file, and its steps."""
    with tempfile.TemporaryDirectory() as folder:
        output, record = Path(folder) / "out.nc", Path(folder) / "record.json"
        took = command([*flags, "--output", str(output), "--benchmark", str(record)], limit)
        if took.trouble:
            return took, 0, 0
        return took, output.stat().st_size, int(json.loads(record.read_text())["steps"])
