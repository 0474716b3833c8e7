"""Scores of boxes and their gaps beside enumeration, quadrature, closed forms, and the theory of two phases.

Errors are checked by pulls (estimate − exact)/error, whose root mean square is 1 if the errors are right. Seeds are
fixed. Standard errors are those of 20 blocks, so that by Student's distribution with 19 degrees of freedom a pull is
above 4 once in 1300, and above 5 once in 13,000.
"""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.locality.gaussian import box_of
from csd.mcmc.boxes.box import readings_of
from csd.mcmc.boxes.chains import NoisedFields
from csd.mcmc.boxes.gaps import box_values, fewest_fields
from csd.mcmc.chains import Step, run_chains
from csd.targets.gaussian import GaussianField
from csd.targets.noising import VariancePreserving
from csd.targets.phi4 import PhiFour
from csd.targets.scores import ScoreSettings
from csd.targets.spins import SpinModel

VP = VariancePreserving()
ISING = 0.5 * np.log(1.0 + np.sqrt(2.0))


def noised(target: Any, clean: Array, level: float, seed: int = 0) -> NoisedFields:
    """Fields under VP noise."""
    signal, variance = np.exp(-level), -np.expm1(-2.0 * level)
    noise = stream("test", "boxes", seed, level).standard_normal(clean.shape)
    return NoisedFields(target, clean, signal * clean + np.sqrt(variance) * noise, level, signal, variance)


def check_scores(given: NoisedFields, reach: int, exact: Array) -> None:
    """Scores of boxes are those of exact means of x₀, shape (fields, n, 2), with the errors that halves show.

    For a hundred boxes or more, the mean squared error over ¼|A − B|² is within a factor 2 of 1, and the mean error,
    and that of products of halves minus squares, are within 4 standard errors of 0: by chance once in 2000.
    """
    found = given.box_scores(reach, 0.01, 1)
    read = given.moved(given.field).reshape(*exact.shape[:2], -1) @ readings_of(given.target.lattice, reach).T
    score = (given.signal * exact - read) / given.variance
    off, spread = found.score - score, 0.5 * (found.halves[0] - found.halves[1])
    ratio = (off**2).mean(axis=(0, 1)) / (spread**2).mean(axis=(0, 1))
    assert ((ratio > 0.5) & (ratio < 2.0)).all()
    for one in (off, (found.halves[0] * found.halves[1] - score**2)):
        one = one.reshape(len(given.field), -1, 2).mean(axis=1)
        assert (np.abs(one.mean(axis=0)) < 4.0 * one.std(axis=0) / np.sqrt(len(one))).all()
    assert found.inaccuracy < 0.011


# ---- Ising spins: all states ----------------------------------------------------------------------------------------


@cache
def states(dimension: int, size: int, beta: float) -> tuple[Array, Array]:
    """All spins of a lattice, shape (states, sites), and their probabilities."""
    lattice = Lattice(dimension, size)
    spins = np.array(list(product([1.0, -1.0], repeat=lattice.sites)))
    fields = spins.reshape(-1, *lattice.shape)
    bonds = sum(
        (fields * np.roll(fields, 1, axis + 1)).reshape(len(fields), -1).sum(axis=1) for axis in range(dimension)
    )
    weights = np.exp(beta * bonds - beta * dimension * lattice.sites)
    return spins, weights / weights.sum()


def drawn_states(dimension: int, size: int, beta: float, count: int, seed: int) -> Array:
    """Independent spins of a lattice, shape (count, 1, *shape)."""
    spins, chances = states(dimension, size, beta)
    chosen = stream("test", "states", seed).choice(len(spins), count, p=chances)
    return spins[chosen].reshape(count, 1, *[size] * dimension)


