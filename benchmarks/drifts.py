"""Scores as drifts: how near they are to −∇H, and the acceptance of MALA with them.

    φ′ = φ + h s(φ) + √(2h) ξ,   accepted with probability min(1, e^{H(φ) − H(φ′)} q(φ | φ′)/q(φ′ | φ)),

where q(φ′ | φ) ∝ exp(−|φ′ − φ − h s(φ)|²/(4h)). To first order in h the logarithm of the acceptance ratio is
−δ·(s + ∇H), δ = φ′ − φ, of variance v = 2h |s + ∇H|², so that the acceptance is 2Φ(−√v/2) with the normal distribution
function Φ. It depends on the unit of the field: for φ/c instead of φ the same h stands for a step of c² h.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from csd.core.random import stream
from csd.lattice import Array
from csd.networks.score import Score
from csd.targets.phi4 import PhiFour

LEVEL = 1e-4
"""t at which scores are called."""


@dataclass(frozen=True)
class Agreement:
    """A score beside −∇H, each number with its standard error over fields.

    Attributes:
        cosine: s·(−∇H)/(‖s‖ ‖∇H‖).
        ratio: ‖s‖/‖∇H‖.
        error: |s + ∇H|²/|∇H|², of means over fields.
    """

    cosine: tuple[float, float]
    ratio: tuple[float, float]
    error: float


def mean_of(values: Array) -> tuple[float, float]:
    """The mean of independent numbers, and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def agreement(score: Array, force: Array) -> Agreement:
    """Compare scores with forces −∇H, both of shape (fields, *lattice)."""
    ours, exact = (values.reshape(len(values), -1) for values in (score, force))
    norms = np.linalg.norm(ours, axis=1), np.linalg.norm(exact, axis=1)
    cosine = (ours * exact).sum(axis=1) / (norms[0] * norms[1])
    error = float(((ours - exact) ** 2).sum() / (exact**2).sum())
    return Agreement(mean_of(cosine), mean_of(norms[0] / norms[1]), error)


def acceptance(target: PhiFour, drift: Score, fields: Array, step: float, steps: int) -> tuple[float, float]:
    """The mean acceptance probability of MALA, with its standard error over chains.

    Args:
        target: whose e^{−H} is sampled, exactly with any drift.
        drift: s(φ, t), called at t = 10⁻⁴.
        fields: start of each chain, shape (chains, *lattice).
        step: h.
        steps: of each chain.
    """
    own, sites = stream("beside others", float(step)), tuple(range(1, fields.ndim))
    present, energy, force = fields, target.energy(fields[:, None]), drift(fields, LEVEL)
    accepted = np.zeros(len(fields))
    for _ in range(steps):
        moved = present + step * force + np.sqrt(2.0 * step) * own.standard_normal(fields.shape)
        energies, forces = target.energy(moved[:, None]), drift(moved, LEVEL)
        there = ((moved - present - step * force) ** 2).sum(axis=sites)
        back = ((present - moved - step * forces) ** 2).sum(axis=sites)
        chance = np.exp(np.minimum(0.0, energy - energies + (there - back) / (4.0 * step)))
        accepted += chance / steps
        taken = own.random(len(fields)) < chance
        energy, where = np.where(taken, energies, energy), taken.reshape(-1, *(1,) * len(sites))
        present, force = np.where(where, moved, present), np.where(where, forces, force)
    return mean_of(accepted)


def expected_acceptance(variance: float) -> float:
    """2Φ(−√v/2), the mean of min(1, eˣ) for normal x of variance v and mean −v/2."""
    return 2.0 * NormalDist().cdf(-0.5 * variance**0.5)


def zero_mode(score: Array, force: Array, fields: Array) -> tuple[float, float]:
    """−⟨φ̂ ŝ*⟩/N at k = 0, with its standard error: 1 for the exact score, and about 1 + χ δ if s = s* − δ φ there.

    As −∇H has it 1 exactly (Schwinger–Dyson), it is estimated as 1 − ⟨φ̂ (ŝ + ∇Ĥ)*⟩/N, which scatters less.
    """
    size, both = fields[0].size, (values.reshape(len(values), -1).sum(axis=1) for values in (fields, score - force))
    magnetisation, difference = both
    return mean_of(1.0 - magnetisation * difference / size)
