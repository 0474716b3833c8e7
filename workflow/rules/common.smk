# What the rules share.
def beside(*parts):
    """A path in the results that is no output: as outputs do, it follows the prefix that an importing workflow gives."""

    def path(wildcards, output):
        inside = [part.format(wildcards=wildcards) for part in parts]
        return Path(output[0]).parent.parent.joinpath(*inside)

    return path
