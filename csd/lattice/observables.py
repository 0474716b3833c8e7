"""Observables of lattice fields (docs/physics.md, sections 2 and 6): functions of S(k), or of moments of the field.

    χ = S(0)     ξ = sqrt(S(0)/S(k₁) − 1) / (2 sin(π/L))     ⟨φ²⟩ = (1/N) Σ_k S     energy = ½ (1/N) Σ_k k̂² S

The power spectrum S(k) is given at some modes: of one field, of a mean over fields, or the exact one. ξ is a ratio of
means, so it needs a mean over fields; its error comes from the jackknife.
"""

from math import erf

import numpy as np

from csd.core.errors import InputError
from csd.lattice import Array, Lattice, Modes


def susceptibility(modes: Modes, spectrum: Array) -> Array:
    """χ = S(0); (…, modes) → (…)."""
    return spectrum[..., int(np.flatnonzero(modes.laplacian == 0.0)[0])]


def correlation_length(lattice: Lattice, modes: Modes, spectrum: Array) -> Array:
    """Second-moment ξ = sqrt(S(0)/S(k₁) − 1) / (2 sin(π/L)), S(k₁) averaged over the axes; lattice spacings.

    NaN where S(0) < S(k₁), which can happen by noise far from criticality; (…, modes) → (…).
    """
    first = spectrum @ first_shell(lattice, modes)
    excess = susceptibility(modes, spectrum) / first - 1.0
    with np.errstate(invalid="ignore"):
        return np.sqrt(excess) / (2.0 * np.sin(np.pi / lattice.size))


def first_shell(lattice: Lattice, modes: Modes) -> Array:
    """Weights w, shape (modes,), with w·S = S(k₁), the mean over the 2d momenta of length 2π/L."""
    folded = np.sort(np.minimum(modes.numbers, lattice.size - modes.numbers), axis=1)
    softest = (folded[:, :-1] == 0).all(axis=1) & (folded[:, -1] == 1)
    weight = np.where(softest, modes.multiplicity, 0.0)
    return weight / weight.sum()


def variance(modes: Modes, spectrum: Array) -> Array:
    """⟨φ²⟩ = (1/N) Σ_k S; (…, modes) → (…)."""
    return (modes.multiplicity * spectrum).sum(axis=-1) / modes.multiplicity.sum()


def energy(modes: Modes, spectrum: Array) -> Array:
    """Gradient energy per site, ½ (1/N) Σ_k k̂² S; (…, modes) → (…)."""
    return 0.5 * (modes.multiplicity * modes.laplacian * spectrum).sum(axis=-1) / modes.multiplicity.sum()


def spectral_observables(lattice: Lattice, modes: Modes, spectrum: Array) -> dict[str, Array]:
    """χ, ξ, energy and ⟨φ²⟩ of a spectrum, by name; (…, modes) → (…)."""
    return {
        "susceptibility": susceptibility(modes, spectrum),
        "correlation_length": correlation_length(lattice, modes, spectrum),
        "energy": energy(modes, spectrum),
        "variance": variance(modes, spectrum),
    }


def kl_per_site(modes: Modes, generated: Array, exact: Array) -> Array:
    """KL divergence of Gaussian fields per site, ½ (1/N) Σ_k [ρ − 1 − ln ρ], ρ = V/C; (…, modes) → (…).

    Args:
        modes: the momenta.
        generated: V(k), variance of the generated modes.
        exact: C(k), of the target at the lowest noise level.

    Raises:
        InputError: if a variance is not positive and finite.
    """
    ratio = generated / exact
    if not (np.isfinite(ratio).all() and (ratio > 0.0).all()):
        raise InputError("a generated variance is not positive and finite, so there is no KL divergence")
    return 0.5 * (modes.multiplicity * (ratio - 1.0 - np.log(ratio))).sum(axis=-1) / modes.multiplicity.sum()


def skewness(first: Array, second: Array, third: Array) -> Array:
    """⟨(φ − ⟨φ⟩)³⟩ / ⟨(φ − ⟨φ⟩)²⟩^{3/2}, from the first three moments."""
    spread = second - first**2
    return (third - 3.0 * first * second + 2.0 * first**3) / spread**1.5


def excess_kurtosis(second: Array, fourth: Array) -> Array:
    """⟨φ⁴⟩ / ⟨φ²⟩² − 3, of moments about the target's mean."""
    return fourth / second**2 - 3.0


def binder(square: Array, fourth: Array, components: int = 1) -> Array:
    """U4 = 1 − n ⟨|M|⁴⟩ / ((n + 2) ⟨|M|²⟩²), from the moments of the magnetisation in any units.

    It is 0 for Gaussian fields of n equivalent components, 2/(n + 2) where |M| is fixed, and 1 − ⟨M⁴⟩ / (3 ⟨M²⟩²) for
    n = 1.
    """
    return 1.0 - fourth / ((1.0 + 2.0 / components) * square**2)


def normal_magnetisation(mean: float, square: Array) -> tuple[Array, Array]:
    """(⟨|m|⟩, U4) of a normal magnetisation m: with s² = ⟨m²⟩ − ⟨m⟩² and erf the error function

        ⟨|m|⟩ = s √(2/π) exp(−⟨m⟩²/2s²) + ⟨m⟩ erf(⟨m⟩/s√2),     U4 = 2 ⟨m⟩⁴ / 3 (s² + ⟨m⟩²)².

    Args:
        mean: ⟨m⟩.
        square: s².
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        scatter = np.sqrt(square)
        sides = np.vectorize(erf, otypes=[float])(mean / scatter / np.sqrt(2.0)) if mean else np.zeros_like(scatter)
        modulus = scatter * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * (mean / scatter) ** 2) + mean * sides
        return modulus, np.asarray(2.0 * mean**4 / (3.0 * (square + mean**2) ** 2))
