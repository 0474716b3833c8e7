# Monte Carlo beside the diffusion model: a job is a target with a few samplers and a seed.
rule mcmc:
    output:
        MONTE_CARLO / "{simulation}.nc",
    log:
        LOGS / "mcmc" / "{simulation}.log",
    group:
        lambda wildcards: LIMITS.monte_carlo(wildcards.simulation).group
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.monte_carlo(
            wildcards.simulation
        ).memory_limit(attempt),
        runtime=lambda wildcards, attempt: LIMITS.monte_carlo(
            wildcards.simulation
        ).time_limit(attempt),
    params:
        flags=lambda wildcards: shlex.join(
            MONTE_CARLO_JOBS[wildcards.simulation].arguments()
        ),
        record=beside("benchmarks", "monte_carlo", "{wildcards.simulation}.json"),
        code=fingerprint("mcmc"),
    shell:
        "csd mcmc {params.flags} --output {output:q} --benchmark {params.record:q} > {log:q} 2>&1"


rule aggregate_mcmc:
    input:
        study=SUMMARY / "study.json",
        monte_carlo=[MONTE_CARLO / f"{name}.nc" for name in MONTE_CARLO_JOBS],
    output:
        SUMMARY / "monte_carlo.nc",
    log:
        LOGS / "aggregate_mcmc.log",
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        folder=beside("monte_carlo"),
        code=fingerprint("aggregate_mcmc"),
    shell:
        "csd aggregate-mcmc --study {input.study:q} --monte-carlo {params.folder:q} --output {output:q} 2> {log:q}"


# Everything that is compared is timed here, on one core and in one process.
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
