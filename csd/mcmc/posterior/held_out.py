"""Held-out fields of interacting targets with their scores by conditional Monte Carlo, as the content of a file.

Besides scores, the file holds what they say about any score network at a noise level:

    squared_score           E|s*|²/N, a product of independent halves
    minimum_loss            ½ (1/σ² − E|s*|²/(nN)), the denoising loss ½ E|s + z/σ|² of s*, per site and component
    linear_score_error      the ε = E|s − s*|²/E|s*|² of the best linear score s = −K∗x
    linear_zero_mode_error  the same of the modes k = 0 alone
    linear_shell_error      the same of the modes of one inverse length sqrt(k̂² + 1/L²)

ε(k) = 1 − c²/(E|x̂|² E|ŝ*|²) with c = E[x̂*·ŝ*] = −nN for each mode, by partial integration. The mean of x̂*·ŝ* over the
fields deviates from −nN by chance, and a regression on this deviation, shell by shell, takes its part off the
fluctuations of both squares. Near a critical point this is nearly the quotient with −nN at k = 0, and where the score
is nearly linear it is nearly the residual of a kernel fitted to the same fields: each time the one with the smaller
error. Fewer fields than `REGRESSED` have the residual of the fit. With M fields both have a bias of order 1/M. A
jackknife over blocks of fields takes it off, also where components or modes of a shell are not independent. Errors are
those of the same jackknife.
"""

from hashlib import blake2b
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, digest, labelled
from csd.core.plugins import is_user_defined
from csd.core.random import stream
from csd.lattice import Array
from csd.lattice.bins import LengthBins
from csd.lattice.memory import require_memory
from csd.mcmc.posterior.base import components_of
from csd.mcmc.posterior.identity import check_identity, jackknifed
from csd.mcmc.posterior.score import PosteriorScore
from csd.mcmc.simulation import held_out_chains
from csd.targets.base import HasSamples, drawn_fields, spectrum_modes
from csd.targets.noising import Schedule
from csd.targets.scores import ScoreSettings, posterior_request, spec_of_target

REGRESSED = 100
"""Fewest fields for a regression; with 20 its coefficients fluctuate so much that no value is left at k = 0."""


def clean_fields(target: Any, settings: ScoreSettings) -> Array:
    """Independent fields of a target, shape (fields, n, *lattice.shape).

    They are exact where the target can be sampled, and else decorrelated fields of Markov chains, whose random streams
    are not those of `csd mcmc`: no field of a data set comes from the same chains, whatever the seeds.

    Raises:
        InputError: if a user-defined target has no `sample`, or the chains are too short for so many fields.
    """
    shape = (settings.fields, components_of(target), *target.lattice.shape)
    exact = target if isinstance(target, HasSamples) else getattr(target, "gaussian", None)
    if exact is not None:
        generator = stream("scores", "clean", digest(spec_of_target(target)), settings.seed)
        return drawn_fields(exact, generator, shape[0] * shape[1]).reshape(shape)
    if is_user_defined(target):
        name = type(target).__name__
        raise InputError(f"target {name} has no sample(generator, count) to draw fields from; give them with --data")
    from csd.mcmc.ensemble import ensemble

    made = ensemble(target, held_out_chains(settings.fields, settings.seed), "held-out fields")
    return np.asarray(made["fields"].values, dtype=float)


