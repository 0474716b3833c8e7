# Functions of several rules.
def beside(*parts):
    """A path in the results that is no output; like outputs, it has the prefix that an importing workflow gives."""

    def path(wildcards, output):
        inside = [part.format(wildcards=wildcards) for part in parts]
        return Path(output[0]).parent.parent.joinpath(*inside)

    return path


def stage_inputs(stage, identifier):
    """The file that the command of a job takes, made by another job: one to start from, or fields to learn."""
    job = JOBS[stage.name][identifier]
    parent, fields = stage.parent(job), stage.fields(job)
    if fields is not None:
        return STAGES["monte_carlo"].file(fields, OUTPUT)
    return [] if parent is None else STAGES[stage.after].file(parent, OUTPUT)


def flag_of_input(stage):
    """The flag before the file of `stage_inputs`; most commands take none, or the file alone."""
    return lambda wildcards: (
        "--data" if stage.fields(JOBS[stage.name][wildcards[0]]) is not None else ""
    )


def kept_beside(stage):
    """Flags for a job's record and checkpoint. They are no outputs, which Snakemake deletes before it repeats a job."""

    def flags(wildcards, output):
        results = Path(output[0]).parent.parent
        files = {"--benchmark": results / stage.records / f"{wildcards[0]}.json"}
        if stage.checkpoints:
            files["--checkpoint"] = results / "checkpoints" / f"{wildcards[0]}.npz"
        return shlex.join(str(word) for flag in files.items() for word in flag)

    return flags


def summaries(*stages):
    """Summaries of those of the stages that have jobs."""
    return [SUMMARY / f"{stage}.nc" for stage in stages if JOBS[stage]]


def as_flags(wildcards, input):
    """The files of the input `others` as flags of a command; each flag has the name of its file."""
    flags = {f"--{Path(path).stem.replace('_', '-')}": path for path in input.others}
    return shlex.join(word for flag in flags.items() for word in flag)
