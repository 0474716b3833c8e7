"""Divergence: the error beyond which training has diverged, and what is said then."""

import numpy as np

from csd.core.errors import TrainingDiverged
from csd.lattice import Array
from csd.networks.linear import START_KERNEL
from csd.targets.noising import NoisedTarget, learned_spectra
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared
from csd.training.steps.window import largest_start

BLOW_UP = 1e3
"""Training has diverged when an error exceeds this multiple of the larger of 1 and the error at the start, unless its
steps are bounded: see `largest_error`."""


def largest_error(run: Prepared, settings: TrainingSettings, start: Array) -> float:
    """The error beyond which training has diverged.

    Steps that are bounded, as those of Adam, move all numbers of a filter alike at first. That raises ε by a power of L
    before it falls, and not further: there only a number that is not finite has diverged.

    Args:
        run: prepared.
        settings: options of training.
        start: ε at the start.
    """
    optimizer = getattr(run.descent, "optimizer", None)
    if settings.path == "spectral" and optimizer is not None and optimizer.bounded:
        return float(np.finfo(float).max)
    return BLOW_UP * max(1.0, float(start.max()))


def diverged(
    seed: int, level: int, step: int, parameter: str, noised: NoisedTarget, run: Prepared, settings: TrainingSettings
) -> TrainingDiverged:
    """The error of a run that diverged, with the parameter that is not finite and the learning rate that it needs.

    Args:
        seed: whose network diverged.
        level: its place among the noise levels.
        step: after which it is seen.
        parameter: that is not finite; empty if it is not known.
        noised: the target at its noise levels.
        run: prepared.
        settings: options of training.
    """
    of_seeds = np.broadcast_to(run.rates, (len(run.seeds), len(noised.levels)))
    rate, stable = of_seeds[run.seeds.index(seed), level], run.stable_rates[level]
    others = "; without this seed, the other seeds of the job can train" if len(run.seeds) > 1 else ""
    where = (
        f"training diverged at step {step} at noise level {noised.levels[level]:g} (seed {seed}),"
        f" with learning rate {rate:.4g}" + f", where parameter {parameter} is not finite" * bool(parameter)
    )
    if np.isfinite(stable) and rate >= stable:
        return TrainingDiverged(f"{where}; it must be below {stable:.4g}")
    if settings.start_kernel is not None:
        largest = float(learned_spectra(noised)[level].max())
        # Plain descent of two full layers has a window that is known; other networks and rules have not.
        known = getattr(run.descent, "depth", None) == 2 and settings.heavy_ball == 0.0 and rate < 1.0
        bound = largest_start(largest, rate) if known else START_KERNEL / largest
        need = "must be below (1 + 2/η) / C_max" if known else "is not known to be safe above 0.1 / C_max"
        if settings.start_kernel >= bound:
            return TrainingDiverged(
                f"{where}; start_kernel is {settings.start_kernel:g}, which {need} = {bound:.3g} there"
            )
    advice = f"take a learning rate of at most {rate / 4:.3g}"
    if settings.loss != "population":
        advice += f" or a batch of at least {4 * settings.batch}"
        if np.isfinite(stable):
            advice = f"near its minimum the exact loss is stable below {stable:.4g}, minibatches are not; {advice}"
    return TrainingDiverged(f"{where}; {advice}{others}")
