"""Commands that compute one file or the values of one target, and show files."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from csd.cli.parser import (
    Parser,
    add_options,
    command_line,
    given_options,
    read_path,
    real,
    written_names,
    written_path,
)
from csd.cli.printed import phases_lines, print_generation, print_table, report_times, scores_lines
from csd.cli.records import recorded
from csd.core.errors import InputError, log
from csd.core.options import Declared, declared

if TYPE_CHECKING:
    from pathlib import Path

    from csd.core.paths import Named
    from csd.diffusion.hybrid.windows import Window
    from csd.networks import Architecture
    from csd.targets.base import HasEnergy
    from csd.targets.noising import NoisedTarget
    from csd.training.options import TrainingSettings


def add_flags(own: dict[str, Parser]) -> None:
    """Add the flags of the commands of this module; those of options are added when a command is used."""
    for name in ("train", "theory", "generate", "mcmc", "scores", "phases", "field", "data"):
        own[name].fill = partial(_add_options, name)
    files = "a training file with two noise levels or more"
    generate = own["generate"]
    generate.add_argument("file", type=read_path, nargs="?", metavar="FILE.nc", help=files)
    several = "instead of FILE.nc, several: each is used at its noise levels T1 < t <= T2; 0 and inf for its ends"
    generate.add_argument("--hybrid", type=window, nargs="+", action="extend", metavar="FILE.nc:T1:T2", help=several)
    generate.reads = lambda arguments: (("--hybrid", file) for file, _ in arguments.hybrid or ())
    moved = "the fields that the network learned, where their file has moved; with --size, fields of that size"
    generate.add_argument("--data", type=read_path, metavar="FILE", help=moved)
    own["show"].add_argument("file", type=read_path, metavar="FILE.nc")
    train = own["train"]
    fields = "fields: .npy, .npz, HDF5, NetCDF, or a file of csd mcmc --fields"
    train.add_argument("--data", type=read_path, metavar="FILE", help=f"{fields}, instead of a target")
    held = "fields in equilibrium: a file of csd mcmc --fields, or any other with --components and couplings"
    own["scores"].add_argument("--data", type=read_path, metavar="FILE", help=held)
    own["data"].add_argument("file", type=read_path, metavar="FILE", help=fields)
    begun = "a training file of the same network, at whose weights training starts"
    train.add_argument("--initial", type=read_path, metavar="FILE.nc", help=begun)
    exact = "a scores file of the same target, against which the networks are measured"
    train.add_argument("--scores", type=read_path, metavar="FILE.nc", help=exact)
    kept = "checkpoint of an unfinished run (beside the output)"
    train.add_argument("--checkpoint", type=written_names, metavar="FILE.npz", help=kept)
    train.further = _kept
    between = "time between checkpoints (60)"
    train.add_argument("--checkpoint-every", type=real, default=60.0, metavar="SECONDS", help=between)
    for name in ("train", "theory"):
        own[name].add_argument(
            "--architecture", required=True, metavar="NAME", help="a network, or package.module:Class"
        )
    for name in ("train", "generate", "mcmc", "scores", "phases", "theory"):
        own[name].add_argument("--output", type=written_path, required=name != "theory", metavar="FILE.nc")
        if name != "theory":
            own[name].add_argument("--benchmark", type=written_path, metavar="FILE.json", help="record of wall times")


def window(text: str) -> "tuple[Path, Window]":
    """The file and the window of FILE:T1:T2."""
    from csd.diffusion.hybrid.windows import FORM, window_in

    try:
        file, found = window_in(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    path = read_path(file)
    if ":" in file and not os.path.lexists(path):
        raise argparse.ArgumentTypeError(f"{text!r} is no window, as there is no file {file!r}; give {FORM}")
    return path, found


def _kept(arguments: argparse.Namespace) -> "Iterator[Named]":
    """The files of the checkpoint of a training."""
    from csd.training.checkpoint import checkpoint_beside, checkpoint_files

    yield from checkpoint_files(arguments.checkpoint or checkpoint_beside(arguments.output), "--checkpoint")


def _add_options(name: str, parser: Parser) -> None:
    """Add the flags of the options of a command."""
    try:
        flags = [word.removeprefix("--").split("=")[0] for word in parser.given if word.startswith("--")]
        groups = _options(name, _architecture(parser.given), [flag.replace("-", "_") for flag in flags])
    except InputError as error:
        parser.error(str(error))
    for title, options in groups.items():
        # With --data the file describes the target.
        required = not (name in ("train", "scores") and title == TARGET)
        add_options(parser.add_argument_group(title) if title else parser, options, required=required)


def _architecture(given: Sequence[str]) -> str:
    """The network that the words of a command name, whose class may declare flags; '' if they name none."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--architecture", nargs="?")
    return finder.parse_known_args(given)[0].architecture or ""


