"""What scores of finite range lose on fields of two phases, exactly: when a box, and the lattice, decide the phase.

The fields x₀ = sM + φ are those of `csd.targets.two_phase`. With P the covariance of the noised φ in the box |r_μ| ≤ R,
e₀ its middle and 1 the constant, the best score from the box and the separation Λ_R of the phases in it are

    s_R(x) = −e₀ᵀP⁻¹(x − αM tanh θ_R 1),     Λ_R = α² M² 1ᵀP⁻¹1,     θ_R ~ N(sΛ_R + h, Λ_R).

Where the box is the lattice, this is the exact score, with Λ = α² M² N / C(0). With q(Λ) = E[1 − tanh² θ],

    gap = E|s_R − s*|²/N = [(K*)_00 − (P⁻¹)_00] + α² M² {(P⁻¹1)₀² q(Λ_R) − q(Λ)/C(0)²}:

a linear part, that of φ, and the part of the bit s. Their integrals (D/2) ∫dt N gap are the path KLs; for white φ of a
small variance that of the bit is (N/V − 1) H(p), H(½) = ln 2: one bit a box.

A *criterion* is halfway from what is known without a field to certainty. The lattice meets it from the speciation time
t_S down, the box from t_R down. Between them, a window of width ½ ln(N/V) where α² is small, the lattice knows the
phase and the box does not. Below t_R the box still has half of it to learn: about half of the path KL of the bit is
lost there.
"""

from collections.abc import Callable
from math import exp, log
from typing import Any

import numpy as np

from csd.core.errors import InputError, unknown
from csd.core.files import Content
from csd.lattice import Array
from csd.locality.box import ROUNDING, SymmetricBox
from csd.locality.content import phases_content, phases_request
from csd.locality.gaussian import box_of, checked_field, mmse_difference, path_divergence
from csd.locality.options import PhaseSettings
from csd.targets.noising import NoisedTarget, Schedule, level_at
from csd.targets.two_phase import TwoPhase, posterior_average, prior_odds, undecided

STEP = 0.2
"""Step of ln γ in the quadrature of the path KL of the bit; half of it changes nothing in 12 digits."""
SMALL, LARGE = 1e-13, 1e14
"""How far this quadrature goes below and above the extreme scales of γ."""


def _remaining_entropy(theta: Array) -> Array:
    """Entropy in nats of a sign of log-odds 2θ, times cosh θ."""
    size = np.minimum(np.abs(theta), 300.0)
    small = np.exp(-2.0 * size)
    return np.asarray((np.log1p(small) + 2.0 * size * small / (1.0 + small)) * np.cosh(size))


def known_information(separation: Array | float, probability: float = 0.5) -> Array:
    """I(s; x) over the entropy of s, from 0 at Λ = 0 to 1; the shape of the separation.

    Args:
        separation: Λ.
        probability: p of s = +1.
    """
    entropy = -probability * log(probability) - (1.0 - probability) * log(1.0 - probability)
    return 1.0 - posterior_average(separation, _remaining_entropy, prior_odds(probability)) / entropy


def _confidence(separation: Array | float, probability: float) -> Array:
    """E|P(+|x) − P(−|x)| = E|tanh θ|, of which |2p − 1| is known without x; from 0 to 1."""
    from scipy.special import ndtr

    value, odds = np.maximum(np.asarray(separation, dtype=float), 1e-300), prior_odds(probability)
    root, known = np.sqrt(value), abs(2.0 * probability - 1.0)
    right = probability * (2.0 * ndtr((value + odds) / root) - 1.0)
    right = right + (1.0 - probability) * (2.0 * ndtr((value - odds) / root) - 1.0)
    return np.asarray((right - known) / (1.0 - known))


def _clones(separation: Array | float, probability: float) -> Array:
    """E tanh² θ: how much more often than by chance two fields with the same x have the same s; from 0 to 1."""
    return 1.0 - undecided(separation, probability) / (4.0 * probability * (1.0 - probability))


CRITERIA: dict[str, Callable[[float, float], Array]] = {
    "information": known_information,
    "confidence": _confidence,
    "clones": _clones,
}
"""What is known of s, from 0 to 1, as functions of Λ and p: at p = ½ half of it is I(s; x) = ½ bit, E|2P(+|x) − 1| = ½,
and an agreement of ¾ of clones."""


