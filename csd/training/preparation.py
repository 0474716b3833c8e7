"""Preparation: networks at their start, their descent, and where its data come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.lattice import Array, Lattice, Modes
from csd.lattice.memory import require_memory
from csd.networks import ARCHITECTURES, Architecture
from csd.networks.linear import LinearNetwork
from csd.targets.noising import NoisedTarget
from csd.training.batches import Expectation, FreshSpectra, RawFields, Source, empirical_spectra
from csd.training.descent.families import descent_of
from csd.training.descent.modes import ModeDescent
from csd.training.descent.momentum import HeavyBall
from csd.training.losses import OBJECTIVES, Objective
from csd.training.options import TrainingSettings


@dataclass
class Prepared:
    """A descent and the data that it steps on; made by `prepare`.

    On a device, descent and data are tensors, and errors are read many steps at a time. With `closed_form`, a formula
    leads from one recorded step to the next. Steps that are not `plain` gradient descent have no closed form at all:
    theory follows them.
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
    closed_form: bool = False
    plain: bool = True


def identity(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> str:
    """What names the random streams of a run, besides seed and noise level."""
    what = f"{type(noised.schedule).__name__} {architecture.label} {settings.loss}"
    return f"{data_identity(noised)} {what} B={settings.batch} M={settings.data_set} {settings.path}"


def data_identity(noised: NoisedTarget) -> str:
    """What names the random stream of a data set, besides its seed and size: every architecture learns the same."""
    target, lattice = noised.target, noised.lattice
    return f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"


def start_stream(lattice: Lattice, architecture: Architecture, seed: int, level: float) -> np.random.Generator:
    """The stream of a network's random start: one a seed and noise level.

    It is the same whatever the loss, so that theory can follow a seed, and whatever the size and the mass, so that a
    seed of a local network starts from the same filters on every lattice, but for the amplitude that the lattice sets:
    what the start does to the training time then drops out of its growth with size.
    """
    return stream("start", lattice.dimension, architecture.label, seed, level)


def prepare(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> Prepared:
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
    written_out = architecture.is_family and settings.path == "spectral"
    run = _prepare_family(noised, architecture, settings, objective) if written_out else None
    if run is None:
        run = _prepare_modules(noised, architecture, settings, objective)
    elif settings.device == "cuda":
        run = move(run, "cuda")
    return with_momentum(run, settings.momentum)


def with_momentum(run: Prepared, momentum: float) -> Prepared:
    """A run that has not stepped yet, with the heavy ball's steps; itself without momentum.

    It is stable at learning rates up to 1 + β times those of plain descent.

    Args:
        run: on the CPU, or trained by autograd; on power spectra a device reads errors many steps at a time.
        momentum: β, from 0 to below 1.
    """
    if momentum == 0.0:
        return run
    descent, stable = HeavyBall(run.descent, momentum), (1.0 + momentum) * run.stable_rates
    return replace(run, descent=descent, stable_rates=stable, closed_form=False, plain=False)


def move(run: Prepared, device: str) -> Prepared:
    """A run on power spectra that has not stepped yet, on a PyTorch device; its random numbers stay the CPU's.

    Raises:
        InputError: if there is no such device, or the descent cannot live there.
    """
    import torch

    from csd.training.descent.device import on_device
    from csd.training.descent.modules import choose_device

    there = choose_device(device)
    run.source.serve(lambda array: torch.tensor(array, device=there))  # type: ignore[attr-defined]
    return replace(run, descent=on_device(run.descent, there), on_device=True, closed_form=False)


def _known(
    networks: Sequence[Any], spectra: Iterable[Array], settings: TrainingSettings
) -> tuple[Array, Array, Array, Array]:
    """(η, the largest stable η, R, ε_R) of the network at each level, shape (levels,) each.

    Args:
        networks: families, or modules, of which only the rate is known.
        spectra: C, as their `learning_rate` takes it.
        settings: with the rate, if one is given.
    """
    rates, stable, ranges, floors = np.full((4, len(networks)), np.nan)
    floors[:] = 0.0
    for level, (network, spectrum) in enumerate(zip(networks, spectra, strict=True)):
        rates[level], ranges[level] = settings.learning_rate or network.learning_rate(spectrum), network.reach
        if isinstance(network, LinearNetwork):
            stable[level], floors[level] = network.stable_rate(spectrum), network.floor(spectrum)
    return rates, stable, ranges, floors


def _prepare_family(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective
) -> Prepared | None:
    """Descent on power spectra, written out; None for a family that only autograd can step."""
    lattice = noised.lattice
    networks = [architecture.build(lattice, float(length)) for length in noised.score_lengths()]
    spectra = noised.spectra_at(lattice.shells)
    rates, stable, ranges, floors = _known(networks, spectra, settings)
    seeded = objective.stochastic or settings.data_set is not None
    modes = lattice.shells if not seeded and all(network.isotropic for network in networks) else lattice.pairs
    starts = [
        [
            network.start(spectrum, start_stream(lattice, architecture, seed, level))
            for network, spectrum, level in zip(networks, spectra, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    descent = descent_of(
        networks, modes, noised.spectra_at(modes), rates, starts, complex_kernel=objective.complex_target
    )
    if descent is None:
        return None
    source = _source(noised, architecture, settings, objective, modes)
    parameters = np.array([network.parameters for network in networks], dtype=np.int64)
    # One full layer on the exact loss, where its error is sure to fall at every step.
    one_layer = not seeded and isinstance(descent, ModeDescent) and descent.depth == 1
    closed_form = one_layer and bool((rates < stable).all())
    return Prepared(
        descent, source, modes, rates, stable, parameters, ranges, floors, settings.seeds, closed_form=closed_form
    )


def _source(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective, modes: Modes
) -> Source:
    """Data for descent on raw fields or on power spectra."""
    name = identity(noised, architecture, settings)
    if settings.path == "fields":
        return RawFields(noised, settings.batch, settings.data_set, name, settings.seeds)
    if settings.data_set is not None:
        spectra = empirical_spectra(noised, modes, settings.data_set, data_identity(noised), settings.seeds)
        return Expectation(spectra)
    if objective.stochastic:
        return FreshSpectra(objective, noised, modes, settings.batch, name, settings.seeds)
    return Expectation(noised.spectra_at(modes))


def _prepare_modules(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective
) -> Prepared:
    """Descent by autograd, on raw fields or, for linear modules, on power spectra."""
    from csd.networks.module import ConvolutionalScore
    from csd.training.descent.modules import AutogradDescent, choose_device

    lattice = noised.lattice
    shells = noised.spectra_at(lattice.shells)
    lengths = noised.score_lengths()
    networks = [
        [
            architecture.module(lattice, float(length), spectrum, start_stream(lattice, architecture, seed, level))
            for length, spectrum, level in zip(lengths, shells, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    first = networks[0]
    if settings.path == "spectral" and any(network.kernel() is None for network in first):
        raise InputError(f"architecture {architecture.name!r} has no kernel; path must be fields")
    families = [network.network for network in first if isinstance(network, ConvolutionalScore)]
    spectra = shells if families else lattice.spread(shells, lattice.shells)
    rates, stable, ranges, floors = _known(families or first, spectra, settings)
    modes = lattice.pairs
    descent = AutogradDescent(networks, noised, modes, rates, objective, choose_device(settings.device))
    parameters = np.array([sum(p.numel() for p in network.parameters()) for network in first], dtype=np.int64)
    source = _source(noised, architecture, settings, objective, modes)
    return Prepared(descent, source, modes, rates, stable, parameters, ranges, floors, settings.seeds)
