"""Limits of the exact score for t → 0 (docs/finite_n.md): on two sites by quadrature, and in files of `csd scores`."""

import numpy as np
from scipy.special import roots_hermite

import csd
from csd.lattice import Array
from csd.mcmc.posterior.identity import jackknifed

R0, U = -1.0, 1.5
"""Couplings at n = 1 on the ring of two sites, where both modes are far from Gaussian."""
WIDTH, POINTS = 3.5, 81


def _grid() -> tuple[Array, Array]:
    """Pairs of fields (φ₁, φ₂) and their weights, normalised, for φ⁴ on two sites joined by two bonds."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    first, second = np.meshgrid(WIDTH * nodes, WIDTH * nodes, indexing="ij")
    mass = np.outer(weights, weights) * np.exp(-_energy(np.stack([first, second])))
    return np.stack([first, second]), mass / mass.sum()


def _energy(fields: Array) -> Array:
    """H of fields (2, …): each of the two sites is the other's neighbour twice."""
    return (fields[0] - fields[1]) ** 2 + (0.5 * R0 * fields**2 + U / 4.0 * fields**4).sum(axis=0)


def _limits() -> Array:
    """1 − 1/[S(k)(k̂² + Λ)], Λ = r₀ + 3u⟨φ²⟩, at k = 0 and π, by quadrature of the fields alone."""
    fields, mass = _grid()
    modes = np.stack([fields[0] + fields[1], fields[0] - fields[1]])
    spectrum = (modes**2 * mass).sum(axis=(1, 2)) / 2.0
    local = R0 + 3.0 * U * float((fields[0] ** 2 * mass).sum())
    return np.asarray(1.0 - 1.0 / (spectrum * (np.array([0.0, 4.0]) + local)))


def _floors(level: float) -> Array:
    """ε of the best linear score at k = 0 and π: scores of a grid of x, each from all z by Gauss–Hermite quadrature."""
    signal, variance = np.exp(-level), 1.0 - np.exp(-2.0 * level)
    nodes, weights = roots_hermite(12)
    (noised, _), area = _grid(), np.outer(*2 * [np.polynomial.legendre.leggauss(POINTS)[1]])
    density, gradient = np.zeros(noised.shape[1:]), np.zeros(noised.shape)
    for one, left in zip(nodes, weights, strict=True):
        for two, right in zip(nodes, weights, strict=True):
            shift = np.sqrt(2.0 * variance) * np.array([one, two]).reshape(2, 1, 1)
            clean = (noised - shift) / signal
            own = left * right * np.exp(-_energy(clean))
            other = clean[::-1]
            density += own
            gradient += own * (-2.0 * (clean - other) - R0 * clean - U * clean**3) / signal
    score, mass = gradient / density, density * area
    mass /= mass.sum()
    modes = [np.stack([values[0] + values[1], values[0] - values[1]]) for values in (noised, score)]
    field, own = ((mode**2 * mass).sum(axis=(1, 2)) / 2.0 for mode in modes)
    return np.asarray(1.0 - 1.0 / (field * own))


def _floor(means: Array) -> float:
    """ε of the best linear score, from the means of x², xs and s² in a mode."""
    return float(1.0 - means[1] ** 2 / (means[0] * means[2]))


def test_floors_of_two_sites_tend_to_the_limit() -> None:
    """The deviation halves with t; a line through two noise levels leaves less than a thirtieth of it at t = 0."""
    limits = _limits()
    near, far = (_floors(level) - limits for level in (0.001, 0.002))
    assert (limits > 0.1).all()
    np.testing.assert_allclose(far, 2.0 * near, rtol=0.03)


def test_files_of_scores_have_the_floors_of_quadrature() -> None:
    """At k = 0 and π, by the independent halves of 2000 fields; four standard errors each (once in 4000 files)."""
    levels = (0.004, 0.05)
    found = csd.scores(dimension=1, size=2, components=1, r0=R0, u=U, noise_levels=levels, fields=2000, seed=1)
    for level, field, halves in zip(levels, found["field"].values, found["half_score"].values, strict=True):
        modes, *parts = (sites[:, 0].astype(float) @ np.array([[1.0, 1.0], [1.0, -1.0]]) for sites in (field, *halves))
        rows = np.stack([modes**2, 0.5 * modes * sum(parts), np.prod(parts, axis=0)])
        for mode, exact in enumerate(_floors(level)):
            value, error = jackknifed(
                rows[:, :, mode].T, lambda means: float(1.0 - means[1] ** 2 / means[0] / means[2])
            )
            assert error < 0.02
            assert abs(value - exact) < 4.0 * error
