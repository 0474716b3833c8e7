# One job a row of the run table: one architecture, lattice and mass, a few seeds.
rule train:
    output:
        TRAINING / "{run}.nc",
    log:
        LOGS / "train" / "{run}.log",
    # On clusters only: which runs share a job, how many of them says the profile.
    group:
        lambda wildcards: RUNS[wildcards.run].group
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: RUNS[wildcards.run].memory_mb(attempt),
        runtime=lambda wildcards, attempt: RUNS[wildcards.run].runtime_minutes(attempt),
    params:
        flags=lambda wildcards: shlex.join(RUNS[wildcards.run].arguments()),
        record=beside("benchmarks", "{wildcards.run}.json"),
        # Not an output: Snakemake deletes those before a job is tried again.
        checkpoint=beside("checkpoints", "{wildcards.run}.npz"),
        code=fingerprint("train"),
        plugins=lambda wildcards: plugin_fingerprint(*RUNS[wildcards.run].plugins),
    shell:
        "csd train {params.flags} --output {output:q} --benchmark {params.record:q}"
        " --checkpoint {params.checkpoint:q} 2> {log:q}"
