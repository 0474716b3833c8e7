"""Scaling laws: exponents, the log law, and the law that contains both and measures which holds (docs/scaling.md).

    power law    ln τ = ln A + z ln L
    log law      ln τ = ln(a + b ln L)
    nested law   τ = a + b (L^z − 1) / z

The nested law (Box and Cox, 1964) is the log law at z = 0 and a power plus a constant elsewhere, so that its z, with a
statistical and a systematic error, says how fast τ grows. It is fitted to relative residuals: for a given z the best a
and b are a linear least squares, so that only z is searched for. It says nothing of a constant, whose b = 0 leaves z
free, nor of L^z ln L, which it does not contain: for these there are the power laws of τ and of τ / ln L.

Power law and log law have two parameters each and are fitted by least squares to ln τ, so that with the same n and
k = 3 (two parameters and the variance) AICc = n ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1) compares them: ΔAICc =
AICc(power) − AICc(log) = n ln(RSS_power / RSS_log), positive where the log law is the better one. AICc exists for
n > k + 1 only, so there is no evidence from fewer than five sizes.

Statistical errors are those of resampled seeds. A seed is resampled at all sizes together, since its start, and with it
much of the deviation of its times, may be the same at all of them; where it is not, this is correct as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array
from csd.study.nested_law import box_cox, box_cox_slope, fit_nested_law, systematic_error
from csd.study.seeds import resampled_means, student

RESAMPLES = 500
SIZES_FOR_EVIDENCE = 5
RESIDUAL_NOISE = 1e-4
"""Relative precision below which residuals count as equal; no law is preferred for fitting better than this."""


@dataclass(frozen=True)
class Fit:
    """One law fitted to training times.

    Attributes:
        law: 'power', 'log', 'power_log' (τ = A L^z ln L) or 'boxcox' (the nested law).
        exponent: z; for the log law b, steps per e-fold of L.
        error: statistical standard error: the larger of those from bootstrap and residuals; for the nested law the
            bootstrap's, or the residuals' without it. NaN if neither is known.
        bootstrap_error: standard error from resampling seeds, or from the errors of the times; 0 where seeds agree.
        residual_error: standard error from the scatter about the law; NaN where the law goes through all points.
        intercept: ln A, or a in steps.
        evidence: ΔAICc in favour of the log law, positive if it fits better; NaN for fewer than five sizes.
        sizes: that it is fitted to.
        local_exponents: ln(τ₂/τ₁) / ln(L₂/L₁) of neighbouring sizes.
        systematic_error: of the nested law, |change of z| when the smallest size is left out; NaN for three sizes.
        evidence_error: standard error of the evidence, from resampling the seeds.
        slope: b of the nested law, in steps.
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
    systematic_error: float = float("nan")
    evidence_error: float = float("nan")
    slope: float = float("nan")

    def __call__(self, size: Array) -> Array:
        """τ(L) of the law, in steps."""
        logarithm = np.log(size)
        if self.law == "boxcox":
            return self.intercept + self.slope * box_cox(logarithm, np.array(self.exponent))
        if self.law == "log":
            return self.intercept + self.exponent * logarithm
        return np.exp(self.intercept + self.exponent * logarithm) * (logarithm if self.law == "power_log" else 1.0)

    @property
    def row(self) -> dict[str, Any]:
        """Its columns in a table of laws."""
        return law_row(**vars(self), z=self.exponent if self.law == "boxcox" else float("nan"))


LAW_COLUMNS = (
    *("exponent", "z", "error", "systematic_error", "bootstrap_error", "residual_error", "intercept", "slope"),
    *("evidence", "evidence_error", "reference"),
)
"""Numbers of a law in a table of laws."""


def law_row(
    sizes: Iterable[Any], note: str = "", law: str = "none", local_exponents: Iterable[float] = (), **numbers: float
) -> dict[str, Any]:
    """The columns of a law in a table of laws; of 'none' with a note why. Numbers that are not given are NaN."""
    return {
        "law": law,
        **dict.fromkeys(LAW_COLUMNS, float("nan")),
        **numbers,
        "sizes": " ".join(map(str, sizes)),
        "local_exponents": " ".join(f"{z:.4f}" for z in local_exponents),
        "note": note,
    }


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


def fit(sizes: Sequence[int], times: Sequence[Array]) -> dict[str, Fit]:
    """Fit all laws to training times of several seeds at several sizes.

    Args:
        sizes: L, at least three different ones, each once.
        times: τ of the seeds at each size, in steps; all positive and finite. Where all sizes have as many seeds, the
            n-th of each is taken for the same seed.

    Returns:
        By name: the power law, the log law, the power law of τ / ln L and the nested law.

    Raises:
        InputError: for fewer than three sizes, or a time that is not positive and finite.
    """
    order = np.argsort(sizes)
    length = np.array(sizes, dtype=float)[order]
    samples = [np.asarray(times[i], dtype=float) for i in order]
    if len(np.unique(length)) < 3:
        raise InputError(f"a scaling law needs at least three sizes; there are {sorted(set(sizes))}")
    if any(not (np.isfinite(sample).all() and (sample > 0.0).all() and sample.size) for sample in samples):
        raise InputError("a training time is missing or not positive; a scaling law needs all of them")
    mean = np.array([sample.mean() for sample in samples])
    used = tuple(int(size) for size in length)
    spread = {name: float(error) for name, error in seed_errors(length, samples, stream("bootstrap", used)).items()}
    smallest = len(length) * RESIDUAL_NOISE**2
    fitted = {
        "power": fit_power_law(length, mean),
        "log": fit_log_law(length, mean),
        "power_log": fit_power_law(length, mean / np.log(length)),
    }
    about: dict[str, Any] = {
        "evidence": float("nan"),
        "sizes": used,
        "local_exponents": tuple(float(z) for z in local_exponents(length, mean)),
    }
    if len(length) >= SIZES_FOR_EVIDENCE:
        power, log = (fitted[name][3] + smallest for name in ("power", "log"))
        about |= {"evidence": len(length) * float(np.log(power / log)), "evidence_error": spread["evidence"]}
    laws = {
        name: Fit(name, slope, max(spread[name], residual_error), spread[name], residual_error, intercept, **about)
        for name, (intercept, slope, residual_error, _) in fitted.items()
    }
    return laws | {"boxcox": _nested(length, mean, spread["boxcox"], about)}


