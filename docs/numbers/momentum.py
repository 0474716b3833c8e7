"""Steps of one layer at the best learning rate and momentum, by closed form: d = 1, t = 0.1, m = 1/L, ε ≤ 0.01."""

from typing import Any

import numpy as np

from csd.lattice import Lattice
from csd.networks import Architecture
from csd.study.scaling import fit
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.options import TrainingSettings
from csd.training.reference import Prediction, reference_curve
from csd.training.steps.quadratic import best_pair

SIZES = (8, 16, 32, 64, 128, 256)
SETTLE = 100
"""Further steps for which ε has to stay."""
RULES = {"heavy_ball": "heavy ball", "nesterov": "Nesterov"}


def noised(size: int) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(1, size)), VariancePreserving(), [0.1])


def prediction(size: int, rule: str) -> Prediction:
    """Times at the best pair.

    Raises:
        ValueError: if they are not those of the closed form.
    """
    settings = TrainingSettings("population", optimizer=rule, rate_from="optimal", settle=SETTLE)  # type: ignore[arg-type]
    found = reference_curve(noised(size), Architecture("one_layer"), settings)
    if found is None or found.method != "closed form":
        raise ValueError(f"no closed form of {rule}")
    return found


def numbers() -> dict[str, Any]:
    """First and settled times at the best pair, the pair, and z of the nested law of the settled times."""
    times, pairs = [["rule", "time", *map(str, SIZES)]], [["rule", "", *map(str, SIZES)]]
    found: dict[str, Any] = {}
    for rule, words in RULES.items():
        of_sizes = [prediction(size, rule) for size in SIZES]
        settled = [one.settled_time for one in of_sizes]
        entries = [one.settled_crossing_time for one in of_sizes]
        times.append([words, "first", *(f"{one.training_time.item():.0f}" for one in of_sizes)])
        times.append([words, "settled", *(f"{np.asarray(one).item():.0f}" for one in settled)])
        spectra = [noised(size).spectra_at(Lattice(1, size).shells)[0] for size in SIZES]
        best = [best_pair(rule, float(one.min()), float(one.max())) for one in spectra]
        pairs.append(
            [words, "ηC_max", *(f"{rate * one.max():.3f}" for (rate, _), one in zip(best, spectra, strict=True))]
        )
        pairs.append([words, "β", *(f"{momentum:.4f}" for _, momentum in best)])
        law = fit(SIZES, [np.ravel(np.asarray(one)) for one in entries])["boxcox"]
        found[f"{rule}_z"], found[f"{rule}_error"] = law.exponent, float(np.hypot(law.error, law.systematic_error))
    return {"times": times, "pairs": pairs, **found}
