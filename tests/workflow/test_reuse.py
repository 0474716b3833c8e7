"""What others build on: the workflow as a module of theirs, the package as a wheel, the recipes that come with it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from csd.core.errors import InputError
from csd.study.config.reading import claims_file, parse
from csd.study.config.study import DEFAULT_CLAIMS
from csd.study.stages.training import training_jobs
from tests.helpers import ROOT

STUDY: dict[str, Any] = {
    "study": "theirs",
    "output": "out",
    "training": {"noise_levels": [0.1, 0.5], "loss": "population", "seeds": [1]},
    "figures": ["learning_curves"],
    "sweeps": {
        "line": {"dimension": 1, "sizes": [8, 12, 16], "architectures": ["one_layer"]},
        "samples": {
            "dimension": 1,
            "sizes": [8],
            "architectures": ["two_layer"],
            "generation": {"steps": 8, "samples": 8},
        },
    },
}
"""A dozen jobs of a second each; everything that lies beside the outputs is made."""

THEIRS = """
configfile: "config.yaml"

module csd:
    snakefile: {snakefile!r}
    config: config["csd"]
    prefix: "deep"

use rule * from csd as csd_*

use rule train from csd as csd_train with:
    log:
        "mine/{{run}}.log"

rule longest:
    default_target: True
    input:
        rules.csd_all.input,
        scaling="deep/out/summary/scaling.csv"
    output:
        "longest.txt"
    shell:
        "wc -l < {{input.scaling}} > {{output}}"
"""


def run(*command: str, cwd: Path, path: Path | None = None, **environment: str) -> str:
    """What a command says; it has to end well. `path` comes first on PATH."""
    first = path or Path(sys.executable).parent
    path = f"{first}{os.pathsep}{os.environ['PATH']}"
    # No checkout that the tests may have been told to import from.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path, **environment}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def snakemake(folder: Path, *options: str) -> str:
    """Run the Snakefile of a folder."""
    return run(sys.executable, "-m", "snakemake", "--cores", "2", *options, cwd=folder, PYTHONPATH=str(ROOT))


def theirs(folder: Path, snakefile: str) -> None:
    """A workflow of somebody else, that uses ours from a place."""
    (folder / "Snakefile").write_text(THEIRS.format(snakefile=snakefile))
    (folder / "config.yaml").write_text(yaml.safe_dump({"csd": STUDY}))


@pytest.mark.workflow
def test_another_workflow_runs_ours_to_the_end(tmp_path: Path) -> None:
    """With its own configuration, prefix, a rule of its own on our results, and one of ours changed."""
    theirs(tmp_path, str(ROOT / "workflow" / "Snakefile"))
    snakemake(tmp_path)
    runs = [job.identifier for job in training_jobs(parse(STUDY))]
    for name in runs:
        assert (tmp_path / "deep" / "out" / "training" / f"{name}.nc").is_file()
        assert (tmp_path / "deep" / "out" / "benchmarks" / f"{name}.json").is_file()
        assert (tmp_path / "mine" / f"{name}.log").read_text().startswith("csd train --architecture ")
    assert (tmp_path / "deep" / "out" / "figures" / "learning_curves.pdf").read_bytes().startswith(b"%PDF")
    with xr.open_dataset(tmp_path / "deep" / "out" / "summary" / "generation.nc") as generation:
        assert generation.sizes["run"] == 1
    assert int((tmp_path / "longest.txt").read_text()) > 1
    # Nothing of it fell beside the prefix.
    ours = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert ours == {"Snakefile", "config.yaml", "deep", "mine", "longest.txt"}
    assert "Nothing to be done" in snakemake(tmp_path)


@pytest.mark.workflow
def test_another_workflow_takes_ours_from_a_repository(tmp_path: Path) -> None:
    """No checkout, as with github(…): Snakemake reads the rules out of the repository's objects."""
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "workflow", repository / "workflow")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    run("git", "init", "--quiet", "--initial-branch=main", cwd=repository)
    run(*git, "add", ".", cwd=repository)
    run(*git, "commit", "--quiet", "--message", "all", cwd=repository)
    folder = tmp_path / "theirs"
    folder.mkdir()
    theirs(folder, f"git+file://{repository}/workflow/Snakefile@main")
    shutil.rmtree(repository / "workflow")
    planned = snakemake(folder, "--dry-run")
    assert "csd_train" in planned
    assert "csd_claims" in planned


