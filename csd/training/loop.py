"""Training: gradient descent of score networks, with recording and stopping (docs/physics.md, sections 4 and 5).

A run trains one architecture on one target at several noise levels, for several seeds. It records the relative score
error ε on a fixed grid of steps, and the training time τ, the first step with ε ≤ ε_R + ε₀. A seed's training ends when
all its levels have been at the tolerance, whatever the other seeds do; or, with `until` samples, when a goal that looks
at all its kernels has been met for a while: what reverse diffusion makes of them is right.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.descent.families import Descent
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, prepare
from csd.training.record import TrainingRecord
from csd.training.recorder import Goal, Recorder


def train_network(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> TrainingRecord:
    """Train one architecture on one target.

    Args:
        noised: the target at its noise levels.
        architecture: what is trained.
        settings: how.

    Returns:
        The record of all seeds.

    Raises:
        InputError: if something does not fit.
        TrainingDiverged: as soon as an error is not finite or has blown up.
    """
    return descend(noised, prepare(noised, architecture, settings), settings)


class Watch(Protocol):
    """Looks on while a run is trained, and may have it kept, to go on from later."""

    def found(self) -> dict[str, Any] | None:
        """The checkpoint of an earlier run that did not end; None if there is none."""

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Take note of a step; whether the run is to be kept now.

        Args:
            step: that was taken.
            excess: gives the largest of ε / threshold over seeds and levels that are not there yet.
        """

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Keep a snapshot; may stop the run by raising."""


def descend(
    noised: NoisedTarget,
    run: Prepared,
    settings: TrainingSettings,
    watch: Watch | None = None,
    goal: Goal | None = None,
) -> TrainingRecord:
    """Step a prepared run until every seed is done, and record it.

    Args:
        noised: the target at its noise levels.
        run: made by `prepare`.
        settings: how it is trained.
        watch: looks on.
        goal: what ends training until samples are right.
    """
    if run.on_device:
        return _descend_in_blocks(noised, run, settings, watch, goal)
    descent: Descent = run.descent
    recorder = Recorder(noised, run, settings, goal)
    kept = None if watch is None else watch.found()
    after = None if kept is None else _resume(kept, run, recorder)
    for step in _closed_form_steps(run, recorder, after) if run.closed_form else _steps(run, after):
        error = descent.error()
        done = recorder.observe(step, error, descent)
        if np.count_nonzero(done) > 0:
            if done.all():
                break
            descent.keep(~done)
            run.source.keep(~done)
        if watch is not None and watch.passed(step, recorder.excess):
            watch.keep(_snapshot(step, run, recorder))
    return recorder.finish()


PARTS = ("recorder", "descent", "source")


def at_steps(run: Prepared, steps: Iterable[int]) -> Iterator[int]:
    """Bring a descent on full-batch data to some steps in turn, by closed form where there is one; each of them.

    Args:
        run: made by `prepare`, not stepped yet.
        steps: training steps, rising.
    """
    before = 0
    for step in steps:
        if run.closed_form:
            run.descent.closed_form_step(*run.source.draw(), step)
        for _ in range(0 if run.closed_form else step - before):
            run.descent.advance(*run.source.draw())
        before = step
        yield step


def _snapshot(step: int, run: Prepared, recorder: Recorder) -> dict[str, Any]:
    """All that a run is, after a step."""
    parts = (recorder.snapshot(step), run.descent.snapshot(), run.source.snapshot())
    return {
        f"{part}/{name}": array for part, arrays in zip(PARTS, parts, strict=True) for name, array in arrays.items()
    }


def _resume(kept: dict[str, Any], run: Prepared, recorder: Recorder) -> int:
    """Bring a prepared run to where a snapshot was taken; the step after which that was."""
    parts = {
        part: {name.removeprefix(f"{part}/"): array for name, array in kept.items() if name.startswith(f"{part}/")}
        for part in PARTS
    }
    step = recorder.resume(parts["recorder"])
    if run.closed_form:
        # Each closed-form step is from the start, and the seeds are alike: they end together.
        return step
    trained = np.isin(np.arange(len(run.seeds)), recorder.alive)
    if not trained.all():
        run.descent.keep(trained)
        run.source.keep(trained)
    run.descent.resume(parts["descent"])
    run.source.resume(parts["source"])
    return step


def _steps(run: Prepared, after: int | None) -> Iterator[int]:
    """Every step, taken; or every one after a given one."""
    if after is None:
        yield 0
    for step in count(1 if after is None else after + 1):
        run.descent.advance(*run.source.draw())
        yield step


def _closed_form_steps(run: Prepared, recorder: "Recorder", after: int | None) -> Iterator[int]:
    """The recorded steps, and the first at which each level is at the tolerance with the one before; by closed form.

    All of them, or those after a given one.
    """
    data = run.source.draw()
    last = recorder.settings.max_steps

    def there(step: int) -> NDArray[np.bool_]:
        """Which levels are at the tolerance after a step; the seeds are alike."""
        run.descent.closed_form_step(*data, step)
        reached: NDArray[np.bool_] = run.descent.error()[0] <= recorder.threshold
        return reached

    def first(level: int) -> int:
        """The first step at which a level is at the tolerance; as errors fall, by bisection."""
        return bisect_left(range(last), True, key=lambda step: bool(there(step)[level]))

    firsts = {first(int(level)) for level in np.flatnonzero(there(last))}
    for step in sorted(recorder.looks() | firsts | {max(step - 1, 0) for step in firsts}):
        if after is not None and step <= after:
            continue
        run.descent.closed_form_step(*data, step)
        yield step


def _descend_in_blocks(
    noised: NoisedTarget, run: Prepared, settings: TrainingSettings, watch: Watch | None, goal: Goal | None
) -> TrainingRecord:
    """`descend` on a device: errors are read a block of steps at a time.

    Where something happens within a block (a level reaches the tolerance, an error blows up), the block is stepped
    again up to there, from the filters of its start, and on the same data.
    """
    from csd.training.descent.device import host

    descent, source = run.descent, run.source
    recorder = Recorder(noised, run, settings, goal)
    looks = sorted(recorder.looks())
    ahead: list[tuple[Any, ...]] = []
    kept = None if watch is None else watch.found()
    # What a checkpoint holds has been observed before.
    step, error = (0, host([descent.error()])[0]) if kept is None else (_resume(kept, run, recorder), None)
    while True:
        if error is not None:
            done = recorder.observe(step, error, descent)
            if done.all():
                return recorder.finish()
            if done.any():
                descent.keep(~done)
                source.keep(~done)
                ahead = [tuple(_kept(part, ~done) for part in data) for data in ahead]
        # Data that was drawn ahead is no part of what is kept: a block that ends with it comes soon.
        if watch is not None and watch.passed(step, recorder.excess) and not ahead:
            watch.keep(_snapshot(step, run, recorder))
        length = min(looks[bisect_right(looks, step)] - step, source.steps)
        ahead += [source.draw() for _ in range(length - len(ahead))]
        start, errors = descent.filters, []
        for data in ahead[:length]:
            descent.advance(*data)
            errors.append(descent.error())
        read = host(errors)
        looked = min(recorder.quiet(read) + 1, length)
        if looked < length:
            descent.filters = start
            for data in ahead[:looked]:
                descent.advance(*data)
        for passed in read[: looked - 1]:
            step += 1
            recorder.observe(step, passed, descent)
        step, error, ahead = step + 1, read[looked - 1], ahead[looked:]


def _kept(part: Any, seeds: NDArray[np.bool_]) -> Any:
    """S or T of the chosen seeds, where seeds have their own."""
    return part[np.flatnonzero(seeds)] if np.ndim(part) == 3 else part
