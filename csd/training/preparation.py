"""Prepare a run: networks at their start, their descent, and the source of its data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.lattice import Array, Modes
from csd.lattice.memory import require_memory
from csd.networks import ARCHITECTURES, Architecture
from csd.networks.starts import Initial, start_spectra, started_filters, started_module
from csd.targets.base import HasFields, HasHeldOut
from csd.targets.noising import NoisedTarget, learned_spectra
from csd.training.batches import (
    ConditionedFields,
    Expectation,
    FreshSpectra,
    RawFields,
    Source,
    empirical_spectra,
    fields_trained,
)
from csd.training.descent.families import descent_of
from csd.training.descent.modes import ModeDescent
from csd.training.descent.momentum import HeavyBall, OptimizedDescent
from csd.training.descent.optimizers import Optimizer
from csd.training.losses import Objective, objective_of
from csd.training.metrics.score_errors import ScoreErrors
from csd.training.metrics.scored_fields import ScoredFields
from csd.training.options import (
    TrainingSettings,
    check_conditioned,
    check_until_error,
    with_own_steps,
)
from csd.training.steps.quadratic import stable_factor
from csd.training.steps.rates import Known, Tuning, data_identity, known_rates, momenta_of
from csd.training.steps.rule import check_steps, check_without_kernel


@dataclass
class Prepared:
    """A descent and its data, made by `prepare`.

    Attributes:
        descent: of the networks; its arrays are tensors where `on_device`.
        source: of the data of each step.
        modes: momenta of the kernels.
        parameters: trainable numbers at each level, shape (levels,).
        rates: η, shape (levels,), or (seeds, levels) where seeds have rates of their own.
        stable_rates: the largest stable η on the exact loss, NaN if unknown, shape (levels,).
        ranges: R of local networks, NaN for others, shape (levels,).
        floors: ε_R, shape (levels,).
        seeds: of the run.
        on_device: whether errors are read many steps at a time.
        closed_form: whether a formula gives the state at any step.
        alike: whether momenta of a class of lattice symmetry have kernels that differ at most by the noise of fields.
        momenta: β of each level, 0 for plain descent, where steps are linear in the gradient; else None.
        until: what ends training, as in `TrainingSettings`.
        scored: measures networks against exact scores; None without any.
        tuning: the trials from which the rates are; None where they are not tuned.
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
    alike: bool = False
    momenta: Array | None = None
    until: str = "score_error"
    scored: ScoreErrors | None = None
    tuning: Tuning | None = None


