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

from csd.errors import GenerationFailed, InputError, Interrupted, TrainingDiverged, nearest  # noqa: E402

if TYPE_CHECKING:
    from csd.config import Run
    from csd.networks import Architecture
    from csd.noise import NoisedTarget
    from csd.store import Content
    from csd.training import Settings

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
    """'last', 'recorded', or steps."""
    if words in (["last"], ["recorded"]):
        return words[0]
    try:
        return tuple(int(word) for word in words)
    except ValueError:
        raise InputError(f"--kernel-steps is {' '.join(words)!r}; give last, recorded, or integers") from None


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
    group.add_argument("--target", default="gaussian", metavar="NAME", help="gaussian, or package.module:Class")


def _add_training(parser: Parser) -> None:
    """Flags that say how it is learned."""
    parser.add_argument("--architecture", required=True, metavar="NAME", help="a network, or package.module:Class")
    parser.add_argument("--depth", type=int, metavar="P", help="layers, for deep_linear")
    parser.add_argument("--range", type=_range, metavar="R", help="range of the composed kernel, or e.g. 3xi")
    parser.add_argument("--channels", type=int, metavar="C", help="tied channels, for local_two_layer")
    parser.add_argument("--schedule", default="vp", metavar="NAME", help="vp, ve, or package.module:Class")
    parser.add_argument(
        "--noise-level", type=float, nargs="+", action="extend", required=True, metavar="T", help="noise levels t"
    )
    parser.add_argument("--loss", default="implicit", metavar="NAME", help="population, implicit or denoising")
    parser.add_argument("--batch", type=int, default=64, metavar="B", help="fields in a minibatch (64)")
    parser.add_argument("--data-set", type=int, metavar="M", help="learn from a fixed data set of M fields")
    parser.add_argument("--seed", type=int, nargs="+", action="extend", metavar="S", help="random seeds (0)")
    parser.add_argument("--tolerance", type=float, default=0.01, metavar="E", help="relative score error (0.01)")
    parser.add_argument("--max-steps", type=int, default=1_000_000, metavar="N", help="last step (1000000)")
    parser.add_argument("--learning-rate", type=float, metavar="ETA", help="instead of the architecture's own")
    parser.add_argument("--path", default="spectral", metavar="NAME", help="spectral (fast) or fields (any network)")
    parser.add_argument(
        "--kernel-steps", nargs="+", default=["last"], metavar="N", help="keep kernels: last, recorded, or these steps"
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="cpu; cuda, on power spectra too; auto: cuda for autograd where there is one",
    )


