"""The command `csd`: arguments in, one call, file out.

Every mistake ends as one sentence on standard error and exit status 2; training that diverges with status 3.
"""

import os
import sys
import time

# Set before NumPy loads: training is memory bound and jobs share the machine, so a BLAS pool only gets in the way.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any, NoReturn  # noqa: E402

from csd.core.errors import GenerationFailed, InputError, Interrupted, TrainingDiverged, nearest  # noqa: E402

if TYPE_CHECKING:
    from xarray import DataArray

    from csd.core.files import Content
    from csd.networks import Architecture
    from csd.study.config.jobs import TrainingJob
    from csd.study.config.monte_carlo import MonteCarloJob
    from csd.targets.base import HasEnergy
    from csd.targets.noising import NoisedTarget
    from csd.training.options import TrainingSettings

BAD_INPUT = 2
DIVERGED = 3


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, with the nearest valid name for a typo."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        self._given: Sequence[str] = ()
        super().__init__(*args, **kwargs)
        # argparse takes -1 for a number, but -1e-3 for a flag.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^-inf$|^-nan$")

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        typo = [word for word in self._given if word.startswith("--") and word.split("=")[0] not in self.flags()]
        if "are required" in message and typo:
            message = f"unrecognized arguments: {typo[0]}"
        if message.startswith("unrecognized arguments: "):
            word = message.removeprefix("unrecognized arguments: ").split()[0]
            message = f"unknown argument {word!r}{nearest(word, self.flags())}"
        elif "invalid choice: " in message:
            word = message.split("invalid choice: ")[1].split("'")[1]
            message = f"unknown command {word!r}{nearest(word, COMMANDS)} (known: {', '.join(COMMANDS)})"
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")

    def flags(self) -> list[str]:
        """All long flags."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Unknown arguments are reported by the command that they were given to, which knows its own flags."""
        self._given = sys.argv[1:] if args is None else args
        parsed, extra = super().parse_known_args(args, namespace)
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return parsed, extra


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


def _command_line(arguments: argparse.Namespace) -> list[str]:
    """The command as one can type it again."""
    return ["csd", *arguments.given]


def _log(message: str) -> None:
    """A line of the log."""
    print(message, file=sys.stderr, flush=True)


class Laps:
    """When the parts of a job had ended, by the wall's clock and by the processor's, in seconds."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def __call__(self, part: str) -> None:
        """Take note of a part's end."""
        self.wall[part], self.processor[part] = time.perf_counter(), time.process_time()

    def work(self, part: str) -> dict[str, float]:
        """Seconds of a part for a job's record: its wall time, and `work_cpu_s`, its processor time.

        Both are from the end of set-up to the end of the part; making networks and data ready counts as processor time.
        """
        wall, processor = (clock[part] - clock["set-up"] for clock in (self.wall, self.processor))
        ready = self.processor.get("ready", 0.0) - self.processor.get("start", 0.0)
        return {f"{part}_s": wall, "work_cpu_s": processor + ready}


def train(arguments: argparse.Namespace) -> None:
    """`csd train`: train one architecture on one target, beside its prediction."""
    import shlex

    started = time.perf_counter()
    command = shlex.join(_command_line(arguments))
    _log(command)
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
        log=_log,
        lap=laps,
    )
    _report_times(content)
    if arguments.benchmark is not None:
        steps = content["last_step"].values
        _write_benchmark(arguments.benchmark, started, laps.work("training"), laps.wall["set-up"], steps)


def _report_times(content: "Content") -> None:
    """Training times of each noise level, one line each, and where and why the training of each seed ended."""
    for level, times in zip(content["noise_level"].values, content["training_time"].values.T, strict=True):
        shown = ", ".join("not reached" if time != time else f"{time:.0f} steps" for time in times)
        _log(f"noise level {level:g}: training time {shown}")
    about = content.attrs
    for row, seed in enumerate(content["seed"].values):
        last = int(content["last_step"].values[row])
        reached = not (content["training_time"].values[row] != content["training_time"].values[row]).any()
        if about["until"] == "samples":
            waited = f"samples had been right by {about['waited_for']}"
            why = waited if last < about["max_steps"] else f"max_steps, before {waited} for long enough"
        elif reached and about["tolerance"] > 0.0:
            why = "tolerance reached"
        else:
            why = "max_steps" if about["tolerance"] == 0.0 else "max_steps, before the tolerance was reached"
        _log(f"seed {seed}: training ended at step {last}: {why}")


