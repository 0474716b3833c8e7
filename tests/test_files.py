import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from csd.cli import main
from csd.errors import InputError
from csd.field import GaussianField
from csd.lattice import Lattice
from csd.store import TRAINING, atomic_path, read, write

TRAIN = [
    "train",
    "--architecture",
    "two_layer",
    "--dimension",
    "2",
    "--size",
    "8",
    "--noise-level",
    "0.1",
    "0.5",
    "--batch",
    "256",
]


def run(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "trained.nc"
    run(*TRAIN, "--seed", 1, 2, "--output", path, "--benchmark", tmp_path / "record.json")
    capsys.readouterr()
    return path


def test_the_contract_of_training_files(trained: Path) -> None:
    dataset = read(trained, TRAINING)
    assert dataset["score_error"].dims == ("seed", "noise_level", "step")
    assert dataset["training_time"].dims == ("seed", "noise_level")
    assert dataset["learning_rate"].dims == ("noise_level",)
    assert int(dataset["parameters"]) == 128
    assert dataset["training_time"].attrs["units"] == "steps"
    for name in dataset.variables:
        assert {"units", "long_name"} <= set(dataset[name].attrs), name
    about = {"architecture": "two_layer", "dimension": 2, "size": 8, "mass": 0.125, "loss": "implicit", "batch": 256}
    assert {name: dataset.attrs[name] for name in about} == about
    assert dataset.attrs["tolerance"] == 0.01
    assert (dataset["score_error"].sel(step=0) > 0.9).all()
    # The training time is the first step at or below the tolerance, and steps up to 48 are all recorded.
    below = dataset["score_error"] <= 0.01
    first = dataset["step"].values[below.argmax("step").values]
    np.testing.assert_array_equal(first, dataset["training_time"].values)
    assert ((dataset["crossing_time"] <= dataset["training_time"]) & (dataset["crossing_time"] > first - 1)).all()


def test_same_bytes_twice_and_no_trace_of_when_or_where(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = trained.read_bytes()
    run(*TRAIN, "--seed", 1, 2, "--output", trained, "--benchmark", trained.parent / "record.json")
    assert trained.read_bytes() == before
    import socket

    assert socket.gethostname().encode() not in before


def test_repeated_flags_are_the_same_as_a_list(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.nc"
    run(*TRAIN, "--seed", 1, "--seed", 2, "--output", other)
    xr.testing.assert_equal(read(trained), read(other))


def test_benchmark_record(trained: Path) -> None:
    record = json.loads((trained.parent / "record.json").read_text())
    assert 0.0 < record["set_up_share"] <= 1.0
    assert record["imports_and_set_up_s"] + record["training_s"] <= record["wall_s"] + 0.02
    assert 20 < record["peak_memory_mb"] < 4000


def test_theory_answers_in_the_same_variables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*TRAIN[1:], "--loss", "population"]
    theory, trained = tmp_path / "theory.nc", tmp_path / "trained.nc"
    for architecture in ("one_layer", "two_layer", "local_one_layer", "local_two_layer"):
        own = [*flags, *(["--range", "1"] if "local" in architecture else [])]
        own[own.index("two_layer")] = architecture
        run("theory", *own, "--output", theory)
        run("train", *own, "--output", trained)
        predicted, measured = read(theory), read(trained)
        assert set(predicted.data_vars) <= set(measured.data_vars)
        np.testing.assert_array_equal(predicted["training_time"], measured["training_time"])
        np.testing.assert_array_equal(measured["predicted_training_time"], measured["training_time"])


def test_field_and_show_print_exact_values(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("field", "--dimension", 2, "--size", 8, "--mass", 0.3)
    printed = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    exact = GaussianField(Lattice(2, 8), 0.3)
    assert float(printed["susceptibility"]) == pytest.approx(1 / 0.09)
    assert float(printed["correlation_length"]) == pytest.approx(1 / 0.3)
    assert float(printed["variance"]) == pytest.approx(exact.variance)
    run("show", trained)
    shown = capsys.readouterr().out
    times = read(trained)["training_time"].sel(noise_level=0.5).values
    assert "two_layer" in shown
    assert " ".join(f"{time:.0f}" for time in times) in shown


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_damage_is_found(trained: Path) -> None:
    """Flipping bytes of a checksummed variable never goes unnoticed: it is refused, not read as something else."""
    content = bytearray(trained.read_bytes())
    original = read(trained)
    refused = 0
    for place in range(len(content) // 3, len(content), len(content) // 12):
        broken = bytearray(content)
        broken[place : place + 16] = bytes(255 - byte for byte in broken[place : place + 16])
        trained.write_bytes(broken)
        try:
            again = read(trained)
        except InputError as error:
            refused += 1
            assert trained.name in str(error)
        else:
            xr.testing.assert_equal(again, original)
    assert refused > 0


def test_layout_kind_and_variables_are_checked(trained: Path) -> None:
    dataset = read(trained, TRAINING)
    with pytest.raises(InputError, match="this is a training file; a generation file is needed"):
        read(trained, "generation")
    write(dataset.drop_vars("score_error"), trained, TRAINING)
    with pytest.raises(InputError, match="'score_error' is missing; make it again with: csd train"):
        read(trained)
    write(dataset.assign_attrs(csd_schema=99), trained, TRAINING)
    with pytest.raises(InputError, match="layout 99"):
        read(trained)
