"""Training and theory as calls from Python: arguments in, xarray Datasets out.

The command line makes the same calls with its flags, so both have the same defaults, checks and results. Nothing is
written unless an output is named. Architecture, target, schedule and loss are given by name or as a class.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from csd.api.equilibrium import check_equilibrium
from csd.api.keywords import DATA, FIELD, checked, spelt_out, training_options
from csd.api.keywords import TRAINING as TRAINING_OPTIONS
from csd.api.targets import target_of, target_of_data
from csd.core.errors import InputError, log, plain, users_errors
from csd.core.files import THEORY, TRAINING, Content, Rescue, provenance, stamped, write
from csd.core.options import declared
from csd.core.paths import Named, check_paths, expanded, file_to_write
from csd.core.plugins import is_user_path, name_of, path_named
from csd.core.source import fingerprint, plugin_fingerprint
from csd.diffusion.grids import GRID_STEPS, LOWEST_LEVEL, geometric_grid, longest_level
from csd.networks import ARCHITECTURES, Architecture
from csd.networks.registry import network_options
from csd.targets.base import HasFields, is_symmetric
from csd.targets.noising import NoisedTarget, schedule_of
from csd.targets.options import NoiseOptions
from csd.training.checkpoint import EVERY, JobWatch, checkpoint_beside, checkpoint_files
from csd.training.content import attributes, prediction_content, training_content, training_request
from csd.training.loop import descend
from csd.training.losses import POSTERIOR
from csd.training.options import TrainingSettings, check_chains, with_own_steps, with_population
from csd.training.preparation import Prepared
from csd.training.preparation import identity as run_identity
from csd.training.reference import expected_steps, reference_curve
from csd.training.steps.tuning import prepare_tuned

if TYPE_CHECKING:
    import xarray as xr

    from csd.diffusion.reverse import SamplesRight
    from csd.networks.module import ScoreNetwork
    from csd.targets.dataset import FieldSet, MeasuredField
    from csd.training.batches import RawFields

NOT_OF_NETWORKS = TRAINING_OPTIONS.keys() - network_options().keys()
"""Options of target, noise levels and training."""
RUN = "run"
"""Name of a training run in memory, in the calls recorded in files."""


def problem(
    architecture: "str | type[ScoreNetwork]", call: str = "train", /, *, data: Any = None, **asked: Any
) -> tuple[NoisedTarget, Architecture, TrainingSettings]:
    """Target, architecture and options of training, from the arguments of `train` or `predict`, which messages name."""
    name = name_of("architecture", architecture, ARCHITECTURES)
    options = training_options(name, asked)
    of_data = [option for option in DATA if option not in options]
    given = checked(call, {**DATA, **options}, asked)
    further = [option for option in of_data if option in given]
    if data is None and further:
        raise InputError(f"{further[0].rstrip('_')} is given without data; it is about fields that are given as data")
    others = {*NOT_OF_NETWORKS, *of_data}
    network = Architecture(name, **{option: value for option, value in given.items() if option not in others})
    if data is not None:
        about = {option: given.pop(option) for option in [*FIELD, *of_data] if option in given}
        given["target"] = target_of_data(data, about)
    noised = noised_target(given)
    network = network.with_symmetry(is_symmetric(noised.target), lambda: noised.mean)
    if isinstance(noised.target, HasFields):
        fields = len(noised.target.data)
        if given.setdefault("data_set", fields) != fields:
            raise InputError(
                f"data_set is {given['data_set']}, but the target is a data set of {fields} fields; leave it out"
            )
    settings = TrainingSettings(**{name: given[name] for name in declared(TrainingSettings) if name in given})
    check_chains(settings, noised.target)
    idle = [name for name in ("integrator", "start") if name in given]
    if idle and settings.until != "samples":
        raise InputError(
            f"{idle[0]} is given, but training until {settings.until} generates nothing; leave it out, or take until"
            " samples"
        )
    return noised, network, with_own_steps(network, settings)


def noised_target(given: Mapping[str, Any]) -> NoisedTarget:
    """The target at its noise levels, from checked keywords."""
    field = target_of({name: value for name, value in given.items() if name in FIELD})
    schedule = given.get("schedule", NoiseOptions.schedule)
    if "noise_levels" not in given and schedule != NoiseOptions.schedule:
        raise InputError(f"noise levels are not given; the default grid is for vp, not {schedule!r}")
    levels = given.get("noise_levels") or generation_levels(field.lattice.size)
    return NoisedTarget(field, schedule_of(schedule), levels)


def generation_levels(size: int) -> list[float]:
    """The default grid of reverse diffusion with VP noise: 64 steps from ½ ln(1 + 10⁴ L²) down to 0.001."""
    return list(geometric_grid(LOWEST_LEVEL, longest_level(size), GRID_STEPS).tolist())


@spelt_out({**TRAINING_OPTIONS, **{name: one for name, one in DATA.items() if name not in TRAINING_OPTIONS}})
@users_errors()
def train(
    architecture: "str | type[ScoreNetwork]",
    *,
    data: Any = None,
    initial: "xr.Dataset | str | Path | None" = None,
    scores: "xr.Dataset | str | Path | None" = None,
    output: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = EVERY,
    progress: bool | None = None,
    **asked: Any,
) -> "xr.Dataset":
    """Train one architecture on one target, and predict the result.

    The result is that of `csd train` with the same flags, bit for bit with the same number of threads of the linear
    algebra (the command takes one: OMP_NUM_THREADS=1).

    Args:
        architecture: a built-in one, 'package.module:Class', or a class.
        data: fields to learn instead of a target: a path, or an array of shape (M, L, …, L) or (M, n, L, …, L). Their
            lattice need not be given.
        initial: a training file, or the Dataset of a training, of the same network: training starts at its weights.
        scores: a scores file of the same target, or the Dataset of `csd.scores`: networks are measured on its fields.
        **asked: what follows.
        output: a file to write; the checkpoint of an unfinished run is beside it.
        checkpoint: another path for the checkpoint.
        checkpoint_every: seconds between checkpoints.
        progress: whether to show a progress bar; if None, on terminals and in notebooks.

    Returns:
        score_error(seed, noise_level, step), training_time(seed, noise_level), kernel(seed, noise_level, mode) and the
        other variables of a training file (docs/results.md), with units and long names.

    Raises:
        InputError: for an argument that cannot be used.
        TrainingDiverged: if descent is not stable.
        KeyboardInterrupt: on Ctrl-C; with an output, after a checkpoint from which the same call continues.
    """
    files = {"initial": initial, "scores": scores}
    told = {name: given if given is None or isinstance(given, str | Path) else RUN for name, given in files.items()}
    call = called("train", architecture, {"data": data, **told, **asked, "output": output})
    wanted, place, kept = problem(architecture, data=data, **asked), place_of(output), place_of(checkpoint)
    kept = checkpoint_beside(place) if kept is None and place is not None else kept
    read = [(name, expanded(given)) for name, given in files.items() if isinstance(given, str | Path)]
    check_paths([*_data(wanted[0]), *read], [*named("output", place), *checkpoint_files(kept, "checkpoint")])
    how: dict[str, Any] = {**files, "progress": progress}
    return trained(*wanted, call, place, kept, checkpoint_every, **how).dataset()


def named(name: str, path: Path | None) -> list[Named]:
    """An argument that is a path, with its name; nothing if it is not given."""
    return [] if path is None else [(name, path)]


def _data(noised: NoisedTarget) -> list[Named]:
    """The file of the target's fields, if it has one."""
    file = getattr(noised.target, "file", "")
    return named("data", expanded(file) if file else None)