def _target(arguments: argparse.Namespace) -> Any:
    """The target that the flags describe."""
    from csd.field import TARGETS, GaussianField
    from csd.lattice import Lattice
    from csd.plugins import resolve

    lattice = Lattice(arguments.dimension, arguments.size)
    couplings = arguments.r0 is not None or arguments.u is not None
    given = [
        flag
        for flag, present in (
            ("--mass", arguments.mass is not None),
            ("--mass-times-length", arguments.mass_times_length is not None),
            ("--r0 and --u", couplings),
        )
        if present
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are both given; give the mass in one way")
    if couplings and (arguments.r0 is None or arguments.u is None):
        raise InputError("--r0 and --u belong together; give both")
    if couplings:
        gaussian = GaussianField.from_couplings(lattice, arguments.r0, arguments.u)
    elif arguments.mass is not None:
        gaussian = GaussianField(lattice, arguments.mass)
    else:
        gaussian = GaussianField.on_critical_line(lattice, 1.0 if not given else arguments.mass_times_length)
    return resolve("target", arguments.target, TARGETS)(lattice, gaussian.mass)


def _problem(arguments: argparse.Namespace) -> "tuple[NoisedTarget, Architecture, Settings]":
    """What is trained on what, and how, from the flags of `train` and `theory`."""
    from csd.networks import Architecture
    from csd.noise import SCHEDULES, NoisedTarget
    from csd.objectives import OBJECTIVES
    from csd.plugins import resolve
    from csd.training import Settings

    architecture = Architecture(arguments.architecture, arguments.depth, arguments.range, arguments.channels)
    settings = Settings(
        loss=arguments.loss,
        batch=arguments.batch,
        data_set=arguments.data_set,
        seeds=tuple(arguments.seed or [0]),
        tolerance=arguments.tolerance,
        max_steps=arguments.max_steps,
        learning_rate=arguments.learning_rate,
        path=arguments.path,
        device=arguments.device,
        kernel_steps=_kernel_steps(arguments.kernel_steps),
    )
    schedule = resolve("schedule", arguments.schedule, SCHEDULES)()
    resolve("loss", arguments.loss, OBJECTIVES)
    return NoisedTarget(_target(arguments), schedule, arguments.noise_level), architecture, settings


def _command_line(arguments: argparse.Namespace) -> list[str]:
    """The command as one can type it again."""
    return ["csd", *arguments.given]


def _log(message: str) -> None:
    """A line of the log."""
    print(message, file=sys.stderr, flush=True)


def train(arguments: argparse.Namespace) -> None:
    """`csd train`: train one architecture on one target, beside its prediction."""
    import shlex
    from dataclasses import replace

    started = time.perf_counter()
    _log(shlex.join(_command_line(arguments)))
    from csd.record import request, training_content
    from csd.source import fingerprint_with_plugins
    from csd.store import TRAINING, provenance, require_writable, write
    from csd.theory import expected_steps, predict
    from csd.training import descend, prepare
    from csd.watch import JobWatch

    noised, architecture, settings = _problem(arguments)
    checkpoint = arguments.checkpoint or arguments.output.with_name(f"{arguments.output.name}.checkpoint.npz")
    for path in (arguments.output, arguments.benchmark, checkpoint):
        if path is not None:
            require_writable(path)
    busy = time.process_time()
    run = prepare(noised, architecture, settings)
    ready = time.process_time() - busy
    made_by = provenance(
        _command_line(arguments),
        request(noised, architecture, settings),
        fingerprint_with_plugins("train", arguments.architecture, arguments.target, arguments.schedule, arguments.loss),
    )
    identity = f"{made_by['source_hash']} {made_by['configuration_hash']} {settings.kernel_steps} {settings.device}"
    prepared, busy = time.perf_counter(), time.process_time()

    def expected() -> float:
        return expected_steps(noised, architecture, settings)

    with JobWatch(checkpoint, identity, expected, _log, arguments.checkpoint_every) as watch:
        record = descend(noised, run, settings, watch)
    work = {"training_s": time.perf_counter() - prepared, "work_cpu_s": ready + time.process_time() - busy}
    # One that is iterated may be stuck where minibatches are not: it is followed twice as far as training went.
    prediction = predict(noised, architecture, replace(settings, max_steps=_twice(record.last_step, settings)), run)
    content = training_content(noised, architecture, settings, record, prediction)
    write(content.assign_attrs(made_by), arguments.output, TRAINING)
    watch.ended()
    _report_times(content)
    if arguments.benchmark is not None:
        _write_benchmark(arguments.benchmark, started, work, prepared, record.last_step)


def _twice(last: Any, settings: "Settings") -> int:
    """Steps that a prediction is followed for, beside training that ended at these steps."""
    return min(settings.max_steps, 2 * int(last.max()) + 100)


def _report_times(content: "Content") -> None:
    """Training times of each noise level, one line each."""
    for level, times in zip(content["noise_level"].values, content["training_time"].values.T, strict=True):
        shown = " ".join("never" if time != time else f"{time:.0f}" for time in times)
        _log(f"noise level {level:g}: training time {shown} steps")


def _write_benchmark(path: Path, started: float, work: dict[str, float], prepared: float, steps: Any = None) -> None:
    """Where a job's wall time went, from the start of the process.

    Args:
        path: of the record.
        started: when csd's first line ran.
        work: seconds of the work itself, by name, and of processor time ('work_cpu_s') in it.
        prepared: when that began.
        steps: of training, one number a seed.
    """
    from csd.store import write_text

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
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def theory(arguments: argparse.Namespace) -> None:
    """`csd theory`: what training should give, without training, in the same variables."""
    from csd.record import attributes, prediction_content
    from csd.store import THEORY, provenance, write
    from csd.theory import predict
    from csd.training import prepare, with_population

    noised, architecture, settings = _problem(arguments)
    prediction = predict(noised, architecture, settings)
    if prediction is None:
        raise InputError(f"there is no theory for architecture {architecture.name!r}, only for the built-in ones")
    run = prepare(noised, architecture, with_population(settings))
    content = prediction_content(noised, architecture, settings, prediction, run)
    if arguments.output is not None:
        asked = attributes(noised, architecture, settings) | {"noise_levels": list(noised.levels)}
        write(content.assign_attrs(provenance(_command_line(arguments), asked)), arguments.output, THEORY)
    _print_table(content)


def generate(arguments: argparse.Namespace) -> None:
    """`csd generate`: what a training file generates, by exact recursion and by sampling."""
    import shlex

    started = time.perf_counter()
    _log(shlex.join(_command_line(arguments)))
    from dataclasses import asdict, fields

    from csd.quality import Settings, generated
    from csd.source import fingerprint_with_plugins
    from csd.store import GENERATION, TRAINING, provenance, read_content, require_writable, write

    settings = Settings(**{field.name: getattr(arguments, field.name) for field in fields(Settings)})
    for path in (arguments.output, arguments.benchmark):
        if path is not None:
            require_writable(path)
    training = read_content(arguments.file, TRAINING)
    prepared, busy = time.perf_counter(), time.process_time()
    content = generated(training, settings)
    work = {"generation_s": time.perf_counter() - prepared, "work_cpu_s": time.process_time() - busy}
    asked = {"training": training.attrs["configuration_hash"], **asdict(settings)}
    made_by = provenance(_command_line(arguments), asked, fingerprint_with_plugins("generate", settings.integrator))
    made_by["training_source_hash"] = training.attrs["source_hash"]
    write(content.assign_attrs(made_by), arguments.output, GENERATION)
    _print_generation(content)
    if arguments.benchmark is not None:
        _write_benchmark(arguments.benchmark, started, work, prepared)


def _print_generation(content: "Content") -> None:
    """The numbers of a generation file, a row a seed."""
    print(f"exact score: KL per site {float(content['exact_score_kl_per_site'].values):.3g}")
    last = content["step"].values == content.attrs["sampled_step"]
    for row, seed in enumerate(content["seed"].values):

        def at(name: str, row: int = row) -> float:
            return float(content[name].values[row])

        right = at("generation_training_time")
        known = f"samples are right after {right:.1f} steps of training"
        shown = known if right == right else "the steps kept do not tell when samples become right (--kernel-steps)"
        divergence = float(content["kl_per_site"].values[row, last][0])
        print(f"seed {seed}: {shown}; KL per site of those drawn {divergence:.3g}")
        for name in ("susceptibility", "correlation_length", "energy", "variance", "excess_kurtosis"):
            value, error = at(f"sampled_{name}"), at(f"sampled_{name}_error")
            exact = float(content[f"exact_{name}"].values) if f"exact_{name}" in content else 0.0
            print(f"  {name:<20}{value:.5g} ± {error:.2g}, exact {exact:.5g}")
        distance, p_value = at("two_sample_distance"), at("two_sample_p_value")
        print(f"  {'two-sample test':<20}energy distance {distance:.3g} from exact fields, p = {p_value:.2g}")


def _print_table(content: "Content") -> None:
    """The numbers of a training or theory file, a row a noise level."""
    print(f"{'noise level':>12} {'rate':>12} {'parameters':>11} {'floor':>11}  training time (steps)")
    columns = [content[name].values for name in ("noise_level", "learning_rate", "level_parameters", "floor")]
    for level, rate, parameters, floor, of_seeds in zip(*columns, content["training_time"].values.T, strict=True):
        times = " ".join("never" if time != time else f"{time:.0f}" for time in of_seeds)
        print(f"{level:12g} {rate:12.6g} {parameters:11d} {floor:11.3g}  {times}")


def field(arguments: argparse.Namespace) -> None:
    """`csd field`: the target's exact values."""
    target = _target(arguments)
    for name, value, units in (
        ("mass", target.mass, "inverse lattice spacings"),
        ("susceptibility", target.susceptibility, ""),
        ("correlation_length", target.correlation_length, "lattice spacings"),
        ("variance", target.variance, ""),
        ("energy", target.energy, "per site"),
    ):
        print(f"{name:<20}{value:.15g}  {units}".rstrip())


def show(arguments: argparse.Namespace) -> None:
    """`csd show`: summarise any of our files."""
    from csd.store import GENERATION, THEORY, TRAINING, read_content

    content = read_content(arguments.file)
    print(f"{arguments.file}: a {content.attrs['csd_file']} file of csd")
    for name, value in content.attrs.items():
        if not name.startswith(("note_", "csd_file")) and value not in ("", 0):
            print(f"  {name:<20}{value}")
    print("  dimensions          " + ", ".join(f"{name} {size}" for name, size in content.sizes.items()))
    if content.attrs["csd_file"] == GENERATION:
        _print_generation(content)
    elif content.attrs["csd_file"] in (TRAINING, THEORY):
        print("  seeds               " + " ".join(map(str, content["seed"].values)))
        _print_table(content)


def validate(arguments: argparse.Namespace) -> None:
    """`csd validate`: check a study and say what it would run."""
    from csd.config import expand, load, parse
    from csd.plugins import resolve

    try:
        study = parse(load(arguments.config))
        runs = expand(study)
        for path in {path for run in runs for path in run.plugins}:
            resolve("plug-in", path, {})
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(arguments.config)) else f"{arguments.config}: {text}") from error
    print(f"{arguments.config}: the study {study.study!r} is valid")
    for name in study.sweeps:
        own = [run for run in runs if run.sweep == name]
        print(f"  {name:<24}{len(own):5d} runs, {sum(len(run.seeds) for run in own):6d} trained networks a noise level")
    print(f"  {'all':<24}{len(runs):5d} runs -> {study.output}/")
    if not arguments.no_cost:
        _print_cost(runs, len(study.drawn))


