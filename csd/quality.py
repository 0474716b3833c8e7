"""What a training file generates: exact spectra at every kept step, sampled fields at one, quality of both.

The noise levels of the file, from the highest down, are the sampler's grid, and the kernel trained at a level steps
from it. Quality is the KL divergence per site from the noised target at the lowest level, and observables of the
spectrum. The generation training time is the number of training steps after which KL per site is within 0.01 of the
value that the exact score gives on the same grid (docs/physics.md, section 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from csd import observables
from csd.errors import InputError
from csd.field import Target
from csd.generation import INTEGRATORS, Integrator, check_grid, generated_variance, linear_steps, sample_modes
from csd.generation import start_variance as noise_variance
from csd.lattice import Array, Lattice, Modes
from csd.networks import Architecture
from csd.noise import NoisedTarget
from csd.plugins import resolve
from csd.store import labelled
from csd.stream import stream
from csd.training import LengthBins, Settings, prepare, with_population

MARGIN = 0.01
"""KL per site above the exact score's that counts as right."""
STARTS = ("noise", "exact")


@dataclass
class Sampler:
    """A target, a grid of noise levels from the highest down, an integrator and a start.

    Attributes:
        noised: the target at the levels of the grid.
        integrator: how a step is made.
        start: 'noise' or 'exact'.
    """

    noised: NoisedTarget
    integrator: Integrator
    start: str = "noise"

    def __post_init__(self) -> None:
        self.grid = check_grid(self.noised.levels)
        if self.start not in STARTS:
            raise InputError(f"start is {self.start!r}; it must be noise or exact")

    def start_variance(self, modes: Modes) -> Array | float:
        """V at the highest level."""
        if self.start == "exact":
            return np.asarray(self.noised.spectra_at(modes)[0])
        return noise_variance(self.noised.schedule, float(self.grid[0]))

    def variance(self, modes: Modes, kernels: Array) -> Array:
        """V(k) that kernels of shape (levels, …, modes) generate; shape (…, modes)."""
        steps = linear_steps(self.integrator, self.noised.schedule, self.grid, kernels)
        return np.broadcast_to(generated_variance(self.start_variance(modes), steps), kernels.shape[1:])

    def divergence(self, modes: Modes, kernels: Array) -> Array:
        """KL per site of what kernels of shape (levels, …, modes) generate; shape (…)."""
        return observables.kl_per_site(modes, self.variance(modes, kernels), self.noised.spectra_at(modes)[-1])

    def exact_divergence(self) -> float:
        """KL per site that the exact score leaves on this grid: discretisation and start."""
        modes = self.noised.lattice.shells
        return float(self.divergence(modes, 1.0 / self.noised.spectra_at(modes)))


def crossing_step(steps: Sequence[int] | Array, divergence: Array, threshold: float) -> float:
    """Training step at which KL falls to a threshold for good, between recorded steps by ln KL against ln step.

    Args:
        steps: recorded steps, rising.
        divergence: KL per site at each of them.
        threshold: what is right.

    Returns:
        NaN if the last one is above the threshold, or none is, unless that is so from step 0 on.
    """
    above = np.flatnonzero(divergence > threshold)
    if not len(above):
        return 0.0 if steps[0] == 0 else float("nan")
    last = int(above[-1])
    if last + 1 == len(steps):
        return float("nan")
    x = np.log(np.maximum(np.array([steps[last], steps[last + 1]], dtype=float), 0.5))
    y = np.log(divergence[[last, last + 1]])
    return float(np.exp(x[0] + (x[1] - x[0]) * (y[0] - np.log(threshold)) / (y[0] - y[1])))


def predicted_divergence(sampler: Sampler, architecture: Architecture, settings: Settings, steps: Array) -> Array:
    """KL per site after training on the population loss, by the exact map and recursion; shape of `steps`.

    Args:
        sampler: on the levels that are trained.
        architecture: the network, one of ours.
        settings: of training; learning rate and first seed matter.
        steps: training steps, rising.
    """
    exact = replace(with_population(settings), seeds=settings.seeds[:1])
    run = prepare(sampler.noised, architecture, exact)
    values = np.empty(len(steps))
    step = 0
    for place, wanted in enumerate(steps):
        while step < wanted:
            run.descent.advance(*run.source.draw())
            step += 1
        values[place] = sampler.divergence(run.modes, run.descent.kernel()[0])
    return values