def place_of(path: str | Path | None) -> Path | None:
    """The path of a file to write, or None."""
    return None if path is None else file_to_write(path)


def called(function: str, first: Any, asked: dict[str, Any]) -> str:
    """The text of a call; classes are given by their names, and a first argument of None is left out."""

    def shown(value: Any) -> str:
        value = str(value) if isinstance(value, Path) else value
        if len(getattr(value, "shape", ())) > 1:
            return f"<array of shape {tuple(value.shape)}>"
        return value.__name__ if isinstance(value, type) else repr(plain(value))

    given = [f"{name}={shown(value)}" for name, value in asked.items() if value is not None]
    before = [] if first is None else [first if first is RUN else shown(first)]
    return f"csd.{function}({', '.join(before + given)})"


def trained(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    command: str,
    output: Path | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = EVERY,
    *,
    initial: "xr.Dataset | str | Path | None" = None,
    scores: "xr.Dataset | str | Path | None" = None,
    progress: bool | None = None,
    log: Callable[[str], None] = log,
    lap: Callable[[str], None] = lambda part: None,
) -> Content:
    """Train, and return the content of a training file, which is written if an output is given.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        command: that repeats the run.
        output: file to write.
        checkpoint: of an unfinished run; if None, beside the output, and none without an output.
        checkpoint_every: seconds between checkpoints.
        initial: a training at whose weights this one starts.
        scores: held-out fields with exact scores, on which networks are measured.
        progress: whether to show a progress bar; if None, on terminals and in notebooks.
        log: writes a line to the log; by default to standard error.
        lap: called at the end of each part of the work: 'start', 'ready' (networks and data), 'set-up', 'training'.
    """
    if output is not None:
        checkpoint = checkpoint or checkpoint_beside(output)
    lap("start")
    begin = None
    if initial is not None:
        from csd.api.initial import InitialNetworks

        begin = InitialNetworks(initial)
        begin.check(noised, architecture, settings)
    scored = None
    if scores is not None:
        from csd.api.scored import scored_fields

        scored = scored_fields(scores, noised, some=settings.conditioned)
    check_equilibrium(noised.target, settings, scored)
    run = prepare_tuned(noised, architecture, settings, initial=begin, scored=scored)
    _add_chains(run, noised, architecture, settings)
    _add_means(run, noised, architecture, settings)
    goal = _goal(noised, architecture, settings, run)
    lap("ready")
    further = {} if begin is None else {"initial": begin.digest}
    further |= {} if scored is None else {"scores": scored.digest}
    asked = training_request(noised, architecture, settings) | further
    names = [architecture.name, *map(path_named, (type(noised.target), type(noised.schedule))), settings.loss]
    names += [settings.integrator] if goal is not None else []
    # How a file is read is code of those trainings alone that take one.
    readers = {"api/initial": begin, "api/scored": scored}
    more = [module for module, given in readers.items() if given is not None]
    source = fingerprint(settings.step, *more) + plugin_fingerprint(*names)
    made_by = provenance(command, asked, source)

    lap("set-up")
    identity = f"{made_by['source_hash']} {made_by['configuration_hash']} {settings.unsaid()}"
    expected = partial(expected_steps, noised, architecture, settings)
    watch = JobWatch(checkpoint, identity, expected, log, checkpoint_every, progress)
    content = watch.finished()
    if content is None:
        with watch:
            record = descend(noised, run, settings, watch, goal)
        lap("training")
        # Descent on the exact loss may take longer than with minibatches: it is followed for twice as many steps.
        followed = min(settings.most_steps, 2 * int(record.last_step.max()) + 100)
        followed_settings = replace(settings, max_steps=followed)
        # Theory knows the minimum and the dynamics of built-in losses, from the start of a network.
        known = begin is None and not is_user_path(settings.loss)
        prediction = reference_curve(noised, architecture, followed_settings, run) if known else None
        content = training_content(noised, architecture, settings, record, prediction)
        # Where the fields of a data set lie does not change the result.
        if file := getattr(noised.target, "file", ""):
            content = content.assign_attrs({"data_file": file, "data_key": getattr(noised.target, "key", "")})
        if couplings := getattr(noised.target, "couplings", ""):
            content = content.assign_attrs({"data_couplings": couplings})
        if begin is not None:
            content = content.assign_attrs({"initial": begin.digest, "initial_file": begin.file})
        if scored is not None:
            content = content.assign_attrs({"scores": scored.digest, "scores_file": scored.name})
        if goal is not None:
            content = content.assign_attrs({"waited_for": ", ".join(goal.criteria)})
    else:
        lap("training")
    content = completed(content, made_by, TRAINING, output, watch.keep_finished)
    watch.ended()
    return content


