"""Phases as a stage of a study: its jobs, its cost, its summary, and laws of the KLs."""

import shlex
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
import yaml

import csd as package
from csd.core.errors import InputError
from csd.core.files import PHASES_SUMMARY, digest, read
from csd.core.source import fingerprint
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.cost.pace import REFERENCE
from csd.study.stages.phases import PhasesJob
from csd.study.status import job_states
from csd.study.summaries.laws import read_scaling
from csd.study.summaries.phases.aggregate import aggregate_phases, phases_table
from tests.helpers import ROOT, Runner

LINE = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
PLANE = {"dimension": 2, "sizes": [8, 16, 32], "noise_levels": [0.5, 2.0], "ranges": [1, 3]}


def jobs(**parts: dict[str, Any]) -> list[PhasesJob]:
    """The jobs of phases of a study with some parts."""
    study = parse({"study": "s", "figures": [], "sweeps": {"line": LINE}, "phases": parts})
    return [job for job in jobs_of(study)["phases"].values() if isinstance(job, PhasesJob)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[PhasesJob], Path]:
    """Files of a plane, of a heavy field, and of a cube."""
    folder = tmp_path_factory.mktemp("phases")
    heavy = {"dimension": 1, "sizes": 16, "mass": 0.5, "noise_levels": 1, "ranges": 2, "schedule": "ve"}
    own = jobs(plane=PLANE, heavy=heavy, cubes=PLANE | {"sizes": 8, "block": 2})
    for job in own:
        about = {name: value for name, value in vars(job.field).items() if value is not None}
        how = vars(job.noise) | vars(job.settings)
        package.phases(**about, **how, output=folder / f"{job.identifier}.nc")
    return own, folder


def test_a_job_is_its_command(csd: Runner, tmp_path: Path) -> None:
    """Its flags give a file with the configuration and the code that the study asks for, and the last line of a log."""
    (job,) = jobs(cubes={"dimension": 2, "sizes": 8, "block": 2, "mass": 0.5, "ranges": [1, 3], "noise_levels": [1, 2]})
    assert job.identifier == "d2_L8_m0.5_vp-t1-2_R1.3_block2"
    path = tmp_path / f"{job.identifier}.nc"
    ran = csd(f"phases {shlex.join(job.arguments())} --output {path}")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1].startswith(STAGES["phases"].ends)
    found = package.read(path)
    assert found.attrs["configuration_hash"] == digest(job.request)
    assert found.attrs["source_hash"] == fingerprint(STAGES["phases"].step(job))


def test_default_ranges_are_those_of_the_command(csd: Runner, tmp_path: Path) -> None:
    (job,) = jobs(short={"dimension": 1, "sizes": 12, "couplings": {"r0": -0.2, "u": 1}})
    assert job.identifier == "d1_L12_r-0.2u1_vp-t0.1-0.5-1-2-3"
    path = tmp_path / f"{job.identifier}.nc"
    assert csd(f"phases {shlex.join(job.arguments())} --output {path}").status == 0
    assert package.read(path).attrs["configuration_hash"] == digest(job.request)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"ranges": [1, 4]}, r"range is 4; .* size 8 it must be at most 3"),
        ({"block": 5, "ranges": 2}, r"range is 2; .* at most 1"),
        ({"block": 9}, "block is 9"),
        ({"ranges": [2, 2]}, "range is given twice"),
        ({"ranges": "near"}, "ranges"),
        ({"noise_levels": [1, 1]}, "noise level is given twice"),
        ({"noise_levels": [0]}, "noise_levels"),
        ({"mass": 0.1, "mass_times_length": 1}, "both given"),
        ({"mass": 1e-9}, "mass is 1e-09"),
        ({"schedule": "vx"}, "schedule"),
        ({"beta": 0.4, "magnetisation": 1}, ": magnetisation and beta are both given; .* target two_phase"),
        ({"beta": 0.4, "probability": 0.3}, ": probability and beta are both given"),
        (
            {"couplings": {"r0": -1, "u": 2}, "components": 1, "probability": 0.3},
            ": probability and components are both given",
        ),
        ({"beta": 0.4, "target": "two_phase"}, "target is 'two_phase', which has one component"),
        ({"range": 1}, "unknown key; did you mean 'ranges'"),
    ],
)
def test_bad_input_is_named_with_its_part(part: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"phases\.own.*{said}"):
        jobs(own={"dimension": 2, "sizes": 8, **part})


