"""Samplers against quadrature, enumeration, the exact Gaussian field, Kaufman's Ising energy and each other.

Seeds are fixed; k σ below is the false-alarm rate of a fresh seed: 2.7 in 1000 for 3 σ, 6 in 100,000 for 4 σ, for each
number compared.
"""

import re
from dataclasses import replace
from itertools import product

import mpmath
import numpy as np
import pytest
from scipy.special import ive, logsumexp
from scipy.stats import chi2, kstest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Lattice
from csd.mcmc.autocorrelation import Estimate
from csd.mcmc.chains import Chains, Step, run_chains
from csd.mcmc.samplers import sweep_of
from csd.mcmc.updates import UPDATES, make_update
from csd.targets.base import HasEnergy
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

FIELD_SWEEPS = {
    "metropolis": [Step("metropolis")],
    "heat_bath": [Step("heat_bath")],
    "overrelaxation": [Step("heat_bath"), Step("overrelaxation", 2)],
    "langevin": [Step("langevin", 5)],
    "hmc": [Step("hmc")],
    "fourier_hmc": [Step("fourier_hmc")],
    "wolff": [Step("metropolis"), Step("wolff")],
}
SPIN_SWEEPS = {
    "metropolis": [Step("metropolis")],
    "heat_bath": [Step("heat_bath")],
    "overrelaxation": [Step("heat_bath"), Step("overrelaxation", 2)],
    "wolff": [Step("wolff")],
}


def _agree(result: Estimate, exact: float, sigmas: float) -> None:
    assert result.remark == ""
    assert abs(result.value - exact) < sigmas * result.error, (result, exact)


# Two sites: r = |φ| at each, the angle between them integrated: ∫ e^{c·φφ′} → I_{n/2−1}(c r r′) / (c r r′)^{n/2−1}.


def _two_sites(target: PhiFour, power: int) -> float:
    """⟨|φ|^power⟩ of the ring of two sites, which two bonds join, by Gauss–Legendre quadrature."""
    order = target.components / 2.0 - 1.0
    nodes, weights = np.polynomial.legendre.leggauss(200)
    radius, weights = 2.0 * (nodes + 1.0), 2.0 * weights
    own = (
        weights * radius ** (target.components - 1) * np.exp(-target.quadratic * radius**2 - target.quartic * radius**4)
    )
    bond = 2.0 * np.outer(radius, radius)
    joint = np.outer(own, own) * np.exp(bond) * ive(order, bond) / bond**order
    return float((radius**power @ joint).sum() / joint.sum())


@pytest.mark.parametrize("components", [1, 2, 3, 4])
def test_phi_four_on_two_sites_against_quadrature(components: int) -> None:
    """Double wells, every update, ⟨φ²⟩ and ⟨φ⁴⟩ within 4 σ."""
    target = PhiFour(Lattice(1, 2), components, r0=-2.5, u=4.0 * components)
    exact = {power: _two_sites(target, power) for power in (2, 4)}
    measures = {"fourth": lambda field: float(((field**2).sum(axis=0) ** 2).mean())}
    for name, sweep in FIELD_SWEEPS.items():
        found = run_chains(
            target, sweep, "two", name, chains=2, measurements=3000, thermalisation=200, measures=measures
        )
        _agree(found.estimate("phi2"), exact[2], 4.0)
        _agree(found.estimate("fourth"), exact[4], 4.0)


def _ring_energy(components: int, coupling: float, size: int) -> float:
    """H/N of a ring of spins: Z = Σ_l (multiplicity of l) λ_l^L, λ_l = I_{n/2−1+l}(β)/β^{n/2−1} (transfer matrix)."""

    def log_partition(beta: float) -> float:
        if components == 1:
            return float(np.logaddexp(size * np.log(2 * np.cosh(beta)), size * np.log(2 * np.sinh(beta))))
        degrees = np.arange(40)
        eigenvalues = np.log(ive(components / 2.0 - 1.0 + degrees, beta)) + beta - (components / 2 - 1) * np.log(beta)
        if components == 2:
            counts = np.where(degrees == 0, 1.0, 2.0)
        else:
            counts = {3: 2.0 * degrees + 1.0, 4: (degrees + 1.0) ** 2}[components]
        return float(logsumexp(size * eigenvalues, b=counts))

    return -coupling * (log_partition(coupling + 1e-5) - log_partition(coupling - 1e-5)) / 2e-5 / size