def _write_benchmark(path: Path, started: float, work: dict[str, float], prepared: float, steps: Any = None) -> None:
    """Where a job's wall time went, from the start of the process.

    Args:
        path: of the record.
        started: when csd's first line ran.
        work: seconds of the work itself, by name, and of processor time ('work_cpu_s') in it.
        prepared: when that began.
        steps: of training, one number a seed.
    """
    from csd.core.files import write_text

    done = time.perf_counter()
    before = max(0.0, _process_age() - (done - started))
    wall = before + done - started
    set_up = before + prepared - started
    of_work = sum(seconds for name, seconds in work.items() if name != "work_cpu_s")
    record = {
        "wall_s": wall,
        "interpreter_s": before,
        "imports_and_set_up_s": set_up,
        **work,
        "prediction_and_writing_s": wall - set_up - of_work,
        "set_up_share": set_up / wall,
        "cpu_s": time.process_time(),
        **({} if steps is None else {"steps": int(steps.sum())}),
        "peak_memory_mb": _peak_memory(),
    }
    write_text(json.dumps(record, indent=2) + "\n", path)


def _process_age() -> float:
    """Seconds since this process started."""
    try:
        after_name = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        import psutil

        return time.time() - psutil.Process().create_time()


def _peak_memory() -> float:
    """Largest resident size of this process so far, in MB."""
    try:
        # What getrusage says is not below the peak of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024.0
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def theory(arguments: argparse.Namespace) -> None:
    """`csd theory`: what training should give, without training, in the same variables."""
    import shlex

    from csd.api.training import predicted

    _print_table(predicted(*_problem(arguments), shlex.join(_command_line(arguments)), arguments.output))


def generate(arguments: argparse.Namespace) -> None:
    """`csd generate`: what a training file generates, by exact recursion and by sampling."""
    import shlex

    started = time.perf_counter()
    command = shlex.join(_command_line(arguments))
    _log(command)
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
    _print_generation(content)
    if arguments.benchmark is not None:
        _write_benchmark(arguments.benchmark, started, laps.work("generation"), laps.wall["set-up"])


def _print_generation(content: "Content") -> None:
    """The numbers of a generation file, a row a criterion and seed."""
    criteria = content["criterion"].values
    print("exact score:")
    for name in criteria:
        print(f"  {name:<22}{float(content[f'exact_score_{name}'].values):.4g}")
    remarks = {name: why for name, why in zip(criteria, content["criterion_remark"].values, strict=True) if why}
    for name, why in remarks.items():
        print(f"no training time by {name}: {why}")
    steps = content["step"].values
    advice = [] if steps[0] == 0 else ["--kernel-steps sparse"]
    advice += [] if content.attrs.get("until") == "samples" else ["--until samples"]
    untold = f"the steps kept do not tell (train with {' and '.join(advice)})" if advice else "not reached"
    last = steps == content.attrs["sampled_step"]
    for row, seed in enumerate(content["seed"].values):

        def at(name: str, row: int = row) -> float:
            return float(content[name].values[row])

        print(f"seed {seed}: samples are right from a step of training on, by")
        for name, right in zip(criteria, content["generation_training_time"].values[row], strict=True):
            if name not in remarks:
                print(f"  {name:<22}{f'{right:.1f}' if right == right else untold}")
        print(f"seed {seed}: fields drawn after {content.attrs['sampled_step']} steps")
        print(f"  {'kl_per_site':<22}{float(content['kl_per_site'].values[row, last][0]):.3g}, of their kernels")
        for name in ("susceptibility", "correlation_length", "energy", "variance", "excess_kurtosis"):
            value, error = at(f"sampled_{name}"), at(f"sampled_{name}_error")
            exact = float(content[f"exact_{name}"].values) if f"exact_{name}" in content else 0.0
            shown = f"{value:.5g} ± {error:.2g}" if error == error else f"{value:.5g}, no error: too few samples"
            if name == "correlation_length" and value != value:
                shown = "no correlation length: S(0) < S(k1) in these samples"
            print(f"  {name:<22}{shown}, exact {exact:.5g}")
        distance, p_value = at("two_sample_distance"), at("two_sample_p_value")
        print(f"  {'two-sample test':<22}energy distance {distance:.3g} from exact fields, p = {p_value:.2g}")


