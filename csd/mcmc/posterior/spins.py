"""Local and cluster updates of unit spins with a source at each site, and the mean spin among its neighbours.

A sweep reflects clusters (`csd.mcmc.posterior.clusters`), and then draws the spin of each site from exp(h·S),
h = β Σ_nn S + j. Before a site is drawn, its mean A_n(|h|) h/|h| is added to the estimate of ⟨S⟩, with
A_n = I_{n/2}/I_{n/2−1}, which is tanh for n = 1.

At chosen sites the estimate is also averaged over the flips of the clusters of its neighbours. Given the bonds,
clusters are reflected independently of each other, so this is a sum over at most 2^{2d} reflections.
"""

import numpy as np
from numpy.random import Generator

from csd.lattice import Array
from csd.lattice.sites import Indices, checkerboard, compiled, neighbours
from csd.mcmc.posterior.base import Posterior
from csd.mcmc.posterior.clusters import join_clusters, turn_clusters
from csd.mcmc.updates.local import draw_cosine
from csd.targets.spins import SpinModel

TERMS = 10
"""Terms of the continued fraction of A_n(κ) beyond κ; more change nothing in float64."""


class SpinWalk:
    """Sweeps of the spins of several fields.

    Args:
        posterior: of the fields.
        start: S at the start, shape (fields, n, *lattice.shape).
        generator: source of all random numbers.
        chosen: flat indices of sites whose means are averaged over flips of clusters.
    """

    def __init__(self, posterior: Posterior, start: Array, generator: Generator, chosen: Indices | None = None) -> None:
        self.posterior, self.generator = posterior, generator
        lattice, shape = posterior.lattice, (*start.shape[:2], -1)
        self.spins = np.array(start, dtype=float).reshape(shape)
        self.source = np.ascontiguousarray(posterior.source.reshape(shape))
        self.places, self.order = neighbours(lattice), checkerboard(lattice)
        self.chosen = np.empty(0, dtype=np.intp) if chosen is None else chosen

    def tune(self, sweeps: int) -> None:
        """Make sweeps; there is nothing to tune."""
        self.advance(sweeps)

    def present(self) -> Array:
        """The present spins, shape (fields, n, *lattice.shape)."""
        return self.spins.reshape(self.posterior.noised.shape)

    def advance(self, sweeps: int) -> tuple[Array, Array]:
        """Make sweeps; see `Walk`."""
        count, components, _ = self.spins.shape
        total, series = np.zeros_like(self.spins), np.empty((sweeps, components + 1, count))
        averaged = np.zeros((components, len(self.chosen)))
        beta = self.posterior.target.coupling
        for number in range(count):
            rows = np.ascontiguousarray(series[:, :, number])
            _sweep(
                self.spins[number],
                self.source[number],
                self.places,
                self.order,
                self.generator,
                beta,
                total[number],
                rows,
                self.chosen,
                averaged,
            )
            total[number][:, self.chosen] = averaged
            series[:, :, number] = rows
        return (total / sweeps).reshape(self.posterior.noised.shape), series


def mean_spins(target: SpinModel, spins: Array) -> Array:
    """⟨S⟩ of each spin of a target among its neighbours, same shape (fields, n, *lattice.shape)."""
    means = np.empty((*spins.shape[:2], target.lattice.sites))
    source = np.zeros(means.shape[1:])
    source[0] = target.source
    for field, mean in zip(spins.astype(float).reshape(means.shape), means, strict=True):
        _mean_spins(field, source, neighbours(target.lattice), target.coupling, mean)
    return means.reshape(spins.shape)


@compiled
def _mean_spins(spins: Array, source: Array, places: Indices, coupling: float, means: Array) -> None:
    components, sites = spins.shape
    pull = np.empty(components)
    for site in range(sites):
        for a in range(components):
            around = 0.0
            for direction in range(places.shape[1]):
                around += spins[a, places[site, direction]]
            pull[a] = coupling * around + source[a, site]
        strength = np.sqrt((pull**2).sum())
        for a in range(components):
            means[a, site] = _mean_length(strength, components) * pull[a] / max(strength, 1e-300)


@compiled
def _mean_length(strength: float, components: int) -> float:
    """A_n(κ) = I_{n/2}(κ)/I_{n/2−1}(κ) = κ/(n + κ²/(n + 2 + κ²/(n + 4 + …)))."""
    if components == 1:
        return np.tanh(strength)
    ratio = 0.0
    for term in range(TERMS + int(strength), 0, -1):
        ratio = strength * strength / (components + 2.0 * term + ratio)
    return strength / (components + ratio)


