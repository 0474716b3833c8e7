"""Training: gradient descent of score networks, with recording and stopping (docs/physics.md, sections 4 and 5).

A run trains one architecture on one target at several noise levels, for several seeds. It records the relative score
error ε on a fixed grid of steps, and the training time τ, the first step with ε ≤ ε_R + ε₀. A seed's training ends when
all its levels have been at the tolerance, whatever the other seeds do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.errors import InputError, TrainingDiverged
from csd.lattice import Array, ComplexArray, Modes, require_memory
from csd.minibatch import Expectation, FreshSpectra, RawFields, Source, empirical_spectra
from csd.networks import Architecture
from csd.networks.linear import Descent, LinearNetwork, check_rate
from csd.networks.local import LocalNetwork
from csd.noise import NoisedTarget
from csd.objectives import OBJECTIVES, Objective
from csd.plugins import resolve
from csd.stream import stream

DENSE_RECORDS = 48
"""Every step up to this one is recorded."""
RECORDS_PER_DECADE = 12
"""Recorded steps a decade, beyond."""
BINS = 32
"""Most bins of inverse length that residuals are averaged over."""
BLOW_UP = 1e3
"""Training whose error exceeds this multiple of the larger of 1 and the error at the start has diverged."""


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Args:
        loss: 'population', 'implicit', 'denoising' or a dotted path.
        batch: B, fields in a minibatch; not used by full-batch losses.
        data_set: M, fields of a fixed data set; None for fresh fields.
        seeds: non-negative integers, each once.
        tolerance: ε₀ ≥ 0, above the floor; 0 trains until `max_steps`.
        max_steps: where training ends at the latest.
        learning_rate: η at every level; None for the architecture's default.
        path: 'spectral' or 'fields'.
        device: 'auto', 'cpu' or 'cuda', for networks trained by autograd.

    Raises:
        InputError: for a value outside these.
    """

    loss: str = "implicit"
    batch: int = 64
    data_set: int | None = None
    seeds: tuple[int, ...] = (0,)
    tolerance: float = 0.01
    max_steps: int = 1_000_000
    learning_rate: float | None = None
    path: str = "spectral"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, value in (("batch", self.batch), ("data_set", self.data_set), ("max_steps", self.max_steps)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}; it must be an integer of at least 1")
        if not self.seeds:
            raise InputError("no seed is given; at least one is needed")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise InputError(f"seed is {seed!r}; it must be a non-negative integer")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"a seed is given twice in {list(self.seeds)}; each must be given once")
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise InputError(f"tolerance is {self.tolerance!r}; it must be a finite number of at least 0")
        if self.learning_rate is not None:
            check_rate(self.learning_rate)
        if self.path not in ("spectral", "fields"):
            raise InputError(f"path is {self.path!r}; it must be spectral or fields")
        if self.path == "spectral" and self.data_set is not None and self.loss != "population":
            raise InputError(
                f"loss is {self.loss!r} with a data set; full-batch steps on its spectrum have loss population, and"
                " minibatches of its fields need path fields"
            )
        if self.path == "fields" and self.loss == "population":
            raise InputError("loss is 'population' with path fields; on raw fields it must be implicit or denoising")


@dataclass
class TrainingRecord:
    """What a run leaves; S seeds, T levels, R recorded steps, NaN where a seed had ended before.

    Attributes:
        steps: recorded steps, shape (R,).
        score_error: ε, shape (S, T, R).
        training_time: τ in steps, NaN if never reached, shape (S, T).
        crossing_time: where ln ε crosses the threshold, interpolated between steps τ − 1 and τ, shape (S, T).
        rates: η, shape (T,).
        parameters: trainable numbers at each level, shape (T,).
        ranges: R of local networks at each level, NaN for others, shape (T,).
        floors: ε_R, shape (T,).
        inverse_lengths: geometric mean of sqrt(k̂² + m²) over each bin's momenta, shape (bins,).
        residual: root mean square of |C K − 1| over the modes of each bin, shape (S, T, R, bins).
        kernel: K at the modes after the last step, shape (S, T, modes); None without a kernel.
        modes: the momenta of `kernel`.
        last_step: step at which each seed ended, shape (S,).
    """

    steps: NDArray[np.int64]
    score_error: Array
    training_time: Array
    crossing_time: Array
    rates: Array
    parameters: NDArray[np.int64]
    ranges: Array
    floors: Array
    inverse_lengths: Array
    residual: NDArray[np.float32]
    kernel: Array | ComplexArray | None
    modes: Modes
    last_step: NDArray[np.int64]


