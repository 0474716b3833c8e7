"""Nonlinear networks on fields: PyTorch's optimisers, seeds that do not depend on others, the end by held-out loss."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

import csd
from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.images import random_images
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.loop import train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare
from csd.training.record import compared_losses, times_of_losses

STEPS, LEVELS = 25, (0.1, 0.8)
NETWORK: dict[str, Any] = {"width": 3, "depth": 2, "precision": "float64"}
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any], dict[str, Any]]] = {
    "gd": (torch.optim.SGD, {}, {}),
    "heavy_ball": (torch.optim.SGD, {"momentum": 0.8}, {"momentum": 0.8, "rate_schedule": "cosine"}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, {}),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.97)}, {"beta2": 0.97, "clip": 0.3}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}, {"weight_decay": 0.1, "rate_schedule": "inverse_sqrt"}),
}
FACTORS = {
    "constant": lambda step: 1.0,
    "cosine": lambda step: 0.5 * (1.0 + np.cos(np.pi * step / STEPS)),
    "inverse_sqrt": lambda step: (step + 1.0) ** -0.5,
}


def _noised() -> NoisedTarget:
    return NoisedTarget(GaussianField(Lattice(1, 8), 0.5), VariancePreserving(), LEVELS)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("architecture", "own"), [("convolutional", NETWORK), ("one_layer_onsite", {"width": 2})])
def test_training_takes_the_steps_of_pytorch(name: str, architecture: str, own: dict[str, Any]) -> None:
    """`csd.train` beside a loop with torch.optim on the same fields, to 1e-12."""
    kind, keywords, options = OPTIMIZERS[name]
    how: dict[str, Any] = {
        "batch": 8,
        "path": "fields",
        "loss": "denoising",
        "max_steps": STEPS,
        "tolerance": 0.0,
        "seeds": (4,),
    }
    trained = csd.train(
        architecture, **own, **how, dimension=1, size=8, mass=0.5, noise_levels=LEVELS, learning_rate=0.01,
        optimizer=name, **options,
    )  # fmt: skip
    run = prepare(_noised(), Architecture(architecture, **own), TrainingSettings(**how, optimizer="gd"))
    data = [run.source.draw() for _ in range(STEPS)]
    for level, network in enumerate(run.descent.networks[0]):
        optimizer = kind(network.parameters(), lr=0.01, **keywords)  # type: ignore[call-arg]
        factor = FACTORS[options.get("rate_schedule", "constant")]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        for noised, noise, _ in data:
            optimizer.zero_grad()
            score = network(torch.as_tensor(noised[0, level]))
            residual = score + torch.as_tensor(noise[0, level]) / float(_noised().variances[level]) ** 0.5
            (0.5 * residual.square().mean()).backward()
            if "clip" in options:
                torch.nn.utils.clip_grad_norm_(network.parameters(), options["clip"])
            optimizer.step()
            schedule.step()
        wanted = torch.cat([own.detach().ravel() for own in network.parameters()]).numpy()
        np.testing.assert_allclose(trained["weights"].values[0, level, : len(wanted)], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("architecture", ["convolutional", "wiener"])
@pytest.mark.parametrize("average", [None, 0.9])
def test_the_bytes_of_a_seed_do_not_depend_on_its_company(architecture: str, average: float | None) -> None:
    """Side by side with others, until these have ended, and alone."""

    def weights(*seeds: int) -> dict[int, Array]:
        settings = TrainingSettings(
            "denoising",
            32,
            seeds=seeds,
            path="fields",
            max_steps=30,
            tolerance=0.7,
            average=average,
            learning_rate=0.01,
        )
        record = train_network(_noised(), Architecture(architecture, width=4), settings)
        return dict(zip(seeds, record.weights, strict=True))

    together = weights(5, 1, 2, 3, 4)
    for seed, own in (weights(5) | weights(3, 2)).items():
        np.testing.assert_array_equal(own, together[seed])


def test_gradients_of_parts_of_a_minibatch_are_averaged() -> None:
    """The same steps as on the whole minibatch, but for rounding."""

    def weights(accumulate: int) -> Array:
        settings = TrainingSettings("implicit", 32, path="fields", max_steps=15, tolerance=0.0, accumulate=accumulate)
        return train_network(_noised(), Architecture("convolutional", **NETWORK), settings).weights.real

    np.testing.assert_allclose(weights(4), weights(1), rtol=1e-9, atol=1e-11)


def test_networks_of_a_data_set_end_when_the_held_out_loss_does_not_fall() -> None:
    """Also those that start at the best linear score; the file tells the step of the lowest loss."""
    fields = np.tanh(2.0 * np.random.default_rng(3).standard_normal((200, 8)))
    trained = csd.train(
        "wiener", data=fields, width=2, noise_levels=LEVELS, path="fields", loss="denoising", max_steps=1000,
        learning_rate=0.1, optimizer="adam", patience=1.5,
    )  # fmt: skip
    assert trained.attrs["until"] == "held_out_loss"
    last, best, losses = (trained[name].values for name in ("last_step", "best_step", "held_out_loss"))
    assert 150 <= last[0] < 1000
    steps = trained["step"].values
    lowest = steps[np.nanargmin(losses[0], axis=-1)]
    assert (best[0] >= lowest).all()
    assert last[0] >= 1.5 * lowest.max()
    for level, variance in enumerate(trained["noise_variance"].values):
        excess = 2.0 * (losses[0, level] - losses[0, level].min()) / (1.0 / variance - 2.0 * losses[0, level].min())
        assert trained["training_time"].values[0, level] == steps[np.argmax(excess <= 0.01)]


def test_training_times_of_held_out_losses_are_those_of_the_score() -> None:
    """ℒ = ½ (1/σ² − E|s*|² + E|s − s*|²) per site; ε = 4^{−step/10} crosses 0.01 at 33.2; a useless one has none."""
    steps, variances = np.arange(0, 100, 10), np.array([0.2, 0.9])
    square = np.array([1.3, 0.8])[:, None]
    errors = np.where(steps < 90, 4.0 ** (-steps / 10.0), 0.0)
    losses = 0.5 * (1.0 / variances[:, None] - square + square * errors)
    useless = 0.5 / variances[:, None] + errors
    times, crossings = times_of_losses(steps, np.stack([losses, useless]), variances, 0.01)
    np.testing.assert_array_equal(times, [[40, 40], [np.nan, np.nan]])
    np.testing.assert_allclose(crossings[0], 10.0 * np.log(100.0) / np.log(4.0))
    assert np.isnan(times_of_losses(steps, losses[None], variances, 0.0)).all()


@pytest.mark.parametrize("variances", [None, np.array([0.5, 2.0])])
def test_losses_are_compared_within_the_error_of_their_difference(variances: Any) -> None:
    """A difference of k errors passes with the probability Φ(1 − k), though the loss itself scatters far more.

    4,000 differences of 128 fields each; the tolerance is 4.5 standard errors: one false alarm in 50,000 runs of three.
    """
    generator = np.random.default_rng(1)
    lowest = 10.0 * generator.standard_normal((4000, 2, 128))
    scatter = np.array([0.1, 0.3])
    for errors in (0.0, 1.0, 3.0):
        shift = errors * scatter / np.sqrt(128)
        if variances is not None:
            # The same number of errors of the weighted mean.
            shift = shift * np.hypot(*(variances * scatter)) / (variances * scatter).sum()
        losses = lowest + shift[:, None] + scatter[:, None] * generator.standard_normal(lowest.shape)
        lower, best = (own[:, 0] for own in compared_losses(losses, lowest, variances))
        for found, expected in ((lower, norm.cdf(-errors)), (best, norm.cdf(1.0 - errors))):
            assert abs(found.mean() - expected) < 4.5 * np.sqrt(expected * (1.0 - expected) / 4000) + 0.002
    first = compared_losses(lowest, np.full_like(lowest, np.inf), variances)
    assert all(own.all() for own in first)


@pytest.mark.parametrize(("conditioned", "average"), [(False, 0.9), (True, None)])
def test_weights_are_those_of_the_lowest_held_out_loss(conditioned: bool, average: float | None) -> None:
    """Of each level by itself: the same as after a training of so many steps, which is no longer best later on.

    A conditioned network has one step, by the mean of σ² times the loss over levels.
    """
    fields = np.tanh(2.0 * np.random.default_rng(3).standard_normal((40, 8)))
    how: dict[str, Any] = {
        **{"data": fields, "width": 4, "noise_levels": LEVELS, "path": "fields", "loss": "denoising", "batch": 16},
        **{"learning_rate": 0.2, "optimizer": "adam", "patience": 1.5, "conditioned": conditioned, "average": average},
    }
    name = "conditioned_weights" if conditioned else "weights"
    trained = csd.train("convolutional", **how, max_steps=2000)
    assert trained.attrs["weights_at"] == "best_step"
    best, losses = trained["best_step"].values[0].astype(int), trained["held_out_loss"].values[0]
    if conditioned:
        weighted = (trained["noise_variance"].values[:, None] * losses).mean(axis=0)
        assert len(set(best)) == 1
        assert best[0] >= trained["step"].values[np.argmin(weighted)]
    assert (best < trained["last_step"].values[0]).any()
    for level, step in enumerate(best[: 1 if conditioned else None]):
        until = csd.train("convolutional", **how, max_steps=int(step))
        place: Any = {"seed": 0} | ({} if conditioned else {"noise_level": level})
        np.testing.assert_array_equal(until[name].isel(place), trained[name].isel(place))


def test_until_max_steps_keeps_the_last_weights() -> None:
    """Whatever the held-out loss: those of step b of a training that this loss ended later, with best step b."""
    fields = np.tanh(2.0 * np.random.default_rng(3).standard_normal((40, 8)))
    how: dict[str, Any] = {
        **{"data": fields, "width": 4, "noise_levels": [0.1], "path": "fields", "loss": "denoising", "batch": 16},
        **{"learning_rate": 0.2, "optimizer": "adam", "patience": 1.5},
    }
    by_loss = csd.train("convolutional", **how, max_steps=2000)
    best = int(by_loss["best_step"].values[0, 0])
    last = csd.train("convolutional", **how, max_steps=best, until="max_steps", tolerance=0.5)
    assert (last.attrs["until"], last.attrs["weights_at"]) == ("max_steps", "last_step")
    np.testing.assert_array_equal(last["weights"].values, by_loss["weights"].values)
    longer = csd.train("convolutional", **how, max_steps=2000, until="max_steps")
    assert longer["last_step"].values[0] == 2000 > by_loss["last_step"].values[0]
    linear = csd.train("one_layer", dimension=1, size=8, noise_levels=[0.5], max_steps=200, until="max_steps")
    assert linear["last_step"].values[0] == 200 > linear["training_time"].values[0, 0]


def test_nonlinear_networks_have_an_optimizer_of_their_own() -> None:
    """Recorded in files; an optimiser that is given replaces it and its rates."""
    keys: dict[str, Any] = {
        "dimension": 1,
        "size": 8,
        "noise_levels": [0.5],
        "path": "fields",
        "max_steps": 1,
        "width": 2,
    }
    about = csd.train("convolutional", **keys).attrs
    assert (about["optimizer"], about["rate_schedule"], about["beta2"]) == ("adam", "cosine", 0.99)
    assert csd.train("convolutional", **keys)["learning_rate"].values == pytest.approx(0.003)
    about = csd.train("convolutional", optimizer="gd", **keys).attrs
    assert about["optimizer"] == "gd"
    assert "rate_schedule" not in about


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta2": 0.9}, "beta2 is given, but optimizer 'gd' has no such option"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "weight_decay is given, but optimizer 'adam'.*momentum and beta2"),
        ({"average": 0.9}, "average is 0.9, but architecture 'one_layer' does not take it"),
        ({"accumulate": 3}, "accumulate is 3, but batch is 64; the batch must be a multiple"),
        ({"augment": True}, "augment is true, but path is spectral"),
        ({"augment": True, "path": "fields"}, "augment is true, but fields are fresh at every step"),
        ({"optimizer": "adma"}, "optimizer is 'adma'.*gd, heavy_ball, nesterov, adam, .* or sign_fourier.*'adam'"),
        ({"optimizer": "adam", "device": "cuda"}, "optimizer is adam, but device is cuda; take device cpu"),
        ({"until": "held_out_loss"}, "until is held_out_loss, but architecture 'one_layer' has a kernel"),
    ],
)
def test_options_that_do_not_apply_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        csd.train("one_layer", dimension=1, size=8, noise_levels=[0.5], **options)


@pytest.mark.parametrize(("dimension", "images"), [(1, 16), (2, 256)])
def test_random_images_are_those_of_the_symmetry_group(dimension: int, images: int) -> None:
    """Translations, rotations, reflections and the sign, all of them; neighbours stay neighbours."""
    lattice = Lattice(dimension, 4)
    noised = NoisedTarget(GaussianField(lattice, 0.5), VariancePreserving(), [0.5])
    axes = tuple(range(1, 1 + dimension))

    def energy(fields: Array) -> Array:
        return np.asarray((fields * sum(np.roll(fields, 1, axis) for axis in axes)).sum(axis=axes))

    fields = np.repeat(1.0 + np.arange(lattice.sites).reshape(1, *lattice.shape), 4000, axis=0)
    found = random_images(fields, noised, np.random.default_rng(0))
    np.testing.assert_array_equal(energy(found), energy(fields))
    assert len(np.unique(found.reshape(len(found), -1), axis=0)) == images


def test_a_data_set_without_couplings_is_only_translated() -> None:
    """Of which no other symmetry is known."""
    lattice = Lattice(1, 8)
    fields = np.random.default_rng(1).standard_normal((40, 8)) + np.arange(8.0)
    noised = NoisedTarget(FieldSet.split(lattice, fields), VariancePreserving(), [0.5])
    images = random_images(fields, noised, np.random.default_rng(2))
    for own, image in zip(fields, images, strict=True):
        assert any(np.array_equal(np.roll(own, shift), image) for shift in range(8))


def test_the_last_fields_of_a_monte_carlo_file_are_held_out() -> None:
    """From networks without a kernel, whose exact score is not known: the others alone are trained on."""
    lattice = Lattice(1, 8)
    fields = np.random.default_rng(1).standard_normal((50, 8))
    fields[40:] = 0.0
    target = MeasuredField(lattice, fields, np.ones(len(lattice.shells)))
    noised = NoisedTarget(target, VariancePreserving(), [0.5])
    run = prepare(
        noised, Architecture("wiener", width=2), TrainingSettings("denoising", 32, data_set=50, path="fields")
    )
    assert run.until == "held_out_loss"
    assert run.source.data is not None and len(run.source.data[0]) == 40  # type: ignore[attr-defined]
    assert not run.descent.held_out_data().any()


def test_times_are_interpolated_between_the_steps_that_are_recorded() -> None:
    """Errors of networks on fields are measured at recorded steps alone, which are far apart late in training."""
    how: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.5], "path": "fields", "loss": "denoising"}
    run = csd.train("convolutional", width=4, **how, tolerance=0.1, max_steps=2000, seeds=[1, 2])
    for seed in run["seed"].values:
        one = run.sel(seed=seed).isel(noise_level=0)
        error = one["score_error"].dropna("step")
        after = int(np.argmax(error.values <= 0.1))
        steps, errors = error["step"].values[after - 1 : after + 1], error.values[after - 1 : after + 1]
        assert steps[1] - steps[0] > 1
        crossing = np.interp(np.log(0.1), np.log(errors[::-1]), steps[::-1])
        np.testing.assert_allclose(one["crossing_time"], crossing, rtol=1e-6)
