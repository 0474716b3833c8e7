"""A study of one kind of phases, or of hybrids, has the figures that its files can fill, and is told of the others."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot as plt

import csd as package
from csd.core.errors import InputError
from csd.report.figures import FIGURES, drawn, figure_module
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle, jobs_of
from csd.study.stages.phases import PhasesJob
from csd.study.summaries.phases.aggregate import aggregate_phases

LINE = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
HOW = {"dimension": 1, "sizes": 8, "noise_levels": [0.5, 1.0, 2.0], "ranges": [1, 2]}
OF_PHASES = [name for name in FIGURES if figure_module(name).SUMMARY == "phases"]


@pytest.mark.parametrize(
    ("part", "kind", "names"),
    [
        ({"mass": 0.5}, "gaussian", {"conditional_information", "path_kl", "score_gap"}),
        ({"mass": 0.5, "target": "two_phase", "magnetisation": 1}, "two_phase", {"path_kl", "score_gap"}),
        ({"beta": 0.4, "fields": 60}, "spins", {"box_gap", "score_gap"}),
        ({"mass": 0.5, "components": 1, "fields": 60}, "gaussian", {"box_gap", "score_gap"}),
    ],
)
def test_a_study_of_one_kind_has_the_figures_that_its_files_fill(
    part: dict[str, Any], kind: str, names: set[str], tmp_path: Path
) -> None:
    content = {"study": "s", "sweeps": {"line": LINE}, "phases": {"own": HOW | part}}
    study = parse(content)
    own = [job for job in jobs_of(study)["phases"].values() if isinstance(job, PhasesJob)]
    assert names == {name for name in drawn(study) if name in OF_PHASES}
    for job in own:
        about = {name: value for name, value in vars(job.field).items() if value is not None}
        fields = {} if job.drawn is None else vars(job.drawn)
        path = tmp_path / f"{job.identifier}.nc"
        file = package.phases(**about, **vars(job.noise), **vars(job.settings), **fields, output=path)
        assert file.attrs["target"] == job.kind == kind
    summary = aggregate_phases(own, tmp_path)
    for name in OF_PHASES:
        module = figure_module(name)
        if name in names:
            module.draw(summary, pd.DataFrame(), FigureStyle.model_validate({}))
            plt.close("all")
        else:
            with pytest.raises(InputError, match=f"^figures: '{name}' needs the key phases, with "):
                drawn(parse(content | {"figures": [name]}))
            with pytest.raises(InputError, match=f"^figures: '{name}' needs the key phases, with "):
                module.draw(summary, pd.DataFrame(), FigureStyle.model_validate({}))


def test_histograms_are_of_hybrids_with_two_phases() -> None:
    training = {"noise_levels": [0.1, 1.0], "loss": "population", "seeds": 1}
    sweep = LINE | {"mass": 0.5}
    content = {"study": "s", "training": training, "hybrids": {"one": {"windows": [{"sweep": "line"}]}}}
    assert "hybrid_magnetisation" not in drawn(parse(content | {"sweeps": {"line": sweep}}))
    phases = {"target": "two_phase", "magnetisation": 1.0}
    assert "hybrid_magnetisation" in drawn(parse(content | {"sweeps": {"line": sweep | phases}}))
