# The report of a finished study for the browser, and the page to look around in: targets of their own.
# snakemake reported, then snakemake --report FILE reported, as `make study` does.
rule reported:
    input:
        [captioned(figure) for figure in DRAWN],
        page(PAGES / "claims.html", "Claims", "claims"),
        page(OUTPUT / "explore.html", "Look around", "any run, in figures"),
        page(PAGES / "study.html", "Study", "configuration and software"),
        page(PAGES / "run_times.html", "Study", "run times"),


rule pages:
    input:
        study=SUMMARY / "study.json",
        summary=SUMMARY / "training.nc",
        claims=SUMMARY / "claims.json",
    output:
        [PAGES / f"{name}.html" for name in ("claims", "study", "run_times")],
    log:
        LOGS / "pages.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        benchmarks=beside("benchmarks"),
        folder=beside("pages"),
        code=fingerprint("pages"),
    shell:
        "csd pages --study {input.study:q} --summary {input.summary:q} --claims {input.claims:q}"
        " --benchmarks {params.benchmarks:q} --output {params.folder:q} 2> {log:q}"


rule explore:
    input:
        summary=SUMMARY / "training.nc",
        others=summaries("generation"),
    output:
        OUTPUT / "explore.html",
    log:
        LOGS / "explore.log",
    group:
        "summary"
    conda:
        "../envs/csd.yaml"
    resources:
        mem_mb=summary_memory_mb,
        runtime=summary_runtime_minutes,
    params:
        others=as_flags,
        # A function, as braces in its result are not wildcards.
        title=lambda wildcards: f"Critical slowing down in diffusion models: {STUDY.study}",
        code=fingerprint("explore"),
    shell:
        "csd explore --summary {input.summary:q} {params.others} --title {params.title:q} --output {output:q}"
        " 2> {log:q}"
