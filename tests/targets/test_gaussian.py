import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField, solve_gap_equation, tadpole

WATSON = 0.252731009858663003
"""I(0) of the infinite cubic lattice (Watson 1939)."""


def test_sum_of_propagators_to_all_digits() -> None:
    # Computed independently of this project.
    assert tadpole(Lattice(2, 8).shells, 1.25) * 64 == pytest.approx(14.973888098985809, rel=1e-14)


@given(
    st.integers(1, 3),
    st.integers(2, 9),
    st.floats(-50, 50, allow_nan=False),
    st.floats(1e-3, 100, allow_nan=False),
)
def test_gap_equation_is_solved(dimension: int, size: int, r0: float, u: float) -> None:
    modes = Lattice(dimension, size).shells
    squared = solve_gap_equation(modes, r0, u)
    assert squared > 0
    assert squared == pytest.approx(r0 + u * tadpole(modes, squared), rel=1e-9, abs=1e-9 * (abs(r0) + 1))


@given(st.integers(1, 3), st.integers(2, 9), st.floats(1e-3, 1e3), st.floats(1e-3, 100))
def test_gap_equation_inverts_itself(dimension: int, size: int, squared: float, u: float) -> None:
    modes = Lattice(dimension, size).shells
    r0 = squared - u * tadpole(modes, squared)
    # r0 carries rounding of both of its terms.
    assert solve_gap_equation(modes, r0, u) == pytest.approx(squared, rel=1e-8)


def test_infinite_lattice_is_critical_at_the_watson_integral() -> None:
    """At r0 = -u I(0) the mass vanishes as 1/L (ν = 1); a large u keeps the corrections small."""
    masses = [GaussianField.from_couplings(Lattice(3, size), -1e4 * WATSON, 1e4).mass for size in (8, 16, 32, 64)]
    slopes = -np.diff(np.log(masses)) / np.log(2)
    assert np.all(np.abs(slopes - 1.0) < 0.05), slopes


def test_free_field_without_coupling() -> None:
    assert GaussianField.from_couplings(Lattice(2, 6), 0.25, 0.0).mass == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("r0", "u", "word"), [(0.0, 0.0, "no root"), (-1.0, 0.0, "no root"), (1.0, -1.0, "at least 0")]
)
def test_no_root(r0: float, u: float, word: str) -> None:
    with pytest.raises(InputError, match=word):
        solve_gap_equation(Lattice(2, 6).shells, r0, u)


@pytest.mark.parametrize(("dimension", "size"), [(1, 33), (2, 12), (2, 9), (3, 6)])
def test_exact_sampler_has_the_spectrum(dimension: int, size: int) -> None:
    """χ² test of the sampled spectrum, mode by mode; false alarms in 1 of 1000 seeds for each case."""
    field = GaussianField.on_critical_line(Lattice(dimension, size))
    lattice, count = field.lattice, 2000
    spectrum = lattice.power_spectrum(field.sample(stream("test sampler", dimension, size), count)).mean(axis=0)
    modes = lattice.pairs
    ratio = lattice.gather(spectrum, modes) / field.propagator(modes.laplacian)
    degrees = count * modes.multiplicity  # 2 B real numbers in a complex mode, B in a real one
    # Sums of degrees * ratio are chi-squared with `degrees` degrees of freedom, independent between modes.
    total, freedom = float((degrees * ratio).sum()), float(degrees.sum())
    assert 0.0005 < chi2.cdf(total, freedom) < 0.9995
    tails = chi2.cdf(degrees * ratio, degrees)
    standard = np.sqrt(12 * len(modes)) * abs(tails.mean() - 0.5)
    assert standard < 3.3


def test_observables() -> None:
    lattice = Lattice(2, 10)
    field = GaussianField(lattice, 0.37)
    propagator = field.propagator(lattice.laplacian)
    softest = propagator[0, 1]
    second_moment = np.sqrt(propagator[0, 0] / softest - 1) / (2 * np.sin(np.pi / 10))
    assert field.susceptibility == pytest.approx(propagator[0, 0])
    assert field.correlation_length == pytest.approx(second_moment, rel=1e-12)
    samples = field.sample(stream("test observables"), 4000)
    gradient = sum((np.roll(samples, -1, axis) - samples) ** 2 for axis in (1, 2)) / 2
    # 4 standard errors: false alarm in 1 of 16,000 seeds.
    for values, exact in (((samples**2).mean(axis=(1, 2)), field.variance), (gradient.mean(axis=(1, 2)), field.energy)):
        assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(values))
