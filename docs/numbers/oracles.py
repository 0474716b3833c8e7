"""Training without oracles: starts and rates of two layers, rates from minibatches; m = 1/L, t = 0.1, ε ≤ 0.01."""

from collections.abc import Callable
from typing import Any

import numpy as np

from csd.core.errors import TrainingDiverged
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.reference import reference_curve
from csd.training.steps.window import largest_start, steps_from

RATE, TOLERANCE = 0.25, 0.01
SIZES = (16, 64, 256, 1024)
Start = Callable[[Array], tuple[Any, Any]]
"""Two filters in each mode, from C at one momentum of each pair."""
BATCH, BATCHES = 64, 16
"""Fields of a minibatch, and minibatches of an estimate."""
NEVER = "never"


def noised(dimension: int, size: int) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [0.1])


def modes(size: int) -> tuple[Array, Array]:
    """(C, multiplicity) in d = 1."""
    target = noised(1, size)
    return target.spectra_at(target.modes)[0], target.modes.multiplicity


def crossing(size: int, start: float, rate: float = RATE) -> float | None:
    """Interpolated steps of trained networks; None if they diverge."""
    settings = TrainingSettings("population", start_kernel=start, learning_rate=rate, max_steps=2000)
    try:
        return float(train_network(noised(1, size), Architecture("two_layer"), settings).crossing_time.item())
    except TrainingDiverged:
        return None


def edge(size: int, rate: float) -> float:
    """C_max K₀ of the largest start from which trained networks do not diverge, to a thousandth."""
    largest = float(modes(size)[0].max())
    low, high = 1.0, 100.0
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if crossing(size, middle / largest, rate) is None else (middle, high)
    return low


def plateau(batch: int) -> float:
    """ε of two layers long after their training, the mean over seeds and steps 100, 120, … 800; d = 1, L = 256."""
    kept = tuple(range(100, 801, 20))
    how: dict[str, Any] = {"tolerance": 0.0, "max_steps": kept[-1], "kernel_steps": kept, "start_kernel": 1e-6}
    target = noised(1, 256)
    record = train_network(target, Architecture("two_layer"), TrainingSettings(batch=batch, seeds=(1, 2, 3, 4), **how))
    kernels = record.recorded_kernels
    assert kernels is not None
    spectrum, weight = target.spectra_at(record.modes)[0], record.modes.multiplicity
    squared = np.abs(spectrum * kernels - 1.0) ** 2
    return float(((weight / spectrum * squared).sum(axis=-1) / (weight / spectrum).sum()).mean())