def load_sampler(training: xr.Dataset, integrator: str, start: str) -> tuple[Sampler, Modes]:
    """The sampler that a training file makes, and the momenta of its kernels.

    Raises:
        InputError: if the file holds fewer than two noise levels or no kernels, or a name is unknown.
    """
    attributes = training.attrs
    lattice = Lattice(int(attributes["dimension"]), int(attributes["size"]))
    target: Target = resolve("target", attributes["target"], {})(lattice, float(attributes["mass"]))
    schedule = resolve("schedule", attributes["schedule"], {})()
    levels = np.sort(training["noise_level"].values)[::-1]
    if "kernel" not in training:
        raise InputError("the file holds no kernels; only linear networks can be generated from by their spectrum")
    if len(levels) < 2:
        raise InputError("the file holds one noise level; a sampler needs a grid of at least two")
    made: Any = resolve("integrator", integrator, INTEGRATORS)()
    modes = lattice.shells if attributes["modes"] == "shells" else lattice.pairs
    return Sampler(NoisedTarget(target, schedule, levels.tolist()), made, start), modes


@dataclass
class Kept:
    """Kernels of a training file: those kept on the way, or each seed's last one, under the latest step.

    Attributes:
        steps: training steps, shape (K,).
        kernels: with levels falling, shape (levels, seeds, K, modes); 1 where a seed had ended.
        ended: whether a seed's training had ended before a step, shape (seeds, K).
        chosen: place of the step that fields are sampled at.
    """

    steps: Array
    kernels: Any
    ended: NDArray[np.bool_]
    chosen: int


def kept_kernels(training: xr.Dataset, step: int | None) -> Kept:
    """The kernels of a training file.

    Args:
        training: of `csd train`.
        step: to sample fields at; the last one that all seeds have reached if None.

    Raises:
        InputError: if the step was not kept, or a kernel is not finite before its seed had ended.
    """
    falling = training.sortby("noise_level", ascending=False)
    last = falling["last_step"].values
    if "recorded_kernel" in falling:
        dims = ("noise_level", "seed", "kernel_step", "mode")
        kernels = falling["recorded_kernel"].transpose(*dims).values.astype(float)
        kernels = _with_imaginary(kernels, falling, "recorded_kernel_imaginary")
        steps = falling["kernel_step"].values
        ended = steps[None, :] > last[:, None]
    else:
        kernels = falling["kernel"].transpose("noise_level", "seed", "mode").values[:, :, None]
        kernels = _with_imaginary(kernels, falling, "kernel_imaginary")
        steps = last.max(keepdims=True)
        ended = np.zeros((len(last), 1), dtype=bool)
    reached = steps[~ended.any(axis=0)]
    if step is not None and step not in reached:
        shown = ", ".join(map(str, reached))
        raise InputError(f"step {step} was not kept for all seeds; the file has kernels at {shown}")
    broken = ~np.isfinite(kernels).all(axis=(0, 3)) & ~ended
    if broken.any():
        row, place = np.argwhere(broken)[0]
        seed = int(training["seed"][row])
        raise InputError(f"the kernels of seed {seed} at step {steps[place]} are not finite; train again")
    chosen = int(np.flatnonzero(steps == (reached[-1] if step is None else step))[0])
    return Kept(steps, np.where(ended[None, :, :, None], 1.0, kernels), ended, chosen)


def _with_imaginary(kernel: Array, training: xr.Dataset, name: str) -> Any:
    """Kernels with their imaginary part, where there is one."""
    if name not in training:
        return kernel
    dims = [dim for dim in ("noise_level", "seed", "kernel_step", "mode") if dim in training[name].dims]
    return kernel + 1j * training[name].transpose(*dims).values.reshape(kernel.shape)


@dataclass
class Samples:
    """Observables of fields drawn mode by mode, one entry a sample; spectra are summed as they stream by.

    Attributes:
        spectrum: mean power spectrum of each bin, shape (bins,).
        spectrum_error: its standard error.
        zero_mode, first_mode: S(0) and S(k₁) of each sample, shape (samples,).
        energy, variance: of each sample, shape (samples,).
    """

    spectrum: Array
    spectrum_error: Array
    zero_mode: Array
    first_mode: Array
    energy: Array
    variance: Array


def draw_samples(
    sampler: Sampler, modes: Modes, kernels: Any, bins: LengthBins, count: int, *purpose: object
) -> Samples:
    """Draw fields from kernels of shape (levels, modes); memory does not grow with the count.

    Args:
        sampler: grid, integrator and start.
        modes: the lattice's *pairs*.
        kernels: K at each level of the grid and mode.
        bins: of wavenumbers.
        count: fields, at least 2.
        purpose: what the streams hang on; each sample has its own.
    """
    steps = linear_steps(sampler.integrator, sampler.noised.schedule, sampler.grid, kernels)
    start = sampler.start_variance(modes)
    total, squares = np.zeros(len(bins.middles)), np.zeros(len(bins.middles))
    first_weight = observables.first_shell(sampler.noised.lattice, modes)
    each = np.empty((4, count))
    for sample in range(count):
        field = sample_modes(steps, modes, start, stream("sample", *purpose, sample))
        spectrum = field.real**2 + field.imag**2
        binned = bins.mean(spectrum)
        total += binned
        squares += binned**2
        each[:, sample] = (
            observables.susceptibility(modes, spectrum),
            spectrum @ first_weight,
            observables.energy(modes, spectrum),
            observables.variance(modes, spectrum),
        )
    mean = total / count
    error = np.sqrt(np.maximum(squares / count - mean**2, 0.0) / (count - 1))
    return Samples(mean, error, *each)


