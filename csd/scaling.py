"""Scaling laws: exponents, the log law, and which of the two describes training times (docs/scaling.md).

    power law   ln τ = ln A + z ln L
    log law     ln τ = ln(a + b ln L)

Both have two parameters and are fitted by least squares to ln τ, so that with the same n and k = 3 (two parameters and
the variance) AICc = n ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1) compares them: ΔAICc = AICc(power) − AICc(log) =
n ln(RSS_power / RSS_log), positive where the log law is the better one. AICc exists for n > k + 1 only, so there is no
evidence from fewer than five sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csd.errors import InputError
from csd.lattice import Array
from csd.stream import stream

RESAMPLES = 1000
SIZES_FOR_EVIDENCE = 5
RESIDUAL_NOISE = 1e-4
"""Relative precision below which residuals count as equal; a law that fits better than this is not better for it."""


@dataclass(frozen=True)
class Fit:
    """One law fitted to training times.

    Attributes:
        law: 'power' or 'log'.
        exponent: z of the power law; for the log law b, steps per e-fold of L.
        error: the larger of the bootstrap's and the residuals' standard error.
        bootstrap_error: standard error from resampling the seeds of every size, or from the errors of the times; 0
            where seeds agree.
        residual_error: standard error from the scatter about the law.
        intercept: ln A, or a in steps.
        evidence: ΔAICc in favour of the log law, positive if it fits better; NaN for fewer than five sizes.
        sizes: used.
        local_exponents: ln(τ₂/τ₁) / ln(L₂/L₁) of neighbouring sizes.
    """

    law: str
    exponent: float
    error: float
    bootstrap_error: float
    residual_error: float
    intercept: float
    evidence: float
    sizes: tuple[int, ...]
    local_exponents: tuple[float, ...]

    def __call__(self, size: Array) -> Array:
        """τ(L) of the law, in steps."""
        logarithm = np.log(size)
        if self.law == "power":
            return np.exp(self.intercept + self.exponent * logarithm)
        return self.intercept + self.exponent * logarithm


def local_exponents(sizes: Array, times: Array) -> Array:
    """ln(τ₂/τ₁) / ln(L₂/L₁) of neighbouring sizes; shape (sizes − 1,)."""
    return np.diff(np.log(times)) / np.diff(np.log(sizes))


def fit_power_law(sizes: Array, times: Array) -> tuple[float, float, float, float]:
    """(ln A, z, standard error of z, residual sum of squares) of ln τ = ln A + z ln L."""
    from scipy.stats import linregress

    result = linregress(np.log(sizes), np.log(times))
    residual = np.log(times) - result.intercept - result.slope * np.log(sizes)
    # SciPy gives NaN where all times are equal and nothing scatters.
    error = float(np.nan_to_num(result.stderr))
    return float(result.intercept), float(result.slope), error, float((residual**2).sum())


def fit_log_law(sizes: Array, times: Array) -> tuple[float, float, float, float]:
    """(a, b, standard error of b, residual sum of squares) of ln τ = ln(a + b ln L)."""
    from scipy.optimize import least_squares

    logarithm, observed = np.log(sizes), np.log(times)
    # Relative residuals make the weighted straight line nearly the answer already.
    slope, intercept = np.polyfit(logarithm, times, 1, w=1.0 / times)
    if (intercept + slope * logarithm).min() <= 0.0:
        slope, intercept = 0.0, float(np.exp(observed.mean()))

    def residual(parameters: Array) -> Array:
        law = parameters[0] + parameters[1] * logarithm
        return np.log(np.maximum(law, 1e-12 * times)) - observed

    result = least_squares(residual, [intercept, slope], x_scale=np.abs([intercept, slope]) + 1.0)
    squares = float(2.0 * result.cost)
    jacobian = np.asarray(result.jac, dtype=float)
    curvature = np.linalg.pinv(jacobian.T @ jacobian)
    error = float(np.sqrt(curvature[1, 1] * squares / max(len(times) - 2, 1)))
    return float(result.x[0]), float(result.x[1]), error, squares


def fit(sizes: Sequence[int], times: Sequence[Array]) -> tuple[Fit, Fit]:
    """Fit both laws to training times of several seeds at several sizes.

    Args:
        sizes: L, at least three different ones.
        times: τ of the seeds at each size, in steps; all positive and finite.

    Returns:
        The power law and the log law.

    Raises:
        InputError: for fewer than three sizes, or a time that is not positive and finite.
    """
    from scipy.stats import bootstrap

    order = np.argsort(sizes)
    length = np.array(sizes, dtype=float)[order]
    samples = [np.asarray(times[i], dtype=float) for i in order]
    if len(np.unique(length)) < 3:
        raise InputError(f"a scaling law needs at least three sizes; there are {sorted(set(sizes))}")
    if any(not (np.isfinite(sample).all() and (sample > 0.0).all() and sample.size) for sample in samples):
        raise InputError("a training time is missing or not positive; a scaling law needs all of them")
    used = tuple(int(size) for size in length)
    mean = np.array([sample.mean() for sample in samples])
    power, log = fit_power_law(length, mean), fit_log_law(length, mean)
    power_error = log_error = 0.0
    seeds = min(sample.size for sample in samples)
    if seeds > 1 and any(np.ptp(sample) > 0.0 for sample in samples):
        # The bootstrap of n seeds underestimates the variance by (n − 1)/n.
        correction = np.sqrt(seeds / (seeds - 1.0))
        design = np.stack([np.ones_like(length), np.log(length)], axis=1)

        def slopes(*resampled: Array, axis: int = -1) -> Array:
            means = np.stack([sample.mean(axis=axis) for sample in resampled])
            power_slope = np.linalg.lstsq(design, np.log(means).reshape(len(length), -1), rcond=None)[0][1]
            weighted = np.linalg.pinv(design / mean[:, None]) @ (means.reshape(len(length), -1) / mean[:, None])
            return np.stack([power_slope, weighted[1]]).reshape(2, *means.shape[1:])

        result = bootstrap(
            samples,
            slopes,
            n_resamples=RESAMPLES,
            vectorized=True,
            axis=-1,
            method="percentile",
            rng=stream("bootstrap", used),
        )
        power_error, log_error = (float(error) * correction for error in result.standard_error)
    smallest = len(length) * RESIDUAL_NOISE**2
    evidence = len(length) * float(np.log((power[3] + smallest) / (log[3] + smallest)))
    if len(length) < SIZES_FOR_EVIDENCE:
        evidence = float("nan")
    local = tuple(float(z) for z in local_exponents(length, mean))

    def law(name: str, fitted: tuple[float, float, float, float], bootstrap_error: float) -> Fit:
        intercept, slope, residual_error, _ = fitted
        error = max(bootstrap_error, residual_error)
        return Fit(name, slope, error, bootstrap_error, residual_error, intercept, evidence, used, local)

    return law("power", power, power_error), law("log", log, log_error)


def fit_weighted(sizes: Sequence[int], times: Array, errors: Array) -> Fit:
    """Power law of times with known errors: least squares of ln τ = ln A + z ln L, weighted with (τ/δτ)².

    The error of z is that of the weights, widened by sqrt(χ²/(sizes − 2)) where the times scatter more than that.

    Args:
        sizes: L, at least three different ones.
        times: τ at each size; positive and finite.
        errors: δτ, standard errors; positive and finite.

    Returns:
        The power law, with no evidence for or against another.

    Raises:
        InputError: for fewer than three sizes, or a time or an error that is not positive and finite.
    """
    order = np.argsort(sizes)
    length, tau, error = (np.asarray(values, dtype=float)[order] for values in (sizes, times, errors))
    if len(np.unique(length)) < 3:
        raise InputError(f"a scaling law needs at least three sizes; there are {sorted(set(map(int, sizes)))}")
    if not all((np.isfinite(values) & (values > 0.0)).all() for values in (tau, error)):
        raise InputError("a time or its error is missing or not positive; a scaling law needs all of them")
    weight = tau / error
    design = np.stack([np.ones_like(length), np.log(length)], axis=1) * weight[:, None]
    covariance = np.linalg.inv(design.T @ design)
    intercept, exponent = (float(x) for x in covariance @ design.T @ (weight * np.log(tau)))
    residual = weight * (np.log(tau) - intercept - exponent * np.log(length))
    statistical = float(np.sqrt(covariance[1, 1]))
    scatter = statistical * float(np.sqrt((residual**2).sum() / (len(length) - 2)))
    local = tuple(float(z) for z in local_exponents(length, tau))
    used = tuple(int(size) for size in length)
    return Fit("power", exponent, max(statistical, scatter), statistical, scatter, intercept, float("nan"), used, local)
