"""Held-out fields with their exact scores, on which networks are measured.

    x_t = α x₀ + σ z,    s*(x) = −x / C_t,   C_t = α² G + σ²,    E|s*|² / N = (1/N) Σ_k 1/C_t,

for Gaussian fields. The error of a network s is E|s − s*|² / E|s*|². Fields are float32, and the scores are those of
the fields as stored. Each field has a random stream of its own, so it does not depend on the number of fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from csd.core.errors import InputError
from csd.core.files import Content, digest, labelled
from csd.core.options import Option, Options
from csd.core.plugins import is_user_defined, name_of
from csd.core.random import stream
from csd.lattice.memory import require_memory
from csd.targets.base import TARGETS, HasSpec, Spec, drawn_fields, spec_of, with_samples
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, Schedule

SOURCE = "targets/scores"
"""The modules that a file of scores in closed form depends on, for `csd.core.source.fingerprint`; those by conditional
Monte Carlo (`csd.mcmc.posterior.held_out`) depend on more, the step `scores`."""


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


def exact_scores(noised: NoisedTarget, settings: ScoreSettings) -> Content:
    """Fields of a target at its noise levels, and their exact scores.

    Args:
        noised: the target at its noise levels; it must be Gaussian.
        settings: number of fields and seed.

    Returns:
        clean(sample, component, x, …), field and score(noise_level, sample, component, x, …), and the exact
        squared_score(noise_level) = E|s*|² / N.

    Raises:
        InputError: if the target is not Gaussian, or memory does not suffice.
    """
    target, lattice = with_samples(noised.target), noised.lattice
    if not isinstance(target, GaussianField) or is_user_defined(type(target).sample):
        raise InputError(f"target is {type(target).__name__}, whose exact score has no closed form; take gaussian")
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
    spectra = noised.spectra(noised.target.propagator(lattice.laplacian))[:, None]
    score = lattice.inverse(-lattice.transform(field.astype(float)) / spectra).astype(np.float32)
    squared = (lattice.half_multiplicity / spectra[:, 0]).reshape(len(noised.levels), -1).sum(axis=1) / lattice.sites
    dims = ["sample", "component", *"xyz"[: lattice.dimension]]
    levels = ["noise_level", *dims]
    return Content(
        {
            "clean": labelled(dims, clean[:, None], "fields x0 of the target"),
            "field": labelled(levels, field[:, :, None], "x_t = alpha x0 + sigma z, independent noise at each level"),
            "score": labelled(levels, score[:, :, None], "s*(x_t) = -K* x_t with K* = 1/C_t, of the fields as stored"),
            "squared_score": labelled(["noise_level"], squared, "E|s*|^2 / N = (1/N) sum of 1/C_t, exactly"),
            "minimum_loss": labelled(
                ["noise_level"], 0.5 / noised.variances - 0.5 * squared, "denoising loss of s*, per site, exactly"
            ),
        },
        {
            "noise_level": labelled(["noise_level"], noised.levels, "noise level t"),
            "signal": labelled(["noise_level"], noised.signals, "signal amplitude alpha"),
            "noise_variance": labelled(["noise_level"], noised.variances, "noise variance sigma^2"),
        },
        score_request(noised, settings),
    )
