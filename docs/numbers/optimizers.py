"""Training steps of every optimiser at its best rate: d = 1, t = 0.1, m = 1/L, population loss, ε ≤ 0.01."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.descent.modes import ModeDescent
from csd.training.descent.momentum import OptimizedDescent
from csd.training.descent.optimizers import optimizer_of
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

SLOW = True
SIZES = (8, 16, 32, 64, 128)
RATES = np.geomspace(1e-4, 8.0, 81)
"""η of Adam and of the sign, 15 % apart."""
STEPS, LASTING, TOLERANCE = 2000, 400, 0.01
"""Steps that are taken, the length for which ε has to stay, and where."""


def noised(size: int) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(1, size)), VariancePreserving(), [0.1])


def errors(size: int, depth: int, rates: Sequence[float] | Array, name: str, steps: int, **options: float) -> Array:
    """ε from step 0 on at several rates, shape (steps + 1, rates)."""
    target = noised(size)
    lattice, modes = target.lattice, target.modes
    spectra = np.repeat(target.spectra_at(modes), len(rates), axis=0)
    start = np.full((1, *spectra.shape), 0.0 if depth == 1 else (0.1 / spectra.max()) ** (1.0 / depth))
    plain = ModeDescent(depth, modes, spectra, np.ones(len(rates)), start)
    descent = OptimizedDescent(plain, optimizer_of(name, **options), np.array(rates), lattice, modes)
    found = [descent.error()[0].copy()]
    # Rates beyond stability overflow.
    with np.errstate(all="ignore"):
        for _ in range(steps):
            descent.advance(spectra, 1.0)
            found.append(descent.error()[0].copy())
    return np.nan_to_num(np.array(found), nan=np.inf)


def first_steps(found: Array) -> tuple[float, float]:
    """(first step with ε ≤ 0.01, first step from which ε stays there for 400 steps), each at its best rate."""
    below = found <= TOLERANCE
    first = np.where(below.any(axis=0), below.argmax(axis=0), np.inf).min()
    # Steps below, in a window of the length and one, by differences of their running sum.
    total = np.cumsum(np.concatenate([np.zeros((1, below.shape[1])), below]), axis=0)
    stays = (total[LASTING + 1 :] - total[: -LASTING - 1] == LASTING + 1).any(axis=1)
    return float(first), float(stays.argmax()) if stays.any() else np.inf


def momenta(size: int, depth: int) -> list[float]:
    """β about the best ones: for one layer √β = 1 − 2c (C_min/C_max)^½ with c = 0.3 … 3."""
    if depth == 2:
        return np.arange(0.1, 0.95, 0.05).tolist()
    spectrum = noised(size).spectra_at(Lattice(1, size).shells)
    ratio = float((spectrum.min() / spectrum.max()) ** 0.5)
    return ((1.0 - np.clip(2.0 * ratio * np.geomspace(0.3, 3.0, 20), 0.0, 0.9)) ** 2).tolist()


def tuned(size: int, depth: int, name: str) -> float:
    """First step of a linear rule at the best η and β."""
    largest = noised(size).spectra_at(Lattice(1, size).shells).max() if depth == 1 else 1.0
    rates = np.geomspace(0.2, 4.0, 40) / largest
    options = [{}] if name == "gd" else [{"momentum": beta} for beta in momenta(size, depth)]
    return min(first_steps(errors(size, depth, rates, name, 450, **own))[0] for own in options)


def closed_form(size: int) -> float:
    """First step of the heavy ball at η = 4/(√C_max + √C_min)², √β = (√C_max − √C_min)/(√C_max + √C_min)."""
    spectrum = noised(size).spectra_at(Lattice(1, size).shells) ** 0.5
    high, low = float(spectrum.max()), float(spectrum.min())
    beta = ((high - low) / (high + low)) ** 2
    return first_steps(errors(size, 1, [4.0 / (high + low) ** 2], "heavy_ball", 450, momentum=beta))[0]


def descent(size: int, name: str) -> float:
    """Steps of plain descent at its own rate."""
    return float(train_network(noised(size), Architecture(name), TrainingSettings("population")).training_time[0, 0])


def said(steps: Iterable[float]) -> list[str]:
    """Numbers of steps as text."""
    return [f"{step:.0f}" if step < np.inf else f"> {STEPS - LASTING}" for step in steps]


def numbers() -> dict[str, Any]:
    """Tables of first steps and of those from which ε stays below, and powers of L with which those of Adam grow."""
    first = [["network", "optimiser", *map(str, SIZES)]]
    stays, found = [first[0]], {}
    for depth, name in ((1, "one_layer"), (2, "two_layer")):
        words = {1: "one layer", 2: "two layers"}[depth]
        first.append([words, "gd, default η", *said(descent(size, name) for size in SIZES)])
        if depth == 1:
            first.append([words, "heavy_ball, η and β above", *said(map(closed_form, SIZES))])
        for rule in ("gd", "heavy_ball", "nesterov")[2 - depth :]:
            first.append([words, rule, *said(tuned(size, depth, rule) for size in SIZES)])
        for rule in ("adam", "adam_fourier", "sign_fourier"):
            times = [first_steps(errors(size, depth, RATES, rule, STEPS)) for size in SIZES]
            first.append([words, rule, *said(time for time, _ in times)])
            stays.append([words, rule, *said(time for _, time in times)])
            if rule == "adam":
                found[f"adam_{depth}"] = float(np.polyfit(np.log(SIZES), np.log([time for time, _ in times]), 1)[0])
    return {"first": first, "stays": stays, **found}