def test_scores_of_chains_have_no_phases() -> None:
    part = {"dimension": 2, "sizes": 8, "beta": 0.4, "magnetisation": 1, "noise_levels": [1]}
    study = parse({"study": "s", "figures": [], "sweeps": {"line": LINE}, "scores": {"own": part}})
    with pytest.raises(InputError, match=r"^scores\.own: magnetisation and beta are both given"):
        jobs_of(study)


def test_a_summary_has_what_the_files_have(made: tuple[list[PhasesJob], Path]) -> None:
    own, folder = made
    summary = aggregate_phases(own, folder)
    assert summary.sizes == {"run": 5, "noise_level": 3, "range": 3}
    for run, job in enumerate(own):
        file, found = package.read(folder / f"{job.identifier}.nc"), summary.isel(run=run)
        for name in (
            "conditional_mutual_information",
            "score_gap",
            "path_kl",
            "ode_reverse_kl",
            "markov_length_theory",
        ):
            there = {dim: file[dim].values for dim in file[name].dims}
            assert np.array_equal(found[name].sel(there).transpose(*file[name].dims).values, file[name].values)
            assert np.isfinite(found[name].values).sum() == file[name].size
        assert found["correlation_length"].item() == file["correlation_length"].item()
    assert list(summary["block"].values) == [1, 1, 1, 1, 2]
    assert list(summary["sweep"].values) == ["plane"] * 3 + ["heavy", "cubes"]
    assert summary["mass"].values[3] == 0.5


def test_kls_and_their_growth_are_rows_of_the_table_of_laws(made: tuple[list[PhasesJob], Path]) -> None:
    own, folder = made
    summary = aggregate_phases(own, folder)
    table = phases_table(summary)
    rows = table[
        (table["quantity"] == "path_kl") & (table["architecture"] == "best_local R1") & (table["study"] == "plane")
    ]
    assert list(rows["law"]) == ["value", "value", "value", "power"]
    values = summary["path_kl"].sel(range=1).values[:3]
    assert list(rows["value"][:3]) == list(values)
    slope = np.polyfit(np.log([8, 16, 32]), np.log(values), 1)[0]
    assert rows["exponent"].iloc[-1] == pytest.approx(slope, rel=1e-6)
    alone = table[(table["study"] == "heavy") & (table["law"] == "none")]
    assert alone["note"].str.contains("three sizes").all()


def test_a_summary_is_made_by_the_command(csd: Runner, made: tuple[list[PhasesJob], Path], tmp_path: Path) -> None:
    own, folder = made
    file, summary, laws = tmp_path / "study.json", tmp_path / "phases.nc", tmp_path / "scaling.csv"
    parts = {"plane": PLANE, "cubes": PLANE | {"sizes": 8, "block": 2}}
    content = {"study": "s", "figures": [], "sweeps": {"line": LINE}, "phases": parts}
    file.write_text(parse(content).model_dump_json())
    ran = csd(f"aggregate phases --study {file} --files {folder} --output {summary}")
    assert ran.status == 0, ran.err
    again = read(summary, PHASES_SUMMARY)
    assert again.sizes["run"] == 4
    assert again["score_gap"].identical(aggregate_phases([own[0], own[1], own[2], own[4]], folder)["score_gap"])
    (run,) = jobs_of(parse(content))["training"].values()
    (tmp_path / "training").mkdir()
    assert csd(f"train {shlex.join(run.arguments())} --output training/{run.identifier}.nc").status == 0
    assert csd(f"aggregate training --study {file} --files training --output training.nc").status == 0
    ran = csd(f"fit --summary training.nc --phases {summary} --output {laws}")
    assert ran.status == 0, ran.err
    table = read_scaling(laws)
    assert set(table["quantity"]) >= {"training_time", "path_kl", "ode_kl"}
    changed = parse(content | {"phases": {"plane": PLANE | {"sizes": 8, "noise_levels": [0.5, 3]}}})
    (job,) = jobs_of(changed)["phases"].values()
    copy(folder / f"{own[0].identifier}.nc", tmp_path / f"{job.identifier}.nc")
    with pytest.raises(InputError, match="the study asks for"):
        STAGES["phases"].summed_up([job], tmp_path)


