"""Commands on a study: check it, aggregate its files, fit its laws, test its claims, report its progress."""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csd.cli.parser import (
    Parser,
    add_paths,
    command_line,
    duration,
    integer,
    parsed_json,
    read_path,
    real,
    written_path,
)
from csd.cli.records import recorded
from csd.core.errors import InputError
from csd.core.paths import check_paths

if TYPE_CHECKING:
    from xarray import DataArray

    from csd.study.config.study import Jobs
    from csd.study.cost.expected import ExpectedCost
    from csd.study.cost.pace import Calibration
    from csd.study.stages.base import Job


def add_flags(own: dict[str, Parser]) -> None:
    """Add the flags of the commands of this module."""
    own["validate"].add_argument("config", type=read_path, metavar="CONFIG.yaml")
    own["validate"].add_argument("--no-cost", action="store_true", help="leave out time, memory and disk")
    own["status"].add_argument("--no-cost", action="store_true", help="leave out the time left")
    last = "the study, a YAML file (RESULTS/summary/study.json: as last run)"
    for name in ("verify", "status"):
        own[name].add_argument("folder", type=read_path, metavar="RESULTS", help="folder of a study, such as results")
        add_paths(own[name], "config", about=last, required=False)
    own["study"].add_argument("--json", required=True)
    add_paths(own["study"], "output")
    own["aggregate"].add_argument("stage", nargs="?", default="training", help="stage of the files (training)")
    mixed = "accept files made by different versions of the code or of a study"
    for name, stage in (("", "training"), ("-generation", "generation"), ("-mcmc", "monte_carlo")):
        command = own[f"aggregate{name}"]
        command.set_defaults(stage=stage)
        add_paths(command, "study", "output")
        flags = ("--files", f"--{stage.replace('_', '-')}")
        command.add_argument(*flags, type=read_path, required=True, metavar="FOLDER", help="folder of the files")
        command.add_argument("--mixed", action="store_true", help=mixed)
    add_paths(own["timing"], "study", "output")
    add_paths(own["fit"], "summary", "output")
    add_paths(own["timing"], "training", about="folder of training files (beside that of the summary)", required=False)
    for flag, about in (("generation", "summary of generation"), ("monte-carlo", "summary of Monte Carlo")):
        add_paths(own["timing"], flag, about=about)
        add_paths(own["fit"], flag, about=f"{about}, if the study has any", required=False)
    add_paths(own["fit"], "integrators", about="comparison of integrators, if the study has one", required=False)
    for flag in ("scores", "phases", "hybrids"):
        add_paths(own["fit"], flag, about=f"summary of {flag}, if the study has any", required=False)
    add = own["integrators"].add_argument
    add("--dimension", type=integer, nargs="+", required=True, metavar="D", help="one or several")
    sizes = "sizes of all dimensions; or give the flag once for each dimension, in their order"
    add("--size", type=integer, nargs="+", action="append", required=True, metavar="L", help=sizes)
    add("--mass-times-length", type=real, default=1.0, metavar="C", help="C of m = C/L (1)")
    add("--tolerance", type=real, default=0.01, metavar="E", help="KL per site (0.01)")
    add("--t-min", type=real, default=1e-3, metavar="T", help="lowest level (0.001)")
    add_paths(own["integrators"], "benchmark", about="record of wall times", required=False, kind=written_path)
    add_paths(own["integrators"], "output")
    add_paths(own["claims"], "summary", "scaling", "claims", "output")
    add_paths(own["claims"], "table", about="the verdicts as Markdown", kind=written_path)


