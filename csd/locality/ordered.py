"""Boxes of Ising spins below T_c in two dimensions, as two phases of the exact magnetisation; nothing is fitted.

Spins in a phase fluctuate over short distances, with the connected susceptibility χ_c, about their magnetisation ±M. At
the scale of a box of n sites the noised field is then that of two phases with C(0) = σ² + α²χ_c, and

    E Var(x₀|box) − E Var(x₀|all) = M² f² [q(Λ_V) − q(Λ_N)],
    f = σ²/(σ² + α²χ_c),     Λ_n = α²M²n/(σ² + α²χ_c),     q(Λ) = 1 − E tanh θ,  θ ~ N(Λ, Λ).

    M = (1 − sinh⁻⁴ 2β)^{1/8}                              (Yang, Phys. Rev. 85, 808 (1952))
    χ_c = 4u² (1 + 8u + 60u² + 416u³ + …),  u = e^{−4β}    (Sykes, Gaunt, Martin, Mattingly, Essam, J. Math. Phys. 14,
                                                            1071 (1973); 12 terms, those after them by their ratios)
"""

from math import exp, log, sinh, sqrt

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array
from csd.targets.two_phase import undecided

CRITICAL = 0.5 * log(1.0 + sqrt(2.0))
"""β_c of the square lattice."""
SERIES = (1, 8, 60, 416, 2791, 18296, 118016, 752008, 4746341, 29727472, 185016612, 1145415208)
"""Coefficients of χ_c/4u² in u."""
FURTHER = 400
"""Terms after those of the series."""


def ordered_phase(beta: float) -> tuple[float, float]:
    """(M, χ_c) of Ising spins ±1 on the infinite square lattice below T_c.

    Args:
        beta: β > β_c.

    Raises:
        InputError: for β at or below β_c.
    """
    if not beta > CRITICAL:
        raise InputError(f"beta is {beta:g}; spins have two phases above {CRITICAL:.6g} alone")
    u = exp(-4.0 * beta)
    terms = [coefficient * u**power for power, coefficient in enumerate(SERIES)]
    # χ_c ∝ (β − β_c)^{−7/4}: coefficients grow by (1 + (7/4 − 1)/k)/u_c from one to the next.
    for power in range(len(SERIES), FURTHER):
        terms.append(terms[-1] * u * exp(4.0 * CRITICAL) * (1.0 + 0.75 / power))
    return (1.0 - sinh(2.0 * beta) ** -4) ** 0.125, 4.0 * u**2 * float(np.sum(terms))


def ordered_difference(beta: float, signal: Array, variance: Array, box: int, sites: int) -> Array:
    """M² f² [q(Λ_V) − q(Λ_N)], the difference of mean square errors of a spin from a box and from the lattice.

    Args:
        beta: β > β_c.
        signal: α.
        variance: σ², of the same shape.
        box: V, sites of the box.
        sites: N, of the lattice.
    """
    magnetisation, susceptibility = ordered_phase(beta)
    zero = variance + signal**2 * susceptibility
    separation = signal**2 * magnetisation**2 / zero
    seen = undecided(separation * box) - undecided(separation * sites)
    return np.asarray((magnetisation * variance / zero) ** 2 * seen)
