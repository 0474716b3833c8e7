"""Watch a training job: checkpoints, signals, progress (docs/reruns.md).

A checkpoint holds the full state of a run after a step, so that the resumed run writes the same bytes. It is written at
least every minute, and at once on SIGTERM (a time limit) or SIGINT (Ctrl-C). It belongs to one version of the code and
one request; any other checkpoint is ignored, and a file that is none is never replaced. Where the result of a finished
run cannot be written, the checkpoint holds it. A small file beside it records the progress for `csd status`.
"""

import json
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError, Interrupted, NotWritten, check_positive
from csd.core.files import HDF5, TRAINING, Content, read_content, write
from csd.core.paths import LONGEST, Named, atomic_path, read_bytes, remove_leftovers, short_name, write_text

EVERY = 60.0
"""Seconds of work between checkpoints."""
LOOK = 0.2
"""Seconds between updates of the progress bar."""
TELL = 10.0
"""Seconds between updates of the progress file."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


ARCHIVE, FIRST = b"PK\x03\x04", b"identity.npy"
"""The first bytes of a checkpoint, and the name of its first array, which follows `FIRST_AT` bytes from the start."""
FIRST_AT = 30
KEPT = "checkpoint_of"
"""Attribute of a finished run in place of its checkpoint: the identity of code and request."""


def checkpoint_beside(output: Path) -> Path:
    """The checkpoint of a run whose output is given."""
    return output.parent / f"{short_name(output.name, LONGEST - len('.checkpoint.json'))}.checkpoint.npz"


def progress_file(checkpoint: Path) -> Path:
    """The file that records the progress of a run whose checkpoint is given."""
    return checkpoint.with_suffix(".json")


def checkpoint_files(checkpoint: Path | None, name: str) -> list[Named]:
    """The files of a run besides its output: its checkpoint, given by a flag or argument, and its progress."""
    if checkpoint is None:
        return []
    return [(name, checkpoint), (f"the record of progress beside {name}", progress_file(checkpoint))]


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
        self._kept = False
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
            progress_file(self.checkpoint).unlink(missing_ok=True)

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

    def finished(self) -> Content | None:
        """The content of a finished run that `keep_finished` has kept; None if there is none of this request.

        Raises:
            InputError: if the checkpoint, or the record of progress beside it, would replace a file of the user's.
        """
        if self.checkpoint is None:
            return None
        _require_own_progress(progress_file(self.checkpoint))
        if not self.checkpoint.exists() or not read_bytes(self.checkpoint).startswith(HDF5):
            return None
        content = read_content(self.checkpoint, TRAINING)
        if KEPT not in content.attrs:
            raise self._refusal()
        if content.attrs.pop(KEPT) != self.identity:
            return None
        self._kept = True
        self._log(f"the training is finished already, its result is in {self.checkpoint}")
        return content

    def found(self) -> dict[str, Any] | None:
        """Read the checkpoint; None, with a line in the log, if it is damaged or belongs to another request.

        Raises:
            InputError: if there is another file, which must not be replaced, or the checkpoint cannot be opened.
        """
        if self.checkpoint is None:
            return None
        remove_leftovers(self.checkpoint)
        if not self.checkpoint.exists():
            return None
        image, wrong = read_bytes(self.checkpoint), "of another request"
        if not image.startswith(HDF5):
            name = image[FIRST_AT : FIRST_AT + len(FIRST)]
            if not (ARCHIVE.startswith(image[: len(ARCHIVE)]) and FIRST.startswith(name)):
                raise self._refusal()
            try:
                with np.load(BytesIO(image), allow_pickle=False) as file:
                    wrong = _difference(str(file["identity"]), self.identity)
                    if not wrong:
                        kept = {name: file[name] for name in file.files if name != "identity"}
                        self._kept = True
                        self._log(f"going on after step {int(kept['recorder/step'])}, from {self.checkpoint}")
                        return kept
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                wrong = f"damaged ({error})"
        self._log(f"{self.checkpoint}: the checkpoint is {wrong}; training starts at step 0")
        return None

    def _refusal(self) -> InputError:
        """The error for a checkpoint that would replace another file."""
        return InputError(
            f"checkpoint {str(self.checkpoint)!r} is there and not one of csd's; name another file, or remove it"
        )

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
                self._write_progress(progress_file(self.checkpoint), step, excess(), now)
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
            self._kept = True
        except InputError as error:
            # The result may still be written where the checkpoint could not be.
            self._log(str(error))
            where = self._left() or "nothing was kept"
        self._due = time.monotonic() + self.every
        if self._stopped is not None:
            raise Interrupted(self._stopped, f"after step {int(snapshot['recorder/step'])}, {where}")

    def _left(self) -> str:
        """The words for a checkpoint of this run that is left after another could not be written; empty if none is."""
        return f"the same command goes on from the last checkpoint, {self.checkpoint}" if self._kept else ""

    def keep_finished(self, content: Content) -> str:
        """Keep the content of a finished run, whose file could not be written, in place of its checkpoint.

        If this cannot be written either, the last checkpoint is left.

        Returns:
            What is kept, in words.
        """
        assert self.checkpoint is not None
        try:
            write(content.assign_attrs({KEPT: self.identity}), self.checkpoint, TRAINING, lambda _: "")
        except NotWritten:
            return self._left() or "no checkpoint could be written either, the training is lost"
        return f"the finished training is kept in {self.checkpoint}; the same command writes it without training again"

    def ended(self) -> None:
        """Remove the checkpoint, as the result is written."""
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)


def _require_own_progress(path: Path) -> None:
    """Refuse to replace, and to remove in the end, a file that records no progress of a training.

    Raises:
        InputError: if there is one.
    """
    if not path.exists():
        return
    told: Any = None
    with suppress(ValueError):
        told = json.loads(read_bytes(path))
    if not isinstance(told, dict) or "expected_steps" not in told:
        raise InputError(f"{path} is there, where the progress of training would be written; name another checkpoint")
