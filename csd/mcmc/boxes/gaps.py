"""What the best score from a box loses on fields of an interacting target, by conditional Monte Carlo.

With s* the exact score at a site, given all of x, and s_R = E[s* | x in the box] that of the box around it,

    gap = E|s_R − s*|² = E[(s*_A − s_RA)·(s*_B − s_RB)],   E Var(x₀ | box) = (σ⁴/α²) (n/σ² − E[s_RA·s_RB])

with two halves A and B of the chains of both posteriors, which are independent given x.

What else is known of a box takes most of the statistical error off, by a regression on quantities whose mean is 0:

- E[s*·s_R] = E|s_R|², as s_R is a mean of s*; E[x·s] = −n for both scores, by partial integration;
- |x|² − α²|x₀|² has the mean nσ²;
- what is at a site minus its mean over the lattice: of s*_A·s*_B, x·s*, and functions of x and its mean X over the
  box that resemble |s_R|²: X², x·X, x², tanh² |X|, with X in units of its root mean square, and |m|² below.

The coefficients come from the same fields, with a bias of order 1/M that a jackknife over blocks of fields takes off.
Its errors include that of the coefficients.

How much a box knows of the mean m of x₀ over it is the share E|E[m | x in the box]|²/E|m|² of its variance, which falls
from 1 to 0 as noise grows. Where it is ½ the box begins to lose its own sign; this noise level t_R is interpolated,
with the logarithm of the odds of the share linear in that of α²/σ².
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from csd.core.files import digest
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.lattice.memory import require_memory
from csd.mcmc.boxes.box import readings_of
from csd.mcmc.boxes.chains import NoisedFields, middles
from csd.mcmc.posterior.base import components_of, with_energy
from csd.mcmc.posterior.effort import Estimates
from csd.mcmc.posterior.held_out import clean_fields
from csd.mcmc.posterior.identity import check_identity, jackknifed
from csd.targets.noising import Schedule
from csd.targets.scores import ScoreSettings, spec_of_target

GAP, SCORE, KNOWN, VARIANCE = range(4)
"""Quantities at a box: (s*_A − s_RA)·(s*_B − s_RB), s_RA·s_RB, m_A·m_B with m = E[mean of x₀ | box], and the variance
of the mean of x₀ over a box anywhere."""
QUANTITIES = 4
FOR_EACH = 10
"""Fewest boxes for each control; with fewer boxes there is no regression."""
AT_BOXES, AT_FIELDS = 12, 2
"""Controls of quantities at boxes, and of E|s*|²/N, of which a field has one value."""
BOUNDS = 1e-6, 1.0 - 1e-6
"""Least and largest share whose odds are taken."""
DEPENDENT = 1e-9
"""Relative variance below which a combination of controls counts as 0."""


def fewest_fields(lattice: Lattice) -> int:
    """The fewest fields with a regression of all quantities; without it errors are as large as the quantities."""
    return max(-(-FOR_EACH * AT_BOXES // len(middles(lattice))), FOR_EACH * AT_FIELDS)


def box_values(
    target: Any,
    schedule: Schedule,
    levels: Sequence[float],
    ranges: Sequence[int],
    settings: ScoreSettings,
    clean: Array | None = None,
) -> dict[str, Array]:
    """Gaps and variances of boxes on fields of a target under noise.

    Args:
        target: φ⁴, unit spins, or any target with energy and force.
        schedule: α(t) and σ²(t).
        levels: noise levels t.
        ranges: R of the boxes |r_μ| ≤ R.
        settings: number of fields, seed, and accuracy of scores.
        clean: independent fields in equilibrium, shape (fields, n, *lattice.shape); drawn if None.

    Returns:
        score_gap, mmse_difference, box_variance, box_share and their errors, box_tau and box_sweeps, shape (levels,
        ranges) each; squared_score, conditional_variance and their errors, tau and sweeps, shape (levels,); box_level
        and its error, shape (ranges,), NaN where the levels do not show it. A box that is the lattice has no gap, and
        the chains of the lattice.

    Raises:
        InputError: if a box does not fit on the lattice, chains do not mix, or memory does not suffice.
    """
    target, lattice = with_energy(target), target.lattice
    for reach in ranges:
        lattice.check_range(reach)
    components, boxes = components_of(target), len(middles(lattice))
    numbers = float(settings.fields * components * lattice.sites)
    require_memory((10.0 + 3.0 * boxes) * numbers, f"{settings.fields} fields with {boxes} boxes each")
    clean = clean_fields(target, settings) if clean is None else clean[: settings.fields]
    check_identity(target, clean)
    identity = digest(spec_of_target(target))
    at_level, at_box = list[dict[str, Any]](), list[dict[str, Any]]()
    rows: list[list[Array]] = [[] for _ in ranges]
    for level in map(float, levels):
        signal, variance = float(schedule.signal(level)), float(schedule.variance(level))
        noise = stream("boxes", "noise", identity, settings.seed, level).standard_normal(clean.shape)
        noised = NoisedFields(target, clean, signal * clean + np.sqrt(variance) * noise, level, signal, variance)
        exact, scale = noised.exact_scores(settings.accuracy, settings.seed), variance**2 / signal**2
        square, error = jackknifed(_square_rows(noised, exact), _square, corrected=True)
        own_level = {
            "squared_score": square,
            "squared_score_error": error,
            "conditional_variance": scale * (components / variance - square),
            "conditional_variance_error": scale * error,
            "tau": exact.tau,
            "sweeps": exact.sweeps,
        }
        at_level.append(own_level)
        for place, reach in enumerate(ranges):
            # A box of all sites has the scores of the lattice, and no gap.
            whole = 2 * reach + 1 == lattice.size
            own = (
                noised.scores_of_all_sites(exact)
                if whole
                else noised.box_scores(reach, settings.accuracy, settings.seed)
            )
            row = _box_rows(noised, reach, exact, own)
            rows[place].append(row)
            value, error = jackknifed(row, _regressed, corrected=True)
            share, share_error = jackknifed(row, _share, corrected=True)
            own_box = {
                "score_gap": value[GAP],
                "score_gap_error": error[GAP],
                "mmse_difference": scale * value[GAP],
                "mmse_difference_error": scale * error[GAP],
                "box_variance": scale * (components / variance - value[SCORE]),
                "box_variance_error": scale * error[SCORE],
                "box_share": share,
                "box_share_error": share_error,
                "box_tau": own.tau,
                "box_sweeps": own.sweeps,
            }
            if whole:
                own_box |= {f"box_{name}": own_level[f"conditional_{name}"] for name in ("variance", "variance_error")}
            at_box.append(own_box)
    found = {name: np.array([own[name] for own in at_level], dtype=float) for name in at_level[0]}
    shape = len(levels), len(ranges)
    found |= {name: np.array([own[name] for own in at_box], dtype=float).reshape(shape) for name in at_box[0]}
    crossings = np.array([_box_level(parts, levels, schedule) for parts in rows])
    return found | {"box_level": crossings[:, 0], "box_level_error": crossings[:, 1]}


def _box_rows(noised: NoisedFields, reach: int, exact: Estimates, own: Estimates) -> Array:
    """Means over the boxes of each field of quantities, controls of mean 0, and their products; shape (fields, …)."""
    target, fields = noised.target, len(noised.field)
    lattice = target.lattice
    middle_sites = lattice.index(np.array(noised.middles))

    def at_boxes(values: Array) -> Array:
        """Shape (fields, …, *lattice.shape) → (fields, boxes, …)."""
        return np.moveaxis(lattice.take(values, middle_sites), -1, 1)

    def dot(left: Array, right: Array) -> Array:
        return np.asarray((left * right).sum(axis=2))

    def off_mean(values: Array) -> Array:
        """What is at boxes, minus the mean over the lattice, of a number at each site; shape (fields, boxes)."""
        return at_boxes(values) - values.mean(axis=lattice.axes)[:, None]

    mean_over_box = _box_means(lattice, reach)
    wide, wide_clean = mean_over_box(noised.field), mean_over_box(noised.clean)
    exact_a, exact_b = (at_boxes(half) for half in exact.halves)
    halves = own.halves.reshape(2, fields, -1, *own.halves.shape[2:])
    (own_a, own_b), (mean_a, mean_b) = halves[..., 0], halves[..., 1]
    x, box_mean = at_boxes(noised.field), at_boxes(wide)
    average, products = 0.5 * (exact.halves[0] + exact.halves[1]), exact.halves[0] * exact.halves[1]
    squares = (wide**2).sum(axis=1)
    known = [(noised.variance * half + box_mean) / noised.signal for half in (mean_a, mean_b)]
    variance = (wide_clean**2).sum(axis=1).mean(axis=lattice.axes)
    components, sites = x.shape[2], float((2 * reach + 1) ** lattice.dimension)
    parts = noised.field * average
    quantities = [
        dot(exact_a - own_a, exact_b - own_b),
        dot(own_a, own_b),
        dot(*known),
        np.broadcast_to(variance[:, None], x.shape[:2]),
    ]
    by_parts = parts.sum(axis=1)
    controls = [
        0.5 * (dot(exact_a, own_b) + dot(exact_b, own_a)) - dot(own_a, own_b),
        0.5 * dot(x, own_a + own_b) + components,
        0.5 * dot(box_mean, mean_a + mean_b) + components / sites,
        np.broadcast_to(by_parts.mean(axis=lattice.axes)[:, None] + components, x.shape[:2]),
        np.broadcast_to(_excess(noised)[:, None], x.shape[:2]),
        off_mean(by_parts),
        off_mean(products.sum(axis=1)),
        off_mean(squares),
        off_mean((noised.field * wide).sum(axis=1)),
        off_mean((wide_clean**2).sum(axis=1)),
        off_mean((noised.field**2).sum(axis=1)),
        off_mean(np.tanh(np.sqrt(squares / max(float(squares.mean()), 1e-300))) ** 2),
    ]
    return _rows(np.stack(quantities, axis=-1), np.stack(controls, axis=-1))


def _square_rows(noised: NoisedFields, exact: Estimates) -> Array:
    """The same of E|s*|²/N, as means over the lattice."""
    sites, count = noised.target.lattice.sites, len(noised.field)
    average = 0.5 * (exact.halves[0] + exact.halves[1])
    by_parts = (noised.field * average).reshape(count, -1).sum(axis=1) / sites + noised.field.shape[1]
    return _rows(exact.squares[:, None, None], np.stack([by_parts, _excess(noised)], axis=-1)[:, None])


def _excess(noised: NoisedFields) -> Array:
    """|x|² − α²|x₀|² − nσ² of each field, a mean over the lattice, shape (fields,)."""
    squares = (noised.field**2 - noised.signal**2 * noised.clean**2).reshape(len(noised.field), -1).sum(axis=1)
    return np.asarray(squares / noised.target.lattice.sites - noised.variance * noised.field.shape[1])


def _rows(quantities: Array, controls: Array) -> Array:
    """Means over places of quantities y, controls c, c cᵀ and c yᵀ; (fields, places, …) each → (fields, numbers)."""
    if quantities.shape[0] * quantities.shape[1] < FOR_EACH * controls.shape[2]:
        return np.asarray(quantities.mean(axis=1))
    moments = [
        np.einsum("fpi,fpj->fij", controls, other).reshape(len(controls), -1) / controls.shape[1]
        for other in (controls, quantities)
    ]
    return np.concatenate([quantities.mean(axis=1), controls.mean(axis=1), *moments], axis=1)


def _without_controls(means: Array, count: int, controls: int) -> Array:
    """ȳ − c̄ᵀ Cov(c, c)⁻¹ Cov(c, y) from the means of `_rows`, shape (count,); ȳ where there was no regression."""
    if len(means) == count:
        return means
    y, c, products, mixed = np.split(means, np.cumsum([count, controls, controls**2]))
    own = products.reshape(controls, controls) - np.outer(c, c)
    cross = mixed.reshape(controls, count) - np.outer(c, y)
    unit = np.sqrt(np.maximum(np.diag(own), 1e-300))
    slopes = np.linalg.lstsq(own / np.outer(unit, unit), cross / unit[:, None], rcond=DEPENDENT)[0]
    return np.asarray(y - (c / unit) @ slopes)


def _regressed(means: Array) -> Array:
    """The quantities at a box."""
    return _without_controls(means, QUANTITIES, AT_BOXES)


def _square(means: Array) -> float:
    """E|s*|²/N."""
    return float(_without_controls(means, 1, AT_FIELDS)[0])


def _share(means: Array) -> float:
    """The share of the variance of a box's mean that it knows."""
    values = _regressed(means)
    return float(values[KNOWN] / values[VARIANCE])


