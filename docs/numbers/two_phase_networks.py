"""Networks trained on fields of two phases, d = 2, L = 16, m = ½, M = 1, beside the exact and the best local scores."""

from typing import Any

import numpy as np

import csd
from csd.core.files import content_of
from csd.core.random import stream
from csd.diffusion.trained import trained_score
from csd.lattice import Array, Lattice
from csd.locality.two_phase import PhaseBox
from csd.networks.score import ExactScore, Score
from csd.targets.noising import VariancePreserving
from csd.targets.two_phase import TwoPhase

SLOW = True
SIZE, LEVELS, RANGES, STEPS, FIELDS = 16, [0.5, 1.5, 3.5], [1, 2], 400, 2048
SCHEDULE = VariancePreserving()
TARGET = TwoPhase(Lattice(2, SIZE), 0.5, 1.0)


def trained(name: str, **options: Any) -> Score:
    """A network of each level, after 400 minibatches of 64 fields."""
    how: dict[str, Any] = {"path": "fields", "loss": "denoising", "until": "max_steps", "max_steps": STEPS}
    run = csd.train(name, target=TARGET, noise_levels=LEVELS, seeds=1, **how, **options)
    return trained_score(content_of(run), 1)


def fields_at(level: float) -> Array:
    """Noised fields."""
    generator = stream("two-phase networks", level)
    clean = SCHEDULE.signal(level) * TARGET.sample(generator, FIELDS)
    return np.asarray(clean + np.sqrt(SCHEDULE.variance(level)) * generator.standard_normal(clean.shape))


def numbers() -> dict[str, Any]:
    """`zero_mode` is E|ŝ − ŝ*|²/E|ŝ*|² at k = 0, `local` E|s − s*|² over the gap of theory, of 2048 fields.

    As the best local score is a projection, E|s − s*|² is the gap and E|s − s_R|² of the same fields.
    """
    linear, whole = ExactScore(TARGET, SCHEDULE, TARGET.lattice.pairs), trained("global_tanh")
    zero: dict[str, list[float]] = {"best linear": [], "global_tanh": []}
    for level in LEVELS:
        fields = fields_at(level)
        exact = TARGET.score(fields, SCHEDULE, level).sum(axis=(1, 2))
        for name, score in (("best linear", linear), ("global_tanh", whole)):
            off = score(fields, level).sum(axis=(1, 2)) - exact
            zero[name].append(float((off**2).mean() / (exact**2).mean()))
    local = []
    for reach in RANGES:
        score, box = trained("local_tanh", kernel_size=2 * reach + 1), PhaseBox(TARGET, reach)
        row = []
        for level in LEVELS:
            ratio, variance = SCHEDULE.signal(level) ** 2 / SCHEDULE.variance(level), SCHEDULE.variance(level)
            gap = float((box.gap_of_field(np.array([ratio])) + box.gap_of_bit(np.array([ratio])))[0]) / variance
            fields = fields_at(level)
            more = ((score(fields, level) - box.score(fields, SCHEDULE, level)) ** 2).mean()
            row.append(1.0 + float(more) / gap)
        local.append(row)
    head = ["", f"t = {LEVELS[0]:g}", *(f"{level:g}" for level in LEVELS[1:])]
    return {
        "zero_mode": [head, *([name, *(f"{one:.2g}" for one in own)] for name, own in zero.items())],
        "local": [
            head,
            *([f"R = {reach}", *(f"{one:.4f}" for one in row)] for reach, row in zip(RANGES, local, strict=True)),
        ],
    }
