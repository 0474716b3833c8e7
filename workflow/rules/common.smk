# Functions of several rules.
def beside(*parts):
    """A path in the results that is no output; like outputs, it has the prefix that an importing workflow gives."""

    def path(wildcards, output):
        inside = [part.format(wildcards=wildcards) for part in parts]
        return Path(output[0]).parent.parent.joinpath(*inside)

    return path


def taken(stage, identifier):
    """The files that the command of a job takes and other jobs make, each after its flag; the first has none."""
    job = JOBS[stage.name][identifier]
    parent = stage.parent(job)
    before = {} if parent is None else {"": STAGES[stage.after].file(parent, OUTPUT)}
    return before | {
        flag: STAGES[name].file(own, OUTPUT)
        for flag, (name, own) in stage.takes(job).items()
    }


def words_of_inputs(stage):
    """These files, where Snakemake has them, as words of the command; in a flag with {} the file takes that place."""

    def words(wildcards, input):
        flags = taken(stage, wildcards[0])
        return shlex.join(
            word
            for flag, path in zip(flags, input, strict=True)
            for word in ([flag.format(path)] if "{}" in flag else [flag, path])
            if word
        )

    return words


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
