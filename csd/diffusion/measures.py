"""Measures of what linear scores generate: observables, divergences, and training steps until samples are right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from csd.core.files import Variable, labelled
from csd.diffusion import criteria
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.grids import MOST_STEPS
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Array, Modes, observables
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.training.loop import at_steps
from csd.training.options import TrainingSettings, with_population
from csd.training.steps.tuning import prepare_tuned


def crossing_step(steps: Sequence[int] | Array, deviation: Array, limit: float) -> float:
    """The training step from which on a deviation is at most a limit, with ln deviation linear in ln step.

    It is not interpolated, but a recorded step, if the step before is 0 or a deviation has no logarithm.

    Args:
        steps: recorded steps in rising order.
        deviation: at each of them.
        limit: the largest deviation allowed.

    Returns:
        NaN if the last deviation is above the limit; if none is, 0 where step 0 was recorded and NaN otherwise.
    """
    above = np.flatnonzero(~(deviation <= limit))
    if not len(above):
        return 0.0 if steps[0] == 0 else float("nan")
    last = int(above[-1])
    if last + 1 == len(steps):
        return float("nan")
    before, after = deviation[last], deviation[last + 1]
    if steps[last] == 0 or not (np.isfinite(before) and after > 0.0):
        return float(steps[last + 1])
    x, y = np.log(np.array(steps[last : last + 2], dtype=float)), np.log([before, after])
    return float(np.exp(x[0] + (x[1] - x[0]) * (y[0] - np.log(limit)) / (y[0] - y[1])))


def predicted_variances(
    reverse: ReverseDiffusion, architecture: Architecture, settings: TrainingSettings, steps: Array
) -> tuple[Modes, Array]:
    """The generated variances after training on the population loss, by exact steps and recursion.

    Args:
        reverse: on the trained levels.
        architecture: a built-in linear network.
        settings: options of training, of which learning rate and first seed are used.
        steps: training steps in rising order.

    Returns:
        The modes and V(k), shape (steps, modes).
    """
    exact, noised = replace(with_population(settings), seeds=settings.seeds[:1]), reverse.noised
    run = prepare_tuned(noised, architecture, exact)
    variances = [
        reverse.variance(KernelScore(noised.lattice, run.modes, noised.levels, run.descent.kernel()[0]))
        for _ in at_steps(run, np.asarray(steps).tolist())
    ]
    return run.modes, np.stack(variances)


def predicted_deviations(
    reverse: ReverseDiffusion, architecture: Architecture, settings: TrainingSettings, steps: Array
) -> Array:
    """`predicted_variances` as deviations by each criterion, shape (criteria, steps)."""
    return reverse.deviations_of(*predicted_variances(reverse, architecture, settings, steps))


SPECTRAL_OBSERVABLES = {"susceptibility": "1", "correlation_length": "lattice spacings", "energy": "1", "variance": "1"}
"""Observables of a spectrum and their units."""
MEASURES = {
    "kl_per_site": ("KL divergence per site", "1"),
    "total_kl": ("KL divergence of whole fields", "nats"),
    "effective_sample_size": ("effective sample size ESS/M of an importance-weighted sample", "1"),
    **{name: (name.replace("_", " "), units) for name, units in SPECTRAL_OBSERVABLES.items()},
}
"""Long names and units of the observables and of the divergences of the criteria."""


def judged(
    prefix: str, words: str, dims: Sequence[str], reverse: ReverseDiffusion, modes: Modes, variance: Array
) -> dict[str, Variable]:
    """KL, ESS and observables of generated variances of shape (*dims, modes), as variables."""
    noised = reverse.noised
    found = criteria.quantities(noised.lattice, modes, variance, noised.spectra_at(modes)[-1])
    found["effective_sample_size"] = np.exp(found["effective_sample_size"])
    found |= observables.spectral_observables(noised.lattice, modes, variance)
    return {
        f"{prefix}{name}": labelled(dims, found[name], f"{long} {words}", units)
        for name, (long, units) in MEASURES.items()
    }


def magnetisation(dims: Sequence[str], reverse: ReverseDiffusion, susceptibility: Array) -> dict[str, Variable]:
    """⟨|m|⟩ and U4 of the normal magnetisation that linear scores generate, as variables.

    Args:
        dims: of χ.
        reverse: that generates.
        susceptibility: χ of what is generated.
    """
    noised = reverse.noised
    modulus, cumulant = observables.normal_magnetisation(float(noised.means[-1]), susceptibility / noised.lattice.sites)
    words = "of what is generated, whose magnetisation is normal"
    return {
        "absolute_magnetisation": labelled(dims, modulus, f"absolute magnetisation {words}"),
        "binder": labelled(dims, cumulant, f"binder {words}"),
    }


def times_until_right(reverse: ReverseDiffusion, steps: Array, deviations: Array) -> list[float]:
    """The generation training time by each criterion, from deviations of shape (criteria, steps).

    NaN where the exact score itself misses the criterion, which a trained score then meets only by chance.
    """
    return [
        crossing_step(steps, own, limit) if exact <= limit else float("nan")
        for own, exact, limit in zip(deviations, reverse.exact_deviations, LIMITS.values(), strict=True)
    ]


def remarks_on(reverse: ReverseDiffusion) -> dict[str, Variable]:
    """Why a criterion has no generation training time; empty texts for criteria that the exact score meets."""
    remarks = np.full(len(CRITERIA), "", dtype=object)
    for place, (name, off) in enumerate(zip(CRITERIA, reverse.exact_deviations, strict=True)):
        if not off <= LIMITS[name]:
            if name == "correlation_length" and np.isnan(reverse.correlation_length):
                remarks[place] = "the target has no correlation length, as its S(0) is below its S at the smallest k"
                continue
            needed = reverse.steps_needed[name]
            enough = f"{MOST_STEPS} are not enough either" if needed is None else f"it needs {needed}"
            remarks[place] = (
                f"with {len(reverse.grid) - 1} steps the exact score itself misses {name};"
                f" on geometric grids with the same ends {enough}"
            )
    words = "why there is no generation training time, and the steps that the exact score needs"
    return {"criterion_remark": labelled(["criterion"], remarks, words)}
