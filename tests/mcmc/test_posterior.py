"""Scores by conditional Monte Carlo beside closed forms, quadrature, enumeration, and published numbers.

Errors are checked by pulls (estimate − exact)/error, whose root mean square is 1 if the errors are right.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.mcmc.chains import Step, run_chains
from csd.mcmc.posterior.effort import slowest_time
from csd.mcmc.posterior.score import PosteriorScore
from csd.targets.noising import VarianceExploding
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

ISING = 0.5 * np.log(1.0 + np.sqrt(2.0))
CASES = {"A": PhiFour.from_hopping(Lattice(2, 16), 1, 0.27088, 0.022), "B": SpinModel(Lattice(2, 16), 1, float(ISING))}
TABLE = {
    "A": {0.05: (3.086, 0.008), 0.1: (2.503, 0.006), 0.5: (1.324, 0.003), 1.0: (1.089, 0.002), 2.0: (1.011, 0.002)},
    "B": {0.05: (10.35, 0.03), 0.1: (4.968, 0.017), 0.5: (1.354, 0.005), 1.0: (1.091, 0.004), 2.0: (1.001, 0.004)},
}
"""E|s*|²/N and its error by an independent program, L = 16, at noise levels t."""


def drawn(target: Any, count: int, spacing: int = 20) -> Array:
    """Decorrelated fields of a target, shape (count, n, *lattice.shape)."""
    chains = run_chains(
        target, [Step("heat_bath"), Step("wolff")], "test", chains=4, measurements=300, thermalisation=300
    )
    return chains.decorrelated(spacing, count)


def noised(clean: Array, level: float, seed: int = 0) -> Array:
    """x_t of fields, VP."""
    noise = stream("test", "noise", seed, level).standard_normal(clean.shape)
    return np.asarray(np.exp(-level) * clean + np.sqrt(-np.expm1(-2.0 * level)) * noise)


def exact_score(target: Any, fields: Array, level: float) -> Array:
    """s* on rings of two or three sites by sums over a grid of the values of a site, same shape as `fields`."""
    signal, variance = np.exp(-level), -np.expm1(-2.0 * level)
    if target.unit_length:
        angles = 2.0 * np.pi * np.arange(200) / 200
        points = np.array([[1.0], [-1.0]]) if target.components == 1 else np.stack([np.cos(angles), np.sin(angles)], 1)
        site = np.zeros(len(points))
    else:
        points = np.array(list(product(np.linspace(-3.3, 3.3, 22), repeat=target.components)))
        square = (points**2).sum(axis=1)
        site = -(target.quadratic + 0.5 * signal**2 / variance) * square - target.quartic * square**2
    bond = np.exp(target.coupling * (points @ points.T - (points**2).sum(axis=1).max()))
    means = np.empty_like(fields)
    for field, mean in zip(fields, means, strict=True):
        exponents = [site + points @ (signal * x / variance) for x in field.T]
        one, *others = (np.exp(exponent - exponent.max()) for exponent in exponents)
        weights = [one, *others]
        for place in range(len(weights)):
            own, *rest = weights[place:] + weights[:place]
            if len(rest) == 1:
                total = own * (bond**2 @ rest[0])
            else:
                total = own * (((bond * rest[0]) @ bond) * (bond * rest[1])).sum(axis=1)
            mean[:, place] = total @ points / total.sum()
    return (signal * means - fields) / variance


@pytest.mark.parametrize("level", [0.1, 2.0])
def test_gaussian_fields_have_the_score_in_closed_form(level: float) -> None:
    """(−x̂/C_t) to 1e-10 by the Schwinger–Dyson equation, and within errors by the mean of chains."""
    lattice = Lattice(2, 8)
    target = PhiFour(lattice, 2, 0.3, 0.0)
    fields = noised(drawn(target, 60, 5), level)
    spectrum = np.exp(-2.0 * level) / (lattice.laplacian + 0.3) - np.expm1(-2.0 * level)
    closed = lattice.inverse(-lattice.transform(fields) / spectrum)
    score, _ = PosteriorScore(target)(fields, level)
    np.testing.assert_allclose(score, closed, atol=1e-10)
    score, error = PosteriorScore(target, improved=False)(fields, level)
    assert 0.9 < np.sqrt((((score - closed) / error) ** 2).mean()) < 1.1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("level", [0.5, 2.0])
@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", ["phi4", "spins"])
def test_scores_on_few_sites_are_those_of_quadrature(
    kind: str, size: int, components: int, level: float, known: bool
) -> None:
    lattice = Lattice(1, size)
    target = SpinModel(lattice, components, 0.4) if kind == "spins" else PhiFour(lattice, components, -1.2, components)
    clean = drawn(target, 200, 50)
    fields = noised(clean, level)
    exact = exact_score(target, fields, level)
    found = PosteriorScore(target).estimates(fields, level, clean if known else None)
    pulls = (found.score - exact) / found.error
    assert 0.85 < np.sqrt((pulls**2).mean()) < 1.15
    assert abs(pulls.mean()) < 4.0 / np.sqrt(pulls.size)
    excess = found.squares - (exact**2).sum(axis=(1, 2)) / size
    assert abs(excess.mean()) < 4.0 * excess.std() / np.sqrt(len(excess))
    assert found.inaccuracy < 0.011


@pytest.mark.parametrize("known", [True, False])
def test_double_wells_are_left_in_both_directions(known: bool) -> None:
    """Wells of depth 8: a chain along the force alone would keep the signs that it starts with."""
    target = PhiFour(Lattice(1, 3), 1, -8.0, 8.0)
    clean = drawn(target, 200, 50)
    fields = noised(clean, 1.0)
    exact = exact_score(target, fields, 1.0)
    found = PosteriorScore(target).estimates(fields, 1.0, clean if known else None)
    assert 0.85 < np.sqrt((((found.score - exact) / found.error) ** 2).mean()) < 1.2
    # Fields that leave both signs possible are among them.
    mean = (found.score * -np.expm1(-2.0) + fields) / np.exp(-1.0)
    assert (np.abs(mean) < 0.3 * np.abs(clean)).any()


@pytest.mark.parametrize("case", ["A", "B"])
def test_squared_scores_are_those_of_another_program(case: str) -> None:
    """Table values within 3.5 standard errors, and the score for t → 0 has the spectrum of the force."""
    target, table = CASES[case], TABLE[case]
    clean = drawn(target, 300)
    for level, (value, error) in table.items():
        found = PosteriorScore(target).estimates(noised(clean, level), level, clean)
        own = found.squares.std() / np.sqrt(len(found.squares))
        assert abs(found.squares.mean() - value) < 3.5 * np.hypot(own, error)


def test_scores_of_little_noise_have_the_spectrum_of_the_force() -> None:
    """E|ŝ*(k)|²/N → k̂² + r₀ + 3u⟨φ²⟩ as t → 0, at k = 0 and as a mean over k, for n = 1."""
    target = CASES["A"]
    clean = drawn(target, 300)
    found = PosteriorScore(target).estimates(noised(clean, 1e-4), 1e-4, clean)
    mass = target.r0 + 3.0 * target.u * (clean**2).mean()
    assert found.squares.mean() == pytest.approx(2.0 * target.lattice.dimension + mass, rel=0.03)
    zero = found.halves.sum(axis=(2, 3, 4)).prod(axis=0) / target.lattice.sites
    assert zero.mean() == pytest.approx(mass, abs=4.0 * zero.std() / np.sqrt(len(zero)))


def test_squares_are_the_same_by_the_identity_of_stein() -> None:
    """E|s*|²/N = E[s*·(−z/σ)]/N: one is a product of halves, the other needs no second half."""
    target, level = CASES["A"], 0.5
    clean = drawn(target, 300)
    fields, deviation = noised(clean, level), np.sqrt(-np.expm1(-2.0 * level))
    found = PosteriorScore(target).estimates(fields, level, clean)
    noise = (fields - np.exp(-level) * clean) / deviation
    other = -(found.score * noise).sum(axis=(1, 2, 3)) / (deviation * target.lattice.sites)
    difference = found.squares - other
    assert abs(difference.mean()) < 4.0 * difference.std() / np.sqrt(len(difference))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["A", "B"])
def test_two_independent_computations_agree_at_large_noise(case: str) -> None:
    """L = 32, t = 2: from x₀ and from x alone, with other random numbers, and for φ⁴ with another estimator."""
    lattice = Lattice(2, 32)
    target = PhiFour(lattice, 1, CASES["A"].r0, CASES["A"].u) if case == "A" else SpinModel(lattice, 1, float(ISING))
    clean = drawn(target, 64)
    fields = noised(clean, 2.0)
    score, error = PosteriorScore(target)(fields, 2.0, clean)
    other, other_error = PosteriorScore(target, seed=1, improved=False)(fields, 2.0)
    pulls = (score - other) / np.hypot(error, other_error)
    assert 0.85 < np.sqrt((pulls**2).mean()) < 1.15


class PhiSix:
    """H = Σ_r [½ Σ_μ (φ(r+μ) − φ(r))² + ½ r φ² + ¼ u φ⁴ + w/6 φ⁶] of nothing but its energy and force."""

    r, u, w = -0.7, 0.3, 0.2

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice

    def _neighbours(self, fields: Array) -> Array:
        return np.asarray(sum(np.roll(fields, way, axis) for way in (1, -1) for axis in self.lattice.axes))

    def energy(self, fields: Array) -> Array:
        """H, shape (…, 1, *lattice.shape) → (…)."""
        on_site = (self.lattice.dimension + 0.5 * self.r) * fields**2 + self.u / 4 * fields**4 + self.w / 6 * fields**6
        total = on_site - 0.5 * fields * self._neighbours(fields)
        return np.asarray(total.sum(axis=(-1 - self.lattice.dimension, *self.lattice.axes)))

    def force(self, fields: Array) -> Array:
        """−∂H/∂φ, same shape."""
        slope = (2.0 * self.lattice.dimension + self.r) * fields + self.u * fields**3 + self.w * fields**5
        return self._neighbours(fields) - slope


class PhiFourByEnergy(PhiSix):
    """φ⁴, as a user would define it."""

    w = 0.0


def test_a_user_defined_target_needs_no_more_than_energy_and_force() -> None:
    lattice = Lattice(2, 4)
    fields = 1.3 * stream("test", "fields").standard_normal((40, *lattice.shape))
    score, error = PosteriorScore(PhiFourByEnergy(lattice))(fields, 0.5)
    other, other_error = PosteriorScore(PhiFour(lattice, 1, -0.7, 0.3), seed=1)(fields, 0.5)
    assert score.shape == fields.shape
    assert 0.85 < np.sqrt(((score - other) ** 2 / (error**2 + other_error**2)).mean()) < 1.15
    # φ⁶ is bounded more tightly, so its mean lies nearer to 0.
    six, _ = PosteriorScore(PhiSix(lattice))(fields, 0.5)
    means = [values * -np.expm1(-1.0) + fields for values in (six, score)]
    assert (means[0] ** 2).sum() < (means[1] ** 2).sum()


class Tilted(PhiFourByEnergy):
    """φ⁴ of a user with a uniform source, which has no symmetry."""

    r = 0.5

    def energy(self, fields: Array) -> Array:
        """H − 0.4 Σφ."""
        return super().energy(fields) - 0.4 * fields.sum(axis=(-1 - self.lattice.dimension, *self.lattice.axes))

    def force(self, fields: Array) -> Array:
        """The same, plus 0.4."""
        return super().force(fields) + 0.4


def test_a_user_defined_target_need_not_be_symmetric() -> None:
    lattice = Lattice(1, 4)
    fields = stream("test", "tilted").standard_normal((60, 4))
    score, error = PosteriorScore(Tilted(lattice))(fields, 1.0)
    other, other_error = PosteriorScore(PhiFour(lattice, 1, 0.5, 0.3, source=0.4), seed=1)(fields, 1.0)
    assert 0.8 < np.sqrt(((score - other) ** 2 / (error**2 + other_error**2)).mean()) < 1.2


def test_other_schedules_and_sources_are_taken() -> None:
    """VE, and a uniform source of the target, which adds to that of the noise, on two sites."""
    target = PhiFour(Lattice(1, 2), 1, 0.5, 1.0, source=0.4)
    fields = stream("test", "source").standard_normal((100, 1, 2))
    score, error = PosteriorScore(target, VarianceExploding())(fields, 0.5)
    # With x + σ² s/α for x and α = 1, the posterior has the source s + x/σ².
    moved = fields + 0.5 * 0.4
    means = _posterior_means(PhiFour(target.lattice, 1, 0.5, 1.0), moved, 0.5)
    assert 0.8 < np.sqrt((((score - (means - fields) / 0.5) / error) ** 2).mean()) < 1.2


def _posterior_means(target: PhiFour, fields: Array, variance: float) -> Array:
    """⟨x₀⟩ given x = x₀ + σz on two sites, by quadrature."""
    line = np.linspace(-4.0, 4.0, 81)
    site = -(target.quadratic + 0.5 / variance) * line**2 - target.quartic * line**4
    means = np.empty_like(fields)
    for field, mean in zip(fields[:, 0], means[:, 0], strict=True):
        table = np.add.outer(site + line * field[0] / variance, site + line * field[1] / variance)
        table = np.exp(table + 2.0 * np.outer(line, line))
        mean[:] = (table.sum(axis=1) @ line, table.sum(axis=0) @ line) / table.sum()
    return means


def test_autocorrelation_times_are_those_of_a_known_process() -> None:
    """x ← ρ x + noise has τ = ½ (1 + ρ)/(1 − ρ); means of chains that never forget do not shorten it."""
    generator = stream("test", "process")
    series = np.empty((400, 2, 100))
    value = generator.standard_normal((2, 100))
    for row in series:
        value = np.array([[0.8], [0.0]]) * value + np.array([[0.6], [1.0]]) * generator.standard_normal((2, 100))
        row[:] = value
    offsets = 10.0 * generator.standard_normal(100)
    assert slowest_time(series + offsets) == pytest.approx(4.5, rel=0.15)
    assert slowest_time(series[:, 1:] + offsets) == pytest.approx(0.5, abs=0.1)


def test_what_cannot_be_computed_is_refused() -> None:
    target = PhiFour(Lattice(1, 4), 2, 0.5, 1.0)
    fields = np.zeros((3, 2, 4))
    with pytest.raises(InputError, match="fields has the shape"):
        PosteriorScore(target)(fields[:, :1], 0.5)
    with pytest.raises(InputError, match="clean has the shape"):
        PosteriorScore(target)(fields, 0.5, fields[:2])
    with pytest.raises(InputError, match="not finite"):
        PosteriorScore(target)(fields * np.nan, 0.5)
    with pytest.raises(InputError, match="energy and force"):
        PosteriorScore(Lattice(1, 4))
    with pytest.raises(InputError, match="noise level"):
        PosteriorScore(target)(fields, 0.0)
    with pytest.raises(InputError, match="noise level is 'a'"):
        PosteriorScore(target)(fields, "a")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="accuracy is 'x'"):
        PosteriorScore(target, accuracy="x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"accuracy is 1e-30, which takes about .* sweeps of each field"):
        PosteriorScore(target, accuracy=1e-30)(fields, 0.5)
    wrong = type("Wrong", (PhiSix,), {"force": PhiSix.energy})
    with pytest.raises(InputError, match=r"force\(fields\)"):
        PosteriorScore(wrong(Lattice(1, 4)))
    turned = type("Turned", (PhiSix,), {"force": lambda self, fields: -PhiSix.force(self, fields)})
    with pytest.raises(InputError, match="negative gradient"):
        PosteriorScore(turned(Lattice(1, 4)))


def test_a_posterior_that_does_not_mix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csd.mcmc.posterior.effort.LONGEST", 64)
    target = PhiFour(Lattice(1, 16), 1, -0.1, 0.05)
    with pytest.raises(InputError, match="noise level 8: chains of the posterior do not mix"):
        PosteriorScore(target)(np.zeros((4, 1, 16)) + 0.1, 8.0)
