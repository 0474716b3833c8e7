# Numbers, tables and figures for a paper in LaTeX: a target of its own, one of those of `make study`.
import re

SHOWN = [
    figure
    for figure in re.findall(
        r"\\csdfigure(?:wide)?{(\w+)}",
        (PACKAGE / "report" / "paper" / "paper.tex").read_text(encoding="utf-8"),
    )
    if figure in DRAWN
]
OTHERS = {summary_of(figure) for figure in SHOWN} - {"training"}
OTHERS |= {"generation"} if JOBS["generation"] else set()


rule paper:
    input:
        training=SUMMARY / "training.nc",
        scaling=SUMMARY / "scaling.csv",
        claims=SUMMARY / "claims.json",
        others=[SUMMARY / f"{kind}.nc" for kind in sorted(OTHERS)],
    output:
        PAPER / "paper.tex",
        PAPER / "numbers.tex",
        [
            PAPER / "tables" / f"{name}.{suffix}"
            for name in ("claims", "exponents", "training_times")
            for suffix in ("tex", "csv")
        ],
        [PAPER / "tables" / "generation_times.csv"] if JOBS["generation"] else [],
        [PAPER / "figures" / f"{figure}.pdf" for figure in SHOWN],
    log:
        LOGS / "paper.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        others=as_flags,
        figures=shlex.join(SHOWN),
        how=[] if STUDY.figures else "--if-possible",
        style=STUDY.figure_style.model_dump_json(),
        folder=beside("paper"),
        code=fingerprint("paper"),
    shell:
        "csd paper --summary {input.training:q} {params.others} --scaling {input.scaling:q} --claims {input.claims:q}"
        " --figure {params.figures} {params.how} --style {params.style:q} --output {params.folder:q} 2> {log:q}"
