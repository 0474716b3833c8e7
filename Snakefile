"""Critical slowing down in diffusion models: from a study's configuration to its figures and verdicts.

Everything is computed by the command `csd`; each rule is one call of it. The run table, made by `csd.config` from the
configuration, is the only place where sweeps are expanded.
"""

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

# By module: Snakemake has an `expand` and a `parse` of its own.
import csd.config as study_config
from csd.campaign import simulations
from csd.errors import InputError
from csd.source import fingerprint, plugin_fingerprint

min_version("9.0")

HERE = Path(workflow.basedir)

# Not at the top level: Snakemake would merge this file into one given with --configfile.
if "sweeps" not in config:

    configfile: HERE / "config" / "config.yaml"


try:
    STUDY = study_config.parse(config)
    RUNS = {run.identifier: run for run in study_config.expand(STUDY)}
    SIMULATIONS = {row.identifier: row for row in simulations(STUDY.monte_carlo)}
    SAMPLINGS = {
        sampling.identifier: sampling
        for sampling in study_config.samplings(list(RUNS.values()))
    }
except InputError as error:
    raise WorkflowError(f"configuration: {error}")

OUTPUT = Path(STUDY.output)
TRAINING = OUTPUT / "training"
GENERATION = OUTPUT / "generation"
MONTE_CARLO = OUTPUT / "monte_carlo"
SUMMARY = OUTPUT / "summary"
FIGURES = OUTPUT / "figures"
LOGS = OUTPUT / "logs"


wildcard_constraints:
    run=r"d[123]_L\d+_[A-Za-z0-9_.+-]+",
    sampling=r"d[123]_L\d+_[A-Za-z0-9_.+-]+",
    simulation=r"d[123]_L\d+_[A-Za-z0-9_.+-]+",
    figure=r"[a-z_]+",


rule all:
    default_target: True
    input:
        [
            FIGURES / f"{figure}.{suffix}"
            for figure in STUDY.drawn
            for suffix in ("pdf", "png")
        ],
        SUMMARY / "claims.json",
        SUMMARY / "claims.md",
        SUMMARY / "scaling.csv",


include: "workflow/rules/cluster.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/integrators.smk"
include: "workflow/rules/monte_carlo.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/figures.smk"