@pytest.mark.parametrize("components", [1, 2, 3, 4])
def test_spins_on_a_ring_against_the_transfer_matrix(components: int) -> None:
    """Every update, H/N within 4 σ."""
    target = SpinModel(Lattice(1, 5), components, 1.3)
    exact = _ring_energy(components, 1.3, 5)
    for name, sweep in SPIN_SWEEPS.items():
        if name == "overrelaxation" and components == 1:
            continue
        found = run_chains(target, sweep, "ring", name, chains=2, measurements=4000, thermalisation=200)
        _agree(found.estimate("energy"), exact, 4.0)
        length = (found.fields**2).sum(axis=1)
        np.testing.assert_allclose(length, 1.0, rtol=1e-12)


def test_source_turns_spins_and_fields() -> None:
    """Free spins in a field s have ⟨S₁⟩ = coth s − 1/s (n = 3); a Gaussian field ⟨φ₁⟩ = s/r₀. Within 4 σ."""
    first = {"first": lambda field: float(field[0].mean())}
    spins = SpinModel(Lattice(2, 3), 3, 1e-9, source=1.5)
    field = PhiFour(Lattice(2, 3), 3, 0.7, 0.0, source=0.5)
    cases: list[tuple[HasEnergy, dict[str, list[Step]], float]] = [
        (spins, SPIN_SWEEPS, 1.0 / np.tanh(1.5) - 1.0 / 1.5),
        (field, FIELD_SWEEPS, 0.5 / 0.7),
    ]
    for target, sweeps, exact in cases:
        for name, sweep in sweeps.items():
            if name != "wolff":
                found = run_chains(
                    target, sweep, "source", name, chains=2, measurements=4000, thermalisation=200, measures=first
                )
                _agree(found.estimate("first"), exact, 4.0)


@pytest.mark.parametrize("name", FIELD_SWEEPS)
@pytest.mark.parametrize("components", [1, 2])
def test_gaussian_field_is_exact(name: str, components: int) -> None:
    """χ, H, ⟨φ²⟩, S(k₁) and S(π, π) within 3 σ: 10 numbers for each of 7 samplers, 1 in 6 of fresh seeds fails one."""
    lattice = Lattice(2, 8)
    exact = GaussianField(lattice, 0.6)
    target = PhiFour(lattice, components, 0.36, 0.0)
    staggered = (-1.0) ** np.indices(lattice.shape).sum(axis=0)
    measures = {"hardest": lambda field: float(((field * staggered).sum(axis=(1, 2)) ** 2).mean() / lattice.sites)}
    found = run_chains(
        target,
        FIELD_SWEEPS[name],
        "gauss",
        name,
        components,
        chains=2,
        measurements=2000,
        thermalisation=200,
        every=1 if "hmc" in name else 3,
        measures=measures,
    )
    first = 4.0 * np.sin(np.pi / lattice.size) ** 2
    _agree(found.susceptibility(), exact.susceptibility, 3.0)
    _agree(found.estimate("energy"), 0.5 * components, 3.0)
    _agree(found.estimate("phi2"), components * exact.variance, 3.0)
    _agree(found.estimate("first_mode"), float(exact.propagator(np.array(first))), 3.0)
    _agree(found.estimate("hardest"), float(exact.propagator(np.array(8.0))), 3.0)