def _box_level(rows: list[Array], levels: Sequence[float], schedule: Schedule) -> tuple[float, float]:
    """The noise level at which the share is ½, and its standard error, from rows at each level."""
    from scipy.optimize import brentq

    def log_ratio(level: float) -> float:
        return float(np.log(schedule.signal(level) ** 2 / schedule.variance(level)))

    order, ends = np.argsort(levels), np.cumsum([one.shape[1] for one in rows])[:-1]
    ascending = np.asarray(levels, dtype=float)[order]

    def crossing(means: Array) -> float:
        shares = np.array([_share(one) for one in np.split(means, ends)])[order]
        below = np.flatnonzero((shares[:-1] >= 0.5) & (shares[1:] < 0.5))
        if not below.size:
            return float("nan")
        bracket = slice(below[0], below[0] + 2)
        low, high = map(float, ascending[bracket])
        first, second = (float(np.log(share / (1.0 - share))) for share in np.clip(shares[bracket], *BOUNDS))
        if first == 0.0:
            return low
        wanted = log_ratio(low) + (log_ratio(high) - log_ratio(low)) * first / (first - second)
        return float(brentq(lambda level: log_ratio(level) - wanted, low, high))

    value, error = jackknifed(np.concatenate(rows, axis=1), crossing)
    return float(value), float(error)


def _box_means(lattice: Lattice, reach: int) -> Callable[[Array], Array]:
    """(fields of shape (…, *lattice.shape)) → their mean over the box around each site, same shape."""
    inside = readings_of(lattice, reach)[1].reshape(lattice.shape)
    kernel = lattice.transform(inside)

    def averaged(fields: Array) -> Array:
        return lattice.inverse(lattice.transform(fields) * kernel)

    return averaged
