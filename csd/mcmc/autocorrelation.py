"""Errors of means over Markov chains by the Γ method, with checks that the chains are long enough.

    Γ(t) = ⟨δx(s) δx(s+t)⟩,   ρ = Γ/Γ(0),   τ = ½ + Σ_{t=1}^{W} ρ(t) + tail,   error² = 2τ Γ(0) / measurements

in units of measurements, with the window W of U. Wolff (Comput. Phys. Commun. 156, 143, 2004) from `pyerrors`. White
noise has τ = ½; the other common convention is 1 + 2 Σ ρ = 2τ. Deviations are from the mean of all chains.

If most of an observable is fast, the window closes before its slow part has decayed, however slow it is: the zero mode
has 1/N of the variance of the energy of N sites, but contributes half of its τ or more. So the tail of the slowest
series s of the same chains is attached (Schaefer, Sommer, Virotta, Nucl. Phys. B 845, 93, 2011),

    tail = ρ₁(W) (τ_s − ½),   ρ₁(W) = Γ_xs(l) Γ_sx(l) / (Γ_s(l) Γ(0)) e^{−(W−l)/τ_s},   l = min(W, τ_s/2)

Those authors use ρ(W), which is dominated by noise; this is the part of it that is correlated with s. If only one mode
e^{−t/τ_s} remained after l sweeps, Γ_xs(l) would be the product of its amplitudes in x and s, and ρ₁ = ρ. An error of
the correlation enters squared, so an x that is hardly correlated with s gets hardly any tail (docs/montecarlo.md).

The error of τ in this method assumes a Gaussian process. A square, such as m² of a Gaussian field, is not Gaussian, and
its τ scatters more. So the error of τ of a mean is at least that of a jackknife over blocks of many windows, if there
are enough blocks.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, hypot, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.lattice import Array
from csd.lattice.jackknife import jackknife_error

LENGTH = 100.0
"""Smallest length of each chain for an error bar, in units of τ."""
LARGEST_R_HAT = 1.1
"""Largest R-hat for an error bar."""
WINDOW = 2.0
"""S of the automatic window: the assumed ratio of the exponential to the integrated time."""
BLOCK = 20
"""Length of a block of the jackknife in windows, so long that correlations between blocks are negligible."""
FEWEST_BLOCKS = 12
"""Smallest number of blocks, of all chains together, for a jackknife."""
FEWEST = 5
"""Smallest number of measurements of each chain for a τ."""
BATCH = 5
"""Number of measurements in a batch, over which is averaged before the thermalisation cut is determined."""


@dataclass(frozen=True)
class Estimate:
    """A mean, or a function of means, over chains.

    Attributes:
        value: of all measurements.
        error: one standard error; NaN where the chains are too short.
        error_of_error: standard error of the error.
        tau: integrated autocorrelation time ½ + Σρ, measurements.
        tau_error: its standard error.
        r_hat: of the chains (the largest, for a function of several means); NaN for fewer than 4 measurements.
        measurements: of all chains together.
        remark: the reason why there is no error bar; empty if there is one.
    """

    value: float
    error: float
    error_of_error: float
    tau: float
    tau_error: float
    r_hat: float
    measurements: int
    remark: str = ""


def estimate(
    *series: Array | Sequence[Array],
    of: Callable[..., Any] | None = None,
    slowest: Array | Sequence[Array] | None = None,
) -> Estimate:
    """The mean of a series, or a function of the means of several, with its error.

    Args:
        series: measurements, shape (chains, measurements), all of one shape.
        of: arithmetic function of one mean for each series; the mean itself if None.
        slowest: the slowest series of the same chains, of the same shape, whose tail is attached; no tail if None.

    Raises:
        InputError: if chains differ in length, have fewer than `FEWEST` measurements, are constant, or hold numbers
            that are not finite.
    """
    tables = [_table(each) for each in series]
    slow = None if slowest is None else _table(slowest)
    if len({table.shape for table in [*tables, *([] if slow is None else [slow])]}) != 1:
        raise InputError(f"the series have the shapes {[table.shape for table in tables]}; they must be the same")
    chains, length = tables[0].shape
    observables = [_observable(table) for table in tables]
    result = observables[0] if of is None else of(*observables)
    tau, tau_error, window = _window(result)
    if of is None:
        tau_error = max(tau_error, _block_error(tables[0], window))
    error, error_of_error = float(result.dvalue), float(result.ddvalue)
    if slow is not None:
        # To first order, the error of the result is that of the mean of these deviations.
        deviation = np.stack([result.deltas[name] for name in result.names])
        tail, tail_error = _tail(deviation, slow, window)
        # error² is proportional to τ.
        wider = sqrt(1.0 + tail / tau)
        error_of_error = wider * hypot(error_of_error, 0.5 * error * tail_error / (tau + tail))
        error *= wider
        tau, tau_error = tau + tail, hypot(tau_error, tail_error)
    mixing = max(r_hat(table) for table in tables)
    remark = _remark(length, tau, mixing)
    if remark:
        error = error_of_error = nan
    return Estimate(float(result.value), error, error_of_error, tau, tau_error, mixing, chains * length, remark)


def time_of(series: Array | Sequence[Array]) -> float:
    """τ = ½ + Σ ρ(t) of the mean of a series of shape (chains, measurements), without a tail; measurements."""
    return _window(_observable(_table(series)))[0]


def _window(observable: Any) -> tuple[float, float, int]:
    """(τ, its error, W) of an observable from `_observable`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        observable.gamma_method(S=WINDOW)
    tau, error, window = (of["chains"] for of in (observable.e_tauint, observable.e_dtauint, observable.e_windowsize))
    return float(tau), float(error), int(window)


