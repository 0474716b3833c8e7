"""Commands that compute one file, or the values of one target: train, theory, generate, mcmc, field; and show."""

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csd.cli.parser import Parser, command_line, log
from csd.cli.printed import print_generation, print_table, report_times
from csd.cli.records import Laps, write_benchmark
from csd.core.errors import InputError

if TYPE_CHECKING:
    from csd.networks import Architecture
    from csd.targets.base import HasEnergy
    from csd.targets.noising import NoisedTarget
    from csd.training.options import TrainingSettings


COMMANDS = {
    "train": "train one architecture on one target",
    "generate": "sample from a training file, beside what it generates exactly",
    "theory": "what training should give, in the same variables",
    "mcmc": "sample a target by Markov chains, with autocorrelation times and errors",
    "field": "exact values of a target",
    "show": "summarise one of our files",
}


def add_flags(own: dict[str, Parser]) -> None:
    """The flags of this module's commands, by their names."""
    for name in ("train", "theory"):
        _add_training(own[name])
        _add_target(own[name])
        own[name].add_argument("--output", type=Path, required=name == "train", metavar="FILE.nc")
    _add_data(own["train"])
    own["generate"].add_argument(
        "file", type=Path, metavar="FILE.nc", help="a training file with two noise levels or more"
    )
    own["generate"].add_argument("--samples", type=int, metavar="M", help="fields to draw a seed (256)")
    own["generate"].add_argument("--integrator", metavar="NAME", help="how a step is made (heun)")
    own["generate"].add_argument("--start", metavar="NAME", help="noise, or exact: the exact law at t_max (noise)")
    own["generate"].add_argument("--step", type=int, metavar="N", help="training step to sample at (the last one)")
    own["generate"].add_argument("--t-min", type=float, metavar="T", help="lowest noise level (the file's lowest)")
    own["generate"].add_argument("--t-max", type=float, metavar="T", help="highest noise level (the file's highest)")
    own["generate"].add_argument("--size", type=int, metavar="L", help="a larger lattice than was trained on")
    own["train"].add_argument(
        "--checkpoint", type=Path, metavar="FILE.npz", help="where an unfinished run is kept (beside the output)"
    )
    own["train"].add_argument(
        "--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="time between checkpoints (60)"
    )
    _add_target_of_chains(own["mcmc"])
    _add_sampling(own["mcmc"])
    for name in ("train", "generate", "mcmc"):
        own[name].add_argument("--benchmark", type=Path, metavar="FILE.json", help="where the wall time went")
    for name in ("generate", "mcmc"):
        own[name].add_argument("--output", type=Path, required=True)
    _add_target(own["field"])
    own["show"].add_argument("file", type=Path, metavar="FILE.nc")


def _range(text: str) -> int | str:
    """A range: an integer, or a factor of the score length such as '3xi'."""
    try:
        return int(text)
    except ValueError:
        return text


def _kernel_steps(words: list[str]) -> str | tuple[int, ...]:
    """'last', 'recorded', 'sparse', or steps."""
    if words in (["last"], ["recorded"], ["sparse"]):
        return words[0]
    try:
        return tuple(int(word) for word in words)
    except ValueError:
        raise InputError(f"--kernel-steps is {' '.join(words)!r}; give last, recorded, sparse, or integers") from None


def _add_target(parser: Parser) -> None:
    """Flags that say what is learned."""
    group = parser.add_argument_group("target")
    group.add_argument("--dimension", type=int, required=True, metavar="D", help="lattice dimension: 1, 2 or 3")
    group.add_argument("--size", type=int, required=True, metavar="L", help="lattice size, at least 2")
    mass = parser.add_argument_group("mass, in one of three ways (default: --mass-times-length 1)")
    mass.add_argument("--mass", type=float, metavar="M", help="the mass itself, inverse lattice spacings")
    mass.add_argument("--mass-times-length", type=float, metavar="C", help="C of the critical line m = C / L")
    mass.add_argument("--r0", type=float, help="bare mass squared of the O(n) model, with --u")
    mass.add_argument("--u", type=float, help="quartic coupling of the O(n) model, with --r0")
    group.add_argument("--target", metavar="NAME", help="gaussian, or package.module:Class (gaussian)")