def separation_needed(criterion: str = "information", probability: float = 0.5) -> float:
    """The separation Λ of the phases at which half of a criterion is known.

    Args:
        criterion: one of `CRITERIA`.
        probability: p.

    Raises:
        InputError: for an unknown criterion.
    """
    from scipy.optimize import brentq

    if criterion not in CRITERIA:
        raise unknown("criterion", criterion, CRITERIA)
    known = CRITERIA[criterion]
    return float(brentq(lambda separation: float(known(separation, probability)) - 0.5, 1e-9, 1e3, xtol=1e-14))


def lattice_separation(target: TwoPhase, ratios: Array) -> Array:
    """Λ = γ M² N / (1 + γ/m²), same shape as the ratios γ = α²/σ²."""
    return np.asarray(ratios * target.magnetisation**2 * target.lattice.sites / (1.0 + ratios / target.mass**2))


class PhaseBox:
    """The two phases in a box |r_μ| ≤ R: what is known of s, the best score, and what it loses.

    Args:
        target: the fields.
        reach: R, with 2R + 1 ≤ L.

    Attributes:
        target: the fields.
        box: of φ.

    Raises:
        InputError: if the range does not fit, or memory does not suffice.
    """

    def __init__(self, target: TwoPhase, reach: int) -> None:
        self.target, self.reach = target, reach
        self.box: SymmetricBox = box_of(target.field, reach)
        zero = int(np.flatnonzero(target.lattice.shells.laplacian == 0.0)[0])
        # 1 and e₀ in the eigenvectors of the covariance; the transform at k = 0 is the product with 1.
        self._constant, self._middle = self.box.amplitudes[zero], self.box.vectors[self.box.inner[0]]

    def separation(self, ratios: Array) -> Array:
        """Λ_R = γ M² Σ_i (v_i·1)² / (1 + γλ_i), same shape as the ratios γ = α²/σ²."""
        shrunk = 1.0 / (1.0 + np.multiply.outer(ratios, self.box.variances))
        return np.asarray(ratios * self.target.magnetisation**2 * (shrunk @ self._constant**2))

    def gap_of_bit(self, ratios: Array) -> Array:
        """σ² times the part of the bit, γ M² {(σ²P⁻¹1)₀² q(Λ_R) − (σ²/C(0))² q(Λ)}, same shape as the ratios.

        It is 0 where the difference is below the rounding of its terms.
        """
        target, separation = self.target, lattice_separation(self.target, ratios)
        pull = (1.0 / (1.0 + np.multiply.outer(ratios, self.box.variances))) @ (self._constant * self._middle)
        whole = 1.0 / (1.0 + ratios / target.mass**2)
        known = undecided(self.separation(ratios), target.probability)
        inside, outside = pull**2 * known, whole**2 * undecided(separation, target.probability)
        # q′(Λ) is between −q and 0, so that errors of Λ are relative errors of q.
        off_pull, off_separation = self._rounding(ratios)
        rounding = known * (2.0 * np.abs(pull) * off_pull + pull**2 * off_separation)
        rounding += ROUNDING * outside * (2.0 + separation)
        lost = inside - outside
        return np.asarray(ratios * target.magnetisation**2 * np.where(np.abs(lost) > rounding, lost, 0.0))

    def _rounding(self, ratios: Array) -> tuple[Array, Array]:
        """Bounds of the errors of (σ²P⁻¹1)₀ and Λ_R by rounding, same shape as the ratios γ = α²/σ² each.

        With A = (1 + γP)⁻¹e₀ and B = (1 + γP)⁻¹1, errors of ε √λ_max in the singular values √λ of the covariance P of
        φ change A·1 by ε γ √λ_max (|√P A| |B| + |A| |√P B|) at most, and B·1 by twice this with B for A.
        """
        variances = self.box.variances
        shrunk = 1.0 / (1.0 + np.multiply.outer(ratios, variances))
        ones, middle = self._constant**2, self._middle**2
        kernel, plain = np.sqrt(shrunk**2 @ middle), np.sqrt(shrunk**2 @ ones)
        wide_kernel, wide_plain = np.sqrt(shrunk**2 @ (middle * variances)), np.sqrt(shrunk**2 @ (ones * variances))
        scale, total = ratios * np.sqrt(variances[0]), shrunk @ ones
        off_pull = scale * (wide_kernel * plain + kernel * wide_plain) + np.sqrt((shrunk @ middle) * total)
        off_separation = ratios * self.target.magnetisation**2 * (2.0 * scale * plain * wide_plain + total)
        return ROUNDING * off_pull, ROUNDING * off_separation

    def score(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """s_R(x) = −P⁻¹e₀∗x + αM (P⁻¹1)_0 tanh(αM P⁻¹1∗x + h), the best score from the box of each site.

        Args:
            fields: noised fields, shape (…, *lattice.shape).
            schedule: α(t) and σ²(t).
            level: t.

        Returns:
            The same shape.
        """
        target, lattice = self.target, self.target.lattice
        signal, variance = float(schedule.signal(level)), float(schedule.variance(level))
        inverse, push = 1.0 / (signal**2 * self.box.variances + variance), signal * target.magnetisation
        # Transforms of P⁻¹e₀ and P⁻¹1 at the lattice's shells.
        kernels = [self.box.amplitudes @ (inverse * own) for own in (self._middle, self._constant)]
        transformed = lattice.transform(fields)
        linear, seen = (lattice.inverse(lattice.spread(own, lattice.shells) * transformed) for own in kernels)
        amplitude = push * float((self._constant * self._middle) @ inverse)
        return amplitude * np.tanh(push * seen + prior_odds(target.probability)) - linear

    def gap_of_field(self, ratios: Array) -> Array:
        """σ² times the linear part, that of φ, shape (ratios,)."""
        return np.asarray(self.box.deficit(ratios)[0][:, 0, 0])

    def path_kl_of_field(self) -> float:
        """(D/2) ∫dt N of the linear part of the gap over all noise levels, in nats: the path KL of φ."""
        return path_divergence(self.target.field, self.box)

    def path_kl_of_bit(self) -> float:
        """(D/2) ∫dt N of the bit's part of the gap over all noise levels, in nats, by the trapezoidal rule in ln γ."""
        variances, power, sites = self.box.propagator, self.target.magnetisation**2, self.target.lattice.sites
        low = SMALL / max(variances.max(), power * sites)
        nodes = np.exp(np.arange(log(low), log(LARGE * max(1.0 / variances.min(), 1.0 / power)), STEP))
        return float(0.5 * sites * STEP * self.gap_of_bit(nodes).sum())

    def bit_lost_between(self, low: float, high: float) -> float:
        """(N/2) ∫dγ/γ of the bit's gap between two ratios γ = α²/σ²: its path KL between two noise levels, in nats.

        Args:
            low: γ at the higher noise level, above 0.
            high: γ at the lower one.
        """
        from scipy.integrate import quad

        def lost(log_ratio: float) -> float:
            return 0.5 * self.target.lattice.sites * float(self.gap_of_bit(np.array(exp(log_ratio))))

        return float(quad(lost, log(low), log(high), epsrel=1e-10, limit=200)[0])


def speciation_time(target: TwoPhase, schedule: Schedule, criterion: str = "information") -> float:
    """t_S, the noise level below which half of a criterion is known from the whole field.

    Args:
        target: the fields.
        schedule: α(t) and σ²(t).
        criterion: one of `CRITERIA`.

    Returns:
        NaN where the phases overlap so much that it is not known without noise either.
    """
    needed = separation_needed(criterion, target.probability)
    left = target.magnetisation**2 * target.lattice.sites - needed / target.mass**2
    return level_at(schedule, needed / left) if left > 0.0 else float("nan")


def box_speciation_time(target: TwoPhase, schedule: Schedule, reach: int, criterion: str = "information") -> float:
    """t_R, the noise level below which half of a criterion is known from a box of range R.

    Args:
        target: the fields.
        schedule: α(t) and σ²(t).
        reach: R.
        criterion: one of `CRITERIA`.

    Returns:
        NaN where it is not known without noise either.
    """
    return _time_in(PhaseBox(target, reach), schedule, separation_needed(criterion, target.probability))


def _time_in(inside: PhaseBox, schedule: Schedule, needed: float) -> float:
    """The noise level at which Λ_R has a value; NaN where there is none."""
    from scipy.optimize import brentq

    def excess(log_ratio: float) -> float:
        return float(log(inside.separation(np.array(exp(log_ratio)))) - log(needed))

    # Λ_R lies between γM²V/(1 + γλ_max) and γM²V.
    sites, power = (2 * inside.reach + 1) ** inside.target.lattice.dimension, inside.target.magnetisation**2
    low, high = log(needed / (power * sites)) - 1e-9, log(1e15 / inside.box.variances.min())
    if high <= low or excess(high) < 0.0:
        return float("nan")
    return level_at(schedule, exp(float(brentq(excess, low, high, xtol=1e-14))))


def asymptotic_width(target: TwoPhase, reach: int) -> float:
    """½ ln(N/V), V = (2R + 1)^d: the width of the window [t_R, t_S] where α² is small at both its ends."""
    lattice = target.lattice
    return 0.5 * lattice.dimension * log(lattice.size / (2 * reach + 1))


def _checked_target(noised: NoisedTarget, settings: PhaseSettings) -> TwoPhase:
    """The target, if its phases are known with these settings."""
    target = noised.target
    if not isinstance(target, TwoPhase):
        raise InputError(f"target is {type(target).__name__}, which has no magnetisation; take two_phase")
    if settings.block != 1:
        raise InputError(f"block is {settings.block}; for target two_phase it must be 1")
    checked_field(NoisedTarget(target.field, noised.schedule, noised.levels))
    return target


def two_phase_request(noised: NoisedTarget, settings: PhaseSettings) -> dict[str, Any]:
    """All settings that determine a file of fields of two phases, checked.

    Raises:
        InputError: if the target, a noise level, a range or the cube cannot be used.
    """
    _checked_target(noised, settings)
    return phases_request(noised, settings)


def two_phase_phases(noised: NoisedTarget, settings: PhaseSettings) -> Content:
    """What scores of finite range lose on fields of two phases, at all noise levels.

    Args:
        noised: the fields at their noise levels.
        settings: ranges; the cube must be a site.

    Returns:
        score_gap, its part bit_gap, floor, mmse_difference, box_separation and box_information(noise_level, range),
        path_kl, path_kl_linear, path_kl_bit, box_speciation_time and window_width(range), speciation_time, separation,
        information and squared_score(noise_level).

    Raises:
        InputError: if the target has no phases ±M, its mass or a noise level is too small, a range does not fit, the
            cube is larger than a site, or memory does not suffice.
    """
    target, lattice = _checked_target(noised, settings), noised.lattice
    ratios, variances = noised.ratios, noised.variances[:, None]
    squared = [_squared_score(target, noised.schedule, level) for level in noised.levels]
    needed, decided = separation_needed("information", target.probability), speciation_time(target, noised.schedule)
    own = lattice_separation(target, ratios)
    columns: dict[str, list[Array]] = {}
    rows: dict[str, list[float]] = {}
    for reach in settings.on(lattice):
        inside = PhaseBox(target, reach)
        linear, bit, separation = (part(ratios) for part in (inside.gap_of_field, inside.gap_of_bit, inside.separation))
        found = {"field": linear, "bit": bit, "separation": separation}
        found["information"] = known_information(separation, target.probability)
        box_time = _time_in(inside, noised.schedule, needed)
        of_path = inside.path_kl_of_field(), inside.path_kl_of_bit()
        numbers = {
            "path_kl": sum(of_path),
            "path_kl_linear": of_path[0],
            "path_kl_bit": of_path[1],
            "box_speciation_time": box_time,
            "window_width": decided - box_time,
        }
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
        for name, number in numbers.items():
            rows.setdefault(name, []).append(number)
    at = {name: np.stack(values, axis=1) for name, values in columns.items()}
    lost = at["field"] + at["bit"]
    return phases_content(
        noised,
        settings,
        {
            "score_gap": lost / variances,
            "bit_gap": at["bit"] / variances,
            "floor": lost / variances / np.array(squared)[:, None],
            "mmse_difference": mmse_difference(lost, ratios, target.mass),
            **rows,
            "box_separation": at["separation"],
            "box_information": at["information"],
            "separation": own,
            "information": known_information(own, target.probability),
            "speciation_time": decided,
            "squared_score": squared,
            "score_length": noised.score_lengths(),
        },
    )


def _squared_score(target: TwoPhase, schedule: Schedule, level: float) -> float:
    """E|s*|² / N."""
    shells = target.lattice.shells
    return float(shells.multiplicity @ target.score_spectrum(shells.laplacian, schedule, level) / target.lattice.sites)
