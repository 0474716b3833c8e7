"""The benchmark code runs, and what it compares csd with computes the same; no thresholds on times."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from benchmarks.__main__ import main
from benchmarks.baselines import BASELINES, euler_maruyama, load_kernels
from benchmarks.clock import Effort
from benchmarks.jobs import read_study
from benchmarks.ours import ONE, rates, sampler_problem
from benchmarks.plan import Case
from benchmarks.processes import command, commands
from benchmarks.record import load
from benchmarks.table import BEGIN, END
from benchmarks.versus import CODES, CONV_WORK, conv_case, on_device
from csd.cli.commands import main as csd
from csd.diffusion.integrators import EulerMaruyama
from csd.diffusion.sampling import sample_fields
from csd.lattice import Array
from csd.networks.linear import relative_error
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from tests.conftest import Problem
from tests.helpers import ROOT


def spectra(noised: NoisedTarget, batches: list[Any]) -> tuple[Array, Array]:
    """Ŝ and T of fields at each level and *pair*, as docs/physics.md defines them; shape (1, levels, modes)."""
    lattice, both = noised.lattice, []
    for (fields, noise), variance in zip(batches, noised.variances, strict=True):
        x, z = (np.fft.rfftn(np.asarray(values), axes=lattice.axes) for values in (fields, noise))
        target = (x.conj() * z).mean(axis=0) / (lattice.sites * np.sqrt(variance))
        both.append(((np.abs(x) ** 2).mean(axis=0) / lattice.sites, target))
    spectrum, target = (np.stack(values)[None] for values in zip(*both, strict=True))
    return lattice.gather(spectrum, lattice.pairs), lattice.gather(target, lattice.pairs)


@pytest.mark.parametrize(("dimension", "size"), [(1, 8), (1, 9), (2, 6), (2, 5), (3, 4), (3, 3)])
@pytest.mark.parametrize("code", list(BASELINES))
def test_a_baseline_takes_the_step_of_csd(code: str, dimension: int, size: int, critical: Problem) -> None:
    """Five denoising steps on the same (x_t, z), with csd's from Ŝ and T of these fields: the same kernel to 1e-10."""
    noised = critical(dimension, size, (0.05, 0.1, 1.0))
    baseline = BASELINES[code](noised, 7, rates(noised))
    descent = prepare(noised, ONE, TrainingSettings(loss="denoising")).descent
    for _ in range(5):
        batches = baseline.draw()
        baseline.step(batches)
        descent.advance(*spectra(noised, batches))
        kernels = noised.lattice.gather(baseline.kernels(), noised.lattice.pairs)
        np.testing.assert_allclose(kernels, descent.kernel()[0], rtol=0.0, atol=1e-10)
    assert np.abs(kernels).max() > 0.1


@pytest.mark.parametrize("code", list(BASELINES))
def test_the_fields_of_a_baseline_have_the_spectrum_that_csd_draws_from(code: str, critical: Problem) -> None:
    """4096 fields: Ŝ/C has mean 1 and standard deviation 1/√B or √(2/B) in each mode; within five of these."""
    noised = critical(1, 8, (0.1, 1.0))
    spectrum, target = spectra(noised, BASELINES[code](noised, 4096, rates(noised)).draw())
    assert np.abs(spectrum[0] / noised.spectra_at(noised.lattice.pairs) - 1.0).max() < 5.0 * np.sqrt(2.0 / 4096.0)
    # T has mean 1; its noise is that of docs/physics.md, section 4.
    noise = np.sqrt(2.0 * noised.spectra_at(noised.lattice.pairs) / (4096.0 * noised.variances[:, None]))
    assert (np.abs(target[0] - 1.0) < 5.0 * noise).all()


@pytest.mark.parametrize("code", list(BASELINES))
def test_a_baseline_reaches_the_error_when_theory_says_so(code: str, critical: Problem) -> None:
    """One layer, d = 1, L = 8, t = 0.1 on the population loss: ε = 0.01 at step 270; B = 1024 within 2 %.

    csd's own denoising steps take 271 on average there, with a standard deviation of 1.5 over 32 seeds.
    """
    noised = critical(1, 8)
    pairs = noised.lattice.pairs
    baseline = BASELINES[code](noised, 1024, rates(noised))

    def error() -> float:
        kernels = noised.lattice.gather(baseline.kernels(), pairs)
        return float(relative_error(kernels, noised.spectra_at(pairs), pairs.multiplicity)[0])

    steps = 0
    while error() > 0.01:
        baseline.step(baseline.draw())
        steps += 1
        assert steps < 400
    assert abs(steps / 270.0 - 1.0) < 0.02


