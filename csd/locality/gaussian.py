"""What scores of finite range lose on Gaussian fields, exactly.

A is a site, or a cube of b^d sites, B the sites within R of it, C all others. With γ = α²/σ², P the covariance of x_t
in the box of A and B, K* = 1/C_t, and P₀ the covariance of x₀ in the box |r_μ| ≤ R,

    I(A:C|B) = ½ ln det (K*)_AA − ½ ln det (P⁻¹)_AA,         for a site −½ ln(1 − ε_R), ε_R the floor of the range,
    gap = E|s_R − s*|²/N = (K*)_00 − (P⁻¹)_00 = (α²/σ⁴) Δ,   Δ = E Var(x₀|box) − E Var(x₀|all),
    path KL = (D/2) ∫dt N gap = (N/2) ∫dγ Δ = (N/2) [(ln P₀)_00 − (ln G)_00].

The path KL depends on no schedule, and bounds KL(true‖samples) of reverse diffusion by the SDE with the best local
scores. With the transform K(k) of its kernel, the mode of a sample has, at noise ν = 1/γ, the variance W in units of α²

    SDE: dW/dν = 2 K W − 1,     W(0) = ∫₀^∞ dν exp(−2 ∫₀^ν K dν′) = ∫₀^∞ dν Π_i (1 + ν/λ_i)^{−2 a_i(k)},
    ODE: dW/dν = K W,           ln W(0) = Σ_i a_i(k) ln λ_i = Σ_r (ln P₀)_{r0} e^{ik·r},

with the eigenvalues λ_i of P₀ and K = Σ_i a_i(k)/(λ_i + ν). So path KL = ½ Σ_k ln W(0)/G with the W(0) of the ODE.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content
from csd.lattice import Array, Lattice
from csd.locality.box import ROUNDING, SymmetricBox, box_around_site, boxes_around_cube
from csd.locality.content import phases_content, phases_request
from csd.locality.options import PhaseSettings
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget

STEP = 0.4
"""Step of ln γ in quadratures: the trapezoidal rule has the error exp(−2π²/STEP) there, as integrands are analytic for
|Im ln γ| < π."""
FAR = 1e14
"""How far quadratures go beyond the extreme variances: what is left is its inverse."""
SOFTEST = 1e12
"""The largest χ/N, beyond which rounding shows."""
CLEANEST = 1e15
"""The largest γ."""
FAINTEST = 1e-12
"""γ/m² below which a difference of mean square errors is 0 to rounding."""
LEAST = 1e-18
"""The smallest information whose decay with the range is measured; below, rounding shows."""


def box_of(field: GaussianField, reach: int) -> SymmetricBox:
    """The box |r_μ| ≤ R around a site, with its covariance without noise."""
    shells = field.lattice.shells
    return box_around_site(field.lattice, field.propagator(shells.laplacian), reach)


def conditional_information(field: GaussianField, ratios: Array, reach: int, block: int = 1) -> Array:
    """I(A:C|B) in nats, A a cube of side b, B the sites within R of it, C all others.

    Args:
        field: without noise.
        ratios: γ = α²/σ², shape (ratios,).
        reach: R ≥ 0.
        block: b, with b + 2R ≤ L.

    Returns:
        Shape (ratios,).

    Raises:
        InputError: if memory does not suffice.
    """
    if block == 1:
        boxes: Sequence[tuple[int, SymmetricBox]] = [(1, box_of(field, reach))]
    else:
        own = field.propagator(field.lattice.shells.laplacian)
        boxes = boxes_around_cube(field.lattice, own, reach, block)
    return sum((ways * _information(*box.deficit(ratios)) for ways, box in boxes), np.zeros(len(ratios)))


def _information(lost: Array, whole: Array) -> Array:
    """−½ ln det(1 − lost/whole), shape (ratios, A, A) each → (ratios,)."""
    from scipy.linalg import eigh

    shares = np.array([eigh(*pair, eigvals_only=True) for pair in zip(lost, whole, strict=True)])
    return -0.5 * np.log1p(-np.maximum(shares, 0.0)).sum(axis=-1)


def path_divergence(field: GaussianField, box: SymmetricBox) -> float:
    """(N/2) ∫dγ Δ over all noise levels, in nats, by the trapezoidal rule in ln γ.

    The closed form (N/2) [(ln P₀)_00 − (ln G)_00] is a difference of numbers near each other at a large range.

    Args:
        field: without noise.
        box: of the range.
    """
    nodes = np.exp(np.arange(np.log(box.propagator.min() / FAR), np.log(FAR * box.propagator.max()), STEP))
    lost, _ = box.deficit(1.0 / nodes)
    return float(0.5 * field.lattice.sites * STEP * lost.sum())


def generated_spectra(box: SymmetricBox) -> dict[str, Array]:
    """W(0) of the modes of samples with the best local scores, by the SDE and by the ODE of the probability flow.

    Reverse diffusion goes from infinite noise to none, in infinitely many steps.

    Args:
        box: of the range.

    Returns:
        'sde' and 'ode', at the lattice's *shells* each.
    """
    low, high = np.log(box.variances.min() / FAR), np.log(FAR * box.variances.max())
    nodes = np.exp(np.arange(low, high, STEP))
    grown = np.exp(-2.0 * box.shares @ np.log1p(nodes / box.variances[:, None]))
    return {"sde": STEP * grown @ nodes, "ode": np.exp(box.shares @ np.log(box.variances))}


def divergences(box: SymmetricBox, generated: Array, sites: int) -> tuple[float, float]:
    """(KL(true‖samples), KL(samples‖true)) in nats of fields with independent modes; 0 where all of it is rounding.

    The logarithm of a mode's ratio of variances is off by 2/FAR, where quadratures end, and by ε (n + G_max/G_min)^½ on
    average, as the decomposition is by ε of the largest singular value.

    Args:
        box: with the true variances.
        generated: variances of the samples, shape (modes,).
        sites: N.
    """
    off = np.log(generated / box.propagator)
    weight = 0.5 * sites * box.weight
    spread = len(box.variances) + box.propagator.max() / box.propagator.min()
    rounding = 0.5 * sites * ((2.0 / FAR) ** 2 + ROUNDING**2 * spread)
    forward, backward = (float(weight @ _beyond_linear(own)) for own in (-off, off))
    return (forward, backward) if max(forward, backward) > rounding else (0.0, 0.0)


def _beyond_linear(values: Array) -> Array:
    """eˣ − 1 − x, without the errors of a difference where x is small."""
    series = values**2 * (1.0 / 2.0 + values * (1.0 / 6.0 + values * (1.0 / 24.0 + values * (1.0 / 120.0))))
    return np.where(np.abs(values) < 1e-3, series, np.expm1(values) - values)


def lattice_length(length: float) -> float:
    """ξ_lat = 1/(2 asinh(1/(2ξ))): the decay length along an axis of 1/(k̂² + ξ⁻²), lattice spacings."""
    return float(0.5 / np.arcsinh(0.5 / length))


def mmse_difference(lost: Array, ratios: Array, mass: float) -> Array:
    """Δ = σ² gap/γ; 0 where so little is known of a field that rounding would be all that is left of it.

    Args:
        lost: σ² gap, shape (ratios, ranges).
        ratios: γ = α²/σ².
        mass: m of the field without noise, of the variance 1/m² at k = 0.
    """
    known = (ratios > FAINTEST * mass**2)[:, None]
    return np.divide(lost, ratios[:, None], out=np.zeros_like(lost), where=known)


def markov_length(lattice: Lattice, ranges: Sequence[int], information: Array) -> float:
    """(R₂ − R₁) / ln[R₁^{(d−1)/2} I(R₁) / (R₂^{(d−1)/2} I(R₂))], from the two largest ranges 1 ≤ R ≤ L/4.

    The power of R is that of I ∝ R^{−(d−1)/2} e^{−R/length}, where R is large. Ranges count while I ≥ 1e-18. Lengths
    above L/16 are not measured, as the images of the box by the lattice's period then change the decay.

    Args:
        lattice: whose boxes these are.
        ranges: R.
        information: I(A:C|B), shape (ranges,).

    Returns:
        In lattice spacings; NaN with fewer than two ranges, or where I falls too slowly.
    """
    order = np.argsort(ranges)
    reach, found = np.asarray(ranges, dtype=float)[order], information[order]
    known = (reach >= 1.0) & (4.0 * reach <= lattice.size) & (found >= LEAST)
    if known.sum() < 2:
        return float("nan")
    reach, found = reach[known][-2:], found[known][-2:]
    fall = -np.diff(np.log(found) + 0.5 * (lattice.dimension - 1) * np.log(reach))[0]
    step = np.diff(reach)[0]
    return float(step / fall) if 16.0 * step <= lattice.size * fall else float("nan")


def checked_field(noised: NoisedTarget) -> GaussianField:
    """The Gaussian field whose phases are asked for.

    Raises:
        InputError: if the target is another one, or its mass or a noise level is so small that rounding would show.
    """
    field, sites = noised.target, noised.lattice.sites
    if type(field) is not GaussianField:
        raise InputError(f"target is {type(field).__name__}, whose phases have no closed form; take gaussian")
    if field.mass < (least := (SOFTEST * sites) ** -0.5):
        raise InputError(
            f"mass is {field.mass:g}; on {sites} sites it must be at least {least:.2g}, as rounding shows below"
        )
    for level, signal, variance in zip(noised.levels, noised.signals, noised.variances, strict=True):
        # Without overflow at any noise level.
        if not float(signal) ** 2 / float(variance) <= CLEANEST:
            raise InputError(
                f"noise level is {level:g}; signal^2/variance must be at most {CLEANEST:g} there, take a larger one"
            )
    return field


def gaussian_request(noised: NoisedTarget, settings: PhaseSettings) -> dict[str, Any]:
    """All settings that determine a file of a Gaussian field, checked.

    Raises:
        InputError: if the target, a noise level, a range or the cube cannot be used.
    """
    checked_field(noised)
    return phases_request(noised, settings)


def gaussian_phases(noised: NoisedTarget, settings: PhaseSettings) -> Content:
    """What scores of finite range lose on a Gaussian field, at all noise levels.

    Args:
        noised: the field at its noise levels.
        settings: ranges, and the side of the cube.

    Returns:
        conditional_mutual_information, floor, score_gap and mmse_difference(noise_level, range), path_kl, sde_kl,
        sde_reverse_kl, ode_kl and ode_reverse_kl(range), markov_length(noise_level), and further variables.

    Raises:
        InputError: if the target is not Gaussian, its mass or a noise level is too small, a range or the cube does not
            fit, or memory does not suffice.
    """
    field, lattice, ranges = checked_field(noised), noised.lattice, settings.on(noised.lattice)
    ratios = noised.ratios
    by_range: dict[str, list[float]] = {}
    lost, information = np.empty((2, len(ratios), len(ranges)))
    for place, reach in enumerate(ranges):
        box = box_of(field, reach)
        gap, whole = (part[:, 0, 0] for part in box.deficit(ratios))
        lost[:, place] = gap
        if settings.block == 1:
            information[:, place] = -0.5 * np.log1p(-gap / whole)
        else:
            information[:, place] = conditional_information(field, ratios, reach, settings.block)
        found = {"path_kl": path_divergence(field, box)}
        for way, generated in generated_spectra(box).items():
            found[f"{way}_kl"], found[f"{way}_reverse_kl"] = divergences(box, generated, lattice.sites)
        for name, value in found.items():
            by_range.setdefault(name, []).append(value)
    lengths = noised.score_lengths()
    measured = [markov_length(lattice, ranges, own) for own in information]
    return phases_content(
        noised,
        settings,
        {
            "conditional_mutual_information": information,
            "floor": lost / whole[:, None],
            "score_gap": lost / noised.variances[:, None],
            "mmse_difference": mmse_difference(lost, ratios, field.mass),
            **by_range,
            "markov_length": measured,
            "markov_length_theory": [0.5 * lattice_length(length) for length in lengths],
            "squared_score": whole / noised.variances,
            "score_length": lengths,
            "correlation_length": field.correlation_length,
        },
    )