def validate(arguments: argparse.Namespace) -> None:
    """Check a study; print its jobs and their expected cost."""
    from csd.core.plugins import resolve
    from csd.mcmc.fields import stored_fields
    from csd.report.figures import drawn
    from csd.study.claims import load_claims
    from csd.study.config.reading import claims_file, load, parse
    from csd.study.config.study import STAGES, jobs_of
    from csd.study.stages.data import DataField, MadeField
    from csd.study.stages.scores import ScoresJob, check_scores
    from csd.study.stages.training import TrainingJob, check_training

    try:
        study = parse(load(arguments.config))
        jobs = jobs_of(study)
        figures = drawn(study, jobs)
        check_training(job for job in jobs["training"].values() if isinstance(job, TrainingJob))
        for name, stage in STAGES.items():
            users = {path: job.sweep for job in jobs[name].values() for path in stage.plugins(job)}
            for path, sweep in users.items():
                try:
                    resolve("class", path, {})
                except InputError as error:
                    raise InputError(f"{stage.key}.{sweep}: {error}") from error
        check_scores(job for job in jobs["scores"].values() if isinstance(job, ScoresJob))
        load_claims(claims_file(study, Path(__file__).parents[2]))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(arguments.config)) else f"{arguments.config}: {text}") from error
    print(f"{arguments.config}: the study {study.study!r} is valid")
    own_fields = {job.field for job in jobs["training"].values() if isinstance(job, TrainingJob)}
    in_files = [field for field in own_fields if isinstance(field, DataField) and not isinstance(field, MadeField)]
    for field in sorted(in_files, key=str):
        stored = stored_fields(field.file, field)
        print(f"  {stored.name}: shape {tuple(stored.raw.shape)}, read as {stored.configurations} {stored.layout}")
    works = defaultdict[tuple[str, str], list[int]](list)
    told = {name: stage.works for name, stage in STAGES.items() if stage.works is not None}
    for name, (_, work_of) in told.items():
        for job in jobs[name].values():
            works[name, job.sweep].append(work_of(job))
    names = Counter(sweep for _, sweep in works)
    for (name, sweep), own in works.items():
        # Parts of two keys may have one name.
        shown = sweep if names[sweep] == 1 else f"{STAGES[name].key}.{sweep}"
        print(f"  {shown:<30}{len(own):5d} jobs, {sum(own):6d} {told[name][0]}")
    print(f"  {'all, with what follows':<30}{sum(map(len, jobs.values())):5d} jobs -> {study.results}/")
    if not arguments.no_cost:
        _print_cost(jobs, study.results, len(figures))


def _print_cost(jobs: "Jobs", results: Path, figures: int) -> None:
    """Print the expected jobs, time, memory and disk of a study."""
    from statistics import median

    from csd.study.config.study import STAGES
    from csd.study.cost.limits import cluster_jobs, other_jobs

    costs, pace, told = _expected(jobs, results)
    largest = max(costs, key=lambda cost: cost.memory_mb)
    longest = max(costs, key=lambda cost: cost.seconds)
    core = sum(cost.seconds for cost in costs) + other_jobs(costs, figures, pace)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Two stages may make files of one kind.
    words = {name: name if stage.made_by else stage.kind for name, stage in STAGES.items()}
    numbers = ", ".join(f"{len(jobs[name])} of {words[name]}" for name in STAGES)
    print(f"expected, {told}:")
    print(f"  jobs          {numbers}, and {figures} figures")
    print(f"  core time     {duration(core)}; {duration(max(core / cores, longest.seconds))} on its {cores} cores")
    print(f"  longest job   {duration(longest.seconds)}: {longest.stage}/{longest.identifier}")
    print(f"  most memory   {largest.memory_mb:,.0f} MB: {largest.stage}/{largest.identifier}")
    print(f"  disk          {sum(cost.disk_mb for cost in costs):,.0f} MB")
    shared = cluster_jobs(costs, jobs)
    print(f"  on a cluster  {len(shared)} jobs, half of which last {duration(median(shared))} or more")
    unknown = sum(":" in cost.family for cost in costs)
    if unknown:
        print(f"  {unknown} jobs run user-defined code, whose cost is estimated as that of one layer by autograd")


def _expected(jobs: "Jobs", results: Path) -> "tuple[list[ExpectedCost], Calibration, str]":
    """The expected costs of the jobs of a study, the pace of this machine, and the basis of both in words."""
    from csd.study.cost.calibration import calibrate
    from csd.study.cost.limits import corrected, study_costs

    pace = calibrate()
    costs, records = corrected(study_costs(jobs, pace), results)
    known = f"{records} records of past jobs in {results / 'benchmarks'} and " if records else ""
    return costs, pace, f"from {known}the speed of this machine"


