"""Figures of observables against training steps, and their captions, of linear networks that learn fields of φ⁴."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csd.cli.commands import main
from csd.report.figures import observable_times
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.rounding import parentheses
from csd.study.summaries.laws import observable_table
from csd.study.summaries.observables import RIGHT, observables_by_step
from tests.report.test_captions_generation import drawn

STUDY: dict[str, Any] = {
    "study": "observables",
    "training": {"seeds": [1, 2], "path": "spectral", "loss": "population", "tolerance": 0.01, "max_steps": 500},
    "monte_carlo": {
        "phi4": {
            "dimension": 2,
            "sizes": [4, 6, 8],
            "couplings": {"r0": -0.470762, "u": 0.299822},
            "samplers": ["hmc"],
            "sweeps": 1500,
            "fields": 500,
        }
    },
    "sweeps": {
        "linear": {
            "dimension": 2,
            "sizes": [4, 6, 8],
            "data": {"monte_carlo": "phi4"},
            "architectures": ["one_layer", "two_layer"],
            "generation": {"steps": 16, "samples": 512, "t_min": 0.01, "t_max": 4, "integrator": "heun"},
        }
    },
}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The summary of generation of that study."""
    results = tmp_path_factory.mktemp("observables")
    jobs = jobs_of(parse(STUDY | {"output": str(results)}))
    for name in ("monte_carlo", "training", "generation"):
        stage = STAGES[name]
        for job in jobs[name].values():
            parent = stage.parent(job)
            before = [] if parent is None else [str(STAGES[stage.after].file(parent, results))]
            taken = [[flag, str(STAGES[of].file(own, results))] for flag, (of, own) in stage.takes(job).items()]
            words = [*before, *(word for pair in taken for word in pair), *job.arguments()]
            main([stage.command, *words, "--output", str(stage.file(job, results))])
    return STAGES["generation"].summed_up(jobs["generation"].values(), results / "generation")


@pytest.fixture(scope="module")
def scaling(summary: xr.Dataset) -> pd.DataFrame:
    return observable_table(summary)


def test_linear_networks_have_the_spectrum_and_not_the_magnetisation(
    summary: xr.Dataset, scaling: pd.DataFrame
) -> None:
    """χ is right in the end, and U4 never is; it is 0 within 4 errors at each size, but for one test in 2000."""
    for network in ("one_layer", "two_layer"):
        own = scaling[scaling["architecture"] == network]
        cumulants = own[(own["quantity"] == "observable_deviation") & (own["criterion"] == "binder")]
        assert cumulants["sizes"].tolist() == ["4", "6", "8"]
        assert (np.abs(cumulants["value"] + 1.0) < 4.0 * cumulants["error"]).all()
        times = own[own["quantity"] == "observable_training_time"]
        (law,) = times[(times["criterion"] == "binder") & (times["law"] != "value")].to_dict("records")
        assert law["law"] == "none"
        assert law["note"].startswith("at size 4 it is still wrong at step ")
    last = observables_by_step(summary).query("observable == 'susceptibility' and not sampled").groupby("run").tail(1)
    assert (last["pull"].abs() < RIGHT).all()


def test_steps_until_observables_are_right_are_those_of_the_table(summary: xr.Dataset, scaling: pd.DataFrame) -> None:
    times = scaling[(scaling["quantity"] == "observable_training_time") & (scaling["law"] == "value")]
    _, by_step = drawn("observables_by_step", summary, scaling)
    figure, over_sizes = drawn("observable_times", summary, scaling)
    known = times[np.isfinite(times["value"]) & (times["sizes"] == "8")]
    assert len(known) >= 3
    names = {"correlation_length": "ξ", "energy": "energy", "susceptibility": "χ"}
    for _, row in known.iterrows():
        words = f"{names[row['criterion']]} right from step {parentheses(row['value'], row['error'])} on"
        assert words in by_step.partition("phi4, d = 2, L = 8")[2]
    fitted = scaling[(scaling["law"] == "power") & (scaling["error"] < 0.5)]
    for _, law in fitted.iterrows():
        exponent = parentheses(law["exponent"], law["error"]).replace("-", "−")
        assert f"z = {exponent}" in over_sizes
    assert "with one layer: still wrong at step" in over_sizes
    panels = {axes.get_title(): axes for axes in figure.axes}
    drawn_times = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panels["energy"].get_lines()])
    own = times[(times["criterion"] == "energy") & np.isfinite(times["value"])]
    assert all(np.isclose(drawn_times, value).any() for value in own["value"])


def test_observables_not_known_to_be_right_have_no_triangles(summary: xr.Dataset, scaling: pd.DataFrame) -> None:
    """With errors a thousand times as large nothing is known to be right, and nothing is wrong."""
    wide = {name: 1000.0 * summary[name] for name in summary if str(name).startswith("sampled_") and "_error" in name}
    figure, caption = drawn("observable_times", summary.assign(wide), scaling[:0])
    assert "not known to be right" in caption
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == [observable_times.UNKNOWN]
        assert not any(len(line.get_xdata()) for line in axes.get_lines())
        assert axes.get_xlim()[0] < 4 < 8 < axes.get_xlim()[1]


def test_the_binder_cumulant_is_drawn_with_that_of_the_chains(summary: xr.Dataset) -> None:
    figure, caption = drawn("binder_by_step", summary)
    assert [axes.get_title() for axes in figure.axes] == [f"phi4, d = 2, L = {size}" for size in (4, 6, 8)]
    for axes, size in zip(figure.axes, (4, 6, 8), strict=True):
        run = summary.isel(run=int(np.flatnonzero(summary["size"].values == size)[0]))
        right, error = float(run["reference_binder"]), float(run["reference_binder_error"])
        assert f"L = {size}, where it is {parentheses(right, error)}: one layer still wrong at step" in caption
        assert any(np.allclose(line.get_ydata(), right) for line in axes.get_lines())