def _kaufman(size: int, coupling: float) -> float:
    """Energy per site −β ⟨Σ SS′⟩/N of the Ising model on an L × L torus (Kaufman, Phys. Rev. 76, 1232, 1949)."""
    mpmath.mp.dps = 60

    def log_partition(beta: mpmath.mpf) -> mpmath.mpf:
        def angle(number: int) -> mpmath.mpf:
            if number == 0:
                return 2 * beta + mpmath.log(mpmath.tanh(beta))
            return mpmath.acosh(mpmath.cosh(2 * beta) * mpmath.coth(2 * beta) - mpmath.cos(mpmath.pi * number / size))

        even = [angle(2 * r) * size / 2 for r in range(size)]
        odd = [angle(2 * r + 1) * size / 2 for r in range(size)]
        total = mpmath.mpf(0)
        for angles, function in product((odd, even), (mpmath.cosh, mpmath.sinh)):
            total += mpmath.fprod(2 * function(value) for value in angles)
        sites = size * size
        return mpmath.log(total / 2) + sites * mpmath.log(2 * mpmath.sinh(2 * beta)) / 2

    beta, step = mpmath.mpf(coupling), mpmath.mpf("1e-15")
    return float(-beta * (log_partition(beta + step) - log_partition(beta - step)) / (2 * step) / size**2)


CRITICAL_ISING = 0.5 * np.log(1.0 + np.sqrt(2.0))


def _all_ising(lattice: Lattice) -> np.ndarray:
    return np.array(list(product((-1.0, 1.0), repeat=lattice.sites))).reshape(-1, 1, *lattice.shape)


def test_kaufman_is_enumeration() -> None:
    lattice = Lattice(2, 4)
    energies = SpinModel(lattice, 1, 0.4).energy(_all_ising(lattice))
    weights = np.exp(energies.min() - energies)
    assert _kaufman(4, 0.4) == pytest.approx((weights @ energies) / weights.sum() / 16, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "size"), [("heat_bath", 8), ("metropolis", 8), ("wolff", 8), ("wolff", 16), ("wolff", 32)]
)
def test_ising_energy_at_criticality(name: str, size: int) -> None:
    """H/N within 3 σ."""
    target = SpinModel(Lattice(2, size), 1, float(CRITICAL_ISING))
    every = 1 if name == "wolff" else size
    found = run_chains(
        target, [Step(name)], "kaufman", size, chains=2, measurements=3000, thermalisation=200, every=every
    )
    _agree(found.estimate("energy"), _kaufman(size, float(CRITICAL_ISING)), 3.0)


SEGMENTS, GAP = 200, 5


def _pulls(target: HasEnergy, name: str, every: int, length: int, chains: int, exact: dict[str, float]) -> None:
    """Pulls (mean − exact)/error of energy and χ in 200 runs, rms in [0.85, 1.15].

    The runs are parts of one long run, a few measurements apart. Of normal pulls the rms scatters by 0.05, so a fresh
    seed is outside 3 times in 1000, for each number. Runs without an error bar are left out, at most a tenth.
    """
    found = run_chains(
        target,
        sweep_of(name, target),
        "pulls",
        name,
        chains=chains,
        measurements=SEGMENTS * (length + GAP),
        thermalisation=300,
        every=every,
    )
    values: dict[str, list[float]] = {"energy": [], "susceptibility": []}
    for part in range(SEGMENTS):
        own = slice(part * (length + GAP), part * (length + GAP) + length)
        series = {key: rows[:, own] for key, rows in found.series.items()}
        run = replace(found, series=series, components=found.components[:, :, own], cut=0)
        for key, result in (("energy", run.estimate("energy")), ("susceptibility", run.susceptibility())):
            if not result.remark:
                values[key].append((result.value - exact[key]) / result.error)
    for key, pulls in values.items():
        assert len(pulls) >= 0.9 * SEGMENTS, key
        assert 0.85 < np.sqrt(np.mean(np.square(pulls))) < 1.15, (key, np.sqrt(np.mean(np.square(pulls))))


