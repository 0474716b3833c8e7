"""Predictions of training: closed forms and exact dynamics (docs/physics.md, section 5).

One layer, from K₀ = 0 at rate η:                 K_j = K* (1 − (1 − η C)^j)
One local layer, P = V λ Vᵀ:                      κ_j = (1 − (1 − η P)^j) κ*
Two balanced layers, in the limit of small η:     K(s) = K* K₀ / (K₀ + (K* − K₀) e^{−2s}),  s = η j
p layers near the fixed point:                    rate p C^{2/p − 1}, so steps ∝ L^z, z = 2 |1 − 2/p|

Where the discrete map has no known closed form, the prediction is the map itself: descent on the population loss.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csd.core.plugins import is_user_defined
from csd.lattice import Array
from csd.networks import Architecture
from csd.networks.full import DeepLinear
from csd.networks.linear import START_KERNEL, LinearNetwork
from csd.networks.local import LocalOneLayer
from csd.targets.base import HasHeldOut
from csd.targets.noising import NoisedTarget
from csd.training.loop import descend
from csd.training.options import TrainingSettings, with_population
from csd.training.preparation import Prepared, prepare
from csd.training.record import crossing_time, record_steps

ANOMALOUS = {(2, 1): 0.25, (3, 1): 0.0362978, (3, 2): 0.03816, (3, 3): 0.03784}
"""η of the O(n) universality classes, by (d, n).