def mcmc(arguments: argparse.Namespace) -> None:
    """`csd mcmc`: run Markov chains of one target, with autocorrelation times and errors."""
    import shlex

    started = time.perf_counter()
    _log(shlex.join(_command_line(arguments)))
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
        _command_line(arguments), monte_carlo_request(target, settings), fingerprint("mcmc"), packages=SAMPLING_PACKAGES
    )
    write(content.assign_attrs(made_by), arguments.output, ENSEMBLE)
    print("\n".join(summary_lines(content)))
    if arguments.benchmark is not None:
        _write_benchmark(arguments.benchmark, started, laps.work("sampling"), laps.wall["set-up"])


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


def _print_table(content: "Content") -> None:
    """The numbers of a training or theory file, a row a noise level."""
    print(f"{'noise level':>12} {'rate':>12} {'parameters':>11} {'floor':>11}  training time (steps)")
    columns = [content[name].values for name in ("noise_level", "learning_rate", "level_parameters", "floor")]
    for level, rate, parameters, floor, of_seeds in zip(*columns, content["training_time"].values.T, strict=True):
        times = "  ".join("not reached" if time != time else f"{time:.0f}" for time in of_seeds)
        print(f"{level:12g} {rate:12.6g} {parameters:11d} {floor:11.3g}  {times}")


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
        _print_generation(content)
    elif content.attrs["csd_file"] == ENSEMBLE:
        from csd.mcmc.ensemble import summary_lines

        print("\n".join(summary_lines(content)))
    elif content.attrs["csd_file"] in (TRAINING, THEORY):
        print("  seeds               " + " ".join(map(str, content["seed"].values)))
        _print_table(content)


def validate(arguments: argparse.Namespace) -> None:
    """`csd validate`: check a study and say what it would run."""
    from csd.core.plugins import resolve
    from csd.study.claims import load_claims
    from csd.study.config.jobs import training_jobs
    from csd.study.config.monte_carlo import monte_carlo_jobs
    from csd.study.config.reading import claims_file, load, parse

    try:
        study = parse(load(arguments.config))
        runs = training_jobs(study)
        sampled = monte_carlo_jobs(study.monte_carlo)
        for path in {path for run in runs for path in run.plugins}:
            resolve("plug-in", path, {})
        load_claims(claims_file(study, Path(__file__).parents[2]))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(arguments.config)) else f"{arguments.config}: {text}") from error
    print(f"{arguments.config}: the study {study.study!r} is valid")
    for name in study.sweeps:
        own = [run for run in runs if run.sweep == name]
        print(f"  {name:<24}{len(own):5d} runs, {sum(len(run.seeds) for run in own):6d} trained networks a noise level")
    print(f"  {'all':<24}{len(runs):5d} runs -> {study.output}/")
    for name, of_name in study.monte_carlo.items():
        own_jobs = [job for job in sampled if job.sweep == name]
        chains = len(of_name.samplers) * of_name.chains * len(own_jobs)
        print(f"  {name:<24}{len(own_jobs):5d} jobs, {chains:6d} Markov chains")
    if not arguments.no_cost:
        _print_cost(runs, sampled, len(study.drawn))


