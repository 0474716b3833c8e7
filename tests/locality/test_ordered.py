"""Ising spins below T_c: the terms of low temperature by counting flipped spins, and the limits of a box."""

from math import exp

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.locality.ordered import CRITICAL, SERIES, ordered_difference, ordered_phase


def test_low_temperature_counts_flipped_spins() -> None:
    """One flipped spin has the weight u², a pair of neighbours u³, two of each site: χ_c = 4u² + 32u³, M = 1 − 2u²."""
    beta = 1.5
    u = exp(-4.0 * beta)
    magnetisation, susceptibility = ordered_phase(beta)
    assert susceptibility == pytest.approx(4.0 * u**2 + 32.0 * u**3, rel=100.0 * u**2)
    assert magnetisation == pytest.approx(1.0 - 2.0 * u**2 - 8.0 * u**3, abs=100.0 * u**4)


def moments_of_flips(size: int) -> list[list[int]]:
    """Σ n^k x^b over states of a torus without a row that is all flipped, for b < 2L; k = 0, 1, 2, n flipped spins.

    Of b unequal bonds and x = exp(−2β). States are made site by site, from each first row up to translations.
    """
    orders, states = 2 * size, 2**size
    bits = (np.arange(states)[:, None] >> np.arange(size)) & 1
    turned = [((first << 1) | (first >> (size - 1))) & (states - 1) for first in range(states)]
    seen, total = set[int](), np.zeros((3, orders), dtype=np.int64)
    firsts = []
    for first in range(states - 1):
        orbit = {first}
        while (after := turned[first]) not in orbit:
            orbit.add(first := after)
        if not orbit & seen:
            firsts.append((first, len(orbit)))
        seen |= orbit
    held = np.zeros((3, orders, len(firsts), states), dtype=np.int64)
    for place, (first, _) in enumerate(firsts):
        held[0, 0, place, first] = 1
    shifted = [np.arange(states) ^ (1 << site) for site in range(size)]
    for _ in range(size):
        for site in range(size):
            # The spin below is the same or the other; then n grows where the new one is flipped.
            held[:, 1:] = held[:, 1:] + held[:, :-1][..., shifted[site]]
            flipped = np.flatnonzero(bits[:, site])
            zeroth, once, twice = (moment[..., flipped] for moment in held)
            held[1][..., flipped], held[2][..., flipped] = once + zeroth, twice + 2 * once + zeroth
            # Its bond to the spin before it in the row, and of the last one to the first.
            for other in [site - 1] * (site > 0) + [0] * (site == size - 1):
                unequal = np.flatnonzero(bits[:, site] != bits[:, other])
                moved = held[:, :-1][..., unequal]
                held[:, 1:][..., unequal], held[:, 0][..., unequal] = moved, 0
        held[..., states - 1] = 0
    for place, (first, ways) in enumerate(firsts):
        total += ways * held[:, :, place, first]
    return [[int(one) for one in row[::2]] for row in total]


def test_the_series_counts_the_states_of_a_torus() -> None:
    """χ_c = 4 (E n² − (E n)²)/N in powers of u = x², all states counted: exact below u^L, where nothing winds.

    A flipped row, or a line around the torus, has 2L unequal bonds or more. States near the other ground state have
    a row that is all flipped, if they have fewer than 2L.
    """
    size = 8
    ones, flips, squares = moments_of_flips(size)

    def over_ones(series: list[int]) -> list[int]:
        found: list[int] = []
        for order, own in enumerate(series):
            found.append(own - sum(found[low] * ones[order - low] for low in range(order)))
        return found

    mean, square = over_ones(flips), over_ones(squares)
    product = [sum(mean[low] * mean[order - low] for low in range(order + 1)) for order in range(size)]
    connected = [one - other for one, other in zip(square, product, strict=True)]
    assert ones[0] == 1
    assert connected == [0, 0, *(size**2 * one for one in SERIES[: size - 2])]


def test_the_susceptibility_diverges_as_at_the_critical_point() -> None:
    """χ_c ∝ (β − β_c)^{−7/4}."""
    near, nearer = (ordered_phase(CRITICAL * (1.0 + off))[1] for off in (0.02, 0.01))
    assert np.log2(nearer / near) == pytest.approx(1.75, abs=0.05)
    with pytest.raises(InputError, match="two phases above"):
        ordered_phase(CRITICAL)


def test_a_box_that_is_the_lattice_loses_nothing() -> None:
    level = np.array([0.5, 1.5, 3.0])
    signal, variance = np.exp(-level), -np.expm1(-2.0 * level)
    np.testing.assert_array_equal(ordered_difference(0.5, signal, variance, 1024, 1024), 0.0)
    magnetisation, _ = ordered_phase(0.5)
    far = ordered_difference(0.5, np.array(0.05), np.array(1.0 - 0.0025), 1, 10**6)
    assert float(far) == pytest.approx(magnetisation**2, rel=0.02)
