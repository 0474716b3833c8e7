"""The study of this checkout; workflow/Snakefile holds it, where other workflows and remote repositories find it."""


include: "workflow/Snakefile"


# Snakemake takes its default target from this file, not from those that it includes.
rule default:
    default_target: True
    input:
        rules.all.input,
