"""From training files to one Dataset, and from that to scaling laws."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csd.core.errors import InputError
from csd.core.files import GENERATION, SUMMARY, digest, read, write
from csd.diffusion.quality import GenerationSettings, evaluate
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.report.figures import series
from csd.report.figures.needs import Wanted
from csd.study.config.reading import parse
from csd.study.stages.generation import generation_jobs
from csd.study.stages.monte_carlo import monte_carlo_jobs
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.columns import TRAINED, at_default_options, columns_of, network_of, run_table
from csd.study.summaries.files import training_file
from csd.study.summaries.generation import aggregate_generation
from csd.study.summaries.laws import EVERY_LAW, EVERY_ROW, generation_table, read_scaling, training_table
from csd.study.summaries.training import aggregate_training
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.content import training_content
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from tests.helpers import train_files

STUDY: dict[str, Any] = {
    "study": "verdicts",
    "training": {"noise_levels": [0.01, 0.1], "seeds": [1], "loss": "population"},
    "sweeps": {"line": {"dimension": 1, "sizes": [8, 12, 16, 24, 32], "architectures": ["one_layer", "two_layer"]}},
}


def trained(folder: Path, seeds: list[int]) -> xr.Dataset:
    """The summary of the study."""
    runs: list[TrainingJob] = training_jobs(parse({**STUDY, "training": {**STUDY["training"], "seeds": seeds}}))
    train_files(runs, folder)
    return aggregate_training(runs, folder)


def test_a_damaged_table_of_laws_is_one_sentence(tmp_path: Path) -> None:
    """Cut in a row, at its end or at the end of a column; with columns that are missing; or no table at all."""
    law = dict.fromkeys([*EVERY_ROW, *EVERY_LAW], "1") | {"law": "power", "note": "a, b"}
    table = pd.DataFrame([law, law])
    whole = table.to_csv(index=False)
    path = tmp_path / "scaling.csv"
    path.write_text(whole)
    assert len(read_scaling(path)) == 2
    without = table.assign(law="none").drop(columns=[*EVERY_LAW])
    path.write_text(without.to_csv(index=False))
    assert len(read_scaling(path)) == 2
    damaged = [
        whole[:-1],
        whole[:-3],
        whole[: whole.rindex(",")] + "\n",
        whole[: whole.index("\n") - 3],
        "",
        "\n",
    ]
    damaged += [table.iloc[:, :8].to_csv(index=False)]
    damaged += [table.drop(columns=name).to_csv(index=False) for name in ("law", "sizes", "exponent", "error")]
    for text in damaged:
        path.write_text(text)
        with pytest.raises(InputError, match=r"scaling\.csv: .*csd fit$"):
            read_scaling(path)


def test_the_summary_holds_what_the_files_hold(tmp_path: Path) -> None:
    summary = trained(tmp_path, [1])
    for run in range(summary.sizes["run"]):
        at = summary.isel(run=run)
        name = f"d1_L{int(at['size'])}_mL1_{at['architecture'].item()}_population_s1.nc"
        with xr.open_dataset(tmp_path / name) as file:
            np.testing.assert_array_equal(at["training_time"], file["training_time"])
            kept = at["score_error"].sel(step=file["step"])
            np.testing.assert_array_equal(kept, file["score_error"])
            np.testing.assert_array_equal(at["kernel_profile"].sel(distance=file["distance"]), file["kernel_profile"])


def test_a_mean_over_the_seeds_that_arrived_is_not_fitted(tmp_path: Path) -> None:
    """A seed that was trained and never reached the tolerance leaves no law, and a note."""
    summary = trained(tmp_path, [1, 2])
    assert set(training_table(summary)["law"]) == {"power", "log", "power_log", "boxcox"}
    summary["crossing_time"].loc[{"seed": 2}] = float("nan")
    table = training_table(summary)
    measured = table[table["quantity"] == "training_time"]
    assert set(measured["law"]) == {"none"}
    assert measured["note"].str.contains("at size 8 some seeds did not reach the tolerance").all()


def test_runs_that_differ_in_options_have_laws_of_their_own(tmp_path: Path) -> None:
    """One architecture on two targets, with and without momentum, on spectra and on raw fields: figures show one."""
    module = tmp_path / "softened.py"
    module.write_text("from csd.targets.gaussian import GaussianField\n\n\nclass Softened(GaussianField):\n    pass\n")
    line = {"dimension": 1, "sizes": [4, 6, 8], "architectures": ["one_layer"], "mass": 0.5}
    sweeps = {
        "default": line,
        "momentum": line | {"training": {"momentum": 0.5}},
        "fields": line | {"training": {"path": "fields"}},
        "target": line | {"target": "softened:Softened"},
    }
    training = {"noise_levels": [0.1], "seeds": [1], "max_steps": 3}
    jobs = training_jobs(parse({"study": "options", "training": training, "sweeps": sweeps}))
    sys.path.insert(0, str(tmp_path))
    try:
        train_files(jobs, tmp_path)
        summary = aggregate_training(jobs, tmp_path)
    finally:
        sys.path.remove(str(tmp_path))
    found = training_table(summary).drop_duplicates("study").set_index("study")
    assert found[["target", "schedule", "momentum", "path"]].to_numpy().tolist() == [
        ["gaussian", "vp", 0.0, "spectral"],
        ["gaussian", "vp", 0.5, "spectral"],
        ["gaussian", "vp", 0.0, "fields"],
        ["softened:Softened", "vp", 0.0, "spectral"],
    ]
    assert set(series.runs(summary, Wanted(critical=False))["sweep"]) == {"default"}
    table = run_table(summary)
    assert set(at_default_options(table, {"momentum": [0.5]})["sweep"]) == {"momentum"}
    assert set(at_default_options(table, {"path": ["spectral", "fields"]})["sweep"]) == {"default", "fields"}


def test_files_of_another_study_are_not_aggregated(tmp_path: Path) -> None:
    runs = training_jobs(parse(STUDY))
    trained(tmp_path, [1])
    training_file(runs[0], tmp_path).write_bytes(training_file(runs[2], tmp_path).read_bytes())
    with pytest.raises(InputError, match=r"size is \d+\b.*\b8\b"):
        aggregate_training(runs, tmp_path)


def test_the_summary_of_generation_holds_what_the_files_hold(tmp_path: Path) -> None:
    """Each at its own place, numbered or not; a lattice that was not trained on is no point of a scaling law."""
    about: dict[str, Any] = {
        "dimension": 1,
        "sizes": [6, 8, 10],
        "architectures": ["two_layer"],
        "generation": {"steps": 12, "samples": 20, "transfer": [2]},
    }
    runs = training_jobs(parse({**STUDY, "sweeps": {"line": about}}))
    files = generation_jobs(runs)
    for file in files:
        run = file.run
        assert run.generation is not None
        target = GaussianField.on_critical_line(Lattice(1, run.size))
        noised = NoisedTarget(target, VariancePreserving(), run.noise_levels)
        settings = TrainingSettings(loss="population", seeds=run.seeds, kernel_steps="recorded")
        architecture = Architecture(run.name)
        record = train_network(noised, architecture, settings)
        training = training_content(noised, architecture, settings, record, None).dataset()
        generated = evaluate(training, GenerationSettings(samples=20, size=file.size))
        made_by = {"configuration_hash": digest(file.request)}
        write(generated.assign_attrs(made_by), tmp_path / f"{file.identifier}.nc", GENERATION)
    summary = aggregate_generation(files, tmp_path)
    assert list(summary["size"].values) == [6, 12, 8, 16, 10, 20]
    assert list(summary["trained_size"].values) == [6, 6, 8, 8, 10, 10]
    for row, file in enumerate(files):
        at = summary.isel(run=row)
        with xr.open_dataset(tmp_path / f"{file.identifier}.nc") as one:
            np.testing.assert_array_equal(at["kl_per_site"].sel(step=one["step"].values), one["kl_per_site"])
            np.testing.assert_array_equal(at["noise_level"].values, one["noise_level"])
            bins, shown = one.sizes["wavenumber"], one.sizes["shown_step"]
            np.testing.assert_array_equal(at["wavenumber"].values[:bins], one["wavenumber"])
            assert np.isnan(at["wavenumber"].values[bins:]).all()
            np.testing.assert_allclose(
                at["ratio_on_the_way"].values[:, :shown, :, :bins], one["ratio_on_the_way"], rtol=1e-6
            )
    table = generation_table(summary)
    assert set(table["sizes"]) == {"6 8 10"}
    # A file for another size in the place of one is found out.
    (tmp_path / f"{files[0].identifier}.nc").write_bytes((tmp_path / f"{files[1].identifier}.nc").read_bytes())
    with pytest.raises(InputError, match=r"size is 12\b.*\b6\b"):
        aggregate_generation(files, tmp_path)


def test_a_summary_without_typed_columns_is_refused(tmp_path: Path) -> None:
    """Version 0.1 made such; the message says how to make it again."""
    written = tmp_path / "training.nc"
    attributes = {"command": "csd aggregate --study STUDY"}
    write(trained(tmp_path, [1]).drop_vars(list(TRAINED)).assign_attrs(attributes), written, SUMMARY)
    with pytest.raises(InputError, match=r"'loss'.*csd aggregate --study STUDY"):
        read(written, SUMMARY)


def test_columns_say_what_jobs_are() -> None:
    networks = [{"name": "local_two_layer", "range": ["3xi", 2], "channels": 1}, {"name": "deep_linear", "depth": 4}]
    pair = {"r0": -1.0, "u": 2.0}
    sweeps = {
        "line": {"dimension": 1, "sizes": 16, "mass_times_length": 2.0, "architectures": networks},
        "couplings": {"dimension": 1, "sizes": 16, "couplings": pair, "architectures": networks},
    }
    chains = {"spins": {"dimension": 2, "sizes": 4, "beta": 0.4, "samplers": "wolff"}}
    chains["phi4"] = {"dimension": 2, "sizes": 4, "couplings": pair, "samplers": "hmc"}
    study = parse({"study": "columns", "sweeps": sweeps, "monte_carlo": chains})
    jobs = training_jobs(study)
    table = pd.DataFrame([columns_of(job) for job in jobs])
    assert [network_of(row) for _, row in table.iterrows()] == [job.architecture for job in jobs]
    assert table["mass_times_length"].fillna(0.0).tolist() == [2.0] * 3 + [0.0] * 3
    assert table[["r0", "u"]].iloc[-1].tolist() == [-1.0, 2.0]
    spins, phi4 = (columns_of(job) for job in monte_carlo_jobs(study.monte_carlo))
    assert (spins["beta"], phi4["r0"], phi4["u"]) == (0.4, -1.0, 2.0)
    assert np.isnan([spins["r0"], spins["mass"], phi4["beta"], phi4["mass_times_length"]]).all()


def test_runs_say_what_they_learn() -> None:
    """The kind of the fields and n, whatever the part of the study is called that makes them."""
    chains = {"dimension": 2, "sizes": [4], "samplers": ["wolff"], "sweeps": 100, "fields": 8}
    made = {
        "a": {**chains, "beta": 0.4},
        "b": {**chains, "couplings": {"r0": -0.4, "u": 0.3}, "components": 2},
        "c": {**chains, "mass": 0.5, "samplers": ["heat_bath"]},
    }
    sweep = {"dimension": 2, "sizes": [4], "architectures": ["one_layer"]}
    sweeps = {name: {**sweep, "data": {"monte_carlo": name}} for name in made}
    training = {"noise_levels": [0.1], "seeds": 1, "path": "spectral", "loss": "population"}
    study = parse({"study": "s", "training": training, "monte_carlo": made, "sweeps": {**sweeps, "line": sweep}})
    found = {job.sweep: columns_of(job) for job in training_jobs(study)}
    assert {name: (own["model"], own["components"]) for name, own in found.items()} == {
        "a": ("spins", 1),
        "b": ("phi4", 2),
        "c": ("gaussian", 1),
        "line": ("gaussian", 0),
    }
