"""The content of a file of phases: its variables, with the same names for every kind of target."""

from collections.abc import Mapping
from typing import Any

from csd.core.files import Content, labelled
from csd.locality.options import PhaseSettings
from csd.targets.base import spec_of
from csd.targets.noising import NoisedTarget

LEVEL, RANGE = "noise_level", "range"
VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "conditional_mutual_information": (
        (LEVEL, RANGE),
        "I(A:C|B) of a cube A, the sites B within R, the rest C",
        "nats",
    ),
    "floor": ((LEVEL, RANGE), "smallest relative error of a score of range R", "1"),
    "score_gap": ((LEVEL, RANGE), "E|s_R - s*|^2 / N of the best score from the box of range R", "1"),
    "mmse_difference": ((LEVEL, RANGE), "E Var(x0|box of range R) - E Var(x0|all), per site", "1"),
    "path_kl": ((RANGE,), "path KL of reverse diffusion by the SDE with the best scores of range R", "nats"),
    "sde_kl": ((RANGE,), "KL(true||samples), SDE with the best scores of range R", "nats"),
    "sde_reverse_kl": ((RANGE,), "KL(samples||true), SDE with the best scores of range R", "nats"),
    "ode_kl": ((RANGE,), "KL(true||samples), ODE with the best scores of range R", "nats"),
    "ode_reverse_kl": ((RANGE,), "KL(samples||true), ODE with the best scores of range R", "nats"),
    "markov_length": ((LEVEL,), "decay length of I(A:C|B) with R; NaN where ranges do not show it", "lattice spacings"),
    "markov_length_theory": ((LEVEL,), "half the decay length of the exact kernel", "lattice spacings"),
    "squared_score": ((LEVEL,), "E|s*|^2 / N", "1"),
    "score_length": ((LEVEL,), "xi_t = (m^2 + alpha^2/sigma^2)^(-1/2)", "lattice spacings"),
    "correlation_length": ((), "of the field without noise", "lattice spacings"),
}
"""Dimensions, long name and units of each variable."""


def phases_content(noised: NoisedTarget, settings: PhaseSettings, values: Mapping[str, Any]) -> Content:
    """The content of a file of phases.

    Args:
        noised: the target at its noise levels.
        settings: ranges, and the side of the cube.
        values: some or all of `VARIABLES`, by name.
    """
    ranges = settings.on(noised.lattice)
    return Content(
        {name: labelled(VARIABLES[name][0], found, *VARIABLES[name][1:]) for name, found in values.items()},
        {
            LEVEL: labelled([LEVEL], noised.levels, "noise level t"),
            RANGE: labelled([RANGE], ranges, "range R of the box", "lattice spacings"),
            "signal": labelled([LEVEL], noised.signals, "signal amplitude alpha"),
            "noise_variance": labelled([LEVEL], noised.variances, "noise variance sigma^2"),
        },
        phases_request(noised, settings),
    )


def phases_request(noised: NoisedTarget, settings: PhaseSettings) -> dict[str, Any]:
    """All settings that determine a file; their hash is its configuration_hash."""
    about = {"schedule": type(noised.schedule).__name__, "noise_levels": list(noised.levels)}
    ranges = list(settings.on(noised.lattice))
    return spec_of(noised.target) | {**settings.attributes(), "ranges": ranges} | about
