"""The nested law τ = a + b (L^z − 1)/z, fitted to many sets of times at once (docs/scaling.md).

z = 0: log law,  elsewhere a power with a constant beside it  (Box and Cox, 1964)
"""

import numpy as np

from csd.lattice import Array

NESTED_EXPONENTS = np.linspace(-4.0, 7.0, 111)
"""Grid on which z of the nested law is searched for before it is refined."""
NEWTON_STEPS = 6
"""Steps that refine z."""


def box_cox(logarithm: Array, exponent: Array) -> Array:
    """(L^z − 1) / z of ln L, the logarithm itself at z = 0; shapes are broadcast."""
    product = exponent * logarithm
    small = np.abs(product) < 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(small, logarithm * (1.0 + 0.5 * product), np.expm1(product) / exponent)


def box_cox_slope(logarithm: Array, exponent: Array) -> Array:
    """The derivative of `box_cox` in z."""
    product = exponent * logarithm
    small = np.abs(product) < 1e-4
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (np.exp(product) * logarithm - np.expm1(product) / exponent) / exponent
    return np.where(small, logarithm**2 * (0.5 + product / 3.0), far)


def fit_nested_law(sizes: Array, times: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """(a, b, z, residuals) of τ = a + b (L^z − 1)/z with the smallest Σ_L [w (τ − law)]².

    For every z of a grid a and b are projected out; Gauss–Newton steps in z follow from the best, each of at most one
    cell of the grid.

    Args:
        sizes: L, shape (sizes,), at least three different ones.
        times: τ, shape (…, sets, sizes); each set is fitted by itself.
        weights: w, shape (…, sizes), the same for all sets; 1/τ gives relative residuals.

    Returns:
        a, b, z, shape (…, sets); weighted residuals w (τ − law), shape (…, sets, sizes).
    """
    # Relative to the middle of the sizes, powers stay near 1.
    middle = float(np.log(sizes).mean())
    logarithm = np.log(sizes) - middle
    weight = weights[..., None, :]
    constant = weight / np.linalg.norm(weight, axis=-1, keepdims=True)

    def beyond_constant(vector: Array) -> Array:
        return vector - (vector * constant).sum(-1, keepdims=True) * constant

    observed = beyond_constant(weight * times)
    columns = beyond_constant(weight * box_cox(logarithm, NESTED_EXPONENTS[:, None]))
    columns = columns / np.linalg.norm(columns, axis=-1, keepdims=True)
    explained = (observed @ np.swapaxes(columns, -1, -2)) ** 2
    exponent = NESTED_EXPONENTS[explained.argmax(-1)]
    cell = NESTED_EXPONENTS[1] - NESTED_EXPONENTS[0]
    for _ in range(NEWTON_STEPS + 1):
        growth = beyond_constant(weight * box_cox(logarithm, exponent[..., None]))
        squares = (growth**2).sum(-1)
        slope = (observed * growth).sum(-1) / squares
        residual = observed - slope[..., None] * growth
        tangent = slope[..., None] * beyond_constant(weight * box_cox_slope(logarithm, exponent[..., None]))
        tangent = tangent - ((tangent * growth).sum(-1) / squares)[..., None] * growth
        curvature = (tangent**2).sum(-1)
        fitted = exponent
        # Without any growth no z is better than another.
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.nan_to_num((residual * tangent).sum(-1) / curvature, posinf=0.0, neginf=0.0)
        exponent = np.clip(exponent + np.clip(step, -cell, cell), NESTED_EXPONENTS[0], NESTED_EXPONENTS[-1])
    centred = (weight**2 * (times - slope[..., None] * box_cox(logarithm, fitted[..., None]))).sum(-1)
    offset = centred / (weight**2).sum(-1)
    origin = offset + slope * box_cox(np.array(-middle), fitted)
    return origin, slope * np.exp(-fitted * middle), fitted, residual


def systematic_error(sizes: Array, mean: Array) -> Array:
    """|Change of the nested law's z| when the smallest size is left out, shape (…,); NaN for three sizes.

    Args:
        sizes: L in ascending order, shape (sizes,).
        mean: τ, shape (…, sizes).
    """
    if len(sizes) < 4:
        return np.full(mean.shape[:-1], np.nan)
    whole = fit_nested_law(sizes, mean[..., None, :], 1.0 / mean)[2]
    rest = fit_nested_law(sizes[1:], mean[..., None, 1:], 1.0 / mean[..., 1:])[2]
    return np.abs(whole - rest)[..., 0]
