"""Two full layers from a start K₀: the window of learning rates and starts in which they learn, and how long it takes.

With y = √C w a step of a mode on the population loss is the same for every mode,

    y ← f(y) = (1 + η) y − η y³,      CK = y².

For 0 < η < 2 the points ±√(1 + 2/η) are a cycle of two steps, and |y| stays below from below: the largest value of |f|
in between, ⅔ (1 + η) √((1 + η)/(3η)), is less. Beyond, |y| grows at every step. The fixed point CK = 1 has the slope
1 − 2η and is stable for η < 1. So two layers learn if

    η < 1    and    C_max K₀ < 1 + 2/η .

Where C K₀ ≪ 1, y_j is a function F of (1 + η)^j √(C K₀) alone, with F(x) = lim fⁿ(x (1 + η)^{−n}), n → ∞.
"""

import numpy as np

from csd.lattice import Array

FAR = 1e-6
"""y from which F starts: f(y) is (1 + η) y to a relative 10⁻¹² there."""


def largest_start(largest: float, rate: float) -> float:
    """K₀ < (1 + 2/η) / C_max, the starts from which two layers learn.

    Args:
        largest: C_max.
        rate: η, between 0 and 1.
    """
    return (1.0 + 2.0 / rate) / largest


def largest_rate(largest: float, start: float) -> float:
    """η < min(1, 2 / (C_max K₀ − 1)), the learning rates at which two layers learn.

    Args:
        largest: C_max.
        start: K₀.
    """
    return 1.0 if largest * start <= 3.0 else 2.0 / (largest * start - 1.0)


def front(grown: Array, rate: float) -> Array:
    """CK = F(x)² of modes that have grown by x = (1 + η)^j √(C K₀) from far below their fixed point.

    Args:
        grown: x.
        rate: η, between 0 and 1.
    """
    steps = np.maximum(np.ceil(np.log(grown / FAR) / np.log1p(rate)), 0.0)
    found = grown * (1.0 + rate) ** -steps
    for step in range(int(steps.max(initial=0.0))):
        found = np.where(step < steps, (1.0 + rate) * found - rate * found**3, found)
    return np.asarray(found**2)


def steps_from(spectrum: Array, weight: Array, start: float, rate: float, tolerance: float) -> float:
    """Steps j, not rounded, to ε = Σ_k K* (F² − 1)² / Σ_k K* = ε₀ from K₀: a constant − ½ ln K₀ / ln(1 + η).

    The constant depends on η, ε₀ and the distribution of C with the weights K*, not on C_max: soft modes have little
    weight, and are learned before.

    Args:
        spectrum: C, shape (modes,).
        weight: multiplicity of the modes, shape (modes,).
        start: K₀, with C_max K₀ ≪ 1.
        rate: η, between 0 and 1.
        tolerance: ε₀.
    """
    share = weight / spectrum / (weight / spectrum).sum()
    root = np.sqrt(spectrum * start)

    def error(step: float) -> float:
        return float((share * (front(root * (1.0 + rate) ** step, rate) - 1.0) ** 2).sum())

    last = 1
    while error(last) > tolerance:
        last += 1
    low, high = float(last - 1), float(last)
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if error(middle) > tolerance else (low, middle)
    return high
