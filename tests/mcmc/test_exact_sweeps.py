"""Exact autocorrelation times of sweeps: against dense matrices of all sites, closed forms and long chains."""

from math import atan, pi

import numpy as np
import pytest

from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.lattice.sites import checkerboard, neighbours
from csd.mcmc.ensemble import sample
from csd.mcmc.exact_sweeps import exact_times, metropolis_damping
from csd.mcmc.samplers import sweep_of
from csd.mcmc.simulation import MonteCarloSettings
from csd.mcmc.updates import make_update
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel


def _target(dimension: int, size: int) -> PhiFour:
    return PhiFour.of_gaussian(GaussianField.on_critical_line(Lattice(dimension, size)), 1)


def _precision(target: PhiFour) -> Array:
    """C⁻¹ of all sites, from the force: H = ½ φᵀ C⁻¹ φ."""
    unit = np.eye(target.lattice.sites).reshape(-1, 1, *target.lattice.shape)
    return -target.force(unit).reshape(target.lattice.sites, -1)


def _site_by_site(target: PhiFour, kept: float) -> Array:
    """The matrix of φ(r) ← kept φ(r) + (1 − kept) Σ_nn φ/(2d + m²), one site after another."""
    total = np.eye(target.lattice.sites)
    for site in checkerboard(target.lattice):
        one = np.eye(target.lattice.sites)
        one[site, site] = kept
        for other in neighbours(target.lattice)[site]:
            one[site, other] += (1.0 - kept) / (2.0 * target.quadratic)
        total = one @ total
    return total


def _forms(target: PhiFour) -> dict[str, Array]:
    """M of φᵀMφ: H, m², and S(k₁) averaged over axes."""
    sites, size = target.lattice.sites, target.lattice.size
    places = np.indices(target.lattice.shape).reshape(target.lattice.dimension, -1)
    waves = np.exp(2j * np.pi * places / size)
    return {
        "energy": _precision(target),
        "magnetisation_squared": np.ones((sites, sites)),
        "softest_mode": np.einsum("ai,aj->ij", waves, waves.conj()).real,
    }


def _dense_times(target: PhiFour, matrices: list[Array], chances: Array, every: int) -> dict[str, float]:
    """w (½ + Σ_t ρ(wt)) with T(M) = Σ_n p_n A_nᵀ M A_n, summed until ρ is gone; m by the mean of A."""
    covariance = np.linalg.inv(_precision(target))
    found = {}
    for name, form in _forms(target).items():
        around, total, now = covariance @ form @ covariance, -0.5, form
        first = float((form * around).sum())
        while (left := float((now * around).sum()) / first) > 1e-10:
            total += left
            for _ in range(every):
                now = sum(p * a.T @ now @ a for p, a in zip(chances, matrices, strict=True))
        found[name] = every * total
    mean = np.linalg.matrix_power(sum(p * a for p, a in zip(chances, matrices, strict=True)), every)
    ones = np.ones(target.lattice.sites)
    state = covariance @ ones
    found["magnetisation_component"] = every * float(
        ones @ np.linalg.solve(np.eye(len(ones)) - mean, state) / (ones @ state) - 0.5
    )
    return found


