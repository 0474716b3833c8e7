# Steps that integrators need with the exact score: a calculation, no training.
rule integrators:
    output:
        SUMMARY / "integrators.nc",
    log:
        LOGS / "integrators.log",
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=lambda wildcards, attempt: 30 * 2 ** (attempt - 1),
    params:
        flags=shlex.join(STUDY.integrator_steps.arguments()),
        code=fingerprint("integrators"),
    shell:
        "csd integrators {params.flags} --output {output:q} > {log:q} 2>&1"
