"""What scores of finite range lose on interacting fields, by conditional Monte Carlo (`csd.mcmc.boxes`).

A is a site. With x₀ the field without noise, and s_R the best score from the box |r_μ| ≤ R,

    gap = E|s_R − s*|² at a site = (α²/σ⁴) Δ,   Δ = E Var(x₀ | box) − E Var(x₀ | all),

where nothing is known of the field outside the box.
"""

from typing import Any

from csd.core.errors import InputError
from csd.core.files import Content
from csd.locality.content import phases_content, phases_request
from csd.locality.options import PhaseSettings
from csd.mcmc.boxes.gaps import box_values, fewest_fields
from csd.targets.noising import NoisedTarget
from csd.targets.scores import ScoreSettings

LEAST, MOST = 1e-6, 1e6
"""Bounds of α²/σ²: beyond them differences of conditional variances are rounding, or nothing is known of a field."""


def interacting_phases(noised: NoisedTarget, settings: PhaseSettings, drawn: ScoreSettings) -> Content:
    """What scores of finite range lose on φ⁴ fields or unit spins, at all noise levels.

    Args:
        noised: the target at its noise levels.
        settings: ranges; the cube is a site.
        drawn: number and seed of fields, and accuracy of scores.

    Returns:
        score_gap, mmse_difference, box_variance and box_share(noise_level, range), squared_score and
        conditional_variance(noise_level), box_level(range), each with its error, and what chains took.

    Raises:
        InputError: if the cube is not a site, a range does not fit, chains do not mix, or memory does not suffice.
    """
    interacting_request(noised, settings, drawn)
    values = box_values(noised.target, noised.schedule, noised.levels, settings.on(noised.lattice), drawn)
    return phases_content(noised, settings, values, drawn)


def interacting_request(noised: NoisedTarget, settings: PhaseSettings, drawn: ScoreSettings) -> dict[str, Any]:
    """All settings that determine a file of an interacting field, checked.

    Raises:
        InputError: if the cube is not a site, a range does not fit, there are too few fields, or a noise level
            cannot be used.
    """
    if settings.block != 1:
        raise InputError(f"block is {settings.block}; with components or couplings at finite n it must be 1")
    if drawn.fields < (least := fewest_fields(noised.lattice)):
        raise InputError(
            f"fields is {drawn.fields}; in {noised.lattice.dimension} dimensions phases by Monte Carlo need at least"
            f" {least}, as with fewer the controls of errors cannot be fitted"
        )
    for level, ratio in zip(noised.levels, noised.ratios, strict=True):
        if not LEAST <= ratio <= MOST:
            raise InputError(
                f"noise level is {level:g}, where signal^2/variance is {ratio:.2g}; phases by Monte Carlo need"
                f" {LEAST:g} to {MOST:g}"
            )
    return phases_request(noised, settings, drawn)
