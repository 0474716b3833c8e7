"""Training on fields of a file or an array: the same network from each, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import csd as package
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner

TARGET = GaussianField(Lattice(2, 8), 0.5)
FIELDS = TARGET.sample(stream("fields of a user"), 500)
HOW: dict[str, Any] = {"noise_levels": [0.5], "loss": "population", "tolerance": 0.0, "max_steps": 3000}
ALPHA, SIGMA = np.exp(-1.0), -np.expm1(-1.0)
"""α² and σ² of VP noise at t = 0.5."""


def best_kernel(fields: Array) -> Array:
    """1/(α² S + σ²) at *pairs*, S about the mean of the fields, without bias at k = 0."""
    modes, lattice = TARGET.lattice.pairs, TARGET.lattice
    spectrum = lattice.gather(lattice.power_spectrum(fields - fields.mean()).mean(axis=0), modes)
    zero = modes.laplacian == 0.0
    spectrum[zero] *= len(fields) / (len(fields) - 1.0)
    return 1.0 / (ALPHA * spectrum + SIGMA)


def test_a_network_learns_the_first_four_fifths_about_their_mean() -> None:
    fields = FIELDS + 3.0
    run = package.train("one_layer", data=fields, **HOW)
    np.testing.assert_allclose(run["kernel"].values[0, 0], best_kernel(fields[:400]), rtol=1e-6)
    assert run.attrs["data_set"] == 400
    assert (run.attrs["dimension"], run.attrs["size"]) == (2, 8)
    assert run.attrs["command"].startswith("csd.train('one_layer', data=<array of shape (500, 8, 8)>")


def test_couplings_are_recorded_and_say_that_the_mean_is_zero() -> None:
    run = package.train("one_layer", data=FIELDS, kappa=0.2, lambda_=1.1, **HOW)
    assert (run.attrs["kappa"], run.attrs["lambda"]) == (0.2, 1.1)
    modes, lattice = TARGET.lattice.pairs, TARGET.lattice
    spectrum = lattice.gather(lattice.power_spectrum(FIELDS[:400]).mean(axis=0), modes)
    np.testing.assert_allclose(run["kernel"].values[0, 0], 1.0 / (ALPHA * spectrum + SIGMA), rtol=1e-6)


def _hdf5(path: Path) -> dict[str, Any]:
    with h5py.File(path, "w") as file:
        file.create_dataset("group/phi", data=FIELDS, compression="gzip")
        file["other"] = FIELDS[:, :4, :4]
    return {"data": path, "data_key": "group/phi"}


def _npz(path: Path) -> dict[str, Any]:
    np.savez(path, phi=FIELDS, times=np.arange(500))
    return {"data": str(path.with_suffix(".npz"))}


def _npy(path: Path) -> dict[str, Any]:
    np.save(path, FIELDS.reshape(500, 64))
    return {"data": path.with_suffix(".npy"), "dimension": 2, "size": 8}


WAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "hdf5": _hdf5,
    "npz": _npz,
    "sites along one axis": _npy,
    "xarray": lambda path: {"data": xr.DataArray(FIELDS, dims=("sample", "x", "y"))},
    "one component": lambda path: {"data": FIELDS[:, None]},
    "big-endian": lambda path: {"data": FIELDS.astype(">f8")},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_same_fields_from_anywhere_make_the_same_network(way: Any, tmp_path: Path) -> None:
    given = HOW | {"max_steps": 20}
    expected = package.train("one_layer", data=FIELDS, **given)
    found = package.train("one_layer", **way(tmp_path / "file"), **given)
    assert found.attrs["data_digest"] == expected.attrs["data_digest"]
    np.testing.assert_array_equal(found["kernel"].values, expected["kernel"].values)


def test_components_are_fields_of_one_target_and_held_out_together() -> None:
    pairs = FIELDS.reshape(250, 2, 8, 8)
    run = package.train("one_layer", data=pairs, **HOW)
    assert run.attrs["data_set"] == 400
    np.testing.assert_allclose(run["kernel"].values[0, 0], best_kernel(pairs[:200].reshape(400, 8, 8)), rtol=1e-6)
    # 0.2 · 253 rounds down to 50 configurations, which is no fifth of 506 fields.
    assert package.train("one_layer", data=FIELDS[:486].reshape(243, 2, 8, 8), **HOW).attrs["data_set"] == 390


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": FIELDS, "mass": 0.1}, "mass is given with data"),
        ({"data": FIELDS, "target": "gaussian"}, "target is given with data"),
        ({"data": FIELDS, "size": 16}, "size 16"),
        ({"data": FIELDS, "data_set": 7}, "data_set is 7"),
        ({"data": FIELDS, "data_key": "phi"}, "data_key is 'phi'"),
        ({"data": FIELDS, "kappa": 0.1}, "kappa and lambda belong together"),
        ({"data": FIELDS, "beta": 0.1, "r0": 1.0, "u": 1.0}, "in one way"),
        ({"data": FIELDS + 2.0, "beta": 0.1}, "change of sign"),
        ({"data": FIELDS, "loss": "implicit"}, "data set"),
        ({"data": FIELDS[:3]}, "number of fields is 3"),
        ({"data": FIELDS * np.nan}, "500 of 500 fields"),
        ({"data": [1.0, 2.0, 3.0]}, "shape"),
        ({"data": "none.npy"}, "no such file"),
        ({"dimension": 2, "size": 8, "components": 2}, "components is given without data"),
    ],
)
def test_what_contradicts_the_data_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(package.InputError, match=words):
        package.train("one_layer", **{**HOW, **given})


def test_training_warns_of_fields_that_spoil_it() -> None:
    """A held-out part unlike the rest, and values far from those of the noise."""
    moved = FIELDS.copy()
    moved[400:] += 5.0
    for fields, words in [(moved, "mean of the held-out fields"), (1e-20 * FIELDS, "divide all fields by")]:
        with pytest.warns(UserWarning, match=words):
            package.train("one_layer", data=fields, **HOW | {"max_steps": 5})


def test_a_held_out_part_without_correlation_length_is_said() -> None:
    """S(0) of the held-out fields is below their S at the smallest k."""
    fields = FIELDS[:20] - 0.9 * FIELDS[:20].mean(axis=(1, 2), keepdims=True)
    run = package.train("one_layer", data=fields, **HOW | {"noise_levels": [2.0, 0.5, 0.01], "max_steps": 5})
    remarks = package.generate(run, data=fields)["criterion_remark"]
    assert "has no correlation length" in str(remarks.sel(criterion="correlation_length").values)


def test_the_command_makes_the_same_network(csd: Runner, tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", FIELDS)
    words = "--architecture two_layer --noise-level 0.5 --loss population --max-steps 50 --output made.nc"
    assert csd(f"train --data fields.npy --kappa 0.2 --lambda 1.1 {words}").status == 0
    made = package.read(tmp_path / "made.nc")
    given = HOW | {"max_steps": 50, "tolerance": 0.01}
    expected = package.train("two_layer", data=FIELDS, kappa=0.2, lambda_=1.1, **given)
    np.testing.assert_array_equal(made["kernel"].values, expected["kernel"].values)
    assert made.attrs["data_digest"] == expected.attrs["data_digest"]
    for wrong, said in [
        ("--data fields.npy --size 16", "size 16"),
        ("--data fields.npy --mass 1", "mass is given with data"),
        ("--dimension 2 --size 8 --kappa 1", "kappa is given without data"),
        ("--size 8", "--dimension"),
    ]:
        ran = csd(f"train {wrong} {words}")
        assert ran.status == 2
        assert said in ran.err


def test_generation_finds_the_fields_where_they_are(csd: Runner, tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", FIELDS)
    words = "--architecture one_layer --noise-level 1 0.1 0.01 --loss population --max-steps 30 --output made.nc"
    assert csd(f"train --data fields.npy {words}").status == 0
    assert csd("generate made.nc --output first.nc").status == 0
    (tmp_path / "fields.npy").rename(tmp_path / "moved.npy")
    assert "--data" in csd("generate made.nc --output second.nc").err
    assert csd("generate made.nc --data moved.npy --output second.nc").status == 0
    first, second = (package.read(tmp_path / f"{name}.nc") for name in ("first", "second"))
    xr.testing.assert_identical(first.drop_attrs(), second.drop_attrs())
    run = package.read(tmp_path / "made.nc")
    xr.testing.assert_identical(package.generate(run, data=FIELDS).drop_attrs(), first.drop_attrs())
    np.save(tmp_path / "moved.npy", FIELDS[::-1])
    assert "have changed" in csd("generate made.nc --data moved.npy --output second.nc").err
