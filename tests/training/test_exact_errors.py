"""Errors against exact scores: closed forms, pulls, networks whose error is known, and trainings that take a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import csd
from csd.core.errors import InputError, Interrupted
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.mcmc.posterior.score import PosteriorScore
from csd.networks import Architecture
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding, VariancePreserving
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel
from csd.training.loop import descend
from csd.training.metrics.score_errors import ScoreErrors
from csd.training.metrics.scored_fields import ScoredFields
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from csd.training.record import crossing_time, times_of_zero_mode
from tests.almost_linear import Rest
from tests.helpers import Runner
from tests.mcmc.test_posterior import drawn
from tests.training.test_checkpoint import Once

LATTICE = Lattice(1, 8)
ISING, PHI4 = SpinModel(LATTICE, 1, 0.5), PhiFour(LATTICE, 1, -0.5, 1.0)
ON_FIELDS: dict[str, Any] = {"path": "fields", "loss": "denoising", "batch": 16, "max_steps": 12}


def gaussian_fields(
    noised: NoisedTarget, fields: int, noise: float, number: int = 0, components: int = 1
) -> ScoredFields:
    """Gaussian fields whose scores are known, with white noise of their two estimates."""
    lattice, generator = noised.lattice, stream("test", "scored", fields, noise, number)
    shape = (fields, components, *lattice.shape)
    clean = noised.target.sample(generator, fields * components).reshape(shape)  # type: ignore[attr-defined]
    given, halves = [], []
    for signal, variance, spectrum in zip(noised.signals, noised.variances, noised.half_spectra(), strict=True):
        given.append(signal * clean + np.sqrt(variance) * generator.standard_normal(shape))
        exact = lattice.inverse(-lattice.transform(given[-1]) / spectrum)
        halves.append(exact + noise * generator.standard_normal((2, *shape)))
    amplitudes = np.stack([noised.signals, noised.variances])
    return ScoredFields("f.nc", {}, np.array(noised.levels), amplitudes, clean, np.array(given), np.array(halves), {})


def noised_gaussian(lattice: Lattice, *levels: float) -> NoisedTarget:
    return NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels)


@pytest.mark.parametrize("lattice", [Lattice(1, 9), Lattice(2, 4), Lattice(3, 3)])
@pytest.mark.parametrize("kind", ["real", "complex", "isotropic"])
def test_spectra_give_the_errors_that_fields_give(lattice: Lattice, kind: str) -> None:
    """ε of −K∗x from spectra and from scores, field by field; that of all modes by sums over sites too."""
    noised = noised_gaussian(lattice, 0.2, 1.0)
    modes = lattice.shells if kind == "isotropic" else lattice.pairs
    scored = gaussian_fields(noised, 150, 0.3, components=2)
    errors, generator = ScoreErrors(scored, noised, modes), stream("test", "kernels")
    kernels = generator.random((2, 2, len(modes)))
    if kind == "complex":
        kernels = kernels + 0.3j * generator.standard_normal(kernels.shape)
        kernels.imag[..., len(modes) - modes.self_conjugate :] = 0.0
    rows = errors.of_kernels(kernels)
    for seed, level in np.ndindex(2, 2):
        half = lattice.spread(kernels[seed, level], modes)

        def score(fields: Array, half: Array = half) -> Array:
            return lattice.inverse(-half * lattice.transform(fields))

        np.testing.assert_allclose(errors.of_score(level, score, 2), rows[seed, level], rtol=1e-9, atol=1e-12)
        first, second = scored.halves[level]
        own = score(scored.fields[level])
        expected = ((own - first) * (own - second)).sum() / (first * second).sum()
        assert rows[seed, level, 0] == pytest.approx(expected, rel=1e-10)
        np.testing.assert_allclose(errors.of_score(level, score, None), rows[seed, level], rtol=1e-9, atol=1e-12)


def test_errors_of_known_size_are_found_within_their_errors() -> None:
    """K = (1 + a)/C with a of its own for each mode: ε = Σ a²/C / Σ 1/C, and a² at k = 0; 400 sets of 64 fields.

    Each fails by chance in less than 1 of 1000: rms of 400 pulls by 32 blocks within 1 ± 0.13, means within 4 errors.
    """
    noised = noised_gaussian(LATTICE, 0.3)
    spectrum, modes = noised.spectra_at(LATTICE.pairs)[0], LATTICE.pairs
    perturbed = 0.4 * stream("test", "perturbation").standard_normal(len(modes))
    weight = modes.multiplicity / spectrum
    expected = (weight * perturbed**2).sum() / weight.sum(), perturbed[np.argmin(modes.laplacian)] ** 2
    rows, exact = [], []
    for number in range(400):
        errors = ScoreErrors(gaussian_fields(noised, 64, 0.05, number), noised, modes)
        rows.append(errors.of_kernels(((1.0 + perturbed) / spectrum)[None, None])[0, 0])
        exact.append(errors.of_kernels((1.0 / spectrum)[None, None])[0, 0])
    found = np.array(rows)
    for value, error, right in ((found[:, 0], found[:, 1], expected[0]), (found[:, 2], found[:, 3], expected[1])):
        assert abs(value.mean() - right) < 4.0 * value.std() / 20.0 + 0.02 * right
        assert 0.87 < np.sqrt((((value - right) / error) ** 2).mean()) < 1.13
    # The exact score: ε is 0 on average, and negative in about half of the sets.
    pulls = np.array(exact)[:, 0] / np.array(exact)[:, 1]
    assert abs(pulls.mean()) < 4.0 / 20.0
    assert 0.87 < np.sqrt((pulls**2).mean()) < 1.13
    assert 0.4 < (pulls < 0.0).mean() < 0.6


def scored_by_chains(target: Any, *levels: float, fields: int = 200, **how: Any) -> xr.Dataset:
    """A Dataset of scores of a target of small fields."""
    spec = {name: own for name, own in target.spec().items() if name in ("r0", "u", "beta", "components")}
    return csd.scores(data=drawn(target, fields), noise_levels=levels, fields=fields, seed=5, **spec, **how)


def measured(target: Any, fields: int = 100) -> MeasuredField:
    """Other fields of the target, to learn from."""
    own = drawn(target, 2 * fields)[fields:].reshape(-1, *target.lattice.shape)[::-1]
    power = target.lattice.gather(target.lattice.power_spectrum(own).mean(axis=0), target.lattice.shells)
    return MeasuredField(target.lattice, own, power, "", target.components, target.spec())


@pytest.mark.parametrize("target", [PHI4, ISING, PhiFour(LATTICE, 2, -0.5, 1.0)])
def test_the_posterior_score_itself_has_no_error(target: Any) -> None:
    """Chains of their own on the same fields: ε less their inaccuracy is 0 within 4 errors; fails 1 time in 5000."""
    scored, level = ScoredFields.read(scored_by_chains(target, 0.5, accuracy=0.05)), 0.5
    noised = NoisedTarget(measured(target), VariancePreserving(), [level])
    chains = PosteriorScore(target, seed=77, accuracy=0.05)
    own = chains.estimates(scored.fields[0].astype(float), level, scored.clean.astype(float))

    def score(fields: Array) -> Array:
        first = int(np.flatnonzero((scored.fields[0] == fields[0]).all(axis=tuple(range(1, fields.ndim))))[0])
        return own.score[first : first + len(fields)]

    error, uncertainty = ScoreErrors(scored, noised, LATTICE.pairs).of_score(0, score, target.components)[:2]
    assert uncertainty < 0.01
    assert abs(error - own.inaccuracy) < 4.0 * uncertainty


def test_a_training_ends_where_the_exact_error_reaches_the_tolerance() -> None:
    """Mean-field iterations with the coupling of a chain of spins: nearly exact at t = 0.1 before any training."""
    scores = scored_by_chains(ISING, 0.1, 0.5)
    how = {"target": measured(ISING), "noise_levels": [0.1], "scores": scores, **ON_FIELDS}
    run = csd.train("mean_field", coupling=0.5, tolerance=0.001, **how)
    assert run.attrs["until"] == "score_error"
    for name in ("training_time", "crossing_time", "last_step"):
        assert run[name].item() == 0.0
    assert float(run["exact_score_error"][0, 0, 0]) < 0.001
    linear = float(scores["linear_score_error"].sel(noise_level=0.1))
    assert linear > 0.2
    np.testing.assert_allclose(run["error_over_linear"] * linear, run["exact_score_error"])
    np.testing.assert_allclose(run["linear_score_error"], linear)
    np.testing.assert_array_equal(run["score_error"].astype(float), run["exact_score_error"].astype(np.float32))
    assert run["shell_error"].dims == ("seed", "noise_level", "step", "inverse_length")
    # The mode k = 0 is the first bin.
    np.testing.assert_allclose(run["shell_error"][..., 0], run["zero_mode_error"], rtol=1e-3)
    unlimited = csd.train("mean_field", coupling=0.5, tolerance=0.0, **how)
    assert unlimited["last_step"].item() == 12
    assert np.isnan(unlimited["training_time"]).all()


def test_linear_networks_keep_the_error_of_their_kernel() -> None:
    """All that a file has without scores is the same with them, and the request differs by their digest alone."""
    scores, how = scored_by_chains(ISING, 0.1, 0.2), {"noise_levels": [0.1, 0.2], "loss": "population"}
    bare, full = (csd.train("two_layer", target=measured(ISING), scores=given, **how) for given in (None, scores))
    xr.testing.assert_identical(bare.drop_attrs(), full.drop_vars(set(full) - set(bare)).drop_attrs())
    further = {"exact_score_error", "zero_mode_error", "linear_score_error", "linear_zero_mode_error"}
    further |= {"zero_mode_training_time"}
    assert set(full) - set(bare) == {
        "shell_error",
        "error_over_linear",
        *further,
        *(f"{name}_error" for name in further),
    }
    assert bare.attrs["configuration_hash"] != full.attrs["configuration_hash"]
    assert not {"scores", "scores_file"} & bare.attrs.keys()
    assert full.attrs["scores"] == ScoredFields.read(scores).digest
    # At the end the network is the best linear score, but for the tolerance and the scatter of both sets of fields.
    np.testing.assert_allclose(full.isel(seed=0, step=-1)["error_over_linear"], 1.0, atol=0.15)


def test_closed_form_scores_of_gaussian_fields_are_taken() -> None:
    """The error against them is that against the spectrum, within 4 errors, and there is no ratio to the linear one."""
    how: dict[str, Any] = {"dimension": 2, "size": 8, "noise_levels": [0.3]}
    scores = csd.scores(fields=200, **how)
    run = csd.train("one_layer", loss="population", scores=scores, **how).isel(seed=0, noise_level=0)
    off = (run["exact_score_error"] - run["score_error"]) / run["exact_score_error_error"]
    assert abs(off[1:]).max() < 4.0
    assert "error_over_linear" not in run
    wiener = csd.train("wiener", width=2, scores=scores, **how, **ON_FIELDS)
    assert float(wiener["score_error"][0, 0, 0]) < 1e-6


RESUMED: dict[str, tuple[Any, dict[str, Any]]] = {
    "linear": (Architecture("two_layer"), {"loss": "denoising", "batch": 256}),
    "grouped": (Architecture("convolutional", width=2, depth=2), {**ON_FIELDS, "batch": 32, "optimizer": "adam"}),
    "conditioned": (Architecture("wiener", width=2), {**ON_FIELDS, "conditioned": True}),
    "heavy ball": (Architecture("tests.almost_linear:Rest"), {**ON_FIELDS, "momentum": 0.5}),
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_stopped_run_goes_on(case: str, tmp_path: Path) -> None:
    """Stopped after step 7, with all errors as in one go."""
    architecture, how = RESUMED[case]
    noised = NoisedTarget(measured(PHI4), VariancePreserving(), [0.2, 0.5])
    settings = TrainingSettings(**{"seeds": (1, 2), "tolerance": 0.0, **how, "max_steps": 20})
    if settings.path == "spectral":
        noised = NoisedTarget(GaussianField.on_critical_line(LATTICE), VariancePreserving(), [0.2, 0.5])
    scored = gaussian_fields(noised_gaussian(LATTICE, 0.2, 0.5), 40, 0.1)

    def trained(watch: Any = None) -> Any:
        return descend(noised, prepare(noised, architecture, settings, scored=scored), settings, watch)

    whole = trained()
    with pytest.raises(Interrupted), Once(tmp_path / "c.npz", 7) as watch:
        trained(watch)
    last = Once(tmp_path / "c.npz", 0)
    assert last.found() is not None
    resumed = trained(last)
    assert np.isfinite(whole.exact_errors[..., 0]).all()
    for name in ("exact_errors", "score_error", "weights", "steps"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name), err_msg=name)


def test_a_network_of_all_levels_is_measured_where_there_are_scores() -> None:
    """At 0.5 alone of three levels; training ends when the error there is at the tolerance."""
    scores = scored_by_chains(PHI4, 0.5)
    how = {"target": measured(PHI4), "noise_levels": [0.1, 0.5, 1.0], "conditioned": True, **ON_FIELDS}
    run = csd.train("wiener", width=2, scores=scores, tolerance=0.9, **how)
    assert np.isnan(run["score_error"].sel(noise_level=[0.1, 1.0])).all()
    assert np.isfinite(run["score_error"].sel(noise_level=0.5)).all()
    assert run["training_time"].sel(noise_level=0.5).item() == run["last_step"].item() == 0.0
    with pytest.raises(InputError, match=r"holds scores at noise levels 0\.5, but not at 0\.1.*one or more of"):
        csd.train("wiener", width=2, scores=scores, **how | {"noise_levels": [0.1, 1.0]})


def test_user_defined_networks_are_measured_at_recorded_steps() -> None:
    run = csd.train(
        Rest, target=measured(PHI4), scores=scored_by_chains(PHI4, 0.5), noise_levels=[0.5], tolerance=0.0, **ON_FIELDS
    )
    assert run["step"].values.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    np.testing.assert_array_equal(run["score_error"], run["exact_score_error"].astype(np.float32))


def test_the_zero_mode_of_one_layer_is_half_learned_when_the_closed_form_says() -> None:
    """ε(0) = (1 − η C(0))^{2j} against scores in closed form, to the rounding of float32."""
    how: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.1, 0.5]}
    run = csd.train(
        "one_layer",
        **how,
        loss="population",
        learning_rate=0.001,
        tolerance=0.1,
        scores=csd.scores(**how, fields=40),
    )
    signal, variance = np.exp(-2.0 * run["noise_level"].values), run["noise_variance"].values
    largest = signal * 8.0**2 + variance
    expected = np.log(0.5) / (2.0 * np.log(1.0 - 0.001 * largest))
    np.testing.assert_allclose(run["zero_mode_training_time"][0], expected, rtol=1e-6)
    np.testing.assert_allclose(run["zero_mode_training_time_error"][0], 0.0, atol=1e-6)


def test_the_zero_mode_is_learned_once_it_stays_below_one_half() -> None:
    """Of e^{−aj} known to a fraction r, τ₀ = ln 2/a and δτ₀ = ln[(1 + r)/(1 − r)]/2a; an overshoot does not count."""
    steps, rate, part = np.array([0, 1, 2, 5, 10, 20, 40]), 0.05, 0.2
    falling = np.exp(-rate * steps)
    passing = np.where(steps == 2, 0.1, falling)
    high = np.where(steps == 40, 0.6, falling)
    never, ended = np.full(len(steps), 0.9), np.where(steps > 20, np.nan, falling)
    errors = np.stack([falling, passing, high, never, ended])[:, None]
    time, error = times_of_zero_mode(steps, errors, part * errors)
    expected = np.log(2.0) / rate
    np.testing.assert_allclose(time[:, 0], [expected, expected, np.nan, np.nan, expected])
    spread = np.log((1.0 + part) / (1.0 - part)) / (2.0 * rate)
    np.testing.assert_allclose(error[:, 0], [spread, spread, np.nan, np.nan, spread])
    # Known at every step; and where ε + δε has not come down by the last step the error is not known.
    assert times_of_zero_mode(steps, 0.1 * errors[:1], errors[:1] * 0.0)[0].item() == 0.0
    assert np.isnan(times_of_zero_mode(steps, errors[:1], 0.0 * errors[:1] + 0.45)[1]).all()


def test_errors_below_zero_have_a_crossing_time() -> None:
    """Linear between the recorded steps 8 and 12, where ε falls from 0.03 to −0.01: at 0.01 halfway."""
    assert crossing_time(12, 0.03, -0.01, 0.01, 4.0) == 10.0
    assert crossing_time(12, 0.04, 0.01, 0.02, 4.0) == 10.0


MISTAKES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no halves": (lambda own: own.drop_vars("half_score"), {}, "holds no half_score.*csd scores"),
    "no scores": (lambda own: own.drop_attrs(), {}, "scores is Dataset; give the Dataset that csd.scores"),
    "couplings": (lambda own: own, {"target": measured(PhiFour(LATTICE, 1, -0.4, 1.0))}, r"another target.*r0 -0\.5"),
    "another family": (lambda own: own, {"target": measured(ISING)}, "another target: .*phi4.* have .*spins"),
    "size": (lambda own: own, {"target": measured(PhiFour(Lattice(1, 6), 1, -0.5, 1.0))}, "size 8.*size 6"),
    "components": (lambda own: own, {"target": measured(PhiFour(LATTICE, 2, -0.5, 1.0))}, "components 1.*components 2"),
    "level": (lambda own: own, {"noise_levels": [0.5, 0.7]}, r"not at 0\.7.*--noise-level 0\.5 0\.7"),
    "digits": (lambda own: own, {"noise_levels": [0.5, 1 / 3]}, r"not at 0\.3{16},.*--noise-level 0\.5 0\.3{16}$"),
    "schedule": (lambda own: own, {"schedule": "ve"}, "noise is VariancePreserving, that of the training VarianceExpl"),
    "held-out loss": (lambda own: own, {"until": "held_out_loss"}, "until is held_out_loss, but scores are given"),
    "unknown couplings": (
        lambda own: own,
        {"target": FieldSet.split(LATTICE, drawn(PHI4, 40)[:, 0])},
        "no couplings of the fields are known",
    ),
    "unit": (
        lambda own: own,
        {"target": FieldSet.split(LATTICE, drawn(PHI4, 40)[:, 0], known={"kappa": 0.4, "lambda": 0.1})},
        "those of the lattice action",
    ),
}


@pytest.fixture(scope="module")
def of_phi4() -> xr.Dataset:
    return scored_by_chains(PHI4, 0.5)


@pytest.mark.parametrize("case", MISTAKES)
def test_what_does_not_fit_is_refused(case: str, of_phi4: xr.Dataset) -> None:
    change, how, message = MISTAKES[case]
    options = {"target": measured(PHI4), "noise_levels": [0.5], **ON_FIELDS, **how}
    with pytest.raises(InputError, match=message):
        csd.train("wiener", width=2, scores=change(of_phi4), **options)


def test_fields_that_are_learned_are_refused() -> None:
    lattice = Lattice(2, 6)
    target = PhiFour(lattice, 1, -0.5, 1.0)
    clean = drawn(target, 60)
    scores = csd.scores(data=clean[:20], noise_levels=[0.5], fields=20, r0=-0.5, u=1.0, components=1)
    power = lattice.gather(lattice.power_spectrum(clean[:, 0]).mean(axis=0), lattice.shells)
    fields = MeasuredField(lattice, clean[:, 0], power, "", 1, target.spec())
    with pytest.raises(InputError, match="among those that are learned"):
        csd.train("one_layer", target=fields, noise_levels=[0.5], loss="population", scores=scores)


def test_the_command_takes_a_file(csd: Runner, tmp_path: Path) -> None:
    """A file that is read is not written over, and a file of another kind is refused."""
    scores, run = tmp_path / "scores.nc", tmp_path / "run.nc"
    assert csd(f"scores --dimension 1 --size 8 --noise-level 0.5 --fields 30 --output {scores}").status == 0
    train = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --loss population"
    ran = csd(f"{train} --scores {scores} --output {run}")
    assert ran.status == 0, ran.err
    assert csd(f"{train} --scores {scores} --output {scores}").status != 0
    assert csd(f"{train} --scores {run} --output {tmp_path / 'other.nc'}").status != 0


def test_other_noise_is_measured_too() -> None:
    how: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.3], "schedule": "ve"}
    run = csd.train("exact", loss="population", scores=csd.scores(fields=20, **how), **how)
    assert abs(run["exact_score_error"]).max() < 1e-6
    assert isinstance(VarianceExploding().signal(0.3), np.ndarray | float)


def test_a_training_that_goes_on_from_another_is_measured_from_there(of_phi4: xr.Dataset) -> None:
    how = {"target": measured(PHI4), "noise_levels": [0.5], "scores": of_phi4, "tolerance": 0.0, **ON_FIELDS}
    before = csd.train("wiener", width=2, **how)
    after = csd.train("wiener", width=2, initial=before, **how)
    np.testing.assert_allclose(after["exact_score_error"][..., 0], before["exact_score_error"][..., -1], rtol=1e-6)
