"""Training and theory as calls from Python: arguments in, xarray Datasets out.

The command line makes the same calls with its flags, so that both have the same defaults, checks and results. Nothing
is written unless an output is named. What has a name (architecture, target, schedule, loss) may be given as a class.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.api.keywords import FIELD, checked, spelt_out
from csd.api.keywords import TRAINING as TRAINING_OPTIONS
from csd.api.targets import target_of
from csd.core.errors import InputError
from csd.core.files import THEORY, TRAINING, Content, provenance, require_writable, stamped, write
from csd.core.options import declared, plain
from csd.core.plugins import name_of, resolve
from csd.core.source import fingerprint_with_plugins
from csd.diffusion.grids import GRID_STEPS, LOWEST_LEVEL, geometric_grid, longest_level
from csd.networks import ARCHITECTURES, Architecture
from csd.networks.registry import network_options
from csd.targets.base import HasFields
from csd.targets.noising import SCHEDULES, NoisedTarget
from csd.targets.options import NoiseOptions
from csd.training.checkpoint import EVERY, JobWatch
from csd.training.content import attributes, prediction_content, training_content, training_request
from csd.training.loop import descend
from csd.training.options import TrainingSettings, with_population
from csd.training.preparation import Prepared, prepare
from csd.training.reference import expected_steps, reference_curve

if TYPE_CHECKING:
    import xarray as xr

    from csd.diffusion.reverse import SamplesRight
    from csd.networks.module import ScoreNetwork
RUN = "run"
"""What a training run in memory is called, in the calls that files keep."""


def problem(
    architecture: "str | type[ScoreNetwork]", **asked: Any
) -> tuple[NoisedTarget, Architecture, TrainingSettings]:
    """What is trained on what, and how; see `train` for the arguments."""
    given = checked("train", TRAINING_OPTIONS, asked)
    name = name_of("architecture", architecture, ARCHITECTURES)
    network = Architecture(name, **{name: given[name] for name in network_options() if name in given})
    noised = noised_target(given)
    if isinstance(noised.target, HasFields):
        fields = len(noised.target.data)
        if given.setdefault("data_set", fields) != fields:
            raise InputError(
                f"data_set is {given['data_set']}, but the target is a data set of {fields} fields; leave it out"
            )
    settings = TrainingSettings(**{name: given[name] for name in declared(TrainingSettings) if name in given})
    idle = [name for name in ("integrator", "start") if name in given]
    if idle and settings.until != "samples":
        raise InputError(
            f"{idle[0]} is given, but training until {settings.until} generates nothing; leave it out, or take until"
            " samples"
        )
    return noised, network, settings


def noised_target(given: Mapping[str, Any]) -> NoisedTarget:
    """The target at its noise levels, of keywords as their options have them."""
    field = target_of({name: value for name, value in given.items() if name in FIELD})
    schedule = given.get("schedule", NoiseOptions.schedule)
    if "noise_levels" not in given and schedule != NoiseOptions.schedule:
        raise InputError(f"noise levels are not given; the default grid is for vp, not {schedule!r}")
    levels = given.get("noise_levels") or generation_levels(field.lattice.size)
    return NoisedTarget(field, resolve("schedule", schedule, SCHEDULES)(), levels)


def generation_levels(size: int) -> list[float]:
    """The grid of 64 steps that reverse diffusion of VP noise needs, from ½ ln(1 + 10⁴ L²) down to 0.001."""
    return [float(level) for level in geometric_grid(LOWEST_LEVEL, longest_level(size), GRID_STEPS)]


@spelt_out(TRAINING_OPTIONS)
def train(
    architecture: "str | type[ScoreNetwork]",
    *,
    output: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = EVERY,
    progress: bool | None = None,
    **asked: Any,
) -> "xr.Dataset":
    """Train one architecture on one target, beside its prediction.

    The result is that of `csd train` with the same flags, bit for bit where the threads of the linear algebra are the
    same (the command takes one: OMP_NUM_THREADS=1).

    Args:
        architecture: a built-in one, 'package.module:Class', or a class.
        **asked: what follows.
        output: a file to write as well; its checkpoint lies beside it until it is written.
        checkpoint: where an unfinished run is kept instead.
        checkpoint_every: seconds between checkpoints.
        progress: whether a bar is shown; on terminals and in notebooks if None.

    Returns:
        score_error(seed, noise_level, step), training_time(seed, noise_level), kernel(seed, noise_level, mode) and the
        other variables of a training file (docs/results.md), with units and long names.

    Raises:
        InputError: for what cannot be used, in a sentence.
        TrainingDiverged: if descent is not stable.
        KeyboardInterrupt: on Ctrl-C; with an output, after a checkpoint from which the same call goes on.
    """
    call = called("train", architecture, asked | {"output": None if output is None else str(output)})
    content = trained(
        *problem(architecture, **asked), call, path_of(output), path_of(checkpoint), checkpoint_every, progress=progress
    )
    return content.dataset()


def path_of(path: str | Path | None) -> Path | None:
    """A path, if there is one."""
    return None if path is None else Path(path)


def called(function: str, first: Any, asked: dict[str, Any]) -> str:
    """A call as one can type it again; classes by their names."""

    def shown(value: Any) -> str:
        return value.__name__ if isinstance(value, type) else repr(plain(value))

    given = [f"{name}={shown(value)}" for name, value in asked.items() if value is not None]
    return f"csd.{function}({', '.join([first if first == RUN else shown(first), *given])})"


def trained(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    command: str,
    output: Path | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = EVERY,
    *,
    progress: bool | None = None,
    log: Callable[[str], None] = lambda line: None,
    lap: Callable[[str], None] = lambda part: None,
) -> Content:
    """A training run as the content of a file, which is written if it is named.

    Args:
        noised: the target at its noise levels.
        architecture: what is trained.
        settings: how.
        command: that makes it again.
        output: file to write; without one nothing is kept of a run that is broken off, unless `checkpoint` is given.
        checkpoint: of an unfinished run; beside the output if None.
        checkpoint_every: seconds between checkpoints.
        progress: whether a bar is shown; where somebody looks on, if None.
        log: takes lines.
        lap: told when a part of the work has ended: 'start', 'ready' (networks and data), 'set-up', 'training'.
    """
    if output is not None:
        require_writable(output)
        checkpoint = checkpoint or output.with_name(f"{output.name}.checkpoint.npz")
    if checkpoint is not None:
        require_writable(checkpoint)
    lap("start")
    run = prepare(noised, architecture, settings)
    goal = _goal(noised, architecture, settings, run)
    lap("ready")
    asked = training_request(noised, architecture, settings)
    names = [architecture.name, asked["target"], asked["schedule"], settings.loss]
    names += [settings.integrator] if goal is not None else []
    made_by = provenance(command, asked, fingerprint_with_plugins("train", *names))

    def expected() -> float:
        return expected_steps(noised, architecture, settings)

    lap("set-up")
    identity = f"{made_by['source_hash']} {made_by['configuration_hash']} {settings.unsaid()}"
    with JobWatch(checkpoint, identity, expected, log, checkpoint_every, progress) as watch:
        record = descend(noised, run, settings, watch, goal)
    lap("training")
    # One that is iterated may be stuck where minibatches are not: it is followed twice as far as training went.
    followed = min(settings.max_steps, 2 * int(record.last_step.max()) + 100)
    prediction = reference_curve(noised, architecture, replace(settings, max_steps=followed), run)
    content = training_content(noised, architecture, settings, record, prediction)
    if goal is not None:
        content = content.assign_attrs({"waited_for": ", ".join(goal.criteria)})
    content = stamped(content.assign_attrs(made_by), TRAINING)
    if output is not None:
        write(content, output, TRAINING)
    watch.ended()
    return content


def _goal(
    noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings, run: Prepared
) -> "SamplesRight | None":
    """What ends training until samples are right; None where the score error does.

    Raises:
        InputError: if nothing can tell whether they are.
    """
    if settings.until != "samples":
        return None
    if isinstance(noised.target, HasFields):
        raise InputError("until is samples, but the distribution of these fields has no closed form to compare with")
    if run.descent.kernel() is None:
        raise InputError("until is samples, but the network has no kernel; take until score_error")
    from csd.diffusion.reverse import goal_of

    return goal_of(noised, architecture, settings)


@spelt_out(TRAINING_OPTIONS)
def predict(
    architecture: "str | type[ScoreNetwork]", *, output: str | Path | None = None, **asked: Any
) -> "xr.Dataset":
    """What training should give, without training, in the same variables; loss, batch and data set play no part.

    Args:
        architecture: a built-in one.
        output: a file to write as well.
        **asked: what follows.

    Returns:
        score_error(seed, noise_level, step), training_time(seed, noise_level), and more.

    Raises:
        InputError: for what cannot be used, or an architecture without theory.
    """
    call = called("predict", architecture, asked | {"output": None if output is None else str(output)})
    return predicted(*problem(architecture, **asked), call, path_of(output)).dataset()


def predicted(
    noised: NoisedTarget,
    architecture: Architecture,
    settings: TrainingSettings,
    command: str,
    output: Path | None = None,
) -> Content:
    """A prediction as the content of a file, which is written if it is named.

    Args:
        noised: the target at its noise levels.
        architecture: what would be trained.
        settings: how.
        command: that makes it again.
        output: file to write.
    """
    prediction = reference_curve(noised, architecture, settings)
    if prediction is None:
        raise InputError(f"there is no theory for architecture {architecture.name!r}, only for linear families")
    run = prepare(noised, architecture, with_population(settings))
    content = prediction_content(noised, architecture, settings, prediction, run)
    asked = attributes(noised, architecture, settings) | {"noise_levels": list(noised.levels)}
    content = stamped(content.assign_attrs(provenance(command, asked)), THEORY)
    if output is not None:
        write(content, output, THEORY)
    return content
