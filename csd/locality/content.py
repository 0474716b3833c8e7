"""The content of a file of phases: its variables, with the same names for every kind of target."""

from collections.abc import Mapping
from typing import Any

from csd.core.files import Content, labelled
from csd.locality.options import PhaseSettings
from csd.targets.base import spec_of
from csd.targets.noising import NoisedTarget
from csd.targets.scores import ScoreSettings

LEVEL, RANGE = "noise_level", "range"
EXACTLY, BY_CHAINS = "phases", "phases_by_chains"
"""Steps in `csd.core.source` of files in closed form, and by Monte Carlo."""
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
    "bit_gap": ((LEVEL, RANGE), "part of score_gap of the phase s = 1 or -1; the rest is linear", "1"),
    "path_kl_linear": ((RANGE,), "part of path_kl of the fields about their phase", "nats"),
    "path_kl_bit": ((RANGE,), "part of path_kl of the phase", "nats"),
    "separation": ((LEVEL,), "separation of the phases, alpha^2 M^2 N / C(0)", "1"),
    "box_separation": ((LEVEL, RANGE), "separation of the phases in the box of range R", "1"),
    "information": ((LEVEL,), "I(s; x) over the entropy of the phase s", "1"),
    "box_information": ((LEVEL, RANGE), "the same from the box of range R", "1"),
    "speciation_time": ((), "t_S, below which fields know half of the entropy of s; NaN if they never do", "1"),
    "box_speciation_time": ((RANGE,), "t_R, below which the box of range R knows half of it; NaN if never", "1"),
    "window_width": ((RANGE,), "t_S - t_R; NaN where one of them is", "1"),
    "score_gap_error": ((LEVEL, RANGE), "standard error of the gap, by a jackknife over fields", "1"),
    "mmse_difference_error": ((LEVEL, RANGE), "its standard error", "1"),
    "box_variance": ((LEVEL, RANGE), "E Var(x0|box of range R), summed over components", "1"),
    "box_variance_error": ((LEVEL, RANGE), "its standard error", "1"),
    "box_share": ((LEVEL, RANGE), "E|E[m|box]|^2 / E|m|^2 of the mean m of x0 over the box", "1"),
    "box_share_error": ((LEVEL, RANGE), "its standard error", "1"),
    "box_level": ((RANGE,), "noise level t_R at which box_share is 1/2; NaN where levels do not show it", "1"),
    "box_level_error": ((RANGE,), "its standard error", "1"),
    "squared_score_error": ((LEVEL,), "standard error of E|s*|^2 / N", "1"),
    "conditional_variance": ((LEVEL,), "E Var(x0|all), summed over components", "1"),
    "conditional_variance_error": ((LEVEL,), "its standard error", "1"),
    "tau": ((LEVEL,), "longest autocorrelation time of the chains of all sites", "sweeps"),
    "sweeps": ((LEVEL,), "of each of these chains", "sweeps"),
    "box_tau": ((LEVEL, RANGE), "longest autocorrelation time of the chains of a box", "sweeps"),
    "box_sweeps": ((LEVEL, RANGE), "of each of these chains", "sweeps"),
}
"""Dimensions, long name and units of each variable."""


def phases_content(
    noised: NoisedTarget, settings: PhaseSettings, values: Mapping[str, Any], drawn: ScoreSettings | None = None
) -> Content:
    """The content of a file of phases.

    Args:
        noised: the target at its noise levels.
        settings: ranges, and the side of the cube.
        values: some or all of `VARIABLES`, by name.
        drawn: fields and accuracy of values by Monte Carlo; None for exact ones.
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
        phases_request(noised, settings, drawn),
    )


def phases_request(noised: NoisedTarget, settings: PhaseSettings, drawn: ScoreSettings | None = None) -> dict[str, Any]:
    """All settings that determine a file; their hash is its configuration_hash."""
    about = {"schedule": type(noised.schedule).__name__, "noise_levels": list(noised.levels)}
    if drawn is not None:
        about |= drawn.attributes() | {"accuracy": drawn.accuracy, "method": "conditional Monte Carlo"}
    ranges = list(settings.on(noised.lattice))
    return spec_of(noised.target) | {**settings.attributes(), "ranges": ranges} | about
