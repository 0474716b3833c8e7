"""Monte Carlo files: what is in them, against the exact Gaussian field and its exact dynamics, and what is refused."""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import csd
from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, read, write
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.lattice.sites import checkerboard, neighbours
from csd.mcmc.chains import Step, run_chains
from csd.mcmc.ensemble import OBSERVABLES, ensemble, sample, shell_spectrum
from csd.mcmc.fields import load_fields
from csd.mcmc.samplers import SAMPLERS, sweep_of
from csd.mcmc.simulation import MonteCarloSettings, exact_values
from csd.targets.dataset import MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.images import random_rotations
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

ALL = tuple(SAMPLERS)
GAUSSIAN = PhiFour.of_gaussian(GaussianField(Lattice(2, 6), 0.6), 1)


def run(words: str, folder: Path, name: str = "file.nc") -> xr.Dataset:
    """`csd mcmc` with these flags; its file."""
    main(["mcmc", *shlex.split(words), "--output", str(folder / name)])
    return read(folder / name, ENSEMBLE)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a command is refused with."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    last: str = capsys.readouterr().err.splitlines()[-1]
    return last


def test_all_samplers_find_the_exact_gaussian_field(tmp_path: Path) -> None:
    """Seven observables of seven samplers within 4 σ: 49 numbers, 3 in 1000 of fresh seeds fail one."""
    words = "--dimension 2 --size 6 --mass 0.6 --sampler " + " ".join(ALL)
    file = run(f"{words} --sweeps 6000 --every 3 --chains 2 --seed 1", tmp_path)
    assert (file["remark"] == "").all()
    pull = (file["mean"] - file["exact"]) / file["error"]
    assert np.abs(pull).max() < 4.0, pull
    assert (file["r_hat"] < 1.1).all()
    assert file["energy"].dims == ("sampler", "chain", "measurement")
    assert file["energy"].shape == (7, 2, 2000)
    assert "1/2 + sum" in file.attrs["autocorrelation_convention"]
    assert file["tau"].attrs["units"] == "sweeps"
    # A leapfrog step counts one update, and so does a sweep of a local update; clusters hold N sites or so.
    updates = file["field_updates"].mean("chain")
    assert (updates.sel(sampler=["metropolis", "heat_bath", "langevin"]) == 1.0).all()
    assert float(updates.sel(sampler="overrelaxation")) == pytest.approx(1.0 + round(1 / 0.6), abs=0.2)
    assert float(updates.sel(sampler="wolff")) == pytest.approx(2.0, abs=0.5)
    trajectory = np.pi / 2 / 0.6
    assert float(file["dynamic_time"].sel(sampler="hmc")) == pytest.approx(trajectory)
    step = float(file["step_size"].sel(sampler="hmc").isel(update=0).mean())
    assert float(updates.sel(sampler="hmc")) == pytest.approx(trajectory / step, rel=0.1)


def test_a_trajectory_has_at_least_one_step(tmp_path: Path) -> None:
    """The time of a trajectory that is shorter than its step is that of the step."""
    for step, trajectory, time in ((0.5, 0.1, 0.5), (0.5, 1e-300, 0.5), (0.1, 0.5, 0.5)):
        words = f"--dimension 1 --size 4 --mass 1 --sampler hmc --step {step} --trajectory {trajectory}"
        assert float(run(f"{words} --sweeps 100", tmp_path)["dynamic_time"][0]) == time


def _heat_bath_matrix(target: PhiFour) -> Array:
    """What a heat-bath sweep makes of a Gaussian field, on average: φ(r) ← Σ_nn φ / (2d + m²), site by site."""
    sites = target.lattice.sites
    total = np.eye(sites)
    for site in checkerboard(target.lattice):
        one = np.eye(sites)
        one[site] = 0.0
        for other in neighbours(target.lattice)[site]:
            one[site, other] += 0.5 / target.quadratic
        total = one @ total
    return total


