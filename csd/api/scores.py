"""Held-out fields and their exact scores, in closed form or by conditional Monte Carlo, for `csd scores`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from csd.api.keywords import DATA, FIELD
from csd.api.training import noised_target
from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, SAMPLING_PACKAGES, Content, provenance, read_content
from csd.core.options import declared
from csd.core.plugins import is_user_path, resolve
from csd.core.source import fingerprint_with_plugins
from csd.lattice import Array, Lattice
from csd.targets.base import TARGETS, target_from_spec
from csd.targets.options import DataOptions, NoiseOptions
from csd.targets.scores import SOURCE, ScoreSettings, exact_scores, score_request

SCORES_OPTIONS = {**declared(NoiseOptions), **declared(ScoreSettings), **FIELD, **DATA}
"""Options of `csd scores`, those of the data included."""
AT_FINITE_N = ("components", "kappa", "lambda_", "beta")
"""Options of targets whose scores have no closed form; without them r0 and u mean the O(n) model at n → ∞."""


def held_out(given: Mapping[str, Any], data: Path | None, call: str) -> Content:
    """Fields under noise with their exact scores, as the content of a file.

    Args:
        given: checked options of `SCORES_OPTIONS`.
        data: a file of fields in equilibrium, which are drawn if None.
        call: the command, for the file.

    Raises:
        InputError: if an option is missing or contradicts another, or the scores cannot be computed.
    """
    settings = ScoreSettings(**{name: given[name] for name in declared(ScoreSettings) if name in given})
    target, clean = _with_energy(given, data)
    plugins = [str(given.get(name, "")) for name in ("target", "schedule")]
    if target is None:
        noised = noised_target(given)
        content, source = exact_scores(noised, settings), fingerprint_with_plugins(SOURCE, *plugins)
        return content.assign_attrs(provenance(call, score_request(noised, settings), source))
    from csd.mcmc.posterior.held_out import SOURCE as BY_CHAINS
    from csd.mcmc.posterior.held_out import posterior_scores
    from csd.targets.noising import check_schedule, schedule_of

    levels = given.get("noise_levels")
    if not levels:
        raise InputError("noise levels are not given; scores by Monte Carlo need --noise-level T …")
    schedule = schedule_of(given.get("schedule", NoiseOptions.schedule))
    check_schedule(schedule, levels)
    content = posterior_scores(target, schedule, levels, settings, clean)
    source = fingerprint_with_plugins(BY_CHAINS, *plugins)
    return content.assign_attrs(provenance(call, content.attrs, source, packages=SAMPLING_PACKAGES))


def _with_energy(given: Mapping[str, Any], data: Path | None) -> tuple[Any, Array | None]:
    """(a target whose scores need chains, or None; the fields of the file, if there is one)."""
    own = {name: given[name] for name in FIELD if name in given}
    finite = [name for name in AT_FINITE_N if name in given]
    if data is not None:
        return _of_data(given, data)
    missing = [name for name in ("dimension", "size") if name not in own]
    if missing:
        raise InputError(f"{missing[0]} is not given; give --dimension and --size, or --data FILE")
    lattice = Lattice(own["dimension"], own["size"])
    wanted = str(own.get("target", ""))
    if is_user_path(wanted) and hasattr(resolve("target", wanted, TARGETS), "force"):
        mass = own.get("mass", own.get("mass_times_length", 1.0) / lattice.size)
        return target_from_spec({"target": wanted, **_shape(lattice), "mass": mass}), None
    if not finite:
        return None, None
    given = {name: value for name, value in given.items() if name != "mass_times_length"} | (
        {"mass": own["mass_times_length"] / lattice.size} if "mass_times_length" in own else {}
    )
    return _at_finite_n(lattice, given), None


def _of_data(given: Mapping[str, Any], data: Path) -> tuple[Any, Array]:
    """The target of a file of fields, and its fields, shape (fields, n, *lattice.shape)."""
    from csd.lattice.array_files import kind_of_csd

    if kind_of_csd(data) == ENSEMBLE:
        unused = [name for name in (*FIELD, *DATA) if name in given]
        if unused:
            raise InputError(f"{unused[0]} is given, but {data} says the target of its fields; leave it out")
        content = read_content(data, ENSEMBLE)
        if "fields" not in content:
            raise InputError(f"{data}: it holds no fields; make it with csd mcmc --fields M")
        return target_from_spec(content.attrs), np.asarray(content["fields"].values, dtype=float)
    from csd.mcmc.fields import stored_fields

    fields = stored_fields(data, DataOptions(**{name: given[name] for name in DATA if name in given}))
    target = _at_finite_n(fields.lattice, {"components": fields.components, **given})
    return target, fields.read(slice(0, fields.configurations))


def _shape(lattice: Lattice) -> dict[str, int]:
    return {"dimension": lattice.dimension, "size": lattice.size}


def _at_finite_n(lattice: Lattice, given: Mapping[str, Any]) -> Any:
    """φ⁴ by r0 and u, kappa and lambda or a mass, or spins by beta, with n components."""
    from csd.targets.phi4 import PhiFour

    components = given.get("components", 1)
    ways = {
        "r0": "--r0 and --u",
        "u": "--r0 and --u",
        "kappa": "--kappa and --lambda",
        "lambda_": "--kappa and --lambda",
    }
    ways |= {"mass": "--mass", "beta": "--beta"}
    named = dict.fromkeys(ways[name] for name in ways if name in given)
    if len(named) != 1:
        said = " and ".join(named) or "no couplings"
        raise InputError(f"{said} given; give one of --r0 and --u, --kappa and --lambda, --beta, or a mass")
    (way,) = named
    if " and " in way and sum(name in given for name in ways if ways[name] == way) != 2:
        raise InputError(f"{way} belong together; give both")
    if "beta" in given:
        return target_from_spec({"target": "spins", **_shape(lattice), "components": components, "beta": given["beta"]})
    if "kappa" in given:
        return PhiFour.from_hopping(lattice, components, given["kappa"], given["lambda_"])
    r0, u = (given["mass"] ** 2, 0.0) if "mass" in given else (given["r0"], given["u"])
    return PhiFour(lattice, components, r0, u)