def record_steps(last: int) -> NDArray[np.int64]:
    """The grid of recorded steps up to `last`: every one to 48, then 12 a decade; the same for every run."""
    exponents = np.arange(int(np.ceil(np.log10(max(last, 1)) * RECORDS_PER_DECADE)) + 1) / RECORDS_PER_DECADE
    sparse = np.rint(10.0**exponents)
    grid = np.concatenate([np.arange(DENSE_RECORDS + 1), sparse[sparse > DENSE_RECORDS]]).astype(np.int64)
    return grid[grid <= last]


def crossing_time(step: float, before: float, after: float, threshold: float) -> float:
    """Where ln ε, straight between steps j − 1 and j, crosses the threshold: j − 1 + ln(ε_{j−1}/θ) / ln(ε_{j−1}/ε_j).

    The integer training time is coarse where it is small; laws are fitted to this.

    Args:
        step: j, the first step at or below the threshold.
        before: ε_{j−1}, above it.
        after: ε_j, at or below it.
        threshold: θ.
    """
    if not 0.0 < after < before:
        return step
    return float(step - 1.0 + np.log(before / threshold) / np.log(before / after))


class ResidualBins:
    """Bins of modes by inverse length sqrt(k̂² + m²), geometric from m to sqrt(4d + m²); empty ones are left out.

    Args:
        modes: the momenta.
        mass: m.
        dimension: d.
    """

    def __init__(self, modes: Modes, mass: float, dimension: int) -> None:
        inverse_length = np.sqrt(modes.laplacian + mass**2)
        edges = np.geomspace(mass, np.sqrt(4.0 * dimension + mass**2), BINS + 1)
        own = np.clip(np.searchsorted(edges, inverse_length, side="right") - 1, 0, BINS - 1)
        _, self._bin = np.unique(own, return_inverse=True)
        self._weight = modes.multiplicity
        self._total = np.bincount(self._bin, weights=self._weight)
        self.middles = np.exp(np.bincount(self._bin, weights=self._weight * np.log(inverse_length)) / self._total)

    def root_mean_square(self, values: Array) -> Array:
        """Root mean square over the momenta of each bin; (…, modes) → (…, bins)."""
        flat = values.reshape(-1, values.shape[-1])
        mean = [np.bincount(self._bin, weights=self._weight * row**2) / self._total for row in flat]
        return np.sqrt(np.array(mean)).reshape(*values.shape[:-1], len(self.middles))


@dataclass
class Run:
    """A descent and the data that it steps on; made by `prepare`."""

    descent: Any
    source: Source
    modes: Modes
    rates: Array
    stable_rates: Array
    parameters: NDArray[np.int64]
    ranges: Array
    floors: Array
    seeds: tuple[int, ...] = field(default=())


