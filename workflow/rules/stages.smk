# The jobs of every stage of the study (csd/study/stages): a file, a command, a log and a record each.
for STAGE in STAGES.values():

    rule:
        name:
            STAGE.command
        input:
            lambda wildcards, stage=STAGE: stage_inputs(stage, wildcards[0]),
        output:
            OUTPUT / STAGE.place / f"{{{STAGE.wildcard},{STAGE.names}}}.nc",
        log:
            OUTPUT / STAGE.log_place / f"{{{STAGE.wildcard}}}.log",
        # On clusters only: which jobs share one, how many of them says the profile.
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
            # On a cluster: a run that is told to train on a GPU asks for one.
            gpu=lambda wildcards, stage=STAGE: int(
                stage.gpu(JOBS[stage.name][wildcards[0]])
            ),
        params:
            flags=lambda wildcards, stage=STAGE.name: shlex.join(
                JOBS[stage][wildcards[0]].arguments()
            ),
            command=STAGE.command,
            kept=kept_beside(STAGE),
            code=fingerprint(STAGE.step),
            plugins=lambda wildcards, stage=STAGE: plugin_fingerprint(
                *stage.plugins(JOBS[stage.name][wildcards[0]])
            ),
        shell:
            "csd {params.command} {input:q} {params.flags} --output {output:q} {params.kept} > {log:q} 2>&1"
