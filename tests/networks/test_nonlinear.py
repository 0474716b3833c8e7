"""Nonlinear networks: their symmetries, formulas, exact cases, and the sizes and options that they refuse."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.core.files import read_content
from csd.diffusion.trained import trained_networks, trained_score
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.networks.module import weights_of
from csd.networks.nonlinear_score import NonlinearScore
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VarianceExploding, VariancePreserving
from tests.helpers import Runner

LEVEL = 0.5
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("mean_field", {}),
    ("fields_of_experts", {"width": 4, "kernel_size": 3}),
    ("convolutional", {"width": 4}),
    ("convolutional", {"width": 4, "activation": "silu"}),
    ("unet", {"width": 4, "scales": 2}),
    ("wiener", {"width": 4}),
    ("wiener", {"inner": "unet", "width": 4, "scales": 2}),
    ("wiener", {"inner": "fields_of_experts", "width": 4}),
    ("wiener", {"inner": "mean_field"}),
]
SIZES = {1: 12, 2: 8, 3: 6}
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
Form = tuple[str, dict[str, Any]]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join([form[0], *map(str, form[1].values())]))


def built(form: Form, dimension: int = 2, **options: Any) -> NonlinearScore:
    """A network on Gaussian fields, with parameters that are all away from the start."""
    name, own = form
    module_options = {key: options.pop(key) for key in ("components", "conditioned") if key in options}
    lattice = Lattice(dimension, options.pop("size", SIZES[dimension]))
    schedule = options.pop("schedule", VariancePreserving())
    noised = NoisedTarget(GaussianField(lattice, 0.5), schedule, [LEVEL])
    spectrum, generator = noised.spectra_at(lattice.shells)[0], np.random.default_rng(3)
    network = Architecture(name, **own, **options)
    module = network.module(lattice, 1.0, spectrum, generator, (schedule, LEVEL), **module_options)
    assert isinstance(module, NonlinearScore)
    moved = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=moved, dtype=torch.float64).to(parameter)
    return module


def fields_of(module: NonlinearScore, batch: int = 3) -> torch.Tensor:
    """Normal numbers in the form and precision of a network's fields."""
    components = [] if module.network.components is None else [module.network.components]
    generator = torch.Generator().manual_seed(5)
    shape = (batch, *components, *module.lattice.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(module.signal)


def commutes(module: NonlinearScore, action: Callable[[torch.Tensor], torch.Tensor], tolerance: float) -> None:
    """s(g x) = g s(x), in units of the largest |s|."""
    fields = fields_of(module)
    with torch.no_grad():
        score, other = module(fields), module(action(fields))
    assert score.shape == fields.shape
    assert score.dtype == fields.dtype
    assert float(score.std()) > 0.1
    assert float((other - action(score)).abs().max() / score.abs().max()) < tolerance


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("components", [None, 2])
@pytest.mark.parametrize("dimension", [1, 2, 3])
@every_form
def test_they_are_odd_and_commute_with_translations(
    form: Form, dimension: int, components: int | None, precision: str
) -> None:
    """A U-Net of two scales commutes with translations by two sites."""
    module = built(form, dimension, components=components, precision=precision)
    step = 2 if "scales" in form[1] else 1
    axes = module.lattice.axes
    commutes(module, lambda x: -x, TOLERANCES[precision])
    commutes(module, lambda x: x.roll(tuple(range(step, step * (len(axes) + 1), step)), axes), TOLERANCES[precision])


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("form", [("mean_field", {}), ("wiener", {"inner": "mean_field"})], ids=lambda form: form[0])
def test_mean_field_has_all_symmetries_of_the_lattice(form: Form, dimension: int, precision: str) -> None:
    module = built(form, dimension, precision=precision, components=2)
    for axis in module.lattice.axes:
        commutes(module, lambda x, axis=axis: x.flip(axis), TOLERANCES[precision])
    if dimension > 1:
        commutes(module, lambda x: x.transpose(-1, -2), TOLERANCES[precision])
        commutes(module, lambda x: x.transpose(-1, -dimension), TOLERANCES[precision])


@every_form
def test_without_a_symmetry_they_are_not_odd(form: Form) -> None:
    module = built(form, symmetry="none")
    with torch.no_grad():
        even = module(fields_of(module)) + module(-fields_of(module))
    assert float(even.abs().max()) > 1e-3


@every_form
def test_one_component_is_a_scalar_field(form: Form) -> None:
    scalar, vector = built(form), built(form, components=1)
    fields = fields_of(scalar)
    with torch.no_grad():
        torch.testing.assert_close(vector(fields[:, None])[:, 0], scalar(fields), rtol=0, atol=0)


@pytest.mark.parametrize("symmetry", ["odd", "none"])
@every_form
def test_a_conditioned_network_serves_every_level(form: Form, symmetry: str) -> None:
    """A batch at several levels is each field at its own, and a given level is that of the network by default."""
    module = built(form, conditioned=True, symmetry=symmetry, precision="float64")
    fields, levels = fields_of(module), torch.tensor([0.05, 0.5, 3.0])
    with torch.no_grad():
        together = module(fields, levels)
        alone = torch.cat([module(field[None], float(level)) for field, level in zip(fields, levels, strict=True)])
        torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6 * float(together.abs().max()))
        torch.testing.assert_close(module(fields), module(fields, LEVEL))
        of_film = [name for name, _ in module.named_parameters() if name.startswith("film_")]
        assert of_film
        before = module(fields, 3.0)
        for name in of_film[2:]:
            module.get_parameter(name).mul_(-1.0)
        assert float((module(fields, 3.0) - before).abs().max()) > 1e-3
    with pytest.raises(InputError, match=r"noise level 0\.5 alone"):
        built(form)(fields.float(), 0.1)


