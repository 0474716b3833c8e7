"""Tied local filters: the curvature along training, its direction, the safe rate, and starts that diverge near it."""

from typing import Any

import numpy as np

from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.networks.linear import relative_error
from csd.networks.local import STIFFNESS, LocalTwoLayer
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving

SLOW = True
CASES = (
    *((1, 256, 0.01, 2), (1, 1024, 0.01, 2), (1, 4096, 0.01, 2), (1, 16384, 0.01, 2)),
    *((1, 1024, 0.1, 2), (1, 16384, 0.1, 2), (1, 1024, 1.0, 2), (1, 1024, 0.1, 4), (1, 1024, 0.1, 8)),
    *((2, 64, 0.01, 2), (2, 256, 0.1, 2), (2, 64, 1.0, 3), (3, 32, 0.1, 1)),
)
"""d, L, t, R"""
STARTS = 256
SLOW_RATE, EVERY = 1.0 / 32.0, 8
"""η of trainings whose curvature is measured, and the steps between two measurements."""
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Learning rates over the safe one at which starts are counted that diverge."""
LONG = 40.0
"""Steps times η."""
WIDE = (2, 32, 2.932363283335716, 15)
"""Filters almost as wide as the lattice, R = ⌈3 ξ_t⌉ limited to (L − 1) // 2."""


class Problem:
    """A network, the covariance of its patch, and its target.

    Args:
        dimension: d.
        size: L.
        level: t.
        reach: R.
    """

    def __init__(self, dimension: int, size: int, level: float, reach: int) -> None:
        self.lattice = Lattice(dimension, size)
        target = NoisedTarget(GaussianField.on_critical_line(self.lattice), VariancePreserving(), [level])
        self.spectrum = target.spectra_at(target.modes)[0]
        self.half = self.lattice.half(self.spectrum)
        self.network = LocalTwoLayer(self.lattice, reach)
        self.patch = self.network.patch
        self.covariance = self.patch.covariance(self.half)
        self.unit = np.eye(len(self.patch))[self.patch.centre]
        self.name = dimension, reach, level
        self.sites = len(self.network.offsets)
        # Where the safe rate is ¼, the bound cannot be read off it.
        between = (self.network.offsets[:, None] - self.network.offsets[None]).reshape(-1, dimension)
        self.variance = (
            self.lattice.take(self.lattice.inverse(self.half), self.lattice.index(between)).sum() / self.sites
        )
        self.strength = float(self.variance * self.lattice.inverse(1.0 / self.half).flat[0])
        self.bound = 2.0 + STIFFNESS * self.strength ** (1.0 / 3.0)

    def start(self, starts: int) -> Array:
        """Filters of the usual start, shape (starts, channels, sites)."""
        deviation = np.sqrt(0.1 / self.spectrum.max() / self.network.parameters)
        return deviation * stream("stiff direction", *self.name).standard_normal((starts, *self.network.filter_shape))

    def residual(self, filters: Array) -> Array:
        """Pκ − δ, shape (starts, sites of the patch)."""
        found: Array = self.network.compose(filters) @ self.covariance - self.unit
        return found

    def step(self, filters: Array, residual: Array, rate: float) -> Array:
        """Filters after a step of the population loss."""
        return filters - rate * self.network.pull_back(filters, residual)

    def error(self, filters: Array) -> float:
        """ε of the first start."""
        lattice = self.lattice
        kernel = lattice.gather(self.network.kernel(filters[0]), lattice.pairs)
        return float(relative_error(kernel, lattice.gather(self.half, lattice.pairs), lattice.pairs.multiplicity))

    def jacobian(self, filters: Array, residual: Array) -> Array:
        """Of the gradient per use of a filter: g(s − s′) for each channel, and ½ BᵀPB with B = ∂κ/∂w.

        Returns:
            Shape (starts, parameters, parameters).
        """
        starts, channels, sites = filters.shape
        offsets, reach, width = self.network.offsets, self.patch.reach, 2 * self.patch.reach + 1
        between = (offsets[None] - offsets[:, None] + reach).reshape(-1, self.lattice.dimension)
        place = np.ravel_multi_index(tuple(between.T), (width,) * self.lattice.dimension).reshape(sites, sites)
        change = np.zeros((starts, len(self.patch), channels, sites))
        for site in range(sites):
            # Places differ from each other within either line.
            of_site = change[..., site]
            of_site[:, place[site]] += filters.swapaxes(1, 2)
            of_site[:, len(self.patch) - 1 - place[site]] += filters.swapaxes(1, 2)
        flat = change.reshape(starts, len(self.patch), -1)
        found = 0.5 * flat.swapaxes(1, 2) @ (self.covariance @ flat)
        even = 0.5 * (residual + residual[:, ::-1])[:, place]
        blocks = found.reshape(starts, channels, sites, channels, sites)
        for channel in range(channels):
            blocks[:, channel, :, channel, :] += even
        return np.asarray(found)