@pytest.mark.parametrize(("dimension", "size", "every"), [(1, 6, 1), (2, 4, 3), (2, 2, 1), (3, 2, 2)])
def test_local_sweeps_are_their_dense_matrices(dimension: int, size: int, every: int) -> None:
    target = _target(dimension, size)
    bath, mirror = _site_by_site(target, 0.0), _site_by_site(target, -1.0)
    times = {"heat_bath": _dense_times(target, [bath], np.ones(1), every)}
    (_, turns) = sweep_of("overrelaxation", target)
    counts = range((turns.times + 1) // 2, 3 * turns.times // 2 + 1)
    turned = [np.linalg.matrix_power(mirror, count) @ bath for count in counts]
    times["overrelaxation"] = _dense_times(target, turned, np.full(len(turned), 1.0 / len(turned)), every)
    for name, dense in times.items():
        assert exact_times(target, name, every=every) == pytest.approx(dense, rel=1e-7)
    step = 0.9
    damping = metropolis_damping(step * np.sqrt(2.0 * target.quadratic), 1)
    linear = _dense_times(target, [_site_by_site(target, 1.0 - damping)], np.ones(1), every)
    del linear["energy"]
    assert exact_times(target, "metropolis", every=every, steps=[step]) == pytest.approx(linear, rel=1e-7)


@pytest.mark.parametrize("name", ["hmc", "fourier_hmc", "langevin"])
def test_trajectories_are_their_dense_matrices(name: str) -> None:
    """Leapfrog of all sites and momenta, as many steps as are drawn (10⁵ lengths, ½ % in τ)."""
    target, step, rate = _target(1, 6), 0.35, 0.8
    sites = target.lattice.sites
    force, update = -_precision(target), make_update(name, target, step=step)
    inertia = np.eye(sites)
    if update.inertia is not None:  # type: ignore[attr-defined]
        inertia = -force
    kick, drift = np.eye(2 * sites), np.eye(2 * sites)
    kick[sites:, :sites] = 0.5 * step * force
    drift[:sites, sites:] = step * np.linalg.inv(inertia)
    leap = kick @ drift @ kick
    generator = stream("lengths")
    drawn = [1] if name == "langevin" else [update.draw_steps(generator) for _ in range(100_000)]  # type: ignore[attr-defined]
    numbers, counts = np.unique(drawn, return_counts=True)
    matrices = [np.linalg.matrix_power(leap, int(number))[:sites, :sites] for number in numbers]
    chances = np.append(rate * counts / counts.sum(), 1.0 - rate)
    dense = _dense_times(target, [*matrices, np.eye(sites)], chances, 1)
    assert exact_times(target, name, steps=[step], accepted=[rate]) == pytest.approx(dense, rel=5e-3)


@pytest.mark.parametrize("components", [1, 3])
def test_damping_of_metropolis(components: int) -> None:
    """κ at n = 1: (ℓ²/π) (atan(2/ℓ) − (ℓ/2)/(1 + ℓ²/4)); else 10⁶ normal numbers and steps, within 4 σ."""
    width = 1.7
    found = metropolis_damping(width, components)
    if components == 1:
        exact = width**2 / pi * (atan(2.0 / width) - 0.5 * width / (1.0 + 0.25 * width**2))
        assert found == pytest.approx(exact, rel=1e-9)
    generator = stream("damping", components)
    old, change = generator.standard_normal((1_000_000, components)), generator.standard_normal((1_000_000, components))
    change *= width
    chance = np.exp(-np.maximum(0.0, (change * old).sum(axis=1) + 0.5 * (change**2).sum(axis=1)))
    values = 0.5 * chance * change[:, 0] ** 2
    assert abs(values.mean() - found) < 4.0 * values.std() / 1000.0


@pytest.mark.parametrize(
    ("name", "every", "slack"),
    [
        ("heat_bath", 2, 0.0),
        ("overrelaxation", 1, 0.0),
        ("metropolis", 5, 0.05),
        ("langevin", 5, 0.05),
        ("hmc", 1, 0.1),
    ],
)
def test_long_chains_have_these_times(name: str, every: int, slack: float) -> None:
    """m², S(k₁), m and, where the sweep is linear, H within 4 errors, and `slack` where the times are approximate."""
    target = _target(1, 4)
    found = sample(target, name, MonteCarloSettings((name,), 6000 * every, every, chains=4, seed=5))
    assert set(found.exact) >= {"magnetisation_squared", "softest_mode", "magnetisation_component"}
    for key, exact in found.exact.items():
        if key == "energy" and name in ("langevin", "hmc"):
            continue
        one = found.estimates[key]
        # An estimate is never below that of white noise.
        exact = max(exact, 0.5 * every)
        assert abs(every * one.tau - exact) < 4.0 * every * one.tau_error + slack * exact, key


def test_what_has_no_exact_times() -> None:
    assert exact_times(PhiFour(Lattice(2, 4), 1, 1.0, 1.0), "heat_bath") == {}
    assert exact_times(SpinModel(Lattice(2, 4), 1, 0.4), "wolff") == {}
    assert exact_times(_target(2, 4), "wolff") == {}
    assert exact_times(_target(1, 5), "heat_bath") == {}
    assert exact_times(_target(1, 5), "hmc", steps=[0.3], accepted=[1.0])["magnetisation_squared"] > 0.5


def test_what_hardly_decays_has_no_exact_time() -> None:
    """m of a heat bath has τ = (2d + m²)/(2m²), up to where rounding decides; S(k₁) at L = 4 is new at each sweep."""

    def times(mass: float, sampler: str, **more: list[float]) -> dict[str, float]:
        return exact_times(PhiFour.of_gaussian(GaussianField(Lattice(1, 4), mass), 1), sampler, **more)  # type: ignore[arg-type]

    assert times(1e-4, "heat_bath")["magnetisation_component"] == pytest.approx(1e8, rel=1e-6)
    for mass in (1e-8, 1e-100):
        for sampler, more in (
            ("heat_bath", {}),
            ("overrelaxation", {}),
            ("hmc", {"steps": [0.5], "accepted": [0.9]}),
            ("langevin", {"steps": [0.5], "accepted": [0.9]}),
        ):
            found = times(mass, sampler, **more)
            assert np.isnan([found[name] for name in found if name != "softest_mode"]).all()
            assert 0.0 <= found["softest_mode"] < 20.0
        assert times(mass, "heat_bath")["softest_mode"] == pytest.approx(0.5)
    for step in (1e-300, 1e300):
        assert np.isnan(list(times(0.25, "metropolis", steps=[step]).values())).all()
    # Steps far too wide are accepted where they are small: κ → 16/(3πw).
    for width in (1e4, 1e6):
        assert metropolis_damping(width, 1) == pytest.approx(16.0 / (3.0 * pi * width), rel=1e-6)