def _print_cost(runs: "Sequence[TrainingJob]", chains: "Sequence[MonteCarloJob]", figures: int) -> None:
    """Jobs, time, memory and disk of a study, before it starts."""
    from statistics import median

    from csd.study.cost.calibration import calibrate
    from csd.study.cost.estimate import expected_costs, expected_monte_carlo_costs, other_jobs
    from csd.study.cost.limits import cluster_jobs
    from csd.study.cost.work import by_autograd

    pace = calibrate(fields=any(by_autograd(run) for run in runs))
    trained = expected_costs(runs, pace)
    jobs = trained + expected_monte_carlo_costs(chains, pace)
    largest = max(jobs, key=lambda job: job.memory_mb)
    longest = max(jobs, key=lambda job: job.seconds)
    core = sum(job.seconds for job in jobs) + other_jobs(jobs, figures, pace)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print("expected, with the speed of this machine:")
    sampled = f", {len(chains)} of Monte Carlo" if chains else ""
    generated = f"{len(trained) - len(runs)} of generation{sampled}"
    print(f"  jobs          {len(runs)} of training, {generated}, and {figures} figures")
    print(f"  core time     {_duration(core)}; {_duration(max(core / cores, longest.seconds))} on its {cores} cores")
    print(f"  longest job   {_duration(longest.seconds)}: {longest.identifier}")
    print(f"  most memory   {largest.memory_mb:,.0f} MB: {largest.identifier}{' (generation)' * largest.generates}")
    print(f"  disk          {sum(job.disk_mb for job in jobs):,.0f} MB")
    shared = cluster_jobs(jobs, runs)
    print(f"  on a cluster  {len(shared)} jobs, half of which last {_duration(median(shared))} or more")
    unknown = sum(":" in run.name for run in runs)
    if unknown:
        print(f"  {unknown} runs train user-defined networks, whose cost is taken for that of one layer by autograd")


def _duration(seconds: float) -> str:
    """A time to two digits or so: '12 s', '3.4 min', '5.6 h'."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.1f} min" if seconds < 6000.0 else f"{seconds / 3600.0:,.1f} h"


def _json(flag: str, text: str) -> Any:
    """The content of a flag that holds JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{flag} is {text!r}; it must be JSON ({error})") from error


def verify(arguments: argparse.Namespace) -> None:
    """`csd verify`: which files of a study are damaged, stale or foreign, and what mends each."""
    from csd.study.status import study_of, verify_files

    checked, faults = verify_files(study_of(arguments.folder, arguments.config), arguments.folder)
    for fault in faults:
        print(f"{fault.path}: {fault.state}, {fault.reason}\n    mend: {fault.mend}")
    good = checked - sum(fault.counted for fault in faults)
    print(f"{checked} files of the study looked at, {good} good, {len(faults)} to mend")
    if faults:
        sys.exit(1)


def status(arguments: argparse.Namespace) -> None:
    """`csd status`: how far a study is."""
    from csd.study.config.jobs import training_jobs
    from csd.study.status import jobs, status_lines, study_of

    study = study_of(arguments.folder, arguments.config)
    found = list(jobs(study, arguments.folder))
    for line in status_lines(study, found):
        print(line)
    left = {job.name for job in found if job.state != "done"}
    if left and not arguments.no_cost:
        from csd.study.config.monte_carlo import monte_carlo_jobs
        from csd.study.cost.calibration import calibrate
        from csd.study.cost.estimate import expected_costs, expected_monte_carlo_costs
        from csd.study.cost.work import by_autograd

        runs = training_jobs(study)
        pace = calibrate(fields=any(by_autograd(run) for run in runs))
        expected = expected_costs(runs, pace)
        sampled = expected_monte_carlo_costs(monte_carlo_jobs(study.monte_carlo), pace)
        named = {f"{'generation' if job.generates else 'training'}/{job.identifier}": job.seconds for job in expected}
        named |= {f"monte_carlo/{job.identifier}": job.seconds for job in sampled}
        seconds = sum(named[name] for name in left)
        print(f"  about {_duration(seconds)} of core time left, with the speed of this machine")


def schema(arguments: argparse.Namespace) -> None:
    """`csd schema`: the JSON Schema of a study's configuration."""
    from csd.study.config.reading import json_schema

    print(json.dumps(json_schema(), indent=2))


def study(arguments: argparse.Namespace) -> None:
    """`csd study`: write a study, given as JSON, with all defaults filled in."""
    from csd.core.files import write_text
    from csd.study.config.reading import parse

    write_text(parse(_json("--json", arguments.json)).model_dump_json(indent=2) + "\n", arguments.output)