def _tail(deviation: Array, slow: Array, window: int) -> tuple[float, float]:
    """Σ_{t>W} ρ(t) as estimated from the slowest series, with its error.

    Args:
        deviation: of the observable, shape (chains, measurements).
        slow: the slowest series, same shape.
        window: W.
    """
    time, time_error, own = _window(_observable(slow))
    time_error = max(time_error, _block_error(slow, own))
    lag = min(window, round(0.5 * time))
    ahead = slow - slow.mean()
    behind, early = ahead[:, : ahead.shape[1] - lag], deviation[:, : ahead.shape[1] - lag]
    kept = float((behind * ahead[:, lag:]).mean())
    forward, backward = early * ahead[:, lag:], behind * deviation[:, lag:]
    there, back = float(forward.mean()), float(backward.mean())
    if kept <= 0.0 or there * back <= 0.0:
        return 0.0, 0.0
    tail = there * back / (kept * float((deviation**2).mean())) * exp(-(window - lag) / time) * (time - 0.5)
    product = _observable(forward + backward)
    _window(product)
    return tail, tail * hypot(time_error / time, 2.0 * float(product.dvalue) / abs(there + back))


def _block_error(table: Array, window: int) -> float:
    """Jackknife error over blocks of τ = ½ + Σ ρ(t) up to a fixed window; 0 for too few blocks."""
    chains, length = table.shape
    size = BLOCK * max(window, 1)
    each = (length - window) // size
    blocks = chains * each
    if blocks < FEWEST_BLOCKS:
        return 0.0
    deviation = table - table.mean(axis=1, keepdims=True)
    own = deviation[:, : each * size]
    gamma = np.array(
        [(own * deviation[:, lag : lag + each * size]).reshape(blocks, size).sum(axis=1) for lag in range(window + 1)]
    )
    left = gamma.sum(axis=1, keepdims=True) - gamma
    times = (left[1:] / left[0]).sum(axis=0)
    return float(jackknife_error(times))