def _nested(sizes: Array, mean: Array, bootstrap_error: float, about: dict[str, Any]) -> Fit:
    """The nested law of mean times, with the error of its z from seeds or, without any, from residuals."""
    intercept, slope, exponent, residual = fit_nested_law(sizes, mean[None], 1.0 / mean)
    freedom = len(sizes) - 3
    residual_error = float("nan")
    if freedom:
        weight = 1.0 / mean
        raised = box_cox(np.log(sizes), exponent)
        columns = weight * np.stack([np.ones_like(sizes), raised, slope * box_cox_slope(np.log(sizes), exponent)])
        # In units of each column's own size, as its powers may be far from 1.
        norm = np.linalg.norm(columns, axis=1)
        norm = np.where(norm > 0.0, norm, 1.0)
        covariance = np.linalg.pinv((columns / norm[:, None]) @ (columns / norm[:, None]).T, hermitian=True)
        variance = float((residual**2).sum()) / freedom
        residual_error = student(freedom + 1) * float(np.sqrt(max(covariance[2, 2], 0.0) * variance)) / float(norm[2])
    return Fit(
        "boxcox",
        float(exponent[0]),
        bootstrap_error if bootstrap_error > 0.0 else residual_error,
        bootstrap_error,
        residual_error,
        float(intercept[0]),
        systematic_error=float(systematic_error(sizes, mean)),
        slope=float(slope[0]),
        **about,
    )


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


def weighted_law(sizes: Sequence[int], times: Array, errors: Array) -> dict[str, Any]:
    """The columns of `fit_weighted` in a table of laws, or those of 'none' with a note why there is no law."""
    try:
        return fit_weighted(sizes, times, errors).row
    except InputError as error:
        return law_row(sizes, str(error))


def seed_errors(
    sizes: Array, samples: Sequence[Array], generator: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Array]:
    """Errors of all laws by the bootstrap over seeds, for many data sets at once.

    The deviation of the resampled values is widened by sqrt(n/(n − 1)), as the bootstrap of n seeds underestimates the
    variance by (n − 1)/n, and by `student`. Log laws of resamples have relative residuals, which are those of ln τ to
    first order.

    Args:
        sizes: L, shape (sizes,).
        samples: τ of the seeds at each size, shape (…, seeds).
        generator: that resamples them.
        resamples: how often.

    Returns:
        Standard errors of z of 'power', b of 'log', z of 'power_log' and 'boxcox', and of 'evidence' (ΔAICc), of shape
        (…,) each; 0 where seeds agree.
    """
    seeds = min(sample.shape[-1] for sample in samples)
    mean = np.stack([sample.mean(-1) for sample in samples], axis=-1)
    if seeds < 2:
        return dict.fromkeys(("power", "log", "power_log", "boxcox", "evidence"), np.zeros(mean.shape[:-1]))
    means = resampled_means(samples, resamples, generator)
    widening = np.sqrt(seeds / (seeds - 1.0)) * student(seeds)
    logarithm = np.log(sizes)
    design = np.stack([np.ones_like(logarithm), logarithm], axis=1)
    straight = np.linalg.pinv(design)

    def power(values: Array) -> tuple[Array, Array]:
        parameters = values @ straight.T
        return parameters[..., 1], ((values - parameters @ design.T) ** 2).sum(-1)

    exponent, power_squares = power(np.log(means))
    weight = 1.0 / mean[..., None, :]
    weighted = np.swapaxes(np.linalg.pinv(weight[..., 0, :, None] * design), -1, -2)
    parameters = (weight * means) @ weighted
    log_squares = ((weight * (means - parameters @ design.T)) ** 2).sum(-1)
    nested = fit_nested_law(sizes, means, 1.0 / mean)[2]
    smallest = len(sizes) * RESIDUAL_NOISE**2
    evidence = len(sizes) * np.log((power_squares + smallest) / (log_squares + smallest))
    values = {"power": exponent, "log": parameters[..., 1], "power_log": power(np.log(means / logarithm))[0]}
    values |= {"boxcox": nested, "evidence": evidence}
    # Rounding errors of seeds that agree are no scatter.
    agree = (np.stack([np.ptp(sample, axis=-1) for sample in samples], axis=-1) == 0.0).all(-1)
    return {name: np.where(agree, 0.0, widening * value.std(-1)) for name, value in values.items()}