@every_form
def test_stacked_networks_are_the_networks_one_by_one(form: Form) -> None:
    """`torch.func.vmap` over parameters and constants gives scores and gradients of each."""
    networks = [built(form, schedule=schedule) for schedule in (VariancePreserving(), VarianceExploding())]
    parameters, buffers = torch.func.stack_module_state(networks)  # type: ignore[arg-type]
    fields = fields_of(networks[0])

    def loss(own: Any, constants: Any) -> torch.Tensor:
        score: torch.Tensor = torch.func.functional_call(networks[0], (own, constants), (fields,))
        return score.square().mean()

    gradients = torch.func.vmap(torch.func.grad(loss))(parameters, buffers)
    for place, network in enumerate(networks):
        alone = torch.autograd.grad(network(fields).square().mean(), list(network.parameters()))
        for (name, _), gradient in zip(network.named_parameters(), alone, strict=True):
            scale = float(gradient.abs().max())
            torch.testing.assert_close(gradients[name][place], gradient, rtol=1e-4, atol=1e-5 * scale)


@every_form
def test_a_file_needs_only_parameters_which_fit_other_sizes(form: Form) -> None:
    """Constants are those of the lattice, so the parameters of one size make the network of another."""
    small, large = built(form), built(form, size=16)
    parameters = sum(parameter.numel() for parameter in small.parameters())
    assert len(weights_of(small)) == len(weights_of(large)) == parameters
    large.load_state_dict(small.state_dict())
    if form[0] not in ("wiener", "unet"):
        # Range 1 in each of a few layers: a field that is repeated has the score repeated, for one ⟨φ²⟩.
        large.power.copy_(small.power)
        fields = fields_of(small)
        with torch.no_grad():
            twice = large(fields.repeat(1, 2, 2))
            torch.testing.assert_close(twice, small(fields).repeat(1, 2, 2), rtol=1e-5, atol=1e-5)