def test_heat_bath_has_its_exact_autocorrelation_time() -> None:
    """τ of m², of which ρ(t) = (1ᵀ Aᵗ C 1 / 1ᵀ C 1)², within 4 of its errors."""
    lattice = Lattice(2, 4)
    target = PhiFour.of_gaussian(GaussianField.on_critical_line(lattice), 1)
    matrix, ones = _heat_bath_matrix(target), np.ones(lattice.sites)
    precision = 2.0 * target.quadratic * np.eye(lattice.sites)
    for site, others in enumerate(neighbours(lattice)):
        for other in others:
            precision[site, other] -= 1.0
    state, decay = np.linalg.solve(precision, ones), []
    for _ in range(2000):
        state = matrix @ state
        decay.append(ones @ state)
    exact = 0.5 + float(((np.array(decay) / (ones @ np.linalg.solve(precision, ones))) ** 2).sum())
    found = sample(target, "heat_bath", MonteCarloSettings(("heat_bath",), 100_000, 2, chains=2, seed=3))
    tau = found.estimates["magnetisation_squared"]
    assert exact > 10.0
    assert abs(2.0 * tau.tau - exact) < 4.0 * 2.0 * tau.tau_error
    assert tau.tau_error < 0.1 * tau.tau


def test_trajectories_turn_modes_as_theory_has_it() -> None:
    """Tiny leapfrog steps: m² is kept with ⟨cos² θ⟩, θ uniform in [π/4, 3π/4], so τ = ½ + r/(1 − r), r = ½ − 1/π."""
    settings = MonteCarloSettings(("fourier_hmc",), 4000, chains=2, step=0.1)
    found = sample(PhiFour.of_gaussian(GaussianField(Lattice(1, 8), 0.5), 1), "fourier_hmc", settings)
    kept = 0.5 - 1.0 / np.pi
    tau = found.estimates["magnetisation_squared"]
    assert abs(tau.tau - (0.5 + kept / (1.0 - kept))) < 4.0 * tau.tau_error


@pytest.mark.parametrize("components", [1, 2, 5])
def test_exact_values_are_those_of_exact_fields(components: int) -> None:
    """20,000 fields drawn by Fourier transforms, within 4 σ (three of the seven have no other closed form here)."""
    field = GaussianField(Lattice(2, 4), 0.5)
    exact = exact_values(PhiFour.of_gaussian(field, components))
    drawn = field.sample(stream("exact", components), 20_000 * components).reshape(20_000, components, -1)
    moment = (drawn.mean(axis=2) ** 2).sum(axis=1)
    for name, values in (
        ("magnetisation", np.sqrt(moment)),
        ("magnetisation_squared", moment),
        ("variance", (drawn**2).sum(axis=1).mean(axis=1)),
    ):
        assert abs(values.mean() - exact[name]) < 4.0 * values.std() / np.sqrt(len(values))
    ratio = (moment**2).mean() / (3.0 * moment.mean() ** 2)
    assert 1.0 - ratio == pytest.approx(exact["binder"], abs=0.03)


def test_a_sampler_finds_the_same_alone_and_among_others(tmp_path: Path) -> None:
    words = "--dimension 1 --size 6 --components 2 --beta 1.1 --sweeps 60 --chains 2 --seed 4 --sampler"
    among = run(f"{words} metropolis wolff heat_bath", tmp_path)
    alone = run(f"{words} wolff", tmp_path)
    for name in ("energy", "magnetisation", "tau", "acceptance", "field_updates"):
        np.testing.assert_array_equal(
            among[name].sel(sampler="wolff")[..., :1], alone[name].sel(sampler="wolff")[..., :1]
        )
    more = run(f"{words.replace('--chains 2', '--chains 3')} wolff", tmp_path)
    np.testing.assert_array_equal(more["energy"][:, :2], alone["energy"])
    other = run(f"{words.replace('--seed 4', '--seed 5')} wolff", tmp_path)
    assert not np.array_equal(other["energy"], alone["energy"])


def test_the_same_command_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["mcmc", *shlex.split("--dimension 2 --size 4 --r0 -1 --u 2 --sampler hmc --sweeps 600 --fields 5")]
    contents = []
    for _ in range(2):
        main([*words, "--output", "same.nc"])
        contents.append(Path("same.nc").read_bytes())
    assert contents[0] == contents[1]