def aggregate(arguments: argparse.Namespace) -> None:
    """`csd aggregate`: all training files of a study in one."""
    from csd.core.files import SUMMARY, provenance, write
    from csd.core.source import fingerprint
    from csd.study.config.jobs import training_jobs
    from csd.study.config.reading import load, parse
    from csd.study.summaries.training import aggregate_training

    own = parse(load(arguments.study))
    runs = [run for run in training_jobs(own) if run.generation is None]
    dataset = aggregate_training(runs, arguments.training, mixed=arguments.mixed)
    made_by = provenance(_command_line(arguments), own.model_dump(), fingerprint("aggregate"))
    write(dataset.assign_attrs(made_by), arguments.output, SUMMARY)


def aggregate_generation(arguments: argparse.Namespace) -> None:
    """`csd aggregate-generation`: all generation files of a study in one."""
    from csd.core.files import GENERATION_SUMMARY, provenance, write
    from csd.core.source import fingerprint
    from csd.study.config.jobs import generation_jobs, training_jobs
    from csd.study.config.reading import load, parse
    from csd.study.summaries.generation import aggregate_generation as gathered

    own = parse(load(arguments.study))
    dataset = gathered(generation_jobs(training_jobs(own)), arguments.generation, mixed=arguments.mixed)
    made_by = provenance(_command_line(arguments), own.model_dump(), fingerprint("aggregate"))
    write(dataset.assign_attrs(made_by), arguments.output, GENERATION_SUMMARY)


def aggregate_mcmc(arguments: argparse.Namespace) -> None:
    """`csd aggregate-mcmc`: all Monte Carlo files of a study in one."""
    from csd.core.files import ENSEMBLE_SUMMARY, provenance, write
    from csd.core.source import fingerprint
    from csd.study.config.monte_carlo import monte_carlo_jobs
    from csd.study.config.reading import load, parse
    from csd.study.summaries.dynamics import aggregate_monte_carlo

    own = parse(load(arguments.study))
    dataset = aggregate_monte_carlo(monte_carlo_jobs(own.monte_carlo), arguments.monte_carlo, mixed=arguments.mixed)
    made_by = provenance(_command_line(arguments), own.model_dump(), fingerprint("aggregate_mcmc"))
    write(dataset.assign_attrs(made_by), arguments.output, ENSEMBLE_SUMMARY)


def timing(arguments: argparse.Namespace) -> None:
    """`csd timing`: what independent fields cost, by Monte Carlo and by diffusion models, on this machine."""
    from csd.core.files import ENSEMBLE_SUMMARY, GENERATION_SUMMARY, TIMING, provenance, read, require_writable, write
    from csd.study.config.jobs import training_jobs
    from csd.study.config.monte_carlo import monte_carlo_jobs
    from csd.study.config.reading import load, parse
    from csd.study.summaries.cost_of_fields import compared, cost_of_fields

    require_writable(arguments.output)
    own = parse(load(arguments.study))
    methods = compared(
        monte_carlo_jobs(own.monte_carlo),
        read(arguments.monte_carlo, ENSEMBLE_SUMMARY),
        [run for run in training_jobs(own) if run.generation is not None],
        read(arguments.generation, GENERATION_SUMMARY),
        arguments.training or arguments.generation.parent.parent / "training",
    )
    made_by = provenance(_command_line(arguments), own.model_dump())
    write(cost_of_fields(methods).assign_attrs(made_by), arguments.output, TIMING)


