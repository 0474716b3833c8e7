rule figure:
    input:
        summary=SUMMARY / "training.nc",
        scaling=SUMMARY / "scaling.csv",
    output:
        FIGURES / "{figure}.pdf",
        FIGURES / "{figure}.png",
    params:
        stem=lambda wildcards: FIGURES / wildcards.figure,
        style=STUDY.figure_style.model_dump_json(),
    log:
        LOGS / "figures" / "{figure}.log",
    shell:
        "csd figure {wildcards.figure} --summary {input.summary:q} --scaling {input.scaling:q}"
        " --style {params.style:q} --output {params.stem:q} 2> {log:q}"