def test_a_run_too_short_says_so_and_has_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run("--dimension 2 --size 16 --mass-times-length 1 --sampler heat_bath --sweeps 400", tmp_path)
    slow = file.sel(observable="magnetisation_squared", sampler="heat_bath")
    assert "too short" in str(slow["remark"].values) or "disagree" in str(slow["remark"].values)
    assert np.isnan(slow["error"])
    assert "an error bar needs" in capsys.readouterr().out
    main(["show", str(tmp_path / "file.nc")])
    assert "an error bar needs" in capsys.readouterr().out


def test_a_start_far_from_equilibrium_is_cut_and_recorded() -> None:
    """No thermalisation, and steps so short that the start is seen."""
    target = PhiFour.of_gaussian(GaussianField(Lattice(2, 8), 0.2), 1)
    settings = MonteCarloSettings(("metropolis",), 4000, thermalisation=0, step=0.4)
    content = ensemble(target, settings)
    cut = int(content["thermalisation_cut"].values[0])
    assert 0 < cut < 2000
    rest = content["energy"].values[0, :, cut:]
    assert content["mean"].values[0, 0] == pytest.approx(rest.mean(), rel=1e-12)


def test_spins_have_no_variance(tmp_path: Path) -> None:
    file = run("--dimension 2 --size 4 --beta 0.3 --sampler wolff --sweeps 300", tmp_path)
    one = file.sel(sampler="wolff", observable="variance")
    assert float(one["mean"]) == 1.0
    assert np.isnan(one["tau"])
    assert str(one["remark"].values).startswith("constant")
    assert list(file["observable"].values) == list(OBSERVABLES)


def test_the_number_of_overrelaxations_varies_about_the_correlation_length() -> None:
    heat, over = sweep_of("overrelaxation", PhiFour.of_gaussian(GaussianField.on_critical_line(Lattice(2, 16)), 1))
    drawn = [over.count(stream("count", number)) for number in range(300)]
    assert (over.times, min(drawn), max(drawn)) == (16, 8, 24)
    assert heat.count(stream("count")) == 1