def _add_data(parser: Parser) -> None:
    """The flag that puts fields in the place of a target, whose own flags are then not required."""
    parser.add_argument("--data", type=Path, metavar="FILE.nc", help="fields of csd mcmc --fields, instead of a target")
    for action in parser._actions:
        if action.dest in ("dimension", "size"):
            action.required = False


def _add_training(parser: Parser) -> None:
    """Flags that say how it is learned; defaults are those of `csd.api.training`, and only named here."""
    add = parser.add_argument
    add("--architecture", required=True, metavar="NAME", help="a network, or package.module:Class")
    add("--depth", type=int, metavar="P", help="layers, for deep_linear")
    add("--range", type=_range, metavar="R", help="range of the composed kernel, or e.g. 3xi")
    add("--channels", type=int, metavar="C", help="tied channels, for local_two_layer")
    add("--schedule", metavar="NAME", help="vp, ve, or package.module:Class (vp)")
    levels = "noise levels t (a grid to generate on, of 64 steps)"
    add("--noise-level", dest="noise_levels", type=float, nargs="+", action="extend", metavar="T", help=levels)
    add("--loss", metavar="NAME", help="population, implicit or denoising (implicit)")
    add("--batch", type=int, metavar="B", help="fields in a minibatch (64)")
    add("--data-set", type=int, metavar="M", help="learn from a fixed data set of M fields")
    add("--seed", dest="seeds", type=int, nargs="+", action="extend", metavar="S", help="random seeds (0)")
    add("--tolerance", type=float, metavar="E", help="relative score error (0.01)")
    add("--max-steps", type=int, metavar="N", help="last step (1000000)")
    add("--learning-rate", type=float, metavar="ETA", help="instead of the architecture's own")
    add("--path", metavar="NAME", help="spectral (fast) or fields (any network) (spectral)")
    kernels = "keep kernels: last, recorded, sparse, or these steps (last)"
    add("--kernel-steps", nargs="+", metavar="N", help=kernels)
    add("--until", metavar="NAME", help="train until score_error, or until samples are right (score_error)")
    add("--integrator", metavar="NAME", help="that samples are made by, with --until samples (heun)")
    add("--start", metavar="NAME", help="where they start, likewise: noise or exact (noise)")
    devices = "cpu; cuda, on power spectra too; auto: cuda for autograd where there is one (auto)"
    add("--device", metavar="NAME", help=devices)


def _problem(arguments: argparse.Namespace) -> "tuple[NoisedTarget, Architecture, TrainingSettings]":
    """What is trained on what, and how, from the flags of `train` and `theory`."""
    from csd.api.keywords import Problem
    from csd.api.training import problem

    asked = {name: value for name, value in vars(arguments).items() if name in Problem.__annotations__}
    if asked["kernel_steps"] is not None:
        asked["kernel_steps"] = _kernel_steps(asked["kernel_steps"])
    data = _measured(arguments)
    if data is not None:
        asked |= {"target": data, "data_set": len(data.data)}
    return problem(arguments.architecture, **asked)


def _measured(arguments: argparse.Namespace) -> Any:
    """The target that --data gives; None without it."""
    given = ("dimension", "size", "mass", "mass_times_length", "r0", "u", "target", "data_set")
    named = [f"--{name.replace('_', '-')}" for name in given if getattr(arguments, name) is not None]
    if getattr(arguments, "data", None) is None:
        missing = [flag for flag in ("--dimension", "--size") if flag not in named]
        if missing:
            raise InputError(f"the following arguments are required: {', '.join(missing)}")
        return None
    if named:
        raise InputError(f"{named[0]} is given with --data, whose file says what the target is; give one of them")
    from csd.mcmc.fields import load_fields

    return load_fields(arguments.data)


