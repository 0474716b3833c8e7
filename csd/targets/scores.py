"""Held-out fields with their exact scores, on which networks are measured.

    x_t = α x₀ + σ z,    s*(x) = −x / C_t,   C_t = α² G + σ²,    E|s*|² / N = (1/N) Σ_k 1/C_t,

for Gaussian fields; other targets with a closed form give s* and E|ŝ*(k)|² themselves. As the best linear score is the
projection of s* on the linear ones, its error is ε = 1 − Σ_k 1/C_t / Σ_k E|ŝ*(k)|²/N, with C_t the spectrum of x_t
about its mean. The error of a network s is E|s − s*|² / E|s*|². Fields are float32, and the scores are those of the
fields as stored. Each field has a random stream of its own, so it does not depend on the number of fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from csd.core.errors import InputError
from csd.core.files import Content, Variable, digest, labelled
from csd.core.options import Option, Options
from csd.core.plugins import checked_numbers, is_user_defined, name_of
from csd.core.random import stream
from csd.lattice import Array
from csd.lattice.memory import require_memory
from csd.targets.base import BY_MASS, TARGETS, HasScore, HasSpec, Spec, Target, drawn_fields, spec_of, with_samples
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, Schedule

SOURCE = "exact_scores"
"""The step in `csd.core.source` of scores in closed form; those by conditional Monte Carlo are the step `scores`."""

GAUSSIAN_SCORE = " = -K* x_t with K* = 1/C_t"


@dataclass(frozen=True)
class ScoreSettings(Options):
    """The number and seed of held-out fields, and the accuracy of scores that are not in closed form."""

    fields: Annotated[int, Ge(1), Option("fields", "M", label="M{value}", always=True)] = 256
    seed: Annotated[int, Ge(0), Option("random seed", "S", label=None, always=True)] = 0
    accuracy: Annotated[
        float,
        Ge(1e-8),
        Le(1.0),
        Option("largest mean squared error of scores by Monte Carlo, over the mean square of the scores", "E"),
    ] = 0.01


def score_request(noised: NoisedTarget, settings: ScoreSettings) -> dict[str, Any]:
    """All settings that determine a file; their hash is its configuration_hash."""
    about = {"schedule": type(noised.schedule).__name__, "noise_levels": list(noised.levels)}
    return spec_of(noised.target) | settings.attributes() | about


def posterior_request(
    target: Any, schedule: Schedule, levels: Sequence[float], settings: ScoreSettings, fields_digest: str = ""
) -> dict[str, Any]:
    """The same for scores by conditional Monte Carlo, of fields that are given if they have a digest."""
    about = {"schedule": type(schedule).__name__, "noise_levels": list(levels), "method": "conditional Monte Carlo"}
    given = {"fields_digest": fields_digest} if fields_digest else {}
    return spec_of_target(target) | settings.attributes() | {"accuracy": settings.accuracy} | about | given


def spec_of_target(target: Any) -> Spec:
    """The spec of a target; name, lattice and mass, if it has one, of a user-defined class without a spec."""
    if isinstance(target, HasSpec):
        return target.spec()
    lattice, mass = target.lattice, {"mass": target.mass} if hasattr(target, "mass") else {}
    name = name_of("target", type(target), TARGETS)
    return {"target": name, "dimension": lattice.dimension, "size": lattice.size, **mass}


def with_nonlinear_score(target: Target) -> HasScore | None:
    """The target, if its exact score is known in closed form and not that of a Gaussian field; None otherwise."""
    return target if isinstance(target, HasScore) and not isinstance(target, GaussianField) else None


def exact_scores(noised: NoisedTarget, settings: ScoreSettings) -> Content:
    """Fields of a target at its noise levels, and their exact scores.

    Args:
        noised: the target at its noise levels; it must have a closed form of its score.
        settings: number of fields and seed.

    Returns:
        clean(sample, component, x, …), field and score(noise_level, sample, component, x, …), and the exact
        squared_score(noise_level) = E|s*|² / N. Of a target that is not Gaussian also the error of the best linear
        score, and that at k = 0 alone.

    Raises:
        InputError: if the score of the target has no closed form, or memory does not suffice.
    """
    target, lattice = with_samples(noised.target), noised.lattice
    # Fields of another kind than the class that gives the score.
    other = is_user_defined(type(target).sample) and not is_user_defined(getattr(type(target), "score", None))
    if not isinstance(target, HasScore) or other:
        raise InputError(
            f"target is {type(target).__name__}, whose exact score has no closed form; take {' or '.join(BY_MASS)}"
        )
    numbers = settings.fields * lattice.sites
    require_memory((2 + 3 * len(noised.levels)) * numbers, f"{settings.fields} held-out fields")
    identity = digest(spec_of(noised.target))

    def streams(purpose: str) -> list[np.random.Generator]:
        return [stream("scores", purpose, identity, settings.seed, number) for number in range(settings.fields)]

    clean = np.concatenate([drawn_fields(target, own, 1) for own in streams("clean")]).astype(np.float32)
    noise = np.stack([own.standard_normal((len(noised.levels), *lattice.shape)) for own in streams("noise")], axis=1)
    shape = (-1, *[1] * (lattice.dimension + 1))
    signal, deviation = noised.signals.reshape(shape), np.sqrt(noised.variances).reshape(shape)
    field = (signal * clean + deviation * noise).astype(np.float32)
    given = zip(field, noised.levels, strict=True)
    score = np.stack([target.score(own.astype(float), noised.schedule, t) for own, t in given]).astype(np.float32)
    at = lattice.laplacian, noised.schedule
    spectra = np.stack([target.score_spectrum(*at, level) for level in noised.levels])
    if is_user_defined(target):
        name = f"target {type(target).__name__}"
        checked_numbers(f"{name}: score(fields, schedule, level)", score, field.shape)
        shape = (len(noised.levels), *lattice.half_shape)
        checked_numbers(f"{name}: score_spectrum(laplacian, schedule, level)", spectra, shape, least=0.0)
    weighted = (lattice.half_multiplicity * spectra).reshape(len(noised.levels), -1)
    squared = weighted.sum(axis=1) / lattice.sites
    linear = {}
    if with_nonlinear_score(target) is not None:
        best = lattice.half_multiplicity / noised.half_spectra()
        linear = _linear_errors(weighted, best.reshape(weighted.shape))
    dims = ["sample", "component", *"xyz"[: lattice.dimension]]
    levels = ["noise_level", *dims]
    return Content(
        {
            "clean": labelled(dims, clean[:, None], "fields x0 of the target"),
            "field": labelled(levels, field[:, :, None], "x_t = alpha x0 + sigma z, independent noise at each level"),
            "score": labelled(
                levels, score[:, :, None], f"s*(x_t){'' if linear else GAUSSIAN_SCORE}, of the fields as stored"
            ),
            "squared_score": labelled(
                ["noise_level"], squared, f"E|s*|^2 / N{'' if linear else ' = (1/N) sum of 1/C_t'}, exactly"
            ),
            "minimum_loss": labelled(
                ["noise_level"], 0.5 / noised.variances - 0.5 * squared, "denoising loss of s*, per site, exactly"
            ),
            **linear,
        },
        {
            "noise_level": labelled(["noise_level"], noised.levels, "noise level t"),
            "signal": labelled(["noise_level"], noised.signals, "signal amplitude alpha"),
            "noise_variance": labelled(["noise_level"], noised.variances, "noise variance sigma^2"),
        },
        score_request(noised, settings),
    )


def _linear_errors(squared: Array, linear: Array) -> dict[str, Variable]:
    """ε of the best linear score, over all modes and at k = 0, from Σ_k E|ŝ(k)|² of the exact and of this score.

    Args:
        squared: of the exact score, shape (levels, modes) with the mode k = 0 first.
        linear: of the best linear score, same shape.
    """
    found = {
        "linear_score_error": (
            1.0 - linear.sum(axis=1) / squared.sum(axis=1),
            "relative error of the best linear score",
        ),
        "linear_zero_mode_error": (1.0 - linear[:, 0] / squared[:, 0], "the same error of the mode k = 0 alone"),
    }
    variables = {}
    for name, (values, words) in found.items():
        variables[name] = labelled(["noise_level"], values, f"{words}, exactly")
        variables[f"{name}_error"] = labelled(["noise_level"], np.zeros_like(values), "its standard error: it is exact")
    return variables