def test_experts_are_the_gradient_of_their_energy() -> None:
    """s = −∇E / (c σ) with E = Σ_r Σ_c [a y²/2 + Σ_i (b_i/s_i) ln cosh(s_i y)], y = w∗(c x), c² = 1 / ⟨x²⟩."""
    module = built(("fields_of_experts", {"width": 3, "units": 2}), precision="float64")
    fields = fields_of(module).requires_grad_()
    own: Any = module
    scale = 1.0 / (own.signal**2 * own.power + own.variance).sqrt()
    energy = torch.zeros((), dtype=torch.float64)
    for channel in range(3):
        argument = torch.zeros_like(fields)
        for tap, (i, j) in enumerate(product((-1, 0, 1), repeat=2)):
            argument = argument + own.filter[tap, 0, channel] * (scale * fields).roll((-i, -j), (1, 2))
        energy = energy + (0.5 * own.quadratic[channel] * argument**2).sum()
        for unit in range(2):
            slope = own.slopes[channel, unit]
            energy = energy + (own.amplitudes[channel, unit] / slope * (slope * argument).cosh().log()).sum()
    (gradient,) = torch.autograd.grad(energy, fields)
    torch.testing.assert_close(module(fields).detach(), -gradient / (scale * own.variance.sqrt()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("symmetry", ["odd", "none"])
def test_experts_have_an_energy_at_every_level(symmetry: str) -> None:
    """The Jacobian of their score is symmetric, with FiLM and offsets too."""
    options = {"conditioned": True, "symmetry": symmetry, "precision": "float64", "components": 2, "size": 4}
    module = built(("fields_of_experts", {"width": 3}), **options)
    field = fields_of(module, batch=1)
    jacobian: Any = torch.func.jacrev(lambda x: module(x, 2.0))(field)
    matrix = jacobian.detach().reshape(field.numel(), field.numel())
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-12)


def test_untrained_mean_field_is_nearly_exact_for_ising_spins() -> None:
    """At t = 0.1 and β_c, beside a sum over all 2^16 states; the best linear score is off by half.

    ⟨s⟩ = Σ_s s e^{β Σ s s′ + h·s} / Σ_s e^{…}, h = αx/σ², for fields of the distribution itself.
    """
    level, beta, lattice = 0.1, 0.5 * np.log(1.0 + np.sqrt(2.0)), Lattice(2, 4)
    schedule = VariancePreserving()
    signal, variance = float(schedule.signal(level)), float(schedule.variance(level))
    states = 1.0 - 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    grid = states.reshape(-1, 4, 4)
    bonds = sum((grid * np.roll(grid, 1, axis)).sum(axis=(1, 2)) for axis in (1, 2))
    weight = np.exp(beta * (bonds - bonds.max()))
    generator = np.random.default_rng(6)
    spins = states[generator.choice(len(states), 100, p=weight / weight.sum())]
    fields = signal * spins + np.sqrt(variance) * generator.standard_normal(spins.shape)
    exponent = fields @ states.T * signal / variance + beta * bonds
    posterior = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    mean = posterior @ states / posterior.sum(axis=1, keepdims=True)
    exact = (signal * mean - fields) / variance

    power = (weight[:, None, None] * lattice.power_spectrum(grid)).sum(axis=0) / weight.sum()
    spectrum = lattice.gather(signal**2 * power + variance, lattice.shells)

    def error(name: str, **options: Any) -> float:
        network = Architecture(name, precision="float64", **options)
        module = network.module(lattice, 1.0, spectrum, np.random.default_rng(0), (schedule, level))
        score = module(torch.from_numpy(fields.reshape(-1, 4, 4))).detach().numpy().reshape(exact.shape)
        return float(((score - exact) ** 2).sum() / (exact**2).sum())

    assert error("mean_field", coupling=float(beta)) < 1e-4
    assert error("mean_field") < 0.15, "with the coupling in lowest order, from the spectrum"
    assert 0.3 < error("wiener") < 0.8


@pytest.mark.parametrize("inner", ["convolutional", "unet", "fields_of_experts", "mean_field"])
@pytest.mark.parametrize("symmetry", ["odd", "none"])
def test_a_wiener_sandwich_starts_at_the_exact_linear_score(inner: str, symmetry: str) -> None:
    """At its own level and, conditioned, at others; the first step changes its last layer."""
    lattice, schedule = Lattice(2, 8), VariancePreserving()
    noised = NoisedTarget(GaussianField(lattice, 0.5), schedule, [0.1, LEVEL, 2.0])
    network = Architecture(
        "wiener", inner=inner, symmetry=symmetry, precision="float64", **{"scales": 2} if inner == "unet" else {}
    )
    spectrum = noised.spectra_at(lattice.shells)[1]
    module = network.module(lattice, 1.0, spectrum, np.random.default_rng(0), (schedule, LEVEL), conditioned=True)
    fields = fields_of(module)  # type: ignore[arg-type]
    spectra = noised.spectra(noised.target.propagator(lattice.laplacian))
    for level, own in zip(noised.levels, spectra, strict=True):
        exact = lattice.inverse(-lattice.transform(fields.numpy()) / own)
        np.testing.assert_allclose(module(fields, level).detach().numpy(), exact, rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(module(fields).pow(4).mean(), list(module.parameters()), allow_unused=True)
    assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize(
    ("size", "scales", "kernel_size", "fits"),
    [
        (10, 3, 3, "multiple of 4 from 12 on, such as 12$"),
        (13, 2, 3, "12 or 14"),
        (8, 4, 3, "multiple of 8 from 24 on"),
    ],
)
def test_sizes_that_a_u_net_refuses(size: int, scales: int, kernel_size: int, fits: str) -> None:
    with pytest.raises(InputError, match=f"size is {size}.*{fits}"):
        Architecture("unet", scales=scales, kernel_size=kernel_size).check(Lattice(2, size))
    with pytest.raises(InputError, match=f"size is {size}.*{fits}"):
        Architecture("wiener", inner="unet", scales=scales, kernel_size=kernel_size).check(Lattice(2, size))


def test_options_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="kernel_size is 4; it must be odd"):
        Architecture("convolutional", kernel_size=4)
    with pytest.raises(InputError, match=r"kernel_size is 9; .* size 8 .* at most 7"):
        Architecture("convolutional", kernel_size=9).check(Lattice(1, 8))
    with pytest.raises(InputError, match=r"kernel_size is 9; .* size 8 .* at most 7"):
        Architecture("local_tanh", kernel_size=9).check(Lattice(1, 8))
    with pytest.raises(InputError, match="scales is 5"):
        Architecture("unet", scales=5)
    with pytest.raises(InputError, match="scales is 2, but inner is 'convolutional'"):
        Architecture("wiener", scales=2).check(Lattice(2, 8))
    with pytest.raises(InputError, match="inner"):
        Architecture("wiener", inner="wiener")


def test_the_parameters_of_the_default_networks() -> None:
    """Three layers of 16 channels and 3 × 3 sites: 16·9·(1 + 16 + 1) numbers; FiLM: 2·16 + 2·16·16."""
    counts = {
        name: sum(parameter.numel() for parameter in built((name, {}), conditioned=name == "wiener").parameters())
        for name in ("convolutional", "wiener", "mean_field")
    }
    assert counts == {"convolutional": 2592, "wiener": 2592 + 544, "mean_field": 27}


@pytest.mark.parametrize("name", ["convolutional", "fields_of_experts"])
def test_they_are_trained_stored_and_called_again(name: str, tmp_path: Path, csd: Runner) -> None:
    """In single precision; the score that is read back is odd, and the network built again gives it too."""
    path = tmp_path / "trained.nc"
    words = "--dimension 1 --size 8 --noise-level 0.5 --path fields --loss denoising --max-steps 80 --width 4"
    csd(f"train --architecture {name} {words} --kernel-size 5 --output {path}")
    training = read_content(path)
    assert training.attrs["kernel_size"] == 5
    error = training["score_error"].values[0, 0]
    assert error[-1] < 0.7 * error[0]
    (network,) = trained_networks(training, 0)
    assert isinstance(network, NonlinearScore)
    assert network.signal.dtype == torch.float32
    score = trained_score(training, 0)
    fields = np.random.default_rng(2).standard_normal((3, 8))
    assert score(-fields, 0.5) == pytest.approx(-score(fields, 0.5), rel=1e-5, abs=1e-6)
    with torch.no_grad():
        assert network(torch.from_numpy(fields)).numpy() == pytest.approx(score(fields, 0.5))
