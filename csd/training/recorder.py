"""Record a run: ε, residuals, kernels and training times, and when the training of each seed ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError, TrainingDiverged
from csd.lattice import Array
from csd.lattice.bins import LengthBins
from csd.networks.score import KernelScore, Score
from csd.targets.base import HasHeldOut
from csd.targets.noising import NoisedTarget
from csd.training.descent.families import Descent
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared
from csd.training.record import (
    TrainingRecord,
    compared_losses,
    crossing_time,
    kernels_at,
    record_steps,
    sparse_steps,
    times_of_losses,
)
from csd.training.steps.divergence import diverged, largest_error

RIGHT_FOR = 1.2
"""With `until` samples, training ends at a recorded step j if the goal was met at all recorded steps from j/1.2 on."""
FIRST_LOOK = 100
"""The held-out loss ends training at the patience times this many steps at the earliest."""

Goal = Callable[[Score], NDArray[np.bool_]]
"""Whether the samples of a score meet the goal, for each seed: kernels (levels, seeds, modes) → (seeds,)."""

MANY = 4096
"""With more momenta than this, recorded real kernels are kept at one momentum of each class of lattice symmetry.

The noise of the momenta of a class differs, but has the same distribution: sums over classes, each weighted with the
number of its members, have the same mean, and with so many momenta a small scatter. Filters that start at random, of
networks that are not isotropic, have no such symmetry.
"""
CARRIED = (
    *("alive", "time", "crossing", "last", "_before", "_missing", "_right_since", "_limit"),
    *("since", "entry", "settled"),
    *("_lowest", "_lowest_step", "best", "_best_weights"),
)
"""Arrays of a `Recorder` that change during training."""
GROWING = ("errors", "residuals", "losses", "exact_errors", "kernel_steps", "recorded_kernels")
"""Lists of a `Recorder` that grow during training."""


class Recorder:
    """Errors, times, residuals and kernels of a run so far.

    Args:
        noised: the target at its noise levels.
        run: made by `prepare`.
        settings: options of training.
        goal: ends training where `until` is samples.

    Raises:
        InputError: if `until` is samples and there is no goal, or a held-out loss ends training that has to settle.
    """

    def __init__(
        self, noised: NoisedTarget, run: Prepared, settings: TrainingSettings, goal: Goal | None = None
    ) -> None:
        self.noised, self.run, self.settings = noised, run, settings
        self._goal = goal if run.until == "samples" else None
        if run.until == "samples" and goal is None:
            raise InputError("until is 'samples', which needs a goal; train with csd.train, which makes it")
        shape = seeds, _ = len(run.seeds), len(noised.levels)
        # Measuring a nonlinear network takes as long as a few steps.
        self._seldom = seldom = getattr(run.descent, "measured_when_recorded", False)
        last = settings.most_steps
        self.grid = (sparse_steps if seldom else record_steps)(last)
        if seldom or run.until in ("held_out_loss", "max_steps"):
            # The last step too, as a rate that falls to 0 often makes it the best.
            self.grid = np.union1d(self.grid, [last])
        self._wanted: set[int] = kernels_at(settings.kernel_steps, settings.most_steps)
        if not isinstance(settings.kernel_steps, str) and run.descent.kernel() is None:
            raise InputError(
                f"kernel_steps is {list(settings.kernel_steps)}, but the network has no kernel; leave kernel_steps out"
            )
        self.bins = LengthBins(run.modes, noised.target.mass, noised.lattice.dimension)
        self.spectra = noised.spectra_at(run.modes)
        self.threshold = settings.tolerance + run.floors
        self._by_loss = run.until == "held_out_loss"
        if self._by_loss and settings.settle:
            raise InputError(
                f"settle is {settings.settle}, but a held-out loss ends this training, which has no tolerance; leave"
                " settle out"
            )
        # Exact scores of held-out fields tell the error of a network without a kernel, which may come out negative.
        self._exact = getattr(run.descent, "scored", None) is not None
        self._measured = run.scored.measured if self._exact and run.scored else np.ones(shape[1], dtype=bool)
        # Otherwise ε is that of a Gaussian distribution with the spectrum of the fields.
        unknown = run.until == "max_steps" and run.descent.kernel() is None and not self._exact
        self._no_time = self._by_loss or unknown or (self._exact and settings.tolerance == 0.0)
        self.alive = np.arange(seeds)
        self.time, self.crossing = np.full(shape, np.nan), np.full(shape, np.nan)
        # The step since which ε has stayed at or below the threshold, where it crossed it, and whether for long enough.
        self.since, self.entry = np.full(shape, np.nan), np.full(shape, np.nan)
        self.settled = np.zeros(shape, dtype=bool)
        self.last = np.zeros(seeds, dtype=np.int64)
        self.errors: list[Array] = []
        self.residuals: list[NDArray[np.float32]] = []
        self.losses: list[Array] = []
        self.exact_errors: list[Array] = []
        self.kernel_steps: list[int] = []
        self.recorded_kernels: list[NDArray[np.float32]] = []
        self.ended: dict[str, Any] = {}
        self._before: Array = np.empty(shape)
        self._missing = np.broadcast_to(self._measured, shape).copy()
        self._none = np.zeros(seeds, dtype=bool)
        # The recorded step since which a seed has met the goal.
        self._right_since = np.full(seeds, np.inf)
        self._limit = np.inf
        # The lowest held-out losses of each field, their steps, and the best steps, of all seeds.
        self._lowest: Array = np.empty((*shape, 0))
        self._lowest_step, self.best = np.full(shape, np.nan), np.full(shape, np.nan)
        # The weights at these steps, where the loss ends training: shape (seeds, networks of a seed, numbers).
        self._best_weights: Array = np.empty((seeds, 0, 0))
        self._next = 0

    def observe(self, step: int, error: Array, descent: Descent) -> NDArray[np.bool_]:
        """Record a step; return which of the seeds still trained end here.

        Raises:
            InputError: if an error is not finite at the start.
            TrainingDiverged: if an error is not finite later, or has blown up.
        """
        if step == 0:
            if not np.isfinite(error[:, self._measured]).all():
                raise InputError("the score error is not finite at the start, where the network's score must be finite")
            self._limit = largest_error(self.run, self.settings, error[:, self._measured])
        # For small arrays, counting is far faster than any() or max().
        if np.count_nonzero(error <= self._limit) < error.size and self._above(error).any():
            row, level = (int(place) for place in np.argwhere(self._above(error))[0])
            broken = getattr(descent, "broken_parameter", None)
            parameter = "" if broken is None else broken(row, level)
            seed = self.run.seeds[self.alive[row]]
            raise diverged(seed, level, step, parameter, self.noised, self.run, self.settings)
        below = error <= (-np.inf if self._no_time else self.threshold)
        reached = self._missing & below
        news = bool(np.count_nonzero(reached) > 0)
        if news:
            self._reach(step, error, reached, self.time, self.crossing)
            self._missing &= ~reached
        if self.settings.settle:
            news = self._settle(step, error, below)
        self._before = error
        recorded = step == self._next
        if recorded:
            self._record(step, error, descent)
        if step in self._wanted and (kernel := descent.kernel()) is not None:
            self.kernel_steps.append(step)
            self.recorded_kernels.append(self._spread(self._thinned(kernel), np.float32))
        if step == self.settings.most_steps:
            return self._end(step, np.ones(len(self.alive), dtype=bool), descent)
        if self._goal is not None:
            if recorded:
                kernels = np.asarray(descent.kernel()).swapaxes(0, 1)
                right = self._goal(KernelScore(self.noised.lattice, self.run.modes, self.noised.levels, kernels))
                self._right_since = np.where(right, np.minimum(self._right_since, step), np.inf)
                return self._end(step, np.logical_and(right, step >= RIGHT_FOR * self._right_since), descent)
        elif self._by_loss:
            if recorded:
                slowest = self._lowest_step[self.alive].max(axis=1)
                return self._end(step, step >= self.settings.patience * np.maximum(slowest, FIRST_LOOK), descent)
        elif news and self.settings.tolerance > 0.0 and self.run.until != "max_steps":
            missing = self._open() if self.settings.settle else self._missing
            return self._end(step, np.logical_not(missing.any(axis=1)), descent)
        return self._none

    def excess(self) -> float:
        """The largest of ε / threshold, as last observed, over the seeds and levels above the tolerance."""
        if self._no_time:
            return float(np.nanmax(self._before))
        ratio = np.where(self._missing, self._before / self.threshold, 0.0) if self.threshold.all() else self._before
        return float(ratio.max())

    def _above(self, error: Array) -> NDArray[np.bool_]:
        """Which seeds and levels have blown up, or are not finite where they are measured."""
        return ~(error <= self._limit) & self._measured

    def looks(self) -> set[int]:
        """The steps at which more than the error is recorded, whatever its value."""
        last = self.settings.most_steps
        return {step for step in self._wanted | set(self.grid.tolist()) | {last} if step <= last}

    def quiet(self, errors: Array, after: int) -> int:
        """The number of steps before something happens.

        Args:
            errors: after each step, shape (steps, seeds, levels).
            after: the step before the first of them.
        """
        below = errors <= self.threshold
        loud = ~(errors <= self._limit) | (self._missing & below)
        if self.settings.settle:
            steps = np.arange(after + 1, after + 1 + len(errors))[:, None, None]
            # The last step so far that was not below.
            left = np.maximum.accumulate(np.where(below, -1, steps), axis=0)
            since = np.where(left < 0, np.fmin(self.since[self.alive], after + 1), left + 1)
            loud |= self._open() & below & (steps - since >= self.settings.settle)
        found = np.flatnonzero(loud.any(axis=(1, 2)))
        return int(found[0]) if len(found) else len(errors)

    def _open(self) -> NDArray[np.bool_]:
        """Which seeds and levels still trained are measured and have not settled."""
        return ~self.settled[self.alive] & self._measured

    def _settle(self, step: int, error: Array, below: NDArray[np.bool_]) -> bool:
        """Follow since when errors have stayed below the threshold; whether some have stayed for long enough now."""
        missing, since = self._open(), self.since[self.alive]
        if np.count_nonzero(entering := missing & below & np.isnan(since)) > 0:
            self._reach(step, error, entering, self.since, self.entry)
            since = self.since[self.alive]
        since[missing & ~below] = np.nan
        self.since[self.alive] = since
        ready = missing & (step - since >= self.settings.settle)
        self.settled[self.alive] |= ready
        return bool(np.count_nonzero(ready) > 0)

    def _reach(self, step: int, error: Array, reached: NDArray[np.bool_], times: Array, crossings: Array) -> None:
        """Record the step at which seeds and levels have come below the threshold, and where they crossed it."""
        for row, column in zip(*np.nonzero(reached), strict=True):
            place = self.alive[row], column
            times[place] = crossings[place] = step
            if step > 0:
                before, after = self._before[row, column], error[row, column]
                width = float(step - self.grid[len(self.errors) - 1]) if self._seldom else 1.0
                crossings[place] = crossing_time(step, before, after, self.threshold[column], width)

    def _record(self, step: int, error: Array, descent: Descent) -> None:
        """Keep the errors, held-out losses and residuals of a recorded step."""
        self.errors.append(self._spread(error, np.float64))
        self._next = int(self.grid[len(self.errors)]) if len(self.errors) < len(self.grid) else -1
        kernel = descent.kernel()
        if self._by_loss or (kernel is None and isinstance(self.noised.target, HasHeldOut)):
            losses = self._spread(self.run.descent.held_out_losses(), np.float64)
            self.losses.append(losses.mean(axis=-1))
            self._keep_best(step, losses)
        if self.run.scored is not None:
            rows = self.run.descent.rows if self._exact else self.run.scored.of_kernels(np.asarray(kernel))
            self.exact_errors.append(self._spread(rows, np.float64))
        deviation = self.spectra * (np.full((*error.shape, 1), np.nan) if kernel is None else kernel) - 1.0
        residual = self.bins.root_mean_square(np.abs(deviation))
        self.residuals.append(self._spread(residual, np.float32))

    def _keep_best(self, step: int, losses: Array) -> None:
        """Keep the steps of the best held-out losses, and the weights where these losses end training.

        The best step is the last one whose loss differs from the lowest by at most a standard error of the difference.
        One network for all noise levels has one step, by the mean of σ² ℒ_t over levels.

        Args:
            step: that is recorded.
            losses: ℒ_t of each held-out field, shape (seeds, levels, fields).
        """
        if not self._lowest.size:
            self._lowest = np.full_like(losses, np.inf)
        lower, best = compared_losses(
            losses, self._lowest, self.noised.variances if self.settings.conditioned else None
        )
        self._lowest[lower], self._lowest_step[lower] = losses[lower], step
        self.best[best] = step
        if self._by_loss and best.any():
            numbers = self._spread(self.run.descent.numbers(), np.float64)
            if self._best_weights.shape != numbers.shape:
                self._best_weights = numbers
            found = best[:, : numbers.shape[1]]
            self._best_weights[found] = numbers[found]

    def _thinned(self, kernel: Any) -> Any:
        """K at all momenta or, see `MANY`, at one of each class."""
        modes = self.run.modes
        if len(modes) <= MANY or modes.isotropic or np.iscomplexobj(kernel) or not self.run.alike:
            return kernel
        lattice = self.noised.lattice
        return kernel[..., lattice.pair_of_half[0][lattice.shells.half_index]]

    def _spread(self, values: Any, kind: Any) -> Any:
        """Values of the seeds still trained as values of all seeds, NaN for the others."""
        kind = np.complex64 if np.iscomplexobj(values) else kind
        everyone = np.full((len(self.run.seeds), *values.shape[1:]), np.nan, dtype=kind)
        everyone[self.alive] = values
        return everyone

    def _end(self, step: int, done: NDArray[np.bool_], descent: Descent) -> NDArray[np.bool_]:
        """Keep kernels and the last or best weights of the seeds that end here and drop the seeds; return `done`."""
        if not done.any():
            return done
        self.last[self.alive[done]] = step
        weights = descent.weights()
        if self._best_weights.size:
            weights = self._best_weights[self.alive]
        for name, own in (("kernel", descent.kernel()), ("weights", weights)):
            if own is not None:
                self.ended |= {f"{name}{seed}": own[row] for row, seed in enumerate(self.alive) if done[row]}
        self.alive, self._before, self._missing = self.alive[~done], self._before[~done], self._missing[~done]
        self._right_since = self._right_since[~done]
        self._none = np.zeros(len(self.alive), dtype=bool)
        return done

    def finish(self) -> TrainingRecord:
        """The record of all seeds.

        Raises:
            TrainingDiverged: if a level did not reach the tolerance at a learning rate beyond stability.
        """
        run, settings = self.run, self.settings
        for level, stable in enumerate(run.stable_rates):
            beyond = run.rates[..., level] >= stable
            late = beyond & np.isnan(self.time[:, level])
            if late.any() and settings.tolerance > 0.0:
                raise TrainingDiverged(
                    f"training did not settle in {settings.most_steps} steps at noise level"
                    f" {self.noised.levels[level]:g}, with learning rate {np.max(run.rates[..., level]):.4g};"
                    f" it must be below {stable:.4g}"
                )
        recorded = np.stack(self.recorded_kernels, axis=2) if self.recorded_kernels else None
        losses = np.stack(self.losses, axis=-1) if self.losses else None
        steps, times = self.grid[: len(self.errors)], (self.time, self.crossing)
        if self._by_loss and losses is not None:
            times = times_of_losses(steps, losses, self.noised.variances, settings.tolerance)
        settled = [np.where(self.settled, own, np.nan) if settings.settle else None for own in (self.since, self.entry)]
        thinned = recorded is not None and recorded.shape[-1] < len(run.modes)
        return TrainingRecord(
            steps=steps,
            score_error=np.stack(self.errors, axis=-1),
            training_time=times[0],
            crossing_time=times[1],
            settled_time=settled[0],
            settled_crossing_time=settled[1],
            inverse_lengths=self.bins.middles,
            residual=np.stack(self.residuals, axis=2),
            exact_errors=np.stack(self.exact_errors, axis=2) if self.exact_errors else None,
            linear_errors={} if run.scored is None else run.scored.linear,
            kernel=self._of_all("kernel"),
            kernel_steps=np.array(self.kernel_steps, dtype=np.int64),
            held_out_loss=losses,
            linear_loss=run.descent.linear_loss() if self.losses else None,
            recorded_kernels=recorded,
            recorded_modes=self.noised.lattice.shells if thinned else run.modes,
            weights=self._of_all("weights"),
            weights_are=run.descent.weights_are,
            weights_at="best_step" if self._by_loss else "last_step",
            last_step=self.last,
            best_step=self.best,
            until=run.until,
            tuning_rates=None if run.tuning is None else run.tuning.rates,
            tuning_times=None if run.tuning is None else run.tuning.times,
            stepping="exact jump" if run.closed_form else "every step",
            **{name: getattr(run, name) for name in ("rates", "parameters", "ranges", "floors", "modes")},
        )

    def _of_all(self, name: str) -> Any:
        """The kernels or weights of every seed; None if there are none."""
        found = [self.ended[f"{name}{seed}"] for seed in range(len(self.last)) if f"{name}{seed}" in self.ended]
        return np.stack(found) if found else None

    def snapshot(self, step: int) -> dict[str, Any]:
        """The state as arrays, for `resume`, after a step was observed and the seeds that ended were dropped."""
        kept = {name: np.array(getattr(self, name)) for name in CARRIED + GROWING}
        return kept | {"step": np.array(step)} | {f"ended {name}": array for name, array in self.ended.items()}

    def resume(self, snapshot: dict[str, Any]) -> int:
        """Return to the state of a snapshot; return its step."""
        for name in CARRIED + GROWING:
            setattr(self, name, list(snapshot[name]) if name in GROWING else snapshot[name])
        self.ended = {name[6:]: array for name, array in snapshot.items() if name.startswith("ended ")}
        self._none = np.zeros(len(self.alive), dtype=bool)
        self._next = int(self.grid[len(self.errors)]) if len(self.errors) < len(self.grid) else -1
        return int(snapshot["step"])