def integrators(arguments: argparse.Namespace) -> None:
    """`csd integrators`: steps that each integrator needs with the exact score, by criterion, against size."""
    from csd.core.files import INTEGRATOR_STEPS, provenance, require_writable, write
    from csd.diffusion.discretisation import compare

    require_writable(arguments.output)
    dimensions, sizes = arguments.dimension, arguments.size
    if len(set(dimensions)) < len(dimensions):
        raise InputError(f"--dimension is {dimensions}; give each dimension once")
    if len(dimensions) == 1:
        sizes = [[size for group in sizes for size in group]]
    elif len(sizes) == 1:
        sizes = sizes * len(dimensions)
    if len(sizes) != len(dimensions):
        raise InputError(
            f"--dimension is {dimensions} and --size is given {len(sizes)} times; give --size once for all dimensions"
            " or once for each"
        )
    asked = {name: getattr(arguments, name) for name in ("mass_times_length", "tolerance", "t_min")}
    dataset = compare(dict(zip(dimensions, sizes, strict=True)), **asked)
    asked |= {"dimension": dimensions, "size": sizes}
    write(dataset.assign_attrs(provenance(_command_line(arguments), asked)), arguments.output, INTEGRATOR_STEPS)
    for dimension, own in zip(dimensions, sizes, strict=True):
        steps = dataset["steps_needed"].sel(dimension=dimension, size=own, drop=True)
        print(f"d = {dimension}, VP, geometric in t: steps from which on each criterion holds")
        _print_steps(steps.sel(schedule="vp", grid="geometric", drop=True), ["criterion", "integrator"])
        print(f"d = {dimension}: steps from which on KL per site is at most {arguments.tolerance:g}")
        _print_steps(steps.sel(criterion="kl_per_site", drop=True), ["schedule", "grid", "integrator"])


def _print_steps(steps: "DataArray", rows: Sequence[str]) -> None:
    """A table of steps against size."""
    table = steps.stack(row=rows).transpose("row", "size").to_pandas()
    print(table.to_string(float_format=lambda n: f"{n:.0f}" if n < float("inf") else "more"), end="\n\n")


def fit(arguments: argparse.Namespace) -> None:
    """`csd fit`: scaling laws of training times, autocorrelation times and integrator steps."""
    import pandas as pd

    from csd.core.files import ENSEMBLE_SUMMARY, GENERATION_SUMMARY, INTEGRATOR_STEPS, SUMMARY, read, write_text
    from csd.study.summaries.laws import generation_table, training_table

    table = training_table(read(arguments.summary, SUMMARY))
    if arguments.generation is not None:
        table = pd.concat([table, generation_table(read(arguments.generation, GENERATION_SUMMARY))])
    if arguments.monte_carlo is not None:
        from csd.study.summaries.dynamics import dynamic_table

        table = pd.concat([table, dynamic_table(read(arguments.monte_carlo, ENSEMBLE_SUMMARY))])
    if arguments.integrators is not None:
        from csd.study.summaries.integrators import integrator_table

        table = pd.concat([table, integrator_table(read(arguments.integrators, INTEGRATOR_STEPS))])
    write_text(table.to_csv(index=False), arguments.output)


def claims(arguments: argparse.Namespace) -> None:
    """`csd claims`: test the claims on a summary and its fits."""
    from csd.core.files import SUMMARY, read, write_text
    from csd.study.claims import load_claims
    from csd.study.summaries.laws import read_scaling
    from csd.study.verdict_files import as_json, as_markdown
    from csd.study.verdicts import judge

    scaling = read_scaling(arguments.scaling)
    verdicts = judge(load_claims(arguments.claims), scaling, read(arguments.summary, SUMMARY))
    write_text(as_json(verdicts), arguments.output)
    write_text(as_markdown(verdicts), arguments.table)
    print(as_markdown(verdicts))


def figure(arguments: argparse.Namespace) -> None:
    """`csd figure`: draw one figure of a study as PDF and PNG."""
    from csd.report.figures import draw
    from csd.study.config.reading import parse_style
    from csd.study.config.study import FigureStyle

    style: FigureStyle = parse_style(_json("--style", arguments.style))
    draw(arguments.name, arguments.summary, arguments.scaling, style, arguments.output)


def paper(arguments: argparse.Namespace) -> None:
    """`csd paper`: the numbers, tables and figures of a study for a paper in LaTeX."""
    from csd.core.files import provenance
    from csd.report.paper import write_paper
    from csd.study.config.reading import parse_style

    style = parse_style(_json("--style", arguments.style))
    made_by = provenance(_command_line(arguments), {"style": style.model_dump(), "figures": arguments.figure})
    given = {"training": arguments.summary, "generation": arguments.generation, "integrators": arguments.integrators}
    summaries = {kind: path for kind, path in given.items() if path is not None}
    write_paper(summaries, arguments.scaling, arguments.claims, arguments.output, arguments.figure, style, made_by)