GOOD = "mcmc --dimension 2 --size 4 --r0 -1 --u 2 --sampler heat_bath --sweeps 50 --output {}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("--u 2", "--u -2", "u is -2.0"),
        ("--u 2", "--u 0", "r0 = -1.0"),
        ("--r0 -1 --u 2", "--r0 -1", "--r0 and --u"),
        ("--u 2", "--u 2 --components 0", "components is 0"),
        ("--u 2", "--u 2 --components 1.5", "'1.5' is not an integer"),
        ("--u 2", "--u 2 --mass 1", "--mass and --r0 and --u"),
        ("--r0 -1 --u 2", "", "--mass or --mass-times-length"),
        ("--r0 -1 --u 2", "--beta 0", "beta is 0.0; it must be a finite number above 0"),
        ("--r0 -1 --u 2", "--beta 1e300", "coupling is 1e+300; it must be above 0"),
        ("--r0 -1 --u 2", "--beta 0.4 --dimension 4", "dimension is 4"),
        ("--sweeps 50", "--sweeps 0", "sweeps is 0"),
        ("--sweeps 50", "--sweeps 50 --every 20", "at least 5"),
        ("--sweeps 50", "--sweeps 50 --chains 0", "chains is 0"),
        ("--sweeps 50", "--sweeps 50 --seed -1", "seed is -1"),
        ("heat_bath", "heatbath", "did you mean 'heat_bath'?"),
        ("heat_bath", "heat_bath heat_bath", "given twice"),
        ("heat_bath", "heat_bath --step 0.1", "'heat_bath' has no step"),
        ("heat_bath", "hmc langevin --step 0.1", "step is given for 2 samplers"),
        ("heat_bath", "hmc --step 3", "hmc with step 3"),
        ("--r0 -1 --u 2 --sampler heat_bath", "--beta 0.4 --sampler hmc", "'hmc'"),
        ("--r0 -1 --u 2 --sampler heat_bath", "--beta 0.4 --sampler overrelaxation", "'overrelaxation'"),
        ("--sampler heat_bath", "--sampler hmc wolff --fields 3", "fields is given for 2 samplers"),
    ],
)
def test_mistakes_are_one_sentence(
    old: str, new: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = GOOD.replace(old, new).format(tmp_path / "none.nc")
    assert said in refused(shlex.split(words), capsys)
    assert not list(tmp_path.iterdir())


def test_an_exploding_step_names_one_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = GOOD.replace("heat_bath", "hmc --step 3").format(tmp_path / "none.nc")
    sentence = refused(shlex.split(words), capsys)
    step = sentence.split("try a step of ")[1].split(",")[0]
    run(f"--dimension 2 --size 4 --r0 -1 --u 2 --sampler hmc --sweeps 50 --step {step}", tmp_path)


FIELDS = "--dimension 2 --size 6 --components 2 --r0 -1 --u 2 --sampler overrelaxation --sweeps 2000 --seed 2"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Monte Carlo file with 300 fields of two components."""
    folder = tmp_path_factory.mktemp("fields")
    run(f"{FIELDS} --fields 300", folder)
    return folder / "file.nc"


def test_fields_are_decorrelated_and_follow_the_long_run(kept: Path) -> None:
    """χ within 4 σ of the long run, its error as if fields were independent; neighbours' are not correlated (4 σ)."""
    file = read(kept, ENSEMBLE)
    tau = (
        file["tau"].isel(sampler=0).sel(observable=["energy", "magnetisation", "magnetisation_squared", "softest_mode"])
    )
    assert file.attrs["fields_spacing"] >= 2.0 * float(tau.max())
    fields = file["fields"].values
    assert fields.shape == (300, 2, 6, 6)
    moment = (fields.mean(axis=(2, 3)) ** 2).sum(axis=1) * 36 / 2
    mean, error = moment.mean(), moment.std() / np.sqrt(300)
    long_run = file.isel(sampler=0).sel(observable="susceptibility")
    assert abs(mean - float(long_run["mean"])) < 4.0 * np.hypot(error, float(long_run["error"]))
    # Each of four chains gives every fourth field.
    ahead, behind = moment[4:] - mean, moment[:-4] - mean
    assert abs((ahead * behind).mean() / moment.var()) < 4.0 / np.sqrt(len(ahead))


def test_kept_fields_have_forgotten_the_slowest_series(tmp_path: Path) -> None:
    """m, whose τ is twice that of m²: 500 fields of each of 4 chains, both uncorrelated with the last (4 σ).

    m by the rotations; m², which they do not change, by the spacing: ρ = e^{−4}, where 2τ of m² would leave e^{−2}.
    """
    words = "--dimension 2 --size 4 --mass-times-length 1 --sampler heat_bath --sweeps 6000 --fields 2000 --seed 5"
    file = run(words, tmp_path)
    tau = file["tau"].isel(sampler=0)
    component = float(tau.sel(observable="magnetisation_component"))
    assert component > 1.5 * float(tau.sel(observable="magnetisation_squared"))
    assert file.attrs["fields_spacing"] >= 2.0 * component
    means = file["fields"].values.mean(axis=(1, 2, 3))
    for values, left in ((means, 0.0), (means**2, np.exp(-4.0))):
        ahead, behind = values[4:] - values.mean(), values[:-4] - values.mean()
        assert abs((ahead * behind).mean() / values.var() - left) < 4.0 / np.sqrt(len(ahead))


def test_kept_fields_of_an_ordered_phase_have_all_directions() -> None:
    """β = 0.5, L = 16: no chain turns over, but signs of its fields do: 100 of them, binomial, 4 σ."""
    settings = MonteCarloSettings(("heat_bath",), 4000, 4, chains=2, seed=1, fields=200)
    found = sample(SpinModel(Lattice(2, 16), 1, 0.5), "heat_bath", settings)
    assert np.abs(np.sign(found.chains.components).mean(axis=2)).min() > 0.9
    signs = np.sign(found.chains.decorrelated(found.spacing, 200).mean(axis=(1, 2, 3)))
    for first in (0, 1):
        assert abs(signs[first::2].mean()) < 4.0 / np.sqrt(100)


@pytest.mark.parametrize("components", [1, 2, 3])
def test_rotations_are_uniform_and_keep_the_energy(components: int) -> None:
    """R Rᵀ = 1, ⟨R⟩ = 0 and ⟨R_ij²⟩ = 1/n (4 σ), H stays; beside a source fields stay as they are."""
    generator = stream("rotations", components)
    drawn = random_rotations(components, 2000, generator)
    np.testing.assert_allclose(drawn @ np.swapaxes(drawn, 1, 2), np.eye(components) * np.ones((2000, 1, 1)), atol=1e-12)
    assert np.abs(drawn.mean(axis=0)).max() < 4.0 / np.sqrt(2000 * components)
    assert np.abs((drawn**2).mean(axis=0) - 1.0 / components).max() < 4.0 / np.sqrt(2000 * components)
    assert np.linalg.det(drawn).min() == pytest.approx(-1.0)
    assert np.linalg.det(drawn).max() == pytest.approx(1.0)
    target = PhiFour(Lattice(2, 4), components, -1.0, 2.0)
    field = target.start(generator)
    turned = np.tensordot(drawn[0], field, axes=1)
    assert float(target.energy(turned)) == pytest.approx(float(target.energy(field)), rel=1e-12)
    held = PhiFour(Lattice(2, 4), components, 1.0, 2.0, source=3.0)
    kept = run_chains(held, [Step("heat_bath")], "held", components, chains=1, measurements=10, thermalisation=50)
    assert (kept.decorrelated(2, 40)[:, 0].mean(axis=(1, 2)) > 0.0).all()


def test_the_spectrum_of_a_long_run_is_exact_for_a_gaussian_field(tmp_path: Path) -> None:
    """10 shells within 4 σ; the error's own scatter, over 28 blocks, is some 13 %."""
    file = run("--dimension 2 --size 6 --mass 0.6 --sampler heat_bath --sweeps 8000 --fields 2 --seed 3", tmp_path)
    lattice = Lattice(2, 6)
    pull = (file["power_spectrum"] - 1.0 / (lattice.shells.laplacian + 0.36)) / file["power_spectrum_error"]
    assert np.abs(pull).max() < 4.0
    assert pull.std() > 0.3


def test_files_round_time_series_far_below_their_scatter(tmp_path: Path) -> None:
    """To whole numbers of a step below σ/256, so that means, errors and correlations stay what they are."""
    target = PhiFour.of_gaussian(GaussianField(Lattice(2, 4), 0.5), 1)
    content = ensemble(target, MonteCarloSettings(("metropolis", "heat_bath"), 2000, seed=1))
    write(content, tmp_path / "file.nc", ENSEMBLE)
    file = read(tmp_path / "file.nc")
    for name in ("energy", "magnetisation", "magnetisation_squared", "softest_mode", "magnetisation_component"):
        whole, kept = content[name].values, file[name].values
        step = file[name].encoding["scale_factor"]
        assert 1 / 512 < step / whole.reshape(2, -1).std(axis=1).min() <= 1 / 256
        np.testing.assert_array_equal(kept, np.rint(whole / step) * step)
        assert abs(kept.var() / whole.var() - 1.0) < 1e-3
        assert kept.dtype == np.float32


def test_shells_hold_the_mean_of_their_momenta() -> None:
    lattice = Lattice(3, 4)
    fields = stream("shells").standard_normal((2, *lattice.shape))
    spectrum = shell_spectrum(lattice, fields)
    full = (np.abs(np.fft.fftn(fields, axes=(1, 2, 3))) ** 2 / lattice.sites).mean(axis=0)
    for numbers, value in zip(lattice.shells.numbers, spectrum, strict=True):
        same = [full[k] for k in np.ndindex(4, 4, 4) if sorted(min(n, 4 - n) for n in k) == sorted(numbers.tolist())]
        assert value == pytest.approx(np.mean(same), rel=1e-12)


def test_networks_learn_from_kept_fields(kept: Path, tmp_path: Path) -> None:
    """Full batches end at the kernel of the fields' own spectrum; the error is against that of the long run."""
    target = load_fields(kept)
    words = f"train --data {kept} --architecture one_layer --noise-level 0.5 --loss population --tolerance 0"
    main([*words.split(), "--max-steps", "4000", "--output", str(tmp_path / "trained.nc")])
    with xr.open_dataset(tmp_path / "trained.nc") as file:
        modes = target.lattice.pairs
        alpha, sigma = np.exp(-1.0), -np.expm1(-1.0)
        own = 1.0 / (alpha * target.empirical_spectrum(modes) + sigma)
        np.testing.assert_allclose(file["kernel"].values[0, 0], own, rtol=1e-6)
        best = 1.0 / (alpha * target.propagator(modes.laplacian) + sigma)
        error = modes.multiplicity @ ((own - best) ** 2 / best) / (modes.multiplicity @ best)
        assert float(file["score_error"][0, 0, -1]) == pytest.approx(error, rel=1e-6)
        assert error < 0.01
        assert file.attrs["data_set"] == 600
        assert file.attrs["data_digest"] == target.digest
        assert file.attrs["size"] == 6


def test_a_data_set_from_python_is_what_it_is(kept: Path) -> None:
    """Its fields are the data set, all of them; what contradicts that is refused, as the command does."""
    target = load_fields(kept)
    run = csd.train("one_layer", target=target, noise_levels=0.5, loss="population", max_steps=3, tolerance=0)
    assert run.attrs["data_set"] == 600
    for wrong in ({"data_set": 7, "loss": "population"}, {"loss": "implicit"}):
        with pytest.raises(csd.InputError, match="data set"):
            csd.train("one_layer", target=target, noise_levels=0.5, **wrong)


def test_networks_learn_from_the_raw_fields_too(kept: Path, tmp_path: Path) -> None:
    """Minibatches of raw fields come near to the kernel of the spectrum."""
    words = f"train --data {kept} --architecture one_layer --noise-level 0.5 --path fields --batch 256 --tolerance 0.02"
    main([*words.split(), "--max-steps", "400", "--output", str(tmp_path / "trained.nc")])
    with xr.open_dataset(tmp_path / "trained.nc") as file:
        assert np.isfinite(file["training_time"]).all()


def test_a_measured_field_gives_its_own_fields(kept: Path) -> None:
    target = load_fields(kept)
    drawn = target.sample(stream("measured"), 50)
    assert {float(np.abs(field).sum()) for field in drawn} <= {float(np.abs(field).sum()) for field in target.data}
    exact = GaussianField(Lattice(2, 8), 0.4)
    shells = exact.lattice.shells
    known = MeasuredField(exact.lattice, np.zeros((1, 8, 8)), exact.propagator(shells.laplacian))
    assert known.mass == pytest.approx(0.4, rel=1e-12)
    np.testing.assert_allclose(known.propagator(exact.lattice.laplacian), exact.propagator(exact.lattice.laplacian))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--data {kept} --size 8 --loss population", "size is 8, but"),
        ("--data {kept} --beta 0.4 --loss population", "leave it out"),
        ("--data {kept}", "loss population"),
        ("--data {plain} --loss population", "csd mcmc --fields"),
        ("--data {mixed} --loss population", "mixed.nc"),
    ],
)
def test_fields_that_cannot_be_learned_from_are_refused(
    words: str, said: str, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, mixed = tmp_path / "plain.nc", tmp_path / "mixed.nc"
    run("--dimension 1 --size 4 --mass 1 --sampler heat_bath --sweeps 50", tmp_path, plain.name)
    with xr.open_dataset(kept) as opened:
        spoilt = opened.load().assign_attrs(fields_r_hat=1.3)
    spoilt.to_netcdf(mixed)
    given = words.format(kept=kept, plain=plain, mixed=mixed).split()
    common = ["--architecture", "one_layer", "--noise-level", "0.5", "--output", str(tmp_path / "trained.nc")]
    assert said in refused(["train", *given, *common], capsys)


def test_generation_is_compared_with_the_long_run(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All fields of the file are training fields, so no fields are left for a two-sample test."""
    words = f"train --data {kept} --architecture one_layer --noise-level 2 1 0.5 0.1 --loss population --max-steps 5"
    main([*words.split(), "--tolerance", "0", "--output", str(tmp_path / "trained.nc")])
    made, moved = tmp_path / "made.nc", tmp_path / "moved.nc"
    main(["generate", str(tmp_path / "trained.nc"), "--samples", "20", "--output", str(made)])
    target, modes = load_fields(kept), load_fields(kept).lattice.shells
    with xr.open_dataset(made) as file:
        exact = np.exp(-0.2) * target.propagator(modes.laplacian) - np.expm1(-0.2)
        assert float(file["exact_susceptibility"]) == pytest.approx(exact[0], rel=1e-12)
        assert "two_sample_p_value" not in file
        assert file["nearest_training_field"].shape == (1, 20)
        assert (file["nearest_training_field"] > 0.1).all()
    kept.rename(moved)
    try:
        command = ["generate", str(tmp_path / "trained.nc"), "--output", str(made)]
        assert "--data" in refused(command, capsys)
        assert "size is 12" in refused([*command, "--data", str(moved), "--size", "12"], capsys)
        main([*command, "--samples", "20", "--data", str(moved)])
    finally:
        moved.rename(kept)


def test_fields_of_chains_out_of_equilibrium_are_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "mcmc --dimension 2 --size 12 --mass-times-length 1 --sampler heat_bath --sweeps 100 --fields 5 --output"
    assert "fields cannot be kept" in refused([*words.split(), str(tmp_path / "none.nc")], capsys)
    assert not list(tmp_path.iterdir())


def test_fields_of_chains_that_do_not_move_are_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Quenched Ising spins that single flips leave as they are; clusters turn them over, and their fields are kept."""
    cold = "--dimension 2 --size 6 --beta 100 --sweeps 500 --fields 10 --sampler"
    words = ["mcmc", *cold.split(), "metropolis", "--output", str(tmp_path / "none.nc")]
    assert "fields cannot be kept" in refused(words, capsys)
    assert not list(tmp_path.iterdir())
    file = run(f"{cold} wolff", tmp_path)
    assert set(file["fields"].mean(["x", "y"]).values.ravel()) == {-1.0, 1.0}
    assert file.attrs["fields_r_hat"] < 1.1
    # One chain in another state, of which it never leaves.
    found = sample(SpinModel(Lattice(2, 6), 1, 100.0), "wolff", MonteCarloSettings(("wolff",), 500))
    assert found.spacing == 2
    energy = found.chains.series["energy"] + np.array([[1.0], [0.0], [0.0], [0.0]])
    stuck = replace(found, chains=replace(found.chains, series=found.chains.series | {"energy": energy}))
    with pytest.raises(InputError, match=r"fields .*energy"):
        stuck.spacing  # noqa: B018


def test_what_never_changes_has_its_derived_means(tmp_path: Path) -> None:
    """The ground state: |m| = 1, χ = N/n and U = 2/3."""
    words = "--dimension 2 --size 6 --beta 100 --sampler wolff --sweeps 500 --chains 1"
    mean = run(words, tmp_path).isel(sampler=0)["mean"]
    for name, exact in {"energy": -200.0, "magnetisation": 1.0, "susceptibility": 36.0, "binder": 2.0 / 3.0}.items():
        assert float(mean.sel(observable=name)) == pytest.approx(exact, rel=1e-12)


def test_beside_a_source_its_own_component_is_observed() -> None:
    """⟨m₁⟩ = s/m² of two Gaussian components (4 σ), where the mean of both is half of that."""
    target = PhiFour(Lattice(2, 4), 2, 1.0, 0.0, source=0.5)
    content = ensemble(target, MonteCarloSettings(("heat_bath",), 4000, chains=2, seed=1))
    place = OBSERVABLES.index("magnetisation_component")
    mean, error = (float(content[name].values[0, place]) for name in ("mean", "error"))
    assert abs(mean - 0.5) < 4.0 * error
    assert error < 0.01
    assert content.attrs["source"] == 0.5
    # The exact values are those without a source.
    assert np.isnan(content["exact"].values).all()


def test_ising_spins_have_a_target_of_their_own() -> None:
    assert isinstance(GAUSSIAN, PhiFour)
    assert exact_values(SpinModel(Lattice(2, 4), 1, 0.4)) == {}