def _print_cost(runs: "Sequence[Run]", figures: int) -> None:
    """Jobs, time, memory and disk of a study, before it starts."""
    from statistics import median

    from csd.cost import by_autograd, calibrate, cluster_jobs, estimate, other_jobs

    pace = calibrate(fields=any(by_autograd(run) for run in runs))
    jobs = estimate(runs, pace)
    largest = max(jobs, key=lambda job: job.memory_mb)
    longest = max(jobs, key=lambda job: job.seconds)
    core = sum(job.seconds for job in jobs) + other_jobs(jobs, figures, pace)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print("expected, with the speed of this machine:")
    print(f"  jobs          {len(runs)} of training, {len(jobs) - len(runs)} of generation, and {figures} figures")
    print(f"  core time     {_duration(core)}; {_duration(max(core / cores, longest.seconds))} on its {cores} cores")
    print(f"  longest job   {_duration(longest.seconds)}: {longest.identifier}")
    print(f"  most memory   {largest.memory_mb:,.0f} MB: {largest.identifier}{' (generation)' * largest.generates}")
    print(f"  disk          {sum(job.disk_mb for job in jobs):,.0f} MB")
    shared = cluster_jobs(jobs, runs)
    print(f"  on a cluster  {len(shared)} jobs, half of which last {_duration(median(shared))} or more")
    unknown = sum(":" in run.name for run in runs)
    if unknown:
        print(f"  {unknown} runs are of networks from outside, and counted as one layer trained by autograd")


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
    from csd.inventory import study_of, verify_files

    checked, faults = verify_files(study_of(arguments.folder, arguments.config), arguments.folder)
    for fault in faults:
        print(f"{fault.path}: {fault.state}, {fault.reason}\n    mend: {fault.mend}")
    good = checked - sum(fault.counted for fault in faults)
    print(f"{checked} files of the study looked at, {good} good, {len(faults)} to mend")
    if faults:
        sys.exit(1)