TARGET = "target; its mass in one of three ways (default: --mass-times-length 1)"
DATA = "with --data: place of the fields in the file, their components, and couplings if these are known"
FINITE_N = "scores by Monte Carlo: components and couplings of phi^4 or spins, or place of the fields in --data FILE"
COUPLED = "phases by Monte Carlo: components and couplings of phi^4 or spins"
CHAINS = "target: Gaussian by its mass, phi^4 by --r0 and --u, spins by --beta"


def _options(name: str, architecture: str = "", given: Sequence[str] = ()) -> Mapping[str, Mapping[str, Declared]]:
    """The options of a command, by their title in its help.

    Args:
        name: of the command.
        architecture: the network; a user-defined one has options of its own.
        given: names of the flags that were given.
    """
    if name == "mcmc":
        from csd.mcmc.simulation import MonteCarloSettings
        from csd.targets.options import ChainOptions

        return {"": declared(MonteCarloSettings), CHAINS: declared(ChainOptions)}
    if name == "generate":
        from csd.diffusion.quality import GenerationSettings

        return {"": declared(GenerationSettings)}
    if name == "data":
        from csd.targets.options import DataOptions

        return {"": declared(DataOptions)}
    from csd.api.keywords import DATA as ABOUT_DATA
    from csd.api.keywords import FIELD, training_options

    if name == "phases":
        from csd.api.phases import FINITE_N as BY_CHAINS
        from csd.api.phases import PHASES_OPTIONS

        own = {option: one for option, one in PHASES_OPTIONS.items() if option not in {**FIELD, **BY_CHAINS}}
        return {"": own, TARGET: FIELD, COUPLED: BY_CHAINS}
    if name == "scores":
        from csd.api.scores import SCORES_OPTIONS

        own = {option: one for option, one in SCORES_OPTIONS.items() if option not in {**FIELD, **ABOUT_DATA}}
        further = {option: one for option, one in ABOUT_DATA.items() if option not in FIELD}
        return {"": own, TARGET: FIELD, FINITE_N: further}
    how = {option: one for option, one in training_options(architecture, given).items() if option not in FIELD}
    if name == "field":
        return {TARGET: FIELD}
    about = {option: one for option, one in ABOUT_DATA.items() if option not in FIELD and option not in how}
    return {"": how, TARGET: FIELD, **({DATA: about} if name == "train" else {})}


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options given to a command."""
    groups = _options(arguments.command, getattr(arguments, "architecture", "")).values()
    return {name: value for options in groups for name, value in given_options(arguments, options).items()}


def _problem(arguments: argparse.Namespace) -> "tuple[NoisedTarget, Architecture, TrainingSettings]":
    """Target, architecture and options of training, from the flags of `train` and `theory`."""
    from csd.api.training import problem

    given, data = _given(arguments), getattr(arguments, "data", None)
    missing = [flag for flag in ("dimension", "size") if flag not in given]
    if data is None and missing:
        raise InputError(f"the following arguments are required: --{', --'.join(missing)}")
    return problem(arguments.architecture, data=data, **given)


def train(arguments: argparse.Namespace) -> None:
    """Train one architecture on one target, and predict the result."""
    with recorded(arguments, "training") as laps:
        from csd.api.training import trained

        kept = (arguments.output, arguments.checkpoint, arguments.checkpoint_every)
        how = {"initial": arguments.initial, "scores": arguments.scores, "log": log, "lap": laps}
        content = trained(*_problem(arguments), command_line(arguments), *kept, **how)
        report_times(content)
        laps.steps = int(content["last_step"].values.sum())


def theory(arguments: argparse.Namespace) -> None:
    """Predict the result of training, in the same variables."""
    from csd.api.training import predicted

    print_table(predicted(*_problem(arguments), command_line(arguments), arguments.output))


def generate(arguments: argparse.Namespace) -> None:
    """Generate from a training file, or several with a window of noise levels each, exactly and in samples."""
    with recorded(arguments, "generation") as laps:
        from csd.api.generation import sampled, windows_of
        from csd.diffusion.quality import GenerationSettings

        settings, hybrid = GenerationSettings(**_given(arguments)), arguments.hybrid is not None
        windows = windows_of(arguments.file, arguments.hybrid)
        files = arguments.output, arguments.data
        content = sampled(windows, settings, command_line(arguments), *files, hybrid=hybrid, lap=laps)
        print_generation(content)


def mcmc(arguments: argparse.Namespace) -> None:
    """Sample a target by Markov chains, with autocorrelation times and errors."""
    with recorded(arguments, "sampling") as laps:
        from csd.core.files import ENSEMBLE, SAMPLING_PACKAGES, provenance, write
        from csd.core.source import fingerprint
        from csd.mcmc.autocorrelation import gamma_method
        from csd.mcmc.ensemble import ensemble, summary_lines
        from csd.mcmc.simulation import MonteCarloSettings, monte_carlo_request

        given = _given(arguments)
        how = {name: given.pop(name) for name in declared(MonteCarloSettings) if name in given}
        settings, target = MonteCarloSettings(**how), _target_of_chains(given)
        gamma_method()
        laps("set-up")
        content = ensemble(target, settings)
        laps("sampling")
        asked = monte_carlo_request(target, settings)
        made_by = provenance(command_line(arguments), asked, fingerprint("mcmc"), packages=SAMPLING_PACKAGES)
        write(content.assign_attrs(made_by), arguments.output, ENSEMBLE)
        print("\n".join(summary_lines(content)))


def scores(arguments: argparse.Namespace) -> None:
    """Draw or read held-out fields, add noise, and compute their exact scores."""
    with recorded(arguments, "scores") as laps:
        from csd.api.scores import held_out

        laps("set-up")
        content = held_out(_given(arguments), arguments.data, command_line(arguments), arguments.output)
        laps("scores")
        print("\n".join(scores_lines(content)))


def phases(arguments: argparse.Namespace) -> None:
    """Compute what scores of finite range lose on fields under noise."""
    with recorded(arguments, "phases") as laps:
        from csd.api.phases import phases_of

        laps("set-up")
        content = phases_of(_given(arguments), command_line(arguments), arguments.output)
        laps("phases")
        print("\n".join(phases_lines(content)))


def _target_of_chains(given: dict[str, Any]) -> "HasEnergy":
    """The target of `csd mcmc`."""
    from csd.lattice import Lattice
    from csd.mcmc.simulation import target_of_chains
    from csd.targets.options import ChainOptions

    own = vars(ChainOptions(**given))
    lattice, components = Lattice(own.pop("dimension"), own.pop("size")), own.pop("components")
    flags = {"mass": "--mass", "mass_times_length": "--mass-times-length", "beta": "--beta"}
    flags |= {"u": "--r0 and --u"} if own["r0"] is None else {"r0": "--r0 and --u"}
    named = [flag for name, flag in flags.items() if own[name] is not None]
    if len(named) != 1:
        raise InputError(
            f"{' and '.join(named) or 'no target'} given; give one of --mass or --mass-times-length (Gaussian),"
            " --r0 and --u (phi^4), or --beta (spins)"
        )
    if (own["r0"] is None) != (own["u"] is None):
        raise InputError("--r0 and --u belong together; give both")
    return target_of_chains(lattice, components, **own)


def field(arguments: argparse.Namespace) -> None:
    """Print the exact values of a target."""
    from csd.api.targets import target
    from csd.targets.base import HasPhases
    from csd.targets.gaussian import exact_observables

    own = target(**_given(arguments))
    found = {"mass": own.mass, **exact_observables(own)}
    units = {"mass": "inverse lattice spacings", "correlation_length": "lattice spacings", "energy": "per site"}
    further = own.phase_values(1.0, 0.0) if isinstance(own, HasPhases) else {}
    found |= further
    for name in ("mass", "susceptibility", "correlation_length", "variance", "energy", *further):
        print(f"{name:<20}{found[name]:.15g}  {units.get(name, '')}".rstrip())


def data(arguments: argparse.Namespace) -> None:
    """Describe fields: moments, spectrum, correlations, symmetries, and what training assumes."""
    from csd.lattice.array_files import kind_of_csd
    from csd.mcmc.description import summary
    from csd.mcmc.fields import stored_fields
    from csd.mcmc.survey import check_known, check_parts, survey
    from csd.targets.options import DataOptions

    about = DataOptions(**_given(arguments))
    found = survey(stored_fields(arguments.file, about))
    whole = bool(kind_of_csd(arguments.file))
    print("\n".join(summary(found, about.known, whole=whole)))
    if not whole:
        check_parts(found)
    check_known(found, about.known)


def show(arguments: argparse.Namespace) -> None:
    """Summarise a file of csd."""
    from csd.core.files import ENSEMBLE, GENERATION, PHASES, THEORY, TRAINING, read_content

    content = read_content(arguments.file)
    if cut := [name for name, own in content.coordinates.items() if not own.dims]:
        raise InputError(f"{arguments.file}: this is a slice at one {cut[0]}; csd show takes whole files")
    print(f"{arguments.file}: a {content.attrs['csd_file']} file of csd")
    for name, value in content.attrs.items():
        if not name.startswith(("note_", "csd_file")) and str(value) not in ("", "0", "0.0"):
            print(f"  {name:<20}{value}")
    print("  dimensions          " + ", ".join(f"{name} {size}" for name, size in content.sizes.items()))
    if content.attrs["csd_file"] == GENERATION:
        print_generation(content)
    elif content.attrs["csd_file"] == ENSEMBLE:
        from csd.mcmc.ensemble import summary_lines

        print("\n".join(summary_lines(content)))
    elif content.attrs["csd_file"] == PHASES:
        print("\n".join(phases_lines(content)))
    elif content.attrs["csd_file"] in (TRAINING, THEORY):
        print("  seeds               " + " ".join(map(str, content["seed"].values)))
        print_table(content)


COMMANDS = (train, generate, theory, mcmc, scores, phases, field, data, show)
"""The commands of this module, in the order of help; a docstring is the help of its command."""