def verify(arguments: argparse.Namespace) -> None:
    """List damaged, stale and foreign files of a study, and how to mend each."""
    from csd.study.status import study_of, verify_files

    checked, faults = verify_files(study_of(arguments.folder, arguments.config), arguments.folder)
    for fault in faults:
        print(f"{fault.path}: {fault.state}, {fault.reason}\n    mend: {fault.mend}")
    good = checked - sum(fault.counted for fault in faults)
    print(f"{checked} files of the study looked at, {good} good, {len(faults)} to mend")
    if faults:
        sys.exit(1)


def status(arguments: argparse.Namespace) -> None:
    """Print the progress of a study: done, running, failed, left."""
    from csd.study.config.study import STAGES, jobs_of
    from csd.study.status import job_states, status_lines, study_of

    study = study_of(arguments.folder, arguments.config)
    jobs = jobs_of(study)
    found = list(job_states(jobs, arguments.folder))
    print("\n".join(status_lines(study, found)))
    left = {job.name for job in found if job.state != "done"}
    if left and not arguments.no_cost:
        costs, _, told = _expected(jobs, arguments.folder)
        seconds = sum(cost.seconds for cost in costs if f"{STAGES[cost.stage].place}/{cost.identifier}" in left)
        print(f"  about {duration(seconds)} of core time left, {told}")


def schema(arguments: argparse.Namespace) -> None:
    """Print the JSON Schema of a study's configuration."""
    from csd.report.figures import with_names
    from csd.study.config.reading import json_schema

    print(json.dumps(with_names(json_schema()), indent=2))


def study(arguments: argparse.Namespace) -> None:
    """Write a study, given as JSON, with all defaults filled in."""
    from csd.core.paths import write_text
    from csd.study.config.reading import parse

    write_text(parse(parsed_json("--json", arguments.json)).model_dump_json(indent=2) + "\n", arguments.output)


def aggregate(arguments: argparse.Namespace) -> None:
    """Combine all files of a stage of a study."""
    from csd.core.errors import unknown
    from csd.core.files import provenance, write
    from csd.core.source import fingerprint
    from csd.study.config.reading import load, parse
    from csd.study.config.study import STAGES, jobs_of

    study = parse(load(arguments.study))
    stage = STAGES.get(arguments.stage)
    if stage is None or not stage.aggregate:
        raise unknown("stage", arguments.stage, [name for name, one in STAGES.items() if one.aggregate])
    # Where the results lie now, also for fields that the study has made.
    jobs = jobs_of(study.model_copy(update={"output": str(arguments.files.parent)}))[stage.name].values()
    _spare(jobs, arguments.files, arguments.output)
    dataset = stage.summed_up(jobs, arguments.files, mixed=arguments.mixed)
    made_by = provenance(command_line(arguments), study.model_dump(), fingerprint(stage.rule))
    write(dataset.assign_attrs(made_by), arguments.output, stage.summary)


def _spare(jobs: "Iterable[Job]", folder: Path, output: Path) -> None:
    """Refuse an output that is one of the files of jobs to be read."""
    check_paths([(str(folder), folder / f"{job.identifier}.nc") for job in jobs], [("--output", output)])


def aggregate_generation(arguments: argparse.Namespace) -> None:
    """Combine all generation files of a study."""
    aggregate(arguments)


def aggregate_mcmc(arguments: argparse.Namespace) -> None:
    """Combine all Monte Carlo files of a study."""
    aggregate(arguments)


def timing(arguments: argparse.Namespace) -> None:
    """Measure the cost of independent fields by Monte Carlo and by diffusion models on this machine."""
    from csd.core.files import ENSEMBLE_SUMMARY, GENERATION_SUMMARY, TIMING, provenance, read, write
    from csd.study.config.reading import load, parse
    from csd.study.stages.monte_carlo import monte_carlo_jobs
    from csd.study.stages.training import training_jobs
    from csd.study.summaries.cost_of_fields import compared, cost_of_fields

    own = parse(load(arguments.study))
    folder = arguments.training or arguments.generation.parent.parent / "training"
    runs = [run for run in training_jobs(own) if run.generation is not None]
    _spare(runs, folder, arguments.output)
    methods = compared(
        monte_carlo_jobs(own.monte_carlo),
        read(arguments.monte_carlo, ENSEMBLE_SUMMARY),
        runs,
        read(arguments.generation, GENERATION_SUMMARY),
        folder,
    )
    made_by = provenance(command_line(arguments), own.model_dump())
    write(cost_of_fields(methods).assign_attrs(made_by), arguments.output, TIMING)


