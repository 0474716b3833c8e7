# The jobs of every stage of the study (csd/study/stages): each has a command, a file, a log and a record.
for STAGE in STAGES.values():

    rule:
        name:
            STAGE.job_rule
        input:
            lambda wildcards, stage=STAGE: list(taken(stage, wildcards[0]).values()),
        output:
            OUTPUT / STAGE.place / f"{{{STAGE.wildcard},{STAGE.names}}}.nc",
        log:
            OUTPUT / STAGE.log_place / f"{{{STAGE.wildcard}}}.log",
        # On clusters only: jobs of a group share cluster jobs; the profile says how many.
        group:
            lambda wildcards, stage=STAGE.name: LIMITS.group(stage, wildcards[0])
        conda:
            "../envs/csd.yaml"
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt, stage=STAGE.name: LIMITS[
                stage, wildcards[0]
            ].memory_limit(attempt),
            runtime=lambda wildcards, attempt, stage=STAGE.name: LIMITS[
                stage, wildcards[0]
            ].time_limit(attempt),
            # On a cluster, a job that trains on a GPU asks for one.
            gpu=lambda wildcards, stage=STAGE: int(
                stage.gpu(JOBS[stage.name][wildcards[0]])
            ),
        params:
            flags=lambda wildcards, stage=STAGE.name: shlex.join(
                JOBS[stage][wildcards[0]].arguments()
            ),
            command=STAGE.command,
            inputs=words_of_inputs(STAGE),
            kept=kept_beside(STAGE),
            code=lambda wildcards, stage=STAGE: fingerprint(
                stage.step(JOBS[stage.name][wildcards[0]])
            ),
            data=lambda wildcards, stage=STAGE: stage.data(
                JOBS[stage.name][wildcards[0]]
            ),
            plugins=lambda wildcards, stage=STAGE: code_of_plugins(
                *stage.plugins(JOBS[stage.name][wildcards[0]])
            ),
        shell:
            "csd {params.command} {params.inputs} {params.flags} --output {output:q} {params.kept} > {log:q} 2>&1"
