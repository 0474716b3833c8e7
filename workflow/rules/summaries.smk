# Run where jobs are submitted, as it takes a third of a second.
localrules:
    study,


# The study as it is run, with all defaults filled in.
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
        # A function, as braces in its result are not wildcards.
        content=lambda wildcards: STUDY.model_dump_json(
            exclude={"claims", "figures", "figure_style"}
        ),
    shell:
        "csd study --json {params.content:q} --output {output:q} 2> {log:q}"


for STAGE in STAGES.values():
    if STAGE.rule:

        # In no group, as Snakemake goes through all inputs of a group whenever one of them is made.
        rule:
            name:
                STAGE.rule
            input:
                study=SUMMARY / "study.json",
                files=[
                    STAGE.file(job, OUTPUT)
                    for job in STAGE.summarised_jobs(JOBS[STAGE.name].values())
                ],
            output:
                SUMMARY / f"{STAGE.name}.nc",
            log:
                LOGS / f"{STAGE.rule}.log",
            conda:
                "../envs/csd.yaml"
            resources:
                mem_mb=summary_memory_mb,
                runtime=summary_runtime_minutes,
            params:
                stage=STAGE.name,
                folder=beside(str(STAGE.place)),
                code=fingerprint(STAGE.rule),
            shell:
                "csd aggregate {params.stage} --study {input.study:q} --files {params.folder:q} --output {output:q}"
                " 2> {log:q}"


# All methods that are compared are timed here, on one core and in one process.
rule timing:
    input:
        study=SUMMARY / "study.json",
        monte_carlo=SUMMARY / "monte_carlo.nc",
        generation=SUMMARY / "generation.nc",
    output:
        SUMMARY / "timing.nc",
    log:
        LOGS / "timing.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        training=beside("training"),
        code=fingerprint("timing"),
    shell:
        "csd timing --study {input.study:q} --monte-carlo {input.monte_carlo:q} --generation {input.generation:q}"
        " --training {params.training:q} --output {output:q} 2> {log:q}"


rule fit:
    input:
        summary=SUMMARY / "training.nc",
        # With or without figures, as claims may be about them.
        others=summaries(
            "generation", "monte_carlo", "integrators", "scores", "phases", "hybrids"
        ),
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
        others=as_flags,
        code=fingerprint("fit"),
    shell:
        "csd fit --summary {input.summary:q} {params.others} --output {output:q} 2> {log:q}"


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