def measured(problem: Problem) -> tuple[Array, Array, Array]:
    """(largest λ of each start, squared overlap of its direction with the predicted one, predicted λ at that step)."""
    filters, count = problem.start(STARTS if problem.lattice.dimension == 1 else 32), problem.sites
    largest, overlap, predicted = np.zeros((3, len(filters)))
    for step in range(int(LONG / 2.0 / SLOW_RATE)):
        residual = problem.residual(filters)
        if step % EVERY == 0:
            values, vectors = np.linalg.eigh(problem.jacobian(filters, residual))
            amplitudes = filters.sum(axis=-1)
            constant = np.repeat(amplitudes[..., None], count, axis=-1).reshape(len(filters), -1)
            constant /= np.linalg.norm(constant, axis=-1, keepdims=True)
            higher = values[:, -1] > largest
            overlap[higher] = ((constant * vectors[..., -1]).sum(axis=-1) ** 2)[higher]
            predicted[higher] = (3.0 * problem.variance * (amplitudes**2).sum(axis=-1) - 1.0)[higher]
            largest = np.maximum(largest, values[:, -1])
        filters = problem.step(filters, residual, SLOW_RATE)
    return largest, overlap, predicted


def diverging(problem: Problem, rate: float) -> int:
    """How many of 256 starts diverge within 40/η steps."""
    filters, found = problem.start(STARTS), 0
    with np.errstate(all="ignore"):
        for _ in range(int(LONG / rate)):
            residual = problem.residual(filters)
            bounded = np.abs(residual).max(axis=-1) < 1e8
            found += int((~bounded).sum())
            filters, residual = filters[bounded], residual[bounded]
            filters = problem.step(filters, residual, rate)
    return found


def wide() -> dict[str, Any]:
    """λ of filters as wide as the lattice; and descent with the residuals of one momentum of each class in all of them.

    That is what a network with the symmetry of the lattice may do; random filters have none, and it is no gradient.
    """
    problem = Problem(*WIDE)
    lattice, network = problem.lattice, problem.network
    filters = problem.start(1)
    values = []
    for step in range(401):
        if step % 100 == 0:
            values.append(float(np.linalg.eigvalsh(problem.jacobian(filters, problem.residual(filters)))[0, -1]))
        filters = problem.step(filters, problem.residual(filters), 0.25)
    errors = [problem.error(filters)]
    classes = problem.start(1)
    for _ in range(400):
        residual = lattice.gather(problem.half * network.kernel(classes) - 1.0, lattice.shells)
        residual = problem.patch.take(lattice.inverse(lattice.spread(residual, lattice.shells)))
        classes = problem.step(classes, residual, 0.25)
    errors.append(problem.error(classes))
    return {"wide": max(values), "wide_error": errors[0], "classes_error": errors[1]}


def numbers() -> dict[str, Any]:
    """Measured curvatures beside their bound, the direction, and starts that diverge, by the rate over the safe one."""
    curvature = [
        ["d", "L", "t", "R", "v k₀", "λ, median", "λ, largest", "2 + 1.15 (v k₀)^⅓", "overlap", "3vK(0) − 1 over λ"]
    ]
    counts = [["d", "L", "t", "R", "safe η", *(f"{factor:g} η" for factor in FACTORS)]]
    shares, overlaps = [], []
    for case in CASES:
        problem = Problem(*case)
        largest, overlap, predicted = measured(problem)
        where = [str(value) if isinstance(value, int) else f"{value:g}" for value in case]
        stiff = np.median(largest) > 2.5
        direction = [f"{np.median(overlap):.2f}", f"{np.median(predicted / largest):.2f}"] if stiff else ["", ""]
        curvature.append(
            [
                *where,
                f"{problem.strength:.3g}",
                f"{np.median(largest):.1f}",
                f"{largest.max():.1f}",
                f"{problem.bound:.1f}",
                *direction,
            ]
        )
        shares.append(float(largest.max() / problem.bound))
        if stiff:
            overlaps.append(float(np.median(overlap)))
        rate = problem.network.safe_rate(problem.spectrum)
        if rate < 0.25:
            counts.append([*where, f"{rate:.4f}", *(str(diverging(problem, factor * rate)) for factor in FACTORS)])
    found: dict[str, Any] = {"curvature": curvature, "counts": counts, "highest_share": max(shares)}
    return {**found, "least_overlap": min(overlaps), **wide()}
