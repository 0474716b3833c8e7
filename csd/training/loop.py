"""Training: gradient descent of score networks, with recording and stopping (docs/physics.md, sections 4 and 5).

A run trains one architecture on one target at several noise levels, for several seeds. It records the relative score
error ε on a fixed grid of steps, and the training time τ, the first step with ε ≤ ε_R + ε₀. A seed's training ends when
all its levels have reached the tolerance, independently of the other seeds; or, with `until` samples, when the samples
that reverse diffusion draws with its kernels have met a goal for a while.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.descent.families import Descent
from csd.training.losses import POSTERIOR
from csd.training.options import TrainingSettings, with_own_steps
from csd.training.preparation import Prepared, prepare
from csd.training.record import TrainingRecord
from csd.training.recorder import Goal, Recorder

if TYPE_CHECKING:
    # For types alone: a change to checkpoints reruns no training.
    from csd.training.checkpoint import JobWatch

MOST_STEPS = 10**12
"""The most training steps where no closed form gives the state at a later step: weeks for the smallest network."""


def train_network(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> TrainingRecord:
    """Train one architecture on one target; return the record of all seeds.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.

    Raises:
        InputError: if the arguments do not fit together.
        TrainingDiverged: as soon as an error is not finite or has blown up.
    """
    settings = with_own_steps(architecture, settings)
    return descend(noised, prepare(noised, architecture, settings), settings)


def descend(
    noised: NoisedTarget,
    run: Prepared,
    settings: TrainingSettings,
    watch: "JobWatch | None" = None,
    goal: Goal | None = None,
) -> TrainingRecord:
    """Step a prepared run until the training of every seed has ended; return its record.

    Args:
        noised: the target at its noise levels.
        run: made by `prepare`.
        settings: options of training.
        watch: shows the progress of the run and keeps its checkpoint.
        goal: ends training where `until` is samples.

    Raises:
        InputError: if so many steps would never end, or the loss needs chains, which the source of the run lacks.
        TrainingDiverged: as soon as an error is not finite or has blown up.
    """
    if not run.closed_form and settings.most_steps > MOST_STEPS:
        raise InputError(
            f"max_steps is {settings.most_steps}, but without a closed form every step is made; take at most"
            f" {MOST_STEPS:,}"
        )
    if settings.loss == POSTERIOR and getattr(run.source, "estimate", None) is None:
        raise InputError(f"loss is {POSTERIOR!r}, which needs chains; train with csd.train, which makes them")
    recorder = Recorder(noised, run, settings, goal)
    kept = None if watch is None else watch.found()
    after = None if kept is None else _resume(kept, run, recorder)
    if run.on_device:
        return _descend_in_blocks(run, recorder, watch, after)
    descent: Descent = run.descent
    looks = recorder.looks() if getattr(descent, "measured_when_recorded", False) else None
    for step in _closed_form_steps(run, recorder, after) if run.closed_form else _steps(run, after):
        if looks is not None and step not in looks:
            if watch is not None and watch.passed(step, recorder.excess):
                watch.keep(_snapshot(step, run, recorder))
            continue
        done = recorder.observe(step, descent.error(), descent)
        if np.count_nonzero(done) > 0:
            if done.all():
                break
            descent.keep(~done)
            run.source.keep(~done)
        if watch is not None and watch.passed(step, recorder.excess):
            watch.keep(_snapshot(step, run, recorder))
    return recorder.finish()


def at_steps(run: Prepared, steps: Iterable[int]) -> Iterator[int]:
    """Bring a descent on full-batch data to the given steps in turn, by closed form where it has one; yield each step.

    Args:
        run: made by `prepare`, not stepped yet.
        steps: training steps in rising order.
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
    """The full state of a run after a step."""
    parts = {"recorder": recorder.snapshot(step), "descent": run.descent.snapshot(), "source": run.source.snapshot()}
    return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def _resume(kept: dict[str, Any], run: Prepared, recorder: Recorder) -> int:
    """Bring a prepared run to the state of a snapshot; return its step."""
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for key, array in kept.items():
        part, _, name = key.partition("/")
        parts[part][name] = array
    step = recorder.resume(parts["recorder"])
    if run.closed_form:
        # Each closed-form step is from the start, and the seeds are alike: they end together.
        return step
    trained = np.isin(np.arange(len(run.seeds)), recorder.alive)
    for part, own in (("descent", run.descent), ("source", run.source)):
        if not trained.all():
            own.keep(trained)
        own.resume(parts[part])
    return step