def test_cost_grows_with_the_boxes() -> None:
    small, large, cube = (
        STAGES["phases"].expected(jobs(own={"dimension": 2, "sizes": 64} | part), REFERENCE)[0]
        for part in ({"ranges": 2}, {"ranges": 31}, {"ranges": 31, "block": 2})
    )
    assert small.seconds < large.seconds < cube.seconds < 60.0
    assert small.memory_mb < large.memory_mb < cube.memory_mb < 1000.0
    assert all(cost.known and cost.stage == "phases" for cost in (small, large, cube))


def test_the_small_study_is_valid(tmp_path: Path) -> None:
    study = parse(yaml.safe_load((ROOT / "config" / "phases-test.yaml").read_text()))
    own = jobs_of(study)
    assert len(own["phases"]) == 16
    assert {one.state for one in job_states(own, tmp_path)} == {"left"}


def test_couplings_at_finite_n_are_those_of_the_command(csd: Runner, tmp_path: Path) -> None:
    """Spins and φ⁴ with components, each a job with the request of its file."""
    how = {"dimension": 2, "sizes": 4, "noise_levels": [0.5, 1], "ranges": 1, "fields": 30, "seed": 2}
    own = jobs(spins=how | {"beta": 0.4}, fields=how | {"components": 2, "couplings": {"r0": -1, "u": 2}})
    assert [job.identifier for job in own] == [
        "d2_L4_b0.4_n1_vp-t0.5-1_R1_M30_s2",
        "d2_L4_r-1u2_n2_vp-t0.5-1_R1_M30_s2",
    ]
    for job in own:
        path = tmp_path / f"{job.identifier}.nc"
        ran = csd(f"phases {shlex.join(job.arguments())} --output {path}")
        assert ran.status == 0, ran.err
        assert ran.out.splitlines()[-1].startswith(STAGES["phases"].ends)
        found = package.read(path)
        assert found.attrs["configuration_hash"] == digest(job.request)
        assert found.attrs["source_hash"] == fingerprint(STAGES["phases"].step(job))
    summary = aggregate_phases(own, tmp_path)
    assert list(summary["components"].values) == [1, 2]
    assert np.isfinite(summary["mmse_difference_error"]).all()
    assert phases_table(summary).empty
    few, many = (
        STAGES["phases"].expected(jobs(one=how | {"sizes": 32, "beta": 0.4, "fields": fields}), REFERENCE)[0].seconds
        for fields in (100, 1000)
    )
    assert 2.0 < many / few < 10.0
    with pytest.raises(
        InputError, match=r"phases\.one: fields is given, but without components or beta phases are exact"
    ):
        jobs(one=how)


def test_validate_names_every_part_once(csd: Runner) -> None:
    """With its key where parts of two keys have one name; hybrids too."""
    ran = csd(f"validate --no-cost {ROOT / 'config' / 'phases-test.yaml'}")
    assert ran.status == 0, ran.err
    own = [line.split() for line in ran.out.splitlines() if " jobs, " in line]
    names = [name for name, *_ in own]
    assert len(set(names)) == len(names)
    assert set(names) >= {"sweeps.line-1d", "phases.line-1d", "line-2d", "local-everywhere", "global-in-window"}
    (total,) = (int(line.split()[4]) for line in ran.out.splitlines() if "all, with what follows" in line)
    # The comparison of integrators is one job more.
    assert sum(int(count) for _, count, *_ in own) == total - 1
