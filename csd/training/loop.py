"""Training: gradient descent of score networks, with recording and stopping (docs/physics.md, sections 4 and 5).

A run trains one architecture on one target at several noise levels, for several seeds. It records the relative score
error ε on a fixed grid of steps, and the training time τ, the first step with ε ≤ ε_R + ε₀. A seed's training ends when
all its levels have been at the tolerance, whatever the other seeds do; or, with `until` samples, when a goal that looks
at all its kernels has been met for a while: what a sampler makes of them is right.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.errors import InputError, TrainingDiverged
from csd.generation import INTEGRATOR, check_start
from csd.lattice import Array, ComplexArray, Modes, require_memory
from csd.minibatch import Expectation, FreshSpectra, RawFields, Source, empirical_spectra
from csd.networks import ARCHITECTURES, Architecture
from csd.networks.full import ModeDescent
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
RIGHT_FOR = 1.2
"""Training until samples are right ends at a recorded step j if they were at all recorded steps from j / 1.2 on."""
BLOW_UP = 1e3
"""Training whose error exceeds this multiple of the larger of 1 and the error at the start has diverged."""

Goal = Callable[[Any], NDArray[np.bool_]]
"""Whether samples are right for each seed, from kernels at the levels trained: (seeds, levels, modes) → (seeds,)."""


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
        device: 'cuda' for a GPU, 'cpu', or 'auto': a GPU, where there is one, for networks trained by autograd only.
        kernel_steps: at which steps kernels are kept: 'last', 'recorded' (the grid of `record_steps`), 'sparse' (those
            of it that are 12 a decade from the start on), or these.
        until: what ends training: 'score_error', all levels have been at the tolerance; or 'samples', what a sampler
            makes of the kernels is right, whatever the tolerance.
        integrator: of that sampler, a key of `csd.generation.INTEGRATORS` or a dotted path.
        start: of that sampler, 'noise' or 'exact'.

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
    kernel_steps: str | tuple[int, ...] = "last"
    until: str = "score_error"
    integrator: str = INTEGRATOR
    start: str = "noise"

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
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device is {self.device!r}; it must be auto, cpu or cuda")
        if self.path not in ("spectral", "fields"):
            raise InputError(f"path is {self.path!r}; it must be spectral or fields")
        wrong = [step for step in self.kernel_steps if isinstance(step, bool) or not isinstance(step, int) or step < 0]
        if self.kernel_steps not in ("last", "recorded", "sparse") and wrong:
            raise InputError(f"kernel_steps holds {wrong[0]!r}; give last, recorded, sparse, or non-negative integers")
        if self.until not in ("score_error", "samples"):
            raise InputError(f"until is {self.until!r}; it must be score_error or samples")
        check_start(self.start)
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
        kernel_steps: steps at which kernels were kept, shape (KS,).
        recorded_kernels: K at the modes at these steps, shape (S, T, KS, modes); None if there are none.
        modes: the momenta of the kernels.
        last_step: step at which each seed ended, shape (S,).
        stepping: 'every step', or 'exact jump' where a closed form led from one recorded step to the next.
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
    kernel_steps: NDArray[np.int64]
    recorded_kernels: NDArray[np.float32] | None
    modes: Modes
    last_step: NDArray[np.int64]
    stepping: str


def record_steps(last: int) -> NDArray[np.int64]:
    """The grid of recorded steps up to `last`: every one to 48, then 12 a decade; the same for every run."""
    exponents = np.arange(int(np.ceil(np.log10(max(last, 1)) * RECORDS_PER_DECADE)) + 1) / RECORDS_PER_DECADE
    sparse = np.rint(10.0**exponents)
    grid = np.concatenate([np.arange(DENSE_RECORDS + 1), sparse[sparse > DENSE_RECORDS]]).astype(np.int64)
    return grid[grid <= last]


def sparse_steps(last: int) -> NDArray[np.int64]:
    """Those of `record_steps` that are 12 a decade from the first step on, and step 0."""
    exponents = np.arange(int(np.ceil(np.log10(max(last, 1)) * RECORDS_PER_DECADE)) + 1) / RECORDS_PER_DECADE
    grid = np.unique([0, *np.rint(10.0**exponents)]).astype(np.int64)
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


class LengthBins:
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
        self._weight, self._laplacian = modes.multiplicity, modes.laplacian
        self._total = np.bincount(self._bin, weights=self._weight)
        self.middles = np.exp(np.bincount(self._bin, weights=self._weight * np.log(inverse_length)) / self._total)

    @property
    def momenta(self) -> Array:
        """Momenta in each bin, shape (bins,), sum N."""
        return np.asarray(self._total, dtype=float)

    @property
    def wavenumbers(self) -> Array:
        """Root mean square of k̂ over each bin's momenta, shape (bins,)."""
        return np.sqrt(self.mean(self._laplacian))

    def mean(self, values: Array) -> Array:
        """Mean over the momenta of each bin; (…, modes) → (…, bins)."""
        flat = values.reshape(-1, values.shape[-1])
        mean = [np.bincount(self._bin, weights=self._weight * row) / self._total for row in flat]
        return np.array(mean).reshape(*values.shape[:-1], len(self.middles))

    def root_mean_square(self, values: Array) -> Array:
        """Root mean square over the momenta of each bin; (…, modes) → (…, bins)."""
        return np.sqrt(self.mean(values**2))