def means_of_states(dimension: int, size: int, beta: float, sources: Array) -> Array:
    """⟨S⟩ of all sites with sources, shape (fields, sites) each."""
    spins, chances = states(dimension, size, beta)
    seen = np.flatnonzero((sources != 0.0).any(axis=0))
    # Spins of the same box have one weight.
    _, first, kind = np.unique(spins[:, seen], axis=0, return_index=True, return_inverse=True)
    kinds = np.zeros((len(first), spins.shape[1] + 1))
    np.add.at(kinds, kind.ravel(), chances[:, None] * np.concatenate([np.ones((len(spins), 1)), spins], axis=1))
    found = np.empty_like(sources)
    for part in np.array_split(np.arange(len(sources)), max(1, len(sources) // 100)):
        exponents = sources[part][:, seen] @ spins[first][:, seen].T
        weights = np.exp(exponents - exponents.max(axis=1, keepdims=True)) @ kinds
        found[part] = weights[:, 1:] / weights[:, :1]
    return found


@pytest.mark.parametrize("level", [0.5, 1.5])
def test_scores_of_boxes_of_spins_are_those_of_all_states(level: float) -> None:
    """4 × 4 spins with boxes of 3 × 3, outside which nothing is observed."""
    target = SpinModel(Lattice(2, 4), 1, ISING)
    given = noised(target, drawn_states(2, 4, ISING, 60, 1), level)
    weights = readings_of(target.lattice, 1)
    field = given.moved(given.field).reshape(240, -1)
    means = means_of_states(2, 4, ISING, given.signal / given.variance * field * (weights[1] > 0.0))
    check_scores(given, 1, (means @ weights.T)[:, None])


def test_gaps_of_spins_are_those_of_all_states() -> None:
    """Δ, E Var(x₀|box), E Var(x₀|all) and the share on 4 × 4 sites, by 1000 fields with all states; pulls of 8 seeds.

    The mean of the pulls of a quantity is within 4 of its errors of 0, their root mean square below 1.8: by chance
    once in 500.
    """
    level, fields = 1.0, 1000
    given = noised(SpinModel(Lattice(2, 4), 1, ISING), drawn_states(2, 4, ISING, fields, 2), level)
    weights, field = readings_of(given.target.lattice, 1), given.field.reshape(fields, -1)
    source = given.signal / given.variance * field
    whole = means_of_states(2, 4, ISING, source)
    box = means_of_states(2, 4, ISING, source * (weights[1] > 0.0))
    spins, chances = states(2, 4, ISING)
    variance = chances @ (spins @ weights[1]) ** 2
    rows = [(whole[:, 0] - box[:, 0]) ** 2, 1.0 - box[:, 0] ** 2, 1.0 - (whole**2).mean(axis=1)]
    rows.append((box @ weights[1]) ** 2 / variance)
    exact, error = np.mean(rows, axis=1), np.std(rows, axis=1) / np.sqrt(fields)
    names = ("mmse_difference", "box_variance", "conditional_variance", "box_share")
    pulls, values, errors = [], [], []
    for seed in range(8):
        clean = drawn_states(2, 4, ISING, 60, 10 + seed)
        found = box_values(given.target, VP, [level], [1], ScoreSettings(fields=60, seed=seed), clean)
        values.append([found[name].item() for name in names])
        errors.append([found[f"{name}_error"].item() for name in names])
        pulls.append((values[-1] - exact) / np.hypot(errors[-1], error))
    spread = np.hypot(np.sqrt(np.mean(np.square(errors), axis=0) / 8), error)
    assert (np.abs(np.mean(values, axis=0) - exact) < 4.0 * spread).all()
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.5
    assert (np.sqrt(np.mean(np.square(pulls), axis=0)) < 1.8).all()


def test_a_box_of_all_spins_has_no_gap_and_no_chains_of_its_own() -> None:
    """On 3 × 3 sites with R = 1; the share is that of all states, of 1000 fields, within 4 errors: once in 10 000."""
    level, fields = 1.0, 1000
    given = noised(SpinModel(Lattice(2, 3), 1, ISING), drawn_states(2, 3, ISING, fields, 2), level)
    means = means_of_states(2, 3, ISING, given.signal / given.variance * given.field.reshape(fields, -1)).mean(axis=1)
    spins, chances = states(2, 3, ISING)
    square, variance = means**2, chances @ spins.mean(axis=1) ** 2
    exact, error = square.mean() / variance, square.std() / np.sqrt(fields) / variance
    clean = drawn_states(2, 3, ISING, 60, 3)
    found = box_values(given.target, VP, [level], [0, 1], ScoreSettings(fields=60, seed=1), clean)
    for name in ("score_gap", "score_gap_error", "mmse_difference", "mmse_difference_error"):
        assert found[name][0, 0] > 0.0
        assert found[name][0, 1] == 0.0
    for of_box, of_all in (("box_variance", "conditional_variance"), ("box_tau", "tau"), ("box_sweeps", "sweeps")):
        assert found[of_box][0, 1] == found[of_all][0]
    assert abs(found["box_share"][0, 1] - exact) < 4.0 * np.hypot(found["box_share_error"][0, 1], error)


# ---- rings of four sites: quadrature --------------------------------------------------------------------------------


def ring_means(target: Any, fields: Array, level: float, seen: list[int]) -> Array:
    """⟨φ⟩ of rings of four sites, given what is seen at some of them, by sums over a grid; same shape as `fields`."""
    signal, variance = np.exp(-level), -np.expm1(-2.0 * level)
    if target.unit_length:
        angles = 2.0 * np.pi * np.arange(60) / 60
        points = np.stack([np.cos(angles), np.sin(angles)], 1) if target.components == 2 else np.array([[1.0], [-1.0]])
        site, gamma = np.zeros(len(points)), 0.0
    else:
        points = np.array(list(product(np.linspace(-3.3, 3.3, 17), repeat=target.components)))
        square = (points**2).sum(axis=1)
        site, gamma = -target.quadratic * square - target.quartic * square**2, signal**2 / variance
    bond = np.exp(target.coupling * (points @ points.T - (points**2).sum(axis=1).max()))
    means = np.empty_like(fields)
    for field, mean in zip(fields, means, strict=True):
        weights = []
        for place in range(4):
            own = site.copy()
            if place in seen:
                own += points @ (signal * field[:, place] / variance) - 0.5 * gamma * (points**2).sum(axis=1)
            weights.append(np.exp(own - own.max()))
        for place in range(4):
            own, after, opposite, before = weights[place:] + weights[:place]
            around = ((bond * after) @ bond) * ((bond * before) @ bond) @ opposite
            total = own * around
            mean[:, place] = total @ points / total.sum()
    return means


@pytest.mark.parametrize(
    ("kind", "components", "level", "fields"),
    [("phi4", 1, 0.5, 200), ("phi4", 1, 1.5, 200), ("phi4", 2, 1.0, 40), ("spins", 2, 1.0, 60)],
)
def test_scores_of_boxes_on_rings_are_those_of_quadrature(
    kind: str, components: int, level: float, fields: int
) -> None:
    """Boxes of one and of three of four sites, of fields and spins with one and two components."""
    lattice = Lattice(1, 4)
    target: Any = (
        SpinModel(lattice, components, 0.7) if kind == "spins" else PhiFour(lattice, components, -1.2, components)
    )
    steps = [Step("heat_bath"), Step("wolff")]
    made = run_chains(target, steps, "test boxes", chains=4, measurements=300, thermalisation=300)
    given = noised(target, made.decorrelated(5, fields), level)
    for reach, seen in ((0, [0]), (1, [3, 0, 1])):
        means = ring_means(target, given.moved(given.field), level, seen)
        check_scores(given, reach, means @ readings_of(lattice, reach).T)


# ---- Gaussian fields: closed forms ----------------------------------------------------------------------------------


def test_gaussian_fields_have_the_closed_forms() -> None:
    """The gap, variances, the share and the level where it is ½ within errors; pulls of 4 seeds.

    A pull is above 5, or the root mean square of all above 1.6, by chance once in 300.
    """
    field, reach, levels = GaussianField(Lattice(2, 6), 0.6), 1, [0.2, 0.5, 1.0]
    free = covariance_of_box(field, reach)
    middle, mean = len(free) // 2, np.full(len(free), 1.0 / len(free))
    ratios = np.exp(-2.0 * np.array(levels)) / -np.expm1(-2.0 * np.array(levels))
    lost, whole = (part[:, 0, 0] for part in box_of(field, reach).deficit(ratios))

    def known(ratio: float) -> Array:
        """Covariance of E[x₀ | box] in the box."""
        return free @ np.linalg.solve(ratio * free + np.eye(len(free)), ratio * free)

    def share(level: float) -> float:
        ratio = np.exp(-2.0 * level) / -np.expm1(-2.0 * level)
        return float(mean @ known(ratio) @ mean / (mean @ free @ mean))

    truth = {
        "score_gap": lost / -np.expm1(-2.0 * np.array(levels)),
        "mmse_difference": lost / ratios,
        "box_variance": [free[middle, middle] - known(ratio)[middle, middle] for ratio in ratios],
        "box_share": [share(level) for level in levels],
        "squared_score": whole / -np.expm1(-2.0 * np.array(levels)),
        "box_level": brentq(lambda level: share(level) - 0.5, levels[0], levels[-1]),
    }
    target, pulls = PhiFour(field.lattice, 1, 0.36, 0.0), []
    for seed in range(4):
        found = box_values(target, VP, levels, [reach], ScoreSettings(fields=40, seed=seed))
        pulls += [((found[name].ravel() - one) / found[f"{name}_error"].ravel()) for name, one in truth.items()]
    flat = np.concatenate(pulls)
    assert (np.abs(flat) < 5.0).all()
    assert 0.6 < np.sqrt((flat**2).mean()) < 1.6


def covariance_of_box(field: GaussianField, reach: int) -> Array:
    """The covariance of a field between the sites of a box, by its correlation function."""
    lattice, places = field.lattice, field.lattice.box(reach)
    correlation = lattice.inverse(field.propagator(lattice.laplacian))
    return np.asarray(correlation[tuple((places[:, None] - places).transpose(2, 0, 1) % lattice.size)])


@pytest.mark.parametrize(("dimension", "size", "reach"), [(1, 8, 2), (2, 6, 1), (2, 6, 2), (3, 4, 1)])
def test_scores_of_gaussian_boxes_have_no_error(dimension: int, size: int, reach: int) -> None:
    """−(P⁻¹x)₀, P = α²P₀ + σ², to 1e-9, as the Schwinger–Dyson equation is closed."""
    field, level = GaussianField(Lattice(dimension, size), 0.5), 0.8
    target = PhiFour(field.lattice, 1, 0.25, 0.0)
    given = noised(target, np.asarray(field.sample(stream("test", "gaussian"), 5))[:, None], level)
    places = field.lattice.box(reach)
    inside = given.moved(given.field)[(slice(None), 0, *(places.T % size))]
    total = given.signal**2 * covariance_of_box(field, reach) + given.variance * np.eye(len(places))
    scores = -np.linalg.solve(total, inside.T)
    found = given.box_scores(reach, 0.01, 1).score[:, 0]
    np.testing.assert_allclose(found[:, 0], scores[len(places) // 2], atol=1e-9)
    np.testing.assert_allclose(found[:, 1], scores.mean(axis=0), atol=1e-9)


# ---- below the critical temperature ---------------------------------------------------------------------------------


def uncertainty(separation: float) -> float:
    """q(Λ) = 1 − E tanh θ, θ ~ N(Λ, Λ)."""
    points, weights = np.polynomial.hermite_e.hermegauss(120)
    return float(1.0 - weights @ np.tanh(separation + np.sqrt(separation) * points) / weights.sum())


def test_the_ordered_phase_is_that_of_two_phases() -> None:
    """Δ = M²f²[q(Λ_V) − q(Λ_N)], f = σ²/(σ² + α²χ_c), Λ_V = α²M²V/(σ² + α²χ_c), without a parameter.

    M is exact (Yang 1952, doi:10.1103/PhysRev.85.808); χ_c = 0.77(1) of T = 2, L = 16. The formula takes what is left
    in a phase for white noise, and holds to a few percent of Δ where Λ_V is not large: within 4 errors and 4 percent.
    """
    level, magnetisation, connected = 1.5, (1.0 - np.sinh(1.0) ** -4) ** 0.125, 0.77
    noise, signal = -np.expm1(-2.0 * level), np.exp(-2.0 * level)
    left = noise / (noise + signal * connected)
    ranges = [1, 2, 4]
    expected = [
        (magnetisation * left) ** 2
        * np.subtract(
            *(uncertainty(left * signal / noise * magnetisation**2 * sites) for sites in ((2 * reach + 1) ** 2, 256))
        )
        for reach in ranges
    ]
    target = SpinModel(Lattice(2, 16), 1, 0.5)
    made = run_chains(target, [Step("wolff")], "test boxes", chains=4, measurements=200, thermalisation=100)
    found = box_values(target, VP, [level], ranges, ScoreSettings(fields=60), made.decorrelated(5, 60))
    allowed = 4.0 * found["mmse_difference_error"][0] + 0.04 * np.array(expected)
    assert (np.abs(found["mmse_difference"][0] - expected) < allowed).all()
    assert (found["mmse_difference_error"][0] < 0.02).all()


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_boxes_beyond_the_lattice_are_refused() -> None:
    with pytest.raises(InputError, match="range"):
        box_values(SpinModel(Lattice(2, 8), 1, 0.3), VP, [1.0], [4], ScoreSettings(fields=10))


def test_fewest_fields_have_ten_boxes_a_control() -> None:
    """12 controls at 2^d boxes of each field, and 2 of its mean."""
    assert [fewest_fields(Lattice(dimension, 8)) for dimension in (1, 2, 3)] == [60, 30, 20]


def test_chains_that_do_not_mix_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what they would take."""
    monkeypatch.setattr("csd.mcmc.posterior.effort.LONGEST", 64)
    target = Wells(Lattice(1, 4), 1, -8.0, 8.0)
    clean = stream("test", "wells").choice([1.0, -1.0], (12, 1, 4))
    with pytest.raises(InputError, match=r"noise level 2.*do not mix.*would take more than"):
        box_values(target, VP, [2.0], [0], ScoreSettings(fields=12), clean)


class Wells(PhiFour):
    """A target of a user, whose chains reflect no clusters: they stay in the wells of single sites."""


def test_values_depend_neither_on_other_levels_nor_on_other_ranges() -> None:
    target, settings = SpinModel(Lattice(1, 8), 1, 0.8), ScoreSettings(fields=20)
    clean = drawn_states(1, 8, 0.8, 20, 3)
    alone = box_values(target, VP, [1.0], [2], settings, clean)
    among = box_values(target, VP, [0.5, 1.0], [1, 2], settings, clean)
    for name in ("score_gap", "box_variance", "box_share"):
        assert alone[name][0, 0] == among[name][1, 1]
