"""Names of the files of a study: of jobs that would have too long ones, and of the folder of results."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from csd.study.config.reading import claims_file, load, parse
from csd.study.config.study import Study, jobs_of
from tests.helpers import ROOT, Runner, snakemake

SEEDS = [seed for seed in range(1, 200) if seed % 3]
"""134 seeds, of which no more than two follow each other: written out, their names have 500 characters."""
SWEEP = {"dimension": 1, "sizes": [6], "architectures": ["two_layer"]}


def study(seeds: list[int], **keys: Any) -> Study:
    """A study with jobs of every stage, each with long names."""
    levels = [round(0.1 + 0.01 * number, 2) for number in range(20)]
    chains = {"dimension": 1, "sizes": [6], "mass": 1.0, "samplers": ["hmc", "heat_bath"], "sweeps": 100}
    return parse(
        {
            "study": "long",
            "figures": [],
            "training": {"seeds": seeds, "seeds_per_job": len(seeds), "noise_levels": [0.1], "batch": 16384},
            "sweeps": {"own": {**SWEEP, "generation": {"steps": 2, "samples": 2, "transfer": 2}}},
            "monte_carlo": {"own": chains},
            "scores": {"own": {"dimension": 1, "sizes": [6], "noise_levels": levels, "fields": 2}},
            **keys,
        }
    )


def names(asked: Study, stage: str) -> list[str]:
    """Names of the jobs of a stage."""
    return list(jobs_of(asked)[stage])


@pytest.mark.parametrize("stage", ["training", "generation"])
def test_every_name_fits_with_what_is_added_to_it(stage: str) -> None:
    """While it is written, the record of a job is .NAME.json.12345678; two jobs never share a name."""
    one, other = names(study(SEEDS), stage), names(study([*SEEDS[:-1], 1000]), stage)
    assert {len(name.encode()) for name in one + other} == {235}
    assert len({*one, *other}) == len(one + other)


def test_names_that_fit_are_as_they_were() -> None:
    """235 bytes are the most that could be written before names were shortened: no file is made again."""
    start, seeds = "d1_L6_mL1_two_layer_implicit-B16384-grid2_s", [*range(11, 471, 10), 481, 10**9]
    assert names(study([1, 2]), "training") == [f"{start}1-2"]
    (longest,) = names(study(seeds), "training")
    assert longest == start + ".".join(map(str, seeds))
    assert len(longest) > 230


def test_a_job_with_a_long_name_runs_in_the_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into ~/results, which no shell has expanded."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (run,) = jobs_of(asked := study(SEEDS, output="~/results"))["training"]
    snakemake(tmp_path, asked.model_dump(exclude_none=True), "--", str(tmp_path / f"home/results/training/{run}.nc"))
    assert (tmp_path / f"home/results/training/{run}.nc").is_file()
    assert (tmp_path / f"home/results/benchmarks/{run}.json").is_file()
    assert not (tmp_path / "~").exists()


def test_a_tilde_in_a_study_is_the_home_folder(csd: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    Path("home").mkdir()
    Path("home/own.yaml").write_text(
        yaml.safe_dump({"study": "s", "output": "~/r", "claims": "~/c.yaml", "sweeps": {"a": SWEEP}})
    )
    Path("home/c.yaml").write_text((ROOT / "config" / "claims.yaml").read_text())
    asked = parse(load(Path("home/own.yaml")))
    assert asked.results == Path("home/r").absolute()
    assert asked.output == "~/r"
    assert claims_file(asked, ROOT) == Path("home/c.yaml").absolute()
    ran = csd(f"validate {shlex.quote('~/own.yaml')} --no-cost")
    assert ran.status == 0
    assert ran.out.splitlines()[-1].endswith(f"{Path('home/r').absolute()}/")