def explore(arguments: argparse.Namespace) -> None:
    """`csd explore`: one page in which a study can be looked at."""
    from csd.core.files import GENERATION_SUMMARY, SUMMARY, read, write_text
    from csd.report.explore import page

    generation = None if arguments.generation is None else read(arguments.generation, GENERATION_SUMMARY)
    write_text(page(read(arguments.summary, SUMMARY), generation, arguments.title), arguments.output)


def pages(arguments: argparse.Namespace) -> None:
    """`csd pages`: claims, configuration, software and run times of a study, as pages of its report."""
    from csd.core.files import SUMMARY, provenance, read
    from csd.report.pages import write_pages

    made_by = provenance(_command_line(arguments), {})
    summary = read(arguments.summary, SUMMARY)
    write_pages(arguments.study, arguments.claims, summary, arguments.benchmarks, arguments.output, made_by)


COMMANDS = {
    "train": "train one architecture on one target",
    "generate": "sample from a training file, beside what it generates exactly",
    "theory": "what training should give, in the same variables",
    "mcmc": "sample a target by Markov chains, with autocorrelation times and errors",
    "field": "exact values of a target",
    "show": "summarise one of our files",
    "validate": "check a study and say what it would run, and what that takes",
    "verify": "which files of a study are damaged, stale or foreign, and what mends each",
    "status": "how far a study is: done, running, failed, left",
    "schema": "print the JSON Schema of a study's configuration",
    "study": "write a study, given as JSON, with all defaults filled in",
    "aggregate": "put all training files of a study in one",
    "aggregate-generation": "put all generation files of a study in one",
    "aggregate-mcmc": "put all Monte Carlo files of a study in one",
    "timing": "what independent fields cost by Monte Carlo and by diffusion models, on this machine",
    "integrators": "steps that each integrator needs with the exact score, by criterion, against size",
    "fit": "fit scaling laws to the training times of a summary",
    "claims": "test the claims on a summary and its fits",
    "figure": "draw one figure of a study",
    "paper": "write the numbers, tables and figures of a study for a paper in LaTeX",
    "explore": "write a page in which a study can be looked at, without a server",
    "pages": "write claims, configuration, software and run times as pages of a report",
}


