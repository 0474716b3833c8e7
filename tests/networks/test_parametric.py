"""Networks given by their parameters: on-site units beside closed forms."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from csd.core.errors import InputError
from csd.core.files import read_content
from csd.diffusion.trained import trained_score
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.phi4 import PhiFour
from tests.helpers import Runner

LATTICE = Lattice(2, 4)


def test_on_site_units_are_the_score_of_independent_spins() -> None:
    """x = α s + σ z with s = ±1: s*(x) = (α tanh(α x/σ²) − x)/σ², which one unit is exactly."""
    alpha, variance = np.exp(-0.5), 1.0 - np.exp(-1.0)
    network = Architecture("one_layer_onsite", width=1).module(
        LATTICE, 1.0, np.ones(len(LATTICE.shells)), np.random.default_rng(0)
    )
    with torch.no_grad():
        network.filter[0, 0] = 1.0 / variance
        network.amplitudes[0] = network.slopes[0] = alpha / variance
    fields = np.random.default_rng(1).standard_normal((5, *LATTICE.shape))
    score = network(torch.from_numpy(fields)).detach().numpy()
    exact = (alpha * np.tanh(alpha * fields / variance) - fields) / variance
    assert score == pytest.approx(exact, rel=1e-12, abs=1e-12)


def _two_layers(lattice: Lattice, width: int) -> Any:
    """`two_layer_onsite` with random parameters of order one."""
    network = Architecture("two_layer_onsite", width=width).module(
        lattice, 1.0, np.ones(len(lattice.shells)), np.random.default_rng(0)
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    return network


def test_two_layers_with_one_unit_are_the_score_of_independent_spins() -> None:
    """x = α s + σ z with s = ±1: w = δ/σ, a = −α/σ and b = α/σ."""
    alpha, variance = np.exp(-0.5), 1.0 - np.exp(-1.0)
    network = _two_layers(LATTICE, 1)
    with torch.no_grad():
        network.filter.zero_()[0, 0] = variance**-0.5
        network.amplitudes[0], network.slopes[0] = -alpha / variance**0.5, alpha / variance**0.5
    fields = np.random.default_rng(1).standard_normal((5, *LATTICE.shape))
    score = network(torch.from_numpy(fields)).detach().numpy()
    exact = (alpha * np.tanh(alpha * fields / variance) - fields) / variance
    assert score == pytest.approx(exact, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("lattice", [Lattice(1, 5), Lattice(2, 4)], ids=str)
def test_two_layers_are_the_force_of_their_energy(lattice: Lattice) -> None:
    """E = Σ_r V(Σ_u w(u) x(r − u)), V = y²/2 + Σ_i (a_i/b_i) ln cosh(b_i y): s = −∇E and ∇·s = −tr ∂²E, by autograd."""
    network = _two_layers(lattice, 3)

    def energy(field: torch.Tensor) -> torch.Tensor:
        """E of one field, with the convolution written as a sum over shifts."""
        sites = np.ndindex(*lattice.shape)
        inside = sum(network.filter[site] * field.roll(site, lattice.axes) for site in sites)
        bent = (network.amplitudes / network.slopes * (inside[..., None] * network.slopes).cosh().log()).sum()
        return 0.5 * inside.square().sum() + bent

    fields = torch.from_numpy(np.random.default_rng(1).standard_normal((3, *lattice.shape)))
    forces = torch.stack([-torch.func.grad(energy)(field) for field in fields])
    np.testing.assert_allclose(network(fields).detach(), forces.detach(), rtol=1e-10, atol=1e-10)
    hessians: Any = [torch.autograd.functional.hessian(energy, field) for field in fields]  # type: ignore[no-untyped-call]
    curvatures = [one.reshape(lattice.sites, -1).trace() for one in hessians]
    divergence = network.divergence(fields, torch.ones_like(fields)).item()
    assert divergence == pytest.approx(-sum(one.item() for one in curvatures), rel=1e-10)


def test_two_layers_start_as_the_linear_network_and_take_its_step() -> None:
    """At the start and after a step at ⅛, units held at 0, the score is that of `two_layer` after its step at ¼."""
    noised = NoisedTarget(GaussianField(LATTICE, 0.5), VariancePreserving(), [0.5])
    spectrum = noised.spectra_at(LATTICE.shells)[0]
    fields = torch.from_numpy(np.random.default_rng(1).standard_normal((8, *LATTICE.shape)))
    scores = []
    for name, options, rate in (("two_layer_onsite", {"width": 2}, 0.125), ("two_layer", {}, 0.25)):
        network = Architecture(name, **options).module(LATTICE, 1.0, spectrum, np.random.default_rng(0))
        before, filters = network(fields), next(network.parameters())
        loss = (0.5 * before.square().sum() + network.divergence(fields, fields.sign())) / fields.numel()
        (gradient,) = torch.autograd.grad(loss, filters)
        with torch.no_grad():
            filters.sub_(gradient, alpha=rate)
        scores.append(torch.stack([before, network(fields)]).detach().numpy())
    np.testing.assert_allclose(*scores, rtol=1e-12, atol=1e-12)


def test_a_local_polynomial_is_the_force_of_phi_four() -> None:
    """−∇H = Δφ − r₀ φ − u φ³ of csd.targets.phi4, in one, two and three dimensions, and its divergence by hand."""
    for dimension in (1, 2, 3):
        target = PhiFour(Lattice(dimension, 5), 1, -0.4, 0.7)
        start = np.ones(len(target.lattice.shells))
        network = Architecture("local_polynomial").module(target.lattice, 1.0, start, np.random.default_rng(0))
        steps = np.abs(target.lattice.box(1)).sum(axis=1)
        wanted = np.where(steps == 0, 2 * dimension + target.r0, np.where(steps == 1, -1.0, 0.0))
        with torch.no_grad():
            network.filter[:], network.coefficients[0] = torch.from_numpy(wanted), target.u
        fields = np.random.default_rng(1).standard_normal((4, *target.lattice.shape))
        given = torch.from_numpy(fields)
        assert network(given).detach().numpy() == pytest.approx(target.force(fields[:, None])[:, 0], abs=1e-12)
        divergence = -((2 * dimension + target.r0) * fields.size + 3.0 * target.u * (fields**2).sum())
        assert network.divergence(given, torch.ones_like(given)).item() == pytest.approx(divergence, rel=1e-12)


def test_a_local_polynomial_has_odd_degrees_and_fits_its_lattice() -> None:
    """Degree 5 is the force of φ⁶: a second coefficient, of x⁵."""
    build = partial(Architecture("local_polynomial", degree=5).module, generator=np.random.default_rng(0))
    network = build(LATTICE, 1.0, np.ones(len(LATTICE.shells)))
    with torch.no_grad():
        network.coefficients[1] = 2.0
    fields = np.random.default_rng(2).standard_normal((3, *LATTICE.shape))
    assert network(torch.from_numpy(fields)).detach().numpy() == pytest.approx(-2.0 * fields**5, rel=1e-12)
    with pytest.raises(InputError, match=r"degree is 4; it must be odd"):
        Architecture("local_polynomial", degree=4)
    with pytest.raises(InputError, match=r"kernel_size is 5; .* at most 3"):
        Architecture("local_polynomial", kernel_size=5).module(
            LATTICE, 1.0, np.ones(len(LATTICE.shells)), np.random.default_rng(0)
        )


def test_it_starts_at_nothing_with_units_that_differ() -> None:
    """s = 0, and b_i = i in units of the standard deviation of x."""
    noised = NoisedTarget(GaussianField(LATTICE, 0.5), VariancePreserving(), [0.5])
    spectrum = noised.spectra_at(LATTICE.shells)[0]
    network = Architecture("one_layer_onsite", width=3).module(LATTICE, 1.0, spectrum, np.random.default_rng(0))
    deviation = np.sqrt((LATTICE.shells.multiplicity * spectrum).sum() / LATTICE.sites)
    assert network.slopes.detach().numpy() * deviation == pytest.approx([1.0, 2.0, 3.0])
    assert not network(torch.ones(1, *LATTICE.shape, dtype=torch.float64)).any()


@pytest.mark.parametrize("architecture", ["one_layer_onsite", "two_layer_onsite"])
def test_it_is_trained_stored_and_called_again(architecture: str, tmp_path: Path, csd: Runner) -> None:
    """Its file holds all of it: the score that is read back is odd, and nearer to the exact one than at the start."""
    path = tmp_path / "onsite.nc"
    words = "--width 2 --dimension 1 --size 8 --noise-level 0.5 --path fields --max-steps 300"
    csd(f"train --architecture {architecture} {words} --output {path}")
    training = read_content(path)
    error = training["score_error"].values[0, 0]
    assert training.attrs["width"] == 2
    assert error[-1] < 0.5 * error[0]
    score = trained_score(training, 0)
    fields = np.random.default_rng(2).standard_normal((3, 8))
    assert score(-fields, 0.5) == pytest.approx(-score(fields, 0.5), rel=1e-12)
    assert np.abs(score(fields, 0.5)).max() > 0.0
