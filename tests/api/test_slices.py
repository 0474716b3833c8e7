"""Runs that a user has sliced, put together, renamed or computed with: generated from as they were, or one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import csd
from csd.cli.commands import main

OPTIONS: dict[str, Any] = {
    **{"dimension": 1, "size": 8, "noise_levels": [0.5, 0.1], "kernel_steps": "sparse"},
    **{"max_steps": 50, "tolerance": 0.0},
}
Change = Callable[[xr.Dataset], Any]


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    """Two seeds, which end at one step."""
    return csd.train("one_layer", seeds=[0, 1], **OPTIONS)


@pytest.fixture(scope="module")
def generated(run: xr.Dataset) -> xr.Dataset:
    """What is generated from the whole run."""
    return csd.generate(run, samples=16)


def assert_generates_the_same(given: Any, generated: xr.Dataset) -> None:
    """Every value of every seed is that of the whole run."""
    found = csd.generate(given, samples=16)
    of_seeds = generated.sel(seed=found["seed"].values)
    for name in ("kl_per_site", "generation_training_time", "power_spectrum", "sampled_variance", "exact_spectrum"):
        there = of_seeds[name].sel(step=found["step"].values) if "step" in of_seeds[name].dims else of_seeds[name]
        np.testing.assert_allclose(found[name].values, there.values, rtol=1e-6, atol=1e-9)


def halves(run: xr.Dataset, dim: str) -> xr.Dataset:
    """The run cut in two along a dimension and put together again, where nothing tells which variables have it."""
    return xr.concat([run.isel({dim: [0]}), run.isel({dim: [1]})], dim, data_vars="all", coords="all")


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.isel(seed=0),
        lambda run: run.sel(seed=1),
        lambda run: run.isel(seed=[1]),
        lambda run: run.isel(step=-1),
        lambda run: run.transpose(),
        lambda run: run.load(),
        lambda run: run.drop_vars(["score_error", "training_time", "kernel"]),
        lambda run: run.astype("float32", keep_attrs=True),
        lambda run: run.assign(mine=3.0),
        lambda run: run.expand_dims(run=["first"]),
        lambda run: xr.concat([run.isel(seed=0), run.isel(seed=1)], "seed", data_vars="minimal"),
        lambda run: halves(run, "seed"),
        lambda run: halves(run, "noise_level"),
    ],
)
def test_what_is_clear_is_generated_from(change: Change, run: xr.Dataset, generated: xr.Dataset) -> None:
    assert_generates_the_same(change(run), generated)


def test_a_single_kept_step_is_a_dimension_again(run: xr.Dataset, generated: xr.Dataset) -> None:
    found = csd.generate(run.isel(kernel_step=-1), samples=16)
    assert found["step"].values.tolist() == [int(run["kernel_step"][-1])]
    np.testing.assert_allclose(found["kl_per_site"], generated["kl_per_site"].isel(step=[-1]))


def test_files_that_xarray_has_written_or_opened(
    run: xr.Dataset, generated: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.to_netcdf(tmp_path / "again.nc")
    run.isel(seed=0).to_netcdf(tmp_path / "one.nc")
    for file in ("again.nc", "one.nc"):
        assert_generates_the_same(tmp_path / file, generated)
        with xr.open_dataset(tmp_path / file) as opened:
            assert_generates_the_same(opened, generated)
    with pytest.raises(SystemExit):
        main(["show", str(tmp_path / "one.nc")])
    assert "one.nc: this is a slice at one seed" in capsys.readouterr().err
    with (
        xr.open_dataset(tmp_path / "again.nc", mask_and_scale=False) as opened,
        pytest.raises(csd.InputError, match=r"recorded_residual.* packed integers; open the file with csd\.read"),
    ):
        csd.generate(opened)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: run.sel(noise_level=0.1), ["one noise level", "at least two"]),
        (lambda run: run.isel(seed=0, noise_level=0), ["one noise level", "at least two"]),
        (lambda run: run.mean("seed", keep_attrs=True), ["no 'seed'", "csd.train()"]),
        (lambda run: run.rename(seed="s"), ["no 'seed'", "dropped or renamed"]),
        (lambda run: run.drop_vars("last_step"), ["no 'last_step'", "dropped"]),
        (lambda run: run.drop_vars("noise_level"), ["no 'noise_level'", "dropped"]),
        (lambda run: run.drop_vars(["weights", "kernel", "recorded_residual"]), ["no weights"]),
        (lambda run: run.isel(mode=slice(0, 2)), ["2 of 5 momenta", "'mode'"]),
        (lambda run: run.drop_attrs(), ["training is Dataset", "csd.train()"]),
        (lambda run: run.drop_attrs().assign_attrs(csd_file="training"), ["no 'architecture'", "csd.train()"]),
        (lambda run: run["score_error"], ["training is DataArray"]),
        (lambda run: xr.concat([run, run], "seed", data_vars="all"), ["seed is given twice", "[0, 1, 0, 1]"]),
        (lambda run: xr.concat([run, run], "noise_level", data_vars="all"), ["noise level is given twice"]),
        (lambda run: xr.concat([run, run * 2.0], "run", data_vars="all"), ["differs along 'run'"]),
    ],
)
def test_what_is_not_clear_is_one_sentence(change: Change, words: list[str], run: xr.Dataset) -> None:
    with pytest.raises(csd.InputError) as caught:
        csd.generate(change(run))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