def train(arguments: argparse.Namespace) -> None:
    """`csd train`: train one architecture on one target, beside its prediction."""
    started = time.perf_counter()
    command = shlex.join(command_line(arguments))
    log(command)
    from csd.api.training import trained
    from csd.core.files import require_writable

    problem = _problem(arguments)
    if arguments.benchmark is not None:
        require_writable(arguments.benchmark)
    laps = Laps()
    content = trained(
        *problem,
        command,
        arguments.output,
        arguments.checkpoint,
        arguments.checkpoint_every,
        log=log,
        lap=laps,
    )
    report_times(content)
    if arguments.benchmark is not None:
        steps = content["last_step"].values
        write_benchmark(arguments.benchmark, started, laps.work("training"), laps.wall["set-up"], steps)


def theory(arguments: argparse.Namespace) -> None:
    """`csd theory`: what training should give, without training, in the same variables."""
    from csd.api.training import predicted

    print_table(predicted(*_problem(arguments), shlex.join(command_line(arguments)), arguments.output))


def generate(arguments: argparse.Namespace) -> None:
    """`csd generate`: what a training file generates, by exact recursion and by sampling."""
    started = time.perf_counter()
    command = shlex.join(command_line(arguments))
    log(command)
    from dataclasses import fields

    from csd.api.generation import sampled
    from csd.core.files import require_writable
    from csd.diffusion.quality import GenerationSettings

    asked = {field.name: getattr(arguments, field.name) for field in fields(GenerationSettings)}
    settings = GenerationSettings(**{name: value for name, value in asked.items() if value is not None})
    if arguments.benchmark is not None:
        require_writable(arguments.benchmark)
    laps = Laps()
    content = sampled(
        arguments.file,
        settings,
        command,
        arguments.output,
        lap=laps,
    )
    print_generation(content)
    if arguments.benchmark is not None:
        write_benchmark(arguments.benchmark, started, laps.work("generation"), laps.wall["set-up"])


def mcmc(arguments: argparse.Namespace) -> None:
    """`csd mcmc`: run Markov chains of one target, with autocorrelation times and errors."""
    started = time.perf_counter()
    log(shlex.join(command_line(arguments)))
    from dataclasses import fields

    from csd.core.files import ENSEMBLE, SAMPLING_PACKAGES, provenance, require_writable, write
    from csd.core.source import fingerprint
    from csd.mcmc.autocorrelation import gamma_method
    from csd.mcmc.ensemble import ensemble, summary_lines
    from csd.mcmc.simulation import MonteCarloSettings, monte_carlo_request

    given = {field.name: getattr(arguments, field.name, None) for field in fields(MonteCarloSettings)}
    settings = MonteCarloSettings(**given | {"samplers": tuple(arguments.sampler)})
    target = _target_of_chains(arguments)
    for path in (arguments.output, arguments.benchmark):
        if path is not None:
            require_writable(path)
    gamma_method()
    laps = Laps()
    laps("set-up")
    content = ensemble(target, settings)
    laps("sampling")
    made_by = provenance(
        command_line(arguments), monte_carlo_request(target, settings), fingerprint("mcmc"), packages=SAMPLING_PACKAGES
    )
    write(content.assign_attrs(made_by), arguments.output, ENSEMBLE)
    print("\n".join(summary_lines(content)))
    if arguments.benchmark is not None:
        write_benchmark(arguments.benchmark, started, laps.work("sampling"), laps.wall["set-up"])


def _target_of_chains(arguments: argparse.Namespace) -> "HasEnergy":
    """The target of `csd mcmc`, at finite n."""
    from csd.lattice import Lattice
    from csd.mcmc.simulation import target_of_chains

    pairs = {
        "--mass": arguments.mass,
        "--mass-times-length": arguments.mass_times_length,
        "--r0 and --u": arguments.u if arguments.r0 is None else arguments.r0,
        "--beta": arguments.beta,
    }
    given = [flag for flag, value in pairs.items() if value is not None]
    if len(given) != 1:
        raise InputError(
            f"{' and '.join(given) or 'no target'} given; give one of --mass or --mass-times-length (Gaussian),"
            " --r0 and --u (phi^4), or --beta (spins)"
        )
    if (arguments.r0 is None) != (arguments.u is None):
        raise InputError("--r0 and --u belong together; give both")
    names = ("mass", "mass_times_length", "r0", "u", "beta")
    ways = {name: getattr(arguments, name) for name in names}
    return target_of_chains(Lattice(arguments.dimension, arguments.size), arguments.components, **ways)