def identity(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> str:
    """What the random streams of a run hang on, besides seed and noise level."""
    target, lattice = noised.target, noised.lattice
    return (
        f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"
        f" {type(noised.schedule).__name__} {architecture.label} {settings.loss} B={settings.batch}"
        f" M={settings.data_set} {settings.path}"
    )


def start_stream(noised: NoisedTarget, architecture: Architecture, seed: int, level: float) -> np.random.Generator:
    """The stream of a network's random start: the same whatever the loss, so that theory can follow a seed."""
    lattice = noised.lattice
    return stream("start", lattice.dimension, lattice.size, noised.target.mass, architecture.label, seed, level)


def prepare(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> Run:
    """Build the networks, their descent and their data.

    Raises:
        InputError: if something does not fit, or would not fit in memory.
    """
    objective: Objective = resolve("loss", settings.loss, OBJECTIVES)()
    lattice = noised.lattice
    instances = len(settings.seeds) * len(noised.levels)
    what = f"a lattice of size {lattice.size} in dimension {lattice.dimension}"
    copies = 8.0 if objective.stochastic or settings.data_set is not None else 0.5
    if settings.path == "fields":
        copies += 8.0 * settings.batch + (settings.data_set or 0)
    require_memory(copies * instances * lattice.sites, f"training {instances} networks on {what}")
    if architecture.is_family and settings.path == "spectral":
        return _prepare_family(noised, architecture, settings, objective)
    return _prepare_modules(noised, architecture, settings, objective)


def _range(network: Any) -> float:
    """R of a local network, NaN for any other."""
    return float(network.patch.reach) if isinstance(network, LocalNetwork) else float("nan")


def _rates(networks: Sequence[Any], spectra: Sequence[Array], settings: Settings) -> Array:
    """η at each level: the one given, or each network's default."""
    if settings.learning_rate is not None:
        return np.full(len(networks), settings.learning_rate)
    pairs = zip(networks, spectra, strict=True)
    return np.array([network.learning_rate(spectrum) for network, spectrum in pairs])


def _families(noised: NoisedTarget, architecture: Architecture) -> tuple[list[LinearNetwork], list[Array]]:
    """The family and the spectrum on *shells* of each noise level."""
    networks = [architecture.build(noised.lattice, float(length)) for length in noised.score_lengths()]
    return networks, list(noised.spectra_at(noised.lattice.shells))


def _prepare_family(noised: NoisedTarget, architecture: Architecture, settings: Settings, objective: Objective) -> Run:
    """Descent on power spectra, written out."""
    lattice = noised.lattice
    networks, spectra = _families(noised, architecture)
    rates = _rates(networks, spectra, settings)
    seeded = objective.stochastic or settings.data_set is not None
    modes = lattice.pairs if seeded else lattice.shells
    starts = [
        [
            network.start(spectrum, start_stream(noised, architecture, seed, level))
            for network, spectrum, level in zip(networks, spectra, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    descent = networks[0].descent(
        networks, modes, noised.spectra_at(modes), rates, starts, complex_kernel=objective.complex_target
    )
    return Run(
        descent,
        _spectral_source(noised, architecture, settings, objective, modes),
        modes,
        rates,
        np.array([net.stable_rate(spectrum) for net, spectrum in zip(networks, spectra, strict=True)]),
        np.array([network.parameters for network in networks], dtype=np.int64),
        np.array([_range(network) for network in networks]),
        np.array([net.floor(spectrum) for net, spectrum in zip(networks, spectra, strict=True)]),
        settings.seeds,
    )


def _spectral_source(
    noised: NoisedTarget, architecture: Architecture, settings: Settings, objective: Objective, modes: Modes
) -> Source:
    """Data for descent on power spectra."""
    name = identity(noised, architecture, settings)
    if settings.data_set is not None:
        return Expectation(empirical_spectra(noised, modes, settings.data_set, name, settings.seeds))
    if objective.stochastic:
        return FreshSpectra(objective, noised, modes, settings.batch, name, settings.seeds)
    return Expectation(noised.spectra_at(modes))


def _prepare_modules(noised: NoisedTarget, architecture: Architecture, settings: Settings, objective: Objective) -> Run:
    """Descent by autograd, on raw fields or, for linear modules, on power spectra."""
    from csd.networks.autograd import AutogradDescent, choose_device
    from csd.networks.module import ConvolutionalScore

    lattice = noised.lattice
    shells = noised.spectra_at(lattice.shells)
    lengths = noised.score_lengths()
    networks = [
        [
            architecture.module(lattice, float(length), spectrum, start_stream(noised, architecture, seed, level))
            for length, spectrum, level in zip(lengths, shells, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    first = networks[0]
    families = [network.network for network in first if isinstance(network, ConvolutionalScore)]
    if settings.path == "spectral" and any(network.kernel() is None for network in first):
        raise InputError(f"architecture {architecture.name!r} has no kernel; path must be fields")
    if families:
        rates = _rates(families, list(shells), settings)
        stable = np.array([net.stable_rate(spectrum) for net, spectrum in zip(families, shells, strict=True)])
        floors = np.array([net.floor(spectrum) for net, spectrum in zip(families, shells, strict=True)])
    else:
        halves: Array = lattice.spread(shells, lattice.shells)
        rates = _rates(first, list(halves), settings)
        stable, floors = np.full(len(first), np.nan), np.zeros(len(first))
    modes = lattice.pairs
    name = identity(noised, architecture, settings)
    source: Source = (
        RawFields(noised, settings.batch, settings.data_set, name, settings.seeds)
        if settings.path == "fields"
        else _spectral_source(noised, architecture, settings, objective, modes)
    )
    return Run(
        AutogradDescent(networks, noised, modes, rates, objective, choose_device(settings.device)),
        source,
        modes,
        rates,
        stable,
        np.array([sum(p.numel() for p in network.parameters()) for network in first], dtype=np.int64),
        np.array([_range(network) for network in families or first]),
        floors,
        settings.seeds,
    )


def train(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> TrainingRecord:
    """Train one architecture on one target.

    Args:
        noised: the target at its noise levels.
        architecture: what is trained.
        settings: how.

    Returns:
        The record of all seeds.

    Raises:
        InputError: if something does not fit.
        TrainingDiverged: as soon as an error is not finite or has blown up.
    """
    return descend(noised, prepare(noised, architecture, settings), settings)


def descend(noised: NoisedTarget, run: Run, settings: Settings) -> TrainingRecord:
    """Step a prepared run until every seed is done, recording on the way."""
    descent: Descent = run.descent
    seeds, levels = len(run.seeds), len(noised.levels)
    grid = record_steps(settings.max_steps)
    bins = ResidualBins(run.modes, noised.target.mass, noised.lattice.dimension)
    spectra = noised.spectra_at(run.modes)
    error_at = np.full((seeds, levels, len(grid)), np.nan)
    residual_at: NDArray[np.float32] = np.full((seeds, levels, len(grid), len(bins.middles)), np.nan, dtype=np.float32)
    time = np.full((seeds, levels), np.nan)
    crossing = np.full((seeds, levels), np.nan)
    before: Array = np.empty(0)
    last = np.zeros(seeds, dtype=np.int64)
    kernels: list[Any] = [None] * seeds
    alive = np.arange(seeds)
    threshold = settings.tolerance + run.floors
    missing = np.ones((seeds, levels), dtype=bool)
    limit = np.inf
    next_record = 0

    step = 0
    while True:
        error = descent.error()
        if step == 0:
            limit = BLOW_UP * max(1.0, float(error.max()))
        if not error.max() <= limit:
            row = int(np.argmax((~(error <= limit)).any(axis=1)))
            level = int(np.argmax(~(error[row] <= limit)))
            raise _diverged(run.seeds[alive[row]], level, step, noised, run, settings)
        reached = missing & (error <= threshold)
        if reached.any():
            rows, columns = np.nonzero(reached)
            time[alive[rows], columns] = step
            crossing[alive[rows], columns] = [
                crossing_time(step, before[row, column], error[row, column], threshold[column]) if step else 0.0
                for row, column in zip(rows, columns, strict=True)
            ]
            missing &= ~reached
        if next_record < len(grid) and step == grid[next_record]:
            error_at[alive, :, next_record] = error
            kernel = descent.kernel()
            if kernel is not None:
                residual_at[alive, :, next_record] = bins.root_mean_square(np.abs(spectra * kernel - 1.0))
            next_record += 1
        ended = step == settings.max_steps
        done = np.array([ended or (settings.tolerance > 0.0 and not any(row)) for row in missing])
        before = error
        if done.any():
            kernel = descent.kernel()
            for row in np.flatnonzero(done):
                last[alive[row]] = step
                kernels[alive[row]] = None if kernel is None else kernel[row]
            alive, missing, before = alive[~done], missing[~done], before[~done]
            if not len(alive):
                break
            descent.keep(~done)
            run.source.keep(~done)
        descent.advance(*run.source.draw())
        step += 1

    for level, stable in enumerate(run.stable_rates):
        if run.rates[level] >= stable and np.isnan(time[:, level]).any() and settings.tolerance > 0.0:
            raise TrainingDiverged(
                f"training did not settle in {settings.max_steps} steps at noise level {noised.levels[level]:g}, with"
                f" learning rate {run.rates[level]:.4g}; it must be below {stable:.4g}"
            )
    return TrainingRecord(
        steps=grid[:next_record],
        score_error=error_at[:, :, :next_record],
        training_time=time,
        crossing_time=crossing,
        rates=run.rates,
        parameters=run.parameters,
        ranges=run.ranges,
        floors=run.floors,
        inverse_lengths=bins.middles,
        residual=residual_at[:, :, :next_record],
        kernel=None if kernels[0] is None else np.stack(kernels),
        modes=run.modes,
        last_step=last,
    )


def _diverged(seed: int, level: int, step: int, noised: NoisedTarget, run: Run, settings: Settings) -> TrainingDiverged:
    """The error of a training that blew up, with the rate that it would need."""
    rate, stable = run.rates[level], run.stable_rates[level]
    where = (
        f"training diverged at step {step} at noise level {noised.levels[level]:g} (seed {seed}),"
        f" with learning rate {rate:.4g}"
    )
    if np.isfinite(stable) and rate >= stable:
        return TrainingDiverged(f"{where}; it must be below {stable:.4g}")
    advice = f"take a learning rate of at most {rate / 4:.3g}"
    if settings.loss != "population":
        noise = (
            f"the exact loss is stable below {stable:.4g}, so the minibatch's noise did it; "
            if stable == stable
            else ""
        )
        return TrainingDiverged(f"{where}; {noise}{advice} or a batch of at least {4 * settings.batch}")
    return TrainingDiverged(f"{where}; {advice}")


def with_population(settings: Settings) -> Settings:
    """The same training on the exact population loss, on spectra."""
    return replace(settings, loss="population", data_set=None, path="spectral")
