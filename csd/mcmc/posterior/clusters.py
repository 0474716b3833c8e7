"""Swendsen–Wang clusters of fields with a source at each site, embedded along a direction for n ≥ 2.

Bonds are set with the probability 1 − exp(−2β (e·φ)(e·φ′)), if positive, for a random direction e, and each cluster is
reflected, φ → φ − 2 (e·φ) e, with the probability 1/(1 + exp(2 Σ_r (e·j)(e·φ))). This leaves
exp(β Σ φ·φ′ + Σ j·φ) invariant, times any function of the moduli |φ(r)|.
"""

import numpy as np
from numpy.random import Generator

from csd.lattice import Array
from csd.lattice.sites import Indices, along, compiled, normalise


@compiled
def _root(parents: Indices, site: int) -> int:
    """The first site of the cluster of a site; paths to it are shortened."""
    while parents[site] != site:
        parents[site] = parents[parents[site]]
        site = parents[site]
    return site


@compiled
def reflect_clusters(
    field: Array, source: Array, places: Indices, generator: Generator, coupling: float, parents: Indices, room: Array
) -> None:
    """Set bonds, and reflect each cluster with its probability.

    Args:
        field: φ, shape (n, sites); changed in place.
        source: j, same shape.
        places: from `csd.lattice.sites.neighbours`.
        generator: of the random numbers.
        coupling: β.
        parents: buffer, shape (sites,).
        room: buffer, shape (2, sites).
    """
    axis = np.ones(len(field))
    join_clusters(field, source, places, generator, coupling, axis, parents, room)
    turn_clusters(field, axis, generator, parents, room)


@compiled
def join_clusters(
    field: Array,
    source: Array,
    places: Indices,
    generator: Generator,
    coupling: float,
    axis: Array,
    parents: Indices,
    room: Array,
) -> None:
    """Draw e and set bonds. Each cluster has a root, its first site.

    Args:
        field: φ, shape (n, sites).
        source: j, same shape.
        places: from `csd.lattice.sites.neighbours`.
        generator: of the random numbers.
        coupling: β.
        axis: e, shape (n,); overwritten for n ≥ 2, else 1.
        parents: root of the cluster of each site, shape (sites,); overwritten.
        room: e·φ of each site, and at roots Σ (e·j)(e·φ) over the cluster, shape (2, sites); overwritten.
    """
    components, sites = field.shape
    if components > 1:
        for a in range(components):
            axis[a] = generator.standard_normal()
        normalise(axis)
    parts, pull = room[0], room[1]
    for site in range(sites):
        parents[site] = site
        parts[site] = along(axis, field, site)
        pull[site] = 0.0
    known, absent = 0.0, 1.0
    for site in range(sites):
        for direction in range(places.shape[1] // 2):
            other = places[site, direction]
            strength = 2.0 * coupling * parts[site] * parts[other]
            # Of Ising spins all strengths above 0 are the same.
            if strength > 0.0 and strength != known:
                known, absent = strength, np.exp(-strength)
            if strength > 0.0 and generator.random() >= absent:
                first, second = _root(parents, site), _root(parents, other)
                parents[max(first, second)] = min(first, second)
    for site in range(sites):
        # A parent comes before its child, so that it already knows its root.
        root = parents[parents[site]]
        parents[site] = root
        pull[root] += along(axis, source, site) * parts[site]


@compiled
def turn_clusters(field: Array, axis: Array, generator: Generator, parents: Indices, room: Array) -> None:
    """Reflect each cluster with its probability.

    Args:
        field: φ, shape (n, sites); changed in place.
        axis: e, shape (n,).
        generator: of the random numbers.
        parents: as left by `join_clusters`.
        room: as left by `join_clusters`; overwritten.
    """
    components, sites = field.shape
    parts, pull = room[0], room[1]
    for site in range(sites):
        root = parents[site]
        # A root comes before the other sites of its cluster; from here on it holds 1 if the cluster is reflected.
        if root == site:
            pull[site] = 1.0 if generator.random() < 0.5 * (1.0 - np.tanh(pull[site])) else 0.0
        if pull[root] == 1.0:
            for a in range(components):
                field[a, site] -= 2.0 * parts[site] * axis[a]


@compiled
def reflect_lanes(
    fields: Array, source: Array, places: Indices, generator: Generator, parents: Indices, room: Array
) -> None:
    """The same with β = 1 for each lane of fields and sources of shape (n, sites, lanes)."""
    for lane in range(fields.shape[2]):
        field = fields[:, :, lane].copy()
        reflect_clusters(field, source[:, :, lane].copy(), places, generator, 1.0, parents, room)
        fields[:, :, lane] = field