def _add_target_of_chains(parser: Parser) -> None:
    """Flags that say what `csd mcmc` samples."""
    group = parser.add_argument_group("target: Gaussian by its mass, phi^4 by --r0 and --u, spins by --beta")
    group.add_argument("--dimension", type=int, required=True, metavar="D", help="lattice dimension: 1, 2 or 3")
    group.add_argument("--size", type=int, required=True, metavar="L", help="lattice size, at least 2")
    group.add_argument("--components", type=int, default=1, metavar="N", help="components n of the field or spin (1)")
    group.add_argument("--mass", type=float, metavar="M", help="mass of a Gaussian field")
    group.add_argument("--mass-times-length", type=float, metavar="C", help="C of the critical line m = C / L")
    group.add_argument("--r0", type=float, help="bare mass squared of phi^4, with --u")
    group.add_argument("--u", type=float, help="quartic coupling u of u/(4n) (phi^2)^2, with --r0")
    group.add_argument("--beta", type=float, metavar="B", help="coupling of unit spins: Ising, XY, Heisenberg, …")


def _add_sampling(parser: Parser) -> None:
    """Flags that say how `csd mcmc` samples."""
    parser.add_argument(
        "--sampler", nargs="+", action="extend", required=True, metavar="NAME", help="heat_bath, hmc, wolff, …"
    )
    parser.add_argument("--sweeps", type=int, default=10_000, metavar="N", help="of each chain (10000)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="sweeps between measurements (1)")
    parser.add_argument(
        "--thermalisation", type=int, metavar="N", help="sweeps before (a tenth of --sweeps, at least 100)"
    )
    parser.add_argument("--chains", type=int, default=4, metavar="C", help="Markov chains of each sampler (4)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (0)")
    parser.add_argument("--step", type=float, metavar="E", help="width or leapfrog step, instead of being tuned")
    parser.add_argument("--trajectory", type=float, metavar="T", help="mean length of HMC's trajectories")
    parser.add_argument("--fields", type=int, default=0, metavar="M", help="keep M decorrelated fields, to train on")


def field(arguments: argparse.Namespace) -> None:
    """`csd field`: the target's exact values."""
    from csd.api.keywords import Field
    from csd.api.targets import target
    from csd.targets.base import HasExactValues

    own = target(**{name: value for name, value in vars(arguments).items() if name in Field.__annotations__})
    if not isinstance(own, HasExactValues):
        raise InputError(f"target {arguments.target!r} has no susceptibility, correlation length, variance and energy")
    for name, value, units in (
        ("mass", own.mass, "inverse lattice spacings"),
        ("susceptibility", own.susceptibility, ""),
        ("correlation_length", own.correlation_length, "lattice spacings"),
        ("variance", own.variance, ""),
        ("energy", own.energy, "per site"),
    ):
        print(f"{name:<20}{value:.15g}  {units}".rstrip())


def show(arguments: argparse.Namespace) -> None:
    """`csd show`: summarise any of our files."""
    from csd.core.files import ENSEMBLE, GENERATION, THEORY, TRAINING, read_content

    content = read_content(arguments.file)
    print(f"{arguments.file}: a {content.attrs['csd_file']} file of csd")
    for name, value in content.attrs.items():
        if not name.startswith(("note_", "csd_file")) and value not in ("", 0):
            print(f"  {name:<20}{value}")
    print("  dimensions          " + ", ".join(f"{name} {size}" for name, size in content.sizes.items()))
    if content.attrs["csd_file"] == GENERATION:
        print_generation(content)
    elif content.attrs["csd_file"] == ENSEMBLE:
        from csd.mcmc.ensemble import summary_lines

        print("\n".join(summary_lines(content)))
    elif content.attrs["csd_file"] in (TRAINING, THEORY):
        print("  seeds               " + " ".join(map(str, content["seed"].values)))
        print_table(content)