def jackknife(statistic: Any, *samples: Array) -> tuple[float, float]:
    """(value, standard error) of a function of means, by leaving out one sample at a time."""
    count = len(samples[0])
    totals = [values.sum() for values in samples]
    left_out = np.array(
        [
            statistic(*((total - values[i]) / (count - 1) for total, values in zip(totals, samples, strict=True)))
            for i in range(count)
        ]
    )
    value = float(statistic(*(total / count for total in totals)))
    return value, float(np.sqrt((count - 1) * np.mean((left_out - left_out.mean()) ** 2)))


def evaluate(training: xr.Dataset, integrator: str, start: str, samples: int, step: int | None = None) -> xr.Dataset:
    """What a training file generates.

    Args:
        training: of `csd train`, with at least two noise levels.
        integrator: a key of `csd.generation.INTEGRATORS`, or a dotted path.
        start: 'noise' or 'exact'.
        samples: fields to draw for each seed, at least 2.
        step: training step to draw them at; the last kept one that all seeds have reached if None.

    Returns:
        kl_per_site(seed, step) and observables of the exact spectrum of what is generated, at every kept training step;
        generation_training_time(seed); power_spectrum(seed, wavenumber) and sampled observables at one step.

    Raises:
        InputError: if the file does not allow it: say which steps were kept, which levels are there.
        GenerationFailed: if a mode blows up.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 2:
        raise InputError(f"samples is {samples!r}; it must be an integer of at least 2")
    sampler, modes = load_sampler(training, integrator, start)
    kept = kept_kernels(training, step)
    bins = LengthBins(modes, sampler.noised.target.mass, sampler.noised.lattice.dimension)
    variables = {
        **_generated(sampler, modes, kept, bins),
        **_predicted(sampler, training, kept),
        **_exact(sampler),
        **_sampled(sampler, modes, training, kept.kernels[:, :, kept.chosen], samples),
    }
    return xr.Dataset(
        variables,
        {
            "seed": training["seed"],
            "step": labelled(["step"], kept.steps, "training step", "steps"),
            "wavenumber": labelled(["wavenumber"], bins.wavenumbers, "wavenumber", "inverse lattice spacings"),
        },
        {
            "integrator": integrator,
            "start": start,
            "samples": samples,
            "sampled_step": int(kept.steps[kept.chosen]),
            "t_max": float(sampler.grid[0]),
            "t_min": float(sampler.grid[-1]),
            "sampler_steps": len(sampler.grid) - 1,
            "note_start": "noise: independent normal numbers of variance signal^2 + sigma^2 at t_max; exact: the"
            " noised target's own law at t_max",
            **{name: training.attrs[name] for name in CARRIED},
        },
    )


def _observables(lattice: Lattice, modes: Modes, spectrum: Array) -> dict[str, tuple[Array, str]]:
    """(value, units) of each observable of a spectrum."""
    return {
        "susceptibility": (observables.susceptibility(modes, spectrum), "1"),
        "correlation_length": (observables.correlation_length(lattice, modes, spectrum), "lattice spacings"),
        "energy": (observables.energy(modes, spectrum), "1"),
        "variance": (observables.variance(modes, spectrum), "1"),
    }


def _words(name: str) -> str:
    """A variable's name as words."""
    return name.replace("_", " ")


def _generated(sampler: Sampler, modes: Modes, kept: Kept, bins: LengthBins) -> dict[str, xr.Variable]:
    """KL, observables and spectra of what the kept kernels generate, exactly; NaN where a seed had ended."""

    def shown(values: Array) -> Array:
        gone = kept.ended if values.ndim == 2 else kept.ended[..., None]
        return np.where(gone, np.nan, values)

    variance = sampler.variance(modes, kept.kernels)
    divergence = shown(observables.kl_per_site(modes, variance, sampler.noised.spectra_at(modes)[-1]))
    right = sampler.exact_divergence() + MARGIN
    rows = zip(divergence, kept.ended, strict=True)
    times = [crossing_step(kept.steps[~gone], row[~gone], right) for row, gone in rows]
    dims = ["seed", "step"]
    variables = {
        "kl_per_site": labelled(dims, divergence, "KL divergence per site of what is generated"),
        "generation_training_time": labelled(
            ["seed"], times, f"training time until KL per site is within {MARGIN} of the exact score's", "steps"
        ),
        "generated_spectrum": labelled(
            [*dims, "wavenumber"], shown(bins.mean(variance)), "exact spectrum of what is generated"
        ),
    }
    for name, (values, units) in _observables(sampler.noised.lattice, modes, variance).items():
        variables[name] = labelled(dims, shown(values), f"{_words(name)} of what is generated", units)
    return variables


