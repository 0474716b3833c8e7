"""The infinite lattice's critical point in d = 3 on finite lattices, and training times there and at fixed masses."""

from typing import Any

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import WATSON, GaussianField, critical_ratio
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.options import TrainingSettings
from csd.training.reference import reference_curve

SIZES = [4, 8, 16, 32]
QUARTIC = 1000.0
LEVEL = 0.1


def steps(field: GaussianField, architecture: str) -> float:
    """Training time on the population loss, interpolated between steps."""
    target = NoisedTarget(field, VariancePreserving(), [LEVEL])
    settings = TrainingSettings(loss="population", max_steps=10**7)
    prediction = reference_curve(target, Architecture(architecture), settings)
    assert prediction is not None
    return float(prediction.crossing_time[0, 0])


def numbers() -> dict[str, Any]:
    """By name; ratios are ξ/L, times are in steps."""
    critical = [GaussianField.from_couplings(Lattice(3, size), -QUARTIC * WATSON, QUARTIC) for size in SIZES]
    ratio = critical_ratio()
    masses, fixed = [0.03, 0.12, 0.5], [16, 32, 64]
    times = [[steps(GaussianField(Lattice(2, size), m), "one_layer") * m**2 for m in masses] for size in fixed]
    # One number a mass is only true if it is that of every size.
    if max(max(column) / min(column) for column in zip(*times, strict=True)) > 1.001:
        raise ValueError("training times at a fixed mass depend on the size")
    return {
        "watson": WATSON,
        "ratio": ratio,
        "ratio_squared": ratio**2,
        "x": 1.0 / ratio,
        "sizes": SIZES,
        "ratios": [field.correlation_length / field.lattice.size for field in critical],
        "one_layer": [steps(field, "one_layer") for field in critical],
        "two_layer": [steps(field, "two_layer") for field in critical],
        "fixed_sizes": fixed,
        "fixed_mass": times[-1],
    }
