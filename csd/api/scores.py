"""Held-out fields and their exact scores as a call from Python; `csd scores` makes the same call."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.api.keywords import DATA, FIELD, checked, spelt_out
from csd.api.training import called, completed, named, noised_target, place_of
from csd.core.errors import InputError, check_distinct, users_errors
from csd.core.files import ENSEMBLE, SAMPLING_PACKAGES, SCORES, Content, provenance, read_content
from csd.core.options import declared
from csd.core.paths import check_paths, expanded
from csd.core.plugins import is_user_path, name_of, resolve
from csd.core.source import fingerprint_with_plugins
from csd.lattice import Array, Lattice
from csd.targets.base import OWN, TARGETS, target_from_spec
from csd.targets.options import DataOptions, NoiseOptions
from csd.targets.scores import SOURCE, ScoreSettings, exact_scores, score_request

if TYPE_CHECKING:
    import xarray as xr

SCORES_OPTIONS = {**declared(NoiseOptions), **declared(ScoreSettings), **FIELD, **DATA}
"""Options of `csd scores`, those of the data included."""
AT_FINITE_N = ("components", "kappa", "lambda_", "beta")
"""Options of targets whose scores have no closed form; without them r0 and u mean the O(n) model at n → ∞."""


@spelt_out(SCORES_OPTIONS)
@users_errors()
def scores(data: Any = None, *, output: str | Path | None = None, **asked: Any) -> "xr.Dataset":
    """Fields under noise with their exact scores, in closed form or by conditional Monte Carlo.

    Args:
        data: fields in equilibrium, which are drawn if None: a file of `csd mcmc --fields`, or another file or an array
            with its couplings.
        **asked: what follows.
        output: a file to write.

    Returns:
        clean(sample, component, x, …), field(noise_level, sample, component, x, …) and score of the same shape,
        squared_score(noise_level), and the other variables of a scores file (docs/results.md).

    Raises:
        InputError: for an argument that cannot be used, or scores that cannot be computed.
    """
    given, place = checked("scores", SCORES_OPTIONS, asked), place_of(output)
    check_paths([("data", expanded(data))] if isinstance(data, str | Path) else [], named("output", place))
    call = called("scores", data, given | {"output": output})
    return held_out(given, data, call, place).dataset()


def held_out(given: Mapping[str, Any], data: Any, call: str, output: Path | None) -> Content:
    """Fields under noise with their exact scores, as the content of a file, which is written if an output is given.

    Args:
        given: checked options of `SCORES_OPTIONS`.
        data: a path or an array of fields in equilibrium, which are drawn if None.
        call: the command or call, for the file.
        output: file to write.

    Raises:
        InputError: if an option is missing or contradicts another, or the scores cannot be computed.
    """
    settings = ScoreSettings(**{name: given[name] for name in declared(ScoreSettings) if name in given})
    target, clean = target_with_energy(given, data)
    wanted = given.get("target", "")
    own = name_of("target", wanted if isinstance(wanted, str | type) else type(wanted), TARGETS)
    plugins = [own, str(given.get("schedule", ""))]
    if target is None:
        noised = noised_target(given)
        content, source = exact_scores(noised, settings), fingerprint_with_plugins(SOURCE, *plugins)
        return completed(content, provenance(call, score_request(noised, settings), source), SCORES, output)
    from csd.mcmc.posterior.held_out import posterior_scores
    from csd.targets.noising import check_level, check_schedule, schedule_of

    levels = given.get("noise_levels")
    if not levels:
        raise InputError("noise levels are not given; scores by Monte Carlo need one or more")
    check_distinct("noise level", [check_level(level) for level in levels])
    schedule = schedule_of(given.get("schedule", NoiseOptions.schedule))
    check_schedule(schedule, levels)
    remark = "; with kappa these are the fields phi = varphi sqrt(2 kappa), not the varphi of the lattice action"
    content = posterior_scores(target, schedule, levels, settings, clean, remark if "kappa" in given else "")
    source = fingerprint_with_plugins("scores", *plugins)
    made_by = provenance(call, content.attrs, source, packages=SAMPLING_PACKAGES)
    return completed(content, made_by, SCORES, output)


def target_with_energy(given: Mapping[str, Any], data: Any) -> tuple[Any, Array | None]:
    """(a target whose scores need chains, or None; the fields of the file, if there is one)."""
    own = {name: given[name] for name in FIELD if name in given}
    finite = [name for name in AT_FINITE_N if name in given]
    if data is not None:
        return _of_data(given, data)
    wanted = own.get("target", "")
    if not isinstance(wanted, str | type):
        return (wanted, None) if hasattr(wanted, "force") else (None, None)
    missing = [name for name in ("dimension", "size") if name not in own]
    if missing:
        raise InputError(f"{missing[0]} is not given; without data, dimension and size of the lattice are needed")
    lattice = Lattice(own["dimension"], own["size"])
    wanted = name_of("target", wanted, TARGETS) if wanted else ""
    if is_user_path(wanted) and hasattr(resolve("target", wanted, TARGETS), "force"):
        mass = own.get("mass", own.get("mass_times_length", 1.0) / lattice.size)
        return target_from_spec({"target": wanted, **_shape(lattice), "mass": mass}), None
    if not finite:
        return None, None
    for one, name in ((one, name) for one, names in OWN.items() for name in names):
        if name in own:
            raise InputError(
                f"{name} and {finite[0]} are both given; {name} belongs to target {one}: leave out {finite[0]} for"
                f" it, or {name} for a target at finite n"
            )
    given = {name: value for name, value in given.items() if name != "mass_times_length"} | (
        {"mass": own["mass_times_length"] / lattice.size} if "mass_times_length" in own else {}
    )
    return _at_finite_n(lattice, given), None


def _of_data(given: Mapping[str, Any], data: Any) -> tuple[Any, Array]:
    """The target of a file of fields, and its fields, shape (fields, n, *lattice.shape)."""
    from csd.lattice.array_files import kind_of_csd

    data = expanded(data) if isinstance(data, str | Path) else data
    if isinstance(data, Path) and kind_of_csd(data) == ENSEMBLE:
        unused = [name for name in (*FIELD, *DATA) if name in given]
        if unused:
            raise InputError(f"{unused[0]} is given, but {data} says the target of its fields; leave it out")
        content = read_content(data, ENSEMBLE)
        if "fields" not in content:
            raise InputError(f"{data}: it holds no fields; make it with csd mcmc --fields M")
        return target_from_spec(content.attrs), _finite(np.asarray(content["fields"].values, dtype=float), str(data))
    from csd.mcmc.fields import stored_fields

    fields = stored_fields(data, DataOptions(**{name: given[name] for name in DATA if name in given}))
    target = _at_finite_n(fields.lattice, {"components": fields.components, **given})
    return target, _finite(fields.read(slice(0, fields.configurations)), fields.name)


def _finite(fields: Array, name: str) -> Array:
    """The fields of a file or an array, if they hold finite numbers alone."""
    wrong = np.flatnonzero(~np.isfinite(fields).reshape(len(fields), -1).all(axis=1))
    if wrong.size:
        raise InputError(
            f"{name}: {wrong.size} of {len(fields)} fields hold numbers that are missing or not finite, first the field"
            f" with index {wrong[0]}; leave them out"
        )
    return fields


def _shape(lattice: Lattice) -> dict[str, int]:
    """The dimension and size of a lattice, for a spec."""
    return {"dimension": lattice.dimension, "size": lattice.size}


def _at_finite_n(lattice: Lattice, given: Mapping[str, Any]) -> Any:
    """φ⁴ by r0 and u, kappa and lambda or a mass, or spins by beta, with n components."""
    from csd.targets.phi4 import PhiFour

    components = given.get("components", 1)
    ways = {"r0": "r0 and u", "u": "r0 and u", "kappa": "kappa and lambda", "lambda_": "kappa and lambda"}
    ways |= {"mass": "mass", "beta": "beta"}
    named = dict.fromkeys(ways[name] for name in ways if name in given)
    if len(named) != 1:
        said = " as well as ".join(named) or "no couplings"
        raise InputError(f"{said} given; give r0 and u, or kappa and lambda, or beta, or a mass")
    (way,) = named
    if " and " in way and sum(name in given for name in ways if ways[name] == way) != 2:
        raise InputError(f"{way} belong together; give both")
    if "beta" in given:
        return target_from_spec({"target": "spins", **_shape(lattice), "components": components, "beta": given["beta"]})
    if "kappa" in given:
        return PhiFour.from_hopping(lattice, components, given["kappa"], given["lambda_"])
    r0, u = (given["mass"] ** 2, 0.0) if "mass" in given else (given["r0"], given["u"])
    return PhiFour(lattice, components, r0, u)