def _parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="csd", description="A laboratory for critical slowing down in diffusion models.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--print-completion", metavar="SHELL", help="print what completes commands in bash or zsh")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    own = {name: commands.add_parser(name, help=text, description=f"{text}.") for name, text in COMMANDS.items()}
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
    _add_target(own["field"])
    own["show"].add_argument("file", type=Path, metavar="FILE.nc")
    own["validate"].add_argument("config", type=Path, metavar="CONFIG.yaml")
    own["validate"].add_argument("--no-cost", action="store_true", help="leave out time, memory and disk")
    for name in ("verify", "status"):
        own[name].add_argument("folder", type=Path, metavar="RESULTS", help="folder of a study, such as results")
        own[name].add_argument(
            "--config", type=Path, metavar="CONFIG.yaml", help="the study (RESULTS/summary/study.json: as last run)"
        )
    own["status"].add_argument("--no-cost", action="store_true", help="leave out the time left")
    own["study"].add_argument("--json", required=True)
    own["aggregate"].add_argument("--study", type=Path, required=True)
    own["aggregate"].add_argument("--training", type=Path, required=True, help="folder of the training files")
    own["integrators"].add_argument(
        "--dimension", type=int, nargs="+", required=True, metavar="D", help="one or several"
    )
    own["integrators"].add_argument(
        "--size",
        type=int,
        nargs="+",
        action="append",
        required=True,
        metavar="L",
        help="sizes of all dimensions; or give the flag once for each dimension, in their order",
    )
    own["integrators"].add_argument(
        "--mass-times-length", type=float, default=1.0, metavar="C", help="C of m = C/L (1)"
    )
    own["integrators"].add_argument("--tolerance", type=float, default=0.01, metavar="E", help="KL per site (0.01)")
    own["integrators"].add_argument("--t-min", type=float, default=1e-3, metavar="T", help="lowest level (0.001)")
    own["aggregate-generation"].add_argument("--study", type=Path, required=True)
    own["aggregate-generation"].add_argument("--generation", type=Path, required=True, help="folder of the files")
    own["aggregate-mcmc"].add_argument("--study", type=Path, required=True)
    own["aggregate-mcmc"].add_argument("--monte-carlo", type=Path, required=True, help="folder of the files")
    own["timing"].add_argument("--study", type=Path, required=True)
    own["timing"].add_argument("--monte-carlo", type=Path, required=True, help="summary of Monte Carlo")
    own["timing"].add_argument("--generation", type=Path, required=True, help="summary of generation")
    own["timing"].add_argument(
        "--training", type=Path, help="folder of the training files; beside the folder of that summary if not given"
    )
    for name in ("aggregate", "aggregate-generation", "aggregate-mcmc"):
        own[name].add_argument(
            "--mixed", action="store_true", help="take files that different versions of the code or of a study made"
        )
    for name in ("explore", "paper"):
        own[name].add_argument("--generation", type=Path, help="summary of generation, if the study has any")
    own["explore"].add_argument("--title", default="Critical slowing down in diffusion models", help="of the page")
    own["pages"].add_argument("--study", type=Path, required=True)
    own["pages"].add_argument("--claims", type=Path, required=True)
    own["pages"].add_argument("--benchmarks", type=Path, required=True, help="folder of the records of jobs")
    for name in ("fit", "claims", "figure", "explore", "pages", "paper"):
        own[name].add_argument("--summary", type=Path, required=True)
    own["fit"].add_argument("--generation", type=Path, help="summary of generation, if the study has any")
    own["fit"].add_argument("--monte-carlo", type=Path, help="summary of Monte Carlo, if the study has any")
    own["fit"].add_argument("--integrators", type=Path, help="comparison of integrators, if the study has one")
    for name in ("claims", "figure", "paper"):
        own[name].add_argument("--scaling", type=Path, required=True)
    own["claims"].add_argument("--claims", type=Path, required=True)
    own["claims"].add_argument("--table", type=Path, required=True, help="the verdicts as Markdown")
    own["figure"].add_argument("name")
    own["figure"].add_argument("--style", default="{}", help="settings as JSON")
    own["paper"].add_argument("--integrators", type=Path, help="comparison of integrators, if a figure shows it")
    own["paper"].add_argument("--claims", type=Path, required=True, help="claims.json")
    own["paper"].add_argument("--figure", nargs="*", action="extend", default=[], metavar="NAME", help="to draw")
    own["paper"].add_argument("--style", default="{}", help="settings as JSON")
    for name in (
        "generate",
        "mcmc",
        "aggregate-mcmc",
        "timing",
        "integrators",
        "study",
        "aggregate",
        "aggregate-generation",
        "fit",
        "claims",
        "figure",
        "paper",
        "explore",
        "pages",
    ):
        own[name].add_argument("--output", type=Path, required=True)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run `csd` with the given arguments, those of the process by default."""
    parser = _parser()
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = parser.parse_args(given)
    arguments.given = given
    if arguments.version:
        from importlib.metadata import version

        print(version("csd"))
        return
    if arguments.command is None and arguments.print_completion is None:
        parser.error(f"a command is needed (known: {', '.join(COMMANDS)})")
    try:
        if arguments.print_completion is not None:
            from csd.cli.completion import completion_script

            arguments.command = "--print-completion"
            print(completion_script(parser, arguments.print_completion), end="")
            return
        globals()[arguments.command.replace("-", "_")](arguments)
    except InputError as error:
        _fail(arguments.command, str(error), BAD_INPUT)
    except (TrainingDiverged, GenerationFailed) as error:
        _fail(arguments.command, str(error), DIVERGED)
    except MemoryError:
        _fail(arguments.command, "out of memory; take a smaller size, batch or number of noise levels", BAD_INPUT)
    except Interrupted as interrupted:
        _fail(arguments.command, str(interrupted), 128 + interrupted.signal)
    except KeyboardInterrupt:
        _fail(arguments.command, "interrupted; nothing was written", 130)
    except BrokenPipeError:
        sys.stderr.close()


def _fail(command: str, sentence: str, status: int) -> NoReturn:
    """One sentence on standard error, and out."""
    _log(f"csd {command}: {sentence}")
    sys.exit(status)