def estimates(dimension: int, size: int, convolution: bool) -> Array:
    """Largest eigenvalues over C_max by power iteration, of minibatches of 64 fields, fresh at each iteration.

    Args:
        dimension: d.
        size: L.
        convolution: whether the matrix is the Hessian of a convolution, which has Ŝ(k) on its diagonal; else it is the
            covariance of the fields themselves.
    """
    target, found = noised(dimension, size), []
    lattice = target.lattice
    root = np.sqrt(lattice.half(target.spectra_at(lattice.pairs)[0]))
    for repeat in range(16):
        random = stream("power iteration", dimension, size, int(convolution), repeat)
        vector = random.standard_normal(lattice.shape)
        norms = []
        for _ in range(BATCHES):
            white = random.standard_normal((BATCH, *lattice.shape))
            fields = np.fft.irfftn(root * np.fft.rfftn(white, axes=lattice.axes), lattice.shape, lattice.axes)
            vector /= np.linalg.norm(vector)
            if convolution:
                power = (np.abs(np.fft.rfftn(fields, axes=lattice.axes)) ** 2).mean(axis=0) / lattice.sites
                vector = np.fft.irfftn(power * np.fft.rfftn(vector), lattice.shape, lattice.axes)
            else:
                flat = fields.reshape(BATCH, -1)
                vector = (flat.T @ (flat @ vector.ravel()) / BATCH).reshape(lattice.shape)
            norms.append(np.linalg.norm(vector))
        found.append(np.mean(norms[BATCHES // 2 :]))
    return np.array(found) / float((root**2).max())


def lateness(dimension: int, size: int, level: float) -> list[str]:
    """(τ of theory, τ/τ_theory − 1, its error) of one layer trained as in the study, of 256 seeds."""
    target = NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), [level])
    settings = TrainingSettings(batch=BATCH, rate_from="data", seeds=tuple(range(1, 257)))
    architecture = Architecture("one_layer")
    predicted = reference_curve(target, architecture, settings)
    assert predicted is not None
    times, theory = train_network(target, architecture, settings).crossing_time.ravel(), predicted.crossing_time.ravel()
    ratio = times.mean() / theory.mean()
    error = float((times - ratio * theory).std(ddof=1) / np.sqrt(len(times)) / theory.mean())
    return [f"{theory.mean():.1f}", f"{ratio - 1.0:.4f}", f"{error:.4f}"]


def two_filters(size: int, start: Start, rate: float = RATE, last: int = 5_000) -> float | None:
    """Steps of two filters that are not tied, mode by mode; infinite if they do not learn, None if they diverge.

    Args:
        size: L.
        start: the two filters.
        rate: η.
        last: steps after which a map is taken not to learn.
    """
    spectrum, weight = modes(size)
    first, second = start(spectrum)
    share = weight / spectrum / (weight / spectrum).sum()
    with np.errstate(all="ignore"):
        for step in range(last):
            residual = spectrum * first * second - 1.0
            error = float((share * np.abs(residual) ** 2).sum())
            if not error < 1e9:
                return None
            if error <= TOLERANCE:
                return float(step)
            # The gradient of a real loss in complex amplitudes.
            first, second = first - rate * residual * second.conj(), second - rate * residual * first.conj()
    return np.inf


def uneven(ratio: float, kernel: float = 1e-6) -> Start:
    """Filters (a, b) with |ab| = K₀ and a/b = ratio."""
    root = np.sqrt(kernel)
    return lambda spectrum: (
        np.full(len(spectrum), root * np.sqrt(abs(ratio))),
        np.full(len(spectrum), np.sign(ratio) * root / np.sqrt(abs(ratio))),
    )


def scattered(size: int, kernel: float = 1e-6) -> Start:
    """Two filters of independent normal numbers in space, with the mean square amplitude K₀."""

    def start(_: Array) -> tuple[Array, Array]:
        random = stream("two filters", size)
        one, two = random.standard_normal((2, size)) * np.sqrt(kernel / size)
        return np.asarray(np.fft.rfft(one)), np.asarray(np.fft.rfft(two))

    return start


def said(steps: float | None, form: str = ".0f") -> str:
    """Steps as text."""
    return "diverges" if steps is None else NEVER if steps == np.inf else format(steps, form)


def numbers() -> dict[str, Any]:
    """Tables of starts, edges, the noise of minibatches, rates from them, starts that are not tied, and late times."""
    starts = [["K₀", "closed form", *(f"L = {size}" for size in SIZES)]]
    for start in (1e-3, 1e-6, 1e-9):
        form = steps_from(*modes(256), start, RATE, TOLERANCE)
        starts.append([f"{start:g}", f"{form:.2f}", *(said(crossing(size, start), ".2f") for size in SIZES)])
    own = [
        said(
            float(
                train_network(
                    noised(1, size), Architecture("two_layer"), TrainingSettings("population")
                ).crossing_time.item()
            ),
            ".2f",
        )
        for size in SIZES
    ]
    starts.append(["0.1/C_max", "", *own])
    edges = [["η", "1 + 2/η", "L = 16", "L = 256"]]
    for rate in (0.125, 0.25, 0.5, 0.75):
        edges.append(
            [f"{rate:g}", f"{largest_start(1.0, rate):.3f}", *(f"{edge(size, rate):.3f}" for size in (16, 256))]
        )
    noise = [["B", "η/((1 − η) B)", "ε"]]
    for batch in (32, 64, 256, 1024):
        noise.append([str(batch), f"{RATE / (1.0 - RATE) / batch:.5f}", f"{plateau(batch):.5f}"])
    rates = [["d", "L", "Hessian of a convolution", "scatter", "covariance of fields", "scatter"]]
    for dimension, size in ((1, 64), (2, 16), (3, 8)):
        both = [estimates(dimension, size, convolution) for convolution in (True, False)]
        rates.append(
            [str(dimension), str(size), *(f"{value:.3f}" for one in both for value in (one.mean(), one.std()))]
        )
    sizes = (16, 64, 256)
    untied = [["start", "C_max |a² − b²|", "η", *(f"L = {size}" for size in sizes)]]
    largest = {size: float(modes(size)[0].max()) for size in sizes}
    for words, ratio in (
        ("a = b", 1.0),
        ("a = 10 b", 10.0),
        ("a = 1000 b", 1e3),
        ("a = 10⁴ b", 1e4),
        ("a = −1.01 b", -1.01),
        ("a = −b", -1.0),
    ):
        difference = 1e-6 * abs(abs(ratio) - 1.0 / abs(ratio))
        stiff = ", ".join(f"{difference * one:.2g}" for one in largest.values())
        untied.append([words, stiff, "¼", *(said(two_filters(size, uneven(ratio))) for size in sizes)])
    untied.append(
        [
            "a = 10⁶ b, a = 1",
            ", ".join(f"{one:.2g}" for one in largest.values()),
            "1/C_max",
            *(said(two_filters(size, uneven(1e6), 1.0 / largest[size], 10_000)) for size in sizes[:2]),
            "",
        ]
    )
    untied.append(
        ["independent normal numbers", "", "¼", *(said(two_filters(size, scattered(size))) for size in sizes)]
    )
    late = [["d", "L", "steps of theory", "later by", "error"]]
    for dimension, size in ((1, 8), (1, 16), (2, 4), (2, 8)):
        late.append([str(dimension), str(size), *lateness(dimension, size, 1.0)])
    return {"starts": starts, "edges": edges, "noise": noise, "rates": rates, "untied": untied, "late": late}