@pytest.mark.parametrize(
    ("name", "every", "length", "chains"),
    [
        ("metropolis", 40, 400, 2),
        ("heat_bath", 8, 400, 2),
        ("overrelaxation", 1, 250, 2),
        ("langevin", 60, 400, 4),
        ("hmc", 1, 400, 2),
        ("fourier_hmc", 1, 200, 2),
    ],
)
def test_error_bars_of_every_sampler_on_the_gaussian_field(name: str, every: int, length: int, chains: int) -> None:
    """H/N and χ at d = 2, L = 4, m = 1/L, for HMC 2/L."""
    field = GaussianField.on_critical_line(Lattice(2, 4), 2.0 if name == "hmc" else 1.0)
    exact = {"energy": 0.5, "susceptibility": field.susceptibility}
    _pulls(PhiFour.of_gaussian(field, 1), name, every, length, chains, exact)


@pytest.mark.parametrize(("name", "every", "length"), [("metropolis", 3, 300), ("wolff", 1, 200)])
def test_error_bars_of_ising_spins(name: str, every: int, length: int) -> None:
    """H/N and χ of 4 × 4 spins against enumeration."""
    target = SpinModel(Lattice(2, 4), 1, 0.38)
    everything = _all_ising(target.lattice)
    energies = target.energy(everything)
    weights = np.exp(energies.min() - energies)
    moment = everything.mean(axis=(1, 2, 3)) ** 2
    exact = {
        "energy": float(weights @ energies / weights.sum()) / 16.0,
        "susceptibility": 16.0 * float(weights @ moment / weights.sum()),
    }
    _pulls(target, name, every, length, 2, exact)


def _states(fields: np.ndarray) -> np.ndarray:
    return ((fields.reshape(len(fields), -1) > 0.0) @ (1 << np.arange(fields[0].size))).astype(int)