def test_what_snakedeploy_and_the_catalogue_look_for_is_there() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["software-stack-deployment"]["conda"] is True
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert (ROOT / "config" / "config.yaml").is_file()
    assert (ROOT / "config" / "README.md").is_file()
    assert (ROOT / "LICENSE").is_file()


def test_claims_are_found_where_one_works_then_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = parse(STUDY)
    assert claims_file(study, tmp_path / "nowhere") == ROOT / DEFAULT_CLAIMS
    for folder in ("checkout", "."):
        (tmp_path / folder / "config").mkdir(parents=True)
        (tmp_path / folder / DEFAULT_CLAIMS).write_text("")
        assert claims_file(study, tmp_path / "checkout") == tmp_path / folder / DEFAULT_CLAIMS
    with pytest.raises(InputError, match=r"claims: .*'mine\.yaml'"):
        claims_file(study.model_copy(update={"claims": "mine.yaml"}), tmp_path / "checkout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network and without touching the checkout."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("csd", "config"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = shlex.split("-m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .")
    run(sys.executable, *pip, cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with that wheel, which has all else from this one."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    python = folder / "bin" / "python"
    install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    run(sys.executable, "-m", "pip", *install, cwd=folder)
    own = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    Path(own, "everything_else.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    return folder / "bin"


def test_the_wheel_holds_the_package_and_the_claims(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
        assert file.read("csd/studies/claims.yaml") == (ROOT / DEFAULT_CLAIMS).read_bytes()
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "csd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == sources | {"csd/studies/claims.yaml"}


def test_the_wheel_works_from_another_folder(installed: Path, tmp_path: Path) -> None:
    """`csd validate`, `train`, `generate` and Python, with no checkout in sight."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    csd = str(installed / "csd")
    here: dict[str, Any] = {"cwd": tmp_path, "path": installed, "PYTHONPATH": ""}
    assert "3 jobs" in run(csd, "validate", "--no-cost", "study.yaml", **here)
    run(csd, *shlex.split("train --architecture two_layer --dimension 1 --size 8 --output run.nc"), **here)
    run(csd, *shlex.split("generate run.nc --samples 8 --output samples.nc"), **here)
    code = (
        "import csd, pathlib, sys; from csd.study.config.reading import claims_file, load, parse;"
        "assert pathlib.Path(csd.__file__).is_relative_to(sys.prefix), csd.__file__;"
        "print(claims_file(parse(load(pathlib.Path('study.yaml'))), pathlib.Path('nowhere')));"
        "print(csd.generate('run.nc', samples=8).sizes['seed'])"
    )
    claims, seeds = run(str(installed / "python"), "-c", code, **here).splitlines()
    assert Path(claims).read_bytes() == (ROOT / DEFAULT_CLAIMS).read_bytes()
    assert seeds == "1"
    with xr.open_dataset(tmp_path / "run.nc") as training:
        assert training.attrs["csd_commit"] == "unknown"


def test_versions_agree() -> None:
    """Of the package, the citation and the changelog, which names the next one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(.+)\]", changes, re.MULTILINE)[1] == "Unreleased"  # type: ignore[index]
    assert version in changes


def test_hooks_are_local_and_hold_what_make_check_holds() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    entries = [hook["entry"] for hook in repository["hooks"]]
    checks = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0].splitlines()[1:]
    for check in checks:
        words = [word for word in check.split() if word not in (".", "--check")]
        assert any(entry.startswith(" ".join(words)) for entry in entries), check


def test_the_container_copies_what_is_there_and_not_ignored() -> None:
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources == set(kept)
    assert all((ROOT / source).exists() for source in sources)