@dataclass
class Run:
    """A descent and the data that it steps on; made by `prepare`.

    On a device, descent and data are tensors, and errors are read many steps at a time. A run that leaps goes from one
    recorded step to the next by a closed form.
    """

    descent: Any
    source: Source
    modes: Modes
    rates: Array
    stable_rates: Array
    parameters: NDArray[np.int64]
    ranges: Array
    floors: Array
    seeds: tuple[int, ...] = field(default=())
    on_device: bool = False
    leaps: bool = False


def identity(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> str:
    """What names the random streams of a run, besides seed and noise level."""
    target, lattice = noised.target, noised.lattice
    return (
        f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"
        f" {type(noised.schedule).__name__} {architecture.label} {settings.loss} B={settings.batch}"
        f" M={settings.data_set} {settings.path}"
    )


def data_identity(noised: NoisedTarget) -> str:
    """What names the random stream of a data set, besides its seed and size: every architecture learns the same."""
    target, lattice = noised.target, noised.lattice
    return f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"


def start_stream(noised: NoisedTarget, architecture: Architecture, seed: int, level: float) -> np.random.Generator:
    """The stream of a network's random start: one a seed and noise level.

    It is the same whatever the loss, so that theory can follow a seed, and whatever the size and the mass, so that a
    seed of a local network starts from the same filters on every lattice, but for the amplitude that the lattice sets:
    what the start does to the training time then drops out of its growth with size.
    """
    return stream("start", noised.lattice.dimension, architecture.label, seed, level)


def prepare(noised: NoisedTarget, architecture: Architecture, settings: Settings) -> Run:
    """Build the networks, their descent and their data.

    Raises:
        InputError: if something does not fit, or would not fit in memory.
    """
    objective: Objective = resolve("loss", settings.loss, OBJECTIVES)()
    lattice = noised.lattice
    instances = len(settings.seeds) * len(noised.levels)
    what = f"a lattice of size {lattice.size} in dimension {lattice.dimension}"
    isotropic = getattr(resolve("architecture", architecture.name, ARCHITECTURES), "isotropic", False)
    copies = 8.0 if objective.stochastic or settings.data_set is not None or not isotropic else 0.5
    if settings.path == "fields":
        copies += 8.0 * settings.batch + (settings.data_set or 0)
    require_memory(copies * instances * lattice.sites, f"training {instances} networks on {what}")
    if architecture.is_family and settings.path == "spectral":
        run = _prepare_family(noised, architecture, settings, objective)
        return move(run, "cuda") if settings.device == "cuda" else run
    return _prepare_modules(noised, architecture, settings, objective)


def move(run: Run, device: str) -> Run:
    """A run on power spectra that has not stepped yet, on a PyTorch device; its random numbers stay the CPU's.

    Raises:
        InputError: if there is no such device, or the descent cannot live there.
    """
    import torch

    from csd.networks.autograd import choose_device
    from csd.networks.device import on_device

    there = choose_device(device)
    run.source.serve(lambda array: torch.tensor(array, device=there))  # type: ignore[attr-defined]
    return replace(run, descent=on_device(run.descent, there), on_device=True, leaps=False)


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
    modes = lattice.shells if not seeded and all(network.isotropic for network in networks) else lattice.pairs
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
    stable = np.array([net.stable_rate(spectrum) for net, spectrum in zip(networks, spectra, strict=True)])
    return Run(
        descent,
        _spectral_source(noised, architecture, settings, objective, modes),
        modes,
        rates,
        stable,
        np.array([network.parameters for network in networks], dtype=np.int64),
        np.array([_range(network) for network in networks]),
        np.array([net.floor(spectrum) for net, spectrum in zip(networks, spectra, strict=True)]),
        settings.seeds,
        # One full layer on the exact loss, where its error is sure to fall at every step.
        leaps=not seeded and isinstance(descent, ModeDescent) and descent.depth == 1 and bool((rates < stable).all()),
    )


def _spectral_source(
    noised: NoisedTarget, architecture: Architecture, settings: Settings, objective: Objective, modes: Modes
) -> Source:
    """Data for descent on power spectra."""
    name = identity(noised, architecture, settings)
    if settings.data_set is not None:
        spectra = empirical_spectra(noised, modes, settings.data_set, data_identity(noised), settings.seeds)
        return Expectation(spectra)
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


CARRIED = ("alive", "time", "crossing", "last", "_before", "_missing", "_right_since")
"""Arrays of a `Recorder` that change from step to step."""


class Recorder:
    """What a run has shown so far: errors, times, residuals and kernels of the seeds that are still trained.

    Args:
        noised: the target at its noise levels.
        run: made by `prepare`.
        settings: how it is trained.
        goal: what ends training until samples are right.

    Raises:
        InputError: if there is no such goal, but it is asked for.
    """

    def __init__(self, noised: NoisedTarget, run: Run, settings: Settings, goal: Goal | None = None) -> None:
        self.noised, self.run, self.settings = noised, run, settings
        self._goal = goal if settings.until == "samples" else None
        if settings.until == "samples" and goal is None:
            raise InputError("until is 'samples', which needs a goal; train with csd.train, which makes it")
        seeds, levels = len(run.seeds), len(noised.levels)
        self.grid = record_steps(settings.max_steps)
        self._wanted: set[int] = _wanted(settings)
        self.bins = LengthBins(run.modes, noised.target.mass, noised.lattice.dimension)
        self.spectra = noised.spectra_at(run.modes)
        self.threshold = settings.tolerance + run.floors
        self.alive = np.arange(seeds)
        self.time = np.full((seeds, levels), np.nan)
        self.crossing = np.full((seeds, levels), np.nan)
        self.last = np.zeros(seeds, dtype=np.int64)
        self.errors: list[Array] = []
        self.residuals: list[NDArray[np.float32]] = []
        self.kernel_steps: list[int] = []
        self.recorded_kernels: list[NDArray[np.float32]] = []
        self.last_kernels: list[Any] = [None] * seeds
        self._before: Array = np.empty((seeds, levels))
        self._missing = np.ones((seeds, levels), dtype=bool)
        self._none = np.zeros(seeds, dtype=bool)
        # The recorded step since which a seed's samples have been right.
        self._right_since = np.full(seeds, np.inf)
        self._limit = np.inf
        self._next = 0

    def observe(self, step: int, error: Array, descent: Descent) -> NDArray[np.bool_]:
        """Take in a step; True for those of the seeds still trained that end here.

        Raises:
            TrainingDiverged: if an error is not finite or has blown up.
        """
        if step == 0:
            self._limit = BLOW_UP * max(1.0, float(error.max()))
        # Of small arrays, counting is far faster than any() or max().
        if np.count_nonzero(error <= self._limit) < error.size:
            row = int(np.argmax((~(error <= self._limit)).any(axis=1)))
            level = int(np.argmax(~(error[row] <= self._limit)))
            raise _diverged(self.run.seeds[self.alive[row]], level, step, self.noised, self.run, self.settings)
        reached = self._missing & (error <= self.threshold)
        news = np.count_nonzero(reached) > 0
        if news:
            self._reach(step, error, reached)
            self._missing &= ~reached
        self._before = error
        recorded = step == self._next
        if recorded:
            self._record(error, descent)
        if step in self._wanted:
            self.kernel_steps.append(step)
            kernel = descent.kernel()
            if kernel is None:
                raise InputError("kernel_steps asks for kernels, but the network has none; take kernel_steps last")
            self.recorded_kernels.append(self._spread(kernel, np.float32))
        if step == self.settings.max_steps:
            return self._end(step, np.ones(len(self.alive), dtype=bool), descent)
        if self._goal is not None:
            if recorded:
                right = self._goal(descent.kernel())
                self._right_since = np.where(right, np.minimum(self._right_since, step), np.inf)
                return self._end(step, np.logical_and(right, step >= RIGHT_FOR * self._right_since), descent)
        elif news and self.settings.tolerance > 0.0:
            return self._end(step, np.logical_not(self._missing.any(axis=1)), descent)
        return self._none

    def excess(self) -> float:
        """Largest of ε / threshold, as last observed, over the seeds and levels that have not reached the tolerance."""
        ratio = np.where(self._missing, self._before / self.threshold, 0.0) if self.threshold.all() else self._before
        return float(ratio.max())

    def looks(self) -> set[int]:
        """The steps at which more than the error is recorded, whatever the error."""
        last = self.settings.max_steps
        return {step for step in self._wanted | set(self.grid.tolist()) | {last} if step <= last}

    def quiet(self, errors: Array) -> int:
        """How many of the coming steps, by their errors of shape (steps, seeds, levels), have nothing to look at."""
        loud = ~(errors <= self._limit) | (self._missing & (errors <= self.threshold))
        found = np.flatnonzero(loud.any(axis=(1, 2)))
        return int(found[0]) if len(found) else len(errors)

    def _reach(self, step: int, error: Array, reached: NDArray[np.bool_]) -> None:
        """Note the training times of seeds and levels that have reached the tolerance."""
        for row, column in zip(*np.nonzero(reached), strict=True):
            place = self.alive[row], column
            self.time[place] = step
            self.crossing[place] = step
            if step > 0:
                before, after = self._before[row, column], error[row, column]
                self.crossing[place] = crossing_time(step, before, after, self.threshold[column])

    def _record(self, error: Array, descent: Descent) -> None:
        """Keep errors and residuals of a recorded step."""
        self.errors.append(self._spread(error, np.float64))
        self._next = int(self.grid[len(self.errors)]) if len(self.errors) < len(self.grid) else -1
        kernel = descent.kernel()
        shape = (len(self.alive), len(self.noised.levels), len(self.bins.middles))
        residual = np.full(shape, np.nan)
        if kernel is not None:
            residual = self.bins.root_mean_square(np.abs(self.spectra * kernel - 1.0))
        self.residuals.append(self._spread(residual, np.float32))

    def _spread(self, values: Any, kind: Any) -> Any:
        """Values of the seeds still trained among those of all seeds, NaN for the others."""
        kind = np.complex64 if np.iscomplexobj(values) else kind
        everyone = np.full((len(self.run.seeds), *values.shape[1:]), np.nan, dtype=kind)
        everyone[self.alive] = values
        return everyone

    def _end(self, step: int, done: NDArray[np.bool_], descent: Descent) -> NDArray[np.bool_]:
        """Keep the last kernels of the seeds that end here, and let them go; what was given as done."""
        if not done.any():
            return done
        kernel = descent.kernel()
        for row in np.flatnonzero(done):
            self.last[self.alive[row]] = step
            self.last_kernels[self.alive[row]] = None if kernel is None else kernel[row]
        self.alive, self._before, self._missing = self.alive[~done], self._before[~done], self._missing[~done]
        self._right_since = self._right_since[~done]
        self._none = np.zeros(len(self.alive), dtype=bool)
        return done

    def finish(self) -> TrainingRecord:
        """The record of all seeds.

        Raises:
            TrainingDiverged: if a level never settled at a learning rate that is too high for it to.
        """
        run, settings = self.run, self.settings
        for level, stable in enumerate(run.stable_rates):
            if run.rates[level] >= stable and np.isnan(self.time[:, level]).any() and settings.tolerance > 0.0:
                raise TrainingDiverged(
                    f"training did not settle in {settings.max_steps} steps at noise level"
                    f" {self.noised.levels[level]:g}, with learning rate {run.rates[level]:.4g};"
                    f" it must be below {stable:.4g}"
                )
        return TrainingRecord(
            steps=self.grid[: len(self.errors)],
            score_error=np.stack(self.errors, axis=-1),
            training_time=self.time,
            crossing_time=self.crossing,
            rates=run.rates,
            parameters=run.parameters,
            ranges=run.ranges,
            floors=run.floors,
            inverse_lengths=self.bins.middles,
            residual=np.stack(self.residuals, axis=2),
            kernel=None if self.last_kernels[0] is None else np.stack(self.last_kernels),
            kernel_steps=np.array(self.kernel_steps, dtype=np.int64),
            recorded_kernels=np.stack(self.recorded_kernels, axis=2) if self.recorded_kernels else None,
            modes=run.modes,
            last_step=self.last,
            stepping="exact jump" if run.leaps else "every step",
        )

    def snapshot(self, step: int) -> dict[str, Any]:
        """Arrays that `resume` goes on from, after a step was observed and the seeds that ended have left."""
        kept = {name: getattr(self, name) for name in CARRIED} | {
            "step": np.array(step),
            "limit": np.array(self._limit),
            "kernel_steps": np.array(self.kernel_steps),
        }
        kept["errors"] = np.stack(self.errors)
        kept["residuals"] = np.stack(self.residuals)
        if self.recorded_kernels:
            kept["recorded_kernels"] = np.stack(self.recorded_kernels)
        return kept | {f"last_kernel{i}": k for i, k in enumerate(self.last_kernels) if k is not None}

    def resume(self, snapshot: dict[str, Any]) -> int:
        """Go on from a snapshot; the step it was made after."""
        for name in CARRIED:
            setattr(self, name, snapshot[name])
        self._limit = float(snapshot["limit"])
        self.kernel_steps = snapshot["kernel_steps"].tolist()
        self.errors, self.residuals = list(snapshot["errors"]), list(snapshot["residuals"])
        self.recorded_kernels = list(snapshot.get("recorded_kernels", []))
        self.last_kernels = [snapshot.get(f"last_kernel{i}") for i in range(len(self.last_kernels))]
        self._none = np.zeros(len(self.alive), dtype=bool)
        self._next = int(self.grid[len(self.errors)]) if len(self.errors) < len(self.grid) else -1
        return int(snapshot["step"])


class Watch(Protocol):
    """Looks on while a run is trained, and may have it kept, to go on from later."""

    def found(self) -> dict[str, Any] | None:
        """What was kept of an earlier run that did not end; None if nothing."""

    def passed(self, step: int, excess: Callable[[], float]) -> bool:
        """Take note of a step; whether the run is to be kept now.

        Args:
            step: that was taken.
            excess: gives the largest of ε / threshold over seeds and levels that are not there yet.
        """

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Keep a snapshot; may stop the run by raising."""


def _wanted(settings: Settings) -> set[int]:
    """The steps at which kernels are kept, the last one apart."""
    grids = {"recorded": record_steps, "sparse": sparse_steps}
    if settings.kernel_steps == "last":
        return set()
    if isinstance(settings.kernel_steps, str):
        return set(grids[settings.kernel_steps](settings.max_steps).tolist())
    return set(settings.kernel_steps)


def descend(
    noised: NoisedTarget, run: Run, settings: Settings, watch: Watch | None = None, goal: Goal | None = None
) -> TrainingRecord:
    """Step a prepared run until every seed is done, recording on the way.

    Args:
        noised: the target at its noise levels.
        run: made by `prepare`.
        settings: how it is trained.
        watch: looks on.
        goal: what ends training until samples are right.
    """
    if run.on_device:
        return _descend_in_blocks(noised, run, settings, watch, goal)
    descent: Descent = run.descent
    recorder = Recorder(noised, run, settings, goal)
    kept = None if watch is None else watch.found()
    after = None if kept is None else _resume(kept, run, recorder)
    for step in _leaps(run, recorder, after) if run.leaps else _steps(run, after):
        error = descent.error()
        done = recorder.observe(step, error, descent)
        if np.count_nonzero(done) > 0:
            if done.all():
                break
            descent.keep(~done)
            run.source.keep(~done)
        if watch is not None and watch.passed(step, recorder.excess):
            watch.keep(_snapshot(step, run, recorder))
    return recorder.finish()


PARTS = ("recorder", "descent", "source")


def at_steps(run: Run, steps: Iterable[int]) -> Iterator[int]:
    """Bring a descent on full-batch data to some steps in turn, by closed form where there is one; each of them.

    Args:
        run: made by `prepare`, not stepped yet.
        steps: training steps, rising.
    """
    before = 0
    for step in steps:
        if run.leaps:
            run.descent.leap(*run.source.draw(), step)
        for _ in range(0 if run.leaps else step - before):
            run.descent.advance(*run.source.draw())
        before = step
        yield step


def _snapshot(step: int, run: Run, recorder: Recorder) -> dict[str, Any]:
    """All that a run is, after a step."""
    parts = (recorder.snapshot(step), run.descent.snapshot(), run.source.snapshot())
    return {
        f"{part}/{name}": array for part, arrays in zip(PARTS, parts, strict=True) for name, array in arrays.items()
    }


def _resume(kept: dict[str, Any], run: Run, recorder: Recorder) -> int:
    """Bring a prepared run to where a snapshot was taken; the step after which that was."""
    parts = {
        part: {name.removeprefix(f"{part}/"): array for name, array in kept.items() if name.startswith(f"{part}/")}
        for part in PARTS
    }
    step = recorder.resume(parts["recorder"])
    if run.leaps:
        # Each leap is from the start, and the seeds are alike: they end together.
        return step
    trained = np.isin(np.arange(len(run.seeds)), recorder.alive)
    if not trained.all():
        run.descent.keep(trained)
        run.source.keep(trained)
    run.descent.resume(parts["descent"])
    run.source.resume(parts["source"])
    return step


def _steps(run: Run, after: int | None) -> Iterator[int]:
    """Every step, taken; or every one after a given one."""
    if after is None:
        yield 0
    for step in count(1 if after is None else after + 1):
        run.descent.advance(*run.source.draw())
        yield step


def _leaps(run: Run, recorder: "Recorder", after: int | None) -> Iterator[int]:
    """The recorded steps, and the first at which each level is at the tolerance with the one before, leapt to.

    All of them, or those after a given one.
    """
    data = run.source.draw()
    last = recorder.settings.max_steps

    def there(step: int) -> NDArray[np.bool_]:
        """Which levels are at the tolerance after a step; the seeds are alike."""
        run.descent.leap(*data, step)
        reached: NDArray[np.bool_] = run.descent.error()[0] <= recorder.threshold
        return reached

    def first(level: int) -> int:
        """The first step at which a level is at the tolerance; as errors fall, by bisection."""
        return bisect_left(range(last), True, key=lambda step: bool(there(step)[level]))

    firsts = {first(int(level)) for level in np.flatnonzero(there(last))}
    for step in sorted(recorder.looks() | firsts | {max(step - 1, 0) for step in firsts}):
        if after is not None and step <= after:
            continue
        run.descent.leap(*data, step)
        yield step


def _descend_in_blocks(
    noised: NoisedTarget, run: Run, settings: Settings, watch: Watch | None, goal: Goal | None
) -> TrainingRecord:
    """`descend` on a device: errors are read a block of steps at a time.

    Where something happens within a block (a level reaches the tolerance, an error blows up), the block is stepped
    again up to there, from a copy of its start, and on the same data.
    """
    from csd.networks.device import host

    descent, source = run.descent, run.source
    recorder = Recorder(noised, run, settings, goal)
    looks = sorted(recorder.looks())
    ahead: list[tuple[Any, ...]] = []
    kept = None if watch is None else watch.found()
    # What was kept has been observed before.
    step, error = (0, host([descent.error()])[0]) if kept is None else (_resume(kept, run, recorder), None)
    while True:
        if error is not None:
            done = recorder.observe(step, error, descent)
            if done.all():
                return recorder.finish()
            if done.any():
                descent.keep(~done)
                source.keep(~done)
                ahead = [tuple(_kept(part, ~done) for part in data) for data in ahead]
        # Data that was drawn ahead is no part of what is kept: a block that ends with it comes soon.
        if watch is not None and watch.passed(step, recorder.excess) and not ahead:
            watch.keep(_snapshot(step, run, recorder))
        length = min(looks[bisect_right(looks, step)] - step, source.steps)
        ahead += [source.draw() for _ in range(length - len(ahead))]
        start, errors = descent.state(), []
        for data in ahead[:length]:
            descent.advance(*data)
            errors.append(descent.error())
        read = host(errors)
        looked = min(recorder.quiet(read) + 1, length)
        if looked < length:
            descent.restore(start)
            for data in ahead[:looked]:
                descent.advance(*data)
        for passed in read[: looked - 1]:
            step += 1
            recorder.observe(step, passed, descent)
        step, error, ahead = step + 1, read[looked - 1], ahead[looked:]


def _kept(part: Any, seeds: NDArray[np.bool_]) -> Any:
    """S or T of the chosen seeds, where seeds have their own."""
    return part[np.flatnonzero(seeds)] if np.ndim(part) == 3 else part


def _diverged(seed: int, level: int, step: int, noised: NoisedTarget, run: Run, settings: Settings) -> TrainingDiverged:
    """The error of a training that blew up, with the rate that it would need."""
    rate, stable = run.rates[level], run.stable_rates[level]
    others = "; the other seeds of the job train without it, if it is left out" if len(run.seeds) > 1 else ""
    where = (
        f"training diverged at step {step} at noise level {noised.levels[level]:g} (seed {seed}),"
        f" with learning rate {rate:.4g}"
    )
    if np.isfinite(stable) and rate >= stable:
        return TrainingDiverged(f"{where}; it must be below {stable:.4g}")
    advice = f"take a learning rate of at most {rate / 4:.3g}"
    if settings.loss != "population":
        noise = (
            f"in the end the exact loss is stable below {stable:.4g}: the minibatch's noise or the way there did it; "
            if stable == stable
            else ""
        )
        return TrainingDiverged(f"{where}; {noise}{advice} or a batch of at least {4 * settings.batch}{others}")
    return TrainingDiverged(f"{where}; {advice}{others}")


def with_population(settings: Settings) -> Settings:
    """The same training on the exact population loss, on spectra, to the tolerance."""
    return replace(settings, loss="population", data_set=None, path="spectral", until="score_error")
