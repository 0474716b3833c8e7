"""Five criteria for the quality of samples, the same in files, summaries, claims and `csd integrators`.

With ρ = V/C, the generated over the exact variance of a mode, and sums over all N momenta (docs/physics.md, section 6):

    name                     deviation                                             limit    sensitive to
    kl_per_site              (1/N) Σ_k ½ [ρ − 1 − ln ρ], less the exact score's    0.01     hard modes
    total_kl                 Σ_k ½ [ρ − 1 − ln ρ], nats                            0.1      all modes
    susceptibility           |χ/χ_exact − 1|                                       0.05     the zero mode
    correlation_length       |ξ/ξ_exact − 1|, second moment                        0.05     the two softest shells
    effective_sample_size    −ln(ESS/M) = ½ Σ_k [2 ln ρ − ln(2ρ − 1)]              ln 2     all modes

ESS/M = (E w)²/E w² is the effective sample size of samples weighted with w = p_exact/p_generated. It has a closed form
for Gaussian fields: for each real degree of freedom E w² = ρ/√(2ρ − 1), infinite where ρ ≤ ½. A criterion is met where
its deviation is at most its limit.
"""

import numpy as np

from csd.lattice import Array, Lattice, Modes, observables

LIMITS: dict[str, float] = {
    "kl_per_site": 0.01,
    "total_kl": 0.1,
    "susceptibility": 0.05,
    "correlation_length": 0.05,
    "effective_sample_size": float(np.log(2.0)),
}
"""The largest deviation at which each criterion is met; the order is that of the dimension `criterion`."""
CRITERIA = tuple(LIMITS)
WORDS = {
    "kl_per_site": "KL per site",
    "total_kl": "total KL",
    "susceptibility": "χ",
    "correlation_length": "ξ",
    "effective_sample_size": "ESS",
}
"""Their names in figures."""


def log_effective_sample_size(modes: Modes, generated: Array, exact: Array) -> Array:
    """ln(ESS/M) = −½ Σ_k [2 ln ρ − ln(2ρ − 1)], ρ = V/C, over all N momenta; −∞ if any ρ ≤ ½; (…, modes) → (…).

    Args:
        modes: the momenta.
        generated: V(k), variance of the generated modes.
        exact: C(k), of the target.
    """
    ratio = np.asarray(generated / exact)
    possible = ratio > 0.5
    safe = np.where(possible, ratio, 1.0)
    terms = np.where(possible, 2.0 * np.log(safe) - np.log(2.0 * safe - 1.0), np.inf)
    return -0.5 * (modes.multiplicity * terms).sum(axis=-1)


def quantities(lattice: Lattice, modes: Modes, generated: Array, exact: Array) -> dict[str, Array]:
    """The quantity of each criterion, by name: KL per site, total KL, χ, ξ, and ln(ESS/M); (…, modes) → (…).

    Args:
        lattice: of the fields.
        modes: the momenta.
        generated: V(k), variance of the generated modes; KL ∞ and ln(ESS/M) −∞ where one is not positive and finite.
        exact: C(k), of the noised target at the lowest level, shape (modes,).
    """
    broken = np.asarray(~(np.isfinite(generated) & (generated > 0.0)).all(axis=-1))
    sound = np.where(broken[..., None], exact, generated)
    kl = np.where(broken, np.inf, observables.kl_per_site(modes, sound, exact))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return {
            "kl_per_site": kl,
            "total_kl": lattice.sites * kl,
            "susceptibility": observables.susceptibility(modes, generated),
            "correlation_length": observables.correlation_length(lattice, modes, generated),
            "effective_sample_size": np.where(broken, -np.inf, log_effective_sample_size(modes, sound, exact)),
        }


def deviation(name: str, found: Array, right: Array | float = 0.0) -> Array:
    """The deviation of one of the `quantities` by its criterion; same shape.

    Args:
        name: of the criterion.
        found: the quantity; for the effective sample size ln(ESS/M).
        right: χ or ξ of the target, or the KL per site of the exact score; 0 for the others.
    """
    if name in ("kl_per_site", "total_kl"):
        return found - right
    if name == "effective_sample_size":
        return -found
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(found / right - 1.0)
    # Without a correlation length the deviation is infinite.
    return np.where(np.isnan(off), np.inf, off)


def deviations(lattice: Lattice, modes: Modes, generated: Array, exact: Array, reference_kl: float = 0.0) -> Array:
    """The deviations of generated modes, in the order of `CRITERIA`; (…, modes) → (criteria, …).

    Args:
        lattice: of the fields.
        modes: the momenta.
        generated: V(k), variance of the generated modes; infinite deviations where one is not positive and finite.
        exact: C(k), of the noised target at the lowest level, shape (modes,).
        reference_kl: KL per site of the exact score on the same grid.
    """
    found = quantities(lattice, modes, generated, exact)
    right: dict[str, Array | float] = {
        "kl_per_site": reference_kl,
        "susceptibility": observables.susceptibility(modes, exact),
        "correlation_length": observables.correlation_length(lattice, modes, exact),
    }
    table = np.stack([deviation(name, found[name], right.get(name, 0.0)) for name in CRITERIA])
    return np.where(np.isfinite(found["kl_per_site"]), table, np.inf)
