"""Critical couplings of config/finite_n_large.yaml: those published, in the published action, and each accepted."""

from typing import Any

import numpy as np
import pytest

from csd.lattice import Array, Lattice
from csd.mcmc.chains import run_chains
from csd.mcmc.samplers import sweep_of
from csd.study.config.reading import load
from csd.targets.phi4 import PhiFour
from docs.numbers import ROOT, output
from docs.numbers.critical_couplings import POINTS

CONTENT = load(ROOT / "config" / "finite_n_large.yaml")
PUBLISHED = {"phi4-3d-1": (1, 1.1, 0.3750966), "phi4-3d-2": (2, 2.1, 0.5091503), "phi4-3d-3": (3, 5.2, 0.687985)}
"""n, λ and β_c of −β Σ ϕ·ϕ′ + Σ [ϕ² + λ(ϕ² − 1)²]."""
SPINS = {"ising-3d": (1, 0.221654626), "xy-3d": (2, 0.4541647), "heisenberg-3d": (3, 0.693003)}


def _moments(components: int, self_coupling: float, beta: float) -> Array:
    """⟨ϕ²⟩, ⟨m²⟩ and ⟨m⁴⟩, m = (ϕ₁ + ϕ₂)/2, of the published action on the ring of two sites, by quadrature.

    The sites have two bonds; lengths and the angle between both fields are integrated with Gauss–Legendre nodes, at
    n = 1 over both relative signs.
    """
    nodes, weights = np.polynomial.legendre.leggauss(60)
    length, measure = 1.5 * (nodes + 1.0), 1.5 * weights * (1.5 * (nodes + 1.0)) ** (components - 1)
    measure = measure * np.exp(-(length**2) - self_coupling * (length**2 - 1.0) ** 2)
    angle, opening = 0.5 * np.pi * (nodes + 1.0), weights.copy()
    cosine = np.array([-1.0, 1.0]) if components == 1 else np.cos(angle)
    opening = np.ones(2) if components == 1 else opening * np.sin(angle) ** (components - 2)
    one, two, turn = np.meshgrid(length, length, cosine, indexing="ij")
    mass = measure[:, None, None] * measure[None, :, None] * opening * np.exp(2.0 * beta * one * two * turn)
    second = (one**2 + two**2 + 2.0 * one * two * turn) / 4.0
    return np.array([(value * mass).sum() / mass.sum() for value in (one**2, second, second**2)])


@pytest.mark.parametrize("name", PUBLISHED)
def test_couplings_of_the_study_are_those_of_the_published_action(name: str) -> None:
    """Two sites with the study's r₀ and u, where d = 1 has 4 more in r₀; four standard errors (once in 5000 runs)."""
    components, self_coupling, beta = PUBLISHED[name]
    part = CONTENT["monte_carlo"][name]
    target = PhiFour(Lattice(1, 2), components, part["couplings"]["r0"] + 4.0, part["couplings"]["u"])
    sweep = sweep_of("wolff", target)
    found = run_chains(target, sweep, "two sites", chains=2, measurements=15_000, thermalisation=200)
    exact = _moments(components, self_coupling, beta)
    square, ratio = found.estimate("phi2"), found.estimate("m2", "m4", of=lambda second, fourth: fourth / second**2)
    assert ratio.error < 0.01
    assert abs(square.value - beta * exact[0]) < 4.0 * square.error
    assert abs(ratio.value - exact[2] / exact[1] ** 2) < 4.0 * ratio.error


def _couplings(part: Any) -> tuple[Any, ...]:
    """What determines the target of a part of the study."""
    return part["dimension"], part.get("components", 1), part.get("couplings"), part.get("beta")


def test_couplings_of_the_study_are_published() -> None:
    parts = CONTENT["monte_carlo"]
    for name, (components, self_coupling, beta) in PUBLISHED.items():
        target = PhiFour.from_hopping(Lattice(3, 4), components, beta / 2.0, self_coupling)
        assert parts[name]["couplings"] == pytest.approx({"r0": target.r0, "u": target.u}, rel=1e-9)
        assert parts[name].get("components", 1) == components
    for name, (components, beta) in SPINS.items():
        assert (parts[name]["beta"], parts[name].get("components", 1)) == (beta, components)
    assert parts["ising"]["beta"] == pytest.approx(np.log(1.0 + np.sqrt(2.0)) / 2.0, rel=1e-12)
    case_a = PhiFour.from_hopping(Lattice(2, 4), 1, 0.27088, 0.022)
    assert parts["phi4"]["couplings"] == pytest.approx({"r0": case_a.r0, "u": case_a.u}, rel=1e-9)
    for name, part in CONTENT["scores"].items():
        assert _couplings(part) == _couplings(parts[name])


def test_each_coupling_was_accepted_by_its_binder_ratio() -> None:
    verdicts = {row[0]: row[-1] for row in output("critical_couplings")["judged"][1:]}
    assert set(verdicts.values()) == {"accepted"}
    assert len(verdicts) == len(POINTS) == len(CONTENT["monte_carlo"])
