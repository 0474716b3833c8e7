# Where jobs are submitted: it takes a third of a second.
localrules:
    study,


# The study as it was run, with all defaults filled in.
rule study:
    output:
        SUMMARY / "study.json",
    log:
        LOGS / "study.log",
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        content=STUDY.model_dump_json(
            exclude={"claims", "figures", "figure_style", "integrator_steps"}
        ),
    shell:
        "csd study --json {params.content:q} --output {output:q} 2> {log:q}"


# In no group: Snakemake goes through all inputs of a group's members each time that one of them is made.
rule aggregate:
    input:
        study=SUMMARY / "study.json",
        training=[
            TRAINING / f"{name}.nc"
            for name, job in TRAINING_JOBS.items()
            if job.generation is None
        ],
    output:
        SUMMARY / "training.nc",
    log:
        LOGS / "aggregate.log",
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        folder=beside("training"),
        code=fingerprint("aggregate"),
    shell:
        "csd aggregate --study {input.study:q} --training {params.folder:q} --output {output:q} 2> {log:q}"


rule fit:
    input:
        summary=SUMMARY / "training.nc",
        generation=[SUMMARY / "generation.nc"] if GENERATION_JOBS else [],
        monte_carlo=[SUMMARY / "monte_carlo.nc"] if MONTE_CARLO_JOBS else [],
        # Drawn or not: claims may be about them.
        integrators=SUMMARY / "integrators.nc",
    output:
        SUMMARY / "scaling.csv",
    log:
        LOGS / "fit.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        generation=lambda wildcards, input: (
            shlex.join(["--generation", *input.generation]) if GENERATION_JOBS else ""
        ),
        monte_carlo=lambda wildcards, input: (
            shlex.join(["--monte-carlo", *input.monte_carlo])
            if MONTE_CARLO_JOBS
            else ""
        ),
        code=fingerprint("fit"),
    shell:
        "csd fit --summary {input.summary:q} {params.generation} {params.monte_carlo}"
        " --integrators {input.integrators:q} --output {output:q} 2> {log:q}"


rule claims:
    input:
        summary=SUMMARY / "training.nc",
        scaling=SUMMARY / "scaling.csv",
        claims=CLAIMS,
    output:
        verdicts=SUMMARY / "claims.json",
        table=SUMMARY / "claims.md",
    log:
        LOGS / "claims.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        code=fingerprint("claims"),
    shell:
        "csd claims --summary {input.summary:q} --scaling {input.scaling:q} --claims {input.claims:q}"
        " --output {output.verdicts:q} --table {output.table:q} 2> {log:q}"
