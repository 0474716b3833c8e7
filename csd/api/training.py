"""Training and theory as calls from Python: arguments in, xarray Datasets out.

The command line makes the same calls with its flags, so that both have the same defaults, checks and results. Nothing
is written unless an output is named. What has a name (architecture, target, schedule, loss) may be given as a class.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from csd.api.keywords import DEFAULTS, NETWORK_KEYWORDS, Field, Problem, as_float, as_list, checked, plain, spelt_out
from csd.api.targets import target_of
from csd.core.errors import InputError
from csd.core.files import THEORY, TRAINING, Content, provenance, require_writable, stamped, write
from csd.core.plugins import name_of, resolve
from csd.core.source import fingerprint_with_plugins
from csd.diffusion.grids import GRID_STEPS, LOWEST_LEVEL, geometric_grid, longest_level
from csd.diffusion.integrators import INTEGRATORS
from csd.networks import ARCHITECTURES, Architecture
from csd.targets.base import HasFields
from csd.targets.noising import SCHEDULES, NoisedTarget
from csd.training.checkpoint import EVERY, JobWatch, ProgressWatch
from csd.training.content import attributes, prediction_content, training_content, training_request
from csd.training.loop import descend
from csd.training.losses import OBJECTIVES
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
    architecture: "str | type[ScoreNetwork]", **asked: Unpack[Problem]
) -> tuple[NoisedTarget, Architecture, TrainingSettings]:
    """What is trained on what, and how; see `train` for the arguments."""
    given = checked("train", Problem, dict(asked))
    field = target_of({name: value for name, value in given.items() if name in Field.__annotations__})
    network = Architecture(
        name_of("architecture", architecture, ARCHITECTURES),
        **{name: given[name] for name in NETWORK_KEYWORDS if name in given},
    )
    settings = {item.name: given[item.name] for item in fields(TrainingSettings) if item.name in given}
    idle = [name for name in ("integrator", "start") if name in given]
    if idle and given.get("until", DEFAULTS["until"]) == DEFAULTS["until"]:
        raise InputError(
            f"{idle[0]} is given, but training until {DEFAULTS['until']} generates nothing; leave it out, or take until"
            " samples"
        )
    if "seeds" in settings:
        settings["seeds"] = tuple(as_list(settings["seeds"]))
    if not isinstance(settings.get("kernel_steps", ""), str):
        settings["kernel_steps"] = tuple(as_list(settings["kernel_steps"]))
    if "loss" in settings:
        settings["loss"] = name_of("loss", settings["loss"], OBJECTIVES)
        resolve("loss", settings["loss"], OBJECTIVES)
    if "integrator" in settings:
        settings["integrator"] = name_of("integrator", settings["integrator"], INTEGRATORS)
        resolve("integrator", settings["integrator"], INTEGRATORS)
    schedule = name_of("schedule", given.get("schedule", DEFAULTS["schedule"]), SCHEDULES)
    if "noise_levels" in given:
        levels = [as_float("noise level", level) for level in as_list(given["noise_levels"])]
    elif schedule == DEFAULTS["schedule"]:
        levels = generation_levels(field.lattice.size)
    else:
        raise InputError(f"noise levels are not given; the default grid is for vp, not {schedule!r}")
    return (
        NoisedTarget(field, resolve("schedule", schedule, SCHEDULES)(), levels),
        network,
        TrainingSettings(**settings),
    )


def generation_levels(size: int) -> list[float]:
    """The grid of 64 steps that reverse diffusion of VP noise needs, from ½ ln(1 + 10⁴ L²) down to 0.001."""
    return [float(level) for level in geometric_grid(LOWEST_LEVEL, longest_level(size), GRID_STEPS)]


@spelt_out
def train(
    architecture: "str | type[ScoreNetwork]",
    *,
    output: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = EVERY,
    progress: bool | None = None,
    **asked: Unpack[Problem],
) -> "xr.Dataset":
    """Train one architecture on one target, beside its prediction.

    The result is that of `csd train` with the same flags, bit for bit where the threads of the linear algebra are the
    same (the command takes one: OMP_NUM_THREADS=1).

    Args:
        architecture: a built-in one, 'package.module:Class', or a class.
        dimension: of the lattice: 1, 2 or 3.
        size: L, at least 2.
        mass: m itself, inverse lattice spacings.
        mass_times_length: c of the critical line m = c / L; 1 if no mass is given in any way.
        r0: bare mass squared of the O(n) model, with `u`.
        u: its quartic coupling, with `r0`.
        target: 'gaussian', 'package.module:Class', a class, or an object such as `target` gives, without the above.
        depth: layers, for 'deep_linear'.
        range: R of the composed kernel, or 'FACTORxi' for one that follows the score length, for local networks.
        channels: tied channels, for 'local_two_layer'; d + 1 if None.
        schedule: 'vp', 've', 'package.module:Class', or a class.
        noise_levels: t, one or several; the grid of `generation_levels` if None, from which `generate` can go on.
        loss: 'population', 'implicit', 'denoising', 'package.module:Class', or a class.
        batch: B, fields in a minibatch.
        data_set: M, fields of a fixed data set; fresh fields if None.
        seeds: one or several non-negative integers.
        tolerance: relative score error above the floor that ends training; 0 trains until `max_steps`.
        max_steps: where training ends at the latest.
        learning_rate: η; the architecture's own if None.
        path: 'spectral' (fast) or 'fields' (any network).
        device: 'cpu'; 'cuda', on power spectra too; 'auto': cuda for autograd where there is one.
        kernel_steps: at which steps kernels are kept: 'last', 'recorded', 'sparse', these, or 'none'.
        until: what ends training: 'score_error', all levels have been at the tolerance; or 'samples', what reverse
            diffusion with `integrator` and `start` makes of it is right by every criterion that can be met.
        integrator: of that diffusion, with `until` samples alone: a key of `csd.diffusion.integrators.INTEGRATORS`,
            'package.module:Class', or a class.
        start: of that diffusion, likewise: 'noise', or 'exact' for the exact distribution at t_max.
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
    call = called("train", architecture, dict(asked) | {"output": None if output is None else str(output)})
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
        return value.__name__ if isinstance(value, type) else repr(value)

    given = [f"{name}={shown(plain(value))}" for name, value in asked.items() if value is not None]
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
    watch = ProgressWatch(expected, progress)
    if checkpoint is not None:
        identity = f"{made_by['source_hash']} {made_by['configuration_hash']} {settings.kernel_steps} {settings.device}"
        watch = JobWatch(checkpoint, identity, expected, log, checkpoint_every, progress)
    with watch:
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


@spelt_out
def predict(
    architecture: "str | type[ScoreNetwork]", *, output: str | Path | None = None, **asked: Unpack[Problem]
) -> "xr.Dataset":
    """What training should give, without training, in the same variables.

    Args:
        architecture: a built-in one.
        output: a file to write as well.
        asked: keywords of `train`; loss, batch and data set play no part.

    Returns:
        score_error(seed, noise_level, step), training_time(seed, noise_level), and more.

    Raises:
        InputError: for what cannot be used, or an architecture without theory.
    """
    call = called("predict", architecture, dict(asked) | {"output": None if output is None else str(output)})
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
        raise InputError(f"there is no theory for architecture {architecture.name!r}, only for the built-in ones")
    run = prepare(noised, architecture, with_population(settings))
    content = prediction_content(noised, architecture, settings, prediction, run)
    asked = attributes(noised, architecture, settings) | {"noise_levels": list(noised.levels)}
    content = stamped(content.assign_attrs(provenance(command, asked)), THEORY)
    if output is not None:
        write(content, output, THEORY)
    return content
