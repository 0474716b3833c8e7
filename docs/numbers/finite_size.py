"""The infinite lattice's critical point in d = 3 on finite lattices, and training times there and at fixed masses."""

from typing import Any

import csd
from csd.lattice import Lattice
from csd.targets.gaussian import WATSON, GaussianField, critical_ratio

SIZES = [4, 8, 16, 32]
QUARTIC = 1000.0
MASSES, FIXED = [0.03, 0.12, 0.5], [16, 32, 64]


def steps(architecture: str, **target: Any) -> float:
    """Training time on the population loss at t = 0.1, interpolated between steps."""
    theory = csd.predict(architecture, noise_levels=[0.1], max_steps=10**7, **target)
    return float(theory.crossing_time.item())


def numbers() -> dict[str, Any]:
    """Ratios are ξ/L, times are in steps, `fixed_mass` is τ m² by mass.

    Raises:
        ValueError: if times at a fixed mass depend on the size.
    """
    ratio = critical_ratio()
    couplings = {"dimension": 3, "r0": -QUARTIC * WATSON, "u": QUARTIC}
    critical = [GaussianField.from_couplings(Lattice(3, size), couplings["r0"], QUARTIC) for size in SIZES]
    times = [[steps("one_layer", dimension=2, size=size, mass=mass) * mass**2 for mass in MASSES] for size in FIXED]
    if max(max(column) / min(column) for column in zip(*times, strict=True)) > 1.001:
        raise ValueError("training times at a fixed mass depend on the size")
    found = {name: [steps(name, size=size, **couplings) for size in SIZES] for name in ("one_layer", "two_layer")}
    return {
        "watson": WATSON,
        "ratio": ratio,
        "ratio_squared": ratio**2,
        "x": 1.0 / ratio,
        "table": [
            ["", "L = 4", *map(str, SIZES[1:])],
            ["ξ/L", *(f"{field.correlation_length / field.lattice.size:.4f}" for field in critical)],
            ["steps of one layer", *(f"{time:.0f}" for time in found["one_layer"])],
            ["steps of two layers", *(f"{time:.1f}" for time in found["two_layer"])],
        ],
        "fixed_sizes": FIXED,
        "fixed_mass": times[-1],
    }
