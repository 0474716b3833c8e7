"""Errors of means over Markov chains by the Γ method, and whether the chains are long enough to say so.

    Γ(t) = ⟨δx(s) δx(s+t)⟩,   ρ = Γ/Γ(0),   τ = ½ + Σ_{t=1}^{W} ρ(t),   error² = 2τ Γ(0) / measurements

in units of measurements, with the window W of U. Wolff (Comput. Phys. Commun. 156, 143, 2004), by `pyerrors`. τ = ½ is
white noise; the other usual convention is 1 + 2 Σ ρ = 2τ. Deviations are from each chain's own mean, so chains that
disagree show only in R-hat.

The error of τ that comes with the method takes the series for a Gaussian process. A square, such as m² of a Gaussian
field, is none, and its τ scatters more; so the error of a mean's τ is at least that of a jackknife over blocks many
windows long, where there are enough of them.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.errors import InputError
from csd.lattice import Array

CONVENTION = "tau = 1/2 + sum of rho(t), in measurements"
"""Of τ, for attributes of files."""
LENGTH = 50.0
"""Fewest measurements of each chain for an error bar, in units of τ."""
LARGEST_R_HAT = 1.1
"""Largest R-hat for an error bar."""
WINDOW = 2.0
"""S of the automatic window: the assumed ratio of the exponential to the integrated time."""
BLOCK = 20
"""Windows that a block of the jackknife is long: what reaches from one into the next does not count."""
FEWEST_BLOCKS = 12
"""Blocks of all chains that a jackknife needs."""
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


def estimate(*series: Array | Sequence[Array], of: Callable[..., Any] | None = None) -> Estimate:
    """The mean of a series, or a function of the means of several, with its error.

    Args:
        series: measurements, shape (chains, measurements), all of one shape.
        of: function of one mean for each series, by arithmetic alone; None: the mean itself.

    Raises:
        InputError: if chains differ in length, are shorter than 4 measurements, or hold constants or what is no number.
    """
    tables = [_table(each) for each in series]
    if len({table.shape for table in tables}) != 1:
        raise InputError(f"the series have the shapes {[table.shape for table in tables]}; they must be the same")
    chains, length = tables[0].shape
    observables = _observables(tables)
    result = observables[0] if of is None else of(*observables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result.gamma_method(S=WINDOW)
    tau, tau_error = float(result.e_tauint["chains"]), float(result.e_dtauint["chains"])
    if of is None:
        tau_error = max(tau_error, _block_error(tables[0], int(result.e_windowsize["chains"])))
    mixing = max(r_hat(table) for table in tables)
    remark = _remark(length, tau, mixing)
    error = nan if remark else float(result.dvalue)
    error_of_error = nan if remark else float(result.ddvalue)
    return Estimate(float(result.value), error, error_of_error, tau, tau_error, mixing, chains * length, remark)


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
    if length < LENGTH * tau:
        return (
            f"too short: {length} measurements a chain for tau = {tau:.3g}; an error bar needs {int(LENGTH * tau) + 1}"
        )
    if mixing > LARGEST_R_HAT:
        return f"chains disagree: R-hat is {mixing:.3g}, above {LARGEST_R_HAT}; run them longer"
    return ""


def gamma_method() -> Any:
    """The library of the Γ method, which takes a second to load."""
    with warnings.catch_warnings():
        # pyerrors 2.17 imports scipy.odr, which SciPy 1.17 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pyerrors
    return pyerrors


def _observables(tables: Sequence[Array]) -> list[Any]:
    names = [f"chains|{chain:06d}" for chain in range(len(tables[0]))]
    return [gamma_method().Obs(list(table), names) for table in tables]


def _table(series: Array | Sequence[Array]) -> Array:
    rows = [np.asarray(row, dtype=np.float64) for row in series]
    if not rows or any(row.ndim != 1 for row in rows):
        raise InputError("a series must have the shape (chains, measurements), with at least one chain")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise InputError(f"the chains have {lengths[0]} to {lengths[-1]} measurements; they must have equally many")
    if lengths[0] < 4:
        raise InputError(f"the chains have {lengths[0]} measurements; an autocorrelation time needs at least 4")
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
