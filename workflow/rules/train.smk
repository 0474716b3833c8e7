# A training job: one architecture, lattice and mass, a few seeds.
rule train:
    output:
        TRAINING / "{run}.nc",
    log:
        LOGS / "train" / "{run}.log",
    # On clusters only: which runs share a job, how many of them says the profile.
    group:
        lambda wildcards: LIMITS.training(wildcards.run).group
    conda:
        "../envs/csd.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.training(wildcards.run).memory_limit(
            attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.training(wildcards.run).time_limit(
            attempt
        ),
        # On a cluster: a run that is told to train on a GPU asks for one.
        gpu=lambda wildcards: int(
            TRAINING_JOBS[wildcards.run].training.device == "cuda"
        ),
    params:
        flags=lambda wildcards: shlex.join(TRAINING_JOBS[wildcards.run].arguments()),
        record=beside("benchmarks", "{wildcards.run}.json"),
        # Not an output: Snakemake deletes those before a job is tried again.
        checkpoint=beside("checkpoints", "{wildcards.run}.npz"),
        code=fingerprint("train"),
        plugins=lambda wildcards: plugin_fingerprint(
            *TRAINING_JOBS[wildcards.run].plugins
        ),
    shell:
        "csd train {params.flags} --output {output:q} --benchmark {params.record:q}"
        " --checkpoint {params.checkpoint:q} 2> {log:q}"
