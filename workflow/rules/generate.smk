# Generation from the training files whose sweep asks for it.
rule generate:
    input:
        lambda wildcards: TRAINING
        / f"{GENERATION_JOBS[wildcards.sampling].run.identifier}.nc",
    output:
        GENERATION / "{sampling}.nc",
    log:
        LOGS / "generate" / "{sampling}.log",
    # In the job of its training; where that has one of its own, nobody else's waits for it.
    group:
        lambda wildcards: LIMITS.training(
            GENERATION_JOBS[wildcards.sampling].run.identifier
        ).group
        or "generate"
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.generation(
            GENERATION_JOBS[wildcards.sampling]
        ).memory_limit(attempt),
        runtime=lambda wildcards, attempt: LIMITS.generation(
            GENERATION_JOBS[wildcards.sampling]
        ).time_limit(attempt),
    params:
        flags=lambda wildcards: shlex.join(
            GENERATION_JOBS[wildcards.sampling].arguments()
        ),
        record=beside("benchmarks", "generation", "{wildcards.sampling}.json"),
        code=fingerprint("generate"),
        plugins=lambda wildcards: plugin_fingerprint(
            *GENERATION_JOBS[wildcards.sampling].run.plugins
        ),
    shell:
        "csd generate {input:q} {params.flags} --output {output:q} --benchmark {params.record:q} > {log:q} 2>&1"


rule aggregate_generation:
    input:
        study=SUMMARY / "study.json",
        generation=[GENERATION / f"{name}.nc" for name in GENERATION_JOBS],
    output:
        SUMMARY / "generation.nc",
    log:
        LOGS / "aggregate_generation.log",
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        folder=beside("generation"),
        code=fingerprint("aggregate"),
    shell:
        "csd aggregate-generation --study {input.study:q} --generation {params.folder:q} --output {output:q}"
        " 2> {log:q}"
