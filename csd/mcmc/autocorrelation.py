"""Errors of means over Markov chains by the Γ method, and whether the chains are long enough to say so.

    Γ(t) = ⟨δx(s) δx(s+t)⟩,   ρ = Γ/Γ(0),   τ = ½ + Σ_{t=1}^{W} ρ(t) + tail,   error² = 2τ Γ(0) / measurements

in units of measurements, with the window W of U. Wolff (Comput. Phys. Commun. 156, 143, 2004), by `pyerrors`. τ = ½ is
white noise; the other usual convention is 1 + 2 Σ ρ = 2τ. Deviations are from the mean of all chains.

The window of an observable that is mostly fast closes before its slow part, however slow that is: the energy of N sites
has 1/N of its variance in the zero mode, and half of its τ or more. So the tail of the slowest series s of the same
chains is attached (Schaefer, Sommer, Virotta, Nucl. Phys. B 845, 93, 2011),

    tail = ρ₁(W) (τ_s − ½),   ρ₁(W) = Γ_xs(l) Γ_sx(l) / (Γ_s(l) Γ(0)) e^{−(W−l)/τ_s},   l = min(W, τ_s/2)

Where those authors take ρ(W) itself, which is noise by then, this takes the part of it that goes through s: were all
that is left after l sweeps one mode e^{−t/τ_s}, Γ_xs(l) would hold its amplitudes in x and s, and ρ₁ = ρ. An error of
the correlation enters squared, so x that do not feel s hardly get a tail (docs/montecarlo.md).

The error of τ that comes with the method takes the series for a Gaussian process. A square, such as m² of a Gaussian
field, is none, and its τ scatters more; so the error of a mean's τ is at least that of a jackknife over blocks many
windows long, where there are enough of them.
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

LENGTH = 100.0
"""Fewest measurements of each chain for an error bar, in units of τ."""
LARGEST_R_HAT = 1.1
"""Largest R-hat for an error bar."""
WINDOW = 2.0
"""S of the automatic window: the assumed ratio of the exponential to the integrated time."""
BLOCK = 20
"""Windows that a block of the jackknife is long: what reaches from one into the next does not count."""
FEWEST_BLOCKS = 12
"""Blocks of all chains that a jackknife needs."""
FEWEST = 5
"""Measurements of each chain for a τ."""
BATCH = 5
"""Measurements averaged before the thermalisation cut is looked for."""


@dataclass(frozen=True)
class Estimate:
    """A mean, or a function of means, over chains.

    Attributes:
        value: of all measurements.
        error: one standard error; NaN where the chains are too short.
        error_of_error: its own statistical error.
        tau: integrated autocorrelation time ½ + Σρ, measurements.
        tau_error: its standard error.
        r_hat: of the chains (the largest, for a function of several means); NaN for fewer than 4 measurements.
        measurements: of all chains together.
        remark: why there is no error bar, else empty.
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
        of: function of one mean for each series, by arithmetic alone; None: the mean itself.
        slowest: the slowest series of the same chains, of the same shape, whose tail is attached; None: no tail.

    Raises:
        InputError: if chains differ in length, are shorter than `FEWEST` measurements, or hold constants or what is no
            number.
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
        # To first order the result is the mean of these deviations.
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
    """(τ, its error, W) of an observable of `_observable`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        observable.gamma_method(S=WINDOW)
    return (
        float(observable.e_tauint["chains"]),
        float(observable.e_dtauint["chains"]),
        int(observable.e_windowsize["chains"]),
    )


def _tail(deviation: Array, slow: Array, window: int) -> tuple[float, float]:
    """What the slowest series says of Σ_{t>W} ρ(t), with its error.

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
    """Standard error of τ = ½ + Σ ρ(t) up to a fixed window, leaving out a block at a time; 0 for too few blocks."""
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
    return sqrt((blocks - 1) * float(times.var()))


def _remark(length: int, tau: float, mixing: float) -> str:
    said = []
    if length < LENGTH * tau:
        need = int(LENGTH * tau) + 1
        said.append(f"too short: {length} measurements a chain for tau = {tau:.3g}; an error bar needs {need}")
    if mixing > LARGEST_R_HAT:
        said.append(f"chains disagree: R-hat is {mixing:.3g}, above {LARGEST_R_HAT}; run them longer")
    return "; ".join(said)


def gamma_method() -> Any:
    """The library of the Γ method, which takes a second to load."""
    with warnings.catch_warnings():
        # pyerrors 2.17 imports scipy.odr, which SciPy 1.17 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pyerrors
    return pyerrors


def _observable(table: Array) -> Any:
    """One series for the library, with deviations from the mean of all chains.

    Deviations from each chain's own mean would make Γ smaller by some 2τ Γ(0)/(measurements of a chain).
    """
    names = [f"chains|{chain:06d}" for chain in range(len(table))]
    mean = float(table.mean())
    observable = gamma_method().Obs(list(table - mean), names, means=[mean] * len(table))
    # Given means, the library leaves the value to the caller.
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
            f"a chain measured {table[still][0, 0]:.6g} every time: constants have no autocorrelation time; nothing"
            " moved, or the observable cannot change"
        )
    return table


def constant(table: Array) -> NDArray[np.bool_]:
    """Which chains never change, but for rounding; shape (chains, measurements) → (chains,)."""
    return np.ptp(table, axis=1) <= 1e-14 * np.abs(table).max()


def r_hat(series: Array | Sequence[Array]) -> float:
    """Split R-hat of Gelman and Rubin: sqrt((L−1)/L + between/within), each chain cut in halves of length L.

    `between` is the variance of the halves' means and `within` the mean of their variances. 1 where chains have
    forgotten their start; NaN where all halves are constants.
    """
    rows = np.stack([np.asarray(row, dtype=np.float64) for row in series])
    half = rows.shape[1] // 2
    halves = np.concatenate([rows[:, :half], rows[:, -half:]])
    within = float(halves.var(axis=1, ddof=1).mean())
    if within == 0.0:
        return nan
    return sqrt((half - 1) / half + float(halves.mean(axis=1).var(ddof=1)) / within)


def thermalisation_cut(*series: Array) -> int:
    """How many first measurements to leave out: the cut c that minimises Σ_{t≥c} (x − x̄)² / (T − c)² (MSER-5).

    That is the squared standard error of what is left were it white noise (White, Simulation 69, 323, 1997). Looked for
    in the mean over chains, in batches of five; the largest of several series. Half the measurements or more means that
    the start is not forgotten, and is returned as half.

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