def linear_floor(target: Any, noised: Array, halves: Array) -> tuple[Array, Array]:
    """ε of the best linear score of noised fields, and its standard error, shape (2 + bins,) each.

    Args:
        target: whose symmetry under rotations and reflections of the lattice decides about shells.
        noised: x, shape (fields, n, *lattice.shape).
        halves: two independent estimates of s*(x), shape (2, fields, n, *lattice.shape).

    Returns:
        Values and errors of all modes, of k = 0, and of each of `floor_bins`.

    The fields must be in equilibrium: `REGRESSED` of them or more are taken to have E[x̂*·ŝ*] = −nN in each mode.
    """
    lattice, modes, bins = target.lattice, spectrum_modes(target), floor_bins(target)
    place = lattice.shell_of_half if modes.isotropic else lattice.pair_of_half[0]
    zero = int(np.argmin(modes.laplacian))

    def by_mode(left: Any, right: Any) -> Array:
        products = (lattice.half_multiplicity * (left * right.conj()).real.sum(axis=1)).reshape(len(noised), -1)
        return np.stack([np.bincount(place, weights=row, minlength=len(modes)) for row in products])

    field, first, second = (lattice.transform(values) for values in (noised, *halves))
    known = -float(np.prod(noised.shape[1:])) * modes.multiplicity
    squares, scores = by_mode(field, field), by_mode(first, second)
    excess = by_mode(field, 0.5 * (first + second)) - known
    regressed = len(noised) >= REGRESSED
    products = (excess**2, squares * excess, scores * excess) if regressed else ()
    rows = np.concatenate([squares, scores, excess, *products], axis=1)

    def ratios(means: Array) -> Array:
        own, scores, off, *moments = means.reshape(-1, len(modes))
        if regressed:
            variance, with_own, with_scores = moments
            slope = off / (variance - off**2)
            own, scores = own - slope * (with_own - own * off), scores - slope * (with_scores - scores * off)
        cross = known if regressed else known + off
        residuals = scores - cross**2 / own
        parts = [bins.mean(values / modes.multiplicity) for values in (residuals, scores)]
        return np.array([residuals.sum() / scores.sum(), residuals[zero] / scores[zero], *(parts[0] / parts[1])])

    return jackknifed(rows, ratios, corrected=True)


def floor_bins(target: Any) -> LengthBins:
    """Bins of the modes of a target by inverse length sqrt(k̂² + 1/L²), the first of which holds k = 0 alone."""
    return LengthBins(spectrum_modes(target), 1.0 / target.lattice.size, target.lattice.dimension)


