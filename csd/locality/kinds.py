"""Kinds of targets whose phases are known in closed form, each with functions of its own."""

from collections.abc import Callable
from typing import Any

from csd.core.errors import InputError
from csd.core.files import Content
from csd.locality.gaussian import gaussian_phases, gaussian_request
from csd.locality.options import PhaseSettings
from csd.locality.two_phase import two_phase_phases, two_phase_request
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget
from csd.targets.two_phase import TwoPhase

Request = Callable[[NoisedTarget, PhaseSettings], dict[str, Any]]
Phases = Callable[[NoisedTarget, PhaseSettings], Content]
KINDS: dict[type, tuple[Request, Phases]] = {
    GaussianField: (gaussian_request, gaussian_phases),
    TwoPhase: (two_phase_request, two_phase_phases),
}
"""For each kind what determines a file, checked, and its content; variables of one name mean the same thing."""


def _kind(noised: NoisedTarget) -> tuple[Request, Phases]:
    """The functions of a target."""
    made = type(noised.target)
    if made not in KINDS:
        raise InputError(
            f"target is {made.__name__}, whose phases have no closed form; take gaussian, or two_phase with a"
            " magnetisation"
        )
    return KINDS[made]


def request_of_phases(noised: NoisedTarget, settings: PhaseSettings) -> dict[str, Any]:
    """All settings that determine a file of phases, checked.

    Raises:
        InputError: if the target, a noise level, a range or the cube cannot be used.
    """
    return _kind(noised)[0](noised, settings)


def phases_of_target(noised: NoisedTarget, settings: PhaseSettings) -> Content:
    """What scores of finite range lose on a target, as the content of a file.

    Raises:
        InputError: if the target, a noise level, a range or the cube cannot be used, or memory does not suffice.
    """
    return _kind(noised)[1](noised, settings)