def status(arguments: argparse.Namespace) -> None:
    """`csd status`: how far a study is."""
    from csd.config import expand
    from csd.inventory import jobs, status_lines, study_of

    study = study_of(arguments.folder, arguments.config)
    found = list(jobs(study, arguments.folder))
    for line in status_lines(study, found):
        print(line)
    left = {job.name for job in found if job.state != "done"}
    if left and not arguments.no_cost:
        from csd.cost import by_autograd, calibrate, estimate

        runs = expand(study)
        expected = estimate(runs, calibrate(fields=any(by_autograd(run) for run in runs)))
        named = {f"{'generation' if job.generates else 'training'}/{job.identifier}": job.seconds for job in expected}
        seconds = sum(named[name] for name in left)
        print(f"  about {_duration(seconds)} of core time left, with the speed of this machine")


def schema(arguments: argparse.Namespace) -> None:
    """`csd schema`: the JSON Schema of a study's configuration."""
    from csd.config import json_schema

    print(json.dumps(json_schema(), indent=2))


def study(arguments: argparse.Namespace) -> None:
    """`csd study`: write a study, given as JSON, with all defaults filled in."""
    from csd.config import parse
    from csd.store import write_text

    write_text(parse(_json("--json", arguments.json)).model_dump_json(indent=2) + "\n", arguments.output)