def _remark(length: int, tau: float, mixing: float) -> str:
    said = []
    if length < LENGTH * tau:
        need = int(LENGTH * tau) + 1
        said.append(f"too short: {length} measurements a chain for tau = {tau:.3g}; an error bar needs {need}")
    if mixing > LARGEST_R_HAT:
        said.append(f"chains disagree: R-hat is {mixing:.3g}, above {LARGEST_R_HAT}; run them longer")
    return "; ".join(said)


def gamma_method() -> Any:
    """The library of the Γ method, whose import takes a second."""
    with warnings.catch_warnings():
        # pyerrors 2.17 imports scipy.odr, which SciPy 1.17 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pyerrors
    return pyerrors


def _observable(table: Array) -> Any:
    """The observable of the library for a series, with deviations from the mean of all chains.

    Deviations from the mean of each chain would reduce Γ by about 2τ Γ(0) / (measurements of a chain).
    """
    names = [f"chains|{chain:06d}" for chain in range(len(table))]
    mean = float(table.mean())
    observable = gamma_method().Obs(list(table - mean), names, means=[mean] * len(table))
    # The library does not set the value if means are given.
    observable._value = mean
    return observable


def _table(series: Array | Sequence[Array]) -> Array:
    rows = [np.asarray(row, dtype=np.float64) for row in series]
    if not rows or any(row.ndim != 1 for row in rows):
        raise InputError("a series must have the shape (chains, measurements), with at least one chain")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise InputError(f"the chains have {lengths[0]} to {lengths[-1]} measurements; they must have equally many")
    if lengths[0] < FEWEST:
        raise InputError(f"the chains have {lengths[0]} measurements; an autocorrelation time needs at least {FEWEST}")
    table = np.stack(rows)
    if not np.isfinite(table).all():
        raise InputError("a series holds numbers that are not finite")
    still = constant(table)
    if still.any():
        raise InputError(
            f"a chain measured {table[still][0, 0]:.6g} every time: a constant has no autocorrelation time; the"
            " chain did not move, or the observable cannot change"
        )
    return table


def constant(table: Array) -> NDArray[np.bool_]:
    """Whether each chain is constant up to rounding; shape (chains, measurements) → (chains,)."""
    return np.ptp(table, axis=1) <= 1e-14 * np.abs(table).max()


def r_hat(series: Array | Sequence[Array]) -> float:
    """Split R-hat of Gelman and Rubin, sqrt((L−1)/L + between/within), for chains cut into halves of length L.

    `between` is the variance of the means of the halves and `within` the mean of their variances. R-hat is 1 if the
    chains no longer depend on their start, and NaN if all halves are constant.
    """
    rows = np.stack([np.asarray(row, dtype=np.float64) for row in series])
    half = rows.shape[1] // 2
    halves = np.concatenate([rows[:, :half], rows[:, -half:]])
    within = float(halves.var(axis=1, ddof=1).mean())
    if within == 0.0:
        return nan
    return sqrt((half - 1) / half + float(halves.mean(axis=1).var(ddof=1)) / within)


def thermalisation_cut(*series: Array) -> int:
    """Number c of measurements to discard, which minimises Σ_{t≥c} (x − x̄)² / (T − c)² (MSER-5).

    For white noise, this is the squared standard error of the mean of the others (White, Simulation 69, 323, 1997). The
    cut is determined from the mean over chains in batches of five, and is the largest of all series. It is at most half
    of the measurements; a cut of half of them means that the chains still depend on their start.

    Args:
        series: each of shape (chains, measurements).
    """
    return max(_cut(each) for each in series)


def _cut(series: Array) -> int:
    mean = np.asarray(series).mean(axis=0)
    batches = len(mean) // BATCH
    if batches < 4:
        return 0
    values = mean[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    values = values - values.mean()
    left = np.arange(batches, 0, -1)
    total = np.cumsum(values[::-1])[::-1]
    squares = np.cumsum(values[::-1] ** 2)[::-1]
    score = (squares - total**2 / left) / left**2
    return BATCH * int(np.argmin(score[: batches // 2 + 1]))