@pytest.mark.parametrize("name", ["metropolis", "heat_bath", "wolff"])
def test_ising_updates_keep_the_exact_law(name: str) -> None:
    """16 states of 2 × 2 spins drawn from the enumerated law follow it after an update (χ², p > 0.001).

    Wolff's clusters also satisfy detailed balance: as many go from i to j as from j to i.
    """
    lattice = Lattice(2, 2)
    target = SpinModel(lattice, 1, 0.25)
    everything = _all_ising(lattice)
    weights = np.exp(-target.energy(everything))
    generator = stream("detailed", name)
    starts = generator.choice(len(weights), 30_000, p=weights / weights.sum())
    fields = everything[starts].reshape(-1, 1, lattice.sites).copy()
    update = make_update(name, target)
    for field in fields:
        update.apply(field, generator)
    before, after = _states(everything[starts]), _states(fields)
    assert (before != after).mean() > 0.3
    expected = np.zeros(16)
    expected[_states(everything)] = 30_000 * weights / weights.sum()
    statistic = ((np.bincount(after, minlength=16) - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, 15) > 1e-3
    if name == "wolff":
        _balanced(before, after, 16)


def _balanced(before: np.ndarray, after: np.ndarray, states: int) -> None:
    """As many transitions each way: (n_ij − n_ji)² / (n_ij + n_ji) is χ² (p > 0.001)."""
    counts = np.zeros((states, states))
    np.add.at(counts, (before, after), 1.0)
    upper = np.triu_indices(states, 1)
    there, back = counts[upper], counts.T[upper]
    busy = there + back >= 20
    assert busy.sum() >= states // 2
    statistic = ((there - back)[busy] ** 2 / (there + back)[busy]).sum()
    assert chi2.sf(statistic, int(busy.sum())) > 1e-3


@pytest.mark.parametrize("name", ["hmc", "fourier_hmc", "langevin", "overrelaxation", "metropolis", "heat_bath"])
def test_phi_four_updates_keep_the_exact_law(name: str) -> None:
    """Two sites, drawn by rejection, follow the law still after an update (Kolmogorov–Smirnov, p > 0.001).

    Trajectories satisfy detailed balance, seen in 16 boxes of (φ(0), φ(1)).
    """
    target = PhiFour(Lattice(1, 2), 1, r0=-2.0, u=4.0)
    generator = stream("law", name)
    # H ≥ Σ (φ⁴ − φ²) ≥ Σ (φ²/2 − 9/16): normal proposals are accepted with e^{−H + Σ (φ²/2 − 9/16)}.
    proposed = generator.standard_normal((400_000, 1, 2))
    chance = np.exp(-target.energy(proposed) + 0.5 * (proposed**2).sum(axis=(1, 2)) - 9.0 / 8.0)
    assert chance.max() <= 1.0
    starts = proposed[generator.random(len(proposed)) < chance]
    reference, fields = starts[20_000:40_000], starts[:20_000].copy()
    options = {"langevin": {"step": 0.6}, "hmc": {"step": 0.3}, "fourier_hmc": {"step": 0.3}}.get(name, {})
    update = make_update(name, target, **options)
    accepted = np.mean([update.apply(field, generator) for field in fields])
    assert accepted > 0.2
    assert (fields != starts[:20_000]).mean() > 0.2
    assert kstest(fields[:, 0, 0], reference[:, 0, 0]).pvalue > 1e-3
    assert kstest((fields**2).sum(axis=(1, 2)), (reference**2).sum(axis=(1, 2))).pvalue > 1e-3
    if name in ("hmc", "fourier_hmc", "langevin"):
        edges = [-0.6, 0.0, 0.6]
        before, after = (
            4 * np.digitize(f[:, 0, 0], edges) + np.digitize(f[:, 0, 1], edges) for f in (starts[:20_000], fields)
        )
        _balanced(before, after, 16)


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("beside", [0.0, 0.8])
def test_heat_bath_draws_one_site_from_its_law(components: int, beside: float) -> None:
    """10⁵ draws beside one neighbour held at `beside`: ⟨φ²⟩, ⟨φ⁴⟩ and ⟨φ₁⟩ by quadrature, within 4 σ."""
    target = PhiFour(Lattice(1, 2), components, r0=-2.5, u=4.0 * components)
    update = make_update("heat_bath", target)
    update.order = np.zeros(1, dtype=np.intp)  # type: ignore[attr-defined]
    generator = stream("site", components, beside)
    field, draws = np.zeros((components, 2)), np.empty((100_000, components))
    field[0, 1] = beside
    for draw in draws:
        update.apply(field, generator)
        draw[:] = field[:, 0]
    nodes, weights = np.polynomial.legendre.leggauss(400)
    order, radius, bond = components / 2.0 - 1.0, 2.0 * (nodes + 1.0), np.maximum(2.0 * beside, 1e-9)
    argument = bond * radius
    law = weights * radius ** (components - 1) * np.exp(-target.quadratic * radius**2 - target.quartic * radius**4)
    turned = law * np.exp(argument) * ive(order, argument) / argument**order
    along = law * np.exp(argument) * ive(order + 1.0, argument) / argument**order
    square = (draws**2).sum(axis=1)
    for values, exact in (
        (square, (radius**2 @ turned) / turned.sum()),
        (square**2, (radius**4 @ turned) / turned.sum()),
        (draws[:, 0], (radius @ along) / turned.sum()),
    ):
        assert abs(values.mean() - exact) < 4.0 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("components", [2, 3, 4, 8])
@pytest.mark.parametrize("strength", [0.0, 0.5, 6.0, 300.0])
def test_heat_bath_draws_one_spin_from_its_law(components: int, strength: float) -> None:
    """10⁵ spins w = S₁ between two held along e₁, or against each other at κ = 0, κ = 2β, within 4 σ.

    ⟨w⟩ = I_{n/2}(κ)/I_{n/2−1}(κ), ⟨w²⟩ = 1 − (n−1) ⟨w⟩/κ.
    """
    model = SpinModel(Lattice(1, 2000), components, 0.5 * strength or 1.0)
    update = make_update("heat_bath", model)
    drawn, held = np.arange(0, 2000, 2), np.arange(1, 2000, 2)
    update.order = drawn.astype(np.intp)  # type: ignore[attr-defined]
    generator = stream("spin", components, strength)
    field = np.zeros((components, 2000))
    field[0, held] = 1.0 if strength else np.resize([1.0, -1.0], 1000)
    found = []
    for _ in range(100):
        update.apply(field, generator)
        found.append(field[0, drawn].copy())
    draws = np.concatenate(found)
    order = components / 2.0 - 1.0
    first = ive(order + 1.0, strength) / ive(order, strength) if strength else 0.0
    second = 1.0 - (components - 1.0) * first / strength if strength else 1.0 / components
    for values, exact in ((draws, first), (draws**2, second)):
        assert abs(values.mean() - exact) < 4.0 * values.std() / np.sqrt(len(values))


def _same(results: list[Estimate]) -> None:
    """One mean for all: Σ (x − x̄)²/σ² is χ² (p > 0.001)."""
    assert not any(result.remark for result in results), results
    values = np.array([result.value for result in results])
    weights = np.array([result.error for result in results]) ** -2.0
    mean = (weights @ values) / weights.sum()
    assert chi2.sf(weights @ (values - mean) ** 2, len(values) - 1) > 1e-3, results


@pytest.mark.parametrize("kind", ["spins", "field"])
def test_all_samplers_agree_on_three_components_in_three_dimensions(kind: str) -> None:
    """O(3), L = 8, near criticality: H/N, χ and S(k₁)."""
    lattice = Lattice(3, 8)
    target: HasEnergy = SpinModel(lattice, 3, 0.68) if kind == "spins" else PhiFour(lattice, 3, -0.8, 3.0)
    runs: list[Chains] = [
        run_chains(target, sweep, kind, name, chains=2, measurements=500, thermalisation=100, every=every)
        for name, sweep in (SPIN_SWEEPS if kind == "spins" else FIELD_SWEEPS).items()
        for every in [25 if name in ("metropolis", "langevin", "heat_bath") else 2]
    ]
    _same([run.estimate("energy") for run in runs])
    _same([run.susceptibility() for run in runs])
    _same([run.estimate("first_mode") for run in runs])


def test_published_phi_four() -> None:
    """2D, L = 32, μ² = −0.7, λ = 0.5, within 2 σ of arXiv:0902.0045, both errors in σ (χ, Binder there without)."""
    target = PhiFour.from_mass(Lattice(2, 32), 1, -0.7, 0.5)
    sweep = [Step("heat_bath"), Step("overrelaxation"), Step("wolff")]
    found = run_chains(target, sweep, "0902.0045", chains=4, measurements=1500, thermalisation=100)
    for result, published, error in (
        (found.estimate("energy"), 0.359025, 0.000979),
        (found.estimate("magnetisation"), 0.434639, 0.006402),
        (found.estimate("m2", "magnetisation", of=lambda m2, modulus: 32**2 * (m2 - modulus * modulus)), 34.468, 0.0),
        (found.binder(), 0.524037, 0.0),
    ):
        assert result.remark == ""
        assert abs(result.value - published) < 2.0 * np.hypot(result.error, error), (result, published)


@pytest.mark.parametrize(("components", "critical"), [(1, 0.221654626), (2, 0.4541647)])
def test_binder_crossings_in_three_dimensions(components: int, critical: float) -> None:
    """⟨m²⟩²/⟨m⁴⟩ of L = 8 and 16, linear between 0.99 β_c and 1.01 β_c, cross within 0.5 % of β_c; σ is some 0.12 %."""
    sweep = [Step("heat_bath"), Step("wolff")]
    cumulants = {}
    for size, factor in product((8, 16), (0.99, 1.01)):
        target = SpinModel(Lattice(3, size), components, critical * factor)
        found = run_chains(
            target, sweep, "crossing", components, size, factor, chains=2, measurements=800, thermalisation=150
        )
        result = found.estimate("m2", "m4", of=lambda second, fourth: second * second / fourth)
        assert result.remark == ""
        cumulants[size, factor] = result.value
    below, above = (cumulants[16, factor] - cumulants[8, factor] for factor in (0.99, 1.01))
    assert below < 0.0 < above
    assert 0.99 + 0.02 * below / (below - above) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("kind", ["spins", "field"])
def test_many_components_approach_the_gaussian_field(kind: str) -> None:
    """⟨φ²⟩/n and χ, n = 4, 16, 64, differ from the gap equation's by c/n: one c for 16 and 64 within 4 σ."""
    lattice, length = Lattice(2, 6), 0.6
    couplings = (-1.0, 2.0) if kind == "field" else (-1e9 * length, 1e9)
    limit = GaussianField.from_couplings(lattice, *couplings)
    susceptibility, variance, error = {}, {}, {}
    for components in (4, 16, 64):
        target: HasEnergy = (
            PhiFour(lattice, components, *couplings)
            if kind == "field"
            else SpinModel(lattice, components, length * components)
        )
        scale = 1.0 if kind == "field" else length * components
        sweep = [Step("heat_bath"), Step("overrelaxation", 2)]
        found = run_chains(target, sweep, kind, components, chains=2, measurements=1000, thermalisation=100)
        result = found.susceptibility()
        assert result.remark == ""
        susceptibility[components] = components * (scale * result.value / limit.susceptibility - 1.0)
        error[components] = components * scale * result.error / limit.susceptibility
        phi2 = found.series["phi2"].mean() * scale / components
        variance[components] = components * (phi2 / limit.variance - 1.0)
    assert abs(susceptibility[64] - susceptibility[16]) < 4.0 * np.hypot(error[64], error[16])
    assert susceptibility[4] == pytest.approx(susceptibility[16], rel=0.25)
    assert abs(susceptibility[64] / 64.0) < 0.03
    if kind == "field":
        assert variance[4] == pytest.approx(variance[16], rel=0.25)
        assert variance[64] == pytest.approx(variance[16], rel=0.5)
    else:
        assert list(variance.values()) == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_large_quartic_coupling_samples_spins() -> None:
    """φ⁴ at r₀ = −βu, u = 10⁵ (corrections of order 1/u): ⟨m²⟩ of Ising by enumeration, times β, within 4 σ."""
    lattice, coupling = Lattice(2, 3), 0.3
    everything = _all_ising(lattice)
    weights = np.exp(-SpinModel(lattice, 1, coupling).energy(everything))
    exact = coupling * (weights @ everything.mean(axis=(1, 2, 3)) ** 2) / weights.sum()
    target = PhiFour(lattice, 1, -coupling * 1e5, 1e5)
    for local in ("metropolis", "heat_bath"):
        sweep = [Step(local), Step("wolff")]
        found = run_chains(target, sweep, "large u", local, chains=2, measurements=2000, thermalisation=200)
        _agree(found.estimate("m2"), exact, 4.0)


def test_chains_do_not_depend_on_each_other() -> None:
    """Bit for bit the same, alone and among others, for every update."""
    target = PhiFour(Lattice(2, 4), 2, -0.5, 2.0)
    sweep = [Step(name) for name in UPDATES]
    alone, among = (
        run_chains(target, sweep, "alone", chains=count, measurements=20, thermalisation=20) for count in (1, 3)
    )
    for name, rows in alone.series.items():
        np.testing.assert_array_equal(rows[0], among.series[name][0])
    np.testing.assert_array_equal(alone.fields[0], among.fields[0])
    assert not np.array_equal(among.fields[0], among.fields[1])


def test_a_start_far_out_is_cut() -> None:
    """Chains that start far out: the cut is found and left out of the mean."""
    target = PhiFour(Lattice(2, 8), 1, 0.04, 0.0)
    found = run_chains(
        target, [Step("metropolis", 1, {"step": 0.4})], "file", chains=4, measurements=4000, thermalisation=0
    )
    energy = found.estimate("energy")
    assert found.cut > 0
    assert energy.value == pytest.approx(found.series["energy"][:, found.cut :].mean(), rel=1e-14)
    assert abs(energy.value - 0.5) < 4.0 * energy.error


def test_tuning_finds_its_acceptance() -> None:
    target = PhiFour(Lattice(2, 16), 2, -0.5, 2.0)
    for name, acceptance in (("metropolis", 0.5), ("langevin", 0.574), ("hmc", 0.8), ("fourier_hmc", 0.8)):
        found = run_chains(target, [Step(name)], "tuned", chains=1, measurements=100, thermalisation=300)
        assert found.accepted[0, 0] == pytest.approx(acceptance, abs=0.1)


def test_the_error_of_leapfrog_is_quadratic() -> None:
    """Trajectories of one length: halving the step quarters the energy error."""
    target = PhiFour(Lattice(2, 8), 2, -0.5, 2.0)
    for name in ("hmc", "fourier_hmc"):
        update = make_update(name, target, step=0.1)
        generator = stream("leapfrog", name)
        field = target.start(generator).reshape(2, -1)
        for _ in range(50):
            update.apply(field, generator)
        momenta = update.draw_momenta(generator)  # type: ignore[attr-defined]
        errors = [update.leapfrog(field, momenta, 0.1 / 2**k, 10 * 2**k)[1] for k in range(3)]  # type: ignore[attr-defined]
        assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)
        assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


