"""Ising spins below T_c: the leading terms of low temperature by counting flipped spins, and the limits of a box."""

from math import exp

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.locality.ordered import CRITICAL, ordered_difference, ordered_phase


def test_low_temperature_counts_flipped_spins() -> None:
    """One flipped spin has the weight u², a pair of neighbours u³, two of each site: χ_c = 4u² + 32u³, M = 1 − 2u²."""
    beta = 1.5
    u = exp(-4.0 * beta)
    magnetisation, susceptibility = ordered_phase(beta)
    assert susceptibility == pytest.approx(4.0 * u**2 + 32.0 * u**3, rel=100.0 * u**2)
    assert magnetisation == pytest.approx(1.0 - 2.0 * u**2 - 8.0 * u**3, abs=100.0 * u**4)


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
