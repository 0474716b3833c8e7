"""Exact autocorrelation times of samplers on Gaussian fields, from the matrix of a sweep.

A sweep maps a field as φ → Aφ + noise, with a random matrix A that is drawn independently for each sweep. Given φ, the
mean of a quadratic observable φᵀMφ after the sweep is φᵀ T(M) φ + constant, with T(M) = E[Aᵀ M A]. So with the
covariance C and w sweeps between measurements

    τ = w (½ + Σ_{t≥1} ρ(wt)) = w (tr[(1 − T^w)⁻¹(M) C M C] / tr[M C M C] − ½),

and τ of a linear observable, m, follows from E[A]. On a lattice of even size, updates of one colour of the checkerboard
after the other mix only the waves k and k + π. With φ_e, φ_o the amplitudes of wave k on even and odd sites,
C⁻¹ = D (1, −c; −c, 1), D = 2d + m², c = (2/D) Σ_μ cos k_μ, and

    heat bath         φ_e ← c φ_o + noise,          then the same of φ_o
    overrelaxation    φ_e ← 2c φ_o − φ_e,           then the same of φ_o
    metropolis        φ_e ← (1 − κ) φ_e + κ c φ_o,  then the same of φ_o

which is exact except for Metropolis, which is not linear: there, (1 − κ) is the mean factor by which a step ε reduces
the deviation of φ(r) from its mean given the neighbours, κ = ½ E[δ₁² 2Φ(−|δ|/2)], with δ normal of width ε √D in n
components (a step δ of normal numbers is accepted with probability 2Φ(−|δ|/2) in equilibrium). The neglected part
decays fast.

A trajectory of n leapfrog steps ε turns a mode of frequency ω by nθ, cos θ = 1 − ½ ε² ω², so A = cos nθ, or 1 if it is
rejected. The acceptance is replaced by its mean a, independent of the field:

    hmc, fourier_hmc    T = a E[cos² nθ] + 1 − a,   n = round(length / ε) as drawn,   ω² = k̂² + m² or 1
    langevin            the same with n = 1

which is exact as a → 1. There are no results for Wolff's clusters, which are not linear, nor for modes that decay by
less than 1e-9 per sweep, as at masses below 1e-5, where rounding errors dominate.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from csd.lattice import Array, Lattice
from csd.mcmc.samplers import Step, sweep_of
from csd.mcmc.updates import make_update
from csd.mcmc.updates.hamiltonian import HybridMonteCarlo, Langevin
from csd.targets.base import HasEnergy

LEAST_DECAY = 1e-9
"""Smallest singular value of 1 − T, and smallest ω², for which a time is computed, then to about 1e-6."""
LINEARISED = ("magnetisation_squared", "softest_mode", "magnetisation_component")
"""Observables with a time under Metropolis; squares of single sites do not follow the linear approximation."""


def exact_times(
    target: HasEnergy,
    sampler: str,
    *,
    every: int = 1,
    steps: Sequence[float] = (),
    accepted: Sequence[float] = (),
    **options: float,
) -> dict[str, float]:
    """τ = ½ + Σ ρ of observables under a sampler, in sweeps; empty if no exact times are known.

    Args:
        target: the target.
        sampler: a name of `csd.mcmc.samplers.SAMPLERS`.
        every: w, sweeps between measurements.
        steps: tuned step of each chain, for samplers with a step; τ is the mean over chains.
        accepted: mean acceptance of each chain, for trajectories and MALA.
        options: of the sampler.

    Returns:
        τ of 'energy', 'magnetisation_squared', 'softest_mode' and 'magnetisation_component', for metropolis only of
        `LINEARISED`; NaN if the decay is too slow.
    """
    if target.gaussian is None:
        return {}
    precision = 2.0 * target.site_couplings[0]
    sweep = sweep_of(sampler, target, **options)
    if any(step.update == "wolff" for step in sweep):
        return {}
    update = make_update(sweep[0].update, target, **sweep[0].options)
    if isinstance(update, HybridMonteCarlo):
        chains = [
            _of_trajectories(target.lattice, precision, update, step, rate, every)
            for step, rate in zip(steps, accepted, strict=True)
        ]
    elif target.lattice.size % 2:
        return {}
    elif sampler == "metropolis":
        damped = [metropolis_damping(step * sqrt(precision), target.components) for step in steps]
        chains = [_of_matrices(target.lattice, precision, sweep, every, kappa) for kappa in damped]
        chains = [{name: chain[name] for name in LINEARISED} for chain in chains]
    else:
        chains = [_of_matrices(target.lattice, precision, sweep, every)]
    return {name: float(np.mean([chain[name] for chain in chains])) for name in chains[0]}


def _waves(lattice: Lattice) -> tuple[Array, Array, Array]:
    """Of all momenta: (Σ_μ 2 cos k_μ, whether k = 0, whether k is the smallest above 0 along the first axis)."""
    numbers = np.indices(lattice.shape).reshape(lattice.dimension, -1)
    angles = 2.0 * np.pi / lattice.size * numbers
    zero = (numbers == 0).all(axis=0)
    first = (numbers[0] == 1) & (numbers[1:] == 0).all(axis=0)
    return 2.0 * np.cos(angles).sum(axis=0), zero, first


def _of_matrices(
    lattice: Lattice, precision: float, sweep: Sequence[Step], every: int, damping: float = 1.0
) -> dict[str, float]:
    """τ under a sweep of updates on a checkerboard, from 2 × 2 matrices of (φ_e, φ_o) at each k.

    Each pair (k, k + π) occurs twice, with the same times.
    """
    bonds, zero, first = _waves(lattice)
    c = bonds / precision

    def matrices(*entries: Array | float) -> Array:
        """(a, b; c, d) at each k."""
        return np.stack(np.broadcast_arrays(*entries, c)[:4], axis=-1).reshape(-1, 2, 2)

    shares = {"metropolis": (1.0 - damping, damping), "heat_bath": (0.0, 1.0), "overrelaxation": (-1.0, 2.0)}
    of = {
        name: matrices(1.0, 0.0, taken * c, kept) @ matrices(kept, taken * c, 0.0, 1.0)
        for name, (kept, taken) in shares.items()
    }
    linear, squared = np.eye(2) * np.ones((len(c), 1, 1)), np.eye(4) * np.ones((len(c), 1, 1))
    for step in sweep:
        counts = range((step.times + 1) // 2, 3 * step.times // 2 + 1) if step.varied else [step.times]
        powers = [np.linalg.matrix_power(of[step.update], count) for count in counts]
        linear = np.mean(powers, axis=0) @ linear
        squared = np.mean([_double(power) for power in powers], axis=0) @ squared
    # Infinite if the mass is lost by rounding; such modes have no time.
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = matrices(1.0, c, c, 1.0) / (precision * (1.0 - c**2)[:, None, None])
    uniform = np.ones((len(c), 2, 2))
    energy = precision * matrices(1.0, -c, -c, 1.0)

    def time(form: Array, where: Array) -> float:
        form, around, transfer = form[where], covariance[where], squared[where]
        # `squared` takes C(t) to C(t+1), so forms take its transpose.
        left = np.eye(4) - np.linalg.matrix_power(np.swapaxes(transfer, -1, -2), every)
        if not _decays(left):
            return float("nan")
        weight = (around @ form @ around).reshape(len(form), 4)
        flat = form.reshape(len(form), 4)
        total = np.linalg.solve(left, flat[..., None])[..., 0]
        return every * (float((total * weight).sum() / (flat * weight).sum()) - 0.5)

    def component() -> float:
        left, state = np.eye(2) - np.linalg.matrix_power(linear[zero][0], every), covariance[zero][0] @ np.ones(2)
        if not _decays(left):
            return float("nan")
        return every * (float(np.linalg.solve(left, state).sum() / state.sum()) - 0.5)

    return {
        "energy": time(energy, np.ones_like(zero)),
        "magnetisation_squared": time(uniform, zero),
        "softest_mode": time(uniform, first),
        "magnetisation_component": component(),
    }


def _decays(left: Array) -> bool:
    """Whether all matrices 1 − T, shape (…, n, n), are far enough from singular to compute a time."""
    return bool(np.linalg.svd(left, compute_uv=False).min() >= LEAST_DECAY)


def _double(matrices: Array) -> Array:
    """A ⊗ A, shape (…, 2, 2) → (…, 4, 4)."""
    return np.einsum("...ij,...kl->...ikjl", matrices, matrices).reshape(*matrices.shape[:-2], 4, 4)


def metropolis_damping(width: float, components: int) -> float:
    """κ of Metropolis: ½ E[δ₁² 2Φ(−|δ|/2)], δ normal of this width in n components; by quadrature over |δ|."""
    from scipy.integrate import quad
    from scipy.stats import chi, norm

    def integrand(radius: float) -> float:
        return float(radius**2 * norm.sf(0.5 * width * radius) * chi.pdf(radius, components))

    # Beyond this radius the integrand is below 1e-300; on an infinite range, quadrature would miss a narrow peak.
    end = min(sqrt(components) + 40.0, 80.0 / width) if width > 0.0 else 0.0
    return width / components * (width * float(quad(integrand, 0.0, end)[0]))


def _of_trajectories(
    lattice: Lattice, precision: float, update: HybridMonteCarlo, step: float, rate: float, every: int
) -> dict[str, float]:
    """τ under trajectories that are accepted with a constant probability, for modes that do not mix."""
    bonds, zero, first = _waves(lattice)
    square = np.ones_like(bonds) if update.accelerated else precision - bonds
    # n is drawn uniformly from ½ to 3/2 times length / step, then rounded, and at least 1.
    low, high = (0.0, 1.0) if isinstance(update, Langevin) else (q * update.trajectory / step for q in (0.5, 1.5))
    counts = np.arange(max(1, round(low)), max(1, round(high)) + 1)
    edges = np.clip(np.append(counts - 0.5, counts[-1] + 0.5), low, high)
    edges[0] = low
    chances = np.diff(edges) / (high - low)
    angle = 2.0 * np.arcsin(np.clip(0.5 * step * np.sqrt(np.maximum(square, 0.0)), 0.0, 1.0))
    turned = np.cos(counts[:, None] * angle)
    linear = (rate * chances @ turned + 1.0 - rate) ** every
    squared = (rate * chances @ turned**2 + 1.0 - rate) ** every

    def time(kept: Array, where: Array) -> float:
        if min((1.0 - kept[where]).min(), square[where].min()) < LEAST_DECAY:
            return float("nan")
        return every * float(np.mean(0.5 + kept[where] / (1.0 - kept[where])))

    return {
        "energy": time(squared, np.ones_like(zero)),
        "magnetisation_squared": time(squared, zero),
        "softest_mode": time(squared, first),
        "magnetisation_component": time(linear, zero),
    }