@compiled
def _add_over_flips(
    spins: Array,
    given: Array,
    around: Indices,
    coupling: float,
    axis: Array,
    parents: Indices,
    room: Array,
    total: Array,
) -> None:
    """Add ⟨S⟩ of a site, averaged over the reflections of the clusters of its neighbours, to `total`.

    Args:
        spins: S before reflections, shape (n, sites).
        given: j of the site, shape (n,).
        around: its neighbours.
        coupling: β.
        axis: e, shape (n,).
        parents: from `join_clusters`.
        room: from `join_clusters`.
        total: shape (n,); changed in place.
    """
    components, parts, pull = spins.shape[0], room[0], room[1]
    roots, sums = np.empty(len(around), dtype=np.intp), np.zeros(len(around))
    clusters, field, whole = 0, given.copy(), np.empty(components)
    for site in around:
        own = 0
        while own < clusters and roots[own] != parents[site]:
            own += 1
        if own == clusters:
            roots[own] = parents[site]
            clusters += 1
        sums[own] += coupling * parts[site]
        for a in range(components):
            field[a] += coupling * spins[a, site]
    for turned in range(2**clusters):
        chance, change = 1.0, 0.0
        for own in range(clusters):
            sign = -1.0 if (turned >> own) & 1 else 1.0
            chance *= 0.5 * (1.0 + sign * np.tanh(pull[roots[own]]))
            change += (sign - 1.0) * sums[own]
        for a in range(components):
            whole[a] = field[a] + change * axis[a]
        strength = np.sqrt((whole**2).sum())
        length = _mean_length(strength, components)
        for a in range(components):
            total[a] += chance * length * whole[a] / max(strength, 1e-300)


@compiled
def _sweep(
    spins: Array,
    source: Array,
    places: Indices,
    order: Indices,
    generator: Generator,
    coupling: float,
    total: Array,
    series: Array,
    chosen: Indices,
    averaged: Array,
) -> None:
    """Sweeps of one field.

    Args:
        spins: S, shape (n, sites); changed in place.
        source: j, same shape.
        places: from `csd.lattice.sites.neighbours`.
        order: from `csd.lattice.sites.checkerboard`.
        generator: of the random numbers.
        coupling: β.
        total: the means of each site are added to it; same shape.
        series: filled with the mean over sites of each component, and the energy −Σ h·⟨S⟩; shape (sweeps, n + 1).
        chosen: sites whose means are averaged over flips of clusters, shape (sites chosen,).
        averaged: filled with the sums of these means, shape (n, sites chosen).
    """
    components, sites = spins.shape
    parents, room = np.empty(sites, dtype=np.intp), np.empty((2, sites))
    pull, across, axis = np.empty(components), np.empty(components), np.ones(components)
    series[:] = 0.0
    averaged[:] = 0.0
    for sweep in range(len(series)):
        join_clusters(spins, source, places, generator, coupling, axis, parents, room)
        for place in range(len(chosen)):
            around = places[chosen[place]]
            _add_over_flips(spins, source[:, chosen[place]], around, coupling, axis, parents, room, averaged[:, place])
        turn_clusters(spins, axis, generator, parents, room)
        for site in order:
            square = 0.0
            for a in range(components):
                around = 0.0
                for direction in range(places.shape[1]):
                    around += spins[a, places[site, direction]]
                pull[a] = coupling * around + source[a, site]
                square += pull[a] * pull[a]
            strength = np.sqrt(square)
            length = _mean_length(strength, components)
            series[sweep, components] -= length * strength
            if strength == 0.0:
                pull[0] = 1.0
            else:
                pull /= strength
            for a in range(components):
                total[a, site] += length * pull[a]
                series[sweep, a] += length * pull[a] / sites
            if components == 1:
                spins[0, site] = pull[0] if generator.random() < 0.5 * (1.0 + length) else -pull[0]
                continue
            cosine = draw_cosine(generator, strength, components)
            # A direction orthogonal to h: an isotropic one minus its component along h.
            part = 0.0
            for a in range(components):
                across[a] = generator.standard_normal()
                part += across[a] * pull[a]
            square = 0.0
            for a in range(components):
                across[a] -= part * pull[a]
                square += across[a] * across[a]
            across *= np.sqrt((1.0 - cosine) * (1.0 + cosine) / square)
            for a in range(components):
                spins[a, site] = cosine * pull[a] + across[a]
            part = 0.0
            for a in range(components):
                part += spins[a, site] * spins[a, site]
            for a in range(components):
                spins[a, site] /= np.sqrt(part)
