"""Prepare a run: networks at their start, their descent, and the source of its data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
    """A descent and its data, made by `prepare`.

    Attributes:
        descent: of the networks; its arrays are tensors where `on_device`.
        source: of the data of each step.
        modes: momenta of the kernels.
        parameters: trainable numbers at each level, shape (levels,).
        rates: η, shape (levels,).
        stable_rates: the largest stable η on the exact loss, NaN if unknown, shape (levels,).
        ranges: R of local networks, NaN for others, shape (levels,).
        floors: ε_R, shape (levels,).
        seeds: of the run.
        on_device: whether errors are read many steps at a time.
        closed_form: whether a formula gives the state at any step.
        plain: whether the steps are those of plain gradient descent, which closed forms describe.
    """

    descent: Any
    source: Source
    modes: Modes
    parameters: NDArray[np.int64]
    rates: Array
    stable_rates: Array
    ranges: Array
    floors: Array
    seeds: tuple[int, ...]
    on_device: bool = False
    closed_form: bool = False
    plain: bool = True


def identity(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> str:
    """The name of the random streams of a run, besides seed and noise level."""
    what = f"{type(noised.schedule).__name__} {architecture.label} {settings.loss}"
    return f"{data_identity(noised)} {what} B={settings.batch} M={settings.data_set} {settings.path}"


def data_identity(noised: NoisedTarget) -> str:
    """The name of the random stream of a data set, besides seed and size: all architectures learn the same one."""
    target, lattice = noised.target, noised.lattice
    return f"{type(target).__name__} d={lattice.dimension} L={lattice.size} m={target.mass!r}"


def start_stream(lattice: Lattice, architecture: Architecture, seed: int, level: float) -> np.random.Generator:
    """The random stream of a network's start, one for each seed and noise level.

    It does not depend on the loss, so that theory can follow a seed. Nor does it depend on size and mass, so that a
    seed of a local network has the same initial filters on every lattice, up to the amplitude set by the lattice: the
    effect of the start on the training time then cancels in its growth with size.
    """
    return stream("start", lattice.dimension, architecture.label, seed, level)


def prepare(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> Prepared:
    """Build the networks, their descent and their data.

    Raises:
        InputError: if the arguments do not fit together, or the run would not fit in memory.
    """
    objective: Objective = resolve("loss", settings.loss, OBJECTIVES)()
    seeded = objective.stochastic or settings.data_set is not None
    lattice = noised.lattice
    instances = len(settings.seeds) * len(noised.levels)
    what = f"a lattice of size {lattice.size} in dimension {lattice.dimension}"
    isotropic = getattr(resolve("architecture", architecture.name, ARCHITECTURES), "isotropic", False)
    copies = 8.0 if seeded or not isotropic else 0.5
    if settings.path == "fields":
        copies += 8.0 * settings.batch + (settings.data_set or 0)
    require_memory(copies * instances * lattice.sites, f"training {instances} networks on {what}")
    explicit = architecture.is_family and settings.path == "spectral"
    found = _family_descent(noised, architecture, settings, objective, seeded) if explicit else None
    descent, modes, parameters, known = found or _autograd_descent(noised, architecture, settings, objective)
    source = _source(noised, architecture, settings, objective, modes)
    run = Prepared(descent, source, modes, np.array(parameters, dtype=np.int64), *known, settings.seeds)
    if found is not None:
        # One full layer on the exact loss, at rates at which its error falls at every step.
        one_layer = not seeded and isinstance(descent, ModeDescent) and descent.depth == 1
        run.closed_form = one_layer and bool((run.rates < run.stable_rates).all())
        run = move(run, "cuda") if settings.device == "cuda" else run
    return with_momentum(run, settings.momentum)


def with_momentum(run: Prepared, momentum: float) -> Prepared:
    """Give a run that has not stepped yet the steps of the heavy ball; return it unchanged without momentum.

    The heavy ball is stable at learning rates up to 1 + β times those of plain descent.

    Args:
        run: on the CPU, or trained by autograd.
        momentum: β, from 0 to below 1.
    """
    if momentum == 0.0:
        return run
    descent, stable = HeavyBall(run.descent, momentum), (1.0 + momentum) * run.stable_rates
    return replace(run, descent=descent, stable_rates=stable, closed_form=False, plain=False)


def move(run: Prepared, device: str) -> Prepared:
    """Move a run on power spectra that has not stepped yet to a PyTorch device; its random numbers stay the CPU's.

    Raises:
        InputError: if there is no such device, or the descent runs on the CPU only.
    """
    import torch

    from csd.training.descent.device import on_device
    from csd.training.descent.modules import choose_device

    there = choose_device(device)
    run.source.serve(lambda array: torch.tensor(array, device=there))  # type: ignore[attr-defined]
    return replace(run, descent=on_device(run.descent, there), on_device=True, closed_form=False)


Known = tuple[Array, Array, Array, Array]
"""η, the largest stable η, R and ε_R of the network at each level, shape (levels,) each."""


def _known(networks: Sequence[Any], spectra: Iterable[Array], settings: TrainingSettings) -> Known:
    """Rates, ranges and floors of networks.

    Args:
        networks: families, or modules, of which only the rate is known.
        spectra: C, as their `learning_rate` takes it.
        settings: with the learning rate, if it is given.
    """
    rates, stable, ranges, floors = np.full((4, len(networks)), np.nan)
    floors[:] = 0.0
    for level, (network, spectrum) in enumerate(zip(networks, spectra, strict=True)):
        rates[level], ranges[level] = settings.learning_rate or network.learning_rate(spectrum), network.reach
        if isinstance(network, LinearNetwork):
            stable[level], floors[level] = network.stable_rate(spectrum), network.floor(spectrum)
    return rates, stable, ranges, floors


def _family_descent(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective, seeded: bool
) -> tuple[Any, Modes, list[int], Known] | None:
    """Explicit descent on power spectra; None for a family that only autograd can train."""
    lattice = noised.lattice
    networks = [architecture.build(lattice, float(length)) for length in noised.score_lengths()]
    spectra = noised.spectra_at(lattice.shells)
    known = rates, *_ = _known(networks, spectra, settings)
    modes = lattice.shells if not seeded and all(network.isotropic for network in networks) else lattice.pairs
    starts = [
        [
            network.start(spectrum, start_stream(lattice, architecture, seed, level))
            for network, spectrum, level in zip(networks, spectra, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    complex_kernel = objective.complex_target
    descent = descent_of(networks, modes, noised.spectra_at(modes), rates, starts, complex_kernel=complex_kernel)
    return None if descent is None else (descent, modes, [network.parameters for network in networks], known)


def _source(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective, modes: Modes
) -> Source:
    """The data of a descent on raw fields or on power spectra."""
    name = identity(noised, architecture, settings)
    if settings.path == "fields":
        return RawFields(noised, settings.batch, settings.data_set, name, settings.seeds)
    if settings.data_set is not None:
        spectra = empirical_spectra(noised, modes, settings.data_set, data_identity(noised), settings.seeds)
        return Expectation(spectra)
    if objective.stochastic:
        return FreshSpectra(objective, noised, modes, settings.batch, name, settings.seeds)
    return Expectation(noised.spectra_at(modes))


def _autograd_descent(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, objective: Objective
) -> tuple[Any, Modes, list[int], Known]:
    """Descent by autograd, on raw fields or, for linear modules, on power spectra."""
    from csd.networks.module import ConvolutionalScore
    from csd.training.descent.modules import AutogradDescent, choose_device

    lattice, modes = noised.lattice, noised.lattice.pairs
    shells, lengths = noised.spectra_at(lattice.shells), noised.score_lengths()
    networks = [
        [
            architecture.module(
                lattice,
                float(length),
                spectrum,
                start_stream(lattice, architecture, seed, level),
                (noised.schedule, level),
            )
            for length, spectrum, level in zip(lengths, shells, noised.levels, strict=True)
        ]
        for seed in settings.seeds
    ]
    first = networks[0]
    if settings.path == "spectral" and any(network.kernel() is None for network in first):
        raise InputError(f"architecture {architecture.name!r} has no kernel; path must be fields")
    families = [network.network for network in first if isinstance(network, ConvolutionalScore)]
    spectra = shells if families else lattice.spread(shells, lattice.shells)
    known = _known(families or first, spectra, settings)
    descent = AutogradDescent(networks, noised, modes, known[0], objective, choose_device(settings.device))
    return descent, modes, [sum(p.numel() for p in network.parameters()) for network in first], known
