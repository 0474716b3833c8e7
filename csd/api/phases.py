"""Phases of data as a call from Python; `csd phases` makes the same call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.api.keywords import DATA, FIELD, checked, spelt_out
from csd.api.scores import AT_FINITE_N, target_with_energy
from csd.api.training import called, completed, named, noised_target, place_of
from csd.core.errors import InputError, users_errors
from csd.core.files import PACKAGES, PHASES, SAMPLING_PACKAGES, Content, provenance
from csd.core.options import declared
from csd.core.paths import check_paths
from csd.core.plugins import name_of
from csd.core.source import fingerprint_with_plugins
from csd.locality.content import BY_CHAINS, EXACTLY
from csd.locality.kinds import phases_of_target
from csd.locality.options import PhaseSettings
from csd.targets.base import TARGETS
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import NoiseOptions
from csd.targets.scores import ScoreSettings

if TYPE_CHECKING:
    import xarray as xr

FINITE_N = {name: DATA[name] for name in AT_FINITE_N}
"""Options of targets whose phases are by Monte Carlo."""
PHASES_OPTIONS = {
    **declared(NoiseOptions),
    **declared(PhaseSettings),
    **declared(ScoreSettings),
    **FIELD,
    **FINITE_N,
}
"""Options of `csd phases`."""


@spelt_out(PHASES_OPTIONS)
@users_errors()
def phases(*, output: str | Path | None = None, **asked: Any) -> "xr.Dataset":
    """What scores of finite range lose on fields under noise: conditional mutual information, gaps, and KLs.

    Args:
        **asked: what follows.
        output: a file to write.

    Returns:
        conditional_mutual_information(noise_level, range), score_gap(noise_level, range), path_kl(range),
        markov_length(noise_level), and the other variables of a file of phases (docs/results.md).

    Raises:
        InputError: for an argument that cannot be used.
    """
    given, place = checked("phases", PHASES_OPTIONS, asked), place_of(output)
    check_paths([], named("output", place))
    call = called("phases", None, given | {"output": output})
    return phases_of(given, call, place).dataset()


def phases_of(given: Mapping[str, Any], call: str, output: Path | None) -> Content:
    """Phases of data as the content of a file, which is written if an output is given.

    Args:
        given: checked options of `PHASES_OPTIONS`.
        call: the command or call, for the file.
        output: file to write.

    Raises:
        InputError: if an option is missing or contradicts another.
    """
    settings, (target, _) = PhaseSettings(**_chosen(given, PhaseSettings)), target_with_energy(given, None)
    if target is None:
        content, step, packages = _exactly(given, settings), EXACTLY, PACKAGES
    else:
        content, step, packages = _by_chains(target, given, settings), BY_CHAINS, SAMPLING_PACKAGES
    wanted = given.get("target", "")
    plugins = [name_of("target", wanted if isinstance(wanted, str | type) else type(wanted), TARGETS)]
    source = fingerprint_with_plugins(step, *plugins, str(given.get("schedule", "")))
    return completed(content, provenance(call, content.attrs, source, packages=packages), PHASES, output)


def _exactly(given: Mapping[str, Any], settings: PhaseSettings) -> Content:
    """Phases of a Gaussian field, or of two phases."""
    if unused := _chosen(given, ScoreSettings):
        raise InputError(f"{next(iter(unused))} is given, but phases of this target are exact; leave it out")
    return phases_of_target(noised_target(given), settings)


def _by_chains(target: Any, given: Mapping[str, Any], settings: PhaseSettings) -> Content:
    """Phases of a target with an energy at finite n."""
    # Chains load compiled loops.
    from csd.locality.interacting import interacting_phases

    if not given.get("noise_levels"):
        raise InputError("noise levels are not given; phases by Monte Carlo need one or more")
    schedule = schedule_of(given.get("schedule", NoiseOptions.schedule))
    noised = NoisedTarget(target, schedule, given["noise_levels"])
    return interacting_phases(noised, settings, ScoreSettings(**_chosen(given, ScoreSettings)))


def _chosen(given: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The options of a class that are given."""
    return {name: given[name] for name in declared(kind) if name in given}
