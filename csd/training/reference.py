"""Predictions of training: closed forms and exact dynamics (docs/physics.md, section 5).

One layer, from K₀ = 0 at rate η:                 K_j = K* (1 − (1 − η C)^j)
The same with momentum:                           K_j = K* (1 − (M^j)₀₀), see csd.training.steps.quadratic
One local layer, P = V λ Vᵀ:                      κ_j = (1 − (1 − η P)^j) κ*
Two balanced layers, in the limit of small η:     K(s) = K* K₀ / (K₀ + (K* − K₀) e^{−2s}),  s = η j
p layers near the fixed point:                    rate p C^{2/p − 1}, so steps ∝ L^z, z = 2 |1 − 2/p|

Where the discrete map has no known closed form, the prediction is the map itself: descent on the population loss.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from csd.core.plugins import is_user_defined
from csd.lattice import Array
from csd.networks import Architecture
from csd.networks.full import DeepLinear
from csd.networks.linear import START_KERNEL, LinearNetwork
from csd.networks.local import LocalOneLayer, LocalTwoLayer
from csd.targets.base import HasHeldOut
from csd.targets.noising import NoisedTarget
from csd.training.descent.optimizers import REAL
from csd.training.loop import descend
from csd.training.options import TrainingSettings, with_population
from csd.training.preparation import Prepared
from csd.training.record import crossing_time, record_steps
from csd.training.steps.quadratic import QuadraticError, best_pair, stable_factor
from csd.training.steps.rule import optimizer_for
from csd.training.steps.tuning import prepare_tuned

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
    share = weight / spectrum
    error = QuadraticError("gd", spectrum, share / share.sum(), rate)
    return np.array([error(one) for one in np.atleast_1d(step)]).reshape(np.shape(step))


def quadratic_error(
    network: LinearNetwork, spectrum: Array, weight: Array, rate: float, rule: tuple[str, float]
) -> QuadraticError:
    """The error of a network with a quadratic loss, one full or local layer, as a function of the step.

    One layer has curvatures C, and each mode the share (1/C) / Σ_k 1/C of ε, from K₀ = 0. One local layer has those of
    P = V λ Vᵀ, with the shares λ_i (v_i·κ*)² / ((1/N) Σ_k K*), beside ε_R.

    Args:
        network: the network.
        spectrum: C on *shells*, or on *pairs* if it is not isotropic.
        weight: multiplicity of these modes.
        rate: η.
        rule: gd, heavy_ball or nesterov, and β.
    """
    name, momentum = rule
    if not isinstance(network, LocalOneLayer):
        share = weight / spectrum
        return QuadraticError(name, spectrum, share / share.sum(), rate, momentum)
    half = network.lattice.half(spectrum)
    values, vectors = np.linalg.eigh(network.patch.symmetric_covariance(half))
    share = values * (vectors.T @ network.patch.symmetric_solution(half)) ** 2
    share /= (weight / spectrum).sum() / network.lattice.sites
    return QuadraticError(name, values, share, rate, momentum, network.floor(spectrum))


@dataclass
class Prediction:
    """Predicted ε and τ, in the form of `csd.training.record.TrainingRecord`.

    Attributes:
        steps: recorded steps, shape (R,).
        score_error: ε, shape (S, T, R); NaN after the last step of a prediction by descent.
        training_time: τ, shape (S, T); NaN if never reached.
        crossing_time: τ interpolated between steps, shape (S, T).
        settled_time, settled_crossing_time: the same of the step from which ε stays, shape (S, T); None where no steps
            for it are asked for.
        method: 'closed form' or 'population descent'.
    """

    steps: NDArray[np.int64]
    score_error: Array
    training_time: Array
    crossing_time: Array
    settled_time: Array | None
    settled_crossing_time: Array | None
    method: str


def reference_curve(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, known: Prepared | None = None
) -> Prediction | None:
    """The exact learning curve on the population loss; None if a linear family or the exact spectrum is missing.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training, of which loss, batch and data set are not used.
        known: a run of this architecture on this target, whose rates and floors are taken; prepared if None. Rates that
            are tuned are its own in any case.

    Raises:
        TrainingDiverged: if the learning rate is beyond stability.
    """
    # The spectrum of held-out fields is no exact loss to descend.
    if not architecture.is_family or isinstance(noised.target, HasHeldOut):
        return None
    exact = with_population(settings)
    networks = [architecture.build(noised.lattice, float(length)) for length in noised.score_lengths()]
    closed = all(_has_closed_form(network) for network in networks)
    tuning = None if known is None else known.tuning
    known = (known or prepare_tuned(noised, architecture, exact)) if closed else None
    # Closed forms are of rules that are linear in the gradient, and beyond stability descent finds where it diverges.
    rule = settings.linear_rule
    if known is None or known.momenta is None or rule is None or not (known.rates < known.stable_rates).all():
        run = descend(noised, prepare_tuned(noised, architecture, exact, tuning=tuning), exact)
        return Prediction(
            run.steps,
            run.score_error,
            run.training_time,
            run.crossing_time,
            run.settled_time,
            run.settled_crossing_time,
            "population descent",
        )

    modes, last = noised.modes, settings.most_steps
    grid = record_steps(last)
    curves, times = [], []
    for level, (network, spectrum) in enumerate(zip(networks, noised.spectra_at(modes), strict=True)):
        of_level = rule[0], float(known.momenta[level])
        of_rates = np.atleast_2d(known.rates)[:, level]
        one = quadratic_error(network, spectrum, modes.multiplicity, float(of_rates[0]), of_level)
        errors = [replace(one, rate=float(rate)) for rate in of_rates]
        threshold = settings.tolerance + float(known.floors[level])
        times.append([[_with_crossing(own, threshold, stay, last) for stay in (0, settings.settle)] for own in errors])
        curves.append([[own(float(step)) for step in grid] for own in errors])
    # The same for every seed, unless each has a rate of its own.
    seeds = len(settings.seeds)
    every_curve, every_time = (
        np.repeat(found, seeds if found.shape[0] == 1 else 1, axis=0)
        for found in (np.swapaxes(np.array(own), 0, 1) for own in (curves, times))
    )
    (first, crossing), (stays, entry) = np.moveaxis(every_time, [2, 3], [0, 1])
    stays, entry = (own if settings.settle else None for own in (stays, entry))
    return Prediction(grid, every_curve, first, crossing, stays, entry, "closed form")


def _with_crossing(error: QuadraticError, threshold: float, stay: int, last: int) -> tuple[float, float]:
    """(first step from which an error is at a threshold for some further steps, where it crosses it before that)."""
    time = error.entry(threshold, stay, last)
    return time, crossing_time(time, error(time - 1.0), error(time), threshold) if time > 0.0 else time


OF_MODES = 200.0
"""About the steps of Adam and of the sign on each mode, at their best rate."""
CURVE_POINTS = 48
"""Values of C that represent all modes in the estimate of expected steps."""
DIVERGED = 1e100
"""ε from which the estimate takes training for diverged."""


def expected_steps(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> float:
    """An estimate of the steps that training takes: those of the slowest level, by closed form or map of its modes.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.

    Returns:
        NaN for user-defined networks and for rates or starts beyond stability; `max_steps` if nothing else ends it.
    """
    if settings.tolerance == 0.0 or settings.data_set is not None:
        return float(settings.most_steps)
    optimizer = optimizer_for(settings)
    tuned = optimizer.bounded and settings.rate_from == "tuned"
    # Rules that are not linear and act on filters in real space mix the modes.
    if not architecture.is_family or (optimizer.space == REAL and not tuned) or optimizer.clip:
        return float("nan")
    modes, rule = noised.modes, settings.linear_rule
    slowest = 0.0
    for length, spectrum in zip(noised.score_lengths(), noised.spectra_at(modes), strict=True):
        network = architecture.build(noised.lattice, float(length))
        if tuned:
            # At its best rate Adam steps like descent at a rate that rises as √j (docs/optimisers.md).
            share = modes.multiplicity / spectrum
            plain = QuadraticError("gd", spectrum, share / share.sum(), 1.0 / spectrum.max())
            real = plain.entry(settings.tolerance, 0, 10**18) ** (2.0 / 3.0)
            slowest = max(slowest, real if optimizer.space == REAL else OF_MODES)
            continue
        rate, of_level = settings.learning_rate or optimizer.rate or network.learning_rate(spectrum), rule
        if rule is not None and settings.rate_from == "optimal":
            rate, momentum = best_pair(rule[0], spectrum.min(), spectrum.max())
            of_level = rule[0], momentum
        if settings.rate_from == "safe" and isinstance(network, LocalTwoLayer):
            rate = network.safe_rate(spectrum)
        if of_level is not None and not rate < stable_factor(*of_level) * network.stable_rate(spectrum):
            return float("nan")
        if of_level is not None and _has_closed_form(network):
            error = quadratic_error(network, spectrum, modes.multiplicity, rate, of_level)
            time = error.entry(settings.tolerance + error.floor, settings.settle, settings.most_steps)
        else:
            depth = network.depth if isinstance(network, DeepLinear) else 2
            time = _mode_steps(spectrum, modes.multiplicity, depth, rate, settings)
            if np.isnan(time):
                return time
        slowest = max(slowest, time if time == time else float(settings.most_steps))
    return min(slowest + settings.settle, float(settings.most_steps))


def _mode_steps(spectrum: Array, weight: Array, depth: int, rate: float, settings: TrainingSettings) -> float:
    """Steps of layers w with the gradient w^{p−1} (C wᵖ − 1) to the tolerance; at most 48 values of C stand for all.

    The rule of the steps acts on each mode by itself, so that its recursion on these numbers is exact.
    """
    value: Array = spectrum
    share: Array = weight / spectrum
    if len(spectrum) > CURVE_POINTS:
        edges = np.geomspace(spectrum.min(), spectrum.max() * (1.0 + 1e-9), CURVE_POINTS + 1)
        place = np.clip(np.searchsorted(edges, spectrum, side="right") - 1, 0, CURVE_POINTS - 1)
        share = np.bincount(place, share, CURVE_POINTS).astype(float)
        value = np.sqrt(edges[1:] * edges[:-1])
    optimizer, since = optimizer_for(settings), None
    start = 0.0 if depth == 1 else (settings.start_kernel or START_KERNEL / spectrum.max()) ** (1.0 / depth)
    filters = np.full((1, len(value)), start)
    state = optimizer.start(filters)
    for step in range(settings.most_steps):
        residual = value * filters**depth - 1.0
        error = (share * residual**2).sum() / share.sum()
        # From a start that is too large a mode grows without bound.
        if not error < DIVERGED:
            return float("nan")
        if error > settings.tolerance:
            since = None
        else:
            since = step if since is None else since
            if step - since >= settings.settle:
                return float(since)
        optimizer.advance(filters, state, filters ** (depth - 1) * residual, step + 1, rate)
    return float(settings.most_steps)


def _has_closed_form(network: LinearNetwork) -> bool:
    """Whether the learning curve has a closed form, which belongs to the kernel and start of built-in networks."""
    if is_user_defined(type(network).kernel) or is_user_defined(type(network).start):
        return False
    return isinstance(network, LocalOneLayer) or (isinstance(network, DeepLinear) and network.depth == 1)
