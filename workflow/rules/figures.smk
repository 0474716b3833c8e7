rule figure:
    input:
        summary=lambda wildcards: SUMMARY / f"{summary_of(wildcards.figure)}.nc",
        scaling=SUMMARY / "scaling.csv",
    output:
        FIGURES / "{figure}.pdf",
        FIGURES / "{figure}.png",
    log:
        LOGS / "figures" / "{figure}.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        stem=beside("figures", "{wildcards.figure}"),
        code=lambda wildcards: fingerprint(
            "figure", f"report/figures/{wildcards.figure}"
        ),
        style=STUDY.figure_style.model_dump_json(),
    shell:
        "csd figure {wildcards.figure} --summary {input.summary:q} --scaling {input.scaling:q}"
        " --style {params.style:q} --output {params.stem:q} 2> {log:q}"
