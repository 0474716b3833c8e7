"""The study of config/test.yaml through Snakemake, and what each change makes run again."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from csd.campaign import simulations
from csd.config import FIGURES, expand, parse, samplings
from csd.source import fingerprint, plugin_fingerprint

pytestmark = pytest.mark.workflow

ROOT = Path(__file__).resolve().parent.parent
TEST_STUDY = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())


def snakemake(folder: Path, config: dict[str, Any], *options: str) -> str:
    """Run the workflow of this checkout in a folder; its whole output."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(folder / "workflow" / "Snakefile")]
    command += ["--workflow-profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", "2"]
    command += ["--directory", str(folder), "--configfile", str(file), *options]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def would_run(folder: Path, config: dict[str, Any], *options: str) -> dict[str, int]:
    """Rules that a dry run names, with their numbers of jobs; 'all' left out."""
    output = snakemake(folder, config, "--dry-run", *options)
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in output
        return {}
    rows = [line.split() for line in table[1].splitlines() if line.strip()]
    return {rule: int(count) for rule, count in rows if rule != "all"}


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
    (folder / "workflow").mkdir()
    shutil.copy(ROOT / "Snakefile", folder / "workflow" / "Snakefile")
    shutil.copytree(ROOT / "workflow", folder / "workflow" / "workflow")
    shutil.copytree(ROOT / "config", folder / "workflow" / "config")
    snakemake(folder, TEST_STUDY)
    return folder


def test_everything_is_there(finished: Path) -> None:
    results = finished / TEST_STUDY["output"]
    runs = expand(parse(TEST_STUDY))
    for run in runs:
        assert (results / "training" / f"{run.identifier}.nc").is_file()
        record = json.loads((results / "benchmarks" / f"{run.identifier}.json").read_text())
        assert 0.0 < record["set_up_share"] < 1.0
        log = (results / "logs" / "train" / f"{run.identifier}.log").read_text()
        assert log.startswith("csd train --architecture ")
    for figure in FIGURES:
        assert (results / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    for sampling in samplings(runs):
        record = json.loads((results / "benchmarks" / "generation" / f"{sampling.identifier}.json").read_text())
        assert 0.0 < record["generation_s"] < record["wall_s"]
    for row in simulations(parse(TEST_STUDY).monte_carlo):
        assert (results / "monte_carlo" / f"{row.identifier}.nc").is_file()
        record = json.loads((results / "benchmarks" / "monte_carlo" / f"{row.identifier}.json").read_text())
        assert 0.0 < record["sampling_s"] < record["wall_s"]
    made = {path.stem for path in (results / "generation").iterdir()}
    assert made == {sampling.identifier for sampling in samplings(runs)}
    assert any(name.endswith("_to24") for name in made)
    claims = {claim["id"]: claim for claim in json.loads((results / "summary" / "claims.json").read_text())}
    assert claims["C1"]["verdict"] == "holds"
    # Depth 6 is not in this study, and three sizes are too few for evidence of a log law.
    assert claims["depth"]["verdict"] == claims["C3"]["verdict"] == "not tested"
    with xr.open_dataset(results / "summary" / "training.nc") as summary:
        measured, predicted = summary["training_time"], summary["predicted_training_time"]
        population = summary["architecture"] == "two_layer"
        ratio = (measured / predicted).where(population).values
        assert abs(ratio[ratio == ratio] - 1).max() < 0.15


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, TEST_STUDY)


REST = {"study": 1, "aggregate": 1, "aggregate_generation": 1, "aggregate_mcmc": 1, "timing": 1, "fit": 1, "claims": 1}
MORE = {"dimension": 1, "sizes": [4, 6], "samplers": "hmc"}
REST |= {"figure": len(FIGURES)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(changed(line_1d={"sizes": [8, 16, 32, 64]}), {"train": 3, **REST}, id="a size"),
        pytest.param(changed(collapse={"mass": [0.1, 0.3, 0.6]}), {"train": 2, **REST}, id="a mass"),
        pytest.param(
            changed(depth={"architectures": [{"name": "deep_linear", "depth": [3, 4, 5]}]}),
            {"train": 3, **REST},
            id="an architecture",
        ),
        pytest.param(
            changed(collapse={"training": {"seeds": [1, 2, 3]}}), {"train": 4, **REST}, id="a seed, a job for it alone"
        ),
        pytest.param(changed(line_1d={"sizes": [8, 16]}), REST, id="a size less"),
        pytest.param(
            changed(generation_1d={"sizes": [8, 16, 24, 32]}),
            {"train": 2, "generate": 2, **REST},
            id="a generated size",
        ),
        pytest.param(
            changed(generation_1d={"generation": {"steps": 24, "samples": 300}}), {"generate": 6, **REST}, id="samples"
        ),
        pytest.param(
            {**changed(), "figure_style": {"font_size": 9}}, {"figure": len(FIGURES)}, id="a setting of figures"
        ),
        pytest.param({**changed(), "figures": ["collapse"]}, {}, id="fewer figures"),
        pytest.param(
            {**changed(), "monte_carlo": TEST_STUDY["monte_carlo"] | {"more": MORE}},
            {"mcmc": 2, **REST},
            id="simulations",
        ),
        pytest.param(
            {**changed(), "integrator_steps": {"sizes": [8, 12]}},
            {"integrators": 1, "figure": 1},
            id="integrator steps",
        ),
        pytest.param(
            changed(collapse={"training": {"tolerance": 0.02}}), {"train": 4, **REST}, id="the tolerance of a sweep"
        ),
    ],
)
def test_what_a_changed_study_runs_again(finished: Path, change: dict[str, Any], expected: dict[str, int]) -> None:
    assert would_run(finished, change) == expected


