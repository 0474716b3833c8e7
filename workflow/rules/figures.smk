# One process draws all figures, as seaborn takes a second to import; its checkpoint keeps those that have not changed.
rule figures:
    input:
        summaries=[
            SUMMARY / f"{kind}.nc"
            for kind in sorted({summary_of(name) for name in DRAWN})
        ],
        scaling=SUMMARY / "scaling.csv",
    output:
        [
            FIGURES / f"{name}.{suffix}"
            for name in DRAWN
            for suffix in ("pdf", "png", "rst")
        ],
    log:
        LOGS / "figures.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        names=shlex.join(DRAWN),
        # A figure that is asked for by name is an error where its runs leave nothing to draw.
        how=[] if STUDY.figures else "--if-possible",
        summaries=lambda wildcards, input: Path(input.scaling).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        checkpoint=beside("checkpoints", "figures"),
        code=[code_of(name) for name in DRAWN],
        style=STUDY.figure_style.model_dump_json(),
    shell:
        "csd figure {params.names} {params.how} --summary {params.summaries:q} --scaling {input.scaling:q}"
        " --style {params.style:q} --checkpoint {params.checkpoint:q} --output {params.folder:q} 2> {log:q}"
