"""Trained scores, read back from a training file, and laid on a larger lattice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.files import Content
from csd.core.options import declared, said
from csd.core.plugins import resolve
from csd.lattice import Array, Lattice, Modes
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.targets.base import spec_of, target_from_spec, with_spectrum
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings


@dataclass
class Trained:
    """A training file, ready to generate from.

    Attributes:
        noised: the target at the levels wanted, on the trained lattice.
        modes: of the kernels.
        architecture: what was trained; None for user-defined networks.
        settings: how.
    """

    noised: NoisedTarget
    modes: Modes
    architecture: Architecture | None
    settings: TrainingSettings

    def noised_on(self, lattice: Lattice) -> NoisedTarget:
        """The target of the same mass on another lattice, at the same levels."""
        spec = spec_of(self.noised.target) | {"dimension": lattice.dimension, "size": lattice.size}
        return NoisedTarget(with_spectrum(target_from_spec(spec)), self.noised.schedule, self.noised.levels)


def load_trained(training: Content, levels: Sequence[float]) -> Trained:
    """What a training file says of itself.

    Args:
        training: of `csd train`.
        levels: those of its noise levels that are wanted, in the order wanted.

    Raises:
        InputError: if the file holds no kernels.
    """
    about = training.attrs
    if "kernel" not in training:
        raise InputError("the file holds no kernels; only linear networks can be generated from by their spectrum")
    if "data_digest" in about:
        raise InputError(
            "the file was trained on fields of a Monte Carlo file, whose law has no closed form to compare with"
        )
    target = with_spectrum(target_from_spec(about))
    noised = NoisedTarget(target, resolve("schedule", about["schedule"], {})(), levels)
    architecture = None
    if ":" not in about["architecture"]:
        architecture = Architecture.of_attributes(about)
    settings = TrainingSettings(**said(declared(TrainingSettings), about), seeds=training["seed"].values)
    modes = target.lattice.shells if about["modes"] == "shells" else target.lattice.pairs
    return Trained(noised, modes, architecture, settings)


@dataclass
class Kept:
    """The scores of a training file: those kept during training, or each seed's last one, under the latest step.

    Attributes:
        steps: training steps, shape (K,).
        score: with kernels of shape (levels, seeds, K, modes), levels falling; 1 where a seed had ended.
        ended: whether a seed's training had ended before a step, shape (seeds, K).
        chosen: place of the step that fields are sampled at.
    """

    steps: Array
    score: KernelScore
    ended: NDArray[np.bool_]
    chosen: int


def kept_scores(training: Content, trained: Trained, step: int | None) -> Kept:
    """The scores of a training file.

    Args:
        training: of `csd train`.
        trained: `load_trained` of it, with the levels of the grid, from the highest down.
        step: to sample fields at; the last one that all seeds have reached if None.

    Raises:
        InputError: if the step was not kept, or a kernel is not finite before its seed had ended.
    """
    levels = trained.noised.levels
    last = training["last_step"].values
    if "recorded_kernel" in training:
        kernels = _complex(training, "recorded_kernel", levels, "noise_level", "seed", "kernel_step", "mode")
        steps = training["kernel_step"].values
        ended = steps[None, :] > last[:, None]
    else:
        kernels = _complex(training, "kernel", levels, "noise_level", "seed", "mode")[:, :, None]
        steps = last.max(keepdims=True)
        ended = np.zeros((len(last), 1), dtype=bool)
    reached = steps[~ended.any(axis=0)]
    if step is not None and step not in reached:
        shown = ", ".join(map(str, reached))
        raise InputError(f"step {step} was not kept for all seeds; the file has kernels at {shown}")
    broken = ~np.isfinite(kernels).all(axis=(0, 3)) & ~ended
    if broken.any():
        row, place = np.argwhere(broken)[0]
        seed = int(training["seed"].values[row])
        raise InputError(f"the kernels of seed {seed} at step {steps[place]} are not finite; train again")
    chosen = int(np.flatnonzero(steps == (reached[-1] if step is None else step))[0])
    kernels = np.where(ended[None, :, :, None], 1.0, kernels)
    return Kept(steps, KernelScore(trained.noised.lattice, trained.modes, levels, kernels), ended, chosen)


def _complex(training: Content, name: str, levels: Sequence[float], *dims: str) -> Any:
    """A variable at some levels, along given dimensions, with its imaginary part where there is one."""
    found = training["noise_level"].values.tolist()
    places = [found.index(level) for level in levels]

    def part(name: str) -> Array:
        variable = training[name]
        ordered = variable.values.transpose([variable.dims.index(dim) for dim in dims])
        return np.asarray(ordered.take(places, axis=dims.index("noise_level")), dtype=float)

    imaginary = f"{name}_imaginary"
    return part(name) + 1j * part(imaginary) if imaginary in training else part(name)


def transfer(score: KernelScore, larger: Lattice) -> KernelScore:
    """A score on a larger lattice: κ(r) for |r_μ| < L/2, 0 beyond.

    Args:
        score: trained on a lattice of size L.
        larger: of at least this size.

    Returns:
        The score with its kernels at the same kind of modes of the larger lattice.
    """
    lattice, modes = score.lattice, score.modes
    if larger == lattice:
        return score
    to = larger.shells if modes.isotropic else larger.pairs
    box = lattice.box((lattice.size - 1) // 2)
    here, there = (np.ravel_multi_index(tuple((box % own.size).T), own.shape) for own in (lattice, larger))
    flat = score.kernels.reshape(-1, len(modes))
    moved = np.empty((len(flat), len(to)), dtype=flat.dtype)
    for row, kernel in enumerate(flat):
        placed = np.zeros(larger.sites)
        placed[there] = lattice.inverse(lattice.spread(kernel, modes)).ravel()[here]
        transformed = larger.gather(larger.transform(placed.reshape(larger.shape)), to)
        moved[row] = transformed if np.iscomplexobj(flat) else transformed.real
    return KernelScore(larger, to, score.levels, moved.reshape(*score.kernels.shape[:-1], len(to)))