def integrators(arguments: argparse.Namespace) -> None:
    """Compute the steps that each integrator needs with the exact score, by criterion and size."""
    with recorded(arguments, "comparison") as laps:
        from csd.core.files import INTEGRATOR_STEPS, provenance, write
        from csd.core.source import fingerprint
        from csd.diffusion.discretisation import compare

        dimensions, sizes = arguments.dimension, arguments.size
        if len(set(dimensions)) < len(dimensions):
            raise InputError(f"--dimension is {dimensions}; give each dimension once")
        if len(dimensions) == 1:
            sizes = [[size for group in sizes for size in group]]
        elif len(sizes) == 1:
            sizes = sizes * len(dimensions)
        if len(sizes) != len(dimensions):
            raise InputError(
                f"--dimension is {dimensions} and --size is given {len(sizes)} times; give --size once for all"
                " dimensions or once for each"
            )
        asked = {name: getattr(arguments, name) for name in ("mass_times_length", "tolerance", "t_min")}
        laps("set-up")
        dataset = compare(dict(zip(dimensions, sizes, strict=True)), **asked)
        laps("comparison")
        asked |= {"dimension": dimensions, "size": sizes}
        made_by = provenance(command_line(arguments), asked, fingerprint("integrators"))
        write(dataset.assign_attrs(made_by), arguments.output, INTEGRATOR_STEPS)
        for dimension, own in zip(dimensions, sizes, strict=True):
            steps = dataset["steps_needed"].sel(dimension=dimension, size=own, drop=True)
            print(f"d = {dimension}, VP, geometric in t: steps from which on each criterion holds")
            _print_steps(steps.sel(schedule="vp", grid="geometric", drop=True), ["criterion", "integrator"])
            print(f"d = {dimension}: steps from which on KL per site is at most {arguments.tolerance:g}")
            _print_steps(steps.sel(criterion="kl_per_site", drop=True), ["schedule", "grid", "integrator"])


def _print_steps(steps: "DataArray", rows: Sequence[str]) -> None:
    """Print a table of steps by size."""
    table = steps.stack(row=rows).transpose("row", "size").to_pandas()
    print(table.to_string(float_format=lambda n: f"{n:.0f}" if n < float("inf") else "more"), end="\n\n")


def fit(arguments: argparse.Namespace) -> None:
    """Fit scaling laws to the training times of a summary."""
    import pandas as pd

    from csd.core.files import read
    from csd.core.paths import write_text
    from csd.study.config.study import STAGES

    summaries = vars(arguments) | {"training": arguments.summary}
    tables = [
        stage.law_table(read(summaries[name], stage.summary))
        for name, stage in STAGES.items()
        if summaries.get(name) is not None
    ]
    write_text(pd.concat(tables).to_csv(index=False), arguments.output)


def claims(arguments: argparse.Namespace) -> None:
    """Test the claims on a summary and its fits."""
    from csd.core.files import SUMMARY, read
    from csd.core.paths import write_text
    from csd.study.claims import load_claims
    from csd.study.summaries.laws import read_scaling
    from csd.study.verdicts import as_json, as_markdown, judge

    scaling = read_scaling(arguments.scaling)
    verdicts = judge(load_claims(arguments.claims), scaling, read(arguments.summary, SUMMARY))
    write_text(as_json(verdicts), arguments.output)
    write_text(as_markdown(verdicts), arguments.table)
    print(as_markdown(verdicts))


COMMANDS: tuple[Callable[[argparse.Namespace], None], ...] = (validate, verify, status, schema, study)
COMMANDS += (aggregate, aggregate_generation, aggregate_mcmc, timing, integrators, fit, claims)
"""The commands of this module, in the order of help; a docstring is the help of its command."""
