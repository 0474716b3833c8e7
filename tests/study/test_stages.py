"""A kind of job that nobody has told the study of but one declaration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import INTEGRATOR_STEPS, SUMMARY
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, Study, jobs_of
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.limits import Limits, cluster_jobs, study_costs
from csd.study.cost.pace import REFERENCE, Calibration
from csd.study.stages.base import Stage
from csd.study.stages.training import TrainingJob
from csd.study.status import job_states, verify_files

STUDY = parse(
    {"study": "s", "figures": [], "sweeps": {"line": {"dimension": 1, "sizes": [6, 8], "architectures": ["one_layer"]}}}
)


@dataclass(frozen=True)
class HeldOut:
    """Fields held out of a training."""

    run: TrainingJob

    @property
    def sweep(self) -> str:
        return self.run.sweep

    @property
    def identifier(self) -> str:
        return f"{self.run.identifier}_held"

    @property
    def request(self) -> dict[str, Any]:
        return {"training": self.run.request}

    def arguments(self) -> list[str]:
        return ["--held-out", "8"]


def expected(jobs: Sequence[HeldOut], calibration: Calibration) -> list[ExpectedCost]:
    """An hour each."""
    return [ExpectedCost("held_out", job.identifier, 3600.0, 100.0, 1.0) for job in jobs]


@pytest.fixture
def with_held_out(monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study with a stage more."""

    def held_out_jobs(study: Any, before: Sequence[TrainingJob]) -> list[HeldOut]:
        return [HeldOut(run) for run in before]

    stage = Stage(
        "held_out",
        key="sweeps",
        command="integrators",
        kind=INTEGRATOR_STEPS,
        jobs=held_out_jobs,
        cost=f"{__name__}:expected",
        ends=("done",),
        works=("held-out fields", lambda job: 8),
        logs="held",
        after="training",
        gpu=lambda job: True,
    )
    monkeypatch.setitem(STAGES, "held_out", stage)
    return STUDY


def test_a_stage_is_in_all_commands_without_being_told(
    with_held_out: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = with_held_out
    jobs = jobs_of(study)
    first, second = jobs["held_out"]
    (tmp_path / "held_out").mkdir()
    (tmp_path / "held_out" / f"{first}.nc").write_bytes(b"damaged")
    (tmp_path / "held_out" / "stray.nc").write_bytes(b"")
    (tmp_path / "logs" / "held").mkdir(parents=True)
    (tmp_path / "logs" / "held" / f"{second}.log").write_text("csd integrators --held-out 8\ncsd integrators: no\n")
    states = {job.name: job.state for job in job_states(jobs, tmp_path)}
    assert (states[f"held_out/{first}"], states[f"held_out/{second}"]) == ("done", "failed")
    assert verify_files(study, tmp_path)[0] == 1
    assert {fault.state for fault in verify_files(study, tmp_path)[1]} == {"damaged", "foreign"}
    (tmp_path / "summary").mkdir()
    (tmp_path / "summary" / "study.json").write_text(study.model_dump_json())
    main(["validate", str(tmp_path / "summary" / "study.json")])
    said = capsys.readouterr().out
    assert "16 held-out fields" in said
    words = "1 of integrators, 0 of scores, 0 of phases, 0 of hybrids, 2 of"
    assert f"2 of training, 0 of generation, 0 of Monte Carlo, {words}" in said
    costs = study_costs(jobs, REFERENCE)
    assert sum(cost.stage == "held_out" for cost in costs) == 2
    assert sum(cluster_jobs(costs, jobs)) == pytest.approx(sum(cost.seconds for cost in costs))
    assert Limits(jobs)["held_out", first].time_limit() > 360


def test_a_stage_without_jobs_has_no_summary(tmp_path: Path) -> None:
    assert STAGES["training"].summary == SUMMARY
    with pytest.raises(InputError, match=r"no jobs of generation.*sweeps"):
        STAGES["generation"].summed_up(jobs_of(STUDY)["generation"].values(), tmp_path)