d = 2, n = 1: exact (Kaufman, Onsager, Phys. Rev. 76, 1244 (1949)). d = 3, n = 1: 0.0362978(20) (Kos, Poland,
Simmons-Duffin, Vichi, JHEP 08 (2016) 036); n = 2: 0.03816(2) (Hasenbusch, arXiv:2507.19265); n = 3: 0.03784(5)
(Hasenbusch, Phys. Rev. B 102, 024406 (2020)).
"""


def depth_exponent(depth: int) -> float:
    """z = 2 |1 − 2/p| of steps ∝ L^z at criticality; z = 0 means log L."""
    return 2.0 * abs(1.0 - 2.0 / depth)


def growth_exponent(dimension: int, components: int) -> float:
    """γ/ν = 2 − η of χ ∝ L^{γ/ν} at the critical point, by n; z of one layer, whose steps grow as the largest C does.

    Args:
        dimension: d.
        components: n of φ⁴ or unit spins; 0 for n → ∞.

    Returns:
        2 for n → ∞; NaN where it is not listed.
    """
    return 2.0 - (0.0 if components == 0 else ANOMALOUS.get((dimension, components), float("nan")))


def one_layer_error(spectrum: Array, weight: Array, rate: float, step: float | Array) -> Array:
    """ε_j = Σ_k K* (1 − η C)^{2j} / Σ_k K*.

    Args:
        spectrum: C, shape (modes,).
        weight: multiplicity of the modes, shape (modes,).
        rate: η.
        step: j, a number or an array of shape (steps,).

    Returns:
        ε, shape of `step`.
    """
    exact = weight / spectrum
    slow = np.abs(1.0 - rate * spectrum)
    error: Array = np.array([(exact * slow ** (2.0 * j)).sum() for j in np.atleast_1d(step)]) / exact.sum()
    return error.reshape(np.shape(step))


def local_one_layer_error(
    network: LocalOneLayer, spectrum: Array, weight: Array, rate: float, floor: float
) -> Callable[[float], float]:
    """ε_j = ε_R + Σ_i λ_i (1 − η λ_i)^{2j} (v_i·κ*)² / ((1/N) Σ_k K*), as a function of j.

    Args:
        network: the local network.
        spectrum: C on *shells*, or on *pairs* if it is not isotropic.
        weight: multiplicity of these modes.
        rate: η.
        floor: ε_R.
    """
    half = network.lattice.half(spectrum)
    values, vectors = np.linalg.eigh(network.patch.symmetric_covariance(half))
    share = values * (vectors.T @ network.patch.symmetric_solution(half)) ** 2
    share /= (weight / spectrum).sum() / network.lattice.sites
    return lambda step: float(floor + (share * np.abs(1.0 - rate * values) ** (2.0 * step)).sum())


def first_step(error: Callable[[float], float], threshold: float, last: int) -> float:
    """First step j ≤ last with error(j) ≤ threshold, for an error that never grows; NaN if there is none."""
    if error(last) > threshold:
        return float("nan")
    return float(bisect_left(range(last + 1), True, key=lambda step: error(step) <= threshold))


@dataclass
class Prediction:
    """Predicted ε and τ, in the form of `csd.training.record.TrainingRecord`.

    Attributes:
        steps: recorded steps, shape (R,).
        score_error: ε, shape (S, T, R); NaN after the last step of a prediction by descent.
        training_time: τ, shape (S, T); NaN if never reached.
        crossing_time: τ interpolated between steps, shape (S, T).
        method: 'closed form' or 'population descent'.
    """

    steps: NDArray[np.int64]
    score_error: Array
    training_time: Array
    crossing_time: Array
    method: str


def reference_curve(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, known: Prepared | None = None
) -> Prediction | None:
    """The exact learning curve on the population loss; None if a linear family or the exact spectrum is missing.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training, of which loss, batch and data set are not used.
        known: a run of this architecture on this target, whose rates and floors are taken; prepared if None.

    Raises:
        TrainingDiverged: if the learning rate is beyond stability.
    """
    # The spectrum of held-out fields is no exact loss to descend.
    if not architecture.is_family or isinstance(noised.target, HasHeldOut):
        return None
    exact = with_population(settings)
    networks = [architecture.build(noised.lattice, float(length)) for length in noised.score_lengths()]
    closed = all(_has_closed_form(network) for network in networks)
    known = (known or prepare(noised, architecture, exact)) if closed else None
    # Closed forms describe plain steps, and beyond stability descent finds out where it diverges.
    if known is None or not known.plain or not (known.rates < known.stable_rates).all():
        run = descend(noised, prepare(noised, architecture, exact), exact)
        return Prediction(run.steps, run.score_error, run.training_time, run.crossing_time, "population descent")

    modes = noised.modes
    grid = record_steps(settings.most_steps)
    curves, times, crossings = [], [], []
    for level, (network, spectrum) in enumerate(zip(networks, noised.spectra_at(modes), strict=True)):
        rate, floor = float(known.rates[level]), float(known.floors[level])
        error = _learning_curve(network, spectrum, modes.multiplicity, rate, floor)
        threshold = settings.tolerance + floor
        time = first_step(error, threshold, settings.most_steps)
        times.append(time)
        crossings.append(crossing_time(time, error(time - 1.0), error(time), threshold) if time > 0.0 else time)
        curves.append([error(float(step)) for step in grid])
    # The same for every seed.
    every_curve, every_time, every_crossing = (
        np.array([values] * len(settings.seeds)) for values in (curves, times, crossings)
    )
    return Prediction(grid, every_curve, every_time, every_crossing, "closed form")


CURVE_POINTS = 48
"""Values of C that represent all modes in the estimate of expected steps."""


def expected_steps(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> float:
    """An estimate of the steps that training takes: those of the slowest level, by closed form or map of its modes.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.

    Returns:
        NaN for user-defined networks and for rates beyond stability; `max_steps` if nothing else ends training.
    """
    if settings.tolerance == 0.0 or settings.data_set is not None:
        return float(settings.most_steps)
    if not architecture.is_family or settings.stepping.keys() - {"momentum"}:
        return float("nan")
    modes = noised.modes
    slowest = 0.0
    for length, spectrum in zip(noised.score_lengths(), noised.spectra_at(modes), strict=True):
        network = architecture.build(noised.lattice, float(length))
        rate = settings.learning_rate or network.learning_rate(spectrum)
        if not rate < network.stable_rate(spectrum):
            return float("nan")
        if _has_closed_form(network):
            floor = network.floor(spectrum)
            error = _learning_curve(network, spectrum, modes.multiplicity, rate, floor)
            time = first_step(error, settings.tolerance + floor, settings.most_steps)
        else:
            depth = network.depth if isinstance(network, DeepLinear) else 2
            time = _mode_steps(spectrum, modes.multiplicity, depth, rate, settings)
        slowest = max(slowest, time if time == time else float(settings.most_steps))
    # At small rates momentum multiplies them by 1/(1 − β).
    return slowest * (1.0 - settings.momentum)


def _mode_steps(spectrum: Array, weight: Array, depth: int, rate: float, settings: TrainingSettings) -> float:
    """Steps of w ← w − η w^{p−1} (C wᵖ − 1) to the tolerance, for values of C that represent all modes."""
    edges = np.geomspace(spectrum.min(), spectrum.max() * (1.0 + 1e-9), CURVE_POINTS + 1)
    place = np.clip(np.searchsorted(edges, spectrum, side="right") - 1, 0, CURVE_POINTS - 1)
    share = np.bincount(place, weight / spectrum, CURVE_POINTS)
    value = np.sqrt(edges[1:] * edges[:-1])
    filters = np.full(CURVE_POINTS, (START_KERNEL / spectrum.max()) ** (1.0 / depth))
    for step in range(settings.most_steps):
        residual = value * filters**depth - 1.0
        if (share * residual**2).sum() <= settings.tolerance * share.sum():
            return float(step)
        filters -= rate * filters ** (depth - 1) * residual
    return float(settings.most_steps)


def _has_closed_form(network: LinearNetwork) -> bool:
    """Whether the learning curve has a closed form, which belongs to the kernel and start of built-in networks."""
    if is_user_defined(type(network).kernel) or is_user_defined(type(network).start):
        return False
    return isinstance(network, LocalOneLayer) or (isinstance(network, DeepLinear) and network.depth == 1)


def _learning_curve(
    network: LinearNetwork, spectrum: Array, weight: Array, rate: float, floor: float
) -> Callable[[float], float]:
    """ε_j of a network with a closed form, as a function of j."""
    if isinstance(network, LocalOneLayer):
        return local_one_layer_error(network, spectrum, weight, rate, floor)
    return lambda step: float(one_layer_error(spectrum, weight, rate, step))
