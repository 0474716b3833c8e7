"""Critical couplings of the literature, each judged by its own Binder ratio Q = ⟨m⁴⟩/⟨m²⟩² (docs/finite_n.md).

Q on periodic lattices of side L ≥ 6 is fitted by Q∞ + b L^−ω. In case A, whose coupling u is small, lattices of L ≤ 16
belong to the crossover from the Gaussian field, where Q = 3, and L ≥ 32 are fitted. Where the action has no leading
correction to scaling (φ⁴ at the λ given, Ising in d = 2) ω = γ/ν is that of the background of m²; for spins in d = 3 it
is the class's own. The coupling is accepted if Q∞ lies within three standard errors of the published value. What it
would take to be refused follows from the slope of Q∞ in the coupling, dQ/d ln β = cov(Q, β Σ φ·φ′) at each size.
"""

import sys
from dataclasses import dataclass
from math import hypot, log, sqrt
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice
from csd.mcmc.chains import Chains, run_chains
from csd.mcmc.samplers import sweep_of
from csd.targets.base import HasEnergy
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

SLOW = True
SIZES = {2: (8, 16, 32, 64, 128), 3: (4, 6, 8, 12, 16)}
SWEEPS = {4: 160_000, 6: 120_000, 8: 80_000, 12: 60_000, 16: 60_000, 32: 60_000, 64: 60_000, 128: 60_000}
CHAINS = 4
SMALLEST = 6
"""Smallest size that is fitted, where a point names no other."""
REFUSED = 3.0
"""Standard errors from which on a coupling is refused: one that is right is refused once in 370."""


@dataclass(frozen=True)
class Point:
    """A critical point of the literature.

    Attributes:
        name: as in the table.
        dimension: d.
        components: n.
        beta: β of −β Σ φ·φ′; for φ⁴ beside Σ [φ² + λ (φ² − 1)²].
        self_coupling: λ; None for unit spins.
        ratio: the published Q∞.
        correction: ω.
        smallest: the smallest size that is fitted.
    """

    name: str
    dimension: int
    components: int
    beta: float
    self_coupling: float | None
    ratio: float
    correction: float
    smallest: int = SMALLEST

    def target(self, size: int) -> PhiFour | SpinModel:
        """The target on a lattice of this size; κ = β/2."""
        lattice = Lattice(self.dimension, size)
        if self.self_coupling is None:
            return SpinModel(lattice, self.components, self.beta)
        return PhiFour.from_hopping(lattice, self.components, self.beta / 2.0, self.self_coupling)


ISING, XY, HEISENBERG, PLANE = 1.6036, 1.2430, 1.1393, 1.1679
POINTS = (
    Point("φ⁴, n = 1", 3, 1, 0.3750966, 1.1, ISING, 1.9637),
    Point("φ⁴, n = 2", 3, 2, 0.5091503, 2.1, XY, 1.9618),
    Point("φ⁴, n = 3", 3, 3, 0.687985, 5.2, HEISENBERG, 1.9622),
    Point("Ising", 3, 1, 0.221654626, None, ISING, 0.83),
    Point("XY", 3, 2, 0.4541647, None, XY, 0.789),
    Point("Heisenberg", 3, 3, 0.693003, None, HEISENBERG, 0.759),
    Point("φ⁴, n = 1 (A)", 2, 1, 2 * 0.27088, 0.022, PLANE, 1.75, smallest=32),
    Point("Ising (B)", 2, 1, 0.5 * log(1.0 + sqrt(2.0)), None, PLANE, 1.75),
)


@dataclass(frozen=True)
class Measured:
    """Q at one size, its standard error, and dQ/d ln β."""

    value: float
    error: float
    slope: float


def hopping(target: HasEnergy) -> Any:
    """The function of a field that multiplies d ln β in −dH: Σ φ·φ′ of φ⁴, and β times that of unit spins."""
    axes = range(1, target.lattice.dimension + 1)
    factor = target.coupling

    def of_field(field: Array) -> float:
        return factor * float(sum(np.vdot(field, np.roll(field, 1, axis)) for axis in axes))

    return of_field


