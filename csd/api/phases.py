"""Phases of data as a call from Python; `csd phases` makes the same call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.api.keywords import FIELD, checked, spelt_out
from csd.api.training import called, completed, named, noised_target, place_of
from csd.core.errors import users_errors
from csd.core.files import PHASES, Content, provenance
from csd.core.options import declared
from csd.core.paths import check_paths
from csd.core.source import fingerprint_with_plugins
from csd.locality.kinds import phases_of_target, request_of_phases
from csd.locality.options import PhaseSettings
from csd.targets.options import NoiseOptions

if TYPE_CHECKING:
    import xarray as xr

PHASES_OPTIONS = {**declared(NoiseOptions), **declared(PhaseSettings), **FIELD}
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
    settings = PhaseSettings(**{name: given[name] for name in declared(PhaseSettings) if name in given})
    noised = noised_target(given)
    content = phases_of_target(noised, settings)
    source = fingerprint_with_plugins("phases", str(given.get("schedule", "")))
    made_by = provenance(call, request_of_phases(noised, settings), source)
    return completed(content, made_by, PHASES, output)
