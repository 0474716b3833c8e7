"""Optimisers of linear networks: Adam on filters in real space, rules on Fourier modes, and their learning rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import csd
from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.module import spectral_loss
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.training.descent.optimizers import OPTIMIZERS
from csd.training.loop import descend, train_network
from csd.training.options import TrainingSettings
from csd.training.preparation import Prepared, move, prepare

FULL = [Architecture("one_layer"), Architecture("two_layer"), Architecture("deep_linear", depth=3)]
LEVELS = (0.1, 0.5)
STEPS = 50


def noised_at(lattice: Lattice, *levels: float) -> NoisedTarget:
    """The critical field."""
    return NoisedTarget(GaussianField.on_critical_line(lattice), VariancePreserving(), levels or LEVELS)


def halves(run: Prepared, lattice: Lattice, data: Sequence[Any]) -> list[list[torch.Tensor]]:
    """(S, T) of a step of one seed in the *half* layout, for each level."""
    found: list[list[torch.Tensor]] = [[], []]
    for level in range(len(LEVELS)):
        for values in data:
            own = values if np.ndim(values) == 0 else values[level] if np.ndim(values) == 2 else values[0, level]
            wide = np.full(lattice.half_shape, own) if np.ndim(own) == 0 else lattice.spread(own, run.modes)
            found[level].append(torch.as_tensor(wide))
    return found


@pytest.mark.parametrize(
    ("optimizer", "kind", "keywords", "options"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.99)}, {"beta2": 0.99}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.3}, {"weight_decay": 0.3}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, {"clip": 1e-3}),
    ],
)
@pytest.mark.parametrize("loss", ["population", "implicit", "denoising"])
@pytest.mark.parametrize(("dimension", "depth"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
def test_full_layers_take_the_steps_of_pytorch_on_their_filters(
    optimizer: str, kind: Any, keywords: dict[str, Any], options: dict[str, Any], loss: str, dimension: int, depth: int
) -> None:
    """On power spectra, to 1e-12 of the largest number, kernels that are complex included.

    PyTorch adds 1e-6 to the length of a gradient before it divides, which is more for a half of the layers.
    """
    accuracy = 1e-4 if "clip" in options and depth == 2 else 1e-12
    lattice, architecture = Lattice(dimension, {1: 16, 2: 8, 3: 4}[dimension]), FULL[depth - 1]
    noised, weight = noised_at(lattice), torch.as_tensor(lattice.half_multiplicity / lattice.sites)
    settings = TrainingSettings(loss, 32, seeds=(3,), optimizer=optimizer, learning_rate=0.01, **options)
    run = prepare(noised, architecture, settings)
    modules = prepare(noised, architecture, TrainingSettings(path="fields", seeds=(3,))).descent.networks[0]
    theirs = [kind(module.parameters(), lr=0.01, **keywords) for module in modules]
    for _ in range(STEPS):
        data = run.source.draw()
        for module, own, (spectrum, target) in zip(modules, theirs, halves(run, lattice, data), strict=True):
            own.zero_grad()
            spectral_loss(module.kernel(), spectrum, target, weight).backward()
            if "clip" in options:
                torch.nn.utils.clip_grad_norm_(module.parameters(), options["clip"])
            own.step()
        run.descent.advance(*data)
    filters = lattice.inverse(lattice.spread(run.descent.weights()[0], run.modes))
    for found, module in zip(filters, modules, strict=True):
        for layer in module.filters.detach().numpy():
            assert abs(found - layer).max() <= accuracy * abs(layer).max()


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("local_one_layer", range=2),
        Architecture("local_one_layer", range="2xi"),
        Architecture("local_two_layer", range=2),
        Architecture("multiscale"),
    ],
    ids=lambda network: network.label,
)
@pytest.mark.parametrize("loss", ["implicit", "denoising"])
def test_other_filters_take_the_steps_of_adam_in_pytorch(architecture: Architecture, loss: str) -> None:
    """To 1e-11; a gradient is that of one use of a filter, so the floor of Adam is multiplied by the uses."""
    lattice, settings = Lattice(1, 16), TrainingSettings(loss, 64, seeds=(3,), optimizer="adam")
    noised, weight = noised_at(lattice), torch.as_tensor(lattice.half_multiplicity / lattice.sites)
    run = prepare(noised, architecture, settings)
    modules = prepare(noised, architecture, TrainingSettings(path="fields", seeds=(3,))).descent.networks[0]
    theirs = [torch.optim.Adam(module.parameters(), lr=0.003, eps=1e-8 * module.uses) for module in modules]
    for _ in range(STEPS):
        data = run.source.draw()
        for module, own, (spectrum, target) in zip(modules, theirs, halves(run, lattice, data), strict=True):
            own.zero_grad()
            spectral_loss(module.kernel(), spectrum, target, weight).backward()
            own.step()
        run.descent.advance(*data)
    for found, module in zip(run.descent.weights()[0], modules, strict=True):
        wanted = module.filters.detach().numpy().ravel()
        assert abs(found[: len(wanted)] - wanted).max() <= 1e-11 * abs(wanted).max()


@pytest.mark.parametrize("optimizer", ["adam_fourier", "sign_fourier", "adam"])
@pytest.mark.parametrize("architecture", FULL, ids=lambda network: network.label)
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_autograd_takes_the_same_steps(optimizer: str, architecture: Architecture, dimension: int) -> None:
    """Modules in real space and modes on power spectra, from the same spectra of minibatches."""
    lattice = Lattice(dimension, {1: 12, 2: 6, 3: 4}[dimension])
    options: dict[str, Any] = {"seeds": (1, 2), "optimizer": optimizer, "learning_rate": 0.02}
    noised = noised_at(lattice)
    modes = prepare(noised, architecture, TrainingSettings("denoising", 64, **options))
    modules = prepare(noised, architecture, TrainingSettings("denoising", 64, path="fields", **options))
    for _ in range(10):
        data = modes.source.draw()
        modes.descent.advance(*data)
        modules.descent.advance(*data)
    np.testing.assert_allclose(modules.descent.kernel(), modes.descent.kernel(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("path", ["spectral", "fields"])
def test_the_bytes_of_a_seed_do_not_depend_on_its_company(optimizer: str, path: str) -> None:
    def weights(*seeds: int) -> Array:
        settings = TrainingSettings(
            "denoising", 16, seeds=seeds, path=path, optimizer=optimizer, learning_rate=0.01, max_steps=40
        )
        return train_network(noised_at(Lattice(2, 4)), Architecture("two_layer"), settings).weights

    together = weights(1, 2, 3)
    for row, seed in enumerate((1, 2, 3)):
        np.testing.assert_array_equal(weights(seed)[0], together[row])


@pytest.mark.parametrize("name", ["adam_fourier", "sign_fourier"])
@pytest.mark.parametrize("depth", [1, 2])
def test_default_rates_do_not_slow_down(name: str, depth: int) -> None:
    """Rules on Fourier modes take as many steps at L = 128 as at L = 16."""
    times = []
    for size in (16, 128):
        record = train_network(noised_at(Lattice(1, size), 0.1), FULL[depth - 1], TrainingSettings(
            "population", optimizer=name, max_steps=300))  # fmt: skip
        times.append(float(record.training_time[0, 0]))
    assert max(times) < 300
    assert times[1] == pytest.approx(times[0], rel=0.06)


@pytest.mark.parametrize("optimizer", ["adam_fourier", "sign_fourier"])
@pytest.mark.parametrize(
    ("architecture", "path"),
    [
        (Architecture("local_two_layer", range=1), "spectral"),
        (Architecture("multiscale"), "spectral"),
        (Architecture("one_layer_onsite", width=2), "fields"),
        (Architecture("convolutional"), "fields"),
    ],
    ids=str,
)
def test_rules_on_modes_need_layers_as_wide_as_the_lattice(
    optimizer: str, architecture: Architecture, path: Any
) -> None:
    settings = TrainingSettings(path=path, optimizer=optimizer)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"{optimizer}.*{architecture.name}.*one_layer, two_layer or deep_linear"):
        prepare(noised_at(Lattice(1, 16)), architecture, settings)
    settings = TrainingSettings(optimizer=optimizer, clip=1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"clip is given, but optimizer '{optimizer}' has no such option"):
        prepare(noised_at(Lattice(1, 16)), FULL[0], settings)


@pytest.mark.parametrize(("architecture", "options"), [("one_layer", {}), ("one_layer_onsite", {"width": 2})])
@pytest.mark.parametrize("dimension", [1, 2])
def test_rates_from_data_are_those_of_measured_spectra(
    architecture: str, options: dict[str, Any], dimension: int
) -> None:
    """1/η is the largest of the spectra of 1024 fields, whose softest mode has the error sqrt(2/1024): within 4 of it.

    The maximum over the other modes is larger by chance, at most by sqrt(2 ln N / 512) of those as soft as the first.
    """
    keywords: dict[str, Any] = {
        **{"dimension": dimension, "size": 16, "noise_levels": [0.1, 3.0], "max_steps": 1, "path": "fields"},
        **{"loss": "denoising", "optimizer": "gd", "batch": 4, **options},
    }
    exact, data = (csd.train(architecture, rate_from=own, **keywords) for own in ("spectrum", "data"))
    assert data.attrs["rate_from"] == "data"
    assert "rate_from" not in exact.attrs
    ratio = exact["learning_rate"].values / data["learning_rate"].values
    error, bias = np.sqrt(2.0 / 1024), np.sqrt(2.0 * np.log(16.0**dimension) / 512)
    assert (ratio > 1.0 - 4.0 * error).all()
    assert (ratio < 1.0 + 4.0 * error + bias).all()
    assert (ratio != 1.0).all()
    # Of fields of its own for every seed, the same alone and for every loss.
    three = csd.train(architecture, rate_from="data", **{**keywords, "seeds": [7, 0, 8], "loss": "implicit"})
    np.testing.assert_array_equal(three["seed_learning_rate"][1], data["learning_rate"])
    assert len(np.unique(three["seed_learning_rate"][:, 0])) == 3
    np.testing.assert_allclose(three["learning_rate"], three["seed_learning_rate"].mean("seed"), rtol=1e-12)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("one_layer", {}),
        ("one_layer", {"optimizer": "heavy_ball", "momentum": 0.5}),
        ("one_layer", {"optimizer": "nesterov"}),
        ("one_layer", {"loss": "population"}),
        ("one_layer", {"path": "fields", "batch": 8, "tolerance": 0.5}),
        ("local_one_layer", {"range": 1}),
        ("local_one_layer", {"range": "1xi", "noise_levels": [0.1, 3.0]}),
        ("local_one_layer", {"range": 1, "optimizer": "nesterov"}),
        ("local_one_layer", {"range": 1, "path": "fields", "batch": 8, "tolerance": 0.5}),
        ("one_layer_onsite", {"width": 2, "path": "fields", "optimizer": "gd", "batch": 4, "max_steps": 20}),
    ],
)
def test_each_seed_descends_at_its_own_rate(architecture: str, options: dict[str, Any]) -> None:
    """To the last bit what the seed does alone at that rate, if it is given; other seeds end before and after it."""
    keywords: dict[str, Any] = {"dimension": 1, "size": 8, "noise_levels": [0.1], "loss": "implicit", **options}
    together = csd.train(architecture, rate_from="data", seeds=[1, 2, 3, 4], **keywords)
    for seed in (1, 3):
        own = together.sel(seed=seed)
        for level in keywords["noise_levels"]:
            rate = float(own["seed_learning_rate"].sel(noise_level=level))
            alone = csd.train(architecture, learning_rate=rate, seeds=[seed], **{**keywords, "noise_levels": [level]})
            steps = np.intersect1d(alone["step"], own["step"])
            ended = own["score_error"].sel(noise_level=level, step=steps).values
            expected = alone["score_error"].sel(step=steps).values[0, 0]
            both = np.isfinite(ended) & np.isfinite(expected)
            assert both.sum() > 2
            # The closed form, which the given rate has, rounds otherwise.
            exact = 1e-12 if keywords["loss"] == "population" else 0.0
            np.testing.assert_allclose(ended[both], expected[both], rtol=exact)
            for name in ("training_time", "predicted_training_time"):
                np.testing.assert_array_equal(own[name].sel(noise_level=level), alone[name].values[0, 0])


@pytest.mark.parametrize(("name", "reach"), [("one_layer", None), ("local_one_layer", 2), ("local_one_layer", "1xi")])
def test_rates_of_each_seed_are_the_same_on_a_device(name: str, reach: Any) -> None:
    """The descents of PyTorch tensors, here on the CPU, take the steps of the others, where seeds end one by one."""
    architecture = Architecture(name, **({} if reach is None else {"range": reach}))
    noised, settings = noised_at(Lattice(1, 16), 0.1, 3.0), TrainingSettings(rate_from="data", seeds=(1, 2, 3))
    runs = prepare(noised, architecture, settings), move(prepare(noised, architecture, settings), "cpu")
    usual, moved = (descend(noised, run, settings) for run in runs)
    np.testing.assert_array_equal(moved.training_time, usual.training_time)
    np.testing.assert_allclose(moved.score_error, usual.score_error, rtol=1e-9)
    assert len(np.unique(usual.last_step)) == 3


def test_training_times_scatter_as_rates_from_data_do() -> None:
    """τ ∝ 1/η: over 100 seeds ln τ of theory has the deviation sqrt(2/1024), up to 4 of its errors, 28 %.

    Rounding to whole steps is far less: τ is about 1000.
    """
    seeds = list(range(100))
    found = csd.predict("one_layer", dimension=1, size=16, noise_levels=[0.1], rate_from="data", seeds=seeds)
    rate, time = found["seed_learning_rate"].values[:, 0], found["crossing_time"].values[:, 0]
    assert np.std(np.log(time)) == pytest.approx(np.sqrt(2.0 / 1024), rel=0.28)
    np.testing.assert_allclose(time * rate, (time * rate).mean(), rtol=0.01)


def test_rates_from_data_are_unbiased() -> None:
    """Over 60 lattices 1/η of a critical field differs from C_max by less than 4 errors of the mean, 0.6 %."""
    ratios = []
    for size in range(20, 80):
        noised = noised_at(Lattice(1, size), 0.1)
        run = prepare(noised, FULL[0], TrainingSettings("population", rate_from="data"))
        ratios.append(1.0 / (run.rates.item() * noised.spectra_at(noised.modes).max()))
    assert np.mean(ratios) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 1024 / len(ratios)))
    assert np.std(ratios) == pytest.approx(np.sqrt(2.0 / 1024), rel=0.4)


class Doubled(GaussianField):
    """Fields of twice the amplitude that the propagator says."""

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        return 2.0 * super().sample(generator, count)


def test_rates_from_data_are_those_of_user_defined_fields() -> None:
    """Within 4 errors, whatever the target says of its spectrum."""
    noised = NoisedTarget(Doubled(Lattice(2, 6), 0.2), VariancePreserving(), (0.1,))
    run = prepare(noised, FULL[0], TrainingSettings("implicit", path="fields", rate_from="data"))
    largest = noised.spectra(4.0 * noised.target.propagator(np.zeros(1)))[0, 0]
    assert 1.0 / run.rates.item() == pytest.approx(largest, rel=4.0 * np.sqrt(2.0 / 1024))


def test_predictions_take_the_rates_of_data() -> None:
    """Theory beside a run, and by itself, is that of its rates."""
    keywords: dict[str, Any] = {"dimension": 1, "size": 16, "noise_levels": [0.1], "rate_from": "data"}
    run = csd.train("one_layer", loss="population", **keywords)
    alone = csd.predict("one_layer", **keywords)
    exact = csd.predict("one_layer", **{**keywords, "rate_from": "spectrum"})
    assert run["training_time"].values == run["predicted_training_time"].values == alone["training_time"].values
    assert exact["training_time"].values != alone["training_time"].values


def test_rates_from_data_are_refused_where_they_do_nothing() -> None:
    with pytest.raises(InputError, match=r"rate_from is data, but learning_rate is 0\.1"):
        TrainingSettings(rate_from="data", learning_rate=0.1)
    for architecture, options, wrong in (
        (FULL[1], {}, "own learning rate is 0.25"),
        (FULL[0], {"optimizer": "adam"}, "optimizer 'adam' is 0.003"),
    ):
        with pytest.raises(InputError, match=rf"rate_from is data, but .*{wrong} whatever the data"):
            prepare(noised_at(Lattice(1, 8)), architecture, TrainingSettings(rate_from="data", **options))