def aggregate(arguments: argparse.Namespace) -> None:
    """`csd aggregate`: all training files of a study in one."""
    from csd.config import expand, load, parse
    from csd.source import fingerprint
    from csd.store import SUMMARY, provenance, write
    from csd.summary import aggregate as aggregated

    own = parse(load(arguments.study))
    runs = [run for run in expand(own) if run.generation is None]
    dataset = aggregated(runs, arguments.training, mixed=arguments.mixed)
    made_by = provenance(_command_line(arguments), own.model_dump(), fingerprint("aggregate"))
    write(dataset.assign_attrs(made_by), arguments.output, SUMMARY)


def aggregate_generation(arguments: argparse.Namespace) -> None:
    """`csd aggregate-generation`: all generation files of a study in one."""
    from csd.config import expand, load, parse, samplings
    from csd.source import fingerprint
    from csd.store import GENERATION_SUMMARY, provenance, write
    from csd.summary import aggregate_generation as aggregated

    own = parse(load(arguments.study))
    dataset = aggregated(samplings(expand(own)), arguments.generation, mixed=arguments.mixed)
    made_by = provenance(_command_line(arguments), own.model_dump(), fingerprint("aggregate"))
    write(dataset.assign_attrs(made_by), arguments.output, GENERATION_SUMMARY)


def integrators(arguments: argparse.Namespace) -> None:
    """`csd integrators`: steps that each integrator, schedule and grid needs with the exact score, against size."""
    from csd.discretisation import compare
    from csd.field import GaussianField
    from csd.lattice import Lattice
    from csd.store import INTEGRATORS, provenance, require_writable, write

    require_writable(arguments.output)
    dataset = compare(
        lambda size: GaussianField.on_critical_line(Lattice(arguments.dimension, size), arguments.mass_times_length),
        arguments.size,
        arguments.tolerance,
        arguments.t_min,
    )
    asked = {
        name: getattr(arguments, name) for name in ("dimension", "size", "mass_times_length", "tolerance", "t_min")
    }
    write(dataset.assign_attrs(provenance(_command_line(arguments), asked)), arguments.output, INTEGRATORS)
    table = dataset["steps_needed"].stack(sampler=("schedule", "grid", "integrator")).transpose("sampler", "size")
    print(table.to_pandas().to_string(na_rep="more", float_format="%.0f"))


def fit(arguments: argparse.Namespace) -> None:
    """`csd fit`: scaling laws of all training times in a summary."""
    import pandas as pd

    from csd.store import GENERATION_SUMMARY, SUMMARY, read, write_text
    from csd.summary import generation_scaling_table, scaling_table

    table = scaling_table(read(arguments.summary, SUMMARY))
    if arguments.generation is not None:
        table = pd.concat([table, generation_scaling_table(read(arguments.generation, GENERATION_SUMMARY))])
    write_text(table.to_csv(index=False), arguments.output)


