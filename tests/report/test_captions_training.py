"""Captions state what the data say: each number in a caption is compared with the summary that the figure draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from jinja2 import Environment, StrictUndefined
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.special import digamma

from csd.core.errors import InputError
from csd.report.figures import HERE, fields, figure_module, series
from csd.report.figures import drawn as figures_of
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle
from csd.study.rounding import parentheses
from csd.study.seeds import total_error
from csd.study.stages.training import training_jobs
from csd.study.summaries.columns import run_table
from csd.study.summaries.laws import training_table
from csd.study.summaries.training import aggregate_training
from tests.helpers import train_files
from tests.report.test_figures import LABELLED

STYLE = FigureStyle.model_validate({})
LINEAR = ["one_layer", "two_layer"]
STUDY: dict[str, Any] = {
    "study": "captions",
    "training": {"noise_levels": [0.1, 0.5], "loss": "population", "seeds": [1, 2]},
    "sweeps": {
        "line": {
            "dimension": 1,
            "sizes": [8, 12, 16],
            "architectures": [
                *LINEAR,
                {"name": "local_one_layer", "range": [1, 2, 3]},
                {"name": "deep_linear", "depth": 3},
            ],
        },
        # Some of its sizes are those of the sweep before.
        "again": {
            "dimension": 1,
            "sizes": [8, 12],
            "architectures": ["one_layer"],
            "training": {"learning_rate": 0.01},
        },
        "masses": {"dimension": 1, "sizes": [8, 12], "mass": [0.25, 0.5], "architectures": ["one_layer"]},
        **{name: LABELLED["sweeps"][name] for name in ("data", "critical", "fixed")},
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, pd.DataFrame, pd.DataFrame]:
    """The summary of that study, its laws, and its runs."""
    folder: Path = tmp_path_factory.mktemp("training")
    jobs = training_jobs(parse(STUDY))
    train_files(jobs, folder)
    summary = aggregate_training(jobs, folder)
    return summary, training_table(summary), run_table(summary)


def drawn(name: str, summary: xr.Dataset, scaling: pd.DataFrame) -> tuple[Figure, dict[str, Any], str]:
    """A figure, its facts and its caption, which says nothing that is not known and is short."""
    figure, facts = figure_module(name).draw(summary, scaling, STYLE)
    plt.close("all")
    words = Environment(undefined=StrictUndefined).from_string((HERE / f"{name}.rst").read_text(encoding="utf-8"))
    caption = words.render(noise_level=f"{STYLE.noise_level:g}", **facts)
    assert "nan" not in caption.split()
    return figure, facts, caption


def time_of(summary: xr.Dataset, run: int, level: float = 0.1, quantity: str = "training_time") -> str:
    """Mean over both seeds with its error, in words."""
    times = summary[quantity].sel(noise_level=level).isel(run=run).values
    return parentheses(float(times.mean()), float(times.std(ddof=1) / np.sqrt(len(times))))


def the_run(runs: pd.DataFrame, **wanted: Any) -> int:
    """Of which there is one."""
    for column, value in wanted.items():
        runs = runs[runs[column] == value]
    (found,) = runs.index
    return int(found)


def test_learning_curves(study: Any) -> None:
    summary, scaling, runs = study
    figure, facts, caption = drawn("learning_curves", summary, scaling)
    (eight, sixteen) = (the_run(runs, sweep="line", architecture_name="two_layer", size=size) for size in (8, 16))
    assert f"two layers {time_of(summary, eight)} at L = 8 and {time_of(summary, sixteen)} at L = 16" in caption
    assert facts["tolerance"] == "0.01"
    # The times of the caption are drawn, at the tolerance.
    times = summary["training_time"].sel(noise_level=0.1).mean("seed").values
    opened = [line.get_xydata() for line in figure.axes[-1].get_lines() if line.get_markerfacecolor() == "none"]
    assert {times[eight], times[sixteen]} <= {float(place[0]) for line in opened for place in line}
    assert {float(place[1]) for line in opened for place in line} == {0.01}


@pytest.mark.parametrize("name", ["learning_curves", "noise_levels"])
def test_runs_of_one_size_in_two_sweeps_are_shown_apart(study: Any, name: str) -> None:
    summary, scaling, runs = study
    figure, _, _ = drawn(name, summary, scaling)
    assert [axes.get_title() for axes in figure.axes] == ["one layer, line", "one layer, again", "two layers"]
    if name == "noise_levels":
        for axes, sweep in zip(figure.axes, ("line", "again"), strict=False):
            wanted = [
                summary["crossing_time"].sel(noise_level=level).isel(run=run).mean("seed").item()
                for level in (0.1, 0.5)
                for run in runs.index[(runs["sweep"] == sweep) & (runs["architecture_name"] == "one_layer")]
            ]
            shown = [line.get_ydata() for line in axes.get_lines() if line.get_linestyle() == "None"]
            assert np.concatenate(shown).astype(float) == pytest.approx(wanted)


def exponent(scaling: pd.DataFrame, law: str, level: float = 0.1, **wanted: Any) -> pd.Series:
    """The row of a law of the training time."""
    rows = scaling[(scaling["law"] == law) & (scaling["quantity"] == "training_time")]
    for column, value in (wanted | {"noise_level": level}).items():
        rows = rows[rows[column] == value]
    (found,) = (row for _, row in rows.iterrows())
    return found


def test_noise_levels(study: Any) -> None:
    summary, scaling, _ = study
    _, _, caption = drawn("noise_levels", summary, scaling)
    for level in (0.1, 0.5):
        power = exponent(scaling, "power", level, study="line", architecture="two_layer")
        assert f"{parentheses(power['exponent'], power['error'])}" in caption.partition("two layers")[2]
    assert "one layer, again is not fitted" in caption


def test_parameters(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("parameters", summary, scaling)
    run = the_run(runs, sweep="line", architecture_name="two_layer", size=16)
    count = summary["level_parameters"].sel(noise_level=0.1).isel(run=run).item()
    assert f"two layers {time_of(summary, run)} with {count:g} at L = 16" in caption


@pytest.mark.parametrize("z", [2.0, 1.75, 0.5])
def test_exponents(study: Any, z: float) -> None:
    """Times that follow the nested law exactly have its z: of three sizes, without an error."""
    summary, _, runs = study
    line = runs[(runs["sweep"] == "line") & (runs["architecture_name"] == "one_layer")].index
    times = summary["crossing_time"].copy()
    for run in line:
        times[{"run": run}] = 7.0 + 3.0 * float(runs["size"][run]) ** z
    own = summary.assign(crossing_time=times)
    figure, _, caption = drawn("exponents", own, training_table(own))
    assert f"d = 1, n → ∞: one layer {z:g}, two layers" in caption
    (axes,) = figure.axes
    points = [line.get_xydata() for line in axes.get_lines() if line.get_marker() == "o"]
    assert [float(place[0][1]) for place in points] == pytest.approx([z])
    # Ticks of theory: 2 of one layer, 1 of one local layer in d = 1, 0 of two layers.
    ticks = [line.get_ydata()[0] for line in axes.get_lines() if line.get_alpha() == 0.6]
    assert sorted({float(tick) for tick in ticks}) == [0.0, 1.0, 2.0]
    assert "3 layers" not in caption


def test_exponents_of_fields_stand_beside_those_of_the_gaussian_field(study: Any) -> None:
    """Of spins with z = 7/4, of other fields by their name; seeds that scatter give an error, and a power is open."""
    summary, _, runs = study
    one = runs.index[(runs["sweep"] == "line") & runs["architecture_name"].isin(LINEAR)]
    fields = summary.isel(run=one)
    learned = {"model": "spins", "components": 1, "target": "data", "mass_label": "magnets.0a1b2c3d", "sweep": "fields"}
    named = {**learned, "model": "", "components": 0, "mass_label": "others.0a1b2c3d", "sweep": "others"}
    parts = [summary]
    for columns in (learned, named):
        given = {name: ("run", np.array([value] * len(one), dtype=object)) for name, value in columns.items()}
        given |= {name: ("run", np.full(len(one), columns[name])) for name in ("components",)}
        parts.append(fields.assign(given | {"mass_times_length": ("run", np.full(len(one), np.nan))}))
    both = xr.concat(parts, "run", data_vars="all")
    figure, _, caption = drawn("exponents", both, training_table(both))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["n → ∞", "others", "Ising"]
    ticks = {float(line.get_ydata()[0]) for line in axes.get_lines() if line.get_alpha() == 0.6}
    assert ticks == {0.0, 1.0, 2.0}
    assert "d = 1, Ising: one layer" in caption


def test_depth_law(study: Any) -> None:
    summary, scaling, _ = study
    figure, _, caption = drawn("depth_law", summary, scaling)
    law = exponent(scaling, "boxcox", architecture="deep_linear-p3")
    assert f"{parentheses(law['exponent'], total_error(law))} at p = 3 (0.6667)" in caption
    shown = np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in figure.axes[1].get_lines()])
    assert [3.0, law["exponent"]] in shown.tolist()


def test_collapse(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("collapse", summary, scaling)
    fixed = runs[runs["sweep"] == "masses"]
    times = summary["crossing_time"].sel(noise_level=0.1).mean("seed").values[fixed.index]
    ratios = [max(own) / min(own) - 1.0 for own in (times[fixed["mass"] == mass] for mass in (0.25, 0.5))]
    assert f"differ by at most {100.0 * max(ratios):.2g} % between L = 8, 12" in " ".join(caption.split())


def test_finite_size(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("finite_size", summary, scaling)
    mass = runs["mass"][the_run(runs, sweep="critical", architecture_name="one_layer", size=3)]
    assert f"{1.0 / (3 * mass):.4f} at L = 3" in caption
    for sweep in ("critical", "fixed"):
        power = exponent(scaling, "power", study=sweep, architecture="two_layer")
        assert parentheses(power["exponent"], power["error"]).replace("-", "−") in caption.replace("-", "−")


def test_kernels(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("kernels", summary, scaling)
    for level in (0.1, 0.5):
        floors = summary["floor"].sel(noise_level=level).values
        local = runs[(runs["architecture_name"] == "local_one_layer") & (runs["size"] == 16)]
        reach = [reach for run, reach in local["fixed_range"].items() if floors[run] <= 0.01]
        assert f"{f'R = {min(reach)}' if reach else 'none of these'} at t = {level:g}" in caption


def test_kernels_at_levels_of_their_own(study: Any) -> None:
    """A summary has the noise levels of all its runs; those of other runs are not drawn."""
    summary, scaling, _ = study
    other = summary.reindex(noise_level=[*summary["noise_level"].values, *np.linspace(1.0, 3.0, 20)])
    (figure, _, caption), (own, _, same) = drawn("kernels", other, scaling), drawn("kernels", summary, scaling)
    assert caption == same
    labels, expected = ([text.get_text() for text in drawing.legends[0].get_texts()] for drawing in (figure, own))
    assert labels == expected
    assert [label[:7] for label in labels] == ["t = 0.1", "t = 0.5"]


def test_residuals(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("residuals", summary, scaling)
    run = the_run(runs, sweep="line", architecture_name="two_layer", size=16)
    at = summary.isel(run=run).sel(noise_level=0.1)
    bins = np.flatnonzero(np.isfinite(at["inverse_length"]))
    hardest = at["mode_residual"].isel(bin=bins[-1])
    step = at["step"].values[(hardest.values <= 0.1) & (at["step"].values > 0)][0]
    assert f"the hardest at step {step}" in caption.partition("two layers")[2]


def test_overfitting(study: Any) -> None:
    summary, scaling, runs = study
    _, _, caption = drawn("overfitting", summary, scaling)
    products = []
    for fields_seen in (16, 32):
        error = summary["score_error"].sel(noise_level=0.1).isel(run=the_run(runs, sweep="data", data_set=fields_seen))
        products.append(fields_seen * float(error.mean("seed").dropna("step")[-1]))
    assert f"two layers {min(products):.2g}/M to {max(products):.2g}/M" in caption


def test_memorisation() -> None:
    """Two seeds and data sets whose best and last divergence and step of memorisation are known."""
    steps, counts = np.array([0, 1, 10, 100, 1000]), np.array([16, 64])
    true = np.array([[8.0, 4.0, 2.0, 1.6, 2.0], [8.0, 4.0, 2.0, 1.8, 2.0]])
    memory = np.array([[8.0, 1.0, 2.0, 0.1, 0.1], [8.0, 4.0, 2.0, 0.1, 0.1]])
    text = {"sweep": "only", "mass_label": "its mass", "data": "its data", "loss": "population"}
    text |= {"architecture_name": "one_layer", "architecture": "one_layer"}
    numbers = {"dimension": 1, "size": 8, "mass": 0.125, "depth": 0, "trained_size": 8, "channels": 0, "fixed_range": 0}
    numbers |= {"mass_times_length": 1.0, "r0": np.nan, "u": np.nan, "range_factor": np.nan}
    content: dict[str, Any] = {name: ("run", np.array([value] * 2, dtype=object)) for name, value in text.items()}
    content |= {name: ("run", np.array([value] * 2)) for name, value in numbers.items()}
    both: Callable[[Any], Any] = lambda values: (("run", "seed", "step"), values / counts[:, None, None])  # noqa: E731
    content |= {"data_set": ("run", counts), "kl_per_site": both(true), "data_set_kl_per_site": both(memory)}
    content["predicted_kl_per_site"] = (("run", "step"), np.full((2, 5), 1e-6))
    figure, facts, _ = drawn("memorisation", xr.Dataset(content, {"seed": [1, 2], "step": steps}), pd.DataFrame())
    assert facts["gains"] == "one layer 15(5) % at M = 16 and 15(5) % at M = 64"
    assert facts["onsets"] == "one layer 100 at M = 16 and 100 at M = 64"
    # Six of eight modes are complex, two are real.
    expected = (6 * (np.log(counts) - digamma(counts)) + 2 * (np.log(counts / 2) - digamma(counts / 2))) / 16
    lines = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == "None"]
    shown = sorted(np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in lines]))
    assert shown == pytest.approx(sorted([*(1.7 / counts / expected), *(2.0 / counts / expected)]))


def test_fields(study: Any) -> None:
    summary, scaling, _ = study
    figure, _, caption = drawn("fields", summary, scaling)
    assert ", ".join(f"{length:g}" for length in fields.LENGTHS) in caption
    assert [axes.get_title().split()[2] for axes in figure.axes[:3]] == [f"{length:g}" for length in fields.LENGTHS]


def test_sweeps_of_other_sizes_are_one_series() -> None:
    table = pd.DataFrame({"sweep": ["a", "b"], "data": "x", "dimension": 1, "size": [8, 16], "data_set": 0})
    table["network"] = ["one_layer"] * 2
    assert list(series.told_apart(table)["series"]) == ["one layer"] * 2
    assert list(series.told_apart(table.assign(size=8))["series"]) == ["one layer, a", "one layer, b"]


def test_exact_errors(study: Any) -> None:
    """Errors below 0 are told, and not drawn; ρ is over the error of the best linear score."""
    summary, scaling, _ = study
    known = np.isfinite(summary["score_error"])
    error = xr.where(summary["score_error"] < 0.02, -0.0012, summary["score_error"]).where(known)
    floors = xr.full_like(summary["learning_rate"], 0.003)
    exact = {"exact_score_error": error, "zero_mode_error": 2.0 * error, "linear_score_error": floors}
    figure, _, caption = drawn("exact_errors", summary.assign(exact), scaling)
    assert "line: d = 1, L = 16: one layer −0.0012 (ρ = −0.4), −0.0024 at k = 0; two layers" in caption
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        heights = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
        assert np.nanmin(heights) > 0.0
    with pytest.raises(InputError, match="needs a sweep without generation that has scores"):
        drawn("exact_errors", summary, scaling)


def test_exact_errors_need_scores() -> None:
    place: dict[str, Any] = {"dimension": 2, "sizes": [4], "components": 1, "couplings": {"r0": -0.5, "u": 1.0}}
    content: dict[str, Any] = {
        "study": "exact",
        "training": {"noise_levels": [0.1]},
        "monte_carlo": {"phi4": {**place, "samplers": ["wolff"], "fields": 100}},
        "scores": {"held": {**place, "noise_levels": [0.1]}},
        "sweeps": {
            "line": {
                **{"dimension": 2, "sizes": [4], "data": {"monte_carlo": "phi4"}, "architectures": ["one_layer"]},
                "training": {"loss": "population"},
            }
        },
    }
    assert "exact_errors" not in figures_of(parse(content))
    content["sweeps"]["line"]["scores"] = "held"
    assert "exact_errors" in figures_of(parse(content))
