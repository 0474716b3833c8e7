"""Compiled hybrid Monte Carlo of φ⁴ fields with a source at each site, many fields side by side.

Arrays have the shape (n, sites, lanes), and each lane is a field. Lanes are adjacent in memory, so that loops over them
are vector instructions on lattices of any dimension and size. The weight of a lane is

    exp(−E),   E = Σ_r [A(r) φ² + g (φ²)² − j·φ] − Σ_r Σ_μ φ(r)·φ(r+μ).
"""

import numpy as np

from csd.lattice import Array
from csd.lattice.sites import Indices, compiled

LANES = 32
"""Lanes of a block, which together fit in the cache."""


@compiled
def _kick(
    momenta: Array, fields: Array, source: Array, places: Indices, quadratic: Array, quartic: float, size: float
) -> None:
    """p ← p + size × (Σ_nn φ − 2 (A + 2g φ²) φ + j), in place."""
    components, sites, lanes = fields.shape
    axes = places.shape[1] // 2
    slope, force = np.empty(lanes), np.empty(lanes)
    for site in range(sites):
        slope[:] = 2.0 * quadratic[site]
        for a in range(components):
            own = fields[a, site]
            for lane in range(lanes):
                slope[lane] += 4.0 * quartic * own[lane] * own[lane]
        for a in range(components):
            own, given = fields[a, site], source[a, site]
            for lane in range(lanes):
                force[lane] = given[lane] - slope[lane] * own[lane]
            for axis in range(axes):
                ahead, behind = fields[a, places[site, axis]], fields[a, places[site, axes + axis]]
                for lane in range(lanes):
                    force[lane] += ahead[lane] + behind[lane]
            out = momenta[a, site]
            for lane in range(lanes):
                out[lane] += size * force[lane]


@compiled
def _energies(fields: Array, source: Array, places: Indices, quadratic: Array, quartic: float, out: Array) -> None:
    """E of each lane into `out`, shape (lanes,)."""
    components, sites, lanes = fields.shape
    axes = places.shape[1] // 2
    square = np.empty(lanes)
    out[:] = 0.0
    for site in range(sites):
        square[:] = 0.0
        for a in range(components):
            own, given = fields[a, site], source[a, site]
            for lane in range(lanes):
                square[lane] += own[lane] * own[lane]
                out[lane] -= given[lane] * own[lane]
            for axis in range(axes):
                ahead = fields[a, places[site, axis]]
                for lane in range(lanes):
                    out[lane] -= ahead[lane] * own[lane]
        for lane in range(lanes):
            out[lane] += (quadratic[site] + quartic * square[lane]) * square[lane]


@compiled
def trajectory(
    fields: Array,
    momenta: Array,
    source: Array,
    places: Indices,
    couplings: tuple[Array, float],
    step: float,
    steps: int,
    uniform: Array,
    energies: Array,
) -> float:
    """One trajectory of each lane by leapfrog, accepted or rejected lane by lane; returns the mean acceptance.

    Args:
        fields: φ, shape (n, sites, lanes); changed in place.
        momenta: normal numbers, same shape; overwritten.
        source: j, same shape.
        places: from `csd.lattice.sites.neighbours`.
        couplings: (A at each site, shape (sites,); g).
        step: leapfrog step.
        steps: leapfrog steps.
        uniform: random numbers in [0, 1), shape (lanes,).
        energies: E of each lane at the end, shape (lanes,); overwritten.
    """
    quadratic, quartic = couplings
    lanes = fields.shape[2]
    before, after, change, chances = fields.copy(), np.empty(lanes), np.zeros(lanes), 0.0
    flat, speed = fields.reshape(-1, lanes), momenta.reshape(-1, lanes)
    _energies(fields, source, places, quadratic, quartic, energies)
    for row in range(len(speed)):
        for lane in range(lanes):
            change[lane] -= 0.5 * speed[row, lane] * speed[row, lane]
    _kick(momenta, fields, source, places, quadratic, quartic, 0.5 * step)
    for done in range(1, steps + 1):
        for row in range(len(flat)):
            for lane in range(lanes):
                flat[row, lane] += step * speed[row, lane]
        _kick(momenta, fields, source, places, quadratic, quartic, step if done < steps else 0.5 * step)
    _energies(fields, source, places, quadratic, quartic, after)
    for row in range(len(speed)):
        for lane in range(lanes):
            change[lane] += 0.5 * speed[row, lane] * speed[row, lane]
    for lane in range(lanes):
        error = after[lane] - energies[lane] + change[lane]
        chance = np.exp(-max(error, 0.0)) if np.isfinite(error) else 0.0
        chances += chance
        if uniform[lane] < chance:
            energies[lane] = after[lane]
        else:
            fields[:, :, lane] = before[:, :, lane]
    return chances / lanes


@compiled
def gather(
    fields: Array, source: Array, axis: Array, symmetric: bool, uniform: Array, total: Array, cubes: Array, means: Array
) -> None:
    """Add φ and (φ²) φ to sums, averaged over φ and its reflection, and reflect each lane at random if it is symmetric.

    The reflection φ − 2 (e·φ) e of all sites leaves H as it is and changes j·φ by −2s, s = Σ_r (e·j)(e·φ). The field
    has the probability 1/(1 + e^{−2s}) beside its reflection, so their mean has the component (e·φ) tanh s along e.

    Args:
        fields: φ, shape (n, sites, lanes); changed in place.
        source: j, same shape.
        axis: e, shape (n,).
        symmetric: whether H is invariant under reflections.
        uniform: random numbers in [0, 1), shape (lanes,).
        total: sum of φ, shape (n, sites, lanes).
        cubes: sum of (φ²) φ, same shape.
        means: mean over sites of the averaged φ, shape (n, lanes); overwritten.
    """
    components, sites, lanes = fields.shape
    overlap, taken, along, square = np.zeros(lanes), np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    if symmetric:
        for site in range(sites):
            along[:] = 0.0
            square[:] = 0.0
            for a in range(components):
                for lane in range(lanes):
                    along[lane] += axis[a] * fields[a, site, lane]
                    square[lane] += axis[a] * source[a, site, lane]
            for lane in range(lanes):
                overlap[lane] += along[lane] * square[lane]
        for lane in range(lanes):
            taken[lane] = 1.0 - np.tanh(overlap[lane])
    means[:] = 0.0
    for site in range(sites):
        along[:] = 0.0
        square[:] = 0.0
        for a in range(components):
            for lane in range(lanes):
                along[lane] += axis[a] * fields[a, site, lane]
                square[lane] += fields[a, site, lane] * fields[a, site, lane]
        for a in range(components):
            for lane in range(lanes):
                value = fields[a, site, lane] - taken[lane] * along[lane] * axis[a]
                means[a, lane] += value / sites
                total[a, site, lane] += value
                cubes[a, site, lane] += square[lane] * value
    for lane in range(lanes):
        if uniform[lane] < 0.5 * taken[lane]:
            for site in range(sites):
                part = 0.0
                for a in range(components):
                    part += axis[a] * fields[a, site, lane]
                for a in range(components):
                    fields[a, site, lane] -= 2.0 * part * axis[a]
