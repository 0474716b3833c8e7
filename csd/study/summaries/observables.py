"""Observables of generated fields beside those of the target, against the steps of training.

An observable is right from step n on if at n and at all later steps the pulls of its seeds,

    pull = (generated − reference) / √(error² + error of the reference²),

have a root mean square of at most 2. The steps are the ends of trainings of several lengths, each measured in fields of
its own or, for a network with a kernel and a rate that does not depend on the length, the recorded ones. There the
observables follow from the exact recursion, and the error in the pull is still that of the fields which the run has
drawn: a network with a kernel is held to what these can tell, like any other.

An error of more than a tenth of the reference decides nothing, as with a few fields everything is compatible with the
reference. "Right" depends on the errors: more fields, or a longer Monte Carlo run, see smaller deviations, and so later
steps. Where nothing is wrong, the root mean square exceeds 2 with a probability of 4.6 % for one seed and 0.3 % for
four.

The step τ lies between two that are known, n₋ < τ ≤ n₊. With ln τ uniform in between,

    τ = √(n₋ n₊),     error of ln τ = ln(n₊ / n₋) / √12.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.lattice import Array
from csd.study.seeds import mean_with_errors

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

OBSERVABLES = ("susceptibility", "correlation_length", "energy", "absolute_magnetisation", "binder")
"""Observables that are compared, criteria of the quantities below."""
DEVIATION, TIME = "observable_deviation", "observable_training_time"
"""Quantities of the table of laws."""
RIGHT = 2.0
"""Largest root mean square over seeds of the pulls of an observable that is right."""
FALLING = "rate_schedule"
"""Option of training; with a rate that falls to 0 at the last step a recorded step is no training of that length."""
MEASURED = ("Monte Carlo", "held-out")
"""Kinds of references that have errors."""
RESOLUTION = 0.1
"""Largest error, over the reference, by which an observable is called right."""
MEASURES = ("value", "error", "reference", "reference_error", "deviation", "deviation_error")
"""Columns of `observables_by_step`."""


@dataclass(frozen=True)
class TimeUntilRight:
    """When an observable becomes right for good.

    Attributes:
        before: n₋, the last step at which it is wrong; 0 where it is right at every step that is known.
        after: n₊, the first of those from which on it is right; ∞ where it is wrong at the last one, NaN where errors
            are too large to say so.
        resolution: the largest error over the reference at the steps from n₊ on.
    """

    before: float
    after: float
    resolution: float = 0.0

    @property
    def step(self) -> float:
        """√(n₋ n₊); NaN where n₋ is 0 or n₊ infinite."""
        return float(np.sqrt(self.before * self.after)) if self.known else np.nan

    @property
    def error(self) -> float:
        """The standard error of the step, by the distance of n₋ and n₊."""
        return self.step * float(np.log(self.after / self.before)) / np.sqrt(12.0) if self.known else np.nan

    @property
    def known(self) -> bool:
        """Whether there are steps before and after."""
        return 0.0 < self.before < self.after < np.inf

    @property
    def remark(self) -> str:
        """Why the step is not known: 'still wrong at step 400', 'right from step 25 on or earlier'; '' where it is."""
        if self.known:
            return ""
        if np.isnan(self.after):
            return f"not known to be right, as its error is {self.resolution:.0%} of the reference"
        if self.after == np.inf:
            return f"still wrong at step {self.before:.0f}"
        return f"right from step {self.after:.0f} on or earlier"


def time_until_right(steps: Sequence[int] | Array, pulls: Array, resolution: Array | float = 0.0) -> TimeUntilRight:
    """The step from which on the pulls are at most `RIGHT`, between two steps that are there.

    Args:
        steps: in rising order.
        pulls: root mean square over seeds at each of them; NaN counts as wrong.
        resolution: error of a pull over the reference at each of them; above `RESOLUTION` nothing is right.
    """
    wrong = np.flatnonzero(~(np.abs(pulls) <= RIGHT))
    last = int(wrong[-1]) if len(wrong) else -1
    before = float(steps[last]) if len(wrong) else 0.0
    if last + 1 == len(steps):
        return TimeUntilRight(before, np.inf)
    coarsest = float(np.max(np.broadcast_to(resolution, len(steps))[last + 1 :]))
    return TimeUntilRight(before, float(steps[last + 1]) if coarsest <= RESOLUTION else np.nan, coarsest)


def known_steps(rows: "pd.DataFrame") -> "pd.DataFrame":
    """The rows at the steps by which it is known when an observable is right, by step: of the exact recursion if any.

    Args:
        rows: of `observables_by_step`, of one observable, and of networks that differ in the length of training alone.
    """
    exact = rows[~rows["sampled"]]
    chosen = exact[exact["run"] == exact["run"][exact["step"].idxmax()]] if len(exact) else rows
    return chosen.drop_duplicates("step").sort_values("step")


def times_until_right_of(rows: "pd.DataFrame") -> dict[int, TimeUntilRight]:
    """The step from which on an observable is right at each size.

    Args:
        rows: of `observables_by_step`, of one observable, and of networks that differ in size and the length of their
            training alone, with a column size.

    Returns:
        By size, rising; nothing for a size where only one training is known, by its last step.
    """
    found = {}
    for size, own in rows.groupby("size"):
        points = known_steps(own)
        if len(points) > 1:
            columns = (points[name].to_numpy() for name in ("step", "pull", "resolution"))
            found[int(size)] = time_until_right(*columns)
    return found


def of_any_length(summary: "xr.Dataset") -> "xr.Dataset":
    """A summary whose runs do not differ in the length of training, neither in its column nor in the label of data."""
    if "max_steps" not in summary:
        return summary
    lengths = summary["max_steps"].values.astype(float)
    labels = [
        label.replace(f"-steps{length:.0f}", "") if length > 0.0 else label
        for label, length in zip(summary["data"].values, lengths, strict=True)
    ]
    return summary.assign(data=("run", np.array(labels, dtype=object)), max_steps=("run", np.full(len(labels), np.nan)))


def observables_by_step(summary: "xr.Dataset") -> "pd.DataFrame":
    """The observables of all runs of a summary whose reference is measured.

    Args:
        summary: of `csd.study.summaries.generation.aggregate_generation`.

    Returns:
        A row for each run, observable and step: run (its place in the summary), observable, step, sampled (measured in
        fields, which are drawn at one step, rather than by the exact recursion), value (mean over seeds), error,
        reference, reference_error, deviation (value / reference − 1), deviation_error (by both errors), pull (root mean
        square over seeds, with the sign of their mean), lowest and highest (pull of a seed), resolution (root mean
        square over seeds of the error in a pull, over the reference).
    """
    import pandas as pd

    kinds: Any = summary["compared_with"].values if "compared_with" in summary else []
    known = [name for name in OBSERVABLES if f"own_reference_{name}" in summary]
    rows = [
        {"run": run, "observable": name} | row
        for run in np.flatnonzero(np.isin(kinds, MEASURED)).tolist()
        for name in known
        for row in _of_run(summary, run, name)
    ]
    return pd.DataFrame(
        rows, columns=["run", "observable", "step", "sampled", *MEASURES, "pull", "lowest", "highest", "resolution"]
    )


def _of_run(summary: "xr.Dataset", run: int, name: str) -> Iterator[dict[str, Any]]:
    """An observable of the fields of a run and, of networks with a kernel, by the exact recursion at every step."""
    drawn = np.isfinite(summary["sampled_susceptibility"].values[run])
    right, uncertain = (summary[f"own_reference_{name}{suffix}"].values[run, drawn] for suffix in ("", "_error"))
    reference = summary[f"reference_{name}"].values[run], summary[f"reference_{name}_error"].values[run]
    values, errors = (summary[f"sampled_{name}{suffix}"].values[run, drawn] for suffix in ("", "_error"))
    with_reference = np.hypot(errors, uncertain)
    about = {"step": int(summary["sampled_step"].values[run]), "sampled": True}
    yield about | _compared(values, errors, reference) | _pulls(values - right, with_reference, right)
    recorded = name in summary and "step" in summary[name].dims
    if not recorded or (FALLING in summary and str(summary[FALLING].values[run]) == "cosine"):
        return
    every = summary[name].values[run][drawn]
    # A spectrum without a correlation length is wrong, but a seed whose training has ended has no spectrum.
    there = np.isfinite(summary["susceptibility"].values[run][drawn]).all(axis=0)
    for step, own in zip(summary["step"].values[there], every[:, there].T, strict=True):
        about = {"step": int(step), "sampled": False}
        yield about | _compared(own, np.zeros_like(own), reference) | _pulls(own - right, with_reference, right)


def _compared(values: Array, errors: Array, reference: tuple[np.float64, np.float64]) -> dict[str, float]:
    """The mean over seeds of an observable with its error, its reference, and its relative deviation from that."""
    mean, error = mean_with_errors(values, errors, np.ones(values.shape, dtype=bool))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = mean / reference[0] - 1.0
        relative = np.hypot(error, (1.0 + deviation) * reference[1]) / abs(reference[0])
    numbers = mean, error, *reference, deviation, relative
    return dict(zip(MEASURES, map(float, numbers), strict=True))


def _pulls(difference: Array, error: Array, right: Array) -> dict[str, float]:
    """The root mean square of the pulls of all seeds, with the sign of their mean, their limits, and their errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pulls = np.where(error > 0.0, difference / error, np.nan)
        whole = np.copysign(np.sqrt((pulls**2).mean()), pulls.mean())
        resolution = np.sqrt(((error / right) ** 2).mean())
    found = {"pull": whole, "lowest": pulls.min(), "highest": pulls.max(), "resolution": resolution}
    return {name: float(value) for name, value in found.items()}


def of_samples(runs: "xr.Dataset", name: str) -> tuple[Any, Any]:
    """Mean over seeds of an observable of sampled fields and its error, the larger of scatter and jackknife.

    Where the jackknife gives no error for a seed, the error is that of the scatter.

    Args:
        runs: of a summary of generation, or of hybrids.
        name: of the observable.

    Returns:
        Both of shape (runs,); NaN where the samples of a seed do not have it, such as ξ where S(0) < S(k₁).
    """
    # χ has a value for each seed that was sampled.
    sampled = np.isfinite(runs["sampled_susceptibility"].values)
    return mean_with_errors(runs[f"sampled_{name}"].values, runs[f"sampled_{name}_error"].values, sampled)