def posterior_scores(
    target: Any,
    schedule: Schedule,
    levels: tuple[float, ...],
    settings: ScoreSettings,
    clean: Array | None = None,
    remark: str = "",
) -> Content:
    """Fields of a target under noise with their exact scores.

    Args:
        target: φ⁴, unit spins, or any target with energy and force.
        schedule: α(t) and σ²(t).
        levels: noise levels t.
        settings: number of fields, seed and accuracy.
        clean: fields in equilibrium, shape (fields, n, *lattice.shape), the first of which are taken; drawn if None.
        remark: the end of the message about fields that contradict the target.

    Returns:
        clean(sample, component, x, …), field, score, score_error(noise_level, sample, component, x, …),
        half_score(noise_level, half, sample, …), linear_shell_error(noise_level, inverse_length) with its error, and
        squared_score, minimum_loss, linear_score_error, linear_zero_mode_error, each with its error, relative_error,
        tau and sweeps(noise_level).

    Raises:
        InputError: if fields contradict the target, chains do not mix, or memory does not suffice.
    """
    by_chains = PosteriorScore(target, schedule, accuracy=settings.accuracy, seed=settings.seed)
    lattice, shape = target.lattice, (settings.fields, components_of(target), *target.lattice.shape)
    require_memory((8 + 3 * len(levels)) * float(np.prod(shape)), f"{settings.fields} held-out fields")
    if clean is not None and (clean.shape[1:] != shape[1:] or len(clean) < settings.fields):
        raise InputError(
            f"the data are {len(clean)} fields of shape {clean.shape[1:]}; {settings.fields} of shape {shape[1:]} are"
            " needed by --fields and the target"
        )
    given = clean is not None
    clean = (clean_fields(target, settings) if clean is None else clean[: settings.fields]).astype(np.float32)
    fields_digest = blake2b(clean.tobytes(), digest_size=16).hexdigest() if given else ""
    check_identity(target, clean.astype(float), remark)
    identity = digest(spec_of_target(target))
    white = np.stack(
        [
            stream("scores", "noise", identity, settings.seed, number).standard_normal((len(levels), *shape[1:]))
            for number in range(settings.fields)
        ],
        axis=1,
    )
    arrays: dict[str, list[Array]] = {name: [] for name in ("field", "score", "score_error", "half_score")}
    values: dict[str, list[Any]] = {name: [] for name in ABOUT}
    for level, noise in zip(levels, white, strict=True):
        noised = (schedule.signal(level) * clean + np.sqrt(schedule.variance(level)) * noise).astype(np.float32)
        found = by_chains.estimates(noised, level, clean)
        squares = jackknifed(found.squares[:, None], lambda means: float(means[0]))
        (whole, zero, *shells), (whole_error, zero_error, *shell_errors) = linear_floor(
            target, noised.astype(float), found.halves
        )
        least = 0.5 / schedule.variance(level) - 0.5 * squares[0] / shape[1], 0.5 * squares[1] / shape[1]
        numbers = (*squares, *least, whole, whole_error, zero, zero_error)
        for name, number in zip(
            values, (*numbers, shells, shell_errors, found.inaccuracy, found.tau, float(found.sweeps)), strict=True
        ):
            values[name].append(number)
        for name, array in zip(arrays, (noised, found.score, found.error, found.halves), strict=True):
            arrays[name].append(array.astype(np.float32))
    dims, bins = ["sample", "component", *"xyz"[: lattice.dimension]], floor_bins(target)
    variables = {"clean": labelled(dims, clean, "fields x0 of the target")}
    for name, about in FIELDS.items():
        inner = ["half", *dims] if name == "half_score" else dims
        variables[name] = labelled(["noise_level", *inner], np.stack(arrays[name]), about)
    for name, about in ABOUT.items():
        own = ["noise_level", "inverse_length"] if name.startswith("linear_shell") else ["noise_level"]
        variables[name] = labelled(own, np.array(values[name]), about)
    return Content(
        variables,
        {
            "noise_level": labelled(["noise_level"], np.array(levels), "noise level t"),
            "inverse_length": labelled(
                ["inverse_length"], bins.middles, "inverse length sqrt(k^2 + 1/L^2)", "inverse lattice spacings"
            ),
            "signal": labelled(["noise_level"], [schedule.signal(level) for level in levels], "signal amplitude alpha"),
            "noise_variance": labelled(
                ["noise_level"], [schedule.variance(level) for level in levels], "noise variance sigma^2"
            ),
        },
        posterior_request(target, schedule, levels, settings, fields_digest),
    )


FIELDS = {
    "field": "x_t = alpha x0 + sigma z, independent noise at each level",
    "score": "s*(x_t) = (alpha E[x0 | x_t] - x_t)/sigma^2 by conditional Monte Carlo, of the fields as stored",
    "score_error": "standard error of the score",
    "half_score": "two estimates of the score that are independent given x_t; their mean is the score",
}
"""Variables of fields at each noise level."""
ABOUT = {
    "squared_score": "E|s*|^2 / N, summed over components, from products of both halves",
    "squared_score_error": "its standard error by a jackknife over blocks of fields",
    "minimum_loss": "denoising loss of s*, per site and component: (1/sigma^2 - squared_score/n)/2",
    "minimum_loss_error": "its standard error",
    "linear_score_error": "E|s - s*|^2 / E|s*|^2 of the best linear score, corrected for the finite number of fields",
    "linear_score_error_error": "its standard error by a jackknife over blocks of fields",
    "linear_zero_mode_error": "the same ratio at k = 0",
    "linear_zero_mode_error_error": "its standard error",
    "linear_shell_error": "the same ratio of the modes of one inverse length",
    "linear_shell_error_error": "its standard error",
    "relative_error": "E|score - s*|^2 / E|s*|^2 of the estimated scores",
    "tau": "integrated autocorrelation time of the slowest observable of the posterior, sweeps",
    "sweeps": "sweeps of each chain of the posterior",
}
"""Numbers at each noise level."""