@pytest.mark.parametrize(("dimension", "size"), [(1, 9), (2, 6), (3, 4)])
@pytest.mark.parametrize("code", list(BASELINES))
def test_a_baseline_samples_as_csd_does(code: str, dimension: int, size: int) -> None:
    """From the same start with the same noise, by csd's own loop and integrator: the same fields to 1e-9."""
    noised = sampler_problem(dimension, size, 6)
    lattice = noised.lattice
    baseline = BASELINES[code](noised, 3, rates(noised))
    kernels = 1.0 / noised.spectra(noised.target.propagator(lattice.laplacian))
    load_kernels(baseline, kernels)
    np.testing.assert_allclose(baseline.kernels(), kernels, atol=1e-12)
    drawn = np.random.default_rng(1).standard_normal((7, 3, *lattice.shape))
    own, theirs = iter(drawn[1:]), iter(drawn[1:])
    level = {t: number for number, t in enumerate(noised.levels)}

    def score(fields: Array, t: float) -> Array:
        return lattice.inverse(-kernels[level[t]] * lattice.transform(fields))

    ours = sample_fields(score, noised.schedule, np.array(noised.levels), EulerMaruyama(), drawn[0], lambda: next(own))
    like = np.asarray if code == "numpy" else torch.as_tensor
    made = euler_maruyama(baseline, noised, like(drawn[0]), lambda: like(next(theirs)))
    np.testing.assert_allclose(np.asarray(made), ours, rtol=0.0, atol=1e-9)


def test_what_is_extrapolated_is_in_proportion() -> None:
    """Steps × factor is the work that was asked for, and what is timed is within the bound, down to one field."""
    for case in (Case(2, 64, 64, 16), Case(1, 1024, 64, 16), Case(2, 8, 4, 2), Case(3, 16, 5, 3)):
        sites = case.size**case.dimension
        timed, factor = conv_case(case, sites)
        assert timed.batch * timed.levels * factor == case.batch * case.levels
        assert sites**2 * timed.batch * timed.levels <= CONV_WORK


def test_measurements_take_turns_and_short_work_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of our own: work of 1 s, eight times within 8 s, is half a second a unit where a call has two."""
    now = 0.0

    def work() -> None:
        nonlocal now
        now += 1.0

    monkeypatch.setattr("benchmarks.clock.perf_counter", lambda: now)
    timed = Effort(shortest=8.0).repeated(work, units=2.0)
    before = now
    assert timed() == 0.5
    assert now - before == 8.0
    calls: list[str] = []

    def one(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = Effort(repeats=3).race({"a": lambda: one("a"), "b": lambda: one("b")})
    assert calls == ["a", "b"] * 3
    np.testing.assert_array_equal(found["a"], [1.0, 3.0, 5.0])


def test_a_process_is_measured_alone_and_killed_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its peak memory is not that of the process that starts it; one thread keeps one core busy at most."""
    monkeypatch.chdir(tmp_path)
    ballast = np.ones(2**26)
    flags = "--dimension 1 --size 8 --architecture one_layer --noise-level 0.1"
    took = command(["theory", *flags.split()])
    assert took.trouble == ""
    assert 2e7 < took.memory < ballast.nbytes
    assert 0.0 < took.processor / took.wall < 1.2
    long = "train --dimension 2 --size 64 --architecture one_layer --noise-level 0.1 --tolerance 0 --output /dev/null/x"
    assert "exit status 2" in command(long.split()).trouble
    endless = [*long.replace("/dev/null/x", "never.nc").split(), "--max-steps", str(10**9)]
    (killed,) = commands([endless], limit=2.0)
    assert killed.trouble == "not done after 2 s"
    assert np.isnan(killed.wall)
    assert not Path("never.nc").exists()


def test_the_code_for_a_gpu_runs_without_one() -> None:
    found = on_device(Case(1, 8, 4), Effort(repeats=2, shortest=1e-3), "cpu")
    assert found["gpu_ratio"].dims == ("gpu_code", "quartile")
    assert (found["gpu_ratio"].values > 0.0).all()


