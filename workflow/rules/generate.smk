# Generation from the training files whose sweep asks for it.
rule generate:
    input:
        TRAINING / "{run}.nc",
    output:
        GENERATION / "{run}.nc",
    log:
        LOGS / "generate" / "{run}.log",
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        flags=lambda wildcards: shlex.join(RUNS[wildcards.run].generation_arguments()),
        code=fingerprint("generate"),
        plugins=lambda wildcards: plugin_fingerprint(*RUNS[wildcards.run].plugins),
    shell:
        "csd generate {input:q} {params.flags} --output {output:q} > {log:q} 2>&1"


rule aggregate_generation:
    input:
        study=SUMMARY / "study.json",
        generation=[GENERATION / f"{run}.nc" for run in GENERATED],
    output:
        SUMMARY / "generation.nc",
    log:
        LOGS / "aggregate_generation.log",
    conda:
        "../envs/csd.yaml"
    params:
        folder=GENERATION,
        code=fingerprint("aggregate"),
    shell:
        "csd aggregate-generation --study {input.study:q} --generation {params.folder:q} --output {output:q}"
        " 2> {log:q}"