def identity(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> str:
    """The name of the random streams of a run, besides seed and noise level."""
    what = f"{type(noised.schedule).__name__} {architecture.label} {settings.loss}"
    return f"{data_identity(noised)} {what} B={settings.batch} M={settings.data_set} {settings.path}"


def prepare(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    *,
    initial: Initial | None = None,
    scored: ScoredFields | None = None,
    tuning: Tuning | None = None,
) -> Prepared:
    """Build the networks, their descent and their data.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        initial: trained networks at whose weights the networks start; None for their own start.
        scored: held-out fields on which the networks are measured.
        tuning: the trials, where rates are tuned; `csd.training.steps.tuning.prepare_tuned` makes them.

    Raises:
        InputError: if the arguments do not fit together, or the run would not fit in memory.
    """
    settings = with_own_steps(architecture, settings)
    optimizer = check_steps(architecture, settings)
    objective = objective_of(settings.loss, settings.path, noised)
    seeded = objective.stochastic or settings.data_set is not None
    lattice = noised.lattice
    instances = len(settings.seeds) * (1 if settings.conditioned else len(noised.levels))
    components = architecture.components_of(noised.target)
    isotropic = getattr(resolve("architecture", architecture.name, ARCHITECTURES), "isotropic", False)
    copies = 8.0 if seeded or not (isotropic and noised.modes.isotropic) else 0.5
    if settings.path == "fields":
        copies += 8.0 * settings.batch * (components or 1)
        copies += 0 if isinstance(noised.target, HasFields) else settings.data_set or 0
    where = f"a lattice of size {lattice.size} in dimension {lattice.dimension}"
    require_memory(copies * instances * lattice.sites, f"training {instances} networks on {where}")
    if settings.start_kernel is not None and initial is not None:
        raise InputError("start_kernel and initial are given, and both are the start of the networks; leave one out")
    if settings.rate_from == "tuned":
        if initial is not None:
            raise InputError("rate_from is tuned and initial is given; rates are tuned for a network's own start alone")
        if tuning is None:
            raise InputError("rate_from is tuned, which needs trials; train with csd.train, which makes them")
        optimizer = replace(optimizer, rate=tuning.best)
    problem = noised, architecture, settings, objective, optimizer, initial
    found = _family_descent(*problem, seeded) if architecture.is_family and settings.path == "spectral" else None
    by_autograd = _conditioned_descent if settings.conditioned else _autograd_descent
    descent, modes, parameters, known = found or by_autograd(*problem)
    side_by_side = getattr(descent, "measured_when_recorded", False)
    trained = fields_trained(noised.target) if side_by_side else None
    source = _source(noised, architecture, settings, objective, modes, trained=trained, components=components)
    run = Prepared(descent, source, modes, np.array(parameters, dtype=np.int64), *known, settings.seeds, tuning=tuning)
    if found is not None:
        run.alike = isotropic and noised.modes.isotropic and settings.data_set is None and initial is None
        # One full layer on the exact loss, at rates at which its error falls at every step, from the start of theory;
        # all seeds alike.
        one_layer = (
            not seeded
            and initial is None
            and run.rates.ndim == 1
            and isinstance(descent, ModeDescent)
            and descent.depth == 1
        )
        run.closed_form = one_layer and bool((run.rates < run.stable_rates).all())
        run = move(run, "cuda") if settings.device == "cuda" else run
    if scored is not None:
        run.scored = ScoreErrors(scored, noised, modes, some=settings.conditioned)
    if scored is not None and run.descent.kernel() is None:
        check_until_error(architecture, settings)
        run.descent.scored, run.descent.measured_when_recorded, run.until = run.scored, True, settings.until
    else:
        run.until = _end(architecture, settings, run, held=trained is not None or isinstance(noised.target, HasHeldOut))
    if getattr(run.descent, "optimizer", None) is not None:
        return run
    check_without_kernel(architecture, settings)
    run.momenta = momenta_of(settings, learned_spectra(noised))
    if settings.heavy_ball is not None:
        return with_momentum(run, settings.heavy_ball)
    optimized = OptimizedDescent(run.descent, optimizer, run.rates, lattice, modes)
    if settings.rate_from == "optimal":
        optimized.momenta = run.momenta
    factor: Any = np.nan
    if settings.linear_rule is not None and run.momenta is not None:
        factor = stable_factor(settings.linear_rule[0], run.momenta)
    return replace(run, descent=optimized, stable_rates=factor * run.stable_rates, closed_form=False)


def _end(architecture: Architecture, settings: TrainingSettings, run: Prepared, *, held: bool) -> str:
    """What ends training: the held-out loss for nonlinear networks of a data set, whose exact score is not known.

    Raises:
        InputError: if the held-out loss is asked for and not measured.
    """
    if settings.until in ("samples", "max_steps") or not (held or settings.until == "held_out_loss"):
        return settings.until
    if run.on_device or run.descent.kernel() is not None:
        if settings.until == "held_out_loss":
            raise InputError(
                f"until is held_out_loss, but architecture {architecture.name!r} has a kernel, whose error is measured;"
                " take until score_error"
            )
        return settings.until
    return "held_out_loss"


def with_momentum(run: Prepared, momentum: float) -> Prepared:
    """Give a run that has not stepped yet the steps of the heavy ball; return it unchanged without momentum.

    The heavy ball is stable at learning rates up to 1 + β times those of plain descent.

    Args:
        run: on the CPU, or trained by autograd.
        momentum: β, from 0 to below 1.
    """
    if momentum == 0.0:
        return run
    descent, stable = HeavyBall(run.descent, momentum), stable_factor("heavy_ball", momentum) * run.stable_rates
    momenta = np.full(len(stable), momentum)
    return replace(run, descent=descent, stable_rates=stable, closed_form=False, momenta=momenta)


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


def _family_descent(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    objective: Objective,
    optimizer: Optimizer,
    initial: Initial | None,
    seeded: bool,
) -> tuple[Any, Modes, list[int], Known] | None:
    """Explicit descent on power spectra; None for a family that only autograd can train."""
    lattice = noised.lattice
    networks = [architecture.build(lattice, float(length)) for length in noised.score_lengths()]
    require_memory(max(network.parameters for network in networks), f"a network {architecture.label!r}")
    spectra = learned_spectra(noised)
    known = known_rates(networks, noised, spectra, settings, optimizer)
    # Where an optimiser takes the step as gradient, the rate is 1.
    rates = known[0] if settings.heavy_ball is not None else np.ones_like(known[0])
    modes = noised.modes if not seeded and all(network.isotropic for network in networks) else lattice.pairs
    seen = start_spectra(spectra, settings.start_kernel)
    of_levels = list(zip(networks, seen, noised.levels, strict=True))
    starts = [[started_filters(architecture, *own, seed, initial) for own in of_levels] for seed in settings.seeds]
    complex_kernel = objective.complex_target
    descent = descent_of(networks, modes, noised.spectra_at(modes), rates, starts, complex_kernel=complex_kernel)
    return None if descent is None else (descent, modes, [network.parameters for network in networks], known)


def _source(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    objective: Objective,
    modes: Modes,
    **of_fields: int | None,
) -> Source:
    """The data of a descent on raw fields, with further arguments of their source, or on power spectra."""
    name, seeds = identity(noised, architecture, settings), settings.seeds
    if settings.path == "fields":
        fields = ConditionedFields if settings.conditioned else RawFields
        return fields(noised, settings.batch, settings.data_set, name, seeds, augment=settings.augment, **of_fields)
    if settings.data_set is not None:
        spectra = empirical_spectra(noised, modes, settings.data_set, data_identity(noised), settings.seeds)
        return Expectation(spectra)
    if objective.stochastic:
        return FreshSpectra(objective, noised, modes, settings.batch, name, settings.seeds)
    return Expectation(noised.spectra_at(modes))


def _layer_streams(noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> list[list[Any]]:
    """Random streams of the stochastic layers of user-defined networks, for each seed and level."""
    name = identity(noised, architecture, settings)
    return [[stream("layers", name, seed, level) for level in noised.levels] for seed in settings.seeds]


def _autograd_descent(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    objective: Objective,
    optimizer: Optimizer,
    initial: Initial | None,
) -> tuple[Any, Modes, list[int], Known]:
    """Descent by autograd, on raw fields or, for linear modules, on power spectra."""
    from csd.networks.module import ConvolutionalScore, numbers_trained
    from csd.networks.nonlinear_score import NonlinearScore
    from csd.training.descent.fields import FieldDescent
    from csd.training.descent.modules import AutogradDescent, choose_device

    modes, learned = noised.lattice.pairs, learned_spectra(noised)
    seen = start_spectra(learned, settings.start_kernel)

    def build(seed: int, level: int) -> Any:
        """The network of a seed and level, by their places, at its start."""
        return started_module(noised, architecture, seen[level], settings.seeds[seed], noised.levels[level], initial)

    networks = [[build(seed, level) for level in range(len(learned))] for seed in range(len(settings.seeds))]
    first = networks[0]
    families = [network.network for network in first if isinstance(network, ConvolutionalScore)]
    known = known_rates(families or first, noised, learned, settings, optimizer)
    layers = _layer_streams(noised, architecture, settings)
    device = choose_device(settings.device)
    # Under plain descent a user-defined network is measured at every step, so that training times are exact.
    grouped = isinstance(first[0], NonlinearScore) or settings.heavy_ball is None or settings.accumulate > 1
    trained = [numbers_trained(network, frozen=False) for network in first]
    if grouped and settings.path == "fields" and first[0].kernel() is None and trained[0] > 0:
        how = objective, device, optimizer, settings.accumulate, layers, build
        descent: AutogradDescent = FieldDescent(networks, noised, modes, known[0], *how)
    else:
        rates = known[0] if settings.heavy_ball is not None else np.ones_like(known[0])
        descent = AutogradDescent(networks, noised, modes, rates, objective, device, layers, build)
    if settings.path == "spectral" and descent.kernel() is None:
        raise InputError(f"architecture {architecture.name!r} has no kernel; path must be fields")
    return descent, modes, trained, known


def _conditioned_descent(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    objective: Objective,
    optimizer: Optimizer,
    initial: Initial | None,
) -> tuple[Any, Modes, list[int], Known]:
    """Descent of networks that serve all noise levels, on raw fields.

    Raises:
        InputError: if there is one noise level.
    """
    from csd.networks.module import numbers_trained
    from csd.training.descent.conditioned import ConditionedDescent
    from csd.training.descent.modules import choose_device

    check_conditioned(architecture, settings, len(noised.levels))
    learned, levels, lowest = learned_spectra(noised), len(noised.levels), int(np.argmin(noised.levels))

    of_lowest = noised, architecture, learned[lowest]

    def build(seed: int, _: int) -> Any:
        """The network of a seed, by its place, at its start."""
        return started_module(*of_lowest, settings.seeds[seed], noised.levels[lowest], initial, conditioned=True)

    networks = [build(seed, 0) for seed in range(len(settings.seeds))]
    trained = numbers_trained(networks[0], frozen=False)
    if trained == 0:
        raise InputError(f"architecture {architecture.name!r} has no parameter to train")
    known = known_rates(networks[:1] * levels, noised, learned, settings, optimizer)
    # One rate for all levels.
    known[0][...] = known[0].min(axis=-1, keepdims=True)
    layers = [of_seed[:1] for of_seed in _layer_streams(noised, architecture, settings)]
    how = objective, choose_device(settings.device), optimizer, settings.accumulate, layers, build
    descent = ConditionedDescent(networks, noised, known[0][..., :1], *how)
    return descent, noised.lattice.pairs, [trained] * levels, known