def _add_chains(run: Prepared, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> None:
    """Give a prepared run the states of Markov chains as its fields, where chains are asked for."""
    if settings.chains is None:
        return
    from csd.mcmc.fields import LearnedChains

    fields, source = cast("MeasuredField | FieldSet", noised.target), cast("RawFields", run.source)
    name = run_identity(noised, architecture, settings)
    source.changing = LearnedChains(fields, settings.chains, settings.chain_sweeps, name, settings.seeds)


def _add_means(run: Prepared, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> None:
    """Give a prepared run the chains of its loss, where the loss is regression on posterior means."""
    if settings.loss == POSTERIOR:
        from csd.mcmc.posterior.loss import posterior_means

        source = cast("RawFields", run.source)
        source.estimate = posterior_means(noised, architecture.components_of(noised.target))


def completed(
    content: Content,
    made_by: Mapping[str, Any],
    kind: str,
    output: Path | None,
    rescue: Rescue | None = None,
) -> Content:
    """Add the provenance to the content of a file of a kind, and write the file if an output is given.

    Args:
        content: of the file.
        made_by: its provenance.
        kind: of the file.
        output: the file.
        rescue: as for `write`.
    """
    content = stamped(content.assign_attrs(made_by), kind)
    if output is not None:
        write(content, output, kind, rescue)
    return content


def _goal(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, run: Prepared
) -> "SamplesRight | None":
    """The goal of a training until samples are right; None for a training until the score error is.

    Raises:
        InputError: if the quality of samples cannot be computed.
    """
    if settings.until != "samples":
        return None
    if isinstance(noised.target, HasFields):
        raise InputError(
            "until is samples, but these fields have no closed form to compare with; take until score_error"
        )
    if run.descent.kernel() is None:
        raise InputError("until is samples, but the network has no kernel; take until score_error")
    from csd.diffusion.reverse import goal_of

    return goal_of(noised, architecture, settings)


@spelt_out(TRAINING_OPTIONS)
@users_errors()
def predict(
    architecture: "str | type[ScoreNetwork]", *, output: str | Path | None = None, **asked: Any
) -> "xr.Dataset":
    """Predict the result of training, without training; loss, batch and data set are not used.

    Args:
        architecture: a built-in linear one.
        output: a file to write.
        **asked: what follows.

    Returns:
        score_error(seed, noise_level, step), training_time(seed, noise_level) and other variables of a training file.

    Raises:
        InputError: for an argument that cannot be used, or an architecture without theory.
    """
    call = called("predict", architecture, asked | {"output": output})
    wanted, place = problem(architecture, "predict", **asked), place_of(output)
    check_paths(_data(wanted[0]), named("output", place))
    return predicted(*wanted, call, place).dataset()


def predicted(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    command: str,
    output: Path | None = None,
) -> Content:
    """Predict, and return the content of a theory file, which is written if an output is given.

    Args:
        noised: the target at its noise levels.
        architecture: the network.
        settings: options of training.
        command: that repeats the prediction.
        output: file to write.
    """
    prediction = reference_curve(noised, architecture, settings)
    if prediction is None:
        raise InputError(f"there is no theory for architecture {architecture.name!r}, only for linear families")
    run = prepare_tuned(noised, architecture, with_population(settings))
    content = prediction_content(noised, architecture, settings, prediction, run)
    asked = attributes(noised, architecture, settings) | {"noise_levels": list(noised.levels)}
    return completed(content, provenance(command, asked), THEORY, output)
