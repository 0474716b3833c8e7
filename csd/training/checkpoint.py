"""A watch over one training job: checkpoints, signals, progress (docs/reruns.md).

A checkpoint holds all that a run is after a step, so that the run goes on from it to the same bytes. It is written at
least every minute, and at once on SIGTERM (a time limit) or SIGINT (Ctrl-C). It belongs to one version of the code and
one request; any other is left aside. Beside it lies a small file that says how far the job is, for `csd status`.
"""

import json
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError, Interrupted
from csd.core.files import atomic_path, write_text

EVERY = 60.0
"""Seconds of work between checkpoints."""
LOOK = 0.2
"""Seconds between looks at the progress on a terminal."""
TELL = 10.0
"""Seconds between lines in the progress file."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ProgressWatch:
    """Shows how far a training run is, on a terminal or in a notebook; keeps nothing.

    Args:
        expected: gives the steps that the run will take, NaN if unknown; asked for where somebody looks.
        shown: whether a bar is shown; where somebody looks on, if None.
    """

    def __init__(self, expected: Callable[[], float], shown: bool | None = None) -> None:
        self._asked = expected
        self._shown = (sys.stderr.isatty() or "ipykernel" in sys.modules) if shown is None else shown
        self._bar: Any = None
        self._look = time.monotonic()

    def __enter__(self) -> Self:
        if self._shown:
            from tqdm.auto import tqdm

            total = None if self._expected is None else int(self._expected)
            self._bar = tqdm(total=total, unit=" steps", unit_scale=True, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @cached_property
    def _expected(self) -> float | None:
        """Steps that the run will take, None if unknown."""
        steps = self._asked()
        return None if np.isnan(steps) else steps

    def found(self) -> dict[str, Any] | None:
        """None: nothing was kept."""
        return None

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Show a step; False, as nothing is kept."""
        now = time.monotonic()
        if now >= self._look:
            self._look = now + LOOK
            self._show(step, excess, now)
        return False

    def _show(self, step: int, excess: Callable[[], float], now: float) -> None:
        """On the bar."""
        if self._bar is not None:
            self._bar.n = step
            self._bar.set_postfix_str(f"error {excess():.3g} x allowed", refresh=True)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Nothing is kept."""

    def ended(self) -> None:
        """Nothing has to be removed."""


class JobWatch(ProgressWatch):
    """Watches a training run; a context in which SIGTERM and SIGINT end it with a checkpoint.

    Signals come to a process's main thread only; in any other, a run is watched without them.

    Args:
        checkpoint: where the checkpoint is kept; the progress file has the same name and the suffix .json.
        identity: of code and request; a checkpoint of any other is not gone on from.
        expected: gives the steps that the run will take, NaN if unknown; asked for where somebody looks.
        every: seconds of work between checkpoints.
        log: takes a line.
        shown: whether a bar is shown; where somebody looks on, if None.
    """

    def __init__(
        self,
        checkpoint: Path,
        identity: str,
        expected: Callable[[], float],
        log: Callable[[str], None],
        every: float = EVERY,
        shown: bool | None = None,
    ) -> None:
        super().__init__(expected, shown)
        self.checkpoint = checkpoint
        self.progress = checkpoint.with_suffix(".json")
        self.identity = identity
        self.every = every
        self._log = log
        self._stopped: signal.Signals | None = None
        self._handlers: dict[int, Any] = {}
        self._began = self._look
        self._due, self._tell = self._look + every, self._look

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._stop) for number in SIGNALS}
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        super().__exit__(*error)
        self.progress.unlink(missing_ok=True)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal until the step at hand is done; a second one does not wait."""
        if self._stopped is not None:
            raise Interrupted(signal.Signals(number), "nothing more was kept")
        self._stopped = signal.Signals(number)

    def found(self) -> dict[str, Any] | None:
        """What the checkpoint holds; None, with a line in the log, if it is damaged or belongs to something else."""
        for leftover in self.checkpoint.parent.glob(f".{self.checkpoint.name}.*"):
            leftover.unlink(missing_ok=True)
        if not self.checkpoint.is_file():
            return None
        try:
            with self.checkpoint.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                kept = {name: file[name] for name in file.files}
            of = str(kept.pop("identity"))
            wrong = "" if of == self.identity else "of another version or request"
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            wrong = f"damaged ({error})"
        if wrong:
            self._log(f"{self.checkpoint}: the checkpoint is {wrong}; training starts at step 0")
            return None
        self._log(f"going on after step {int(kept['recorder/step'])}, from {self.checkpoint}")
        return kept

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Show a step; whether a checkpoint is due."""
        super().passed(step, excess)
        return self._stopped is not None or time.monotonic() >= self._due

    def _show(self, step: int, excess: Callable[[], float], now: float) -> None:
        """On the bar, and now and then in the progress file."""
        super()._show(step, excess, now)
        if now >= self._tell:
            # Most jobs end before the second time: what is expected of them is never computed.
            expected = self._expected if self._tell > self._began else None
            self._tell = now + TELL
            told = {"step": step, "excess": excess(), "expected_steps": expected, "updated": time.time()}
            try:
                write_text(json.dumps({**told, "process": os.getpid()}) + "\n", self.progress)
            except InputError as error:
                self._log(str(error))

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Write a checkpoint.

        Raises:
            Interrupted: if a signal asked for it.
        """
        where = f"kept in {self.checkpoint}; the same command goes on from there"
        try:
            with atomic_path(self.checkpoint) as temporary, temporary.open("wb") as file:
                np.savez(file, identity=np.array(self.identity), **snapshot)
        except InputError as error:
            # What was trained may still be written where this could not be.
            self._log(str(error))
            where = "nothing was kept"
        self._due = time.monotonic() + self.every
        if self._stopped is not None:
            raise Interrupted(self._stopped, f"after step {int(snapshot['recorder/step'])}, {where}")

    def ended(self) -> None:
        """Remove the checkpoint: the run's file is written."""
        self.checkpoint.unlink(missing_ok=True)
