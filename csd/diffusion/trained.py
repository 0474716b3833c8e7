"""Read trained networks and scores from a training file, and transfer scores to a larger lattice.

A file holds the weights of every network and its architecture: `trained_networks` makes modules, which can be trained
further, and `trained_score` a score, from which one can sample. `kept_scores` returns the kernels of linear networks,
also of earlier training steps where the file has them.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.files import Content
from csd.core.options import declared
from csd.core.plugins import is_user_path
from csd.core.random import stream
from csd.core.source import plugin_fingerprint
from csd.lattice import Array, Lattice, Modes
from csd.networks import Architecture
from csd.networks.registry import said
from csd.networks.score import KernelScore, Score, level_of
from csd.networks.starts import start_stream
from csd.targets.base import HasFields, HasSpectrum, lattice_of, target_from_spec, with_spectrum
from csd.targets.noising import NoisedTarget, learned_spectra, schedule_of
from csd.training.options import TrainingSettings

if TYPE_CHECKING:
    from csd.networks.module import ScoreNetwork


@dataclass
class Trained:
    """The target, network and options of a training file.

    Attributes:
        noised: the target on the trained lattice at the chosen levels.
        modes: of the kernels.
        architecture: the network; None if it is user-defined.
        settings: options of training.
    """

    noised: NoisedTarget
    modes: Modes
    architecture: Architecture | None
    settings: TrainingSettings


def noised_on(
    training: Content, lattice: Lattice, levels: Sequence[float], data: HasFields | None = None
) -> NoisedTarget:
    """The target of a training file on another lattice, with the same mass.

    Args:
        training: of `csd train`.
        lattice: where the target lives.
        levels: noise levels.
        data: fields of that lattice, for a network that was trained on a data set.

    Raises:
        InputError: if the network was trained on a data set, and there are no such fields, or they have another number
            of components.
    """
    about = training.attrs
    schedule = schedule_of(about["schedule"])
    if "data_digest" not in about:
        spec = {**about, "dimension": lattice.dimension, "size": lattice.size}
        return NoisedTarget(with_spectrum(target_from_spec(spec)), schedule, levels)
    if data is None or data.lattice != lattice:
        raise InputError(
            f"size is {lattice.size}, but the network was trained on fields of size {about['size']}, and there are no"
            " fields of another size to compare with; give fields of that size by --data, or data= from Python, or"
            " leave size out"
        )
    architecture = Architecture.of_attributes(about)
    own, other = (architecture.components_of(fields) or 1 for fields in (about, data))
    if own != other:
        raise InputError(
            f"data has fields of {other} components, but the network was trained on fields of {own}; both must have as"
            " many"
        )
    return NoisedTarget(data, schedule, levels)


def load_trained(training: Content, levels: Sequence[float], data: HasFields | None = None) -> Trained:
    """Read the target, network and options of a training file.

    Args:
        training: of `csd train`.
        levels: the chosen ones of its noise levels, in the chosen order.
        data: the fields that the network was trained on; if None, they are read from the file that is named in
            `training`. They are not used for a target of another kind.

    Raises:
        InputError: if the network was trained on other fields, or on fields that are not found.
    """
    about = training.attrs
    target: HasSpectrum
    if "data_digest" not in about:
        target = with_spectrum(target_from_spec(about))
    elif data is None:
        target = fields_of(about)
    elif data.digest != about["data_digest"]:
        raise InputError(f"data is {data.digest}, by its digest, but the network was trained on {about['data_digest']}")
    else:
        target = data
    noised = NoisedTarget(target, schedule_of(about["schedule"]), levels)
    settings = TrainingSettings(**said(declared(TrainingSettings), about), seeds=training["seed"].values)
    architecture = None if ":" in about["architecture"] else Architecture.of_attributes(about)
    return Trained(noised, _modes(about), architecture, settings)


def fields_of(about: Mapping[str, Any], data: Any = None) -> HasFields:
    """The fields that a training file was made from.

    Args:
        about: attributes of the training file.
        data: path or array of the fields; the path in the attributes if None.

    Raises:
        InputError: if there are none, they are in no file, or the file is not there or has changed.
    """
    advice = "give the fields by --data, or by data= from Python"
    if "data_digest" not in about:
        raise InputError("data is given, but the network was trained on no data; leave it out")
    data = about.get("data_file") if data is None else data
    if data is None:
        raise InputError(f"the network was trained on fields of digest {about['data_digest']}, in no file; {advice}")
    try:
        return cast("HasFields", target_from_spec({**about, "data": data}))
    except InputError as error:
        raise InputError(f"{error} (the network was trained on these fields; {advice})") from error


def _modes(about: Mapping[str, Any]) -> Modes:
    """The momenta of the kernels of a file."""
    lattice = lattice_of(about)
    return lattice.shells if about["modes"] == "shells" else lattice.pairs


def trained_networks(training: Content, seed: int, other: NoisedTarget | None = None) -> list["ScoreNetwork"]:
    """The networks of one seed as modules, one for each noise level, with the weights of the file.

    A conditioned network serves all noise levels, and is the only one.

    Args:
        training: of `csd train`.
        seed: one of the seeds of the file.
        other: the target on another lattice, for which the networks are built with the same weights; constants that do
            not depend on the lattice, such as ⟨φ²⟩, stay those of the training.

    Raises:
        InputError: if the file has no such seed, or no weights, or those of a network of another form, or the network
            cannot be built on the other lattice.
    """
    from csd.networks.module import load_weights, on_lattice, weights_of

    conditioned = is_conditioned(training)
    if (held := "conditioned_weights" if conditioned else "weights") not in training:
        raise InputError("the file holds no weights, as it was written by an earlier version; train again")
    _warn_of_other_code(training.attrs)
    kept = _complex(training, held, *["noise_level"] * (not conditioned), "seed", "weight")
    about, architecture, row = training.attrs, Architecture.of_attributes(training.attrs), _row_of(training, seed)
    lattice, modes = lattice_of(about), _modes(about)
    # As `learned_spectra` had it when the networks were built.
    propagator = training["training_spectrum" if "training_spectrum" in training else "propagator"].values
    levels = (training[name].values for name in ("noise_level", "score_length", "signal", "noise_variance"))
    schedule, modules = schedule_of(about["schedule"]), []
    form = {"conditioned": conditioned, "components": architecture.components_of(about)}
    for place, (level, length, signal, variance) in enumerate(zip(*levels, strict=True)):
        if conditioned and level != training["noise_level"].values.min():
            continue
        generator = start_stream(lattice, architecture, seed, float(level))
        spectrum = signal**2 * propagator + variance
        module = architecture.module(lattice, float(length), spectrum, generator, (schedule, float(level)), **form)
        weights = kept[row] if conditioned else kept[place, row]
        if about["weights_are"] == "modes":
            # Equal layers are stored once.
            filters = lattice.inverse(lattice.spread(weights, modes)).ravel()
            weights = np.resize(filters, sum(parameter.numel() for parameter in module.parameters()))
        needed, found = len(weights_of(module)), int(np.isfinite(weights).sum())
        if needed != found:
            raise InputError(
                f"the file holds {found} weights of a network {architecture.name!r}, which has {needed} here; if its"
                " code or the file was changed, train again"
            )
        load_weights(module, weights)
        if other is not None and other.lattice != lattice:
            at = NoisedTarget(other.target, schedule, [float(level)])
            length, spectrum, noise = float(at.score_lengths()[0]), learned_spectra(at)[0], (schedule, float(level))
            built = architecture.module(other.lattice, length, spectrum, generator, noise, **form)
            module = on_lattice(built, module)
        modules.append(module)
    return modules


def _warn_of_other_code(about: Mapping[str, Any]) -> None:
    """Warn if the class of a user-defined network is not the one that was trained."""
    names = [str(about.get(name, "")) for name in ("architecture", "target", "schedule", "loss")]
    if about.get("until") == "samples":
        names.append(str(about.get("integrator", "")))
    made_by = str(about.get("source_hash", ""))
    # The hash of user-defined code comes after the first 16 digits.
    if made_by and is_user_path(names[0]) and plugin_fingerprint(*names) != made_by[16:]:
        warnings.warn(
            f"the weights were trained with other code of {', '.join(filter(is_user_path, names))} than is found here;"
            " train again unless the score of the network is still the same",
            stacklevel=3,
        )


def trained_score(training: Content, seed: int, other: NoisedTarget | None = None, device: str = "cpu") -> Score:
    """The score of one seed at the noise levels of the file; with a kernel where it is linear.

    That of a conditioned network can be called at any noise level.

    Args:
        training: of `csd train`.
        seed: one of the seeds of the file.
        other: the target on another lattice, as for `trained_networks`; only for networks without a kernel.
        device: of networks without a kernel, 'cpu', 'cuda' or 'auto'; fields come from NumPy and return to it.

    Raises:
        InputError: if the file has no such seed, or neither weights nor kernels.
    """
    levels, row = training["noise_level"].values.tolist(), _row_of(training, seed)
    mean = training.attrs.get("mean", 0.0)
    means = mean * training["signal"].values if mean else np.zeros(len(levels))
    if is_linear(training):
        kernels = _last_kernels(training)[:, row]
        return KernelScore(lattice_of(training.attrs), _modes(training.attrs), levels, kernels, means)
    networks = [own.eval() for own in trained_networks(training, seed, other)]
    # A user-defined network may draw numbers, or differentiate an energy, which inference mode forbids.
    own_code = is_user_path(training.attrs["architecture"])
    called = _caller(stream("layers", "score", seed) if own_code else None, device)
    if is_conditioned(training):
        schedule = schedule_of(training.attrs["schedule"])
        return lambda fields, t: called(networks[0], fields - schedule.signal(t) * mean if mean else fields, float(t))
    found = {level: own for level, *own in zip(levels, networks, means, strict=True)}

    def score(fields: Array, t: float, /) -> Array:
        """s(x, t) of the network trained at t, which takes x − α μ; an InputError at any other level."""
        network, mean = found[level_of(found, t, "network")]
        return called(network, fields - mean if mean else fields)

    return score


def _caller(layers: np.random.Generator | None, device: str) -> Callable[..., Array]:
    """(network, fields, further arguments) → its score, on a device; in inference mode without a stream for layers."""
    import torch

    from csd.networks.border import TorchStream
    from csd.training.descent.modules import choose_device

    there = choose_device(device)
    state = None if layers is None else TorchStream(int(layers.integers(2**63)), there)

    def called(network: "ScoreNetwork", fields: Array, *at: float) -> Array:
        """s(x) or s(x, t), for fields of NumPy."""
        network.to(there)
        given = torch.as_tensor(fields, device=there)
        if state is None:
            with torch.inference_mode():
                return np.asarray(network(given, *at).cpu())
        with torch.no_grad(), state:
            return np.asarray(network(given, *at).cpu())

    return called


def is_conditioned(training: Content) -> bool:
    """Whether one network of each seed serves all noise levels."""
    return bool(training.attrs.get("conditioned", False))


def is_linear(training: Content) -> bool:
    """Whether the networks of a training file have kernels."""
    return bool(training.attrs.get("kernels", "real" if "kernel" in training else "none") != "none")


def _row_of(training: Content, seed: int) -> int:
    """The index of a seed in a file."""
    seeds = training["seed"].values.tolist()
    if seed not in seeds:
        raise InputError(f"seed is {seed!r}; the file has {', '.join(map(str, seeds))}")
    return int(seeds.index(seed))


def _last_kernels(training: Content) -> Any:
    """K after the last step, shape (levels, seeds, modes), stored in the file or computed from its networks."""
    if "kernel" in training:
        return _complex(training, "kernel", "noise_level", "seed", "mode")
    from csd.networks.module import kernel_of

    networks = [trained_networks(training, seed) for seed in training["seed"].values.tolist()]
    halves = [[kernel_of(own.eval()).detach().numpy() for own in of_level] for of_level in zip(*networks, strict=True)]
    kernels = lattice_of(training.attrs).gather(np.array(halves), _modes(training.attrs))
    return kernels if training.attrs["kernels"] == "complex" else kernels.real


@dataclass
class Kept:
    """The scores of a training file: those recorded during training, or the last one of each seed.

    Attributes:
        steps: training steps, shape (K,).
        score: with kernels of shape (levels, seeds, K, modes), levels falling; 1 after the last step of a seed.
        ended: whether the training of a seed ended before a step, shape (seeds, K).
        chosen: index of the step of the sampled fields.
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
        step: of the sampled fields; if None, the last one that all seeds have reached.

    Raises:
        InputError: if the step was not kept, or a kernel is not finite.
    """
    noised, modes, last = trained.noised, trained.modes, training["last_step"].values
    found = training["noise_level"].values.tolist()
    places = [found.index(level) for level in noised.levels]
    order = ("noise_level", "seed", "kernel_step")
    if "recorded_residual" in training:
        at = training["recorded_residual"].dims[-1]
        modes = trained.modes if at == "mode" else noised.lattice.shells
        kernels = 1.0 + _complex(training, "recorded_residual", *order, at)[places]
        kernels /= noised.spectra_at(modes)[:, None, None]
    elif "recorded_kernel" in training:
        # A file of an earlier version.
        kernels = _complex(training, "recorded_kernel", *order, "mode")[places]
    else:
        kernels = _last_kernels(training)[places, :, None]
    steps = training["kernel_step"].values if "kernel_step" in training else last.max(keepdims=True)
    ended = (steps[None, :] > last[:, None]) & ("kernel_step" in training)
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
    return Kept(steps, KernelScore(noised.lattice, modes, noised.levels, kernels, noised.means), ended, chosen)


def _complex(training: Content, name: str, *dims: str) -> Any:
    """A variable with the given order of dimensions, complex if the file has an imaginary part."""

    def part(name: str) -> Array:
        variable = training[name]
        return np.asarray(variable.values.transpose([variable.dims.index(dim) for dim in dims]), dtype=float)

    imaginary = f"{name}_imaginary"
    return part(name) + 1j * part(imaginary) if imaginary in training else part(name)


def transfer(score: KernelScore, larger: Lattice) -> KernelScore:
    """Transfer a score to a larger lattice: κ(r) for |r_μ| < L/2, 0 beyond.

    Args:
        score: trained on a lattice of size L.
        larger: lattice of at least this size.

    Returns:
        The score with kernels at the same kind of modes of the larger lattice.
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
    kernels = moved.reshape(*score.kernels.shape[:-1], len(to))
    return KernelScore(larger, to, score.levels, kernels, score.means)
