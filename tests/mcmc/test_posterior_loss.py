"""The loss of posterior means: its targets are unbiased and have little noise, and a training can take it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd
from csd.core.errors import InputError, Interrupted
from csd.core.random import stream
from csd.core.source import files_used
from csd.lattice import Lattice
from csd.mcmc.posterior.loss import PosteriorLoss, posterior_means
from csd.mcmc.posterior.score import PosteriorScore
from csd.networks import Architecture
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding, VariancePreserving, schedule_of
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel
from csd.training.loop import descend
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from tests.mcmc.test_posterior import drawn
from tests.training.test_checkpoint import Once

TARGET = PhiFour(Lattice(1, 8), 1, -0.5, 1.0)
LEVEL = 0.5
VARIANCE = float(-np.expm1(-2.0 * LEVEL))


class Loss(PosteriorLoss):
    """Of the target of this module."""

    target = TARGET


def test_targets_are_unbiased_and_less_noisy_than_denoising() -> None:
    clean = drawn(TARGET, 2000)
    noise = stream("test", "loss").standard_normal(clean.shape)
    noised = np.exp(-LEVEL) * clean + np.sqrt(VARIANCE) * noise
    found = Loss().scores(noised[:, 0], noise[:, 0], VARIANCE)
    exact = PosteriorScore(TARGET, accuracy=0.001)(noised, LEVEL, clean)[0][:, 0]
    excess = ((found - exact) * exact).mean(axis=1)
    assert abs(excess.mean()) < 4.0 * excess.std() / np.sqrt(len(excess))
    denoising = -noise[:, 0] / np.sqrt(VARIANCE)
    assert ((found - exact) ** 2).mean() < 0.1 * ((denoising - exact) ** 2).mean()
    np.testing.assert_array_equal(Loss().scores(noised[:, 0], noise[:, 0], VARIANCE), found)


def test_a_training_takes_it() -> None:
    """The loss that training reports falls far below that of denoising, n/(2σ²) − E|s*|²/(2N) at its smallest."""
    fields = drawn(TARGET, 300)[:, 0]
    options = {"path": "fields", "noise_levels": [LEVEL], "batch": 64, "max_steps": 20, "progress": False, "width": 2}
    run = csd.train("one_layer_onsite", loss=Loss, data=fields, **options)
    assert np.isfinite(run["score_error"].values).all()
    assert float(run["score_error"][..., -1].max()) < float(run["score_error"][..., 0].min())


def test_other_noise_and_targets_are_refused() -> None:
    with pytest.raises(InputError, match="variance between 0 and 1"):
        Loss().scores(np.zeros((2, 8)), np.zeros((2, 8)), 1.0)
    with pytest.raises(InputError, match="energy and force"):
        PosteriorLoss()
    spins = type("OfSpins", (PosteriorLoss,), {"target": SpinModel(Lattice(1, 8), 2, 0.3)})
    with pytest.raises(InputError, match="one component"):
        spins()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"schedule": "ve"}, "loss Loss takes VP noise, not schedule VarianceExploding"),
        ({"dimension": 1, "size": 6}, "its target has dimension 1 and size 8, but the fields that are learned"),
    ],
)
def test_noise_and_lattice_are_those_of_the_loss(how: dict[str, Any], message: str) -> None:
    options = {"path": "fields", "noise_levels": [LEVEL], "width": 2, "dimension": 1, "size": 8}
    with pytest.raises(InputError, match=message):
        csd.train("one_layer_onsite", loss=Loss, **{**options, **how})
    other = {"path": "fields", "noise_levels": [LEVEL], "data": drawn(PhiFour(TARGET.lattice, 1, 3.0, 5.0), 100)[:, 0]}
    with pytest.raises(InputError, match="fields contradict their couplings"):
        csd.train("one_layer_onsite", loss=Loss, width=2, **other)


NAMED: dict[str, Any] = {"path": "fields", "loss": "posterior", "batch": 16, "max_steps": 12, "tolerance": 0.0}
TARGETS: dict[str, Any] = {
    "phi4": PhiFour(Lattice(1, 8), 1, -0.5, 1.0),
    "phi4 of two components": PhiFour(Lattice(1, 8), 2, -0.5, 1.0),
    "ising": SpinModel(Lattice(1, 8), 1, 0.5),
    "xy": SpinModel(Lattice(1, 8), 2, 0.5),
}


def data_of(target: Any, count: int = 200) -> MeasuredField:
    """Fields of a target as those of a Monte Carlo file."""
    lattice, fields = target.lattice, drawn(target, count).reshape(-1, *target.lattice.shape)
    power = lattice.gather(lattice.power_spectrum(fields).mean(axis=0), lattice.shells)
    return MeasuredField(lattice, fields, power, "", target.components, target.spec())


@pytest.mark.parametrize("schedule", [VariancePreserving(), VarianceExploding()])
@pytest.mark.parametrize("name", TARGETS)
def test_estimates_of_the_noise_have_its_mean(name: str, schedule: Any) -> None:
    """E[(ŝ − s*)·s*] = 0 within 4 errors, and a tenth of the scatter of denoising; each fails 1 time in 10,000."""
    target = TARGETS[name]
    noised = NoisedTarget(data_of(target), schedule, [0.4])
    means = posterior_means(noised, target.components if target.components > 1 else None)
    (signal,), (variance,) = noised.signals, noised.variances
    clean = drawn(target, 400)
    white = stream("test", "estimates").standard_normal(clean.shape)
    fields = signal * clean + np.sqrt(variance) * white
    exact = PosteriorScore(target, schedule, accuracy=0.001)(fields, 0.4, clean)[0].reshape(400, -1)
    of_network = [values[:, 0] if target.components == 1 else values for values in (clean, fields)]
    found = means(stream("test", "chains"), *of_network, signal, variance).reshape(400, -1) / -np.sqrt(variance)
    excess = ((found - exact) * exact).mean(axis=1)
    assert abs(excess.mean()) < 4.0 * excess.std() / 20.0
    denoising = -white.reshape(400, -1) / np.sqrt(variance)
    assert ((found - exact) ** 2).mean() < 0.1 * ((denoising - exact) ** 2).mean()


@pytest.mark.parametrize("schedule", ["vp", "ve"])
def test_estimates_of_gaussian_fields_are_exact(schedule: str) -> None:
    """Of any chain ŝ = −x/C; in two dimensions, also of two components."""
    field = GaussianField.on_critical_line(Lattice(2, 4))
    for components, target in ((None, field), (2, data_of(PhiFour(field.lattice, 2, field.mass**2, 0.0)))):
        noised = NoisedTarget(target, schedule_of(schedule), [0.4])
        (signal,), (variance,) = noised.signals, noised.variances
        shape = (5, *([components] if components else []), 4, 4)
        clean, white = stream("test", "gaussian").standard_normal((2, *shape))
        fields = signal * clean + np.sqrt(variance) * white
        spectrum = signal**2 / (field.lattice.laplacian + field.mass**2) + variance
        exact = field.lattice.inverse(-field.lattice.transform(fields) / spectrum)
        found = posterior_means(noised, components)(stream("test"), clean, fields, signal, variance)
        np.testing.assert_allclose(found / -np.sqrt(variance), exact, atol=1e-10)


def test_fields_of_the_lattice_action_keep_their_unit() -> None:
    """ϕ = φ/√(2κ) without a quartic coupling: the exact score is that of the spectrum of ϕ."""
    lattice, kappa = Lattice(1, 6), 0.3
    field = PhiFour.from_hopping(lattice, 1, kappa, 0.0)
    data = FieldSet.split(lattice, drawn(field, 40)[:, 0] / np.sqrt(2.0 * kappa), known={"kappa": kappa, "lambda": 0.0})
    noised = NoisedTarget(data, VariancePreserving(), [0.4])
    (signal,), (variance,) = noised.signals, noised.variances
    clean, white = stream("test", "unit").standard_normal((2, 5, 6))
    fields = signal * clean + np.sqrt(variance) * white
    spectrum = signal**2 / (2.0 * kappa * (lattice.laplacian + field.r0)) + variance
    found = posterior_means(noised, None)(stream("test"), clean, fields, signal, variance)
    exact = lattice.inverse(-lattice.transform(fields) / spectrum)
    np.testing.assert_allclose(found / -np.sqrt(variance), exact, atol=1e-10)


@pytest.mark.parametrize(("network", "name"), [("wiener", "phi4"), ("mean_field", "xy"), ("two_layer", "ising")])
def test_seeds_and_stops_change_nothing(network: str, name: str, tmp_path: Path) -> None:
    """A seed alone and beside others, and after an interruption, has the same weights."""
    options = {"target": data_of(TARGETS[name]), "noise_levels": [0.3, 0.6], **NAMED}
    together, alone = (csd.train(network, seeds=seeds, **options) for seeds in ([1, 2], [2]))
    np.testing.assert_array_equal(together["weights"][1], alone["weights"][0])
    settings = TrainingSettings(**{**NAMED, "seeds": (1, 2), "data_set": len(options["target"].data)})
    noised, architecture = NoisedTarget(options["target"], VariancePreserving(), [0.3, 0.6]), Architecture(network)
    architecture = architecture.with_symmetry(True, lambda: 0.0)

    def trained(watch: Any) -> Any:
        run = prepare(noised, architecture, settings)
        run.source.estimate = posterior_means(noised, architecture.components_of(noised.target))  # type: ignore[attr-defined]
        return descend(noised, run, settings, watch)

    with pytest.raises(Interrupted), Once(tmp_path / "c.npz", 7) as watch:
        trained(watch)
    last = Once(tmp_path / "c.npz", 0)
    assert last.found() is not None
    np.testing.assert_array_equal(trained(last).weights, together["weights"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"path": "spectral"}, "loss is 'posterior' with path spectral; it needs path fields"),
        ({"conditioned": True, "noise_levels": [0.3, 0.6]}, "loss is 'posterior' with conditioned"),
        ({"target": FieldSet.split(Lattice(1, 8), stream("a").standard_normal((9, 8)))}, "no couplings of the fields"),
        (
            {"target": data_of(TARGETS["xy"]), "architecture": "one_layer"},
            "fields have 2 components and the network takes each",
        ),
    ],
)
def test_what_the_named_loss_does_not_take(how: dict[str, Any], message: str) -> None:
    options = {"architecture": "wiener", "target": data_of(TARGETS["phi4"]), "noise_levels": [0.3], **NAMED, **how}
    with pytest.raises(InputError, match=message):
        csd.train(**options)


@pytest.mark.parametrize("how", [{"loss": "posterior"}, {"loss": "denoising", "chains": 4}])
def test_fields_of_other_couplings_are_refused(how: dict[str, Any]) -> None:
    """Fields that have the couplings by chance deviate by six errors, and fail, once in 50,000 times."""
    fields = drawn(TARGET, 200)[:, 0]
    options = {**NAMED, **how, "noise_levels": [0.3], "progress": False, "data": fields, "components": 1}
    csd.train("wiener", **options, r0=TARGET.r0, u=TARGET.u)
    with pytest.raises(InputError, match="fields contradict their couplings"):
        csd.train("wiener", **options, r0=3.0, u=5.0)
    kappa, quartic = 0.3, 0.1
    of_action = drawn(PhiFour.from_hopping(TARGET.lattice, 1, kappa, quartic), 200)[:, 0]
    with pytest.raises(InputError, match=r"varphi = phi/sqrt\(2 kappa\)"):
        csd.train("wiener", **{**options, "data": of_action}, kappa=kappa, lambda_=quartic)
    csd.train("wiener", **{**options, "data": of_action / np.sqrt(2.0 * kappa)}, kappa=kappa, lambda_=quartic)


def test_the_code_of_chains_counts_for_this_loss_alone() -> None:
    settings = TrainingSettings(**NAMED)
    assert any(file.match("mcmc/posterior/lanes.py") for file in files_used(settings.step))
    assert not any(file.match("mcmc/*.py") for file in files_used("train"))