def _exact(sampler: Sampler) -> dict[str, xr.Variable]:
    """The target's own values at the lowest level, and what the exact score generates on this grid."""
    lattice = sampler.noised.lattice
    modes = lattice.shells
    spectra = sampler.noised.spectra_at(modes)
    variables = {
        "exact_score_kl_per_site": labelled(
            [], sampler.exact_divergence(), "KL divergence per site with the exact score on this grid"
        ),
        "exact_spectrum": labelled(
            ["wavenumber"],
            LengthBins(modes, sampler.noised.target.mass, lattice.dimension).mean(spectra[-1]),
            "exact spectrum",
        ),
    }
    for prefix, spectrum, words in (
        ("exact", spectra[-1], "exact"),
        ("exact_score", sampler.variance(modes, 1.0 / spectra), "with the exact score on this grid:"),
    ):
        for name, (value, units) in _observables(lattice, modes, spectrum).items():
            variables[f"{prefix}_{name}"] = labelled([], value, f"{words} {_words(name)}", units)
    return variables


def _predicted(sampler: Sampler, training: xr.Dataset, kept: Kept) -> dict[str, xr.Variable]:
    """KL per site and generation training time for the population loss; NaN for networks from outside."""
    about = training.attrs
    divergence, time = np.full(len(kept.steps), np.nan), np.nan
    if ":" not in about["architecture"]:
        reach = about["range"]
        architecture = Architecture(
            about["architecture"],
            int(about["depth"]) or None,
            (int(reach) if reach.isdigit() else reach) if reach else None,
            int(about["channels"]) or None,
        )
        settings = Settings(
            seeds=(int(training["seed"][0]),),
            learning_rate=float(about["learning_rate_given"]) or None,
            max_steps=int(about["max_steps"]),
        )
        divergence = predicted_divergence(sampler, architecture, settings, kept.steps)
        time = crossing_step(kept.steps, divergence, sampler.exact_divergence() + MARGIN)
    return {
        "predicted_kl_per_site": labelled(["step"], divergence, "KL divergence per site, predicted"),
        "predicted_generation_training_time": labelled([], time, "generation training time, predicted", "steps"),
    }


CARRIED = ("architecture", "label", "dimension", "size", "mass", "schedule", "target", "loss", "batch", "data_set")
"""Attributes of the training file that a generation file keeps."""


def _sampled(sampler: Sampler, modes: Modes, training: xr.Dataset, kernels: Any, count: int) -> dict[str, xr.Variable]:
    """Sampled spectra and observables of every seed, with errors; kernels of shape (levels, seeds, modes)."""
    lattice = sampler.noised.lattice
    pairs = lattice.pairs
    if modes.isotropic:
        kernels = lattice.gather(lattice.spread(kernels, modes), pairs)
    bins = LengthBins(pairs, sampler.noised.target.mass, lattice.dimension)
    identity = training.attrs.get("configuration_hash", "")
    drawn = [
        draw_samples(sampler, pairs, kernels[:, row], bins, count, identity, int(seed))
        for row, seed in enumerate(training["seed"].values)
    ]
    spectrum = ["seed", "wavenumber"]
    variables = {
        "power_spectrum": labelled(spectrum, [s.spectrum for s in drawn], "power spectrum of sampled fields"),
        "power_spectrum_error": labelled(spectrum, [s.spectrum_error for s in drawn], "its standard error"),
    }

    def length(zero: float, first: float) -> float:
        return float(np.sqrt(max(zero / first - 1.0, 0.0)) / (2.0 * np.sin(np.pi / lattice.size)))

    measured = {
        "susceptibility": [jackknife(float, s.zero_mode) for s in drawn],
        "correlation_length": [jackknife(length, s.zero_mode, s.first_mode) for s in drawn],
        "energy": [jackknife(float, s.energy) for s in drawn],
        "variance": [jackknife(float, s.variance) for s in drawn],
    }
    for name, pairs_of in measured.items():
        values, errors = zip(*pairs_of, strict=True)
        units = "lattice spacings" if name == "correlation_length" else "1"
        variables[f"sampled_{name}"] = labelled(["seed"], values, f"{_words(name)} of sampled fields", units)
        variables[f"sampled_{name}_error"] = labelled(["seed"], errors, "its standard error, by the jackknife", units)
    return variables