def claims(arguments: argparse.Namespace) -> None:
    """`csd claims`: test the claims on a summary and its fits."""
    from csd.claims import as_json, as_markdown, judge, load_claims
    from csd.store import SUMMARY, read, write_text
    from csd.summary import read_scaling

    scaling = read_scaling(arguments.scaling)
    verdicts = judge(load_claims(arguments.claims), scaling, read(arguments.summary, SUMMARY))
    write_text(as_json(verdicts), arguments.output)
    write_text(as_markdown(verdicts), arguments.table)
    print(as_markdown(verdicts))


def figure(arguments: argparse.Namespace) -> None:
    """`csd figure`: draw one figure of a study as PDF and PNG."""
    from csd.config import FigureStyle, parse_style
    from csd.figures import draw

    style: FigureStyle = parse_style(_json("--style", arguments.style))
    draw(arguments.name, arguments.summary, arguments.scaling, style, arguments.output)


COMMANDS = {
    "train": "train one architecture on one target",
    "generate": "sample from a training file, beside what it generates exactly",
    "theory": "what training should give, in the same variables",
    "field": "exact values of a target",
    "show": "summarise one of our files",
    "validate": "check a study and say what it would run, and what that takes",
    "verify": "which files of a study are damaged, stale or foreign, and what mends each",
    "status": "how far a study is: done, running, failed, left",
    "schema": "print the JSON Schema of a study's configuration",
    "study": "write a study, given as JSON, with all defaults filled in",
    "aggregate": "put all training files of a study in one",
    "aggregate-generation": "put all generation files of a study in one",
    "integrators": "steps that each integrator needs with the exact score, against size",
    "fit": "fit scaling laws to the training times of a summary",
    "claims": "test the claims on a summary and its fits",
    "figure": "draw one figure of a study",
}


def _parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="csd", description="A laboratory for critical slowing down in diffusion models.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    own = {name: commands.add_parser(name, help=text, description=f"{text}.") for name, text in COMMANDS.items()}
    for name in ("train", "theory"):
        _add_training(own[name])
        _add_target(own[name])
        own[name].add_argument("--output", type=Path, required=name == "train", metavar="FILE.nc")
    own["generate"].add_argument(
        "file", type=Path, metavar="FILE.nc", help="a training file with two noise levels or more"
    )
    own["generate"].add_argument("--samples", type=int, default=256, metavar="M", help="fields to draw a seed (256)")
    own["generate"].add_argument("--integrator", default="frozen_kernel", metavar="NAME", help="frozen_kernel, heun, …")
    own["generate"].add_argument("--start", default="noise", metavar="NAME", help="noise, or the exact law at t_max")
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
    for name in ("train", "generate"):
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
    own["integrators"].add_argument("--dimension", type=int, required=True, metavar="D")
    own["integrators"].add_argument("--size", type=int, nargs="+", action="extend", required=True, metavar="L")
    own["integrators"].add_argument(
        "--mass-times-length", type=float, default=1.0, metavar="C", help="C of m = C/L (1)"
    )
    own["integrators"].add_argument("--tolerance", type=float, default=0.01, metavar="E", help="KL per site (0.01)")
    own["integrators"].add_argument("--t-min", type=float, default=1e-3, metavar="T", help="lowest level (0.001)")
    own["aggregate-generation"].add_argument("--study", type=Path, required=True)
    own["aggregate-generation"].add_argument("--generation", type=Path, required=True, help="folder of the files")
    for name in ("aggregate", "aggregate-generation"):
        own[name].add_argument(
            "--mixed", action="store_true", help="take files that different versions of the code or of a study made"
        )
    for name in ("fit", "claims", "figure"):
        own[name].add_argument("--summary", type=Path, required=True)
    own["fit"].add_argument("--generation", type=Path, help="summary of generation, if the study has any")
    for name in ("claims", "figure"):
        own[name].add_argument("--scaling", type=Path, required=True)
    own["claims"].add_argument("--claims", type=Path, required=True)
    own["claims"].add_argument("--table", type=Path, required=True, help="the verdicts as Markdown")
    own["figure"].add_argument("name")
    own["figure"].add_argument("--style", default="{}", help="settings as JSON")
    for name in ("generate", "integrators", "study", "aggregate", "aggregate-generation", "fit", "claims", "figure"):
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
    if arguments.command is None:
        parser.error(f"a command is needed (known: {', '.join(COMMANDS)})")
    try:
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