def _steps(run: Prepared, after: int | None) -> Iterator[int]:
    """Take every step, or every step after a given one; yield its number."""
    if after is None:
        yield 0
    for step in count(1 if after is None else after + 1):
        run.descent.advance(*run.source.draw())
        yield step


def _closed_form_steps(run: Prepared, recorder: Recorder, after: int | None) -> Iterator[int]:
    """Go by closed form to the recorded steps and to those at which a level reaches the tolerance; yield each step.

    The step before a level reaches the tolerance is taken too, as its training time is interpolated. With `after`, only
    the later steps are taken.
    """
    data = run.source.draw()
    last = recorder.settings.most_steps

    def reached(step: int) -> NDArray[np.bool_]:
        """Which levels are at the tolerance after a step; the seeds are alike."""
        run.descent.closed_form_step(*data, step)
        return np.asarray(run.descent.error()[0] <= recorder.threshold)

    def first(level: int) -> int:
        """The first step at which a level is at the tolerance; as errors fall, by bisection."""
        return bisect_left(range(last), True, key=lambda step: bool(reached(step)[level]))

    firsts = {first(int(level)) for level in np.flatnonzero(reached(last))}
    # As errors fall, they have settled so many steps later.
    ends = {step for step in (own + recorder.settings.settle for own in firsts) if step <= last}
    for step in sorted(recorder.looks() | firsts | ends | {max(step - 1, 0) for step in firsts}):
        if after is None or step > after:
            run.descent.closed_form_step(*data, step)
            yield step


def _descend_in_blocks(
    run: Prepared, recorder: Recorder, watch: "JobWatch | None", after: int | None
) -> TrainingRecord:
    """`descend` on a device, where errors are read a block of steps at a time.

    Where something happens within a block (a level reaches the tolerance, an error blows up), the steps up to there are
    repeated from the filters at the start of the block, on the same data.
    """
    from csd.training.descent.device import host

    descent, source = run.descent, run.source
    looks = sorted(recorder.looks())
    ahead: list[tuple[Any, ...]] = []
    # The step of a checkpoint has been observed already.
    step, error = (0, host([descent.error()])[0]) if after is None else (after, None)
    while True:
        if error is not None:
            done = recorder.observe(step, error, descent)
            if done.all():
                return recorder.finish()
            if done.any():
                descent.keep(~done)
                source.keep(~done)
                ahead = [
                    tuple(part[np.flatnonzero(~done)] if np.ndim(part) == 3 else part for part in data)
                    for data in ahead
                ]
        # Data drawn ahead are not part of a snapshot: it waits for a block that uses them up.
        if watch is not None and watch.passed(step, recorder.excess) and not ahead:
            watch.keep(_snapshot(step, run, recorder))
        length = min(looks[bisect_right(looks, step)] - step, source.steps)
        ahead += [source.draw() for _ in range(length - len(ahead))]
        start, errors = descent.filters, []
        for data in ahead[:length]:
            descent.advance(*data)
            errors.append(descent.error())
        read = host(errors)
        looked = min(recorder.quiet(read, step) + 1, length)
        if looked < length:
            descent.filters = start
            for data in ahead[:looked]:
                descent.advance(*data)
        for passed in read[: looked - 1]:
            step += 1
            recorder.observe(step, passed, descent)
        step, error, ahead = step + 1, read[looked - 1], ahead[looked:]
