"""Captions of figures of generation, integrators and samplers say what the summaries hold and the figures draw."""

from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd.cli.commands import main
from csd.diffusion.discretisation import compare
from csd.report.figures import HERE, figure_module
from csd.report.figures.series import short
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle
from csd.study.rounding import parentheses
from csd.study.stages.generation import generation_jobs
from csd.study.stages.training import training_jobs
from csd.study.summaries.generation import aggregate_generation
from csd.study.summaries.laws import generation_table

STYLE = FigureStyle.model_validate({})
STUDY: dict[str, Any] = {
    "study": "captions",
    "training": {"noise_levels": [0.1], "seeds": [1, 2], "batch": 4096},
    "sweeps": {
        "growing": {
            "dimension": 1,
            "sizes": [4, 6, 8],
            "architectures": ["one_layer", "two_layer"],
            "generation": {"steps": 48, "samples": 64, "integrator": "heun"},
            "training": {"until": "samples", "batch": 262144},
        },
        "ranges": {
            "dimension": 1,
            "sizes": [8],
            "architectures": [{"name": "local_one_layer", "range": [1, "2xi"]}],
            "generation": {"steps": 24, "samples": 64, "transfer": [2]},
        },
    },
}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The summary of generation of that study."""
    return summary_of(STUDY, tmp_path_factory.mktemp("captions"))


def summary_of(study: dict[str, Any], folder: Path) -> xr.Dataset:
    """The summary of generation of a study, whose files are made in a folder."""
    runs = training_jobs(parse(study))
    for run in runs:
        main(["train", *run.arguments(), "--output", str(folder / f"training/{run.identifier}.nc")])
    jobs = generation_jobs(runs)
    for job in jobs:
        trained = folder / f"training/{job.run.identifier}.nc"
        main(["generate", str(trained), *job.arguments(), "--output", str(folder / f"{job.identifier}.nc")])
    return aggregate_generation(jobs, folder)


def drawn(name: str, summary: xr.Dataset, scaling: pd.DataFrame | None = None) -> tuple[Figure, str]:
    """A figure and its caption, whose lines are joined."""
    figure, facts = figure_module(name).draw(summary, pd.DataFrame() if scaling is None else scaling, STYLE)
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string((HERE / f"{name}.rst").read_text())
    return figure, " ".join(text.render(noise_level=STYLE.noise_level, **facts).split())


def own(summary: xr.Dataset, **wanted: Any) -> xr.Dataset:
    """The runs of a summary whose variables are as wanted."""
    chosen = np.logical_and.reduce([summary[name].values == value for name, value in wanted.items()])
    return summary.isel(run=np.flatnonzero(chosen))


def test_training_that_samples_need_grows_as_the_caption_says(summary: xr.Dataset) -> None:
    scaling = generation_table(summary)
    _, caption = drawn("generation_time", summary, scaling)
    for network, words in (("one_layer", "one layer"), ("two_layer", "two layers")):
        runs = own(summary, architecture_name=network).sortby("size")
        times = runs["generation_training_time"].mean("seed")
        factors = (times.isel(run=-1) / times.isel(run=0)).to_series()
        soft = factors[["susceptibility", "correlation_length"]]
        hard = factors.drop(index=soft.index)
        ends = [short(value) for value in (soft.min(), soft.max(), hard.min(), hard.max())]
        few, many = (" to ".join(dict.fromkeys(pair)) for pair in (ends[:2], ends[2:]))
        assert f"{few} for χ and ξ and {many} for KL and ESS with {words} in d = 1 (L = 4 to 8)" in caption
        laws = scaling[(scaling["architecture"] == str(runs["architecture"].values[0]))]
        laws = laws[(laws["quantity"] == "generation_training_time") & (laws["criterion"] == "kl_per_site")]
        exponents = [parentheses(law["exponent"], law["error"]).replace("-", "−") for _, law in laws.iterrows()]
        assert any(f"{words} ∝ L\\ :sup:`z`, z = {exponent}" in caption for exponent in exponents)


def test_without_laws_none_is_said_to_be_fitted_and_no_panel_is_empty(summary: xr.Dataset) -> None:
    figure, caption = drawn(
        "generation_time", own(summary, architecture_name="one_layer"), generation_table(summary)[:0]
    )
    assert "no law is fitted" in caption
    assert [axes.get_title() for axes in figure.axes] == ["one layer, d = 1"]


def test_steps_at_which_criteria_are_met_are_those_of_the_files(summary: xr.Dataset) -> None:
    figure, caption = drawn("generation_curves", summary)
    run = own(summary, architecture_name="one_layer", size=8).squeeze("run")
    times = run["generation_training_time"].mean("seed").to_series()
    assert f"one layer, d = 1, L = 8: χ {times['susceptibility']:,.0f}" in caption
    assert f"total KL {times['total_kl']:,.0f}" in caption
    # A criterion is met where its drawn deviation is at most 1.
    theory = [line.get_xydata() for line in figure.axes[0].get_lines() if line.get_linestyle() == "-"]
    crossing = [curve[curve[:, 1] <= 1.0, 0].min() for curve in theory if len(curve) > 2 and (curve[:, 1] <= 1.0).any()]
    assert any(abs(step - times["total_kl"]) <= 0.1 * step + 1 for step in crossing)


def test_ratios_of_spectra_in_the_caption_are_drawn(summary: xr.Dataset) -> None:
    figure, caption = drawn("generated_spectra", summary)
    for axes, words in zip(figure.axes, ("one layer", "two layers"), strict=True):
        lines = [
            line.get_ydata() for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_ydata()) > 2
        ]
        labels = [text.get_text() for text in axes.texts]
        for curve in (lines[0], lines[-1]):
            told = f"{short(float(curve[0]))} and {short(float(curve[-1]))} after "
            assert any(told + label in caption for label in labels)
        assert f"for {words}" in caption


def test_ratios_along_the_trajectory_in_the_caption_are_drawn(summary: xr.Dataset) -> None:
    figure, caption = drawn("on_the_way", summary)
    pictures = [axes for axes in figure.axes if axes.collections and axes.get_title()]
    count = len(pictures) // 2
    for row, words in enumerate(("one layer", "two layers")):
        axes = pictures[row * count + max(count - 2, 0)]
        hardest = np.exp(np.asarray(axes.collections[0].get_array()).reshape(-1, summary.sizes["level"])[-1])
        step = axes.get_title().rpartition("step ")[2]
        said = caption.partition(f" with {words} at step {step}")[0].rpartition(" and ")
        assert said[2] == short(float(hardest[-1]))
        assert said[0].split()[-2:][0].rstrip(",") == short(float(hardest[0]))


def told(axes: Axes, line: int, place: int) -> str:
    """A point of a panel and its error, as they are drawn, in words."""
    data, _, (bars,) = axes.containers[line]
    value = float(np.asarray(data.get_ydata())[place])
    return parentheses(value, float(bars.get_segments()[place][1, 1]) - value)


def test_values_that_ranges_reach_in_the_caption_are_drawn(summary: xr.Dataset) -> None:
    figure, caption = drawn("local_range", own(summary, trained_size=8))
    for axes, symbol in zip(figure.axes, "χξ", strict=False):
        for place, words in enumerate(("1", "2ξₜ")):
            assert f"{symbol} {told(axes, 0, place)} with R = {words}" in caption


def test_values_on_larger_lattices_in_the_caption_are_drawn(summary: xr.Dataset) -> None:
    figure, caption = drawn("size_transfer", summary)
    assert "Samples at L = 16 of networks trained at L = 8, m = 0.125 have" in caption
    for axes, symbol in zip(figure.axes[2:], "χξ", strict=True):
        for line, reach in enumerate(("R = 1", "R = 2 ξₜ")):
            # Samples of one seed with R = 1 have no correlation length at L = 16.
            there = (symbol, reach) != ("ξ", "R = 1")
            assert (np.asarray(axes.containers[line][0].get_xdata())[-1] == 16) == there
            assert (f"{symbol} {told(axes, line, -1)} with {reach}" in caption) == there


def test_powers_of_integrator_steps_are_those_of_the_law() -> None:
    """N^{1/(2p)} of total KL in d = 2: L and L^{1/2}; KL per site, a mean, does not grow."""
    summary = compare({2: [16, 32]}, schedules=["vp"], grids=["geometric"], integrators=["euler_maruyama", "heun"])
    _, caption = drawn("integrator_steps", summary)
    steps = summary["crossing_steps"].sel(schedule="vp", grid="geometric", dimension=2)
    powers = np.log2(steps.sel(size=32) / steps.sel(size=16)).sel(integrator=["euler_maruyama", "heun"])
    first, second = powers.sel(criterion="total_kl").values
    assert f"{first:.2f} and {second:.2f} in d = 2" in caption
    assert (first, second) == pytest.approx((1.0, 0.5), abs=0.05)
    low, high = sorted(powers.sel(criterion="kl_per_site").values)
    assert f"{low:.2f} to {high:.2f} for KL per site".replace("-", "−") in caption


def test_errors_of_generated_fields_are_those_of_the_pictures() -> None:
    figure, caption = drawn("generated_fields", xr.Dataset())
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    for row, words in ((pictures[:5], "one layer"), (pictures[5:10], "two layers")):
        errors = [float(np.std(picture - row[-1]) / np.std(row[-1])) for picture in row[:-1]]
        told = [f"{error:.2g}" if error > 0.001 else "less than 0.001" for error in errors]
        assert f"{', '.join(told[:-1])} and {told[-1]} with {words}" in caption


def test_of_fields_of_several_components_the_modulus_is_shown(tmp_path: Path) -> None:
    """|m| ≥ 0 of two components, on an axis from 0, with the cumulant that is 0 for Gaussian vectors."""
    np.save(tmp_path / "two.npy", np.random.default_rng(1).standard_normal((60, 2, 4, 4)))
    sweep: dict[str, Any] = {"dimension": 2, "sizes": 4, "architectures": "wiener", "generation": {"steps": 4}}
    sweep |= {"data": {"file": str(tmp_path / "two.npy"), "components": 2}}
    training = {"path": "fields", "loss": "denoising", "conditioned": True, "seeds": 1, "max_steps": 2, "batch": 4}
    made = summary_of({"study": "two", "training": training, "sweeps": {"a": sweep}}, tmp_path)
    figure, caption = drawn("magnetisation", made)
    square = made["sampled_magnetisation"].values.ravel() ** 2
    cumulant = 1.0 - 0.5 * np.nanmean(square**2) / np.nanmean(square) ** 2
    found = parentheses(cumulant, float(made["sampled_binder_error"].values.item())).replace("-", "−")
    assert f"generated fields: {found} for" in caption
    assert "(3⟨m²⟩²)" not in caption
    assert "((n + 2) ⟨\\|m\\|²⟩²)" in caption
    (axes,) = figure.axes
    assert axes.get_xlabel() == "|m| per site, n = 2"
    assert abs(min(patch.get_x() for patch in axes.containers[0])) < 1e-12