def test_changed_claims_are_judged_again_and_nothing_else(finished: Path) -> None:
    claims = finished / "workflow" / "config" / "claims.yaml"
    text = claims.read_text()
    before = claims.stat()
    claims.write_text(text + "\n# changed\n")
    try:
        assert would_run(finished, TEST_STUDY) == {"claims": 1}
    finally:
        claims.write_text(text)
        os.utime(claims, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_mistake_in_the_study_is_one_sentence(finished: Path) -> None:
    study = changed()
    study["sweeps"]["line-1d"]["szies"] = study["sweeps"]["line-1d"].pop("sizes")
    with pytest.raises(AssertionError, match=r"sweeps\.line-1d\.szies: unknown key; did you mean 'sizes'\?"):
        snakemake(finished, study)


def test_thousands_of_runs_are_planned(tmp_path: Path) -> None:
    """With what generates."""
    (tmp_path / "workflow").symlink_to(ROOT)
    study = {
        "study": "many",
        "output": "out",
        "figures": ["collapse", "training_time"],
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
    planned = would_run(tmp_path, study)
    assert planned["train"] == 2500
    assert planned["generate"] == 500


def test_one_failing_run_names_its_log_and_leaves_no_file(tmp_path: Path) -> None:
    """The other runs go on; nothing that looks good is left of the one that diverged."""
    study = {
        "study": "failing",
        "output": "out",
        "figures": [],
        "training": {"noise_levels": [0.1], "seeds": [1], "loss": "denoising", "batch": 4},
        "sweeps": {"line": {"dimension": 1, "sizes": [8], "architectures": ["one_layer", "two_layer"]}},
    }
    (tmp_path / "workflow").symlink_to(ROOT)
    with pytest.raises(AssertionError, match=r"csd train: training diverged at step \d+ at noise level 0\.1"):
        snakemake(tmp_path, study)
    files = sorted(path.name for path in (tmp_path / "out" / "training").iterdir())
    assert files == ["d1_L8_mL1_one_layer-x.nc".replace("-x", "_denoising-B4_s1")]


def _forget() -> None:
    """Forget the sources that were read."""
    import csd.source

    csd.source._meaning.cache_clear()
    csd.source.fingerprint.cache_clear()


def test_fingerprints_see_code_and_not_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import csd.source

    shutil.copytree(ROOT / "csd", tmp_path / "csd", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(csd.source, "PACKAGE", tmp_path / "csd")
    steps = {"train": (), "fit": (), "claims": (), "figure": ("figures/collapse",)}

    def prints() -> dict[str, str]:
        _forget()
        return {step: fingerprint(step, *more) for step, more in steps.items()}

    def edit(file: str, old: str, new: str) -> set[str]:
        """Steps whose fingerprint an edit changes."""
        path = tmp_path / "csd" / file
        text = path.read_text()
        assert old in text
        before = prints()
        path.write_text(text.replace(old, new))
        after = prints()
        path.write_text(text)
        return {step for step in steps if before[step] != after[step]}

    assert edit("training.py", "BLOW_UP = 1e3", "BLOW_UP = 1e4") == {"train"}
    assert edit("scaling.py", "RESAMPLES = 1000", "RESAMPLES = 2000") == {"fit"}
    assert edit("figures/collapse.py", '"L / ξ"', '"size / ξ"') == {"figure"}
    assert edit("figures/depth_law.py", "depth p", "depth P") == set()
    assert edit("training.py", '"""Training: gradient', '"""Training by gradient') == set()
    assert edit("training.py", "BLOW_UP = 1e3", "# a comment\nBLOW_UP = 1e3") == set()
    _forget()


def test_modules_from_outside_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.chdir(tmp_path)
    prints = []
    for text in ("x = 1", "x = 1  # a comment", "x = 2"):
        (tmp_path / "mine.py").write_text(text)
        _forget()
        prints.append(plugin_fingerprint("mine:Net"))
    assert prints[0] == prints[1] != prints[2]
    assert plugin_fingerprint() == ""
