"""The study of config/test.yaml through Snakemake, and what each change makes run again."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from benchmarks import overhead
from csd.report.figures import FIGURES, drawn
from csd.study.config.reading import parse
from csd.study.stages.generation import generation_jobs
from csd.study.stages.monte_carlo import monte_carlo_jobs
from csd.study.stages.training import training_jobs
from docs.hooks.steps import AFTER, and_on, first_steps
from docs.hooks.steps import RULES as RULE_OF
from tests.helpers import ROOT, copied_package, planned, snakemake, source_of

pytestmark = pytest.mark.workflow

TEST_STUDY = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
WHOLE = ("--", "all", "reported", "paper")
"""What `make study` asks for."""


def would_run(folder: Path, config: dict[str, Any], *targets: str, package: Path = ROOT) -> dict[str, int]:
    """Rules that a dry run names, with their numbers of jobs, for the whole study by default."""
    return planned(snakemake(folder, config, "--dry-run", *(targets or WHOLE), package=package))


def changed(**sweeps: dict[str, Any]) -> dict[str, Any]:
    """The test study with some keys of its sweeps replaced."""
    study: dict[str, Any] = json.loads(json.dumps(TEST_STUDY))
    for name, keys in sweeps.items():
        study["sweeps"][name.replace("_", "-")].update(keys)
    return study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the test study has run, from a copy of the workflow that tests may edit."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("workflow", "config"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    snakemake(folder, TEST_STUDY, *WHOLE)
    return folder


def test_everything_is_there(finished: Path) -> None:
    results = finished / TEST_STUDY["output"]
    runs = training_jobs(parse(TEST_STUDY))
    for run in runs:
        assert (results / "training" / f"{run.identifier}.nc").is_file()
        record = json.loads((results / "benchmarks" / f"{run.identifier}.json").read_text())
        assert 0.0 < record["set_up_share"] < 1.0
        log = (results / "logs" / "train" / f"{run.identifier}.log").read_text()
        assert log.startswith("csd train --architecture ")
    for figure in drawn(parse(TEST_STUDY)):
        assert (results / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    for job in generation_jobs(runs):
        record = json.loads((results / "benchmarks" / "generation" / f"{job.identifier}.json").read_text())
        assert 0.0 < record["generation_s"] < record["wall_s"]
    for job in monte_carlo_jobs(parse(TEST_STUDY).monte_carlo):
        assert (results / "monte_carlo" / f"{job.identifier}.nc").is_file()
        record = json.loads((results / "benchmarks" / "monte_carlo" / f"{job.identifier}.json").read_text())
        assert 0.0 < record["sampling_s"] < record["wall_s"]
    made = {path.stem for path in (results / "generation").iterdir()}
    assert made == {job.identifier for job in generation_jobs(runs)}
    assert any(name.endswith("_to24") for name in made)
    claims = {claim["id"]: claim for claim in json.loads((results / "summary" / "claims.json").read_text())}
    # There is no third dimension in this study, nor depth 6.
    assert claims["C1"]["verdict"] == claims["C3"]["verdict"] == claims["depth"]["verdict"] == "incomplete"
    # Sizes over a factor of 4 say nothing of growth.
    growth = [test for name in ("C1", "C3") for test in claims[name]["tests"] if test["measure"] in ("power", "log")]
    assert {test["verdict"] for test in growth if test["measured"] is not None} == {"undecided"}
    assert {test["verdict"] for test in growth if test["measured"] is None} == {"incomplete"}
    with xr.open_dataset(results / "summary" / "training.nc") as summary:
        measured, predicted = summary["training_time"], summary["predicted_training_time"]
        population = summary["architecture"] == "two_layer"
        ratio = (measured / predicted).where(population).values
        assert abs(ratio[ratio == ratio] - 1).max() < 0.15


def test_integrators_are_there_for_claims_without_their_figure(tmp_path: Path) -> None:
    jobs = would_run(tmp_path, {**TEST_STUDY, "figures": []}, "all")
    assert "figures" not in jobs
    assert jobs["integrators"] == jobs["fit"] == 1


def test_a_study_whose_sweeps_all_generate(tmp_path: Path) -> None:
    """Its summary of training has no runs, and everything is made of that of generation alone."""
    line = {"dimension": 1, "sizes": 4, "architectures": "two_layer", "generation": {"steps": 16, "samples": 4}}
    study = {"study": "generating", "training": {"loss": "population", "seeds": 1}, "sweeps": {"line": line}}
    snakemake(tmp_path, {**study, "integrator_steps": {"sizes": [4]}, "figures": []}, *WHOLE)
    results = tmp_path / "results"
    with xr.open_dataset(results / "summary" / "training.nc") as training:
        assert training.sizes["run"] == 0
    for made in ("summary/claims.json", "explore.html", "pages/claims.html", "paper/numbers.tex"):
        assert (results / made).stat().st_size > 0
    assert "generation_training_time" in (results / "summary" / "scaling.csv").read_text()


@pytest.mark.parametrize("target", ["gaussian", "csd.targets.gaussian:GaussianField"])
def test_a_small_study_has_figures_of_what_it_has(target: str, tmp_path: Path) -> None:
    """Those that need more are left out, or say why they are empty: none stops the others."""
    line = {"dimension": 1, "sizes": [4, 6], "target": target, "architectures": "one_layer"}
    # No seed reaches the tolerance.
    training = {"noise_levels": [0.1], "seeds": 1, "batch": 64, "path": "fields", "max_steps": 3}
    sweeps = {"line": line, "masses": {**line, "mass": [0.3, 0.5]}}
    study = {"study": "small", "training": training, "sweeps": sweeps, "integrator_steps": {"sizes": [4]}}
    snakemake(tmp_path, study, "--", "all", "paper")
    figures = tmp_path / "results" / "figures"
    expected = {"collapse", "fields", "integrator_steps", "learning_curves", "parameters"}
    assert {path.stem for path in figures.glob("*.png")} == expected
    assert "collapse: nothing to show" in (tmp_path / "results" / "logs" / "figures.log").read_text()
    assert "Nothing to be done" in snakemake(tmp_path, study, "--", "all", "paper")


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, TEST_STUDY, *WHOLE)


# The table of docs/reruns.md, row by row.

RULES = {*AFTER, "figures", "pages", "paper", "explore"}


def table() -> dict[str, str]:
    """What runs, by what changes."""
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", (ROOT / "docs" / "reruns.md").read_text(), re.MULTILINE)
    return dict(row for row in rows if row[0] != "what changes")


def said(runs: str, generates: bool = True) -> set[str]:
    """The rules that a row of the table says, of runs that generate or do not."""
    if runs.startswith("nothing"):
        return set()
    if runs.startswith("everything"):
        return RULES - ({"study"} if "but `study`" in runs else set())
    words = runs if generates else re.sub(r"\(and `generate`.*?\)", "", runs)
    rules = set(re.findall(r"`(\w+)`", words)) & RULES
    return and_on(rules) if "and on" in runs else rules


def renamed(study: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """A study with another name for a sweep."""
    sweeps = {new if name == old else name: sweep for name, sweep in study["sweeps"].items()}
    return {**study, "sweeps": sweeps}


def moved() -> dict[str, Any]:
    """The test study with the runs of one size in a sweep of their own, and a size less."""
    study = changed(line_1d={"sizes": [8]})
    study["sweeps"]["moved"] = {**TEST_STUDY["sweeps"]["line-1d"], "sizes": [32]}
    return study


SEEDS = [
    # Two seeds a job: the third has one of its own.
    pytest.param("seeds beyond a full job", changed(collapse={"training": {"seeds": [1, 2, 3]}}), 4, 0, id="a seed"),
    *(
        pytest.param(
            "any other change of the seeds (more in a job that is not full, more at the front, fewer, another order)",
            changed(collapse={"training": {"seeds": seeds}}),
            trained,
            0,
            id=f"seeds {seeds}",
        )
        for seeds, trained in (([1], 4), ([2, 1], 4), ([3, 1, 2], 8))
    ),
]
SIMULATED = {"dimension": 1, "sizes": [4, 6], "samplers": "hmc"}
MORE = "another size, mass, architecture or data set"
LESS = "a size removed; another name of a sweep or of the study; a run moved to another sweep"
CHANGES = [
    pytest.param("nothing", TEST_STUDY, 0, 0, id="nothing"),
    # Jobs add up, so that each of them shows: 3 of the size, 2 of the mass, 3 of the architecture, 1 of the data set.
    pytest.param(
        MORE,
        changed(
            line_1d={"sizes": [8, 16, 32, 64]},
            collapse={"mass": [0.1, 0.3, 0.6]},
            depth={"architectures": [{"name": "deep_linear", "depth": [3, 4, 5]}]},
            data_sets={"training": {**TEST_STUDY["sweeps"]["data-sets"]["training"], "data_sets": [16, 32, 64]}},
        ),
        9,
        0,
        id="a size, mass, architecture and data set",
    ),
    pytest.param(MORE, changed(generation_1d={"sizes": [8, 16, 24, 32]}), 2, 2, id="a generated size"),
    *SEEDS,
    pytest.param(LESS, {**renamed(moved(), "line-1d", "other"), "study": "other"}, 0, 0, id="less, renamed and moved"),
    pytest.param(
        "a setting in `training`", changed(collapse={"training": {"tolerance": 0.02}}), 4, 0, id="the tolerance"
    ),
    pytest.param(
        "a setting in `training`",
        changed(generation_2d={"training": {"seeds": [1, 2], "max_steps": 999_999}}),
        6,
        6,
        id="steps at most",
    ),
    pytest.param(
        "a default written out",
        {**TEST_STUDY, "training": {**TEST_STUDY["training"], "loss": "implicit", "path": "spectral"}},
        0,
        0,
        id="a default",
    ),
    pytest.param(
        "a default written out in a sweep's own `training`",
        changed(collapse={"training": {"loss": "implicit"}}),
        0,
        0,
        id="a default of a sweep",
    ),
    pytest.param(
        "`generation`: `steps`, `t_min`, `t_max`, `kernel_steps`; with `until: samples` also `integrator`, `start`",
        changed(generation_1d={"generation": {"steps": 112, "samples": 64, "t_min": 2e-3}}),
        6,
        6,
        id="t_min",
    ),
    pytest.param(
        "`generation`: `samples`; with any other `until` also `integrator`, `start`",
        changed(generation_1d={"generation": {"steps": 112, "samples": 300}}),
        0,
        6,
        id="samples",
    ),
    pytest.param(
        "`generation`: `steps`, `t_min`, `t_max`, `kernel_steps`; with `until: samples` also `integrator`, `start`",
        changed(generation_1d={"generation": {"steps": 112, "samples": 64, "integrator": "euler"}}),
        6,
        6,
        id="integrator of the training's end",
    ),
    pytest.param(
        "`generation`: another factor in `transfer`",
        changed(size_transfer={"generation": {"steps": 24, "samples": 64, "transfer": [2, 3]}}),
        0,
        2,
        id="transfer",
    ),
    pytest.param(
        "a size, target, sampler, seed or length in `monte_carlo`",
        {**TEST_STUDY, "monte_carlo": TEST_STUDY["monte_carlo"] | {"more": SIMULATED}},
        0,
        0,
        id="simulations",
    ),
    pytest.param(
        "a size, target, noise level, seed, `fields` or `accuracy` in `scores`",
        {**TEST_STUDY, "scores": {"ising": TEST_STUDY["scores"]["ising"] | {"accuracy": 0.02}}},
        0,
        0,
        id="accuracy of scores",
    ),
    pytest.param(
        "a size, target, noise level, range, `fields` or `accuracy` in `phases`",
        {**TEST_STUDY, "phases": {"local-scores": TEST_STUDY["phases"]["local-scores"] | {"ranges": [1, 2, 3]}}},
        0,
        0,
        id="a range of phases",
    ),
    pytest.param(
        "a window, network or option of generation in `hybrids`",
        {**TEST_STUDY, "hybrids": {"two-ranges": TEST_STUDY["hybrids"]["two-ranges"] | {"samples": 17}}},
        0,
        0,
        id="samples of a hybrid",
    ),
    pytest.param("`figure_style`", {**TEST_STUDY, "figure_style": {"font_size": 9}}, 0, 0, id="figure_style"),
    pytest.param(
        "a figure removed from `figures`, or all of them", {**TEST_STUDY, "figures": []}, 0, 0, id="no figures"
    ),
    pytest.param(
        "`integrator_steps`, whether drawn or not",
        {**TEST_STUDY, "integrator_steps": {"sizes": [8, 12]}},
        0,
        0,
        id="integrators",
    ),
    pytest.param("`output`", {**TEST_STUDY, "output": "elsewhere"}, None, None, id="output"),
]


@pytest.mark.parametrize(("row", "change", "trained", "generated"), CHANGES)
def test_what_a_changed_study_runs_again(
    finished: Path, row: str, change: dict[str, Any], trained: int | None, generated: int | None
) -> None:
    """The rules are those that the table says; of training and generation, as many as there are new jobs."""
    jobs = would_run(finished, change)
    assert set(jobs) & RULES == said(table()[row], generates=generated != 0)
    if trained is not None:
        assert (jobs.get("train", 0), jobs.get("generate", 0)) == (trained, generated)


def test_a_setting_of_figures_redraws_them_in_one_process(finished: Path) -> None:
    assert would_run(finished, {**TEST_STUDY, "figure_style": {"font_size": 9}})["figures"] == 1


EDITS = {
    "`config/claims.yaml`, comments too": [("config/claims.yaml", "claims:", "# changed\nclaims:", {"claims"})],
    "a comment or docstring in the package; a comment, `mem_mb` or `runtime` in a rule": [
        ("workflow/rules/stages.smk", "        shell:", "        # A comment.\n        shell:", set()),
        ("workflow/rules/stages.smk", "time_limit(attempt)", "time_limit(attempt + 1)", set()),
        ("workflow/rules/cluster.smk", "return 2000", "return 3000", set()),
    ],
    "a rule's command": [("workflow/rules/summaries.smk", "csd fit --summary", "csd fit  --summary", {"fit"})],
}
"""Row of the table: file of the workflow, what stands there, what takes its place, rules that are changed by it."""


@pytest.mark.parametrize("row", EDITS)
def test_what_an_edit_of_the_workflow_runs_again(finished: Path, row: str) -> None:
    runs = table()[row].replace("that rule", "`fit`")
    for name, old, new, rules in EDITS[row]:
        file = finished / name
        text, before = file.read_text(), file.stat()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        try:
            jobs = set(would_run(finished, TEST_STUDY)) & RULES
            assert jobs == said(runs)
            assert jobs == (and_on(rules) if "and on" in runs else rules)
        finally:
            file.write_text(text)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edited_module_reruns_in_the_workflow_what_its_hash_says(finished: Path, tmp_path: Path) -> None:
    """Once through Snakemake, with a copy of the package in which one file differs."""
    copied_package(tmp_path)
    file = tmp_path / "csd" / "diffusion" / "quality.py"
    file.write_text(file.read_text() + "\nEDITED = 1\n")
    assert set(would_run(finished, TEST_STUDY, package=tmp_path)) & RULES == said("`generate` and on")


def test_a_module_of_ones_own_reruns_what_names_it(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "slurm" / "misbehaving.py", tmp_path)
    training = {"noise_levels": [0.1, 0.5], "seeds": [1], "batch": 1024, "tolerance": 0.5}
    sweep = {"dimension": 1, "sizes": [8], "architectures": ["misbehaving:Patient", "two_layer"]}
    study = {"study": "own", "output": "out", "figures": [], "training": training, "sweeps": {"own": sweep}}
    study["sweeps"]["generated"] = {**sweep, "generation": {"steps": 2, "samples": 2}}  # type: ignore[index]
    snakemake(tmp_path, study, "--", "aggregate", "aggregate_generation")
    (tmp_path / "misbehaving.py").write_text((tmp_path / "misbehaving.py").read_text() + "\nEDITED = 1\n")
    jobs = would_run(tmp_path, study, "--", "aggregate", "aggregate_generation")
    row = table()["a module of your own named by a dotted path, or one that it imports"]
    assert set(jobs) == said(row) & set(jobs)
    # The two runs that name it, one of which generates.
    assert jobs == {"train": 2, "generate": 1, "aggregate": 1, "aggregate_generation": 1}


EDITED = {
    "core/errors core/files core/paths core/random lattice/lattice lattice/memory targets/base": (
        "everything but `study`"
    ),
    "core/options": "`train`, `mcmc`, `scores`, `phases` and on",
    "networks/full training/options training/losses training/batches training/loop training/descent/modes": (
        "`train` and on"
    ),
    "training/reference training/content training/metrics/score_errors targets/dataset": "`train` and on",
    "diffusion/samples diffusion/measures diffusion/quality": "`generate` and on",
    "diffusion/grids diffusion/integrators": "`train`, `integrators` and on",
    "targets/noising": "`train`, `integrators`, `mcmc`, `scores`, `phases` and on",
    "diffusion/discretisation": "`integrators`, `explore` and on",
    "targets/phi4 lattice/sites mcmc/samplers mcmc/simulation mcmc/updates/local mcmc/chains": (
        "`mcmc`, `scores`, `phases` and on"
    ),
    "mcmc/ensemble mcmc/exact_sweeps": "`mcmc`, `scores`, `phases` and on",
    "mcmc/posterior/held_out": "`scores`, `phases` and on",
    "mcmc/boxes/gaps locality/gaussian locality/two_phase": "`phases` and on",
    "targets/scores targets/two_phase": "`train`, `scores`, `phases` and on",
    "study/summaries/training": "`aggregate` and on",
    "study/summaries/generation study/summaries/observables": "`aggregate_generation`, `aggregate_hybrids` and on",
    "study/summaries/phases/aggregate": "`aggregate_phases` and on",
    "study/summaries/files": (
        "`aggregate`, `aggregate_generation`, `aggregate_hybrids`, `aggregate_mcmc`, `aggregate_scores`,"
        " `aggregate_phases` and on"
    ),
    "study/summaries/dynamics": "`aggregate_mcmc` and on",
    "study/summaries/scores": "`aggregate_scores` and on",
    "study/summaries/cost_of_fields": "`timing` and on",
    "study/summaries/laws": "`fit`, `figures`, `explore` and on",
    "study/scaling study/nested_law": "`aggregate_mcmc`, `aggregate_scores`, `aggregate_phases`, `explore` and on",
    "study/claims study/verdicts": "`claims` and on",
    "study/rounding": "`claims`, `figures`, `explore` and on",
    "report/figures/looks report/figures/needs report/figures/series": "`figures`, `explore`, `paper`",
    "report/figures/collapse": "`figures`, `paper`",
    "report/pages": "`pages`",
    "report/explore": "`explore`",
    "report/paper": "`paper`",
    "api/training cli/runs core/aliases study/config/study study/stages/training study/cost/estimate study/status"
    " training/checkpoint": "nothing",
}
"""Some modules of the package, and what their edit reruns; docs/reruns.md has a table of all, made from the code."""


def after_an_edit(runs: str) -> set[str]:
    """The rules that `EDITED` says; whatever generates follows its training."""
    rules = said(runs)
    return and_on(rules | {"generate"}) if "train" in rules else rules


def test_an_edited_module_changes_the_hashes_that_it_should(tmp_path: Path) -> None:
    """Each file is edited; what depends on the hashes that differ would run, and is what the page says."""
    package = copied_package(tmp_path)

    def prints() -> dict[str, str]:
        source = source_of(package)
        own = {step: source.fingerprint(step) for step in source.SOURCES}
        return own | {name: source.fingerprint("figures", f"report/figures/{name}") for name in FIGURES}

    def edited(file: Path, old: str, new: str) -> dict[str, str]:
        """The hashes with an edit of a file."""
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        after = prints()
        file.write_text(text)
        return after

    def rerun(before: dict[str, str], after: dict[str, str]) -> set[str]:
        """Rules whose code has changed, and what depends on them."""
        steps = {step for step in before if before[step] != after[step]}
        rules = {"figures" if step in FIGURES else RULE_OF.get(step, step) for step in steps}
        return and_on(rules | ({"generate"} if "train" in rules else set()))

    before, on_page = prints(), first_steps()
    for module, runs in [(module, runs) for row, runs in EDITED.items() for module in row.split()]:
        path = package / module
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        text = file.read_text()
        after = edited(file, text, text + "\nEDITED = 1\n")
        assert rerun(before, after) == after_an_edit(runs), module
        if module == "report/figures/collapse":
            assert {name for name in before if before[name] != after[name]} == {"collapse", "paper"}
        elif not path.is_dir():
            words = ", ".join(f"`{step}`" for step in on_page.get(f"{module}.py", ()))
            assert after_an_edit(f"{words} and on" if words else "nothing") == after_an_edit(runs), module
    # What was kept beside the bytecode is as old as the files, not as the way they are read.
    forget(package)
    after = edited(package / "core" / "source.py", "ast.dump(tree)", 'f"other {ast.dump(tree)}"')
    forget(package)
    assert rerun(before, after) == said(table()["the way in which `csd/core/source.py` computes hashes"])


def test_every_row_of_the_table_is_tried() -> None:
    tried = {of.values[0] for of in CHANGES} | set(EDITS) | {"the way in which `csd/core/source.py` computes hashes"}
    assert tried | {"a module of your own named by a dotted path, or one that it imports"} == set(table())


def forget(package: Path) -> None:
    """Remove the hashes that are kept beside the bytecode."""
    for kept in package.rglob("*.source.json"):
        kept.unlink()


def test_a_mistake_in_the_study_is_one_sentence(finished: Path) -> None:
    study = changed()
    study["sweeps"]["line-1d"]["szies"] = study["sweeps"]["line-1d"].pop("sizes")
    with pytest.raises(AssertionError, match=r"sweeps\.line-1d\.szies: .*'sizes'"):
        snakemake(finished, study)


def test_thousands_of_runs_are_planned(tmp_path: Path) -> None:
    """With what generates."""
    study = {
        "study": "many",
        "output": "out",
        "figures": ["collapse"],
        "sweeps": {
            "trained": {
                "dimension": 2,
                "sizes": [16, 32],
                "mass": [0.1 + 0.001 * i for i in range(500)],
                "architectures": ["one_layer", "two_layer"],
            },
            "generated": {
                "dimension": 1,
                "sizes": [16],
                "mass": [0.1 + 0.001 * i for i in range(500)],
                "architectures": ["two_layer"],
                "generation": {"steps": 24},
            },
        },
    }
    jobs = would_run(tmp_path, study)
    assert jobs["train"] == 2500
    assert jobs["generate"] == 500


def test_one_failing_run_names_its_log_and_leaves_no_file(tmp_path: Path) -> None:
    """The other runs go on; nothing that looks good is left of the one that diverged."""
    study = {
        "study": "failing",
        "output": "out",
        "figures": [],
        "training": {"noise_levels": [0.1], "seeds": [1], "loss": "denoising", "batch": 4},
        "sweeps": {"line": {"dimension": 1, "sizes": [8], "architectures": ["one_layer", "two_layer"]}},
    }
    with pytest.raises(AssertionError, match=r"csd train: .*noise level 0\.1"):
        snakemake(tmp_path, study)
    files = [path.stem for path in (tmp_path / "out" / "training").iterdir()]
    assert files == [run.identifier for run in training_jobs(parse(study)) if run.name == "one_layer"]


def test_the_share_of_core_time_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a study of one run, whose start-up is most of it."""
    study = {
        "study": "short",
        "output": "out",
        "figures": [],
        "integrator_steps": {"dimension": 1, "sizes": [8]},
        "training": {"noise_levels": [0.1], "seeds": [1]},
        "sweeps": {"line": {"dimension": 1, "sizes": [8], "architectures": ["two_layer"]}},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert overhead.main([str(tmp_path / "study.yaml"), "--cores", "1"]) == 0
    shown = re.findall(r"([\d.]+) s(?: |$)", capsys.readouterr().out, re.MULTILINE)
    total, work, rest, other = map(float, shown)
    assert total == pytest.approx(work + rest + other, abs=0.2)
    # The comparison of integrators is most of the work; training hardly any.
    assert work >= 0.0
    assert 0.0 < rest < other


def test_fingerprints_see_code_and_not_comments(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    steps = {"train": (), "fit": (), "claims": (), "figures": ("report/figures/collapse",)}

    def edit(file: str, old: str, new: str) -> set[str]:
        """Steps whose fingerprint an edit changes."""
        path = package / file
        text = path.read_text()
        assert old in text
        prints = []
        for now in (text, text.replace(old, new)):
            path.write_text(now)
            source = source_of(package)
            prints.append({step: source.fingerprint(step, *more) for step, more in steps.items()})
        path.write_text(text)
        return {step for step in steps if prints[0][step] != prints[1][step]}

    assert edit("training/steps/divergence.py", "BLOW_UP = 1e3", "BLOW_UP = 1e4") == {"train"}
    # Claims and figures take errors and laws from there.
    assert edit("study/scaling.py", "RESAMPLES = 500", "RESAMPLES = 2000") == {"fit", "claims", "figures"}
    assert edit("report/figures/collapse.py", 'L / ξ"', 'size / ξ"') == {"figures"}
    assert edit("report/figures/depth_law.py", "depth p", "depth P") == set()
    assert edit("training/loop.py", '"""Training: gradient', '"""Training by gradient') == set()
    assert edit("training/steps/divergence.py", "BLOW_UP = 1e3", "# a comment\nBLOW_UP = 1e3") == set()
    # Of an option, its default counts and its help does not.
    assert edit("training/options.py", "fields in a minibatch", "how many fields") == set()
    assert edit("training/options.py", "] = 64", "] = 32") == {"train"}


def test_modules_from_outside_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prints = []
    for text in ("x = 1", "x = 1  # a comment", "x = 2"):
        (tmp_path / "mine.py").write_text(text)
        prints.append(source_of(ROOT / "csd").plugin_fingerprint("mine:Net"))
    assert prints[0] == prints[1] != prints[2]
    assert source_of(ROOT / "csd").plugin_fingerprint() == ""