FIELD = PhiFour(Lattice(2, 4), 1, -0.5, 2.0)
ISING = SpinModel(Lattice(2, 4), 1, 0.4)


@pytest.mark.parametrize(
    ("target", "sweep", "counts", "message"),
    [
        (FIELD, [Step("heat_bath")], {"measurements": 0}, "measurements is 0"),
        (FIELD, [Step("heat_bath")], {"chains": 0}, "chains is 0"),
        (FIELD, [Step("heat_bath")], {"thermalisation": -1}, "thermalisation is -1"),
        (FIELD, [Step("heat_bath")], {"every": 0}, "every is 0"),
        (FIELD, [Step("heat_bath", 0)], {}, "times of 'heat_bath' is 0"),
        (PhiFour(Lattice(2, 4), 1, -1e9, 1e9), [Step("heat_bath")], {}, "'heat_bath'"),
        (FIELD, [], {}, "every field"),
        (FIELD, [Step("wolff")], {}, "every field"),
        (FIELD, [Step("overrelaxation")], {}, "every field"),
        (FIELD, [Step("heatbath")], {}, "'heat_bath'"),
        (FIELD, [Step("heat_bath", 1, {"step": 1.0})], {}, "step"),
        (FIELD, [Step("metropolis", 1, {"step": 0.0})], {}, "step is 0.0"),
        (FIELD, [Step("hmc", 1, {"trajectory": -1.0})], {}, "trajectory is -1.0"),
        (FIELD, [Step("hmc"), Step("wolff", 1, {"clusters": 0})], {}, "clusters is 0"),
        (PhiFour(Lattice(2, 4), 1, 1.0, 1.0, 0.1), [Step("hmc"), Step("wolff")], {}, "'wolff'"),
        (ISING, [Step("hmc")], {}, "'hmc'"),
        (ISING, [Step("wolff"), Step("overrelaxation")], {}, "'overrelaxation'"),
    ],
)
def test_what_cannot_run_is_refused(target: HasEnergy, sweep: list[Step], counts: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run_chains(target, sweep, "bad", **({"chains": 1, "measurements": 5, "thermalisation": 2} | counts))


def test_exploding_trajectory_names_a_step_that_works() -> None:
    target = PhiFour(Lattice(2, 16), 1, -0.5, 2.0)
    for name in ("hmc", "fourier_hmc", "langevin"):
        with pytest.raises(InputError, match="try a step of") as caught:
            run_chains(target, [Step(name, 1, {"step": 3.0})], "bad", chains=1, measurements=5, thermalisation=0)
        step = float(re.search(r"try a step of ([\d.e-]+),", str(caught.value)).group(1))  # type: ignore[union-attr]
        found = run_chains(
            target, [Step(name, 1, {"step": step})], "good", chains=1, measurements=50, thermalisation=10
        )
        assert found.accepted[0, 0] > 0.3