def slope(found: Chains) -> float:
    """dQ/d ln β from the covariance of m² and m⁴ with the hopping term."""
    second, fourth, hops = (found.series[name][:, found.cut :].ravel() for name in ("m2", "m4", "hops"))
    by_second, by_fourth = (float(np.cov(series, hops)[0, 1]) for series in (second, fourth))
    return float(fourth.mean() / second.mean() ** 2 * (by_fourth / fourth.mean() - 2.0 * by_second / second.mean()))


def measured(point: Point, size: int) -> Measured:
    """Q by clusters, with a heat bath for φ⁴ beside them."""
    target = point.target(size)
    found = run_chains(
        target,
        sweep_of("wolff", target),
        "critical couplings",
        point.dimension,
        point.name,
        size,
        chains=CHAINS,
        measurements=SWEEPS[size] // CHAINS,
        thermalisation=500,
        measures={"hops": hopping(target)},
    )
    ratio = found.estimate("m2", "m4", of=lambda second, fourth: fourth / second**2)
    print(point.name, size, ratio.value, ratio.error, slope(found), file=sys.stderr, flush=True)
    return Measured(ratio.value, ratio.error, slope(found))


def extrapolated(point: Point, sizes: list[int], values: list[Measured]) -> dict[str, float]:
    """Q∞ with its error, χ² per degree of freedom of the fit, and the error of the coupling that is refused."""
    error = np.array([value.error for value in values])
    basis = np.stack([np.ones(len(sizes)), np.array(sizes) ** -point.correction], axis=1) / error[:, None]
    inverse = np.linalg.inv(basis.T @ basis)
    weights = inverse @ basis.T / error
    ratios, slopes = (np.array([getattr(value, name) for value in values]) for name in ("value", "slope"))
    fit = weights @ ratios
    residual = ratios / error - basis @ fit
    own = sqrt(inverse[0, 0])
    return {
        "ratio": float(fit[0]),
        "error": own,
        "chi2": float(residual @ residual) / (len(sizes) - 2),
        "resolution": REFUSED * own / abs(float(weights[0] @ slopes)),
    }


def rounded(value: float, error: float) -> str:
    """A number with its error in parentheses, in units of the fourth decimal."""
    return f"{value:.4f}({1e4 * error:.0f})"


def numbers() -> dict[str, Any]:
    """Tables of Q by size, of Q∞ with the verdict, and the map of the couplings to r₀ and u."""
    found: dict[str, Any] = {}
    judged = [["target", "β", "Q for L → ∞", "published", "(here − there)/σ", "χ²/f", "relative error of β at 3σ", ""]]
    pulls = []
    for dimension, sizes in SIZES.items():
        table = [["target", f"L = {sizes[0]}", *map(str, sizes[1:])]]
        for point in (point for point in POINTS if point.dimension == dimension):
            values = [measured(point, size) for size in sizes]
            table.append([point.name, *(rounded(value.value, value.error) for value in values)])
            fitted = [(size, value) for size, value in zip(sizes, values, strict=True) if size >= point.smallest]
            law = extrapolated(point, *map(list, zip(*fitted, strict=True)))
            if point.smallest > SMALLEST:
                found["case_a_from_8"] = extrapolated(point, list(sizes), values)["chi2"]
            pull = (law["ratio"] - point.ratio) / hypot(law["error"], 5e-5)
            pulls.append(pull)
            judged.append(
                [
                    f"{point.name}, d = {dimension}",
                    f"{point.beta:.9g}",
                    rounded(law["ratio"], law["error"]),
                    f"{point.ratio:.4f}",
                    f"{pull:.1f}",
                    f"{law['chi2']:.1f}",
                    f"{law['resolution']:.1g}",
                    "accepted" if abs(pull) <= REFUSED else "refused",
                ]
            )
        found[f"ratios_{dimension}d"] = table
    map_of = [["target", "κ", "λ", "r₀", "u"]]
    for point in POINTS:
        target = point.target(4)
        if isinstance(target, PhiFour):
            couplings = f"{point.beta / 2.0:.9g}", f"{point.self_coupling:g}", f"{target.r0:.7g}", f"{target.u:.7g}"
            map_of.append([f"{point.name}, d = {point.dimension}", *couplings])
    return found | {"judged": judged, "couplings": map_of, "pulls": [round(pull, 2) for pull in pulls]}