def test_a_study_is_read_from_the_records_of_its_jobs(tmp_path: Path) -> None:
    """A baseline at 1 µs a field and site, for 5 steps of 2 seeds × 2 levels × B = 3 × 16 sites: 0.96 ms."""
    shared = "train --dimension 2 --size 4 --architecture one_layer --noise-level 0.1 0.5 --tolerance 0 --max-steps 5"
    for name, flags in (("fresh", "--batch 3 --seed 1 2"), ("exact", "--loss population"), ("spoilt", "--batch 3")):
        own = ["--output", str(tmp_path / "training" / f"{name}.nc")]
        record = ["--benchmark", str(tmp_path / "benchmarks" / f"{name}.json")]
        csd([*shared.split(), *flags.split(), *own, *record])
    (tmp_path / "training" / "spoilt.nc").write_bytes(b"truncated")
    found = read_study(tmp_path, {"fft": 1e-6})
    walls = {
        name: json.loads((tmp_path / "benchmarks" / f"{name}.json").read_text())["wall_s"]
        for name in ("fresh", "exact")
    }
    assert int(found["study_jobs"]) == 2
    assert float(found["study_seconds"]) == pytest.approx(sum(walls.values()))
    assert float(found["study_ratio"].sel(study_code="fft")) == pytest.approx(0.96e-3 / walls["fresh"])
    assert float(found["study_share"].sum()) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m benchmarks --quick` writes."""
    folder = tmp_path_factory.mktemp("benchmarks")
    words = [sys.executable, "-W", "error", "-m", "benchmarks", "--quick", "--output", str(folder)]
    ran = subprocess.run(
        [*words, "--study", str(folder / "none")], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rstrip() == (folder / "benchmarks.md").read_text().rstrip()
    return folder


def test_a_quick_measurement_is_whole(quick: Path) -> None:
    assert {path.name for path in quick.iterdir()} == {f"benchmarks.{kind}" for kind in ("nc", "md", "pdf", "png")}
    dataset = load(quick / "benchmarks.nc")
    assert dataset.attrs["csd_file"] == "benchmarks"
    assert "cores" in dataset.attrs["machine"]
    assert list(dataset["trained_code"].values) == list(CODES)
    for name, variable in dataset.variables.items():
        assert {"units", "long_name"} <= set(variable.attrs), name
        if variable.dtype.kind == "f":
            assert np.isfinite(variable.values).all(), name
    # csd is the unit of every ratio, and seconds say the same.
    for name in ("training", "sampling", "network", "samples"):
        ratio, seconds = dataset[f"{name}_ratio"], dataset[f"{name}_seconds"]
        code = "code" if name == "training" else "trained_code"
        np.testing.assert_array_equal(ratio.sel({code: "csd"}), 1.0)
        assert (seconds > 0.0).all()
        own = (seconds / seconds.sel({code: "csd"})).median("repeat")
        np.testing.assert_allclose(ratio.isel(quartile=1).transpose(*own.dims), own)
        assert (ratio.diff("quartile") >= 0.0).all()
    # What everyone learned, whatever it cost.
    assert (np.abs(dataset["final_time"] / 344.0 - 1.0) < 0.05).all()
    assert (dataset["final_error"] < 0.02).all()
    assert (dataset["loop_share"] >= 0.0).all()
    assert (dataset["profile_share"].sum("rank") <= 1.0 + 1e-9).all()
    gpu = "gpu_ratio" in dataset or dataset.attrs["gpu"].startswith("skipped: ")
    assert gpu
    assert dataset.attrs["study"] == "there are no records of a finished study"


def test_the_table_says_what_the_file_holds(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "docs" / "performance.md"
    (tmp_path / "docs" / "images").mkdir(parents=True)
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    file = quick / "benchmarks.nc"
    assert main(["--table", str(file), "--document", str(document)]) == 0
    shown = capsys.readouterr().out
    assert shown.rstrip() == (quick / "benchmarks.md").read_text().rstrip()
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text.split("\n")
    summary, details = (part.strip() for part in shown.split("### A training step"))
    assert summary in text
    assert details in (tmp_path / "benchmarks" / "measured.md").read_text()
    assert (tmp_path / "docs" / "images" / "performance.png").stat().st_size > 10_000
    dataset = load(file)
    conv = float(dataset["training_ratio"].sel(code="conv").isel(training_case=0, quartile=1))
    row = next(line for line in text.splitlines() if line.startswith("| training step over (a)"))
    printed = float(row.split("×")[2].split(" ")[0].replace(",", ""))
    assert printed == pytest.approx(conv, rel=0.05)


def test_mistakes_are_answered_in_a_sentence(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = quick / "benchmarks.nc"
    (tmp_path / "none.md").write_text("no marks\n")
    (tmp_path / "text.nc").write_text("text")
    other = tmp_path / "other.nc"
    xr.Dataset({"a": 1}, attrs={"csd_file": "training"}).to_netcdf(other)
    older = tmp_path / "older.nc"
    load(file).drop_vars("loop_share").to_netcdf(older)
    for words, said in (
        (["--table", str(tmp_path / "missing.nc")], "missing.nc"),
        (["--table", str(tmp_path / "text.nc")], "text.nc"),
        (["--table", str(other)], "other.nc"),
        (["--table", str(older)], "older.nc"),
        (["--table", str(file), "--document", str(tmp_path / "missing.md")], "missing.md"),
        (["--table", str(file), "--document", str(tmp_path / "none.md")], "none.md"),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert said in error
        assert error.startswith("python -m benchmarks: ")
        assert len(error.splitlines()) == 1
    assert (tmp_path / "none.md").read_text() == "no marks\n"


def test_the_document_has_a_place_for_the_tables() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
    assert "### Targets" in text


def test_make_bench_calls_it() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    command = [make, "--no-print-directory", "-n", "bench"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.rstrip().endswith("python -m benchmarks")
