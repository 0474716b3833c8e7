"""Watch a training job: checkpoints, signals, progress (docs/reruns.md).

A checkpoint holds the full state of a run after a step, so that the resumed run writes the same bytes. It is written at
least every minute, and at once on SIGTERM (a time limit) or SIGINT (Ctrl-C). It belongs to one version of the code and
one request; any other checkpoint is ignored. A small file beside it records the progress for `csd status`.
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

from csd.core.errors import InputError, Interrupted, check_positive
from csd.core.files import atomic_path, write_text

EVERY = 60.0
"""Seconds of work between checkpoints."""
LOOK = 0.2
"""Seconds between updates of the progress bar."""
TELL = 10.0
"""Seconds between updates of the progress file."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _difference(of: str, identity: str) -> str:
    """Why a checkpoint of one identity is not one of another; empty if they are the same."""
    if of == identity:
        return ""
    # The hash of the code has 16 digits of csd, and further ones of user-defined code.
    theirs, ours = of.partition(" ")[0], identity.partition(" ")[0]
    if theirs[:16] != ours[:16]:
        return "of another version of csd"
    return "of another request" if theirs == ours else "of other user-defined code"


class JobWatch:
    """Show the progress of a training run and, given a path, keep its checkpoint.

    As a context with a checkpoint, it ends the run on SIGTERM or SIGINT after writing the checkpoint. Signals reach the
    main thread of a process only; in any other thread they are not handled.

    Args:
        checkpoint: path of the checkpoint, or None to keep nothing; the progress file has the suffix .json instead.
        identity: of code and request; a checkpoint with another identity is ignored.
        expected: returns the expected number of steps, NaN if unknown; called only when it is shown.
        log: writes a line to the log.
        every: seconds of work between checkpoints.
        shown: whether to show a progress bar; if None, on terminals and in notebooks.
    """

    def __init__(
        self,
        checkpoint: Path | None,
        identity: str,
        expected: Callable[[], float],
        log: Callable[[str], None],
        every: float = EVERY,
        shown: bool | None = None,
    ) -> None:
        self.checkpoint, self.identity = checkpoint, identity
        self.every = check_positive("checkpoint_every", every)
        self._asked, self._log = expected, log
        self._shown = (sys.stderr.isatty() or "ipykernel" in sys.modules) if shown is None else shown
        self._bar: Any = None
        self._stopped: signal.Signals | None = None
        self._handlers: dict[int, Any] = {}
        self._began = self._look = self._tell = time.monotonic()
        self._due = self._began + every

    def __enter__(self) -> Self:
        if self.checkpoint is not None and threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._stop) for number in SIGNALS}
        if self._shown:
            from tqdm.auto import tqdm

            total = None if self._expected is None else int(self._expected)
            self._bar = tqdm(total=total, unit=" steps", unit_scale=True, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._bar is not None:
            self._bar.close()
        if self.checkpoint is not None:
            self.checkpoint.with_suffix(".json").unlink(missing_ok=True)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal until the current step is done; a second signal ends the run at once."""
        if self._stopped is not None:
            raise Interrupted(signal.Signals(number), "nothing more was kept")
        self._stopped = signal.Signals(number)

    @cached_property
    def _expected(self) -> float | None:
        """The expected number of steps, None if unknown."""
        steps = self._asked()
        return None if np.isnan(steps) else steps

    def found(self) -> dict[str, Any] | None:
        """Read the checkpoint; None, with a line in the log, if it is damaged or belongs to another request."""
        if self.checkpoint is None:
            return None
        for leftover in self.checkpoint.parent.glob(f".{self.checkpoint.name}.*"):
            leftover.unlink(missing_ok=True)
        if not self.checkpoint.is_file():
            return None
        try:
            with self.checkpoint.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                kept = {name: file[name] for name in file.files}
            of = str(kept.pop("identity"))
            wrong = _difference(of, self.identity)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            wrong = f"damaged ({error})"
        if wrong:
            self._log(f"{self.checkpoint}: the checkpoint is {wrong}; training starts at step 0")
            return None
        self._log(f"going on after step {int(kept['recorder/step'])}, from {self.checkpoint}")
        return kept

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Show a step, on the bar and in the progress file; return whether a checkpoint is due.

        Args:
            step: its number.
            excess: returns the largest of ε / threshold over the seeds and levels above the tolerance.
        """
        now = time.monotonic()
        if now >= self._look:
            self._look = now + LOOK
            if self._bar is not None:
                self._bar.n = step
                self._bar.set_postfix_str(f"error {excess():.3g} x allowed", refresh=True)
            if self.checkpoint is not None and now >= self._tell:
                self._write_progress(self.checkpoint.with_suffix(".json"), step, excess(), now)
        return self.checkpoint is not None and (self._stopped is not None or now >= self._due)

    def _write_progress(self, path: Path, step: int, excess: float, now: float) -> None:
        """Write the progress file; a failure is only logged."""
        # Most jobs end before the second update: their expected steps are never computed.
        expected = self._expected if self._tell > self._began else None
        self._tell = now + TELL
        told = {"step": step, "excess": excess, "expected_steps": expected, "updated": time.time()}
        try:
            write_text(json.dumps({**told, "process": os.getpid()}) + "\n", path)
        except InputError as error:
            self._log(str(error))

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Write a checkpoint.

        Raises:
            Interrupted: if a signal asked for it.
        """
        assert self.checkpoint is not None
        where = f"kept in {self.checkpoint}; the same command goes on from there"
        try:
            with atomic_path(self.checkpoint) as temporary, temporary.open("wb") as file:
                np.savez(file, identity=np.array(self.identity), **snapshot)
        except InputError as error:
            # The result may still be written where the checkpoint could not be.
            self._log(str(error))
            where = "nothing was kept"
        self._due = time.monotonic() + self.every
        if self._stopped is not None:
            raise Interrupted(self._stopped, f"after step {int(snapshot['recorder/step'])}, {where}")

    def ended(self) -> None:
        """Remove the checkpoint, as the result is written."""
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
